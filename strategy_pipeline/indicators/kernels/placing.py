"""From the bars that exist to the whole row, in one pass: NaN before the lookback, where infinite, and at missing bars."""

from __future__ import annotations

import numpy as np
from numba import njit

Array = np.ndarray


@njit(cache=True, nogil=True)
def place(values: Array, lookback: int, start: int, out: Array) -> None:
    """`values` into `out` from index `start` on."""
    out[: start + lookback] = np.nan
    for i in range(lookback, len(values)):
        value = values[i]
        out[start + i] = value if np.isfinite(value) else np.nan
    out[start + len(values) :] = np.nan


@njit(cache=True, nogil=True)
def scatter(values: Array, lookback: int, where: Array, out: Array) -> None:
    """`values` into `out` at the indices `where`."""
    out[:] = np.nan
    for i in range(lookback, len(values)):
        value = values[i]
        out[where[i]] = value if np.isfinite(value) else np.nan


@njit(cache=True, nogil=True)
def only_numbers(values: Array) -> None:
    """Infinite values become NaN."""
    for i in range(len(values)):
        value = values[i]
        values[i] = value if np.isfinite(value) else np.nan


@njit(cache=True, nogil=True)
def spread(values: Array, at: Array, present: Array, out: Array) -> None:
    """Columns `at` of `values` (one row, or as many as `out`) into `out`; NaN where that is -1 or the bar is not `present`."""
    for s in range(out.shape[0]):
        row = values[s if values.shape[0] > 1 else 0]
        for i in range(out.shape[1]):
            out[s, i] = row[at[i]] if at[i] >= 0 and present[s, i] else np.nan


@njit(cache=True, nogil=True, error_model="numpy")
def finite_stretch(values: Array) -> tuple[int, int]:
    """Where the only unbroken stretch of finite values lies, [first, stop); (0, -1) where finite values are not one stretch."""
    n = len(values)
    first, stop = 0, n
    while first < n and not np.isfinite(values[first]):
        first += 1
    while stop > first and not np.isfinite(values[stop - 1]):
        stop -= 1
    broken = 0
    for i in range(first, stop):
        broken += not np.isfinite(values[i])
    return (first, stop) if broken == 0 else (0, -1)
