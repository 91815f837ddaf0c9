"""A trained agent: weights, and what it would do on every bar.

What belongs here: acting, bytes and restoring. What does not: training, and torch: a policy is a small network that is
evaluated by compiled loops, in one fixed order, so acting is the same on every machine and needs nothing heavy.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numba import njit

from strategy_pipeline.errors import CorruptFileError
from strategy_pipeline.forecasting.model import nest, pack, unnest, unpack
from strategy_pipeline.forecasting.panel import Panel
from strategy_pipeline.forecasting.scaling import check_features, scaled, usable

FORMAT = 1
# Names of the layers that decide, in stable-baselines3's policies, from input to output.
LAYERS = {
    "dqn": ("q_net.q_net.0", "q_net.q_net.2", "q_net.q_net.4"),
    "ppo": ("mlp_extractor.policy_net.0", "mlp_extractor.policy_net.2", "action_net"),
    "sac": ("actor.latent_pi.0", "actor.latent_pi.2", "actor.mu"),
}


@njit(cache=True, nogil=True)
def _layer(x: np.ndarray, weights: np.ndarray, bias: np.ndarray, out: np.ndarray, relu: bool) -> None:
    """out = activation(bias + x @ weights); weights (inputs, outputs). Inputs are added in order."""
    for j in range(out.shape[0]):
        out[j] = bias[j]
    for i in range(x.shape[0]):
        value = x[i]
        for j in range(out.shape[0]):
            out[j] += value * weights[i, j]
    if relu:
        for j in range(out.shape[0]):
            out[j] = max(out[j], 0.0)


@njit(cache=True, nogil=True)
def roll(
    observations: np.ndarray,
    there: np.ndarray,
    start: int,
    w1: np.ndarray,
    b1: np.ndarray,
    w2: np.ndarray,
    b2: np.ndarray,
    w3: np.ndarray,
    b3: np.ndarray,
    discrete: bool,
) -> np.ndarray:
    """Positions of one symbol, float64 (n,): flat at `start`, then each bar decides with the position held in view.

    Rows that are not there are NaN and leave the position as it is. observations: float32 (n, k).
    """
    n, k = observations.shape
    out = np.full(n, np.nan)
    x = np.empty(k + 1)
    h1, h2, last = np.empty(b1.shape[0]), np.empty(b2.shape[0]), np.empty(b3.shape[0])
    position = 0.0
    for t in range(start, n):
        if not there[t]:
            continue
        for i in range(k):
            x[i] = observations[t, i]
        x[k] = position
        _layer(x, w1, b1, h1, True)
        _layer(h1, w2, b2, h2, True)
        _layer(h2, w3, b3, last, False)
        if discrete:
            best = 0
            for j in range(1, last.shape[0]):
                if last[j] > last[best]:
                    best = j
            position = best - 1.0
        else:
            position = np.tanh(last[0])
        out[t] = position
    return out


@dataclass(frozen=True)
class Agent:
    """What was learned up to a cutoff.

    `arrays` hold the policy's weights (``policy/...``, named as stable-baselines3 names them), the scaler of its features
    and the scale of its rewards. `metrics` are measured on the last part of the training span, which taught nothing.
    """

    algorithm: str
    cutoff: str
    timeframe: str
    seed: int
    settings: dict[str, Any]
    features: tuple[str, ...]
    arrays: dict[str, np.ndarray] = field(repr=False)
    metrics: dict[str, float]
    accepted: bool

    @property
    def discrete(self) -> bool:
        return self.algorithm != "sac"

    def act(self, bars: Any, features: Any = None, *, start: int = 0) -> np.ndarray:
        """Positions in [-1, 1] that the agent would take at each close, float64 (n_symbols, n_bars), NaN without a bar.

        Row t depends on rows `start` to t only: the agent starts flat at `start` and sees the position it holds, so its
        path depends on where it starts. `agent_history` starts each agent at its own cutoff. Rows before `start` are NaN.
        Where no symbol trades (`Panel.of`) all is NaN, and the position is held to the next bar that exists.
        """
        panel = Panel.of(bars, features)
        if panel is not bars:
            start = panel.row_of(start)
        check_features(panel, self.features)
        observations = scaled(panel.feature_values[:, start:], unnest("scaler", self.arrays))
        out = np.full(panel.close.shape, np.nan)
        out[:, start:] = policy_positions(self.algorithm, unnest("policy", self.arrays), observations, usable(panel)[:, start:])
        return out if panel is bars else panel.on_grid(out)

    def state(self) -> dict[str, np.ndarray]:
        """Arrays that restore the agent; its configuration rides along as JSON text in ``__config__`` (uint8)."""
        config = {
            "format": FORMAT,
            "algorithm": self.algorithm,
            "cutoff": self.cutoff,
            "timeframe": self.timeframe,
            "seed": self.seed,
            "settings": self.settings,
            "features": list(self.features),
            "metrics": {k: None if np.isnan(v) else v for k, v in self.metrics.items()},
            "accepted": self.accepted,
        }
        text = json.dumps(config, sort_keys=True, allow_nan=False)
        return {**self.arrays, "__config__": np.frombuffer(text.encode(), dtype=np.uint8)}

    def to_bytes(self) -> bytes:
        """The state as safetensors bytes: equal trainings give equal bytes."""
        return pack(self.state())

    @classmethod
    def from_bytes(cls, payload: bytes) -> Agent:
        """The inverse of `to_bytes`; `CorruptFileError` when the bytes are no agent."""
        return restore(unpack(payload))


def restore(state: Mapping[str, np.ndarray]) -> Agent:
    """An agent from `Agent.state`. Raises `CorruptFileError` for another format."""
    try:
        config = json.loads(bytes(state["__config__"]).decode())
        found, algorithm = config["format"], config["algorithm"]
    except (KeyError, ValueError) as error:
        raise CorruptFileError("Expected an agent's state with its configuration, was none; train the agent again") from error
    if found != FORMAT or algorithm not in LAYERS:
        raise CorruptFileError(f"Expected agent format {FORMAT}, was {found} of {algorithm!r}; train the agent again with this version")
    return Agent(
        algorithm=algorithm,
        cutoff=config["cutoff"],
        timeframe=config["timeframe"],
        seed=config["seed"],
        settings=config["settings"],
        features=tuple(config["features"]),
        arrays={key: np.asarray(value) for key, value in state.items() if key != "__config__"},
        metrics={k: np.nan if v is None else float(v) for k, v in config["metrics"].items()},
        accepted=config["accepted"],
    )


def policy_positions(algorithm: str, policy: Mapping[str, np.ndarray], observations: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Positions of a policy rolled from flat over each symbol. observations: float32 (n_symbols, n, k), there: bool (n_symbols, n)."""
    (w1, b1), (w2, b2), (w3, b3) = (
        (np.ascontiguousarray(policy[f"{name}.weight"].T, dtype=np.float64), policy[f"{name}.bias"].astype(np.float64))
        for name in LAYERS[algorithm]
    )
    discrete = algorithm != "sac"
    rows = [
        roll(np.ascontiguousarray(x), np.ascontiguousarray(ok), 0, w1, b1, w2, b2, w3, b3, discrete) for x, ok in zip(observations, there)
    ]
    return np.stack(rows) if rows else np.empty(there.shape)


__all__ = ["LAYERS", "Agent", "nest", "policy_positions", "restore", "roll"]
