"""How alike strategies are: correlations of daily returns over the days that both have."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def correlations(one: NDArray[np.float64], other: NDArray[np.float64], *, least: int = 2) -> NDArray[np.float64]:
    """Correlation of each column of `one` with each of `other`, float64 (n_one, n_other), over the days on which neither is NaN.

    one, other
        (n_days, n_one) and (n_days, n_other). NaN comes out where two have fewer than `least` days in common, or one of them
        does not vary on those.
    """
    here, there = ~np.isnan(one), ~np.isnan(other)
    # Sums of squares about each column's own mean lose no digits; the mean over common days is then taken off.
    x, y = _centred(one, here), _centred(other, there)
    a, b = here.astype(np.float64), there.astype(np.float64)
    days = a.T @ b
    with np.errstate(divide="ignore", invalid="ignore"):
        mean_x, mean_y = (x.T @ b) / days, (a.T @ y) / days
        covariance = (x.T @ y) / days - mean_x * mean_y
        square_x, square_y = (x**2).T @ b / days, a.T @ (y**2) / days
        var_x, var_y = square_x - mean_x**2, square_y - mean_y**2
        moves = (var_x > 1e-12 * square_x) & (var_y > 1e-12 * square_y) & (days >= max(least, 2))
        found = np.where(moves, covariance / np.sqrt(var_x * var_y), np.nan)
    return np.clip(found, -1.0, 1.0)


def _centred(values: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    count = np.maximum(known.sum(axis=0), 1)
    plain = np.where(known, values, 0.0)
    return np.where(known, plain - plain.sum(axis=0) / count, 0.0)
