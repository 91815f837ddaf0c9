"""What the orchestrator's calls do: run what is missing of a day, then read or make what was asked for."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from strategy_pipeline.book import STATES, TRANSITION_COLUMNS
from strategy_pipeline.cycle import candidates, predictions, strategies, tuning
from strategy_pipeline.cycle.graph import run_missing
from strategy_pipeline.cycle.portfolio import signals_of
from strategy_pipeline.cycle.workspace import DAY, Workspace
from strategy_pipeline.errors import StrategyError
from strategy_pipeline.rng import derive_seed

if TYPE_CHECKING:
    from strategy_pipeline.signals import Signal


def generate(
    workspace: Workspace, day: dt.date, count: int, families: Sequence[str] | None, methods: Sequence[str] | None, seed: int | None
) -> list[str]:
    """`count` distinct strategies on the market of `day`, no two of which enter on nearly the same bars, stored; their ids."""
    from strategy_pipeline import generation

    _, chosen = generation.check_request(count, families, methods)  # before anything runs
    # A method that searches hands over a quarter of what it evaluates: enough trials that it need not search again.
    trials = min(max(1200, 4 * -(-count // len(chosen))), 1_000_000)
    with workspace.lock():
        for stage in ("regimes", "forecasts", "agent_actions"):  # rules may read what these make
            run_missing(workspace, stage, day)
        series = tuple(sorted(predictions.named_series(workspace, day)))
        drawn_from = derive_seed(workspace.settings.seed, "generate", day) % 2**31 if seed is None else seed
        past = workspace.bars(day).between(None, strategies.spans(workspace, day).train_end)  # validation is not for search
        search, evaluated = candidates.search_of(workspace, day, past, trials)
        made = generation.draw(count, past, families=families, methods=chosen, seed=drawn_from, series=series, search=search).strategies
        # What a search evaluated was tried, handed over or not. Each request has files of its own.
        asked = [count, None if families is None else list(families), list(chosen), drawn_from]
        key = hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:12]
        candidates.count_searches(workspace, day, evaluated, key=key)
        strategies.store_strategies(workspace, made, "requested", day)
    return [strategy.id for strategy in made]


def signals(workspace: Workspace, day: dt.date, symbols: Sequence[str] | None) -> list[Signal]:
    """Signals as of the close of `day`, for the symbols asked in whatever quote."""
    from strategy_pipeline.signals import for_symbols

    run_missing(workspace, "signals", day)
    found = signals_of(workspace, day)
    return for_symbols(found, symbols)


def optimize(workspace: Workspace, day: dt.date, ids: Sequence[str] | None, **request: Any) -> pd.DataFrame:
    """Tunes strategies on the training span of `day`, as `tuning.asked_of` takes the request; a row a result."""
    asked = tuning.asked_of(workspace, **request)  # what cannot be met is said before a day is run
    if isinstance(ids, str):
        raise StrategyError(f"Expected ids as a list, was the text {ids!r}; write [{ids!r}].")
    if ids is not None:
        strategies.strategies_of(workspace, sorted(set(ids)))  # one that is unknown is said before a day is run
    run_missing(workspace, "strategy_book", day)
    with workspace.lock():
        chosen = strategies.strategies_of(workspace, sorted(set(ids)) if ids is not None else strategies.book_of(workspace, day).active)
        return tuning.tune_requested(workspace, day, chosen, asked)


def performance(workspace: Workspace, day: dt.date, days: int) -> dict[str, Any]:
    """What the strategies of the book did over the last `days` days, as `PerformanceReport` takes it."""
    run_missing(workspace, "performance_report", day)
    book = strategies.book_of(workspace, day)
    results, _ = strategies.everything_run(workspace, day)
    row_of = {strategy_id: row for row, strategy_id in enumerate(results.ids)}
    window = results.days > np.datetime64(day - days * DAY)
    rows = []
    for strategy_id, entry in book.entries.items():
        if strategy_id not in row_of:
            continue
        returns = results.returns[row_of[strategy_id], window]
        known = returns[np.isfinite(returns)]
        deviation = known.std(ddof=1) if len(known) > 1 else np.nan
        rows.append(
            {"strategy_id": strategy_id, "state": entry.state, "since": entry.since.isoformat(), "days": len(known),
             "total_return": float(np.prod(1 + known) - 1) if len(known) else np.nan,
             "sharpe": float(known.mean() / deviation * np.sqrt(365)) if deviation > 0 else np.nan,
             "reason": entry.reason}
        )  # fmt: skip
    columns = ["strategy_id", "state", "since", "days", "total_return", "sharpe", "reason"]
    moved = [
        workspace.lake.read(path)
        for path in workspace.lake.list("book")
        if path.endswith("/transitions.parquet") and day - days * DAY < dt.date.fromisoformat(path.split("/")[1]) <= day
    ]
    transitions = pd.concat(moved, ignore_index=True) if moved else pd.DataFrame(columns=TRANSITION_COLUMNS)
    record = workspace.require("evidence", day)
    summary: dict[str, Any] = {
        "day": day.isoformat(), "days": days, "source": workspace.source.name, "simulated": workspace.source.simulated,
        **{str(state): len(book.ids(state)) for state in STATES if state != "candidate"},
        **{name: record.facts[name] for name in ("trials", "effective_trials", "looked_at", "promoted")}, "verdict": record.summary,
    }  # fmt: skip
    html = f"{workspace.lake.url}/reports/{day}.html"
    return {
        "day": day, "days": days, "html": html, "summary": summary,
        "strategies": pd.DataFrame(rows, columns=columns), "transitions": transitions,
    }  # fmt: skip
