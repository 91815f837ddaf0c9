"""Averages and the lines that follow price: all on the scale of their input."""

from __future__ import annotations

from strategy_pipeline.indicators.definitions.wrap import chain, ema_bars, price, talib_entry, wilder_bars
from strategy_pipeline.indicators.registry import length, number

VALUE = (price(),)

talib_entry("sma", "SMA", "trend", ("series",), VALUE, (length(30, minimum=1),), source="arithmetic mean")
talib_entry(
    "ema",
    "EMA",
    "trend",
    ("series",),
    VALUE,
    (length(30, minimum=1),),
    source="R. G. Brown, 1956",
    warmup=lambda p: int(p["length"]) + ema_bars(p["length"]),
)
talib_entry("wma", "WMA", "trend", ("series",), VALUE, (length(30, minimum=1),), source="linearly weighted mean")
talib_entry(
    "rma",
    "RMA",
    "trend",
    ("series",),
    VALUE,
    (length(30, minimum=1),),
    source="J. W. Wilder, 1978",
    warmup=lambda p: int(p["length"]) + wilder_bars(p["length"]),
)
talib_entry(
    "dema",
    "DEMA",
    "trend",
    ("series",),
    VALUE,
    (length(30, minimum=1),),
    source="P. Mulloy, 1994",
    warmup=lambda p: 2 * int(p["length"]) + chain(ema_bars(p["length"]), 2),
)
talib_entry(
    "tema",
    "TEMA",
    "trend",
    ("series",),
    VALUE,
    (length(30, minimum=1),),
    source="P. Mulloy, 1994",
    warmup=lambda p: 3 * int(p["length"]) + chain(ema_bars(p["length"]), 3),
)
talib_entry("trima", "TRIMA", "trend", ("series",), VALUE, (length(30, minimum=1),), source="triangular mean")
talib_entry(
    "kama",
    "KAMA",
    "trend",
    ("series",),
    VALUE,
    (length(30),),
    source="P. Kaufman, 1995",
    warmup=lambda p: int(p["length"]) + 5000,
    description="Kaufman's adaptive average; forgets slowest, (2/31)^2 a bar, where price goes nowhere.",
)
talib_entry(
    "mama",
    "MAMA",
    "trend",
    ("series",),
    (price("mama"), price("fama")),
    (number("fast", 0.5, 0.2, 0.8, minimum=0.01, maximum=0.99), number("slow", 0.05, 0.02, 0.15, minimum=0.01, maximum=0.99)),
    source="J. Ehlers, 2001",
    rename={"fast": "fastlimit", "slow": "slowlimit"},
    warmup=lambda p: 200 + 3 * ema_bars(2 / p["slow"]),
)
talib_entry(
    "t3",
    "T3",
    "trend",
    ("series",),
    VALUE,
    (length(5, 3, 60), number("factor", 0.7, 0.3, 1.0, maximum=1.0)),
    source="T. Tillson, 1998",
    rename={"factor": "vfactor"},
    warmup=lambda p: 6 * int(p["length"]) + chain(ema_bars(p["length"]), 6),
)
talib_entry("hma", "HMA", "trend", ("series",), VALUE, (length(20),), source="A. Hull, 2005")
talib_entry(
    "zlema",
    "ZLEMA",
    "trend",
    ("series",),
    VALUE,
    (length(30),),
    source="J. Ehlers and R. Way, 2010",
    warmup=lambda p: 2 * int(p["length"]) + ema_bars(p["length"]),
)
talib_entry("vwma", "VWMA", "trend", ("series", "volume"), VALUE, (length(30),), source="volume-weighted mean")
talib_entry("ht_trendline", "HT_TRENDLINE", "trend", ("series",), VALUE, source="J. Ehlers, 2001", warmup=lambda p: 600)
talib_entry("midpoint", "MIDPOINT", "trend", ("series",), VALUE, (length(14),), source="midpoint of a window's extremes")
talib_entry("midprice", "MIDPRICE", "trend", ("high", "low"), VALUE, (length(14),), source="midpoint of the highest high and lowest low")
talib_entry("linearreg", "LINEARREG", "trend", ("series",), VALUE, (length(14),), source="least squares, end of the line")
talib_entry(
    "linearreg_intercept", "LINEARREG_INTERCEPT", "trend", ("series",), VALUE, (length(14),), source="least squares, start of the line"
)
talib_entry("tsf", "TSF", "trend", ("series",), VALUE, (length(14),), source="least squares, one bar beyond the line")
