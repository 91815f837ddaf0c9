"""The model confidence set: which of a few strategies cannot be told from the best (Hansen, Lunde and Nason 2011).

It compares strategies with each other, not with nothing: the set of a hundred useless ones holds nearly all of them. The
procedure is the `arch` library's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from strategy_pipeline.rng import derive_seed
from strategy_pipeline.selection.errors import InvalidReturnsError
from strategy_pipeline.selection.ratios import as_matrix

MOST = 200  # it compares pairs: memory and time grow with the square


@dataclass(frozen=True)
class ConfidenceSet:
    """The set.

    p_values
        float64 (n_strategies,): the largest confidence at which each would be left out is one minus this; NaN not compared.
    included
        bool (n_strategies,): with probability of at least ``1 - level`` the best is among them.
    days
        Days compared: those on which every compared strategy has a return.
    """

    p_values: NDArray[np.float64]
    included: NDArray[np.bool_]
    level: float
    days: int


def model_confidence_set(
    returns: ArrayLike,
    *,
    level: float = 0.10,
    n_resamples: int = 1000,
    mean_block: float = 7.0,
    scale: bool = True,
    seed: int = 0,
) -> ConfidenceSet:
    """Strategies whose mean return cannot be told from the best one's, at confidence ``1 - level``.

    returns
        (n_obs, n_strategies), at most 200; days with a NaN are left out for all. Columns without variance are not compared.
    scale
        Divide each by its own deviation first, so that ratios are compared, not leverage.
    """
    matrix = as_matrix(returns)
    if not 0 < level < 1:
        raise InvalidReturnsError(f"Expected a level between 0 and 1, was {level}; 0.10 is customary")
    if matrix.shape[1] > MOST:
        raise InvalidReturnsError(
            f"Expected at most {MOST} strategies, was {matrix.shape[1]}; pairs of them are compared; pass those that are left"
        )
    p_values = np.full(matrix.shape[1], np.nan)
    has = (~np.isnan(matrix)).any(axis=0)
    complete = matrix[~np.isnan(matrix[:, has]).any(axis=1)]
    deviation = complete.std(axis=0, ddof=1) if len(complete) >= 2 else np.zeros(matrix.shape[1])
    compared = np.flatnonzero(has & (deviation > 1e-12 * np.abs(np.nan_to_num(matrix)).max(axis=0, initial=1e-300)))
    if len(compared) == 1:
        p_values[compared] = 1.0
    elif len(compared):
        from arch.bootstrap import MCS

        losses = -complete[:, compared] / (deviation[compared] if scale else 1.0)
        seed_of_arch = derive_seed(seed, "selection", "model-confidence-set") % 2**32
        found = MCS(losses, size=level, reps=n_resamples, block_size=max(1, round(mean_block)), bootstrap="stationary", seed=seed_of_arch)
        found.compute()
        table = found.pvalues
        p_values[compared[table.index.to_numpy(dtype=np.int64)]] = table["Pvalue"].to_numpy(dtype=np.float64)
    return ConfidenceSet(p_values, np.nan_to_num(p_values, nan=-1.0) > level, level, len(complete))
