"""`Bars`: the record, its cuts, and resampling laws on random markets with gaps."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategy_pipeline.errors import InvalidBarsError, MissingColumnError, NoDataError, UnknownSymbolError
from strategy_pipeline.market import Bars
from strategy_pipeline.market import timeframes as tf
from strategy_pipeline.market.bars import FIELDS


def market(seed: int = 0, n_bars: int = 200, timeframe: str = "1h", missing: float = 0.05, start: str = "2024-02-27T05:00") -> Bars:
    """Two symbols; whole-number volumes, so that sums are exact in any order."""
    draw = np.random.default_rng(seed)
    times = tf.open_grid(tf.floor(start, timeframe)[()], tf.floor(start, timeframe)[()] + 40 * n_bars * tf.duration(timeframe), timeframe)[
        :n_bars
    ]
    opened = 100 + draw.integers(-50, 50, (2, n_bars)).astype(float)
    close = opened + draw.integers(-9, 10, (2, n_bars))
    high = np.maximum(opened, close) + draw.integers(0, 5, (2, n_bars))
    low = np.minimum(opened, close) - draw.integers(0, 5, (2, n_bars))
    volume = draw.integers(0, 1000, (2, n_bars)).astype(float)
    gone = draw.random((2, n_bars)) < missing
    fields = {"open": opened, "high": high, "low": low, "close": close, "volume": volume, "trades": volume * 3}
    return Bars(("BTC/USDT", "ETH/USDT"), timeframe, times, **{name: np.where(gone, np.nan, array) for name, array in fields.items()})


markets = st.builds(
    market, st.integers(0, 10**6), st.integers(1, 400), st.sampled_from(["5m", "15m", "1h", "4h"]), st.sampled_from([0.0, 0.02, 0.3])
)
coarser = st.sampled_from(["30m", "1h", "2h", "4h", "6h", "12h", "1d", "3d", "1w", "1M"])


def test_arrays_are_read_only_contiguous_and_apart_from_what_was_given():
    close = np.ones((1, 3))
    bars = Bars(("A/USD",), "1d", tf.open_grid("2024-01-01", "2024-01-04", "1d"), close, close, close, close, close)
    close[0, 0] = 9
    assert bars.close[0, 0] == 1
    assert bars.close.flags.c_contiguous and bars.close.dtype == np.float64
    with pytest.raises(ValueError, match="read-only"):
        bars.close[0, 0] = 5
    with pytest.raises(ValueError, match="read-only"):
        bars.times[0] = bars.times[1]


@given(markets)
def test_a_frame_reads_back_equal_but_for_empty_ends(bars):
    frame = bars.to_frame()
    if frame.empty:
        with pytest.raises(NoDataError):
            Bars.from_frame(frame, bars.timeframe)
        return
    shuffled = frame.sample(frac=1, random_state=1)
    back = Bars.from_frame(shuffled, bars.timeframe, symbols=[s for s in bars.symbols if s in set(frame.symbol)])
    seen = np.flatnonzero((~np.isnan(bars.close)).any(axis=0))
    expected = bars.select(back.symbols).between(bars.times[seen[0]], bars.times[seen[-1]] + np.timedelta64(1, "ns"))
    assert back == expected
    assert back.fingerprint == expected.fingerprint


@given(markets, coarser, coarser)
def test_resampling_twice_is_resampling_once(bars, middle, last):
    if not (tf.divides(bars.timeframe, middle) and tf.divides(middle, last)):
        return
    assert bars.resample(middle).resample(last) == bars.resample(last)


@given(markets, coarser, st.integers(0, 399))
def test_resampling_the_past_gives_the_past_of_resampling(bars, timeframe, at):
    if not tf.divides(bars.timeframe, timeframe):
        return
    cut = bars.times[min(at, bars.n_bars - 1)]
    known_until = tf.close_times(cut, bars.timeframe)[()]
    whole = bars.resample(timeframe)
    expected = whole.between(None, None) if whole.n_bars == 0 else whole._columns(0, int((whole.available_at <= known_until).sum()))
    assert bars.through(cut).resample(timeframe) == expected


@given(markets, coarser)
def test_each_coarse_bar_is_its_window_and_a_gap_stays_a_gap(bars, timeframe):
    if not tf.divides(bars.timeframe, timeframe):
        return
    frame, made = bars.to_frame(), bars.resample(timeframe)
    windows = tf.floor(bars.times, timeframe)
    for row, symbol in enumerate(bars.symbols):
        mine = frame[frame.symbol == symbol]
        naive = mine.ts.dt.tz_localize(None)
        for column, opened in enumerate(made.times):
            part = mine[((naive >= opened) & (naive < made.available_at[column])).to_numpy()]
            if len(part) < int((windows == opened).sum()):
                assert np.isnan([made.field(name)[row, column] for name in ("open", "high", "low", "close", "volume")]).all()
                continue
            assert made.open[row, column] == part.open.iloc[0] and made.close[row, column] == part.close.iloc[-1]
            assert made.high[row, column] == part.high.max() and made.low[row, column] == part.low.min()
            assert made.volume[row, column] == part.volume.sum() and made.trades[row, column] == part.trades.sum()


@given(markets, st.integers(-5, 405), st.integers(-5, 405))
def test_between_is_half_open_and_through_is_inclusive(bars, a, b):
    start, end = (bars.times[0] + tf.duration(bars.timeframe) * n for n in (a, b))
    part = bars.between(start, end)
    assert part.times.tolist() == [t for t in bars.times.tolist() if start.astype(int) <= t < end.astype(int)]
    assert bars.through(end).times.tolist() == [t for t in bars.times.tolist() if t <= end.astype(int)]
    assert bars.between(None, end).n_bars + bars.between(end, None).n_bars == bars.n_bars


def test_selecting_orders_symbols_and_names_near_matches_of_unknown_ones():
    bars = market()
    assert bars.select(["ETH/USDT", "BTC/USDT"]).close[0].tobytes() == bars.close[1].tobytes()
    with pytest.raises(UnknownSymbolError, match="BTC/USDT"):
        bars.select(["BTC/USDC"])


def test_listed_spans_first_to_last_bar_of_each_symbol():
    bars = market(n_bars=6, missing=0)
    close = bars.close.copy()
    close[0, [0, 3, 5]] = np.nan
    close[1] = np.nan
    listed = bars.with_fields(close=close).listed
    assert listed.tolist() == [[False, True, True, True, True, False], [False] * 6]


def test_bars_become_known_at_their_close():
    assert (market(timeframe="1h").available_at - market(timeframe="1h").times == np.timedelta64(1, "h")).all()
    months = market(timeframe="1M", n_bars=3, start="2024-01-01")
    assert months.available_at.astype("datetime64[D]").astype(str).tolist() == ["2024-02-01", "2024-03-01", "2024-04-01"]


def test_the_fingerprint_tells_every_field_symbol_and_timeframe_apart():
    bars = market()
    others = [
        bars.with_fields(trades=None),
        bars.select(["ETH/USDT", "BTC/USDT"]),
        bars.through(bars.times[-2]),
        bars.with_fields(close=bars.open),
    ]
    assert len({bars.fingerprint, *(other.fingerprint for other in others)}) == 5
    assert bars.fingerprint == market().fingerprint
    assert len(bars.fingerprint) == 64


def test_with_fields_replaces_adds_and_removes():
    bars = market()
    assert bars.with_fields(quote_volume=bars.volume * 2).field("quote_volume").tobytes() == (bars.volume * 2).tobytes()
    with pytest.raises(MissingColumnError, match="taker_buy_volume"):
        bars.field("taker_buy_volume")
    with pytest.raises(MissingColumnError, match="vwap"):
        bars.with_fields(vwap=bars.close)


def _frame(**changes) -> pd.DataFrame:
    frame = market(missing=0, n_bars=4).to_frame()
    for name, value in changes.items():
        frame[name] = value
    return frame


def test_a_repeated_bar_is_refused():
    frame = _frame()
    with pytest.raises(InvalidBarsError, match="Expected each bar once, was BTC/USDT 2024-02-27 05:00"):
        Bars.from_frame(pd.concat([frame, frame.head(1)]), "1h")


def test_an_off_grid_time_is_refused():
    frame = _frame()
    frame.loc[2, "ts"] += pd.Timedelta(seconds=1)
    with pytest.raises(InvalidBarsError, match="open on the grid"):
        Bars.from_frame(frame, "1h")


def test_local_time_is_refused_and_a_naive_time_is_utc():
    frame = _frame()
    with pytest.raises(InvalidBarsError, match="Expected ts in UTC, was Europe/Berlin"):
        Bars.from_frame(frame.assign(ts=frame.ts.dt.tz_convert("Europe/Berlin")), "1h")
    assert Bars.from_frame(frame.assign(ts=frame.ts.dt.tz_localize(None)), "1h") == Bars.from_frame(frame, "1h")


def test_a_missing_number_column_or_symbol_is_refused_by_name():
    frame = _frame()
    holed = frame.copy()
    holed.loc[1, "low"] = np.nan
    with pytest.raises(InvalidBarsError, match="Expected a number for low"):
        Bars.from_frame(holed, "1h")
    with pytest.raises(MissingColumnError, match="without volume"):
        Bars.from_frame(frame.drop(columns="volume"), "1h")
    with pytest.raises(UnknownSymbolError, match="SOL/USDT"):
        Bars.from_frame(frame, "1h", symbols=["SOL/USDT"])
    with pytest.raises(NoDataError, match="there is 2024-02-27"):
        Bars.from_frame(frame, "1h", start="2030-01-01")


def test_a_symbol_without_rows_in_the_range_is_all_nan():
    frame = _frame()
    frame = frame[(frame.symbol == "BTC/USDT") | (frame.ts == frame.ts.min())]
    bars = Bars.from_frame(frame, "1h", symbols=["BTC/USDT", "ETH/USDT"], start=frame.ts.min() + pd.Timedelta(hours=1))
    assert np.isnan(bars.close[1]).all() and not np.isnan(bars.close[0]).any()


def test_a_symbol_without_any_row_may_be_asked_for_on_purpose():
    bars = Bars.from_frame(_frame(), "1h", symbols=["SOL/USDT", "BTC/USDT"], require_all=False)
    assert bars.symbols == ("SOL/USDT", "BTC/USDT") and np.isnan(bars.close[0]).all() and not np.isnan(bars.close[1]).any()


def test_an_incomplete_grid_is_refused_with_the_place():
    bars = market(n_bars=5, missing=0)
    arrays = {name: bars.field(name)[:, :4] for name in FIELDS[:5]}
    with pytest.raises(InvalidBarsError, match="followed by"):
        Bars(bars.symbols, "1h", bars.times[[0, 1, 2, 4]], **arrays)
    with pytest.raises(InvalidBarsError, match="of shape"):
        Bars(bars.symbols, "1h", bars.times, **arrays)
    with pytest.raises(InvalidBarsError, match="distinct symbols"):
        Bars(("A/USD", "A/USD"), "1h", bars.times[:4], **arrays)


def test_resampling_to_a_timeframe_that_does_not_fit_is_refused():
    with pytest.raises(InvalidBarsError, match="was 30m"):
        market().resample("30m")
    with pytest.raises(InvalidBarsError, match="was 1M"):
        market(timeframe="1w", start="2024-01-01").resample("1M")
