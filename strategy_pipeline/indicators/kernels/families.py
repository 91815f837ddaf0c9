"""Averages at many lengths in one pass over their input, four lengths at a time.

Every result is the same bytes as the indicator computed alone: the loops repeat TA-Lib's own arithmetic, operation by
operation (`indicators.families` checks that they do).

Why it is fast. A running sum waits for its last result, so four of them side by side keep the processor busy where one
waits; what need not wait (divisions, roots) follows on a stretch of `TILE` bars that is still in the nearest cache,
eight bars an instruction. Inputs without NaN, `lengths` ascending; values before the first window are NaN.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

Array = np.ndarray
TILE = 256  # bars: four rows of results and four of delayed inputs fit the nearest cache
REANCHOR_MEAN = 8  # windows after which TA-Lib sums a weighted mean afresh


@intrinsic
def fused(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c rounded once, as TA-Lib's library computes it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return types.float64(types.float64, types.float64, types.float64), generate


@njit(cache=True, nogil=True, error_model="numpy")
def _sum_start(x: Array, length: int, upto: int, out: Array) -> float:
    """A running mean through index `upto` - 1 into `out`; returns the sum that the next bar adds to."""
    total = 0.0
    for i in range(upto):
        total += x[i]
        out[i] = np.nan
        if i >= length - 1:
            out[i] = total / length
            total -= x[i - length + 1]
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def sma(x: Array, lengths: Array, a: Array, b: Array, c: Array, d: Array) -> None:
    """Mean of the last n values, kept as a running sum as TA-Lib keeps it."""
    n = len(x)
    start = lengths[3] - 1
    s1 = _sum_start(x, lengths[0], start, a)
    s2 = _sum_start(x, lengths[1], start, b)
    s3 = _sum_start(x, lengths[2], start, c)
    s4 = _sum_start(x, lengths[3], start, d)
    f1, f2, f3, f4 = float(lengths[0]), float(lengths[1]), float(lengths[2]), float(lengths[3])
    for first in range(start, n, TILE):
        m = min(TILE, n - first)
        now = x[first:]
        o1, o2, o3, o4 = a[first:], b[first:], c[first:], d[first:]
        x1, x2, x3, x4 = x[first - lengths[0] + 1 :], x[first - lengths[1] + 1 :], x[first - lengths[2] + 1 :], x[first - start :]
        for i in range(m):
            value = now[i]
            s1 += value
            s2 += value
            s3 += value
            s4 += value
            o1[i] = s1
            o2[i] = s2
            o3[i] = s3
            o4[i] = s4
            s1 -= x1[i]
            s2 -= x2[i]
            s3 -= x3[i]
            s4 -= x4[i]
        for i in range(m):
            o1[i] /= f1
        for i in range(m):
            o2[i] /= f2
        for i in range(m):
            o3[i] /= f3
        for i in range(m):
            o4[i] /= f4


@njit(cache=True, nogil=True, error_model="numpy")
def _weighted_run(
    x: Array, length: int, first: int, last: int, total: float, weighted: float, bars: int, out: Array
) -> tuple[float, float, int]:
    """Weighted means of the windows ending at `first` to `last` - 1 into `out`, summed afresh where the count runs out.

    `total` is the sum and `weighted` the weighted sum of the window before, as the next bar finds them.
    """
    divisor = length * (length + 1.0) / 2.0
    for i in range(first, last):
        if i > length - 1:
            gone = x[i - length]
        else:
            gone = 0.0
        total += x[i]
        total -= gone
        weighted += x[i] * length
        bars -= 1
        if bars <= 0:
            bars = REANCHOR_MEAN * length
            total = 0.0
            weighted = 0.0
            for j in range(length):
                value = x[i - length + 1 + j]
                total += value
                weighted += value * (j + 1)
        out[i] = weighted / divisor
        weighted -= total
    return total, weighted, bars


@njit(cache=True, nogil=True, error_model="numpy")
def _weighted_start(x: Array, length: int, upto: int, out: Array) -> tuple[float, float, int]:
    """The sums of the first window but its last bar, then `_weighted_run` through index `upto` - 1."""
    total = 0.0
    weighted = 0.0
    for i in range(length - 1):
        total += x[i]
        weighted += x[i] * (i + 1)
        out[i] = np.nan
    return _weighted_run(x, length, length - 1, upto, total, weighted, REANCHOR_MEAN * length, out)


@njit(cache=True, nogil=True, error_model="numpy")
def wma(x: Array, lengths: Array, a: Array, b: Array, c: Array, d: Array) -> None:
    """Linearly weighted mean of the last n values, by the two running sums that TA-Lib keeps."""
    n = len(x)
    n1, n2, n3, n4 = lengths[0], lengths[1], lengths[2], lengths[3]
    start = min(n4, n)
    t1, w1, k1 = _weighted_start(x, n1, start, a)
    t2, w2, k2 = _weighted_start(x, n2, start, b)
    t3, w3, k3 = _weighted_start(x, n3, start, c)
    t4, w4, k4 = _weighted_start(x, n4, start, d)
    f1, f2, f3, f4 = float(n1), float(n2), float(n3), float(n4)
    g1, g2, g3, g4 = f1 * (f1 + 1.0) / 2.0, f2 * (f2 + 1.0) / 2.0, f3 * (f3 + 1.0) / 2.0, f4 * (f4 + 1.0) / 2.0
    first = start
    while first < n:
        # Up to the bar before the first of the four is due to be summed afresh, all run side by side.
        m = min(min(TILE, n - first), min(min(k1, k2), min(k3, k4)) - 1)
        if m == 0:
            t1, w1, k1 = _weighted_run(x, n1, first, first + 1, t1, w1, k1, a)
            t2, w2, k2 = _weighted_run(x, n2, first, first + 1, t2, w2, k2, b)
            t3, w3, k3 = _weighted_run(x, n3, first, first + 1, t3, w3, k3, c)
            t4, w4, k4 = _weighted_run(x, n4, first, first + 1, t4, w4, k4, d)
            first += 1
            continue
        now = x[first:]
        o1, o2, o3, o4 = a[first:], b[first:], c[first:], d[first:]
        x1, x2, x3, x4 = x[first - n1 :], x[first - n2 :], x[first - n3 :], x[first - n4 :]
        for i in range(m):
            value = now[i]
            t1 = t1 + value - x1[i]
            t2 = t2 + value - x2[i]
            t3 = t3 + value - x3[i]
            t4 = t4 + value - x4[i]
            w1 += value * f1
            w2 += value * f2
            w3 += value * f3
            w4 += value * f4
            o1[i] = w1
            o2[i] = w2
            o3[i] = w3
            o4[i] = w4
            w1 -= t1
            w2 -= t2
            w3 -= t3
            w4 -= t4
        for i in range(m):
            o1[i] /= g1
        for i in range(m):
            o2[i] /= g2
        for i in range(m):
            o3[i] /= g3
        for i in range(m):
            o4[i] /= g4
        k1 -= m
        k2 -= m
        k3 -= m
        k4 -= m
        first += m


@njit(cache=True, nogil=True, error_model="numpy")
def _mean_start(x: Array, length: int, upto: int, keep: float, weight: float, wilder: bool, out: Array) -> float:
    """A recursion seeded with the mean of the first `length` values, through index `upto` - 1 into `out`; the mean there."""
    out[: length - 1] = np.nan
    total = 0.0
    for i in range(length):
        total += x[i]
    state = total / length
    out[length - 1] = state
    for i in range(length, upto):
        state = fused(keep, state, weight * x[i]) if wilder else fused(x[i] - state, weight, state)
        out[i] = state
    return state


@njit(cache=True, nogil=True, error_model="numpy")
def ema(x: Array, lengths: Array, a: Array, b: Array, c: Array, d: Array) -> None:
    """Exponential mean of weight 2 / (n + 1), started on the mean of the first n."""
    n = len(x)
    k1, k2, k3, k4 = 2.0 / (lengths[0] + 1), 2.0 / (lengths[1] + 1), 2.0 / (lengths[2] + 1), 2.0 / (lengths[3] + 1)
    start = lengths[3]
    m1 = _mean_start(x, lengths[0], start, 0.0, k1, False, a)
    m2 = _mean_start(x, lengths[1], start, 0.0, k2, False, b)
    m3 = _mean_start(x, lengths[2], start, 0.0, k3, False, c)
    m4 = _mean_start(x, lengths[3], start, 0.0, k4, False, d)
    now, o1, o2, o3, o4 = x[start:], a[start:], b[start:], c[start:], d[start:]
    for i in range(n - start):
        value = now[i]
        m1 = fused(value - m1, k1, m1)
        m2 = fused(value - m2, k2, m2)
        m3 = fused(value - m3, k3, m3)
        m4 = fused(value - m4, k4, m4)
        o1[i] = m1
        o2[i] = m2
        o3[i] = m3
        o4[i] = m4


@njit(cache=True, nogil=True, error_model="numpy")
def rma(x: Array, lengths: Array, a: Array, b: Array, c: Array, d: Array) -> None:
    """Wilder's mean of weight 1 / n, started on the mean of the first n."""
    n = len(x)
    q1, q2, q3, q4 = (
        (lengths[0] - 1) / lengths[0],
        (lengths[1] - 1) / lengths[1],
        (lengths[2] - 1) / lengths[2],
        (lengths[3] - 1) / lengths[3],
    )
    k1, k2, k3, k4 = 1.0 - q1, 1.0 - q2, 1.0 - q3, 1.0 - q4
    start = lengths[3]
    m1 = _mean_start(x, lengths[0], start, q1, k1, True, a)
    m2 = _mean_start(x, lengths[1], start, q2, k2, True, b)
    m3 = _mean_start(x, lengths[2], start, q3, k3, True, c)
    m4 = _mean_start(x, lengths[3], start, q4, k4, True, d)
    now, o1, o2, o3, o4 = x[start:], a[start:], b[start:], c[start:], d[start:]
    for i in range(n - start):
        value = now[i]
        m1 = fused(q1, m1, k1 * value)
        m2 = fused(q2, m2, k2 * value)
        m3 = fused(q3, m3, k3 * value)
        m4 = fused(q4, m4, k4 * value)
        o1[i] = m1
        o2[i] = m2
        o3[i] = m3
        o4[i] = m4


