"""How large: volatility targeting, fractional Kelly, protective levels, and what shrinks a position.

References: Kelly (1956); Thorp (2006), "The Kelly criterion in blackjack, sports betting and the stock
market"; Moreira and Muir (2017), "Volatility-managed portfolios"; Grossman and Zhou (1993) for exposure
that shrinks with drawdown.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from strategy_pipeline.risk.covariance import portfolio_volatility
from strategy_pipeline.risk.limits import RiskError


def volatility_targeted_weights(weights: ArrayLike, covariance: NDArray[np.float64], target: float) -> NDArray[np.float64]:
    """The weights scaled so that the portfolio's annual volatility is `target`.

    weights
        (n_symbols,), sizes relative to each other; their signs stay.
    covariance
        Daily, (n_symbols, n_symbols).

    Zeros when all weights are zero or the volatility is zero or unknown: what cannot be measured is not held.
    """
    values = np.asarray(weights, dtype=np.float64)
    volatility = portfolio_volatility(values, covariance)
    if not np.isfinite(volatility) or volatility <= 0:
        return np.zeros_like(values)
    return values * (target / volatility)


def kelly_fraction(mean: ArrayLike, variance: ArrayLike, *, fraction: float = 0.25, cap: float = 1.0) -> NDArray[np.float64]:
    """Share of capital to bet: ``fraction * mean / variance``, between 0 and `cap`.

    mean, variance
        Of the returns per period, in the same period. A strategy that loses gets 0; so does one whose mean or
        variance is NaN or whose variance is 0, because nothing is known that would justify a bet.
    """
    mean, variance = np.asarray(mean, dtype=np.float64), np.asarray(variance, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        bet = fraction * mean / variance
    return np.where(np.isfinite(bet) & (variance > 0), np.clip(bet, 0.0, cap), 0.0)


def correlation_limits(
    weights: ArrayLike, correlation: NDArray[np.float64], limit: float, *, method: str = "scale"
) -> tuple[NDArray[np.float64], list[tuple[int, int, float]]]:
    """Weights in which no two positions are the same bet twice.

    Going from the largest position down, a position whose returns, signed by side, correlate above `limit` with
    larger ones kept shares a single weight with the most correlated of them: ``scale`` divides it by the number of
    positions in that group, ``drop`` sets it to zero. Also the list of (scaled, kept, correlation).
    """
    if method not in ("scale", "drop"):
        raise RiskError(f"Expected method scale or drop, was {method!r}; scale is the default")
    values = np.array(weights, dtype=np.float64)
    order = [int(k) for k in np.lexsort((np.arange(len(values)), -np.abs(values))) if values[k] != 0]
    leaders: list[int] = []
    groups: dict[int, list[tuple[int, float]]] = {}
    for k in order:
        same = [(float(correlation[k, j] * np.sign(values[k]) * np.sign(values[j])), j) for j in leaders]
        most, leader = max(same, default=(-np.inf, -1), key=lambda pair: (pair[0], -pair[1]))
        if most > limit:
            groups[leader].append((k, most))
        else:
            leaders.append(k)
            groups[k] = []
    scaled = []
    for leader, followers in groups.items():
        for k, value in followers:
            values[k] = 0.0 if method == "drop" else values[k] / (len(followers) + 1)
            scaled.append((k, leader, value))
        if followers and method == "scale":
            values[leader] /= len(followers) + 1
    return values, scaled


def drawdown_guard(returns: ArrayLike, *, start: float, stop: float) -> tuple[float, float]:
    """Exposure allowed after the portfolio's own drawdown, in [0, 1], and that drawdown.

    returns
        The portfolio's daily returns so far, oldest first; NaN counts as 0. Full exposure up to a drawdown of
        `start`, then linearly less, none from `stop` on.
    """
    values = np.nan_to_num(np.asarray(returns, dtype=np.float64))
    equity = np.concatenate([[1.0], np.cumprod(1.0 + values)])
    drawdown = float(1.0 - equity[-1] / equity.max())
    return float(np.clip((stop - drawdown) / (stop - start), 0.0, 1.0)), drawdown


def protective_levels(
    prices: pd.Series, daily_volatility: pd.Series, sides: pd.Series, *, stop_multiple: float = 2.0, reward: float = 2.0
) -> pd.DataFrame:
    """Stop and take-profit prices from volatility: `stop_multiple` daily deviations against the position, `reward` times that for it.

    All three indexed by symbol; sides 1, -1 or 0. Columns stop, take_profit; NaN for side 0 or an unknown price or
    volatility. A long stop is never below zero.
    """
    symbols = prices.index
    distance = stop_multiple * daily_volatility.reindex(symbols).astype(float)
    side = sides.reindex(symbols).astype(float).replace(0.0, np.nan)
    stop = (prices * (1.0 - side * distance)).clip(lower=0.0)
    take = (prices * (1.0 + side * reward * distance)).clip(lower=0.0)
    return pd.DataFrame({"stop": stop, "take_profit": take})
