"""Whether a row is like anything a model was trained on.

What belongs here: a distance to the training rows, its calibration, and the verdict on rows at inference. What does not:
drift of whole windows (`drift`), or what is done with a refused row.

The score of a row is its mean distance to the `neighbours` nearest of a sample of training rows, after robust scaling, a
root-mean-square over the features that both know, over the same mean for training rows among themselves: the
dissimilarity index of H. Meyer and E. Pebesma (2021, "Predicting into unknown space?"), here with k neighbours. The
threshold is a high quantile of the scores of training rows held out in whole blocks of time, so that a row is not
compared with its own hour. A row that knows too few features has no score and is not accepted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from strategy_pipeline import rng
from strategy_pipeline.errors import NoDataError
from strategy_pipeline.features.matrix import FeatureMatrix
from strategy_pipeline.features.scaling import RobustScaler
from strategy_pipeline.market import timeframes as tf

Array = np.ndarray
_BLOCKS = 10
_CHUNK = 512


@dataclass(frozen=True, eq=False)
class DissimilarityGate:
    """Made by `fit`; kept by `state` and `restore`.

    scaler : RobustScaler fitted on the training rows
    used : bool (n_features,), features known often enough in training to compare by
    sample : float64 (n_sample, n_used), scaled training rows, NaN where unknown
    unit : mean distance of training rows to their neighbours
    threshold : of the score; quantile : the share of held-out training rows within it
    neighbours, least_known : how many neighbours; least share of the used features a row must know
    """

    scaler: RobustScaler
    used: Array
    sample: Array
    unit: float
    threshold: float
    quantile: float
    neighbours: int = 5
    least_known: float = 0.5

    @classmethod
    def fit(
        cls, matrix: FeatureMatrix, through: Any, *, seed: int, quantile: float = 0.99, sample: int = 2000, neighbours: int = 5,
        least_known: float = 0.5,
    ) -> DissimilarityGate:  # fmt: skip
        """Learn from the rows known at `through` or before; later rows cannot change the fit.

        Parameters
        ----------
        sample : rows kept to compare with, drawn evenly in time with `seed`; cost of a score is linear in it
        quantile : share of held-out training rows that the threshold accepts

        Raises
        ------
        NoDataError
            Fewer than 20 rows per block of time know enough features.
        """
        scaler = RobustScaler.fit(matrix, through)
        known_by = matrix.available_at <= tf.to_time(through)
        scaled = scaler.transform(matrix.replaced(matrix.values[:, known_by], matrix.times[known_by])).values
        n_bars = scaled.shape[1]
        # Time first: blocks of rows are then blocks of time, all symbols together.
        rows = scaled.transpose(1, 0, 2).reshape(-1, matrix.n_features).astype(np.float64)
        when = np.repeat(np.arange(n_bars), matrix.values.shape[0])
        exists = np.isfinite(rows).any(axis=1)
        used = np.isfinite(rows[exists]).mean(axis=0) >= 0.5 if exists.any() else np.zeros(matrix.n_features, dtype=bool)
        enough = np.isfinite(rows[:, used]).mean(axis=1) >= least_known if used.any() else np.zeros(len(rows), dtype=bool)
        rows, when = rows[enough][:, used], when[enough]
        if len(rows) < 20 * _BLOCKS:
            raise NoDataError(
                f"Expected at least {20 * _BLOCKS} training rows that know half of the features, was {len(rows)}; "
                "a threshold would be a guess; give a longer window or a smaller set"
            )
        if len(rows) > sample:
            keep = np.sort(rng.generator(seed, "gate").choice(len(rows), sample, replace=False))
            rows, when = rows[keep], when[keep]
        block = (np.searchsorted(np.unique(when), when) * _BLOCKS) // len(np.unique(when))
        distance = np.full(len(rows), np.nan)
        for one in range(_BLOCKS):
            held = block == one
            distance[held] = nearest(rows[held], rows[~held], neighbours)
        unit = float(np.nanmean(distance))
        unit = unit if unit > 1e-12 else 1.0
        return cls(scaler, used, rows, unit, float(np.nanquantile(distance / unit, quantile)), quantile, neighbours, least_known)

    def score(self, matrix: FeatureMatrix) -> Array:
        """Dissimilarity of each row, float64 (n_symbols, n_bars): 1 is as far as training rows are from each other.

        NaN for rows that know less than `least_known` of the used features. Each row's score depends on that row alone.
        MissingInputError for other features.
        """
        scaled = self.scaler.transform(matrix).values[:, :, self.used].astype(np.float64)
        rows = scaled.reshape(-1, scaled.shape[2])
        judged = np.isfinite(rows).mean(axis=1) >= self.least_known
        out = np.full(len(rows), np.nan)
        out[judged] = nearest(rows[judged], self.sample, self.neighbours) / self.unit
        return out.reshape(scaled.shape[:2])

    def accept(self, matrix: FeatureMatrix) -> Array:
        """Which rows are like those of training, bool (n_symbols, n_bars); False where there is no score."""
        score = self.score(matrix)
        return np.isfinite(score) & (np.nan_to_num(score, nan=np.inf) <= self.threshold)

    def state(self) -> dict[str, Array]:
        """What `restore` needs, as arrays."""
        numbers = {name: np.array(getattr(self, name)) for name in ("unit", "threshold", "quantile", "neighbours", "least_known")}
        scaler = {f"scaler.{name}": array for name, array in self.scaler.state().items()}
        return {"used": self.used, "sample": self.sample, **numbers, **scaler}

    @classmethod
    def restore(cls, state: Mapping[str, Array]) -> DissimilarityGate:
        """The gate that `state` came from."""
        scaler = RobustScaler.restore({name.removeprefix("scaler."): array for name, array in state.items() if name.startswith("scaler.")})
        return cls(
            scaler, np.asarray(state["used"], dtype=bool), np.asarray(state["sample"]), float(state["unit"]), float(state["threshold"]),
            float(state["quantile"]), int(state["neighbours"]), float(state["least_known"]),
        )  # fmt: skip


def nearest(rows: Array, sample: Array, neighbours: int) -> Array:
    """Mean root-mean-square distance of each row (n, k) to its `neighbours` nearest of the sample (m, k): float64 (n,).

    Over the features that both know; a pair that shares fewer than half of what the row knows is no neighbour. NaN where
    a row has no neighbours. Computed in float64 by chunks of fixed size, so that results do not depend on threads.
    """
    there, values = np.isfinite(sample).astype(np.float64), np.nan_to_num(sample)
    squares = values * values
    out = np.full(len(rows), np.nan)
    for low in range(0, len(rows), _CHUNK):
        part = rows[low : low + _CHUNK]
        known, own = np.isfinite(part).astype(np.float64), np.nan_to_num(part)
        shared = known @ there.T
        total = (own * own) @ there.T - 2.0 * (own @ values.T) + known @ squares.T
        with np.errstate(divide="ignore", invalid="ignore"):
            distance = np.sqrt(np.maximum(total, 0.0) / shared)
        distance[shared < 0.5 * known.sum(axis=1, keepdims=True)] = np.inf
        k = min(neighbours, distance.shape[1])
        closest = np.sort(np.partition(distance, k - 1, axis=1)[:, :k], axis=1)
        mean = closest.mean(axis=1)
        out[low : low + _CHUNK] = np.where(np.isfinite(mean), mean, np.nan)
    return out
