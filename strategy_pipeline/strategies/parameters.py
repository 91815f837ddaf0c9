"""The numbers of a strategy that a search may turn: where they sit, what they are, how far they go.

A parameter's path says where it sits, e.g. ``enter_long.terms[0].left.length`` or ``stop``; strategies that differ in
their numbers only have the same paths. A series (or a threshold on the same value) that occurs several times is one
parameter, at its first place: a crossover that is entered and left on the same averages stays the same crossover.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from strategy_pipeline.errors import StrategyError
from strategy_pipeline.indicators.expressions import Arithmetic, Number, Series, Value
from strategy_pipeline.strategies.conditions import Compare, Condition, Not
from strategy_pipeline.strategies.kinds import kind_of
from strategy_pipeline.strategies.naming import near
from strategy_pipeline.strategies.needs import rules
from strategy_pipeline.strategies.strategy import Level, Size, Strategy
from strategy_pipeline.strategies.vocabulary import entry

Scale = Literal["linear", "log"]
_LEVEL_RANGES = {"stop": (0.005, 0.15), "take": (0.005, 0.5), "trail": (0.005, 0.2), "breakeven": (0.003, 0.2)}
_ATR_RANGE = (0.5, 10.0)
_ATR_LENGTHS = (5.0, 60.0)
_HOLD_RANGE = (1.0, 1000.0)
_COOLDOWN_RANGE = (1.0, 200.0)
_SIZE_RANGES: dict[str, tuple[float, float]] = {"fraction": (0.05, 1.0), "volatility_target": (0.03, 0.6), "kelly": (0.1, 1.0)}
_LAGS = (1.0, 200.0)
# Where thresholds are looked for, by unit; bounded units take the inner 90 % of their bounds.
_THRESHOLDS: dict[str, tuple[float, float, Scale]] = {
    "return": (-0.05, 0.05, "linear"),
    "percent": (-10.0, 10.0, "linear"),
    "volatility": (0.05, 3.0, "log"),
    "statistic": (-4.0, 4.0, "linear"),
    "angle": (-80.0, 80.0, "linear"),
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """A tunable number.

    path
        Where it sits: the key of `with_parameters`.
    name
        What to call it, for a person: ``ema.length``, ``rsi threshold``, ``stop``.
    kind
        "int" or "float".
    low, high
        The range to search, inclusive; it contains `value`.
    scale
        "linear" or "log": how to draw evenly between them.
    value
        What it is now.
    """

    path: str
    name: str
    kind: Literal["int", "float"]
    low: float
    high: float
    scale: Scale
    value: float


def parameters(strategy: Strategy) -> list[Parameter]:
    """Every tunable number of `strategy`, in reading order: indicator parameters, lags, thresholds, factors, then
    stop, take, trail, breakeven, hold, cooldown and size. A zero that only tells signs apart (``macd > 0``) is no parameter."""
    return list(_parameters(strategy))


@lru_cache(1 << 12)
def _parameters(strategy: Strategy) -> tuple[Parameter, ...]:
    found: dict[object, Parameter] = {}
    _changed(strategy, lambda key, parameter: found.setdefault(key, parameter).value)
    return tuple(found.values())


def with_parameters(strategy: Strategy, values: Mapping[str, float]) -> Strategy:
    """`strategy` with the numbers at the given paths replaced (others stay), in canonical form.

    Raises
    ------
    StrategyError
        A path does not exist, a whole number is not whole, or the number cannot be (a negative stop, a length of 0).
    """
    remaining = dict(values)
    owners: dict[object, str] = {}

    def change(key: object, parameter: Parameter) -> float:
        path = owners.setdefault(key, parameter.path)
        if path not in values:
            return parameter.value
        remaining.pop(path, None)
        number = float(values[path])
        if parameter.kind == "int" and number != round(number):
            raise StrategyError(f"Expected a whole number for {path} ({parameter.name}), was {number:g}; round it.")
        return number

    result = replace(strategy, **_changed(strategy, change))  # type: ignore[arg-type]
    if remaining:
        paths = [parameter.path for parameter in parameters(strategy)]
        path = next(iter(remaining))
        raise StrategyError(
            f"Expected a parameter path of the strategy, was {path!r}{near(path, paths)}; it has {', '.join(paths) or 'none'}."
        )
    return result


# Called with what identifies a number (equal keys are one parameter) and its parameter; returns the number to put there.
_Change = Callable[[object, Parameter], float]


def _changed(strategy: Strategy, change: _Change) -> dict[str, object]:
    """The strategy's fields that hold numbers, with the numbers that `change` gives; whatever stays the same is the same object."""
    new: dict[str, object] = {name: _condition(rule, name, change) for name, rule in rules(strategy).items()}
    for name in ("stop", "take", "trail", "breakeven"):
        level = getattr(strategy, name)
        if level is not None:
            new[name] = _level(name, level, change)
    if strategy.hold is not None:
        new["hold"] = int(change("hold", _number("hold", "hold (bars)", strategy.hold, *_HOLD_RANGE, "log", whole=True)))
    if strategy.cooldown is not None:
        parameter = _number("cooldown", "cooldown (bars)", strategy.cooldown, *_COOLDOWN_RANGE, "log", whole=True)
        new["cooldown"] = int(change("cooldown", parameter))
    new["size"] = _size(strategy.size, change)
    return new


def _number(path: str, name: str, value: float, low: float, high: float, scale: Scale, *, whole: bool = False) -> Parameter:
    low, high = min(low, value), max(high, value)
    return Parameter(path, name, "int" if whole else "float", low, high, "linear" if low <= 0 else scale, float(value))


