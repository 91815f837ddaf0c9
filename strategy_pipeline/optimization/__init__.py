"""Search over one strategy's parameters.

What belongs here: the objective over folds, the study and its resumption, single- and multi-objective search.
What does not: new structures (`generation/`), and whether what was found may be believed: every trial is counted
(`selection.TrialsLedger`), and an optimised strategy is a new candidate.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from strategy_pipeline.optimization.journal import SAMPLERS
    from strategy_pipeline.optimization.objective import OBJECTIVES, Folds, OptimizationError
    from strategy_pipeline.optimization.plan import MOST_TRIALS, SearchPlan, plan_search
    from strategy_pipeline.optimization.search import Study, optimize

_HOME = {
    "MOST_TRIALS": "plan", "OBJECTIVES": "objective", "SAMPLERS": "journal", "Folds": "objective", "OptimizationError": "objective",
    "SearchPlan": "plan", "Study": "search", "optimize": "search", "plan_search": "plan",
}  # fmt: skip
__all__ = ["MOST_TRIALS", "OBJECTIVES", "SAMPLERS", "Folds", "OptimizationError", "SearchPlan", "Study", "optimize", "plan_search"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
