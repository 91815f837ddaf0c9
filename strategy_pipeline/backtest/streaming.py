"""Streaming statistics: from trades to the sums that metrics are made of, one pass over held bars.

What belongs here: the kernel that marks positions at each close they are held over and accumulates, with
nothing kept per bar but one reusable row of held returns (for the quantiles). Flat stretches cost nothing:
their returns are zero and their share of each sum has a closed form.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from strategy_pipeline.backtest.bits import outside_16, trailing_zeros
from strategy_pipeline.backtest.metrics import STILL, UNDER_WATER, ZERO_VARIANCE
from strategy_pipeline.backtest.trace import N_FILLS, OTHER_ENTRY, OTHER_UNITS, TAKEN, TURNED
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

SAMPLE, MARGIN = 256, 18  # values looked at first, and about three standard errors of a rank among them
WIDE, WIDE_MARGIN = 1024, 22  # the same where no sum hangs on which are set apart


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
def _around(values: np.ndarray, count: int, sign: float, k: int, out: np.ndarray) -> tuple[int, float, int]:
    """Set apart the values that may be the k-th or next smallest of sign * values[:count] (Floyd and Rivest 1975): how many are
    smaller than those for certain, their sum, and how many are in `out`.

    Two of a sample say between which values they lie; where they misjudge, all are taken.
    """
    if count >= 8 * SAMPLE:
        for i in range(SAMPLE):
            out[i] = sign * values[(i * count) // SAMPLE]
        place = (k * SAMPLE) // count
        high = _select(out, SAMPLE, min(SAMPLE - 1, place + MARGIN))
        low = _select(out, SAMPLE, place - MARGIN) if place >= MARGIN else -math.inf
        below, total, found = 0, 0.0, 0
        for i in range(count):
            value = sign * values[i]
            less = value < low
            below += less
            total += value if less else 0.0
            out[found] = value
            found += (value < high) & ~less
        if below <= k and below + found >= k + 2:
            return below, total, found
    for i in range(count):
        out[i] = sign * values[i]
    return 0, 0.0, count


@njit(cache=True, nogil=True, error_model="numpy")
def _tail(values: np.ndarray, count: int, negative: int, n: int, sign: float, scratch: np.ndarray) -> tuple[float, float]:
    """The 5 % quantile, and the mean of the floor(0.05 (n - 1)) + 1 smallest, of sign * values[:count] (of which `negative`
    are below zero) and n - count zeros."""
    position = 0.05 * (n - 1)
    k = math.floor(position)
    zeros = n - count
    worst = 0.0
    if k + 1 < negative:
        below, worst, found = _around(values, count, sign, k, scratch)
        above = _select(scratch, found, k + 1 - below)
        taken = k + 1 - below
        at = _select(scratch, taken, taken - 1)
    elif k < negative:  # the next one is a zero, or the first after them
        for i in range(count):
            scratch[i] = sign * values[i]
        at = _select(scratch, count, k)
        above = 0.0 if zeros > 0 or k + 1 >= n else _select(scratch, count, k + 1)
        at = _select(scratch, count, k)
        taken = k + 1
    elif k < negative + zeros:
        at = above = 0.0
        for i in range(count):
            scratch[i] = sign * values[i]
            worst += min(scratch[i], 0.0)
        if negative + zeros <= k + 1 < n:
            above = _select(scratch, count, k + 1 - zeros)
        taken = 0
    else:
        for i in range(count):
            scratch[i] = sign * values[i]
        above = _select(scratch, count, min(k + 1 - zeros, count - 1))
        at = _select(scratch, count, k - zeros)
        taken = k - zeros + 1
    for i in range(taken):
        worst += scratch[i]
    return at + (above - at) * (position - k), worst / (k + 1)


@njit(cache=True, nogil=True, error_model="numpy")
def _tails(values: np.ndarray, count: int, negative: int, positive: int, n: int, scratch: np.ndarray) -> tuple[float, float, float]:
    """What `_tail` says of both ends, to the bit: the 5 % quantile and the mean beyond it of values[:count] and zeros, and the 5 %
    quantile of their negatives; in one pass over them, where samples show between which values the quantiles lie."""
    position = 0.05 * (n - 1)
    k = math.floor(position)
    half = len(scratch) >> 1
    if count >= 8 * WIDE and k + 1 < negative and k + 1 < positive:
        lower, upper = scratch[:half], scratch[half:]
        for i in range(SAMPLE):
            lower[i] = values[(i * count) // SAMPLE]
        place = (k * SAMPLE) // count
        high = _select(lower, SAMPLE, min(SAMPLE - 1, place + MARGIN))
        low = _select(lower, SAMPLE, place - MARGIN) if place >= MARGIN else -math.inf
        for i in range(WIDE):
            upper[i] = -values[(i * count) // WIDE]
        place = (k * WIDE) // count
        least = -_select(upper, WIDE, min(WIDE - 1, place + WIDE_MARGIN))
        most = -_select(upper, WIDE, place - WIDE_MARGIN) if place >= WIDE_MARGIN else math.inf
        below = found = above = kept = 0
        worst = 0.0
        for first in range(0, count & ~15, 16):
            word = outside_16(values, high, values, least, first)
            while word != 0:
                value = values[first + int(trailing_zeros(word))]
                word &= word - np.uint64(1)
                less, more = value < low, value > most  # without branches, which nobody could foresee
                below += less
                worst += value if less else 0.0
                lower[found] = value
                found += (value < high) & ~less
                above += more
                upper[kept] = -value
                kept += (value > least) & (value >= high) & ~more
            if found + 16 > half or kept + 16 > half:
                return _tail_by_tail(values, count, negative, positive, n, scratch)
        for i in range(count & ~15, count):
            value = values[i]
            if value < high:
                if value < low:
                    below += 1
                    worst += value
                else:
                    lower[found] = value
                    found += 1
            elif value > most:
                above += 1
            elif value > least:
                upper[kept] = -value
                kept += 1
        if below <= k and below + found >= k + 2 and above <= k and above + kept >= k + 2:
            second = _select(lower, found, k + 1 - below)
            taken = k + 1 - below
            at = _select(lower, taken, taken - 1)
            for i in range(taken):
                worst += lower[i]
            after = _select(upper, kept, k + 1 - above)
            top = _select(upper, k + 1 - above, k - above)
            share = position - k
            return at + (second - at) * share, worst / (k + 1), top + (after - top) * share
    return _tail_by_tail(values, count, negative, positive, n, scratch)


@njit(cache=True, nogil=True, error_model="numpy")
def _tail_by_tail(values: np.ndarray, count: int, negative: int, positive: int, n: int, scratch: np.ndarray) -> tuple[float, float, float]:
    quantile, worst = _tail(values, count, negative, n, 1.0, scratch)
    top, _ = _tail(values, count, positive, n, -1.0, scratch)
    return quantile, worst, top


# Sums may be reassociated (so that they run in vector lanes): the same code sums in the same order on every call. Such functions
# are compiled only where they are called, lest a process that compiles calls another version than one that reads it from the cache.
@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "nsz"}, forceinline=True)
def _moments(values: np.ndarray, count: int, n: int, mean: float, sums: np.ndarray) -> tuple[int, int]:
    """Central moments and the negative part of values[:count] and n - count zeros, about their known mean; returns how many
    are below and above zero."""
    m2 = m3 = m4 = down = losses = 0.0
    negative = positive = 0
    for i in range(count):
        centred = values[i] - mean
        square = centred * centred
        m2 += square
        m3 += square * centred
        m4 += square * square
        below = values[i] if values[i] < 0 else 0.0
        down += below * below
        losses -= below
        negative += values[i] < 0
        positive += values[i] > 0
    square = mean * mean
    flat = n - count
    sums[MEAN] = mean
    sums[M2], sums[M3], sums[M4] = (m2 + flat * square) / n, (m3 - flat * square * mean) / n, (m4 + flat * square * square) / n
    sums[DOWNSIDE], sums[LOSSES] = down, losses
    return negative, positive


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "nsz"}, forceinline=True)
def _mark(
    marks: np.ndarray, benchmark: np.ndarray, entry: int, bars: int, cash: float, units: float, before: float, after: float,
    closed: bool, path: np.ndarray, returns: np.ndarray, kept: int, sums: np.ndarray,
) -> None:  # fmt: skip
    """Equity of one position at its closes, cash + units * mark, into path[:bars], its returns into returns[kept : kept + bars], and
    their sums.

    A position whose equity is written down has it as `marks`, with cash 0 and units 1.
    """
    for i in range(bars):
        path[i] = cash + units * marks[entry + i]
    if closed:
        path[bars - 1] = after
    # Returns of the path, and the sums that involve the benchmark: GAINS holds the sum of returns, ACTIVE is relative to a flat
    # position's.
    returns[kept] = path[0] / before - 1
    for i in range(1, bars):
        returns[kept + i] = path[i] / path[i - 1] - 1
    total = cross = square = 0.0
    for i in range(bars):
        r, b = returns[kept + i], benchmark[entry + i]
        total += r
        cross += r * b
        square += (r - b) ** 2 - b * b
    sums[GAINS] += total
    sums[CROSS] += cross
    sums[ACTIVE] += square


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "nsz"}, forceinline=True)
def _ride(benchmark: np.ndarray, entry: int, own: int, returns: np.ndarray, kept: int, sums: np.ndarray) -> None:
    """As `_mark` for a position that is all of the equity, after its first close: it earns what the symbol does."""
    total = square = 0.0
    for i in range(1, own):
        b = benchmark[entry + i]
        returns[kept + i] = b
        total += b
        square += b * b
    sums[GAINS] += total
    sums[CROSS] += square
    sums[ACTIVE] -= square


@njit(cache=True, nogil=True, error_model="numpy")
def _earn(r: float, b: float, sums: np.ndarray) -> float:
    """Count one return beside the benchmark's."""
    sums[GAINS] += r
    sums[CROSS] += r * b
    sums[ACTIVE] += (r - b) ** 2 - b * b
    return r


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "nsz"}, forceinline=True)
def _log_levels(levels: np.ndarray, entry: int, bars: int, shift: float, middle: float) -> tuple[float, float, float]:
    """Sums of y, y**2 and y * (t - middle) for y = levels + shift over bars from entry."""
    y_sum = y_square = y_time = 0.0
    for i in range(bars):
        y = levels[entry + i] + shift
        y_sum += y
        y_square += y * y
        y_time += y * (entry + i - middle)
    return y_sum, y_square, y_time


