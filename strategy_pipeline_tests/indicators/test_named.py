"""Quotes and macro levels as named series: what was known at each close, and the entries that read them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from strategy_pipeline.errors import MissingColumnError
from strategy_pipeline.indicators import Bank, Series, UnknownSeriesError, book_series, catalog, compute, macro_series, spec, term
from strategy_pipeline_tests.indicators.conftest import random_walk, run, world


def book(rows: list[tuple]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["ts", "available_at", "symbol", "level", "bid", "bid_qty", "ask", "ask_qty"])
    for column in ("ts", "available_at"):
        frame[column] = pd.to_datetime(frame[column], utc=True, format="ISO8601").astype("datetime64[ns, UTC]")
    return frame


def test_quotes_are_the_last_known_at_the_close(whole):
    bars = whole.between(None, whole.times[4])  # hours 00 to 03 of 2024-01-01
    table = book([
        ("2024-01-01 00:10", "2024-01-01 00:10", "BTC/USDT", 0, 99.0, 3.0, 101.0, 1.0),
        ("2024-01-01 00:10", "2024-01-01 00:10", "BTC/USDT", 1, 98.0, 5.0, 102.0, 1.0),
        ("2024-01-01 00:50", "2024-01-01 01:00:01", "BTC/USDT", 0, 50.0, 9.0, 51.0, 9.0),
        ("2024-01-01 00:30", "2024-01-01 01:30", "BTC/USDT", 0, 10.0, 7.0, 11.0, 7.0),
    ])  # fmt: skip
    series = book_series(table, bars)
    # The second snapshot arrives a second after 01:00, so the bar of 00:00 does not know it; the third is about an earlier moment.
    np.testing.assert_array_equal(series["book.bid"][0], [99.0, 50.0, np.nan, np.nan])
    np.testing.assert_array_equal(series["book.bid_depth"][0], [8.0, 9.0, np.nan, np.nan])
    assert np.isnan(series["book.bid"][1]).all()
    np.testing.assert_array_equal(book_series(table, bars, max_age=np.timedelta64(3, "h"))["book.bid"][0], [99.0, 50.0, 50.0, 50.0])
    got = {name: compute(name, bars, named=series) for name in ("book_imbalance", "depth_imbalance", "microprice", "quoted_spread")}
    assert got["book_imbalance"][0, 0] == pytest.approx((3 - 1) / 4)
    assert got["depth_imbalance"][0, 0] == pytest.approx((8 - 2) / 10)
    assert got["microprice"][0, 0] == pytest.approx((101 * 3 + 99 * 1) / 4)  # near the ask, which is thin
    assert got["quoted_spread"][0, 0] == pytest.approx(0.02)
    assert compute("microprice_gap", bars, named=series)[0, 0] == pytest.approx(100.5 / 100 - 1)
    assert np.isnan(got["microprice"][0, 2:]).all() and np.isnan(got["microprice"][1]).all()


def test_an_empty_book_has_no_imbalance(whole):
    series = {f"book.{side}_qty": np.zeros(whole.close.shape) for side in ("bid", "ask")}
    assert np.isnan(compute("book_imbalance", whole, named=series)).all()
    assert np.isnan(compute("book_pressure", whole, named=series)).all()


def test_pressure_is_the_mean_of_imbalances(whole):
    single = pd.Series(run("book_imbalance", whole)["value"][0])
    np.testing.assert_allclose(run("book_pressure", whole, length=7)["value"][0], single.rolling(7).mean(), rtol=1e-9)


def test_real_quotes_lean_where_the_price_goes(real_data):
    """An hour of best quotes in five-second steps: the imbalance and the next change of the middle agree in sign on average."""
    raw = pd.read_parquet(real_data / "orderflow_bbo.parquet")
    raw = raw[raw["venue"].astype(str) == raw["venue"].astype(str).iloc[0]]
    raw = raw[raw["symbol"].astype(str) == raw["symbol"].astype(str).iloc[0]].sort_values("ts")
    steps = raw.set_index("ts")[["bid", "bid_qty", "ask", "ask_qty"]].resample("5s").last().dropna()
    middle = ((steps["bid"] + steps["ask"]) / 2).to_numpy()
    bars = random_walk(1, len(steps), seed=1)
    named = {f"book.{column}": steps[column].to_numpy()[None, :] for column in steps}
    lean = compute("book_imbalance", bars, named=named)[0, :-1]
    assert np.corrcoef(lean, np.diff(middle))[0, 1] > 0.1
    gap = compute("microprice_gap", bars, named=named)[0, :-1]
    assert np.corrcoef(gap, np.diff(middle))[0, 1] > 0.1


def test_macro_levels_enter_when_published_and_grow_old(whole):
    bars = whole.between(None, whole.times[6])
    frame = pd.DataFrame({
        "ts": pd.to_datetime(["2023-12-20", "2023-12-31", "2023-12-31"], utc=True),
        "available_at": pd.to_datetime(["2023-12-21", "2024-01-01 03:00", "2024-01-01 00:00"], utc=True, format="ISO8601"),
        "series": ["SPX_close", "SPX_close", "VIXCLS"], "value": [4700.0, 4800.0, 13.0],
    })  # fmt: skip
    series = macro_series(frame, bars, max_age_days=30)
    assert set(series) == {"macro.sp500", "macro.vix"}
    np.testing.assert_array_equal(series["macro.sp500"][2], [4700, 4700, 4800, 4800, 4800, 4800])
    np.testing.assert_array_equal(macro_series(frame, bars)["macro.sp500"][0], [np.nan, np.nan, 4800, 4800, 4800, 4800])
    with pytest.raises(MissingColumnError, match="available_at"):
        macro_series(frame.drop(columns="available_at"), bars)


def test_an_index_that_ends_is_carried_on_by_its_stand_in_without_a_jump(whole):
    """The NASDAQ of a table ends while the QQQ goes on at a fiftieth of its level."""
    bars = whole.between(None, whole.times[240])
    days = pd.date_range("2023-12-28", "2024-01-10", tz="UTC")
    index, fund = 10_000.0 * 1.01 ** np.arange(14), 200.0 * 1.01 ** np.arange(14)
    rows = [(day, "NASDAQ_close", value) for day, value in zip(days[:8], index, strict=False)]
    rows += [(day, "QQQ_close", value) for day, value in zip(days, fund, strict=True)]
    table = pd.DataFrame(rows, columns=["ts", "series", "value"]).assign(available_at=lambda frame: frame["ts"] + pd.Timedelta(days=1))
    level = macro_series(table, bars, max_age_days=2)["macro.nasdaq"][0]
    assert np.isfinite(level).all() and level[0] == pytest.approx(index[3])
    jumps = np.diff(np.log(level))
    # Four steps of the index, which then counts for two days more; from there on, four of the fund.
    assert (np.isclose(jumps, np.log(1.01)) | (jumps == 0)).all() and np.isclose(jumps, np.log(1.01)).sum() == 8
    # What is known by a close decides alone: without the later rows, or with other ones, the past is the same.
    for end in (100, 170, 200):
        past = bars.through(bars.times[end])
        known = table[table["available_at"].dt.tz_localize(None) <= past.available_at[-1]]
        np.testing.assert_array_equal(macro_series(known, past, max_age_days=2)["macro.nasdaq"][0], level[: end + 1])


@pytest.mark.parametrize("market", ["sp500", "nasdaq", "dxy", "vix"])
def test_correlation_with_a_market_is_that_of_the_bars_where_it_moved(market):
    bars = random_walk(2, 1200, seed=31)
    level = world(bars)[f"macro.{market}"]
    got = run(f"correlation_{market}", bars, length=480, horizon=24)["value"]
    x, y = (np.full(1200, np.nan) for _ in range(2))
    x[24:], y[24:] = np.log(bars.close[1, 24:] / bars.close[1, :-24]), np.log(level[1, 24:] / level[1, :-24])
    for i in (503, 700, 1199):
        a, b = x[i - 479 : i + 1], y[i - 479 : i + 1]
        assert 200 < (b != 0).sum() < 480  # weekends stand still
        assert got[1, i] == pytest.approx(np.corrcoef(a[b != 0], b[b != 0])[0, 1], abs=1e-9)
    assert np.isnan(got[:, :503]).all()
    same = compute(f"correlation_{market}", bars, named={f"macro.{market}": bars.close}, length=480)
    assert same[0, -1] == pytest.approx(1.0)
    flat = compute(f"correlation_{market}", bars, named={f"macro.{market}": np.full(1200, 5.0)}, length=480)
    assert np.isnan(flat).all()


def test_entries_say_which_series_they_read_and_miss_them_by_name(whole):
    assert spec("correlation_vix").named_inputs == ("macro.vix",) and spec("rsi").named_inputs == ()
    table = catalog().set_index("name")
    assert table.loc["microprice", "series"] == ("book.bid", "book.bid_qty", "book.ask", "book.ask_qty")
    with pytest.raises(UnknownSeriesError, match=r"macro\.vix"):
        compute("correlation_vix", whole)


def test_series_serve_entries_on_higher_timeframes_and_of_fixed_symbols(whole):
    bank = Bank(whole, series=world(whole), workers=1)
    coarse = bank.evaluate(Series("book_imbalance", (), (), None, "4h"))
    np.testing.assert_array_equal(coarse[:, 3:7], np.repeat(bank.evaluate(term("book_imbalance"))[:, 3:4], 4, axis=1))
    fixed = bank.evaluate(Series("microprice", (), (), None, None, "ETH/USDT"))
    np.testing.assert_array_equal(fixed[2], bank.evaluate(term("microprice"))[1])
