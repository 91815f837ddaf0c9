"""What a value measures, and what may be compared with what.

Every value has a `Kind`: a unit of the catalog (`indicators.UNITS`), bounds, and whether its level depends on where
history starts. Arithmetic carries kinds along (price / price is a ratio, price - price a difference, an oscillator
divided by 100 an oscillator within narrower bounds); what has no plain unit is "mixed" and compares with anything
that has one. What does not belong here: names that are unknown (`validation`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

from strategy_pipeline.errors import StrategyError
from strategy_pipeline.indicators.expressions import Number, Series, Value
from strategy_pipeline.strategies.canonical import MIRRORED
from strategy_pipeline.strategies.conditions import Compare
from strategy_pipeline.strategies.vocabulary import entry
from strategy_pipeline.strategies.writing import condition_text, number_text, value_text

# In units of the quote or base currency: a bare number means something on one symbol only.
SCALED = frozenset({"price", "difference", "volume"})
# Dimensionless and unbounded: fractions and scores that may be compared with one another.
FREE = frozenset({"return", "volatility", "ratio", "statistic"})
NAMED = {
    "price": "a price", "difference": "a price difference", "return": "a return", "percent": "a percentage", "ratio": "a ratio",
    "oscillator": "an oscillator", "volatility": "a volatility", "probability": "a probability", "boolean": "a yes or no",
    "pattern": "a pattern score", "count": "a count", "angle": "an angle", "volume": "a volume", "statistic": "a statistic",
    "number": "a number", "mixed": "a mixture of units", "score": "a score", "rate": "a rate",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Kind:
    """A unit with bounds. `cumulative`: the level depends on where history starts, so only differences mean something."""

    unit: str
    low: float = -math.inf
    high: float = math.inf
    cumulative: bool = False

    @property
    def bounded(self) -> bool:
        """Whether both bounds are finite."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    def __str__(self) -> str:
        bounds = f" within [{self.low:g}, {self.high:g}]" if self.bounded else ""
        return NAMED.get(self.unit, self.unit) + bounds


_LEVEL = "Expected differences of a cumulative series in {}, was its level, which depends on where history starts; use change(x, n)."
PRICE = Kind("price", 0.0)
MIXED = Kind("mixed")
VOLUME = Kind("volume", 0.0)
FIELD_KINDS = {
    "open": PRICE, "high": PRICE, "low": PRICE, "close": PRICE,
    "volume": VOLUME, "quote_volume": VOLUME, "taker_buy_volume": VOLUME, "trades": Kind("count", 0.0),
}  # fmt: skip
# Named series by prefix, the longest match first.
SERIES_KINDS = {
    "forecast.return_": Kind("return"),
    "forecast.volatility_": Kind("volatility", 0.0),
    "forecast.up_": Kind("probability", 0.0, 1.0),
    "forecast.confidence_": Kind("probability", 0.0, 1.0),
    "forecast.familiar_": Kind("probability", 0.0, 1.0),
    "forecast.": Kind("ratio"),
    "familiar.": Kind("probability", 0.0, 1.0),
    "regime.": Kind("probability", 0.0, 1.0),
    "agent.": Kind("score", -1.0, 1.0),
    "vote.": Kind("score", -1.0, 1.0),
    "sentiment.score": Kind("score", -1.0, 1.0),
    "sentiment.mean": Kind("score", -1.0, 1.0),
    "sentiment.": Kind("statistic"),
    "macro.": Kind("statistic"),
    "book.bid": PRICE,
    "book.ask": PRICE,
    "book.bid_": VOLUME,
    "book.ask_": VOLUME,
    "feature.": Kind("statistic"),
}


def series_kind(name: str) -> Kind:
    """The kind of a named series, by its prefix; a plain statistic where the prefix says nothing."""
    matches = [prefix for prefix in SERIES_KINDS if name.startswith(prefix)]
    return SERIES_KINDS[max(matches, key=len)] if matches else Kind("statistic")


