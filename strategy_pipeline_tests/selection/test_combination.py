"""Training and validation share one level, whatever a search tried; the score prefers what agrees to what was lucky."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from strategy_pipeline.selection import (
    Gate,
    InvalidReturnsError,
    allowed_p_value,
    consensus_scores,
    product_bound,
    search_p_value,
    sharpe_ratio,
    shortlist,
    split_days,
    stepm,
)


@given(st.floats(0.001, 0.2), st.floats(0.2, 0.5))
def test_two_uniform_p_values_pass_as_often_as_the_level_says(level: float, ceiling: float) -> None:
    """The integral of the allowed p-value over a uniform one, by its pieces on a fine logarithmic grid."""
    edges = np.concatenate([[0.0], np.geomspace(1e-6, 1.0, 400)])
    middles = np.sqrt(np.maximum(edges[:-1], 1e-9) * edges[1:])
    passed = sum(allowed_p_value(float(p), level, ceiling) * width for p, width in zip(middles, np.diff(edges), strict=True))
    assert passed == pytest.approx(level, rel=0.01)


def test_the_bound_of_the_gate_is_the_root_of_its_equation() -> None:
    c = product_bound(0.02, 0.10)
    assert c * (1 + np.log(0.10 / c)) == pytest.approx(0.02, abs=1e-12) and c == pytest.approx(0.005007125, abs=1e-9)
    assert allowed_p_value(1.0, 0.02, 0.10) == c and allowed_p_value(0.01, 0.02, 0.10) == 0.10
    assert allowed_p_value(float("nan"), 0.02, 0.10) == 0.02
    assert product_bound(0.1, 0.1) == pytest.approx(0.1)
    for level, ceiling in ((0.0, 0.1), (0.2, 0.1), (0.02, 1.0), (float("nan"), 0.1)):
        with pytest.raises(InvalidReturnsError, match="level"):
            product_bound(level, ceiling)


def searches(n_days: int, n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.standard_t(4, (n_days, n)) * (rng.random((n_days, n)) < 0.7)


def test_a_search_without_an_edge_or_costs_is_promoted_as_seldom_as_the_level_says() -> None:
    """A year, 150 independent strategies, and 30 bred from the luckiest of training: nothing of that moves the level."""
    train, held_out = split_days(365)
    gate, hits, n = Gate(resamples=200), 0, 150
    for seed in range(n):
        returns = searches(365, 150, seed)
        bred = returns[:, [int(np.nanargmax(sharpe_ratio(returns[train])))]] + 0.3 * searches(365, 30, seed + 10_000)
        given = np.concatenate([returns, bred], axis=1)
        ids = [f"s{k:03d}" for k in range(180)]
        columns = [ids.index(sid) for sid in shortlist(given[train], ids=ids, draws=ids[:150], gate=gate)]
        proved = search_p_value(returns[train], gate, seed=seed)
        found = stepm(given[held_out][:, columns], n_resamples=gate.resamples, mean_block=3.0, seed=seed)
        hits += found.p_value <= allowed_p_value(proved, gate.level, gate.validation_level)
    assert binomtest(hits, n, 0.02, alternative="greater").pvalue > 0.01


def test_of_a_short_span_blocks_are_shorter_so_that_the_best_of_many_does_not_look_proven() -> None:
    """Half a year: with blocks of a week the best of 200 is 'proven' at 0.1 about twice as often as it should be."""
    train, _ = split_days(183)
    proved = [search_p_value(searches(183, 200, seed)[train], Gate(resamples=200), seed=seed) for seed in range(100)]
    assert binomtest(int(np.sum(np.array(proved) <= 0.1)), 100, 0.1, alternative="greater").pvalue > 0.01
    assert np.isnan(search_p_value(np.zeros((90, 4)))) and np.isnan(search_p_value(np.empty((90, 0))))


def family(seed: int, size: int = 30) -> np.ndarray:
    """One idea in `size` variants with a true annual ratio of 2, beside 200 strategies that lose their costs."""
    rng = np.random.default_rng(seed)
    idea = rng.standard_normal((400, 1)) + 2.0 / np.sqrt(365)
    variants = 0.85 * idea + np.sqrt(1 - 0.85**2) * rng.standard_normal((400, size))
    others = rng.standard_normal((400, 200)) - 1.0 / np.sqrt(365)
    return 0.01 * np.concatenate([variants, others], axis=1)


def test_a_lucky_strategy_does_not_beat_an_idea_that_works_in_thirty_variants() -> None:
    chosen = 0
    for seed in range(20):
        returns = family(seed)
        best = sharpe_ratio(returns).max()
        returns[:, -1] += (best + 0.01) * returns[:, -1].std(ddof=1) - returns[:, -1].mean()
        assert int(np.argmax(sharpe_ratio(returns))) == returns.shape[1] - 1
        chosen += int(np.argmax(consensus_scores(returns))) < 30
    assert chosen >= 18


def test_what_a_search_bred_has_no_vote() -> None:
    """A hundred copies of a lucky find outvote an idea, unless only what was drawn votes."""
    returns = family(3)
    returns[:, -1] += 0.01 * 3.0 / np.sqrt(365) - returns[:, -1].mean()
    bred = returns[:, [-1]] + 1e-4 * np.random.default_rng(0).standard_normal((400, 100))
    both = np.concatenate([returns, bred], axis=1)
    voters = np.arange(both.shape[1]) < returns.shape[1]
    assert int(np.argmax(consensus_scores(both))) >= returns.shape[1] - 1
    assert int(np.nanargmax(consensus_scores(both, voters))) < 30


def test_scores_are_those_of_the_formula_and_undefined_where_nothing_is_known() -> None:
    returns = family(1)[:, 20:40]
    returns[:, 4] = 0.0
    returns[:30, 5] = np.nan
    found = consensus_scores(returns)
    ratio, years = sharpe_ratio(returns, 365.0), (~np.isnan(returns)).sum(axis=0) / 365.0
    filled = np.where(np.isnan(returns), np.nanmean(returns, axis=0), returns)
    related = np.corrcoef(np.delete(filled, 4, axis=1), rowvar=False)
    weight = np.exp(np.delete(ratio * years, 4))
    expected = np.log(np.maximum(related, 0) ** 2 @ weight) + 0.15 * np.delete(ratio * years, 4)
    np.testing.assert_allclose(np.delete(found, 4), expected, rtol=1e-9)
    assert np.isnan(found[4])
    assert np.isnan(consensus_scores(np.zeros((50, 3)))).all() and consensus_scores(np.empty((50, 0))).shape == (0,)
    only = np.arange(20) == 7
    assert np.isfinite(consensus_scores(returns, candidates=only)).sum() == 1
