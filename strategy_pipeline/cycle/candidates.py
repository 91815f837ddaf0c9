"""Where a day's candidates come from: systematic draws, and what searches of the training span hand over.

What belongs here: the budget of each generator, what it may see, and the count of what it evaluated. What does not: how a
generator searches (`generation`), and what becomes of candidates (`strategies`).
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from strategy_pipeline.cycle import predictions
from strategy_pipeline.cycle.funding import funding_of
from strategy_pipeline.cycle.trials import count_trials
from strategy_pipeline.cycle.workspace import Workspace, costs_of

if TYPE_CHECKING:
    from strategy_pipeline.generation import SearchSettings
    from strategy_pipeline.market import Bars
    from strategy_pipeline.strategies import Strategy


def search_of(workspace: Workspace, day: dt.date, past: Bars, trials: int = 1200) -> tuple[SearchSettings, dict[str, list[str]]]:
    """What searches of a day may know, and where they report to: the ids each method evaluated, filled in as it goes.

    past
        The training span of the day's bars. Named series and funding end where it does.
    """
    from strategy_pipeline.generation import SearchSettings

    evaluated: dict[str, list[str]] = {}
    rates = funding_of(workspace, day)
    settings = SearchSettings(
        trials=trials,
        costs=costs_of(workspace),
        fill=workspace.settings.fill,
        funding=None if rates is None else rates[:, : past.n_bars],
        values={name: values[:, : past.n_bars] for name, values in predictions.named_series(workspace, day).items()},
        record=lambda method, ids: evaluated.setdefault(method, []).extend(ids),
        workers=workspace.settings.workers,
    )
    return settings, evaluated


def count_searches(workspace: Workspace, day: dt.date, evaluated: dict[str, list[str]], *, key: str = "search") -> int:
    """Enters what searches evaluated into the ledger, a file a method and `key`; returns how many that was, each id once a method."""
    for method, ids in sorted(evaluated.items()):
        count_trials(workspace, day, ids, origin=method, file=f"{method}-{key}")
    return sum(len(set(ids)) for ids in evaluated.values())


def daily(workspace: Workspace, day: dt.date, past: Bars, seed: int) -> dict[str, list[Strategy]]:
    """The new candidates of a day by method."""
    from strategy_pipeline.generation import generate

    series = tuple(sorted(predictions.named_series(workspace, day)))
    return {"systematic": generate(workspace.settings.sizes.population, past, seed=seed, series=series)}
