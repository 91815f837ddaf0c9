"""The haircut: how much of a Sharpe ratio is left once the number of tries is paid for.

Harvey and Liu (2015), "Backtesting": the ratio's p-value is raised for the tests made, and the haircut ratio is the one
whose single-test p-value that is. A marginal ratio loses nearly all, a large one little.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from strategy_pipeline.selection.discovery import adjusted_p_values
from strategy_pipeline.selection.errors import InvalidReturnsError

HaircutMethod = Literal["independent", "bonferroni", "holm", "by"]


def haircut_sharpe(
    sharpe: ArrayLike, n_obs: ArrayLike, n_trials: float | None = None, *, method: HaircutMethod = "bonferroni", normal: bool = False
) -> Any:
    """Per-observation Sharpe ratios after the haircut; the sign stays, and what is no better than luck goes to 0.

    sharpe
        Per observation, scalar or (n,); NaN stays NaN.
    n_obs
        Observations each was measured on.
    n_trials
        Tests made, at least the number of ratios given; default: those. May be fractional (`effective_trials`).
    method
        ``independent``: ``1 - (1 - p)^N``; ``bonferroni``: ``N p``; ``holm`` and ``by`` step through the ratios given
        (Holm 1979; Benjamini and Yekutieli 2001), tests beyond them counting as p-values of 1.
    normal
        Take the ratio times ``sqrt(n_obs)`` as normal, as the paper's example does; default: Student's t.

    Scalars in, float out. p-values are two-sided, as in the paper.
    """
    from scipy.special import ndtr, ndtri, stdtr, stdtrit

    ratio, count = np.broadcast_arrays(np.asarray(sharpe, dtype=np.float64), np.asarray(n_obs, dtype=np.float64))
    scalar, ratio, count = ratio.ndim == 0, np.atleast_1d(ratio), np.atleast_1d(count)
    known = int(np.isfinite(ratio).sum())
    trials = float(max(known, 1)) if n_trials is None else float(n_trials)
    if trials < max(known, 1):
        raise InvalidReturnsError(f"Expected at least the {known} trials given, was {trials:g}; count every strategy ever evaluated")
    if np.any(count < 2):
        raise InvalidReturnsError(f"Expected at least 2 observations, was {count.min():g}; a ratio of fewer has no p-value")
    strength = np.abs(ratio) * np.sqrt(count)
    lower = ndtr(-strength) if normal else stdtr(count - 1, -strength)
    raised = _raised(2.0 * lower, trials, method)
    with np.errstate(divide="ignore"):
        kept = -ndtri(raised / 2.0) if normal else -stdtrit(count - 1, raised / 2.0)
    # A p-value too small for a float has no quantile: such a ratio loses nothing that could be read.
    result = np.sign(ratio) * np.where(np.isfinite(kept), np.maximum(kept, 0.0), strength) / np.sqrt(count)
    result = np.where(np.isnan(ratio), np.nan, result)
    return float(result[0]) if scalar else result


def _raised(p_values: NDArray[np.float64], trials: float, method: str) -> NDArray[np.float64]:
    if method == "independent":
        with np.errstate(divide="ignore"):
            return -np.expm1(trials * np.log1p(-p_values))
    if method == "bonferroni":
        return np.minimum(trials * p_values, 1.0)
    if method == "by":
        unseen = np.ones(int(trials) - int(np.isfinite(p_values).sum()))
        return adjusted_p_values(np.concatenate([p_values, unseen]), "by")[: len(p_values)]
    if method != "holm":
        raise InvalidReturnsError(f"Expected a method of independent, bonferroni, holm or by, was {method!r}; choose one of them")
    raised = np.full(p_values.shape, np.nan)
    order = np.flatnonzero(~np.isnan(p_values))
    order = order[np.argsort(p_values[order], kind="stable")]
    steps = np.minimum((trials - np.arange(len(order))) * p_values[order], 1.0)
    raised[order] = np.maximum.accumulate(steps)
    return raised
