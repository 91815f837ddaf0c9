"""Signals: what to do now, until when, and what spoke for it.

What belongs here: the `Signal`, making signals from target weights, positions, forecasts and agents' votes,
their expiry, and answering for a symbol in another quote. What does not: how weights come about (`risk/`), and
how signals reach anyone (`orchestrator`, `service`).
"""

from strategy_pipeline.signals.making import confidence, for_symbols, make_signals
from strategy_pipeline.signals.signal import SIDES, Signal, SignalError, expire, from_frame, to_frame

__all__ = ["SIDES", "Signal", "SignalError", "confidence", "expire", "for_symbols", "from_frame", "make_signals", "to_frame"]
