"""Volatility: ranges, deviations, and annualised estimators from closes and from bar ranges."""

from __future__ import annotations

import numpy as np

from strategy_pipeline.indicators.definitions.wrap import ema_bars, oscillator, talib_entry, wilder_bars
from strategy_pipeline.indicators.kernels import windows
from strategy_pipeline.indicators.registry import Output, indicator, length

Array = np.ndarray
HLC = ("high", "low", "close")
OHLC = ("open", "high", "low", "close")
DISTANCE = (Output("value", "difference", 0),)
ANNUAL = (Output("value", "volatility", 0),)

talib_entry(
    "atr",
    "ATR",
    "volatility",
    HLC,
    DISTANCE,
    (length(14, 3, 100, minimum=1),),
    source="J. W. Wilder, 1978",
    warmup=lambda p: int(p["length"]) + wilder_bars(p["length"]),
)
talib_entry(
    "natr",
    "NATR",
    "volatility",
    HLC,
    (Output("value", "percent", 0),),
    (length(14, 3, 100, minimum=1),),
    source="J. Forman, 2006",
    warmup=lambda p: int(p["length"]) + wilder_bars(p["length"]),
)
talib_entry("trange", "TRANGE", "volatility", HLC, DISTANCE, source="J. W. Wilder, 1978")
talib_entry("adr", "ADR", "volatility", ("high", "low"), DISTANCE, (length(14, 3, 100),), source="mean of high minus low")
talib_entry(
    "chaikin_volatility",
    "CVI",
    "volatility",
    ("high", "low"),
    (Output("value", "percent"),),
    (length(10, 3, 60), length(10, 3, 60, name="change")),
    source="M. Chaikin, 1980s",
    rename={"change": "rocperiod"},
    warmup=lambda p: int(p["length"] + p["change"]) + 2 * ema_bars(p["length"]),
)
talib_entry(
    "mass_index",
    "MASSI",
    "volatility",
    ("high", "low"),
    (Output("value", "ratio", 0),),
    (length(9, 3, 30, name="fast"), length(25, 10, 60, name="slow")),
    source="D. Dorsey, 1992",
    warmup=lambda p: 4 * ema_bars(p["fast"]) + int(p["slow"]),
)
talib_entry(
    "rvi",
    "RVI",
    "volatility",
    ("series",),
    (oscillator("value", 0, 100),),
    (length(14, 3, 60), length(10, 3, 60, name="deviation")),
    source="D. Dorsey, 1993",
    rename={"deviation": "stddevperiod"},
    warmup=lambda p: int(p["length"] + p["deviation"]) + wilder_bars(p["length"]),
    description="Relative volatility index.",
)
talib_entry("stddev", "STDDEV", "volatility", ("series",), DISTANCE, (length(20),), source="population standard deviation")
talib_entry("avgdev", "AVGDEV", "volatility", ("series",), DISTANCE, (length(14),), source="mean absolute deviation")


@indicator(
    "realized_volatility",
    family="volatility",
    inputs=("series",),
    params=(length(24, 5, 500),),
    outputs=ANNUAL,
    warmup=lambda p: p["length"] + 1,
    source="close to close, ddof 1",
    annualised=True,
)
def realized_volatility(series: Array, *, length: int, bars_per_year: float) -> Array:
    """Standard deviation (ddof 1) of the last `length` log returns, times the root of bars per year (365 days)."""
    return windows.deviation(windows.log_returns(series), length, 1) * np.sqrt(bars_per_year)


@indicator(
    "ewma_volatility",
    family="volatility",
    inputs=("series",),
    params=(length(60, 10, 500),),
    outputs=ANNUAL,
    lookback=lambda p: p["length"],
    warmup=lambda p: p["length"] + ema_bars(p["length"]),
    source="RiskMetrics, 1996",
    annualised=True,
)
def ewma_volatility(series: Array, *, length: int, bars_per_year: float) -> Array:
    """Root of the exponentially weighted mean of squared log returns (weight 2 / (n + 1)), annualised."""
    return np.sqrt(windows.ewm_mean(windows.log_returns(series) ** 2, 2.0 / (length + 1.0)) * bars_per_year)


