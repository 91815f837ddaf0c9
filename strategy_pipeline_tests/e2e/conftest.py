"""The command run as a user runs it, in a process and a home of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

DAY = "2025-06-29"
TINY = ["--profile", "tiny", "--date", DAY]


def environment(home: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("STRATEGY_PIPELINE_")}
    return {**kept, "STRATEGY_PIPELINE_HOME": str(home), "COLUMNS": "200", "NO_COLOR": "1"}


@pytest.fixture(scope="session")
def command() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `strategy-pipeline ...` in a process of its own, in a folder of its own."""

    def run(*arguments: str, home: Path, timeout: int = 600) -> subprocess.CompletedProcess[str]:
        home.parent.mkdir(parents=True, exist_ok=True)
        return subprocess.run(
            [sys.executable, "-m", "strategy_pipeline.cli", *arguments],
            cwd=home.parent,
            env=environment(home),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run
