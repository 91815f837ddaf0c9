"""Walks over the tree: rebuild it with a function, or list what it holds."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from strategy_pipeline.indicators.expressions import Arithmetic, Series, Value
from strategy_pipeline.strategies.conditions import Compare, Condition, Not

_CACHED = 1 << 15


def map_series(value: Value, change: Callable[[Series], Series]) -> Value:
    """`value` with `change` applied to each outermost series (not to the inputs inside one)."""
    if isinstance(value, Series):
        return change(value)
    if isinstance(value, Arithmetic):
        return Arithmetic(value.op, tuple(map_series(term, change) for term in value.operands))
    return value


def map_values(condition: Condition, change: Callable[[Value], Value]) -> Condition:
    """`condition` with `change` applied to both sides of every comparison."""
    if isinstance(condition, Compare):
        return Compare(condition.op, change(condition.left), change(condition.right))
    if isinstance(condition, Not):
        return Not(map_values(condition.term, change))
    return type(condition)(tuple(map_values(term, change) for term in condition.terms))


@lru_cache(_CACHED)
def comparisons(condition: Condition) -> tuple[Compare, ...]:
    """Every comparison in reading order, repeats included."""
    if isinstance(condition, Compare):
        return (condition,)
    if isinstance(condition, Not):
        return comparisons(condition.term)
    return tuple([part for term in condition.terms for part in comparisons(term)])


@lru_cache(_CACHED)
def series_of(value: Value) -> tuple[Series, ...]:
    """Every series in reading order, inputs before the indicator computed on them."""
    below = value.inputs if isinstance(value, Series) else value.operands if isinstance(value, Arithmetic) else ()
    found = [series for term in below for series in series_of(term)]
    return (*found, value) if isinstance(value, Series) else tuple(found)


@lru_cache(_CACHED)
def size(condition: Condition) -> int:
    """Number of nodes: comparisons, logical operators, and their values' series, numbers and operators."""
    if isinstance(condition, Compare):
        return 1 + _value_size(condition.left) + _value_size(condition.right)
    if isinstance(condition, Not):
        return 1 + size(condition.term)
    return 1 + sum(size(term) for term in condition.terms)


@lru_cache(_CACHED)
def _value_size(value: Value) -> int:
    below = value.inputs if isinstance(value, Series) else value.operands if isinstance(value, Arithmetic) else ()
    return 1 + sum(map(_value_size, below))
