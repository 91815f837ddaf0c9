"""Stages of the strategies group: candidates, backtests, the evidence, and the book.

A day's files lie under ``strategies/<what>/<day>…``. Daily returns are one float64 array
``(n_strategies, n_days)`` in the order of the population file, as ``.npy``.
"""

from __future__ import annotations

import datetime as dt
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from strategy_pipeline.book import STATES, Book, BookRules
from strategy_pipeline.cycle import candidates, predictions
from strategy_pipeline.cycle.costs import as_paper_rows, excess_costs
from strategy_pipeline.cycle.features import history_key
from strategy_pipeline.cycle.funding import funding_note, funding_of
from strategy_pipeline.cycle.lineage import OPTIMIZED, REQUESTED, judged_after, parents
from strategy_pipeline.cycle.report import StageReport
from strategy_pipeline.cycle.stability import stability
from strategy_pipeline.cycle.trials import SEARCH, count_trials, ledger_of
from strategy_pipeline.cycle.workspace import DAY, Workspace, costs_of
from strategy_pipeline.errors import StrategyError
from strategy_pipeline.indicators.expressions import Series
from strategy_pipeline.rng import derive_seed
from strategy_pipeline.selection.gate import GAP_DAYS, VALIDATION_SHARE
from strategy_pipeline.strategies import Strategy, values_of

if TYPE_CHECKING:
    from strategy_pipeline.backtest import BacktestResult
    from strategy_pipeline.selection import Evidence, Gate
    from strategy_pipeline.store import Artifact


class AbsentStrategyError(StrategyError):
    """A strategy was asked for by an id that the store does not hold."""


@dataclass(frozen=True)
class Spans:
    """Which days a search may see, and which only its one look: half-open, UTC."""

    start: pd.Timestamp
    train_end: pd.Timestamp
    validation_start: pd.Timestamp
    end: pd.Timestamp


def spans(workspace: Workspace, day: dt.date) -> Spans:
    """Training expands, then a gap, then a trailing validation span of the gate's share of the history."""
    start, end = workspace.start(day), workspace.close(day)
    validation = pd.Timedelta(days=int((end - start).days * VALIDATION_SHARE))
    validation_start = end - validation
    return Spans(start, validation_start - pd.Timedelta(days=GAP_DAYS), validation_start, end)


# ---- the population ----------------------------------------------------------------------------------------------


def strategy_population(workspace: Workspace, day: dt.date) -> StageReport:
    """The day's candidates: newly generated ones, those a person had tuned the day before, and everything the book follows.

    All that a search evaluated is among them, and every one is a trial.
    """
    from strategy_pipeline.generation import skipped_families

    # Generators may read prices: they get the training span alone.
    bars = workspace.bars(day).between(None, spans(workspace, day).train_end)
    series = predictions.named_series(workspace, day)
    seed = derive_seed(workspace.settings.seed, "strategy_population", day) % 2**31
    found = candidates.daily(workspace, day, bars, seed)
    fresh = list(found.strategies)
    methods = Counter(found.method.values())
    members = {strategy.id: strategy for strategy in fresh}
    asked = {s.id: s for s in requested(workspace, day - DAY) if s.id not in members}
    held = {s.id: s for s in strategies_of(workspace, book_of(workspace, day - DAY).followed)}
    others = [(s, "book") for s in held.values() if s.id not in members and s.id not in asked]
    frame = population_frame([*((s, "generated") for s in fresh), *((s, "requested") for s in asked.values()), *others], found.method)
    frame["drawn"] = frame["strategy_id"].isin(found.draws)
    artifact = workspace.lake.write(population_path(day), frame)
    for method in methods:
        store_strategies(workspace, [strategy for strategy in fresh if found.method[strategy.id] == method], method, day)
    families = frame["family"].value_counts()
    facts: dict[str, int | float | str] = {
        "strategies": len(frame), "new": len(fresh), "requested": len(asked), "from_book": len(held), "drawn": len(found.draws),
        **{f"method_{k}": count for k, count in methods.items()},
        **{f"family_{k}": int(v) for k, v in families.items()},
        **{f"skipped_{k}": reason for k, reason in skipped_families(bars, tuple(sorted(series))).items()},
    }  # fmt: skip
    summary = f"{len(fresh):,} new candidates of {families.size} families, {len(held)} followed from the book"
    if len(methods) > 1:
        summary += f" ({', '.join(f'{count:,} {method}' for method, count in methods.items())})"
    return StageReport(summary, facts, table=frame[["strategy_id", "family", "text"]].head(8), artifacts=(artifact,))


