"""Rolling windows: means, deviations, extremes, ranks, moments.

Leading NaNs of the input are skipped: the first value comes when the window is full of numbers. Window sums are
kept with compensation (Neumaier, 1974) and moments about a running reference, so that long series do not lose digits.
"""

from __future__ import annotations

import numpy as np
from numba import njit

Array = np.ndarray


def log_returns(x: Array) -> Array:
    """ln(x_t / x_t-1); the first is NaN, as is any with a value that is not positive."""
    out = np.full(len(x), np.nan)
    with np.errstate(all="ignore"):
        out[1:] = np.log(x[1:] / x[:-1])
    return np.where(np.isfinite(out), out, np.nan)


@njit(cache=True, nogil=True)
def mean(x: Array, length: int) -> Array:
    """Mean of the last `length` values; NaN while the window holds a NaN."""
    n = len(x)
    out = np.full(n, np.nan)
    total = 0.0
    lost = 0.0
    bad = 0
    for i in range(n):
        value = x[i]
        if np.isnan(value):
            bad += 1
        else:
            after = total + value
            lost += (total - after) + value if abs(total) >= abs(value) else (value - after) + total
            total = after
        if i >= length:
            old = x[i - length]
            if np.isnan(old):
                bad -= 1
            else:
                after = total - old
                lost += (total - after) - old if abs(total) >= abs(old) else (-old - after) + total
                total = after
        if i >= length - 1 and bad == 0:
            out[i] = (total + lost) / length
    return out


@njit(cache=True, nogil=True)
def weighted_variance(x: Array, weight: Array, length: int) -> Array:
    """Weighted population variance of the last `length` values, in constant time a value; NaN where there is no weight.

    A window is the end of one block of `length` values and the beginning of the next: their sums are added, nothing is ever
    taken away, and all is measured from the value between them, so no digits are lost to what has left the window.
    """
    n = len(x)
    out = np.full(n, np.nan)
    tail = np.zeros((length + 1, 3))  # sums of weight, weight d and weight d**2 over the last k values before the block
    for first in range(0, n, length):
        anchor = x[first]
        for k in range(1, length if first > 0 else 1):
            d, w = x[first - k] - anchor, weight[first - k]
            tail[k, 0], tail[k, 1], tail[k, 2] = tail[k - 1, 0] + w, tail[k - 1, 1] + w * d, tail[k - 1, 2] + w * d * d
        total = linear = square = 0.0
        for i in range(first, min(first + length, n)):
            d, w = x[i] - anchor, weight[i]
            total += w
            linear += w * d
            square += w * d * d
            if i < length - 1:
                continue
            k = length - 1 - (i - first)
            load = total + tail[k, 0]
            if load > 0:
                centre = (linear + tail[k, 1]) / load
                out[i] = max((square + tail[k, 2]) / load - centre * centre, 0.0)
    return out


@njit(cache=True, nogil=True)
def deviation(x: Array, length: int, ddof: int) -> Array:
    """Standard deviation of the last `length` values; zero where they are all equal."""
    n = len(x)
    out = np.full(n, np.nan)
    if length <= ddof:
        return out
    bad = 0
    same = 0
    # The window is re-summed about its own mean every `length` bars and updated in between (Welford, 1962), so errors
    # never outlive a window. The schedule depends on the index alone.
    average = 0.0
    squares = 0.0
    fresh = False
    for i in range(n):
        value = x[i]
        if np.isnan(value):
            bad += 1
        if i >= length and np.isnan(x[i - length]):
            bad -= 1
        same = same + 1 if i > 0 and value == x[i - 1] else 1
        if i < length - 1 or bad > 0:
            fresh = False
            continue
        again = not fresh or i % length == 0
        if not again:
            old = x[i - length]
            before = average
            average = before + (value - old) / length
            step = (value - old) * (value - average + old - before)
            squares += step
            again = squares < -1e-3 * step  # an outlier left: what remains has lost its digits
        if again:
            average = 0.0
            for j in range(i - length + 1, i + 1):
                average += x[j]
            average /= length
            squares = 0.0
            for j in range(i - length + 1, i + 1):
                squares += (x[j] - average) ** 2
            fresh = True
        if same >= length or squares < 0.0:
            out[i] = 0.0
        else:
            out[i] = np.sqrt(squares / (length - ddof))
    return out


@njit(cache=True, nogil=True)
def ewm_mean(x: Array, weight: float) -> Array:
    """Exponential mean m += weight (x - m), started at the first number; NaN inside keeps the mean as it was."""
    out = np.full(len(x), np.nan)
    state = np.nan
    for i in range(len(x)):
        if not np.isnan(x[i]):
            state = x[i] if np.isnan(state) else state + weight * (x[i] - state)
        out[i] = state
    return out


