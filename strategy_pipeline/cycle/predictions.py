"""Stages of the predictions group, and the named series that strategies read.

A series at bar t comes from the newest accepted model whose cutoff is not after t's day, so a day's series are
the same whenever they are computed, and no backtest sees an in-sample prediction.
"""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd

from strategy_pipeline.cycle import fits
from strategy_pipeline.cycle.features import matrix
from strategy_pipeline.cycle.report import StageReport
from strategy_pipeline.cycle.workspace import Workspace, costs_of
from strategy_pipeline.errors import MissingInputError
from strategy_pipeline.market import Bars

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
    """Sentiment, macro and fundamental readings as series, from the feature matrix; only those that have data."""
    from strategy_pipeline.features import FEATURE_SETS
    from strategy_pipeline.indicators import macro_series

    whole = matrix(workspace, day)
    block_of = {feature.name: feature.block for feature in FEATURE_SETS[whole.feature_set].features(whole.timeframe)}
    found = {}
    for name, there in zip(whole.feature_names, whole.available, strict=True):
        called = _NAMED.get(name) or (f"{block_of[name]}.{name}" if block_of[name] in _NAMED_BLOCKS else None)
        if there and called:
            found[called] = whole.column(name).astype(np.float64)
    levels = workspace.observations("macro", day)
    return found | (macro_series(levels, workspace.bars(day)) if len(levels) else {})


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
        inputs=_cutoffs(workspace, ("regime_model",), day),
    )  # fmt: skip


def forecasts(workspace: Workspace, day: dt.date) -> StageReport:
    """Return, volatility, interval, direction and confidence for the next 24 hours, per symbol."""
    series = _forecasts(workspace, day)
    frame = day_rows(workspace.bars(day), series, day)
    artifact = workspace.lake.write(f"predictions/forecasts/{day}.parquet", frame)
    last = frame.groupby("symbol", sort=False).last().reset_index()
    summary = f"{len(series)} series of {len(last)} symbols" if _any_bar(workspace, day) else f"no bar on {day}, so no new forecast"
    answered = _cutoffs(workspace, ("volatility_models", "forecaster"), day)
    return StageReport(summary, {"series": len(series), "symbols": len(last)}, table=last, artifacts=(artifact,), inputs=answered)


def agent_actions(workspace: Workspace, day: dt.date) -> StageReport:
    """What each agent would hold, in [-1, 1], and their mean as a vote."""
    series = _actions(workspace, day)
    frame = day_rows(workspace.bars(day), series, day)
    artifact = workspace.lake.write(f"predictions/agent_actions/{day}.parquet", frame)
    last = frame.groupby("symbol", sort=False).last().reset_index()
    mean = float(np.nanmean(last["agent.vote"])) if last["agent.vote"].notna().any() else float("nan")
    said = f"mean vote {mean:+.2f}" if mean == mean else "no agent acts" if _any_bar(workspace, day) else f"no bar on {day}, so no action"
    summary, answered = f"{len(last)} symbols, {said}", _cutoffs(workspace, ("rl_agents",), day)
    return StageReport(summary, {"symbols": len(last)}, table=last, artifacts=(artifact,), inputs=answered)


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
    return workspace.remember(("regimes", day), lambda: _predicted(workspace, ("regime_model",), day))


def _forecasts(workspace: Workspace, day: dt.date) -> Series:
    return workspace.remember(("forecasts", day), lambda: _predicted(workspace, ("volatility_models", "forecaster"), day))


def _predicted(workspace: Workspace, stages: tuple[str, ...], day: dt.date) -> Series:
    from strategy_pipeline.forecasting import fit_history

    _require_models(workspace, stages, day)
    sizes = workspace.settings.sizes
    everyone = fits.forecasters(workspace)
    history = fit_history(
        workspace.bars(day), matrix(workspace, day), forecasters={fits.KINDS[stage]: everyone[fits.KINDS[stage]] for stage in stages},
        refit_days=sizes.refit_days, first_fit_days=sizes.first_fit_days, seed=fits.training_seed(workspace),
        cache=fits.cache(workspace), extra_cutoffs=fits.extra_cutoffs(workspace, stages, day),
    )  # fmt: skip
    return history.series


def _actions(workspace: Workspace, day: dt.date) -> Series:
    from strategy_pipeline.agents import agent_history

    def make() -> Series:
        _require_models(workspace, ("rl_agents",), day)
        sizes = workspace.settings.sizes
        history = agent_history(
            workspace.bars(day), matrix(workspace, day), refit_days=sizes.refit_days, first_fit_days=sizes.first_fit_days,
            steps=sizes.agent_steps, seed=fits.training_seed(workspace), cache=fits.cache(workspace),
            costs=costs_of(workspace), extra_cutoffs=fits.extra_cutoffs(workspace, ("rl_agents",), day),
        )  # fmt: skip
        return history.series

    return workspace.remember(("actions", day), make)


def _require_models(workspace: Workspace, stages: tuple[str, ...], day: dt.date) -> None:
    for stage in stages:
        if not fits.registered(workspace, stage, day):
            raise MissingInputError(
                f"Expected a {stage} with a cutoff not after {day}, was none; materialize the job retrain for {day}, or run "
                f"`strategy-pipeline run --date {day}`"
            )


def _cutoffs(workspace: Workspace, stages: tuple[str, ...], day: dt.date) -> dict[str, str]:
    """For the record: which model answered."""
    found = {}
    for stage in stages:
        newest = fits.registered(workspace, stage, day)[-1]
        found[f"{stage}@{newest}"] = str(fits.entry_of(workspace, stage, newest)["sha256"])
    return found


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