def requested(workspace: Workspace, day: dt.date) -> list[Strategy]:
    """The strategies that tunings asked for on a day made, by id."""
    paths = [path for path in workspace.lake.list(f"{REQUESTED}/{day}") if path.endswith("/population.parquet")]
    texts = {i: text for path in paths for i, text in workspace.lake.read(path)[["strategy_id", "json"]].itertuples(index=False)}
    return [Strategy.from_json(json.loads(texts[i])) for i in sorted(texts)]


def population_frame(members: list[tuple[Strategy, str]], methods: Mapping[str, str] | None = None) -> pd.DataFrame:
    """A row a strategy; `method` is the generator that proposed it, empty where none did on this day."""
    known = methods or {}
    rows = [(s.id, s.family, origin, known.get(s.id, ""), s.text, json.dumps(s.to_json(), sort_keys=True)) for s, origin in members]
    return pd.DataFrame(rows, columns=["strategy_id", "family", "origin", "method", "text", "json"]).astype("str")


def population_path(day: dt.date) -> str:
    return f"strategies/population/{day}.parquet"


def population(workspace: Workspace, day: dt.date) -> list[Strategy]:
    return [Strategy.from_json(json.loads(text)) for text in workspace.lake.read(population_path(day), columns=["json"])["json"]]


def store_strategies(workspace: Workspace, found: list[Strategy], method: str, day: dt.date) -> None:
    """Stores strategies as documents; one that is known keeps the day it was first seen."""
    documents = []
    for strategy in found:
        known = workspace.documents.read("strategies", strategy.id, strategy.family)
        first = known["first_day"] if known and known["first_day"] <= day.isoformat() else day.isoformat()
        documents.append(
            {"id": strategy.id, "family": strategy.family, "text": strategy.text, "json": strategy.to_json(), "method": method,
             "timeframe": strategy.timeframe, "symbols": list(strategy.symbols), "first_day": first}
        )  # fmt: skip
    workspace.documents.upsert_many("strategies", documents)


def strategies_of(workspace: Workspace, ids: tuple[str, ...] | list[str]) -> list[Strategy]:
    """Strategies by id, from the store. AbsentStrategyError names one that is not there, StrategyError one that is damaged."""
    from strategy_pipeline.store import EVERY_PARTITION, flatten

    if not ids:
        return []
    pages = workspace.documents.query("strategies", EVERY_PARTITION, [("id", "in", sorted(set(ids)))], page_size=1000)
    found = {document["id"]: stored_strategy(document) for document in flatten(pages)}
    missing = [i for i in ids if i not in found]
    if missing:
        raise AbsentStrategyError(f"Expected the strategy {missing[0]} in the store, was absent; see `strategy-pipeline store strategies`")
    return [found[i] for i in ids]


def stored_strategy(document: Mapping[str, Any]) -> Strategy:
    """The strategy of a document of the store. StrategyError names the document where it is damaged, or holds another's rules."""
    name = str(document.get("id"))
    mend = "nothing was changed; restore the document from a copy of the home, or start a new home"
    try:
        found = Strategy.from_json(document.get("json"))
    except StrategyError as error:
        raise StrategyError(f"Expected the rules of strategy {name} in the store, was damaged ({error}); {mend}") from None
    if found.id != name:
        raise StrategyError(f"Expected the rules of strategy {name} in the store, was those of {found.id}; {mend}")
    return found


# ---- backtests ---------------------------------------------------------------------------------------------------


