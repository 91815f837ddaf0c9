"""Volume nodes, anchored averages and motifs of a window. Inputs without NaN; cost grows with the window."""

from __future__ import annotations

import numpy as np
from numba import njit

from strategy_pipeline.indicators.kernels.structure import fill_profile

Array = np.ndarray


@njit(cache=True, nogil=True)
def volume_nodes(high: Array, low: Array, close: Array, volume: Array, length: int, bins: int) -> tuple[Array, Array]:
    """Prices of the high- and low-volume node nearest to the close; NaN where the profile has none.

    A high (low) node is a bin strictly fuller (emptier) than the nearest differing bins on both sides, and above
    (below) the mean bin. The profile's ends are no nodes.
    """
    n = len(close)
    full = np.full(n, np.nan)
    thin = np.full(n, np.nan)
    profile = np.zeros(bins)
    for i in range(length - 1, n):
        bottom, width, total = fill_profile(high, low, volume, i, length, profile)
        if not width > 0.0:
            continue
        average = total / bins
        # Empty bins of a thin profile differ by rounding only.
        slack = 1e-12 * total
        for k in range(1, bins - 1):
            left = k - 1
            while left > 0 and abs(profile[left] - profile[k]) <= slack:
                left -= 1
            right = k + 1
            while right < bins - 1 and abs(profile[right] - profile[k]) <= slack:
                right += 1
            here = profile[k]
            price = bottom + (k + 0.5) * width
            peak = here > average and here > profile[left] + slack and here > profile[right] + slack
            dip = here < average and here < profile[left] - slack and here < profile[right] - slack
            if peak and not abs(price - close[i]) >= abs(full[i] - close[i]):  # also while there is none yet (NaN)
                full[i] = price
            if dip and not abs(price - close[i]) >= abs(thin[i] - close[i]):
                thin[i] = price
    return full, thin


@njit(cache=True, nogil=True)
def anchored_vwap(anchor: Array, price: Array, volume: Array, length: int, sign: float) -> tuple[Array, Array]:
    """Volume-weighted mean and deviation of `price` since the highest (sign 1) or lowest (-1) `anchor` of the window.

    The latest of equal anchors counts; NaN where nothing was traded since.
    """
    n = len(price)
    centre = np.full(n, np.nan)
    spread = np.full(n, np.nan)
    start = 0
    for i in range(length - 1, n):
        if i == length - 1 or start <= i - length:
            start = i - length + 1
            for j in range(i - length + 2, i + 1):
                if sign * anchor[j] >= sign * anchor[start]:
                    start = j
        elif sign * anchor[i] >= sign * anchor[start]:
            start = i
        traded = 0.0
        weighted = 0.0
        for j in range(start, i + 1):
            traded += volume[j]
            weighted += volume[j] * price[j]
        if traded > 0.0:
            average = weighted / traded
            squares = 0.0
            for j in range(start, i + 1):
                squares += volume[j] * (price[j] - average) ** 2
            centre[i] = average
            spread[i] = np.sqrt(squares / traded)
    return centre, spread


@njit(cache=True, nogil=True)
def left_motif(x: Array, mean: Array, deviation: Array, length: int, window: int) -> tuple[Array, Array]:
    """Distance of the newest `window` values to their nearest earlier neighbour within the last `length`, and its age.

    The z-normalised Euclidean distance sqrt(2 m (1 - rho)); neighbours end more than m / 4 bars earlier (rounded up),
    and are whole inside the last `length` values. `mean` and `deviation` (ddof 0) are those of each `window`. NaN
    where the newest values, or all neighbours, do not vary.
    """
    n = len(x)
    distance = np.full(n, np.nan)
    age = np.full(n, np.nan)
    nearest = (window + 3) // 4 + 1
    furthest = length - window
    shared = np.zeros(max(furthest + 1, 1))  # sum of products about the means, by lag
    for i in range(length - 1, n):
        if i == length - 1 or i % window == 0:  # summed afresh on a schedule of the index alone, so errors never outlive it
            for lag in range(nearest, furthest + 1):
                total = 0.0
                for k in range(window):
                    total += (x[i - k] - mean[i]) * (x[i - k - lag] - mean[i - lag])
                shared[lag] = total
        else:
            new = x[i] - mean[i - 1]
            old = x[i - window] - mean[i - 1]
            for lag in range(nearest, furthest + 1):
                shared[lag] += new * (x[i - lag] - mean[i - lag]) - old * (x[i - window - lag] - mean[i - lag])
        if not deviation[i] > 0.0:
            continue
        best = -2.0
        at = 0
        for lag in range(nearest, furthest + 1):
            if deviation[i - lag] > 0.0:
                closeness = shared[lag] / (window * deviation[i] * deviation[i - lag])
                if closeness > best:
                    best = closeness
                    at = lag
        if at > 0:
            distance[i] = np.sqrt(2.0 * window * max(0.0, 1.0 - best))
            age[i] = at
    return distance, age
