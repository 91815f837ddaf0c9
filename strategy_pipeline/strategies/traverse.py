"""Walks over the tree: rebuild it with a function, or list what it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from strategy_pipeline.indicators.expressions import Arithmetic, Series, Value
from strategy_pipeline.strategies.conditions import Compare, Condition, Not


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


def comparisons(condition: Condition) -> Iterator[Compare]:
    """Every comparison in reading order, repeats included."""
    if isinstance(condition, Compare):
        yield condition
    elif isinstance(condition, Not):
        yield from comparisons(condition.term)
    else:
        for term in condition.terms:
            yield from comparisons(term)


def series_of(value: Value) -> Iterator[Series]:
    """Every series in reading order, inputs before the indicator computed on them."""
    below = value.inputs if isinstance(value, Series) else value.operands if isinstance(value, Arithmetic) else ()
    for term in below:
        yield from series_of(term)
    if isinstance(value, Series):
        yield value


def size(condition: Condition) -> int:
    """Number of nodes: comparisons, logical operators, and their values' series, numbers and operators."""
    if isinstance(condition, Compare):
        return 1 + _value_size(condition.left) + _value_size(condition.right)
    if isinstance(condition, Not):
        return 1 + size(condition.term)
    return 1 + sum(size(term) for term in condition.terms)


def _value_size(value: Value) -> int:
    below = value.inputs if isinstance(value, Series) else value.operands if isinstance(value, Arithmetic) else ()
    return 1 + sum(map(_value_size, below))
