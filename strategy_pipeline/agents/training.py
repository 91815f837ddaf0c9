"""Training of agents by stable-baselines3 under a budget of environment steps.

What belongs here: hyperparameters by budget, training that leaves global random state as it was, the judgement on the last
part of the training span. What does not: what an agent does afterwards (agent).

Hyperparameters come from trials on markets whose best policy is known: rewards near unit variance, a learning rate that
decays to 5 %, a discount of 0.95, two layers of 64 (Mnih et al. 2015; Schulman et al. 2017; Haarnoja et al. 2018).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from strategy_pipeline.agents.agent import Agent, nest, policy_positions
from strategy_pipeline.agents.environment import EPISODE, TradingMarket
from strategy_pipeline.errors import SettingsError
from strategy_pipeline.forecasting.model import too_short
from strategy_pipeline.forecasting.panel import Panel
from strategy_pipeline.forecasting.scaling import fit_scaler, usable
from strategy_pipeline.forecasting.scores import judged_rows
from strategy_pipeline.rng import derive_seed

ALGORITHMS = ("dqn", "ppo", "sac")
MIN_ROWS = 200
LARGE = 200_000  # steps from which the full budgets' settings are used


@contextmanager
def undisturbed() -> Iterator[None]:
    """stable-baselines3 seeds Python, numpy and torch globally: whatever they were is restored, and torch runs on one thread."""
    import torch

    python, numpy, threads = random.getstate(), np.random.get_state(), torch.get_num_threads()  # noqa: NPY002
    with torch.random.fork_rng(devices=[]):
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002


def train_agent(algorithm: str, bars: Any, features: Any = None, *, cutoff: Any, steps: int, seed: int = 0, costs: Any) -> Agent:
    """Train on what was known at `cutoff`: bars that had closed by then.

    Parameters
    ----------
    algorithm : "dqn", "ppo" (short, flat, long) or "sac" (any position in [-1, 1])
    bars, features : Bars and the FeatureMatrix on the same rows
    cutoff : date, datetime64 or ISO text, UTC
    steps : environment steps, over all copies
    costs : has fee_bps and slippage_bps, per side

    Four fifths of the span teach; the last fifth judges: the agent is accepted when it earns more than nothing there, after
    costs.

    Raises
    ------
    SettingsError
        Unknown algorithm, or no steps.
    NoDataError
        Under 200 usable rows before the cutoff.
    """
    from strategy_pipeline.market.timeframes import to_time

    if algorithm not in ALGORITHMS:
        raise SettingsError(f"Expected an algorithm of {', '.join(ALGORITHMS)}, was {algorithm!r}; choose one")
    if steps < 1:
        raise SettingsError(f"Expected at least one step, was {steps}, so nothing would be learned; raise steps")
    moment = to_time(cutoff)
    panel = Panel.of(bars, features).known_at(moment)
    end, tail = judged_rows(panel.n_bars, 2)
    known = int(usable(panel)[:, :end].sum())
    if known < MIN_ROWS:
        raise too_short("an agent", known, MIN_ROWS)
    scaler = fit_scaler(panel.feature_values, np.arange(end))
    teaching = TradingMarket.of(panel.rows(0, end + 2), None, scaler, costs)
    weights, used = train_on(algorithm, teaching.rows(0, end), steps=steps, seed=seed)
    judged = TradingMarket.of(panel.rows(tail, panel.n_bars), None, scaler, costs, teaching.scale)
    metrics = judge(algorithm, weights, judged, panel.horizon.years / panel.horizon.bars)
    return Agent(
        algorithm=algorithm,
        cutoff=str(moment.astype("datetime64[s]")),
        timeframe=panel.timeframe,
        seed=seed,
        settings={"steps": steps, "fee_bps": float(costs.fee_bps), "slippage_bps": float(costs.slippage_bps), **used},
        features=panel.feature_names,
        arrays=nest("policy", weights) | nest("scaler", scaler) | {"scale": teaching.scale},
        metrics=metrics,
        accepted=metrics["net_return"] > 0,
    )


def train_on(algorithm: str, market: TradingMarket, *, steps: int, seed: int = 0) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Weights of the policy by name, and the settings used, after `steps` on a market. The same call gives the same bits."""
    import torch
    from stable_baselines3 import DQN, PPO, SAC

    from strategy_pipeline.agents.vector import VectorTradingEnv

    classes: dict[str, Any] = {"dqn": DQN, "ppo": PPO, "sac": SAC}
    settings = hyperparameters(algorithm, steps)
    copies, rate = settings.pop("copies"), settings.pop("rate")
    own = derive_seed(seed, "agent", algorithm) % 2**31
    with undisturbed():
        env = VectorTradingEnv(market, copies, discrete=algorithm != "sac", episode=EPISODE, seed=own)
        model = classes[algorithm](
            "MlpPolicy",
            env,
            seed=own,
            device="cpu",
            verbose=0,
            learning_rate=_decay(rate),
            gamma=0.95,
            policy_kwargs={"net_arch": [64, 64], "activation_fn": torch.nn.ReLU},
            **settings,
        )
        model.learn(steps)
        state = model.policy.state_dict()
        weights = {name: value.detach().cpu().numpy().copy() for name, value in state.items() if "target" not in name}
    return weights, {"copies": copies, "rate": rate, **settings}


