"""The files source on the folder of real data: venues, spans, observation tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from strategy_pipeline.config import Settings
from strategy_pipeline.errors import NoDataError, UnknownSymbolError
from strategy_pipeline.market import Bars, MarketSource, open_source
from strategy_pipeline.market.observations import OBSERVATION_TABLES
from strategy_pipeline.market.sources.files import FilesSource


@pytest.fixture(scope="module")
def source(real_data) -> MarketSource:
    return open_source(Settings(source="files", data=real_data, timeframe="1h"))


def test_spot_is_the_default_venue_and_the_choice_is_noted(source):
    frame = source.bars("1h", ["BTC/USDT", "ETH/USDT"], "2025-06-01", "2025-06-02")
    assert set(frame["venue"]) == {"binance_spot"} and len(frame) == 48
    assert any(note.startswith("venue binance_spot for BTC/USDT (also there: binance_um") for note in source.notes())


def test_a_venue_asked_for_decides(real_data):
    perps = FilesSource.at(real_data, venue="binance_um")
    assert set(perps.bars("1h", ["BTC/USDT"], "2025-06-01", "2025-06-02")["venue"]) == {"binance_um"}
    with pytest.raises(NoDataError, match=r"from venue kraken .* was only"):
        FilesSource.at(real_data, venue="kraken").bars("1h", ["BTC/USDT"])


def test_the_range_is_half_open_and_symbols_come_in_the_order_asked(source):
    frame = source.bars("1h", ["XRP/USDT", "ADA/USDT"], "2024-05-01T03:00", "2024-05-01T06:00")
    assert frame["symbol"].unique().tolist() == ["ADA/USDT", "XRP/USDT"]
    assert frame["ts"].min() == pd.Timestamp("2024-05-01 03:00", tz="UTC") and frame["ts"].max() == pd.Timestamp(
        "2024-05-01 05:00", tz="UTC"
    )


def test_an_unknown_symbol_lists_near_matches_and_where(source):
    with pytest.raises(UnknownSymbolError, match=r"was BTC/USDD; near it: BTC/USD, BTC/USDC, BTC/USDT"):
        source.bars("1h", ["BTC/USDD"])


def test_an_empty_range_says_what_range_there_is(source):
    with pytest.raises(NoDataError, match=r"there is 2022-01-01 00:00 to 2025-07-01 00:00 UTC"):
        source.bars("1h", ["ETH/USDT"], "2030-01-01")


def test_a_symbol_without_bars_in_the_range_is_noted(real_data):
    source = FilesSource.at(real_data)
    source.bars("1h", ["BTC/USDT", "ETH/USDT"], "2021-01-01", "2021-01-02")
    assert "no 1h bars from 2021-01-01 to 2021-01-02 for ETH/USDT" in source.notes()


def test_a_symbol_that_began_later_is_all_nan_when_read_for_earlier(real_data):
    bars = Bars.read(real_data / "ohlcv_1h_binance_spot.parquet", "1h", ["BTC/USDT", "ETH/USDT"], "2021-01-01", "2021-01-02")
    assert bars.symbols == ("BTC/USDT", "ETH/USDT") and bars.n_bars == 24
    assert not np.isnan(bars.close[0]).any() and np.isnan(bars.close[1]).all()


def test_reading_bars_directly_says_which_venue_was_taken(real_data, caplog):
    Bars.read(real_data / "ohlcv_1d_*.parquet", "1d", ["BTC/USDT"], "2025-06-01", "2025-06-03")
    assert [record.levelname for record in caplog.records if "venue binance_spot for BTC/USDT" in record.message] == ["WARNING"]


def test_symbols_are_those_the_venue_asked_for_holds(real_data):
    assert FilesSource.at(real_data, venue="binance_us", timeframe="1m").symbols() == ("BTC/USD", "BTC/USDC", "BTC/USDT")
    assert len(FilesSource.at(real_data, timeframe="1d").symbols()) > 400


def test_listings_find_the_delisting_of_matic_and_avax(real_data):
    listings = FilesSource.at(real_data, venue="binance_um").listings().set_index("symbol")
    assert listings.loc["MATIC/USDT", "delisted"] == pd.Timestamp("2024-04-18", tz="UTC")
    assert listings.loc["AVAX/USDT", "delisted"].year == 2024
    assert listings["delisted"].notna().sum() == 2
    assert listings.loc["BTC/USDT", "listed"] == pd.Timestamp("2020-01-01", tz="UTC")


def test_every_table_is_point_in_time_with_its_contracts_columns(source):
    for table, columns in OBSERVATION_TABLES.items():
        frame = source.observations(table, "2022-03-01", "2022-04-01")
        assert {name: str(kind) for name, kind in frame.dtypes.items()} == columns
        assert (frame["available_at"] >= frame["ts"]).all()
        assert frame["ts"].is_monotonic_increasing
        if len(frame):
            assert frame["ts"].min() >= pd.Timestamp("2022-03-01", tz="UTC") and frame["ts"].max() < pd.Timestamp("2022-04-01", tz="UTC")


def test_posts_are_social_and_headlines_are_news(source):
    news, social = source.observations("news", None, None), source.observations("social", None, None)
    assert len(news) + len(social) == 21_531
    assert set(social["source"]) == {"twitter"} and "twitter" not in set(news["source"])
    assert set(news["asset"]) == {"", "BTC", "ETH"}


def test_a_headline_dated_without_a_time_counts_from_the_days_end(source):
    news = source.observations("news", None, None)
    midnight = news["ts"] == news["ts"].dt.floor("D")
    assert ((news["available_at"] - news["ts"])[midnight] == pd.Timedelta(days=1)).all() and midnight.sum() > 100
    assert (news["available_at"] == news["ts"])[~midnight].all()


def test_a_value_that_two_files_give_is_kept_once(source):
    funds = source.observations("fundamentals", "2021-01-01", "2021-02-01")
    assert not funds.duplicated(["ts", "asset", "metric"]).any()
    btc = funds[(funds.asset == "BTC") & (funds.ts == pd.Timestamp("2021-01-05", tz="UTC"))].set_index("metric")
    assert btc.loc["AdrActCnt", "value"] > 500_000
    assert (btc["available_at"] == pd.Timestamp("2021-01-06 12:00", tz="UTC")).all()


def test_order_flow_is_available_when_received(source):
    trades = source.observations("trades", "2024-08-08", "2024-08-10")
    # The receiver's clock ran about a second behind the exchange's, so the exchange's stamp is the later one for trades.
    assert (trades["available_at"] == trades["ts"]).all()
    assert set(trades["side"]) == {"buy", "sell"} and set(trades["venue"]) == {"binance_spot"}
    book = source.observations("book", "2024-08-08", "2024-08-10")
    delay = book["available_at"] - book["ts"]
    assert (delay >= pd.Timedelta(0)).all() and pd.Timedelta(0) < delay.max() < pd.Timedelta(seconds=5)
    assert (book["bid"] < book["ask"]).all() and (book["bid_qty"] > 0).all()
