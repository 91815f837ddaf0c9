"""How returns move together."""

from __future__ import annotations

import numpy as np
import pandas as pd


def correlation(returns: pd.DataFrame, *, min_days: int = 30) -> pd.DataFrame:
    """Pearson correlation of the columns of `returns` (n_days, n_series), pairwise over the days both have.

    NaN where two series share fewer than `min_days` days or one does not vary on them. The diagonal is 1
    where a series is measured at all. Symmetric, in the order of the columns.
    """
    values = returns.to_numpy(dtype=float)
    n = values.shape[1]
    found = np.full((n, n), np.nan)
    for a in range(n):
        for b in range(a, n):
            both = np.isfinite(values[:, a]) & np.isfinite(values[:, b])
            if both.sum() < max(min_days, 2):
                continue
            x, y = values[both, a], values[both, b]
            x, y = x - x.mean(), y - y.mean()
            scale = np.sqrt((x @ x) * (y @ y))
            if scale > 1e-30:
                found[a, b] = found[b, a] = 1.0 if a == b else float(np.clip((x @ y) / scale, -1.0, 1.0))
    return pd.DataFrame(found, index=returns.columns, columns=returns.columns)
