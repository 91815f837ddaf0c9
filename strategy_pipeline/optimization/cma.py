"""Covariance matrix adaptation (N. Hansen, "The CMA Evolution Strategy: A Tutorial", 2016) in batches that can be replayed.

Coordinates are a strategy's parameters between 0 and 1 on their own scales. A batch is one generation; the state before a batch
follows from the batches before it alone, so nothing needs to be stored.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from strategy_pipeline.rng import generator

if TYPE_CHECKING:
    from strategy_pipeline.strategies import Parameter

STEP = 0.25  # of the range, at the start
_RESAMPLED = 20  # times, before a point outside the ranges is moved to their edge


class CovarianceMatrixAdaptation:
    """Maximises in the unit cube. `mean` (n,), `step`, `covariance` (n, n) are the distribution of the next generation."""

    def __init__(self, start: NDArray[np.float64], size: int) -> None:
        n = len(start)
        self.mean, self.step, self.covariance = start.astype(np.float64), STEP, np.eye(n)
        self._size = size
        parents = max(size // 2, 1)
        raw = math.log((size + 1) / 2) - np.log(np.arange(1, parents + 1))
        self._weights = raw / raw.sum() if raw.sum() > 0 else np.full(parents, 1 / parents)
        mass = 1 / float((self._weights**2).sum())
        self._mass = mass
        self._keep_step = (mass + 2) / (n + mass + 5)
        self._damping = 1 + 2 * max(0.0, math.sqrt((mass - 1) / (n + 1)) - 1) + self._keep_step
        self._keep_path = (4 + mass / n) / (n + 4 + 2 * mass / n)
        self._rank_one = 2 / ((n + 1.3) ** 2 + mass)
        self._rank_many = min(1 - self._rank_one, 2 * (mass - 2 + 1 / mass) / ((n + 2) ** 2 + mass)) if mass > 1 else 0.0
        self._rank_many = max(self._rank_many, 0.0)
        self._expected = math.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n * n))
        self._step_path, self._path = np.zeros(n), np.zeros(n)
        self._generation = 0

    def ask(self, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        """`count` points of the cube, (count, n)."""
        values, vectors = np.linalg.eigh(self.covariance)
        scale = vectors * np.sqrt(np.maximum(values, 1e-20))
        points = np.empty((count, len(self.mean)))
        for row in range(count):
            for _ in range(_RESAMPLED):
                point = self.mean + self.step * scale @ rng.standard_normal(len(self.mean))
                if ((point >= 0) & (point <= 1)).all():
                    break
            points[row] = np.clip(point, 0.0, 1.0)
        return points

    def tell(self, points: NDArray[np.float64], values: NDArray[np.float64]) -> None:
        """Move towards the better half of a generation; NaN is worst, ties go by position."""
        order = np.lexsort([np.arange(len(values)), -np.where(np.isnan(values), -np.inf, values)])[: len(self._weights)]
        if not np.isfinite(values[order]).any():
            return
        self._generation += 1
        weights = self._weights[: len(order)] / self._weights[: len(order)].sum()
        steps = (points[order] - self.mean) / self.step
        mean_step = weights @ steps
        eigenvalues, vectors = np.linalg.eigh(self.covariance)
        whitened = vectors @ ((vectors.T @ mean_step) / np.sqrt(np.maximum(eigenvalues, 1e-20)))
        c, d = self._keep_step, self._keep_path
        self._step_path = (1 - c) * self._step_path + math.sqrt(c * (2 - c) * self._mass) * whitened
        length = float(np.linalg.norm(self._step_path))
        n = len(self.mean)
        rising = length / math.sqrt(1 - (1 - c) ** (2 * self._generation)) < (1.4 + 2 / (n + 1)) * self._expected
        self._path = (1 - d) * self._path + rising * math.sqrt(d * (2 - d) * self._mass) * mean_step
        kept = 1 - self._rank_one - self._rank_many + (1 - rising) * self._rank_one * d * (2 - d)
        self.covariance = (
            kept * self.covariance
            + self._rank_one * np.outer(self._path, self._path)
            + self._rank_many * np.einsum("k,ki,kj->ij", weights, steps, steps)
        )
        self.mean = np.clip(self.mean + self.step * mean_step, 0.0, 1.0)
        self.step = float(np.clip(self.step * math.exp(c / self._damping * (length / self._expected - 1)), 1e-4, 1.0))


def place(parameter: Parameter, value: float) -> float:
    """Where a number lies between its bounds, 0 to 1, on its scale."""
    low, high = parameter.low, parameter.high
    if high <= low:
        return 0.5
    if parameter.scale == "log":
        return float(np.clip(math.log(value / low) / math.log(high / low), 0.0, 1.0))
    return float(np.clip((value - low) / (high - low), 0.0, 1.0))


def number(parameter: Parameter, at: float) -> float:
    """The number at a place between the bounds; a whole one where the parameter is."""
    low, high = parameter.low, parameter.high
    found = low * (high / low) ** at if parameter.scale == "log" else low + at * (high - low)
    found = round(found) if parameter.kind == "int" else found
    return float(min(max(found, low), high))


def proposals(
    space: Sequence[Parameter], told: Sequence[Sequence[tuple[Mapping[str, Any], float]]], size: int, count: int, seed: int, key: str
) -> list[dict[str, float]]:
    """The next generation's parameters by path.

    told
        The generations before, each with the parameters and value of every trial (NaN where it has none).
    """
    search = CovarianceMatrixAdaptation(np.array([place(parameter, parameter.value) for parameter in space]), size)
    for batch in told:
        points = np.array([[place(parameter, float(found[parameter.path])) for parameter in space] for found, _ in batch])
        search.tell(points, np.array([value for _, value in batch]))
    asked = search.ask(generator(seed, "cmaes", key, len(told)), count)
    return [{parameter.path: number(parameter, at) for parameter, at in zip(space, row, strict=True)} for row in asked.tolist()]
