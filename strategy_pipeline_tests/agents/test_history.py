from __future__ import annotations

import numpy as np
import pytest

from strategy_pipeline.agents import agent_history
from strategy_pipeline.agents.history import fit_agent
from strategy_pipeline.backtest.costs import Costs
from strategy_pipeline_tests.forecasting.markets import cut, market, with_other_future

COSTS = Costs()
SIZES = {"refit_days": 10, "first_fit_days": 15, "steps": 150, "costs": COSTS, "seed": 2}


@pytest.fixture(scope="module")
def world():
    return market(n_symbols=2, n_bars=24 * 40, seed=6)


@pytest.fixture(scope="module")
def kept():
    return {}


@pytest.fixture(scope="module")
def cache(kept):
    def find(key, make):
        if key not in kept:
            kept[key] = make()
        return kept[key]

    return find


@pytest.fixture(scope="module")
def history(world, cache):
    return agent_history(*world, cache=cache, **SIZES)


def test_history_makes_the_actions_and_their_vote(history, world):
    assert set(history.series) == {"agent.dqn", "agent.ppo", "agent.sac", "agent.vote"}
    first = history.answers["ppo"][0][0]
    assert world[0].times[first] == np.datetime64("2024-01-25")  # 8,790 days after 2000-01-01
    for values in history.series.values():
        assert np.isnan(values[:, :first]).all() and np.isfinite(values[1, first:]).all()
        assert np.nanmax(np.abs(values)) <= 1 and not values.flags.writeable
    three = np.stack([history.series[f"agent.{name}"] for name in ("dqn", "ppo", "sac")])
    np.testing.assert_allclose(history.series["agent.vote"], three.mean(0), atol=1e-15)
    assert {fit.kind for fit in history.fits} == {"agent_dqn", "agent_ppo", "agent_sac"}


def test_the_past_of_every_action_is_the_same_whatever_follows(history, world, cache):
    n = 24 * 30 + 5
    part = agent_history(*cut(*world, n), cache=cache, **SIZES)
    other = agent_history(*with_other_future(*world, n), algorithms=("ppo",), **SIZES)
    for name, values in history.series.items():
        np.testing.assert_array_equal(part.series[name], values[:, :n])
    np.testing.assert_array_equal(other.series["agent.ppo"][:, :n], history.series["agent.ppo"][:, :n])


def test_trainings_are_made_once(history, world, cache, kept):
    made = len(kept)
    again = agent_history(*world, cache=cache, **SIZES)
    assert len(kept) == made == len(history.fits) == 6
    for name, values in history.series.items():
        np.testing.assert_array_equal(again.series[name], values)
    # Other costs are another training.
    key = fit_agent("ppo", *world, cutoff="2024-01-25", steps=150, seed=2, costs=COSTS, cache=cache).key
    assert key in kept and len(kept) == made
    assert fit_agent("ppo", *world, cutoff="2024-01-25", steps=150, seed=2, costs=Costs(fee_bps=1)).key != key


def test_an_agent_starts_flat_at_its_own_cutoff(history, world):
    bars, features = world
    fits = {(fit.kind, fit.cutoff): fit for fit in history.fits}
    first, cutoff = history.answers["sac"][-1]
    alone = fits["agent_sac", cutoff].model.act(bars, features, start=first)
    np.testing.assert_array_equal(history.series["agent.sac"][:, first:], alone[:, first:])


def test_a_refused_row_is_one_at_which_nothing_is_held(world, cache, history):
    refused = np.zeros(world[0].close.shape, dtype=bool)
    refused[0, 700:704] = True
    judged = agent_history(
        *world, cache=cache, judge=lambda cutoff, first, end: np.where(refused[:, first:end], 0.0, 1.0), **SIZES
    )  # fmt: skip
    first = history.answers["ppo"][0][0]
    for name, values in history.series.items():
        np.testing.assert_array_equal(judged.series[name][~refused], values[~refused])
        assert (judged.series[name][refused] == 0).all()
    familiar = judged.series["familiar.agents"]
    assert (familiar[:, first:][~refused[:, first:]] == 1).all() and (familiar[refused] == 0).all() and np.isnan(familiar[:, :first]).all()
    assert "familiar.agents" not in history.series
