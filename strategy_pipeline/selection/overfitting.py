"""Probability of backtest overfitting by combinatorially symmetric cross-validation.

Bailey, Borwein, López de Prado and Zhu (2017), "The probability of backtest overfitting": cut the days
into S blocks, take every half of the blocks as in-sample, pick the best strategy there, and see where it
ranks on the other half. It says how a search overfits, not whether there is an edge (costs alone lower
it): report it, do not gate on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from strategy_pipeline.selection.errors import InvalidReturnsError
from strategy_pipeline.selection.ratios import as_matrix

_MAX_BLOCKS = 20  # 184,756 combinations; two more blocks quadruple them and change nothing one could read
_CHUNK_CELLS = 1_000_000  # combinations x strategies held at once: 8 MB an array


@dataclass(frozen=True)
class Overfitting:
    """What cross-validation says about a search.

    probability
        Share of combinations whose in-sample winner ranks in the lower half (or exactly in the middle)
        out-of-sample; NaN when no combination can be judged.
    logits
        float64 (n_combinations,): log-odds of the winner's relative out-of-sample rank, NaN where the
        combination cannot be judged.
    winners
        int64 (n_combinations,): column that won in-sample, -1 where none could.
    """

    probability: float
    logits: NDArray[np.float64]
    winners: NDArray[np.int64]


def probability_of_backtest_overfitting(returns: ArrayLike, n_blocks: int = 16) -> float:
    """Probability that the in-sample best of these strategies is below the median out-of-sample, in [0, 1].

    returns
        (n_obs, n_strategies), days in rows, every strategy the search evaluated. Judged by Sharpe ratio.
        A NaN is left out of its column's sums; where a strategy has fewer than two returns or no variance
        in a half it can neither win there nor be ranked there, and a combination whose winner cannot be
        ranked is left out.
    n_blocks
        Even, 2 to 20, at most n_obs / 2. Blocks differ by at most one day when they do not divide n_obs.

    NaN when fewer than two strategies can be ranked. `InvalidReturnsError` for other shapes.
    """
    return cross_validated_overfitting(returns, n_blocks).probability


def cross_validated_overfitting(returns: ArrayLike, n_blocks: int = 16) -> Overfitting:
    """As `probability_of_backtest_overfitting`, with the logits and the winners of every combination."""
    matrix = as_matrix(returns)
    n_obs, n_strategies = matrix.shape
    if n_blocks % 2 or not 2 <= n_blocks <= _MAX_BLOCKS:
        raise InvalidReturnsError(f"Expected an even number of blocks from 2 to {_MAX_BLOCKS}, was {n_blocks}; 16 is customary")
    if n_obs < 2 * n_blocks:
        raise InvalidReturnsError(
            f"Expected at least {2 * n_blocks} observations for {n_blocks} blocks, was {n_obs}; pass more days or fewer blocks"
        )
    count, total, square, centre = _block_sums(matrix, n_blocks)
    # Each pair (half, other half) serves two combinations, each half once in-sample: take the halves with block 0.
    halves = np.array([half for half in combinations(range(n_blocks), n_blocks // 2) if half[0] == 0], dtype=np.int64)
    member = np.zeros((len(halves), n_blocks))
    np.put_along_axis(member, halves, 1.0, axis=1)

    pairs = len(halves)
    logits, winners = np.full(2 * pairs, np.nan), np.full(2 * pairs, -1, dtype=np.int64)
    step = max(1, _CHUNK_CELLS // max(n_strategies, 1))
    for start in range(0, pairs, step):
        rows = slice(start, min(start + step, pairs))
        first = _half_sharpe(member[rows], count, total, square, centre)
        second = _half_sharpe(1.0 - member[rows], count, total, square, centre)
        logits[rows], winners[rows] = _winner_logits(first, second)
        mirrored = slice(pairs + rows.start, pairs + rows.stop)
        logits[mirrored], winners[mirrored] = _winner_logits(second, first)
    judged = ~np.isnan(logits)
    probability = float(np.mean(logits[judged] <= 0)) if judged.any() else float("nan")
    return Overfitting(probability, logits, winners)


def _block_sums(matrix: NDArray[np.float64], n_blocks: int) -> tuple[NDArray[np.float64], ...]:
    """Per block and strategy: count, sum and sum of squares around the column's mean (n_blocks, n_strategies); and those means."""
    n_obs = len(matrix)
    valid = ~np.isnan(matrix)
    filled = np.where(valid, matrix, 0.0)
    centre = filled.sum(axis=0) / np.maximum(valid.sum(axis=0), 1)
    # Around the mean, so that a sum of squares minus a squared sum keeps its digits.
    filled = np.where(valid, matrix - centre, 0.0)
    edges = (np.arange(n_blocks) * n_obs) // n_blocks
    total = np.add.reduceat(filled, edges, axis=0)
    square = np.add.reduceat(filled * filled, edges, axis=0)
    count = np.add.reduceat(valid.astype(np.float64), edges, axis=0)
    return count, total, square, centre


def _half_sharpe(
    member: NDArray[np.float64],
    count: NDArray[np.float64],
    total: NDArray[np.float64],
    square: NDArray[np.float64],
    centre: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Sharpe ratio of each strategy on each half (n_combinations, n_strategies); NaN where undefined."""
    sums, squares = member @ total, member @ square
    n = member @ count if np.ptp(count, axis=1).any() else (member @ count[:, :1])
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = sums / n
        variance = squares - sums * mean
        variance /= n - 1.0
        # Relative to the level, a variance this small is rounding of a constant return.
        floor = 1e-18 * (centre * centre) + 1e-300
        variance[~(variance > floor)] = np.nan
        mean += centre
        return mean / np.sqrt(variance)


def _winner_logits(inside: NDArray[np.float64], outside: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    ranked = ~np.isnan(outside)
    pool = ranked.sum(axis=1)
    eligible = np.where(np.isnan(inside), -np.inf, inside)
    winner = eligible.argmax(axis=1)
    rows = np.arange(len(winner))
    some = np.isfinite(eligible[rows, winner])
    score = outside[rows, winner]
    below = (outside < score[:, None]).sum(axis=1)
    equal = (outside == score[:, None]).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        rank = (below + 0.5 * (equal + 1)) / (pool + 1)
        logit = np.log(rank / (1.0 - rank))
    judged = some & ~np.isnan(score) & (pool >= 2)
    return np.where(judged, logit, np.nan), np.where(some, winner, -1)
