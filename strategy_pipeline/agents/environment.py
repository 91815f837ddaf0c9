"""The trading environment: what an agent sees, may do, and earns.

What belongs here: the market as agents see it, and one copy of the environment. What does not: batches of copies (vector),
learning (training).

A decision at the close of bar t sets the position from the open of t + 1 to the open of t + 2, and earns that return less
the cost of the turnover: nothing in the observation of t lies after the close of t.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium.utils import seeding

from strategy_pipeline.errors import NoDataError
from strategy_pipeline.forecasting.panel import Panel, ahead
from strategy_pipeline.forecasting.scaling import CLIP, scaled, usable

EPISODE = 512
POSITIONS = np.array([-1.0, 0.0, 1.0])  # of the discrete actions 0, 1, 2


@dataclass(frozen=True)
class TradingMarket:
    """The arrays an environment plays on.

    observations : float32 (n_symbols, n_bars, n_features), scaled and clipped, without NaN
    returns : float64 (n_symbols, n_bars), from the open after the decision to the next, 0 where it cannot be had
    tradable : bool (n_symbols, n_bars), where a decision can be filled and its return is known
    scale : float64 (n_symbols,), rewards are divided by it, so that their standard deviation is near one
    cost : fraction of the notional that a unit of turnover costs
    """

    observations: np.ndarray
    returns: np.ndarray
    tradable: np.ndarray
    scale: np.ndarray
    cost: float

    @classmethod
    def of(cls, bars: Any, features: Any, scaler: Any, costs: Any, scale: np.ndarray | None = None) -> TradingMarket:
        """From bars and features, with a scaler fitted on training rows (`forecasting.scaling.fit_scaler`).

        Its rows are the bars that exist (`Panel.of`): a decision before a closed day is filled at the next open there is.
        `costs` has fee_bps and slippage_bps. `scale` is computed from these bars when not given.
        """
        panel = Panel.of(bars, features)
        there = usable(panel)
        observations = np.where(there[..., None], scaled(panel.feature_values, scaler), np.float32(0.0))
        returns = ahead(panel.open, 2) / ahead(panel.open, 1) - 1.0
        tradable = there & np.isfinite(returns)
        returns = np.where(tradable, returns, 0.0)
        if scale is None:
            deviations = np.array([row[ok].std() if ok.sum() > 1 else 0.0 for row, ok in zip(returns, tradable)])
            scale = np.where(deviations > 1e-8, deviations, 1.0)
        return cls(observations, returns, tradable, scale, (costs.fee_bps + costs.slippage_bps) * 1e-4)

    def rows(self, start: int, end: int) -> TradingMarket:
        """Bars `start` to `end` (exclusive). A view."""
        cut = slice(start, end)
        return TradingMarket(self.observations[:, cut], self.returns[:, cut], self.tradable[:, cut], self.scale, self.cost)

    def spans(self) -> np.ndarray:
        """Rows of each symbol that can be played: int64 (n_playable, 3) of symbol, first row, last row + 1."""
        found = []
        for symbol, row in enumerate(self.tradable):
            rows = np.flatnonzero(row)
            if len(rows) >= 2:
                found.append((symbol, rows[0], rows[-1] + 1))
        if not found:
            raise NoDataError("Expected at least two tradable bars, was none, so there is nothing to play on; give more history")
        return np.array(found, dtype=np.int64)


def draw_episode(generator: np.random.Generator, spans: np.ndarray, length: int) -> tuple[int, int, int]:
    """(symbol, first row, end row) of an episode: a random stretch of `length` rows, or all of a shorter span."""
    symbol, first, end = spans[generator.integers(len(spans))]
    latest = max(end - length, first)
    start = int(generator.integers(first, latest + 1))
    return int(symbol), start, int(min(start + length, end))


def spaces_of(market: TradingMarket, discrete: bool) -> tuple[gymnasium.spaces.Box, gymnasium.Space]:
    """Observation and action space: features and the position held; {short, flat, long} or a number in [-1, 1]."""
    size = market.observations.shape[-1] + 1
    action = gymnasium.spaces.Discrete(3) if discrete else gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)
    return gymnasium.spaces.Box(-CLIP, CLIP, (size,), np.float32), action


class TradingEnv(gymnasium.Env):
    """One copy. An episode is a stretch of one symbol, drawn by the environment's own generator, and always truncated.

    Parameters
    ----------
    market : TradingMarket
    discrete : actions 0, 1, 2 for short, flat, long; otherwise one number in [-1, 1]
    episode : rows of an episode
    seed : of the draws until `reset(seed=...)` gives another
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}  # type: ignore[misc]  # gymnasium declares it on instances

    def __init__(self, market: TradingMarket, *, discrete: bool = True, episode: int = EPISODE, seed: int = 0) -> None:
        self.market = market
        self.discrete = discrete
        self.episode = episode
        self.observation_space, self.action_space = spaces_of(market, discrete)
        self._spans = market.spans()
        self._np_random, self._np_random_seed = seeding.np_random(seed)
        self._symbol = self._row = self._end = 0
        self._position = 0.0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self._symbol, self._row, self._end = draw_episode(self.np_random, self._spans, self.episode)
        self._position = 0.0
        return self._observation(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        market, symbol, row = self.market, self._symbol, self._row
        wanted = float(POSITIONS[int(action)]) if self.discrete else float(np.clip(np.asarray(action).reshape(-1)[0], -1.0, 1.0))
        # A bar that cannot be filled leaves the position as it is.
        position = wanted if market.tradable[symbol, row] else self._position
        earned = position * market.returns[symbol, row] - market.cost * abs(position - self._position)
        self._position = position
        self._row += 1
        over = self._row >= self._end
        # After the last row the observation is that row's own: it ends the episode and earns nothing.
        self._row = min(self._row, self._end - 1)
        return self._observation(), float(earned / market.scale[symbol]), False, over, {}

    def _observation(self) -> np.ndarray:
        return np.append(self.market.observations[self._symbol, self._row], np.float32(self._position)).astype(np.float32)
