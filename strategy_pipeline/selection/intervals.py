"""How far a Sharpe ratio, or a share of successes, may be from what was measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from strategy_pipeline.selection.errors import InvalidReturnsError
from strategy_pipeline.selection.ratios import as_matrix, sharpe_ratio
from strategy_pipeline.selection.stepwise import resample_counts


@dataclass(frozen=True)
class SharpeInterval:
    """Annualised Sharpe ratio with a stationary-bootstrap percentile interval; NaN where undefined."""

    sharpe: float
    low: float
    high: float
    confidence: float


def sharpe_interval(
    returns: ArrayLike,
    *,
    confidence: float = 0.90,
    n_resamples: int = 1000,
    mean_block: float = 7.0,
    periods_per_year: float = 365.0,
    seed: int = 0,
) -> SharpeInterval:
    """Sharpe ratio of one strategy's daily returns with an interval that keeps their serial dependence.

    returns
        (n_obs,), NaN left out. Bias-corrected percentiles (Efron 1987, without acceleration) over
        stationary-bootstrap resamples (Politis and Romano 1994). NaN for fewer than two returns or no variance.
    """
    if not 0 < confidence < 1:
        raise InvalidReturnsError(f"Expected a confidence between 0 and 1, was {confidence}; 0.90 is customary")
    column = as_matrix(returns)
    if column.shape[1] != 1:
        raise InvalidReturnsError(f"Expected the returns of one strategy, was {column.shape[1]} columns; call it for each")
    values = column[~np.isnan(column[:, 0]), 0]
    point = float(sharpe_ratio(values, periods_per_year)[0]) if len(values) else float("nan")
    if not np.isfinite(point):
        return SharpeInterval(float("nan"), float("nan"), float("nan"), confidence)
    n_obs = len(values)
    counts = resample_counts(n_obs, mean_block, n_resamples, seed)
    centred = values - values.mean()
    mean = counts @ centred / n_obs
    # Zero only where a resample drew nothing but equal days: its ratio is undefined and left out.
    variance = (counts @ (centred * centred) - n_obs * mean * mean) / (n_obs - 1)
    ratio = np.sqrt(periods_per_year) * (mean + values.mean())[variance > 0] / np.sqrt(variance[variance > 0])
    ratio = np.round(ratio, 9)
    if not len(ratio):
        return SharpeInterval(point, float("nan"), float("nan"), confidence)
    shift = ndtri(np.clip(np.mean(ratio < point), 0.5 / len(ratio), 1 - 0.5 / len(ratio)))
    tail = ndtri((1.0 - confidence) / 2.0)
    low, high = (float(np.quantile(ratio, float(ndtr(2.0 * shift + side * tail)))) for side in (1.0, -1.0))
    return SharpeInterval(point, low, high, confidence)


def clopper_pearson(hits: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Exact interval of a probability after `hits` of `n` independent trials (Clopper and Pearson 1934).

    It holds the true probability at least `confidence` of the time, whatever it is. `InvalidReturnsError` for counts that
    cannot be.
    """
    from scipy.special import betaincinv

    if not 0 <= hits <= n or n < 1:
        raise InvalidReturnsError(f"Expected hits between 0 and n, and n of at least 1, was {hits} of {n}; count again")
    if not 0 < confidence < 1:
        raise InvalidReturnsError(f"Expected a confidence between 0 and 1, was {confidence}; 0.95 is customary")
    tail = (1.0 - confidence) / 2.0
    low = 0.0 if hits == 0 else float(betaincinv(hits, n - hits + 1, tail))
    high = 1.0 if hits == n else float(betaincinv(hits + 1, n - hits, 1.0 - tail))
    return low, high
