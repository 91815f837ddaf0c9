"""Order flow and liquidity: who was the aggressor, and what it cost to trade.

Signed volume is the aggressors' where the venue tells it (`taker_buy_volume`), else bulk-classified from returns.
"""

from __future__ import annotations

import numpy as np

from strategy_pipeline.indicators.kernels import windows
from strategy_pipeline.indicators.registry import Output, indicator, length

Array = np.ndarray
TAKER = ("volume", "taker_buy_volume")
CV = ("close", "volume")
IMBALANCE = (Output("value", "oscillator", -1, 1),)
RATIO = (Output("value", "ratio", 0),)


def share(part: Array, whole: Array, length: int) -> Array:
    """Sum of `part` over sum of `whole` in the window; NaN where the whole is zero."""
    total = windows.mean(whole, length)
    return np.where(total > 0, windows.mean(part, length) / np.where(total > 0, total, 1.0), np.nan)


def bulk_signed(close: Array, volume: Array, length: int) -> Array:
    """Volume times 2 Phi(r / sigma) - 1, sigma the deviation of the last `length` log returns; 0 where they are all 0."""
    from scipy.special import ndtr

    change = windows.log_returns(close)
    spread = windows.deviation(change, length, 1)
    with np.errstate(all="ignore"):
        signed = volume * (2.0 * ndtr(change / spread) - 1.0)
    return np.where(spread == 0, 0.0, signed)


@indicator(
    "taker_imbalance",
    family="order_flow",
    inputs=TAKER,
    params=(length(24, 1, 200, minimum=1),),
    outputs=IMBALANCE,
    warmup=lambda p: p["length"],
    source="(buys - sells) / volume of aggressors",
)
def taker_imbalance(volume: Array, taker_buy_volume: Array, *, length: int) -> Array:
    """Aggressive buys minus sells over volume in the last `length` bars; NaN where nothing was traded."""
    return np.clip(share(2.0 * taker_buy_volume - volume, volume, length), -1.0, 1.0)


@indicator(
    "cumulative_delta",
    family="order_flow",
    inputs=TAKER,
    outputs=(Output("value", "volume"),),
    warmup=1,
    source="running sum of aggressive buys minus sells",
    cumulative=True,
)
def cumulative_delta(volume: Array, taker_buy_volume: Array) -> Array:
    """Sum of aggressive buys minus sells since the first bar: use its differences."""
    return np.cumsum(2.0 * taker_buy_volume - volume)


@indicator(
    "delta_divergence",
    family="order_flow",
    inputs=("close", "volume", "taker_buy_volume"),
    params=(length(48, 10, 300, minimum=3),),
    outputs=IMBALANCE,
    warmup=lambda p: p["length"] + 1,
    source="correlation of returns with signed volume",
)
def delta_divergence(close: Array, volume: Array, taker_buy_volume: Array, *, length: int) -> Array:
    """Correlation of log returns with aggressors' net volume; low when price moves against the flow."""
    return windows.co_moments(windows.log_returns(close), 2.0 * taker_buy_volume - volume, length)[1]


@indicator(
    "kyle_lambda",
    family="order_flow",
    inputs=("close", "volume", "taker_buy_volume"),
    params=(length(48, 10, 300, minimum=3),),
    outputs=(Output("value", "statistic"),),
    warmup=lambda p: p["length"] + 1,
    source="A. Kyle, 1985; J. Hasbrouck, 2009",
)
def kyle_lambda(close: Array, volume: Array, taker_buy_volume: Array, *, length: int) -> Array:
    """Slope of log returns (basis points) on the aggressors' net volume relative to the window's mean volume."""
    slope = windows.co_moments(windows.log_returns(close), 2.0 * taker_buy_volume - volume, length)[0]
    return 1e4 * slope * windows.mean(volume, length)


@indicator(
    "bulk_imbalance",
    family="order_flow",
    inputs=CV,
    params=(length(24, 5, 200),),
    outputs=IMBALANCE,
    lookback=lambda p: 2 * p["length"] - 1,
    warmup=lambda p: 2 * p["length"] + 1,
    source="D. Easley, M. Lopez de Prado and M. O'Hara, 2012: bulk volume classification",
)
def bulk_imbalance(close: Array, volume: Array, *, length: int) -> Array:
    """Bulk-classified buys minus sells over volume, for venues that do not tell the aggressor."""
    return np.clip(share(bulk_signed(close, volume, length), volume, length), -1.0, 1.0)


