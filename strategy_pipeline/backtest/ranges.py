"""Range tables: what holding a symbol from one close to another did, in a few look-ups whatever the stretch.

What belongs here: tables of one symbol's closes, and the statistics of all-in positions that come from them. Sums of returns
and of their squares are differences of running sums kept in two words each (Knuth 1969), so that no digits are lost to a
spike elsewhere. The highest and lowest mark of a stretch come from a sparse table, of windows of 2, 4, 8, ... bars, of which
two overlapping ones cover it. Its largest fall is only looked for where highest and lowest say that it may matter.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from strategy_pipeline.backtest.bits import leading_zeros
from strategy_pipeline.backtest.metrics import UNDER_WATER
from strategy_pipeline.backtest.streaming import EQUITY, M2, MAX_DRAWDOWN, MEAN, N_SUMS, OPEN_TRADES, TRADES, N
from strategy_pipeline.backtest.walk import AFTER, BEFORE, CASH, ENTRY, EXIT, OPEN, REASON, SIDE, UNITS

BLOCK = 16  # bars; a power of two
SHIFT = 4
SUM, SUM_REST, SQUARE, SQUARE_REST, N_RUNNING = range(5)
HIGH, LOW, N_REACH = range(3)
REACH_BYTES = 128 << 20  # of tables of reach; stretches longer than their widest windows take several
WIDEST = 9  # 2 ** 9 bars
NEAR_MEAN = 1e-3  # variance as a share of the mean square below which moments are taken about the mean


class Ranges(NamedTuple):
    """Tables of every symbol (the first axis), float64.

    running : (n_symbols, n_bars, N_RUNNING), sums of returns and of squares up to each bar, and what rounding left out of them
    reaches : (n_symbols, levels, n_bars, N_REACH), highest and lowest mark of the 2 ** level bars from each
    falls : (n_symbols, n_blocks), each block's own largest fall
    wides : (n_symbols, wide levels, n_blocks, N_REACH), highest and lowest mark of the 2 ** level blocks from each
    """

    running: np.ndarray
    reaches: np.ndarray
    falls: np.ndarray
    wides: np.ndarray


@njit(cache=True, nogil=True, error_model="numpy")
def build(
    marks: np.ndarray, returns: np.ndarray, begin: int, until: int,
    running: np.ndarray, reaches: np.ndarray, falls: np.ndarray, wides: np.ndarray,
) -> None:  # fmt: skip
    """Fill the tables of one symbol from its marks and returns on bars [begin, until)."""
    n_bars = marks.shape[0]
    total = rest = square = square_rest = 0.0
    for t in range(n_bars):
        if begin <= t < until:
            r = returns[t]
            s = total + r
            part = s - total
            rest += (total - (s - part)) + (r - part)
            total = s
            r = r * r
            s = square + r
            part = s - square
            square_rest += (square - (s - part)) + (r - part)
            square = s
            reaches[0, t, HIGH] = reaches[0, t, LOW] = marks[t]
        else:
            reaches[0, t, HIGH], reaches[0, t, LOW] = -math.inf, math.inf
        running[t, SUM], running[t, SUM_REST], running[t, SQUARE], running[t, SQUARE_REST] = total, rest, square, square_rest
    for level in range(1, reaches.shape[0]):
        half = 1 << (level - 1)
        for t in range(n_bars - 2 * half + 1):
            reaches[level, t, HIGH] = max(reaches[level - 1, t, HIGH], reaches[level - 1, t + half, HIGH])
            reaches[level, t, LOW] = min(reaches[level - 1, t, LOW], reaches[level - 1, t + half, LOW])
    for b in range(falls.shape[0]):
        high, low, fall = -math.inf, math.inf, 0.0
        for t in range(b * BLOCK, min((b + 1) * BLOCK, n_bars)):
            if begin <= t < until:
                high, low = max(high, marks[t]), min(low, marks[t])
                fall = max(fall, 1 - marks[t] / high)
        falls[b], wides[0, b, HIGH], wides[0, b, LOW] = fall, high, low
    for level in range(1, wides.shape[0]):
        half = 1 << (level - 1)
        for b in range(falls.shape[0] - 2 * half + 1):
            wides[level, b, HIGH] = max(wides[level - 1, b, HIGH], wides[level - 1, b + half, HIGH])
            wides[level, b, LOW] = min(wides[level - 1, b, LOW], wides[level - 1, b + half, LOW])


@njit(cache=True, nogil=True, inline="always", error_model="numpy")
def reach(reaches: np.ndarray, first: np.uint64, last: np.uint64) -> tuple[float, float]:
    """Highest and lowest mark on bars first to last (included), from two windows that overlap, or more."""
    one = np.uint64(1)
    after = last + one
    level = min(np.uint64(63) - leading_zeros(after - first), np.uint64(reaches.shape[0]) - one)
    width = one << level
    final = after - width
    high = max(reaches[level, first, HIGH], reaches[level, final, HIGH])
    low = min(reaches[level, first, LOW], reaches[level, final, LOW])
    t = first + width
    while t < final:
        high, low = max(high, reaches[level, t, HIGH]), min(low, reaches[level, t, LOW])
        t += width
    return high, low


@njit(cache=True, nogil=True, inline="always", error_model="numpy")
def bounds(wides: np.ndarray, first: np.uint64, last: np.uint64) -> tuple[float, float]:
    """What the marks on bars first to last (included) are neither above nor below: the extremes of all blocks they touch.

    Two look-ups in a table that stays near, where `reach` reads one sixteen times as large.
    """
    one = np.uint64(1)
    block, after = first >> np.uint64(SHIFT), (last >> np.uint64(SHIFT)) + one
    level = np.uint64(63) - leading_zeros(after - block)
    other = after - (one << level)
    return max(wides[level, block, HIGH], wides[level, other, HIGH]), min(wides[level, block, LOW], wides[level, other, LOW])


@njit(cache=True, nogil=True, error_model="numpy")
def largest_fall(marks: np.ndarray, reaches: np.ndarray, falls: np.ndarray, first: int, last: int) -> float:
    """The largest fall from an earlier mark, as a share of it, on bars first to last (included)."""
    high, fall = marks[first], 0.0
    t = first
    while t <= last:
        if t & (BLOCK - 1) == 0 and t + BLOCK - 1 <= last:
            fall = max(fall, falls[t >> SHIFT], 1 - reaches[SHIFT, t, LOW] / high)
            high = max(high, reaches[SHIFT, t, HIGH])
            t += BLOCK
        else:
            if marks[t] > high:
                high = marks[t]
            elif high - marks[t] > fall * high:
                fall = 1 - marks[t] / high
            t += 1
    return fall


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})
def earned(marks: np.ndarray, entry: np.uint64, final: np.uint64, cash: float) -> tuple[float, float]:
    """Sums of returns and of their squares of a position held from the close of `entry` to that of `final`, with `cash`
    (per unit) beside it. The order of addition is left to the compiler, which then takes several bars at once.
    """
    one = np.uint64(1)
    total = square = 0.0
    for t in range(entry + one, final + one):
        before = marks[t - one]
        r = (marks[t] - before) / (cash + before)
        total += r
        square += r * r
    return total, square


@njit(cache=True, nogil=True, error_model="numpy")
def fall_of_equity(marks: np.ndarray, entry: int, final: int, cash: float, units: float) -> float:
    """The largest fall of cash + units * mark from where it was before, as a share of that."""
    high, fall = 0.0, 0.0
    for t in range(entry, final + 1):
        worth = cash + units * marks[t]
        if worth > high:
            high = worth
        elif high - worth > fall * high:
            fall = 1 - worth / high
    return fall


@njit(cache=True, nogil=True, error_model="numpy")
def headline(
    trade_ints: np.ndarray, trade_floats: np.ndarray, count: int, marks: np.ndarray, running: np.ndarray, reaches: np.ndarray,
    falls: np.ndarray, start: int, stop: int, sums: np.ndarray,
) -> bool:  # fmt: skip
    """The sums of return, Sharpe ratio, drawdown and trade count; the others are NaN.

    False where the returns are so nearly constant that their variance must be taken about their mean, which this does
    not do; `streaming.accumulate` does. Parameters as there.
    """
    total = square = deepest = 0.0
    peak = money = 1.0
    opened = 0
    for i in range(count):
        entry, reason = trade_ints[i, ENTRY], trade_ints[i, REASON]
        closed = reason != OPEN
        leave = trade_ints[i, EXIT] if closed else stop
        cash, units = trade_floats[i, CASH], trade_ints[i, SIDE] * trade_floats[i, UNITS]
        before, money = trade_floats[i, BEFORE], trade_floats[i, AFTER]
        last = before
        if leave > entry:
            end = leave - 1
            high, low = reach(reaches, np.uint64(entry), np.uint64(end))
            one, other = cash + units * high, cash + units * low
            highest, lowest = max(one, other), min(one, other)
            r = (cash + units * marks[entry]) / before - 1
            if abs(cash) <= 1e-13 * before:
                total += (running[end, SUM] - running[entry, SUM]) + (running[end, SUM_REST] - running[entry, SUM_REST])
                square += (running[end, SQUARE] - running[entry, SQUARE]) + (running[end, SQUARE_REST] - running[entry, SQUARE_REST])
                if high - low > deepest * high:
                    deepest = max(deepest, largest_fall(marks, reaches, falls, entry, end))
            else:
                gain, squared = earned(marks, np.uint64(entry), np.uint64(end), cash / units)
                total += gain
                square += squared
                if highest - lowest > deepest * highest:
                    deepest = max(deepest, fall_of_equity(marks, entry, end, cash, units))
            total += r
            square += r * r
            deepest = max(deepest, 1 - lowest / peak)
            peak = max(peak, highest)
            last = cash + units * marks[end]
        if closed:
            r = money / last - 1
            total += r
            square += r * r
            deepest = max(deepest, 1 - money / peak)
            peak = max(peak, money)
        else:
            opened += 1
    return finish(total, square, deepest, money, count, opened, stop - start, sums)


@njit(cache=True, nogil=True, inline="always", error_model="numpy")
def finish(total: float, square: float, deepest: float, money: float, count: int, opened: int, n: int, sums: np.ndarray) -> bool:
    """Write the headline's sums; False where they do not suffice (see `headline`)."""
    for column in range(N_SUMS):
        sums[column] = math.nan
    mean = total / n
    sums[N], sums[EQUITY], sums[MEAN] = n, money, mean
    sums[M2] = square / n - mean * mean
    sums[MAX_DRAWDOWN] = deepest if deepest > UNDER_WATER else 0.0
    sums[TRADES], sums[OPEN_TRADES] = count, opened
    return square == 0.0 or sums[M2] * n > NEAR_MEAN * square


def range_tables(marks: np.ndarray, returns: np.ndarray, spans: np.ndarray) -> Ranges:
    """The tables of every symbol.

    marks, returns : float64 (n_symbols, n_bars); spans : int64 (n_symbols, 2), the bars measured
    """
    tables = _empty(*marks.shape)
    for s in range(marks.shape[0]):
        build(marks[s], returns[s], spans[s, 0], spans[s, 1], *(table[s] for table in tables))
    return tables


def no_tables(n_symbols: int) -> Ranges:
    """Empty tables of the same types, for runs that read none."""
    return _empty(n_symbols, 0)


def _empty(n_symbols: int, n_bars: int) -> Ranges:
    most = REACH_BYTES // max(1, 8 * N_REACH * n_symbols * n_bars)
    levels = max(SHIFT + 1, min(WIDEST + 1, most, n_bars.bit_length()))
    n_blocks = -(-n_bars // BLOCK)
    return Ranges(
        running=np.empty((n_symbols, n_bars, N_RUNNING)),
        reaches=np.empty((n_symbols, levels, n_bars, N_REACH)),
        falls=np.empty((n_symbols, n_blocks)),
        wides=np.empty((n_symbols, n_blocks.bit_length(), n_blocks, N_REACH)),
    )
