"""Stages of the predictions group, and the named series that strategies read.

A series at bar t comes from the newest accepted model whose cutoff is not after t's day, so a day's series are
the same whenever they are computed, and no backtest sees an in-sample prediction.

A model that reads features answers only at rows like those it was trained on (`familiar`). At others its baseline answers
with confidence 0, an agent holds nothing, and ``forecast.familiar_24h`` and ``familiar.agents`` are below 1 there.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from strategy_pipeline.cycle import familiar, fits
from strategy_pipeline.cycle.features import matrix
from strategy_pipeline.cycle.report import StageReport
from strategy_pipeline.cycle.workspace import Workspace, costs_of
from strategy_pipeline.errors import MissingInputError
from strategy_pipeline.market import Bars

if TYPE_CHECKING:
    from strategy_pipeline.agents.history import AgentHistory
    from strategy_pipeline.forecasting.history import History

Series = dict[str, np.ndarray]
# Features that rules may read by name, beside macro, fundamentals and leverage readings, which keep their own.
_NAMED = {
    "news_mean_12h": "sentiment.mean", "news_score_1d": "sentiment.score", "news_score_7d": "sentiment.score_7d",
    "market_news_score_1d": "sentiment.market_score",
    "news_buzz": "sentiment.buzz", "social_score_1d": "sentiment.score_social", "social_buzz": "sentiment.social_buzz",
    "fear_greed": "sentiment.fear_greed", "fear_greed_change_7d": "sentiment.fear_greed_change",
}  # fmt: skip
_NAMED_BLOCKS = ("macro", "fundamentals", "leverage")


def named_series(workspace: Workspace, day: dt.date) -> Series:
    """Every named series through the close of `day`, float64 (n_symbols, n_bars): forecasts, regimes, agents, sentiment, macro."""
    return workspace.remember(
        ("series", day),
        lambda: {**observed(workspace, day), **_regimes(workspace, day), **_forecasts(workspace, day), **_actions(workspace, day)},
    )


def first_known_days(workspace: Workspace, day: dt.date) -> dict[str, np.datetime64]:
    """For each model-made series, the first day on which it has a value for any symbol (the day after the last, if never)."""

    def make() -> dict[str, np.datetime64]:
        times = workspace.bars(day).times.astype("datetime64[D]")
        found = {}
        for name, values in {**_regimes(workspace, day), **_forecasts(workspace, day), **_actions(workspace, day)}.items():
            known = np.flatnonzero(np.isfinite(values).any(axis=0))
            found[name] = times[known[0]] if len(known) else times[-1] + np.timedelta64(1, "D")
        return found

    return workspace.remember(("first_known", day), make)


def observed(workspace: Workspace, day: dt.date) -> Series:
    """Sentiment, macro and fundamental readings as series, from the feature matrix; levels of indices and quotes of the order book
    (``macro.vix``, ``book.bid``), which indicators read by name. Only those that have data."""
    from strategy_pipeline.features import FEATURE_SETS
    from strategy_pipeline.indicators import book_series, macro_series

    whole = matrix(workspace, day)
    block_of = {feature.name: feature.block for feature in FEATURE_SETS[whole.feature_set].features(whole.timeframe)}
    found = {}
    for name, there in zip(whole.feature_names, whole.available, strict=True):
        called = _NAMED.get(name) or (f"{block_of[name]}.{name}" if block_of[name] in _NAMED_BLOCKS else None)
        if there and called:
            found[called] = whole.column(name).astype(np.float64)
    for table, series in (("macro", macro_series), ("book", book_series)):
        rows = workspace.observations(table, day)
        if len(rows):
            made = series(rows, workspace.bars(day))
            found |= {name: values for name, values in made.items() if np.isfinite(values).any()}
    return found


def regimes(workspace: Workspace, day: dt.date) -> StageReport:
    """Filtered probability of each volatility regime, per symbol."""
    series = _regimes(workspace, day)
    frame = day_rows(workspace.bars(day), series, day)
    artifact = workspace.lake.write(f"predictions/regimes/{day}.parquet", frame)
    last = frame.groupby("symbol", sort=False).last()
    documents = [
        {"id": f"{str(symbol).replace('/', '-')}-{day}", "symbol": str(symbol), "day": day.isoformat(),
         **{name.replace(".", "_"): _plain(row[name]) for name in series}}
        for symbol, row in last.iterrows()
    ]  # fmt: skip
    workspace.documents.upsert_many("market_regimes", documents)
    share = float(np.nanmean(last["regime.turbulent"])) if last["regime.turbulent"].notna().any() else float("nan")
    said = f"mean probability of turbulence {share:.0%}" if share == share else "unknown" if _any_bar(workspace, day) else "no bar to judge"
    summary = f"{len(last)} symbols, {said}"
    recent = pd.DataFrame(series["regime.turbulent"][:, -24 * 60 :]).mean().to_numpy()
    return StageReport(
        summary, {"symbols": len(last)}, table=last.reset_index(), line=recent, artifacts=(artifact,),
        inputs=answering(workspace, ("regime_model",), day),
    )  # fmt: skip


def forecasts(workspace: Workspace, day: dt.date) -> StageReport:
    """Return, volatility, interval, direction and confidence for the next 24 hours, per symbol; drift since training.

    Rows unlike the return model's training get its baseline's forecast. The week through the day is compared with the training
    window, feature by feature: the comparison is stored, entered in the feature store, and judged by a check.
    """
    series = _forecasts(workspace, day)
    frame = day_rows(workspace.bars(day), series, day)
    artifacts = [workspace.lake.write(f"predictions/forecasts/{day}.parquet", frame)]
    last = frame.groupby("symbol", sort=False).last().reset_index()
    refused, judged = refusals(frame)
    facts: dict[str, Any] = {"series": len(series), "symbols": len(last), "rows_judged": judged, "rows_refused": refused}
    said = [f"{len(series)} series of {len(last)} symbols" if _any_bar(workspace, day) else f"no bar on {day}, so no new forecast"]
    if refused:
        said.append(f"{refused} of {judged} rows are unlike training: the baseline answers there")
    cutoff = _history(workspace, ("volatility_models", "forecaster"), day).answers["returns"]
    report = familiar.drift(workspace, day, cutoff[-1][1]) if cutoff else None
    if report is not None:
        artifacts.append(workspace.lake.write(drift_path(day), report.table))
        limit = _plain(report.limit)
        facts |= {
            "drifted": len(report.drifted), "drifted_share": round(report.share, 6), "drift_cutoff": cutoff[-1][1],
            "drift_summary": report.summary, "drift_unusual": "yes" if report.unusual else "no" if limit is not None else "unknown",
        } | ({} if limit is None else {"drift_limit": round(limit, 6)})  # fmt: skip
        if report.unusual:
            said.append(report.summary)
        workspace.documents.upsert(
            "feature_store",
            {
                "id": f"drift-{workspace.settings.feature_set}-{day}", "feature_set": workspace.settings.feature_set,
                "day": day.isoformat(), "cutoff": cutoff[-1][1], "path": artifacts[-1].path, "sha256": artifacts[-1].sha256,
                "share": round(report.share, 6), "limit": None if limit is None else round(limit, 6), "unusual": report.unusual,
                "drifted": list(report.drifted), "rows": report.recent_rows, "training_rows": report.reference_rows,
                "rows_refused": refused, "rows_judged": judged,
            },
        )  # fmt: skip
    answered = answering(workspace, ("volatility_models", "forecaster"), day)
    return StageReport("; ".join(said), facts, table=last, artifacts=tuple(artifacts), inputs=answered)


def drift_path(day: dt.date) -> str:
    """Where the day's comparison with training lies: a row per feature, worst first."""
    return f"predictions/drift/{day}.parquet"


