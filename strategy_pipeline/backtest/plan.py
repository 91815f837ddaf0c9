"""From strategies to tables: what a population needs, each thing once.

What belongs here: checking strategies, moving negations down to comparisons, numbering the distinct
literals, rules and series, and encoding each strategy as a row of numbers for the kernels. What does not:
evaluating anything.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from strategy_pipeline.backtest import bits, walk
from strategy_pipeline.errors import StrategyError
from strategy_pipeline.indicators import Number, Value
from strategy_pipeline.strategies import And, Compare, Condition, Level, Not, Strategy, atr_series, sizing_series

_OPS = {
    ">": bits.GREATER,
    "<": bits.LESS,
    ">=": bits.GREATER_EQUAL,
    "<=": bits.LESS_EQUAL,
    "crosses_above": bits.ABOVE,
    "crosses_below": bits.BELOW,
}
_NEGATED = {
    bits.GREATER: bits.LESS_EQUAL, bits.LESS: bits.GREATER_EQUAL, bits.GREATER_EQUAL: bits.LESS, bits.LESS_EQUAL: bits.GREATER,
    bits.ABOVE: bits.NOT_ABOVE, bits.BELOW: bits.NOT_BELOW,
}  # fmt: skip
# The same literal with its sides exchanged; the kernels know all, the plan keeps one of each pair.
_MIRRORED = {
    bits.LESS: bits.GREATER, bits.LESS_EQUAL: bits.GREATER_EQUAL, bits.BELOW: bits.ABOVE, bits.NOT_BELOW: bits.NOT_ABOVE,
}  # fmt: skip
_KINDS = {"percent": walk.PERCENT, "atr": walk.ATR}
_SIZES = {"all_in": walk.ALL_IN, "fraction": walk.FRACTION, "volatility_target": walk.VOLATILITY_TARGET, "kelly": walk.KELLY}
RULES = ("enter_long", "enter_short", "exit_long", "exit_short")
LEVELS = ("stop", "take", "trail", "breakeven")

Literal = tuple[int, int, int]  # op, left, right: indices into Plan.values


@dataclass(slots=True)
class Entry:
    """One strategy as numbers. Rules are indices into `Plan.programs`, series into `Plan.aux`."""

    strategy: Strategy
    id: str
    rules: list[int]  # of RULES
    literals: set[int]
    aux: dict[str, int]  # field -> index into Plan.aux
    symbols: tuple[int, ...]
    against: int | None = None  # the second leg's symbol


@dataclass(slots=True)
class Plan:
    """A population's distinct parts. A program is postfix over literals."""

    values: list[Value] = field(default_factory=list)
    literals: list[Literal] = field(default_factory=list)
    programs: list[tuple[int, ...]] = field(default_factory=list)
    aux: list[Value] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    depth: int = 1
    _literal_ids: dict[Literal, int] = field(default_factory=dict)
    _program_ids: dict[tuple[int, ...], int] = field(default_factory=dict)
    _aux_ids: dict[Value, int] = field(default_factory=dict)
    _value_ids: dict[Value, int] = field(default_factory=dict)

    def add(self, strategy: Strategy, id: str, symbols: tuple[int, ...], against: int | None = None) -> None:
        """Encode a checked strategy."""
        rules: list[int] = []
        literals: set[int] = set()
        for name in RULES:
            rule, used = self._rule(getattr(strategy, name))
            rules.append(rule)
            literals.update(step for step in used if step >= 0)
        aux = {}
        for name in LEVELS:
            level = getattr(strategy, name)
            if level is not None and level.kind == "atr":
                aux[name] = self._number(self._aux_ids, self.aux, atr_series(level))
        sigma = sizing_series(strategy)
        if sigma is not None:
            aux["size"] = self._number(self._aux_ids, self.aux, sigma)
        self.entries.append(Entry(strategy, id, rules, literals, aux, symbols, against))

    def _rule(self, condition: Condition | None) -> tuple[int, tuple[int, ...]]:
        program: list[int] = []
        if condition is not None:
            self.depth = max(self.depth, self._compile(condition, False, program))
        key = tuple(program)
        return self._number(self._program_ids, self.programs, key), key

    def _compile(self, condition: Condition, negate: bool, program: list[int]) -> int:
        """Append the postfix steps of `condition` (negated or not); the stack depth they need."""
        if isinstance(condition, Compare):
            op = _OPS[condition.op]
            op = _NEGATED[op] if negate else op
            left = self._number(self._value_ids, self.values, condition.left)
            right = self._number(self._value_ids, self.values, condition.right)
            literal = (_MIRRORED[op], right, left) if op in _MIRRORED else (op, left, right)
            program.append(self._number(self._literal_ids, self.literals, literal))
            return 1
        if isinstance(condition, Not):
            return self._compile(condition.term, not negate, program)
        step = bits.AND if isinstance(condition, And) != negate else bits.OR
        depth = 0
        for position, term in enumerate(condition.terms):
            depth = max(depth, min(position, 1) + self._compile(term, negate, program))
            if position:
                program.append(step)
        return depth

    @staticmethod
    def _number(ids: dict, items: list, item: object) -> int:
        found = ids.get(item)
        if found is None:
            found = ids[item] = len(items)
            items.append(item)
        return found

    def encode(self, entries: Sequence[Entry], rules: dict[int, int], aux: dict[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """The kernels' tables, int64 (n, N_INTS) and float64 (n, N_FLOATS), with rules and series renumbered."""
        ints = np.zeros((len(entries), walk.N_INTS), dtype=np.int64)
        floats = np.zeros((len(entries), walk.N_FLOATS))
        for row, entry in enumerate(entries):
            strategy = entry.strategy
            ints[row, walk.ENTER_LONG : walk.EXIT_SHORT + 1] = [rules[rule] for rule in entry.rules]
            for position, name in enumerate(LEVELS):
                level = getattr(strategy, name)
                if level is not None:
                    ints[row, walk.STOP_KIND + 2 * position] = _KINDS[level.kind]
                    ints[row, walk.STOP_ROW + 2 * position] = aux[entry.aux[name]] if name in entry.aux else 0
                    floats[row, walk.STOP_VALUE + position] = level.value
            ints[row, walk.HOLD] = strategy.hold or 0
            ints[row, walk.COOLDOWN] = strategy.cooldown or 0
            ints[row, walk.SIZE_KIND] = _SIZES[strategy.size.kind]
            ints[row, walk.SIZE_ROW] = aux[entry.aux["size"]] if "size" in entry.aux else 0
            floats[row, walk.SIZE_VALUE] = strategy.size.value
            ints[row, walk.AGAINST] = 0 if entry.against is None else entry.against + 1
        return ints, floats


def make_plan(strategies: Sequence[Strategy], symbols: tuple[str, ...], timeframe: str) -> Plan:
    """Check and encode a population. What is wrong with a strategy is in `.failures`, by id; equal ones count once."""
    plan = Plan()
    index = {symbol: position for position, symbol in enumerate(symbols)}
    every = tuple(range(len(symbols)))
    seen: set[str] = set()
    for position, strategy in enumerate(strategies):
        id = f"#{position}"
        try:
            if not isinstance(strategy, Strategy):
                raise StrategyError(f"Expected a Strategy, was {type(strategy).__name__}; parse its text first")
            id = strategy.id
            if id in seen:
                continue
            seen.add(id)
            check(strategy, timeframe)
            rows = every if strategy.symbols == ("*",) else tuple(sorted({_symbol(index, name) for name in strategy.symbols}))
            against = None if strategy.against is None else _symbol(index, strategy.against, "against")
            if against is not None:
                rows = tuple(row for row in rows if row != against)
                if not rows:
                    raise StrategyError(f"symbols: Expected symbols beside {strategy.against} in the bars, was none; there is no pair")
            plan.add(strategy, id, rows, against)
        except StrategyError as error:
            plan.failures[id] = f"strategy {id}: {error}"
    return plan


def check(strategy: Strategy, timeframe: str) -> None:
    """StrategyError, naming the field, where a strategy cannot be run on bars of `timeframe`."""
    if strategy.timeframe != timeframe:
        raise StrategyError(f"timeframe: Expected the bars' {timeframe}, was {strategy.timeframe}; give it bars of its own timeframe")
    if strategy.enter_long is None and strategy.enter_short is None:
        raise StrategyError("enter_long: Expected an entry on at least one side, was none; it can never trade; add one")
    for name in LEVELS:
        _check_level(name, getattr(strategy, name))
    if strategy.hold is not None and (strategy.hold != int(strategy.hold) or not 1 <= strategy.hold < 2**31):
        raise StrategyError(f"hold: Expected a whole number of bars of at least 1, was {strategy.hold}; correct it")
    size = strategy.size
    if size.kind not in _SIZES:
        raise StrategyError(f"size: Expected one of {', '.join(_SIZES)}, was {size.kind!r}; correct it")
    if size.kind != "all_in" and not (math.isfinite(size.value) and size.value > 0):
        raise StrategyError(f"size: Expected {size.kind} above 0, was {size.value}; correct it")
    if size.kind == "fraction" and size.value > 1:
        raise StrategyError(f"size: Expected a fraction of at most 1 (no leverage), was {size.value}; correct it")


def _check_level(name: str, level: Level | None) -> None:
    if level is None:
        return
    if level.kind not in _KINDS:
        raise StrategyError(f"{name}: Expected a distance in percent or atr, was {level.kind!r}; correct it")
    if not (math.isfinite(level.value) and level.value > 0):
        raise StrategyError(f"{name}: Expected a distance above 0, was {level.value}; it would close every position at once; correct it")
    if level.kind == "percent" and name not in ("take", "breakeven") and level.value >= 1:
        raise StrategyError(f"{name}: Expected a distance below 100%, was {level.value:.0%}; a price cannot fall that far; correct it")


def _symbol(index: dict[str, int], name: str, field: str = "symbols") -> int:
    if name not in index:
        known = ", ".join(list(index)[:5])
        raise StrategyError(f"{field}: Expected symbols of the bars ({known}, ...), was {name}; it has no prices; add it to the bars")
    return index[name]


def is_number(value: Value) -> bool:
    """Whether a value is a constant, which needs no series."""
    return isinstance(value, Number)
