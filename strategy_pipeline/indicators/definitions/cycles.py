"""Cycles: Hilbert-transform estimates of the dominant period and phase (J. Ehlers, 2001)."""

from __future__ import annotations

from strategy_pipeline.indicators.definitions.wrap import oscillator, talib_entry
from strategy_pipeline.indicators.registry import Output

SERIES = ("series",)
SOURCE = "J. Ehlers, 2001"


def settled(_: object) -> int:
    """The period estimate is a chain of exponential filters with weights 0.2 and 0.33."""
    return 600


talib_entry("ht_dcperiod", "HT_DCPERIOD", "cycles", SERIES, (Output("value", "count", 0, 50),), source=SOURCE, warmup=settled)
talib_entry("ht_dcphase", "HT_DCPHASE", "cycles", SERIES, (Output("value", "angle", -45, 315),), source=SOURCE, warmup=settled)
talib_entry(
    "ht_phasor",
    "HT_PHASOR",
    "cycles",
    SERIES,
    (Output("inphase", "difference"), Output("quadrature", "difference")),
    source=SOURCE,
    warmup=settled,
)
talib_entry(
    "ht_sine", "HT_SINE", "cycles", SERIES, (oscillator("sine", -1, 1), oscillator("leadsine", -1, 1)), source=SOURCE, warmup=settled
)
talib_entry("ht_trendmode", "HT_TRENDMODE", "cycles", SERIES, (Output("value", "boolean", 0, 1),), source=SOURCE, warmup=settled)
