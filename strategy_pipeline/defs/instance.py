"""The Dagster instance of a home: its configuration, and the repair of runs that a kill left behind."""

from __future__ import annotations

import os
from pathlib import Path

import dagster as dg
import psutil

PID_TAG = "strategy_pipeline/pid"
STARTED_TAG = "strategy_pipeline/process_started"

_YAML = """\
# Written by strategy_pipeline when the folder is made; yours to edit afterwards.
telemetry:
  enabled: false
nux:
  enabled: false
# SQLite storage is for one machine: one run at a time. For more, point `storage` at PostgreSQL.
concurrency:
  runs:
    max_concurrent_runs: 1
  pools:
    default_limit: 1
run_monitoring:
  enabled: true
  free_slots_after_run_end_seconds: 300
"""


def dagster_home(home: Path) -> Path:
    """The folder of the Dagster instance in a home, with its `dagster.yaml`; made when absent."""
    folder = home.resolve() / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    configuration = folder / "dagster.yaml"
    if not configuration.exists():
        temporary = folder / f".dagster.yaml.{os.getpid()}"
        temporary.write_text(_YAML)
        temporary.replace(configuration)
    return folder


def open_instance(home: Path) -> dg.DagsterInstance:
    """Opens the instance and fails the runs of processes that are gone. Call it with the home's lock held:
    two processes that open a fresh home at once break one of them."""
    instance = dg.DagsterInstance.from_config(str(dagster_home(home)))
    reap_dead_runs(instance)
    return instance


def process_tags() -> dict[str, str]:
    """Tags that let a later process tell whether this run's process is still alive."""
    process = psutil.Process()
    return {PID_TAG: str(process.pid), STARTED_TAG: f"{process.create_time():.2f}"}


def reap_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Marks as failed each started run whose process (pid and start time) is gone, and frees its pool slots.

    After a SIGKILL a run stays STARTED and its slots stay taken, so the next run would wait for ever.
    Runs without our tags were started by someone else and are left alone.
    """
    reaped = []
    unfinished = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING])
    for run in instance.get_runs(unfinished):
        if PID_TAG in run.tags and not _alive(run.tags):
            instance.report_run_failed(run, "The process that ran this was killed; run the day again.")
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
            reaped.append(run.run_id)
    return reaped


def _alive(tags: dict[str, str]) -> bool:
    try:
        process = psutil.Process(int(tags[PID_TAG]))
        return abs(process.create_time() - float(tags[STARTED_TAG])) < 1.0
    except psutil.NoSuchProcess:
        return False
