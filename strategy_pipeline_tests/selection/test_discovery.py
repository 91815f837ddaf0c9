"""False-discovery rates, haircuts and the model confidence set: against scipy, the papers, and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from strategy_pipeline.selection import (
    InvalidReturnsError,
    adjusted_p_values,
    clopper_pearson,
    family_discoveries,
    haircut_sharpe,
    model_confidence_set,
    one_sided_p_values,
    split_days,
)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.sampled_from(["bh", "by"]))
def test_adjusted_p_values_are_those_of_scipy(p_values, method):
    assert adjusted_p_values(p_values, method) == pytest.approx(stats.false_discovery_control(p_values, method=method), abs=1e-12)


def test_the_published_example_has_four_discoveries():
    """Benjamini and Hochberg (1995), section 2: fifteen p-values of the thrombolysis study, four rejected at 0.05."""
    p_values = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0]
    assert (adjusted_p_values(p_values, "bh") <= 0.05).sum() == 4


def test_what_is_not_tested_is_not_counted():
    with_gaps = adjusted_p_values([0.01, np.nan, 0.2, np.nan], "bh")
    assert np.isnan(with_gaps[[1, 3]]).all()
    assert with_gaps[[0, 2]] == pytest.approx(adjusted_p_values([0.01, 0.2], "bh"))


def test_p_values_of_the_mean_are_those_of_the_t_test():
    returns = np.random.default_rng(0).standard_normal((80, 4)) + 0.1
    assert one_sided_p_values(returns) == pytest.approx(stats.ttest_1samp(returns, 0, alternative="greater").pvalue)
    assert np.isnan(one_sided_p_values(np.zeros((80, 1)))).all()


def test_the_share_of_false_discoveries_stays_at_its_level():
    """Ten of sixty strategies have an edge; all share a factor, half of them short of it."""
    rng, shares, found = np.random.default_rng(1), [], 0
    families = [f"f{k % 6}" for k in range(60)]
    real = np.arange(60) % 6 == 0
    for _ in range(150):
        returns = rng.standard_normal((300, 60)) + np.where(np.arange(60) % 2, 1, -1) * rng.standard_normal((300, 1))
        returns[:, real] += 0.35
        result = family_discoveries(one_sided_p_values(returns), families)
        false = result.discoveries & ~real
        shares.append(false.sum() / max(result.discoveries.sum(), 1))
        found += (result.discoveries & real).sum()
    assert np.mean(shares) <= 0.10 + 3 * np.std(shares) / np.sqrt(150)
    assert found > 0.3 * 150 * real.sum()


def test_on_noise_hardly_any_family_is_selected():
    rng = np.random.default_rng(2)
    some = sum(
        bool(family_discoveries(rng.random(40), ["a", "b", "c", "d"] * 10, across="bh", within="bh").families["selected"].any())
        for _ in range(300)
    )
    assert stats.binomtest(some, 300, 0.10, alternative="greater").pvalue > 0.01 and some > 5


def test_a_family_with_one_clear_winner_is_selected_and_the_others_left():
    result = family_discoveries([1e-6, 0.7, 0.9, 0.4, 0.5, np.nan], ["x", "x", "x", "y", "y", "z"])
    table = result.families.set_index("family")
    assert table["selected"].to_dict() == {"x": True, "y": False, "z": False}
    assert result.discoveries.tolist() == [True] + [False] * 5
    assert table.loc["x", "p_value"] == pytest.approx(3e-6) and table.loc["z", "strategies"] == 0


def test_the_published_haircut_is_reproduced():
    """Harvey and Liu (2015): an annual ratio of 0.75 over 20 years, 200 tests: p 0.0008 becomes 0.15, the ratio 0.32."""
    months = 240
    after = haircut_sharpe(0.75 / np.sqrt(12), months, 200, method="independent", normal=True) * np.sqrt(12)
    assert after == pytest.approx(0.32, abs=5e-3)
    raised = 2 * stats.norm.sf(after * np.sqrt(20))
    assert 2 * stats.norm.sf(0.75 * np.sqrt(20)) == pytest.approx(0.0008, abs=5e-5) and raised == pytest.approx(0.15, abs=5e-3)


@given(st.floats(0.0, 0.4), st.integers(20, 2000), st.floats(1, 1e4), st.sampled_from(["independent", "bonferroni", "holm", "by"]))
def test_a_haircut_takes_and_never_gives(sharpe, n_obs, trials, method):
    after = haircut_sharpe(sharpe, n_obs, trials, method=method)
    assert -1e-9 <= after <= sharpe + 1e-9
    assert haircut_sharpe(-sharpe, n_obs, trials, method=method) == pytest.approx(-after, abs=1e-12)


def test_one_test_costs_nothing_and_a_large_ratio_little():
    assert haircut_sharpe(0.12, 1000, 1) == pytest.approx(0.12, rel=1e-9)
    small, large = (1 - haircut_sharpe(s, 1000, 500) / s for s in (0.10, 0.25))
    assert small > 0.5 > 0.2 > large


def test_holm_is_step_by_step():
    """By hand: p-values 0.01, 0.02, 0.03 become 0.03, 0.04, 0.04."""
    n = 500
    strength = -stats.t.ppf(np.array([0.01, 0.02, 0.03]) / 2, n - 1)
    after = haircut_sharpe(strength / np.sqrt(n), n, method="holm") * np.sqrt(n)
    assert 2 * stats.t.sf(after, n - 1) == pytest.approx([0.03, 0.04, 0.04], rel=1e-6)


def test_the_best_strategy_stays_in_the_confidence_set_and_the_worst_leaves():
    kept, dropped = 0, 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        returns = rng.standard_normal((400, 6)) * 0.01 * np.arange(1, 7)
        returns += 0.01 * np.arange(1, 7) * np.array([0.3, 0, 0, 0, 0, -0.3])
        result = model_confidence_set(returns, n_resamples=200, seed=seed)
        kept += bool(result.included[0])
        dropped += not result.included[5]
    assert kept >= 11 and dropped >= 11


def test_equal_strategies_all_stay_most_of_the_time():
    left_out = 0
    for seed in range(30):
        returns = np.random.default_rng(seed).standard_normal((250, 4))
        left_out += not model_confidence_set(returns, n_resamples=200, seed=seed).included.all()
    assert stats.binomtest(left_out, 30, 0.10, alternative="greater").pvalue > 0.01


def test_the_confidence_set_leaves_out_what_cannot_be_compared():
    returns = np.random.default_rng(3).standard_normal((200, 3))
    returns[:20, 1] = np.nan
    with_dead = np.column_stack([returns, np.zeros(200), np.full(200, np.nan)])
    result = model_confidence_set(with_dead, n_resamples=100)
    assert result.days == 180 and np.isnan(result.p_values[3:]).all() and not result.included[3:].any()
    assert np.array_equal(model_confidence_set(with_dead, n_resamples=100).p_values, result.p_values, equal_nan=True)
    assert model_confidence_set(returns[:, :1]).included.tolist() == [True]
    assert np.isnan(model_confidence_set(np.zeros((50, 2))).p_values).all()


def test_the_exact_interval_is_scipys():
    for hits, n in ((0, 40), (1, 40), (17, 20), (40, 40)):
        other = stats.binomtest(hits, n).proportion_ci(0.95, "exact")
        assert clopper_pearson(hits, n) == pytest.approx((other.low, other.high), abs=1e-9)


def test_days_are_split_with_a_gap_and_nothing_twice():
    train, held_out = split_days(1095)
    assert (train.stop, held_out.start, held_out.stop) == (433, 438, 1095)
    with pytest.raises(InvalidReturnsError, match="was 6 days"):
        split_days(6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: adjusted_p_values([0.5, 1.2]), "p-values of shape"),
        (lambda: adjusted_p_values([0.5], "holm"), "bh or by"),  # type: ignore[arg-type]
        (lambda: family_discoveries([0.5], ["a", "b"]), "one family per p-value"),
        (lambda: haircut_sharpe([0.1, 0.2], 100, 1), "at least the 2 trials"),
        (lambda: haircut_sharpe(0.1, 1, 1), "at least 2 observations"),
        (lambda: haircut_sharpe(0.1, 100, 1, method="none"), "was 'none'"),  # type: ignore[arg-type]
        (lambda: model_confidence_set(np.ones((10, 201))), "at most 200"),
        (lambda: clopper_pearson(5, 4), "hits between 0 and n"),
    ],
)
def test_what_cannot_be_is_refused(call, message):
    with pytest.raises(InvalidReturnsError, match=message):
        call()
