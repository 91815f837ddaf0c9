"""The index source and the calendar of New York."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from strategy_pipeline.config import Settings
from strategy_pipeline.errors import NoDataError, UnknownSymbolError
from strategy_pipeline.market import Bars, open_source
from strategy_pipeline.market import timeframes as tf
from strategy_pipeline.market.calendars import calendar_of, is_open
from strategy_pipeline.market.quality import check_bars


@pytest.fixture(scope="module")
def source():
    return open_source(Settings(source="indices", timeframe="1d"))


def test_the_calendar_opens_on_exactly_the_days_the_index_traded(source):
    days = tf.open_grid("1999-01-04", "2019-01-01", "1d")
    traded = source.bars("1d", ["SP500/USD"], None, None)["ts"].dt.tz_localize(None).to_numpy(dtype="datetime64[ns]")
    assert np.array_equal(days[is_open(days, "1d", "new_york")], traded)


def test_closed_days_are_nan_on_the_grid_and_no_gap_to_quality(source):
    frame = source.bars("1d", None, "2001-09-01", "2001-10-01")
    bars = Bars.from_frame(frame, "1d")
    at = {str(day)[:10]: column for column, day in enumerate(bars.times)}
    assert np.isnan(bars.close[:, [at["2001-09-08"], at["2001-09-11"]]]).all() and not np.isnan(bars.close[:, at["2001-09-10"]]).any()
    rules = check_bars(frame, "1d", calendar=calendar_of(source)).rules.set_index("rule")
    assert rules.loc["gaps", "failed"] == 0
    assert check_bars(frame, "1d").rules.set_index("rule").loc["gaps", "failed"] == 20  # ten closed days, two symbols
    holed = frame[frame["ts"] != pd.Timestamp("2001-09-20", tz="UTC")]
    assert check_bars(holed, "1d", calendar="new_york").rules.set_index("rule").loc["gaps", "failed"] == 2


def test_weeks_and_months_are_made_from_all_trading_days(source):
    daily, weekly = (source.bars(timeframe, ["NASDAQ/USD"], "2018-12-17", "2018-12-31") for timeframe in ("1d", "1w"))
    assert weekly["open"].tolist() == [daily["open"].iloc[0], daily["open"].iloc[5]]
    assert weekly["volume"].tolist() == [daily["volume"].iloc[:5].sum(), daily["volume"].iloc[5:9].sum()]
    assert len(source.bars("1M", ["NASDAQ/USD"], None, None)) == 240


def test_macro_observations_carry_release_lags(source):
    macro = source.observations("macro", "2018-01-01", "2018-02-01")
    assert set(macro["series"]) == {"VIXCLS", "DCOILWTICO", "CPILFESL"}
    cpi = macro[macro.series == "CPILFESL"].iloc[0]
    assert cpi.available_at >= pd.Timestamp("2018-02-14 13:30", tz="UTC") and cpi.revised
    assert source.observations("news", None, None).empty


def test_finer_bars_unknown_symbols_and_empty_ranges_are_refused(source):
    with pytest.raises(NoDataError, match="Expected a timeframe of 1d or coarser"):
        source.bars("1h", None, None, None)
    with pytest.raises(UnknownSymbolError, match="SP500/USD"):
        source.bars("1d", ["SP500/EUR"], None, None)
    with pytest.raises(NoDataError, match="holds 1999-01-04 to 2018-12-31"):
        source.bars("1d", None, "2024-01-01", None)
