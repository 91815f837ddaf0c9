"""`run_day`: a day of the cycle, the one function under the command line, the schedule and backfills.

A day is up to four jobs in order: `ingest` (history as one range, when the lake lacks it), `retrain`
(when the newest model is older than the profile allows), `daily`, and `marts` (once an invocation). They
run in this process, one after the other, under the home's lock, and are recorded in the home's Dagster
instance, so that the UI shows them.
"""

from __future__ import annotations

import datetime as dt
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import dagster as dg

from strategy_pipeline.config import Settings
from strategy_pipeline.cycle import Workspace
from strategy_pipeline.defs.instance import open_instance, process_tags
from strategy_pipeline.defs.jobs import QUIET
from strategy_pipeline.defs.last_run import remember
from strategy_pipeline.defs.resources import WorkspaceResource, settings_json, shared_workspace
from strategy_pipeline.errors import MissingInputError, PipelineError


@dataclass
class DayResult:
    """Which jobs ran for a day, with their Dagster run ids, and which later days the re-run made stale."""

    day: dt.date
    runs: dict[str, str] = field(default_factory=dict)
    stale_days: list[dt.date] = field(default_factory=list)


def run_day(settings: Settings, day: dt.date, *, instance: dg.DagsterInstance | None = None, marts: bool = True) -> DayResult:
    """Runs one day of the cycle; raises the `PipelineError` that stopped it.

    instance
        An instance that is already open (inside a Dagster run); None opens the home's, under its lock.
    marts
        Whether to build the dbt marts afterwards; a backfill builds them once, after its last day.
    """
    workspace = shared_workspace(settings)
    result = DayResult(day)
    with workspace.lock(), _opened(settings, instance) as opened:
        remember(settings)
        runner = _Runner(workspace, opened)
        if not workspace.has_history_before(day):
            result.runs["ingest"] = runner.run("ingest", day)
        if workspace.models_due(day):
            result.runs["retrain"] = runner.run("retrain", day)
        result.runs["daily"] = runner.run("daily", day)
        result.stale_days = workspace.stale_after(day)
        if marts:
            result.runs["marts"] = runner.run("marts")
    return result


def run_days(settings: Settings, days: list[dt.date], *, instance: dg.DagsterInstance | None = None) -> Iterator[DayResult]:
    """Runs days in order, oldest first, and the marts once after the last."""
    days = sorted(days)
    for day in days:
        yield run_day(settings, day, instance=instance, marts=day == days[-1])


class _Runner:
    def __init__(self, workspace: Workspace, instance: dg.DagsterInstance) -> None:
        from strategy_pipeline.defs.build import build_defs

        self._workspace = workspace
        self._instance = instance
        resource = WorkspaceResource(settings_json=settings_json(workspace.settings))
        self._definitions = build_defs(resource_overrides={"pipeline": resource})

    def run(self, job: str, day: dt.date | None = None) -> str:
        tags = {**process_tags(), "strategy_pipeline/universe": self._workspace.universe}
        with _quiet():
            result = self._definitions.resolve_job_def(job).execute_in_process(
                instance=self._instance,
                partition_key=None if day is None else day.isoformat(),
                tags=tags,
                run_config=QUIET,
                raise_on_error=False,
            )
        if not result.success:
            raise _cause(result, job, day)
        return result.run_id


def _cause(result: dg.ExecuteInProcessResult, job: str, day: dt.date | None) -> PipelineError:
    """The first failure of a run as one line: the library's own error where there is one."""
    of_day = f" of {day}" if day else ""
    for check in result.get_asset_check_evaluations():
        if not check.passed and check.severity == dg.AssetCheckSeverity.ERROR:  # a warning stops nothing
            return PipelineError(
                f"Check {check.check_name} on {check.asset_key.to_user_string()}{of_day} failed: {check.description}; "
                "nothing downstream ran: mend the data and run the day again"
            )
    for event in result.all_events:
        if event.is_failure and event.is_step_event:
            data = event.step_failure_data
            own = data.user_failure_data.description if data.user_failure_data else None
            if own:
                return MissingInputError(own) if own.startswith("Expected") else PipelineError(own)
            error = data.error
            cause = (error.cause or error) if error else None
            text = cause.message.strip() if cause else "no message"
            return PipelineError(f"Stage {event.step_key}{of_day} failed: {text} (run {result.run_id}; see `strategy-pipeline ui`)")
    checks = [e for e in result.get_asset_check_evaluations() if not e.passed]
    if checks:
        first = checks[0]
        return PipelineError(
            f"Check {first.check_name} on {first.asset_key.to_user_string()}{of_day} failed: {first.description}; nothing downstream ran"
        )
    return PipelineError(f"Job {job}{of_day} failed (run {result.run_id}; see `strategy-pipeline ui`)")


@contextmanager
def _opened(settings: Settings, instance: dg.DagsterInstance | None) -> Iterator[dg.DagsterInstance]:
    if instance is not None:
        yield instance
        return
    with open_instance(settings.home) as opened:
        yield opened


@contextmanager
def _quiet() -> Iterator[None]:
    """Dagster's own log lines go to its event log; the terminal belongs to the progress display."""
    logger = logging.getLogger("dagster")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", dg.PreviewWarning)
            warnings.simplefilter("ignore", dg.BetaWarning)
            yield
    finally:
        logger.setLevel(level)
