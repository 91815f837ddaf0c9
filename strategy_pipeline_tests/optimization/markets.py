"""A market that has something to find, and a rule with numbers to tune."""

from __future__ import annotations

import numpy as np

from strategy_pipeline.market import Bars

TEXT = """trend on * 1h
enter long when crosses_above(sma(close, 20), sma(close, 50))
exit when crosses_below(sma(close, 20), sma(close, 50))
stop 3%, take 6%
size all_in"""


def make_bars(n_days: int = 160, seed: int = 0) -> Bars:
    """Two symbols whose hourly returns trend slowly, so that averages have something to find."""
    rng = np.random.default_rng(seed)
    n = 24 * n_days
    drift = 0.0015 * np.sign(np.sin(np.arange(n) / 120.0 + np.array([[0.0], [1.0]])))
    close = 100 * np.exp(np.cumsum(drift + 0.006 * rng.standard_normal((2, n)), axis=1))
    open_ = np.concatenate([close[:, :1], close[:, :-1]], axis=1)
    high, low = np.maximum(open_, close) * 1.001, np.minimum(open_, close) * 0.999
    times = np.datetime64("2024-01-01", "ns") + np.arange(n) * np.timedelta64(1, "h")
    return Bars(("AAA/USDT", "BBB/USDT"), "1h", times, open_, high, low, close, np.ones_like(close))
