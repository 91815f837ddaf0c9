"""The traced walk: positions followed bar by bar, where holding costs or an exit may take several bars.

What belongs here: the kernel beside `walk` for funding, borrow and the participation cap. It finds entries by their
bits, as `walk` does, and then repeats the steps of `reference.simulate`, by the same operations in the same order, so
trades agree to the last bit. Equity while held is no line in the price any more: it is written down.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from strategy_pipeline.backtest.bits import next_set
from strategy_pipeline.backtest.walk import (
    AFTER,
    ATR,
    BEFORE,
    CAPITAL,
    CASH,
    COOLDOWN,
    DECISION,
    DELISTED,
    ENTRY,
    ENTRY_PRICE,
    EVEN_KIND,
    EVEN_ROW,
    EVEN_VALUE,
    EXIT,
    EXIT_PRICE,
    FEE,
    HOLD,
    IMPACT,
    IS_RUINED,
    LOT,
    MAKER,
    MIN_NOTIONAL,
    NONE,
    OPEN,
    PARTICIPATION,
    REASON,
    RUINED,
    SIDE,
    SIGNAL,
    SIZE_KIND,
    SIZE_ROW,
    SIZE_VALUE,
    STOP,
    STOP_KIND,
    STOP_ROW,
    STOP_VALUE,
    TAKE,
    TAKE_KIND,
    TAKE_ROW,
    TAKE_VALUE,
    TIME,
    TRAIL,
    TRAIL_KIND,
    TRAIL_ROW,
    TRAIL_VALUE,
    UNITS,
    _level,
    _slip,
    _stake,
)

# Columns of what is known of a traced trade beside `walk`'s: funding and borrow paid, number of fills, their notional over
# the equity before, the same by traded value; and of a pair's second leg its prices and units.
CARRY, N_FILLS, TURNED, TAKEN, OTHER_ENTRY, OTHER_EXIT, OTHER_UNITS, N_EXTRA = range(8)


@njit(cache=True, nogil=True, error_model="numpy")
def is_set(words: np.ndarray, t: int) -> bool:
    return ((words[t >> 6] >> np.uint64(t & 63)) & np.uint64(1)) != 0


@njit(cache=True, nogil=True, error_model="numpy")
def room(costs: np.ndarray, value: float) -> float:
    """The notional an order gets at a bar of that traded value, in units of the starting equity."""
    if costs[PARTICIPATION] == 0:
        return math.inf
    return costs[PARTICIPATION] * value / costs[CAPITAL] if value > 0 else 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def lots(costs: np.ndarray, units: float) -> float:
    """Units rounded down to lots."""
    return math.floor(units * costs[CAPITAL] / costs[LOT]) * costs[LOT] / costs[CAPITAL] if costs[LOT] > 0 else units


@njit(cache=True, nogil=True, error_model="numpy")
def slip_of(costs: np.ndarray, slip: float, notional: float, value: float) -> float:
    """Slippage of a market fill, its impact included."""
    return _slip(slip, costs[IMPACT], notional * costs[CAPITAL], value) if costs[IMPACT] > 0 else slip


@njit(cache=True, nogil=True, error_model="numpy")
def trace(
    enter: np.ndarray, long: np.ndarray, exit_long: np.ndarray, exit_short: np.ndarray,
    open_: np.ndarray, high: np.ndarray, low: np.ndarray, close: np.ndarray, marks: np.ndarray, next_bar: np.ndarray,
    aux: np.ndarray, symbol: int, ints: np.ndarray, floats: np.ndarray,
    first: int, stop: int, last: int, costs: np.ndarray, slips: np.ndarray, traded_value: np.ndarray,
    carry_long: np.ndarray, carry_short: np.ndarray, at_close: bool, market_targets: bool, delay: int,
    trade_ints: np.ndarray, trade_floats: np.ndarray, extra: np.ndarray, worth: np.ndarray,
) -> int:  # fmt: skip
    """Trades of one strategy on one symbol, in order; returns how many. Parameters as in `walk`, and:

    marks : float64 (n_bars,), the close, carried over missing bars
    carry_long, carry_short : float64 (n_bars,), what a unit pays at the opening of a bar; empty where holding is free
    extra : float64 (n_bars + 1, N_EXTRA), overwritten for each trade
    worth : float64 (n_bars,), overwritten where a position is held at the close: the equity there
    """
    n_bars = close.shape[0]
    delisting = last if last < n_bars - 1 and last < stop else -1
    end = min(stop, last + 1)
    stop_kind, take_kind, trail_kind, even_kind = ints[STOP_KIND], ints[TAKE_KIND], ints[TRAIL_KIND], ints[EVEN_KIND]
    hold, fee = ints[HOLD], costs[FEE]
    wait = delay if at_close else delay + 1
    carried = carry_long.shape[0] > 0
    money = 1.0
    count = 0
    won, lost, won_sum, lost_sum = 0, 0, 0.0, 0.0
    position = first
    while money > 0:
        t = next_set(enter, position, end)
        if t >= end:
            break
        entry = t + wait
        position = entry + 1 if at_close else entry
        if entry >= end or next_bar[entry] != entry:
            continue
        base = close[entry] if at_close else open_[entry]
        side = 1 if is_set(long, t) else -1
        weight = _stake(ints[SIZE_KIND], floats[SIZE_VALUE], aux[ints[SIZE_ROW], symbol, t], won, lost, won_sum, lost_sum)
        stop_atr, take_atr, trail_atr = aux[ints[STOP_ROW], symbol, t], aux[ints[TAKE_ROW], symbol, t], aux[ints[TRAIL_ROW], symbol, t]
        even_atr = aux[ints[EVEN_ROW], symbol, t]
        if not weight > 0:
            continue
        if (stop_kind == ATR and not stop_atr > 0) or (take_kind == ATR and not take_atr > 0) or (trail_kind == ATR and not trail_atr > 0):
            continue
        if even_kind == ATR and not even_atr > 0:
            continue
        notional = min(weight * money, room(costs, traded_value[entry]))
        slip = slip_of(costs, slips[entry], notional, traded_value[entry])
        paid = base * (1 + slip) if side > 0 else base * (1 - slip)
        size = lots(costs, notional / (1 + fee) / paid)
        if not size > 0 or size * paid * costs[CAPITAL] < costs[MIN_NOTIONAL]:
            continue
        cash = money - size * paid * (1 + fee) if side > 0 else money + size * paid * (1 - fee)
        trade_ints[count, SIDE], trade_ints[count, DECISION], trade_ints[count, ENTRY] = side, t, entry
        trade_floats[count, ENTRY_PRICE], trade_floats[count, UNITS] = paid, size
        trade_floats[count, BEFORE], trade_floats[count, CASH] = money, cash
        fills = 1
        turned = size * paid / money
        taken = turned / traded_value[entry]

        carry = carry_long if side > 0 else carry_short
        leaves = exit_long if side > 0 else exit_short
        level = -math.inf * side
        if stop_kind != NONE:
            level = _level(base, -side, stop_kind, floats[STOP_VALUE], stop_atr)
        target = math.inf * side
        if take_kind != NONE:
            target = _level(base, side, take_kind, floats[TAKE_VALUE], take_atr)
        trigger = math.inf * side
        if even_kind != NONE:
            trigger = _level(base, side, even_kind, floats[EVEN_VALUE], even_atr)
        peak = base
        left, sold, charged, got = size, 0.0, 0.0, math.nan
        pending, due, leaving = OPEN, -1, False
        leave, reason = end, OPEN
        for b in range(entry, end):
            if carried and b > entry:
                charge = left * carry[b]
                cash -= charge
                charged += charge
            filling = next_bar[b] == b
            # What is sold at this bar, first at its open or within it, then at its close.
            for moment in range(2):
                why, price, limit, capped = OPEN, math.nan, False, True
                if moment == 0:
                    if not filling or (b == entry and at_close):
                        continue
                    if b > entry and pending != OPEN and b >= due and not at_close:
                        why, price = pending, open_[b]
                    elif hold > 0 and b >= entry + hold and not leaving:
                        why, price = TIME, open_[b]
                    elif not leaving:
                        if side * peak >= side * trigger and side * base > side * level:
                            level = base
                        nearest, name = level, STOP
                        if trail_kind != NONE:
                            trailing = _level(peak, -side, trail_kind, floats[TRAIL_VALUE], trail_atr)
                            if side * trailing > side * level:
                                nearest, name = trailing, TRAIL
                        if side > 0:
                            if low[b] <= nearest:
                                why, price = name, min(open_[b], nearest)
                            elif high[b] >= target:
                                why, price, limit = TAKE, max(open_[b], target), not market_targets
                            peak = max(peak, high[b])
                        else:
                            if high[b] >= nearest:
                                why, price = name, max(open_[b], nearest)
                            elif low[b] <= target:
                                why, price, limit = TAKE, min(open_[b], target), not market_targets
                            peak = min(peak, low[b])
                else:
                    if pending == OPEN and (b > entry or not at_close) and is_set(leaves, b):
                        pending, due = SIGNAL, b + wait
                    if at_close and pending != OPEN and b >= due and filling:
                        why, price = pending, close[b]
                    if b == delisting and why == OPEN:
                        why, price, capped = DELISTED, close[b], False
                if why == OPEN:
                    continue
                while True:
                    part = left
                    if capped and part * price > room(costs, traded_value[b]):
                        part = lots(costs, room(costs, traded_value[b]) / price)
                    if part > 0:
                        slip, rate = 0.0, costs[MAKER]
                        if not limit:
                            slip, rate = slip_of(costs, slips[b], part * price, traded_value[b]), fee
                        if side > 0:
                            got = price * (1 - slip)
                            cash += part * got * (1 - rate)
                        else:
                            got = price * (1 + slip)
                            cash -= part * got * (1 + rate)
                        fills += 1
                        turned += part * got / money
                        taken += part * got / money / traded_value[b]
                        if sold != 0:
                            price_all = (sold + part * got) / size
                        else:
                            price_all = got
                        sold += part * got
                        got = price_all
                    if not part < left:
                        leave, reason = b, why
                        break
                    left -= part
                    leaving, pending, due = True, why, b + 1
                    if moment == 1 and b == delisting and capped:  # what the close did not take goes with the listing
                        why, price, capped, limit = DELISTED, close[b], False, False
                        continue
                    break
                if leave < end:
                    break
            if leave < end:
                break
            worth[b] = cash + side * left * marks[b]
            if worth[b] <= 0:
                leave, reason = b, RUINED
                fills += 1
                turned += left * marks[b] / money
                taken += left * marks[b] / money / traded_value[b]
                got = marks[b] if sold == 0 else (sold + left * marks[b]) / size
                break

        extra[count, CARRY], extra[count, N_FILLS], extra[count, TURNED], extra[count, TAKEN] = charged, fills, turned, taken
        extra[count, OTHER_ENTRY] = extra[count, OTHER_EXIT] = extra[count, OTHER_UNITS] = 0.0
        trade_ints[count, REASON], trade_ints[count, IS_RUINED] = reason, 0
        count += 1
        if reason == OPEN:
            trade_ints[count - 1, EXIT] = -1
            trade_floats[count - 1, EXIT_PRICE] = math.nan
            trade_floats[count - 1, AFTER] = worth[end - 1]
            break
        before = money
        money = cash
        if reason == RUINED or money <= 0:
            money = 0.0
            trade_ints[count - 1, IS_RUINED] = 1
        trade_ints[count - 1, EXIT] = leave
        trade_floats[count - 1, EXIT_PRICE], trade_floats[count - 1, AFTER] = got, money
        net = (money - before) / (size * paid)
        if net > 0:
            won, won_sum = won + 1, won_sum + net
        else:
            lost, lost_sum = lost + 1, lost_sum - net
        position = leave + 1 if at_close else leave
        if money < before:
            position = max(position, leave + ints[COOLDOWN])
    return count
