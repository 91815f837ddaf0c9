"""The Dagster instance of a home: its configuration, and the repair of what a kill left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import psutil
import pytest

from strategy_pipeline.defs.instance import PID_TAG, STARTED_TAG, dagster_home, open_instance, process_tags, reap_dead_runs


@dg.op
def nothing() -> None:
    """Does nothing."""


@dg.job
def idle() -> None:
    nothing()


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory):
    with open_instance(tmp_path_factory.mktemp("reap") / "home") as opened:
        yield opened


def started(instance: dg.DagsterInstance, tags: dict[str, str], status: dg.DagsterRunStatus = dg.DagsterRunStatus.STARTED) -> str:
    return instance.create_run_for_job(idle, tags=tags, status=status).run_id


def status_of(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def dead_process() -> dict[str, str]:
    """Tags of a process that has ended."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    tags = {PID_TAG: str(child.pid), STARTED_TAG: f"{psutil.Process(child.pid).create_time():.2f}"}
    child.communicate(b"\n")
    return tags


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING])
def test_a_run_whose_process_is_gone_is_failed(instance: dg.DagsterInstance, status: dg.DagsterRunStatus) -> None:
    run_id = started(instance, dead_process(), status)
    assert reap_dead_runs(instance) == [run_id]
    assert status_of(instance, run_id) == dg.DagsterRunStatus.FAILURE
    assert reap_dead_runs(instance) == []


def test_a_pid_that_another_process_has_by_now_counts_as_gone(instance: dg.DagsterInstance) -> None:
    run_id = started(instance, {PID_TAG: str(os.getpid()), STARTED_TAG: "1000.00"})
    assert reap_dead_runs(instance) == [run_id]


def test_runs_of_living_processes_and_of_others_are_left_alone(instance: dg.DagsterInstance) -> None:
    living, untagged = started(instance, process_tags()), started(instance, {})
    finished = started(instance, dead_process(), dg.DagsterRunStatus.SUCCESS)
    assert reap_dead_runs(instance) == []
    assert status_of(instance, living) == dg.DagsterRunStatus.STARTED
    assert status_of(instance, untagged) == dg.DagsterRunStatus.STARTED
    assert status_of(instance, finished) == dg.DagsterRunStatus.SUCCESS


def test_a_dead_run_gives_its_pool_slot_back(instance: dg.DagsterInstance) -> None:
    storage = instance.event_log_storage
    storage.set_concurrency_slots("training", 1)
    run_id = started(instance, dead_process())
    assert storage.claim_concurrency_slot("training", run_id, "step").is_claimed
    assert not storage.claim_concurrency_slot("training", "another run", "step").is_claimed
    reap_dead_runs(instance)
    assert storage.get_concurrency_info("training").active_slot_count == 0


def test_the_configuration_is_written_once_and_then_the_users(tmp_path: Path) -> None:
    folder = dagster_home(tmp_path / "home")
    file = folder / "dagster.yaml"
    assert "telemetry:\n  enabled: false" in file.read_text()
    file.write_text("telemetry:\n  enabled: false\n# mine\n")
    assert dagster_home(tmp_path / "home") == folder
    assert "# mine" in file.read_text()