def backtests(workspace: Workspace, day: dt.date) -> StageReport:
    """The whole population over the whole history, after costs; every strategy run is a trial in the ledger."""
    members = population(workspace, day)
    result = run(workspace, day, members)
    origins = workspace.lake.read(population_path(day), columns=["strategy_id", "origin", "method"])
    artifacts = write_results(workspace, f"strategies/backtests/{day}", result, returns_of(workspace, day, members, result))
    generated = origins[origins["origin"] == "generated"]
    for method, made in generated.groupby("method", sort=True):
        count_trials(workspace, day, made["strategy_id"], origin=str(method))
    # Against the days before, not against the day's own ledger, which holds later stages' trials when a day is run again.
    new = len(set(generated["strategy_id"]) - ledger_of(workspace, day - DAY).ids(SEARCH))
    pooled = result.pooled
    traded = result.metrics["trades"].groupby(level=0).sum()
    document: dict[str, Any] = {
        "id": f"population-{day}", "day": day.isoformat(), "strategies": len(result.strategy_ids), "failures": len(result.failures),
        "trades": int(traded.sum()), "median_sharpe": _number(pooled["sharpe"].median()), "best_sharpe": _number(pooled["sharpe"].max()),
        "files": {a.path: a.sha256 for a in artifacts},
    }  # fmt: skip
    workspace.documents.upsert("backtest_results", document)
    facts = {
        "strategies": len(result.strategy_ids), "failures": len(result.failures), "trades": int(traded.sum()), "new_trials": new,
        "bars": workspace.bars(day).n_bars, "median_sharpe": rounded(pooled["sharpe"].median()),
        "best_sharpe": rounded(pooled["sharpe"].max()),
    }  # fmt: skip
    ran = f"{len(result.strategy_ids):,} strategies on {len(workspace.symbols)} symbols"
    summary = f"{ran}, {int(traded.sum()):,} trades, {len(result.failures)} failed"
    if note := funding_note(workspace, day):
        summary += f"; {note}"
    best = pooled.sort_values("sharpe", ascending=False).head(8).reset_index()[["strategy_id", "sharpe", "total_return", "max_drawdown"]]
    read = {"bars_history": workspace.bars(day).fingerprint}
    if workspace.settings.market != "spot":
        read[history_key("funding")] = workspace.observed_digest("funding", day)
    return StageReport(summary, facts, table=best, artifacts=tuple(artifacts), inputs=read)


def run(
    workspace: Workspace, day: dt.date, members: list[Strategy], *, until: pd.Timestamp | None = None, charged: bool = True
) -> BacktestResult:
    """A backtest of strategies through the close of `day`, or on the bars before `until` alone, with every named series known by then;
    not `charged`: with every charge of trading waived."""
    from strategy_pipeline.backtest import backtest

    bars, series, rates = workspace.bars(day), predictions.named_series(workspace, day), funding_of(workspace, day)
    if until is not None:
        bars = bars.between(None, until)
        series = {name: values[:, : bars.n_bars] for name, values in series.items()}
        rates = None if rates is None else rates[:, : bars.n_bars]
    costs = costs_of(workspace)
    return backtest(
        members,
        bars,
        costs=costs if charged else costs.waived(),
        fill=workspace.settings.fill,
        series=series,
        funding=rates,
        workers=workspace.settings.workers,
    )


def returns_of(workspace: Workspace, day: dt.date, members: list[Strategy], result: BacktestResult) -> np.ndarray:
    """Daily returns (n_strategies, n_days); NaN before the first day on which a strategy's models say anything.

    A strategy driven by forecasts earns nothing before the first out-of-sample prediction: those days are no
    evidence of anything, so they are not zeros.
    """
    returns = np.array(result.daily_returns)
    first_day = predictions.first_known_days(workspace, day)
    days = np.asarray(result.days, dtype="datetime64[D]")
    by_id = {strategy.id: strategy for strategy in members}
    for row, strategy_id in enumerate(result.strategy_ids):
        names = {value.name for value in values_of(by_id[strategy_id]) if isinstance(value, Series)}
        needed = [first_day[name] for name in names if name in first_day]
        if needed:
            returns[row, days < max(needed)] = np.nan
    return returns


