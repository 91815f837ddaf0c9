"""From strategies' positions to target weights under limits, with what bound and where the risk comes from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from strategy_pipeline.risk.covariance import correlation_of, decompose_risk, ewma_covariance, portfolio_volatility
from strategy_pipeline.risk.limits import RiskError, RiskLimits
from strategy_pipeline.risk.sizing import correlation_limits, drawdown_guard, kelly_fraction, volatility_targeted_weights

_ROUNDING = 1e-9


@dataclass(frozen=True)
class Portfolio:
    """Target weights and why.

    weights
        One row per symbol: symbol, weight (fraction of capital, negative is short), wanted (before limits, scaled to
        the target volatility), strategies (how many hold it), reasons.
    limits
        One row per limit, in the order applied: limit, bound, before, after, binding, reason.
    risk
        `decompose_risk` of the weights.
    strategy_weights
        Indexed by strategy id: share of the strategies' capital each got.
    mode
        ``strategies``, or the benchmark in use while nothing is active: ``cash``, ``buy_and_hold``.
    reason
        One sentence.
    """

    weights: pd.DataFrame
    limits: pd.DataFrame
    risk: pd.DataFrame
    strategy_weights: pd.Series
    mode: str
    reason: str

    @property
    def volatility(self) -> float:
        """Annual, predicted."""
        return float(self.risk["contribution"].sum())


def construct_portfolio(
    positions: pd.DataFrame,
    returns: pd.DataFrame,
    limits: RiskLimits | None = None,
    *,
    strategy_returns: pd.DataFrame | None = None,
    portfolio_returns: pd.Series | None = None,
    benchmark: str = "cash",
) -> Portfolio:
    """Target weights for the next day.

    positions
        Of the active strategies: index strategy ids, columns symbols, fraction of its own capital a strategy holds,
        in [-1, 1]; NaN is none. Empty while nothing is active.
    returns
        Daily simple returns of the symbols (columns) through the day; every symbol the portfolio may hold.
    strategy_returns
        Daily net returns of the strategies (columns ids): they share capital by inverse volatility, each at most
        its fractional Kelly bet; without them, in equal parts.
    portfolio_returns
        The portfolio's own daily returns so far, for the drawdown guard.
    benchmark
        ``cash`` or ``buy_and_hold``: what capital does while nothing is active.

    Every limit holds for the weights returned. `RiskError` for a position in a symbol without returns.
    """
    limits = limits or RiskLimits()
    if benchmark not in ("cash", "buy_and_hold"):
        raise RiskError(f"Expected benchmark cash or buy_and_hold, was {benchmark!r}; it says what capital does while nothing is active")
    symbols = [str(symbol) for symbol in returns.columns]
    strangers = [str(symbol) for symbol in positions.columns if str(symbol) not in symbols]
    if strangers:
        raise RiskError(f"Expected returns of every symbol held, was without {', '.join(strangers)}; its risk is unknown; add its returns")
    covariance = ewma_covariance(returns.to_numpy(dtype=np.float64), half_life=limits.half_life, shrinkage=limits.shrinkage)
    held = positions.reindex(columns=symbols).astype(np.float64).fillna(0.0)
    shares = _strategy_shares(held.index.astype(str), strategy_returns, limits)
    if len(held):
        mode, raw = "strategies", shares.to_numpy() @ held.to_numpy()
        idle = "" if np.any(raw) else ", none of which holds a position" if shares.any() else ", none with a record that justifies a bet"
        reason = f"{len(held)} active strategies" + idle
    elif benchmark == "cash":
        mode, raw, reason = "cash", np.zeros(len(symbols)), "nothing is active: all in cash, as the benchmark setting says"
    else:
        mode, reason = "buy_and_hold", "nothing is active: symbols held in equal parts under the limits, as the benchmark setting says"
        raw = np.where(np.isnan(np.diag(covariance)), 0.0, 1.0)
    unknown = (raw != 0) & np.isnan(np.diag(covariance))
    raw = np.where(unknown, 0.0, raw)
    wanted = volatility_targeted_weights(raw, covariance, limits.target_volatility)
    weights, applied, notes = _limited(wanted, covariance, limits, portfolio_returns, symbols)
    for k in map(int, np.flatnonzero(unknown)):
        notes[k].append("not held: fewer than two returns, so its risk is unknown")
    holders = (held != 0).sum(axis=0).to_numpy() if len(held) else np.zeros(len(symbols), dtype=np.int64)
    frame = pd.DataFrame(
        {
            "symbol": pd.Series(symbols, dtype="str"),
            "weight": weights,
            "wanted": wanted,
            "strategies": holders.astype(np.int64),
            "reasons": pd.Series([_reasons(mode, notes[k], int(holders[k])) for k in range(len(symbols))], dtype="str"),
        }
    )
    return Portfolio(frame, applied, decompose_risk(pd.Series(weights, index=symbols), covariance), shares, mode, reason)


def _reasons(mode: str, notes: list[str], holders: int) -> str:
    if mode == "strategies":
        first = f"held by {holders} strategies" if holders else "held by no strategy"
    else:
        first = "nothing active: " + mode.replace("_", " ")
    return "; ".join([first, *notes])


def _strategy_shares(ids: pd.Index, strategy_returns: pd.DataFrame | None, limits: RiskLimits) -> pd.Series:
    """Inverse volatility, normalised, each at most its fractional Kelly bet where its record is known."""
    if not len(ids):
        return pd.Series(dtype=np.float64)
    if strategy_returns is None or not len(strategy_returns):
        return pd.Series(1.0 / len(ids), index=ids)
    known = strategy_returns.reindex(columns=ids)
    deviation = known.std(ddof=1).to_numpy(dtype=np.float64)
    usable = np.isfinite(deviation) & (deviation > 0)
    if not usable.any():
        return pd.Series(1.0 / len(ids), index=ids)
    inverse = 1.0 / np.where(usable, deviation, np.median(deviation[usable]))
    share = inverse / inverse.sum()
    bet = kelly_fraction(known.mean().to_numpy(), deviation**2, fraction=limits.kelly, cap=1.0)
    return pd.Series(np.where(usable, np.minimum(share, bet), share), index=ids)


def _limited(
    wanted: NDArray[np.float64], covariance: NDArray[np.float64], limits: RiskLimits, own: pd.Series | None, symbols: list[str]
) -> tuple[NDArray[np.float64], pd.DataFrame, dict[int, list[str]]]:
    """Weights under every limit. Each step only shrinks positions, so an earlier limit cannot be broken by a later one."""
    notes: dict[int, list[str]] = {k: [] for k in range(len(symbols))}
    rows: list[tuple[str, float, float, float, bool, str]] = []

    def step(name: str, bound: float, before: float, after: float, reason: str) -> None:
        binding = abs(before - after) > _ROUNDING
        rows.append((name, bound, before, after, binding, reason if binding else "not binding"))

    weights, twins = correlation_limits(wanted, correlation_of(covariance), limits.max_correlation)
    for k, leader, value in twins:
        notes[k].append(f"shares its weight with {symbols[leader]} (correlation {value:.2f})")
    pairs = ", ".join(f"{symbols[k]} with {symbols[leader]}" for k, leader, _ in twins)
    step("max_correlation", limits.max_correlation, float(np.abs(wanted).sum()), float(np.abs(weights).sum()), f"same bet: {pairs}")

    largest = float(np.abs(weights).max(initial=0.0))
    for k in map(int, np.flatnonzero(np.abs(weights) > limits.max_weight + _ROUNDING)):
        notes[k].append(f"cut from {weights[k]:+.1%} to the largest weight {limits.max_weight:.1%}")
    weights = np.clip(weights, -limits.max_weight, limits.max_weight)
    step("max_weight", limits.max_weight, largest, float(np.abs(weights).max(initial=0.0)), "a symbol wanted more")

    for name, bound, measure, why in (
        ("max_gross", limits.max_gross, lambda w: float(np.abs(w).sum()), "all positions scaled down"),
        ("max_net", limits.max_net, lambda w: float(abs(w.sum())), "all positions scaled down"),
        ("target_volatility", limits.target_volatility, lambda w: portfolio_volatility(w, covariance), "a hedge was cut: scaled down"),
    ):
        before = measure(weights)
        if before > bound:
            weights = weights * (bound / before)
        step(name, bound, before, measure(weights), why)

    scale, drawdown = (1.0, 0.0) if own is None else drawdown_guard(own, start=limits.drawdown_start, stop=limits.drawdown_stop)
    before = float(np.abs(weights).sum())
    weights = weights * scale
    step(
        "drawdown", limits.drawdown_start, before, before * scale, f"portfolio is {drawdown:.1%} below its peak: exposure times {scale:.2f}"
    )
    if before and scale < 1:
        for k in map(int, np.flatnonzero(weights != 0) if scale else np.flatnonzero(wanted != 0)):
            notes[k].append(f"times {scale:.2f} for a drawdown of {drawdown:.1%}")
    frame = pd.DataFrame(rows, columns=["limit", "bound", "before", "after", "binding", "reason"])
    return weights + 0.0, frame.astype({"limit": "str", "reason": "str"}), notes
