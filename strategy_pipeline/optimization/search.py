"""Search over a strategy's own parameters, in batches, resumable."""

from __future__ import annotations

import contextlib
import hashlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from strategy_pipeline.backtest import BacktestResult, Costs, backtest
from strategy_pipeline.backtest.kept import KeptBank
from strategy_pipeline.errors import StrategyError
from strategy_pipeline.market import Bars
from strategy_pipeline.optimization import cma, journal
from strategy_pipeline.optimization.objective import (
    OBJECTIVES,
    Folds,
    OptimizationError,
    fold_values,
    median_over_folds,
    values_of,
)
from strategy_pipeline.optimization.plan import plan_search
from strategy_pipeline.strategies import Parameter, Strategy, parameters, with_parameters

if TYPE_CHECKING:
    import optuna
    from numpy.typing import NDArray


# Numbers are searched to this many significant digits: more is noise, and fewer distinct strategies are fewer trials.
_DIGITS = 4
_UNDEFINED = "undefined"
_VERSION = 3  # of what a study file holds


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
        One row per trial: number, batch, state (complete, failed, pruned), strategy_id (empty when the values make no
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
    funding: np.ndarray | None = None,
    sampler: str | None = None,
    batch: int = 16,
    workers: int = 0,
    prune: bool = False,
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
    funding
        What held positions pay, as `backtest` takes it.
    sampler
        ``tpe`` (default for one objective), ``nsga2`` (default for several), ``nsga3`` (for three and more), ``gp`` (few trials) or
        ``cmaes`` (one objective, many trials of numbers that act together).
    batch
        Parameter sets proposed and run together. It is part of what makes a search the same.
    prune
        With one objective: run a batch through the first quarter of the folds, and only its better half to the end (synchronous halving,
        Jamieson and Talwalkar 2016). On minutes it spares about a sixth of the time; on hours, where what a batch shares is most of
        it, nothing.
    progress
        Called with (trials done, trials) after each batch.

    A strategy without parameters is returned as it is, with one trial. `OptimizationError` for too few days, what `plan_search`
    refuses, or a strategy that cannot be run.
    """
    plan = plan_search(trials=trials, objective=objective, sampler=sampler, batch=batch, prune=prune)
    names, sampler, folds = plan.objective, plan.sampler, folds or Folds()
    space = parameters(strategy)
    sizes = [min(batch, trials - start) for start in range(0, trials, batch)] if space else [1]
    run = _Evaluation(bars, names, folds, costs or Costs(), fill, series, workers, prune, funding)
    key = _key(strategy, run, sampler, batch, seed)
    directions: list[journal.Direction] = ["maximize" if OBJECTIVES[name] else "minimize" for name in names]
    with journal.quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore", category=_experimental())
        path = None if storage is None else Path(storage)
        store = journal.open_storage(path)
        study, done = journal.open_study(store, key, directions, sizes)
        for number in range(done, len(sizes)):
            study.sampler = journal.sampler_of(sampler, seed, key, number, batch)
            if number == done:
                journal.recall(study, study.sampler)
            proposed = _adapted(study, space, sampler, number, batch, sizes[number], seed, key)
            with journal.one_thread() if sampler == "gp" else contextlib.nullcontext():
                asked = _ask(study, strategy, space, proposed, number, sizes[number])
            _tell(study, strategy, run, number, asked)
            journal.settle(path)
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
    prune: bool = False
    funding: np.ndarray | None = None

    def _run(self, candidates: Sequence[Strategy], **options: Any) -> BacktestResult:
        settings: dict[str, Any] = {
            "costs": self.costs,
            "fill": self.fill,
            "series": self.series,
            "funding": self.funding,
            "workers": self.workers,
        }
        return backtest(candidates, self.bars, bank=self._bank, **settings, **options)

    @cached_property
    def _bank(self) -> KeptBank:
        """Candidates of one strategy read much the same series: each is computed once for all batches."""
        return KeptBank(self.bars, series=self.series, workers=self.workers)

    @property
    def sign(self) -> float:
        """1 where more of the first objective is better, else -1."""
        return 1.0 if OBJECTIVES[self.names[0]] else -1.0

    @cached_property
    def opening(self) -> tuple[_Evaluation, list[NDArray[np.int64]]]:
        """What pruning looks at: the bars through the end of the first quarter of the folds, and the days of these folds."""
        days = np.unique(np.asarray(self.bars.times).astype("datetime64[D]"))
        tests = self.folds.tests(len(days))
        tests = tests[: -(-len(tests) // 4)]
        bars = self.bars.between(None, days[tests[-1][-1]] + np.timedelta64(1, "D"))
        series = {name: values[..., : bars.n_bars] for name, values in (self.series or {}).items()}
        funding = None if self.funding is None else self.funding[..., : bars.n_bars]
        return replace(self, bars=bars, series=series or None, funding=funding), tests

    def first_folds(self, candidates: Sequence[Strategy]) -> dict[str, float]:
        """Median of the objective over the first folds, by strategy id, from a run that ends with them."""
        early, tests = self.opening
        result = early._run(list({candidate.id: candidate for candidate in candidates}.values()))
        found = median_over_folds(values_of(result.daily_returns, self.names[0], tests))
        return dict(zip(result.strategy_ids, found.tolist(), strict=True))

    def __call__(self, candidates: Sequence[Strategy]) -> dict[str, tuple[float, ...]]:
        """Objectives by strategy id; a candidate that cannot be run is absent."""
        distinct = list({candidate.id: candidate for candidate in candidates}.values())
        if not distinct:
            return {}
        result = self._run(distinct)
        values = [median_over_folds(fold_values(result.daily_returns, name, self.folds)) for name in self.names]
        return {sid: tuple(float(column[row]) for column in values) for row, sid in enumerate(result.strategy_ids)}


def _adapted(
    study: optuna.Study, space: Sequence[Parameter], sampler: str, number: int, batch: int, size: int, seed: int, key: str
) -> list[dict[str, float]]:
    """What `cma` proposes for a batch, from the finished batches; nothing for other samplers."""
    if sampler != "cmaes" or not space:
        return []
    told: list[list[tuple[Mapping[str, Any], float]]] = [[] for _ in range(number)]
    better = study.direction.name == "MAXIMIZE"
    for trial in study.get_trials(deepcopy=False):
        value = trial.values[0] if trial.values is not None else float("nan")
        told[trial.user_attrs[journal.BATCH]].append((trial.params, value if better else -value))
    return cma.proposals(space, told, batch, size, seed, key)


Asked = list[tuple["optuna.trial.Trial", "Strategy | None"]]


def _ask(
    study: optuna.Study, strategy: Strategy, space: Sequence[Parameter], proposed: Sequence[Mapping[str, float]], number: int, size: int
) -> Asked:
    """A batch of trials with their candidates; the first of all is the strategy as it was given."""
    distributions = {parameter.path: _distribution(parameter) for parameter in space}
    asked: Asked = []
    for position in range(size):
        own = number == 0 and position == 0
        if space and (own or proposed):
            values = {parameter.path: parameter.value for parameter in space} if own else proposed[position]
            study.enqueue_trial({parameter.path: float(values[parameter.path]) for parameter in space})
        trial = study.ask(distributions)
        candidate = strategy if own else _candidate(strategy, space, trial.params)
        trial.set_user_attr(journal.BATCH, number)
        trial.set_user_attr("strategy_id", candidate.id if candidate else "")
        asked.append((trial, candidate))
    return asked


def _tell(study: optuna.Study, strategy: Strategy, run: _Evaluation, number: int, asked: Asked) -> None:
    """Run a batch and report it; with pruning, those behind after the first folds are not run to the end."""
    from optuna.trial import TrialState

    candidates = [candidate for _, candidate in asked if candidate is not None]
    behind: set[str] = set()
    if run.prune and candidates:
        begun = {sid: value for sid, value in run.first_folds(candidates).items() if np.isfinite(value)}
        middle = float(np.median([*begun.values()])) if begun else 0.0
        behind = {sid for sid, value in begun.items() if (value - middle) * run.sign < 0 and sid != strategy.id}
        for trial, candidate in asked:
            if candidate is not None and candidate.id in begun:
                trial.report(begun[candidate.id], len(run.opening[1]))
    values = run([candidate for candidate in candidates if candidate.id not in behind])
    if number == 0 and strategy.id not in values:
        raise OptimizationError(
            f"Expected a strategy that runs on these bars, was {strategy.id}, which fails; nothing can be tuned; backtest it for the reason"
        )
    for trial, candidate in asked:
        found = values.get(candidate.id) if candidate else None
        if candidate is not None and candidate.id in behind:
            study.tell(trial, state=TrialState.PRUNED)
        elif found is None or not np.isfinite(found).all():
            # Samplers forget what failed and propose it again; what was left off is what they rank last.
            trial.set_user_attr(_UNDEFINED, True)
            study.tell(trial, state=TrialState.PRUNED if len(run.names) == 1 else TrialState.FAIL)
        else:
            study.tell(trial, list(found))


def _candidate(strategy: Strategy, space: Sequence[Parameter], values: Mapping[str, float]) -> Strategy | None:
    try:
        return with_parameters(strategy, {parameter.path: _rounded(parameter, values[parameter.path]) for parameter in space})
    except StrategyError:
        # Two values in their ranges may contradict each other (a trail wider than the stop): a failed trial, not a failed search.
        return None


def _rounded(parameter: Parameter, value: float) -> float:
    found = round(value) if parameter.kind == "int" else float(f"{value:.{_DIGITS}g}")
    return float(min(max(found, parameter.low), parameter.high))


def _distribution(parameter: Parameter) -> Any:
    """Where a parameter is searched. Whole numbers are searched as numbers and rounded: samplers go through whole ones value by
    value, at twenty times the time."""
    from optuna.distributions import FloatDistribution

    return FloatDistribution(parameter.low, parameter.high, log=parameter.scale == "log")


def _key(strategy: Strategy, run: _Evaluation, sampler: str, batch: int, seed: int) -> str:
    """Name of the study: the strategy and a hash of everything else that decides its course."""
    digest = hashlib.sha256()
    digest.update(repr((_VERSION, run.bars.fingerprint, run.names, run.folds, run.costs, run.fill, sampler, batch, seed)).encode())
    if run.prune:
        digest.update(b"prune")
    if sampler in ("nsga2", "nsga3"):
        digest.update(b"parents by generation")
    for name, values in sorted((run.series or {}).items()):
        digest.update(name.encode() + np.ascontiguousarray(values, dtype=np.float64).tobytes())
    if run.funding is not None:
        digest.update(b"funding" + np.ascontiguousarray(run.funding, dtype=np.float64).tobytes())
    return f"{strategy.id}-{digest.hexdigest()[:16]}"


def _result(study: optuna.Study, strategy: Strategy, names: tuple[str, ...], run: _Evaluation) -> Study:
    space = {parameter.path: parameter for parameter in parameters(strategy)}
    rows, found = [], {}
    for trial in study.get_trials(deepcopy=False):
        state = "failed" if _UNDEFINED in trial.user_attrs else {"COMPLETE": "complete", "PRUNED": "pruned"}[trial.state.name]
        values = trial.values if state == "complete" else [float("nan")] * len(names)
        sid = trial.user_attrs["strategy_id"]
        params = ", ".join(f"{path}={_rounded(space[path], value):.{_DIGITS}g}" for path, value in trial.params.items())
        rows.append((trial.number, trial.user_attrs[journal.BATCH], state, sid, *values, params))
        found[sid] = trial.params
    frame = pd.DataFrame(rows, columns=["number", "batch", "state", "strategy_id", *names, "params"])
    frame = frame.astype({"state": "str", "strategy_id": "str", "params": "str"} | dict.fromkeys(names, np.float64))
    complete = frame[frame["state"] == "complete"].drop_duplicates("strategy_id")
    signs = np.array([1.0 if OBJECTIVES[name] else -1.0 for name in names])
    scores = complete[list(names)].to_numpy() * signs
    beaten = [bool(((scores >= row).all(axis=1) & (scores > row).any(axis=1)).any()) for row in scores]
    order = [k for k in np.argsort(-scores[:, 0], kind="stable") if not beaten[k]] if len(scores) else []
    best = [str(complete["strategy_id"].iloc[k]) for k in order]
    front = tuple(strategy if sid == strategy.id else _known(strategy, list(space.values()), found[sid], sid) for sid in best)
    before = float(frame[names[0]].iloc[0])
    value = float(complete[names[0]].iloc[order[0]]) if order else before
    return Study(front[0] if front else strategy, value, before, front or (strategy,), frame)


def _known(strategy: Strategy, space: Sequence[Parameter], values: Mapping[str, float], sid: str) -> Strategy:
    found = _candidate(strategy, space, values)
    if found is None or found.id != sid:
        raise OptimizationError(f"Expected the strategy of a finished trial, was none for {sid}; remove the study file and search again")
    return found


def _experimental() -> type[Warning]:
    from optuna.exceptions import ExperimentalWarning

    return ExperimentalWarning
