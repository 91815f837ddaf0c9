"""How good a forecast was: losses, rank correlation, coverage; and the span of training that judges it.

What belongs here: scores of arrays against what happened. What does not: tests of strategies' returns (selection).
A score of nothing is NaN.
"""

from __future__ import annotations

import numpy as np


def qlike(forecast: np.ndarray, realised: np.ndarray) -> float:
    """Mean of y/h - ln(y/h) - 1 for variances (Patton 2011); zero when exact."""
    ok = np.isfinite(forecast) & np.isfinite(realised) & (forecast > 0) & (realised > 0)
    ratio = realised[ok] / forecast[ok]
    return float(np.mean(ratio - np.log(ratio) - 1.0)) if ok.any() else float("nan")


def trimmed_qlike(forecast: np.ndarray, realised: np.ndarray, share: float = 0.01) -> float:
    """`qlike` without the worst share of points: a single jump would otherwise decide between models."""
    ok = np.isfinite(forecast) & np.isfinite(realised) & (forecast > 0) & (realised > 0)
    ratio = realised[ok] / forecast[ok]
    losses = np.sort(ratio - np.log(ratio) - 1.0)
    kept = losses[: len(losses) - int(len(losses) * share)]
    return float(kept.mean()) if len(kept) else float("nan")


def volatility_scores(forecast: np.ndarray, baseline: np.ndarray, realised: np.ndarray) -> dict[str, float]:
    """QLIKE of a variance forecast and of its baseline, plain and trimmed."""
    return {
        "qlike": qlike(forecast, realised),
        "qlike_baseline": qlike(baseline, realised),
        "qlike_trimmed": trimmed_qlike(forecast, realised),
        "qlike_trimmed_baseline": trimmed_qlike(baseline, realised),
    }


def rank_ic(forecast: np.ndarray, realised: np.ndarray) -> float:
    """Spearman's rank correlation over all pairs; NaN when either is constant."""
    from scipy.stats import rankdata

    ok = np.isfinite(forecast) & np.isfinite(realised)
    if ok.sum() < 3:
        return float("nan")
    a, b = rankdata(forecast[ok]), rankdata(realised[ok])
    if a.std() == 0 or b.std() == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def pinball(quantiles: np.ndarray, levels: np.ndarray, realised: np.ndarray) -> float:
    """Mean pinball loss (Koenker and Bassett 1978). quantiles: (..., n_levels), realised: (...)."""
    error = realised[..., None] - quantiles
    loss = np.maximum(levels * error, (levels - 1.0) * error)
    ok = np.isfinite(loss).all(-1)
    return float(loss[ok].mean()) if ok.any() else float("nan")


def brier(probability: np.ndarray, happened: np.ndarray) -> float:
    """Mean squared error of a probability (Brier 1950)."""
    ok = np.isfinite(probability) & np.isfinite(happened)
    return float(np.mean((probability[ok] - happened[ok]) ** 2)) if ok.any() else float("nan")


def coverage(lower: np.ndarray, upper: np.ndarray, realised: np.ndarray) -> float:
    """Share of outcomes inside their interval."""
    ok = np.isfinite(lower) & np.isfinite(upper) & np.isfinite(realised)
    return float(np.mean((realised[ok] >= lower[ok]) & (realised[ok] <= upper[ok]))) if ok.any() else float("nan")


def judged_rows(n_bars: int, horizon: int, share: float = 0.2) -> tuple[int, int]:
    """(end of the fitting rows, start of the judged tail): the last `share` of the span, purged by the horizon.

    Labels of fitting rows end before the tail begins.
    """
    tail = n_bars - max(int(n_bars * share), 1)
    return max(tail - horizon, 0), tail
