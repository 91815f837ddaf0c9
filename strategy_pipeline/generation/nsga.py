"""Many objectives at once: fronts, crowding and hypervolume, on plain arrays where less is better.

K. Deb, A. Pratap, S. Agarwal, T. Meyarivan (2002), "A fast and elitist multiobjective genetic algorithm: NSGA-II". Infinite
rows stand for what has no value: they are behind every finite one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def ranks(costs: NDArray[np.float64]) -> NDArray[np.int64]:
    """The front of each row of (n, m), 0 for those that no other row dominates: int64 (n,).

    A row dominates another where it is nowhere worse and somewhere better. NaN is not allowed.
    """
    n = len(costs)
    no_worse, better = np.ones((n, n), dtype=bool), np.zeros((n, n), dtype=bool)
    for column in costs.T:
        no_worse &= column[:, None] <= column[None, :]
        better |= column[:, None] < column[None, :]
    dominates = no_worse & better
    remaining = dominates.sum(axis=0)
    front = np.full(n, -1, dtype=np.int64)
    level = 0
    while (front < 0).any():
        current = np.flatnonzero((front < 0) & (remaining == 0))
        front[current] = level
        remaining = remaining - dominates[current].sum(axis=0)
        level += 1
    return front


def crowding(costs: NDArray[np.float64], front: NDArray[np.int64]) -> NDArray[np.float64]:
    """Crowding distance of each row within its front, infinite at its ends: float64 (n,)."""
    distance = np.zeros(len(costs))
    for level in np.unique(front):
        rows = np.flatnonzero(front == level)
        if not np.isfinite(costs[rows]).all():
            continue
        for column in costs[rows].T:
            order = np.argsort(column, kind="stable")
            span = column[order[-1]] - column[order[0]]
            distance[rows[order[[0, -1]]]] = np.inf
            if span > 0 and len(rows) > 2:
                distance[rows[order[1:-1]]] += (column[order[2:]] - column[order[:-2]]) / span
    return distance


def survivors(costs: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """The `count` rows that go on: by front, within a front the least crowded; ties by position."""
    front = ranks(costs)
    return np.lexsort([np.arange(len(costs)), -crowding(costs, front), front])[:count]


def hypervolume(costs: NDArray[np.float64], reference: NDArray[np.float64]) -> float:
    """Volume that the rows dominate below `reference` (m,), by the exclusive volumes of L. While, L. Bradstreet and L. Barone
    (2012); rows not below it in every objective add nothing."""
    inside = costs[(costs < reference).all(axis=1)]
    if not len(inside):
        return 0.0
    inside = np.unique(inside, axis=0)
    inside = inside[ranks(inside) == 0]
    if costs.shape[1] == 1:
        return float(reference[0] - inside.min())
    if costs.shape[1] == 2:
        return _area(inside, reference)
    total = 0.0
    for k in range(len(inside)):
        rest = np.maximum(inside[k + 1 :], inside[k])
        total += float(np.prod(reference - inside[k])) - hypervolume(rest, reference)
    return total


def _area(points: NDArray[np.float64], reference: NDArray[np.float64]) -> float:
    ordered = points[np.argsort(points[:, 0])]
    widths = np.diff(np.append(ordered[:, 0], reference[0]))
    return float((widths * (reference[1] - ordered[:, 1])).sum())