def write_results(workspace: Workspace, prefix: str, result: BacktestResult, returns: np.ndarray) -> list[Artifact]:
    lake = workspace.lake
    buffer = io.BytesIO()
    np.save(buffer, returns)
    failures = pd.DataFrame(sorted(result.failures.items()), columns=["strategy_id", "reason"]).astype("str")
    return [
        lake.write(f"{prefix}/metrics.parquet", result.metrics.reset_index()),
        lake.write(f"{prefix}/pooled.parquet", result.pooled.reset_index()),
        lake.write(f"{prefix}/days.parquet", pd.DataFrame({"ts": pd.to_datetime(np.asarray(result.days), utc=True)})),
        lake.write(f"{prefix}/failures.parquet", failures),
        lake.write_bytes(f"{prefix}/returns.npy", buffer.getvalue()),
    ]


@dataclass(frozen=True)
class Results:
    """What a backtest left in the lake: ids and returns row by row, days, metrics."""

    ids: list[str]
    returns: np.ndarray
    days: np.ndarray
    pooled: pd.DataFrame
    metrics: pd.DataFrame


def read_results(workspace: Workspace, prefix: str) -> Results:
    lake = workspace.lake
    pooled = lake.read(f"{prefix}/pooled.parquet")
    days = lake.read(f"{prefix}/days.parquet")["ts"].dt.tz_convert(None).to_numpy(dtype="datetime64[D]")
    returns = np.load(io.BytesIO(lake.read_bytes(f"{prefix}/returns.npy")))
    return Results(list(pooled["strategy_id"]), returns, days, pooled, lake.read(f"{prefix}/metrics.parquet"))


# ---- evidence ----------------------------------------------------------------------------------------------------


def everything_run(workspace: Workspace, day: dt.date) -> tuple[Results, dict[str, str]]:
    """Population and tuned strategies of a day as one: results, and the JSON text of each strategy."""
    results = read_results(workspace, f"strategies/backtests/{day}")
    members = workspace.lake.read(population_path(day))
    texts = dict(zip(members["strategy_id"], members["json"], strict=True))
    tuned = workspace.lake.read(f"{OPTIMIZED}/{day}/population.parquet")
    if len(tuned):
        more = read_results(workspace, f"{OPTIMIZED}/{day}")
        texts |= dict(zip(tuned["strategy_id"], tuned["json"], strict=True))
        results = Results(
            results.ids + more.ids,
            np.concatenate([results.returns, more.returns]),
            results.days,
            pd.concat([results.pooled, more.pooled], ignore_index=True),
            pd.concat([results.metrics, more.metrics], ignore_index=True),
        )
    return results, texts


def gate_of(workspace: Workspace) -> Gate:
    """The gate, with what the settings change of it."""
    from strategy_pipeline.selection import Gate

    settings = workspace.settings
    given = {
        "top": settings.gate_top, "level": settings.gate_level, "net_level": settings.gate_net_level,
        "min_robustness": settings.gate_robustness,
    }  # fmt: skip
    changed: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    return Gate(resamples=settings.sizes.bootstrap, **changed)


