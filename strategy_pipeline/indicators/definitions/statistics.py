"""Statistics of a window: extremes, ranks, moments, dependence on the past, roughness."""

from __future__ import annotations

import numpy as np
import talib

from strategy_pipeline.indicators.definitions.wrap import price, talib_entry
from strategy_pipeline.indicators.kernels import memory, windows
from strategy_pipeline.indicators.registry import Output, indicator, length, number

Array = np.ndarray
SERIES = ("series",)
STATISTIC = (Output("value", "statistic"),)
UNIT = (Output("value", "probability", 0, 1),)
CORRELATION = (Output("value", "oscillator", -1, 1),)

talib_entry("variance", "VAR", "statistics", SERIES, (Output("value", "statistic", 0),), (length(20),), source="population variance")
talib_entry("sum", "SUM", "statistics", SERIES, STATISTIC, (length(30),), source="sum of a window")
talib_entry(
    "percentile",
    "PERCENTILE",
    "statistics",
    SERIES,
    (price(),),
    (length(30), number("percentile", 50.0, 5.0, 95.0, maximum=100.0)),
    source="percentile of a window",
    cost="window",
)


@indicator(
    "highest",
    family="statistics",
    inputs=SERIES,
    params=(length(20, minimum=1),),
    outputs=(price(),),
    warmup=lambda p: p["length"],
    source="rolling maximum (TA-Lib MAX)",
)
def highest(series: Array, *, length: int) -> Array:
    """Highest of the last `length` values, the current one included."""
    return talib.MAX(series, length) + 0.0 if length > 1 else series


@indicator(
    "lowest",
    family="statistics",
    inputs=SERIES,
    params=(length(20, minimum=1),),
    outputs=(price(),),
    warmup=lambda p: p["length"],
    source="rolling minimum (TA-Lib MIN)",
)
def lowest(series: Array, *, length: int) -> Array:
    """Lowest of the last `length` values, the current one included."""
    return talib.MIN(series, length) + 0.0 if length > 1 else series


@indicator(
    "bars_since_high",
    family="statistics",
    inputs=SERIES,
    params=(length(20),),
    outputs=(Output("value", "count", 0),),
    warmup=lambda p: p["length"],
    source="age of the rolling maximum",
)
def bars_since_high(series: Array, *, length: int) -> Array:
    """Bars since the highest of the last `length` values; 0 at a new high."""
    return windows.bars_since_highest(series, length)


@indicator(
    "bars_since_low",
    family="statistics",
    inputs=SERIES,
    params=(length(20),),
    outputs=(Output("value", "count", 0),),
    warmup=lambda p: p["length"],
    source="age of the rolling minimum",
)
def bars_since_low(series: Array, *, length: int) -> Array:
    """Bars since the lowest of the last `length` values; 0 at a new low."""
    return windows.bars_since_lowest(series, length)


@indicator(
    "zscore",
    family="statistics",
    inputs=SERIES,
    params=(length(20),),
    outputs=STATISTIC,
    warmup=lambda p: p["length"],
    source="distance from the mean in deviations (ddof 1)",
)
def zscore(series: Array, *, length: int) -> Array:
    """(x - mean) / standard deviation (ddof 1) of the last `length` values; NaN where they are all equal."""
    spread = windows.deviation(series, length, 1)
    return np.where(spread > 0, (series - windows.mean(series, length)) / spread, np.nan)


@indicator(
    "rank",
    family="statistics",
    inputs=SERIES,
    params=(length(100, 10, 500),),
    outputs=UNIT,
    warmup=lambda p: p["length"],
    source="percentile rank of the current value",
    cost="window",
)
def rank(series: Array, *, length: int) -> Array:
    """Share of the window's other values below the current one, ties counting half: 0 lowest, 1 highest."""
    return windows.rank(series, length)


@indicator(
    "log_return",
    family="statistics",
    inputs=SERIES,
    params=(length(1, 1, 200, minimum=1),),
    outputs=(Output("value", "return"),),
    warmup=lambda p: p["length"] + 1,
    source="ln(x / x[n bars ago])",
)
def log_return(series: Array, *, length: int) -> Array:
    """ln(x_t / x_t-n)."""
    out = np.full(len(series), np.nan)
    out[length:] = np.log(series[length:] / series[:-length])
    return out


@indicator(
    "simple_return",
    family="statistics",
    inputs=SERIES,
    params=(length(1, 1, 200, minimum=1),),
    outputs=(Output("value", "return", -1),),
    warmup=lambda p: p["length"] + 1,
    source="x / x[n bars ago] - 1",
)
def simple_return(series: Array, *, length: int) -> Array:
    """x_t / x_t-n - 1, a fraction."""
    out = np.full(len(series), np.nan)
    out[length:] = series[length:] / series[:-length] - 1.0
    return out


@indicator(
    "drawdown",
    family="statistics",
    inputs=SERIES,
    params=(length(100, 10, 1000),),
    outputs=(Output("value", "ratio", 0, 1),),
    warmup=lambda p: p["length"],
    source="distance below the rolling high",
)
def drawdown(series: Array, *, length: int) -> Array:
    """1 - x / highest of the last `length` values: a positive fraction, 0 at a high."""
    return 1.0 - series / windows.highest(series, length)


