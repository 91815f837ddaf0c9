"""Replayed depth against the venue's own best quotes, which come on a separate stream."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from strategy_pipeline.config import Settings
from strategy_pipeline.market.sources.files import FilesSource, observation_layouts
from strategy_pipeline.market.sources.files.depth import replay


def test_a_small_book_is_replayed_by_hand(tmp_path):
    second = 1_700_000_000 * 10**9 + 1000
    book = [("b", 100.0, 1.0), ("b", 99.0, 2.0), ("a", 101.0, 3.0), ("a", 102.0, 4.0)]
    pd.DataFrame(
        [(second, "x_spot", "BTCUSDT", side, 0, price, qty) for side, price, qty in book],
        columns=["recv_ns", "venue", "symbol", "side", "level", "price", "qty"],
    ).to_parquet(tmp_path / "snapshots.parquet")
    changes = [
        (-1, "b", 99.0, 2.0),
        (1, "b", 100.0, 0.0),
        (2, "a", 100.5, 7.0),
        (2_000_000_000, "a", 100.5, 0.0),
        (2_000_000_000, "b", 99.0, 5.0),
    ]
    frame = pd.DataFrame([(second + at, side, price, qty) for at, side, price, qty in changes], columns=["recv_ns", "side", "price", "qty"])
    frame["ts"] = pd.to_datetime(frame["recv_ns"] - 5, utc=True)
    frame.assign(venue="x_spot", symbol="BTCUSDT", first_id=1, last_id=2).to_parquet(tmp_path / "updates.parquet")
    rows = replay(tmp_path / "snapshots.parquet", tmp_path / "updates.parquet")
    # The update received before the snapshot changes nothing; bid 100 is deleted; ask 100.5 comes and goes.
    assert rows[["level", "bid", "bid_qty", "ask", "ask_qty"]].to_numpy().tolist() == [
        [0, 99.0, 2.0, 100.5, 7.0],
        [0, 99.0, 5.0, 101.0, 3.0],
    ]
    assert (rows["recv_ns"] % 10**10).tolist() == [10**9, 3 * 10**9]


def test_replayed_best_quotes_agree_with_the_quote_stream(real_data):
    book = replay(real_data / "orderflow_depth_snapshots.parquet", real_data / "orderflow_depth_updates.parquet")
    assert (book["bid"] < book["ask"]).all() and (book[["bid_qty", "ask_qty"]] > 0).all(axis=None)
    assert (book.groupby(["venue", "symbol", "recv_ns"])["level"].count() == 10).all()
    quotes = pd.read_parquet(real_data / "orderflow_bbo.parquet").sort_values("recv_ns")
    top = book[book["level"] == 0].sort_values("recv_ns")
    both = pd.merge_asof(
        top, quotes[["recv_ns", "venue", "symbol", "bid", "ask"]], on="recv_ns", by=["venue", "symbol"], suffixes=("", "_quoted")
    )
    apart = ((both["bid"] + both["ask"]) / (both["bid_quoted"] + both["ask_quoted"]) - 1).abs()
    # Depth comes ten times a second, quotes at each change: most seconds are equal, none is off by two basis points.
    assert len(both) == 1382 and (apart == 0).mean() > 0.8 and apart.max() < 2e-4


def test_the_book_table_holds_quotes_and_depth_of_one_venue(real_data):
    book = FilesSource.at(real_data).observations("book", "2024-08-08", "2024-08-10")
    assert set(book["venue"]) == {"binance_spot"} and set(book["level"]) >= set(range(10))
    assert (book["available_at"] >= book["ts"]).all()


@pytest.mark.parametrize("statistics", [True, False])
def test_quotes_of_another_time_are_not_read_and_windows_are_those_of_the_whole(tmp_path, monkeypatch, statistics):
    ts = pd.date_range("2024-05-01", periods=600, freq="min", tz="UTC")
    quotes = pd.DataFrame({"ts": ts, "symbol": "BTCUSDT", "venue": "x", "bid": 99.0, "bid_qty": 1.0, "ask": 101.0, "ask_qty": 2.0})
    path = tmp_path / "orderflow_bbo.parquet"
    pq.write_table(pa.Table.from_pandas(quotes, preserve_index=False), path, row_group_size=100, write_statistics=statistics)
    read = []
    real = observation_layouts._frame
    monkeypatch.setattr(observation_layouts, "_frame", lambda path: read.append(path) or real(path))
    source = FilesSource(Settings(source="files", data=tmp_path))
    read.clear()
    inside = (("2024-05-01T02:00", "2024-05-01T03:00", 60), ("2024-05-01T09:59", "2024-05-03", 1), (None, "2024-05-01T00:01", 1))
    for start, end, rows in inside:
        assert len(source.observations("book", start, end)) == rows
    assert len(read) == 3
    for start, end in (("2024-05-01T10:00", None), ("2024-05-02", "2024-05-03"), (None, "2024-05-01"), ("2020-01-01", "2021-01-01")):
        assert source.observations("book", start, end).empty
    assert len(read) == (3 if statistics else 7)
