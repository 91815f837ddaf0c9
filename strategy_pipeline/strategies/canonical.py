"""The canonical form: one spelling for expressions and conditions that mean the same.

Every rule here preserves the three-valued truth on every bar (a property test holds it against
`semantics.truth`) and every value bit for bit:

- numbers are finite floats, no negative zero; arithmetic on numbers alone is carried out;
- ``+ * min max`` have their operands in order, a number last; ``x + -2`` is ``x - 2``; ``--x`` is ``x``;
- a comparison has its number on the right, otherwise its sides in order: ``30 > rsi(close, 14)`` is
  ``rsi(close, 14) < 30``, ``crosses_above(b, a)`` is ``crosses_below(a, b)``;
- ``and`` / ``or`` are flat, sorted, without duplicates, and never hold a single term;
- ``not`` moves inwards: Kleene's logic keeps De Morgan's laws and double negation, and a comparison with a
  NaN is unknown on both sides of ``not (a > b)`` = ``a <= b``. It stops at a crossing, whose opposite is no
  comparison (a crossing is unknown when any of its four values is).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import cast

from strategy_pipeline.errors import StrategyError
from strategy_pipeline.indicators.expressions import ARITHMETIC, Arithmetic, Number, Series, Value
from strategy_pipeline.strategies.conditions import COMPARISONS, And, Compare, Condition, Not, Or
from strategy_pipeline.strategies.order import condition_key, value_key
from strategy_pipeline.strategies.writing import number_text, value_text

COMMUTATIVE = frozenset({"+", "*", "min", "max"})
MIRRORED = {
    ">": "<", "<": ">", ">=": "<=", "<=": ">=", "crosses_above": "crosses_below", "crosses_below": "crosses_above",
}  # fmt: skip
NEGATED = {">": "<=", "<": ">=", ">=": "<", "<=": ">"}
_CACHED = 1 << 16


def finite(value: object, what: str) -> float:
    """`value` as a finite float without negative zero; StrategyError names `what` otherwise."""
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        raise StrategyError(f"Expected a finite number as {what}, was {value!r}.")
    return float(value) + 0.0


@lru_cache(_CACHED)
def canonical_value(value: Value) -> Value:
    """The canonical spelling of a value expression (idempotent). StrategyError where it has no value at all."""
    if isinstance(value, Number):
        return Number(finite(value.value, "a constant"))
    if isinstance(value, Series):
        inputs = tuple(canonical_value(term) for term in value.inputs)
        if any(isinstance(term, Number) for term in inputs):
            raise StrategyError(f"Expected a series as input of {value.name}, was a number: {value_text(value)} is the same on every bar.")
        return Series(
            value.name,
            inputs,
            tuple(finite(number, f"a parameter of {value.name}") for number in value.params),
            value.output,
            value.timeframe,
            value.symbol,
        )
    if not isinstance(value, Arithmetic):
        raise StrategyError(f"Expected a value (a number, a series or arithmetic on them), was {value!r}.")
    return _canonical_arithmetic(value.op, tuple(canonical_value(term) for term in value.operands))


def _canonical_arithmetic(op: str, operands: tuple[Value, ...]) -> Value:
    if op not in ARITHMETIC or len(operands) != ARITHMETIC[op]:
        raise StrategyError(f"Expected one of {', '.join(ARITHMETIC)} with its number of operands, was {op!r} with {len(operands)}.")
    if op in ("lag", "change"):
        bars = operands[1]
        if not isinstance(bars, Number) or bars.value < 0 or bars.value != int(bars.value):
            raise StrategyError(
                f"Expected a whole number of bars, 0 or more, as second argument of {op}, was {value_text(bars)}: "
                "a rule may look back, never ahead."
            )
        if isinstance(operands[0], Number):
            raise StrategyError(f"Expected a series in {op}, was the number {number_text(operands[0].value)}: it is the same on every bar.")
        return Arithmetic(op, operands)
    if all(isinstance(term, Number) for term in operands):
        return _folded(op, [term.value for term in cast("tuple[Number, ...]", operands)])
    if op == "neg" and isinstance(operands[0], Arithmetic) and operands[0].op == "neg":
        return operands[0].operands[0]
    if op in ("+", "-"):
        left, right = operands
        if op == "+" and isinstance(left, Number):
            left, right = right, left
        if isinstance(right, Number) and right.value < 0:
            return Arithmetic("-" if op == "+" else "+", (left, Number(-right.value)))
        operands = (left, right)
    if op in COMMUTATIVE:
        operands = tuple(sorted(operands, key=value_key))
    return Arithmetic(op, operands)


def _folded(op: str, numbers: list[float]) -> Number:
    """Arithmetic on numbers alone, by the bank's rules (x / 0 and log of <= 0 have no value: refused here)."""
    x = numbers[0]
    y = numbers[-1]
    result = math.nan
    try:
        match op:
            case "+":
                result = x + y
            case "-":
                result = x - y
            case "*":
                result = x * y
            case "/":
                result = x / y if y != 0 else math.nan
            case "neg":
                result = -x
            case "abs":
                result = abs(x)
            case "log":
                result = math.log(x) if x > 0 else math.nan
            case "sqrt":
                result = math.sqrt(x) if x >= 0 else math.nan
            case "sign":
                result = float((x > 0) - (x < 0))
            case "min":
                result = min(x, y)
            case "max":
                result = max(x, y)
    except OverflowError:
        result = math.inf
    if not math.isfinite(result):
        shown = ", ".join(number_text(number) for number in numbers)
        raise StrategyError(
            f"Expected arithmetic that has a value, was {op} of {shown}: it is never defined, so the rule could never fire."
        )
    return Number(result + 0.0)


@lru_cache(_CACHED)
def canonical_condition(condition: Condition) -> Condition:
    """The canonical spelling of a condition (idempotent)."""
    return _canonical(condition, False)


def _canonical(condition: Condition, negate: bool) -> Condition:
    if isinstance(condition, Not):
        return _canonical(condition.term, not negate)
    if isinstance(condition, Compare):
        return _canonical_comparison(condition, negate)
    if isinstance(condition, (And, Or)):
        kind: type[And] | type[Or] = And if isinstance(condition, And) != negate else Or
        terms: dict[Condition, None] = {}
        for term in condition.terms:
            settled = _canonical(term, negate)
            terms.update(dict.fromkeys(settled.terms if isinstance(settled, (And, Or)) and type(settled) is kind else (settled,)))
        if not terms:
            raise StrategyError(f"Expected terms in {type(condition).__name__.lower()}, was none: an empty condition says nothing.")
        if len(terms) == 1:
            return next(iter(terms))
        return kind(tuple(sorted(terms, key=condition_key)))
    raise StrategyError(f"Expected a condition (a comparison, not, and, or), was {condition!r}.")


def _canonical_comparison(condition: Compare, negate: bool) -> Condition:
    op = condition.op
    if op not in COMPARISONS:
        raise StrategyError(f"Expected a comparison ({', '.join(COMPARISONS)}), was {op!r}.")
    left, right = canonical_value(condition.left), canonical_value(condition.right)
    if value_key(right) < value_key(left):
        left, right, op = right, left, MIRRORED[op]
    if not negate:
        return Compare(op, left, right)
    return Compare(NEGATED[op], left, right) if op in NEGATED else Not(Compare(op, left, right))
