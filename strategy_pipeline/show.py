"""What the command line prints of a day, a strategy, a container; and what it prints for machines."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
import pandas as pd

from strategy_pipeline import console
from strategy_pipeline.cycle import Workspace, predictions, strategies
from strategy_pipeline.cycle.features import OBSERVED_BY_FEATURES
from strategy_pipeline.cycle.portfolio import signals_of
from strategy_pipeline.errors import PipelineError, StrategyError

if TYPE_CHECKING:
    from strategy_pipeline.audit import PromotionAudit
    from strategy_pipeline.market import Bars
    from strategy_pipeline.signals import Signal
    from strategy_pipeline.strategies import Strategy

_LEADERBOARD = [
    "rank", "strategy_id", "family", "state", "sharpe_train", "sharpe_validation", "dsr", "gross_p", "stepm_p", "trades", "verdict",
]  # fmt: skip
AUDITED_BARS = 6_000  # the look-ahead audit recomputes everything many times: the newest bars suffice
_ASSETS = ["rank", "symbol", "score", "close", "return_1d", "return_30d", "volatility", "traded_value"]


def print_day(workspace: Workspace, day: dt.date, progress: console.Progress) -> None:
    """Leaderboard, verdict, asset ranking, signals, what each stage took, and where to look next."""
    console.out.print()
    leaderboard = table_of(workspace, day, "strategy_ranking")
    console.table(for_people(leaderboard, "strategy_ranking").head(10), f"strategy leaderboard of {len(leaderboard):,}", most=10)
    console.lines(["", workspace.require("evidence", day).summary, ""])
    assets = table_of(workspace, day, "asset_ranking")
    console.table(for_people(assets, "asset_ranking"), "asset ranking")
    console.out.print()
    found = signals_of(workspace, day)
    console.table(signal_table(found), f"signals after {day}")
    console.lines(dict.fromkeys(signal.reason for signal in found))
    console.out.print()
    slowest = sorted(progress.timings, key=lambda item: -item[1])[:5]
    took = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in slowest)
    console.lines([f"done in {progress.elapsed:.0f} s (longest: {took})"])
    if workspace.source.simulated:
        console.out.print("[bold yellow]SAMPLE MARKET[/]: nothing above is about a real market")
    home = workspace.settings.home
    option = "" if home == type(workspace.settings).model_fields["home"].default else f" --home {home}"
    console.lines([f"report:     {report_path(workspace, day)}", f"Dagster UI: strategy-pipeline ui{option}", "Not investment advice."])


def day_as_json(workspace: Workspace, day: dt.date, progress: console.Progress, stale_days: Sequence[dt.date] = ()) -> str:
    record = workspace.require("evidence", day)
    signals = signal_table(signals_of(workspace, day), full=True)
    return to_json(
        {
            "day": day.isoformat(),
            "universe": workspace.universe,
            "simulated": workspace.source.simulated,
            "stale_days": list(stale_days),
            "evidence": {"summary": record.summary, **record.facts},
            "leaderboard": _plain(table_of(workspace, day, "strategy_ranking").head(100)),
            "assets": _plain(table_of(workspace, day, "asset_ranking")),
            "signals": _plain(signals),
            "report": report_path(workspace, day),
            "seconds": {name: round(seconds, 2) for name, seconds in progress.timings},
        }
    )


def to_json(value: Any) -> str:
    """Strict JSON on one line: what is undefined is null."""
    from strategy_pipeline.orchestrator import as_plain

    return json.dumps(as_plain(value), default=str, allow_nan=False)


def report_path(workspace: Workspace, day: dt.date) -> str:
    return f"{workspace.lake.url}/reports/{day}.html"


def table_of(workspace: Workspace, day: dt.date, stage: str) -> pd.DataFrame:
    """The table a stage wrote for people."""
    if stage == "strategy_ranking":
        return workspace.lake.read(f"leaderboard/date={day}.parquet")
    if stage == "asset_ranking":
        return workspace.lake.read(f"asset_ranking/date={day}.parquet")
    return predictions.latest(workspace, stage, day)


def for_people(frame: pd.DataFrame, stage: str) -> pd.DataFrame:
    """The columns of a ranking that fit a line; machines get them all."""
    wanted = _LEADERBOARD if stage == "strategy_ranking" else _ASSETS
    return frame[[name for name in wanted if name in frame]]


def tuned_table(frame: pd.DataFrame) -> pd.DataFrame:
    """What tuning found, so that it fits a line: of a Pareto front each objective before and after in one column, and no texts."""
    names = [name.removesuffix("_after") for name in frame.columns if name.endswith("_after") and name != "objective_after"]
    if not names:
        return frame
    view = frame[["strategy_id", "tuned_id", "trials"]].copy()
    for name in names:
        pairs = zip(frame[f"{name}_before"], frame[f"{name}_after"], strict=True)
        view[name] = [f"{console.cell(before)} → {console.cell(after)}" for before, after in pairs]
    return view


def signal_table(found: Sequence[Signal], *, full: bool = False) -> pd.DataFrame:
    """Signals as rows: what to do, how sure, until when, and any warning."""
    from strategy_pipeline.signals import to_frame

    frame = to_frame(found)
    if full:
        return frame
    wanted = ["symbol", "side", "strength", "confidence", "target_weight", "price", "stop", "take_profit", "valid_until"]
    return frame[[name for name in wanted if name in frame]]


def print_strategies(workspace: Workspace, ids: Sequence[str]) -> None:
    found = strategies.strategies_of(workspace, list(ids)[:5])
    console.lines([f"{len(ids)} strategies stored; the first {len(found)}:"])
    for strategy in found:
        console.lines(["", strategy.id, *(f"  {line}" for line in strategy.text.splitlines())])


def print_skipped(workspace: Workspace) -> None:
    """The families that the market has no data for, each with what is missing."""
    from strategy_pipeline.generation import skipped_families

    day = workspace.newest_day("bars")
    if day is None:
        return
    skipped = skipped_families(workspace.bars(day), tuple(sorted(predictions.named_series(workspace, day))))
    console.lines(f"note: no {family} strategies: {reason}" for family, reason in skipped.items())


def backtest_one(workspace: Workspace, day: dt.date, given: str, *, show_trades: bool, as_json: bool, report: Path | None = None) -> None:
    """Runs one strategy on the bars of a day's history and prints its metrics, symbol by symbol and pooled; with `report`, its
    page is written there."""
    from strategy_pipeline.cycle import ingest_history, run_missing
    from strategy_pipeline.strategies import values_of

    strategy = strategy_of(workspace, given)
    with console.Progress(quiet=as_json) as progress:
        workspace.observer = progress
        if any("." in getattr(value, "name", "") for value in values_of(strategy)):
            for stage in ("regimes", "forecasts", "agent_actions"):  # it reads series that these make
                run_missing(workspace, stage, day)
            series: dict[str, Any] = predictions.named_series(workspace, day)
        else:
            with workspace.lock():
                ingest_history(workspace, day)
            run_missing(workspace, "bars", day)
            series = {}
    from strategy_pipeline.backtest import backtest
    from strategy_pipeline.cycle.funding import funding_of
    from strategy_pipeline.cycle.workspace import costs_of

    bars, settings = workspace.bars(day), workspace.settings
    if settings.market != "spot":
        run_missing(workspace, "fundamentals", day)
    result = backtest(
        [strategy], bars, costs=costs_of(workspace), fill=settings.fill, series=series, funding=funding_of(workspace, day),
        workers=settings.workers,
    )  # fmt: skip
    for reason in result.failures.values():
        raise StrategyError(reason)
    if report is not None:
        page = result.report(strategy.id, seed=settings.seed, simulated=workspace.source.simulated, workers=settings.workers)
        _write_page(report, page)
    metrics = result.metrics.droplevel(0)
    metrics.loc["pooled"] = result.pooled.iloc[0].reindex(metrics.columns)
    if as_json:
        written = {} if report is None else {"report": str(report)}
        found = {"id": strategy.id, "text": strategy.text, "metrics": json.loads(metrics.to_json(orient="index"))}
        click.echo(json.dumps(found | written))
        return
    console.lines([strategy.text, f"id {strategy.id}", ""])
    console.table(metrics.T.rename_axis("metric").reset_index(), "metrics, after costs", most=100)
    if show_trades:
        symbols = [s for s in bars.symbols if s in metrics.index]
        trades = pd.concat([result.trades(strategy.id, symbol).assign(symbol=symbol) for symbol in symbols], ignore_index=True)
        console.table(trades, f"{len(trades)} trades", most=200)
    if report is not None:
        console.lines([f"report: {report}"])


def _write_page(path: Path, text: str) -> None:
    from strategy_pipeline.store.atomic import replace_file

    try:
        replace_file(path, text.encode("utf-8"))
    except OSError as error:
        raise PipelineError(f"Expected a file that can be written, was {path} ({error.strerror}); no report; name another place") from None


def strategy_of(workspace: Workspace, given: str) -> Strategy:
    """A strategy from a file's path, its text or JSON, or an id of the store."""
    from strategy_pipeline.strategies import Strategy, parse

    text = _content_of(given)
    if text.lstrip().startswith("{"):
        try:
            return Strategy.from_json(json.loads(text))
        except json.JSONDecodeError as error:
            raise StrategyError(f"Expected a strategy as JSON, was no JSON ({error}); mend it, or give its text or its id") from None
    if "\n" in text.strip() or " on " in text:
        return parse(text)
    try:
        return strategies.strategies_of(workspace, [text.strip()])[0]
    except strategies.AbsentStrategyError:
        raise StrategyError(
            f"Expected a file, a strategy's text or an id of the store, was {text.strip()!r}, which is none of them; "
            "`strategy-pipeline store strategies` prints ids"
        ) from None