def refusals(frame: pd.DataFrame) -> tuple[int, int]:
    """How many of a day's rows the gate refused, and how many it judged."""
    verdicts = [frame[name] for name in map(str, frame) if name.startswith("forecast.familiar_")]
    return sum(int((one == 0).sum()) for one in verdicts), sum(int(one.notna().sum()) for one in verdicts)


def agent_actions(workspace: Workspace, day: dt.date) -> StageReport:
    """What each agent would hold, in [-1, 1], and their mean as a vote."""
    series = _actions(workspace, day)
    frame = day_rows(workspace.bars(day), series, day)
    artifact = workspace.lake.write(f"predictions/agent_actions/{day}.parquet", frame)
    last = frame.groupby("symbol", sort=False).last().reset_index()
    known = frame["familiar.agents"]
    refused, judged = int((known < 1).sum()), int(known.notna().sum())
    mean = float(np.nanmean(last["agent.vote"])) if last["agent.vote"].notna().any() else float("nan")
    said = f"mean vote {mean:+.2f}" if mean == mean else "no agent acts" if _any_bar(workspace, day) else f"no bar on {day}, so no action"
    summary, answered = f"{len(last)} symbols, {said}", answering(workspace, ("rl_agents",), day)
    if refused:
        summary += f"; {refused} of {judged} rows are unlike training: nothing is held there"
    facts = {"symbols": len(last), "rows_judged": judged, "rows_refused": refused}
    return StageReport(summary, facts, table=last, artifacts=(artifact,), inputs=answered)


