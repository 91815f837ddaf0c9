"""Sharpe ratios and what is known about their error: probabilistic, deflated, minimum track record.

All ratios here are per observation (a daily ratio for daily returns) unless a name says annual; the
deflated ratio asks how likely the true ratio is above what the best of N tries without any edge shows.

References: Lo (2002), "The statistics of Sharpe ratios"; Bailey and López de Prado (2012), "The Sharpe
ratio efficient frontier"; Bailey and López de Prado (2014), "The deflated Sharpe ratio".
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from strategy_pipeline.selection.errors import InvalidReturnsError

EULER_MASCHERONI = 0.5772156649015329
# Below this share of a column's own mean square, a variance is rounding error: the column is constant.
_CONSTANT = 1e-20


def as_matrix(returns: ArrayLike, name: str = "returns") -> NDArray[np.float64]:
    """`returns` as float64 of shape (n_obs, n_strategies); one dimension becomes one column.

    Infinite values are refused (`InvalidReturnsError`): a NaN says "not judged on this day", an infinity
    says that something upstream is broken.
    """
    matrix = np.asarray(returns, dtype=np.float64)
    if matrix.ndim == 1:
        matrix = matrix[:, None]
    if matrix.ndim != 2:
        raise InvalidReturnsError(f"Expected {name} of shape (n_obs, n_strategies), was shape {matrix.shape}; pass days in rows")
    if np.isinf(matrix).any():
        column = int(np.flatnonzero(np.isinf(matrix).any(axis=0))[0])
        raise InvalidReturnsError(f"Expected finite or NaN {name}, was infinite in column {column}; mark days without a return as NaN")
    return matrix


def moments(returns: ArrayLike) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Count, mean, standard deviation (ddof=1), skewness and raw kurtosis (3 for a normal) of each column.

    returns
        (n_obs, n_strategies); NaN is left out of its own column.

    Each result has shape (n_strategies,); the deviation, skewness and kurtosis are NaN for fewer than two
    observations, the last two also for a constant column, whose deviation is 0.
    """
    matrix = as_matrix(returns)
    valid = ~np.isnan(matrix)
    count = valid.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(valid, matrix, 0.0).sum(axis=0) / count
        centred = np.where(valid, matrix - mean, 0.0)
        square = centred * centred
        second = square.sum(axis=0)
        scale = np.where(valid, matrix * matrix, 0.0).sum(axis=0)
        constant = second <= _CONSTANT * scale
        second = np.where(constant, 0.0, second)
        deviation = np.where(count >= 2, np.sqrt(second / np.maximum(count - 1, 1)), np.nan)
        population = second / count
        skew = np.where(constant, np.nan, (square * centred).sum(axis=0) / count / population**1.5)
        kurt = np.where(constant, np.nan, (square * square).sum(axis=0) / count / population**2)
    short = count < 2
    return count, mean, deviation, np.where(short, np.nan, skew), np.where(short, np.nan, kurt)


def sharpe_ratio(returns: ArrayLike, periods_per_year: float = 1.0) -> NDArray[np.float64]:
    """Mean over standard deviation (ddof=1) of each column, times sqrt(`periods_per_year`).

    returns
        (n_obs, n_strategies), NaN left out. The result has shape (n_strategies,); NaN where there are
        fewer than two observations or no variance.
    """
    _, mean, deviation, _, _ = moments(returns)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(deviation > 0, mean / deviation, np.nan) * np.sqrt(periods_per_year)


def t_statistic(returns: ArrayLike) -> NDArray[np.float64]:
    """t statistic of the mean of each column, ``sharpe * sqrt(n)``: shape (n_strategies,), NaN as `sharpe_ratio`.

    It assumes no serial correlation: daily returns of positions that are marked at each close have little.
    """
    count, *_ = moments(returns)
    return sharpe_ratio(returns) * np.sqrt(count)


def sharpe_standard_error(sharpe: ArrayLike, n_obs: ArrayLike, skew: ArrayLike = 0.0, kurt: ArrayLike = 3.0) -> Any:
    """Standard error of a per-observation Sharpe ratio under non-normal returns (Bailey and López de Prado 2012, eq. 8).

    ``sqrt((1 - skew * SR + (kurt - 1) / 4 * SR**2) / (n - 1))``; NaN where n < 2 or no distribution has these moments.
    """
    sharpe, n_obs, skew, kurt = (np.asarray(value, dtype=np.float64) for value in (sharpe, n_obs, skew, kurt))
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = (1.0 - skew * sharpe + (kurt - 1.0) / 4.0 * sharpe**2) / (n_obs - 1.0)
        result = np.where((n_obs >= 2) & (variance > 0), np.sqrt(np.abs(variance)), np.nan)
    return _scalar(result)


