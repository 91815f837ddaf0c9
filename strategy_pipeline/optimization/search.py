"""Search over a strategy's own parameters, in batches, resumable."""

from __future__ import annotations

import contextlib
import hashlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from strategy_pipeline.backtest import BacktestResult, Costs, backtest, metrics_from_returns
from strategy_pipeline.errors import StrategyError
from strategy_pipeline.market import Bars
from strategy_pipeline.optimization import cma, journal
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
_RUNG = "first_folds"
_SEEN = 8  # candidates before any is left off


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
        With one objective: run candidates through the end of the middle fold first, and to the end only those whose median over these
        folds is not below that of the candidates before them. It saves time from batches of some hundred on.
    progress
        Called with (trials done, trials) after each batch.

    A strategy without parameters is returned as it is, with one trial. `OptimizationError` for too few days, an
    unknown objective or sampler, or a strategy that cannot be run.
    """
    names = checked_objectives(objective)
    folds = folds or Folds()
    sampler = sampler or ("tpe" if len(names) == 1 else "nsga2")
    if sampler not in journal.SAMPLERS:
        raise OptimizationError(f"Expected a sampler of {', '.join(journal.SAMPLERS)}, was {sampler!r}; leave it out for the default")
    if len(names) > 1 and (prune or sampler == "cmaes"):
        raise OptimizationError(
            f"Expected one objective with {'pruning' if prune else 'cmaes'}, was {', '.join(names)}; name one, or use nsga2 or nsga3"
        )
    if trials < 1 or batch < 1:
        raise OptimizationError(f"Expected at least 1 trial and a batch of at least 1, was {trials} and {batch}; raise them")
    space = parameters(strategy)
    sizes = [min(batch, trials - start) for start in range(0, trials, batch)] if space else [1]
    run = _Evaluation(bars, names, folds, costs or Costs(), fill, series, workers, prune, funding)
    key = _key(strategy, run, sampler, batch, seed)
    directions: list[journal.Direction] = ["maximize" if OBJECTIVES[name] else "minimize" for name in names]
    with journal.quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore", category=_experimental())
        store = journal.open_storage(None if storage is None else Path(storage))
        study, done = journal.open_study(store, key, directions, sizes)
        for number in range(done, len(sizes)):
            study.sampler = journal.sampler_of(sampler, seed, key, number, batch)
            proposed = _adapted(study, space, sampler, number, batch, sizes[number], seed, key)
            with journal.one_thread() if sampler == "gp" else contextlib.nullcontext():
                asked = _ask(study, strategy, space, proposed, number, sizes[number])
            _tell(study, strategy, run, number, asked)
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
        return backtest(candidates, self.bars, **settings, **options)

    @property
    def sign(self) -> float:
        """1 where more of the first objective is better, else -1."""
        return 1.0 if OBJECTIVES[self.names[0]] else -1.0

    @property
    def half(self) -> int:
        """How many folds are looked at before the others."""
        return -(-self.folds.count // 2)

    def first_folds(self, candidates: Sequence[Strategy]) -> dict[str, float]:
        """Median of the objective over the first half of the folds, by strategy id, from a run that ends with them."""
        distinct = list({candidate.id: candidate for candidate in candidates}.values())
        days = np.unique(np.asarray(self.bars.times).astype("datetime64[D]"))
        tests = self.folds.tests(len(days))[: self.half]
        end = (days[tests[-1][-1]] + np.timedelta64(1, "D")).astype("datetime64[ns]")
        result = self._run(distinct, end=end)
        values = [metrics_from_returns(result.daily_returns[:, part], 365.0)[self.names[0]] for part in tests]
        found = median_over_folds(np.stack(values, axis=1).astype(np.float64))
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
            study.enqueue_trial({parameter.path: _plain(parameter, values[parameter.path]) for parameter in space})
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
        begun = run.first_folds(candidates)
        bar = _passing(study)
        behind = {sid for sid, value in begun.items() if value * run.sign < bar and sid != strategy.id}
        for trial, candidate in asked:
            if candidate is not None and np.isfinite(begun.get(candidate.id, np.nan)):
                trial.report(begun[candidate.id], run.half)
                trial.set_user_attr(_RUNG, begun[candidate.id] * run.sign)
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
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, list(found))


def _passing(study: optuna.Study) -> float:
    """The median after the first folds of the candidates before this batch, more being better; nothing passes below it."""
    seen = [
        trial.user_attrs[_RUNG] for trial in study.get_trials(deepcopy=False) if trial.state.is_finished() and _RUNG in trial.user_attrs
    ]
    return float(np.median(seen)) if len(seen) >= _SEEN else -np.inf


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
    if run.prune:
        digest.update(b"prune")
    for name, values in sorted((run.series or {}).items()):
        digest.update(name.encode() + np.ascontiguousarray(values, dtype=np.float64).tobytes())
    if run.funding is not None:
        digest.update(b"funding" + np.ascontiguousarray(run.funding, dtype=np.float64).tobytes())
    return f"{strategy.id}-{digest.hexdigest()[:16]}"


def _result(study: optuna.Study, strategy: Strategy, names: tuple[str, ...], run: _Evaluation) -> Study:
    space = parameters(strategy)
    rows, found = [], {}
    for trial in study.get_trials(deepcopy=False):
        state = {"COMPLETE": "complete", "PRUNED": "pruned"}.get(trial.state.name, "failed")
        values = trial.values if state == "complete" else [float("nan")] * len(names)
        sid = trial.user_attrs["strategy_id"]
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
