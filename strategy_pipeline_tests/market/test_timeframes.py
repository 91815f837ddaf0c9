"""Timeframe arithmetic against pandas and the calendar."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategy_pipeline import config
from strategy_pipeline.errors import InvalidBarsError
from strategy_pipeline.market import timeframes as tf

moments = st.integers(-(10**18), 4 * 10**18).map(lambda stamp: np.datetime64(stamp, "ns"))


def test_the_settings_accept_exactly_the_timeframes_that_bars_know():
    assert tf.TIMEFRAMES == config.TIMEFRAMES


@given(moments, st.sampled_from(tf.TIMEFRAMES))
def test_every_moment_lies_in_the_bar_that_floor_names(moment, timeframe):
    opened = tf.floor(moment, timeframe)[()]
    assert opened <= moment < tf.close_times(opened, timeframe)[()]
    assert tf.on_grid(opened, timeframe)


@given(moments, st.sampled_from([name for name in tf.TIMEFRAMES if name not in ("3d", "1w", "1M")]))
def test_floor_agrees_with_pandas(moment, timeframe):
    expected = pd.Timestamp(moment).floor(timeframe.replace("m", "min"))
    assert pd.Timestamp(tf.floor(moment, timeframe)[()]) == expected


@given(moments)
def test_weeks_open_on_monday_and_months_on_their_first_day(moment):
    assert pd.Timestamp(tf.floor(moment, "1w")[()]).dayofweek == 0
    assert pd.Timestamp(tf.floor(moment, "1w")[()]) == pd.Timestamp(moment).to_period("W-SUN").start_time
    assert pd.Timestamp(tf.floor(moment, "1M")[()]) == pd.Timestamp(moment).to_period("M").start_time


def test_three_day_bars_count_from_the_epoch():
    assert tf.floor("1970-01-03T23:59", "3d") == np.datetime64("1970-01-01")
    assert tf.floor("1970-01-04", "3d") == np.datetime64("1970-01-04")


@given(moments, st.integers(0, 400), st.sampled_from(tf.TIMEFRAMES))
def test_the_grid_holds_each_open_of_the_half_open_range_once(start, bars, timeframe):
    end = start + tf.duration(timeframe) * bars
    grid = tf.open_grid(start, end, timeframe)
    assert ((grid >= start) & (grid < end)).all()
    assert tf.on_grid(grid, timeframe).all()
    assert (tf.close_times(grid[:-1], timeframe) == grid[1:]).all()
    if len(grid):
        assert tf.close_times(grid[-1:], timeframe)[0] >= end
        assert tf.floor(grid[0] - np.timedelta64(1, "ns"), timeframe)[()] < start


def test_a_grid_of_years_does_not_lose_its_last_bar_to_rounding():
    grid = tf.open_grid("2017-08-17T04:00", np.datetime64("2025-06-30T23:00", "ns") + np.timedelta64(1, "ns"), "1h")
    assert grid[-1] == np.datetime64("2025-06-30T23:00")


def test_bars_per_year_is_that_of_365_days():
    assert tf.bars_per_year("1h") == 8760
    assert tf.bars_per_year("1d") == 365
    assert tf.bars_per_year("1M") == 12


def test_only_timeframes_that_fill_another_divide_it():
    assert tf.divides("1h", "4h") and tf.divides("1d", "1w") and tf.divides("1d", "1M") and tf.divides("12h", "3d")
    assert not tf.divides("1w", "1M") and not tf.divides("3d", "1w") and not tf.divides("3d", "1M")
    assert not tf.divides("4h", "6h") and not tf.divides("1h", "1h") and not tf.divides("4h", "1h")


def test_times_are_written_without_empty_parts():
    written = [tf.written(text) for text in ("2025-06-29", "2025-06-29T12:00Z", "2025-06-29T12:00:05", "2025-06-29T00:00:00.5")]
    assert written == ["2025-06-29", "2025-06-29 12:00", "2025-06-29 12:00:05", "2025-06-29 00:00:00.500000"]


def test_a_time_with_a_zone_is_converted_to_utc():
    assert tf.to_time("2025-06-29T12:00+02:00") == np.datetime64("2025-06-29T10:00")


@pytest.mark.parametrize("given", ["7m", "1mo", ""])
def test_an_unknown_timeframe_is_named_in_the_error(given):
    with pytest.raises(InvalidBarsError, match="Expected a timeframe of 1m"):
        tf.duration(given)


@pytest.mark.parametrize("given", ["yesterday-ish", None, "NaT"])
def test_what_is_no_time_is_refused(given):
    with pytest.raises(InvalidBarsError, match="Expected a time"):
        tf.to_time(given)
