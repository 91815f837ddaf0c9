"""Stages of the analytics group: rankings and the day's report."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from strategy_pipeline.cycle import predictions, strategies
from strategy_pipeline.cycle.funding import funding_note, paid_daily
from strategy_pipeline.cycle.portfolio import daily_closes
from strategy_pipeline.cycle.report import StageReport
from strategy_pipeline.cycle.workspace import Workspace

if TYPE_CHECKING:
    from strategy_pipeline.analytics import ReportInputs


def asset_ranking(workspace: Workspace, day: dt.date) -> StageReport:
    """The day's symbols ranked by momentum, trend, volatility, liquidity and forecast."""
    from strategy_pipeline import analytics

    frame = analytics.asset_ranking(workspace.bars(day), day=day, forecasts=_forecast_frame(workspace, day))
    artifact = workspace.lake.write(f"asset_ranking/date={day}.parquet", frame)
    best = frame.iloc[0]
    summary = f"{len(frame)} symbols, {best['symbol']} first (score {best['score']:.2f})"
    return StageReport(summary, {"symbols": len(frame)}, table=frame, artifacts=(artifact,))


def strategy_ranking(workspace: Workspace, day: dt.date) -> StageReport:
    """The leaderboard: every strategy run today with its evidence, verdict and state in the book."""
    from strategy_pipeline import analytics

    results, texts = strategies.everything_run(workspace, day)
    evidence = workspace.lake.read(f"strategies/evidence/{day}/evidence.parquet")
    screening = workspace.lake.read(f"strategies/evidence/{day}/screening.parquet").set_index("strategy_id")
    trades = results.metrics.groupby("strategy_id")["trades"].sum()
    described = {i: json.loads(text) for i, text in texts.items()}
    members = {s.id: s for s in map(_strategy, described.values())}
    metrics = pd.DataFrame(
        {
            "strategy_id": results.ids,
            "family": [members[i].family for i in results.ids],
            "text": [members[i].text for i in results.ids],
            "trades": [int(trades.get(i, 0)) for i in results.ids],
            "sharpe_train": [float(screening["train_sharpe"].get(i, np.nan)) for i in results.ids],
        }
    )
    states: dict[str, str] = {i: entry.state for i, entry in strategies.book_of(workspace, day).entries.items()}
    frame = analytics.strategy_ranking(metrics, evidence, day=day, states=states)
    artifact = workspace.lake.write(f"leaderboard/date={day}.parquet", frame)
    best = frame.iloc[0]
    summary = f"{len(frame):,} strategies, first is {best['strategy_id']} ({best['family']}, {best['verdict']})"
    columns = ["rank", "strategy_id", "family", "sharpe_train", "sharpe_validation", "verdict", "state"]
    return StageReport(summary, {"strategies": len(frame)}, table=frame[columns].head(10), artifacts=(artifact,))


def _strategy(value: dict[str, Any]) -> Any:
    from strategy_pipeline.strategies import Strategy

    return Strategy.from_json(value)


def _forecast_frame(workspace: Workspace, day: dt.date) -> pd.DataFrame | None:
    """The latest forecasts as `asset_ranking` takes them: symbol, return, volatility."""
    latest = predictions.latest(workspace, "forecasts", day)
    found = {column.split(".")[1].split("_")[0]: column for column in latest.columns if column.startswith("forecast.")}
    if "return" not in found:
        return None
    return pd.DataFrame({"symbol": latest["symbol"], "return": latest[found["return"]], "volatility": latest[found["volatility"]]})


def performance_report(workspace: Workspace, day: dt.date) -> StageReport:
    """One self-contained page: what was tried, what was promoted or what the best lack, rankings, signals, regimes."""
    from strategy_pipeline import analytics

    html = analytics.performance_report(_inputs(workspace, day))
    artifact = workspace.lake.write_bytes(f"reports/{day}.html", html.encode("utf-8"))
    return StageReport(artifact.path, {"bytes": len(html)}, artifacts=(artifact,))


