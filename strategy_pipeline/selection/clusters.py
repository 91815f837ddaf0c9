"""How many independent trials a search amounts to.

A thousand strategies that differ in a parameter are not a thousand independent tries. Clusters of
average linkage at return correlation 0.8 measured best on null markets (77 for 1,000 strategies, where
the observed maximum implies about 95; the participation ratio says 4, the average-correlation formula 983).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from strategy_pipeline.selection.errors import InvalidReturnsError
from strategy_pipeline.selection.ratios import as_matrix


def effective_trials(returns: ArrayLike, correlation: float = 0.8, max_linkage: int = 2000) -> int:
    """Number of clusters of strategies whose returns move together; at least 1.

    returns
        (n_obs, n_strategies), days in rows. NaN counts as the column's mean. A column without variance
        (it never traded, or has no returns) is no trial of anything and is left out.
    correlation
        Average correlation at which two clusters are one.
    max_linkage
        Linkage costs the square of the number of strategies, so at most this many are linked at once. Of a
        larger population an evenly spaced sample is linked; every other strategy joins the cluster with
        which its average correlation (the same criterion) is highest and at least `correlation`; what joins
        none is treated the same way in the next round. Clusters of different rounds are not merged, so the
        number errs upwards, on the careful side.
    """
    return int(cluster_labels(returns, correlation, max_linkage).max(initial=0)) + 1


def cluster_labels(returns: ArrayLike, correlation: float = 0.8, max_linkage: int = 2000) -> NDArray[np.int64]:
    """The cluster of each column, int64 (n_strategies,), numbered from 0; -1 for a column without variance. See `effective_trials`."""
    if not 0 < correlation < 1:
        raise InvalidReturnsError(f"Expected a correlation between 0 and 1, was {correlation}; 0.8 is what was measured")
    scores = standard_scores(as_matrix(returns))
    labels = np.full(scores.shape[1], -1, dtype=np.int64)
    rest = np.flatnonzero((scores != 0).any(axis=0))
    found = 0
    while len(rest):
        sample = rest if len(rest) <= max_linkage else rest[np.linspace(0, len(rest) - 1, max_linkage).round().astype(np.int64)]
        own = _linked(scores[:, sample], correlation)
        labels[sample] = found + own
        n_own = int(own.max()) + 1
        left = np.setdiff1d(rest, sample, assume_unique=True)
        if len(left):
            centroids = np.zeros((scores.shape[0], n_own))
            np.add.at(centroids.T, own, scores[:, sample].T)
            centroids /= np.bincount(own, minlength=n_own)
            similarity = scores[:, left].T @ centroids
            best = similarity.argmax(axis=1)
            joins = similarity[np.arange(len(left)), best] >= correlation
            labels[left[joins]] = found + best[joins]
            left = left[~joins]
        found += n_own
        rest = left
    return labels


def standard_scores(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Columns of zero mean and unit length, NaN at the mean, so that a product of two is their correlation; constant columns are zero."""
    valid = ~np.isnan(matrix)
    filled = np.where(valid, matrix, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        centred = np.where(valid, matrix - filled.sum(axis=0) / valid.sum(axis=0), 0.0)
        length = np.sqrt((centred * centred).sum(axis=0))
        size = np.sqrt((filled * filled).sum(axis=0))
        return np.where(length > 1e-10 * size, centred / length, 0.0)


def _linked(scores: NDArray[np.float64], correlation: float) -> NDArray[np.int64]:
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    if scores.shape[1] == 1:
        return np.zeros(1, dtype=np.int64)
    # Rounded, so that equal columns are at distance 0 whatever the order of summation was.
    distance = np.round(np.clip(1.0 - scores.T @ scores, 0.0, 2.0), 12)
    np.fill_diagonal(distance, 0.0)
    tree = linkage(squareform((distance + distance.T) / 2.0, checks=False), method="average")
    labels = fcluster(tree, t=1.0 - correlation, criterion="distance")
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)
