"""What training promises: the same bits, nothing from the future, global state untouched; and that agents learn."""

from __future__ import annotations

import random

import numpy as np
import pytest

from strategy_pipeline.agents import ALGORITHMS, Agent, TradingMarket, restore, train_agent, train_on
from strategy_pipeline.agents.agent import policy_positions
from strategy_pipeline.agents.training import hyperparameters, judge
from strategy_pipeline.backtest.costs import Costs
from strategy_pipeline.errors import CorruptFileError, MissingInputError, NoDataError, SettingsError
from strategy_pipeline.rng import generator
from strategy_pipeline_tests.forecasting.markets import cut, market, with_other_future

COSTS = Costs(fee_bps=10, slippage_bps=5)
CUTOFF = "2024-01-26"  # the 600th of 900 hourly bars
STEPS = 400


@pytest.fixture(scope="module")
def world():
    return market(n_symbols=2, n_bars=900, seed=1)


@pytest.fixture(scope="module")
def agents(world):
    return {name: train_agent(name, *world, cutoff=CUTOFF, steps=STEPS, seed=5, costs=COSTS) for name in ALGORITHMS}


each = pytest.mark.parametrize("algorithm", ALGORITHMS)


@each
def test_training_twice_gives_the_same_bytes_and_leaves_global_state_alone(algorithm, world, agents):
    import torch

    random.seed(3)
    torch.manual_seed(3)
    torch.set_num_threads(2)
    before = (random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state().clone())  # noqa: NPY002
    again = train_agent(algorithm, *world, cutoff=CUTOFF, steps=STEPS, seed=5, costs=COSTS)
    assert again.to_bytes() == agents[algorithm].to_bytes()
    assert random.getstate() == before[0]
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[2])
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)


@each
def test_training_knows_nothing_after_its_cutoff(algorithm, world, agents):
    other = with_other_future(*world, 600)
    assert train_agent(algorithm, *other, cutoff=CUTOFF, steps=STEPS, seed=5, costs=COSTS).to_bytes() == agents[algorithm].to_bytes()


@each
def test_actions_are_the_same_whatever_follows_and_start_where_asked(algorithm, world, agents):
    whole = agents[algorithm].act(*world, start=600)
    assert np.isnan(whole[:, :600]).all() and np.abs(whole[:, 600:]).max() <= 1
    np.testing.assert_array_equal(agents[algorithm].act(*cut(*world, 777), start=600), whole[:, :777])
    first = world[0].times[600]
    later = agents[algorithm].act(world[0].between(first, None), world[1].between(first, None))
    np.testing.assert_array_equal(later, whole[:, 600:])
    assert np.isnan(agents[algorithm].act(*world)[np.isnan(world[0].close)]).all()


@each
def test_bytes_restore_the_agent(algorithm, world, agents):
    again = Agent.from_bytes(agents[algorithm].to_bytes())
    assert again.to_bytes() == agents[algorithm].to_bytes()
    np.testing.assert_array_equal(again.act(*world), agents[algorithm].act(*world))
    assert again.metrics.keys() == agents[algorithm].metrics.keys() and again.cutoff.startswith(CUTOFF)


@each
def test_a_policy_kept_as_arrays_acts_as_stable_baselines_does(algorithm):
    import torch
    from stable_baselines3 import DQN, PPO, SAC

    from strategy_pipeline.agents.training import undisturbed
    from strategy_pipeline.agents.vector import VectorTradingEnv

    rng = generator(0, "policy")
    n = 300
    playground = TradingMarket(
        rng.standard_normal((1, n, 4)).astype(np.float32), 0.01 * rng.standard_normal((1, n)), np.ones((1, n), bool), np.ones(1), 0.001
    )
    weights, _ = train_on(algorithm, playground, steps=200, seed=1)
    # Larger weights, so that positions differ from bar to bar.
    weights = {name: 3 * value for name, value in weights.items()}
    positions = policy_positions(algorithm, weights, playground.observations, playground.tradable)[0]
    with undisturbed():
        env = VectorTradingEnv(playground, 1, discrete=algorithm != "sac")
        kwargs = {"net_arch": [64, 64], "activation_fn": torch.nn.ReLU}
        model = {"dqn": DQN, "ppo": PPO, "sac": SAC}[algorithm]("MlpPolicy", env, policy_kwargs=kwargs, device="cpu", seed=0)
        missing = model.policy.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()}, strict=False)
        assert not missing.unexpected_keys and all("target" in name for name in missing.missing_keys)
        held = 0.0
        for t in range(n):
            action, _ = model.predict(np.append(playground.observations[0, t], np.float32(held)), deterministic=True)
            held = float(action) - 1 if algorithm != "sac" else float(action[0])
            assert positions[t] == pytest.approx(held, abs=1e-4)
    assert len(np.unique(positions)) > 1


