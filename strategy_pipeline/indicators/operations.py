"""Arithmetic between series, lags, and which value of a slower series each bar knows.

What belongs here: functions of whole arrays (n_symbols, n_bars). What does not: where the arrays come from (`bank`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from strategy_pipeline.errors import UnknownIndicatorError
from strategy_pipeline.indicators.expressions import ARITHMETIC, Arithmetic, Number

Array = np.ndarray
NANOSECOND = np.dtype("datetime64[ns]")
STRETCH, PIECE = 1 << 14, 1 << 18  # values computed at a time, and by one thread


def check(value: Arithmetic) -> None:
    """UnknownIndicatorError unless the operation exists, has its operands, and reaches back a whole number of bars."""
    if value.op not in ARITHMETIC or len(value.operands) != ARITHMETIC[value.op]:
        raise UnknownIndicatorError(
            f"Expected an operation among {', '.join(ARITHMETIC)} with its operands, was {value.op!r} with {len(value.operands)}."
        )
    if value.op in ("lag", "change"):
        steps = value.operands[1]
        if not isinstance(steps, Number) or steps.value < 0 or steps.value != round(steps.value):
            raise UnknownIndicatorError(
                f"Expected {value.op} by a whole number of bars, 0 or more, was {steps!r}; a negative one reads the future; correct it."
            )


def lag(array: Array, steps: int, out: Array) -> None:
    """Each row `steps` bars later, into `out`; NaN before."""
    out[:, :steps] = np.nan
    if steps < array.shape[1]:
        out[:, steps:] = array[:, : array.shape[1] - steps]


def apply(op: str, operands: Sequence[Array | float], out: Array) -> list[Callable[[], None]]:
    """Pieces of work that write an operation of `ELEMENTWISE` into `out`, NaN where the result is not finite.

    Operands are of the shape of `out`, C-contiguous, or numbers. A piece works through stretches that stay in the nearest
    caches, so that what is computed is still there when it is looked at.
    """
    from strategy_pipeline.indicators.kernels import placing

    flat = out.reshape(-1)
    given = [operand.reshape(-1) if isinstance(operand, np.ndarray) else operand for operand in operands]

    def piece(first: int, stop: int) -> Callable[[], None]:
        def work() -> None:
            with np.errstate(all="ignore"):
                for begin in range(first, stop, STRETCH):
                    part = slice(begin, min(begin + STRETCH, stop))
                    ELEMENTWISE[op](*(one[part] if isinstance(one, np.ndarray) else one for one in given), out=flat[part])
                    placing.only_numbers(flat[part])

        return work

    return [piece(first, min(first + PIECE, len(flat))) for first in range(0, len(flat), PIECE)]


def known_at(source_close: Array, target_close: Array) -> Array:
    """For each target bar, the newest source bar whose close is not after its own; -1 where there is none."""
    return np.searchsorted(source_close.astype(NANOSECOND), target_close.astype(NANOSECOND), side="right") - 1


def gather(array: Array, at: Array) -> Array:
    """The columns `at` of `array`; NaN where that is -1."""
    if array.shape[1] == 0:
        return np.full((array.shape[0], len(at)), np.nan)
    return np.where(at >= 0, array[:, np.maximum(at, 0)], np.nan)


ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "neg": np.negative, "abs": np.abs, "log": np.log, "sqrt": np.sqrt,
    "sign": np.sign, "min": np.minimum, "max": np.maximum,
}  # fmt: skip