@indicator(
    "skew",
    family="statistics",
    inputs=SERIES,
    params=(length(48, 10, 500, minimum=3),),
    outputs=STATISTIC,
    warmup=lambda p: p["length"] + 1,
    source="sample skewness g1 of log returns",
    cost="window",
)
def skew(series: Array, *, length: int) -> Array:
    """Skewness of the last `length` log returns; NaN where they have no variance."""
    return windows.moments(windows.log_returns(series), length)[0]


@indicator(
    "kurtosis",
    family="statistics",
    inputs=SERIES,
    params=(length(48, 10, 500, minimum=4),),
    outputs=(Output("value", "statistic", 1),),
    warmup=lambda p: p["length"] + 1,
    source="sample kurtosis of log returns, 3 for a normal",
    cost="window",
)
def kurtosis(series: Array, *, length: int) -> Array:
    """Kurtosis (3 for a normal) of the last `length` log returns; NaN where they have no variance."""
    return windows.moments(windows.log_returns(series), length)[1]


@indicator(
    "autocorrelation",
    family="statistics",
    inputs=SERIES,
    params=(length(48, 10, 500, minimum=4), length(1, 1, 24, name="lag", minimum=1)),
    outputs=CORRELATION,
    warmup=lambda p: p["length"] + p["lag"] + 1,
    source="correlation of log returns with their own past",
)
def autocorrelation(series: Array, *, length: int, lag: int) -> Array:
    """Pearson correlation of log returns with those `lag` bars before, over the last `length` pairs."""
    change = windows.log_returns(series)
    past = np.full(len(change), np.nan)
    past[lag:] = change[:-lag]
    return windows.co_moments(change, past, length)[1]


@indicator(
    "variance_ratio",
    family="statistics",
    inputs=SERIES,
    params=(length(96, 20, 500), length(4, 2, 20, name="step")),
    outputs=(Output("value", "ratio", 0),),
    warmup=lambda p: p["length"] + p["step"],
    source="A. Lo and A. C. MacKinlay, 1988",
)
def variance_ratio(series: Array, *, length: int, step: int) -> Array:
    """Variance of overlapping `step`-bar returns over `step` times that of one-bar returns; 1 for a random walk, above 1 trending."""
    one = windows.log_returns(series)
    many = windows.mean(one, step) * step
    return windows.deviation(many, length, 1) ** 2 / (step * windows.deviation(one, length, 1) ** 2)


@indicator(
    "half_life",
    family="statistics",
    inputs=SERIES,
    params=(length(96, 20, 500),),
    outputs=(Output("value", "count", 0),),
    warmup=lambda p: p["length"] + 1,
    source="Ornstein-Uhlenbeck fit (E. Chan, 2013)",
)
def half_life(series: Array, *, length: int) -> Array:
    """ln 2 / -ln(1 + b), with b the slope of x_t - x_t-1 on x_t-1 over the window; NaN where it does not revert."""
    past = np.full(len(series), np.nan)
    past[1:] = series[:-1]
    slope = windows.co_moments(series - past, past, length)[0]
    return np.where((slope < 0) & (slope > -1), np.log(2.0) / -np.log1p(np.clip(slope, -1 + 1e-300, 0)), np.nan)


@indicator(
    "hurst",
    family="statistics",
    inputs=SERIES,
    params=(length(128, 64, 512, minimum=32),),
    outputs=(Output("value", "ratio"),),
    warmup=lambda p: p["length"] + 1,
    source="H. E. Hurst, 1951: rescaled range over dyadic blocks",
    cost="window",
)
def hurst(series: Array, *, length: int) -> Array:
    """Slope of log(mean R/S) on log(block) of log returns, over blocks of 8, 16, ... up to the window; 0.5 has no memory."""
    return memory.hurst(windows.log_returns(series), length)


@indicator(
    "entropy",
    family="statistics",
    inputs=SERIES,
    params=(length(96, 30, 500, minimum=10),),
    outputs=UNIT,
    warmup=lambda p: p["length"] + 1,
    source="C. Bandt and B. Pompe, 2002: permutation entropy, order 3",
    cost="window",
)
def entropy(series: Array, *, length: int) -> Array:
    """Permutation entropy (order 3, ties by position) of the last `length` log returns, over ln 6: 1 is patternless."""
    return memory.permutation_entropy(windows.log_returns(series), length)


@indicator(
    "shannon_entropy",
    family="statistics",
    inputs=SERIES,
    params=(length(96, 30, 500, minimum=10),),
    outputs=UNIT,
    warmup=lambda p: p["length"] + 1,
    source="C. Shannon, 1948: eight equal bins of the window's range",
    cost="window",
)
def shannon_entropy(series: Array, *, length: int) -> Array:
    """Entropy of the last `length` log returns in eight bins between their extremes, over ln 8; NaN where they are equal."""
    return memory.shannon_entropy(windows.log_returns(series), length)


@indicator(
    "r_squared",
    family="statistics",
    inputs=SERIES,
    params=(length(20, 5, 200, minimum=3),),
    outputs=UNIT,
    warmup=lambda p: p["length"],
    source="fit of a straight line",
)
def r_squared(series: Array, *, length: int) -> Array:
    """Share of the window's variance that a straight line explains; NaN where all values are equal."""
    return windows.co_moments(series, np.arange(len(series), dtype=np.float64), length)[1] ** 2
