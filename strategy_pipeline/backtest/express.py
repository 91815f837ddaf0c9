"""The express: headline numbers of the plainest positions, without a record of a single trade.

What belongs here: one kernel for strategies that are long, of fixed size, with levels in percent and free holding, which is what
most of a search consists of. Their equity over a trade is one product, so trades need no arithmetic of their own; the text
of what happens is in `reference`, and `walk` with `ranges.headline` say the same at length. Strategies that read
comparisons nobody else reads have them made here, from ranks, and never stored.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from strategy_pipeline.backtest.bits import ABOVE, combine, compare_ranks, cross_ranks, set_bits, trailing_zeros
from strategy_pipeline.backtest.ranges import SQUARE, SQUARE_REST, SUM, SUM_REST, earned, fall_of_equity, finish, largest_fall, reach
from strategy_pipeline.backtest.tile import FIRST, LAST, SPAN_START, SPAN_STOP, STOP
from strategy_pipeline.backtest.touch import first_touch
from strategy_pipeline.backtest.walk import (
    ENTER_LONG,
    EXIT_LONG,
    FRACTION,
    HOLD,
    NONE,
    SIZE_KIND,
    SIZE_VALUE,
    STOP_KIND,
    STOP_VALUE,
    TAKE_VALUE,
    TRAIL_VALUE,
)

# Columns of a literal: its bit row, or where that is -1 the comparison of two planes of ranks.
ROW, OP, LEFT, RIGHT, N_LITERAL = range(5)
SHORT = np.uint64(16)  # bars held up to which looking at each is faster than at tables
SPARSE = 4  # set bits a word up to which they are listed; of more, most would never be looked at


@njit(cache=True, nogil=True, error_model="numpy")
def _rule(
    literals: np.ndarray, rows: np.ndarray, planes: np.ndarray, known: np.ndarray, symbol: int, program: np.ndarray, stack: np.ndarray
) -> None:
    """`bits.evaluate_rule` for literals of both kinds."""
    n_words = stack.shape[1]
    if program.size == 0:
        stack[0, :] = np.uint64(0)
    depth = 0
    for step in program:
        if step >= 0:
            row, left, right = literals[step, ROW], literals[step, LEFT], literals[step, RIGHT]
            if row >= 0:
                for w in range(n_words):
                    stack[depth, w] = rows[row, symbol, w]
            else:
                compare_ranks(
                    literals[step, OP], planes[left, symbol], planes[right, symbol], known[left, symbol], known[right, symbol], stack[depth]
                )
            depth += 1
        else:
            depth = combine(step, depth, stack)


@njit(cache=True, nogil=True, error_model="numpy")
def _signals(
    literals: np.ndarray, rows: np.ndarray, planes: np.ndarray, known: np.ndarray, symbol: int, enter: np.ndarray, leave: np.ndarray,
    stack: np.ndarray, words: np.ndarray,
) -> None:  # fmt: skip
    """Entries and exits of longs into words (2, n_words). `enter` and `leave` are programs."""
    if enter.size == 1 and leave.size == 1:
        one, other = literals[enter[0]], literals[leave[0]]
        if (
            one[ROW] < 0
            and other[ROW] < 0
            and one[OP] == ABOVE
            and other[OP] == ABOVE
            and one[LEFT] == other[RIGHT]
            and one[RIGHT] == other[LEFT]
        ):
            left, right = one[LEFT], one[RIGHT]
            cross_ranks(planes[left, symbol], planes[right, symbol], known[left, symbol], known[right, symbol], words[0], words[1])
            return
    _rule(literals, rows, planes, known, symbol, enter, stack)
    words[0, :] = stack[0]
    _rule(literals, rows, planes, known, symbol, leave, stack)
    words[1, :] = stack[0]


@njit(cache=True, nogil=True, error_model="numpy")
def _settle(words: np.ndarray, present: np.ndarray) -> np.uint64:
    """Leave in `words` entries that are not suppressed and exits, on bars that exist; returns how many there are."""
    count = np.uint64(0)
    for w in range(present.shape[0]):
        words[1, w] &= present[w]
        words[0, w] &= present[w] & ~words[1, w]
        count += set_bits(words[0, w]) + set_bits(words[1, w])
    return count


@njit(cache=True, nogil=True, error_model="numpy")
def _list(words: np.ndarray, n_bars: int, entries: np.ndarray, exits: np.ndarray) -> None:
    """The set bits of both rows in order, each list closed by `n_bars`.

    Both lists grow by a word at a time without asking how many bits it has, which a processor could not guess.
    """
    one = np.uint64(1)
    n_entries, n_exits = np.uint64(0), np.uint64(0)
    for w in range(words.shape[1]):
        enter, leave = words[0, w], words[1, w]
        base = np.uint64(w << 6)
        while True:
            entries[n_entries] = base + trailing_zeros(enter)
            n_entries += np.uint64(enter != 0)
            enter &= enter - one
            exits[n_exits] = base + trailing_zeros(leave)
            n_exits += np.uint64(leave != 0)
            leave &= leave - one
            if enter | leave == 0:
                break
    entries[n_entries] = n_bars
    exits[n_exits] = n_bars


@njit(cache=True, nogil=True, error_model="numpy")
def _next(row: np.ndarray, position: np.uint64, end: np.uint64) -> np.uint64:
    """The first set bit from `position` on, or `end`."""
    if position >= end:
        return end
    w = position >> np.uint64(6)
    word = row[w] & (np.uint64(0xFFFFFFFFFFFFFFFF) << (position & np.uint64(63)))
    final = (end - np.uint64(1)) >> np.uint64(6)
    while word == 0:
        w += np.uint64(1)
        if w > final:
            return end
        word = row[w]
    return min((w << np.uint64(6)) + trailing_zeros(word), end)


@njit(cache=True, nogil=True, error_model="numpy")
def run_express(
    literals: np.ndarray, rows: np.ndarray, planes: np.ndarray, known: np.ndarray, steps: np.ndarray, offsets: np.ndarray, depth: int,
    ints: np.ndarray, floats: np.ndarray, order: np.ndarray, applies: np.ndarray,
    open_: np.ndarray, high: np.ndarray, low: np.ndarray, close: np.ndarray, marks: np.ndarray, next_bar: np.ndarray,
    present: np.ndarray, spans: np.ndarray,
    running: np.ndarray, reaches: np.ndarray, falls: np.ndarray, tops: np.ndarray, bottoms: np.ndarray,
    table_of: np.ndarray, touch_bars: np.ndarray, touch_prices: np.ndarray,
    fee: float, maker: float, slip: float, at_close: bool, market_targets: bool,
    start: int, stop: int, sums: np.ndarray, unsure: np.ndarray,
) -> None:  # fmt: skip
    """Headline sums of strategies [start, stop), into sums (n, n_symbols, N_SUMS); 1 in `unsure` (n, n_symbols), uint8, where
    they do not suffice (see `ranges.headline`).

    literals : int32 (n_literals, N_LITERAL); rows : uint64 (n_rows, n_symbols, n_words); planes, known : see `ranks`
    table_of : int32, the touch table of each strategy, -1 for none; touch_bars, touch_prices : (n_tables, n_symbols, n_bars)
    tops, bottoms : see `touch`; the others as in `tile.run_tile`
    """
    n_symbols, n_bars = close.shape
    n_words = present.shape[1]
    one = np.uint64(1)
    stack = np.empty((depth + 1, n_words), dtype=np.uint64)
    words = np.empty((2, n_words), dtype=np.uint64)
    entries, exits = np.empty(n_bars + 2, dtype=np.uint32), np.empty(n_bars + 2, dtype=np.uint32)
    buying, selling, limited = (1 + slip) * (1 + fee), (1 - slip) * (1 - fee), 1 - maker
    if market_targets:
        limited = selling
    # A symbol at a time, whose prices and tables then stay near.
    for s in range(n_symbols):
        span = spans[s]
        if span[SPAN_STOP] <= span[SPAN_START]:
            continue
        for i in range(start, stop):
            row, hold = order[i], np.uint64(ints[i, HOLD])
            stops = take = trail = 0.0
            if ints[i, STOP_KIND] != NONE:
                stops = floats[i, STOP_VALUE]
            if ints[i, STOP_KIND + 2] != NONE:
                take = floats[i, TAKE_VALUE]
            if ints[i, STOP_KIND + 4] != NONE:
                trail = floats[i, TRAIL_VALUE]
            levels = stops > 0 or take > 0 or trail > 0
            table = table_of[i]
            weight = floats[i, SIZE_VALUE] if ints[i, SIZE_KIND] == FRACTION else 1.0
            enter, leaving = ints[i, ENTER_LONG], ints[i, EXIT_LONG]
            if applies[row, s] == 0:
                continue
            _signals(
                literals, rows, planes, known, s, steps[offsets[enter] : offsets[enter + 1]],
                steps[offsets[leaving] : offsets[leaving + 1]], stack, words,
            )  # fmt: skip
            listed = _settle(words, present[s]) <= np.uint64(SPARSE * n_words)
            if listed:
                _list(words, n_bars, entries, exits)
            opens, closes, mark, fills = open_[s], close[s], marks[s], next_bar[s]
            sums_to, reaching, fall = running[s], reaches[s], falls[s]
            delisting = span[LAST] if span[LAST] < n_bars - 1 and span[LAST] < span[STOP] else -1
            end = np.uint64(min(span[STOP], span[LAST] + 1))
            position = np.uint64(span[FIRST])
            p = q = next_exit = np.uint64(0)
            money = peak = part = 1.0  # part : 1 / peak
            total = square = deepest = 0.0
            count = opened = 0
            while True:
                if listed:
                    while np.uint64(entries[p]) < position:
                        p += one
                    t = np.uint64(entries[p])
                else:
                    t = _next(words[0], position, end)
                if t >= end:
                    break
                position = t + one
                entry = t if at_close else t + one
                if entry >= end or np.uint64(fills[entry]) != entry:
                    continue
                base = closes[entry] if at_close else opens[entry]
                if listed:
                    while np.uint64(exits[q]) < position:
                        q += one
                    signal = np.uint64(exits[q])
                else:
                    if next_exit < position:
                        next_exit = _next(words[1], position, end)
                    signal = next_exit
                # When it leaves if nothing touches it, as in `walk`.
                if not at_close:
                    signal += one
                leave = end if signal >= end else min(end, np.uint64(fills[signal]))
                at_open = not at_close
                if hold > 0 and entry + hold < end:
                    timed = np.uint64(fills[entry + hold])
                    if timed < end and timed <= leave:
                        leave, at_open = timed, True
                open_end = False
                if leave >= end:
                    at_open = False
                    if delisting >= 0:
                        leave = np.uint64(delisting)
                    else:
                        leave, open_end = end, True
                price = 0.0
                if levels:
                    limit = leave if at_open or open_end else leave + one
                    if table >= 0:
                        touched, at = np.uint64(touch_bars[table, s, entry]), touch_prices[table, s, entry]
                    else:
                        found, at = first_touch(
                            opens, high[s], low[s], tops[s], bottoms[s], base, stops, take, trail,
                            np.int64(position if at_close else entry), np.int64(limit),
                        )  # fmt: skip
                        touched = np.uint64(found)
                    if touched < limit:
                        leave, price, open_end = touched, at, False
                count += 1
                unit = weight / (base * buying)
                held, cash = money * unit, money * (1 - weight)
                last = money
                if open_end:
                    leave = np.uint64(span[SPAN_STOP])
                if leave > entry:
                    final = leave - one
                    r = mark[entry] * unit - weight
                    total += r
                    square += r * r
                    if final - entry < SHORT:
                        top = bottom = mark[entry]
                        for b in range(entry + one, final + one):
                            top, bottom = max(top, mark[b]), min(bottom, mark[b])
                    else:
                        top, bottom = reach(reaching, entry, final)
                    highest, lowest = cash + held * top, cash + held * bottom
                    if weight == 1:
                        total += (sums_to[final, SUM] - sums_to[entry, SUM]) + (sums_to[final, SUM_REST] - sums_to[entry, SUM_REST])
                        square += (sums_to[final, SQUARE] - sums_to[entry, SQUARE]) + (
                            sums_to[final, SQUARE_REST] - sums_to[entry, SQUARE_REST]
                        )
                        if top - bottom > deepest * top:
                            deepest = max(deepest, largest_fall(mark, reaching, fall, np.int64(entry), np.int64(final)))
                    else:
                        gain, squared = earned(mark, entry, final, cash / held)
                        total += gain
                        square += squared
                        if highest - lowest > deepest * highest:
                            deepest = max(deepest, fall_of_equity(mark, np.int64(entry), np.int64(final), cash, held))
                    deepest = max(deepest, 1 - lowest * part)
                    if highest > peak:
                        peak = highest
                        part = 1 / peak
                    last = cash + held * mark[final]
                if open_end:
                    money, opened = last, 1
                    break
                if price < 0:
                    money = cash + held * -price * limited
                else:
                    if price == 0:
                        price = opens[leave] if at_open else closes[leave]
                    money = cash + held * price * selling
                r = money / last - 1
                total += r
                square += r * r
                deepest = max(deepest, 1 - money * part)
                if money > peak:
                    peak = money
                    part = 1 / peak
                position = leave + one if at_close else leave
            if not finish(total, square, deepest, money, count, opened, span[SPAN_STOP] - span[SPAN_START], sums[row, s]):
                unsure[row, s] = 1
