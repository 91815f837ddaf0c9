"""The layouts people already have, written here by hand as those tools write them."""

from __future__ import annotations

import gzip
import json
import zipfile

import pandas as pd
import pytest

from strategy_pipeline.errors import CorruptFileError, InvalidBarsError, MissingColumnError, NoDataError
from strategy_pipeline.market import Bars
from strategy_pipeline.market.sources.files import FilesSource
from strategy_pipeline.market.sources.files.names import read_name, stamps

START_MS = 1_704_067_200_000  # 2024-01-01 00:00 UTC
HOUR_MS = 3_600_000
HEADER = "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"


def kline(at: int, scale: int = 1) -> str:
    opened = START_MS + at * HOUR_MS
    close_time = (opened + HOUR_MS) * scale - 1
    return f"{opened * scale},{100 + at}.5,{103 + at},{99 + at}.25,{101 + at},12.5,{close_time},1262.5,42,6.25,631.25,0"


def _expect_klines(bars: Bars, hours: int) -> None:
    assert bars.symbols == ("BTC/USDT",)
    assert bars.times[0] == pd.Timestamp("2024-01-01").to_datetime64() and bars.n_bars == hours
    assert bars.open[0].tolist() == [100.5 + at for at in range(hours)]
    assert bars.low[0].tolist() == [99.25 + at for at in range(hours)]
    assert bars.trades[0].tolist() == [42.0] * hours
    assert bars.taker_buy_volume[0].tolist() == [6.25] * hours
    assert bars.quote_volume[0].tolist() == [1262.5] * hours


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("scale", [1, 1000], ids=["milliseconds", "microseconds"])
@pytest.mark.parametrize("packed", [True, False], ids=["zip", "csv"])
def test_binance_public_klines(tmp_path, header, scale, packed):
    text = "\n".join([HEADER] * header + [kline(at, scale) for at in range(3)]) + "\n"
    if packed:
        with zipfile.ZipFile(tmp_path / "BTCUSDT-1h-2024-01.zip", "w") as archive:
            archive.writestr("BTCUSDT-1h-2024-01.csv", text)
    else:
        (tmp_path / "BTCUSDT-1h-2024-01.csv").write_text(text)
    _expect_klines(Bars.read(tmp_path, "1h"), 3)


def test_a_month_in_milliseconds_and_the_next_in_microseconds_join(tmp_path):
    (tmp_path / "BTCUSDT-1h-2024-12.csv").write_text("\n".join(kline(at) for at in range(2)))
    (tmp_path / "BTCUSDT-1h-2025-01.csv").write_text("\n".join(kline(at, 1000) for at in range(2, 5)))
    _expect_klines(Bars.read(tmp_path / "*.csv", "1h"), 5)


def test_rows_that_two_downloads_share_count_once_and_contradictions_are_refused(tmp_path):
    (tmp_path / "BTCUSDT-1h-2024-01.csv").write_text("\n".join(kline(at) for at in range(3)))
    (tmp_path / "BTCUSDT-1h-2024-01-01.csv").write_text("\n".join(kline(at) for at in range(1, 4)))
    _expect_klines(Bars.read(tmp_path, "1h"), 4)
    (tmp_path / "BTCUSDT-1h-2024-01-01.csv").write_text(kline(1).replace("104", "105"))
    with pytest.raises(InvalidBarsError, match="Expected each bar once"):
        Bars.read(tmp_path, "1h")


def test_binance_folders_name_the_venue(tmp_path):
    for kind in ("spot", "futures/um"):
        folder = tmp_path / "data" / kind / "monthly" / "klines" / "BTCUSDT" / "1h"
        folder.mkdir(parents=True)
        (folder / "BTCUSDT-1h-2024-01.csv").write_text(kline(0))
    source = FilesSource.at(tmp_path)
    assert set(source.bars("1h")["venue"]) == {"binance_spot"}
    assert source.notes() == ["venue binance_spot for BTC/USDT (also there: binance_um; choose with venue=NAME)"]
    assert set(FilesSource.at(tmp_path, venue="um").bars("1h")["venue"]) == {"binance_um"}