@njit(cache=True, nogil=True, error_model="numpy")
def accumulate(
    trade_ints: np.ndarray, trade_floats: np.ndarray, count: int,
    marks: np.ndarray, log_marks: np.ndarray, benchmark: np.ndarray, benchmark_square: float, traded_value: np.ndarray,
    day_last: np.ndarray, day_from: int, day_to: int, start: int, stop: int,
    returns: np.ndarray, path: np.ndarray, traced: bool, extra: np.ndarray, worth: np.ndarray, sums: np.ndarray, daily: np.ndarray,
) -> None:  # fmt: skip
    """Fill `sums` (N_SUMS,) and add the daily returns to `daily` (n_days,).

    marks : float64 (n_bars,), the close, carried over missing bars (for marking only)
    benchmark : float64 (n_bars,), its returns on [start, stop), whose squares sum to benchmark_square
    traded_value : float64 (n_bars,), quote units
    day_last : int64 (n_days,), each day's last bar; the symbol is listed on days [day_from, day_to)
    start, stop : the span that is measured: the trading window while the symbol is listed
    log_marks : float64 (n_bars,), log of marks
    returns, path : float64 (n_bars,), scratch
    traced : whether equity while held is in `worth` and fills in `extra` (see `trace`)
    """
    n = stop - start
    middle = start + (n - 1) / 2
    y_sum = y_square = y_time = 0.0
    peak = trough = money = 1.0
    surface = 1 - UNDER_WATER
    deepest = level = 0.0  # level: log of money
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
            y = level
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
        bars = min(leave + 1, stop) - entry
        own = bars - 1 if leave < stop else bars  # closes at which it is still held
        if abs(cash) <= 1e-13 * before and own > 0 and not traced:
            # All of the equity is in it: returns are the symbol's, log equity is the log price, shifted.
            returns[kept] = _earn((cash + units * marks[entry]) / before - 1, benchmark[entry], sums)
            _ride(benchmark, entry, own, returns, kept, sums)
            if leave < stop:
                returns[kept + own] = _earn(after / (cash + units * marks[leave - 1]) - 1, benchmark[leave], sums)
            y, square, moment = _log_levels(log_marks, entry, own, math.log(units), middle)
            y_sum += y
            y_square += square
            y_time += moment
            line, low = surface / units, math.inf
            for t in range(entry, entry + own):
                price = marks[t]
                if price < line:
                    low = price if price < low else low
                    under += 1
                else:
                    deepest = max(deepest, 1 - min(trough, units * low) / peak)
                    peak = max(peak, units * price)
                    surface = peak * (1 - UNDER_WATER)
                    line, low = surface / units, math.inf
                    trough = peak
                    longest = max(longest, under)
                    under = 0
            trough = min(trough, units * low)
            first = own
        else:
            if traced:
                _mark(worth, benchmark, entry, bars, 0.0, 1.0, before, after, leave < stop, path, returns, kept, sums)
            else:
                _mark(marks, benchmark, entry, bars, cash, units, before, after, leave < stop, path, returns, kept, sums)
            for j in range(own):
                y = math.log(path[j])
                y_sum += y
                y_square += y * y
                y_time += y * (entry + j - middle)
            first = 0
        kept += bars
        if leave < stop:
            y = level = math.log(after)
            y_sum += y
            y_square += y * y
            y_time += y * (leave - middle)
        for j in range(first, bars):
            equity = path[j] if first == 0 else after
            if equity < surface:
                trough = equity if equity < trough else trough
                under += 1
            else:
                deepest = max(deepest, 1 - trough / peak)
                peak = equity if equity > peak else peak
                surface = peak * (1 - UNDER_WATER)
                trough = peak
                longest = max(longest, under)
                under = 0
        while day < day_to and day_last[day] < leave:
            equity = worth[day_last[day]] if traced else cash + units * marks[day_last[day]]
            daily[day] += equity / day_equity - 1
            day_equity = equity
            day += 1
        money = after
        at = min(leave + 1, stop)
    deepest = max(deepest, 1 - trough / peak)

    sums[N], sums[EQUITY] = n, money
    sums[MAX_DRAWDOWN], sums[DRAWDOWN_BARS] = deepest, max(longest, under)
    sums[ACTIVE] += benchmark_square
    if n > 0:
        negative, positive = _moments(returns, kept, n, sums[GAINS] / n, sums)
        sums[GAINS] += sums[LOSSES]
        sums[Q05], sums[WORST], upper = _tails(returns, kept, negative, positive, n, path)
        sums[Q95] = -upper
    spread = y_square - y_sum * y_sum / n
    time_square = n * (n * n - 1.0) / 12
    alive = money > 0 and spread > ZERO_VARIANCE * y_square + n * STILL**2
    sums[STABILITY] = y_time * y_time / (spread * time_square) if alive else math.nan
    _count_trades(trade_ints, trade_floats, count, stop, traded_value, sums)
    if traced:
        _count_fills(trade_ints, trade_floats, extra, count, sums)


