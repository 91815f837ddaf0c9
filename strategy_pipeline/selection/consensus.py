"""Which candidate to look at: one that moves with everything that did well, instead of the luckiest.

The best of a thousand training results is mostly luck, and what is near it did hardly worse. Suppose one candidate works, each as
likely as the other, with an annual Sharpe ratio of 1: by Bayes' rule its training result makes candidate j the one with a weight
proportional to ``exp(T x_j)``, for a ratio x_j measured over T years. What a candidate i would then earn is a matter of how much
it moves with each j. The score is the logarithm of ``sum_j exp(T x_j) max(r_ij, 0)^2`` for correlations r of daily
returns, and ``0.15 T x_i`` more for what a voter earned itself: not for what a search bred, since that is what it was bred for.

What belongs here: the score. What does not: who gets a look (`gate`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from strategy_pipeline.selection.clusters import standard_scores
from strategy_pipeline.selection.ratios import as_matrix, sharpe_ratio

DAYS_A_YEAR = 365.0
_OWN = 0.15  # of what a candidate earned itself
_NEGLIGIBLE = 15.0  # in the exponent: voters of less than a three-millionth of the first one's weight are left out
_AT_ONCE = 1024


def consensus_scores(returns: ArrayLike, voters: ArrayLike | None = None, candidates: ArrayLike | None = None) -> NDArray[np.float64]:
    """float64 (n_strategies,): how well each candidate agrees with what did well; higher is better.

    returns
        (n_days, n_strategies), net daily returns of the training span. NaN is a day a strategy is not judged on.
    voters
        bool (n_strategies,): whose results count; default all. Best those that were drawn without looking at returns: what a
        search bred crowds around its luckiest find, and would outvote everything else.
    candidates
        bool (n_strategies,): which are scored; default all.

    NaN for what is no candidate or has no Sharpe ratio, and everywhere when no voter has one.
    """
    matrix = as_matrix(returns)
    n = matrix.shape[1]
    found = np.full(n, np.nan)
    if n == 0:
        return found
    ratio = sharpe_ratio(matrix, DAYS_A_YEAR)
    evidence = ratio * (~np.isnan(matrix)).sum(axis=0) / DAYS_A_YEAR
    known = np.isfinite(evidence)
    vote = known if voters is None else known & np.asarray(voters, dtype=bool)
    scored = known if candidates is None else known & np.asarray(candidates, dtype=bool)
    if not vote.any():
        return found
    most = evidence[vote].max()
    rows = np.flatnonzero(vote & (evidence > most - _NEGLIGIBLE))
    weight = np.exp(evidence[rows] - most)
    unit = standard_scores(matrix)
    voices = unit[:, rows]
    columns = np.flatnonzero(scored)
    for first in range(0, len(columns), _AT_ONCE):
        part = columns[first : first + _AT_ONCE]
        likeness = np.maximum(unit[:, part].T @ voices, 0.0)
        with np.errstate(divide="ignore"):
            found[part] = np.log((likeness * likeness) @ weight) + most + np.where(vote[part], _OWN * evidence[part], 0.0)
    return found