def probabilistic_sharpe_ratio(
    sharpe: ArrayLike, n_obs: ArrayLike, skew: ArrayLike = 0.0, kurt: ArrayLike = 3.0, benchmark: ArrayLike = 0.0
) -> Any:
    """Probability that the true Sharpe ratio exceeds `benchmark` (Bailey and López de Prado 2012, eq. 11).

    All ratios per observation, `kurt` raw (3 for a normal). Scalars in, float out; arrays broadcast. NaN
    where an input is NaN or `sharpe_standard_error` is.
    """
    error = sharpe_standard_error(sharpe, n_obs, skew, kurt)
    return _scalar(ndtr((np.asarray(sharpe, dtype=np.float64) - np.asarray(benchmark, dtype=np.float64)) / error))


def minimum_track_record_length(
    sharpe: ArrayLike, skew: ArrayLike = 0.0, kurt: ArrayLike = 3.0, benchmark: ArrayLike = 0.0, confidence: float = 0.95
) -> Any:
    """Observations needed before `probabilistic_sharpe_ratio` reaches `confidence` (Bailey and López de Prado 2012, eq. 13).

    NaN where the ratio is not above the benchmark: no length is enough.
    """
    if not 0.5 < confidence < 1:
        raise InvalidReturnsError(f"Expected a confidence between 0.5 and 1, was {confidence}; 0.95 is customary")
    sharpe, skew, kurt, benchmark = (np.asarray(value, dtype=np.float64) for value in (sharpe, skew, kurt, benchmark))
    with np.errstate(invalid="ignore", divide="ignore"):
        shape = 1.0 - skew * sharpe + (kurt - 1.0) / 4.0 * sharpe**2
        length = 1.0 + shape * (ndtri(confidence) / (sharpe - benchmark)) ** 2
        return _scalar(np.where((sharpe > benchmark) & (shape > 0), length, np.nan))


def expected_maximum_sharpe(n_trials: ArrayLike, trial_sharpe_var: ArrayLike) -> Any:
    """Expected largest of `n_trials` estimated Sharpe ratios whose true values are all zero (Bailey and López de Prado 2014, eq. 1).

    ``sqrt(V) * ((1 - g) * z(1 - 1/N) + g * z(1 - 1/(N e)))`` with g the Euler-Mascheroni constant; 0 for one
    trial. `n_trials` may be fractional (an effective number) but not below 1, `trial_sharpe_var` not negative
    (`InvalidReturnsError`).
    """
    trials, variance = np.asarray(n_trials, dtype=np.float64), np.asarray(trial_sharpe_var, dtype=np.float64)
    if np.any(trials < 1):
        raise InvalidReturnsError(f"Expected at least 1 trial, was {trials.min():g}; count every strategy ever evaluated in the search")
    if np.any(variance < 0):
        raise InvalidReturnsError(f"Expected a variance of at least 0, was {variance.min():g}; pass the variance, not the deviation")
    with np.errstate(invalid="ignore"):
        # Through the upper tail: 1 - 1/N loses all digits for large N.
        tail, deeper = 1.0 / trials, 1.0 / (trials * np.e)
        score = -(1.0 - EULER_MASCHERONI) * ndtri(tail) - EULER_MASCHERONI * ndtri(deeper)
        return _scalar(np.where(trials == 1, 0.0 * variance, np.sqrt(variance) * np.where(trials == 1, 0.0, score)))


def deflated_sharpe_ratio(
    sharpe: ArrayLike, n_obs: ArrayLike, skew: ArrayLike, kurt: ArrayLike, n_trials: ArrayLike, trial_sharpe_var: ArrayLike
) -> Any:
    """Probability that the true Sharpe ratio is above zero, given that it is the best of `n_trials` (Bailey and López de Prado 2014).

    sharpe
        Per-observation Sharpe ratio of the strategy chosen.
    n_obs
        Observations it was measured on.
    skew, kurt
        Of its returns; raw kurtosis, 3 for a normal.
    n_trials
        Independent trials: how many strategies were tried, or the effective number (`effective_trials`).
    trial_sharpe_var
        Variance of the per-observation Sharpe ratios over the trials. Costs and real edges inflate it; without
        an edge it is about ``1 / (n_obs - 1)``.

    Scalars in, float out; arrays broadcast. NaN where an input is NaN or the standard error is undefined.
    """
    return probabilistic_sharpe_ratio(sharpe, n_obs, skew, kurt, expected_maximum_sharpe(n_trials, trial_sharpe_var))


def _scalar(values: Any) -> Any:
    values = np.asarray(values)
    return float(values) if values.ndim == 0 else values
