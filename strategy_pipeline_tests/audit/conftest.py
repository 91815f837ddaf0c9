"""The histories that audits run on: a walk with gaps, real hours over an outage, and the sample market with its world."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from strategy_pipeline.config import Settings
from strategy_pipeline.market import Bars, open_source
from strategy_pipeline.market.observations import as_table
from strategy_pipeline_tests.indicators.conftest import blanked, random_walk


@pytest.fixture(scope="session")
def gappy() -> Bars:
    """Three symbols, 600 hours: one with an outage, one listed late."""
    bars = random_walk(3, 600, seed=5)
    return blanked(blanked(bars, 1, slice(300, 305)), 2, slice(0, 120))


@pytest.fixture(scope="session")
def real(real_data) -> Bars:
    """BTC, ETH and SOL over the outage of 2023-03-24."""
    frame = pd.read_parquet(real_data / "ohlcv_1h_binance_spot.parquet")
    frame = frame[frame["symbol"].astype(str).isin(["BTCUSDT", "ETHUSDT", "SOLUSDT"])]
    frame = frame[(frame["ts"] >= "2022-05-01") & (frame["ts"] < "2023-04-15")]
    frame = frame.assign(symbol=frame["symbol"].astype(str).str.replace("USDT", "/USDT"), timeframe="1h")
    return Bars.from_frame(frame, "1h")


@pytest.fixture(scope="session")
def real_world(real_data) -> dict[str, pd.DataFrame]:
    """What was observed before and in those months: news, macro levels, fear and greed, fundamentals."""
    source = open_source(Settings(source="files", data=str(real_data)))
    return {name: source.observations(name, "2021-06-01", "2023-04-15") for name in ("news", "macro", "fear_greed", "fundamentals")}


@pytest.fixture(scope="session")
def sample() -> Bars:
    """Three symbols of the sample market, the first quarter of 2022 in hours."""
    source = open_source(Settings(source="sample", seed=3))
    return Bars.from_frame(source.bars("1h", source.symbols()[:3], "2022-01-01", "2022-04-01"), "1h")


@pytest.fixture(scope="session")
def sample_world(sample) -> dict[str, pd.DataFrame]:
    """Every table that features read: the sample's, with quotes, the price of gold and realised capitalisation made up."""
    source = open_source(Settings(source="sample", seed=3))
    names = ("news", "social", "macro", "fear_greed", "fundamentals", "funding", "open_interest")
    tables = {name: source.observations(name, "2021-01-01", "2022-04-01") for name in names}
    draw = np.random.default_rng(9)
    days = pd.date_range("2021-01-01", "2022-03-31", freq="D", tz="UTC")
    price = 1800 * np.exp(np.cumsum(0.01 * draw.standard_normal(len(days))))
    gold = {"series": "GOLD_daily", "value": price, "source": "made", "revised": False}
    ratio = 1.5 + 0.1 * draw.standard_normal(len(days))
    mvrv = {"asset": "BTC", "metric": "CapMVRVCur", "value": ratio, "source": "made"}
    for table, rows in (("macro", gold), ("fundamentals", mvrv)):
        made = as_table(table, pd.DataFrame({"ts": days, "available_at": days + pd.Timedelta(hours=30), **rows}))
        tables[table] = as_table(table, pd.concat([tables[table], made]))
    tables["book"] = quotes(sample, draw)
    return tables


def quotes(bars: Bars, draw: np.random.Generator) -> pd.DataFrame:
    """Two levels of quotes around each close, seen some seconds before it; one in ten arrives after it."""
    seen = pd.DatetimeIndex(bars.available_at, tz="UTC") - pd.Timedelta(seconds=20)
    parts = []
    for row, symbol in enumerate(bars.symbols):
        known = seen + pd.to_timedelta(np.where(draw.random(len(seen)) < 0.1, 40, 5), unit="s")
        for level in (0, 1):
            away = 1e-4 * (level + draw.random((2, len(seen))))
            close = np.where(np.isfinite(bars.close[row]), bars.close[row], 1.0)
            sizes = dict(zip(("bid_qty", "ask_qty"), 1 + draw.random((2, len(seen))), strict=True))
            parts.append(pd.DataFrame({
                "ts": seen, "available_at": known, "symbol": symbol, "venue": "made", "level": level,
                "bid": close * (1 - away[0]), "ask": close * (1 + away[1]), **sizes,
            }))  # fmt: skip
    return as_table("book", pd.concat(parts))
