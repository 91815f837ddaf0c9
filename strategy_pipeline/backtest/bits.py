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
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

GREATER, LESS, GREATER_EQUAL, LESS_EQUAL, ABOVE, BELOW, NOT_ABOVE, NOT_BELOW = range(8)
AND, OR = -1, -2  # program steps; a step of 0 or more pushes that row


@intrinsic
def _trailing_zeros(typingctx: Any, word: Any) -> Any:
    """Number of zero bits below the lowest set bit; 64 for 0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], context.get_constant(types.boolean, False))

    return types.uint64(types.uint64), generate


@intrinsic
def _leading_zeros(typingctx: Any, word: Any) -> Any:
    """Number of zero bits above the highest set bit; 64 for 0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctlz(arguments[0], context.get_constant(types.boolean, False))

    return types.uint64(types.uint64), generate


@intrinsic
def _set_bits(typingctx: Any, word: Any) -> Any:
    """Number of set bits."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


set_bits: Any = _set_bits
trailing_zeros: Any = _trailing_zeros  # numba fills in the context it is declared with
leading_zeros: Any = _leading_zeros


def _word_of(element: ir.Type, lanes: int, strictly: bool) -> Any:
    """An intrinsic: bit i of the word is x[k + i] > y[j + i] (or >=), for 64 neighbours.

    Written as vector comparisons because compilers do not see the pattern in a loop over bits.
    """

    @intrinsic
    def word(typingctx: Any, x: Any, k: Any, y: Any, j: Any) -> Any:
        vector, integer = ir.VectorType(element, lanes), ir.IntType(64)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            def lane(number: int, first: int) -> Any:
                array = context.make_array(signature.args[number])(context, builder, arguments[number])
                index = builder.add(arguments[number + 1], ir.Constant(integer, first))
                pointer = builder.bitcast(builder.gep(array.data, [index]), vector.as_pointer())
                loaded = builder.load(pointer)
                loaded.align = 1 if isinstance(element, ir.IntType) else 8
                return loaded

            found = ir.Constant(integer, 0)
            for first in range(0, 64, lanes):
                sides = lane(0, first), lane(2, first)
                if isinstance(element, ir.IntType):
                    true = builder.icmp_signed(">" if strictly else ">=", *sides)
                else:
                    true = builder.fcmp_ordered(">" if strictly else ">=", *sides)  # ordered: false where one is NaN
                part = builder.bitcast(true, ir.IntType(lanes))
                part = builder.zext(part, integer) if lanes < 64 else part
                found = builder.or_(found, builder.shl(part, ir.Constant(integer, first)))
            return found

        return types.uint64(x, types.intp, y, types.intp), generate

    return word


def _outside_of(lanes: int) -> Any:
    """An intrinsic: bit i of the word is low[k + i] <= level or high[k + i] >= target, for `lanes` neighbours."""

    @intrinsic
    def outside(typingctx: Any, low: Any, level: Any, high: Any, target: Any, k: Any) -> Any:
        vector, integer = ir.VectorType(ir.DoubleType(), lanes), ir.IntType(64)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            def side(number: int, comparison: str) -> Any:
                array = context.make_array(signature.args[number])(context, builder, arguments[number])
                loaded = builder.load(builder.bitcast(builder.gep(array.data, [arguments[4]]), vector.as_pointer()))
                loaded.align = 8
                first = builder.insert_element(ir.Constant(vector, ir.Undefined), arguments[number + 1], ir.Constant(ir.IntType(32), 0))
                every = builder.shuffle_vector(
                    first, ir.Constant(vector, ir.Undefined), ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
                )
                return builder.fcmp_ordered(comparison, loaded, every)

            either = builder.or_(side(0, "<="), side(2, ">="))
            return builder.zext(builder.bitcast(either, ir.IntType(lanes)), integer)

        return types.uint64(low, types.float64, high, types.float64, types.intp), generate

    return outside


outside_16: Any = _outside_of(16)
_greater_64: Any = _word_of(ir.DoubleType(), 16, True)
_at_least_64: Any = _word_of(ir.DoubleType(), 16, False)
greater_ranks: Any = _word_of(ir.IntType(8), 64, True)


@njit(cache=True, nogil=True, inline="always", error_model="numpy")
def _greater(left: np.ndarray, right: np.ndarray, i: int, j: int, count: int) -> np.uint64:
    if count == 64:
        return _greater_64(left, i, right, j)
    word = np.uint64(0)
    for bit in range(count):
        word |= np.uint64(left[i + bit] > right[j + bit]) << np.uint64(bit)
    return word


@njit(cache=True, nogil=True, inline="always", error_model="numpy")
def _at_least(left: np.ndarray, right: np.ndarray, i: int, j: int, count: int) -> np.uint64:
    if count == 64:
        return _at_least_64(left, i, right, j)
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
    one, top = np.uint64(1), np.uint64(63)
    for s in range(n_symbols):
        x, y = left[s], right[s]
        at_most, at_least = np.uint64(0), np.uint64(0)  # of the previous word
        for w in range(known.shape[1]):
            base = w * 64
            count = min(64, n_bars - base)
            more, same = _greater(x, y, base, base, count), _at_least(x, y, base, base, count)
            less, no_more = known[s, w] & ~same, known[s, w] & ~more
            above[s, w] = more & ((no_more << one) | (at_most >> top))
            below[s, w] = less & ((same << one) | (at_least >> top))
            at_most, at_least = no_more, same


@njit(cache=True, nogil=True, error_model="numpy")
def compare_ranks(op: int, left: np.ndarray, right: np.ndarray, known: np.ndarray, also: np.ndarray, out: np.ndarray) -> None:
    """Write one symbol's bit row of a comparison of two series of which ranks are known (see `ranks`).

    op : GREATER, GREATER_EQUAL, ABOVE or NOT_ABOVE
    left, right : int8 (64 n_words,); known, also : uint64 (n_words,), where each is a number; out : uint64 (n_words,)
    """
    one, top = np.uint64(1), np.uint64(63)
    at_most, both_before = np.uint64(0), np.uint64(0)  # of the previous word
    for w in range(out.shape[0]):
        both = known[w] & also[w]
        if op == GREATER_EQUAL:
            out[w] = both & ~greater_ranks(right, w * 64, left, w * 64)
            continue
        more = both & greater_ranks(left, w * 64, right, w * 64)
        if op == GREATER:
            out[w] = more
            continue
        no_more = both & ~more
        crossed = more & ((no_more << one) | (at_most >> top))
        at_most = no_more
        if op == NOT_ABOVE:
            crossed = both & ((both << one) | (both_before >> top)) & ~crossed
            both_before = both
        out[w] = crossed


@njit(cache=True, nogil=True, error_model="numpy")
def cross_ranks(left: np.ndarray, right: np.ndarray, known: np.ndarray, also: np.ndarray, above: np.ndarray, below: np.ndarray) -> None:
    """`cross_both` on ranks, for one symbol; shapes as in `compare_ranks`."""
    one, top = np.uint64(1), np.uint64(63)
    at_most, at_least = np.uint64(0), np.uint64(0)
    for w in range(above.shape[0]):
        both = known[w] & also[w]
        more, less = both & greater_ranks(left, w * 64, right, w * 64), both & greater_ranks(right, w * 64, left, w * 64)
        no_more, no_less = both & ~more, both & ~less
        above[w] = more & ((no_more << one) | (at_most >> top))
        below[w] = less & ((no_less << one) | (at_least >> top))
        at_most, at_least = no_more, no_less


@njit(cache=True, nogil=True, error_model="numpy")
def combine(step: int, depth: int, stack: np.ndarray) -> int:
    """Join the two rows on top of the stack by AND or OR; returns how many are left."""
    for w in range(stack.shape[1]):
        if step == AND:
            stack[depth - 2, w] &= stack[depth - 1, w]
        else:
            stack[depth - 2, w] |= stack[depth - 1, w]
    return depth - 1


@njit(cache=True, nogil=True, error_model="numpy")
def evaluate_rule(rows: np.ndarray, symbol: int, program: np.ndarray, stack: np.ndarray) -> None:
    """Leave in stack[0] the bars at which a rule is true; an empty program is never true.

    rows : uint64 (n_rows, n_symbols, n_words); program : int32 steps in postfix order;
    stack : uint64 (plan.depth + 1, n_words), overwritten
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
        else:
            depth = combine(step, depth, stack)


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
