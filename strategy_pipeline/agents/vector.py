"""Many copies of the trading environment stepped at once, for stable-baselines3.

What belongs here: the batched environment. Copy i does what a `TradingEnv` with seed `seeds[i]` does, step for step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.utils import seeding
from stable_baselines3.common.vec_env import VecEnv

from strategy_pipeline.agents.environment import EPISODE, POSITIONS, TradingMarket, draw_episode, spaces_of
from strategy_pipeline.rng import derive_seed


class VectorTradingEnv(VecEnv):
    """`n_envs` copies on one market, each with a generator of its own. Rewards float32, as stable-baselines3 wants."""

    def __init__(self, market: TradingMarket, n_envs: int, *, discrete: bool = True, episode: int = EPISODE, seed: int = 0) -> None:
        self.market = market
        self.discrete = discrete
        self.episode = episode
        self._spans = market.spans()
        observation_space, action_space = spaces_of(market, discrete)
        self.render_mode = None
        super().__init__(n_envs, observation_space, action_space)
        self.symbol, self.row, self.end = (np.zeros(n_envs, dtype=np.int64) for _ in range(3))
        self.position = np.zeros(n_envs)
        self.actions = np.zeros(n_envs)
        self.seeds: list[int] = []
        self._generators: list[np.random.Generator] = []
        self.seed(seed)

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Give every copy a generator derived from `seed`; stable-baselines3 calls this when a model is built."""
        base = 0 if seed is None else int(seed)
        self.seeds = [derive_seed(base, "copy", i) for i in range(self.num_envs)]
        self._generators = [seeding.np_random(value)[0] for value in self.seeds]
        return list(self.seeds)

    def reset(self) -> np.ndarray:
        for i in range(self.num_envs):
            self._restart(i)
        return self._observations()

    def step_async(self, actions: np.ndarray) -> None:
        self.actions = np.asarray(actions)

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        market = self.market
        if self.discrete:
            wanted = POSITIONS[self.actions.astype(np.int64).reshape(-1)]
        else:
            wanted = np.clip(self.actions.reshape(self.num_envs, -1)[:, 0].astype(np.float64), -1.0, 1.0)
        position = np.where(market.tradable[self.symbol, self.row], wanted, self.position)
        earned = position * market.returns[self.symbol, self.row] - market.cost * np.abs(position - self.position)
        rewards = (earned / market.scale[self.symbol]).astype(np.float32)
        self.position = position
        self.row += 1
        over = self.row >= self.end
        self.row = np.minimum(self.row, self.end - 1)
        observations = self._observations()
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for i in np.flatnonzero(over):
            infos[i] = {"terminal_observation": observations[i].copy(), "TimeLimit.truncated": True}
            self._restart(int(i))
            observations[i] = self._observation(int(i))
        return observations, rewards, over, infos

    def close(self) -> None:
        """Nothing is held open."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        setattr(self, attr_name, value)

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        return [getattr(self, method_name)(*method_args, **method_kwargs) for _ in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: type[gymnasium.Wrapper], indices: Any = None) -> list[bool]:
        return [False for _ in self._get_indices(indices)]

    def _restart(self, i: int) -> None:
        self.symbol[i], self.row[i], self.end[i] = draw_episode(self._generators[i], self._spans, self.episode)
        self.position[i] = 0.0

    def _observation(self, i: int) -> np.ndarray:
        return np.append(self.market.observations[self.symbol[i], self.row[i]], np.float32(self.position[i]))

    def _observations(self) -> np.ndarray:
        features = self.market.observations[self.symbol, self.row]
        return np.concatenate([features, self.position[:, None].astype(np.float32)], axis=1)
