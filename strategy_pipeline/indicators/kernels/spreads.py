"""Variances and extremes at many lengths in one pass over their input.

Variances repeat TA-Lib's own arithmetic four lengths at a time, as `kernels.families` does for averages; extremes are
exact whichever way they are found, and come from one table that is doubled. Inputs without NaN; values before the first
window are NaN.
"""

from __future__ import annotations

import numpy as np
from numba import njit

Array = np.ndarray
TILE = 256  # bars: the sums of four lengths stay in the nearest caches
APART = 24  # more of each row, so that rows do not lie a multiple of a page apart, where stores and loads are confused
REANCHOR = 32  # windows after which TA-Lib measures from a new point
LOST = 1e-6  # variance over mean square below which digits are lost
BURIED = 1e6  # square of a value that leaves, over what remains, beyond which digits are lost
NOISE = 1e-12  # variance over mean square, measured afresh, that is rounding


@njit(cache=True, nogil=True, error_model="numpy")
def _variance_run(
    x: Array, length: int, first: int, last: int, shift: float, total: float, squares: float, bars: int, out: Array
) -> tuple[float, float, float, int]:
    """Variances of the windows ending at `first` to `last` - 1 into `out`.

    `total` and `squares` are the sums of x - `shift` and of its square over the window but its last bar. They are taken
    afresh about the window's mean where digits would be lost, and every `REANCHOR` windows.
    """
    share = 1.0 / length
    for i in range(first, last):
        step = x[i] - shift
        total += step
        squares += step * step
        mean = total * share
        value = squares * share - mean * mean
        step = x[i - length + 1] - shift
        gone = step * step
        total -= step
        squares -= gone
        bars -= 1
        if value < LOST * (squares * share) or gone > BURIED * squares or bars <= 0:
            bars = REANCHOR * length
            shift = 0.0
            for j in range(i - length + 1, i + 1):
                shift += x[j]
            shift *= share
            total = 0.0
            squares = 0.0
            for j in range(i - length + 1, i + 1):
                step = x[j] - shift
                total += step
                squares += step * step
            mean = total * share
            value = squares * share - mean * mean
            if value < NOISE * (squares * share):
                value = 0.0
            step = x[i - length + 1] - shift
            total -= step
            squares -= step * step
        out[i] = value
    return shift, total, squares, bars


@njit(cache=True, nogil=True, error_model="numpy")
def _variance_start(x: Array, length: int, upto: int, out: Array) -> tuple[float, float, float, int]:
    """The sums of the first window but its last bar, then `_variance_run` through index `upto` - 1."""
    shift = x[0]
    total = 0.0
    squares = 0.0
    for i in range(length - 1):
        step = x[i] - shift
        total += step
        squares += step * step
        out[i] = np.nan
    return _variance_run(x, length, length - 1, upto, shift, total, squares, REANCHOR * length, out)


@njit(cache=True, nogil=True, error_model="numpy")
def _steps(entering: Array, leaving: Array, shift: float, m: int, new: Array, old: Array) -> None:
    """A stretch's values measured from `shift`: those that enter the window and those that leave it."""
    for i in range(m):
        new[i] = entering[i] - shift
    for i in range(m):
        old[i] = leaving[i] - shift


@njit(cache=True, nogil=True, error_model="numpy")
def _finish(totals: Array, squares: Array, old: Array, share: float, m: int, root: bool, out: Array) -> bool:
    """Variances of a stretch from its sums, or their roots; whether none of them has lost digits."""
    lost = 0
    if root:  # in the same loop, since roots keep a part of the processor busy that nothing else needs
        for i in range(m):
            mean = totals[i] * share
            value = squares[i] * share - mean * mean
            gone = old[i] * old[i]
            after = squares[i] - gone
            lost += (value < LOST * (after * share)) | (gone > BURIED * after)
            out[i] = np.sqrt(value)
    else:
        for i in range(m):
            mean = totals[i] * share
            value = squares[i] * share - mean * mean
            gone = old[i] * old[i]
            after = squares[i] - gone
            lost += (value < LOST * (after * share)) | (gone > BURIED * after)
            out[i] = value
    return lost == 0


@njit(cache=True, nogil=True, error_model="numpy")
def _root(out: Array, first: int, last: int) -> None:
    part = out[first:last]
    for i in range(len(part)):
        part[i] = np.sqrt(part[i])


