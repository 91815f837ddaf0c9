"""Composite systems of the field: several lines that are read together."""

from __future__ import annotations

import numpy as np
import talib

from strategy_pipeline.indicators.definitions.wrap import ema_bars, wilder_bars
from strategy_pipeline.indicators.kernels import filters, still, windows
from strategy_pipeline.indicators.registry import Output, indicator, length, number

Array = np.ndarray
HLC = ("high", "low", "close")
DAY = 86_400.0


def shifted(x: Array, bars: int) -> Array:
    """The value `bars` earlier."""
    out = np.full(len(x), np.nan)
    out[bars:] = x[: len(x) - bars]
    return out


@indicator(
    "ichimoku",
    family="trend",
    inputs=("high", "low"),
    params=(length(9, 5, 30, name="conversion"), length(26, 10, 90, name="base"), length(52, 20, 180, name="span")),
    outputs=tuple(Output(name, "price") for name in ("conversion", "base", "span_a", "span_b")),
    lookback=lambda p: max(p["conversion"], p["base"], p["span"]) + p["base"] - 1,
    warmup=lambda p: max(p["conversion"], p["base"], p["span"]) + p["base"],
    source="G. Hosoda, 1968",
)
def ichimoku(high: Array, low: Array, *, conversion: int, base: int, span: int) -> tuple[Array, Array, Array, Array]:
    """Conversion and base line, and the cloud that stands at this bar: spans as they were `base` bars ago."""

    def middle(n: int) -> Array:
        return (windows.highest(high, n) + windows.lowest(low, n)) / 2.0

    fast, slow = middle(conversion), middle(base)
    return fast, slow, shifted((fast + slow) / 2.0, base), shifted(middle(span), base)


@indicator(
    "alligator",
    family="trend",
    inputs=("high", "low"),
    outputs=tuple(Output(name, "price") for name in ("jaw", "teeth", "lips")),
    lookback=20,
    warmup=21 + wilder_bars(13),
    source="B. Williams, 1995",
)
def alligator(high: Array, low: Array) -> tuple[Array, Array, Array]:
    """Wilder averages of the median price over 13, 8 and 5 bars, as they were 8, 5 and 3 bars ago."""
    middle = (high + low) / 2.0
    return shifted(talib.RMA(middle, 13), 8), shifted(talib.RMA(middle, 8), 5), shifted(talib.RMA(middle, 5), 3)


@indicator(
    "chandelier",
    family="trend",
    inputs=HLC,
    params=(length(22, 5, 100), number("multiplier", 3.0, 1.0, 6.0)),
    outputs=(Output("long", "price"), Output("short", "price")),
    lookback=lambda p: p["length"],
    warmup=lambda p: p["length"] + wilder_bars(p["length"]),
    source="C. Le Beau, 1990s",
)
def chandelier(high: Array, low: Array, close: Array, *, length: int, multiplier: float) -> tuple[Array, Array]:
    """Exit levels: highest high minus, and lowest low plus, a multiple of ATR."""
    distance = multiplier * talib.ATR(high, low, close, length)
    return windows.highest(high, length) - distance, windows.lowest(low, length) + distance


@indicator(
    "kst",
    family="momentum",
    inputs=("series",),
    params=(length(9, 3, 30, name="signal", minimum=1),),
    outputs=(Output("kst", "percent"), Output("signal", "percent")),
    lookback=lambda p: 43 + p["signal"],
    warmup=lambda p: 44 + p["signal"],
    source="M. Pring, 1992",
)
def kst(series: Array, *, signal: int) -> tuple[Array, Array]:
    """Know sure thing: rates of change over 10, 15, 20, 30 bars, averaged over 10, 10, 10, 15, weighted 1 to 4; its mean."""
    total = np.zeros(len(series))
    for weight, (change, smooth) in enumerate(((10, 10), (15, 10), (20, 10), (30, 15)), start=1):
        total = total + weight * windows.mean(100.0 * (series / shifted(series, change) - 1.0), smooth)
    return total, windows.mean(total, signal)


@indicator(
    "connors_rsi",
    family="momentum",
    inputs=("series",),
    params=(length(3, 2, 14), length(2, 2, 10, name="streak"), length(100, 20, 300, name="rank")),
    outputs=(Output("value", "oscillator", 0, 100),),
    lookback=lambda p: max(p["length"], p["streak"], p["rank"]),
    warmup=lambda p: max(p["rank"] + 1, p["length"] + 1 + wilder_bars(p["length"]), 60 + wilder_bars(p["streak"])),
    source="L. Connors and C. Alvarez, 2012",
    cost="window",
)
def connors_rsi(series: Array, *, length: int, streak: int, rank: int) -> Array:
    """Mean of RSI, the RSI of the run of rises or falls, and the percentile rank of the last return."""
    change = shifted(series, 1)
    change = series / change - 1.0
    value = (talib.RSI(series, length) + talib.RSI(filters.streak(series), streak) + 100.0 * windows.rank(change, rank)) / 3.0
    return np.where(still.never_moved(series), np.nan, value)


