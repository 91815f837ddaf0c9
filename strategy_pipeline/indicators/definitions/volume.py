"""Volume: what was traded, and whether price moved with it."""

from __future__ import annotations

import numpy as np

from strategy_pipeline.indicators.definitions.wrap import ema_bars, oscillator, talib_entry
from strategy_pipeline.indicators.kernels import still, windows
from strategy_pipeline.indicators.registry import Output, indicator, length

Array = np.ndarray
HLCV = ("high", "low", "close", "volume")
CV = ("close", "volume")
FLOW = (Output("value", "volume"),)

talib_entry("ad", "AD", "volume", HLCV, FLOW, source="M. Chaikin, 1980s", cumulative=True)
talib_entry(
    "adosc",
    "ADOSC",
    "volume",
    HLCV,
    FLOW,
    (length(3, 2, 20, name="fast"), length(10, 5, 60, name="slow")),
    source="M. Chaikin, 1980s",
    warmup=lambda p: 2 * ema_bars(max(p["fast"], p["slow"])),
)
talib_entry("obv", "OBV", "volume", CV, FLOW, source="J. Granville, 1963", cumulative=True)
talib_entry("pvt", "PVT", "volume", CV, FLOW, source="price-volume trend", cumulative=True)
talib_entry("wad", "WAD", "volume", ("high", "low", "close"), (Output("value", "difference"),), source="L. Williams, 1972", cumulative=True)
talib_entry("cmf", "CMF", "volume", HLCV, (oscillator("value", -1, 1),), (length(20, 5, 100),), source="M. Chaikin, 1980s")
talib_entry(
    "efi",
    "EFI",
    "volume",
    CV,
    FLOW,
    (length(13, 2, 60),),
    source="A. Elder, 1993",
    warmup=lambda p: int(p["length"]) + 1 + ema_bars(p["length"]),
)
talib_entry("marketfi", "MARKETFI", "volume", ("high", "low", "volume"), (Output("value", "ratio", 0),), source="B. Williams, 1995")
talib_entry("nvi", "NVI", "volume", CV, (Output("value", "ratio"),), source="P. Dysart, 1936", cumulative=True, compounding=True)
talib_entry("pvi", "PVI", "volume", CV, (Output("value", "ratio"),), source="P. Dysart, 1936", cumulative=True, compounding=True)
talib_entry(
    "pvo",
    "PVO",
    "volume",
    ("volume",),
    (Output("value", "percent"),),
    (length(12, 4, 60, name="fast"), length(26, 10, 200, name="slow")),
    source="G. Appel, on volume",
    fixed={"matype": 1},
    warmup=lambda p: 2 * ema_bars(max(p["fast"], p["slow"])),
)
talib_entry(
    "mfi",
    "MFI",
    "volume",
    HLCV,
    (oscillator("value", 0, 100),),
    (length(14, 3, 60),),
    source="G. Quong and A. Soudack, 1989",
    still=lambda x, p: (still.without_flow(*x), p["length"], (1,)),
    description="Money flow index: typical price times volume of rising bars against all; NaN where none flowed.",
)


@indicator(
    "volume_ratio",
    family="volume",
    inputs=("volume",),
    params=(length(20, 5, 200),),
    outputs=(Output("value", "ratio", 0),),
    warmup=lambda p: p["length"] + 1,
    source="volume over the mean of the bars before",
)
def volume_ratio(volume: Array, *, length: int) -> Array:
    """Volume over the mean volume of the `length` bars before this one; NaN where nothing was traded in them."""
    out = np.full(len(volume), np.nan)
    out[1:] = volume[1:] / windows.mean(volume, length)[:-1]
    return out


@indicator(
    "vwap",
    family="volume",
    inputs=HLCV,
    params=(length(24, 5, 500, minimum=1),),
    outputs=(Output("value", "price"),),
    warmup=lambda p: p["length"],
    source="rolling volume-weighted typical price",
)
def vwap(high: Array, low: Array, close: Array, volume: Array, *, length: int) -> Array:
    """Volume-weighted mean of the typical price over the last `length` bars; NaN where nothing was traded in them."""
    traded = windows.mean(volume, length)
    return np.where(traded > 0, windows.mean((high + low + close) / 3.0 * volume, length) / traded, np.nan)


@indicator(
    "vwap_bands",
    family="volume",
    inputs=HLCV,
    params=(length(24, 5, 500),),
    outputs=(Output("zscore", "statistic"), Output("deviation", "difference", 0)),
    warmup=lambda p: p["length"],
    source="rolling VWAP and its volume-weighted deviation",
)
def vwap_bands(high: Array, low: Array, close: Array, volume: Array, *, length: int) -> tuple[Array, Array]:
    """Volume-weighted standard deviation of the typical price about the rolling VWAP, and the close's distance in it."""
    typical = (high + low + close) / 3.0
    traded = windows.mean(volume, length)
    centre = np.where(traded > 0, windows.mean(typical * volume, length) / traded, np.nan)
    spread = np.sqrt(windows.weighted_variance(typical, volume, length))
    apart = spread > 1e-12 * np.abs(centre)  # where prices are equal only the rounding of their mean is left
    return np.where(apart, (close - centre) / spread, np.nan), spread


@indicator(
    "ease_of_movement",
    family="volume",
    inputs=("high", "low", "volume"),
    params=(length(14, 3, 60),),
    outputs=(Output("value", "statistic"),),
    lookback=lambda p: 2 * p["length"] - 2,
    warmup=lambda p: 2 * p["length"],
    source="R. Arms, 1970s; volume relative to its own mean",
)
def ease_of_movement(high: Array, low: Array, volume: Array, *, length: int) -> Array:
    """Mean of (midpoint move x range) / relative volume, both in basis points of price; NaN where nothing was traded."""
    middle = (high + low) / 2.0
    move = np.full(len(high), np.nan)
    relative = volume[1:] / windows.mean(volume, length)[1:]
    move[1:] = (middle[1:] / middle[:-1] - 1.0) * (high[1:] - low[1:]) / middle[:-1] / relative * 1e8
    move[~np.isfinite(move)] = np.nan
    return windows.mean(move, length)
