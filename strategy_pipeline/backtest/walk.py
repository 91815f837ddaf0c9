"""The event walk: from entry bit to exit, without looking at the bars between unless a stop must.

What belongs here: the kernel that turns four bit rows into trades. It states the same semantics as
`reference.simulate`, where they are written to be read; every price is computed by the same operations in
the same order, so trades agree to the last bit.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from strategy_pipeline.backtest.bits import next_set
from strategy_pipeline.backtest.reference import KELLY_PROBE, KELLY_TRADES, WORST_SLIP

OPEN, SIGNAL, STOP, TRAIL, TAKE, TIME, DELISTED, RUINED = range(8)
NONE, PERCENT, ATR = range(3)
ALL_IN, FRACTION, VOLATILITY_TARGET, KELLY = range(4)
# Columns of a strategy's integers, and of its floats. AGAINST is the second leg's symbol plus one, 0 for none.
(ENTER_LONG, ENTER_SHORT, EXIT_LONG, EXIT_SHORT, STOP_KIND, STOP_ROW, TAKE_KIND, TAKE_ROW, TRAIL_KIND, TRAIL_ROW,
 EVEN_KIND, EVEN_ROW, HOLD, COOLDOWN, SIZE_KIND, SIZE_ROW, AGAINST, N_INTS) = range(18)  # fmt: skip
STOP_VALUE, TAKE_VALUE, TRAIL_VALUE, EVEN_VALUE, SIZE_VALUE, N_FLOATS = range(6)
# What trading costs: see `costs.Costs.table`.
FEE, MAKER, IMPACT, CAPITAL, LOT, MIN_NOTIONAL, PARTICIPATION, N_COSTS = range(8)
# Columns of a trade's integers, and of its floats.
SIDE, DECISION, ENTRY, EXIT, REASON, IS_RUINED, N_TRADE_INTS = range(7)
ENTRY_PRICE, UNITS, BEFORE, CASH, EXIT_PRICE, AFTER, N_TRADE_FLOATS = range(7)


@njit(cache=True, nogil=True, error_model="numpy")
def _first_touch(high: np.ndarray, low: np.ndarray, start: int, stop: int, lower: float, upper: float) -> int:
    """The first bar in [start, stop) with low <= lower or high >= upper, or `stop`."""
    t = start
    while t + 8 <= stop:
        touched = False
        for i in range(8):
            touched |= (low[t + i] <= lower) | (high[t + i] >= upper)
        if touched:
            break
        t += 8
    while t < stop:
        if low[t] <= lower or high[t] >= upper:
            return t
        t += 1
    return stop


@njit(cache=True, nogil=True, error_model="numpy")
def _level(price: float, direction: int, kind: int, value: float, atr: float) -> float:
    if kind == PERCENT:
        return price * (1 + direction * value)
    return price + direction * value * atr


@njit(cache=True, nogil=True, error_model="numpy")
def _slip(slip: float, impact: float, notional: float, value: float) -> float:
    return min(WORST_SLIP, slip + impact * math.sqrt(notional / value)) if value > 0 else WORST_SLIP


@njit(cache=True, nogil=True, error_model="numpy")
def _stake(kind: int, value: float, sigma: float, won: int, lost: int, won_sum: float, lost_sum: float) -> float:
    if kind == ALL_IN:
        return 1.0
    if kind == FRACTION:
        return value
    if kind == VOLATILITY_TARGET:
        return min(1.0, value / sigma) if sigma > 0 else math.nan
    if won + lost < KELLY_TRADES or won == 0:
        return KELLY_PROBE
    p = won / (won + lost)
    payoff = (won_sum / won) / (lost_sum / lost) if lost_sum > 0 else math.inf
    return min(1.0, max(KELLY_PROBE, value * (p - (1 - p) / payoff)))


@njit(cache=True, nogil=True, error_model="numpy")
def walk(
    enter: np.ndarray, long: np.ndarray, exit_long: np.ndarray, exit_short: np.ndarray,
    open_: np.ndarray, high: np.ndarray, low: np.ndarray, close: np.ndarray, next_bar: np.ndarray,
    aux: np.ndarray, symbol: int, ints: np.ndarray, floats: np.ndarray,
    first: int, stop: int, last: int, idle: int, costs: np.ndarray, slips: np.ndarray, traded_value: np.ndarray,
    at_close: bool, market_targets: bool, delay: int, trade_ints: np.ndarray, trade_floats: np.ndarray,
) -> int:  # fmt: skip
    """Trades of one strategy on one symbol, in order; returns how many.

    enter, long, exit_long, exit_short : uint64 (n_words,); entries of either side (suppressed, on bars that
        exist), those of them that are long, and exits (on bars that exist)
    open_, high, low, close : float64 (n_bars,), high and low out of reach where nothing fills
    next_bar : int32 (n_bars + 1,), the first bar at or after each at which orders fill, n_bars for none
    aux : float64 (n_aux, n_symbols, n_bars), ATRs and volatilities
    costs : float64 (N_COSTS,); slips, traded_value : float64 (n_bars,), slippage as a fraction of price, and quote units
    first, stop : the trading window; last : the symbol's last bar in all bars given
    idle : whether any bar exists at which nothing fills
    delay : bars that what signals decide fills late
    Holding is free and every order fills whole: `trace` does the rest.
    trade_ints, trade_floats : (n_bars + 1, N_TRADE_INTS / N_TRADE_FLOATS), overwritten
    """
    n_bars = close.shape[0]
    delisting = last if last < n_bars - 1 and last < stop else -1
    end = min(stop, last + 1)
    stop_kind, take_kind, trail_kind, size_kind, hold = ints[STOP_KIND], ints[TAKE_KIND], ints[TRAIL_KIND], ints[SIZE_KIND], ints[HOLD]
    even_kind, cooldown = ints[EVEN_KIND], ints[COOLDOWN]
    fee, impact, capital, lot = costs[FEE], costs[IMPACT], costs[CAPITAL], costs[LOT]
    wait = delay if at_close else delay + 1
    at_once = wait == 0 and idle == 0  # what is decided has filled: nothing to look up
    money = 1.0
    count = 0
    won, lost, won_sum, lost_sum = 0, 0, 0.0, 0.0
    next_long, next_short = -1, -1
    position = first
    while money > 0:
        t = next_set(enter, position, end)
        if t >= end:
            break
        entry = t + wait
        position = entry + 1 if at_close else entry
        if entry >= end or (not at_once and next_bar[entry] != entry):
            continue
        base = close[entry] if at_close else open_[entry]
        side = 1 if (long[t >> 6] >> np.uint64(t & 63)) & np.uint64(1) else -1
        weight = _stake(size_kind, floats[SIZE_VALUE], aux[ints[SIZE_ROW], symbol, t], won, lost, won_sum, lost_sum)
        stop_atr, take_atr, trail_atr = aux[ints[STOP_ROW], symbol, t], aux[ints[TAKE_ROW], symbol, t], aux[ints[TRAIL_ROW], symbol, t]
        even_atr = aux[ints[EVEN_ROW], symbol, t]
        if not weight > 0:
            continue
        if (stop_kind == ATR and not stop_atr > 0) or (take_kind == ATR and not take_atr > 0) or (trail_kind == ATR and not trail_atr > 0):
            continue
        if even_kind == ATR and not even_atr > 0:
            continue
        slip = slips[entry]
        if impact > 0:
            slip = _slip(slip, impact, weight * money * capital, traded_value[entry])
        paid = base * (1 + slip) if side > 0 else base * (1 - slip)
        size = weight * money / (1 + fee) / paid
        if lot > 0:
            size = math.floor(size * capital / lot) * lot / capital
        if not size > 0 or size * paid * capital < costs[MIN_NOTIONAL]:
            continue
        cash = money - size * paid * (1 + fee) if side > 0 else money + size * paid * (1 - fee)
        units = side * size

        # When it leaves if nothing touches it: a signal or time at an open, a signal at a close, delisting, or not at all.
        decide = entry + 1 if at_close else entry
        if side > 0:
            if next_long < decide:
                next_long = next_set(exit_long, decide, end)
            signal = next_long
        else:
            if next_short < decide:
                next_short = next_set(exit_short, decide, end)
            signal = next_short
        timed = end
        if hold > 0 and entry + hold < end:
            timed = min(end, int(next_bar[entry + hold]))
        at_open = False
        filled = signal
        if not at_once:
            filled = end if signal + wait >= end else min(end, int(next_bar[signal + wait]))
        if at_close:
            if timed < end and timed <= filled:
                leave, reason, at_open = timed, TIME, True
            else:
                leave, reason = filled, SIGNAL
        else:
            leave, reason, at_open = min(filled, timed), (SIGNAL if filled <= timed else TIME), True
        if leave >= end:
            at_open = False
            leave, reason = (delisting, DELISTED) if delisting >= 0 else (end, OPEN)
        scan_start = entry + 1 if at_close else entry
        scan_stop = leave if at_open or reason == OPEN else leave + 1

        price = math.nan
        # Stops and targets: the first bar that touches one.
        stop_level = -math.inf * side
        if stop_kind != NONE:
            stop_level = _level(base, -side, stop_kind, floats[STOP_VALUE], stop_atr)
        initial = stop_level
        target = math.inf * side
        if take_kind != NONE:
            target = _level(base, side, take_kind, floats[TAKE_VALUE], take_atr)
        if trail_kind != NONE or even_kind != NONE:
            peak = base
            trailing = -math.inf * side
            trigger = math.inf * side
            if even_kind != NONE:
                trigger = _level(base, side, even_kind, floats[EVEN_VALUE], even_atr)
            for b in range(scan_start, scan_stop):
                if trail_kind != NONE:
                    trailing = _level(peak, -side, trail_kind, floats[TRAIL_VALUE], trail_atr)
                if side * peak >= side * trigger and side * base > side * stop_level:
                    stop_level = base
                if side > 0:
                    level = max(stop_level, trailing)
                    if low[b] <= level:
                        leave, price, reason = b, min(open_[b], level), (TRAIL if trailing > stop_level else STOP)
                        break
                    if high[b] >= target:
                        leave, price, reason = b, max(open_[b], target), TAKE
                        break
                    if high[b] > peak:
                        peak = high[b]
                else:
                    level = min(stop_level, trailing)
                    if high[b] >= level:
                        leave, price, reason = b, max(open_[b], level), (TRAIL if trailing < stop_level else STOP)
                        break
                    if low[b] <= target:
                        leave, price, reason = b, min(open_[b], target), TAKE
                        break
                    if low[b] < peak:
                        peak = low[b]
        elif stop_kind != NONE or take_kind != NONE:
            if side > 0:
                b = _first_touch(high, low, scan_start, scan_stop, stop_level, target)
                if b < scan_stop:
                    leave = b
                    if low[b] <= stop_level:
                        price, reason = min(open_[b], stop_level), STOP
                    else:
                        price, reason = max(open_[b], target), TAKE
            else:
                b = _first_touch(high, low, scan_start, scan_stop, target, stop_level)
                if b < scan_stop:
                    leave = b
                    if high[b] >= stop_level:
                        price, reason = max(open_[b], stop_level), STOP
                    else:
                        price, reason = min(open_[b], target), TAKE

        # A short can lose more than there is: the first close before the exit at which equity is gone. A fixed
        # stop that leaves equity positive is touched no later than that, so then there is nothing to look for.
        if side < 0 and (idle != 0 or not (stop_kind != NONE and cash + units * initial > 0)):
            for b in range(entry, min(leave, end)):
                if cash + units * close[b] <= 0:
                    leave, price, reason, at_open = b, close[b], RUINED, False
                    break

        trade_ints[count, SIDE], trade_ints[count, DECISION], trade_ints[count, ENTRY] = side, t, entry
        trade_floats[count, ENTRY_PRICE], trade_floats[count, UNITS] = paid, size
        trade_floats[count, BEFORE], trade_floats[count, CASH] = money, cash
        trade_ints[count, EXIT], trade_ints[count, REASON], trade_ints[count, IS_RUINED] = leave, reason, 0
        count += 1
        if reason == OPEN:
            final = end - 1
            while math.isnan(close[final]):
                final -= 1
            trade_ints[count - 1, EXIT] = -1
            trade_floats[count - 1, EXIT_PRICE] = math.nan
            trade_floats[count - 1, AFTER] = cash + units * close[final]
            break
        before = money
        if reason == RUINED:
            money, got = 0.0, price
            trade_ints[count - 1, IS_RUINED] = 1
        else:
            if math.isnan(price):
                price = open_[leave] if at_open else close[leave]
            rate, slip = costs[MAKER], 0.0
            if reason != TAKE or market_targets:
                rate, slip = fee, slips[leave]
                if impact > 0:
                    slip = _slip(slip, impact, size * price * capital, traded_value[leave])
            if side > 0:
                got = price * (1 - slip)
                money = cash + size * got * (1 - rate)
            else:
                got = price * (1 + slip)
                money = cash - size * got * (1 + rate)
            if money <= 0:
                money = 0.0
                trade_ints[count - 1, IS_RUINED] = 1
        trade_floats[count - 1, EXIT_PRICE], trade_floats[count - 1, AFTER] = got, money
        net = (money - before) / (size * paid)
        if net > 0:
            won, won_sum = won + 1, won_sum + net
        else:
            lost, lost_sum = lost + 1, lost_sum - net
        position = leave + 1 if at_close else leave
        if money < before:
            position = max(position, leave + cooldown)
    return count