def _content_of(given: str) -> str:
    """The text of the file that `given` names, or `given` itself."""
    try:
        return Path(given).read_text(encoding="utf-8") if "\n" not in given and Path(given).is_file() else given
    except UnicodeDecodeError:
        raise StrategyError(f"Expected a text file with a strategy, was {given}, which is no UTF-8 text; give another file") from None
    except (OSError, ValueError):  # longer than a name of a file may be, or it cannot be read
        return given


def print_containers(workspace: Workspace, *, as_json: bool) -> None:
    from strategy_pipeline.store import CONTAINERS, EVERY_PARTITION

    counts = {name: workspace.documents.count(name, EVERY_PARTITION) for name in CONTAINERS}
    if as_json:
        click.echo(json.dumps(counts))
    else:
        console.lines([f"{workspace.universe}"])
        console.lines(f"  {name:<22} {count:>8,}" for name, count in counts.items())


def print_container(workspace: Workspace, container: str, most: int, *, as_json: bool) -> None:
    from strategy_pipeline.store import CONTAINERS, EVERY_PARTITION, flatten

    if container not in CONTAINERS:
        raise PipelineError(f"Expected one of {', '.join(CONTAINERS)}, was {container!r}; run `strategy-pipeline store` to count them")
    for document in flatten(workspace.documents.query(container, EVERY_PARTITION, limit=most)):
        document.pop("_etag", None)
        click.echo(json.dumps(document, sort_keys=True, indent=None if as_json else 2))


