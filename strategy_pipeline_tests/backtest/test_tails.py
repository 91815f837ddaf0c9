"""The quantiles at both ends of a return series, found in one pass, are those of sorted values."""

from __future__ import annotations

import numpy as np
import pytest

from strategy_pipeline.backtest.streaming import WIDE, _tail_by_tail, _tails
from strategy_pipeline.rng import generator

SHAPES = ("normal", "heavy", "ties", "drifting", "outliers", "ordered", "two values", "few below", "sampled badly")


def returns(shape: str, count: int) -> np.ndarray:
    rng = generator(11, "tails", shape)
    x = rng.normal(0, 0.01, count)
    if shape == "heavy":
        x = rng.standard_t(2, count) * 0.01
    elif shape == "ties":
        x = np.round(x, 2)
    elif shape == "drifting":
        x = x * np.linspace(0.1, 5, count) + 0.001
    elif shape == "outliers":
        x[::97] *= 1e6
    elif shape == "ordered":
        x = np.sort(x)
    elif shape == "two values":
        x = np.where(x > 0, 0.01, -0.01)
    elif shape == "few below":
        x = np.where(x < -0.016, x, np.abs(x))
    elif shape == "sampled badly":  # what is looked at first says nothing of the rest
        x[(np.arange(1024) * count) // 1024] = 0.0
        x[(np.arange(256) * count) // 256] = 1.0
    return x


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("count", "flat"), [(8 * WIDE, 0), (8 * WIDE + 13, 1000), (40_001, 90_000), (700, 5), (30_000, 400_000)])
def test_both_tails_are_those_of_sorted_values(shape: str, count: int, flat: int) -> None:
    values, n = returns(shape, count), count + flat
    negative, positive = int((values < 0).sum()), int((values > 0).sum())
    found = _tails(values, count, negative, positive, n, np.empty(n))
    assert found == _tail_by_tail(values, count, negative, positive, n, np.empty(n))  # to the bit
    whole = np.sort(np.concatenate([values, np.zeros(flat)]))
    quantile, top = np.quantile(whole, 0.05), -np.quantile(whole, 0.95)
    worst = whole[: int(0.05 * (n - 1)) + 1].mean()
    np.testing.assert_allclose(found, (quantile, worst, top), rtol=1e-9, atol=1e-15)