@njit(cache=True, nogil=True, error_model="numpy")
def _count_trades(
    trade_ints: np.ndarray, trade_floats: np.ndarray, count: int, stop: int, traded_value: np.ndarray, sums: np.ndarray
) -> None:
    """The sums over trades, from TRADES to RUINS."""
    closed = wins = losers = held = holding = delistings = ruins = 0
    profit = loss = win_return = loss_return = turnover = participation = 0.0
    for i in range(count):
        entry, leave, reason = trade_ints[i, ENTRY], trade_ints[i, EXIT], trade_ints[i, REASON]
        size, paid, before = trade_floats[i, UNITS], trade_floats[i, ENTRY_PRICE], trade_floats[i, BEFORE]
        weight = size * paid / before
        turnover += weight
        participation += weight / traded_value[entry]
        if reason == OPEN:
            held += stop - entry
            continue
        held += leave - entry
        weight = size * trade_floats[i, EXIT_PRICE] / before
        turnover += weight
        participation += weight / traded_value[leave]
        closed += 1
        holding += leave - entry
        gain = trade_floats[i, AFTER] - before
        net = gain / (size * paid)
        if gain > 0:
            wins += 1
            profit += gain
            win_return += net
        else:
            losers += 1
            loss -= gain
            loss_return -= net
        delistings += reason == DELISTED
        ruins += trade_ints[i, IS_RUINED]
    sums[TRADES], sums[CLOSED], sums[WINS], sums[LOSERS] = count, closed, wins, losers
    sums[PROFIT], sums[LOSS], sums[WIN_RETURN], sums[LOSS_RETURN] = profit, loss, win_return, loss_return
    sums[TURNOVER], sums[PARTICIPATION], sums[FILLS] = turnover, participation, count + closed
    sums[HELD], sums[HOLDING], sums[OPEN_TRADES] = held, holding, count - closed
    sums[DELISTINGS], sums[RUINS] = delistings, ruins


@njit(cache=True, nogil=True, error_model="numpy")
def _count_fills(trade_ints: np.ndarray, trade_floats: np.ndarray, extra: np.ndarray, count: int, sums: np.ndarray) -> None:
    """What `_count_trades` says of fills, and of returns on notional, for traced trades: of several fills, or of two legs."""
    turnover = participation = fills = 0.0
    win_return = loss_return = 0.0
    for i in range(count):
        turnover += extra[i, TURNED]
        participation += extra[i, TAKEN]
        fills += extra[i, N_FILLS]
        if trade_ints[i, REASON] == OPEN:
            continue
        gain = trade_floats[i, AFTER] - trade_floats[i, BEFORE]
        net = gain / (trade_floats[i, UNITS] * trade_floats[i, ENTRY_PRICE] + extra[i, OTHER_UNITS] * extra[i, OTHER_ENTRY])
        if gain > 0:
            win_return += net
        else:
            loss_return -= net
    sums[TURNOVER], sums[PARTICIPATION], sums[FILLS] = turnover, participation, fills
    sums[WIN_RETURN], sums[LOSS_RETURN] = win_return, loss_return