def evidence(workspace: Workspace, day: dt.date) -> StageReport:
    """A few strategies, chosen on training alone, get one look at untouched validation; the verdict says what each lacks.

    What the book tested before, or what moves with it, gets none: a look would prove, or refute, the same idea again. What was tuned
    from a strategy of the book is judged on days after the look at that one.
    """
    from strategy_pipeline.selection import select

    results, texts = everything_run(workspace, day)
    cut = spans(workspace, day)
    in_training = results.days < np.datetime64(cut.train_end.date())
    known = pd.DataFrame(results.returns[:, in_training].T, index=pd.DatetimeIndex(results.days[in_training]), columns=results.ids)
    book = book_of(workspace, day - DAY)
    barred = book.barred(known, rules=rules_of(workspace))
    free = [row for row, strategy_id in enumerate(results.ids) if strategy_id not in barred]
    train = results.returns[free][:, in_training].T
    in_validation = results.days >= np.datetime64(cut.validation_start.date())
    held_out = results.returns[free][:, in_validation].T
    late = judged_after((results.ids[row] for row in free), parents(workspace, day), book)
    for column, row in enumerate(free):
        if results.ids[row] in late:
            held_out[results.days[in_validation] <= np.datetime64(late[results.ids[row]]), column] = np.nan
    n_trials = max(ledger_of(workspace, day).count(SEARCH), len(results.ids))
    seed = derive_seed(workspace.settings.seed, "evidence", day) % 2**31
    options: dict[str, Any] = {
        "ids": [results.ids[row] for row in free],
        "n_trials": n_trials,
        "full": results.returns[free].T,
        "seed": seed,
    }
    made = workspace.lake.read(population_path(day), columns=["strategy_id", "drawn"])
    options["draws"] = set(made["strategy_id"][made["drawn"]]) & set(options["ids"])
    gate = gate_of(workspace)
    looked_at = [item.strategy_id for item in select(train, held_out, gate=gate, n_blocks=0, **options).evidence]
    if looked_at:
        members = [Strategy.from_json(json.loads(texts[i])) for i in looked_at]
        robustness, stressed = stability(workspace, run(workspace, day, members, until=cut.train_end), looked_at, seed)
        options |= {"robustness": robustness, "stressed_sharpe": stressed}
        before = dict(zip(*_before_costs(workspace, day, members), strict=True))
        nothing = np.full(len(results.days), np.nan)
        gross = np.array([before.get(strategy_id, nothing) for strategy_id in options["ids"]])
        options["gross"] = np.where(np.isnan(held_out), np.nan, gross[:, in_validation].T)
    selection = select(train, held_out, gate=gate, **options)
    frame, screening = selection.to_frame(), _with_barred(selection.screening, barred, known)
    artifacts = (
        workspace.lake.write(f"strategies/evidence/{day}/evidence.parquet", frame),
        workspace.lake.write(f"strategies/evidence/{day}/screening.parquet", screening),
    )
    facts: dict[str, Any] = {
        "trials": selection.n_trials, "effective_trials": selection.effective_trials, "pbo": rounded(selection.pbo),
        "looked_at": len(frame), "promoted": len(selection.promoted), "watchlist": len(selection.watchlist), "tested_before": len(barred),
        "train_end": str(cut.train_end.date()), "validation_start": str(cut.validation_start.date()),
    }  # fmt: skip
    table = frame[["strategy_id", "train_sharpe", "sharpe", "gross_p_value", "stepm_p_value", "t_statistic", "dsr", "verdict", "reasons"]]
    return StageReport(selection.summary, facts, table=table, artifacts=artifacts)


def _with_barred(screening: pd.DataFrame, barred: Mapping[str, str], training: pd.DataFrame) -> pd.DataFrame:
    """The screening with those the book keeps from a look, and why. `training` has daily returns, columns ids."""
    from strategy_pipeline.selection import sharpe_ratio

    if not barred:
        return screening
    rows = training[list(barred)].to_numpy()
    apart = pd.DataFrame({"strategy_id": list(barred), "train_sharpe": np.asarray(sharpe_ratio(rows, 365.0)),
                          "train_days": np.isfinite(rows).sum(axis=0), "looked_at": False, "reason": list(barred.values())})  # fmt: skip
    apart = apart.astype({"strategy_id": "str", "reason": "str"}).reindex(columns=screening.columns)
    return pd.concat([screening, apart], ignore_index=True)


def _before_costs(workspace: Workspace, day: dt.date, members: list[Strategy]) -> tuple[Sequence[str], np.ndarray]:
    """Ids, and daily returns with every charge of trading waived, (n_strategies, n_days)."""
    result = run(workspace, day, members, charged=False)
    return result.strategy_ids, returns_of(workspace, day, members, result)


# ---- the book ----------------------------------------------------------------------------------------------------


def book_of(workspace: Workspace, day: dt.date) -> Book:
    """The book after `day`; empty before its first."""
    path = f"book/{day}/book.parquet"
    return Book.from_frame(workspace.lake.read(path)) if workspace.lake.exists(path) else Book()


def rules_of(workspace: Workspace) -> BookRules:
    """The rules the book keeps under these settings."""
    return BookRules(max_correlation=workspace.settings.max_correlation)


