"""The tally: headline sums of all trades of one strategy on one symbol, at once.

What belongs here: two passes over a list of trades. Each trade's look-ups are independent of the others', so a processor has
many on their way at a time, which it cannot while the walk must guess where a trade ends. The second pass looks for the
deepest fall: what equity was between trades gives a first answer, and only stretches whose coarse bounds could exceed it, or
make a new peak, are looked at closely.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from strategy_pipeline.backtest.ranges import (
    SQUARE,
    SQUARE_REST,
    SUM,
    SUM_REST,
    bounds,
    earned,
    fall_of_equity,
    finish,
    largest_fall,
    reach,
)


@njit(cache=True, nogil=True, error_model="numpy")
def tally(
    count: int, opened: int, weight: float, held: np.ndarray, paid: np.ndarray, got: np.ndarray, before: np.ndarray, units: np.ndarray,
    marks: np.ndarray, running: np.ndarray, reaches: np.ndarray, falls: np.ndarray, wides: np.ndarray, n: int, sums: np.ndarray,
) -> bool:  # fmt: skip
    """Write the sums of `count` long trades of which each takes the share `weight` of equity; False where they do not suffice
    (see `ranges.headline`).

    held : uint32 (count, 2), the bar entered and the first that is no longer held; the same where it ends in the bar it began
    paid, got : price of a unit, with costs; the mark where the last trade is still open (`opened`)
    before, units : scratch, float64 (count + 1,) and (count,); n : bars measured; the others as in `ranges.headline`
    """
    total, square, money = _earnings(count, weight, held, paid, got, before, units, marks, running)
    deepest = _deepest(count, weight, held, before, units, marks, reaches, falls, wides)
    return finish(total, square, deepest, money, count, opened, n, sums)


@njit(cache=True, nogil=True, error_model="numpy")
def _earnings(
    count: int, weight: float, held: np.ndarray, paid: np.ndarray, got: np.ndarray, before: np.ndarray, units: np.ndarray,
    marks: np.ndarray, running: np.ndarray,
) -> tuple[float, float, float]:  # fmt: skip
    """Sums of returns and of their squares, and the money at the end; money before each trade into `before` (and after the last),
    units held into `units`."""
    one = np.uint64(1)
    rest = 1 - weight
    total = square = 0.0
    money = 1.0
    for k in range(count):
        entry, leave = np.uint64(held[k, 0]), np.uint64(held[k, 1])
        unit = weight / paid[k]  # per money before
        inside = leave > entry
        final = leave - one if inside else entry
        first = marks[entry] * unit - weight if inside else 0.0
        growth = rest + got[k] * unit
        last = growth / (rest + marks[final] * unit if inside else 1.0) - 1
        total += first + last
        square += first * first + last * last
        if weight == 1:
            total += (running[final, SUM] - running[entry, SUM]) + (running[final, SUM_REST] - running[entry, SUM_REST])
            square += (running[final, SQUARE] - running[entry, SQUARE]) + (running[final, SQUARE_REST] - running[entry, SQUARE_REST])
        else:
            gain, squared = earned(marks, entry, final, rest / unit)
            total += gain
            square += squared
        before[k], units[k] = money, money * unit
        money *= growth
    before[count] = money
    return total, square, money


@njit(cache=True, nogil=True, error_model="numpy")
def _deepest(
    count: int, weight: float, held: np.ndarray, before: np.ndarray, units: np.ndarray, marks: np.ndarray, reaches: np.ndarray,
    falls: np.ndarray, wides: np.ndarray,
) -> float:  # fmt: skip
    """The largest fall of equity from its peak, as a share of it."""
    one = np.uint64(1)
    peak = least = 1.0
    for k in range(count + 1):
        peak = max(peak, before[k])
        least = min(least, before[k] / peak)
    deepest, peak = 1 - least, 1.0
    floor = peak * (1 - deepest)  # below this it falls deeper than ever
    for k in range(count):
        entry, leave = np.uint64(held[k, 0]), np.uint64(held[k, 1])
        if leave > entry:
            final = leave - one
            cash, unit = before[k] * (1 - weight), units[k]
            high, low = bounds(wides, entry, final)
            highest, lowest = cash + unit * high, cash + unit * low
            if highest > peak or lowest < floor or highest - lowest > deepest * highest:
                high, low = reach(reaches, entry, final)
                highest, lowest = cash + unit * high, cash + unit * low
                if highest - lowest > deepest * highest:
                    if weight == 1:
                        fall = largest_fall(marks, reaches, falls, np.int64(entry), np.int64(final))
                    else:
                        fall = fall_of_equity(marks, np.int64(entry), np.int64(final), cash, unit)
                    deepest = max(deepest, fall)
                deepest = max(deepest, 1 - lowest / peak)
                peak = max(peak, highest)
                floor = peak * (1 - deepest)
        after = before[k + 1]
        if after < floor:
            deepest = 1 - after / peak
            floor = after
        elif after > peak:
            peak = after
            floor = peak * (1 - deepest)
    return deepest
