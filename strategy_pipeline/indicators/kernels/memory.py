"""How much of a window is pattern: entropies and long memory. Leading NaNs only; cost grows with the window."""

from __future__ import annotations

import numpy as np
from numba import njit

Array = np.ndarray


@njit(cache=True, nogil=True)
def _first_number(x: Array) -> int:
    for i in range(len(x)):
        if not np.isnan(x[i]):
            return i
    return len(x)


@njit(cache=True, nogil=True)
def permutation_entropy(x: Array, length: int) -> Array:
    """Entropy of the order patterns of three neighbours, over ln 6, from counts that slide with the window."""
    n = len(x)
    out = np.full(n, np.nan)
    start = _first_number(x)
    counts = np.zeros(6, dtype=np.int64)
    codes = np.zeros(n, dtype=np.int64)
    patterns = length - 2
    for i in range(start + 2, n):
        a, b, c = x[i - 2], x[i - 1], x[i]
        code = (1 if a > b else 0) + (2 if b > c else 0) + (4 if a > c else 0)
        # Of the eight sign combinations six can occur: fold them to 0..5.
        codes[i] = code if code < 3 else code - 2
        counts[codes[i]] += 1
        if i - patterns >= start + 2:
            counts[codes[i - patterns]] -= 1
        if i - start + 1 >= length:
            total = 0.0
            for k in range(6):
                if counts[k] > 0:
                    share = counts[k] / patterns
                    total -= share * np.log(share)
            out[i] = total / np.log(6.0)
    return out


@njit(cache=True, nogil=True)
def shannon_entropy(x: Array, length: int) -> Array:
    """Entropy of eight equal bins between the window's extremes, over ln 8."""
    n = len(x)
    out = np.full(n, np.nan)
    start = _first_number(x)
    counts = np.zeros(8, dtype=np.int64)
    for i in range(start + length - 1, n):
        low = np.inf
        high = -np.inf
        for j in range(i - length + 1, i + 1):
            low = min(low, x[j])
            high = max(high, x[j])
        if not high > low:
            continue
        counts[:] = 0
        for j in range(i - length + 1, i + 1):
            counts[min(7, int((x[j] - low) / (high - low) * 8.0))] += 1
        total = 0.0
        for k in range(8):
            if counts[k] > 0:
                share = counts[k] / length
                total -= share * np.log(share)
        out[i] = total / np.log(8.0)
    return out


@njit(cache=True, nogil=True)
def hurst(x: Array, length: int) -> Array:
    """Rescaled range: for blocks of 8, 16, ... within the window (aligned to its end), mean R/S; slope of the logarithms."""
    n = len(x)
    out = np.full(n, np.nan)
    start = _first_number(x)
    for i in range(start + length - 1, n):
        points = 0
        sum_x = 0.0
        sum_y = 0.0
        sum_xx = 0.0
        sum_xy = 0.0
        block = 8
        while block <= length:
            total = 0.0
            used = 0
            for k in range(length // block):
                end = i - k * block
                average = 0.0
                for j in range(end - block + 1, end + 1):
                    average += x[j]
                average /= block
                walk = 0.0
                high = 0.0
                low = 0.0
                squares = 0.0
                for j in range(end - block + 1, end + 1):
                    gap = x[j] - average
                    walk += gap
                    high = max(high, walk)
                    low = min(low, walk)
                    squares += gap * gap
                if squares > 0.0:
                    total += (high - low) / np.sqrt(squares / block)
                    used += 1
            if used > 0 and total > 0.0:
                a = np.log(float(block))
                b = np.log(total / used)
                points += 1
                sum_x += a
                sum_y += b
                sum_xx += a * a
                sum_xy += a * b
            block *= 2
        spread = points * sum_xx - sum_x * sum_x
        if points >= 2 and spread > 0.0:
            out[i] = (points * sum_xy - sum_x * sum_y) / spread
    return out