@indicator(
    "rvgi",
    family="momentum",
    inputs=("open", "high", "low", "close"),
    params=(length(10, 3, 60),),
    outputs=(Output("value", "ratio", -1, 1), Output("signal", "ratio", -1, 1)),
    lookback=lambda p: p["length"] + 5,
    warmup=lambda p: p["length"] + 6,
    source="J. Ehlers, 2002: relative vigor index",
)
def rvgi(open: Array, high: Array, low: Array, close: Array, *, length: int) -> tuple[Array, Array]:
    """Mean body over mean range, both weighted 1-2-2-1 over four bars, and its signal weighted alike; NaN without range."""

    def weighted(x: Array) -> Array:
        return (x + 2.0 * shifted(x, 1) + 2.0 * shifted(x, 2) + shifted(x, 3)) / 6.0

    span = windows.mean(weighted(high - low), length)
    value = np.where(span > 0, windows.mean(weighted(close - open), length) / np.where(span > 0, span, 1.0), np.nan)
    value = np.clip(value, -1.0, 1.0)
    return value, weighted(value)


@indicator(
    "rmi",
    family="momentum",
    inputs=("series",),
    params=(length(14, 3, 60), length(5, 2, 20, name="momentum", minimum=1)),
    outputs=(Output("value", "oscillator", 0, 100),),
    lookback=lambda p: p["length"] + p["momentum"] - 1,
    warmup=lambda p: p["length"] + p["momentum"] + wilder_bars(p["length"]),
    source="R. Altman, 1993: relative momentum index",
)
def rmi(series: Array, *, length: int, momentum: int) -> Array:
    """RSI of changes over `momentum` bars instead of one (Wilder's averages); 50 where nothing moved."""
    change = series - shifted(series, momentum)
    up, down = np.full((2, len(series)), np.nan)
    up[momentum:] = talib.RMA(np.maximum(change[momentum:], 0.0), length)
    down[momentum:] = talib.RMA(np.maximum(-change[momentum:], 0.0), length)
    moved = up + down
    return np.where(moved > 0, 100.0 * up / np.where(moved > 0, moved, 1.0), np.where(np.isfinite(moved), 50.0, np.nan))


@indicator(
    "random_walk_index",
    family="trend",
    inputs=HLC,
    params=(length(14, 5, 60),),
    outputs=(Output("high", "ratio"), Output("low", "ratio")),
    lookback=lambda p: p["length"],
    warmup=lambda p: p["length"] + 1,
    source="E. Poulos, 1991",
)
def random_walk_index(high: Array, low: Array, close: Array, *, length: int) -> tuple[Array, Array]:
    """Move over `length` bars against a random walk's: (high - low[n ago]) / (mean range sqrt n), and its mirror; NaN without range."""
    span = talib.TRANGE(high, low, close)
    spread = windows.mean(span, length) * np.sqrt(length)
    spread = np.where(spread > 0, spread, np.nan)
    return (high - shifted(low, length)) / spread, (shifted(high, length) - low) / spread


@indicator(
    "trend_intensity",
    family="trend",
    inputs=("series",),
    params=(length(30, 10, 100),),
    outputs=(Output("value", "oscillator", 0, 100),),
    lookback=lambda p: 2 * p["length"] - 2,
    warmup=lambda p: 2 * p["length"],
    source="M. H. Pee, 2002",
)
def trend_intensity(series: Array, *, length: int) -> Array:
    """Share of the distances from the mean that lie above it, over `length` bars, in percent; 50 where there are none."""
    gap = series - windows.mean(series, length)
    above, below = windows.mean(np.maximum(gap, 0.0), length), windows.mean(np.maximum(-gap, 0.0), length)
    total = above + below
    return np.where(total > 0, 100.0 * above / np.where(total > 0, total, 1.0), np.where(np.isfinite(total), 50.0, np.nan))


@indicator(
    "psychological_line",
    family="momentum",
    inputs=("series",),
    params=(length(12, 5, 60),),
    outputs=(Output("value", "oscillator", 0, 100),),
    warmup=lambda p: p["length"] + 1,
    source="share of rising bars",
)
def psychological_line(series: Array, *, length: int) -> Array:
    """Percentage of the last `length` bars that rose."""
    rose = np.full(len(series), np.nan)
    rose[1:] = series[1:] > series[:-1]
    return 100.0 * windows.mean(rose, length)


