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