@njit(cache=True, nogil=True, error_model="numpy")
def _chain_start(x: Array, length: int, weight: float, three: bool, upto: int, out: Array) -> tuple[float, float, float]:
    """`dema` or (`three`) `tema` of one length through index `upto` - 1 into `out`; the means there.

    Each mean is seeded with the mean of the first `length` values that the one before it has.
    """
    total1 = total2 = total3 = 0.0
    mean1 = mean2 = mean3 = 0.0
    for i in range(upto):
        out[i] = np.nan
        at = i
        if at < length:
            total1 += x[i]
            mean1 = total1 / length
        else:
            mean1 = fused(x[i] - mean1, weight, mean1)
        at -= length - 1
        if at < 0:
            continue
        if at < length:
            total2 += mean1
            mean2 = total2 / length
        else:
            mean2 = fused(mean1 - mean2, weight, mean2)
        at -= length - 1
        if at < 0:
            continue
        if not three:
            out[i] = 2.0 * mean1 - mean2
            continue
        if at < length:
            total3 += mean2
            mean3 = total3 / length
        else:
            mean3 = fused(mean2 - mean3, weight, mean3)
        if at >= length - 1:
            out[i] = mean3 + (3.0 * mean1 - 3.0 * mean2)
    return mean1, mean2, mean3


