"""A day's bars, made into one day, are held against the venue's own daily bars where a folder has both."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd

from strategy_pipeline.config import Settings
from strategy_pipeline.cycle import Workspace, run_check, run_stage

DAY = dt.date(2025, 6, 28)


def test_real_hours_agree_with_the_venues_own_day(real_data: Path, tmp_path: Path) -> None:
    settings = Settings(
        home=tmp_path / "home", source="files", data=real_data, symbols="BTC/USDT,ETH/USDT", history_from="2025-06-20", profile="tiny"
    )
    workspace = Workspace(settings)
    run_stage(workspace, "bars", DAY)
    verdict = run_check(workspace, "whole_days_agree", DAY)
    assert verdict.passed
    assert verdict.facts == {"compared": 2, "differ": 0}


def test_a_day_that_the_venue_saw_otherwise_is_named(tmp_path: Path) -> None:
    ts = pd.date_range("2025-06-01", "2025-06-29", freq="h", tz="UTC", inclusive="left")
    price = 100 + np.arange(len(ts)) % 7
    rows = pd.DataFrame(
        {
            "ts": ts,
            "symbol": "BTCUSDT",
            "timeframe": "1h",
            "open": price,
            "high": price + 1,
            "low": price - 1.0,
            "close": price,
            "volume": 5.0,
        }
    )
    daily = (
        rows.set_index("ts")
        .resample("1D")
        .agg({"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"})
        .reset_index()
    )
    daily = daily.assign(symbol="BTCUSDT", timeframe="1d", venue="binance_spot")
    daily.loc[daily["ts"] == pd.Timestamp(DAY, tz="UTC"), "high"] += 5.0
    data = tmp_path / "data"
    data.mkdir()
    rows.assign(venue="binance_spot").to_parquet(data / "ohlcv_1h_binance_spot.parquet", index=False)
    daily.to_parquet(data / "ohlcv_1d_binance_spot.parquet", index=False)
    workspace = Workspace(Settings(home=tmp_path / "home", source="files", data=data, history_from="2025-06-20", profile="tiny"))
    run_stage(workspace, "bars", DAY)
    verdict = run_check(workspace, "whole_days_agree", DAY)
    assert not verdict.passed
    assert "BTC/USDT high" in verdict.summary
