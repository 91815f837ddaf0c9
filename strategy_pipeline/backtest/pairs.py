"""Pairs: two legs as one position, followed bar by bar while held.

What belongs here: the kernel that equals `reference_pairs.simulate_pair`, by the same operations in the same order. Entries
are found by their bits; held bars are scanned, for a pair's value is no line in any one price.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from strategy_pipeline.backtest.bits import next_set
from strategy_pipeline.backtest.trace import (
    CARRY,
    N_FILLS,
    OTHER_ENTRY,
    OTHER_EXIT,
    OTHER_UNITS,
    TAKEN,
    TURNED,
    is_set,
    lots,
    room,
    slip_of,
)
from strategy_pipeline.backtest.walk import (
    AFTER,
    BEFORE,
    CAPITAL,
    CASH,
    COOLDOWN,
    DECISION,
    DELISTED,
    ENTRY,
    ENTRY_PRICE,
    EVEN_KIND,
    EVEN_VALUE,
    EXIT,
    EXIT_PRICE,
    FEE,
    HOLD,
    IS_RUINED,
    MIN_NOTIONAL,
    NONE,
    OPEN,
    REASON,
    RUINED,
    SIDE,
    SIGNAL,
    SIZE_KIND,
    SIZE_ROW,
    SIZE_VALUE,
    STOP,
    STOP_KIND,
    STOP_VALUE,
    TAKE,
    TAKE_KIND,
    TAKE_VALUE,
    TIME,
    TRAIL,
    TRAIL_KIND,
    TRAIL_VALUE,
    UNITS,
    _stake,
)


@njit(cache=True, nogil=True, error_model="numpy")
def _watch(ints: np.ndarray, floats: np.ndarray, value: float, peak: float) -> int:
    """Why a pair of that value at a close leaves, OPEN where it does not."""
    level, name = -math.inf, OPEN
    if ints[STOP_KIND] != NONE:
        level, name = 1 - floats[STOP_VALUE], STOP
    if ints[EVEN_KIND] != NONE and peak >= 1 + floats[EVEN_VALUE] and level < 1:
        level, name = 1.0, STOP
    if ints[TRAIL_KIND] != NONE and peak * (1 - floats[TRAIL_VALUE]) > level:
        level, name = peak * (1 - floats[TRAIL_VALUE]), TRAIL
    if name != OPEN and value <= level:
        return name
    return TAKE if ints[TAKE_KIND] != NONE and value >= 1 + floats[TAKE_VALUE] else OPEN


@njit(cache=True, nogil=True, error_model="numpy")
def _exit_slip(costs: np.ndarray, slip: float, notional: float, value: float) -> float:
    return slip if math.isnan(value) else slip_of(costs, slip, notional, value)


@njit(cache=True, nogil=True, error_model="numpy")
def walk_pair(
    enter: np.ndarray, long: np.ndarray, exit_long: np.ndarray, exit_short: np.ndarray, other_present: np.ndarray,
    open_: np.ndarray, close: np.ndarray, marks: np.ndarray, next_bar: np.ndarray, aux: np.ndarray, s: int, o: int,
    ints: np.ndarray, floats: np.ndarray, first: int, stop: int, last: int, other_last: int,
    costs: np.ndarray, slips: np.ndarray, traded_value: np.ndarray, carry: np.ndarray, at_close: bool, delay: int,
    trade_ints: np.ndarray, trade_floats: np.ndarray, extra: np.ndarray, worth: np.ndarray,
) -> int:  # fmt: skip
    """Trades of one strategy on the pair of symbols `s` and `o`, in order; returns how many.

    enter, long, exit_long, exit_short : as in `walk.walk`, of the first leg; other_present : where the second has bars
    open_, close, marks, slips, traded_value : float64 (n_symbols, n_bars); next_bar : int32 (n_symbols, n_bars + 1)
    carry : float64 (2, n_symbols, n_bars), or empty; see `terms`
    trade_ints, trade_floats, extra, worth : as in `trace.trace`
    """
    n_bars = close.shape[1]
    gone = n_bars
    if last < n_bars - 1:
        gone = min(gone, last)
    if other_last < n_bars - 1:
        gone = min(gone, other_last)
    delisting = gone if gone < min(n_bars, stop) else -1
    end = min(stop, gone + 1)
    hold, fee = ints[HOLD], costs[FEE]
    wait = delay if at_close else delay + 1
    carried = carry.shape[2] > 0
    money = 1.0
    count = 0
    won, lost, won_sum, lost_sum = 0, 0, 0.0, 0.0
    position = first
    while money > 0:
        t = next_set(enter, position, end)
        if t >= end:
            break
        position = t + 1
        if not is_set(other_present, t):
            continue
        entry = t + wait
        position = entry + 1 if at_close else entry
        if entry >= end or next_bar[s, entry] != entry or next_bar[o, entry] != entry:
            continue
        base = close[s, entry] if at_close else open_[s, entry]
        other_base = close[o, entry] if at_close else open_[o, entry]
        side = 1 if is_set(long, t) else -1
        weight = _stake(ints[SIZE_KIND], floats[SIZE_VALUE], aux[ints[SIZE_ROW], s, t], won, lost, won_sum, lost_sum)
        if not weight > 0:
            continue
        value_one, value_two = traded_value[s, entry], traded_value[o, entry]
        notional = min(weight * money / 2, room(costs, value_one), room(costs, value_two))
        slip, other_slip = slip_of(costs, slips[s, entry], notional, value_one), slip_of(costs, slips[o, entry], notional, value_two)
        paid, other_paid = base * (1 + side * slip), other_base * (1 - side * other_slip)
        size = lots(costs, notional / (1 + fee) / paid)
        other_size = lots(costs, notional / (1 + fee) / other_paid)
        smaller = min(size * paid, other_size * other_paid)
        if not smaller > 0 or smaller * costs[CAPITAL] < costs[MIN_NOTIONAL]:
            continue
        cash = money - size * paid * (side + fee) + other_size * other_paid * (side - fee)
        trade_ints[count, SIDE], trade_ints[count, DECISION], trade_ints[count, ENTRY] = side, t, entry
        trade_floats[count, ENTRY_PRICE], trade_floats[count, UNITS] = paid, size
        trade_floats[count, BEFORE], trade_floats[count, CASH] = money, cash
        extra[count, OTHER_ENTRY], extra[count, OTHER_UNITS] = other_paid, other_size
        fills = 2
        turned = (size * paid + other_size * other_paid) / money
        taken = size * paid / money / value_one + other_size * other_paid / money / value_two

        leaves = exit_long if side > 0 else exit_short
        left, other_left, sold, other_sold, charged = size, other_size, 0.0, 0.0, 0.0
        exit_price, other_exit_price = math.nan, math.nan
        peak = 1.0
        pending, due, leaving = OPEN, -1, False
        leave, reason = end, OPEN
        for b in range(entry, end):
            if carried and b > entry:
                if side > 0:
                    charge = left * carry[0, s, b] + other_left * carry[1, o, b]
                else:
                    charge = left * carry[1, s, b] + other_left * carry[0, o, b]
                cash -= charge
                charged += charge
            filling = next_bar[s, b] == b and next_bar[o, b] == b
            for moment in range(3):  # the open, the close, delisting
                why, price, other = OPEN, math.nan, math.nan
                if moment == 0:
                    if filling and b > entry:
                        if pending != OPEN and b >= due and not at_close:
                            why = pending
                        elif hold > 0 and b >= entry + hold and not leaving:
                            why = TIME
                        price, other = open_[s, b], open_[o, b]
                elif moment == 1:
                    price, other = marks[s, b], marks[o, b]
                    here = not math.isnan(close[s, b]) and not math.isnan(close[o, b])
                    if here and (b > entry or not at_close):
                        value = 1 + side * (price / base - other / other_base) / 2
                        if pending == OPEN:
                            pending = _watch(ints, floats, value, peak)
                            if pending == OPEN and is_set(leaves, b):
                                pending = SIGNAL
                            if pending != OPEN:
                                due = b + wait
                        peak = max(peak, value)
                    if at_close and pending != OPEN and b >= due and filling:
                        why = pending
                elif b == delisting:
                    why, price, other = DELISTED, marks[s, b], marks[o, b]
                if why == OPEN:
                    continue
                value_one, value_two = traded_value[s, b], traded_value[o, b]
                share = 1.0
                if moment < 2:
                    if left * price > room(costs, value_one):
                        share = min(share, room(costs, value_one) / (left * price))
                    if other_left * other > room(costs, value_two):
                        share = min(share, room(costs, value_two) / (other_left * other))
                part, other_part = left, other_left
                if share < 1:
                    part, other_part = lots(costs, part * share), lots(costs, other_part * share)
                if part > 0:
                    got = price * (1 - side * _exit_slip(costs, slips[s, b], part * price, value_one))
                    cash += part * got * (side - fee)
                    fills += 1
                    turned += part * got / money
                    taken += part * got / money / value_one
                    exit_price = got if sold == 0 else (sold + part * got) / size
                    sold += part * got
                if other_part > 0:
                    got = other * (1 + side * _exit_slip(costs, slips[o, b], other_part * other, value_two))
                    cash -= other_part * got * (side + fee)
                    fills += 1
                    turned += other_part * got / money
                    taken += other_part * got / money / value_two
                    other_exit_price = got if other_sold == 0 else (other_sold + other_part * got) / other_size
                    other_sold += other_part * got
                if part < left or other_part < other_left:
                    left -= part
                    other_left -= other_part
                    leaving, pending, due = True, why, b + 1
                    continue
                leave, reason = b, why
                break
            if leave < end:
                break
            worth[b] = cash + side * (left * marks[s, b] - other_left * marks[o, b])
            if worth[b] <= 0:
                leave, reason = b, RUINED
                price, other = left * marks[s, b], other_left * marks[o, b]
                fills += 2
                turned += (price + other) / money
                taken += price / money / traded_value[s, b] + other / money / traded_value[o, b]
                exit_price = marks[s, b] if sold == 0 else (sold + price) / size
                other_exit_price = marks[o, b] if other_sold == 0 else (other_sold + other) / other_size
                break

        extra[count, CARRY], extra[count, N_FILLS], extra[count, TURNED], extra[count, TAKEN] = charged, fills, turned, taken
        trade_ints[count, REASON], trade_ints[count, IS_RUINED] = reason, 0
        count += 1
        if reason == OPEN:
            trade_ints[count - 1, EXIT] = -1
            trade_floats[count - 1, EXIT_PRICE], extra[count - 1, OTHER_EXIT] = math.nan, math.nan
            trade_floats[count - 1, AFTER] = worth[end - 1]
            break
        before = money
        money = cash
        if reason == RUINED or money <= 0:
            money = 0.0
            trade_ints[count - 1, IS_RUINED] = 1
        trade_ints[count - 1, EXIT] = leave
        trade_floats[count - 1, EXIT_PRICE], extra[count - 1, OTHER_EXIT] = exit_price, other_exit_price
        trade_floats[count - 1, AFTER] = money
        net = (money - before) / (size * paid + other_size * other_paid)
        if net > 0:
            won, won_sum = won + 1, won_sum + net
        else:
            lost, lost_sum = lost + 1, lost_sum - net
        position = leave + 1 if at_close else leave
        if money < before:
            position = max(position, leave + ints[COOLDOWN])
    return count
