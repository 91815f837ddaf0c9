"""Two volatility regimes by a hidden Markov model, filtered: each probability uses observations up to its own bar.

What belongs here: the Gaussian HMM on log realised volatility, its estimation and its forward filter. What does not:
smoothed probabilities (they see the future), forecasts of volatility.

Hamilton (1989); estimation by Baum and Welch (1970) on non-overlapping windows of training bars. The filter runs the
same chain at every bar: it steps from one window ago, so neighbouring bars belong to interleaved chains.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numba import njit

from strategy_pipeline.forecasting.model import Forecaster, too_short
from strategy_pipeline.forecasting.panel import Panel

STATES = 2


@njit(cache=True, nogil=True)
def forward_filter(x: np.ndarray, step: int, start: np.ndarray, transition: np.ndarray, mean: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """Filtered state probabilities of one series, float64 (n, n_states), given observations up to each row.

    Row t follows row t - step through `transition`. A missing observation (NaN) leaves the prediction as it is.
    """
    n, k = x.shape[0], mean.shape[0]
    out = np.empty((n, k))
    for t in range(n):
        for j in range(k):
            if t < step:
                out[t, j] = start[j]
            else:
                total = 0.0
                for i in range(k):
                    total += out[t - step, i] * transition[i, j]
                out[t, j] = total
        if not np.isnan(x[t]):
            best = -1e300
            for j in range(k):
                z = (x[t] - mean[j]) / sd[j]
                best = max(best, -0.5 * z * z - np.log(sd[j]))
            total = 0.0
            for j in range(k):
                z = (x[t] - mean[j]) / sd[j]
                out[t, j] *= np.exp(-0.5 * z * z - np.log(sd[j]) - best)
                total += out[t, j]
            if total > 1e-300:
                for j in range(k):
                    out[t, j] /= total
            else:
                for j in range(k):
                    out[t, j] = start[j]
    return out


@njit(cache=True, nogil=True)
def expectation(x: np.ndarray, start: np.ndarray, transition: np.ndarray, mean: np.ndarray, sd: np.ndarray):  # type: ignore[no-untyped-def]
    """Forward-backward over rows of x (n_series, n): smoothed weights (n_series, n, k), expected transitions (k, k), log-likelihood.

    Used in training only: the weights see the whole of the training span.
    """
    rows, n = x.shape
    k = mean.shape[0]
    weights = np.zeros((rows, n, k))
    moves = np.zeros((k, k))
    loglik = 0.0
    alpha = np.empty((n, k))
    emission = np.empty((n, k))
    scale = np.empty(n)
    beta = np.empty(k)
    ahead = np.empty(k)
    for r in range(rows):
        for t in range(n):
            scale[t] = 0.0
            for j in range(k):
                emission[t, j] = 1.0
                if not np.isnan(x[r, t]):
                    z = (x[r, t] - mean[j]) / sd[j]
                    emission[t, j] = max(np.exp(-0.5 * z * z) / (sd[j] * 2.5066282746310002), 1e-30)
                prior = start[j]
                if t > 0:
                    prior = 0.0
                    for i in range(k):
                        prior += alpha[t - 1, i] * transition[i, j]
                alpha[t, j] = prior * emission[t, j]
                scale[t] += alpha[t, j]
            for j in range(k):
                alpha[t, j] /= scale[t]
            loglik += np.log(scale[t])
        for j in range(k):
            beta[j] = 1.0
        for t in range(n - 1, -1, -1):
            total = 0.0
            for j in range(k):
                weights[r, t, j] = alpha[t, j] * beta[j]
                total += weights[r, t, j]
            for j in range(k):
                weights[r, t, j] /= total
            if t == 0:
                break
            for i in range(k):
                ahead[i] = 0.0
                for j in range(k):
                    flow = transition[i, j] * emission[t, j] * beta[j] / scale[t]
                    moves[i, j] += alpha[t - 1, i] * flow
                    ahead[i] += flow
            for i in range(k):
                beta[i] = ahead[i]
    return weights, moves, loglik


def fit_hmm(x: np.ndarray, iterations: int = 60, tolerance: float = 1e-5) -> tuple[dict[str, np.ndarray], float, int]:
    """Parameters with states ordered by mean, the log-likelihood per observation, and the iterations used.

    x: float64 (n_series, n), NaN where missing. Starts from the lower and upper half of the observations.
    """
    seen = x[np.isfinite(x)]
    low, high = np.quantile(seen, [0.25, 0.75])
    start = np.full(STATES, 1.0 / STATES)
    transition = np.array([[0.95, 0.05], [0.05, 0.95]])
    mean, sd = np.array([low, high]), np.full(STATES, max(float(seen.std()) * 0.7, 1e-3))
    previous, used = -np.inf, 0
    for step in range(1, iterations + 1):
        used = step
        weights, moves, loglik = expectation(x, start, transition, mean, sd)
        loglik /= len(seen)
        # Missing observations tell nothing of the means; their weights count for the transitions only.
        w = np.where(np.isfinite(x)[..., None], weights, 0.0)
        total = np.maximum(w.sum((0, 1)), 1e-9)
        filled = np.nan_to_num(x)[..., None]
        mean = (w * filled).sum((0, 1)) / total
        sd = np.sqrt(np.maximum((w * (filled - mean) ** 2).sum((0, 1)) / total, 1e-4))
        # A few pseudo-counts keep a state that is never left from becoming certain.
        moves = moves + np.array([[9.5, 0.5], [0.5, 9.5]])
        transition = moves / moves.sum(1, keepdims=True)
        start = weights[:, 0].mean(0)
        if loglik - previous < tolerance:
            break
        previous = loglik
    order = np.argsort(mean, kind="stable")
    parameters = {"start": start[order], "transition": transition[np.ix_(order, order)], "mean": mean[order], "sd": sd[order]}
    return parameters, float(loglik), used


@dataclass(frozen=True)
class TwoStateRegime(Forecaster):
    """`regime.calm` and `regime.turbulent`: filtered probabilities of the two states, pooled over symbols.

    The observation is log realised volatility of the last quarter horizon, less the symbol's training mean. Symbols
    not seen in training take the mean of the others.
    """

    iterations: int = 60
    name: ClassVar[str] = "two_state_regime"
    outputs: ClassVar[tuple[str, ...]] = ("regime.calm", "regime.turbulent")
    uses_features: ClassVar[bool] = False

    def train(self, panel: Panel, seed: int) -> tuple[dict[str, np.ndarray], dict[str, Any], dict[str, float], bool]:
        x = self._observations(panel)
        offsets = np.array([row[np.isfinite(row)].mean() if np.isfinite(row).sum() > 30 else np.nan for row in x])
        if not np.isfinite(offsets).any():
            raise too_short("the regime model", int(np.isfinite(x).sum()), 30)
        typical = float(np.nanmean(offsets))
        offsets = np.where(np.isfinite(offsets), offsets, typical)
        step = panel.horizon.stride
        # Only rows that do not overlap: the model's observations are independent given the state.
        centred = np.ascontiguousarray((x - offsets[:, None])[:, ::-step][:, ::-1])
        end = max(int(centred.shape[1] * 0.8), 2)
        draft, _, _ = fit_hmm(centred[:, :end], self.iterations)
        judged = centred[:, end:]
        score = _predictive(judged, draft)
        single = centred[:, :end][np.isfinite(centred[:, :end])]
        baseline = _predictive(judged, _one_state(single))
        parameters, loglik, used = fit_hmm(centred, self.iterations)
        arrays = {**parameters, "offsets": offsets, "typical": np.array([typical])}
        metrics = {"log_likelihood": score, "log_likelihood_baseline": baseline, "training_log_likelihood": loglik, "iterations": used}
        return arrays, {"symbols": list(panel.symbols), "step": step}, metrics, score > baseline

    def infer(self, panel: Panel, arrays: Mapping[str, np.ndarray], config: Mapping[str, Any], start: int = 0) -> dict[str, np.ndarray]:
        x = self._observations(panel)
        at = {symbol: i for i, symbol in enumerate(config["symbols"])}
        out = np.full((*x.shape, STATES), np.nan)
        for row, symbol in enumerate(panel.symbols):
            offset = arrays["offsets"][at[symbol]] if symbol in at else arrays["typical"][0]
            known = np.flatnonzero(np.isfinite(x[row]))
            if len(known):
                out[row, known[0] :] = forward_filter(
                    x[row, known[0] :] - offset, config["step"], *(arrays[k] for k in ("start", "transition", "mean", "sd"))
                )
        out[np.isnan(panel.close)] = np.nan
        return {"regime.calm": np.ascontiguousarray(out[..., 0]), "regime.turbulent": np.ascontiguousarray(out[..., 1])}

    def _observations(self, panel: Panel) -> np.ndarray:
        window = panel.horizon.stride if panel.horizon.bars >= 6 else 3
        return 0.5 * np.log(panel.mean_variance(window))


def _one_state(values: np.ndarray) -> dict[str, np.ndarray]:
    """The baseline: one Gaussian, written as two equal states."""
    half = np.full(STATES, 0.5)
    return {"start": half, "transition": np.full((2, 2), 0.5), "mean": np.full(2, values.mean()), "sd": np.full(2, values.std() + 1e-9)}


def _predictive(x: np.ndarray, parameters: Mapping[str, np.ndarray]) -> float:
    """Log-likelihood per observation of rows the parameters were not fitted on."""
    seen = int(np.isfinite(x).sum())
    if not seen:
        return float("nan")
    return float(expectation(np.ascontiguousarray(x), *(parameters[k] for k in ("start", "transition", "mean", "sd")))[2] / seen)
