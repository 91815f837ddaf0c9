"""Adaptive averages and digital filters that TA-Lib lacks."""

from __future__ import annotations

import numpy as np
import talib

from strategy_pipeline.indicators.definitions.wrap import FORGET, ema_bars, price
from strategy_pipeline.indicators.kernels import filters, structure, windows
from strategy_pipeline.indicators.registry import Output, indicator, length, number

Array = np.ndarray
SERIES = ("series",)
VALUE = (price(),)


def smoother(period: float) -> tuple[float, float, float]:
    """Coefficients of Ehlers' two-pole Butterworth smoother."""
    a = np.exp(-np.sqrt(2.0) * np.pi / period)
    c2 = 2.0 * a * np.cos(np.sqrt(2.0) * np.pi / period)
    return 1.0 - c2 + a * a, float(c2), float(-a * a)


def smoother_bars(period: float) -> int:
    """Bars after which it has forgotten to 1e-9 (pole radius exp(-pi sqrt 2 / period))."""
    return int(np.ceil(1.2 * FORGET * period / (np.sqrt(2.0) * np.pi))) + 2


def pass_weight(period: float) -> float:
    """Weight of the two-pole high-pass filter with that cut-off."""
    angle = np.sqrt(2.0) * np.pi / period
    return float((np.cos(angle) + np.sin(angle) - 1.0) / np.cos(angle))


def pass_bars(period: float) -> int:
    """Bars after which the high-pass filter has forgotten to 1e-9."""
    return int(np.ceil(1.3 * FORGET / -np.log(abs(1.0 - pass_weight(period))))) + 3


@indicator(
    "alma",
    family="trend",
    inputs=SERIES,
    params=(length(9), number("offset", 0.85, 0.5, 1.0, maximum=1.0), number("sigma", 6.0, 3.0, 10.0, minimum=0.1)),
    outputs=VALUE,
    warmup=lambda p: p["length"],
    source="A. Legoux and D. Kouzis-Loukas, 2009",
)
def alma(series: Array, *, length: int, offset: float, sigma: float) -> Array:
    """Gaussian-weighted mean whose peak lies `offset` of the way to the newest bar."""
    weights = np.exp(-((np.arange(length) - offset * (length - 1)) ** 2) / (2.0 * (length / sigma) ** 2))
    out = np.full(len(series), np.nan)
    out[length - 1 :] = np.convolve(series, weights[::-1] / weights.sum(), mode="valid")
    return out


@indicator(
    "vidya",
    family="trend",
    inputs=SERIES,
    params=(length(14),),
    outputs=VALUE,
    warmup=lambda p: 60 * p["length"],
    lookback=lambda p: p["length"],
    source="T. Chande, 1992",
)
def vidya(series: Array, *, length: int) -> Array:
    """Exponential mean whose weight 2 / (n + 1) is scaled by |CMO| / 100 of the same length."""
    change = np.zeros(len(series))
    change[1:] = np.diff(series)
    up, down = windows.mean(np.maximum(change, 0.0), length), windows.mean(np.maximum(-change, 0.0), length)
    moved = up + down
    strength = np.where(moved > 0, np.abs(up - down) / np.where(moved > 0, moved, 1.0), 0.0)
    return filters.adaptive(series, 2.0 / (length + 1.0) * strength, length)


@indicator(
    "mcginley",
    family="trend",
    inputs=SERIES,
    params=(length(14),),
    outputs=VALUE,
    lookback=0,
    warmup=lambda p: 40 * p["length"],
    source="J. McGinley, 1990",
)
def mcginley(series: Array, *, length: int) -> Array:
    """Average that speeds up when price falls away from it: y += (x - y) / (n (x / y)^4)."""
    return filters.mcginley(series, length)