@njit(cache=True, nogil=True, error_model="numpy")
def _spread(x: Array, lengths: Array, root: bool, a: Array, b: Array, c: Array, d: Array) -> None:
    """Population variance of the last n values (its `root`: standard deviation), by sums measured from a point near them."""
    n = len(x)
    n1, n2, n3, n4 = lengths[0], lengths[1], lengths[2], lengths[3]
    start = n4 - 1
    h1, t1, q1, k1 = _variance_start(x, n1, start, a)
    h2, t2, q2, k2 = _variance_start(x, n2, start, b)
    h3, t3, q3, k3 = _variance_start(x, n3, start, c)
    h4, t4, q4, k4 = _variance_start(x, n4, start, d)
    held = np.empty((16, TILE + APART))
    u1, u2, u3, u4 = held[0], held[1], held[2], held[3]
    v1, v2, v3, v4 = held[4], held[5], held[6], held[7]
    new1, new2, new3, new4 = held[8], held[9], held[10], held[11]
    old1, old2, old3, old4 = held[12], held[13], held[14], held[15]
    if root:
        for out in (a, b, c, d):
            _root(out, 0, start)
    first = start
    while first < n:
        # Up to the bar before the first of the four is due to be measured afresh, all run side by side.
        m = min(min(TILE, n - first), min(min(k1, k2), min(k3, k4)) - 1)
        if m == 0:
            h1, t1, q1, k1 = _variance_run(x, n1, first, first + 1, h1, t1, q1, k1, a)
            h2, t2, q2, k2 = _variance_run(x, n2, first, first + 1, h2, t2, q2, k2, b)
            h3, t3, q3, k3 = _variance_run(x, n3, first, first + 1, h3, t3, q3, k3, c)
            h4, t4, q4, k4 = _variance_run(x, n4, first, first + 1, h4, t4, q4, k4, d)
            if root:
                for out in (a, b, c, d):
                    _root(out, first, first + 1)
            first += 1
            continue
        now = x[first:]
        _steps(now, x[first - n1 + 1 :], h1, m, new1, old1)
        _steps(now, x[first - n2 + 1 :], h2, m, new2, old2)
        _steps(now, x[first - n3 + 1 :], h3, m, new3, old3)
        _steps(now, x[first - n4 + 1 :], h4, m, new4, old4)
        s1, s2, s3, s4 = t1, t2, t3, t4
        p1, p2, p3, p4 = q1, q2, q3, q4
        for i in range(m):
            s1 += new1[i]
            s2 += new2[i]
            s3 += new3[i]
            s4 += new4[i]
            p1 += new1[i] * new1[i]
            p2 += new2[i] * new2[i]
            p3 += new3[i] * new3[i]
            p4 += new4[i] * new4[i]
            u1[i] = s1
            u2[i] = s2
            u3[i] = s3
            u4[i] = s4
            v1[i] = p1
            v2[i] = p2
            v3[i] = p3
            v4[i] = p4
            s1 -= old1[i]
            s2 -= old2[i]
            s3 -= old3[i]
            s4 -= old4[i]
            p1 -= old1[i] * old1[i]
            p2 -= old2[i] * old2[i]
            p3 -= old3[i] * old3[i]
            p4 -= old4[i] * old4[i]
        # Where digits were lost within the stretch, that length runs through it again, bar by bar.
        if _finish(u1, v1, old1, 1.0 / n1, m, root, a[first:]):
            t1, q1, k1 = s1, p1, k1 - m
        else:
            h1, t1, q1, k1 = _variance_run(x, n1, first, first + m, h1, t1, q1, k1, a)
            if root:
                _root(a, first, first + m)
        if _finish(u2, v2, old2, 1.0 / n2, m, root, b[first:]):
            t2, q2, k2 = s2, p2, k2 - m
        else:
            h2, t2, q2, k2 = _variance_run(x, n2, first, first + m, h2, t2, q2, k2, b)
            if root:
                _root(b, first, first + m)
        if _finish(u3, v3, old3, 1.0 / n3, m, root, c[first:]):
            t3, q3, k3 = s3, p3, k3 - m
        else:
            h3, t3, q3, k3 = _variance_run(x, n3, first, first + m, h3, t3, q3, k3, c)
            if root:
                _root(c, first, first + m)
        if _finish(u4, v4, old4, 1.0 / n4, m, root, d[first:]):
            t4, q4, k4 = s4, p4, k4 - m
        else:
            h4, t4, q4, k4 = _variance_run(x, n4, first, first + m, h4, t4, q4, k4, d)
            if root:
                _root(d, first, first + m)
        first += m


@njit(cache=True, nogil=True, error_model="numpy")
def variance(x: Array, lengths: Array, a: Array, b: Array, c: Array, d: Array) -> None:
    """Population variance of the last n values."""
    _spread(x, lengths, False, a, b, c, d)


@njit(cache=True, nogil=True, error_model="numpy")
def deviation(x: Array, lengths: Array, a: Array, b: Array, c: Array, d: Array) -> None:
    """Population standard deviation of the last n values."""
    _spread(x, lengths, True, a, b, c, d)


@njit(cache=True, nogil=True, error_model="numpy")
def doubled(table: Array, width: int, highest: bool) -> Array:
    """Extremes of windows of 2 * width from those of `width`; the first 2 * width - 1 are unset."""
    out = np.empty(len(table))
    now, before, result = table[width:], table[: len(table) - width], out[width:]
    if highest:
        for i in range(len(result)):
            result[i] = now[i] if now[i] >= before[i] else before[i]
    else:
        for i in range(len(result)):
            result[i] = now[i] if now[i] <= before[i] else before[i]
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def covered(table: Array, width: int, length: int, highest: bool, out: Array) -> None:
    """Extremes of windows of `length`, in [width, 2 width], as two overlapping windows of `width`.

    Zeros come without a sign, so that it never shows which of two equal values was taken.
    """
    out[: length - 1] = np.nan
    now, before, result = table[length - 1 :], table[width - 1 :], out[length - 1 :]
    if highest:
        for i in range(len(result)):
            result[i] = (now[i] if now[i] >= before[i] else before[i]) + 0.0
    else:
        for i in range(len(result)):
            result[i] = (now[i] if now[i] <= before[i] else before[i]) + 0.0
