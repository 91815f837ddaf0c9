"""The source: a plan's series and comparisons, each computed once.

What belongs here: evaluating series through the bank, and turning comparisons into bit rows, or into ranks where many
series are compared with each other. What does not: what is done with the rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from strategy_pipeline.backtest import bits, express, ranks
from strategy_pipeline.backtest.arena import frozen
from strategy_pipeline.backtest.kept import Comparison, KeptBank
from strategy_pipeline.backtest.needs import Needs, connected
from strategy_pipeline.backtest.plan import RULES, Literal, Plan, is_number
from strategy_pipeline.compute import ShardError, lasting_memory, map_shards, worker_count
from strategy_pipeline.errors import PipelineError
from strategy_pipeline.indicators import Bank, Number, Value
from strategy_pipeline.strategies import value_text

LARGE_BYTES = 1 << 20  # of a series: where fresh memory costs more than what is computed in it
AUX_BYTES = 128 << 20  # ATRs and volatilities kept at once, and those of a block
SERIES_AT_ONCE, SERIES_BYTES = 512, 384 << 20  # series computed for the literals compared at once
PLANE_BYTES = 128 << 20  # ranks kept
OWN = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)  # failures of an indicator of the user's own
# Rough costs in ns a bar, which only choose between two ways to the same bits: a pair of numbers compared, a series ranked,
# two neighbours exchanged.
PAIR, SERIES, EXCHANGE = 0.45, 6.0, 5.0


class Source:
    """What the kernels read of a plan's rules.

    Attributes
    ----------
    errors : why a value of the plan could not be had, by value
    rows : uint64 (n_rows, n_symbols, n_words), the bit rows of literals
    row_of : int32 (n_literals,), the row of each; -1 where it could not be had, or is left to be made from ranks
    planes, known : ranks, int8 (n_planes, n_symbols, 64 n_words), and where they are, uint64 (n_planes, n_symbols, n_words)
    plane_of : int32 (n_values,), -1 for none
    """

    def __init__(self, bank: Bank, plan: Plan, on_the_fly: np.ndarray) -> None:
        """on_the_fly : bool (n strategies,), those whose kernel makes comparisons of ranks itself, where nobody else needs them."""
        self.bank, self.plan = bank, plan
        self.errors: dict[Value, str] = {}  # texts: an error itself would hold on to the frames it came through, and these to us
        n_symbols, n_bars = bank.bars.close.shape
        self._shape = (n_symbols, -(-n_bars // 64))
        kept = self._remembered()
        fresh = np.array([row is None for row in kept], dtype=bool)
        self._needs = Needs(bank, plan, fresh)
        with lasting_memory() if bank.bars.close.nbytes >= LARGE_BYTES else nullcontext():
            self._read(on_the_fly, kept, fresh)

    def _read(self, on_the_fly: np.ndarray, kept: list[np.ndarray | None], fresh: np.ndarray) -> None:
        bank, plan, n_symbols = self.bank, self.plan, self._shape[0]
        groups = self._groups(np.array([is_number(value) for value in plan.values], dtype=bool), fresh)
        members = [group.size for group in groups]
        self.planes = np.full((sum(members), n_symbols, 64 * self._shape[1]), ranks.UNKNOWN, dtype=np.int8)
        self.known = np.zeros((sum(members), *self._shape), dtype=np.uint64)
        self.plane_of = np.full(len(plan.values), -1, dtype=np.int32)
        first = 0
        for group in groups:
            first = self._rank(group, first)
        self.planes, self.known = self.planes[:first], self.known[:first]
        ranked = np.zeros(len(plan.literals), dtype=bool)
        if len(plan.literals) and first:
            ranked = fresh & (self.plane_of[plan.literals[:, 1]] >= 0) & (self.plane_of[plan.literals[:, 2]] >= 0)
        left = ranked & (plan.literal_uses() == 1)
        left[plan.literals_of(plan.rules[~on_the_fly])] = False
        stored = np.flatnonzero(~left)
        self.row_of = np.full(len(plan.literals), -1, dtype=np.int32)
        self.row_of[stored] = np.arange(len(stored))
        self.rows = np.zeros((max(1, len(stored)), *self._shape), dtype=np.uint64)
        for number in np.flatnonzero(~fresh).tolist():
            self._row(number)[:] = kept[number]
        self._compare_ranks(np.flatnonzero(ranked & ~left))
        bank.release(self._needs.done(np.flatnonzero(ranked)))
        at_once = min(SERIES_BYTES, bank.max_bytes // 4)
        for part in self._needs.portions(np.flatnonzero(fresh & ~ranked), SERIES_AT_ONCE, at_once, bank.max_bytes):
            self._compare(part)
            bank.release(self._needs.done(part))
        self._remember(np.flatnonzero(fresh & (self.row_of >= 0)))
        self._aux: dict[int, np.ndarray] = {}
        for position in np.unique(plan.series_of(np.arange(len(plan)))).tolist():
            if position < 0:
                continue
            value = plan.aux[position]
            found = self._series([value]).get(value)
            if found is not None and (len(self._aux) + 1) * found.nbytes <= AUX_BYTES:
                self._aux[position] = found  # for the blocks to come, while the budget lasts; the bank has the others
                bank.release(self._needs.read(position))

    # -- what the kernels read

    def literals(self) -> np.ndarray:
        """The literals as `express` reads them, int32 (n_literals, N_LITERAL)."""
        out = np.full((max(1, len(self.plan.literals)), express.N_LITERAL), -1, dtype=np.int32)
        if len(self.plan.literals):
            out[:, express.ROW], out[:, express.OP] = self.row_of, self.plan.literals[:, 0]
            out[:, express.LEFT], out[:, express.RIGHT] = (self.plane_of[self.plan.literals[:, side]] for side in (1, 2))
        return frozen(out)

    def steps(self) -> np.ndarray:
        """The programs' steps over rows instead of literals, int32."""
        steps = self.plan.steps
        return frozen(np.where(steps >= 0, self.row_of[np.maximum(steps, 0)], steps) if len(self.row_of) else steps)

    def blocks(self, rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Some strategies, those together that read the same ATRs and volatilities, a block within AUX_BYTES at a time: their
        numbers, the new number of each series of the plan, and the series, float64 (n, n_symbols, n_bars)."""
        shape = self.bank.bars.close.shape
        most = max(1, AUX_BYTES // max(1, self.bank.bars.close.nbytes))
        wanted = np.sort(self.plan.series_of(rows), axis=1)
        order = np.lexsort([rows, *wanted.T])
        block: list[int] = []
        held: set[int] = set()

        def done() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            number = np.zeros(max(1, len(self.plan.aux)), dtype=np.int64)
            series = np.full((max(1, len(held)), *shape), np.nan)
            for new, old in enumerate(sorted(held)):
                number[old] = new
                series[new] = self._aux[old] if old in self._aux else self.bank.evaluate(self.plan.aux[old])
            return rows[np.array(block, dtype=np.intp)], number, frozen(series)

        if not (wanted >= 0).any():
            block = list(range(len(rows)))
        else:
            for position in order.tolist():
                own = {int(one) for one in wanted[position] if one >= 0}
                if block and len(held | own) > most:
                    yield done()
                    block, held = [], set()
                block.append(position)
                held |= own
        if block:
            yield done()

    def blame(self) -> np.ndarray:
        """Record in the plan why strategies cannot run for which a series cannot be had; bool, those that can."""
        plan = self.plan
        fine = np.ones(len(plan), dtype=bool)
        if not self.errors:
            return fine
        lost = np.array([value in self.errors for value in plan.values] + [False], dtype=bool)
        lost_aux = np.array([value in self.errors for value in plan.aux] + [False], dtype=bool)  # the last is that of -1
        broken = lost[plan.literals[:, 1]] | lost[plan.literals[:, 2]] if len(plan.literals) else np.zeros(0, dtype=bool)
        for row in range(len(plan)):
            series = plan.series_of(np.array([row]))[0]
            reason: tuple[str, Value] | None = None
            for name, number in zip(("stop", "take", "trail", "breakeven", "size"), series, strict=True):
                if reason is None and lost_aux[number]:
                    reason = name, plan.aux[number]
            for name, program in zip(RULES, plan.rules[row], strict=True):
                for step in plan.steps[plan.offsets[program] : plan.offsets[program + 1]]:
                    if reason is None and step >= 0 and broken[step]:
                        left, right = plan.literals[step, 1:]
                        reason = name, plan.values[left if lost[left] else right]
            if reason is not None:
                fine[row] = False
                plan.failures[plan.ids[row]] = f"strategy {plan.ids[row]}: {reason[0]}: {self.errors[reason[1]]}"
        return fine

    # -- what a kept bank remembers

    def _remembered(self) -> list[np.ndarray | None]:
        """The bits of each literal that the bank still knows from populations before."""
        if not isinstance(self.bank, KeptBank):
            return [None] * len(self.plan.literals)
        return [self.bank.row(self._comparison(literal)) for literal in self.plan.literals.tolist()]

    def _remember(self, literals: np.ndarray) -> None:
        if isinstance(self.bank, KeptBank):
            for number in literals.tolist():
                comparison = self._comparison(self.plan.literals[number].tolist())
                if not self.errors.keys() & comparison[1:]:
                    self.bank.keep_row(comparison, self._row(number))

    def _comparison(self, literal: Sequence[int]) -> Comparison:
        op, left, right = literal
        return op, self.plan.values[left], self.plan.values[right]

    # -- ranks

    def _groups(self, constant: np.ndarray, fresh: np.ndarray) -> list[np.ndarray]:
        """Groups of values (their numbers) that are compared with each other so often that ranking them may pay."""
        literals, n = self.plan.literals[fresh], len(self.plan.values)
        if not len(literals):
            return []
        sides = literals[~(constant[literals[:, 1]] | constant[literals[:, 2]]), 1:].astype(np.int64)
        keys = np.unique(sides.min(axis=1, initial=n - 1) * n + sides.max(axis=1, initial=0))
        pairs = np.column_stack([keys // n, keys % n])
        label = connected(n, pairs)
        compared = np.zeros(n, dtype=bool)
        compared[pairs] = True
        groups = []
        room = PLANE_BYTES
        nbytes = self.bank.bars.close.nbytes
        for one, count in zip(*np.unique(label[pairs[:, 0]], return_counts=True), strict=True):
            group = np.flatnonzero((label == one) & compared)
            fits = len(group) <= min(ranks.MOST, SERIES_AT_ONCE) and len(group) * nbytes <= min(SERIES_BYTES, 8 * room)
            if fits and count * PAIR > len(group) * SERIES:
                groups.append(group)
                room -= len(group) * nbytes // 8
        return groups

    def _rank(self, group: np.ndarray, first: int) -> int:
        """Rank a group into the planes from `first` on, if it is worth it; the next free plane."""
        values = [self.plan.values[number] for number in group]
        found = self._series(values)
        if len(found) < len(values):
            return first
        arrays = [found[value] for value in values]
        n_symbols, n_bars = self.bank.bars.close.shape
        after = first + len(group)
        planes, known = self.planes[first:after], self.known[first:after]
        addresses = [ranks.addresses_of(arrays, s) for s in range(n_symbols)]
        trial = min(n_bars, ranks.TRIAL)
        begin = (n_bars - trial) // 128 * 64
        restless = ranks.rank(addresses[0], begin, begin + trial, planes[:, 0], known[:, 0]) / max(1, trial)
        pairs = np.isin(self.plan.literals[:, 1], group).sum() / 2  # a pair is often compared both ways
        if len(group) * SERIES + restless * EXCHANGE > pairs * PAIR:
            planes[:], known[:] = ranks.UNKNOWN, 0
            return first
        cuts = [(s, begin, min(begin + ranks.CHUNK, n_bars)) for s in range(n_symbols) for begin in range(0, n_bars, ranks.CHUNK)]
        map_shards(
            lambda cut: ranks.rank(addresses[cut[0]], cut[1], cut[2], planes[:, cut[0]], known[:, cut[0]]), cuts, workers=self.bank.workers
        )
        self.plane_of[group] = np.arange(first, after)
        return after

    def _compare_ranks(self, chosen: np.ndarray) -> None:
        def one(number: int) -> None:
            op, left, right = self.plan.literals[number]
            x, y = self.plane_of[left], self.plane_of[right]
            for s in range(self._shape[0]):
                bits.compare_ranks(
                    op, self.planes[x, s], self.planes[y, s], self.known[x, s], self.known[y, s], self.rows[self.row_of[number], s]
                )

        _in_portions(one, chosen.tolist(), self.bank.workers)

    # -- numbers

    def _compare(self, some: np.ndarray) -> None:
        """Fill the bit rows of some literals, on threads."""
        values = self.plan.values
        chosen: list[int] = some.tolist()
        literals: list[Literal] = [tuple(literal) for literal in self.plan.literals[some].tolist()]
        needed = list(dict.fromkeys(side for _, *sides in literals for side in sides if not is_number(values[side])))
        found = self._series([values[side] for side in needed])
        arrays = {side: found[values[side]] for side in needed if values[side] in found}
        known: dict[int, np.ndarray] = {}
        done: set[int] = set()
        work: list[tuple[Any, ...]] = []
        crossings = {literal[1:]: i for i, literal in zip(chosen, literals, strict=True) if literal[0] == bits.ABOVE}
        for i, (op, left, right) in zip(chosen, literals, strict=True):
            missing = any(not is_number(values[side]) and side not in arrays for side in (left, right))
            if missing or i in done:
                continue
            twin = crossings.get((right, left)) if op == bits.ABOVE and left in arrays and right in arrays and left != right else None
            if twin is not None:
                done.add(twin)
                for side in (left, right):
                    if side not in known:
                        known[side] = bits.pack(~np.isnan(arrays[side]))
                work.append((arrays[left], arrays[right], (known[left], known[right]), self._row(i), self._row(twin)))
                continue
            full = is_number(values[left]) and is_number(values[right])  # one side must have bars
            work.append((op, self._side(left, arrays, full), self._side(right, arrays), self._row(i)))
        _in_portions(_compare_one, work, self.bank.workers)

    def _row(self, literal: int) -> np.ndarray:
        return self.rows[self.row_of[literal]]

    def _side(self, side: int, arrays: Mapping[int, np.ndarray], full: bool = False) -> np.ndarray:
        value = self.plan.values[side]
        if isinstance(value, Number):
            return frozen(np.full(self.bank.bars.close.shape if full else (1, 64), value.value))
        return arrays[side]

    def _series(self, values: Sequence[Value]) -> dict[Value, np.ndarray]:
        """The series of values; those that cannot be had are in `errors`, by the value asked for."""
        try:
            return dict(zip(values, map(frozen, self.bank.evaluate_many(values)), strict=True))
        except (PipelineError, *OWN):
            found = {}
            for value in values:
                try:
                    found[value] = frozen(self.bank.evaluate(value))
                except (PipelineError, *OWN) as error:
                    self.errors[value] = _why(value, error)
            return found


def _why(value: Value, error: BaseException) -> str:
    if isinstance(error, ShardError) and error.__cause__ is not None:  # as threads say it; one thread has the failure itself
        error = error.__cause__
    if isinstance(error, PipelineError):
        return str(error)
    return f"Expected {value_text(value)} to be computed, was {type(error).__name__}: {error}"


def _compare_one(work: tuple[Any, ...]) -> None:
    if len(work) == 5:
        left, right, (known, also), above, below = work
        bits.cross_both(left, right, known & also, above, below)
    else:
        bits.compare(*work)


def _in_portions(function: Any, work: Sequence[Any], workers: int) -> None:
    size = max(16, -(-len(work) // (8 * worker_count(workers))))
    map_shards(lambda first: [function(one) for one in work[first : first + size]], range(0, len(work), size), workers=workers)
