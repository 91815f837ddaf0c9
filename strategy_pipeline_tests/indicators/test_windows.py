"""Sliding sums keep their digits: against windows computed afresh, on series made to break them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from numpy.lib.stride_tricks import sliding_window_view

from strategy_pipeline.indicators.kernels import windows

series = some.lists(some.sampled_from([0.0, 1.0, 1.0 + 1e-9, 2.5, -3.0, 1e6, 1e9, -1e9, np.nan]), min_size=30, max_size=120).map(np.array)


def afresh(function, x: np.ndarray, length: int) -> np.ndarray:
    out = np.full(len(x), np.nan)
    out[length - 1 :] = [np.nan if np.isnan(part).any() else function(part) for part in sliding_window_view(x, length)]
    return out


@given(series, some.integers(2, 12))
def test_means_and_deviations_survive_spikes_and_holes(x, length):
    np.testing.assert_allclose(windows.mean(x, length), afresh(np.mean, x, length), rtol=1e-9, atol=1e-7)
    np.testing.assert_allclose(windows.deviation(x, length, 1), afresh(lambda part: part.std(ddof=1), x, length), rtol=1e-5, atol=1e-7)


@given(series, some.integers(1, 12))
def test_extremes_and_their_ages_are_those_of_the_window(x, length):
    np.testing.assert_array_equal(windows.highest(x, length), afresh(np.max, x, length))
    np.testing.assert_array_equal(windows.lowest(x, length), afresh(np.min, x, length))
    np.testing.assert_array_equal(windows.bars_since_highest(x, length), afresh(lambda part: np.argmax(part[::-1]), x, length))


@given(some.integers(0, 10**6), some.integers(3, 20))
def test_slopes_and_correlations_are_those_of_the_window(seed, length):
    draw = np.random.default_rng(seed)
    x, y = draw.standard_normal((2, 80)) * np.where(draw.random((2, 80)) < 0.03, 1e4, 1.0)
    slope, correlation = windows.co_moments(x, y, length)
    for i in range(length - 1, 80):
        a, b = x[i - length + 1 : i + 1], y[i - length + 1 : i + 1]
        assert slope[i] == pytest.approx(np.cov(a, b)[0, 1] / np.var(b, ddof=1), rel=1e-5, abs=1e-8)
        assert correlation[i] == pytest.approx(np.corrcoef(a, b)[0, 1], rel=1e-5, abs=1e-8)


def test_equal_values_have_no_deviation_and_no_correlation():
    flat = np.full(50, 0.1) * 3
    assert (windows.deviation(flat, 7, 1)[6:] == 0).all()
    slope, correlation = windows.co_moments(flat, flat, 7)
    assert np.isnan(slope).all() and np.isnan(correlation).all()
