"""GARCH(1,1) volatility, one set of parameters a symbol, filtered forward.

What belongs here: the recursion, its likelihood, its forecast over a horizon. What does not: other volatility models.

Bollerslev (1986): h[t+1] = w + a r[t]^2 + b h[t], returns in per cent, estimated by Gaussian quasi-likelihood with the
variance targeted at the sample's (Engle and Mezrich 1996), so two numbers are searched: a and the persistence a + b.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numba import njit

from strategy_pipeline.forecasting.model import Forecaster, too_short
from strategy_pipeline.forecasting.panel import Horizon, Panel
from strategy_pipeline.forecasting.scores import judged_rows, volatility_scores
from strategy_pipeline.forecasting.volatility import annualised, ewma_variance, strided, where_listed

# Beyond this the aggregated forecast hardly reverts and a single shock moves it for months.
MAX_PERSISTENCE = 0.9995
MIN_RETURNS = 100


@njit(cache=True, nogil=True)
def garch_path(returns: np.ndarray, omega: float, alpha: float, beta: float) -> np.ndarray:
    """Variance of the *next* bar after each, float64 (n,). A missing return is replaced by its expectation.

    Starts from the stationary variance, so early rows depend on where the array begins and later ones do not.
    """
    n = returns.shape[0]
    out = np.empty(n)
    variance = omega / max(1.0 - alpha - beta, 1e-6)
    for t in range(n):
        square = variance if np.isnan(returns[t]) else returns[t] * returns[t]
        variance = omega + alpha * square + beta * variance
        out[t] = variance
    return out


@njit(cache=True, nogil=True)
def garch_loss(returns: np.ndarray, target: float, alpha: float, persistence: float) -> float:
    """Mean of ln h + r^2 / h (twice the negative Gaussian log-likelihood, less a constant) with targeted variance."""
    beta = persistence - alpha
    omega = target * (1.0 - persistence)
    variance = target
    total = 0.0
    count = 0
    for t in range(returns.shape[0]):
        square = variance
        if not np.isnan(returns[t]):
            square = returns[t] * returns[t]
            total += np.log(variance) + square / variance
            count += 1
        variance = omega + alpha * square + beta * variance
    return total / max(count, 1)


def fit_garch(returns: np.ndarray) -> tuple[float, float, float]:
    """(omega, alpha, beta) of per-cent returns, float64 (n,), NaN where missing; NaNs when under 100 are present.

    The search is Nelder and Mead's (1965) over unbounded transforms of alpha / persistence and persistence.
    """
    present = returns[np.isfinite(returns)]
    if len(present) < MIN_RETURNS or present.std() == 0:
        return np.nan, np.nan, np.nan
    from scipy.optimize import minimize

    target = float(np.mean(present**2))
    first = int(np.argmax(np.isfinite(returns)))
    trimmed = np.ascontiguousarray(returns[first:])

    def unpack(point: np.ndarray) -> tuple[float, float]:
        persistence = MAX_PERSISTENCE / (1.0 + np.exp(-point[1]))
        return persistence / (1.0 + np.exp(-point[0])), persistence

    def loss(point: np.ndarray) -> float:
        return garch_loss(trimmed, target, *unpack(point))

    start = np.array([-2.2, 3.0])  # alpha about a tenth of a persistence of 0.95
    found = minimize(loss, start, method="Nelder-Mead", options={"xatol": 1e-3, "fatol": 1e-8, "maxfev": 200})
    alpha, persistence = unpack(found.x)
    return target * (1.0 - persistence), alpha, persistence - alpha


def aggregate(next_variance: np.ndarray, omega: float, alpha: float, beta: float, bars: int) -> np.ndarray:
    """Expected sum of the next `bars` variances, given the variance of the next one."""
    persistence = alpha + beta
    stationary = omega / max(1.0 - persistence, 1e-6)
    reach = (1.0 - persistence**bars) / (1.0 - persistence) if persistence < 1.0 else float(bars)
    return bars * stationary + (next_variance - stationary) * reach


@dataclass(frozen=True)
class GarchVolatility(Forecaster):
    """Per-symbol GARCH(1,1) on bar returns; trains on the last `max_bars`. Unknown symbols take the median parameters."""

    max_bars: int = 17_520
    name: ClassVar[str] = "garch_volatility"
    outputs: ClassVar[tuple[str, ...]] = ("volatility",)
    uses_features: ClassVar[bool] = False

    def train(self, panel: Panel, seed: int) -> tuple[dict[str, np.ndarray], dict[str, Any], dict[str, float], bool]:
        end, tail = judged_rows(panel.n_bars, panel.horizon.bars)
        draft = self._parameters(panel.rows(max(0, end - self.max_bars), end))
        rows = strided(panel.n_bars, panel.horizon, panel.n_bars, tail)
        target = panel.forward_variance()[:, rows]
        scores = volatility_scores(self._variance(panel, draft, panel.symbols)[:, rows], ewma_variance(panel)[:, rows], target)
        fitted = self._parameters(panel.rows(max(0, panel.n_bars - self.max_bars), panel.n_bars))
        accepted = scores["qlike_trimmed"] < scores["qlike_trimmed_baseline"]
        return {"parameters": fitted}, {"symbols": list(panel.symbols)}, scores, accepted

    def infer(self, panel: Panel, arrays: Mapping[str, np.ndarray], config: Mapping[str, Any], start: int = 0) -> dict[str, np.ndarray]:
        return {"volatility": annualised(self._variance(panel, arrays["parameters"], config["symbols"]), panel.horizon)}

    def _parameters(self, panel: Panel) -> np.ndarray:
        returns = 100.0 * panel.log_returns
        fitted = np.array([fit_garch(row) for row in returns])
        if not np.isfinite(fitted).any():
            raise too_short("GARCH", int(np.isfinite(returns).sum(1).max(initial=0)), MIN_RETURNS)
        return fitted

    def _variance(self, panel: Panel, parameters: np.ndarray, symbols: Any) -> np.ndarray:
        horizon: Horizon = panel.horizon
        at = {symbol: i for i, symbol in enumerate(symbols)}
        typical = np.nanmedian(parameters, axis=0)
        out = np.full(panel.close.shape, np.nan)
        for row, symbol in enumerate(panel.symbols):
            own = parameters[at[symbol]] if symbol in at else typical
            omega, alpha, beta = own if np.isfinite(own).all() else typical
            returns = 100.0 * panel.log_returns[row]
            present = np.flatnonzero(np.isfinite(returns))
            if not len(present):
                continue
            path = garch_path(returns[present[0] :], omega, alpha, beta)
            out[row, present[0] :] = aggregate(path, omega, alpha, beta, horizon.bars) / 1e4
        return where_listed(panel, out)
