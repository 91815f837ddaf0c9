"""Ranks: many series compared with each other, as one byte a bar instead of eight.

What belongs here: replacing a group of series by their order at each bar. Where x > y holds, the rank of x is above that
of y, so comparisons of ranks are the comparisons of the numbers, exactly, at an eighth of the memory traffic: a population
of crossings of n averages reads n series once, and n * n / 2 pairs of bytes. What does not: choosing the groups (`source`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from strategy_pipeline.backtest.bits import greater_ranks

MOST = 255  # series whose ranks fit a byte beside UNKNOWN
UNKNOWN = -128
TILE = 16  # bars transposed at once
CHUNK = 8192  # bars a thread takes; a multiple of 64
TRIAL = 512  # bars ranked to see how often neighbours change places


@intrinsic
def _number_at(typingctx: Any, address: Any, index: Any) -> Any:
    """The double at address[index]."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = builder.inttoptr(arguments[0], ir.DoubleType().as_pointer())
        return builder.load(builder.gep(pointer, [arguments[1]]))

    return types.float64(types.int64, types.intp), generate


number_at: Any = _number_at  # numba fills in the context it is declared with


@njit(cache=True, nogil=True, error_model="numpy")
def rank(addresses: np.ndarray, first: int, stop: int, planes: np.ndarray, known: np.ndarray) -> int:
    """Write the dense ranks of one symbol's series on bars [first, stop), and return how many exchanges it took.

    addresses : int64 (n,), of float64 rows of at least `stop` bars, which the caller keeps alive; n at most `MOST`
    first : a multiple of 64
    planes : int8 (n, 64 n_words), -127 upwards, UNKNOWN where NaN (and, as it was, past the last bar)
    known : uint64 (n, n_words), where a series is a number

    Insertion sort from the order at the bar before, which takes as many exchanges as pairs have crossed since.
    """
    n = addresses.shape[0]
    one = np.uint64(1)
    order = np.arange(n).astype(np.uint32)
    values = np.empty(n + 1)  # a sentinel before the smallest
    values[0] = -math.inf
    block = np.empty((TILE, n))
    exchanges = 0
    for base in range(first, stop, TILE):
        count = min(TILE, stop - base)
        for k in range(n):
            for i in range(count):
                block[i, k] = number_at(addresses[k], base + i)
        for i in range(count):
            row = block[i]
            before = -math.inf
            for k in range(one, np.uint64(n + 1)):  # unsigned: an index that cannot be negative needs no check
                which = order[k - one]
                x = row[which]
                if x != x:
                    x = -math.inf
                if x >= before:
                    values[k] = before = x
                    continue
                j = np.uint64(k)
                while True:
                    values[j] = values[j - one]
                    order[j - one] = order[j - np.uint64(2)]
                    j -= one
                    if values[j - one] <= x:
                        break
                exchanges += int(np.int64(k - j))
                values[j] = x
                order[j - one] = which
                before = values[k]
            place = UNKNOWN
            last = -math.inf
            for k in range(np.uint64(n)):
                x = values[k + one]
                place += x > last
                last = x
                planes[order[k], base + i] = place
    unknown = np.full(64, UNKNOWN, dtype=np.int8)
    for k in range(n):
        for w in range(first >> 6, (stop + 63) >> 6):
            known[k, w] = greater_ranks(planes[k], w * 64, unknown, 0)
    return exchanges


def addresses_of(arrays: Sequence[np.ndarray], symbol: int) -> np.ndarray:
    """Where the rows of a symbol lie in memory, int64 (n,); arrays are C-contiguous float64 (n_symbols, n_bars)."""
    return np.array([array.__array_interface__["data"][0] + symbol * array.strides[0] for array in arrays], dtype=np.int64)
