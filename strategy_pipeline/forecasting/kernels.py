"""Compiled loops that several models share: trailing means, exponential means, linear scores.

Each row of time is computed in one fixed order, so a prediction has the same bits whatever comes after it.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def trailing_mean(values: np.ndarray, window: int, minimum: int) -> np.ndarray:
    """Mean of the present values among the last `window` of each row; NaN where fewer than `minimum` are present.

    `values`: float64 (n_rows, n). Sums restart every `window` columns, so rounding does not pile up.
    """
    n_rows, n = values.shape
    out = np.full((n_rows, n), np.nan)
    for row in range(n_rows):
        total = 0.0
        count = 0
        for t in range(n):
            if t >= window and t % window == 0:
                total = 0.0
                count = 0
                for k in range(t - window + 1, t):
                    if not np.isnan(values[row, k]):
                        total += values[row, k]
                        count += 1
            elif t >= window and not np.isnan(values[row, t - window]):
                total -= values[row, t - window]
                count -= 1
            if not np.isnan(values[row, t]):
                total += values[row, t]
                count += 1
            if count >= minimum:
                out[row, t] = total / count
    return out


@njit(cache=True, nogil=True)
def exponential_mean(values: np.ndarray, decay: float, minimum: int) -> np.ndarray:
    """Weighted mean of all values so far with weights `decay` to the age, bias-corrected; missing values carry no weight.

    NaN until `minimum` values were seen, and where no value has been seen for so long that the weights vanished.
    """
    n_rows, n = values.shape
    out = np.full((n_rows, n), np.nan)
    for row in range(n_rows):
        total = 0.0
        weight = 0.0
        seen = 0
        for t in range(n):
            total *= decay
            weight *= decay
            value = values[row, t]
            if not np.isnan(value):
                total += value
                weight += 1.0
                seen += 1
            if seen >= minimum and weight > 1e-12:
                out[row, t] = total / weight
    return out


@njit(cache=True, nogil=True)
def linear_scores(inputs: np.ndarray, weights: np.ndarray, intercept: float) -> np.ndarray:
    """``inputs @ weights + intercept`` in float64, summed in order; NaN inputs make a NaN score. inputs: (n, k)."""
    n, k = inputs.shape
    out = np.empty(n)
    for i in range(n):
        total = intercept
        for j in range(k):
            total += float(inputs[i, j]) * weights[j]
        out[i] = total
    return out
