"""Swings, profiles and seasons: structure in price that is known only once confirmed."""

from __future__ import annotations

import numpy as np
from numba import njit

Array = np.ndarray


@njit(cache=True, nogil=True)
def last_swing(x: Array, left: int, right: int, sign: float) -> tuple[Array, Array]:
    """Level of the newest swing high (sign 1) or low (-1) and bars since it, from the bar that confirms it.

    A swing is strictly beyond the `left` values before it and not exceeded by the `right` values after; it is known
    `right` bars later and enters then.
    """
    n = len(x)
    level = np.full(n, np.nan)
    age = np.full(n, np.nan)
    current = -1
    for i in range(n):
        pivot = i - right
        if pivot >= left:
            is_swing = True
            for j in range(pivot - left, pivot):
                if sign * x[j] >= sign * x[pivot]:
                    is_swing = False
                    break
            if is_swing:
                for j in range(pivot + 1, i + 1):
                    if sign * x[j] > sign * x[pivot]:
                        is_swing = False
                        break
            if is_swing:
                current = pivot
        if current >= 0:
            level[i] = x[current]
            age[i] = i - current
    return level, age


@njit(cache=True, nogil=True)
def zigzag(high: Array, low: Array, reversal: float) -> tuple[Array, Array, Array]:
    """Direction of the running leg (1, -1), the last confirmed pivot's price, and the leg's extreme so far.

    A leg turns once price comes back from its extreme by the fraction `reversal`; the extreme then becomes a pivot.
    """
    n = len(high)
    direction = np.full(n, np.nan)
    pivot = np.full(n, np.nan)
    extreme = np.full(n, np.nan)
    if n == 0:
        return direction, pivot, extreme
    top, bottom = high[0], low[0]
    way = 0.0
    last = np.nan
    for i in range(n):
        if way == 0.0:
            top = max(top, high[i])
            bottom = min(bottom, low[i])
            if low[i] <= top * (1.0 - reversal):
                way, last, bottom = -1.0, top, low[i]
            elif high[i] >= bottom * (1.0 + reversal):
                way, last, top = 1.0, bottom, high[i]
        elif way > 0.0:
            if high[i] > top:
                top = high[i]
            elif low[i] <= top * (1.0 - reversal):
                way, last, bottom = -1.0, top, low[i]
        else:
            if low[i] < bottom:
                bottom = low[i]
            elif high[i] >= bottom * (1.0 + reversal):
                way, last, top = 1.0, bottom, high[i]
        if way != 0.0:
            direction[i] = way
            pivot[i] = last
            extreme[i] = top if way > 0.0 else bottom
    return direction, pivot, extreme


@njit(cache=True, nogil=True)
def fractal_dimension(high: Array, low: Array, length: int) -> Array:
    """Ehlers' estimate from the ranges of two halves and the whole of an even window: 1 a line, 2 fills the plane."""
    n = len(high)
    out = np.full(n, np.nan)
    half = length // 2
    for i in range(2 * half - 1, n):
        top1 = top2 = -np.inf
        bottom1 = bottom2 = np.inf
        for j in range(i - 2 * half + 1, i - half + 1):
            top1 = max(top1, high[j])
            bottom1 = min(bottom1, low[j])
        for j in range(i - half + 1, i + 1):
            top2 = max(top2, high[j])
            bottom2 = min(bottom2, low[j])
        parts = (top1 - bottom1) / half + (top2 - bottom2) / half
        whole = (max(top1, top2) - min(bottom1, bottom2)) / (2 * half)
        if parts > 0.0 and whole > 0.0:
            out[i] = min(2.0, max(1.0, np.log(parts / whole) / np.log(2.0)))
    return out


@njit(cache=True, nogil=True)
def fill_profile(high: Array, low: Array, volume: Array, i: int, length: int, profile: Array) -> tuple[float, float, float]:
    """Volume by price over the window that ends at i, into `profile`; the lowest price, a bin's width, the volume.

    Each bar spreads its volume evenly over its range. The width is 0, and `profile` left alone, without range or volume.
    """
    bins = len(profile)
    top = -np.inf
    bottom = np.inf
    total = 0.0
    for j in range(i - length + 1, i + 1):
        top = max(top, high[j])
        bottom = min(bottom, low[j])
        total += volume[j]
    if not (top > bottom and total > 0.0):
        return bottom, 0.0, total
    width = (top - bottom) / bins
    profile[:] = 0.0
    for j in range(i - length + 1, i + 1):
        first = min(bins - 1, int((low[j] - bottom) / width))
        last = min(bins - 1, int((high[j] - bottom) / width))
        span = high[j] - low[j]
        if first == last or span <= 0.0:
            profile[first] += volume[j]
        else:
            for k in range(first, last + 1):
                inside = min(high[j], bottom + (k + 1) * width) - max(low[j], bottom + k * width)
                profile[k] += volume[j] * max(inside, 0.0) / span
    return bottom, width, total


@njit(cache=True, nogil=True)
def volume_profile(high: Array, low: Array, volume: Array, length: int, bins: int, share: float) -> tuple[Array, Array, Array]:
    """Point of control and the value area's high and low over a window; each bar spreads its volume evenly over its range.

    The value area grows from the point of control towards the fuller neighbour until it holds `share` of the volume.
    """
    n = len(high)
    poc = np.full(n, np.nan)
    upper = np.full(n, np.nan)
    lower = np.full(n, np.nan)
    profile = np.zeros(bins)
    for i in range(length - 1, n):
        bottom, width, total = fill_profile(high, low, volume, i, length, profile)
        if not width > 0.0:
            continue
        best = 0
        for k in range(1, bins):
            if profile[k] > profile[best]:
                best = k
        down = best
        up = best
        held = profile[best]
        while held < share * total and (down > 0 or up < bins - 1):
            below = profile[down - 1] if down > 0 else -1.0
            above = profile[up + 1] if up < bins - 1 else -1.0
            if above >= below:
                up += 1
                held += above
            else:
                down -= 1
                held += below
        poc[i] = bottom + (best + 0.5) * width
        lower[i] = bottom + down * width
        upper[i] = bottom + (up + 1) * width
    return poc, upper, lower


@njit(cache=True, nogil=True)
def same_slot_mean(x: Array, slot: Array, slots: int, count: int) -> Array:
    """Mean of the previous `count` values (not NaN) whose slot (hour of day, hour of week) is the current one's."""
    n = len(x)
    out = np.full(n, np.nan)
    kept = np.zeros((slots, count))
    filled = np.zeros(slots, dtype=np.int64)
    for i in range(n):
        s = slot[i]
        if filled[s] >= count:
            total = 0.0
            for k in range(count):
                total += kept[s, k]
            out[i] = total / count
        if not np.isnan(x[i]):
            kept[s, filled[s] % count] = x[i]
            filled[s] += 1
    return out
