"""Swings and structure, each entering only when confirmed; and the volume profile."""

from __future__ import annotations

import numpy as np

from strategy_pipeline.indicators.definitions.wrap import talib_entry
from strategy_pipeline.indicators.kernels import structure
from strategy_pipeline.indicators.registry import Output, Param, indicator, length, number

Array = np.ndarray
SIDES = (length(2, 1, 10, name="left", minimum=1), length(2, 1, 10, name="right", minimum=1))

talib_entry(
    "williams_fractal",
    "FRACTAL",
    "fractals",
    ("high", "low"),
    (Output("up", "pattern", -100, 100), Output("down", "pattern", -100, 100)),
    SIDES,
    source="B. Williams, 1995",
    rename={"left": "leftbars", "right": "rightbars"},
    description="100 at the bar that confirms a swing high / low, `right` bars after it.",
)


@indicator(
    "swing_high",
    family="fractals",
    inputs=("high",),
    params=(length(5, 2, 30, name="left", minimum=1), length(5, 2, 30, name="right", minimum=1)),
    outputs=(Output("level", "price"), Output("age", "count", 0)),
    lookback=lambda p: p["left"] + p["right"],
    warmup=lambda p: 60 * (p["left"] + p["right"]),
    source="confirmed pivots",
)
def swing_high(high: Array, *, left: int, right: int) -> tuple[Array, Array]:
    """Level of the newest confirmed swing high and bars since it; NaN until the first."""
    return structure.last_swing(high, left, right, 1.0)


@indicator(
    "swing_low",
    family="fractals",
    inputs=("low",),
    params=(length(5, 2, 30, name="left", minimum=1), length(5, 2, 30, name="right", minimum=1)),
    outputs=(Output("level", "price"), Output("age", "count", 0)),
    lookback=lambda p: p["left"] + p["right"],
    warmup=lambda p: 60 * (p["left"] + p["right"]),
    source="confirmed pivots",
)
def swing_low(low: Array, *, left: int, right: int) -> tuple[Array, Array]:
    """Level of the newest confirmed swing low and bars since it; NaN until the first."""
    return structure.last_swing(low, left, right, -1.0)


@indicator(
    "zigzag",
    family="fractals",
    inputs=("high", "low"),
    params=(number("reversal", 0.03, 0.01, 0.15, minimum=0.0001, maximum=0.9),),
    outputs=(Output("direction", "oscillator", -1, 1), Output("pivot", "price"), Output("extreme", "price")),
    lookback=0,
    warmup=2000,
    source="A. Merrill, 1977, at confirmation",
)
def zigzag(high: Array, low: Array, *, reversal: float) -> tuple[Array, Array, Array]:
    """Running leg after a reversal of the given fraction, the last confirmed pivot, and the leg's extreme so far."""
    return structure.zigzag(high, low, reversal)


@indicator(
    "fractal_dimension",
    family="fractals",
    inputs=("high", "low"),
    params=(length(32, 8, 200, minimum=4),),
    outputs=(Output("value", "ratio", 1, 2),),
    lookback=lambda p: 2 * (p["length"] // 2) - 1,
    warmup=lambda p: p["length"],
    source="J. Ehlers, 2005",
    cost="window",
)
def fractal_dimension(high: Array, low: Array, *, length: int) -> Array:
    """Dimension of the path in [1, 2], from the ranges of the window's halves: 1 trends, 2 wanders."""
    return structure.fractal_dimension(high, low, length)


@indicator(
    "volume_profile",
    family="volume_profile",
    inputs=("high", "low", "volume"),
    params=(length(96, 24, 300), Param("bins", 24, 12, 60, "int", 1, 4, 500), number("share", 0.7, 0.5, 0.9, minimum=0.01, maximum=1.0)),
    outputs=(Output("poc", "price"), Output("value_high", "price"), Output("value_low", "price")),
    warmup=lambda p: p["length"],
    source="J. P. Steidlmayer, 1984",
    cost="window",
)
def volume_profile(high: Array, low: Array, volume: Array, *, length: int, bins: int, share: float) -> tuple[Array, Array, Array]:
    """Point of control and value area of the last `length` bars, each bar's volume spread evenly over its range."""
    return structure.volume_profile(high, low, volume, length, bins, share)