def _inputs(workspace: Workspace, day: dt.date) -> ReportInputs:
    """Everything the page shows, read from what the day's stages wrote."""
    from strategy_pipeline.analytics import ReportInputs, correlation, regime_performance
    from strategy_pipeline.version import __version__

    lake = workspace.lake
    leaderboard = lake.read(f"leaderboard/date={day}.parquet")
    record = workspace.require("evidence", day)
    returns = _curves(workspace, day, leaderboard)
    regimes = _regime_days(workspace, day)
    book = strategies.book_of(workspace, day)
    entries = [(i, e.state, e.since.isoformat(), e.reason) for i, e in book.entries.items()]
    quarantined = int(workspace.require("bars", day).facts.get("quarantined", 0))
    notes = [*workspace.source.notes(), *([f"{quarantined} rows of the day were set apart by the quality rules"] if quarantined else [])]
    notes += familiarity_notes(workspace, day)
    if note := funding_note(workspace, day):
        notes.append(f"perpetuals: {note}")
    return ReportInputs(
        day=day,
        source=workspace.source.name,
        simulated=workspace.source.simulated,
        timeframe=workspace.timeframe,
        symbols=workspace.symbols,
        trials=int(record.facts["trials"]),
        new_strategies=int(workspace.require("strategy_population", day).facts["new"]),
        looked_at=int(record.facts["looked_at"]),
        leaderboard=leaderboard,
        returns=returns,
        validation_start=dt.date.fromisoformat(record.facts["validation_start"]),
        assets=lake.read(f"asset_ranking/date={day}.parquet"),
        signals=lake.read(sorted(lake.list(f"signals/{day}"))[-1]).drop(columns=["votes", "predictions"]),
        weights=lake.read(f"portfolio/{day}/weights.parquet", columns=["symbol", "weight"]),
        regimes=regimes,
        forecasts=_forecast_table(workspace, day),
        book=pd.DataFrame(entries, columns=["strategy_id", "state", "since", "reason"]).astype("str"),
        correlation=correlation(_looked_at_returns(workspace, day)),
        regime_performance=regime_performance(returns, regimes) if len(returns) and len(regimes) else pd.DataFrame(),
        benchmark=workspace.settings.benchmark,
        notes=tuple(notes),
        fingerprint=workspace.settings.fingerprint,
        version=__version__,
    )


def familiarity_notes(workspace: Workspace, day: dt.date) -> list[str]:
    """What the page says of the day against the training of the models that answered."""
    facts = workspace.require("forecasts", day).facts
    notes = []
    if "drift_summary" in facts:
        verdict = {"yes": "UNUSUAL", "no": "usual", "unknown": "training too short to say what is usual"}[str(facts["drift_unusual"])]
        notes.append(f"drift of the week since the training of {facts['drift_cutoff']}: {facts['drift_summary']} ({verdict})")
    if facts["rows_refused"]:
        notes.append(f"{facts['rows_refused']} of {facts['rows_judged']} rows are unlike training: the forecast there is its baseline's")
    return notes


def _curves(workspace: Workspace, day: dt.date, leaderboard: pd.DataFrame) -> pd.DataFrame:
    """Daily returns of the first on the leaderboard, and of holding every symbol in equal parts, rebalanced daily."""
    results, _ = strategies.everything_run(workspace, day)
    first = str(leaderboard["strategy_id"].iloc[0])
    own = pd.Series(results.returns[results.ids.index(first)], index=pd.DatetimeIndex(results.days))
    closes = daily_closes(workspace, day)
    closes.index = pd.DatetimeIndex(closes.index)
    moves = closes.pct_change(fill_method=None)
    paid = paid_daily(workspace, day)
    if paid is not None:
        moves -= paid.reindex(moves.index)
    held = moves.mean(axis=1).reindex(own.index)
    return pd.DataFrame({first: own, "hold all, equal parts": held})


def _looked_at_returns(workspace: Workspace, day: dt.date) -> pd.DataFrame:
    results, _ = strategies.everything_run(workspace, day)
    ids = workspace.lake.read(f"strategies/evidence/{day}/evidence.parquet", columns=["strategy_id"])["strategy_id"]
    row_of = {strategy_id: row for row, strategy_id in enumerate(results.ids)}
    return pd.DataFrame({i: results.returns[row_of[i]] for i in ids}, index=pd.DatetimeIndex(results.days))


def _regime_days(workspace: Workspace, day: dt.date) -> pd.DataFrame:
    """Mean probability of each regime over symbols at the last bar of each day; days before the first model left out."""
    series = {n: v for n, v in predictions.named_series(workspace, day).items() if n.startswith("regime.")}
    days = workspace.bars(day).times.astype("datetime64[D]")
    columns = {}
    for name, values in series.items():
        known = np.isfinite(values)
        count = known.sum(axis=0)
        mean = np.where(count > 0, np.where(known, values, 0.0).sum(axis=0) / np.maximum(count, 1), np.nan)
        columns[name.removeprefix("regime.")] = pd.Series(mean).groupby(days).last()
    frame = pd.DataFrame(columns)
    frame.index = pd.DatetimeIndex(frame.index)
    return frame.dropna()


def _forecast_table(workspace: Workspace, day: dt.date) -> pd.DataFrame:
    """The latest forecasts under the names the page uses."""
    latest = predictions.latest(workspace, "forecasts", day)
    names = {"return": "return", "lower": "low", "upper": "high", "volatility": "volatility", "up": "up", "confidence": "confidence"}
    found = {"symbol": latest["symbol"]}
    for column in latest.columns:
        short = column.removeprefix("forecast.").split("_")[0]
        if column.startswith("forecast.") and short in names:
            found[names[short]] = latest[column]
    return pd.DataFrame(found)