@indicator(
    "vpin",
    family="order_flow",
    inputs=CV,
    params=(length(48, 10, 300),),
    outputs=(Output("value", "probability", 0, 1),),
    lookback=lambda p: 2 * p["length"] - 1,
    warmup=lambda p: 2 * p["length"] + 1,
    source="D. Easley, M. Lopez de Prado and M. O'Hara, 2012, on time bars",
)
def vpin(close: Array, volume: Array, *, length: int) -> Array:
    """Sum of |bulk-classified net volume| over volume: the share of one-sided trading, each bar a bucket."""
    return np.clip(share(np.abs(bulk_signed(close, volume, length)), volume, length), 0.0, 1.0)


@indicator(
    "amihud",
    family="order_flow",
    inputs=CV,
    params=(length(24, 5, 300),),
    outputs=RATIO,
    warmup=lambda p: p["length"] + 1,
    source="Y. Amihud, 2002",
)
def amihud(close: Array, volume: Array, *, length: int) -> Array:
    """Mean of |log return| per million of quote currency traded; bars without trades count as missing."""
    change = np.abs(windows.log_returns(close))
    with np.errstate(all="ignore"):
        cost = np.where(close * volume > 0, change / (close * volume) * 1e6, np.nan)
    return windows.mean(cost, length)


@indicator(
    "roll_spread",
    family="order_flow",
    inputs=("close",),
    params=(length(48, 10, 300, minimum=3),),
    outputs=RATIO,
    warmup=lambda p: p["length"] + 2,
    source="R. Roll, 1984",
)
def roll_spread(close: Array, *, length: int) -> Array:
    """2 sqrt(-cov(r_t, r_t-1)), a fraction of price; 0 where the covariance is positive."""
    change = windows.log_returns(close)
    past = np.full(len(change), np.nan)
    past[1:] = change[:-1]
    product = windows.mean(change * past, length) - windows.mean(np.where(np.isnan(past), np.nan, change), length) * windows.mean(
        past, length
    )
    return 2.0 * np.sqrt(np.maximum(-product * length / (length - 1.0), 0.0))


@indicator(
    "corwin_schultz",
    family="order_flow",
    inputs=("high", "low"),
    params=(length(24, 5, 300, minimum=1),),
    outputs=RATIO,
    warmup=lambda p: p["length"] + 1,
    source="S. Corwin and P. Schultz, 2012",
)
def corwin_schultz(high: Array, low: Array, *, length: int) -> Array:
    """Mean spread from two-bar highs and lows, a fraction of price; negative estimates count as 0."""
    one = np.log(high / low) ** 2
    beta, gamma = np.full((2, len(high)), np.nan)
    beta[1:] = one[1:] + one[:-1]
    gamma[1:] = np.log(np.maximum(high[1:], high[:-1]) / np.minimum(low[1:], low[:-1])) ** 2
    scale = 3.0 - 2.0 * np.sqrt(2.0)
    alpha = (np.sqrt(2.0 * beta) - np.sqrt(beta)) / scale - np.sqrt(gamma / scale)
    return windows.mean(np.maximum(2.0 * (np.exp(alpha) - 1.0) / (1.0 + np.exp(alpha)), 0.0), length)


@indicator(
    "trade_size_ratio",
    family="order_flow",
    inputs=("volume", "trades"),
    params=(length(48, 5, 300),),
    outputs=RATIO,
    warmup=lambda p: p["length"],
    source="mean trade size over its own past",
)
def trade_size_ratio(volume: Array, trades: Array, *, length: int) -> Array:
    """Volume per trade of this bar over that of the last `length` bars; NaN where there were no trades."""
    with np.errstate(all="ignore"):
        return np.where(trades > 0, volume / trades, np.nan) / share(volume, trades, length)


@indicator(
    "trade_intensity",
    family="order_flow",
    inputs=("trades",),
    params=(length(48, 5, 300),),
    outputs=RATIO,
    warmup=lambda p: p["length"] + 1,
    source="trades over the mean of the bars before",
)
def trade_intensity(trades: Array, *, length: int) -> Array:
    """Trades of this bar over the mean of the `length` bars before."""
    out = np.full(len(trades), np.nan)
    out[1:] = trades[1:] / windows.mean(trades, length)[:-1]
    return out