@pytest.mark.parametrize("unit", [1, 1000], ids=["seconds", "milliseconds"])
def test_cryptodatadownload_is_newest_first_under_a_url(tmp_path, unit):
    lines = ["https://www.CryptoDataDownload.com", "Unix,Date,Symbol,Open,High,Low,Close,Volume ETH,Volume USDT,tradecount"]
    for at in reversed(range(3)):
        second = START_MS // 1000 + at * 3600
        lines.append(f"{second * unit},2024-01-01 0{at}:00:00,ETHUSDT,{10 + at},{12 + at},{9 + at},{11 + at},5.5,60.5,7")
    (tmp_path / "Binance_ETHUSDT_1h.csv").write_text("\n".join(lines))
    bars = Bars.read(tmp_path / "Binance_ETHUSDT_1h.csv", "1h")
    assert bars.symbols == ("ETH/USDT",) and bars.open[0].tolist() == [10, 11, 12]
    assert bars.volume[0].tolist() == [5.5] * 3 and bars.quote_volume[0].tolist() == [60.5] * 3 and bars.trades[0].tolist() == [7] * 3


def test_cryptodatadownload_without_unix_column_reads_its_am_pm_dates(tmp_path):
    text = "https://www.CryptoDataDownload.com\nDate,Symbol,Open,High,Low,Close,Volume BTC,Volume USD\n"
    text += "2024-01-01 01-PM,BTCUSD,2,2,2,2,1,2\n2024-01-01 12-PM,BTCUSD,1,1,1,1,1,1\n"
    (tmp_path / "Coinbase_BTCUSD_1h.csv").write_text(text)
    bars = Bars.read(tmp_path, "1h")
    assert (
        bars.symbols == ("BTC/USD",)
        and bars.times[0] == pd.Timestamp("2024-01-01 12:00").to_datetime64()
        and bars.close[0].tolist() == [1, 2]
    )


def test_freqtrade_json_and_feather(tmp_path):
    rows = [[START_MS + at * HOUR_MS, 1.0 + at, 3.0 + at, 0.5 + at, 2.0 + at, 10.0] for at in range(3)]
    folder = tmp_path / "data" / "kraken"
    folder.mkdir(parents=True)
    (folder / "BTC_USDT-1h.json").write_text(json.dumps(rows))
    (folder / "ETH_USDT-1h.json.gz").write_bytes(gzip.compress(json.dumps(rows).encode()))
    frame = pd.DataFrame(rows, columns=["date", "open", "high", "low", "close", "volume"])
    frame["date"] = pd.to_datetime(frame["date"], unit="ms", utc=True)
    frame.to_feather(folder / "SOL_USDT-1h.feather")
    frame.to_feather(folder / "SOL_USDT_USDT-1h-futures.feather")
    frame.assign(open=0.0001).to_feather(folder / "SOL_USDT_USDT-8h-funding_rate.feather")
    bars = Bars.read(tmp_path, "1h")
    assert bars.symbols == ("BTC/USDT", "ETH/USDT", "SOL/USDT")
    assert (bars.close == [[2.0, 3.0, 4.0]] * 3).all()
    source = FilesSource.at(tmp_path)
    assert set(source.bars("1h")["venue"]) == {"kraken_spot"}
    funding = source.observations("funding")
    assert funding["rate"].tolist() == [0.0001] * 3 and set(funding["venue"]) == {"kraken_perp"}


def test_this_projects_frame_as_csv_and_parquet(tmp_path):
    frame = pd.DataFrame({"ts": pd.date_range("2024-01-01", periods=3, freq="1h", tz="UTC"), "symbol": "BTCUSDT", "timeframe": "1h"})
    for name in ("open", "high", "low", "close", "volume"):
        frame[name] = [1.0, 2.0, 3.0]
    frame.to_csv(tmp_path / "bars.csv", index=False)
    frame.to_parquet(tmp_path / "bars.parquet")
    assert (
        Bars.read(tmp_path / "bars.csv", "1h")
        == Bars.read(tmp_path / "bars.parquet", "1h")
        == Bars.from_frame(frame.assign(symbol="BTC/USDT"), "1h")
    )