@indicator(
    "parkinson",
    family="volatility",
    inputs=("high", "low"),
    params=(length(24, 5, 500),),
    outputs=ANNUAL,
    warmup=lambda p: p["length"],
    source="M. Parkinson, 1980",
    annualised=True,
)
def parkinson(high: Array, low: Array, *, length: int, bars_per_year: float) -> Array:
    """sqrt(mean(ln(h/l)^2) / (4 ln 2)), annualised."""
    return np.sqrt(windows.mean(np.log(high / low) ** 2, length) / (4.0 * np.log(2.0)) * bars_per_year)


@indicator(
    "garman_klass",
    family="volatility",
    inputs=OHLC,
    params=(length(24, 5, 500),),
    outputs=ANNUAL,
    warmup=lambda p: p["length"],
    source="M. Garman and M. Klass, 1980",
    annualised=True,
)
def garman_klass(open: Array, high: Array, low: Array, close: Array, *, length: int, bars_per_year: float) -> Array:
    """sqrt(mean(0.5 ln(h/l)^2 - (2 ln 2 - 1) ln(c/o)^2)), annualised."""
    terms = 0.5 * np.log(high / low) ** 2 - (2.0 * np.log(2.0) - 1.0) * np.log(close / open) ** 2
    return np.sqrt(windows.mean(terms, length) * bars_per_year)


@indicator(
    "rogers_satchell",
    family="volatility",
    inputs=OHLC,
    params=(length(24, 5, 500),),
    outputs=ANNUAL,
    warmup=lambda p: p["length"],
    source="L. Rogers and S. Satchell, 1991",
    annualised=True,
)
def rogers_satchell(open: Array, high: Array, low: Array, close: Array, *, length: int, bars_per_year: float) -> Array:
    """sqrt(mean(ln(h/c) ln(h/o) + ln(l/c) ln(l/o))), annualised; unbiased under drift."""
    return np.sqrt(np.maximum(windows.mean(_rogers_satchell_terms(open, high, low, close), length), 0.0) * bars_per_year)


def _rogers_satchell_terms(open: Array, high: Array, low: Array, close: Array) -> Array:
    return np.log(high / close) * np.log(high / open) + np.log(low / close) * np.log(low / open)


@indicator(
    "yang_zhang",
    family="volatility",
    inputs=OHLC,
    params=(length(24, 5, 500, minimum=3),),
    outputs=ANNUAL,
    warmup=lambda p: p["length"] + 1,
    source="D. Yang and Q. Zhang, 2000",
    annualised=True,
)
def yang_zhang(open: Array, high: Array, low: Array, close: Array, *, length: int, bars_per_year: float) -> Array:
    """Overnight variance plus k open-to-close variance plus (1 - k) Rogers-Satchell, k = 0.34 / (1.34 + (n+1)/(n-1)), annualised."""
    overnight = np.full(len(open), np.nan)
    overnight[1:] = np.log(open[1:] / close[:-1])
    weight = 0.34 / (1.34 + (length + 1.0) / (length - 1.0))
    variance = (
        windows.deviation(overnight, length, 1) ** 2
        + weight * windows.deviation(np.log(close / open), length, 1) ** 2
        + (1.0 - weight) * windows.mean(_rogers_satchell_terms(open, high, low, close), length)
    )
    return np.sqrt(np.maximum(variance, 0.0) * bars_per_year)


@indicator(
    "semivariance",
    family="volatility",
    inputs=("series",),
    params=(length(24, 5, 500),),
    outputs=(Output("down", "volatility", 0), Output("up", "volatility", 0)),
    warmup=lambda p: p["length"] + 1,
    source="O. Barndorff-Nielsen, S. Kinnebrock and N. Shephard, 2010",
    annualised=True,
)
def semivariance(series: Array, *, length: int, bars_per_year: float) -> tuple[Array, Array]:
    """Roots of the mean squared negative and positive log returns, annualised (their squares add to the realised variance)."""
    change = windows.log_returns(series)
    down, up = np.minimum(change, 0.0) ** 2, np.maximum(change, 0.0) ** 2
    return np.sqrt(windows.mean(down, length) * bars_per_year), np.sqrt(windows.mean(up, length) * bars_per_year)


