"""The text form: conditions, values and strategies as sentences that `parse` reads back.

What does not belong here: reading (`parsing`), and any decision about what is canonical.
"""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING

from strategy_pipeline.indicators.expressions import Arithmetic, Number, Series, Value
from strategy_pipeline.strategies.conditions import And, Compare, Condition, Not, Or

if TYPE_CHECKING:
    from strategy_pipeline.strategies.strategy import Level, Size, Strategy

_CACHED = 1 << 16
_SUM, _PRODUCT, _UNARY, _ATOM = range(4)
_BINDING = {"+": _SUM, "-": _SUM, "*": _PRODUCT, "/": _PRODUCT, "neg": _UNARY}


def number_text(number: float) -> str:
    """The shortest decimal that reads back as the same float: ``14``, ``0.03``, ``1e-07``."""
    text = repr(float(number))
    return text[:-2] if text.endswith(".0") else text


def percent_text(fraction: float) -> str:
    """``0.07`` as ``7%``: the decimal point moved exactly, so that it reads back as the same float."""
    shifted = Decimal(repr(float(fraction))).scaleb(2).normalize()
    return f"{shifted:f}%"


@lru_cache(_CACHED)
def value_text(value: Value) -> str:
    """The text of a value expression, with no more parentheses than needed."""
    if isinstance(value, Number):
        return number_text(value.value)
    if isinstance(value, Series):
        return _series_text(value)
    op, operands = value.op, value.operands
    if op not in _BINDING:
        return f"{op}({', '.join(map(value_text, operands))})"
    binding = _BINDING[op]
    if op == "neg":
        # -3 would read back as the number, so a negated number keeps its parentheses
        plain = not isinstance(operands[0], Number)
        return f"-{_within(operands[0], _UNARY)}" if plain else f"-({value_text(operands[0])})"
    left, right = operands
    return f"{_within(left, binding)} {op} {_within(right, binding + 1)}"


def _series_text(series: Series) -> str:
    text = series.name
    arguments = [value_text(term) for term in series.inputs] + [number_text(number) for number in series.params]
    if arguments:
        text += f"({', '.join(arguments)})"
    if series.output is not None:
        text += f".{series.output}" if arguments else f"().{series.output}"
    if series.timeframe is not None:
        text += f"@{series.timeframe}"
    if series.symbol is not None:
        text += f"@{series.symbol}"
    return text


def _within(value: Value, binding: int) -> str:
    own = _BINDING.get(value.op, _ATOM) if isinstance(value, Arithmetic) else _ATOM
    if isinstance(value, Number) and value.value < 0:
        own = _UNARY
    return value_text(value) if own >= binding else f"({value_text(value)})"


@lru_cache(_CACHED)
def condition_text(condition: Condition) -> str:
    """The text of a condition; ``or`` inside ``and`` and everything inside ``not`` keep parentheses."""
    if isinstance(condition, Compare):
        left, right = value_text(condition.left), value_text(condition.right)
        if condition.op.startswith("crosses"):
            return f"{condition.op}({left}, {right})"
        return f"{left} {condition.op} {right}"
    if isinstance(condition, Not):
        term = condition_text(condition.term)
        bare = isinstance(condition.term, Compare) and condition.term.op.startswith("crosses")
        return f"not {term}" if bare else f"not ({term})"
    if isinstance(condition, And):
        return " and ".join(_grouped(term) for term in condition.terms)
    return " or ".join(_grouped(term) for term in condition.terms)


def _grouped(term: Condition) -> str:
    text = condition_text(term)
    return f"({text})" if isinstance(term, (And, Or)) else text


def level_text(level: Level) -> str:
    """``3%`` or ``2 atr(14)``."""
    return percent_text(level.value) if level.kind == "percent" else f"{number_text(level.value)} atr({level.length})"


def size_text(size: Size) -> str:
    """``all_in``, ``fraction 25%``, ``volatility_target 15% of ...``, ``kelly 0.5``."""
    if size.kind == "all_in":
        return "all_in"
    if size.kind == "kelly":
        return f"kelly {number_text(size.value)}"
    text = f"{size.kind} {percent_text(size.value)}"
    return text if size.series is None else f"{text} of {value_text(size.series)}"


def strategy_text(strategy: Strategy) -> str:
    """The whole strategy, one statement a line, without a final newline."""
    legs = ", ".join(strategy.symbols) + (f" against {strategy.against}" if strategy.against is not None else "")
    lines = [f"{strategy.family} on {legs} {strategy.timeframe}"]
    if strategy.enter_long is not None:
        lines.append(f"enter long when {condition_text(strategy.enter_long)}")
    if strategy.enter_short is not None:
        lines.append(f"enter short when {condition_text(strategy.enter_short)}")
    both = strategy.enter_long is not None and strategy.enter_short is not None
    if not both or strategy.exit_long == strategy.exit_short:
        condition = strategy.exit_short if strategy.enter_long is None else strategy.exit_long
        if condition is not None:
            lines.append(f"exit when {condition_text(condition)}")
    else:
        if strategy.exit_long is not None:
            lines.append(f"exit long when {condition_text(strategy.exit_long)}")
        if strategy.exit_short is not None:
            lines.append(f"exit short when {condition_text(strategy.exit_short)}")
    names = ("stop", "take", "trail", "breakeven")
    limits = [f"{name} {level_text(level)}" for name in names if (level := getattr(strategy, name)) is not None]
    if strategy.hold is not None:
        limits.append(f"hold at most {strategy.hold} {'bar' if strategy.hold == 1 else 'bars'}")
    if strategy.cooldown is not None:
        limits.append(f"cooldown {strategy.cooldown} {'bar' if strategy.cooldown == 1 else 'bars'}")
    if limits:
        lines.append(", ".join(limits))
    lines.append(f"size {size_text(strategy.size)}")
    return "\n".join(lines)
