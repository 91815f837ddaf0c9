"""The venue's own coarser bars as the oracle for resampling.

Open, high, low and close must be equal, bit for bit. Volumes are sums in an order that the venue does not tell, so
they are compared to 1e-9 of their size.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from strategy_pipeline.market import Bars

PRICES = ["open", "high", "low", "close"]


def _compare(made: Bars, venue: Bars) -> int:
    """Bars compared, over the times and symbols both have and where both have a bar."""
    symbols = [name for name in venue.symbols if name in made.symbols]
    left, right = made.select(symbols).to_frame(), venue.select(symbols).to_frame()
    both = left.merge(right, on=["symbol", "ts"], suffixes=("", "_venue"))
    for name in PRICES:
        assert (both[name] == both[f"{name}_venue"]).all(), name
    np.testing.assert_allclose(both["volume"], both["volume_venue"], rtol=1e-9)
    for name in ("quote_volume", "trades", "taker_buy_volume"):
        # The hourly file lacks these for UNI, and for BTC before 2022.
        known = both[name].notna() & both[f"{name}_venue"].notna()
        assert known.mean() > 0.75
        np.testing.assert_allclose(both[name][known], both[f"{name}_venue"][known], rtol=1e-9, err_msg=name)
    return len(both)


@pytest.mark.parametrize(("timeframe", "least"), [("4h", 80_000), ("1d", 13_000)])
def test_hourly_bars_make_the_venues_own_bars(real_data, timeframe, least):
    hourly = Bars.read(real_data / "ohlcv_1h_binance_spot.parquet", "1h")
    venue = Bars.read(real_data / f"ohlcv_{timeframe}_binance_spot.parquet", timeframe)
    assert _compare(hourly.resample(timeframe), venue) > least


def test_quarter_hours_make_the_venues_own_hours(real_data):
    quarters = Bars.read(real_data / "ohlcv_15m_binance_spot.parquet", "15m")
    hourly = Bars.read(real_data / "ohlcv_1h_binance_spot.parquet", "1h", start=quarters.times[0], end="2025-07-01")
    assert _compare(quarters.resample("1h"), hourly) > 30_000


def test_only_days_with_a_missing_hour_are_missing(real_data):
    hourly = Bars.read(real_data / "ohlcv_1h_binance_spot.parquet", "1h", symbols=["BTC/USDT"])
    daily = hourly.resample("1d")
    holes = pd.Series(np.isnan(hourly.close[0]), index=hourly.times).resample("1D").sum()
    holes = holes.loc[daily.times[0] :]
    assert (np.isnan(daily.close[0]) == (holes.to_numpy() > 0)).all()
    assert np.isnan(daily.close[0]).sum() > 20
