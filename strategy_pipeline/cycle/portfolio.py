"""Stages of the portfolio group: limits, target weights, signals, and what was really filled."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from strategy_pipeline.cycle import predictions, strategies
from strategy_pipeline.cycle.costs import realised_costs
from strategy_pipeline.cycle.funding import funding_of, paid_daily
from strategy_pipeline.cycle.market import quarantine_table, stamped
from strategy_pipeline.cycle.report import StageReport
from strategy_pipeline.cycle.workspace import DAY, Workspace, costs_of

if TYPE_CHECKING:
    from strategy_pipeline.risk import RiskLimits
    from strategy_pipeline.signals import Signal

VALID_FOR = pd.Timedelta(days=1)  # a day's signals live until the next day's close
LOOK_BACK = 730  # days of returns the covariance may see


def daily_closes(workspace: Workspace, day: dt.date) -> pd.DataFrame:
    """The last close of each symbol on each calendar day through `day`, NaN where it has none.

    On a day without any bar (a closed market) the closes of the last open day stand: the portfolio is worth then what it was.
    """
    bars = workspace.bars(day)
    closes = pd.DataFrame(bars.close.T, columns=list(bars.symbols)).groupby(bars.times.astype("datetime64[D]")).last()
    return closes.dropna(how="all").reindex(closes.index, method="ffill")


def daily_returns(workspace: Workspace, day: dt.date) -> pd.DataFrame:
    """Simple returns of each symbol on calendar days through `day`: 0 on days without any bar, so that 365 make a year, and NaN
    where the symbol alone has no close."""

    def make() -> pd.DataFrame:
        return daily_closes(workspace, day).pct_change(fill_method=None).iloc[1:].tail(LOOK_BACK)

    return workspace.remember(("daily_returns", day), make)


def risk_limits(workspace: Workspace, day: dt.date) -> StageReport:
    """The settings' limits, tightened where the market has become wilder or its symbols more alike; never loosened."""
    from strategy_pipeline.risk import RiskLimits, adapt_limits

    settings = workspace.settings
    base = RiskLimits(
        target_volatility=settings.target_volatility, max_weight=settings.max_weight, max_gross=settings.max_gross,
        max_net=settings.max_gross,
    )  # fmt: skip
    adapted, changes = adapt_limits(base, daily_returns(workspace, day))
    artifacts = (
        workspace.lake.write_bytes(f"risk/{day}/limits.json", json.dumps(asdict(adapted), sort_keys=True, indent=1).encode()),
        workspace.lake.write(f"risk/{day}/changes.parquet", changes),
    )
    tightened = changes[changes["adapted"] < changes["base"]]
    said = "; ".join(f"{row.limit} {row.base:.2f} to {row.adapted:.2f}: {row.reason}" for row in tightened.itertuples())
    facts = {name: round(value, 6) for name, value in asdict(adapted).items()}
    return StageReport(said or "limits as set", facts, table=changes, artifacts=artifacts)


def limits_of(workspace: Workspace, day: dt.date) -> RiskLimits:
    from strategy_pipeline.risk import RiskLimits

    return RiskLimits(**json.loads(workspace.lake.read_bytes(f"risk/{day}/limits.json")))


def portfolio(workspace: Workspace, day: dt.date) -> StageReport:
    """Target weights from what the active strategies hold, under the day's limits; the benchmark while nothing is active."""
    from strategy_pipeline.backtest import next_positions
    from strategy_pipeline.risk import construct_portfolio

    settings = workspace.settings
    active = strategies.strategies_of(workspace, strategies.book_of(workspace, day).active)
    # What was decided at the last close there was stands while the market is closed.
    bars = workspace.bars(day)
    bars = bars.through(bars.times[np.flatnonzero(np.isfinite(bars.close).any(axis=0))[-1]])
    series = {name: values[:, : bars.n_bars] for name, values in predictions.named_series(workspace, day).items()}
    rates = funding_of(workspace, day)
    paid = None if rates is None else rates[:, : bars.n_bars]
    held = next_positions(active, bars, costs=costs_of(workspace), fill=settings.fill, series=series, funding=paid)
    made = construct_portfolio(
        held.fillna(0.0), daily_returns(workspace, day), limits_of(workspace, day),
        strategy_returns=_strategy_returns(workspace, day, list(held.index)), portfolio_returns=own_returns(workspace, day),
        benchmark=settings.benchmark,
    )  # fmt: skip
    shares = made.strategy_weights.rename("share").rename_axis("strategy_id").reset_index().astype({"strategy_id": "str"})
    artifacts = (
        workspace.lake.write(f"portfolio/{day}/weights.parquet", made.weights),
        workspace.lake.write(f"portfolio/{day}/limits.parquet", made.limits),
        workspace.lake.write(f"portfolio/{day}/risk.parquet", made.risk.reset_index()),
        workspace.lake.write(f"portfolio/{day}/shares.parquet", shares),
        workspace.lake.write(f"portfolio/{day}/positions.parquet", held.rename_axis("strategy_id").reset_index()),
        workspace.lake.write_bytes(f"portfolio/{day}/mode.json", json.dumps({"mode": made.mode, "reason": made.reason}).encode()),
    )
    gross = float(made.weights["weight"].abs().sum())
    facts: dict[str, Any] = {"gross": round(gross, 6), "volatility": round(made.volatility, 6), "active": len(active), "mode": made.mode}
    summary = f"{made.reason}; gross {gross:.0%}, predicted volatility {made.volatility:.0%}"
    return StageReport(summary, facts, table=made.weights, artifacts=artifacts)


