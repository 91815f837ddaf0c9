"""The fast engine: bank, bit-packed conditions, rules, event walk, streaming metrics.

What belongs here: the order of work for a population. Each distinct series and literal is computed once;
strategies go through in blocks whose bit rows fit a fixed budget, and through a block in tiles, one thread a
tile. A strategy's numbers depend on nothing but itself and the bars, so neither blocks, tiles nor threads
change a bit of the result.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from strategy_pipeline.backtest import bits, tile
from strategy_pipeline.backtest.arena import Arena, frozen, make_arena
from strategy_pipeline.backtest.costs import Costs
from strategy_pipeline.backtest.metrics import HEADLINE_METRICS, METRICS
from strategy_pipeline.backtest.plan import RULES, Entry, Literal, Plan, is_number, make_plan
from strategy_pipeline.backtest.ranges import no_tables, range_tables
from strategy_pipeline.backtest.result import BacktestResult
from strategy_pipeline.backtest.streaming import N_SUMS
from strategy_pipeline.backtest.terms import Terms, make_terms
from strategy_pipeline.compute import map_shards, worker_count
from strategy_pipeline.errors import PipelineError, SettingsError, StrategyError
from strategy_pipeline.indicators import Bank, Number, Value
from strategy_pipeline.market import Bars
from strategy_pipeline.strategies import Strategy

BLOCK_BYTES = 96 << 20  # bit rows alive at once
BANK_BYTES = 384 << 20  # series alive at once
AUX_BYTES = 128 << 20  # ATRs and volatilities kept at once, and those of a block
SERIES_AT_ONCE, SERIES_BYTES = 512, 256 << 20  # sides of the literals compared at once


def backtest(
    strategies: Sequence[Strategy],
    bars: Bars,
    *,
    costs: Costs | None = None,
    fill: str = "next_open",
    series: Mapping[str, np.ndarray] | None = None,
    start: Any = None,
    end: Any = None,
    metrics: Sequence[str] | None = None,
    workers: int = 0,
    funding: str | np.ndarray | None = None,
    delay: int = 0,
) -> BacktestResult:
    """Run a population of strategies on bars; semantics as in `reference`.

    Parameters
    ----------
    strategies : Strategy objects; equal ones count once. ``on *`` runs on every symbol, others on theirs.
    bars : Bars, of the strategies' timeframe
    costs : None is ``Costs()``: 10 bp fee and 5 bp slippage a side
    fill : ``next_open`` (decide at the close of t, fill at the open of t + 1) or ``close`` (fill at that close)
    series : named series, e.g. ``{"forecast.return_24h": array of shape (n_symbols, n_bars)}``
    start, end : half-open range of bar opens in which to trade; indicators warm up on the bars before
    metrics : the columns of ``.metrics`` wanted; None is every name of `METRICS`. Where all are among
        `HEADLINE_METRICS`, only their sums are computed, for all-in positions in a few look-ups a trade, and the rest
        (``.daily_returns``, ``.pooled``, ``.summary``) by a second run when first asked for. The numbers are the same to
        rounding.
    workers : threads; 0 is one per core. Results do not depend on it.
    funding : rates that positions pay at the opening of a bar, as fractions of their value there, positive where longs pay:
        float64 (n_symbols, n_bars) or a name in `series`; NaN and None are none. `terms.funding_rates` makes it of observations
    delay : bars later that what signals decide fills (a stress of latency); levels and sizes are those of the decision

    Raises
    ------
    StrategyError
        The population is empty. What is wrong with a single strategy is in ``.failures`` instead.
    SettingsError, NoDataError, InvalidBarsError
        An unknown fill or metric, funding or a delay that cannot be; an empty range; half-missing or non-positive prices.
    """
    if isinstance(strategies, Strategy):
        strategies = [strategies]
    if not len(strategies):
        raise StrategyError("Expected at least one strategy, was none; nothing to backtest; generate or parse some first")
    unknown = [name for name in metrics or () if name not in METRICS]
    if unknown:
        raise SettingsError(f"Expected metrics among {', '.join(METRICS)}, was {unknown[0]!r}; correct it")
    full = not metrics or not set(metrics) <= set(HEADLINE_METRICS)
    costs = costs or Costs()
    arena = make_arena(bars, start, end)
    ranges = no_tables(len(bars.symbols)) if full else range_tables(arena.marks, arena.benchmark, arena.spans[:, tile.SPAN_START :])
    terms = make_terms(arena, costs, fill, delay, funding, series)
    plan = make_plan(strategies, bars.symbols, bars.timeframe)
    source = _Source(Bank(bars, series=series, workers=workers, max_bytes=BANK_BYTES), plan)
    entries = [entry for entry in plan.entries if not source.blames(entry)]
    sums = np.full((len(entries), len(bars.symbols), N_SUMS), np.nan)
    daily = np.zeros((len(entries), len(arena.days) if full else 0))
    applies = np.zeros((len(entries), len(bars.symbols)), dtype=np.uint8)
    for row, entry in enumerate(entries):
        applies[row, list(entry.symbols)] = 1
    threads = worker_count(workers)
    for block in source.blocks(entries):
        tables = source.tables([entries[row] for row in block])
        rows = frozen(np.asarray(block, dtype=np.int64))
        size = max(1, min(64, -(-len(block) // (4 * threads))))
        cuts = [(first, min(first + size, len(block))) for first in range(0, len(block), size)]
        map_shards(partial(_run, arena, ranges, tables, terms, rows, frozen(applies), sums, daily), cuts, workers=workers)
    return BacktestResult(entries, plan.failures, arena, sums, daily, applies, terms, series, (start, end), tuple(metrics or METRICS))


def capture(strategy: Strategy, arena: Arena, terms: Terms, series: Any) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """The trades of one strategy on each symbol, as `tile.capture` gives them; on every symbol, also those it does not name."""
    bars = arena.bars
    plan = make_plan([strategy], bars.symbols, bars.timeframe)
    source = _Source(Bank(bars, series=series, workers=1, max_bytes=BANK_BYTES), plan)
    t = source.tables(plan.entries)
    return [
        tile.capture(
            t.rows, t.steps, t.offsets, t.depth, t.ints, t.floats, t.aux, bars.open, arena.high, arena.low, bars.close, arena.marks,
            arena.next_bar, arena.present, arena.spans, terms.costs.table, terms.slips, arena.traded_value, terms.carry, terms.traced,
            terms.at_close, terms.costs.market_targets, terms.delay, symbol,
        )
        for symbol in range(len(bars.symbols))
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tables:
    """A block of strategies as the kernels read it."""

    rows: np.ndarray
    steps: np.ndarray
    offsets: np.ndarray
    depth: int
    ints: np.ndarray
    floats: np.ndarray
    aux: np.ndarray


def _run(
    arena: Arena, ranges: tuple[np.ndarray, np.ndarray, np.ndarray], t: Tables, terms: Terms,
    rows: np.ndarray, applies: np.ndarray, sums: np.ndarray, daily: np.ndarray, cut: tuple[int, int],
) -> None:  # fmt: skip
    bars = arena.bars
    full = ranges[0].shape[1] == 0
    tile.run_tile(
        t.rows, t.steps, t.offsets, t.depth, t.ints, t.floats, rows, applies, t.aux, bars.open, arena.high, arena.low, bars.close,
        arena.marks, arena.log_marks, arena.benchmark, arena.benchmark_square, arena.traded_value, arena.next_bar, arena.present,
        arena.spans, arena.day_last, *ranges, full, terms.costs.table, terms.slips, terms.carry, terms.traced, terms.at_close,
        terms.costs.market_targets, terms.delay, *cut, sums, daily,
    )  # fmt: skip


@dataclass
class _Source:
    """Series and bit rows of a plan, each evaluated once and kept only while a later block needs it."""

    bank: Bank
    plan: Plan
    errors: dict[Value, PipelineError] = field(default_factory=dict)
    _rows: dict[int, np.ndarray] = field(default_factory=dict)
    _uses: Counter[int] = field(default_factory=Counter)
    _aux: dict[int, np.ndarray] = field(default_factory=dict)
    _aux_uses: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """Evaluate every literal, in the order that keeps series of one kind together, and see that every ATR and
        volatility can be had."""
        self._uses.update(literal for entry in self.plan.entries for literal in entry.literals)
        self._aux_uses.update(one for entry in self.plan.entries for one in set(entry.aux.values()))
        values, literals = self.plan.values, self.plan.literals
        names = [str(value) for value in values]
        order = sorted(range(len(literals)), key=lambda i: (names[_lead(literals[i], values)], i))
        chosen: list[int] = []
        sides: set[int] = set()
        at_once = max(2, min(SERIES_AT_ONCE, SERIES_BYTES // max(1, self.bank.bars.close.nbytes)))
        for i in order:
            more = {side for side in literals[i][1:] if not is_number(values[side])} - sides
            if chosen and len(sides) + len(more) > at_once:
                self._evaluate(chosen)
                chosen, sides = [], set()
            chosen.append(i)
            sides |= more
        self._evaluate(chosen)
        for position, value in enumerate(self.plan.aux):
            found = self._series([value]).get(value)
            if found is not None:
                self._have_aux(position, found)

    def blames(self, entry: Entry) -> bool:
        """Record why a strategy cannot run, if a series of its cannot be had."""
        if not self.errors:
            return False
        for name, position in entry.aux.items():
            if self.plan.aux[position] in self.errors:
                return self._blame(entry, name, self.errors[self.plan.aux[position]])
        for name, rule in zip(RULES, entry.rules, strict=True):
            for step in self.plan.programs[rule]:
                if step >= 0 and step not in self._rows:
                    left, right = (self.plan.values[side] for side in self.plan.literals[step][1:])
                    return self._blame(entry, name, self.errors[left if left in self.errors else right])
        return False

    def _blame(self, entry: Entry, name: str, error: PipelineError) -> bool:
        self.plan.failures[entry.id] = f"strategy {entry.id}: {name}: {error}"
        self._forget(entry)
        return True

    def blocks(self, entries: Sequence[Entry]) -> Iterator[list[int]]:
        """Positions of strategies whose distinct bit rows, ATRs and volatilities fit the budgets, a block at a time.

        Strategies that read the same ATRs and volatilities come together, so that few of these are alive at once.
        """
        row_bytes = next((row.nbytes for row in self._rows.values()), 1)
        aux_bytes = self.bank.bars.close.nbytes
        order = sorted(range(len(entries)), key=lambda row: (sorted(entries[row].aux.values()), row))
        block: list[int] = []
        literals: set[int] = set()
        aux: set[int] = set()
        for row in order:
            entry = entries[row]
            new_literals, new_aux = entry.literals - literals, set(entry.aux.values()) - aux
            rows_fit = (len(literals) + len(new_literals)) * row_bytes <= BLOCK_BYTES
            if block and not (rows_fit and (len(aux) + len(new_aux)) * aux_bytes <= AUX_BYTES):
                yield block
                for done in block:
                    self._forget(entries[done])
                block, literals, aux = [], set(), set()
                new_literals, new_aux = entry.literals, set(entry.aux.values())
            block.append(row)
            literals |= new_literals
            aux |= new_aux
        if block:
            yield block

    def tables(self, block: Sequence[Entry]) -> Tables:
        """What the kernels read for a block, with its literals, rules and series renumbered from 0."""
        literals = {old: new for new, old in enumerate(sorted({literal for entry in block for literal in entry.literals}))}
        rules = {old: new for new, old in enumerate(sorted({rule for entry in block for rule in entry.rules}))}
        aux = {old: new for new, old in enumerate(sorted({one for entry in block for one in entry.aux.values()}))}
        programs = [[literals[step] if step >= 0 else step for step in self.plan.programs[rule]] for rule in rules]
        n_symbols, n_bars = self.bank.bars.close.shape
        rows = np.zeros((max(1, len(literals)), n_symbols, -(-n_bars // 64)), dtype=np.uint64)
        for old, new in literals.items():
            rows[new] = self._rows[old]
        series = np.full((max(1, len(aux)), n_symbols, n_bars), np.nan)
        for old, new in aux.items():
            series[new] = self._aux[old] if old in self._aux else self.bank.evaluate(self.plan.aux[old])
        offsets = np.concatenate([[0], np.cumsum([len(program) for program in programs])]).astype(np.int64)
        steps = np.array([step for program in programs for step in program], dtype=np.int32)
        ints, floats = self.plan.encode(block, rules, aux)
        return Tables(frozen(rows), frozen(steps), frozen(offsets), self.plan.depth, frozen(ints), frozen(floats), frozen(series))

    def _have_aux(self, position: int, found: np.ndarray) -> None:
        """Keep a series for the blocks to come while the budget lasts; beyond it the bank computes it again."""
        if (len(self._aux) + 1) * found.nbytes <= AUX_BYTES:
            self._aux[position] = found

    def _forget(self, entry: Entry) -> None:
        for uses, kept, keys in ((self._uses, self._rows, entry.literals), (self._aux_uses, self._aux, set(entry.aux.values()))):
            for key in keys:
                uses[key] -= 1
                if uses[key] == 0:
                    kept.pop(key, None)

    def _evaluate(self, chosen: Sequence[int]) -> None:
        """Fill the bit rows of some literals, on threads."""
        values = self.plan.values
        literals: list[Literal] = [self.plan.literals[i] for i in chosen]
        needed = list(dict.fromkeys(side for _, *sides in literals for side in sides if not is_number(values[side])))
        found = self._series([values[side] for side in needed])
        arrays = {side: found[values[side]] for side in needed if values[side] in found}
        known: dict[int, np.ndarray] = {}
        shape = (self.bank.bars.close.shape[0], -(-self.bank.bars.close.shape[1] // 64))
        work: list[tuple[np.ndarray, ...] | tuple[Any, ...]] = []
        crossings = {literal[1:]: i for i, literal in zip(chosen, literals, strict=True) if literal[0] == bits.ABOVE}
        for i, (op, left, right) in zip(chosen, literals, strict=True):
            missing = any(not is_number(values[side]) and side not in arrays for side in (left, right))
            if missing or i in self._rows:
                continue
            self._rows[i] = np.empty(shape, dtype=np.uint64)
            twin = crossings.get((right, left)) if op == bits.ABOVE and left in arrays and right in arrays and left != right else None
            if twin is not None and twin not in self._rows:
                self._rows[twin] = np.empty(shape, dtype=np.uint64)
                for side in (left, right):
                    if side not in known:
                        known[side] = bits.pack(~np.isnan(arrays[side]))
                work.append((arrays[left], arrays[right], (known[left], known[right]), self._rows[i], self._rows[twin]))
                continue
            full = is_number(values[left]) and is_number(values[right])  # one side must have bars
            work.append((op, self._side(left, arrays, full), self._side(right, arrays), self._rows[i]))
        size = max(16, -(-len(work) // (8 * worker_count(self.bank.workers))))
        map_shards(_compare_all, [work[k : k + size] for k in range(0, len(work), size)], workers=self.bank.workers)

    def _side(self, side: int, arrays: Mapping[int, np.ndarray], full: bool = False) -> np.ndarray:
        value = self.plan.values[side]
        if isinstance(value, Number):
            return frozen(np.full(self.bank.bars.close.shape if full else (1, 64), value.value))
        return arrays[side]

    def _series(self, values: Sequence[Value]) -> dict[Value, np.ndarray]:
        """The series of values; those that cannot be had are in `errors`, by the value asked for."""
        try:
            return dict(zip(values, map(frozen, self.bank.evaluate_many(values)), strict=True))
        except PipelineError:
            found = {}
            for value in values:
                try:
                    found[value] = frozen(self.bank.evaluate(value))
                except PipelineError as error:
                    self.errors[value] = error
            return found


def _compare_all(work: Sequence[tuple[Any, ...]]) -> None:
    for one in work:
        if len(one) == 5:
            left, right, (known, also), above, below = one
            bits.cross_both(left, right, known & also, above, below)
        else:
            bits.compare(*one)


def _lead(literal: Literal, values: Sequence[Value]) -> int:
    return literal[2] if is_number(values[literal[1]]) else literal[1]
