"""Whether recent rows still look like those a model was trained on, feature by feature.

What belongs here: PSI and Kolmogorov-Smirnov distances between a training window and a recent one. What does not:
judging single rows (`gate`), or retraining.

PSI is the sum over bins of (q - p) ln(q / p), p and q the shares of both windows in bins that hold equal shares of the
training window (the population stability index of credit scoring; N. Siddiqi, 2006: under 0.1 stable, over 0.25
shifted). KS is the largest distance between both empirical distributions (A. Kolmogorov, 1933; N. Smirnov, 1948). Bars
follow each other, so that rows are far from independent: the usual p-value would call everything drift. A feature counts
as drifted by the size of its distance, and by the share of values that went missing.

A week is never like a year: slow features (a month's return) hold a few values in it, and several of them always count as
drifted. So a reference also keeps how much each window of the training span, of the length later asked about, differs from
the rest of that span: what is usual. Recent rows are unusual when more features drifted than in 95 % of those windows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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
LEAST_WINDOWS = 8  # of training, to say what is usual
UNUSUAL = 0.95


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
    usual : float64 (n_windows,), oldest first: share of features by which a stretch of the window drifted from its rest; empty
        where no length was asked for
    """

    feature_names: tuple[str, ...]
    quantiles: Array
    known: Array
    rows: int
    usual: Array = field(default_factory=lambda: np.zeros(0))

    @classmethod
    def fit(
        cls, matrix: FeatureMatrix, through: Any, *, start: Any = None, quantiles: int = 401, window: int | None = None
    ) -> DriftReference:  # fmt: skip
        """From the rows known at `through` or before (and at or after `start`). NoDataError when there are none.

        `window` (bars): learn what is usual for stretches of that length, counted back from the last row.
        """
        given = matrix if start is None else matrix.between(start, None)
        values = training_rows(given, through)
        stretch = _stretches(len(values) // len(matrix.symbols), len(matrix.symbols), window)
        there = np.isfinite(values).any(axis=1)
        values, stretch = values[there], stretch[there]
        if not len(values):
            raise NoDataError(f"Expected rows with features known by {through}, was none; drift has no reference; move the cutoff")
        grid = np.full((matrix.n_features, quantiles), np.nan)
        for k, column in enumerate(values.T):
            seen = column[np.isfinite(column)]
            if len(seen):
                grid[k] = np.quantile(seen, np.linspace(0.0, 1.0, quantiles))
        usual = np.zeros(0) if window is None else _usual(values, grid, stretch)
        return cls(matrix.feature_names, grid, np.isfinite(values).mean(axis=0), len(values), usual)

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
        table["drifted"] = _drifted(table["psi"], table["ks"], table["missing_more"])
        table = table.sort_values(["drifted", "psi", "feature"], ascending=[False, False, True], ignore_index=True, na_position="last")
        return DriftReport(table, self.rows, len(values), self.usual)

    def state(self) -> dict[str, Array]:
        """What `restore` needs, as arrays."""
        return {
            "feature_names": np.array(self.feature_names), "quantiles": self.quantiles, "known": self.known, "rows": np.array(self.rows),
            "usual": self.usual,
        }  # fmt: skip

    @classmethod
    def restore(cls, state: Mapping[str, Array]) -> DriftReference:
        """The reference that `state` came from."""
        names = tuple(map(str, state["feature_names"]))
        return cls(names, np.asarray(state["quantiles"]), np.asarray(state["known"]), int(state["rows"]), np.asarray(state["usual"]))


def _drifted(psi: Any, ks: Any, missing_more: Any) -> Any:
    # A share of missing values that changed is drift too: a source fell silent.
    return (psi > SHIFTED) & (ks > KS_SHIFTED) | (missing_more > MISSING_SHIFTED)


def _stretches(n_bars: int, n_symbols: int, window: int | None) -> Array:
    """Which stretch of `window` bars each row (symbols after each other) is in, 0 the oldest; -1 in what is left over at the front."""
    if window is None:
        return np.full(n_bars * n_symbols, -1)
    whole = n_bars // window
    return np.tile(whole - 1 - (n_bars - 1 - np.arange(n_bars)) // window, n_symbols)


def _usual(values: Array, quantiles: Array, stretch: Array) -> Array:
    """Share of features by which each stretch of at least `LEAST_ROWS` rows drifted from all other rows, float64 (n_windows,).

    Both distances come of counts between the window's quantiles, so that leaving a stretch out is a subtraction.
    """
    count = int(stretch.max(initial=-1)) + 1
    sizes = np.bincount(stretch[stretch >= 0], minlength=count)
    kept = np.flatnonzero(sizes >= LEAST_ROWS)
    if len(kept) < 2:
        return np.zeros(0)
    drifted, judged = np.zeros(count), np.zeros(count)
    for column, grid in zip(values.T, quantiles, strict=True):
        known = np.isfinite(column)
        if not known.any():
            continue
        own, x = stretch[known], column[known]
        at = np.searchsorted(grid, x, side="right")
        edges = np.unique(np.quantile(grid, np.linspace(0.0, 1.0, 11)[1:-1]))
        fine = np.bincount((own + 1) * (len(grid) + 1) + at, minlength=(count + 1) * (len(grid) + 1)).reshape(count + 1, -1)
        coarse = np.bincount((own + 1) * (len(edges) + 1) + np.searchsorted(edges, x, side="right"),
                             minlength=(count + 1) * (len(edges) + 1)).reshape(count + 1, -1)  # fmt: skip
        inside, rest = fine[1:].sum(axis=1), len(x) - fine[1:].sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            below = np.cumsum(fine, axis=1)
            apart = np.abs(below[1:] / inside[:, None] - (below.sum(axis=0) - below[1:]) / rest[:, None]).max(axis=1)
            q, p = coarse[1:] + 0.5, coarse.sum(axis=0) - coarse[1:] + 0.5
            q, p = q / q.sum(axis=1, keepdims=True), p / p.sum(axis=1, keepdims=True)
            index = np.where((np.minimum(inside, rest) >= 10) & (grid[0] < grid[-1]), ((q - p) * np.log(q / p)).sum(axis=1), np.nan)
            missing_more = rest / np.maximum(len(column) - sizes, 1) - inside / np.maximum(sizes, 1)
        moved = _drifted(index, apart, missing_more)
        drifted += moved
        judged += np.isfinite(index) | moved
    with np.errstate(invalid="ignore"):
        share = np.where(judged > 0, drifted / np.maximum(judged, 1), np.nan)[kept]
    return share[np.isfinite(share)]


@dataclass(frozen=True, eq=False)
class DriftReport:
    """How far recent rows are from those of training.

    table : a row per feature, worst first: feature, psi, ks (NaN where unseen in training or now, or constant in training),
        missing_more (share known in training minus share known now), known, drifted
    reference_rows, recent_rows : how many rows were compared
    usual : float64 (n_windows,), shares drifted of the training window's own stretches; see `DriftReference`
    """

    table: pd.DataFrame
    reference_rows: int
    recent_rows: int
    usual: Array = field(default_factory=lambda: np.zeros(0))

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
    def limit(self) -> float:
        """The share that 95 % of training's own stretches stay within; NaN where there were fewer than `LEAST_WINDOWS`."""
        return float(np.quantile(self.usual, UNUSUAL)) if len(self.usual) >= LEAST_WINDOWS else float("nan")

    @property
    def unusual(self) -> bool:
        """Whether more features drifted than training's own stretches would lead one to expect; False where that is unknown."""
        return bool(self.share > self.limit)

    @property
    def summary(self) -> str:
        """One line."""
        worst = ", ".join(self.drifted[:3])
        said = f"{len(self.drifted)} of {len(self.table)} features drifted" + (f", most {worst}" if worst else "")
        if np.isnan(self.limit):
            return said
        return f"{said}; {self.share:.0%} of those judged, where 95 % of training's own stretches stay within {self.limit:.0%}"