@njit(cache=True, nogil=True, error_model="numpy")
def dema(x: Array, lengths: Array, a: Array, b: Array, c: Array, d: Array) -> None:
    """Twice the exponential mean less the mean of that mean (P. Mulloy, 1994)."""
    n = len(x)
    k1, k2, k3, k4 = 2.0 / (lengths[0] + 1), 2.0 / (lengths[1] + 1), 2.0 / (lengths[2] + 1), 2.0 / (lengths[3] + 1)
    start = 2 * (lengths[3] - 1) + 1
    m1, r1, _ = _chain_start(x, lengths[0], k1, False, start, a)
    m2, r2, _ = _chain_start(x, lengths[1], k2, False, start, b)
    m3, r3, _ = _chain_start(x, lengths[2], k3, False, start, c)
    m4, r4, _ = _chain_start(x, lengths[3], k4, False, start, d)
    now, o1, o2, o3, o4 = x[start:], a[start:], b[start:], c[start:], d[start:]
    for i in range(n - start):
        value = now[i]
        m1 = fused(value - m1, k1, m1)
        m2 = fused(value - m2, k2, m2)
        m3 = fused(value - m3, k3, m3)
        m4 = fused(value - m4, k4, m4)
        r1 = fused(m1 - r1, k1, r1)
        r2 = fused(m2 - r2, k2, r2)
        r3 = fused(m3 - r3, k3, r3)
        r4 = fused(m4 - r4, k4, r4)
        o1[i] = 2.0 * m1 - r1
        o2[i] = 2.0 * m2 - r2
        o3[i] = 2.0 * m3 - r3
        o4[i] = 2.0 * m4 - r4


@njit(cache=True, nogil=True, error_model="numpy")
def tema(x: Array, lengths: Array, a: Array, b: Array, c: Array, d: Array) -> None:
    """Three times the difference of the first two means, plus the third (P. Mulloy, 1994)."""
    n = len(x)
    k1, k2, k3, k4 = 2.0 / (lengths[0] + 1), 2.0 / (lengths[1] + 1), 2.0 / (lengths[2] + 1), 2.0 / (lengths[3] + 1)
    start = 3 * (lengths[3] - 1) + 1
    m1, r1, z1 = _chain_start(x, lengths[0], k1, True, start, a)
    m2, r2, z2 = _chain_start(x, lengths[1], k2, True, start, b)
    m3, r3, z3 = _chain_start(x, lengths[2], k3, True, start, c)
    m4, r4, z4 = _chain_start(x, lengths[3], k4, True, start, d)
    now, o1, o2, o3, o4 = x[start:], a[start:], b[start:], c[start:], d[start:]
    for i in range(n - start):
        value = now[i]
        m1 = fused(value - m1, k1, m1)
        m2 = fused(value - m2, k2, m2)
        m3 = fused(value - m3, k3, m3)
        m4 = fused(value - m4, k4, m4)
        r1 = fused(m1 - r1, k1, r1)
        r2 = fused(m2 - r2, k2, r2)
        r3 = fused(m3 - r3, k3, r3)
        r4 = fused(m4 - r4, k4, r4)
        z1 = fused(r1 - z1, k1, z1)
        z2 = fused(r2 - z2, k2, z2)
        z3 = fused(r3 - z3, k3, z3)
        z4 = fused(r4 - z4, k4, z4)
        o1[i] = z1 + (3.0 * m1 - 3.0 * r1)
        o2[i] = z2 + (3.0 * m2 - 3.0 * r2)
        o3[i] = z3 + (3.0 * m3 - 3.0 * r3)
        o4[i] = z4 + (3.0 * m4 - 3.0 * r4)