def test_what_an_agent_earns_is_judged_after_costs():
    opens = np.array([100, 100, 110, 99, 99, 99.0])
    returns = np.zeros((1, 6))
    returns[0, :4] = opens[2:] / opens[1:-1] - 1
    tradable = np.arange(6)[None] < 4
    playground = TradingMarket(np.zeros((1, 6, 1), np.float32), returns, tradable, np.ones(1), 0.0015)
    bias = np.array([0.0, 0.0, 1.0], dtype=np.float32)  # always long
    zero = {"weight": np.zeros((64, 2)), "bias": np.zeros(64)}
    weights = {f"q_net.q_net.0.{k}": v for k, v in zero.items()}
    weights |= {"q_net.q_net.2.weight": np.zeros((64, 64)), "q_net.q_net.2.bias": np.zeros(64)}
    weights |= {"q_net.q_net.4.weight": np.zeros((3, 64)), "q_net.q_net.4.bias": bias}
    found = judge("dqn", weights, playground, 1 / 4)
    assert found["gross_return"] == pytest.approx(0.1 - 0.1) and found["long_return"] == pytest.approx(0.0, abs=1e-12)
    assert found["net_return"] == pytest.approx(-0.0015) and found["turnover"] == 1 and found["exposure"] == 1


def test_bad_input_is_refused_with_the_remedy(world, agents):
    with pytest.raises(SettingsError, match="dqn, ppo, sac"):
        train_agent("a2c", *world, cutoff=CUTOFF, steps=10, costs=COSTS)
    with pytest.raises(SettingsError, match="at least one step"):
        train_agent("ppo", *world, cutoff=CUTOFF, steps=0, costs=COSTS)
    with pytest.raises(NoDataError, match="usable|training rows"):
        train_agent("ppo", *world, cutoff="2024-01-02", steps=10, costs=COSTS)
    with pytest.raises(MissingInputError):
        agents["ppo"].act(world[0])
    with pytest.raises(CorruptFileError):
        restore({"x": np.zeros(1)})


@pytest.mark.parametrize("steps", [1, 512, 8_192, 100_000, 500_000])
@each
def test_budgets_give_valid_settings(algorithm, steps):
    settings = hyperparameters(algorithm, steps)
    assert 8 <= settings["copies"] <= 64 and 0 < settings["rate"] < 0.01


def mean_reverting(n: int, seed: int) -> TradingMarket:
    """Log price = random deviation of half-life ten that is seen, noise 50 bp a step; 15 bp a unit of turnover."""
    rng = generator(seed, "mean reverting")
    pull = 1 - 0.5**0.1
    deviation = np.zeros((4, n + 1))
    for t in range(n):
        deviation[:, t + 1] = (1 - pull) * deviation[:, t] + 0.005 * rng.standard_normal(4)
    returns = np.diff(deviation, axis=1)
    spread = deviation[:, :-1].std()
    seen = np.clip(deviation[:, :-1] / spread, -5, 5).astype(np.float32)[..., None]
    return TradingMarket(seen, returns, np.ones(returns.shape, dtype=bool), np.full(4, returns.std()), 0.0015)


def expected_reward(playground: TradingMarket, positions: np.ndarray) -> float:
    """Mean reward a step with the known drift in place of the noisy return."""
    spread_seen = playground.observations[..., 0].astype(float)
    drift = -(1 - 0.5**0.1) * spread_seen * SPREAD
    return float((positions * drift - playground.cost * np.abs(np.diff(positions, axis=1, prepend=0.0))).mean())


SPREAD = 0.005 / np.sqrt(1 - (0.5**0.1) ** 2)


def best_band(playground: TradingMarket) -> float:
    """The best policy of the kind: go short above a level, long below its negative, hold in between."""
    seen, best = playground.observations[..., 0], 0.0
    for level in np.linspace(0.2, 1.6, 8):
        for leave in (None, 0.0):
            positions = np.zeros(seen.shape)
            for t in range(seen.shape[1]):
                before = positions[:, t - 1] if t else np.zeros(4)
                kept = before if leave is None else np.where(before * seen[:, t] > leave, 0.0, before)
                positions[:, t] = np.where(seen[:, t] > level, -1.0, np.where(seen[:, t] < -level, 1.0, kept))
            best = max(best, expected_reward(playground, positions))
    return best


@pytest.mark.parametrize(("algorithm", "steps"), [("ppo", 60_000), ("dqn", 40_000), ("sac", 8_192)])
def test_agents_learn_to_trade_a_mean_reverting_price(algorithm, steps):
    weights, _ = train_on(algorithm, mean_reverting(20_000, seed=1), steps=steps, seed=11)
    fresh = mean_reverting(4_000, seed=2)
    positions = policy_positions(algorithm, weights, fresh.observations, fresh.tradable)
    assert expected_reward(fresh, positions) >= 0.8 * best_band(fresh)
