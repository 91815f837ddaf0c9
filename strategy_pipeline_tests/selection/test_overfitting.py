"""PBO on matrices whose answer is known, and against a plain double loop."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategy_pipeline.selection import InvalidReturnsError, cross_validated_overfitting, probability_of_backtest_overfitting


def plain_pbo(returns: np.ndarray, n_blocks: int) -> float:
    """The definition, one combination at a time."""
    edges = [(b * len(returns)) // n_blocks for b in range(n_blocks + 1)]
    blocks = [returns[edges[b] : edges[b + 1]] for b in range(n_blocks)]
    logits = []
    for half in combinations(range(n_blocks), n_blocks // 2):
        inside = np.concatenate([blocks[b] for b in half])
        outside = np.concatenate([blocks[b] for b in range(n_blocks) if b not in half])
        ratio = outside.mean(axis=0) / outside.std(axis=0, ddof=1)
        best = np.argmax(inside.mean(axis=0) / inside.std(axis=0, ddof=1))
        rank = (ratio < ratio[best]).sum() + 1
        logits.append(np.log(rank / (len(ratio) + 1 - rank)))
    return float(np.mean(np.array(logits) <= 0))


@given(st.integers(0, 2**31), st.sampled_from([2, 4, 6, 8]), st.integers(2, 12), st.integers(40, 77))
def test_block_sums_give_what_the_plain_definition_gives(seed, n_blocks, n_strategies, n_obs):
    returns = np.random.default_rng(seed).standard_normal((n_obs, n_strategies)) * 0.01 + 0.001
    assert probability_of_backtest_overfitting(returns, n_blocks) == pytest.approx(plain_pbo(returns, n_blocks), abs=1e-12)


def test_pure_noise_is_near_one_half():
    values = [probability_of_backtest_overfitting(np.random.default_rng(seed).standard_normal((480, 100)), 10) for seed in range(60)]
    assert np.mean(values) == pytest.approx(0.5, abs=4 * np.std(values) / np.sqrt(60))


def test_one_dominant_strategy_is_near_zero():
    returns = np.random.default_rng(1).standard_normal((800, 50))
    returns[:, 17] += 0.4
    found = cross_validated_overfitting(returns)
    assert found.probability < 0.01
    assert (found.winners == 17).mean() > 0.99
    assert len(found.logits) == 12_870


def test_anti_persistent_strategies_are_near_one():
    """What wins in some blocks loses as much in the others: every strategy's sum over all blocks is the same."""
    rng = np.random.default_rng(2)
    means = rng.standard_normal((16, 40))
    means -= means.mean(axis=0)
    returns = np.repeat(means, 50, axis=0) + 0.01 * rng.standard_normal((800, 40))
    assert probability_of_backtest_overfitting(returns) > 0.99


def test_a_strategy_without_returns_changes_nothing():
    returns = np.random.default_rng(3).standard_normal((320, 9))
    with_dead = np.column_stack([np.zeros(320), returns, np.full(320, np.nan), np.full(320, 0.3)])
    assert probability_of_backtest_overfitting(with_dead) == probability_of_backtest_overfitting(returns)


def test_missing_days_are_left_out_of_their_own_column():
    returns = np.random.default_rng(4).standard_normal((320, 6))
    returns[:40, 2] = np.nan
    found = cross_validated_overfitting(returns, 8)
    assert np.isfinite(found.logits).all()
    assert 0 <= found.probability <= 1


def test_nothing_to_rank_is_nan():
    assert np.isnan(probability_of_backtest_overfitting(np.zeros((64, 5))))
    assert np.isnan(probability_of_backtest_overfitting(np.random.default_rng(0).standard_normal((64, 1))))


@pytest.mark.parametrize(
    ("shape", "n_blocks", "message"),
    [((64, 3), 7, "even number"), ((64, 3), 0, "even number"), ((64, 3), 40, "even number"), ((20, 3), 16, "at least 32 observations")],
)
def test_blocks_that_do_not_fit_are_refused(shape, n_blocks, message):
    with pytest.raises(InvalidReturnsError, match=message):
        probability_of_backtest_overfitting(np.ones(shape), n_blocks)
