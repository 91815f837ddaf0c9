"""Prediction intervals from past errors: volatility-scaled conformal bands that learn only from closed horizons.

What belongs here: intervals around a forecast. What does not: the forecast, and quantiles a model states itself.

Split conformal prediction (Vovk et al. 2005; Lei et al. 2018) on errors divided by predicted volatility, over a trailing
window. Errors count once their horizon has closed, so an interval at t knows errors of forecasts made by t - horizon.
"""

from __future__ import annotations

import numpy as np

from strategy_pipeline.forecasting.panel import Panel

MIN_ERRORS = 60
NORMAL_95 = 1.6448536269514722


def rolling_intervals(
    panel: Panel, centre: np.ndarray, sd: np.ndarray, *, level: float = 0.9, days: int = 365
) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper bound of the next horizon's simple return, float64 (n_symbols, n_bars), NaN without a forecast.

    Parameters
    ----------
    panel : prices on the rows of the forecasts
    centre, sd : (n_symbols, n_bars), forecast of the return and of its standard deviation over the horizon
    level : coverage aimed at; each side misses half of the rest
    days : length of the window of errors

    A symbol uses its own errors once it has 60, those of all symbols until then, and a normal's before those are 60.
    Bounds of the scaled error are refreshed once a horizon, at fixed places of the time axis.
    """
    h = panel.horizon
    n_symbols, n = centre.shape
    errors = (panel.forward_return() - centre) / sd
    window = max(round(days / 365 / h.years) * h.bars, MIN_ERRORS * h.bars)
    stride = h.stride
    steps = panel.steps
    counted = np.flatnonzero(steps % stride == 0)
    low, high = np.full(centre.shape, -NORMAL_95), np.full(centre.shape, NORMAL_95)
    refresh = np.flatnonzero(steps % h.bars == 0)
    for index, t in enumerate(refresh):
        end = refresh[index + 1] if index + 1 < len(refresh) else n
        # The error of a forecast made at row s is known at the close of row s + h.
        first, last = np.searchsorted(counted, [t - h.bars - window, t - h.bars + 1])
        past = errors[:, counted[first:last]]
        own = [row[np.isfinite(row)] for row in past]
        pooled = np.concatenate(own) if own else np.empty(0)
        for i in range(n_symbols):
            sample = own[i] if len(own[i]) >= MIN_ERRORS else pooled
            if len(sample) >= MIN_ERRORS:
                low[i, t:end], high[i, t:end] = _bounds(sample, level)
    return centre + low * sd, centre + high * sd


def _bounds(sample: np.ndarray, level: float) -> tuple[float, float]:
    """The order statistics that a new exchangeable error falls between with at least the level asked."""
    ordered = np.sort(sample)
    n = len(ordered)
    below = int(np.floor((n + 1) * (1 - level) / 2 + 1e-9)) - 1  # so that a whole number stays one
    return float(ordered[max(below, 0)]), float(ordered[min(n - 1 - max(below, 0), n - 1)])
