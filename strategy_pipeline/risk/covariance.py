"""How symbols move together, and which of them a portfolio's risk comes from."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from strategy_pipeline.risk.limits import RiskError

DAYS_PER_YEAR = 365.0
# Below this many common days a pair's correlation is taken to be the average one.
_COMMON_DAYS = 20


def ewma_covariance(returns: ArrayLike, *, half_life: float = 30.0, shrinkage: float = 0.2) -> NDArray[np.float64]:
    """Daily covariance of symbols, recent days counting more, correlations shrunk towards their average.

    returns
        (n_days, n_symbols) daily simple returns, oldest first, through the day of the decision. NaN is left out:
        variances use a symbol's own days, correlations the days a pair has in common.
    half_life
        Days after which a return counts half (RiskMetrics 1996 uses 0.94 a day, about 11 days; around zero mean).
    shrinkage
        Weight in [0, 1] of the average correlation (the constant-correlation target of Ledoit and Wolf 2004).

    Symmetric positive semi-definite float64 (n_symbols, n_symbols). A symbol with fewer than two returns has NaN in
    its row and column.
    """
    matrix = np.asarray(returns, dtype=np.float64)
    if matrix.ndim != 2:
        raise RiskError(f"Expected returns of shape (n_days, n_symbols), was {matrix.shape}; pass days in rows")
    n_days, n = matrix.shape
    valid = ~np.isnan(matrix)
    weight = 0.5 ** (np.arange(n_days - 1, -1, -1) / half_life)
    filled = np.where(valid, matrix, 0.0)
    mass = weight @ valid
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = np.where(valid.sum(axis=0) >= 2, (weight @ (filled * filled)) / mass, np.nan)
        # Each pair on the days both have: cross moment over the root of the moments on the same days.
        root = filled * np.sqrt(weight)[:, None]
        cross = root.T @ root
        own = (root * root).T @ valid.astype(np.float64)
        correlation = cross / np.sqrt(own * own.T)
    common = valid.astype(np.float64).T @ valid.astype(np.float64)
    correlation[(common < _COMMON_DAYS) | ~np.isfinite(correlation)] = np.nan
    pairs = correlation[np.triu_indices(n, 1)]
    average = float(np.nanmean(pairs)) if np.isfinite(pairs).any() else 0.0
    correlation = np.where(np.isnan(correlation), average, (1.0 - shrinkage) * correlation + shrinkage * average)
    np.fill_diagonal(correlation, 1.0)
    correlation = _semidefinite(np.clip((correlation + correlation.T) / 2.0, -1.0, 1.0))
    deviation = np.sqrt(variance)
    return correlation * np.outer(deviation, deviation)


def correlation_of(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correlations of a covariance; NaN where a variance is zero or unknown."""
    deviation = np.sqrt(np.diag(covariance))
    with np.errstate(invalid="ignore", divide="ignore"):
        return covariance / np.outer(deviation, deviation)


def portfolio_volatility(weights: ArrayLike, covariance: NDArray[np.float64]) -> float:
    """Annual volatility of the weights; symbols of weight 0 may have unknown covariances."""
    weights = np.asarray(weights, dtype=np.float64)
    held = weights != 0
    part = weights[held]
    return float(np.sqrt(max(part @ covariance[np.ix_(held, held)] @ part, 0.0) * DAYS_PER_YEAR)) if held.any() else 0.0


def decompose_risk(weights: pd.Series, covariance: NDArray[np.float64]) -> pd.DataFrame:
    """Which symbol the portfolio's volatility comes from.

    weights
        Indexed by symbol, in the order of the covariance.

    Columns symbol, weight, volatility (of the symbol, annual), contribution (annual; sums to the portfolio's
    volatility: Euler, ``w_i (S w)_i / sqrt(w' S w)``), share (of the whole; NaN when nothing is held).
    """
    values = weights.to_numpy(dtype=np.float64)
    held = values != 0
    total = portfolio_volatility(values, covariance)
    contribution = np.zeros(len(values))
    if total > 0:
        contribution[held] = values[held] * (covariance[np.ix_(held, held)] @ values[held]) * DAYS_PER_YEAR / total
    return pd.DataFrame(
        {
            "symbol": pd.Series(weights.index.astype(str), dtype="str"),
            "weight": values,
            "volatility": np.sqrt(np.diag(covariance) * DAYS_PER_YEAR),
            "contribution": contribution,
            "share": contribution / total if total > 0 else np.full(len(values), np.nan),
        }
    )


def _semidefinite(correlation: NDArray[np.float64]) -> NDArray[np.float64]:
    """The matrix with negative eigenvalues, which pairwise days can leave, set to zero and the diagonal to one."""
    values, vectors = np.linalg.eigh(correlation)
    if values.min(initial=0.0) >= 0:
        return correlation
    mended = (vectors * np.maximum(values, 0.0)) @ vectors.T
    scale = np.sqrt(np.diag(mended))
    mended = mended / np.outer(scale, scale)
    return (mended + mended.T) / 2.0