@indicator(
    "squeeze",
    family="volatility",
    inputs=HLC,
    params=(length(20, 10, 60), number("width", 2.0, 1.0, 3.0), number("range_width", 1.5, 1.0, 3.0)),
    outputs=(Output("on", "boolean", 0, 1), Output("momentum", "difference")),
    lookback=lambda p: 2 * p["length"] - 2,
    warmup=lambda p: 2 * p["length"],
    source="J. Carter, 2005",
)
def squeeze(high: Array, low: Array, close: Array, *, length: int, width: float, range_width: float) -> tuple[Array, Array]:
    """Whether Bollinger's bands lie within Keltner's (mean true range), and the fitted distance from the range's middle."""
    span = high - low
    span[1:] = talib.TRANGE(high, low, close)[1:]
    inside = width * windows.deviation(close, length, 0) < range_width * windows.mean(span, length)
    middle = (windows.highest(high, length) + windows.lowest(low, length)) / 2.0
    distance = close - (middle + windows.mean(close, length)) / 2.0
    momentum = np.full(len(close), np.nan)
    momentum[length - 1 :] = talib.LINEARREG(distance[length - 1 :], length)
    return inside.astype(np.float64), momentum


@indicator(
    "klinger",
    family="volume",
    inputs=("high", "low", "close", "volume"),
    params=(length(34, 10, 60, name="fast"), length(55, 20, 120, name="slow"), length(13, 5, 30, name="signal", minimum=1)),
    outputs=(Output("klinger", "volume"), Output("signal", "volume")),
    lookback=lambda p: max(p["fast"], p["slow"]) + p["signal"] - 1,
    warmup=lambda p: p["slow"] + p["signal"] + ema_bars(max(p["fast"], p["slow"])) + ema_bars(p["signal"]),
    source="S. Klinger, 1997 (signed-volume form)",
)
def klinger(high: Array, low: Array, close: Array, volume: Array, *, fast: int, slow: int, signal: int) -> tuple[Array, Array]:
    """Fast minus slow exponential mean of volume signed by the typical price's direction, and its own mean."""
    typical = (high + low + close) / 3.0
    force = np.zeros(len(close))
    force[1:] = volume[1:] * np.sign(np.diff(typical))
    line = talib.EMA(force[1:], fast) - talib.EMA(force[1:], slow)
    first = max(fast, slow) - 1
    smooth = np.full(len(line), np.nan)
    smooth[first:] = talib.EMA(line[first:], signal)
    return np.concatenate([[np.nan], line]), np.concatenate([[np.nan], smooth])


@indicator(
    "vzo",
    family="volume",
    inputs=("close", "volume"),
    params=(length(14, 5, 60),),
    outputs=(Output("value", "oscillator", -100, 100),),
    lookback=lambda p: p["length"],
    warmup=lambda p: p["length"] + 1 + ema_bars(p["length"]),
    source="W. Khalil and D. Steckler, 2011: volume zone oscillator",
)
def vzo(close: Array, volume: Array, *, length: int) -> Array:
    """Exponential mean of signed volume over that of volume, in percent; NaN where nothing was traded."""
    signed = volume[1:] * np.sign(np.diff(close))
    total = talib.EMA(volume[1:], length)
    value = np.where(total > 0, 100.0 * talib.EMA(signed, length) / np.where(total > 0, total, 1.0), np.nan)
    return np.concatenate([[np.nan], np.clip(value, -100.0, 100.0)])


@indicator(
    "session_vwap",
    family="volume",
    inputs=("high", "low", "close", "volume", "time"),
    outputs=(Output("value", "price"),),
    lookback=0,
    warmup=1500,
    source="VWAP anchored at 00:00 UTC",
)
def session_vwap(high: Array, low: Array, close: Array, volume: Array, time: Array) -> Array:
    """Volume-weighted typical price since the UTC day's first bar; of bars of a day or longer, the bar's own."""
    return filters.since_day_open((time // DAY).astype(np.int64), (high + low + close) / 3.0, volume)


@indicator(
    "pivot_points",
    family="price",
    inputs=("high", "low", "close", "time"),
    outputs=tuple(Output(name, "price") for name in ("pivot", "r1", "s1", "r2", "s2")),
    lookback=1,
    warmup=4400,
    source="floor traders' pivots of the previous UTC day",
)
def pivot_points(high: Array, low: Array, close: Array, time: Array) -> tuple[Array, Array, Array, Array, Array]:
    """(h + l + c) / 3 of the previous UTC day, and two resistances and supports around it; steady within a day."""
    top, bottom, last = filters.previous_day((time // DAY).astype(np.int64), high, low, close)
    pivot = (top + bottom + last) / 3.0
    return pivot, 2.0 * pivot - bottom, 2.0 * pivot - top, pivot + (top - bottom), pivot - (top - bottom)


@indicator(
    "gain_loss_ratio",
    family="statistics",
    inputs=("series",),
    params=(length(48, 10, 300),),
    outputs=(Output("value", "ratio", 0),),
    warmup=lambda p: p["length"] + 1,
    source="A. Bernardo and O. Ledoit, 2000",
)
def gain_loss_ratio(series: Array, *, length: int) -> Array:
    """Sum of positive over sum of negative log returns (Omega at zero); NaN without losses."""
    change = windows.log_returns(series)
    return windows.mean(np.maximum(change, 0.0), length) / windows.mean(np.maximum(-change, 0.0), length)
