"""What a population of strategies would have done: costs, fills, sizing, metrics, resampled histories.

What belongs here: the reference engine (the semantics in plain Python), the fast engine that equals it, metric
definitions, and Monte Carlo on their results. What does not: which strategies exist (strategies, generation), whether
a result may be believed (selection), and portfolios of several strategies (risk).
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from strategy_pipeline.backtest.costs import Costs
    from strategy_pipeline.backtest.engine import backtest
    from strategy_pipeline.backtest.folds import CrossValidation, WalkForward, cross_validation, walk_forward, walk_forward_matrix
    from strategy_pipeline.backtest.metrics import HEADLINE_METRICS, METRICS, RETURN_METRICS, TRADE_METRICS, metrics_from_returns
    from strategy_pipeline.backtest.neighbours import jitter_parameters, permute_parameters
    from strategy_pipeline.backtest.positions import next_positions
    from strategy_pipeline.backtest.reference_run import ReferenceRun, reference_backtest
    from strategy_pipeline.backtest.result import BacktestResult
    from strategy_pipeline.backtest.robustness import MonteCarlo, monte_carlo
    from strategy_pipeline.backtest.scenarios import stress
    from strategy_pipeline.backtest.simulations import bootstrap_bands, bootstrap_prices, skip_entries, skip_trades
    from strategy_pipeline.backtest.terms import funding_rates

_HOME = {
    "Costs": "costs",
    "backtest": "engine",
    "funding_rates": "terms",
    "BacktestResult": "result",
    "reference_backtest": "reference_run",
    "ReferenceRun": "reference_run",
    "METRICS": "metrics",
    "HEADLINE_METRICS": "metrics",
    "RETURN_METRICS": "metrics",
    "TRADE_METRICS": "metrics",
    "metrics_from_returns": "metrics",
    "monte_carlo": "robustness",
    "next_positions": "positions",
    "MonteCarlo": "robustness",
    "bootstrap_bands": "simulations",
    "bootstrap_prices": "simulations",
    "skip_entries": "simulations",
    "skip_trades": "simulations",
    "jitter_parameters": "neighbours",
    "permute_parameters": "neighbours",
    "stress": "scenarios",
    "CrossValidation": "folds",
    "cross_validation": "folds",
    "WalkForward": "folds",
    "walk_forward": "folds",
    "walk_forward_matrix": "folds",
}

__all__ = [
    "HEADLINE_METRICS",
    "METRICS",
    "RETURN_METRICS",
    "TRADE_METRICS",
    "BacktestResult",
    "Costs",
    "CrossValidation",
    "MonteCarlo",
    "ReferenceRun",
    "WalkForward",
    "backtest",
    "bootstrap_bands",
    "bootstrap_prices",
    "cross_validation",
    "funding_rates",
    "jitter_parameters",
    "metrics_from_returns",
    "monte_carlo",
    "next_positions",
    "permute_parameters",
    "reference_backtest",
    "skip_entries",
    "skip_trades",
    "stress",
    "walk_forward",
    "walk_forward_matrix",
]


def __getattr__(name: str) -> object:
    if name in _HOME:
        value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


class _Room(ModuleType):
    """This package, callable. ``from strategy_pipeline import backtest`` finds the package once any module of it is
    loaded (the import system binds it there), and the public surface promises a function of that name."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        from strategy_pipeline.backtest.engine import backtest

        return backtest(*args, **options)


sys.modules[__name__].__class__ = _Room
