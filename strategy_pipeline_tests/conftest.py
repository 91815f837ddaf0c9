"""Shared fixtures: where real data lies, quiet libraries, a hypothesis profile that suits two cores."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
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