@indicator(
    "frama",
    family="trend",
    inputs=("high", "low", "close"),
    params=(length(16, 8, 100, minimum=4),),
    outputs=(Output("value", "price"),),
    lookback=lambda p: 2 * (p["length"] // 2) - 1,
    warmup=lambda p: p["length"] + 2100,
    source="J. Ehlers, 2005",
    cost="window",
)
def frama(high: Array, low: Array, close: Array, *, length: int) -> Array:
    """Exponential mean with weight exp(-4.6 (D - 1)), D the fractal dimension of the window: fast in trends."""
    first = 2 * (length // 2) - 1
    dimension = structure.fractal_dimension(high, low, length)
    weight = np.clip(np.exp(-4.6 * (np.where(np.isfinite(dimension), dimension, 2.0) - 1.0)), 0.01, 1.0)
    return filters.adaptive(close, weight, first)


@indicator(
    "supersmoother",
    family="cycles",
    inputs=SERIES,
    params=(length(10, 5, 100),),
    outputs=VALUE,
    lookback=0,
    warmup=lambda p: smoother_bars(p["length"]),
    source="J. Ehlers, 2013",
)
def supersmoother(series: Array, *, length: int) -> Array:
    """Two-pole Butterworth low-pass of the mean of two bars: removes cycles shorter than `length`."""
    return filters.second_order(series, *smoother(length))


@indicator(
    "roofing_filter",
    family="cycles",
    inputs=SERIES,
    params=(length(48, 20, 200, name="slow", minimum=8), length(10, 4, 40, name="fast", minimum=3)),
    outputs=(Output("value", "difference"),),
    lookback=2,
    warmup=lambda p: pass_bars(p["slow"]) + smoother_bars(p["fast"]),
    source="J. Ehlers, 2013",
)
def roofing_filter(series: Array, *, slow: int, fast: int) -> Array:
    """Band-pass: high-pass at `slow` bars, then the super smoother at `fast`."""
    return filters.second_order(filters.high_pass(series, pass_weight(slow)), *smoother(fast))


@indicator(
    "decycler",
    family="cycles",
    inputs=SERIES,
    params=(length(60, 20, 250, minimum=8),),
    outputs=VALUE,
    lookback=2,
    warmup=lambda p: pass_bars(p["length"]),
    source="J. Ehlers, 2015",
)
def decycler(series: Array, *, length: int) -> Array:
    """The series without its cycles shorter than `length`: itself minus its two-pole high-pass."""
    return series - filters.high_pass(series, pass_weight(length))


@indicator(
    "fisher",
    family="momentum",
    inputs=("high", "low"),
    params=(length(10, 5, 60),),
    outputs=(Output("fisher", "statistic"), Output("trigger", "statistic")),
    warmup=lambda p: p["length"] + 130,
    lookback=lambda p: p["length"],
    source="J. Ehlers, 2002",
)
def fisher(high: Array, low: Array, *, length: int) -> tuple[Array, Array]:
    """Fisher transform of the median price's position in its range, and its value a bar earlier."""
    middle = (high + low) / 2.0
    top, bottom = windows.highest(middle, length), windows.lowest(middle, length)
    position = np.where(top > bottom, (middle - bottom) / np.where(top > bottom, top - bottom, 1.0), 0.5)
    level = filters.fisher(np.where(np.isfinite(top), position, np.nan))
    before = np.full(len(level), np.nan)
    before[1:] = level[:-1]
    return level, before


@indicator(
    "laguerre_rsi",
    family="momentum",
    inputs=SERIES,
    params=(number("gamma", 0.5, 0.2, 0.9, maximum=0.99),),
    outputs=(Output("value", "probability", 0, 1),),
    lookback=4,
    warmup=lambda p: 10 + int(np.ceil(2.2 * FORGET / -np.log(max(p["gamma"], 0.05)))),
    source="J. Ehlers, 2004",
)
def laguerre_rsi(series: Array, *, gamma: float) -> Array:
    """RSI over the four stages of a Laguerre filter, 0 to 1."""
    return filters.laguerre_rsi(series, gamma)


@indicator(
    "stc",
    family="momentum",
    inputs=SERIES,
    params=(length(10, 5, 30), length(23, 8, 60, name="fast"), length(50, 20, 200, name="slow")),
    outputs=(Output("value", "oscillator", 0, 100),),
    lookback=lambda p: max(p["fast"], p["slow"]) + 2 * p["length"] - 3,
    warmup=lambda p: ema_bars(max(p["fast"], p["slow"])) + max(p["fast"], p["slow"]) + 2 * p["length"] + 80,
    source="D. Schaff, 1999",
)
def stc(series: Array, *, length: int, fast: int, slow: int) -> Array:
    """Schaff trend cycle: the stochastic of MACD, smoothed by half, twice."""
    line = talib.EMA(series, fast) - talib.EMA(series, slow)
    for _ in range(2):
        top, bottom = windows.highest(line, length), windows.lowest(line, length)
        line = np.where(
            top > bottom, 100.0 * (line - bottom) / np.where(top > bottom, top - bottom, 1.0), np.where(np.isfinite(top), 50.0, np.nan)
        )
        line = windows.ewm_mean(line, 0.5)
    return line
