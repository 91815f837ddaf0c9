"""Value expressions: what a series is, written as data.

A value expression is a tree of `Number`, `Series` and `Arithmetic`. It is hashable, so equal expressions
are one expression: the bank computes each once, and strategies that share a term share its array.
What does not belong here: comparisons and booleans (they are conditions, in `strategies/`), and how
anything is computed (that is the bank).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

# op -> number of operands. `lag(x, n)` and `change(x, n)` take a whole, non-negative Number second.
ARITHMETIC = {
    "+": 2, "-": 2, "*": 2, "/": 2, "neg": 1, "abs": 1, "log": 1, "sqrt": 1, "sign": 1, "min": 2, "max": 2, "lag": 2, "change": 2,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Number:
    """A constant."""

    value: float


@dataclass(frozen=True, slots=True)
class Series:
    """A price field, an indicator, or a named series.

    name
        ``close``; a catalog name (``ema``); or a named series with a dot (``forecast.return_24h``).
    inputs
        The value expressions an indicator is computed on, in catalog order, e.g. ``(Series("close"),)``
        for ``ema(close, 12)``; empty when the indicator reads whole bars (``atr``) or for a price field.
    params
        Every parameter in catalog order, defaults filled in, e.g. ``(12.0,)``.
    output
        Which of several outputs (``macd(...).signal``), None when there is one.
    timeframe
        A higher timeframe to compute on (``rsi(close, 14)@4h``); None is the bars' own. Values become
        known when the higher bar has closed.
    symbol
        A fixed symbol to read (``close@BTC/USDT``), broadcast to every row; None is each symbol's own.
    """

    name: str
    inputs: tuple[Value, ...] = ()
    params: tuple[float, ...] = ()
    output: str | None = None
    timeframe: str | None = None
    symbol: str | None = None


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """An operation of `ARITHMETIC` on operands; NaN in, NaN out; x / 0 and log of <= 0 are NaN."""

    op: str
    operands: tuple[Value, ...]


Value: TypeAlias = Number | Series | Arithmetic
