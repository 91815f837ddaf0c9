from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategy_pipeline.forecasting.scores import brier, coverage, judged_rows, pinball, qlike, rank_ic, trimmed_qlike
from strategy_pipeline.rng import generator


def test_scores_are_those_of_scipy_and_scikit_learn():
    from scipy.stats import spearmanr
    from sklearn.metrics import brier_score_loss, mean_pinball_loss

    rng = generator(0, "scores")
    x, y = rng.standard_normal(200), rng.standard_normal(200)
    assert rank_ic(x, y) == pytest.approx(spearmanr(x, y).statistic)
    levels = np.array([0.1, 0.5, 0.9])
    quantiles = np.sort(rng.standard_normal((200, 3)), axis=1)
    expected = np.mean([mean_pinball_loss(y, quantiles[:, i], alpha=levels[i]) for i in range(3)])
    assert pinball(quantiles, levels, y) == pytest.approx(expected)
    p, happened = rng.random(200), (rng.random(200) < 0.5).astype(float)
    assert brier(p, happened) == pytest.approx(brier_score_loss(happened, p))


@given(st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=20), st.floats(0.1, 10))
def test_qlike_is_zero_when_exact_and_positive_otherwise(values, factor):
    y = np.array(values)
    assert qlike(y, y) == pytest.approx(0, abs=1e-12)
    assert qlike(factor * y, y) == pytest.approx(1 / factor + np.log(factor) - 1, abs=1e-9)


def test_one_jump_does_not_decide_a_trimmed_score():
    y = np.ones(200)
    y[7] = 1e4
    assert trimmed_qlike(np.ones(200), y) == pytest.approx(0) and qlike(np.ones(200), y) > 40


def test_a_score_of_nothing_is_not_a_number():
    empty = np.full(5, np.nan)
    assert np.isnan([qlike(empty, empty), rank_ic(empty, empty), brier(empty, empty), coverage(empty, empty, empty)]).all()
    assert np.isnan(rank_ic(np.ones(9), np.arange(9.0)))
    assert np.isnan(trimmed_qlike(empty, empty)) and np.isnan(pinball(empty[:, None], np.array([0.5]), empty))


@given(st.integers(10, 5000), st.integers(1, 50))
def test_labels_of_fitting_rows_end_before_the_judged_tail(n, horizon):
    end, tail = judged_rows(n, horizon)
    assert 0 <= end <= tail < n
    assert end == 0 or end - 1 + horizon < tail
