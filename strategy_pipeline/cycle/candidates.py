"""Where a day's candidates come from: draws, and searches of the training span.

What belongs here: what generators may see and spend, and the count of what they evaluated. What does not: how they search
(`generation`), and what becomes of candidates (`strategies`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Candidates:
    """The new candidates of a day.

    strategies
        All that was evaluated for it, in the order it was run.
    method
        By id, the generator that proposed it.
    draws
        Ids of those made without looking at any return or price.
    """

    strategies: tuple[Strategy, ...]
    method: Mapping[str, str]
    draws: frozenset[str]


def daily(workspace: Workspace, day: dt.date, past: Bars, seed: int) -> Candidates:
    """A campaign of as many trials as the population is large: draws, then searches that build on them."""
    from strategy_pipeline.generation import campaign

    series = tuple(sorted(predictions.named_series(workspace, day)))
    search, evaluated = search_of(workspace, day, past)
    methods = workspace.settings.generators or None
    made = campaign(workspace.settings.sizes.population, past, methods=methods, seed=seed, series=series, search=search)
    method: dict[str, str] = {}
    for name, ids in evaluated.items():  # in the order they ran: the first to propose one keeps it
        for strategy_id in ids:
            method.setdefault(strategy_id, name)
    return Candidates(made.strategies, {i: method.get(i, "") for i in made.ids}, made.draws)
