"""Tuning of strategies' numbers: the best few of a day, and what people ask for.

The day's own lies under ``strategies/optimized/<day>``, a request under ``strategies/requested/<day>/<key>``, where the key is a hash
of the strategies and of all that was asked. A document of `optimization_results` is one strategy, tuned once: the day's has the id
``<strategy>-<day>``, a request's ends in a hash of what was asked, so that the same request writes the same document again and
another one a document beside it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from strategy_pipeline.cycle import predictions, strategies
from strategy_pipeline.cycle.funding import funding_of
from strategy_pipeline.cycle.lineage import OPTIMIZED, REQUESTED
from strategy_pipeline.cycle.report import StageReport
from strategy_pipeline.cycle.trials import count_trials, ledger_of
from strategy_pipeline.cycle.workspace import DAY, Workspace, costs_of
from strategy_pipeline.errors import PipelineError
from strategy_pipeline.rng import derive_seed
from strategy_pipeline.strategies import Strategy

if TYPE_CHECKING:
    from strategy_pipeline.optimization import SearchPlan, Study

LEAST_FOLD = 22  # days of a fold
STAGE_OF_REQUEST = "optimize"  # what a request is called where stages are shown
_COLUMNS = ["strategy_id", "tuned_id", "family", "trials", "objective_before", "objective_after", "text"]


@dataclass(frozen=True)
class Asked:
    """One tuning: how to search, the seed that every strategy's own is drawn from, and who asked (`daily` or `requested`)."""

    plan: SearchPlan
    seed: int
    origin: str

    def facts(self, workspace: Workspace) -> dict[str, Any]:
        """All that decides what comes of a strategy, beyond the day's data: what a document says was asked."""
        settings = workspace.settings
        return {
            "objective": list(self.plan.objective), "sampler": self.plan.sampler, "trials": self.plan.trials, "prune": self.plan.prune,
            "seed": self.seed, "fee_bps": settings.fee_bps, "slippage_bps": settings.slippage_bps, "fill": settings.fill,
        }  # fmt: skip

    def key(self, workspace: Workspace, ids: Sequence[str] = ()) -> str:
        """Twelve hexadecimal digits that differ between requests, and between the strategies of requests where `ids` are given."""
        return hashlib.sha256(json.dumps([self.facts(workspace), sorted(ids)], sort_keys=True).encode()).hexdigest()[:12]


def asked_of(
    workspace: Workspace,
    *,
    objective: str | Sequence[str] | None = None,
    sampler: str | None = None,
    trials: int | None = None,
    prune: bool = False,
    seed: int | None = None,
    origin: str = "requested",
) -> Asked:
    """What is asked, with the settings where nothing is said. `OptimizationError` for what cannot be met, before anything runs."""
    from strategy_pipeline.optimization import OptimizationError, plan_search

    settings = workspace.settings
    plan = plan_search(
        trials=settings.sizes.optimize_trials if trials is None else trials,
        objective=(settings.optimize_objective or "sharpe") if objective is None else objective,
        sampler=settings.optimize_sampler if sampler is None else sampler,
        prune=prune,
    )
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**31):
        raise OptimizationError(f"Expected a seed from 0 to {2**31 - 1}, was {seed!r}; leave it out for the settings' seed")
    return Asked(plan, settings.seed if seed is None else seed, origin)


def optimization_results(workspace: Workspace, day: dt.date) -> StageReport:
    """The best few of training, tuned on training folds only; each result is a new strategy and every trial counts.

    What the book follows came there by its validation: its variants would be chosen by what validation said, so it is not tuned here.
    """
    results = strategies.read_results(workspace, f"strategies/backtests/{day}")
    cut = strategies.spans(workspace, day)
    training = results.returns[:, results.days < np.datetime64(cut.train_end.date())]
    followed = set(strategies.book_of(workspace, day - DAY).followed)
    order = [results.ids[row] for row in _by_sharpe(training, results.ids) if results.ids[row] not in followed]
    by_id = {strategy.id: strategy for strategy in strategies.population(workspace, day)}
    chosen = [by_id[strategy_id] for strategy_id in order[: workspace.settings.sizes.optimize_strategies]]
    return tune(workspace, day, chosen, asked_of(workspace, origin="daily"), prefix=f"{OPTIMIZED}/{day}", counted="optuna")


def tune_requested(workspace: Workspace, day: dt.date, chosen: list[Strategy], asked: Asked) -> pd.DataFrame:
    """A request, in a place of its own: its files and trials replace those of no other. A row a result, as `tune` has them."""
    key = asked.key(workspace, [strategy.id for strategy in chosen])
    prefix = f"{REQUESTED}/{day}/{key}"
    workspace.observer(STAGE_OF_REQUEST, "start", None)
    try:
        report = tune(workspace, day, chosen, asked, prefix=prefix, counted=f"requested-{key}")
    except PipelineError as error:
        workspace.observer(STAGE_OF_REQUEST, "failed", error)
        raise
    workspace.observer(STAGE_OF_REQUEST, "done", report)
    return workspace.lake.read(f"{prefix}/tuned.parquet")


