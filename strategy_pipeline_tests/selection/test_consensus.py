"""The score prefers what agrees to what was lucky, and only draws vote."""

from __future__ import annotations

import numpy as np

from strategy_pipeline.selection import consensus_scores, sharpe_ratio


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