@njit(cache=True, nogil=True)
def _extreme(x: Array, length: int, sign: float) -> tuple[Array, Array]:
    """Highest value of sign * x over the window and bars since it (the latest of equals), by a monotonic queue."""
    n = len(x)
    value = np.full(n, np.nan)
    since = np.full(n, np.nan)
    queue = np.empty(n, dtype=np.int64)
    head = 0
    tail = 0
    bad_until = length - 2
    for i in range(n):
        if np.isnan(x[i]):
            head = tail = 0
            bad_until = i + length - 1
            continue
        while tail > head and sign * x[queue[tail - 1]] <= sign * x[i]:
            tail -= 1
        queue[tail] = i
        tail += 1
        while queue[head] <= i - length:
            head += 1
        if i > bad_until:
            value[i] = x[queue[head]]
            since[i] = i - queue[head]
    return value, since


def highest(x: Array, length: int) -> Array:
    """Highest of the last `length` values, the current one included."""
    return _extreme(x, length, 1.0)[0]


def lowest(x: Array, length: int) -> Array:
    """Lowest of the last `length` values, the current one included."""
    return _extreme(x, length, -1.0)[0]


def bars_since_highest(x: Array, length: int) -> Array:
    """Bars since the highest of the last `length` values (the latest of equals)."""
    return _extreme(x, length, 1.0)[1]


def bars_since_lowest(x: Array, length: int) -> Array:
    """Bars since the lowest of the last `length` values (the latest of equals)."""
    return _extreme(x, length, -1.0)[1]


@njit(cache=True, nogil=True)
def rank(x: Array, length: int) -> Array:
    """Share of the other values of the window below the current one, ties half: 0 lowest, 1 highest."""
    n = len(x)
    out = np.full(n, np.nan)
    for i in range(length - 1, n):
        below = 0.0
        ok = not np.isnan(x[i])
        for j in range(i - length + 1, i):
            if np.isnan(x[j]):
                ok = False
                break
            if x[j] < x[i]:
                below += 1.0
            elif x[j] == x[i]:
                below += 0.5
        if ok:
            out[i] = below / (length - 1)
    return out


@njit(cache=True, nogil=True)
def moments(x: Array, length: int) -> tuple[Array, Array]:
    """Sample skewness g1 and kurtosis g2 + 3 (biased, as scipy's defaults; 3 for a normal); NaN where variance is zero."""
    n = len(x)
    skew = np.full(n, np.nan)
    kurt = np.full(n, np.nan)
    for i in range(length - 1, n):
        average = 0.0
        for j in range(i - length + 1, i + 1):
            average += x[j]
        average /= length
        second = 0.0
        third = 0.0
        fourth = 0.0
        for j in range(i - length + 1, i + 1):
            gap = x[j] - average
            square = gap * gap
            second += square
            third += square * gap
            fourth += square * square
        second /= length
        if second > 1e-28 * max(average * average, 1e-272):
            skew[i] = third / length / second**1.5
            kurt[i] = fourth / length / (second * second)
    return skew, kurt


@njit(cache=True, nogil=True)
def co_moments(x: Array, y: Array, length: int) -> tuple[Array, Array]:
    """Regression slope of x on y and their correlation over the window; NaN where either has no variance."""
    n = len(x)
    slope = np.full(n, np.nan)
    correlation = np.full(n, np.nan)
    mean_x = 0.0
    mean_y = 0.0
    xx = 0.0
    yy = 0.0
    xy = 0.0
    bad = 0
    fresh = False
    for i in range(n):
        if np.isnan(x[i]) or np.isnan(y[i]):
            bad += 1
        if i >= length and (np.isnan(x[i - length]) or np.isnan(y[i - length])):
            bad -= 1
        if i < length - 1 or bad > 0:
            fresh = False
            continue
        again = not fresh or i % length == 0
        if not again:
            new_x, new_y, old_x, old_y = x[i], y[i], x[i - length], y[i - length]
            before_x, before_y = mean_x, mean_y
            mean_x += (new_x - old_x) / length
            mean_y += (new_y - old_y) / length
            step_x = (new_x - old_x) * (new_x - mean_x + old_x - before_x)
            step_y = (new_y - old_y) * (new_y - mean_y + old_y - before_y)
            xx += step_x
            yy += step_y
            xy += (new_x - before_x) * (new_y - mean_y) - (old_x - before_x) * (old_y - mean_y)
            again = xx < -1e-3 * step_x or yy < -1e-3 * step_y
        if again:
            mean_x = 0.0
            mean_y = 0.0
            for j in range(i - length + 1, i + 1):
                mean_x += x[j]
                mean_y += y[j]
            mean_x /= length
            mean_y /= length
            xx = 0.0
            yy = 0.0
            xy = 0.0
            for j in range(i - length + 1, i + 1):
                xx += (x[j] - mean_x) ** 2
                yy += (y[j] - mean_y) ** 2
                xy += (x[j] - mean_x) * (y[j] - mean_y)
            fresh = True
        floor_x = 1e-24 * max(mean_x * mean_x * length, 1e-276)
        floor_y = 1e-24 * max(mean_y * mean_y * length, 1e-276)
        if yy > floor_y:
            slope[i] = xy / yy
            if xx > floor_x:
                correlation[i] = min(1.0, max(-1.0, xy / np.sqrt(xx * yy)))
    return slope, correlation
