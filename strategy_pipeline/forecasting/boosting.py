"""Expected return of the next horizon from features: boosted trees and a ridge regression, averaged.

What belongs here: the two tabular models of returns and the compiled evaluation of trees. What does not: sequence models.

Targets are tanh(return / volatility): a bounded target, since squared errors on raw returns chase the tails. Trees are
scikit-learn's histogram gradient boosting (after LightGBM, Ke et al. 2017), kept as plain arrays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numba import njit

from strategy_pipeline.errors import NoDataError
from strategy_pipeline.forecasting.kernels import linear_scores
from strategy_pipeline.forecasting.model import Forecaster, nest, unnest
from strategy_pipeline.forecasting.panel import Panel
from strategy_pipeline.forecasting.scaling import (
    check_features,
    drift,
    fit_scale,
    fit_scaler,
    scaled,
    slope,
    squared_skill,
    summary,
    training_rows,
    unit,
    usable,
)
from strategy_pipeline.forecasting.scores import brier, judged_rows, rank_ic
from strategy_pipeline.forecasting.volatility import strided


@njit(cache=True, nogil=True)
def tree_scores(
    inputs: np.ndarray,
    first: np.ndarray,
    feature: np.ndarray,
    threshold: np.ndarray,
    missing_left: np.ndarray,
    left: np.ndarray,
    right: np.ndarray,
    value: np.ndarray,
    base: float,
) -> np.ndarray:
    """Sum of the leaves each row falls into, in tree order. inputs: float32 (n, k); a leaf has feature -1."""
    n = inputs.shape[0]
    out = np.empty(n)
    for i in range(n):
        total = base
        for tree in range(first.shape[0]):
            node = first[tree]
            while feature[node] >= 0:
                x = inputs[i, feature[node]]
                go_left = missing_left[node] == 1 if np.isnan(x) else x <= threshold[node]
                node = first[tree] + (left[node] if go_left else right[node])
            total += value[node]
        out[i] = total
    return out


def fit_trees(inputs: np.ndarray, target: np.ndarray, trees: int, depth: int, rate: float, seed: int) -> dict[str, np.ndarray]:
    """Boosted regression trees as arrays. One thread: sums of gradients in another order would change the last bits.

    Columns that are missing or constant in training are left out (scikit-learn cannot bin them) and never split on.
    """
    from sklearn.ensemble import HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    model = HistGradientBoostingRegressor(
        max_iter=trees,
        max_depth=depth,
        learning_rate=rate,
        min_samples_leaf=max(20, len(target) // 100),
        l2_regularization=10.0,
        early_stopping=False,
        random_state=seed % 2**32,
    )
    varied = np.flatnonzero([len(np.unique(column[np.isfinite(column)][:20_000])) > 1 for column in inputs.T])
    if not len(varied):
        raise NoDataError("Expected features that vary in training, was none, so trees have nothing to split on; give other features")
    with threadpool_limits(limits=1):
        model.fit(inputs[:, varied], target)
    nodes = [predictors[0].nodes for predictors in model._predictors]
    sizes = np.array([len(part) for part in nodes])
    flat = np.concatenate(nodes)
    return {
        "first": np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64),
        "feature": np.where(flat["is_leaf"] == 1, -1, varied[flat["feature_idx"].astype(np.int64)]),
        "threshold": flat["num_threshold"].astype(np.float64),
        "missing_left": flat["missing_go_to_left"].astype(np.uint8),
        "left": flat["left"].astype(np.int64),
        "right": flat["right"].astype(np.int64),
        "value": flat["value"].astype(np.float64),
        "base": np.asarray(model._baseline_prediction, dtype=np.float64).reshape(1),
    }


def score_trees(inputs: np.ndarray, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """What `fit_trees` learned, for each row of inputs: float64 (n,)."""
    return tree_scores(
        np.ascontiguousarray(inputs),
        arrays["first"],
        arrays["feature"],
        arrays["threshold"],
        arrays["missing_left"],
        arrays["left"],
        arrays["right"],
        arrays["value"],
        float(arrays["base"][0]),
    )


def fit_ridge(inputs: np.ndarray, target: np.ndarray, penalty: float) -> dict[str, np.ndarray]:
    """Ridge weights through zero with the penalty as a share of the number of rows. inputs: float32 (n, k), scaled."""
    x = inputs.astype(np.float64)
    weights = np.linalg.solve(x.T @ x + penalty * len(x) * np.eye(x.shape[1]), x.T @ target)
    return {"weights": weights}


@dataclass(frozen=True)
class BoostedReturns(Forecaster):
    """`return` (simple, next horizon), `up` (probability of a positive return) and `z` (return over volatility).

    Accepted when its squared error on the judged half of the tail is below that of no forecast and of shrunk drift.
    """

    trees: int = 60
    depth: int = 3
    rate: float = 0.05
    ridge: float = 1.0
    name: ClassVar[str] = "boosted_returns"
    outputs: ClassVar[tuple[str, ...]] = ("return", "up", "z")

    def train(self, panel: Panel, seed: int) -> tuple[dict[str, np.ndarray], dict[str, Any], dict[str, float], bool]:
        h = panel.horizon
        end, tail = judged_rows(panel.n_bars, h.bars)
        draft = self._learn(panel, end, seed)
        judged = strided(panel.n_bars, h, panel.n_bars, tail)
        score = self._score(panel, draft, tail)[:, judged]
        sd = unit(panel, draft)[:, judged]
        realised = panel.forward_return()[:, judged]
        z = realised / sd
        outcome = np.tanh(z)
        # The first half of the tail sets the slope that the second half is judged with.
        half = len(judged) // 2
        b = slope(score[:, :half], outcome[:, :half])
        forecast = b * score[:, half:]
        base = drift(panel)[:, judged][:, half:]
        later = outcome[:, half:]
        skill = min(squared_skill(forecast, later), squared_skill(forecast, later, np.tanh(base)))
        metrics = {
            "rank_ic": rank_ic(score, realised),
            "skill": skill,
            "slope": slope(score, outcome),
            "brier": brier(_normal(forecast), _happened(realised[:, half:])),
            "brier_baseline": brier(_normal(base), _happened(realised[:, half:])),
        }
        arrays = self._learn(panel, panel.n_bars, seed)
        arrays["slope"] = np.array([metrics["slope"]])
        arrays["strength"] = summary(metrics["slope"] * score)
        return arrays, {"features": list(panel.feature_names)}, metrics, skill > 0

    def _learn(self, panel: Panel, end: int, seed: int) -> dict[str, np.ndarray]:
        """Fit on rows whose labels end before `end`."""
        h = panel.horizon
        arrays = fit_scale(panel, max(end - h.bars, 0))
        target = np.tanh(panel.forward_return() / unit(panel, arrays))
        rows = strided(panel.n_bars, h, max(end - h.bars, 0))
        symbol, at = training_rows(usable(panel) & np.isfinite(target), rows, "the return model")
        values = panel.feature_values
        scaler = fit_scaler(values, rows)
        raw, y = values[symbol, at], target[symbol, at]
        arrays |= nest("scaler", scaler)
        arrays |= nest("trees", fit_trees(raw, y, self.trees, self.depth, self.rate, seed))
        arrays |= nest("ridge", fit_ridge(scaled(raw, scaler), y, self.ridge))
        return arrays

    def _score(self, panel: Panel, arrays: Mapping[str, np.ndarray], start: int) -> np.ndarray:
        values = panel.feature_values
        out = np.full(panel.close.shape, np.nan)
        scaler, weights = unnest("scaler", arrays), unnest("ridge", arrays)["weights"]
        trees, rows = unnest("trees", arrays), usable(panel).copy()
        rows[:, :start] = False
        for i in range(panel.n_symbols):
            raw = values[i][rows[i]]
            out[i, rows[i]] = 0.5 * (score_trees(raw, trees) + linear_scores(scaled(raw, scaler), weights, 0.0))
        return out

    def infer(self, panel: Panel, arrays: Mapping[str, np.ndarray], config: Mapping[str, Any], start: int = 0) -> dict[str, np.ndarray]:
        check_features(panel, config["features"])
        z = float(arrays["slope"][0]) * self._score(panel, arrays, start)
        return {"return": z * unit(panel, arrays), "up": _normal(z), "z": z}


def _normal(z: np.ndarray) -> np.ndarray:
    """Probability that a normal with mean z and unit variance is positive."""
    from scipy.special import ndtr

    return ndtr(z)


def _happened(realised: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(realised), np.nan, (realised > 0).astype(np.float64))
