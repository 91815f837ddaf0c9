"""What a population of strategies would have done: costs, fills, sizing, metrics, resampled histories.

What belongs here: the reference engine (the semantics in plain Python), the fast engine that equals it, metric
definitions, and Monte Carlo on their results. What does not: which strategies exist (strategies, generation), whether
a result may be believed (selection), and portfolios of several strategies (risk).
"""

from __future__ import annotations

from importlib import import_module

_HOME = {
    "Costs": "costs",
    "backtest": "engine",
    "BacktestResult": "result",
    "reference_backtest": "reference_run",
    "ReferenceRun": "reference_run",
    "METRICS": "metrics",
    "RETURN_METRICS": "metrics",
    "TRADE_METRICS": "metrics",
    "metrics_from_returns": "metrics",
    "monte_carlo": "robustness",
    "MonteCarlo": "robustness",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> object:
    if name in _HOME:
        value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