def run_audit(
    workspace: Workspace, day: dt.date, what: str, times: int, *, names: Sequence[str] | None = None, quiet: bool
) -> pd.DataFrame:
    """The look-ahead or warm-up audit of every indicator and feature, or of the indicators named, on the last bars of the day's history.

    An entry whose inputs the workspace does not hold is a row that has not passed, of which nothing was compared.
    """
    from strategy_pipeline.audit import audit_lookahead, audit_warmup, catalog_functions, feature_functions, left_out
    from strategy_pipeline.cycle import run_missing
    from strategy_pipeline.indicators import book_series, macro_series

    with console.Progress(quiet=quiet) as progress:
        workspace.observer = progress
        run_missing(workspace, "fundamentals", day)
        for stage in ("news", "macro", "bars"):
            run_missing(workspace, stage, day)

    bars, seed = workspace.bars(day), workspace.settings.seed
    tables = {table: workspace.observations(table, day) for table in OBSERVED_BY_FEATURES}
    held = {table: frame for table, frame in tables.items() if len(frame)}

    def series(given: Bars) -> dict[str, np.ndarray]:
        found: dict[str, np.ndarray] = {}
        for table, read in (("macro", macro_series), ("book", book_series)):
            if table in held:
                found |= read(held[table], given)
        return found

    if what == "warmup":
        audited, bars_read = audit_warmup(names, bars, n_times=times, seed=seed, series=series), bars
    else:
        bars_read = bars.between(bars.times[max(0, bars.n_bars - AUDITED_BARS)], None)
        functions = catalog_functions(bars_read, names, series=series)
        if names is None:
            functions |= feature_functions("full", held)  # the other sets are parts of it
        audited = audit_lookahead(functions, bars_read, n_times=times, seed=seed)
    absent = [
        {"name": name, "passed": False, "worst": 0.0, "symbol": "", "compared": 0, "note": f"no {lacking} here"}
        for name, lacking in left_out(bars_read, names, series=series).items()
    ]
    return pd.concat([audited, pd.DataFrame(absent)], ignore_index=True) if absent else audited


def run_promotion_audit(
    workspace: Workspace, day: dt.date, what: str, markets: int, strategies: int, strengths: Sequence[float],
    methods: Sequence[str] | None, journal: Path | None, *, quiet: bool,
) -> PromotionAudit:  # fmt: skip
    """The null or the power audit on markets made from the day's history, with the settings' costs, seed and gate.

    Finished markets are kept in `journal`, by default a file under the home whose name holds what would change them.
    """
    from strategy_pipeline.audit import audit_promotions
    from strategy_pipeline.cycle import run_missing
    from strategy_pipeline.cycle.strategies import gate_of
    from strategy_pipeline.cycle.workspace import costs_of

    settings = workspace.settings
    with console.Progress(quiet=quiet) as progress:
        workspace.observer = progress
        run_missing(workspace, "bars", day)
    bars = workspace.bars(day)
    gate = gate_of(workspace)
    if journal is None:
        content = repr((bars.fingerprint, strategies, settings.seed, strengths, methods, costs_of(workspace), gate))
        journal = workspace.folder / "audit" / f"{what}-{hashlib.sha256(content.encode()).hexdigest()[:12]}.jsonl"

    def said(done: int, of: int) -> None:
        if not quiet:
            console.lines([f"{done} of {of} markets"], console=console.err)

    return audit_promotions(
        bars, what=what, markets=markets, strategies=strategies, seed=settings.seed, strengths=strengths, methods=methods,
        costs=costs_of(workspace), gate=gate, workers=settings.workers, journal=journal, observer=said,
    )  # fmt: skip


def _plain(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return json.loads(frame.to_json(orient="records", date_format="iso"))
