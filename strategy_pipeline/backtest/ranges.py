"""Range tables: what holding a symbol from one close to another did, in four look-ups whatever the stretch.

What belongs here: tables of one symbol's closes, and the statistics of all-in positions that come from them. A row
stands for a stretch of bars and holds the sum and the sum of squares of its returns, its highest and lowest mark and its
own largest fall. Rows of neighbouring stretches join without subtracting anything (a disjoint sparse table over blocks,
beside prefixes and suffixes within them), so no digits are lost to a spike elsewhere, as prefix sums would.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from strategy_pipeline.backtest.metrics import UNDER_WATER
from strategy_pipeline.backtest.streaming import (
    EQUITY,
    M2,
    MAX_DRAWDOWN,
    MEAN,
    N_SUMS,
    OPEN_TRADES,
    TRADES,
    N,
)
from strategy_pipeline.backtest.walk import AFTER, BEFORE, CASH, ENTRY, EXIT, OPEN, REASON, SIDE, UNITS

BLOCK = 32  # bars; a power of two
SHIFT = 5
SUM, SQUARE, HIGH, LOW, FALL, WIDTH = 0, 1, 2, 3, 4, 8  # a row fills a cache line
NEAR_MEAN = 1e-3  # variance as a share of the mean square below which moments are taken about the mean


@njit(cache=True, nogil=True, inline="always", error_model="numpy")
def _join(left: np.ndarray, right: np.ndarray, out: np.ndarray) -> None:
    fall = max(left[FALL], right[FALL], 1 - right[LOW] / left[HIGH])
    out[SUM], out[SQUARE] = left[SUM] + right[SUM], left[SQUARE] + right[SQUARE]
    out[HIGH], out[LOW] = max(left[HIGH], right[HIGH]), min(left[LOW], right[LOW])
    out[FALL] = fall


@njit(cache=True, nogil=True, error_model="numpy")
def build(marks: np.ndarray, returns: np.ndarray, begin: int, until: int, heads: np.ndarray, tails: np.ndarray, joined: np.ndarray) -> None:
    """Fill the tables of one symbol from its marks and returns on bars [begin, until).

    heads, tails : float64 (n_blocks * BLOCK, WIDTH); row t is the stretch from its block's start to t, and from t to its
        block's end
    joined : float64 (levels, n_blocks, WIDTH); row (level, b) is the stretch of blocks between b and the middle of its
        group of 2 ** (level + 1) blocks
    """
    single = np.empty(WIDTH)
    n_blocks = joined.shape[1]
    for t in range(n_blocks * BLOCK):
        row = heads[t]
        row[SUM] = row[SQUARE] = row[FALL] = 0.0
        row[HIGH], row[LOW] = -math.inf, math.inf
        if begin <= t < until:
            row[SUM], row[SQUARE] = returns[t], returns[t] * returns[t]
            row[HIGH] = row[LOW] = marks[t]
        for column in range(WIDTH):
            tails[t, column] = row[column]
    for b in range(n_blocks):
        for t in range(b * BLOCK + 1, (b + 1) * BLOCK):
            for column in range(WIDTH):
                single[column] = heads[t, column]
            _join(heads[t - 1], single, heads[t])
        for t in range((b + 1) * BLOCK - 2, b * BLOCK - 1, -1):
            for column in range(WIDTH):
                single[column] = tails[t, column]
            _join(single, tails[t + 1], tails[t])
    for level in range(joined.shape[0]):
        half = 1 << level
        for middle in range(half, n_blocks + half, 2 * half):
            for b in range(min(middle, n_blocks) - 1, middle - half - 1, -1):
                if b == middle - 1 or b == n_blocks - 1:
                    for column in range(WIDTH):
                        joined[level, b, column] = tails[b * BLOCK, column]
                else:
                    _join(tails[b * BLOCK], joined[level, b + 1], joined[level, b])
            for b in range(middle, min(middle + half, n_blocks)):
                if b == middle:
                    for column in range(WIDTH):
                        joined[level, b, column] = tails[b * BLOCK, column]
                else:
                    _join(joined[level, b - 1], tails[b * BLOCK], joined[level, b])


@njit(cache=True, nogil=True, inline="always", error_model="numpy")
def _fold(
    row: np.ndarray, units: float, total: float, square: float, peak: float, scale: float, deepest: float
) -> tuple[float, float, float, float, float]:
    """Let equity, units times the mark, pass through a stretch; scale is units / peak."""
    deepest = max(deepest, row[FALL], 1 - scale * row[LOW])
    if units * row[HIGH] > peak:
        peak = units * row[HIGH]
        scale = units / peak
    return total + row[SUM], square + row[SQUARE], peak, scale, deepest


@njit(cache=True, nogil=True, error_model="numpy")
def headline(
    trade_ints: np.ndarray, trade_floats: np.ndarray, count: int, marks: np.ndarray, benchmark: np.ndarray,
    heads: np.ndarray, tails: np.ndarray, joined: np.ndarray, start: int, stop: int, sums: np.ndarray,
) -> bool:  # fmt: skip
    """The sums of return, Sharpe ratio, drawdown and trade count; the others are NaN.

    False where the returns are so nearly constant that their variance must be taken about their mean, which this does
    not do; `streaming.accumulate` does. Parameters as there.
    """
    n = stop - start
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
            if abs(cash) <= 1e-13 * before:
                worth = cash + units * marks[entry]
                r = worth / before - 1
                total += r
                square += r * r
                deepest = max(deepest, 1 - worth / peak)
                peak = max(peak, worth)
                scale = units / peak
                a, b = entry + 1, leave - 1
                if a <= b:
                    left, right = a >> SHIFT, b >> SHIFT
                    if left == right:
                        if a & (BLOCK - 1) == 0:
                            total, square, peak, scale, deepest = _fold(heads[b], units, total, square, peak, scale, deepest)
                        else:
                            low = marks[a]
                            for t in range(a, b + 1):
                                total += benchmark[t]
                                square += benchmark[t] * benchmark[t]
                                price = marks[t]
                                if price < low:
                                    low = price
                                if units * price > peak:
                                    deepest = max(deepest, 1 - scale * low)
                                    peak = units * price
                                    scale = units / peak
                                    low = price
                            deepest = max(deepest, 1 - scale * low)
                    else:
                        total, square, peak, scale, deepest = _fold(tails[a], units, total, square, peak, scale, deepest)
                        if left + 1 == right - 1:
                            total, square, peak, scale, deepest = _fold(
                                tails[(left + 1) << SHIFT], units, total, square, peak, scale, deepest
                            )
                        elif left + 1 < right - 1:
                            level = 0
                            differ = (left + 1) ^ (right - 1)
                            while differ > 1:
                                differ >>= 1
                                level += 1
                            total, square, peak, scale, deepest = _fold(joined[level, left + 1], units, total, square, peak, scale, deepest)
                            total, square, peak, scale, deepest = _fold(
                                joined[level, right - 1], units, total, square, peak, scale, deepest
                            )
                        total, square, peak, scale, deepest = _fold(heads[b], units, total, square, peak, scale, deepest)
                last = cash + units * marks[leave - 1]
            else:
                for t in range(entry, leave):
                    worth = cash + units * marks[t]
                    r = worth / last - 1
                    total += r
                    square += r * r
                    last = worth
                    if worth > peak:
                        peak = worth
                    elif worth < peak * (1 - deepest):
                        deepest = 1 - worth / peak
        if closed:
            r = money / last - 1
            total += r
            square += r * r
            deepest = max(deepest, 1 - money / peak)
            peak = max(peak, money)
        else:
            opened += 1
    for column in range(N_SUMS):
        sums[column] = math.nan
    mean = total / n
    sums[N], sums[EQUITY], sums[MEAN] = n, money, mean
    sums[M2] = square / n - mean * mean
    sums[MAX_DRAWDOWN] = deepest if deepest > UNDER_WATER else 0.0
    sums[TRADES], sums[OPEN_TRADES] = count, opened
    return square == 0.0 or sums[M2] * n > NEAR_MEAN * square


def range_tables(marks: np.ndarray, returns: np.ndarray, spans: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """heads, tails and joined (see `build`) of every symbol, the symbol first.

    marks, returns : float64 (n_symbols, n_bars); spans : int64 (n_symbols, 2), the bars measured
    """
    n_symbols, n_bars = marks.shape
    n_blocks = -(-n_bars // BLOCK)
    levels = max(1, (n_blocks - 1).bit_length())
    heads, tails = np.empty((2, n_symbols, n_blocks * BLOCK, WIDTH))
    joined = np.empty((n_symbols, levels, n_blocks, WIDTH))
    for s in range(n_symbols):
        build(marks[s], returns[s], spans[s, 0], spans[s, 1], heads[s], tails[s], joined[s])
    return heads, tails, joined


def no_tables(n_symbols: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Empty tables of the same types, for runs that read none."""
    return np.empty((n_symbols, 0, WIDTH)), np.empty((n_symbols, 0, WIDTH)), np.empty((n_symbols, 0, 0, WIDTH))
