"""The same command twice gives the same state; a killed one, run again, ends where an undisturbed one does."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from strategy_pipeline_tests.e2e.conftest import TINY, environment
from strategy_pipeline_tests.e2e.state import content_of, differences

Run = Callable[..., subprocess.CompletedProcess[str]]
pytestmark = pytest.mark.timeout(900)  # whole days, on a machine that may be busy


def test_a_fresh_home_gives_the_same_files_and_documents(tiny_day: Path, command: Run, tmp_path: Path) -> None:
    other = tmp_path / "home"
    done = command("run", *TINY, home=other)
    assert done.returncode == 0, done.stderr
    assert differences(content_of(tiny_day), content_of(other)) == []


def test_running_the_day_again_changes_nothing(tiny_day: Path, command: Run, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(tiny_day, home)
    before = content_of(home)
    done = command("run", *TINY, home=home)
    assert done.returncode == 0, done.stderr
    assert differences(before, content_of(home)) == []


def test_a_killed_run_ends_in_the_same_state_when_run_again(tiny_day: Path, command: Run, tmp_path: Path) -> None:
    home = tmp_path / "home"
    moments = random.Random(int(os.environ.get("STRATEGY_PIPELINE_TEST_KILLS", "7")))
    killed = 0
    for attempt in range(4):
        # Later attempts get further, so that the kills fall into different stages.
        if _killed_after(moments.uniform(2.0, 5.0) * (attempt + 1), home):
            killed += 1
    assert killed >= 2, "the day ended before it could be killed: the kill points must fall inside it"
    done = command("run", *TINY, home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    assert differences(content_of(tiny_day), content_of(home)) == []


def _killed_after(seconds: float, home: Path) -> bool:
    child = subprocess.Popen(
        [sys.executable, "-m", "strategy_pipeline.cli", "run", *TINY],
        cwd=home.parent,
        env=environment(home),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if child.poll() is not None:
            return False
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    return True
