"""Strategies as votes: what a strategy says on a bar, as one value expression within [-1, 1].

A comparison is the sign of its difference, ``and`` the least and ``or`` the most of its terms; a crossing counts as long as the
side it crossed to holds. A strategy says 1 where its long entry holds, -1 where its short entry does, and 0
otherwise; where one of its series has no value it says nothing, and neither does a sum it is in.
"""

from __future__ import annotations

from collections.abc import Sequence

from strategy_pipeline.indicators.expressions import Arithmetic, Number, Value
from strategy_pipeline.strategies.conditions import And, Compare, Condition, Not
from strategy_pipeline.strategies.strategy import Strategy

_ZERO = Number(0.0)


def score(condition: Condition) -> Value:
    """1 where a condition holds, -1 where it does not, 0 at equality."""
    if isinstance(condition, Compare):
        upward = condition.op in (">", ">=", "crosses_above")
        first, second = (condition.left, condition.right) if upward else (condition.right, condition.left)
        return Arithmetic("sign", (first if second == _ZERO else Arithmetic("-", (first, second)),))
    if isinstance(condition, Not):
        return Arithmetic("neg", (score(condition.term),))
    op = "min" if isinstance(condition, And) else "max"
    return _joined(op, [score(term) for term in condition.terms])


def stance(strategy: Strategy) -> Value:
    """What a strategy says: 1 long, -1 short, 0 neither (both cancel)."""
    sides = [Arithmetic("max", (score(rule), _ZERO)) for rule in (strategy.enter_long, strategy.enter_short) if rule is not None]
    if len(sides) == 2:
        return Arithmetic("-", (sides[0], sides[1]))
    return sides[0] if strategy.enter_long is not None else Arithmetic("neg", (sides[0],))


def tally(stances: Sequence[Value], weights: Sequence[float]) -> Value:
    """The weighted sum of stances; those of no weight are left out."""
    terms = [
        value if weight == 1.0 else Arithmetic("*", (value, Number(float(weight))))
        for value, weight in zip(stances, weights, strict=True)
        if weight != 0.0
    ]
    return _joined("+", terms)


def _joined(op: str, terms: Sequence[Value]) -> Value:
    whole = terms[0]
    for term in terms[1:]:
        whole = Arithmetic(op, (whole, term))
    return whole
