"""Bootstrap indices that keep serial dependence: draw blocks, not observations.

What belongs here: index arrays, to be applied to any series of the same length, all series together where their
dependence matters.
"""

from __future__ import annotations

import numpy as np

from strategy_pipeline.resampling.splits import SplitError

Array = np.ndarray


def stationary_bootstrap_indices(n: int, mean_block: float, n_resamples: int, rng: np.random.Generator) -> Array:
    """Blocks of geometric length and uniform start on a circle of n observations (Politis and Romano 1994).

    Parameters
    ----------
    n : observations
    mean_block : mean block length, 1 or more; 1 is the plain bootstrap
    n_resamples : how many
    rng : numpy Generator

    Returns
    -------
    int64 array of shape (n_resamples, n)
    """
    _check(n, mean_block, n_resamples)
    fresh = rng.random((n_resamples, n)) < 1.0 / mean_block
    fresh[:, 0] = True
    starts = rng.integers(0, n, (n_resamples, n))
    position = np.arange(n)
    begin = np.maximum.accumulate(np.where(fresh, position, 0), axis=1)
    return (np.take_along_axis(starts, begin, axis=1) + position - begin) % n


def block_bootstrap_indices(n: int, block: int, n_resamples: int, rng: np.random.Generator) -> Array:
    """Blocks of fixed length and uniform start on a circle of n observations (Politis and Romano 1992).

    Parameters as in `stationary_bootstrap_indices`; the last block is cut to fit.

    Returns
    -------
    int64 array of shape (n_resamples, n)
    """
    _check(n, block, n_resamples)
    length = int(block)
    starts = rng.integers(0, n, (n_resamples, -(-n // length)))
    return ((starts[:, :, None] + np.arange(length)) % n).reshape(n_resamples, -1)[:, :n]


def _check(n: int, block: float, n_resamples: int) -> None:
    if n < 1 or n_resamples < 1 or not block >= 1:
        raise SplitError(f"Expected n, n_resamples and a block length of at least 1, was {n}, {n_resamples}, {block}; correct them")
