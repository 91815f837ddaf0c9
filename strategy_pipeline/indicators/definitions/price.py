"""Price transforms: one bar's representative price, and Heikin-Ashi candles."""

from __future__ import annotations

from strategy_pipeline.indicators.definitions.wrap import talib_entry
from strategy_pipeline.indicators.registry import Output

OHLC = ("open", "high", "low", "close")
PRICE = (Output("value", "price"),)

talib_entry("avgprice", "AVGPRICE", "price", OHLC, PRICE, source="(o + h + l + c) / 4")
talib_entry("medprice", "MEDPRICE", "price", ("high", "low"), PRICE, source="(h + l) / 2")
talib_entry("typprice", "TYPPRICE", "price", ("high", "low", "close"), PRICE, source="(h + l + c) / 3")
talib_entry("wclprice", "WCLPRICE", "price", ("high", "low", "close"), PRICE, source="(h + l + 2 c) / 4")
talib_entry(
    "heikin_ashi",
    "HA",
    "price",
    OHLC,
    tuple(Output(name, "price") for name in OHLC),
    source="M. Homma; D. Valcu, 2004",
    warmup=lambda p: 64,
)