def performance_review(workspace: Workspace, day: dt.date) -> StageReport:
    """How every strategy that the book follows did on the day, and since it entered its state."""
    book = book_of(workspace, day - DAY)
    results = read_results(workspace, f"strategies/backtests/{day}")
    row_of = {strategy_id: row for row, strategy_id in enumerate(results.ids)}
    rows = []
    for entry in book.entries.values():
        if entry.strategy_id not in row_of:
            continue
        returns = results.returns[row_of[entry.strategy_id]]
        since = returns[results.days > np.datetime64(entry.since)]
        since = since[np.isfinite(since)]
        today = returns[results.days == np.datetime64(day)]
        rows.append(
            {"strategy_id": entry.strategy_id, "state": entry.state, "since": entry.since.isoformat(),
             "return_day": float(today[0]) if len(today) else np.nan,
             "return_since": float(np.prod(1 + since) - 1) if len(since) else np.nan,
             "days": len(since)}
        )  # fmt: skip
    frame = pd.DataFrame(rows, columns=["strategy_id", "state", "since", "return_day", "return_since", "days"])
    frame = frame.astype(dict.fromkeys(("strategy_id", "state", "since"), "str") | {"return_day": "float64", "return_since": "float64"})
    artifact = workspace.lake.write(f"book/{day}/review.parquet", frame)
    mean = frame["return_day"].mean()
    summary = f"{len(frame)} strategies followed" + (f", mean return {mean:+.2%}" if len(frame) and np.isfinite(mean) else "")
    return StageReport(summary, {"followed": len(frame)}, table=frame, artifacts=(artifact,))


def strategy_book(workspace: Workspace, day: dt.date) -> StageReport:
    """Who is promoted, activated, put on probation, retired or watched today, and why."""
    before = book_of(workspace, day - DAY)
    results, _ = everything_run(workspace, day)
    row_of = {strategy_id: row for row, strategy_id in enumerate(results.ids)}
    paper = {i: results.returns[row_of[i]] for i in before.followed if i in row_of}
    looks = judged(workspace, day)
    paper |= {item.strategy_id: results.returns[row_of[item.strategy_id]] for item in looks if item.strategy_id in row_of}
    capital = before.ids("active", "probation")
    paid = excess_costs(workspace, day, run(workspace, day, strategies_of(workspace, capital)) if capital else None)
    after, transitions = before.advance(
        day,
        evidence=looks,
        paper_returns=pd.DataFrame(paper, index=pd.DatetimeIndex(results.days)),
        excess_costs=as_paper_rows(day, paid, capital),
        rules=rules_of(workspace),
        seed=derive_seed(workspace.settings.seed, "strategy_book") % 2**31,
    )
    artifacts = (
        workspace.lake.write(f"book/{day}/book.parquet", after.to_frame()),
        workspace.lake.write(f"book/{day}/transitions.parquet", transitions),
        workspace.lake.write(f"book/{day}/excess_costs.parquet", paid),
    )
    counts = {str(state): len(after.ids(state)) for state in STATES if state != "candidate"}
    summary = ", ".join(f"{count} {state}" for state, count in counts.items() if count) or "nothing in the book"
    return StageReport(f"{summary}; {len(transitions)} moved", dict(counts), table=transitions, artifacts=artifacts)


def judged(workspace: Workspace, day: dt.date) -> list[Evidence]:
    """The evidence of a day, as it was decided; what only an earlier gate measured is left out."""
    from strategy_pipeline.selection import Evidence

    frame = workspace.lake.read(f"strategies/evidence/{day}/evidence.parquet")
    known = {field.name for field in fields(Evidence)}
    rows: list[dict[str, Any]] = [{str(k): v for k, v in row.items() if k in known} for row in frame.to_dict(orient="records")]
    return [Evidence(**{**row, "reasons": tuple(str(row["reasons"]).split("; ")) if row["reasons"] else ()}) for row in rows]


def _number(value: Any) -> float | None:
    """A finite float, or None: documents hold no NaN."""
    value = float(value)
    return value if np.isfinite(value) else None


def rounded(value: Any) -> float:
    return round(float(value), 4)
