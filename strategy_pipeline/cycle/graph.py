"""The graph of stages, and how one is run."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from strategy_pipeline.cycle import analytics, checks, features, market, models, portfolio, predictions, records, strategies, tuning
from strategy_pipeline.cycle.report import StageReport
from strategy_pipeline.cycle.workspace import DAY, Workspace
from strategy_pipeline.errors import MissingInputError, PipelineError


@dataclass(frozen=True)
class Stage:
    """One product of the day.

    inputs
        Stages it reads: of the same day, or, for a model, of the day before its cutoff; a model input is
        the newest accepted model whose cutoff is not after the day.
    needs_yesterday
        It builds on its own previous day; the first day starts empty, a later missing day is an error.
    """

    name: str
    group: str
    inputs: tuple[str, ...]
    function: Callable[[Workspace, dt.date], StageReport]
    kinds: tuple[str, ...] = ("python",)
    job: Literal["daily", "retrain"] = "daily"
    needs_yesterday: bool = False

    @property
    def description(self) -> str:
        return (self.function.__doc__ or "").strip()


_ALL = (
    Stage("bars", "market", (), market.bars, ("parquet",)),
    Stage("news", "market", (), market.news, ("parquet",)),
    Stage("macro", "market", (), market.macro, ("parquet",)),
    Stage("fundamentals", "market", (), market.fundamentals, ("parquet",)),
    Stage("features", "features", ("bars", "news", "macro", "fundamentals"), features.features, ("numpy", "parquet")),
    Stage("regime_model", "models", ("bars",), models.regime_model, ("python", "mlflow"), "retrain"),
    Stage("volatility_models", "models", ("bars", "features"), models.volatility_models, ("python", "mlflow"), "retrain"),
    Stage("forecaster", "models", ("bars", "features"), models.forecaster, ("pytorch", "mlflow"), "retrain"),
    Stage("rl_agents", "models", ("bars", "features"), models.rl_agents, ("pytorch", "mlflow"), "retrain"),
    Stage("regimes", "predictions", ("bars", "regime_model"), predictions.regimes),
    Stage("forecasts", "predictions", ("features", "regimes", "volatility_models", "forecaster"), predictions.forecasts),
    Stage("agent_actions", "predictions", ("features", "rl_agents"), predictions.agent_actions),
    Stage("strategy_population", "strategies", ("bars", "regimes", "forecasts", "agent_actions"), strategies.strategy_population),
    Stage("backtests", "strategies", ("strategy_population",), strategies.backtests, ("numpy", "parquet")),
    Stage("optimization_results", "strategies", ("backtests",), tuning.optimization_results, ("python",)),
    Stage("evidence", "strategies", ("backtests", "optimization_results"), strategies.evidence),
    Stage("performance_review", "strategies", ("backtests",), strategies.performance_review),
    Stage("strategy_book", "strategies", ("evidence", "performance_review"), strategies.strategy_book, needs_yesterday=True),
    Stage("risk_limits", "portfolio", ("bars",), portfolio.risk_limits),
    Stage("portfolio", "portfolio", ("strategy_book", "risk_limits"), portfolio.portfolio),
    Stage("signals", "portfolio", ("portfolio", "forecasts", "agent_actions"), portfolio.signals),
    Stage("executions", "portfolio", (), portfolio.executions, ("parquet",)),
    Stage("execution_quality", "portfolio", ("executions", "signals"), portfolio.execution_quality),
    Stage("asset_ranking", "analytics", ("bars", "forecasts"), analytics.asset_ranking),
    Stage("strategy_ranking", "analytics", ("evidence", "strategy_book"), analytics.strategy_ranking, ("parquet",)),
    Stage(
        "performance_report",
        "analytics",
        ("asset_ranking", "strategy_ranking", "performance_review", "signals", "execution_quality", "regimes"),
        analytics.performance_report,
        ("html",),
    ),
)
STAGES: dict[str, Stage] = {stage.name: stage for stage in _ALL}


def run_stage(workspace: Workspace, name: str, day: dt.date) -> StageReport:
    """Runs one stage of one day, under the home's lock, and records what it read and wrote.

    What its blocking checks find is recorded too: nothing builds on a day that failed one.

    Raises MissingInputError when an input of the day was not made, or was made from data that failed its
    quality check; whatever else the stage raises.
    """
    stage = STAGES[name]
    with workspace.lock():
        workspace.observer(name, "start", None)
        try:
            inputs = _inputs(workspace, stage, day)
            report = stage.function(workspace, day)
            failed = checks.failures(workspace, name, day)
        except PipelineError as error:
            workspace.observer(name, "failed", error)
            raise
        outputs = {a.path: a.sha256 for a in report.artifacts} | report.outputs
        facts = {**report.facts, **({"passed": False} if failed else {})}
        summary = "; ".join([*failed, report.summary])
        record = records.Record(name, day.isoformat(), workspace.settings.fingerprint, inputs | report.inputs, outputs, facts, summary)
        records.write(workspace.lake, record)
        workspace.observer(name, "done", report)
    return report


def run_missing(workspace: Workspace, name: str, day: dt.date) -> None:
    """Runs every stage that `name` of `day` needs and that has no record yet under these settings, then `name` itself.

    A record made under settings that can change results counts as missing: what is shown is what the settings say.
    """
    for upstream in STAGES[name].inputs:
        if STAGES[upstream].job == "retrain":
            if workspace.models_due(day):
                _retrain(workspace, day)
        else:
            run_missing(workspace, upstream, day)
    record = workspace.record(name, day)
    if record is None or record.settings != workspace.settings.fingerprint:
        run_stage(workspace, name, day)


def _retrain(workspace: Workspace, cutoff: dt.date) -> None:
    market.ingest_history(workspace, cutoff)
    for stage in STAGES.values():
        if stage.job == "retrain":
            run_stage(workspace, stage.name, cutoff)


def _inputs(workspace: Workspace, stage: Stage, day: dt.date) -> dict[str, str]:
    digests = {}
    for upstream in stage.inputs:
        # A model reads history by range and predictions find their model: neither is a record of the same day.
        if stage.job == "daily" and STAGES[upstream].job == "daily":
            digests[upstream] = workspace.require(upstream, day).digest
    if stage.needs_yesterday:
        yesterday = workspace.record(stage.name, day - DAY)
        earlier = [d for d in records.days_of(workspace.lake, stage.name) if d < day]
        if yesterday is None and earlier:
            raise MissingInputError(
                f"Expected {stage.name} of {day - DAY}, was missing while {earlier[-1]} exists: its history would break; "
                f"run `strategy-pipeline backfill --from {earlier[-1] + DAY} --to {day}`"
            )
        digests[f"{stage.name}@yesterday"] = yesterday.digest if yesterday else "none"
    return digests
