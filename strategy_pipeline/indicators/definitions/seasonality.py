"""Seasonality: what this hour usually does, from its own past only, and where in the day and week a bar lies."""

from __future__ import annotations

import numpy as np

from strategy_pipeline.indicators.kernels import structure, windows
from strategy_pipeline.indicators.registry import Output, indicator, length

Array = np.ndarray
HOUR = 3600.0
CIRCLE = (Output("sin", "oscillator", -1, 1), Output("cos", "oscillator", -1, 1))


def hour_of_day(time: Array) -> Array:
    """0..23 of the bar's open, UTC."""
    return (time // HOUR % 24).astype(np.int64)


def hour_of_week(time: Array) -> Array:
    """0..167 from Monday 00:00 UTC (1970-01-01 was a Thursday)."""
    return ((time // HOUR + 72) % 168).astype(np.int64)


@indicator(
    "hour_return",
    family="seasonality",
    inputs=("series", "time"),
    params=(length(30, 10, 200),),
    outputs=(Output("value", "return"),),
    lookback=lambda p: p["length"],
    warmup=lambda p: 24 * (p["length"] + 2),
    source="intraday seasonality; S. Heston, R. Korajczyk and R. Sadka, 2010",
)
def hour_return(series: Array, time: Array, *, length: int) -> Array:
    """Mean log return of the previous `length` bars that opened in the same hour of the day (UTC)."""
    return structure.same_slot_mean(windows.log_returns(series), hour_of_day(time), 24, length)


@indicator(
    "week_hour_return",
    family="seasonality",
    inputs=("series", "time"),
    params=(length(8, 4, 52),),
    outputs=(Output("value", "return"),),
    lookback=lambda p: p["length"],
    warmup=lambda p: 168 * (p["length"] + 2),
    source="intraweek seasonality; S. Heston, R. Korajczyk and R. Sadka, 2010",
)
def week_hour_return(series: Array, time: Array, *, length: int) -> Array:
    """Mean log return of the previous `length` bars that opened in the same hour of the week (UTC)."""
    return structure.same_slot_mean(windows.log_returns(series), hour_of_week(time), 168, length)


@indicator(
    "hour_volume_ratio",
    family="seasonality",
    inputs=("volume", "time"),
    params=(length(20, 5, 100),),
    outputs=(Output("value", "ratio", 0),),
    lookback=lambda p: p["length"],
    warmup=lambda p: 24 * (p["length"] + 2),
    source="volume against the same hour's own past",
)
def hour_volume_ratio(volume: Array, time: Array, *, length: int) -> Array:
    """Volume over the mean of the previous `length` bars of the same hour of the day; NaN where that is zero."""
    return volume / structure.same_slot_mean(volume, hour_of_day(time), 24, length)


@indicator("hour_of_day", family="seasonality", inputs=("time",), outputs=CIRCLE, warmup=1, source="calendar")
def hour_circle(time: Array) -> tuple[Array, Array]:
    """Sine and cosine of the bar's opening time within the UTC day."""
    angle = 2.0 * np.pi * (time % (24 * HOUR)) / (24 * HOUR)
    return np.sin(angle), np.cos(angle)


@indicator("day_of_week", family="seasonality", inputs=("time",), outputs=CIRCLE, warmup=1, source="calendar")
def week_circle(time: Array) -> tuple[Array, Array]:
    """Sine and cosine of the bar's UTC weekday, Monday first."""
    angle = 2.0 * np.pi * ((time // (24 * HOUR) + 3) % 7) / 7.0
    return np.sin(angle), np.cos(angle)