def _level(name: str, level: Level, change: _Change) -> Level:
    if level.kind == "percent":
        return Level("percent", change(name, _number(name, name, level.value, *_LEVEL_RANGES[name], "log")))
    value = change(name, _number(name, f"{name} (ATR)", level.value, *_ATR_RANGE, "log"))
    # the stop's and the take's ATR are usually one and the same
    length = change(("atr", level.length), _number(f"{name}.length", "ATR length", level.length, *_ATR_LENGTHS, "log", whole=True))
    return Level("atr", value, int(length))


def _size(size: Size, change: _Change) -> Size:
    if size.kind == "all_in":
        return size
    value = change("size", _number("size", size.kind, size.value, *_SIZE_RANGES[size.kind], "linear" if size.kind == "kelly" else "log"))
    return Size(size.kind, value, None if size.series is None else _value(size.series, "size.series", change))


def _condition(condition: Condition, path: str, change: _Change) -> Condition:
    if isinstance(condition, Not):
        term = _condition(condition.term, f"{path}.term", change)
        return condition if term is condition.term else Not(term)
    if not isinstance(condition, Compare):
        terms = tuple([_condition(term, f"{path}.terms[{i}]", change) for i, term in enumerate(condition.terms)])
        return condition if _same(terms, condition.terms) else type(condition)(terms)
    left = _value(condition.left, f"{path}.left", change)
    right = condition.right
    if isinstance(right, Number) and not isinstance(condition.left, Number):
        threshold = _threshold(condition.left, right.value, f"{path}.right", change)
        right = right if threshold == right.value else Number(threshold)
    else:
        right = _value(right, f"{path}.right", change)
    return condition if left is condition.left and right is condition.right else Compare(condition.op, left, right)


def _same(new: tuple[object, ...], old: tuple[object, ...]) -> bool:
    return all(one is other for one, other in zip(new, old, strict=True))


def _threshold(value: Value, threshold: float, path: str, change: _Change) -> float:
    try:
        kind = kind_of(value)
    except StrategyError:
        return threshold
    name = f"{next(_names(value), 'value')} threshold"
    key = ("threshold", value, threshold)
    scale: Scale = "linear"
    if kind.bounded:
        margin = 0.05 * (kind.high - kind.low)
        low, high = kind.low + margin, kind.high - margin
    elif kind.unit in _THRESHOLDS:
        low, high, scale = _THRESHOLDS[kind.unit]
        low, high = max(low, kind.low), min(high, kind.high)
    elif kind.unit == "ratio" and kind.low == 0.0:
        low, high, scale = 0.1, 10.0, "log"
    elif threshold == 0.0:
        return threshold
    else:
        low, high = sorted((threshold / 4, threshold * 4))
        scale = "log" if low > 0 else "linear"
    return change(key, _number(path, name, threshold, low, high, scale))


def _names(value: Value) -> Iterator[str]:
    if isinstance(value, Series):
        yield value.name
    for term in getattr(value, "operands", ()):
        yield from _names(term)


def _value(value: Value, path: str, change: _Change) -> Value:
    if isinstance(value, Number):
        return value
    if isinstance(value, Series):
        indicator = entry(value.name)
        inputs = tuple([_value(term, f"{path}.inputs[{i}]", change) for i, term in enumerate(value.inputs)])
        same = _same(inputs, value.inputs)
        if indicator is None or not value.params:
            return value if same else Series(value.name, inputs, value.params, value.output, value.timeframe, value.symbol)
        # one computation with several outputs is still one set of numbers
        shared = value
        if value.output is not None:
            shared = Series(value.name, value.inputs, value.params, None, value.timeframe, value.symbol)
        params = []
        for declared, number in zip(indicator.params, value.params, strict=False):
            scale: Scale = "log" if declared.scale.startswith("log") else "linear"
            name = f"{value.name}.{declared.name}"
            parameter = _number(f"{path}.{declared.name}", name, number, declared.low, declared.high, scale, whole=declared.whole)
            changed = change((shared, declared.name), parameter)
            if not declared.minimum <= changed <= declared.maximum:
                limits = f"[{declared.minimum:g}, {declared.maximum:g}]"
                raise StrategyError(
                    f"Expected {name} within {limits}, was {changed:g}; its search range is {declared.low:g} to {declared.high:g}."
                )
            params.append(changed)
        if same and tuple(params) == value.params:
            return value
        return Series(value.name, inputs, tuple(params), value.output, value.timeframe, value.symbol)
    return _arithmetic(value, path, change)


def _arithmetic(value: Arithmetic, path: str, change: _Change) -> Value:
    terms: list[Value] = []
    for i, term in enumerate(value.operands):
        here = f"{path}.operands[{i}]"
        if not isinstance(term, Number):
            terms.append(_value(term, here, change))
        elif value.op in ("lag", "change"):
            number = change(("bars", value, i), _number(here, f"{value.op} (bars)", term.value, *_LAGS, "log", whole=True))
            terms.append(term if number == term.value else Number(number))
        elif value.op in ("*", "/") and term.value != 0.0:
            number = change(("factor", value, i), _factor(here, term.value))
            terms.append(term if number == term.value else Number(number))
        else:
            terms.append(term)
    return value if _same(tuple(terms), value.operands) else Arithmetic(value.op, tuple(terms))


def _factor(path: str, factor: float) -> Parameter:
    if abs(factor - 1.0) <= 0.25:  # a small distance from a level: 1.02 is searched between 0.9 and 1.1
        reach = max(5 * abs(factor - 1.0), 0.02)
        return _number(path, "factor", factor, max(1.0 - reach, 0.05), 1.0 + reach, "linear")
    low, high = sorted((factor / 4, factor * 4))
    return _number(path, "factor", factor, low, high, "log")
