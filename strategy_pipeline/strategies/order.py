"""The order of the canonical form: by shape first, by numbers second.

A shape is a text with every number masked. Ordering by it keeps two strategies that differ only in their
numbers in the same order, so the paths of their parameters agree.
"""

from __future__ import annotations

from functools import lru_cache

from strategy_pipeline.indicators.expressions import Arithmetic, Number, Series, Value
from strategy_pipeline.strategies.conditions import Compare, Condition, Not

_CACHED = 1 << 16


@lru_cache(_CACHED)
def value_depth(value: Value) -> int:
    """Levels of nesting: 0 for a number, a price field or a named series, 1 for an indicator of bars or prices."""
    below = value.inputs if isinstance(value, Series) else value.operands if isinstance(value, Arithmetic) else ()
    return 1 + max(map(value_depth, below)) if below else int(isinstance(value, Series) and bool(value.params))


@lru_cache(_CACHED)
def value_shape(value: Value) -> str:
    """The expression with its numbers masked, in prefix form."""
    if isinstance(value, Number):
        return "#"
    if isinstance(value, Series):
        inside = ",".join(map(value_shape, value.inputs)) + "#" * len(value.params)
        return f"{value.name}({inside}).{value.output or ''}@{value.timeframe or ''}@{value.symbol or ''}"
    return f"{value.op}({','.join(map(value_shape, value.operands))})"


@lru_cache(_CACHED)
def value_numbers(value: Value) -> tuple[float, ...]:
    """Its numbers, in the order of the shape."""
    if isinstance(value, Number):
        return (value.value,)
    below = value.inputs if isinstance(value, Series) else value.operands
    own = value.params if isinstance(value, Series) else ()
    return tuple(number for term in below for number in value_numbers(term)) + own


def value_key(value: Value) -> tuple[bool, int, str, tuple[float, ...]]:
    """Sort key: numbers last, a price before an average of it, then shape, then numbers."""
    return isinstance(value, Number), value_depth(value), value_shape(value), value_numbers(value)


@lru_cache(_CACHED)
def condition_key(condition: Condition) -> tuple[str, tuple[float, ...], str]:
    """Sort key of a condition: shape, numbers, and the operators last (so that a mirrored sign moves nothing)."""
    if isinstance(condition, Compare):
        numbers = value_numbers(condition.left) + value_numbers(condition.right)
        return f"{value_shape(condition.left)}~{value_shape(condition.right)}", numbers, condition.op
    if isinstance(condition, Not):
        shape, numbers, ops = condition_key(condition.term)
        return shape, numbers, f"not {ops}"
    keys = [condition_key(term) for term in condition.terms]
    name = type(condition).__name__
    return (
        f"{name}({','.join(key[0] for key in keys)})",
        tuple(number for key in keys for number in key[1]),
        ",".join(key[2] for key in keys),
    )
