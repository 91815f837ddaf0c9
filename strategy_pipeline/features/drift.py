"""Whether recent rows still look like those a model was trained on, feature by feature.

What belongs here: PSI and Kolmogorov-Smirnov distances between a training window and a recent one. What does not:
judging single rows (`gate`), or retraining.

PSI is the sum over bins of (q - p) ln(q / p), p and q the shares of both windows in bins that hold equal shares of the
training window (the population stability index of credit scoring; N. Siddiqi, 2006: under 0.1 stable, over 0.25
shifted). KS is the largest distance between both empirical distributions (A. Kolmogorov, 1933; N. Smirnov, 1948). Bars
follow each other, so that rows are far from independent: the usual p-value would call everything drift. A feature counts
as drifted by the size of its distance, and by the share of values that went missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from strategy_pipeline.errors import MissingInputError, NoDataError
from strategy_pipeline.features.matrix import FeatureMatrix
from strategy_pipeline.features.scaling import training_rows
from strategy_pipeline.market import timeframes as tf

Array = np.ndarray
STABLE, SHIFTED = 0.1, 0.25  # of PSI
KS_SHIFTED = 0.2
MISSING_SHIFTED = 0.2
LEAST_ROWS = 50


def psi(expected: Array, actual: Array, bins: int = 10) -> float:
    """Population stability index of `actual` (m,) against `expected` (n,), over bins of equal shares of `expected`.

    NaNs are left out; shares are kept off zero by half a row. NaN where either has fewer than `bins` values, or where
    `expected` is constant.
    """
    expected, actual = expected[np.isfinite(expected)], actual[np.isfinite(actual)]
    if min(len(expected), len(actual)) < bins:
        return float("nan")
    edges = np.unique(np.quantile(expected, np.linspace(0.0, 1.0, bins + 1)[1:-1]))
    if expected.min() == expected.max():
        return float("nan")
    p, q = (_shares(np.searchsorted(edges, values, side="right"), len(edges) + 1) for values in (expected, actual))
    return float(np.sum((q - p) * np.log(q / p)))


def _shares(bin_of: Array, bins: int) -> Array:
    count = np.bincount(bin_of, minlength=bins) + 0.5
    return count / count.sum()


def ks(expected: Array, actual: Array) -> float:
    """Largest distance between the empirical distributions of two samples, in [0, 1]; NaN where either is empty."""
    expected, actual = np.sort(expected[np.isfinite(expected)]), np.sort(actual[np.isfinite(actual)])
    if not len(expected) or not len(actual):
        return float("nan")
    points = np.concatenate([expected, actual])
    below = np.searchsorted(expected, points, side="right") / len(expected)
    return float(np.abs(below - np.searchsorted(actual, points, side="right") / len(actual)).max())


@dataclass(frozen=True, eq=False)
class DriftReference:
    """What is kept of a training window to compare later ones with: its quantiles, so that rows need not be kept.

    feature_names : tuple of str
    quantiles : float64 (n_features, n_quantiles), NaN where a feature was unseen
    known : float64 (n_features,), share of the window's values that were known
    rows : how many rows the window had
    """

    feature_names: tuple[str, ...]
    quantiles: Array
    known: Array
    rows: int

    @classmethod
    def fit(cls, matrix: FeatureMatrix, through: Any, *, start: Any = None, quantiles: int = 401) -> DriftReference:
        """From the rows known at `through` or before (and at or after `start`). NoDataError when there are none."""
        values = training_rows(matrix if start is None else matrix.between(start, None), through)
        values = values[np.isfinite(values).any(axis=1)]
        if not len(values):
            raise NoDataError(f"Expected rows with features known by {through}, was none; drift has no reference; move the cutoff")
        grid = np.full((matrix.n_features, quantiles), np.nan)
        for k, column in enumerate(values.T):
            seen = column[np.isfinite(column)]
            if len(seen):
                grid[k] = np.quantile(seen, np.linspace(0.0, 1.0, quantiles))
        return cls(matrix.feature_names, grid, np.isfinite(values).mean(axis=0), len(values))

    def compare(self, matrix: FeatureMatrix, start: Any = None, end: Any = None) -> DriftReport:
        """The rows of bars that open in [start, end) against the training window.

        Raises
        ------
        MissingInputError (other features), NoDataError (fewer than `LEAST_ROWS` rows: distances would be noise)
        """
        if matrix.feature_names != self.feature_names:
            raise MissingInputError(
                f"Expected the {len(self.feature_names)} features of the reference, was {matrix.n_features} or another order; "
                "columns would be mixed up; build the same set"
            )
        values = matrix.between(start, end).values.reshape(-1, matrix.n_features).astype(np.float64)
        values = values[np.isfinite(values).any(axis=1)]
        if len(values) < LEAST_ROWS:
            raise NoDataError(f"Expected at least {LEAST_ROWS} recent rows, was {len(values)}; distances would be noise; widen the range")
        rows = []
        for k, (name, column) in enumerate(zip(self.feature_names, values.T, strict=True)):
            known = float(np.isfinite(column).mean())
            rows.append((name, psi(self.quantiles[k], column), ks(self.quantiles[k], column), self.known[k] - known, known))
        table = pd.DataFrame(rows, columns=["feature", "psi", "ks", "missing_more", "known"])
        # A share of missing values that changed is drift too: a source fell silent.
        table["drifted"] = (table["psi"] > SHIFTED) & (table["ks"] > KS_SHIFTED) | (table["missing_more"] > MISSING_SHIFTED)
        table = table.sort_values(["drifted", "psi", "feature"], ascending=[False, False, True], ignore_index=True, na_position="last")
        return DriftReport(table, self.rows, len(values))

    def state(self) -> dict[str, Array]:
        """What `restore` needs, as arrays."""
        return {
            "feature_names": np.array(self.feature_names), "quantiles": self.quantiles, "known": self.known, "rows": np.array(self.rows),
        }  # fmt: skip

    @classmethod
    def restore(cls, state: Mapping[str, Array]) -> DriftReference:
        """The reference that `state` came from."""
        names = tuple(map(str, state["feature_names"]))
        return cls(names, np.asarray(state["quantiles"]), np.asarray(state["known"]), int(state["rows"]))


@dataclass(frozen=True, eq=False)
class DriftReport:
    """How far recent rows are from those of training.

    table : a row per feature, worst first: feature, psi, ks (NaN where unseen in training or now, or constant in training),
        missing_more (share known in training minus share known now), known, drifted
    reference_rows, recent_rows : how many rows were compared
    """

    table: pd.DataFrame
    reference_rows: int
    recent_rows: int

    @classmethod
    def between(cls, matrix: FeatureMatrix, through: Any, *, start: Any = None, recent: Any = None, end: Any = None) -> DriftReport:
        """Of one matrix: the rows known at `through` against those of bars that open from `recent` (default: `through`) on."""
        reference = DriftReference.fit(matrix, through, start=start)
        return reference.compare(matrix, tf.to_time(through) if recent is None else recent, end)

    @property
    def drifted(self) -> tuple[str, ...]:
        """Names of the features that drifted, worst first."""
        return tuple(self.table.loc[self.table["drifted"], "feature"])

    @property
    def share(self) -> float:
        """Share of the features that drifted, of those that can be judged; NaN where none can."""
        judged = self.table["psi"].notna() | self.table["drifted"]
        return float(self.table.loc[judged, "drifted"].mean()) if judged.any() else float("nan")

    @property
    def summary(self) -> str:
        """One line."""
        worst = ", ".join(self.drifted[:3])
        return f"{len(self.drifted)} of {len(self.table)} features drifted" + (f", most {worst}" if worst else "")
