"""The express: headline numbers of the plainest positions, without a record of a single trade.

What belongs here: the kernel for strategies that are long, of fixed size, with levels in percent and free holding, which is what
most of a search consists of. Rules become words of bits, a walk lists entries, exits and prices, and `tally` makes numbers of
them; the text of what happens is in `reference`, and `walk` with `ranges.headline` say the same at length. Strategies that
read comparisons nobody else reads have them made here, from ranks, and never stored.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from strategy_pipeline.backtest.bits import ABOVE, combine, compare_ranks, cross_ranks, set_bits, trailing_zeros
from strategy_pipeline.backtest.tally import tally
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
    """`bits.next_set` on unsigned positions, as all of the walk has them: an index that cannot be negative is not asked whether it is."""
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


@njit(cache=True, nogil=True, inline="always", error_model="numpy")
def _is_set(row: np.ndarray, position: np.uint64) -> bool:
    return (row[position >> np.uint64(6)] >> (position & np.uint64(63))) & np.uint64(1) != 0


@njit(cache=True, nogil=True, error_model="numpy")
def _walk(
    words: np.ndarray, listed: bool, entries: np.ndarray, exits: np.ndarray, span: np.ndarray, hold: np.uint64,
    stop: float, take: float, trail: float, tabled: bool, touch_bars: np.ndarray, touch_prices: np.ndarray,
    open_: np.ndarray, high: np.ndarray, low: np.ndarray, close: np.ndarray, marks: np.ndarray,
    fills: np.ndarray, filled: np.ndarray, tops: np.ndarray, bottoms: np.ndarray,
    buying: float, selling: float, limited: float, at_close: bool, held: np.ndarray, paid: np.ndarray, got: np.ndarray,
) -> tuple[int, int]:  # fmt: skip
    """List the trades: how many, and 1 where the last is still open.

    held : uint32 (n, 2), the bar entered and the first that is no longer held; paid, got : price of a unit, with costs
    words : entries and exits, uint64 (2, n_words); listed : they are in `entries` and `exits` too
    filled : bits of bars at which orders fill, and `fills` the first such bar from each; the others as in `run_express`
    """
    n_bars = close.shape[0]
    one = np.uint64(1)
    levels = stop > 0 or take > 0 or trail > 0
    delisting = span[LAST] if span[LAST] < n_bars - 1 and span[LAST] < span[STOP] else -1
    end = np.uint64(min(span[STOP], span[LAST] + 1))
    position = np.uint64(span[FIRST])
    p = q = n = next_exit = np.uint64(0)
    while True:
        if listed:
            while np.uint64(entries[p]) < position:
                p += one
            t = np.uint64(entries[p])
        else:
            t = _next(words[0], position, end)
        if t >= end:
            return int(n), 0
        position = t + one
        entry = t if at_close else position
        # Whether a bar fills is read from bits, which stay near: what the next step waits for must not come from afar.
        if entry >= end or not _is_set(filled, entry):
            continue
        base = close[entry] if at_close else open_[entry]
        if listed:
            while np.uint64(exits[q]) < position:
                q += one
            signal = np.uint64(exits[q])
        else:
            if next_exit < position:
                next_exit = _next(words[1], position, end)
            signal = next_exit
        # When it leaves if nothing touches it, as in `walk`.
        leave = min(end, signal if at_close else signal + one)
        if leave < end and not _is_set(filled, leave):
            leave = min(end, np.uint64(fills[leave]))
        at_open = not at_close
        if hold > 0 and entry + hold < end:
            timed = entry + hold
            if not _is_set(filled, timed):
                timed = np.uint64(fills[timed])
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
            if tabled:
                touched, at = np.uint64(touch_bars[entry]), touch_prices[entry]
            else:
                found, at = first_touch(
                    open_, high, low, tops, bottoms, base, stop, take, trail, np.int64(position if at_close else entry), np.int64(limit)
                )
                touched = np.uint64(found)
            if touched < limit:
                leave, price, open_end = touched, at, False
        held[n, 0], paid[n] = entry, base * buying
        if open_end:
            held[n, 1], got[n] = span[SPAN_STOP], marks[span[SPAN_STOP] - 1]
            return int(n + one), 1
        if price == 0:
            price = open_[leave] if at_open else close[leave]
        held[n, 1], got[n] = leave, price * selling if price > 0 else -price * limited
        n += one
        position = leave + one if at_close else leave


@njit(cache=True, nogil=True, error_model="numpy")
def _fetch(table: np.ndarray) -> float:
    """Read a table from end to end, a number of each line: in order it comes many times faster than trade by trade."""
    flat = table.reshape(-1)
    total = 0.0
    for i in range(0, flat.size, 8):
        total += flat[i]
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def run_express(
    literals: np.ndarray, rows: np.ndarray, planes: np.ndarray, known: np.ndarray, steps: np.ndarray, offsets: np.ndarray, depth: int,
    ints: np.ndarray, floats: np.ndarray, order: np.ndarray, applies: np.ndarray,
    open_: np.ndarray, high: np.ndarray, low: np.ndarray, close: np.ndarray, marks: np.ndarray, next_bar: np.ndarray, filled: np.ndarray,
    present: np.ndarray, spans: np.ndarray,
    running: np.ndarray, reaches: np.ndarray, falls: np.ndarray, wides: np.ndarray, tops: np.ndarray, bottoms: np.ndarray,
    table_of: np.ndarray, touch_bars: np.ndarray, touch_prices: np.ndarray,
    fee: float, maker: float, slip: float, at_close: bool, market_targets: bool,
    s: int, start: int, stop: int, sums: np.ndarray, unsure: np.ndarray,
) -> float:  # fmt: skip
    """Headline sums of strategies [start, stop) on symbol `s`, into sums (n, n_symbols, N_SUMS); 1 in `unsure` (n, n_symbols),
    uint8, where they do not suffice (see `ranges.headline`). Returns nothing of use.

    literals : int32 (n_literals, N_LITERAL); rows : uint64 (n_rows, n_symbols, n_words); planes, known : see `ranks`
    table_of : int32, the touch table of each strategy, -1 for none; touch_bars, touch_prices : (n_tables, n_symbols, n_bars)
    filled : uint64 (n_symbols, n_words), bars at which orders fill; tops, bottoms : see `touch`; the others as in `tile.run_tile`
    """
    n_bars, n_words = close.shape[1], present.shape[1]
    span = spans[s]
    if span[SPAN_STOP] <= span[SPAN_START]:
        return 0.0
    stack = np.empty((depth + 1, n_words), dtype=np.uint64)
    words = np.empty((2, n_words), dtype=np.uint64)
    entries, exits = np.empty(n_bars + 2, dtype=np.uint32), np.empty(n_bars + 2, dtype=np.uint32)
    held, paid, got = np.empty((n_bars + 1, 2), dtype=np.uint32), np.empty(n_bars + 1), np.empty(n_bars + 1)
    before, units = np.empty(n_bars + 2), np.empty(n_bars + 1)
    never, nowhere = np.empty(0, dtype=touch_bars.dtype), np.empty(0)
    buying, selling, limited = (1 + slip) * (1 + fee), (1 - slip) * (1 - fee), 1 - maker
    if market_targets:
        limited = selling
    near = _fetch(running[s]) + _fetch(marks[s]) + _fetch(open_[s]) + _fetch(high[s]) + _fetch(low[s])
    for i in range(start, stop):
        row = order[i]
        if applies[row, s] == 0:
            continue
        stops = take = trail = 0.0
        if ints[i, STOP_KIND] != NONE:
            stops = floats[i, STOP_VALUE]
        if ints[i, STOP_KIND + 2] != NONE:
            take = floats[i, TAKE_VALUE]
        if ints[i, STOP_KIND + 4] != NONE:
            trail = floats[i, TRAIL_VALUE]
        table = table_of[i]
        enter, leaving = ints[i, ENTER_LONG], ints[i, EXIT_LONG]
        _signals(
            literals, rows, planes, known, s, steps[offsets[enter] : offsets[enter + 1]],
            steps[offsets[leaving] : offsets[leaving + 1]], stack, words,
        )  # fmt: skip
        listed = _settle(words, present[s]) <= np.uint64(SPARSE * n_words)
        if listed:
            _list(words, n_bars, entries, exits)
        count, opened = _walk(
            words, listed, entries, exits, span, np.uint64(ints[i, HOLD]), stops, take, trail, table >= 0,
            touch_bars[table, s] if table >= 0 else never, touch_prices[table, s] if table >= 0 else nowhere,
            open_[s], high[s], low[s], close[s], marks[s], next_bar[s], filled[s], tops[s], bottoms[s],
            buying, selling, limited, at_close, held, paid, got,
        )  # fmt: skip
        weight = floats[i, SIZE_VALUE] if ints[i, SIZE_KIND] == FRACTION else 1.0
        if not tally(
            count, opened, weight, held, paid, got, before, units, marks[s], running[s], reaches[s], falls[s], wides[s],
            span[SPAN_STOP] - span[SPAN_START], sums[row, s],
        ):  # fmt: skip
            unsure[row, s] = 1
    return near
