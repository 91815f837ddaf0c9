"""Recursive filters and adaptive averages. Inputs without NaN; every output starts at the first bar."""

from __future__ import annotations

import numpy as np
from numba import njit

Array = np.ndarray


@njit(cache=True, nogil=True)
def second_order(x: Array, c1: float, c2: float, c3: float) -> Array:
    """y = c1 (x + x[-1]) / 2 + c2 y[-1] + c3 y[-2], started on the first values."""
    n = len(x)
    y = np.empty(n)
    for i in range(n):
        if i < 2:
            y[i] = x[i]
        else:
            y[i] = c1 * (x[i] + x[i - 1]) / 2.0 + c2 * y[i - 1] + c3 * y[i - 2]
    return y


@njit(cache=True, nogil=True)
def high_pass(x: Array, alpha: float) -> Array:
    """Two-pole high-pass filter, started at zero."""
    n = len(x)
    y = np.zeros(n)
    half = (1.0 - alpha / 2.0) ** 2
    for i in range(2, n):
        y[i] = half * (x[i] - 2.0 * x[i - 1] + x[i - 2]) + 2.0 * (1.0 - alpha) * y[i - 1] - (1.0 - alpha) ** 2 * y[i - 2]
    return y


@njit(cache=True, nogil=True)
def adaptive(x: Array, weight: Array, first: int) -> Array:
    """y += weight[i] (x - y), started on x[first]; NaN before."""
    n = len(x)
    y = np.full(n, np.nan)
    if first < n:
        y[first] = x[first]
        for i in range(first + 1, n):
            y[i] = y[i - 1] + weight[i] * (x[i] - y[i - 1])
    return y


@njit(cache=True, nogil=True)
def mcginley(x: Array, length: int) -> Array:
    """y += (x - y) / (n (x / y)^4), started on the first value; the divisor is at least one."""
    n = len(x)
    y = np.empty(n)
    for i in range(n):
        if i == 0 or y[i - 1] == 0.0:
            y[i] = x[i]
        else:
            y[i] = y[i - 1] + (x[i] - y[i - 1]) / max(1.0, length * (x[i] / y[i - 1]) ** 4)
    return y


@njit(cache=True, nogil=True)
def fisher(position: Array) -> Array:
    """Fisher transform of a position in [0, 1]: both the position and the transform carry half of their past."""
    n = len(position)
    out = np.full(n, np.nan)
    value = 0.0
    level = 0.0
    for i in range(n):
        if np.isnan(position[i]):
            continue
        value = min(0.999, max(-0.999, 0.66 * (position[i] - 0.5) + 0.67 * value))
        level = 0.5 * np.log((1.0 + value) / (1.0 - value)) + 0.5 * level
        out[i] = level
    return out


@njit(cache=True, nogil=True)
def laguerre_rsi(x: Array, gamma: float) -> Array:
    """RSI over the four stages of a Laguerre filter, in [0, 1]; 0.5 where the stages are equal."""
    n = len(x)
    out = np.empty(n)
    l0 = l1 = l2 = l3 = x[0] if n else 0.0
    for i in range(n):
        p0, p1, p2 = l0, l1, l2
        l0 = (1.0 - gamma) * x[i] + gamma * l0
        l1 = -gamma * l0 + p0 + gamma * l1
        l2 = -gamma * l1 + p1 + gamma * l2
        l3 = -gamma * l2 + p2 + gamma * l3
        up = max(l0 - l1, 0.0) + max(l1 - l2, 0.0) + max(l2 - l3, 0.0)
        down = max(l1 - l0, 0.0) + max(l2 - l1, 0.0) + max(l3 - l2, 0.0)
        out[i] = up / (up + down) if up + down > 0.0 else 0.5
    return out


@njit(cache=True, nogil=True)
def streak(x: Array) -> Array:
    """Length of the run of rises (positive) or falls (negative) that ends here; 0 where unchanged."""
    out = np.zeros(len(x))
    for i in range(1, len(x)):
        if x[i] > x[i - 1]:
            out[i] = out[i - 1] + 1.0 if out[i - 1] > 0.0 else 1.0
        elif x[i] < x[i - 1]:
            out[i] = out[i - 1] - 1.0 if out[i - 1] < 0.0 else -1.0
    return out


@njit(cache=True, nogil=True)
def since_day_open(day: Array, price: Array, volume: Array) -> Array:
    """Volume-weighted mean of the price since the day's first bar; NaN until something is traded."""
    out = np.full(len(price), np.nan)
    total = 0.0
    traded = 0.0
    for i in range(len(price)):
        if i == 0 or day[i] != day[i - 1]:
            total = 0.0
            traded = 0.0
        total += price[i] * volume[i]
        traded += volume[i]
        if traded > 0.0:
            out[i] = total / traded
    return out


@njit(cache=True, nogil=True)
def spread_since_day_open(day: Array, price: Array, volume: Array) -> Array:
    """Volume-weighted deviation of the price since the day's first bar, updated about its own mean (D. West, 1979)."""
    out = np.full(len(price), np.nan)
    traded = 0.0
    average = 0.0
    squares = 0.0
    for i in range(len(price)):
        if i == 0 or day[i] != day[i - 1]:
            traded = 0.0
            average = 0.0
            squares = 0.0
        if volume[i] > 0.0:
            traded += volume[i]
            step = price[i] - average
            average += step * (volume[i] / traded)  # exactly the price at the first trade: the day starts with no spread
            squares += volume[i] * step * (price[i] - average)
        if traded > 0.0:
            out[i] = np.sqrt(max(squares, 0.0) / traded)
    return out


@njit(cache=True, nogil=True)
def previous_day(day: Array, high: Array, low: Array, close: Array) -> tuple[Array, Array, Array]:
    """High, low and close of the last day before each bar's own that has bars from its first one; NaN until there is one."""
    n = len(close)
    top, bottom, last = np.full(n, np.nan), np.full(n, np.nan), np.full(n, np.nan)
    day_high, day_low = -np.inf, np.inf
    past_high = past_low = past_close = np.nan
    whole = False  # the first day may have begun before the history does
    for i in range(n):
        if i > 0 and day[i] != day[i - 1]:
            if whole:
                past_high, past_low, past_close = day_high, day_low, close[i - 1]
            whole = True
            day_high, day_low = -np.inf, np.inf
        day_high = max(day_high, high[i])
        day_low = min(day_low, low[i])
        top[i], bottom[i], last[i] = past_high, past_low, past_close
    return top, bottom, last
