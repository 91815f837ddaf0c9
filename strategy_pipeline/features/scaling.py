"""Scaling fitted on a training window and applied to any: by median and spread, or by rank.

What belongs here: what a fit keeps (`state`), and applying it. What does not: choosing the window.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from strategy_pipeline.errors import MissingInputError, NoDataError
from strategy_pipeline.features.matrix import FeatureMatrix
from strategy_pipeline.market import timeframes as tf

Array = np.ndarray


def training_rows(matrix: FeatureMatrix, through: Any) -> Array:
    """Rows known at `through` or before, float64 (rows, n_features); NoDataError when there are none."""
    stop = int(np.searchsorted(matrix.available_at, tf.to_time(through), side="right"))
    if stop == 0:
        raise NoDataError(
            f"Expected rows known by {through} to fit on, was none (the first is known at {matrix.available_at[:1]}); move the cutoff"
        )
    return matrix.values[:, :stop].reshape(-1, matrix.n_features).astype(np.float64)


def _columns(values: Array) -> list[Array]:
    return [column[np.isfinite(column)] for column in values.T]


@dataclass(frozen=True, eq=False)
class RobustScaler:
    """(x - median) / (interquartile range / 1.349), clipped.

    feature_names : tuple of str
    median, scale : float64 (n_features,); a feature that never varied in training has scale 1, one never seen median 0
    clip : values end at plus and minus this
    """

    feature_names: tuple[str, ...]
    median: Array
    scale: Array
    clip: float = 8.0

    @classmethod
    def fit(cls, matrix: FeatureMatrix, through: Any, *, clip: float = 8.0) -> RobustScaler:
        """Learn from the rows known at `through` or before; later rows cannot change the fit."""
        median, scale = np.zeros(matrix.n_features), np.ones(matrix.n_features)
        for k, column in enumerate(_columns(training_rows(matrix, through))):
            if len(column):
                low, median[k], high = np.quantile(column, [0.25, 0.5, 0.75])
                spread = (high - low) / 1.349
                # Rare events have no interquartile range: their deviation is then the only scale there is.
                spread = spread if spread > 1e-12 else column.std()
                scale[k] = spread if spread > 1e-12 else 1.0
        return cls(matrix.feature_names, median, scale, clip)

    def transform(self, matrix: FeatureMatrix) -> FeatureMatrix:
        """The matrix in units of the training window's spread; NaN stays NaN. MissingInputError for other features."""
        _check(self.feature_names, matrix)
        scaled = (matrix.values - self.median) / self.scale
        return matrix.replaced(np.clip(scaled, -self.clip, self.clip).astype(np.float32))

    def state(self) -> dict[str, Array]:
        """What `restore` needs, as arrays."""
        return {"feature_names": np.array(self.feature_names), "median": self.median, "scale": self.scale, "clip": np.array(self.clip)}

    @classmethod
    def restore(cls, state: Mapping[str, Array]) -> RobustScaler:
        """The scaler that `state` came from."""
        return cls(tuple(map(str, state["feature_names"])), np.asarray(state["median"]), np.asarray(state["scale"]), float(state["clip"]))


@dataclass(frozen=True, eq=False)
class RankScaler:
    """Where a value lies among those of training: from -1 (below all) to 1 (above all), 0 at the median.

    feature_names : tuple of str
    grid : float64 (n_features, n_quantiles), quantiles of each feature over the training rows, ascending; NaN if unseen
    """

    feature_names: tuple[str, ...]
    grid: Array

    @classmethod
    def fit(cls, matrix: FeatureMatrix, through: Any, *, quantiles: int = 257) -> RankScaler:
        """Learn from the rows known at `through` or before; later rows cannot change the fit."""
        grid = np.full((matrix.n_features, quantiles), np.nan)
        for k, column in enumerate(_columns(training_rows(matrix, through))):
            if len(column):
                grid[k] = np.quantile(column, np.linspace(0.0, 1.0, quantiles))
        return cls(matrix.feature_names, grid)

    def transform(self, matrix: FeatureMatrix) -> FeatureMatrix:
        """Ranks; ties get the middle of their range. NaN stays NaN, and an unseen feature is all NaN."""
        _check(self.feature_names, matrix)
        out = np.full(matrix.values.shape, np.nan, dtype=np.float32)
        steps = np.linspace(-1.0, 1.0, self.grid.shape[1])
        for k in range(matrix.n_features):
            column = matrix.values[:, :, k].astype(np.float64)
            if np.isnan(self.grid[k]).any():
                continue
            # A value that fills several quantiles stands in their middle: average what both sides of the tie say.
            points, first = np.unique(self.grid[k], return_index=True)
            last = np.append(first[1:], self.grid.shape[1]) - 1
            ranks = (
                np.interp(column, points, (steps[first] + steps[last]) / 2.0, left=-1.0, right=1.0)
                if len(points) > 1
                else np.sign(column - points[0])
            )
            out[:, :, k] = np.where(np.isfinite(column), ranks, np.nan)
        return matrix.replaced(out)

    def state(self) -> dict[str, Array]:
        """What `restore` needs, as arrays."""
        return {"feature_names": np.array(self.feature_names), "grid": self.grid}

    @classmethod
    def restore(cls, state: Mapping[str, Array]) -> RankScaler:
        """The scaler that `state` came from."""
        return cls(tuple(map(str, state["feature_names"])), np.asarray(state["grid"]))


def _check(names: tuple[str, ...], matrix: FeatureMatrix) -> None:
    if matrix.feature_names != names:
        other = sorted(set(names) ^ set(matrix.feature_names))[:3]
        raise MissingInputError(
            f"Expected the {len(names)} features the scaler was fitted on, was {matrix.n_features} "
            f"({', '.join(other) or 'in another order'}); columns would be mixed up; build the same set or fit again"
        )
