"""A tile: some strategies on every symbol, start to end, with scratch that is reused for each.

What belongs here: the two kernels that join rules, walk and statistics, one for many strategies (sums only)
and one for a single strategy (its trades). Memory is that of the scratch, whatever the tile holds.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from strategy_pipeline.backtest.bits import evaluate_rule
from strategy_pipeline.backtest.pairs import walk_pair
from strategy_pipeline.backtest.ranges import headline
from strategy_pipeline.backtest.streaming import accumulate
from strategy_pipeline.backtest.trace import N_EXTRA, trace
from strategy_pipeline.backtest.walk import (
    AGAINST,
    ENTER_LONG,
    ENTER_SHORT,
    EXIT_LONG,
    EXIT_SHORT,
    N_TRADE_FLOATS,
    N_TRADE_INTS,
    walk,
)

# Columns of a symbol's span: window, last bar in all bars given, what is measured, days on which it is listed,
# whether any of its bars fills nothing.
FIRST, STOP, LAST, SPAN_START, SPAN_STOP, DAY_FROM, DAY_TO, IDLE, N_SPAN = range(9)


@njit(cache=True, nogil=True, error_model="numpy")
def signals(
    rows: np.ndarray, steps: np.ndarray, offsets: np.ndarray, ints: np.ndarray, symbol: int, present: np.ndarray,
    stack: np.ndarray, words: np.ndarray,
) -> None:  # fmt: skip
    """Write entries, those of them that are long, exits of longs and of shorts into words (4, n_words)."""
    n_words = words.shape[1]
    for target, column in ((0, ENTER_SHORT), (1, ENTER_LONG), (2, EXIT_LONG), (3, EXIT_SHORT)):
        rule = ints[column]
        evaluate_rule(rows, symbol, steps[offsets[rule] : offsets[rule + 1]], stack)
        for w in range(n_words):
            words[target, w] = stack[0, w] & present[w]
    for w in range(n_words):
        short = words[0, w] & ~words[3, w]
        long = words[1, w] & ~words[2, w]
        words[0, w] = short ^ long  # both at once cancel
        words[1, w] = long & ~short


@njit(cache=True, nogil=True, error_model="numpy")
def run_tile(
    rows: np.ndarray, steps: np.ndarray, offsets: np.ndarray, depth: int, ints: np.ndarray, floats: np.ndarray,
    order: np.ndarray, applies: np.ndarray,
    aux: np.ndarray, open_: np.ndarray, high: np.ndarray, low: np.ndarray, close: np.ndarray,
    marks: np.ndarray, log_marks: np.ndarray, benchmark: np.ndarray, benchmark_square: np.ndarray, traded_value: np.ndarray,
    next_bar: np.ndarray, present: np.ndarray, spans: np.ndarray, day_last: np.ndarray,
    running: np.ndarray, reaches: np.ndarray, falls: np.ndarray, full: bool,
    costs: np.ndarray, slips: np.ndarray, carry: np.ndarray, traced: bool, at_close: bool, market_targets: bool, delay: int,
    start: int, stop: int, sums: np.ndarray, daily: np.ndarray,
) -> None:  # fmt: skip
    """Run strategies [start, stop): sums (n, n_symbols, N_SUMS) and daily (n, n_days), the sum over symbols.

    rows : uint64 (n_literals, n_symbols, n_words); steps, offsets : programs, int32 and int64 (n_rules + 1,)
    ints, floats : see `walk`; order : int64, the row of `applies`, `sums` and `daily` of each strategy
    applies : uint8 (n, n_symbols), which symbols a strategy trades
    running, reaches, falls : see `ranges`; read unless `full`, which is all statistics and the daily returns
    carry, traced, delay : see `terms.Terms`
    """
    n_symbols, n_bars = close.shape
    stack = np.empty((depth + 1, present.shape[1]), dtype=np.uint64)
    words = np.empty((4, present.shape[1]), dtype=np.uint64)
    trade_ints = np.empty((n_bars + 1, N_TRADE_INTS), dtype=np.int64)
    trade_floats = np.empty((n_bars + 1, N_TRADE_FLOATS))
    returns = np.empty(n_bars)
    path = np.empty(n_bars)
    scrap = np.zeros(day_last.shape[0])
    written = traced
    for i in range(start, stop):
        written |= ints[i, AGAINST] != 0
    extra = np.empty((n_bars + 1 if written else 1, N_EXTRA))
    worth = np.empty(n_bars if written else 1)
    for i in range(start, stop):
        row = order[i]
        other = ints[i, AGAINST] - 1
        followed = traced or other >= 0
        for s in range(n_symbols):
            span = spans[s]
            if applies[row, s] == 0 or span[SPAN_STOP] <= span[SPAN_START]:
                continue
            signals(rows, steps, offsets, ints[i], s, present[s], stack, words)
            if other >= 0:
                count = walk_pair(
                    words[0], words[1], words[2], words[3], present[other], open_, close, marks, next_bar, aux, s, other, ints[i],
                    floats[i], span[FIRST], span[STOP], span[LAST], spans[other, LAST], costs, slips, traded_value, carry, at_close,
                    delay, trade_ints, trade_floats, extra, worth,
                )  # fmt: skip
            elif traced:
                count = trace(
                    words[0], words[1], words[2], words[3], open_[s], high[s], low[s], close[s], marks[s], next_bar[s], aux, s, ints[i],
                    floats[i], span[FIRST], span[STOP], span[LAST], costs, slips[s], traded_value[s], carry[0, s], carry[1, s],
                    at_close, market_targets, delay, trade_ints, trade_floats, extra, worth,
                )  # fmt: skip
            else:
                count = walk(
                    words[0], words[1], words[2], words[3], open_[s], high[s], low[s], close[s], next_bar[s], aux, s, ints[i], floats[i],
                    span[FIRST], span[STOP], span[LAST], span[IDLE], costs, slips[s], traded_value[s], at_close, market_targets, delay,
                    trade_ints, trade_floats,
                )  # fmt: skip
            if not full and not followed and headline(
                trade_ints, trade_floats, count, marks[s], running[s], reaches[s], falls[s], span[SPAN_START], span[SPAN_STOP],
                sums[row, s],
            ):  # fmt: skip
                continue
            accumulate(
                trade_ints, trade_floats, count, marks[s], log_marks[s], benchmark[s], benchmark_square[s], traded_value[s], day_last,
                span[DAY_FROM], span[DAY_TO], span[SPAN_START], span[SPAN_STOP], returns, path, followed, extra, worth, sums[row, s],
                daily[row] if full else scrap,
            )  # fmt: skip


@njit(cache=True, nogil=True, error_model="numpy")
def capture(
    rows: np.ndarray, steps: np.ndarray, offsets: np.ndarray, depth: int, ints: np.ndarray, floats: np.ndarray, aux: np.ndarray,
    open_: np.ndarray, high: np.ndarray, low: np.ndarray, close: np.ndarray, marks: np.ndarray, next_bar: np.ndarray,
    present: np.ndarray, spans: np.ndarray, costs: np.ndarray, slips: np.ndarray, traded_value: np.ndarray, carry: np.ndarray,
    traced: bool, at_close: bool, market_targets: bool, delay: int, s: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """The trades of the first strategy of the tables on symbol `s`: integers and floats as `walk` writes them, and, empty where
    positions are not traced, extras and equity while held as `trace` does."""
    n_bars = close.shape[1]
    stack = np.empty((depth + 1, present.shape[1]), dtype=np.uint64)
    words = np.empty((4, present.shape[1]), dtype=np.uint64)
    trade_ints = np.empty((n_bars + 1, N_TRADE_INTS), dtype=np.int64)
    trade_floats = np.empty((n_bars + 1, N_TRADE_FLOATS))
    other = ints[0, AGAINST] - 1
    written = traced or other >= 0
    extra = np.empty((n_bars + 1 if written else 0, N_EXTRA))
    worth = np.empty(n_bars if written else 0)
    signals(rows, steps, offsets, ints[0], s, present[s], stack, words)
    span = spans[s]
    if other == s:
        count = 0
    elif other >= 0:
        count = walk_pair(
            words[0], words[1], words[2], words[3], present[other], open_, close, marks, next_bar, aux, s, other, ints[0], floats[0],
            span[FIRST], span[STOP], span[LAST], spans[other, LAST], costs, slips, traded_value, carry, at_close, delay,
            trade_ints, trade_floats, extra, worth,
        )  # fmt: skip
    elif traced:
        count = trace(
            words[0], words[1], words[2], words[3], open_[s], high[s], low[s], close[s], marks[s], next_bar[s], aux, s, ints[0],
            floats[0], span[FIRST], span[STOP], span[LAST], costs, slips[s], traded_value[s], carry[0, s], carry[1, s],
            at_close, market_targets, delay, trade_ints, trade_floats, extra, worth,
        )  # fmt: skip
    else:
        count = walk(
            words[0], words[1], words[2], words[3], open_[s], high[s], low[s], close[s], next_bar[s], aux, s, ints[0], floats[0],
            span[FIRST], span[STOP], span[LAST], span[IDLE], costs, slips[s], traded_value[s], at_close, market_targets, delay,
            trade_ints, trade_floats,
        )  # fmt: skip
    return trade_ints[:count].copy(), trade_floats[:count].copy(), extra[:count].copy(), worth
