"""Direction and bands: channels around price, directional movement, trailing lines."""

from __future__ import annotations

from strategy_pipeline.indicators.definitions.wrap import chain, ema_bars, oscillator, price, talib_entry, wilder_bars
from strategy_pipeline.indicators.kernels import still
from strategy_pipeline.indicators.registry import Output, length, number

HLC = ("high", "low", "close")
BANDS = (price("upper"), price("middle"), price("lower"))
FIXED_BANDS = (Output("upper", "price"), Output("middle", "price"), Output("lower", "price"))
HUNDRED = (oscillator("value", 0, 100),)
WILDER = "J. W. Wilder, 1978"


talib_entry(
    "bbands",
    "BBANDS",
    "trend",
    ("series",),
    BANDS,
    (length(20), number("width", 2.0, 1.0, 4.0)),
    source="J. Bollinger, 2001",
    rename={"width": "nbdevup,nbdevdn"},
)
talib_entry(
    "keltner",
    "KC",
    "trend",
    HLC,
    FIXED_BANDS,
    (length(20), length(10, name="atr_length"), number("width", 2.0, 1.0, 4.0)),
    source="C. Keltner, 1960; L. Raschke",
    rename={"width": "nbdev", "atr_length": "atrperiod"},
    warmup=lambda p: int(p["length"]) + int(p["atr_length"]) + ema_bars(p["length"]) + wilder_bars(p["atr_length"]),
)
talib_entry("donchian", "DONCHIAN", "trend", ("high", "low"), FIXED_BANDS, (length(20),), source="R. Donchian, 1960")
talib_entry("accbands", "ACCBANDS", "trend", HLC, FIXED_BANDS, (length(20),), source="P. Headley, 2002")
talib_entry(
    "sar",
    "SAR",
    "trend",
    ("high", "low"),
    (Output("value", "price"),),
    (number("acceleration", 0.02, 0.005, 0.05), number("maximum", 0.2, 0.1, 0.4)),
    source=WILDER,
    warmup=lambda p: 1000,
    description="Parabolic stop and reverse; two histories agree once both have turned at the same bar.",
)
talib_entry(
    "supertrend",
    "SUPERTREND",
    "trend",
    HLC,
    (Output("value", "price"), oscillator("direction", -1, 1)),
    (length(10), number("multiplier", 3.0, 1.0, 6.0)),
    source="O. Seban, 2008",
    warmup=lambda p: 1000 + wilder_bars(p["length"]),
    description="ATR band that trails price and flips; direction is 1 in an uptrend, -1 in a downtrend.",
)
talib_entry(
    "adx",
    "ADX",
    "trend",
    HLC,
    HUNDRED,
    (length(14, 5, 60),),
    source=WILDER,
    warmup=lambda p: 2 * int(p["length"]) + chain(wilder_bars(p["length"]), 2),
)
talib_entry(
    "adxr",
    "ADXR",
    "trend",
    HLC,
    HUNDRED,
    (length(14, 5, 60),),
    source=WILDER,
    warmup=lambda p: 3 * int(p["length"]) + chain(wilder_bars(p["length"]), 2),
)
talib_entry(
    "dx", "DX", "trend", HLC, HUNDRED, (length(14, 5, 60),), source=WILDER, warmup=lambda p: int(p["length"]) + wilder_bars(p["length"])
)
talib_entry(
    "plus_di",
    "PLUS_DI",
    "trend",
    HLC,
    HUNDRED,
    (length(14, 5, 60),),
    source=WILDER,
    warmup=lambda p: int(p["length"]) + wilder_bars(p["length"]),
)
talib_entry(
    "minus_di",
    "MINUS_DI",
    "trend",
    HLC,
    HUNDRED,
    (length(14, 5, 60),),
    source=WILDER,
    warmup=lambda p: int(p["length"]) + wilder_bars(p["length"]),
)
talib_entry(
    "plus_dm",
    "PLUS_DM",
    "trend",
    ("high", "low"),
    (Output("value", "difference", 0),),
    (length(14, 5, 60),),
    source=WILDER,
    warmup=lambda p: int(p["length"]) + wilder_bars(p["length"]),
)
talib_entry(
    "minus_dm",
    "MINUS_DM",
    "trend",
    ("high", "low"),
    (Output("value", "difference", 0),),
    (length(14, 5, 60),),
    source=WILDER,
    warmup=lambda p: int(p["length"]) + wilder_bars(p["length"]),
)
talib_entry(
    "aroon",
    "AROON",
    "trend",
    ("high", "low"),
    (oscillator("up", 0, 100), oscillator("down", 0, 100)),
    (length(14, 5, 100),),
    source="T. Chande, 1995",
    order=(1, 0),
)
talib_entry(
    "aroonosc", "AROONOSC", "trend", ("high", "low"), (oscillator("value", -100, 100),), (length(14, 5, 100),), source="T. Chande, 1995"
)
talib_entry(
    "vortex",
    "VORTEX",
    "trend",
    HLC,
    (Output("plus", "ratio", 0), Output("minus", "ratio", 0)),
    (length(14, 5, 100),),
    source="E. Botes and D. Siepman, 2010",
    still=lambda x, p: (still.without_true_range(*x), p["length"], (1, 1)),
    description="Vortex: movement from low to next high, and from high to next low, over true range; NaN where there is none.",
)
talib_entry(
    "vhf",
    "VHF",
    "trend",
    ("series",),
    (Output("value", "ratio", 0, 1),),
    (length(28, 5, 100),),
    source="A. White, 1991",
    still=lambda x, p: (still.unchanged(x[0]), p["length"], (1,)),
    description="Vertical horizontal filter: the window's range against its path; NaN where nothing moved.",
)
talib_entry(
    "linearreg_slope",
    "LINEARREG_SLOPE",
    "trend",
    ("series",),
    (Output("value", "difference"),),
    (length(14),),
    source="least squares, change a bar",
)
talib_entry(
    "linearreg_angle",
    "LINEARREG_ANGLE",
    "trend",
    ("series",),
    (Output("value", "angle", -90, 90),),
    (length(14),),
    source="least squares, angle of the slope",
)
talib_entry(
    "efficiency_ratio",
    "ER",
    "trend",
    ("series",),
    (Output("value", "ratio", 0, 1),),
    (length(10, 5, 100),),
    source="P. Kaufman, 1995",
    still=lambda x, p: (still.unchanged(x[0]), p["length"], (1,)),
    description="Efficiency ratio: the move over n bars against the path that led there; NaN where nothing moved.",
)