def own_returns(workspace: Workspace, day: dt.date) -> pd.Series:
    """The portfolio's daily returns through `day`: each day's symbol returns, less funding, times the weights targeted the day before."""
    returns = daily_returns(workspace, day)
    paid = paid_daily(workspace, day)
    if paid is not None:
        returns = returns - paid.reindex(returns.index)
    found = {}
    for stamp, row in returns.iterrows():
        before = pd.Timestamp(str(stamp)).date() - DAY
        path = f"portfolio/{before}/weights.parquet"
        if workspace.lake.exists(path):
            weights = workspace.lake.read(path, columns=["symbol", "weight"]).set_index("symbol")["weight"]
            found[stamp] = float((weights * row.reindex(weights.index).fillna(0.0)).sum())
    return pd.Series(found, dtype=np.float64)


def _strategy_returns(workspace: Workspace, day: dt.date, ids: list[str]) -> pd.DataFrame | None:
    if not ids:
        return None
    results, _ = strategies.everything_run(workspace, day)
    row_of = {strategy_id: row for row, strategy_id in enumerate(results.ids)}
    return pd.DataFrame({i: results.returns[row_of[i]] for i in ids}, index=pd.DatetimeIndex(results.days))


def signals(workspace: Workspace, day: dt.date) -> StageReport:
    """What to do with each symbol until the next close, with the votes and predictions that stand behind it."""
    from strategy_pipeline.risk import protective_levels
    from strategy_pipeline.signals import make_signals, to_frame

    bars = workspace.bars(day)
    weights = workspace.lake.read(f"portfolio/{day}/weights.parquet")
    held = workspace.lake.read(f"portfolio/{day}/positions.parquet").set_index("strategy_id")
    mode = json.loads(workspace.lake.read_bytes(f"portfolio/{day}/mode.json"))
    prices = pd.Series([_last(row) for row in bars.close], index=list(bars.symbols))
    forecasts = predictions.latest(workspace, "forecasts", day).set_index("symbol").drop(columns="ts")
    actions = predictions.latest(workspace, "agent_actions", day).set_index("symbol").drop(columns="ts")
    # On a closed day the last forecast stands, as the last price does.
    standing = {name: [_last(row) for row in values] for name, values in predictions.named_series(workspace, day).items()
                if name.startswith("forecast.volatility_")}  # fmt: skip
    volatility = pd.Series(next(iter(standing.values())), index=list(bars.symbols)) / np.sqrt(365)
    weights["reasons"] = with_familiarity(weights, forecasts, actions)
    sides = np.sign(weights.set_index("symbol")["weight"])
    made = make_signals(
        weights, prices=prices, as_of=workspace.close(day), valid_for=VALID_FOR,
        levels=protective_levels(prices, volatility, sides), positions=held if len(held) else None,
        votes=_by_symbol(actions[[name for name in map(str, actions) if name.startswith("agent.")]]),
        predictions=_by_symbol(forecasts),
        max_weight=limits_of(workspace, day).max_weight, reason=mode["reason"],
    )  # fmt: skip
    frame = to_frame(made)
    as_of = workspace.close(day)
    # Appended under the moment they are as of, never overwritten by a later one of the same day.
    artifact = workspace.lake.write(f"signals/{day}/{as_of:%Y%m%dT%H%M}.parquet", frame)
    documents = [
        {"id": f"{row['symbol'].replace('/', '-')}-{as_of:%Y%m%dT%H%M}", "day": day.isoformat(),
         **{str(k): _document(v) for k, v in row.items()}}
        for row in frame.to_dict("records")
    ]  # fmt: skip
    workspace.documents.upsert_many("signals", documents)
    counts = frame["side"].value_counts()
    said = ", ".join(f"{int(counts[side])} {side}" for side in ("long", "short", "flat") if side in counts)
    facts: dict[str, Any] = {side: int(counts.get(side, 0)) for side in ("long", "short", "flat")}
    facts["valid_until"] = str(as_of + VALID_FOR)
    return StageReport(said, facts, table=frame[["symbol", "side", "strength", "target_weight", "reason"]], artifacts=(artifact,))


