"""What a condition means: three-valued truth on every bar, in plain numpy.

This is the written semantics that compiled engines are compared with. It favours the obvious over the fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from strategy_pipeline.errors import StrategyError
from strategy_pipeline.indicators.expressions import Value
from strategy_pipeline.strategies.conditions import And, Compare, Condition, Not, Or

if TYPE_CHECKING:
    from numpy.typing import NDArray

TRUE, FALSE, UNKNOWN = 1, 0, -1
_OPERATORS = {">": np.greater, "<": np.less, ">=": np.greater_equal, "<=": np.less_equal}


class Evaluates(Protocol):
    """What `truth` needs of a bank."""

    def evaluate(self, value: Value, /) -> NDArray[np.float64]:
        """float64 (n_symbols, n_bars), NaN where there is no value."""
        ...


def truth(condition: Condition, bank: Evaluates) -> NDArray[np.int8]:
    """Three-valued truth of `condition` on every symbol and bar.

    Returns
    -------
    ndarray of int8, shape (n_symbols, n_bars)
        1 true, 0 false, -1 unknown. A comparison is unknown where either side is NaN; a crossing also where
        either side was NaN on the bar before, and on the first bar. ``not`` of unknown is unknown. ``and`` is
        false if any term is false, else unknown if any is unknown, else true; ``or`` is its mirror image
        (Kleene, 1938). A rule fires only where this is 1.
    """
    if isinstance(condition, Compare):
        left = np.asarray(bank.evaluate(condition.left), dtype=np.float64)
        right = np.asarray(bank.evaluate(condition.right), dtype=np.float64)
        left, right = np.broadcast_arrays(left, right)
        return _crossing(condition.op, left, right) if condition.op.startswith("crosses") else _comparison(condition.op, left, right)
    if isinstance(condition, Not):
        inner = truth(condition.term, bank)
        return np.where(inner == UNKNOWN, UNKNOWN, 1 - inner).astype(np.int8)
    if isinstance(condition, (And, Or)):
        terms = np.stack([truth(term, bank) for term in condition.terms])
        decisive, otherwise = (FALSE, TRUE) if isinstance(condition, And) else (TRUE, FALSE)
        undecided = np.where((terms == UNKNOWN).any(axis=0), UNKNOWN, otherwise)
        return np.where((terms == decisive).any(axis=0), decisive, undecided).astype(np.int8)
    raise StrategyError(f"Expected a condition (a comparison, not, and, or), was {condition!r}.")


def _comparison(op: str, left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.int8]:
    known = ~(np.isnan(left) | np.isnan(right))
    return np.where(known, _OPERATORS[op](left, right), UNKNOWN).astype(np.int8)


def _crossing(op: str, left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.int8]:
    if op == "crosses_below":
        left, right = right, left
    result = np.full(left.shape, UNKNOWN, dtype=np.int8)
    now = _comparison(">", left[..., 1:], right[..., 1:])
    before = _comparison("<=", left[..., :-1], right[..., :-1])
    known = (now != UNKNOWN) & (before != UNKNOWN)
    result[..., 1:] = np.where(known, now & before, UNKNOWN)
    return result
