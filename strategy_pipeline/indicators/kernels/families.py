"""One indicator at many lengths in one pass over its input: four lengths at a time, or from one table of extremes.

Every result is the same bytes as the indicator computed alone: averages repeat TA-Lib's own arithmetic, operation by
operation (`indicators.families` checks that they do); extremes are exact whichever way they are found. Four recursions
side by side keep the processor busy where one waits for its last result. Inputs without NaN; values before the first
window are NaN.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

Array = np.ndarray


@intrinsic
def fused(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c rounded once, as TA-Lib's library computes it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return types.float64(types.float64, types.float64, types.float64), generate


@njit(cache=True, nogil=True)
def sma(x: Array, lengths: Array, a: Array, b: Array, c: Array, d: Array) -> None:
    """Mean of the last n values, kept as a running sum as TA-Lib keeps it, for four lengths in ascending order."""
    n1, n2, n3, n4 = lengths[0], lengths[1], lengths[2], lengths[3]
    n = len(x)
    s1 = s2 = s3 = s4 = 0.0
    start = min(n4 - 1, n)
    for i in range(start):  # until the longest window is full
        s1 += x[i]
        s2 += x[i]
        s3 += x[i]
        s4 += x[i]
        a[i] = b[i] = c[i] = d[i] = np.nan
        if i >= n1 - 1:
            a[i] = s1 / n1
            s1 -= x[i - n1 + 1]
        if i >= n2 - 1:
            b[i] = s2 / n2
            s2 -= x[i - n2 + 1]
        if i >= n3 - 1:
            c[i] = s3 / n3
            s3 -= x[i - n3 + 1]
    for i in range(start, n):
        value = x[i]
        s1 += value
        s2 += value
        s3 += value
        s4 += value
        a[i] = s1 / n1
        b[i] = s2 / n2
        c[i] = s3 / n3
        d[i] = s4 / n4
        s1 -= x[i - n1 + 1]
        s2 -= x[i - n2 + 1]
        s3 -= x[i - n3 + 1]
        s4 -= x[i - n4 + 1]


@njit(cache=True, nogil=True)
def _start_of_mean(x: Array, length: int, weight: float, upto: int, out: Array) -> float:
    """A recursion seeded with the mean of the first `length` values, run through index `upto` - 1 into `out`."""
    total = 0.0
    for i in range(length):
        total += x[i]
        out[i] = np.nan
    state = total / length
    out[length - 1] = state
    for i in range(length, upto):
        state = fused(x[i] - state, weight, state)
        out[i] = state
    return state


@njit(cache=True, nogil=True)
def ema(x: Array, lengths: Array, a: Array, b: Array, c: Array, d: Array) -> None:
    """Exponential mean of weight 2 / (n + 1), started on the mean of the first n, for four lengths in ascending order."""
    n = len(x)
    if lengths[3] > n:
        return
    k1, k2, k3, k4 = 2.0 / (lengths[0] + 1), 2.0 / (lengths[1] + 1), 2.0 / (lengths[2] + 1), 2.0 / (lengths[3] + 1)
    start = lengths[3]
    m1 = _start_of_mean(x, lengths[0], k1, start, a)
    m2 = _start_of_mean(x, lengths[1], k2, start, b)
    m3 = _start_of_mean(x, lengths[2], k3, start, c)
    m4 = _start_of_mean(x, lengths[3], k4, start, d)
    for i in range(start, n):
        value = x[i]
        m1 = fused(value - m1, k1, m1)
        m2 = fused(value - m2, k2, m2)
        m3 = fused(value - m3, k3, m3)
        m4 = fused(value - m4, k4, m4)
        a[i] = m1
        b[i] = m2
        c[i] = m3
        d[i] = m4


@njit(cache=True, nogil=True)
def doubled(x: Array, width: int, sign: float) -> Array:
    """Extremes of windows of 2 * width from those of `width` (sign 1 highest, -1 lowest); the first 2 * width - 1 are unset."""
    n = len(x)
    out = np.empty(n)
    if sign > 0.0:
        for i in range(width, n):
            out[i] = x[i] if x[i] >= x[i - width] else x[i - width]
    else:
        for i in range(width, n):
            out[i] = x[i] if x[i] <= x[i - width] else x[i - width]
    return out


@njit(cache=True, nogil=True)
def covered(table: Array, width: int, length: int, sign: float, out: Array) -> None:
    """Extremes of windows of `length`, in [width, 2 width], as two overlapping windows of `width`."""
    n = len(table)
    back = length - width
    out[: length - 1] = np.nan
    if sign > 0.0:
        for i in range(length - 1, n):
            out[i] = table[i] if table[i] >= table[i - back] else table[i - back]
    else:
        for i in range(length - 1, n):
            out[i] = table[i] if table[i] <= table[i - back] else table[i - back]
