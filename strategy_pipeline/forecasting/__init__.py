"""What may come next, from what is known: volatility, regimes, returns, and how sure we are.

What belongs here: models that turn bars and features into causal series, their baselines and scores, the
walk-forward refits that fill history, prediction intervals, and the registry of fitted models. What does not:
where the bytes of a model are kept (the caller writes them), rules that act on a forecast, agents that trade.

A model keyed by cutoff D was trained on bars that had closed by D 00:00 UTC, with labels that had ended by then.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "Forecaster": "model",
    "FittedForecaster": "model",
    "restore": "model",
    "Horizon": "panel",
    "Panel": "panel",
    "EwmaVolatility": "volatility",
    "HarVolatility": "volatility",
    "GarchVolatility": "garch",
    "TwoStateRegime": "regime",
    "BoostedReturns": "boosting",
    "MarketTransformer": "transformer",
    "VolatilityEnsemble": "ensemble",
    "ReturnEnsemble": "ensemble",
    "default_forecasters": "history",
    "calendar_cutoffs": "history",
    "fit_history": "history",
    "fit_kind": "history",
    "History": "history",
    "Fit": "history",
    "rolling_intervals": "conformal",
    "Registry": "registry",
    "RegisteredModel": "registry",
    "SERIES": "history",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
