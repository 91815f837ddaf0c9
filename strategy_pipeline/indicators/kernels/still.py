"""Where nothing moved: runs of bars that give a ratio of movements nothing to divide by. TA-Lib says 0 there (or 1); we say NaN."""

from __future__ import annotations

import numpy as np
from numba import njit

Array = np.ndarray


@njit(cache=True, nogil=True)
def blank_runs(still: Array, length: int, memory: int, out: Array) -> None:
    """NaN into `out` where the last `length` bars were all still, and for `memory - 1` bars after, whose averages hold such a value."""
    run = 0
    last = -memory
    for i in range(len(still)):
        run = run + 1 if still[i] else 0
        if run >= length:
            last = i
        if i - last < memory:
            out[i] = np.nan


@njit(cache=True, nogil=True)
def unchanged(x: Array) -> Array:
    """Whether a value is the one before; False at the first."""
    out = np.zeros(len(x), dtype=np.bool_)
    for i in range(1, len(x)):
        out[i] = x[i] == x[i - 1]
    return out


@njit(cache=True, nogil=True)
def without_range(high: Array, low: Array) -> Array:
    """Whether a bar is one price, that of the whole bar before; False at the first."""
    out = np.zeros(len(high), dtype=np.bool_)
    for i in range(1, len(high)):
        out[i] = high[i] == low[i] and high[i] == high[i - 1] and low[i] == low[i - 1]
    return out


@njit(cache=True, nogil=True)
def without_true_range(high: Array, low: Array, close: Array) -> Array:
    """Whether a bar is one price, the last bar's close; False at the first."""
    out = np.zeros(len(high), dtype=np.bool_)
    for i in range(1, len(high)):
        out[i] = high[i] == low[i] and high[i] == close[i - 1]
    return out


@njit(cache=True, nogil=True)
def without_flow(high: Array, low: Array, close: Array, volume: Array) -> Array:
    """Whether the typical price is that of the bar before, or nothing was traded; False at the first."""
    out = np.zeros(len(high), dtype=np.bool_)
    for i in range(1, len(high)):
        out[i] = volume[i] == 0.0 or (high[i] + low[i] + close[i]) / 3.0 == (high[i - 1] + low[i - 1] + close[i - 1]) / 3.0
    return out


@njit(cache=True, nogil=True)
def never_moved(x: Array) -> Array:
    """Whether every value so far is the first one."""
    out = np.zeros(len(x), dtype=np.bool_)
    for i in range(len(x)):
        if x[i] != x[0]:
            break
        out[i] = True
    return out
