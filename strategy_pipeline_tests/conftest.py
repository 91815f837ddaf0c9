"""Shared fixtures: where real data lies, quiet libraries, a hypothesis profile that suits two cores."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings

for name, value in {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "DAGSTER_DISABLE_TELEMETRY": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "OMP_NUM_THREADS": "1",
}.items():
    os.environ.setdefault(name, value)

settings.register_profile("house", max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("nightly", max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("STRATEGY_PIPELINE_TEST_HYPOTHESIS", "house"))

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real market data: `STRATEGY_PIPELINE_TEST_DATA`, by default `../shared/data` beside the repository."""
    given = os.environ.get("STRATEGY_PIPELINE_TEST_DATA")
    folder = Path(given) if given else REPOSITORY.parent / "shared" / "data"
    if not (folder / "ohlcv_1h_binance_spot.parquet").exists():
        pytest.skip(f"no real market data at {folder}; set STRATEGY_PIPELINE_TEST_DATA to a folder that holds it")
    return folder


@pytest.fixture(scope="session")
def tiny_day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home after one undisturbed tiny day of the command; made once, also when several workers run the suite.

    Read it, or copy it and change the copy.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    home = shared / "tiny" / "home"
    with FileLock(shared / "tiny.lock"):
        if not (shared / "tiny" / "stdout.txt").exists():
            home.parent.mkdir(parents=True, exist_ok=True)
            clean = {k: v for k, v in os.environ.items() if not k.startswith("STRATEGY_PIPELINE_")}
            done = subprocess.run(
                [sys.executable, "-m", "strategy_pipeline.cli", "run", "--profile", "tiny", "--date", "2025-06-29"],
                cwd=home.parent,
                env={**clean, "STRATEGY_PIPELINE_HOME": str(home)},
                capture_output=True,
                text=True,
                timeout=280,
                check=False,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            (shared / "tiny" / "stdout.txt").write_text(done.stdout)
    return home


@pytest.fixture(scope="session")
def tiny_copy(tiny_day: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of `tiny_day` that tests may add to; one for each worker, so leave what the day made as it is."""
    home = tmp_path_factory.mktemp("tiny_copy") / "home"
    shutil.copytree(tiny_day, home)
    return home
