from __future__ import annotations

import numpy as np
import pytest

from strategy_pipeline.forecasting import Panel, rolling_intervals
from strategy_pipeline.forecasting.conformal import NORMAL_95, _bounds
from strategy_pipeline.forecasting.scores import coverage
from strategy_pipeline.rng import generator
from strategy_pipeline_tests.forecasting.markets import market


@pytest.fixture(scope="module")
def panel():
    return Panel.of(market(n_symbols=3, n_bars=6000, seed=4)[0])


def test_intervals_cover_what_they_promise_when_the_scale_is_wrong_by_a_factor(panel):
    sd = 3.0 * np.sqrt(panel.mean_variance(24) * 24)
    lower, upper = rolling_intervals(panel, np.zeros(sd.shape), sd)
    later = slice(2500, None)
    truth = panel.forward_return()
    assert coverage(lower[:, later], upper[:, later], truth[:, later]) == pytest.approx(0.9, abs=0.03)
    # A normal with the stated scale would be far too wide.
    assert coverage(-NORMAL_95 * sd, NORMAL_95 * sd, truth) > 0.99


def test_an_interval_knows_no_error_whose_horizon_is_still_open(panel):
    sd = np.sqrt(panel.mean_variance(24) * 24)
    whole = rolling_intervals(panel, np.zeros(sd.shape), sd)
    for n in (3001, 3024, 5000):
        part = rolling_intervals(panel.rows(0, n), np.zeros((3, n)), sd[:, :n])
        for a, b in zip(part, whole):
            np.testing.assert_array_equal(a, b[:, :n])


def test_before_sixty_errors_a_normal_stands_in(panel):
    sd = np.full(panel.close.shape, 0.02)
    lower, upper = rolling_intervals(panel.rows(0, 90), np.zeros((3, 90)), sd[:, :90])
    np.testing.assert_allclose(lower, -NORMAL_95 * 0.02)
    np.testing.assert_allclose(upper, NORMAL_95 * 0.02)


def test_bounds_are_the_order_statistics_of_split_conformal_prediction():
    sample = generator(0, "order").permutation(np.arange(1.0, 100.0))  # 1 .. 99: ranks of 5 % and 95 % of n + 1 = 100
    assert _bounds(sample, 0.9) == (5.0, 95.0)
