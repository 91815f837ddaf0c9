"""Search over a strategy's own parameters, in batches, resumable."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from strategy_pipeline.backtest import Costs, backtest
from strategy_pipeline.errors import StrategyError
from strategy_pipeline.market import Bars
from strategy_pipeline.optimization import journal
from strategy_pipeline.optimization.objective import (
    OBJECTIVES,
    Folds,
    OptimizationError,
    checked_objectives,
    fold_values,
    median_over_folds,
)
from strategy_pipeline.strategies import Parameter, Strategy, parameters, with_parameters

if TYPE_CHECKING:
    import optuna

# Numbers are searched to this many significant digits: more is noise, and fewer distinct strategies are fewer trials.
_DIGITS = 4


@dataclass(frozen=True)
class Study:
    """What a search found.

    best
        The best strategy; the one given when nothing beat it (with several objectives: best by the first, on the front).
    value, value_before
        First objective of `best` and of the strategy given: median over folds; NaN when undefined.
    front
        The strategies that none beats in every objective, best by the first one first.
    trials
        One row per trial: number, batch, state (complete, failed), strategy_id (empty when the values make no
        strategy), one column per objective, params (text). Every distinct id in it is a trial for the ledger.
    """

    best: Strategy
    value: float
    value_before: float
    front: tuple[Strategy, ...]
    trials: pd.DataFrame

    @property
    def strategy_ids(self) -> tuple[str, ...]:
        """Every distinct strategy evaluated, sorted: for the trials ledger."""
        return tuple(sorted({sid for sid in self.trials["strategy_id"] if sid}))


def optimize(
    strategy: Strategy,
    bars: Bars,
    *,
    trials: int,
    objective: str | Sequence[str] = "sharpe",
    folds: Folds | None = None,
    storage: Path | str | None = None,
    seed: int = 0,
    costs: Costs | None = None,
    fill: str = "next_open",
    series: Mapping[str, np.ndarray] | None = None,
    sampler: str | None = None,
    batch: int = 16,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Study:
    """The best values of a strategy's parameters on the bars given, which must be the training span alone.

    trials
        How many parameter sets are tried, the strategy's own among them (the first).
    objective
        Of `OBJECTIVES`, from net daily returns pooled over symbols; several make a Pareto front.
    storage
        Journal file; a search found there with the same inputs goes on where it stopped and ends in the same
        study as one never stopped. None keeps it in memory.
    sampler
        ``tpe`` (default for one objective) or ``nsga2`` (default for several).
    batch
        Parameter sets proposed and run together. It is part of what makes a search the same.
    progress
        Called with (trials done, trials) after each batch.

    A strategy without parameters is returned as it is, with one trial. `OptimizationError` for too few days, an
    unknown objective or sampler, or a strategy that cannot be run.
    """
    names = checked_objectives(objective)
    folds = folds or Folds()
    sampler = sampler or ("tpe" if len(names) == 1 else "nsga2")
    if sampler not in ("tpe", "nsga2"):
        raise OptimizationError(f"Expected sampler tpe or nsga2, was {sampler!r}; leave it out for the default")
    if trials < 1 or batch < 1:
        raise OptimizationError(f"Expected at least 1 trial and a batch of at least 1, was {trials} and {batch}; raise them")
    space = parameters(strategy)
    sizes = [min(batch, trials - start) for start in range(0, trials, batch)] if space else [1]
    run = _Evaluation(bars, names, folds, costs or Costs(), fill, series, workers)
    key = _key(strategy, run, sampler, batch, seed)
    directions: list[journal.Direction] = ["maximize" if OBJECTIVES[name] else "minimize" for name in names]
    with journal.quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore", category=_experimental())
        store = journal.open_storage(None if storage is None else Path(storage))
        study, done = journal.open_study(store, key, directions, sizes)
        for number in range(done, len(sizes)):
            study.sampler = journal.sampler_of(sampler, seed, key, number, batch)
            _run_batch(study, strategy, space, run, number, sizes[number])
            if progress is not None:
                progress(sum(sizes[: number + 1]), sum(sizes))
        return _result(study, strategy, names, run)


@dataclass
class _Evaluation:
    """Runs candidates together, each distinct one once."""

    bars: Bars
    names: tuple[str, ...]
    folds: Folds
    costs: Costs
    fill: str
    series: Mapping[str, np.ndarray] | None
    workers: int

    def __call__(self, candidates: Sequence[Strategy]) -> dict[str, tuple[float, ...]]:
        """Objectives by strategy id; a candidate that cannot be run is absent."""
        distinct = list({candidate.id: candidate for candidate in candidates}.values())
        if not distinct:
            return {}
        result = backtest(distinct, self.bars, costs=self.costs, fill=self.fill, series=self.series, workers=self.workers)
        values = [median_over_folds(fold_values(result.daily_returns, name, self.folds)) for name in self.names]
        return {sid: tuple(float(column[row]) for column in values) for row, sid in enumerate(result.strategy_ids)}


def _run_batch(study: optuna.Study, strategy: Strategy, space: Sequence[Parameter], run: _Evaluation, number: int, size: int) -> None:
    from optuna.trial import TrialState

    distributions = {parameter.path: _distribution(parameter) for parameter in space}
    if number == 0 and space:
        study.enqueue_trial({parameter.path: _plain(parameter, parameter.value) for parameter in space})
    asked, candidates = [], []
    for position in range(size):
        trial = study.ask(distributions)
        own = number == 0 and position == 0
        candidate = strategy if own else _candidate(strategy, space, trial.params)
        trial.set_user_attr(journal.BATCH, number)
        trial.set_user_attr("strategy_id", candidate.id if candidate else "")
        asked.append(trial)
        candidates.append(candidate)
    values = run([candidate for candidate in candidates if candidate is not None])
    if number == 0 and strategy.id not in values:
        raise OptimizationError(
            f"Expected a strategy that runs on these bars, was {strategy.id}, which fails; nothing can be tuned; backtest it for the reason"
        )
    for trial, candidate in zip(asked, candidates, strict=True):
        found = values.get(candidate.id) if candidate else None
        if found is None or not np.isfinite(found).all():
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, list(found))


def _candidate(strategy: Strategy, space: Sequence[Parameter], values: Mapping[str, float]) -> Strategy | None:
    try:
        return with_parameters(strategy, {parameter.path: _rounded(parameter, values[parameter.path]) for parameter in space})
    except StrategyError:
        # Two values in their ranges may contradict each other (a trail wider than the stop): a failed trial, not a failed search.
        return None


def _rounded(parameter: Parameter, value: float) -> float:
    if parameter.kind == "int":
        return float(round(value))
    return float(np.clip(float(f"{value:.{_DIGITS}g}"), parameter.low, parameter.high))


def _plain(parameter: Parameter, value: float) -> float | int:
    return int(value) if parameter.kind == "int" else float(value)


def _distribution(parameter: Parameter) -> Any:
    from optuna.distributions import FloatDistribution, IntDistribution

    log = parameter.scale == "log"
    if parameter.kind == "int":
        return IntDistribution(int(parameter.low), int(parameter.high), log=log)
    return FloatDistribution(float(parameter.low), float(parameter.high), log=log)


def _key(strategy: Strategy, run: _Evaluation, sampler: str, batch: int, seed: int) -> str:
    """Name of the study: the strategy and a hash of everything else that decides its course."""
    digest = hashlib.sha256()
    digest.update(repr((run.bars.fingerprint, run.names, run.folds, run.costs, run.fill, sampler, batch, seed)).encode())
    for name, values in sorted((run.series or {}).items()):
        digest.update(name.encode() + np.ascontiguousarray(values, dtype=np.float64).tobytes())
    return f"{strategy.id}-{digest.hexdigest()[:16]}"


def _result(study: optuna.Study, strategy: Strategy, names: tuple[str, ...], run: _Evaluation) -> Study:
    space = parameters(strategy)
    rows, found = [], {}
    for trial in study.get_trials(deepcopy=False):
        values = trial.values if trial.values is not None else [float("nan")] * len(names)
        sid = trial.user_attrs["strategy_id"]
        state = "complete" if trial.values is not None else "failed"
        params = ", ".join(f"{path}={value:.{_DIGITS}g}" for path, value in trial.params.items())
        rows.append((trial.number, trial.user_attrs[journal.BATCH], state, sid, *values, params))
        found[sid] = strategy if sid == strategy.id else _candidate(strategy, space, trial.params)
    frame = pd.DataFrame(rows, columns=["number", "batch", "state", "strategy_id", *names, "params"])
    frame = frame.astype({"state": "str", "strategy_id": "str", "params": "str"} | dict.fromkeys(names, np.float64))
    complete = frame[frame["state"] == "complete"].drop_duplicates("strategy_id")
    signs = np.array([1.0 if OBJECTIVES[name] else -1.0 for name in names])
    scores = complete[list(names)].to_numpy() * signs
    beaten = [bool(((scores >= row).all(axis=1) & (scores > row).any(axis=1)).any()) for row in scores]
    order = [k for k in np.argsort(-scores[:, 0], kind="stable") if not beaten[k]] if len(scores) else []
    front = tuple(_known(found, str(complete["strategy_id"].iloc[k])) for k in order)
    before = float(frame[names[0]].iloc[0])
    value = float(complete[names[0]].iloc[order[0]]) if order else before
    return Study(front[0] if front else strategy, value, before, front or (strategy,), frame)


def _known(found: Mapping[str, Strategy | None], sid: str) -> Strategy:
    strategy = found[sid]
    if strategy is None:
        raise OptimizationError(f"Expected the strategy of a finished trial, was none for {sid}; remove the study file and search again")
    return strategy


def _experimental() -> type[Warning]:
    from optuna.exceptions import ExperimentalWarning

    return ExperimentalWarning
