"""Where volume gathered, averages anchored at turning points, and motifs: has the market just moved like this before?"""

from __future__ import annotations

import numpy as np

from strategy_pipeline.indicators.kernels import filters, profiles, windows
from strategy_pipeline.indicators.registry import Output, Param, indicator, length, number

Array = np.ndarray
HLCV = ("high", "low", "close", "volume")
DAY = 86_400.0


@indicator(
    "volume_nodes",
    family="volume_profile",
    inputs=HLCV,
    params=(length(96, 24, 300), Param("bins", 24, 12, 60, "int", 1, 4, 500)),
    outputs=(Output("high_node", "price"), Output("low_node", "price")),
    warmup=lambda p: p["length"],
    source="J. Dalton, 1990: high- and low-volume nodes",
    cost="window",
)
def volume_nodes(high: Array, low: Array, close: Array, volume: Array, *, length: int, bins: int) -> tuple[Array, Array]:
    """Nearest price where the volume profile of the last `length` bars peaks above, and dips below, its mean; NaN without one."""
    return profiles.volume_nodes(high, low, close, volume, length, bins)


@indicator(
    "anchored_vwap",
    family="volume_profile",
    inputs=HLCV,
    params=(length(168, 24, 500),),
    outputs=(Output("from_high", "price"), Output("from_low", "price")),
    warmup=lambda p: p["length"],
    source="B. Shannon, 2022: VWAP anchored at the extremes of a window",
    cost="window",
)
def anchored_vwap(high: Array, low: Array, close: Array, volume: Array, *, length: int) -> tuple[Array, Array]:
    """Volume-weighted typical price since the highest high, and since the lowest low, of the last `length` bars."""
    typical = (high + low + close) / 3.0
    above = profiles.anchored_vwap(high, typical, volume, length, 1.0)[0]
    return above, profiles.anchored_vwap(low, typical, volume, length, -1.0)[0]


@indicator(
    "anchored_vwap_bands",
    family="volume_profile",
    inputs=HLCV,
    params=(length(168, 24, 500), number("width", 2.0, 1.0, 4.0)),
    outputs=tuple(Output(name, "price") for name in ("high_upper", "high_lower", "low_upper", "low_lower")),
    warmup=lambda p: p["length"],
    source="B. Shannon, 2022: with volume-weighted deviations",
    cost="window",
)
def anchored_vwap_bands(
    high: Array, low: Array, close: Array, volume: Array, *, length: int, width: float
) -> tuple[Array, Array, Array, Array]:  # fmt: skip
    """`width` volume-weighted deviations around the VWAP since the window's highest high, and since its lowest low."""
    typical = (high + low + close) / 3.0
    top, wide = profiles.anchored_vwap(high, typical, volume, length, 1.0)
    bottom, narrow = profiles.anchored_vwap(low, typical, volume, length, -1.0)
    return top + width * wide, top - width * wide, bottom + width * narrow, bottom - width * narrow


@indicator(
    "session_vwap_bands",
    family="volume_profile",
    inputs=("high", "low", "close", "volume", "time"),
    params=(number("width", 2.0, 1.0, 4.0),),
    outputs=(Output("upper", "price"), Output("lower", "price"), Output("deviation", "difference", 0)),
    lookback=0,
    warmup=1500,
    source="VWAP anchored at 00:00 UTC, with volume-weighted deviations",
)
def session_vwap_bands(
    high: Array, low: Array, close: Array, volume: Array, time: Array, *, width: float
) -> tuple[Array, Array, Array]:  # fmt: skip
    """`width` volume-weighted deviations of the typical price around the VWAP since the UTC day's first bar."""
    typical, day = (high + low + close) / 3.0, (time // DAY).astype(np.int64)
    centre = filters.since_day_open(day, typical, volume)
    spread = filters.spread_since_day_open(day, typical, volume)
    return centre + width * spread, centre - width * spread, spread


@indicator(
    "motif_distance",
    family="fractals",
    inputs=("series",),
    params=(length(336, 100, 1000, minimum=8), length(24, 8, 48, name="window", minimum=4)),
    outputs=(Output("distance", "statistic", 0), Output("age", "count", 0)),
    lookback=lambda p: p["length"] - 1,
    warmup=lambda p: p["length"],
    source="C.-C. M. Yeh et al., 2016: left matrix profile, of a sliding history",
    cost="window",
)
def motif_distance(series: Array, *, length: int, window: int) -> tuple[Array, Array]:
    """Z-normalised distance of the last `window` values to the most alike stretch within the last `length`, and its age; NaN when flat."""
    return profiles.left_motif(series, windows.mean(series, window), windows.deviation(series, window, 0), length, window)
