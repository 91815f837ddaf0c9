"""Sharpe ratios against published examples and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from strategy_pipeline.selection import (
    InvalidReturnsError,
    deflated_sharpe_ratio,
    expected_maximum_sharpe,
    minimum_track_record_length,
    probabilistic_sharpe_ratio,
    sharpe_ratio,
    t_statistic,
)
from strategy_pipeline.selection.ratios import moments


def test_the_published_deflated_ratio_is_reproduced():
    """Bailey and López de Prado (2014), p. 102: annual SR 2.5, T = 1250, V = 1/2 a year, N = 100; DSR 0.9004, with 46 trials 0.9505."""
    published = deflated_sharpe_ratio(2.5 / np.sqrt(250), 1250, -3, 10, 100, 0.5 / 250)
    assert published == pytest.approx(0.9004, abs=5e-5)
    assert expected_maximum_sharpe(100, 0.5 / 250) == pytest.approx(0.1132, abs=5e-5)
    assert deflated_sharpe_ratio(2.5 / np.sqrt(250), 1250, -3, 10, 46, 0.5 / 250) == pytest.approx(0.9505, abs=5e-5)


def test_the_published_probabilistic_ratio_is_reproduced():
    """Bailey and López de Prado (2012): 24 months, monthly SR 0.458, skew -2.448, kurtosis 10.164."""
    assert probabilistic_sharpe_ratio(0.458, 24) == pytest.approx(0.982, abs=5e-4)
    assert probabilistic_sharpe_ratio(0.458, 24, -2.448, 10.164) == pytest.approx(0.913, abs=5e-4)


def test_the_published_track_record_length_is_reproduced():
    """Bailey and López de Prado (2012): a daily track record of annual SR 2 needs 2.73 years to show more than 1 at 95 %."""
    days = minimum_track_record_length(2 / np.sqrt(250), benchmark=1 / np.sqrt(250))
    assert days / 250 == pytest.approx(2.73, abs=5e-3)


@given(st.floats(0.01, 0.3), st.floats(-2, 1), st.floats(5, 20), st.floats(0.6, 0.99))
def test_the_track_record_length_is_where_the_probability_reaches_the_confidence(sharpe, skew, kurt, confidence):
    length = minimum_track_record_length(sharpe, skew, kurt, confidence=confidence)
    assume(length >= 2)
    assert probabilistic_sharpe_ratio(sharpe, length, skew, kurt) == pytest.approx(confidence, abs=1e-9)


@given(st.floats(0.0, 0.3), st.integers(50, 3000), st.integers(1, 10_000), st.integers(1, 10_000))
def test_more_trials_never_raise_the_deflated_ratio(sharpe, n_obs, few, more):
    few, more = sorted((few, more))
    variance = 1 / (n_obs - 1)
    assert deflated_sharpe_ratio(sharpe, n_obs, 0, 3, more, variance) <= deflated_sharpe_ratio(sharpe, n_obs, 0, 3, few, variance) + 1e-12


def test_the_expected_maximum_is_near_what_a_simulation_shows():
    draws = np.random.default_rng(5).standard_normal((4000, 200)).max(axis=1)
    assert expected_maximum_sharpe(200, 1.0) == pytest.approx(draws.mean(), abs=4 * draws.std() / np.sqrt(4000) + 0.02)


def test_one_trial_is_not_deflated():
    assert expected_maximum_sharpe(1, 0.002) == 0.0
    assert deflated_sharpe_ratio(0.1, 500, -0.5, 5, 1, 0.002) == probabilistic_sharpe_ratio(0.1, 500, -0.5, 5)


def test_impossible_counts_and_variances_are_refused():
    with pytest.raises(InvalidReturnsError, match="at least 1 trial, was 0"):
        deflated_sharpe_ratio(0.1, 500, 0, 3, 0, 0.002)
    with pytest.raises(InvalidReturnsError, match="variance of at least 0"):
        deflated_sharpe_ratio(0.1, 500, 0, 3, 10, -0.002)
    with pytest.raises(InvalidReturnsError, match="confidence"):
        minimum_track_record_length(0.1, confidence=1.0)


def test_undefined_is_nan():
    assert np.isnan(deflated_sharpe_ratio(float("nan"), 500, 0, 3, 10, 0.002))
    assert np.isnan(deflated_sharpe_ratio(0.1, 1, 0, 3, 10, 0.002))
    assert np.isnan(minimum_track_record_length(-0.1))
    constant = np.column_stack([np.zeros(10), np.full(10, 0.1), np.full(10, np.nan), [0.01] + [np.nan] * 9])
    assert np.isnan(sharpe_ratio(constant)).all()
    assert np.isnan(t_statistic(constant)).all()


def test_moments_leave_out_missing_days():
    column = np.random.default_rng(1).gamma(2, size=300)
    holed = np.insert(column, [0, 50, 300], np.nan)
    count, mean, deviation, skew, kurt = (value[0] for value in moments(holed))
    assert count == 300
    assert mean == pytest.approx(column.mean(), rel=1e-12)
    assert deviation == pytest.approx(column.std(ddof=1), rel=1e-12)
    assert skew == pytest.approx(stats.skew(column), rel=1e-10)
    assert kurt == pytest.approx(stats.kurtosis(column, fisher=False), rel=1e-10)
    assert t_statistic(holed)[0] == pytest.approx(stats.ttest_1samp(column, 0).statistic, rel=1e-12)


def test_an_infinite_return_is_refused():
    with pytest.raises(InvalidReturnsError, match="infinite in column 1"):
        sharpe_ratio(np.array([[0.1, 0.2], [0.1, np.inf]]))