def test_one_parquet_may_hold_several_timeframes_and_venues(tmp_path):
    def part(timeframe, venue, price):
        frame = pd.DataFrame({"ts": pd.date_range("2024-01-01", periods=2, freq=timeframe, tz="UTC"), "symbol": "BTCUSDT"})
        frame["timeframe"], frame["venue"] = timeframe, venue
        return frame.assign(**dict.fromkeys(("open", "high", "low", "close", "volume"), price))

    pd.concat([part("1h", "x_spot", 1.0), part("1h", "y_perp", 2.0), part("1d", "y_perp", 3.0)]).to_parquet(tmp_path / "all.parquet")
    assert Bars.read(tmp_path, "1h").close.tolist() == [[1.0, 1.0]]
    assert Bars.read(tmp_path, "1h", venue="y_perp").close.tolist() == [[2.0, 2.0]]
    assert Bars.read(tmp_path, "1d", venue="perp").close.tolist() == [[3.0, 3.0]]


def test_a_finer_file_serves_a_coarser_timeframe_and_says_so(tmp_path):
    (tmp_path / "BTCUSDT-1h-2024-01.csv").write_text("\n".join(kline(at) for at in range(9)))
    source = FilesSource.at(tmp_path, timeframe="4h")
    frame = source.bars("4h")
    assert frame["open"].tolist() == [100.5, 104.5] and frame["volume"].tolist() == [50.0, 50.0]
    assert source.notes() == ["4h made exactly from 1h bars of binance_spot for BTC/USDT"]
    assert source.bars("4h", end="2024-01-01T04:00")["close"].tolist() == [104.0]
    with pytest.raises(NoDataError, match="Expected 30m bars of BTC/USDT"):
        source.bars("30m", ["BTC/USDT"])


def test_finer_rows_that_break_a_rule_become_a_gap_and_are_counted(tmp_path):
    rows = [kline(at) for at in range(8)]
    rows[2] = rows[2].replace("105,101.25", "100,101.25")  # a high below its low
    (tmp_path / "BTCUSDT-1h-2024-01.csv").write_text("\n".join(rows))
    source = FilesSource.at(tmp_path, timeframe="4h")
    assert source.bars("4h")["open"].tolist() == [104.5]
    assert any("1 1h rows broke a quality rule" in note for note in source.notes())


def test_binance_funding_open_interest_and_trades(tmp_path):
    (tmp_path / "BTCUSDT-fundingRate-2024-01.csv").write_text(f"calc_time,funding_interval_hours,last_funding_rate\n{START_MS},8,0.00012\n")
    (tmp_path / "BTCUSDT-metrics-2024-01-01.csv").write_text(
        "create_time,symbol,sum_open_interest,sum_open_interest_value\n2024-01-01 00:05:00,BTCUSDT,70000.5,3000000000\n"
    )
    (tmp_path / "BTCUSDT-aggTrades-2024-01-01.csv").write_text(
        f"1,42000.5,0.25,1,2,{START_MS},true,true\n2,42001.0,0.5,3,3,{START_MS + 5},false,true\n"
    )
    (tmp_path / "BTCUSDT-bookTicker-2024-01-01.csv").write_text(
        "update_id,best_bid_price,best_bid_qty,best_ask_price,best_ask_qty,transaction_time,event_time\n"
        f"9,42000.1,3,42000.2,4,{START_MS},{START_MS + 7}\n"
    )
    source = FilesSource.at(tmp_path)
    funding = source.observations("funding").iloc[0]
    assert (funding.symbol, funding.rate, funding.interval_hours) == ("BTC/USDT", 0.00012, 8.0)
    interest = source.observations("open_interest").iloc[0]
    assert interest.open_interest == 70000.5 and interest.available_at == pd.Timestamp("2024-01-01 00:10", tz="UTC")
    trades = source.observations("trades")
    assert trades.side.tolist() == ["sell", "buy"] and trades.qty.tolist() == [0.25, 0.5]
    book = source.observations("book").iloc[0]
    assert (book.bid, book.ask, book.level) == (42000.1, 42000.2, 0) and book.available_at - book.ts == pd.Timedelta(milliseconds=7)


