"""Readings of quotes, of the calendar and of every table at once: values, and no look ahead."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from strategy_pipeline.audit import audit_lookahead, feature_functions
from strategy_pipeline.config import Settings
from strategy_pipeline.features import FEATURE_SETS, build
from strategy_pipeline.market import Bars, open_source
from strategy_pipeline_tests.indicators.conftest import random_walk


def quotes(bars: Bars) -> pd.DataFrame:
    """A best quote of the first symbol ten minutes before each of its closes, for the first half of the bars."""
    closes = pd.to_datetime(bars.available_at[: bars.n_bars // 2], utc=True).as_unit("ns")
    draw = np.random.default_rng(0)
    ts = closes - pd.Timedelta(minutes=10)
    size = draw.uniform(1, 5, (2, len(ts)))
    return pd.DataFrame(
        {"ts": ts, "available_at": ts, "symbol": bars.symbols[0], "venue": "v", "level": 0, "bid": 99.0, "bid_qty": size[0], "ask": 101.0,
         "ask_qty": size[1]}
    )  # fmt: skip


def test_quotes_are_read_at_the_close_and_expire_within_an_hour():
    bars = random_walk(2, 60, 3)
    book = quotes(bars)
    matrix = build(bars, "full", observations={"book": book})
    bid, ask = book["bid_qty"].to_numpy(), book["ask_qty"].to_numpy()
    np.testing.assert_allclose(matrix.column("book_imbalance")[0, :30], (bid - ask) / (bid + ask), rtol=1e-5)
    np.testing.assert_allclose(matrix.column("book_spread")[0, :30], 200.0, rtol=1e-6)
    np.testing.assert_allclose(
        matrix.column("microprice_gap")[0, :30], 1e4 * ((99 * ask + 101 * bid) / (bid + ask) / 100 - 1), rtol=1e-4, atol=1e-3
    )
    assert np.isnan(matrix.column("book_imbalance")[0, 31:]).all() and np.isnan(matrix.column("book_imbalance")[1]).all()
    assert not build(bars, "full").available[matrix.feature_names.index("book_imbalance")]


def test_the_calendar_is_that_of_the_bar_that_closes():
    bars = random_walk(1, 24 * 40, 5)
    matrix = build(bars, "full")
    opens = pd.DatetimeIndex(bars.times, tz="UTC")
    np.testing.assert_array_equal(matrix.column("weekend")[0], (opens.dayofweek >= 5).astype(float))
    np.testing.assert_allclose(matrix.column("day_of_month")[0], 2 * (opens.day - 1) / (opens.days_in_month - 1) - 1, atol=1e-6)
    there = (opens + pd.Timedelta(minutes=59, seconds=59)).tz_convert("America/New_York")
    inside = (there.dayofweek < 5) & (there.hour * 60 + there.minute >= 570) & (there.hour < 16)
    np.testing.assert_array_equal(matrix.column("us_session")[0], inside.astype(float))
    assert np.allclose(matrix.column("year_sin") ** 2 + matrix.column("year_cos") ** 2, 1.0, atol=1e-5)


@pytest.mark.parametrize("name", FEATURE_SETS)
def test_no_set_sees_the_future_with_every_table_given(name):
    source = open_source(Settings(source="sample", seed=3))
    bars = Bars.from_frame(source.bars("1h", source.symbols()[:2], "2022-01-01", "2022-03-01"), "1h")
    names = ("news", "social", "macro", "fear_greed", "fundamentals", "funding", "open_interest")
    tables = {table: source.observations(table, "2021-06-01", "2022-03-01") for table in names}
    # Texts without score or asset go through the lexicon and the matching of names, too.
    unsaid = tables["news"].index % 3 == 0
    tables["news"].loc[unsaid, ["score", "asset"]] = [np.nan, ""]
    result = audit_lookahead(feature_functions(name, tables | {"book": quotes(bars)}), bars, n_times=2, seed=5)
    judged = result[result["note"] == ""]
    assert judged["passed"].all(), judged[~judged["passed"]].to_string()
    read = {f"{name}.{feature.name}" for feature in FEATURE_SETS[name].features("1h") if feature.read is not None}
    assert len(read & set(judged["name"])) >= 0.8 * len(read)
