"""What the environment shows, pays and forbids."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategy_pipeline.agents import TradingEnv, TradingMarket, VectorTradingEnv
from strategy_pipeline.backtest.costs import Costs
from strategy_pipeline.errors import NoDataError
from strategy_pipeline.forecasting.scaling import fit_scaler
from strategy_pipeline.rng import generator
from strategy_pipeline_tests.forecasting.markets import cut, market, with_other_future

COSTS = Costs(fee_bps=10, slippage_bps=5)


@pytest.fixture(scope="module")
def world():
    return market(n_symbols=2, n_bars=900, seed=1)


def of(bars, features, scaler=None, scale=None):
    scaler = scaler or fit_scaler(features.values, np.arange(features.values.shape[1]))
    return TradingMarket.of(bars, features, scaler, COSTS, scale)


@pytest.fixture(scope="module")
def playground(world):
    return of(*world)


def by_hand(opens, tradable=None) -> TradingMarket:
    """A market of one symbol with given opens, one constant feature, no scaling, 15 bp a unit of turnover."""
    opens = np.asarray([opens], dtype=float)
    returns = np.zeros(opens.shape)
    returns[:, :-2] = opens[:, 2:] / opens[:, 1:-1] - 1
    ok = np.zeros(opens.shape, dtype=bool)
    ok[:, :-2] = True if tradable is None else tradable
    return TradingMarket(np.zeros((*opens.shape, 1), np.float32), np.where(ok, returns, 0.0), ok, np.ones(1), 0.0015)


@pytest.mark.parametrize("discrete", [True, False])
def test_the_environment_passes_both_checkers(playground, discrete):
    import gymnasium.utils.env_checker
    import stable_baselines3.common.env_checker

    env = TradingEnv(playground, discrete=discrete)
    gymnasium.utils.env_checker.check_env(env, skip_render_check=True)
    stable_baselines3.common.env_checker.check_env(env)


def test_a_decision_earns_the_return_from_the_next_open_to_the_one_after_less_its_turnover():
    env = TradingEnv(by_hand([100, 110, 121, 121, 60.5, 60.5]))
    observation, _ = env.reset(seed=0)
    assert observation[-1] == 0
    rewards, positions = [], []
    for action in (2, 2, 0, 1):  # long, long, short, flat
        observation, reward, terminated, truncated, _ = env.step(action)
        rewards.append(reward)
        positions.append(observation[-1])
    # Opens 110 -> 121 -> 121 -> 60.5 -> 60.5.
    np.testing.assert_allclose(rewards, [0.1 - 0.0015, 0.0, 0.5 - 0.0030, -0.0015])
    assert positions == [1, 1, -1, 0]
    assert truncated and not terminated


def test_a_bar_that_cannot_be_filled_keeps_the_position_and_earns_nothing():
    env = TradingEnv(by_hand([100, 100, 110, 110, 121, 121], [True, False, True, True]))
    env.reset(seed=0)
    _, first, *_ = env.step(2)
    observation, second, *_ = env.step(0)
    assert first == pytest.approx(0.1 - 0.0015) and second == 0 and observation[-1] == 1
    _, third, *_ = env.step(1)
    assert third == pytest.approx(-0.0015)


def test_what_is_seen_does_not_depend_on_what_follows(world):
    scaler = fit_scaler(world[1].values, np.arange(700))
    whole = of(*world, scaler=scaler)
    for other in (cut(*world, 700), with_other_future(*world, 700)):
        seen = of(*other, scaler=scaler)
        np.testing.assert_array_equal(seen.observations[:, :700], whole.observations[:, :700])
        # The last decision whose return is known by then is two bars back.
        np.testing.assert_array_equal(seen.returns[:, :698], whole.returns[:, :698])
    assert not of(*cut(*world, 700), scaler=scaler).tradable[:, 698:].any()


def test_rewards_have_a_standard_deviation_near_one(playground):
    env = VectorTradingEnv(playground, 16, seed=3)
    env.reset()
    rewards = [env.step(np.full(16, 2))[1] for _ in range(400)]
    assert 0.7 < np.std(rewards) < 1.4


@pytest.mark.parametrize("discrete", [True, False])
def test_copies_stepped_together_are_single_environments(playground, discrete):
    many = VectorTradingEnv(playground, 5, discrete=discrete, episode=37, seed=9)
    singles = [TradingEnv(playground, discrete=discrete, episode=37) for _ in range(5)]
    firsts = np.stack([env.reset(seed=seed)[0] for env, seed in zip(singles, many.seeds)])
    np.testing.assert_array_equal(many.reset(), firsts)
    rng = generator(0, "actions")
    ends = 0
    for _ in range(120):
        actions = rng.integers(0, 3, 5) if discrete else rng.uniform(-1.5, 1.5, (5, 1)).astype(np.float32)
        seen, rewards, over, infos = many.step(actions)
        for i, env in enumerate(singles):
            observation, reward, terminated, truncated, _ = env.step(actions[i])
            assert rewards[i] == np.float32(reward) and over[i] == truncated and not terminated
            if truncated:
                ends += 1
                np.testing.assert_array_equal(infos[i]["terminal_observation"], observation)
                assert infos[i]["TimeLimit.truncated"]
                observation, _ = env.reset()
            np.testing.assert_array_equal(seen[i], observation)
    assert ends >= 15


def test_seeding_again_repeats_the_episodes(playground):
    env = VectorTradingEnv(playground, 3, seed=1)
    first = env.reset()
    assert not np.array_equal(env.reset(), first)
    env.seed(1)
    np.testing.assert_array_equal(env.reset(), first)


def test_environments_draw_from_their_own_generators(playground):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    env = VectorTradingEnv(playground, 3, seed=1)
    env.reset()
    TradingEnv(playground).reset(seed=1)
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=30), st.integers(0, 5))
def test_the_sum_of_rewards_is_position_times_return_less_cost_times_turnover(actions, seed):
    opens = 100 * np.exp(np.cumsum(0.01 * generator(seed, "walk").standard_normal(len(actions) + 2)))
    env = TradingEnv(by_hand(opens), discrete=False)
    env.reset(seed=seed)
    total = sum(env.step(np.array([action], dtype=np.float64))[1] for action in actions)
    held = np.array(actions)
    earned = (held * (opens[2:] / opens[1:-1] - 1)).sum() - 0.0015 * np.abs(np.diff(held, prepend=0)).sum()
    assert total == pytest.approx(earned, abs=1e-12)


def test_a_market_without_tradable_bars_is_refused():
    with pytest.raises(NoDataError, match="tradable"):
        TradingEnv(by_hand([100, 100, 100]))
