"""What a search is asked for: objectives, sampler, trials. Checked before anything is read or run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from strategy_pipeline.optimization.journal import SAMPLERS
from strategy_pipeline.optimization.objective import OptimizationError, checked_objectives
from strategy_pipeline.strategies.naming import near

MOST_TRIALS = 10_000  # for one strategy
_MOST_OF = {"gp": 1_000}  # a Gaussian process is solved anew for every proposal, in the cube of the trials


@dataclass(frozen=True)
class SearchPlan:
    """A request that can be met.

    objective
        Names of `OBJECTIVES`; several make a Pareto front.
    sampler
        Of `SAMPLERS`.
    trials, batch
        Parameter sets tried for each strategy, and how many of them are proposed and run together.
    prune
        Whether only the better half of a batch runs beyond the first quarter of the folds.
    """

    objective: tuple[str, ...]
    sampler: str
    trials: int
    batch: int
    prune: bool

    def __str__(self) -> str:
        pruned = ", pruned" if self.prune else ""
        return f"{', '.join(self.objective)} by {self.sampler} in {self.trials:,} trials{pruned}"


def plan_search(
    *, trials: int, objective: str | Sequence[str] = "sharpe", sampler: str | None = None, batch: int = 16, prune: bool = False
) -> SearchPlan:
    """The request with its defaults filled in: ``tpe`` for one objective, ``nsga2`` for several.

    `OptimizationError` names what cannot be met: an unknown name, fewer than 1 trial or more than `MOST_TRIALS` (``gp``: 1,000),
    ``cmaes`` or pruning with several objectives.
    """
    names = checked_objectives(objective)
    if sampler is None:
        sampler = "tpe" if len(names) == 1 else "nsga2"
    if sampler not in SAMPLERS:
        raise OptimizationError(
            f"Expected a sampler of {', '.join(SAMPLERS)}, was {sampler!r}{near(sampler, SAMPLERS)}; leave it out for the default"
        )
    if not isinstance(prune, bool):
        raise OptimizationError(f"Expected prune to be true or false, was {prune!r}; nothing was tuned")
    if len(names) > 1 and (prune or sampler == "cmaes"):
        raise OptimizationError(
            f"Expected one objective with {'pruning' if prune else 'cmaes'}, was {', '.join(names)}; name one, or use nsga2 or nsga3"
        )
    if not _whole(trials) or not _whole(batch) or trials < 1 or batch < 1:
        raise OptimizationError(
            f"Expected at least 1 trial and a batch of at least 1, whole numbers, was {trials!r} and {batch!r}; nothing was tuned"
        )
    most = _MOST_OF.get(sampler, MOST_TRIALS)
    if trials > most:
        raise OptimizationError(
            f"Expected at most {most:,} trials a strategy with {sampler}, was {trials:,}: that is probably a mistake, and every trial "
            f"counts against what may be promoted; ask for fewer{'' if most == MOST_TRIALS else ', or of another sampler'}"
        )
    return SearchPlan(names, sampler, trials, batch, prune)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
