"""A home two days old, and a small market of files that a test may spoil."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from strategy_pipeline.config import Settings
from strategy_pipeline.cycle import Workspace, run_missing

FIRST, SECOND = dt.date(2025, 6, 29), dt.date(2025, 6, 30)


@pytest.fixture(scope="module")
def two_days(tiny_day: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The tiny home with the next day run as well, stage by stage, without Dagster."""
    home = tmp_path_factory.mktemp("two_days") / "home"
    shutil.copytree(tiny_day, home)
    workspace = Workspace(Settings(home=home, profile="tiny"))
    run_missing(workspace, "performance_report", SECOND)
    return workspace


def hourly(symbol: str, first: str, last: str, seed: int) -> pd.DataFrame:
    """A random walk of hourly klines from `first` through `last`."""
    draw = np.random.default_rng(seed)
    ts = pd.date_range(first, pd.Timestamp(last) + pd.Timedelta(hours=23), freq="h", tz="UTC")
    close = 100 * np.exp(np.cumsum(draw.normal(0, 0.004, len(ts))))
    open_ = np.concatenate([[100.0], close[:-1]])
    spread = np.exp(np.abs(draw.normal(0, 0.002, len(ts))))
    frame = {"ts": ts, "symbol": symbol.replace("/", ""), "timeframe": "1h", "venue": "binance_spot", "open": open_,
             "high": np.maximum(open_, close) * spread, "low": np.minimum(open_, close) / spread, "close": close,
             "volume": draw.uniform(1, 9, len(ts))}  # fmt: skip
    return pd.DataFrame(frame)


@pytest.fixture
def klines() -> pd.DataFrame:
    """150 days of three symbols, ending with 2024-05-29."""
    return pd.concat([hourly(f"{base}/USDT", "2024-01-01", "2024-05-29", seed) for seed, base in enumerate(("BTC", "ETH", "SOL"))])


def files_workspace(folder: Path, frame: pd.DataFrame) -> Workspace:
    data = folder / "data"
    data.mkdir(exist_ok=True)
    frame.to_parquet(data / "ohlcv_1h_binance_spot.parquet", index=False)
    return Workspace(Settings(home=folder / "home", source="files", data=data, profile="tiny", history_from=dt.date(2024, 1, 1)))
