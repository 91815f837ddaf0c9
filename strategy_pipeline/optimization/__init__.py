"""Search over one strategy's parameters.

What belongs here: the objective over folds, the study and its resumption, single- and multi-objective search.
What does not: new structures (`generation/`), and whether what was found may be believed: every trial is counted
(`selection.TrialsLedger`), and an optimised strategy is a new candidate.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from strategy_pipeline.optimization.objective import OBJECTIVES, Folds, OptimizationError
    from strategy_pipeline.optimization.search import Study, optimize

_HOME = {"OBJECTIVES": "objective", "Folds": "objective", "OptimizationError": "objective", "Study": "search", "optimize": "search"}
__all__ = ["OBJECTIVES", "Folds", "OptimizationError", "Study", "optimize"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
