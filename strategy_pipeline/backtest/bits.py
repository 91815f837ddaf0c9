"""Conditions as bits: comparisons packed 64 bars a word, rules as word-wise and / or.

What belongs here: kernels on plain arrays that know nothing of strategies. A row holds the bars at which a
literal (a comparison, or the negation of one) is *true*; unknown is not true. That suffices for the
language's three-valued logic, since ``not`` moves down to the comparisons (De Morgan holds for Kleene's
logic): ``not a > b`` is true exactly where ``a <= b`` is, and a crossing is false where its four values are
known and it did not happen. Bit i of word w is bar 64 w + i; bits past the last bar are 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

GREATER, LESS, GREATER_EQUAL, LESS_EQUAL, ABOVE, BELOW, NOT_ABOVE, NOT_BELOW = range(8)
AND, OR = -1, -2  # program steps; a step of 0 or more pushes that row
MAX_DEPTH = 64  # of a rule's stack


@intrinsic
def _trailing_zeros(typingctx: Any, word: Any) -> Any:
    """Number of zero bits below the lowest set bit; 64 for 0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], context.get_constant(types.boolean, False))

    return types.uint64(types.uint64), generate


trailing_zeros: Any = _trailing_zeros  # numba fills in the context it is declared with


@njit(cache=True, nogil=True, inline="always", error_model="numpy")
def _greater(left: np.ndarray, right: np.ndarray, i: int, j: int, count: int) -> np.uint64:
    word = np.uint64(0)
    for bit in range(count):
        word |= np.uint64(left[i + bit] > right[j + bit]) << np.uint64(bit)
    return word


@njit(cache=True, nogil=True, inline="always", error_model="numpy")
def _at_least(left: np.ndarray, right: np.ndarray, i: int, j: int, count: int) -> np.uint64:
    word = np.uint64(0)
    for bit in range(count):
        word |= np.uint64(left[i + bit] >= right[j + bit]) << np.uint64(bit)
    return word


@njit(cache=True, nogil=True, error_model="numpy")
def compare(op: int, left: np.ndarray, right: np.ndarray, out: np.ndarray) -> None:
    """Write the bit row of one comparison for every symbol.

    op : GREATER, ... NOT_BELOW
    left, right : float64 (n_symbols, n_bars); or (1, 64) filled with a number. NaN compares as unknown.
    out : uint64 (n_symbols, ceil(n_bars / 64)), overwritten
    """
    left_full, right_full = left.shape[1] != 64 or left.shape[0] > 1, right.shape[1] != 64 or right.shape[0] > 1
    n_bars = left.shape[1] if left_full else right.shape[1]
    for s in range(out.shape[0]):
        x = left[s if left.shape[0] > 1 else 0]
        y = right[s if right.shape[0] > 1 else 0]
        carry, known_carry = np.uint64(0), np.uint64(0)
        for w in range(out.shape[1]):
            base = w * 64
            count = min(64, n_bars - base)
            i = base if left_full else 0
            j = base if right_full else 0
            if op == GREATER:
                out[s, w] = _greater(x, y, i, j, count)
            elif op == LESS:
                out[s, w] = _greater(y, x, j, i, count)
            elif op == GREATER_EQUAL:
                out[s, w] = _at_least(x, y, i, j, count)
            elif op == LESS_EQUAL:
                out[s, w] = _at_least(y, x, j, i, count)
            else:
                if op in (ABOVE, NOT_ABOVE):
                    now = _greater(x, y, i, j, count)
                    before = _at_least(y, x, j, i, count)
                else:
                    now = _greater(y, x, j, i, count)
                    before = _at_least(x, y, i, j, count)
                crossed = now & ((before << np.uint64(1)) | carry)
                carry = before >> np.uint64(63)
                if op in (NOT_ABOVE, NOT_BELOW):
                    known = now | before
                    out[s, w] = known & ((known << np.uint64(1)) | known_carry) & ~crossed
                    known_carry = known >> np.uint64(63)
                else:
                    out[s, w] = crossed


