from __future__ import annotations

import numpy as np
import pytest

from strategy_pipeline.forecasting import TwoStateRegime
from strategy_pipeline.forecasting.regime import expectation, fit_hmm, forward_filter
from strategy_pipeline.rng import generator
from strategy_pipeline_tests.forecasting.markets import market

START, MOVES, MEAN, SD = np.array([0.6, 0.4]), np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([-1.0, 1.5]), np.array([0.7, 1.1])


def simulated(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = generator(seed, "hmm")
    states = np.zeros(n, dtype=int)
    for t in range(1, n):
        states[t] = rng.random() < MOVES[states[t - 1], 1]
    return MEAN[states] + SD[states] * rng.standard_normal(n), states


def filtered_by_paths(x: np.ndarray) -> np.ndarray:
    """The filter by summing over every path of states: slow, and nothing can hide in it."""
    from itertools import product

    out = []
    for t in range(len(x)):
        weight = np.zeros(2)
        for path in product((0, 1), repeat=t + 1):
            p = START[path[0]]
            for i, state in enumerate(path):
                p *= MOVES[path[i - 1], state] if i else 1.0
                if not np.isnan(x[i]):
                    p *= np.exp(-0.5 * ((x[i] - MEAN[state]) / SD[state]) ** 2) / SD[state]
            weight[path[-1]] += p
        out.append(weight / weight.sum())
    return np.array(out)


def test_the_filter_is_the_sum_over_all_paths():
    x = simulated(9)[0]
    x[4] = np.nan
    np.testing.assert_allclose(forward_filter(x, 1, START, MOVES, MEAN, SD), filtered_by_paths(x), rtol=1e-10)


def test_a_filter_with_a_step_is_interleaved_chains():
    x = simulated(30)[0]
    out = forward_filter(x, 3, START, MOVES, MEAN, SD)
    for phase in range(3):
        alone = forward_filter(np.ascontiguousarray(x[phase::3]), 1, START, MOVES, MEAN, SD)
        np.testing.assert_array_equal(out[phase::3], alone)


def test_estimation_recovers_the_parameters():
    x, _ = simulated(6000)
    found, _, _ = fit_hmm(x.reshape(3, 2000), iterations=200, tolerance=1e-8)
    np.testing.assert_allclose(found["mean"], MEAN, atol=0.1)
    np.testing.assert_allclose(found["sd"], SD, atol=0.1)
    np.testing.assert_allclose(found["transition"], MOVES, atol=0.05)


def test_smoothed_weights_end_at_the_filter_and_the_likelihood_is_that_of_the_paths():
    x = simulated(8)[0][None]
    weights, moves, loglik = expectation(x, START, MOVES, MEAN, SD)
    np.testing.assert_allclose(weights[0, -1], filtered_by_paths(x[0])[-1], rtol=1e-9)
    assert moves.sum() == pytest.approx(7)
    # One observation at a time: p(x_t | past) from the filter's prediction.
    total = 0.0
    for t in range(8):
        prior = START if t == 0 else filtered_by_paths(x[0])[t - 1] @ MOVES
        total += np.log((prior * np.exp(-0.5 * ((x[0, t] - MEAN) / SD) ** 2) / (SD * np.sqrt(2 * np.pi))).sum())
    assert loglik == pytest.approx(total, rel=1e-9)


def test_the_turbulent_state_is_the_more_volatile_and_probabilities_sum_to_one():
    bars, features = market(n_bars=3000, seed=5)
    said = TwoStateRegime().fit(bars, features, cutoff="2024-04-01").predict(bars)
    calm, turbulent = said["regime.calm"], said["regime.turbulent"]
    known = np.isfinite(calm)
    np.testing.assert_allclose(calm[known] + turbulent[known], 1.0, atol=1e-12)
    returns = np.full(bars.close.shape, np.nan)
    returns[:, 1:] = np.log(bars.close[:, 1:] / bars.close[:, :-1])
    ahead = np.roll(returns, -1, axis=1)[:, :-1]
    assert np.nanstd(ahead[turbulent[:, :-1] > 0.8]) > 1.5 * np.nanstd(ahead[calm[:, :-1] > 0.8])
