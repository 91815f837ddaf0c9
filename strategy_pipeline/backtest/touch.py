"""Touches: the first bar at which a long position's stop, target or trail in percent is reached.

What belongs here: one search, that passes over blocks of bars out of reach, and tables of it for levels that many
strategies share: such an exit depends on nothing but the entry bar and the levels. Prices are computed by the same
operations as in `walk`, where what counts as a touch is written to be read.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from strategy_pipeline.backtest.bits import outside_16, trailing_zeros
from strategy_pipeline.backtest.ranges import BLOCK, SHIFT

N_LEVELS = 3  # stop, take, trail


@njit(cache=True, nogil=True, inline="always", error_model="numpy")
def first_touch(
    open_: np.ndarray, high: np.ndarray, low: np.ndarray, tops: np.ndarray, bottoms: np.ndarray,
    base: float, stop: float, take: float, trail: float, start: int, limit: int,
) -> tuple[int, float]:  # fmt: skip
    """The first bar in [start, limit) that touches a level, and its price before slippage, negative for the target's;
    `limit` and NaN where none does.

    base : the fill price; stop, take, trail : distances as fractions of it, 0 for none
    tops, bottoms : float64 (n_blocks,), highest high and lowest low of each block
    """
    fixed = base * (1 - stop) if stop > 0 else -math.inf
    target = base * (1 + take) if take > 0 else math.inf
    b = start
    if trail == 0:
        while b < limit:
            block = b >> SHIFT
            first = block << SHIFT
            if bottoms[block] <= fixed or tops[block] >= target:
                if first + BLOCK <= low.shape[0]:
                    touched = outside_16(low, fixed, high, target, first) >> np.uint64(b - first)
                    i = int(b + np.int64(trailing_zeros(touched))) if touched != 0 else first + BLOCK
                else:
                    i = b
                    while i < limit and not (low[i] <= fixed or high[i] >= target):
                        i += 1
                if i >= limit:
                    break
                if i < first + BLOCK:
                    return (i, min(open_[i], fixed)) if low[i] <= fixed else (i, -max(open_[i], target))
            b = first + BLOCK
        return limit, math.nan
    peak = base
    while b < limit:
        level = max(fixed, peak * (1 - trail))
        if b & (BLOCK - 1) == 0 and b + BLOCK <= limit:
            block = b >> SHIFT
            highest = max(peak, tops[block])
            if bottoms[block] > max(fixed, highest * (1 - trail)) and tops[block] < target:
                peak = highest
                b += BLOCK
                continue
        for i in range(b, min(limit, (b | (BLOCK - 1)) + 1)):
            if low[i] <= level:
                return i, min(open_[i], level)
            if high[i] >= target:
                return i, -max(open_[i], target)
            if high[i] > peak:
                peak = high[i]
                level = max(fixed, peak * (1 - trail))
        b = (b | (BLOCK - 1)) + 1
    return limit, math.nan


@njit(cache=True, nogil=True, error_model="numpy")
def fill_table(
    open_: np.ndarray, high: np.ndarray, low: np.ndarray, close: np.ndarray, tops: np.ndarray, bottoms: np.ndarray, at_close: bool,
    levels: np.ndarray, first: int, stop: int, bars: np.ndarray, prices: np.ndarray,
) -> None:  # fmt: skip
    """Touches of entries at each bar in [first, stop): bars int32 (n_bars,), n_bars for never, and prices (see `first_touch`)."""
    n_bars = close.shape[0]
    for entry in range(first, stop):
        base = close[entry] if at_close else open_[entry]
        bars[entry], prices[entry] = first_touch(
            open_, high, low, tops, bottoms, base, levels[0], levels[1], levels[2], entry + 1 if at_close else entry, n_bars
        )


@njit(cache=True, nogil=True, error_model="numpy")
def extremes(high: np.ndarray, low: np.ndarray, tops: np.ndarray, bottoms: np.ndarray) -> None:
    """Highest high and lowest low of each block of each symbol, whatever bars are missing."""
    for s in range(high.shape[0]):
        for b in range(tops.shape[1]):
            top, bottom = -math.inf, math.inf
            for t in range(b * BLOCK, min((b + 1) * BLOCK, high.shape[1])):
                top = max(top, high[s, t]) if high[s, t] == high[s, t] else top
                bottom = min(bottom, low[s, t]) if low[s, t] == low[s, t] else bottom
            tops[s, b], bottoms[s, b] = top, bottom
