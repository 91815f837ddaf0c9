"""Streaming statistics: from trades to the sums that metrics are made of, one pass over held bars.

What belongs here: the kernel that marks positions at each close they are held over and accumulates, with
nothing kept per bar but one reusable row of held returns (for the quantiles). Flat stretches cost nothing:
their returns are zero and their share of each sum has a closed form.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from strategy_pipeline.backtest.metrics import UNDER_WATER, ZERO_VARIANCE
from strategy_pipeline.backtest.walk import (
    AFTER,
    BEFORE,
    CASH,
    DELISTED,
    ENTRY,
    ENTRY_PRICE,
    EXIT,
    EXIT_PRICE,
    IS_RUINED,
    OPEN,
    REASON,
    SIDE,
    UNITS,
)

# Columns of the sums of one strategy on one symbol.
(N, EQUITY, MEAN, M2, M3, M4, DOWNSIDE, GAINS, LOSSES, MAX_DRAWDOWN, DRAWDOWN_BARS, Q05, Q95, WORST, STABILITY, CROSS, ACTIVE,
 TRADES, CLOSED, WINS, LOSERS, PROFIT, LOSS, WIN_RETURN, LOSS_RETURN, TURNOVER, HELD, HOLDING, FILLS, PARTICIPATION,
 OPEN_TRADES, DELISTINGS, RUINS, N_SUMS) = range(34)  # fmt: skip


@njit(cache=True, nogil=True, error_model="numpy")
def _select(values: np.ndarray, count: int, k: int) -> float:
    """Reorder values[:count] so that values[k] is the k-th smallest and those before it are no larger (Hoare 1961)."""
    low, high = 0, count - 1
    while low < high:
        middle = (low + high) >> 1
        a, b, c = values[low], values[middle], values[high]
        pivot = max(min(a, b), min(max(a, b), c))
        i, j = low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if k <= j:
            high = j
        elif k >= i:
            low = i
        else:
            break
    return values[k]


@njit(cache=True, nogil=True, error_model="numpy")
def _ranked(values: np.ndarray, count: int, negative: int, n: int, k: int) -> float:
    """The k-th smallest of values[:count] and n - count zeros."""
    if k < negative:
        return _select(values, count, k)
    if k < negative + n - count:
        return 0.0
    return _select(values, count, k - (n - count))


@njit(cache=True, nogil=True, error_model="numpy")
def _tails(values: np.ndarray, count: int, n: int, sums: np.ndarray) -> None:
    """Quantiles and the mean of the worst returns among values[:count] and n - count zeros."""
    negative = 0
    for i in range(count):
        negative += values[i] < 0
    position = 0.95 * (n - 1)
    k = math.floor(position)
    at = _ranked(values, count, negative, n, k)
    above = _ranked(values, count, negative, n, min(k + 1, n - 1))
    sums[Q95] = at + (above - at) * (position - k)
    position = 0.05 * (n - 1)
    k = math.floor(position)
    above = _ranked(values, count, negative, n, min(k + 1, n - 1))
    at = _ranked(values, count, negative, n, k)
    sums[Q05] = at + (above - at) * (position - k)
    worst = 0.0
    if k < negative:
        for i in range(k + 1):
            worst += values[i]
    else:
        for i in range(count):
            worst += min(values[i], 0.0)
        if k >= negative + n - count:  # the zeros are all among the worst, and positive returns are too
            worst = 0.0
            for i in range(k - (n - count) + 1):
                worst += values[i]
    sums[WORST] = worst / (k + 1)


@njit(cache=True, nogil=True, error_model="numpy")
def _moments(values: np.ndarray, count: int, n: int, mean: float, sums: np.ndarray) -> None:
    """Central moments of values[:count] and n - count zeros, about their known mean: a second pass, for exactness."""
    m2 = m3 = m4 = 0.0
    for i in range(count):
        centred = values[i] - mean
        square = centred * centred
        m2 += square
        m3 += square * centred
        m4 += square * square
    square = mean * mean
    flat = n - count
    sums[MEAN] = mean
    sums[M2], sums[M3], sums[M4] = (m2 + flat * square) / n, (m3 - flat * square * mean) / n, (m4 + flat * square * square) / n


@njit(cache=True, nogil=True, error_model="numpy")
def accumulate(
    trade_ints: np.ndarray, trade_floats: np.ndarray, count: int,
    marks: np.ndarray, benchmark: np.ndarray, benchmark_square: float, traded_value: np.ndarray,
    day_last: np.ndarray, day_from: int, day_to: int, start: int, stop: int,
    returns: np.ndarray, sums: np.ndarray, daily: np.ndarray,
) -> None:  # fmt: skip
    """Fill `sums` (N_SUMS,) and add the daily returns to `daily` (n_days,).

    marks : float64 (n_bars,), the close, carried over missing bars (for marking only)
    benchmark : float64 (n_bars,), its returns on [start, stop), whose squares sum to benchmark_square
    traded_value : float64 (n_bars,), quote units
    day_last : int64 (n_days,), each day's last bar; the symbol is listed on days [day_from, day_to)
    start, stop : the span that is measured: the trading window while the symbol is listed
    returns : float64 (n_bars,), scratch
    """
    n = stop - start
    middle = start + (n - 1) / 2
    total = down = gains = losses = cross = active = held_square = 0.0
    y_sum = y_square = y_time = 0.0
    peak = trough = money = 1.0
    deepest = 0.0
    under, longest = 0, 0
    kept = 0
    at = start  # first bar not yet accounted for
    day, day_equity = day_from, 1.0
    for column in range(N_SUMS):
        sums[column] = 0.0

    for i in range(count + 1):
        entry = trade_ints[i, ENTRY] if i < count else stop
        # Flat until the entry.
        if entry > at:
            gap = entry - at
            y = math.log(money)
            y_sum += gap * y
            y_square += gap * y * y
            if y != 0.0:
                y_time += y * gap * ((at + entry - 1) / 2 - middle)
            if under > 0:
                under += gap
        while day < day_to and (day_last[day] < entry or i == count):
            daily[day] += money / day_equity - 1 if day_equity > 0 else 0.0
            day_equity = money
            day += 1
        if i == count:
            break
        reason = trade_ints[i, REASON]
        leave = trade_ints[i, EXIT] if reason != OPEN else stop
        cash, units = trade_floats[i, CASH], trade_ints[i, SIDE] * trade_floats[i, UNITS]
        before, after = trade_floats[i, BEFORE], trade_floats[i, AFTER]
        previous = before
        for t in range(entry, min(leave + 1, stop)):
            equity = cash + units * marks[t] if t < leave else after
            r = equity / previous - 1
            previous = equity
            b = benchmark[t]
            total += r
            if r < 0:
                down += r * r
                losses -= r
            else:
                gains += r
            cross += r * b
            active += (r - b) * (r - b)
            held_square += b * b
            returns[kept] = r
            kept += 1
            y = math.log(equity)
            y_sum += y
            y_square += y * y
            y_time += y * (t - middle)
            if equity >= peak * (1 - UNDER_WATER):
                if trough < peak:
                    deepest = max(deepest, 1 - trough / peak)
                peak = max(peak, equity)
                trough = peak
                longest = max(longest, under)
                under = 0
            else:
                trough = min(trough, equity)
                under += 1
        while day < day_to and day_last[day] < leave:
            equity = cash + units * marks[day_last[day]]
            daily[day] += equity / day_equity - 1
            day_equity = equity
            day += 1
        money = after
        at = min(leave + 1, stop)
        _count_trade(trade_ints, trade_floats, i, leave, traded_value, sums)
    if trough < peak:
        deepest = max(deepest, 1 - trough / peak)

    sums[N], sums[EQUITY] = n, money
    sums[DOWNSIDE], sums[GAINS], sums[LOSSES] = down, gains, losses
    sums[MAX_DRAWDOWN], sums[DRAWDOWN_BARS] = deepest, max(longest, under)
    sums[CROSS], sums[ACTIVE] = cross, active + (benchmark_square - held_square)
    if n > 0:
        _moments(returns, kept, n, total / n, sums)
        _tails(returns, kept, n, sums)
    spread = y_square - y_sum * y_sum / n
    time_square = n * (n * n - 1.0) / 12
    alive = money > 0 and spread > ZERO_VARIANCE * y_square
    sums[STABILITY] = y_time * y_time / (spread * time_square) if alive else math.nan
    sums[TRADES] = count


@njit(cache=True, nogil=True, error_model="numpy")
def _count_trade(trade_ints: np.ndarray, trade_floats: np.ndarray, i: int, leave: int, traded_value: np.ndarray, sums: np.ndarray) -> None:
    entry, reason = trade_ints[i, ENTRY], trade_ints[i, REASON]
    size, paid, before = trade_floats[i, UNITS], trade_floats[i, ENTRY_PRICE], trade_floats[i, BEFORE]
    weight = size * paid / before
    sums[TURNOVER] += weight
    sums[PARTICIPATION] += weight / traded_value[entry]
    sums[FILLS] += 1
    sums[HELD] += leave - entry
    if reason == OPEN:
        sums[OPEN_TRADES] += 1
        return
    weight = size * trade_floats[i, EXIT_PRICE] / before
    sums[TURNOVER] += weight
    sums[PARTICIPATION] += weight / traded_value[leave]
    sums[FILLS] += 1
    sums[CLOSED] += 1
    sums[HOLDING] += leave - entry
    profit = trade_floats[i, AFTER] - before
    net = profit / (size * paid)
    if profit > 0:
        sums[WINS] += 1
        sums[PROFIT] += profit
        sums[WIN_RETURN] += net
    else:
        sums[LOSERS] += 1
        sums[LOSS] -= profit
        sums[LOSS_RETURN] -= net
    sums[DELISTINGS] += reason == DELISTED
    sums[RUINS] += trade_ints[i, IS_RUINED]
