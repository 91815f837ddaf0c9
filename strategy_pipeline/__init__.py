"""strategy_pipeline: a learning pipeline for crypto trading strategies.

The public surface: `Bars, Costs, Orchestrator, Settings, Strategy, backtest` here, and the rooms beside
them (`strategy_pipeline.indicators`, `.strategies`, `.generation`, `.selection`, ...). Importing the
package imports nothing heavy; a name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from strategy_pipeline.version import __version__

if TYPE_CHECKING:
    from strategy_pipeline.backtest import Costs, backtest
    from strategy_pipeline.config import Settings
    from strategy_pipeline.market import Bars
    from strategy_pipeline.orchestrator import Orchestrator
    from strategy_pipeline.strategies import Strategy

_HOME = {
    "Bars": "strategy_pipeline.market",
    "Costs": "strategy_pipeline.backtest",
    "Orchestrator": "strategy_pipeline.orchestrator",
    "Settings": "strategy_pipeline.config",
    "Strategy": "strategy_pipeline.strategies",
    "backtest": "strategy_pipeline.backtest",
}

__all__ = ["Bars", "Costs", "Orchestrator", "Settings", "Strategy", "__version__", "backtest"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'strategy_pipeline' has no attribute {name!r}")
    module = import_module(_HOME[name])
    if name == "backtest":  # a room that is callable: the attribute must stay the package, or its modules are out of reach
        return module
    value = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