@indicator(
    "volatility_of_volatility",
    family="volatility",
    inputs=("series",),
    params=(length(24, 5, 200), length(48, 10, 500, name="window")),
    outputs=(Output("value", "ratio", 0),),
    warmup=lambda p: p["length"] + p["window"],
    source="standard deviation of realised volatility over its mean",
)
def volatility_of_volatility(series: Array, *, length: int, window: int) -> Array:
    """Coefficient of variation of the rolling return deviation over `window` bars."""
    level = windows.deviation(windows.log_returns(series), length, 1)
    return windows.deviation(level, window, 1) / windows.mean(level, window)


@indicator(
    "volatility_ratio",
    family="volatility",
    inputs=("series",),
    params=(length(12, 4, 60, name="fast"), length(96, 20, 500, name="slow")),
    outputs=(Output("value", "ratio", 0),),
    warmup=lambda p: max(p["fast"], p["slow"]) + 1,
    source="fast over slow realised volatility",
)
def volatility_ratio(series: Array, *, fast: int, slow: int) -> Array:
    """Deviation of the last `fast` log returns over that of the last `slow`; above 1 is unusually lively."""
    change = windows.log_returns(series)
    return windows.deviation(change, fast, 1) / windows.deviation(change, slow, 1)


@indicator(
    "bipower_variation",
    family="volatility",
    inputs=("series",),
    params=(length(48, 10, 500),),
    outputs=ANNUAL,
    warmup=lambda p: p["length"] + 2,
    source="O. Barndorff-Nielsen and N. Shephard, 2004",
    annualised=True,
)
def bipower_variation(series: Array, *, length: int, bars_per_year: float) -> Array:
    """sqrt(pi/2 mean(|r_t| |r_t-1|)), annualised: volatility without the jumps."""
    size = np.abs(windows.log_returns(series))
    product = np.full(len(size), np.nan)
    product[1:] = size[1:] * size[:-1]
    return np.sqrt(np.pi / 2.0 * windows.mean(product, length) * bars_per_year)


@indicator(
    "jump_ratio",
    family="volatility",
    inputs=("series",),
    params=(length(48, 10, 500),),
    outputs=(Output("value", "ratio", 0, 1),),
    warmup=lambda p: p["length"] + 2,
    source="O. Barndorff-Nielsen and N. Shephard, 2006",
)
def jump_ratio(series: Array, *, length: int) -> Array:
    """Share of realised variance that jumps explain: max(0, 1 - bipower / realised)."""
    change = windows.log_returns(series)
    size = np.abs(change)
    product = np.full(len(size), np.nan)
    product[1:] = size[1:] * size[:-1]
    return np.maximum(0.0, 1.0 - np.pi / 2.0 * windows.mean(product, length) / windows.mean(change**2, length))


@indicator(
    "ulcer_index",
    family="volatility",
    inputs=("series",),
    params=(length(14, 5, 200),),
    outputs=(Output("value", "percent", 0),),
    warmup=lambda p: 2 * p["length"] - 1,
    source="P. Martin, 1987",
)
def ulcer_index(series: Array, *, length: int) -> Array:
    """Root mean square of the percentage drawdown from the highest value of the last `length` bars."""
    return np.sqrt(windows.mean((100.0 * (series / windows.highest(series, length) - 1.0)) ** 2, length))


@indicator(
    "choppiness",
    family="volatility",
    inputs=HLC,
    params=(length(14, 5, 100),),
    outputs=(oscillator("value", 0, 100),),
    warmup=lambda p: p["length"] + 1,
    source="E. Dreiss, 1990s",
)
def choppiness(high: Array, low: Array, close: Array, *, length: int) -> Array:
    """100 log10(sum of true ranges / range of the window) / log10(n); high in sideways markets."""
    span = np.full(len(close), np.nan)
    span[1:] = np.maximum(high[1:], close[:-1]) - np.minimum(low[1:], close[:-1])
    return 100.0 * np.log10(windows.mean(span, length) * length / _true_window(high, low, close, length)) / np.log10(length)


def _true_window(high: Array, low: Array, close: Array, length: int) -> Array:
    upper, lower = high.copy(), low.copy()
    upper[1:] = np.maximum(high[1:], close[:-1])
    lower[1:] = np.minimum(low[1:], close[:-1])
    return windows.highest(upper, length) - windows.lowest(lower, length)