@lru_cache(1 << 15)
def kind_of(value: Value) -> Kind:
    """The kind of a value. StrategyError explains arithmetic that means nothing (a price plus a volume)."""
    if isinstance(value, Number):
        return Kind("number", value.value, value.value)
    if isinstance(value, Series):
        return _series_kind(value)
    kinds = [kind_of(term) for term in value.operands]
    return _arithmetic_kind(value, kinds)


def _series_kind(series: Series) -> Kind:
    if series.name in FIELD_KINDS:
        return FIELD_KINDS[series.name]
    indicator = entry(series.name)
    if indicator is None:
        return series_kind(series.name)
    declared = indicator.output(series.output)
    inputs = [kind_of(term) for term in series.inputs]
    cumulative = indicator.cumulative or any(kind.cumulative for kind in inputs)
    if declared.follows and inputs:
        return replace(inputs[0], cumulative=cumulative)
    if declared.unit in ("price", "difference") and inputs and inputs[0].unit != "price":
        unit = inputs[0].unit if declared.unit == "price" else ("difference" if inputs[0].unit == "difference" else "mixed")
        return Kind(unit, inputs[0].low, inputs[0].high, cumulative) if declared.unit == "price" else Kind(unit, cumulative=cumulative)
    return Kind(declared.unit, declared.low, declared.high, cumulative)


def _arithmetic_kind(value: Value, kinds: list[Kind]) -> Kind:
    op = getattr(value, "op", "")
    first = kinds[0]
    second = kinds[-1]
    match op:
        case "lag":
            return first
        case "change":
            return _difference(first, first)
        case "neg":
            return replace(first, low=-first.high, high=-first.low, unit="difference" if first.unit == "price" else first.unit)
        case "abs":
            low = max(first.low, -first.high, 0.0)
            return replace(first, low=low, high=max(abs(first.low), abs(first.high)))
        case "sign":
            return Kind("score", -1.0, 1.0)
        case "log" | "sqrt":
            return Kind("mixed" if first.unit in SCALED and op == "sqrt" else "ratio", cumulative=first.cumulative)
        case "+":
            return _sum(value, first, second)
        case "-":
            _same_scale(value, first, second)
            return _difference(first, second)
        case "min" | "max":
            _same_scale(value, first, second)
            pick: Callable[[float, float], float] = min if op == "min" else max
            unit = first.unit if second.unit == "number" else second.unit
            return Kind(unit, pick(first.low, second.low), pick(first.high, second.high), first.cumulative or second.cumulative)
        case "*":
            return _product(first, second)
        case _:
            return _quotient(first, second)


def _same_scale(value: Value, first: Kind, second: Kind) -> None:
    """Refuse to add or subtract what has different dimensions."""
    groups = [
        "price" if kind.unit in ("price", "difference") else kind.unit if kind.unit in SCALED | {"mixed", "number"} else "free"
        for kind in (first, second)
    ]
    if groups[0] != groups[1] and not {"mixed", "number"} & set(groups):
        raise StrategyError(
            f"Expected terms in one unit in {value_text(value)}, was {first} and {second}; divide one to make a ratio first."
        )


def _sum(value: Value, first: Kind, second: Kind) -> Kind:
    _same_scale(value, first, second)
    unit = _joint(first, second)
    return Kind(unit, first.low + second.low, first.high + second.high, first.cumulative or second.cumulative)


def _joint(first: Kind, second: Kind) -> str:
    units = {first.unit, second.unit} - {"number"}
    if len(units) == 1:
        return units.pop()
    if not units:
        return "number"
    if units == {"price", "difference"}:
        return "price"
    return "mixed" if units & (SCALED | {"mixed"}) else "ratio"


def _difference(first: Kind, second: Kind) -> Kind:
    # two cumulative levels share their unknown start, so it cancels
    cumulative = first.cumulative != second.cumulative
    low, high = first.low - second.high, first.high - second.low
    low, high = (-math.inf if math.isnan(low) else low), (math.inf if math.isnan(high) else high)
    if first.unit == second.unit == "price":
        return Kind("difference", cumulative=cumulative)
    if first.unit == second.unit and first.unit in ("oscillator", "probability", "boolean", "pattern", "score"):
        return Kind("ratio", low, high, cumulative)
    return Kind(_joint(first, second), low, high, cumulative)