def with_familiarity(weights: pd.DataFrame, forecasts: pd.DataFrame, actions: pd.DataFrame) -> list[str]:
    """The weights' reasons, with a word where the last row of a symbol is unlike what models or agents were trained on."""
    verdicts = {"forecast.familiar_": (forecasts, "the forecast is its baseline's"), "familiar.": (actions, "agents hold nothing")}
    found = []
    for row in weights.to_dict("records"):
        parts = [str(row["reasons"])] if row.get("reasons") else []
        for prefix, (frame, treatment) in verdicts.items():
            columns = [name for name in map(str, frame) if name.startswith(prefix)]
            if row["symbol"] in frame.index and bool((frame.loc[row["symbol"], columns] < 1).any()):
                parts.append(f"features unlike training, so {treatment}")
        found.append("; ".join(parts))
    return found


def signals_of(workspace: Workspace, day: dt.date) -> list[Signal]:
    """The newest signals of a day."""
    from strategy_pipeline.signals import from_frame

    newest = sorted(workspace.lake.list(f"signals/{day}"))[-1]
    return from_frame(workspace.lake.read(newest))


def executions(workspace: Workspace, day: dt.date) -> StageReport:
    """Fills reported for the day: what was really traded, at what price and fee. A day without any is an explicit empty one."""
    from strategy_pipeline.market.quality import check_observations

    start, end = pd.Timestamp(day, tz="UTC"), workspace.close(day)
    report = check_observations("executions", workspace.source.observations("executions", start, end))
    workspace.lake.upsert(quarantine_table("executions"), stamped(report.quarantine, start, end), start, end)
    workspace.lake.upsert("observations/executions", report.clean, start, end)
    artifact = workspace.lake.write(f"executions/{day}.parquet", report.clean)
    summary = f"{len(report.clean)} fills, {len(report.quarantine)} set apart"
    return StageReport(summary, {"fills": len(report.clean), "quarantined": len(report.quarantine)}, artifacts=(artifact,))


def execution_quality(workspace: Workspace, day: dt.date) -> StageReport:
    """What fills really cost against what backtests assume, per symbol over the last 30 days of fills."""
    end = workspace.close(day)
    fills = workspace.lake.scan("observations/executions", end - pd.Timedelta(days=30), end)
    frame = realised_costs(fills)
    assumed = workspace.settings.fee_bps + workspace.settings.slippage_bps
    frame["assumed_bps"] = assumed
    frame["excess_bps"] = frame["fee_bps"] + frame["slippage_bps"] - assumed
    artifact = workspace.lake.write(f"execution_quality/{day}.parquet", frame)
    if frame.empty:
        summary = f"no fills in 30 days; backtests assume {assumed:g} bp a side"
        return StageReport(summary, {"fills": 0, "assumed_bps": assumed}, artifacts=(artifact,))
    mean = float(np.average(frame["fee_bps"] + frame["slippage_bps"], weights=frame["notional"]))
    summary = f"{int(frame['fills'].sum())} fills cost {mean:.1f} bp a side, {assumed:g} assumed"
    return StageReport(summary, {"fills": int(frame["fills"].sum()), "realised_bps": round(mean, 3)}, table=frame, artifacts=(artifact,))


def _by_symbol(frame: pd.DataFrame) -> dict[str, dict[str, float]]:
    return {str(s): {str(k): float(v) for k, v in row.items()} for s, row in frame.iterrows()}


def _last(row: np.ndarray) -> float:
    known = row[np.isfinite(row)]
    return float(known[-1]) if len(known) else float("nan")


def _document(value: Any) -> Any:
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
