"""Value expressions: what a series is, written as data.

A value expression is a tree of `Number`, `Series` and `Arithmetic`. It is hashable, so equal expressions
are one expression: the bank computes each once, and strategies that share a term share its array.
What does not belong here: comparisons and booleans (they are conditions, in `strategies/`), and how
anything is computed (that is the bank).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

# op -> number of operands. `lag(x, n)` and `change(x, n)` take a whole, non-negative Number second.
ARITHMETIC = {
    "+": 2, "-": 2, "*": 2, "/": 2, "neg": 1, "abs": 1, "log": 1, "sqrt": 1, "sign": 1, "min": 2, "max": 2, "lag": 2, "change": 2,
}  # fmt: skip


class Hashed:
    """A node that knows its hash once it was asked for: trees are keys of many tables, and each look-up would walk them anew.

    A class takes it over by ``__hash__ = Hashed.__hash__``; its `_parts` are what its equality compares. The hash is never copied
    or pickled (other processes hash text otherwise).
    """

    __slots__ = ("_hash",)
    _hash: int

    def _parts(self) -> tuple[Any, ...]:
        raise TypeError(f"Expected a node with parts, was {type(self).__name__}.")

    def __hash__(self) -> int:
        try:
            return self._hash
        except AttributeError:
            found = hash(self._parts())
            object.__setattr__(self, "_hash", found)
            return found


@dataclass(frozen=True, slots=True)
class Number:
    """A constant."""

    value: float


@dataclass(frozen=True, slots=True)
class Series(Hashed):
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

    __hash__ = Hashed.__hash__

    def _parts(self) -> tuple[Any, ...]:
        return (self.name, self.inputs, self.params, self.output, self.timeframe, self.symbol)


@dataclass(frozen=True, slots=True)
class Arithmetic(Hashed):
    """An operation of `ARITHMETIC` on operands; NaN in, NaN out; x / 0 and log of <= 0 are NaN."""

    op: str
    operands: tuple[Value, ...]

    __hash__ = Hashed.__hash__

    def _parts(self) -> tuple[Any, ...]:
        return (self.op, self.operands)


Value: TypeAlias = Number | Series | Arithmetic