@njit(cache=True, nogil=True, error_model="numpy")
def cross_both(left: np.ndarray, right: np.ndarray, known: np.ndarray, above: np.ndarray, below: np.ndarray) -> None:
    """Write the bit rows of `left` crossing above `right` and of `right` crossing above `left`, in one pass.

    left, right : float64 (n_symbols, n_bars); known, above, below : uint64 (n_symbols, n_words), where both are numbers,
        and the two rows
    """
    n_symbols, n_bars = left.shape
    whole = n_bars >> 6
    one, top = np.uint64(1), np.uint64(63)
    for s in range(n_symbols):
        x, y = left[s], right[s]
        at_most, at_least = np.uint64(0), np.uint64(0)  # of the previous word
        for w in range(known.shape[1]):
            base = w * 64
            more, same = np.uint64(0), np.uint64(0)
            if w < whole:
                for bit in range(64):
                    more |= np.uint64(x[base + bit] > y[base + bit]) << np.uint64(bit)
                for bit in range(64):
                    same |= np.uint64(x[base + bit] >= y[base + bit]) << np.uint64(bit)
            else:
                for bit in range(n_bars - base):
                    more |= np.uint64(x[base + bit] > y[base + bit]) << np.uint64(bit)
                    same |= np.uint64(x[base + bit] >= y[base + bit]) << np.uint64(bit)
            less, no_more = known[s, w] & ~same, known[s, w] & ~more
            above[s, w] = more & ((no_more << one) | (at_most >> top))
            below[s, w] = less & ((same << one) | (at_least >> top))
            at_most, at_least = no_more, same


@njit(cache=True, nogil=True, error_model="numpy")
def evaluate_rule(rows: np.ndarray, symbol: int, program: np.ndarray, stack: np.ndarray) -> None:
    """Leave in stack[0] the bars at which a rule is true; an empty program is never true.

    rows : uint64 (n_rows, n_symbols, n_words); program : int32 steps in postfix order;
    stack : uint64 (MAX_DEPTH + 1, n_words), overwritten
    """
    n_words = rows.shape[2]
    if program.size == 0:
        stack[0, :] = np.uint64(0)
    depth = 0
    for step in program:
        if step >= 0:
            for w in range(n_words):
                stack[depth, w] = rows[step, symbol, w]
            depth += 1
        elif step == AND:
            depth -= 1
            for w in range(n_words):
                stack[depth - 1, w] &= stack[depth, w]
        else:
            depth -= 1
            for w in range(n_words):
                stack[depth - 1, w] |= stack[depth, w]


@njit(cache=True, nogil=True, error_model="numpy")
def next_set(words: np.ndarray, start: int, stop: int) -> int:
    """The first set bit in [start, stop), or `stop`."""
    if start >= stop:
        return stop
    w = start >> 6
    word = words[w] & (np.uint64(0xFFFFFFFFFFFFFFFF) << np.uint64(start & 63))
    final = (stop - 1) >> 6
    while word == 0:
        w += 1
        if w > final:
            return stop
        word = words[w]
    found = (w << 6) + int(trailing_zeros(word))
    return found if found < stop else stop


def pack(mask: np.ndarray) -> np.ndarray:
    """bool (n_symbols, n_bars) as bit rows, uint64 (n_symbols, n_words)."""
    rows, bars = mask.shape
    padded = np.zeros((rows, -(-bars // 64) * 64), dtype=bool)
    padded[:, :bars] = mask
    return np.ascontiguousarray(np.packbits(padded, axis=1, bitorder="little")).view("<u8").astype(np.uint64)


def unpack(words: np.ndarray, n_bars: int) -> np.ndarray:
    """Bit rows (n_symbols, n_words) as bool (n_symbols, n_bars)."""
    octets = np.ascontiguousarray(words).astype("<u8").view(np.uint8)
    return np.unpackbits(octets, axis=1, bitorder="little")[:, :n_bars].astype(bool)