def hyperparameters(algorithm: str, steps: int) -> dict[str, Any]:
    """Settings for a budget: `copies` of the environment, the first learning `rate`, and what goes to the algorithm."""
    copies = int(np.clip(steps // 256, 8, 64))
    large = steps >= LARGE
    if algorithm == "ppo":
        rows = 128 if large else 32
        batch = min(1024 if large else 512, copies * rows)
        return {"copies": copies, "rate": 1e-3 if large else 2e-3, "n_steps": rows, "batch_size": batch, "n_epochs": 5, "gae_lambda": 0.9}
    replay: dict[str, Any] = {"buffer_size": min(max(steps, 512), 200_000), "batch_size": 512 if steps >= 20_000 else 256}
    replay["learning_starts"] = min(1000, steps // 8)
    if algorithm == "dqn":
        own: dict[str, Any] = {"train_freq": 1, "gradient_steps": 1, "target_update_interval": max(min(6400, steps // 8), 1)}
        return {"copies": copies, "rate": 3e-4 if steps >= 50_000 else 1e-3, **replay, **own, "exploration_fraction": 0.4}
    own = {"train_freq": 1, "gradient_steps": 2, "tau": 0.01, "target_entropy": -3.0}
    # From its usual start of 1 the automatic entropy never comes down within these budgets.
    start = "auto_0.1" if steps >= 50_000 else "auto_0.02"
    return {"copies": copies, "rate": 3e-4 if steps >= 50_000 else 1e-3, **replay, **own, "ent_coef": start}


def _decay(rate: float) -> Callable[[float], float]:
    def at(remaining: float) -> float:
        return rate * (0.05 + 0.95 * remaining)

    return at


def judge(algorithm: str, weights: dict[str, np.ndarray], market: TradingMarket, years_per_bar: float) -> dict[str, float]:
    """What a policy earns on a market, started flat on each symbol: annualised, mean over symbols, NaN where it cannot be had.

    `net_return` and `gross_return` (arithmetic, fractions a year), `sharpe` (annual, of the mean over symbols), `turnover`
    (units a year), `exposure` (mean absolute position), `long_return` (of holding).
    """
    positions = policy_positions(algorithm, weights, market.observations, market.tradable)
    held = np.where(market.tradable, positions, np.nan)
    if not np.isfinite(held).any():
        return dict.fromkeys(("net_return", "gross_return", "sharpe", "turnover", "exposure", "long_return"), float("nan"))
    filled = np.nan_to_num(held)
    moves = np.zeros(filled.shape)
    for i, ok in enumerate(market.tradable):
        moves[i, ok] = np.abs(np.diff(filled[i, ok], prepend=0.0))
    gross = filled * market.returns
    net = gross - market.cost * moves
    listed = market.tradable.sum(0)
    pooled = net.sum(0)[listed > 0] / listed[listed > 0]
    bars = market.tradable.sum()
    spread = pooled.std(ddof=1) if len(pooled) > 1 else 0.0
    return {
        "net_return": float(net.sum() / bars / years_per_bar),
        "gross_return": float(gross.sum() / bars / years_per_bar),
        "sharpe": float(pooled.mean() / spread / np.sqrt(years_per_bar)) if spread > 0 else float("nan"),
        "turnover": float(moves.sum() / bars / years_per_bar),
        "exposure": float(np.abs(filled).sum() / bars),
        "long_return": float(market.returns.sum() / bars / years_per_bar),
    }
