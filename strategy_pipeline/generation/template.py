"""A template: a sentence of the language with slots, and the strategies it stands for.

Numbers are written ``{fast}``, words ``<average>``. A template is parsed once for each choice of words; its numbers are
then put into the parsed tree, so drawing a strategy costs no parsing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from strategy_pipeline.errors import StrategyError
from strategy_pipeline.indicators.expressions import Arithmetic, Number, Series, Value
from strategy_pipeline.strategies.canonical import canonical_condition
from strategy_pipeline.strategies.conditions import Condition
from strategy_pipeline.strategies.parsing import parse_condition
from strategy_pipeline.strategies.traverse import map_values

RULES = ("enter_long", "enter_short", "exit_long", "exit_short")
_FIRST_SENTINEL = 7919.0


@dataclass(frozen=True, slots=True)
class Slot:
    """A number of a template: its name and the values it takes, ascending."""

    name: str
    values: tuple[float, ...]


def lengths(name: str, low: int, high: int, levels: int = 16) -> Slot:
    """Whole numbers of bars, spaced evenly in the logarithm."""
    ratio = math.log(high / low) / (levels - 1)
    return Slot(name, tuple(float(n) for n in sorted({round(low * math.exp(ratio * i)) for i in range(levels)})))


def levels(name: str, low: float, high: float, step: float) -> Slot:
    """Evenly spaced numbers from `low` to `high` inclusive."""
    count = round((high - low) / step)
    return Slot(name, tuple(round(low + step * i, 10) for i in range(count + 1)))


def choices(name: str, *values: float) -> Slot:
    """Exactly these numbers."""
    return Slot(name, tuple(float(value) for value in values))


@dataclass(frozen=True)
class Template:
    """A family of rules in one sentence.

    enter_long, enter_short, exit_long, exit_short
        Conditions with slots; without exits a trade ends by its time limit.
    slots
        The free numbers.
    derived
        Numbers that follow from them, e.g. ``slow = fast x ratio``.
    words
        Free words, each with its choices; the names in `context.WORDS` are filled in from the market instead.
    needs
        What the market must have: prefixes of named series (``forecast.return_``), ``symbols`` (two or more), or an
        optional field (``taker_buy_volume``).
    filtered
        Whether a general filter (trend strength, volume, regime) may be added to the entry.
    pair
        Whether it is traded as a pair, against the market's reference.
    """

    name: str
    family: str
    enter_long: str
    enter_short: str
    exit_long: str = ""
    exit_short: str = ""
    slots: tuple[Slot, ...] = ()
    derived: Mapping[str, Callable[[Mapping[str, float]], float]] = field(default_factory=dict)
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    filtered: bool = True
    pair: bool = False

    @property
    def word_names(self) -> tuple[str, ...]:
        """Names of the words its sentences use, sorted."""
        return tuple(sorted(set(re.findall(r"<(\w+)>", " ".join(getattr(self, rule) for rule in RULES)))))

    @property
    def number_names(self) -> tuple[str, ...]:
        """Names of its numbers: slots, then derived ones."""
        return (*(slot.name for slot in self.slots), *self.derived)

    @property
    def size(self) -> int:
        """How many settings of its numbers there are."""
        return math.prod(len(slot.values) for slot in self.slots)

    def numbers(self, chosen: Mapping[str, float]) -> dict[str, float]:
        """All numbers, derived ones included, from the chosen slot values."""
        values = dict(chosen)
        for name, make in self.derived.items():
            values[name] = make(values)
        return values


@lru_cache(1 << 12)
def _parsed(text: str) -> Condition:
    """The condition of a text; every search draws from templates anew, and their sentences are the same."""
    return parse_condition(text)


class Sentence:
    """A template with its words chosen: parsed, ready to take numbers."""

    def __init__(self, template: Template, words: Mapping[str, str]) -> None:
        self.template = template
        sentinels = {name: _FIRST_SENTINEL + 2 * i for i, name in enumerate(template.number_names)}
        self._rules: dict[str, tuple[Condition, tuple[str, ...]]] = {}
        self._made: dict[tuple[object, ...], Condition] = {}
        self._slots = {value: name for name, value in sentinels.items()}
        used: set[str] = set()
        for rule in RULES:
            text = getattr(template, rule)
            if not text:
                continue
            for word, chosen in words.items():
                text = text.replace(f"<{word}>", chosen)
            names = tuple(name for name in sentinels if f"{{{name}}}" in text)
            used.update(names)
            condition = _parsed(text.format(**{name: f"{value:.0f}" for name, value in sentinels.items()}))
            self._rules[rule] = (condition, names)
        unused = {slot.name for slot in template.slots} - used
        if unused and not template.derived:
            raise StrategyError(
                f"Expected every slot of template {template.name} in its sentences, was without {', '.join(sorted(unused))}."
            )

    def rule(self, name: str, numbers: Mapping[str, float]) -> Condition | None:
        """The condition of that rule with its numbers, canonical; None where the template has none."""
        if name not in self._rules:
            return None
        condition, names = self._rules[name]
        key = (name, *(numbers[slot] for slot in names))
        made = self._made.get(key)
        if made is None:
            made = canonical_condition(map_values(condition, lambda value: self._filled(value, numbers)))
            self._made[key] = made
        return made

    def _number(self, number: float, numbers: Mapping[str, float]) -> float:
        if number in self._slots:
            return numbers[self._slots[number]]
        if -number in self._slots:
            return -numbers[self._slots[-number]]
        return number

    def _filled(self, value: Value, numbers: Mapping[str, float]) -> Value:
        if isinstance(value, Number):
            return Number(self._number(value.value, numbers))
        if isinstance(value, Arithmetic):
            return Arithmetic(value.op, tuple(self._filled(term, numbers) for term in value.operands))
        inputs = tuple(self._filled(term, numbers) for term in value.inputs)
        params = tuple(self._number(number, numbers) for number in value.params)
        return Series(value.name, inputs, params, value.output, value.timeframe, value.symbol)