def tune(workspace: Workspace, day: dt.date, chosen: list[Strategy], asked: Asked, *, prefix: str, counted: str) -> StageReport:
    """Optuna on each strategy, on the training span of `day`; writes the tuned strategies and their backtest under `prefix`,
    every trial to the ledger, by the origin `counted`, and a document a strategy. The report's table has a row for each result: one a
    strategy with one objective, those of its Pareto front with several, which also have a column for each."""
    from strategy_pipeline.optimization import Folds, optimize

    plan = asked.plan
    ledger_of(workspace, day)  # one that cannot be counted stops the search before it leaves anything
    train = workspace.bars(day).between(None, strategies.spans(workspace, day).train_end)
    series = {name: values[:, : train.n_bars] for name, values in predictions.named_series(workspace, day).items()}
    rates = funding_of(workspace, day)
    n_days = len(np.unique(train.times.astype("datetime64[D]")))
    folds = Folds(count=max(1, min(Folds().count, n_days // LEAST_FOLD - 1)))  # a short history is judged in fewer of them
    rows: list[dict[str, Any]] = []
    documents: list[dict[str, Any]] = []
    tuned: dict[str, Strategy] = {}
    trials: list[str] = []
    stage = "optimization_results" if asked.origin == "daily" else STAGE_OF_REQUEST

    def telling(where: str) -> Callable[[int, int], None]:
        return lambda done, of: workspace.observer(stage, "progress", f"{where}: {done:,} of {of:,} trials")

    for number, strategy in enumerate(chosen, 1):
        found = optimize(
            strategy, train, trials=plan.trials, objective=plan.objective, sampler=plan.sampler, batch=plan.batch, prune=plan.prune,
            storage=workspace.folder / "optuna" / f"{day}-{strategy.id}.journal",
            seed=derive_seed(asked.seed, "optimization_results", day, strategy.id) % 2**31,
            costs=costs_of(workspace), fill=workspace.settings.fill, series=series,
            funding=None if rates is None else rates[:, : train.n_bars], folds=folds, workers=workspace.settings.workers,
            progress=telling(f"{strategy.id}, {number} of {len(chosen)}"),
        )  # fmt: skip
        members = found.front if len(plan.objective) > 1 else (found.best,)
        tuned |= {member.id: member for member in members}
        trials += found.strategy_ids
        of_strategy = [_row(strategy, member, found, plan.objective) for member in members]
        rows += of_strategy
        documents.append(_document(workspace, day, asked, of_strategy, plan.objective))
    frame = pd.DataFrame(rows, columns=[*_COLUMNS[:-1], *_more_columns(plan.objective), "text"])
    frame = frame.astype(dict.fromkeys(("strategy_id", "tuned_id", "family", "text"), "str"))
    population = strategies.population(workspace, day) if workspace.lake.exists(strategies.population_path(day)) else []
    known = {strategy.id for strategy in population}
    fresh = [strategy for strategy in tuned.values() if strategy.id not in known]
    artifacts = [workspace.lake.write(f"{prefix}/tuned.parquet", frame)]
    members_frame = strategies.population_frame([(strategy, "optimized") for strategy in fresh])
    artifacts.append(workspace.lake.write(f"{prefix}/population.parquet", members_frame))
    if fresh:
        result = strategies.run(workspace, day, fresh)
        artifacts += strategies.write_results(workspace, prefix, result, strategies.returns_of(workspace, day, fresh, result))
    strategies.store_strategies(workspace, fresh, "optimized", day)
    count_trials(workspace, day, sorted(set(trials)), origin=counted)
    workspace.documents.upsert_many("optimization_results", documents)
    facts = {"tuned": len(chosen), "trials": len(trials), "new_strategies": len(fresh)}
    summary = f"{len(chosen)} strategies tuned in {len(trials)} trials, {len(fresh)} new"
    return StageReport(summary, facts, table=frame, artifacts=tuple(artifacts))


def _more_columns(objectives: Sequence[str]) -> list[str]:
    """With several objectives: what the strategy had of each, and what the result has."""
    return [f"{name}_{when}" for name in objectives for when in ("before", "after")] if len(objectives) > 1 else []


def _row(strategy: Strategy, member: Strategy, found: Study, objectives: Sequence[str]) -> dict[str, Any]:
    """One result. `objective_before` and `objective_after` are of the first objective."""
    complete = found.trials[found.trials["state"] == "complete"].drop_duplicates("strategy_id").set_index("strategy_id")
    values = complete.reindex([strategy.id, member.id])[list(objectives)]  # NaN where nothing is defined
    before, after = values.iloc[0], values.iloc[1]
    row = {
        "strategy_id": strategy.id, "tuned_id": member.id, "family": strategy.family, "trials": len(found.trials),
        "objective_before": strategies.rounded(before.iloc[0]),
        "objective_after": strategies.rounded(after.iloc[0]), "text": member.text,
    }  # fmt: skip
    for name in objectives if len(objectives) > 1 else ():
        row[f"{name}_before"] = strategies.rounded(before[name])
        row[f"{name}_after"] = strategies.rounded(after[name])
    return row


def _document(
    workspace: Workspace, day: dt.date, asked: Asked, rows: Sequence[Mapping[str, Any]], objectives: Sequence[str]
) -> dict[str, Any]:
    """What came of one strategy: the best, what was asked, and with several objectives the ids and values of the front."""
    best = {name: _plain(rows[0][name]) for name in _COLUMNS}
    suffix = "" if asked.origin == "daily" else f"-{asked.key(workspace)}"
    found = {"id": f"{best['strategy_id']}-{day}{suffix}", "day": day.isoformat(), "origin": asked.origin} | best
    found["asked"] = asked.facts(workspace)
    if len(objectives) > 1:
        found["front"] = [{"tuned_id": row["tuned_id"], **{name: _plain(row[f"{name}_after"]) for name in objectives}} for row in rows]
    return found


def _plain(value: Any) -> Any:
    """Documents hold no NaN."""
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _by_sharpe(returns: np.ndarray, ids: list[str]) -> list[int]:
    """Row numbers by Sharpe ratio, best first; ties by id, undefined last."""
    from strategy_pipeline.selection import sharpe_ratio

    ratio = np.nan_to_num(np.asarray(sharpe_ratio(returns.T)), nan=-np.inf)
    return sorted(range(len(ids)), key=lambda i: (-round(float(ratio[i]), 9), ids[i]))
