"""From strategies to tables: what a population needs, each thing once.

What belongs here: checking strategies, moving negations down to comparisons, numbering the distinct literals, rules and
series, and the population as columns of numbers. What does not: evaluating anything.

Strategies share their parts as objects (`strategies.strategy`, `strategies.canonical`), so most of a population is told
apart by identity; equal parts that are different objects are found too, only slower.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import chain
from typing import Any, Generic, TypeVar, cast

import numpy as np

from strategy_pipeline.backtest import bits, walk
from strategy_pipeline.errors import StrategyError
from strategy_pipeline.indicators import Number, Value
from strategy_pipeline.strategies import And, Compare, Condition, Level, Not, Size, Strategy, atr_series, sizing_series

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

COLUMNS = (
    "rules", "kinds", "distances", "level_aux", "sizes", "size_values", "size_aux", "hold", "cooldown", "applies", "against",
)  # fmt: skip

Literal = tuple[int, int, int]  # op, left, right: indices into Plan.values
Key = TypeVar("Key", bound=Hashable)


class Numbers(Generic[Key]):
    """Distinct objects in the order they were first seen, each with its number."""

    def __init__(self) -> None:
        self.items: list[Key] = []
        self._known: dict[Key, int] = {}
        self.seen: dict[int, int] = {}  # by identity, which for most things spares comparing them
        self._alive: list[Key] = []  # whatever is known by identity, so that it stays its own

    def __call__(self, item: Key) -> int:
        try:
            return self.seen[id(item)]
        except KeyError:
            number = self.seen[id(item)] = self._known.setdefault(item, len(self.items))
            self._alive.append(item)
            if number == len(self.items):
                self.items.append(item)
            return number

    def column(self, items: Sequence[Key]) -> np.ndarray:
        """The number of each, intp (n,)."""
        identities = np.fromiter(map(id, items), np.int64, len(items))
        if len(items) and (identities == identities[0]).all():
            return np.full(len(items), self(items[0]), dtype=np.intp)
        _, first, place = np.unique(identities, return_index=True, return_inverse=True)
        numbers = np.empty(len(first), dtype=np.intp)
        for position in np.argsort(first).tolist():
            numbers[position] = self(items[first[position]])
        return numbers[place]


@dataclass(slots=True)
class Plan:
    """A population's distinct parts, and its strategies as columns (a row each).

    strategies, ids : those that can run as far as one can see from here; why others cannot is in `failures`, by id
    values, aux : distinct series, and ATRs and volatilities
    literals : distinct comparisons, int32 (n, 3): op and two of `values`, of which one may be a constant
    steps, offsets : programs in postfix order over literals, int32 and int64 (n_programs + 1,); number 0 is never true
    depth : of the stack they need
    rules : int32 (n, 4), a program for each of `RULES`
    kinds, distances, level_aux : int64, float64 and int32 (n, 4), for each of `LEVELS`; -1 is no ATR
    sizes, size_values, size_aux, hold, cooldown : (n,)
    applies : uint8 (n, n_symbols), which symbols a strategy trades
    against : int64 (n,), the symbol of a pair's second leg, -1 for none
    """

    strategies: list[Strategy]
    ids: list[str]
    failures: dict[str, str]
    values: list[Value]
    aux: list[Value]
    literals: np.ndarray
    steps: np.ndarray
    offsets: np.ndarray
    depth: int
    rules: np.ndarray
    kinds: np.ndarray
    distances: np.ndarray
    level_aux: np.ndarray
    sizes: np.ndarray
    size_values: np.ndarray
    size_aux: np.ndarray
    hold: np.ndarray
    cooldown: np.ndarray
    applies: np.ndarray
    against: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def keep(self, rows: np.ndarray) -> None:
        """Drop all strategies but `rows` (bool, or ascending numbers)."""
        chosen = np.flatnonzero(rows) if rows.dtype == bool else rows
        self.strategies = [self.strategies[row] for row in chosen]
        self.ids = [self.ids[row] for row in chosen]
        for name in COLUMNS:
            setattr(self, name, getattr(self, name)[chosen])

    def part(self, rows: np.ndarray) -> Plan:
        """A plan of some strategies with what they need, of the same values and series; failures are its own."""
        part = copy(self)
        part.failures = {}
        part.keep(rows)
        programs = np.union1d([0], part.rules)
        part.rules = np.searchsorted(programs, part.rules).astype(np.int32)
        steps = [self.steps[self.offsets[p] : self.offsets[p + 1]] for p in programs]
        used = self.literals_of(programs)
        flat = np.concatenate([self.steps[:0], *steps])
        part.steps = np.where(flat >= 0, np.searchsorted(used, flat), flat).astype(np.int32)
        part.offsets = np.cumsum([0, *map(len, steps)], dtype=np.int64)
        part.literals = self.literals[used]
        return part

    def series_of(self, rows: np.ndarray) -> np.ndarray:
        """Which of `aux` some strategies read, int32 (len(rows), 5), -1 for none."""
        return np.column_stack([self.level_aux[rows], self.size_aux[rows]])

    def literals_of(self, programs: np.ndarray) -> np.ndarray:
        """Distinct literals of some programs, ascending."""
        steps = np.concatenate([self.steps[:0], *[self.steps[self.offsets[p] : self.offsets[p + 1]] for p in np.unique(programs)]])
        return np.unique(steps[steps >= 0])

    def literal_uses(self) -> np.ndarray:
        """How many strategies' rules read each literal, int64 (n_literals,); a strategy counts once a rule."""
        per_program = np.bincount(self.rules.ravel(), minlength=len(self.offsets) - 1)
        per_step = np.repeat(per_program, np.diff(self.offsets))
        literal = self.steps >= 0
        return np.bincount(self.steps[literal], weights=per_step[literal], minlength=len(self.literals)).astype(np.int64)

    def encode(self, rows: np.ndarray, aux: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The kernels' tables of some strategies, int64 (n, N_INTS) and float64 (n, N_FLOATS); `aux` renumbers the series."""
        ints = np.zeros((len(rows), walk.N_INTS), dtype=np.int64)
        floats = np.zeros((len(rows), walk.N_FLOATS))
        ints[:, walk.ENTER_LONG : walk.EXIT_SHORT + 1] = self.rules[rows]
        ints[:, walk.STOP_KIND : walk.STOP_KIND + 2 * len(LEVELS) : 2] = self.kinds[rows]
        series = self.level_aux[rows]
        ints[:, walk.STOP_ROW : walk.STOP_ROW + 2 * len(LEVELS) : 2] = np.where(series >= 0, aux[series], 0)
        floats[:, walk.STOP_VALUE : walk.STOP_VALUE + len(LEVELS)] = self.distances[rows]
        ints[:, walk.HOLD], ints[:, walk.COOLDOWN] = self.hold[rows], self.cooldown[rows]
        ints[:, walk.SIZE_KIND] = self.sizes[rows]
        ints[:, walk.SIZE_ROW] = np.where(self.size_aux[rows] >= 0, aux[self.size_aux[rows]], 0)
        floats[:, walk.SIZE_VALUE] = self.size_values[rows]
        ints[:, walk.AGAINST] = self.against[rows] + 1
        return ints, floats


def make_plan(strategies: Sequence[Strategy], symbols: tuple[str, ...], timeframe: str) -> Plan:
    """Check and encode a population. What is wrong with a strategy is in `.failures`, by id; equal ones count once."""
    kept, ids, failures = _accept(strategies, symbols, timeframe)
    n = len(kept)
    universes: Numbers[tuple[str, ...]] = Numbers()
    universe = universes.column([one.symbols for one in kept])
    masks = np.array([[names == ("*",) or symbol in names for symbol in symbols] for names in universes.items], dtype=np.uint8)
    applies = np.ascontiguousarray(masks.reshape(-1, len(symbols))[universe])
    against = np.array([-1 if one.against is None else symbols.index(one.against) for one in kept], dtype=np.int64)
    paired = np.flatnonzero(against >= 0)
    applies[paired, against[paired]] = 0
    rules, levels, sizes, aux = _Rules(), Numbers[Level | None](), Numbers[Size](), Numbers[Value]()
    programs = np.array([rules.column([getattr(one, name) for one in kept]) for name in RULES], dtype=np.int32)
    level = np.array([levels.column([getattr(one, name) for one in kept]) for name in LEVELS], dtype=np.intp)
    size = sizes.column([one.size for one in kept])
    kinds, distances, level_aux = _columns([_level_numbers(one, aux) for one in levels.items])
    # A volatility is the strategy's own only through its size and timeframe, and all strategies here have one timeframe.
    size_kinds, size_values, size_aux = _columns(
        [_size_numbers(one, kept[int(np.argmax(size == k))], aux) for k, one in enumerate(sizes.items)]
    )
    return Plan(
        strategies=kept,
        ids=ids,
        failures=failures,
        applies=applies,
        against=against,
        values=rules.values.items,
        literals=np.fromiter(chain.from_iterable(rules.literals), np.int32).reshape(-1, 3),
        steps=np.fromiter(chain.from_iterable(rules.programs), np.int32),
        offsets=np.cumsum([0, *map(len, rules.programs)], dtype=np.int64),
        depth=rules.depth,
        rules=np.ascontiguousarray(programs.T),
        kinds=kinds.astype(np.int64)[level].T,
        distances=distances[level].T,
        level_aux=level_aux.astype(np.int32)[level].T,
        sizes=size_kinds.astype(np.int64)[size],
        size_values=size_values[size],
        size_aux=size_aux.astype(np.int32)[size],
        hold=np.fromiter((one.hold or 0 for one in kept), np.int64, n),
        cooldown=np.fromiter((one.cooldown or 0 for one in kept), np.int64, n),
        aux=aux.items,
    )


def _accept(strategies: Sequence[Strategy], symbols: tuple[str, ...], timeframe: str) -> tuple[list[Strategy], list[str], dict[str, str]]:
    """Strategies that can be encoded, with their ids, and why others cannot."""
    known = set(symbols)
    kept: list[Strategy] = []
    ids: list[str] = []
    failures: dict[str, str] = {}
    seen: set[str] = set()
    checked: set[tuple[Any, ...]] = set()  # identities of parts that stay alive with the strategies
    for position, strategy in enumerate(strategies):
        if not isinstance(strategy, Strategy):
            failures[f"#{position}"] = f"strategy #{position}: Expected a Strategy, was {type(strategy).__name__}; parse its text first"
            continue
        try:
            id_ = strategy.id
        except (AttributeError, TypeError, ValueError) as error:  # a record that was changed after it was checked
            failures[f"#{position}"] = (
                f"strategy #{position}: Expected a whole strategy, was one that cannot be read ({error}); build it anew"
            )
            continue
        if id_ in seen:
            continue
        seen.add(id_)
        levels = (id(strategy.stop), id(strategy.take), id(strategy.trail), id(strategy.breakeven), id(strategy.size))
        parts = (id(strategy.timeframe), id(strategy.symbols), strategy.against, strategy.hold, *levels)
        if parts not in checked:
            try:
                check(strategy, timeframe)
                _check_symbols("symbols", strategy.symbols, known, symbols)
                if strategy.against is not None:
                    _check_symbols("against", (strategy.against,), known, symbols)
                    if known == {strategy.against} or strategy.symbols == (strategy.against,):
                        raise StrategyError(f"symbols: Expected symbols beside {strategy.against} in the bars, was none; there is no pair")
            except StrategyError as error:
                failures[id_] = f"strategy {id_}: {error}"
                continue
            checked.add(parts)
        kept.append(strategy)
        ids.append(id_)
    return kept, ids, failures


class _Rules:
    """Conditions to programs, each distinct one once. The empty program, of a rule that is absent, is number 0."""

    def __init__(self) -> None:
        self.values: Numbers[Value] = Numbers()
        self.literals: dict[Literal, int] = {}
        self.programs: dict[tuple[int, ...], int] = {(): 0}
        self.depth = 1
        self._known: dict[int, int] = {id(None): 0}  # by identity: conditions stay alive with their strategies

    def column(self, conditions: Sequence[Condition | None]) -> list[int]:
        """The program of each."""
        known, out = self._known, []
        values, seen, literals, programs = self.values, self.values.seen, self.literals, self.programs
        for condition in conditions:
            number = known.get(id(condition))
            if number is None:
                if type(condition) is Compare:  # most of a population; the same as `_program`, without its calls
                    op, x, y = _OPS[condition.op], condition.left, condition.right
                    left = seen[id(x)] if id(x) in seen else values(x)
                    right = seen[id(y)] if id(y) in seen else values(y)
                    literal = (_MIRRORED[op], right, left) if op in _MIRRORED else (op, left, right)
                    number = programs.setdefault((literals.setdefault(literal, len(literals)),), len(programs))
                else:
                    number = self._program(cast(Condition, condition))
                known[id(condition)] = number
            out.append(number)
        return out

    def _program(self, condition: Condition) -> int:
        program: list[int] = []
        self.depth = max(self.depth, self._compile(condition, False, program))
        return self.programs.setdefault(tuple(program), len(self.programs))

    def _compile(self, condition: Condition, negate: bool, program: list[int]) -> int:
        """Append the postfix steps of `condition` (negated or not); the stack depth they need."""
        if isinstance(condition, Compare):
            op = _OPS[condition.op]
            op = _NEGATED[op] if negate else op
            left, right = self.values(condition.left), self.values(condition.right)
            literal = (_MIRRORED[op], right, left) if op in _MIRRORED else (op, left, right)
            program.append(self.literals.setdefault(literal, len(self.literals)))
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


def _columns(rows: list[tuple[float, float, float]]) -> np.ndarray:
    return np.array(rows, dtype=np.float64).reshape(-1, 3).T


def _level_numbers(level: Level | None, aux: Numbers[Value]) -> tuple[float, float, float]:
    """Kind, distance and ATR series of a level."""
    if level is None:
        return walk.NONE, 0.0, -1
    return _KINDS[level.kind], level.value, aux(atr_series(level)) if level.kind == "atr" else -1


def _size_numbers(size: Size, of: Strategy, aux: Numbers[Value]) -> tuple[float, float, float]:
    """Kind, value and volatility series of a size."""
    sigma = sizing_series(of)
    return _SIZES[size.kind], size.value, -1 if sigma is None else aux(sigma)


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


def _check_symbols(field: str, names: tuple[str, ...], known: set[str], symbols: tuple[str, ...]) -> None:
    for name in names:
        if name not in known and names != ("*",):
            shown = ", ".join(symbols[:5])
            raise StrategyError(f"{field}: Expected symbols of the bars ({shown}, ...), was {name}; it has no prices; add it to the bars")


def is_number(value: Value) -> bool:
    """Whether a value is a constant, which needs no series."""
    return isinstance(value, Number)