def _product(first: Kind, second: Kind) -> Kind:
    cumulative = first.cumulative or second.cumulative
    for number, other in ((first, second), (second, first)):
        if number.unit == "number":
            ends = [number.low * other.low, number.low * other.high] if number.low else [0.0, 0.0]
            return Kind(other.unit, min(ends), max(ends), cumulative)
    if {first.unit, second.unit} & (SCALED | {"mixed"}):
        return Kind("mixed", cumulative=cumulative)
    return Kind("ratio", 0.0 if first.low >= 0 and second.low >= 0 else -math.inf, cumulative=cumulative)


def _quotient(first: Kind, second: Kind) -> Kind:
    cumulative = first.cumulative or second.cumulative
    if second.unit == "number":
        return _product(first, Kind("number", 1 / second.low, 1 / second.low)) if second.low else MIXED
    price_like = ("price", "difference")
    alike = first.unit == second.unit or (first.unit in price_like and second.unit in price_like)
    if alike or not {first.unit, second.unit} & (SCALED | {"mixed"}):
        return Kind("ratio", 0.0 if first.low >= 0 and second.low >= 0 else -math.inf, cumulative=cumulative)
    return Kind("mixed", cumulative=cumulative)


@lru_cache(1 << 15)
def comparison_problem(comparison: Compare, one_symbol: bool) -> str | None:
    """Why a comparison means nothing, in a sentence; None when it is sound.

    one_symbol
        Whether the strategy names a single symbol, so that a bare price level means something.
    """
    left, right = comparison.left, comparison.right
    if isinstance(left, Number) and isinstance(right, Number):
        return f"Expected a series in {_text(comparison)}, was two numbers: the answer never changes."
    if left == right:
        return f"Expected two different sides in {_text(comparison)}, was the same twice: the answer never changes."
    try:
        a, b = kind_of(left), kind_of(right)
    except StrategyError as error:
        return str(error)
    if isinstance(right, Number):
        return _threshold_problem(comparison.op, comparison, a, left, right.value, one_symbol)
    if isinstance(left, Number):
        return _threshold_problem(MIRRORED.get(comparison.op, comparison.op), comparison, b, right, left.value, one_symbol)
    if a.cumulative != b.cumulative:
        return _LEVEL.format(_text(comparison))
    return None if _comparable(a, b) else f"Expected two values in one unit in {_text(comparison)}, was {a} and {b}."


def _comparable(a: Kind, b: Kind) -> bool:
    if "mixed" in (a.unit, b.unit):
        return True
    if a.unit == "oscillator" == b.unit:
        return (a.low, a.high) == (b.low, b.high)
    return a.unit == b.unit or (a.unit in FREE and b.unit in FREE)


def _threshold_problem(op: str, whole: Compare, kind: Kind, value: Value, threshold: float, one_symbol: bool) -> str | None:
    """`op` and `value` are those of a comparison `whole` with its threshold on the right."""
    if kind.cumulative:
        return _LEVEL.format(_text(whole))
    if kind.unit in SCALED and threshold != 0 and not one_symbol and not _fixed_symbol(value):
        remedy = "compare it with another series, or name a single symbol"
        shown = number_text(threshold)
        return f"Expected {kind} against another one in {_text(whole)}, was against {shown}, which differs by symbol; {remedy}."
    outside = threshold < kind.low or threshold > kind.high
    never = (op == ">" and threshold >= kind.high) or (op == "<" and threshold <= kind.low)
    if outside or never:
        return f"Expected a threshold that {kind} can pass in {_text(whole)}, was {number_text(threshold)}: the answer never changes."
    return None


def _fixed_symbol(value: Value) -> bool:
    if isinstance(value, Number):
        return True
    if isinstance(value, Series):
        return value.symbol is not None or (bool(value.inputs) and all(map(_fixed_symbol, value.inputs)))
    return all(map(_fixed_symbol, value.operands))


def _text(comparison: Compare) -> str:
    return f"'{condition_text(comparison)}'"
