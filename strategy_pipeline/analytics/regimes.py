"""How returns did in each regime, weighting each day by the probability of the regime on that day."""

from __future__ import annotations

import numpy as np
import pandas as pd

from strategy_pipeline.errors import MissingColumnError


def regime_performance(returns: pd.DataFrame, probabilities: pd.DataFrame, *, periods_per_year: float = 365.0) -> pd.DataFrame:
    """Probability-weighted performance of each series in each regime.

    Parameters
    ----------
    returns : (n_days, n_series) simple returns, indexed by day
    probabilities : (n_days, n_regimes) of the same days, in [0, 1]; filtered, as known at the close of the
        day. This describes what happened under a regime; it is no trading rule, which would lag them a day.
    periods_per_year : for annualising

    Returns
    -------
    DataFrame with ``series``, ``regime``, ``days`` (sum of probabilities), ``share`` (of the days measured),
    ``mean`` (annual, arithmetic), ``volatility`` (annual), ``sharpe`` and ``hit_rate``. Variance has the
    correction for reliability weights, ``sum(w) - sum(w^2) / sum(w)``. Days missing from either input, or
    NaN there, are left out; NaN where fewer than 2 days of weight remain or nothing varies.

    Raises
    ------
    MissingColumnError when the two share no day.
    """
    days = returns.index.intersection(probabilities.index)
    if len(days) == 0:
        raise MissingColumnError("Expected returns and regime probabilities of common days, was none; give both by day in UTC")
    rows = []
    for series in returns.columns:
        values = returns.loc[days, series].to_numpy(dtype=float)
        for regime in probabilities.columns:
            weight = probabilities.loc[days, regime].to_numpy(dtype=float)
            there = np.isfinite(values) & np.isfinite(weight)
            rows.append({"series": series, "regime": regime, **_measures(values[there], weight[there], periods_per_year)})
    return pd.DataFrame(rows, columns=["series", "regime", "days", "share", "mean", "volatility", "sharpe", "hit_rate"])


def _measures(values: np.ndarray, weight: np.ndarray, periods: float) -> dict[str, float]:
    total = float(weight.sum())
    found = {"days": total, "share": total / len(weight) if len(weight) else np.nan}
    found |= dict.fromkeys(("mean", "volatility", "sharpe", "hit_rate"), np.nan)
    if total < 2.0:
        return found
    mean = float(weight @ values) / total
    found["mean"] = mean * periods
    found["hit_rate"] = float(weight @ (values > 0)) / total
    freedom = total - float(weight @ weight) / total
    if freedom > 1e-9:
        deviation = float(np.sqrt((weight @ (values - mean) ** 2) / freedom))
        found["volatility"] = deviation * np.sqrt(periods)
        if deviation > 1e-15:
            found["sharpe"] = mean / deviation * np.sqrt(periods)
    return found
