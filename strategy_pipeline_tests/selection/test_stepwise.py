"""The multiple tests: against arch where arch can, and their size and power by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from strategy_pipeline.selection import InvalidReturnsError, bootstrap_standard_error, reality_check, spa_p_value, stepm
from strategy_pipeline.selection.stepwise import resample_counts


def factor_returns(seed: int, n_obs: int = 300, n_strategies: int = 20) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return 0.01 * (rng.standard_t(4, (n_obs, n_strategies)) + rng.standard_normal((n_obs, 1)))


@pytest.mark.parametrize("edge", [0.0, 0.0008, 0.0016])
def test_the_unstudentised_case_agrees_with_arch(edge):
    from arch.bootstrap import SPA

    returns = factor_returns(3)
    returns[:, 4] += edge
    n_resamples = 2000
    other = SPA(np.zeros(len(returns)), -returns, block_size=7, reps=n_resamples, bootstrap="stationary", studentize=False, seed=1)
    other.compute()
    for recenter in ("lower", "consistent", "upper"):
        ours = spa_p_value(returns, n_resamples=n_resamples, studentize=False, recenter=recenter)
        theirs = float(other.pvalues[recenter])
        noise = np.sqrt(2 * max(theirs * (1 - theirs), 0.01) / n_resamples)
        assert ours == pytest.approx(theirs, abs=4 * noise)


def test_the_reality_check_is_the_unstudentised_upper_case():
    returns = factor_returns(5)
    assert reality_check(returns, seed=2) == spa_p_value(returns, studentize=False, recenter="upper", seed=2)


def test_the_closed_form_error_is_the_deviation_of_resampled_means():
    returns = factor_returns(7, 200, 6)
    returns[1:] += 0.4 * returns[:-1]
    returns[:25, 3] = np.nan
    counts = resample_counts(200, 7.0, 8000, 1)
    valid = ~np.isnan(returns)
    means = (counts @ np.where(valid, returns, 0)) / (counts @ valid)
    assert bootstrap_standard_error(returns, 7.0) == pytest.approx(means.std(axis=0), rel=0.06)


def test_a_mean_block_of_one_is_the_independent_bootstrap():
    returns = factor_returns(8, 150, 3)
    assert bootstrap_standard_error(returns, 1.0) == pytest.approx(returns.std(axis=0) / np.sqrt(150), rel=1e-12)


def turned_gamma(rng: np.random.Generator) -> np.ndarray:
    """Rare large losses, often mistaken for an edge."""
    loss = rng.gamma(0.3, size=(300, 5))
    return (0.3 - loss) * 0.02


def heavy_tails(rng: np.random.Generator) -> np.ndarray:
    return 0.01 * (rng.standard_t(4, (300, 5)) + rng.standard_normal((300, 1)))


@pytest.mark.parametrize("draw", [heavy_tails, turned_gamma])
def test_the_size_is_close_to_nominal_without_an_edge(draw):
    rng = np.random.default_rng(11)
    rejected = sum(spa_p_value(draw(rng), n_resamples=300, seed=1) <= 0.10 for _ in range(300))
    # Not shown to exceed 0.13 at any usual level: the bootstrap is asymptotic, three points are its allowance.
    assert binomtest(rejected, 300, 0.13, alternative="greater").pvalue > 0.01
    assert rejected >= 300 * 0.03


def test_an_edge_is_found_and_named():
    found = 0
    for seed in range(40):
        returns = factor_returns(seed, 438, 5)
        # An annual Sharpe ratio of 4 in this column's own deviation.
        returns[:, 2] += 4 / np.sqrt(365) * returns[:, 2].std()
        superior = stepm(returns, n_resamples=300, seed=seed).superior
        found += bool(superior[2])
    assert found >= 30


def test_a_volatile_loser_cannot_hide_a_quiet_winner():
    rng = np.random.default_rng(1)
    quiet = 0.002 * rng.standard_normal(400) + 0.0005
    wild = 0.2 * rng.standard_normal((400, 8)) - 0.01
    returns = np.column_stack([quiet, wild])
    assert stepm(returns, seed=1).superior[0]
    assert not stepm(returns, studentize=False, seed=1).superior[0]


def test_adding_strategies_never_lowers_a_p_value():
    returns = factor_returns(2, 300, 10)
    alone = stepm(returns[:, :3], recenter="upper", seed=4).p_values
    among = stepm(returns, recenter="upper", seed=4).p_values[:3]
    assert (among >= alone - 1e-12).all()


def test_the_order_of_strategies_does_not_matter():
    returns = factor_returns(9, 300, 8)
    order = np.random.default_rng(0).permutation(8)
    assert np.array_equal(stepm(returns, seed=4).p_values[order], stepm(returns[:, order], seed=4).p_values)


def test_what_cannot_be_tested_is_nan_and_does_not_disturb_the_rest():
    returns = factor_returns(4, 300, 3)
    with_dead = np.column_stack([returns, np.zeros(300), np.full(300, np.nan), np.full(300, 0.01)])
    result = stepm(with_dead, seed=1)
    assert np.isnan(result.p_values[3:]).all() and not result.superior[3:].any()
    assert np.array_equal(result.p_values[:3], stepm(returns, seed=1).p_values)
    assert np.isnan(stepm(np.zeros((50, 2))).p_value)


def test_bad_arguments_name_the_value_and_the_remedy():
    for arguments, message in [({"level": 0}, "level"), ({"recenter": "middle"}, "recenter"), ({"mean_block": 0.5}, "mean block"),
                               ({"n_resamples": 0}, "1 resample")]:  # fmt: skip
        with pytest.raises(InvalidReturnsError, match=message):
            stepm(np.ones((10, 2)), **arguments)
