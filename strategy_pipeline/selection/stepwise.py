"""Is anything here better than nothing, and which? Reality check, SPA and StepM on bootstrapped means.

All three compare each strategy's mean return with the largest one that resampled returns without an edge
show, so that the error is controlled over everything tested at once: White (2000), "A reality check for
data snooping"; Hansen (2005), "A test for superior predictive ability"; Romano and Wolf (2005),
"Stepwise multiple testing as formalized data snooping"; adjusted p-values after Romano and Wolf (2016).

The resampled means of all strategies are one matrix product: how often each day is drawn (resamples x
days) times the returns (days x strategies). The statistic is studentised by the standard deviation of
the stationary-bootstrap mean, which has a closed form (Politis and Romano 1994, lemma 1); in a resample
that error moves with the resample's own standard deviation. Leaving it fixed, as the usual SPA does, makes
returns of rare large losses look proven: on five null strategies with gamma returns turned around, a test
of nominal size 0.10 rejected 0.18 with a fixed error and 0.12 with a moving one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from strategy_pipeline.resampling import stationary_bootstrap_indices
from strategy_pipeline.rng import generator
from strategy_pipeline.selection.errors import InvalidReturnsError
from strategy_pipeline.selection.ratios import as_matrix

# Bootstrapped and observed statistics are compared on this grid, so that the last bits of a matrix
# product, which depend on threads and processor, cannot move a p-value.
_DECIMALS = 9
# A resample that hardly drew an active day has next to no variance; its statistic is bounded by this share of the sample's.
_LEAST_DEVIATION = 0.1


@dataclass(frozen=True)
class StepM:
    """What the step-wise test says about each strategy.

    statistics
        float64 (n_strategies,): mean over its bootstrap standard error (or the scaled mean when not
        studentised); NaN where the strategy cannot be tested (fewer than two returns, no variance).
    p_values
        float64 (n_strategies,): adjusted for testing them all, step-down; NaN where not tested.
    superior
        bool (n_strategies,): p_values <= level; family-wise error at most `level`.
    level, n_resamples, mean_block
        As asked.
    """

    statistics: NDArray[np.float64]
    p_values: NDArray[np.float64]
    superior: NDArray[np.bool_]
    level: float
    n_resamples: int
    mean_block: float

    @property
    def p_value(self) -> float:
        """Of the hypothesis that no strategy is better than nothing: the smallest adjusted p-value (SPA, or the reality check)."""
        return float(np.nanmin(self.p_values)) if np.isfinite(self.p_values).any() else float("nan")


def stepm(
    returns: ArrayLike,
    *,
    level: float = 0.10,
    n_resamples: int = 1000,
    mean_block: float = 7.0,
    studentize: bool = True,
    recenter: str = "consistent",
    seed: int = 0,
) -> StepM:
    """Which strategies have a mean above zero, family-wise error at most `level`.

    returns
        (n_obs, n_strategies): net daily returns, or differences to a benchmark. A NaN is a day on which
        that strategy is not judged.
    mean_block
        Mean block length in days of the stationary bootstrap.
    studentize
        Divide by each strategy's own standard error, so that a volatile loser cannot hide a quiet winner.
    recenter
        ``consistent``: strategies clearly below zero do not count in the maximum (Hansen's SPA_c);
        ``upper``: all count as if exactly zero (the reality check); ``lower``: every loser is taken as it is.

    The p-value is the share of resamples at least as extreme, with the observed sample counted as one of
    them, so it is never 0.
    """
    matrix = as_matrix(returns)
    n_obs, n_strategies = matrix.shape
    if recenter not in ("consistent", "upper", "lower"):
        raise InvalidReturnsError(f"Expected recenter as consistent, upper or lower, was {recenter!r}; consistent is the default")
    if not 0 < level < 1:
        raise InvalidReturnsError(f"Expected a level between 0 and 1, was {level}; 0.10 is usual")
    if n_resamples < 1 or not mean_block >= 1:
        raise InvalidReturnsError(
            f"Expected at least 1 resample and a mean block of at least 1, was {n_resamples} and {mean_block}; 1000 and 7 are the gate's"
        )
    statistics, p_values = np.full(n_strategies, np.nan), np.full(n_strategies, np.nan)
    error = bootstrap_standard_error(matrix, mean_block) if n_obs >= 2 else np.full(n_strategies, np.nan)
    tested = np.flatnonzero(error > 0)
    if len(tested):
        counts = resample_counts(n_obs, mean_block, n_resamples, seed)
        observed, resampled = _statistics(matrix[:, tested], error[tested], counts, studentize, recenter)
        statistics[tested] = observed
        p_values[tested] = _step_down(observed, resampled)
    return StepM(statistics, p_values, p_values <= level, level, n_resamples, mean_block)


def spa_p_value(
    returns: ArrayLike,
    *,
    n_resamples: int = 1000,
    mean_block: float = 7.0,
    studentize: bool = True,
    recenter: str = "consistent",
    seed: int = 0,
) -> float:
    """p-value of the hypothesis that no strategy has a mean above zero (Hansen 2005). Arguments as `stepm`."""
    return stepm(returns, n_resamples=n_resamples, mean_block=mean_block, studentize=studentize, recenter=recenter, seed=seed).p_value


def reality_check(returns: ArrayLike, *, n_resamples: int = 1000, mean_block: float = 7.0, seed: int = 0) -> float:
    """White's (2000) p-value: not studentised, every strategy taken as if exactly at zero. Arguments as `stepm`."""
    return stepm(returns, n_resamples=n_resamples, mean_block=mean_block, studentize=False, recenter="upper", seed=seed).p_value


@lru_cache(maxsize=2)
def resample_counts(n_obs: int, mean_block: float, n_resamples: int, seed: int) -> NDArray[np.float64]:
    """How often each day is drawn in each stationary-bootstrap resample: float64 (n_resamples, n_obs), rows sum to n_obs.

    Read-only: the test of a look and the intervals of its strategies draw the same days, so the last two draws are kept.
    """
    indices = stationary_bootstrap_indices(n_obs, mean_block, n_resamples, generator(seed, "selection", "stationary-bootstrap"))
    flat = np.asarray(indices, dtype=np.int64) + n_obs * np.arange(n_resamples, dtype=np.int64)[:, None]
    counts = np.bincount(flat.ravel(), minlength=n_resamples * n_obs).reshape(n_resamples, n_obs).astype(np.float64)
    counts.setflags(write=False)
    return counts


def bootstrap_standard_error(returns: ArrayLike, mean_block: float) -> NDArray[np.float64]:
    """Standard deviation of each column's mean under the stationary bootstrap, in closed form: float64 (n_strategies,).

    ``sqrt((g_0 + 2 sum_i k_i g_i) / n)`` with circular autocovariances g and weights
    ``k_i = (1 - i/n) (1 - q)^i + (i/n) (1 - q)^(n - i)``, q = 1 / mean_block (Politis and Romano 1994, lemma 1).
    NaN for fewer than two returns or no variance.
    """
    matrix = as_matrix(returns)
    n_obs = len(matrix)
    valid = ~np.isnan(matrix)
    count = valid.sum(axis=0)
    filled = np.where(valid, matrix, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        centred = np.where(valid, matrix - filled.sum(axis=0) / count, 0.0)
    constant = (centred * centred).sum(axis=0) <= 1e-20 * (filled * filled).sum(axis=0)
    keep = 1.0 - 1.0 / mean_block
    lag = np.arange(n_obs)
    with np.errstate(under="ignore"):
        # 0 ** 0 is 1, so a mean block of 1 leaves the independent bootstrap's variance. Lag i and lag n - i hold the
        # same circular autocovariance, so half of each weight on either is the whole weight.
        weight = (1.0 - lag / n_obs) * keep**lag + np.where(lag > 0, lag / n_obs * keep ** (n_obs - lag), 0.0)
    # The symmetric weights' transform is real: the variance is a weighted sum of the periodogram (Parseval),
    # one transform per column instead of one product per lag.
    gain = np.fft.fft(weight).real
    spectrum = np.abs(np.fft.fft(centred, axis=0)) ** 2
    # n_valid, not n: the mean over valid days has that many in its denominator.
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = (gain @ spectrum) / n_obs / count.astype(np.float64) ** 2
    return np.where((count >= 2) & ~constant & (variance > 0), np.sqrt(np.maximum(variance, 0.0)), np.nan)


def _statistics(
    matrix: NDArray[np.float64], error: NDArray[np.float64], counts: NDArray[np.float64], studentize: bool, recenter: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Observed (n_strategies,) and resampled (n_resamples, n_strategies) statistics, the latter recentred to no edge."""
    valid = ~np.isnan(matrix)
    complete = valid.all()
    filled = matrix if complete else np.where(valid, matrix, 0.0)
    days = valid.sum(axis=0)
    mean = filled.sum(axis=0) / days
    # Around the sample's mean, so that a mean square minus a squared mean keeps its digits.
    centred = filled - mean if complete else np.where(valid, filled - mean, 0.0)
    deviation = counts @ centred
    if complete:
        drawn: NDArray[np.float64] | float = float(len(matrix))
    else:
        # A resample that drew no valid day of a strategy says nothing about it: it stays at the sample's mean.
        drawn = np.maximum(counts @ valid.astype(np.float64), 1.0)
    deviation /= drawn
    ratio = mean / error
    if recenter == "upper":
        centre = mean
    elif recenter == "lower":
        centre = np.maximum(mean, 0.0)
    else:
        bound = np.sqrt(2.0 * np.log(np.log(np.maximum(days, 3))))
        centre = np.where(ratio >= -bound, mean, 0.0)
    resampled = deviation + (mean - centre)
    if not studentize:
        root = np.sqrt(len(matrix))
        return np.round(root * mean, _DECIMALS), np.round(root * resampled, _DECIMALS)
    square = counts @ (centred * centred)
    square /= drawn
    square -= deviation * deviation
    variance = (centred * centred).sum(axis=0) / days
    moving = np.sqrt(np.maximum(square / variance, _LEAST_DEVIATION**2))
    return np.round(ratio, _DECIMALS), np.round(resampled / (error * moving), _DECIMALS)


def _step_down(observed: NDArray[np.float64], resampled: NDArray[np.float64]) -> NDArray[np.float64]:
    """Adjusted p-values: each strategy against the largest resampled statistic of itself and all weaker ones."""
    order = np.argsort(-observed, kind="stable")
    running = np.maximum.accumulate(resampled[:, order[::-1]], axis=1)[:, ::-1]
    exceeding = (running >= observed[order]).sum(axis=0)
    adjusted = np.maximum.accumulate((1.0 + exceeding) / (len(resampled) + 1.0))
    p_values = np.empty_like(adjusted)
    p_values[order] = adjusted
    return p_values
