"""Agents that learn to trade by trading: environments, short trainings of DQN, PPO and SAC, and what they would do.

What belongs here: the trading environment on the backtest's costs, training under a budget of steps, acting on bars, the
walk-forward refits that fill history with actions. What does not: forecasts (forecasting), rules that use an agent's
action (strategies), and where weights are kept (the caller).

An agent keyed by cutoff D learned from bars that had closed by D 00:00 UTC. Its actions are positions in [-1, 1].
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "ALGORITHMS": "training",
    "Agent": "agent",
    "AgentHistory": "history",
    "TradingEnv": "environment",
    "TradingMarket": "environment",
    "VectorTradingEnv": "vector",
    "agent_history": "history",
    "fit_agent": "history",
    "restore": "agent",
    "train_agent": "training",
    "train_on": "training",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