def _any_bar(workspace: Workspace, day: dt.date) -> bool:
    bars = workspace.bars(day)
    return bool(np.isfinite(bars.close[:, bars.times.astype("datetime64[D]") == np.datetime64(day)]).any())


def latest(workspace: Workspace, stage: str, day: dt.date) -> pd.DataFrame:
    """The last row of each symbol that a prediction stage wrote for a day."""
    path = f"predictions/{stage}/{day}.parquet"
    return workspace.lake.read(path).groupby("symbol", sort=False).last().reset_index()


def day_rows(bars: Bars, series: Series, day: dt.date) -> pd.DataFrame:
    """The day's values in long rows: ts, symbol, one column a series."""
    today = bars.times.astype("datetime64[D]") == np.datetime64(day)
    count = int(today.sum())
    frame = pd.DataFrame({name: np.ascontiguousarray(values[:, today]).reshape(-1) for name, values in series.items()})
    frame.insert(0, "symbol", np.repeat(list(bars.symbols), count))
    frame.insert(0, "ts", pd.to_datetime(np.tile(bars.times[today], bars.n_symbols), utc=True))
    return frame


def _regimes(workspace: Workspace, day: dt.date) -> Series:
    return _history(workspace, ("regime_model",), day).series


def _forecasts(workspace: Workspace, day: dt.date) -> Series:
    return _history(workspace, ("volatility_models", "forecaster"), day).series


def _actions(workspace: Workspace, day: dt.date) -> Series:
    return _agents(workspace, day).series


def _history(workspace: Workspace, stages: tuple[str, ...], day: dt.date) -> History:
    from strategy_pipeline.forecasting import fit_history

    def make() -> History:
        _require_models(workspace, stages, day)
        sizes = workspace.settings.sizes
        everyone = fits.forecasters(workspace)
        return fit_history(
            workspace.bars(day), matrix(workspace, day),
            forecasters={fits.KINDS[stage]: everyone[fits.KINDS[stage]] for stage in stages}, refit_days=sizes.refit_days,
            first_fit_days=sizes.first_fit_days, seed=fits.training_seed(workspace), cache=fits.cache(workspace),
            extra_cutoffs=fits.extra_cutoffs(workspace, stages, day), judge=familiar.judge(workspace, day),
        )  # fmt: skip

    return workspace.remember(("history", stages, day), make)


def _agents(workspace: Workspace, day: dt.date) -> AgentHistory:
    from strategy_pipeline.agents import agent_history

    def make() -> AgentHistory:
        _require_models(workspace, ("rl_agents",), day)
        sizes = workspace.settings.sizes
        return agent_history(
            workspace.bars(day), matrix(workspace, day), refit_days=sizes.refit_days, first_fit_days=sizes.first_fit_days,
            steps=sizes.agent_steps, seed=fits.training_seed(workspace), cache=fits.cache(workspace),
            costs=costs_of(workspace), extra_cutoffs=fits.extra_cutoffs(workspace, ("rl_agents",), day),
            judge=familiar.judge(workspace, day),
        )  # fmt: skip

    return workspace.remember(("actions", day), make)


def _require_models(workspace: Workspace, stages: tuple[str, ...], day: dt.date) -> None:
    for stage in stages:
        if not fits.registered(workspace, stage, day):
            raise MissingInputError(
                f"Expected a {stage} with a cutoff not after {day}, was none; materialize the job retrain for {day}, or run "
                f"`strategy-pipeline run --date {day}`"
            )


def answering(workspace: Workspace, stages: tuple[str, ...], day: dt.date) -> dict[str, str]:
    """For the record: the fits that answer at the last bar of `day`, as ``kind@cutoff``, with the SHA-256 of their bytes.

    Not always the newest ones: one that did not beat its baseline leaves an older, accepted one answering.
    """
    history = _agents(workspace, day) if stages == ("rl_agents",) else _history(workspace, stages, day)
    content = {(fit.kind.removeprefix("agent_"), fit.cutoff): fit.content for fit in history.fits}
    newest: Mapping[str, str] = {kind: spans[-1][1] for kind, spans in history.answers.items() if spans}
    stage_of = {kind: stage for stage, kind in fits.KINDS.items()}
    return {f"{stage_of.get(kind, f'rl_agents.{kind}')}@{cutoff}": content[kind, cutoff] for kind, cutoff in newest.items()}


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