@pytest.mark.parametrize(
    ("name", "content", "error", "words"),
    [
        ("x.parquet", b"not a parquet file at all", CorruptFileError, "Expected x.parquet to be Parquet"),
        ("BTCUSDT-1h-2024-01.zip", b"PK but no archive", CorruptFileError, "Expected BTCUSDT-1h-2024-01.zip to be a readable archive"),
        ("BTC_USDT-1h.json", b"[[1, 2", CorruptFileError, "Expected BTC_USDT-1h.json to be freqtrade JSON"),
        ("BTC_USDT-1h.json", b"[[1, 2, 3]]", MissingColumnError, "open, high, low, close, volume"),
        (
            "BTCUSDT-1h-2024-01.csv",
            b"open_time,open,high,low,close\n1704067200000,1,2,1,2\n",
            MissingColumnError,
            "without the column volume",
        ),
        ("BTCUSDT-1h-2024-01.csv", b"1704067200000,1,2,1,2,3,4\n", MissingColumnError, "was 7 without a header"),
        ("prices.csv", b"date,open,high,low,close,volume\n2024-01-01,1,2,1,2,3\n", MissingColumnError, "state its symbol"),
        ("BTC_USDT-1h.feather", b"nothing of the kind", CorruptFileError, "Expected BTC_USDT-1h.feather to be feather"),
    ],
)
def test_a_broken_file_is_one_line_that_names_it_and_the_remedy(tmp_path, name, content, error, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(error) as raised:
        Bars.read(tmp_path, "1h")
    message = str(raised.value)
    assert words in message and "\n" not in message and ";" in message


def test_a_truncated_parquet_is_corrupt(tmp_path, real_data):
    whole = (real_data / "ohlcv_1m_ftx_perp.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CorruptFileError, match=r"cut\.parquet"):
        Bars.read(tmp_path, "1m")


def test_an_empty_folder_and_a_glob_without_match_say_where_they_looked(tmp_path):
    with pytest.raises(NoDataError, match="point data at another"):
        Bars.read(tmp_path, "1h")
    with pytest.raises(NoDataError, match="check the path"):
        Bars.read(tmp_path / "*.parquet", "1h")


@pytest.mark.parametrize(
    ("name", "symbol", "timeframe", "venue"),
    [
        ("BTCUSDT-1mo-2024-01.zip", "BTC/USDT", "1M", "binance_spot"),
        ("BTCUSDT_250627-1d-2025-01.csv", "BTC/USDT", "1d", "binance_spot"),
        ("BTC_USDT_USDT-4h-futures.feather", "BTC/USDT", "4h", "freqtrade_perp"),
        ("Bitstamp_BTCUSD_d.csv", "BTC/USD", "1d", "bitstamp_spot"),
        ("Binance_BTCUSDT_2023_minute.csv", "BTC/USDT", "1m", "binance_spot"),
        ("ohlcv_1h_binance_um_perp.parquet", None, "1h", "binance_um_perp"),
    ],
)
def test_names_state_symbol_timeframe_and_venue(tmp_path, name, symbol, timeframe, venue):
    named = read_name(tmp_path / name)
    assert (named.symbol, named.timeframe, named.venue) == (symbol, timeframe, venue)


def test_stamps_tell_their_units_apart_one_by_one():
    moment = pd.Timestamp("2024-01-01 00:00", tz="UTC")
    assert (stamps([1704067200, 1704067200000, 1704067200000000, 1704067200000000000]) == moment).all()
    assert stamps(["2024-01-01", "2024-01-01T01:00:00+01:00", "no time"]).tolist()[:2] == [moment, moment]
    assert stamps(["2024-01-01", "no time"]).isna().tolist() == [False, True]


def test_any_observation_table_may_be_given_as_it_is(tmp_path):
    fills = pd.DataFrame(
        {
            "ts": pd.to_datetime(["2024-01-01 10:00", "2024-01-02 10:00"], utc=True),
            "available_at": pd.to_datetime(["2024-01-01 10:01", "2024-01-02 10:01"], utc=True),
            "execution_id": ["a", "b"], "signal_id": "s", "strategy_id": "t",
            "symbol": "BTC/USDT", "venue": "x_spot", "side": ["buy", "sell"],
            "qty": 1.0, "price": 42_000.0, "fee": 4.2, "reference_price": 41_990.0,
        }
    )  # fmt: skip
    fills.to_parquet(tmp_path / "fills.parquet")
    fills.to_csv(tmp_path / "more.csv.gz", index=False)
    (tmp_path / ".hidden").mkdir()
    fills.to_parquet(tmp_path / ".hidden" / "state.parquet")
    (tmp_path / "notes.csv").write_text("a,b\n1,2\n")
    source = FilesSource.at(tmp_path)
    assert source.observations("executions", "2024-01-02")["execution_id"].tolist() == ["b", "b"]
    assert source.notes() == ["no known layout, left alone: notes.csv"]
    assert source.observations("news").empty
