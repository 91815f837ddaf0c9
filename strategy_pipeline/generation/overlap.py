"""Near-duplicates: strategies that enter on nearly the same bars, by the Jaccard index of their entries (P. Jaccard, 1901).

Entries are bits, one a symbol, bar and side, as the engine packs them; two strategies that share at least a given part of all
the entries of either are one. What does not belong here: which of two to keep (the caller's order decides).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

from strategy_pipeline.backtest import bits
from strategy_pipeline.backtest.arena import frozen
from strategy_pipeline.backtest.plan import RULES, make_plan
from strategy_pipeline.backtest.source import Source
from strategy_pipeline.indicators import Bank
from strategy_pipeline.market import Bars
from strategy_pipeline.strategies.strategy import Strategy

_CHUNK = 32  # words after which a comparison may be given up
_BANK_BYTES = 384 << 20
_KEPT_BYTES = 256 << 20
_WARM = 2048  # bars before those that are compared, for indicators
_WORDS = (64, 2048)  # of a strategy's entries, least and most


def entries(
    strategies: Sequence[Strategy], bars: Bars, series: Mapping[str, np.ndarray] | None = None, *, skip: int = 0, workers: int = 0
) -> tuple[NDArray[np.uint64], list[bool]]:
    """The entry bits of each strategy, uint64 (n, n_words), longs before shorts, symbol by symbol; and whether it could be run.

    A symbol that a strategy does not trade has none. skip: words of each symbol, from the first on, that are left out.
    """
    plan = make_plan(strategies, bars.symbols, bars.timeframe)
    source = Source(Bank(bars, series=series, workers=workers, max_bytes=_BANK_BYTES), plan, np.zeros(len(plan), dtype=bool))
    fine = source.blame()
    n_symbols, n_words = bars.n_symbols, -(-bars.n_bars // 64)
    kept = n_words - skip
    width = -(-2 * n_symbols * kept // _CHUNK) * _CHUNK
    place = {strategy.id: row for row, strategy in enumerate(strategies)}
    out = np.zeros((len(strategies), width), dtype=np.uint64)
    ran = [False] * len(strategies)
    rows, steps, offsets = frozen(source.rows), source.steps(), frozen(plan.offsets)
    sides = [RULES.index("enter_long"), RULES.index("enter_short")]
    stack = np.empty((plan.depth + 1, n_words), dtype=np.uint64)
    for row, sid in enumerate(plan.ids):
        if not fine[row]:
            continue
        ran[place[sid]] = True
        programs = [steps[offsets[plan.rules[row, side]] : offsets[plan.rules[row, side] + 1]] for side in sides]
        for symbol in np.flatnonzero(plan.applies[row]):
            for side, program in enumerate(programs):
                if len(program):
                    bits.evaluate_rule(rows, int(symbol), program, stack)
                    first = (side * n_symbols + int(symbol)) * kept
                    out[place[sid], first : first + kept] = stack[0, skip:]
    return out, ran


@njit(cache=True, nogil=True, inline="always", error_model="numpy")
def _ones(word: np.uint64) -> np.int64:
    """How many bits are set (H. Warren, 2002)."""
    word -= (word >> np.uint64(1)) & np.uint64(0x5555555555555555)
    word = (word & np.uint64(0x3333333333333333)) + ((word >> np.uint64(2)) & np.uint64(0x3333333333333333))
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((word * np.uint64(0x0101010101010101)) >> np.uint64(56))


@njit(cache=True, nogil=True, error_model="numpy")
def _suffixes(rows: np.ndarray, out: np.ndarray) -> None:
    """Bits from each chunk on: out (n, n_chunks + 1), int64, the last 0."""
    for i in range(rows.shape[0]):
        total = 0
        out[i, -1] = 0
        for chunk in range(out.shape[1] - 2, -1, -1):
            for w in range(chunk * _CHUNK, (chunk + 1) * _CHUNK):
                total += _ones(rows[i, w])
            out[i, chunk] = total


@njit(cache=True, nogil=True, error_model="numpy")
def _first_alike(
    row: np.ndarray, left: np.ndarray, group: int, kept: np.ndarray, kept_left: np.ndarray, groups: np.ndarray, count: int, limit: float
) -> int:
    """The first of `count` kept rows whose Jaccard index with `row` is at least `limit`; -1 for none."""
    own = left[0]
    if own == 0:
        return -1
    for k in range(count):
        other = kept_left[k, 0]
        if groups[k] != group or min(own, other) < limit * max(own, other):
            continue
        needed = limit / (1 + limit) * (own + other)
        shared = 0
        for chunk in range(left.shape[0] - 1):
            if shared + min(left[chunk], kept_left[k, chunk]) < needed:
                break
            for w in range(chunk * _CHUNK, (chunk + 1) * _CHUNK):
                shared += _ones(row[w] & kept[k, w])
        if shared >= limit * (own + other - shared):
            return k
    return -1


class Sieve:
    """Lets a strategy through unless one before it enters on nearly the same bars.

    count
        How many it will let through at most. Bars are the latest that fit the memory this many may take.
    limit
        Jaccard index from which two are one, above 0 and at most 1. A strategy that never enters, or cannot be run on
        these bars, resembles no other. Pairs are held against pairs with the same second leg only.
    """

    def __init__(self, bars: Bars, series: Mapping[str, np.ndarray] | None, count: int, limit: float, *, workers: int = 0) -> None:
        words = min(max(_KEPT_BYTES // (8 * max(count, 1)), _WORDS[0]), _WORDS[1])
        kept = max(1, words // (2 * bars.n_symbols))
        start = max(0, bars.n_bars - 64 * kept - _WARM)
        self._bars = bars.between(bars.times[start], None) if start else bars
        self._series = {name: values[:, start:] for name, values in (series or {}).items()}
        self._skip, self._workers = max(0, -(-self._bars.n_bars // 64) - kept), workers
        self._limit, self._count, self._size = limit, 0, count
        self._kept = np.zeros((0, 0), dtype=np.uint64)
        self._left = np.zeros((0, 0), dtype=np.int64)
        self._groups = np.zeros(count, dtype=np.int64)
        self._ids: list[str] = []
        self._against: dict[str | None, int] = {}

    def __call__(self, strategies: Sequence[Strategy]) -> list[str | None]:
        """For each, in order, the id of the one it repeats; None for those let through."""
        rows = entries(strategies, self._bars, self._series, skip=self._skip, workers=self._workers)[0]
        left = np.zeros((len(rows), rows.shape[1] // _CHUNK + 1), dtype=np.int64)
        _suffixes(rows, left)
        if not len(self._kept):
            self._kept = np.zeros((self._size, rows.shape[1]), dtype=np.uint64)
            self._left = np.zeros((self._size, left.shape[1]), dtype=np.int64)
        found: list[str | None] = []
        for strategy, row, rest in zip(strategies, rows, left, strict=True):
            group = self._against.setdefault(strategy.against, len(self._against))
            twin = _first_alike(row, rest, group, self._kept, self._left, self._groups, self._count, self._limit)
            found.append(self._ids[twin] if twin >= 0 else None)
            if twin < 0 and self._count < self._size:
                self._kept[self._count], self._left[self._count], self._groups[self._count] = row, rest, group
                self._ids.append(strategy.id)
                self._count += 1
        return found
