"""Candle patterns: TA-Lib's 61, each -100 (bearish), 0 or 100 (bullish); confirmed ones reach 200."""

from __future__ import annotations

from talib import get_function_groups

from strategy_pipeline.indicators.definitions.wrap import talib_entry
from strategy_pipeline.indicators.registry import Output, number

OHLC = ("open", "high", "low", "close")
PENETRATION = {
    "CDLABANDONEDBABY": 0.3, "CDLDARKCLOUDCOVER": 0.5, "CDLEVENINGDOJISTAR": 0.3, "CDLEVENINGSTAR": 0.3, "CDLMATHOLD": 0.5,
    "CDLMORNINGDOJISTAR": 0.3, "CDLMORNINGSTAR": 0.3,
}  # fmt: skip
# These remember an unconfirmed pattern for three more bars.
REMEMBERS = ("CDLHIKKAKE", "CDLHIKKAKEMOD")

for function in get_function_groups()["Pattern Recognition"]:
    parameters = (number("penetration", PENETRATION[function], 0.1, 0.7),) if function in PENETRATION else ()
    talib_entry(
        function.lower(), function, "candles", OHLC, (Output("value", "pattern", -200, 200),), parameters,
        source="S. Nison, 1991; G. Morris, 1995, as TA-Lib has it",
        warmup=(lambda p: 64) if function in REMEMBERS else None,
    )  # fmt: skip
