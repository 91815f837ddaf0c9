"""The ccxt source against a local exchange that pages, limits, times out, cuts, repeats and dies."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from strategy_pipeline.config import Settings
from strategy_pipeline.errors import CorruptFileError, MissingExtraError, NoDataError, SettingsError, SourceError, UnknownSymbolError
from strategy_pipeline.market.sources.exchange import ExchangeSource
from strategy_pipeline.market.sources.exchange.pages import Pages
from strategy_pipeline_tests.market.local_exchange import HOUR, START, LocalExchange, running

COLUMNS = {"open": 1, "high": 2, "low": 3, "close": 4, "volume": 5, "quote_volume": 7, "trades": 8, "taker_buy_volume": 9}


@pytest.fixture
def exchange() -> Iterator[LocalExchange]:
    with running(LocalExchange()) as served:
        yield served


class Sleeps(list[float]):
    """Stands in for time.sleep: keeps what it was asked for and does not wait."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def open_at(exchange: LocalExchange, home: Path, sleeps: Sleeps | None = None, **keywords: Any) -> ExchangeSource:
    settings = Settings(source="ccxt", exchange="binance", home=home, symbols=["BTC/USDT"], market=keywords.pop("market", "spot"))
    options = {"rateLimit": 1, "timeout": keywords.pop("timeout", 10_000)}
    return ExchangeSource(settings, url=exchange.url, options=options, sleep=sleeps if sleeps is not None else Sleeps(), **keywords)


def truth(exchange: LocalExchange) -> pd.DataFrame:
    """Every finished candle the server holds."""
    done = [row for row in exchange.candles if row[0] + HOUR <= exchange.now]
    frame = pd.DataFrame({name: [float(row[at]) for row in done] for name, at in COLUMNS.items()})
    frame.insert(0, "ts", pd.to_datetime([row[0] for row in done], unit="ms", utc=True).astype("datetime64[ns, UTC]"))
    return frame


def assert_complete(rows: pd.DataFrame, exchange: LocalExchange) -> None:
    pd.testing.assert_frame_equal(rows.drop(columns="symbol"), truth(exchange))
    assert (rows["symbol"] == "BTC/USDT").all()


def test_pages_join_to_what_the_exchange_holds(exchange: LocalExchange, tmp_path: Path) -> None:
    rows = open_at(exchange, tmp_path).bars("1h", ["BTC/USDT"], "2024-01-01", None)
    assert_complete(rows, exchange)
    assert len(exchange.data_requests()) == 3  # 2,300 hours, 1,000 a page


def test_an_outage_of_the_exchange_stays_a_gap(exchange: LocalExchange, tmp_path: Path) -> None:
    rows = open_at(exchange, tmp_path).bars("1h", ["BTC/USDT"], "2024-01-01", None)
    steps = rows["ts"].diff().dropna().value_counts()
    assert steps.to_dict() == {pd.Timedelta(hours=1): len(rows) - 2, pd.Timedelta(hours=4): 1}


def test_the_candle_still_forming_is_never_returned(exchange: LocalExchange, tmp_path: Path) -> None:
    forming = pd.Timestamp(exchange.candles[-1][0], unit="ms", tz="UTC")
    beyond = forming + pd.Timedelta(days=9)
    for source in (open_at(exchange, tmp_path / "clock"), open_at(exchange, tmp_path / "told", now=forming + pd.Timedelta(minutes=59))):
        assert source.bars("1h", ["BTC/USDT"], "2024-01-01", beyond)["ts"].max() == forming - pd.Timedelta(hours=1)
    # An hour later the very same cache gives it, finished.
    exchange.now += HOUR
    assert open_at(exchange, tmp_path / "clock").bars("1h", ["BTC/USDT"], "2024-01-01", beyond)["ts"].max() == forming


def test_a_bar_that_the_end_cuts_is_not_finished(exchange: LocalExchange, tmp_path: Path) -> None:
    rows = open_at(exchange, tmp_path).bars("4h", ["BTC/USDT"], "2024-01-02", "2024-01-03T02:00")
    assert rows["ts"].max() == pd.Timestamp("2024-01-02 20:00", tz="UTC")


@pytest.mark.parametrize(
    ("faults", "waits"),
    [
        (["limited"], 1),
        (["ok", "limited", "limited"], 2),
        (["ok", "slow"], 1),
        (["partial"], 0),
        (["partial", "partial", "ok", "partial"], 0),
        (["ok", "repeat"], 1),
        (["ok", "empty"], 0),
        (["garbage", "ok", "garbage"], 2),
        (["dies"], 1),
        (["ok", "dies", "dies", "limited", "partial", "repeat", "ok"], 4),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else str(value),
)
def test_whatever_goes_wrong_the_download_equals_the_truth(exchange: LocalExchange, tmp_path: Path, faults: list[str], waits: int) -> None:
    exchange.faults.extend(faults)
    sleeps = Sleeps()
    timed_out = "slow" in faults
    rows = open_at(exchange, tmp_path, sleeps, timeout=800 if timed_out else 10_000).bars("1h", ["BTC/USDT"], "2024-01-01", None)
    assert_complete(rows, exchange)
    assert not exchange.faults
    # A busy machine may miss a short timeout more than once; every other fault is met exactly once.
    assert len(sleeps) >= waits if timed_out else len(sleeps) == waits


def test_six_column_candles_are_read_where_ccxt_has_no_more(
    exchange: LocalExchange, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from strategy_pipeline.market.sources.exchange import source

    monkeypatch.setattr(source, "_WIDE", {})
    exchange.faults.extend(["ok", "repeat", "empty", "partial", "dies"])
    rows = open_at(exchange, tmp_path).bars("1h", ["BTC/USDT"], "2024-01-01", None)
    assert list(rows.columns) == ["ts", "symbol", "open", "high", "low", "close", "volume"]
    pd.testing.assert_frame_equal(rows.drop(columns="symbol"), truth(exchange)[["ts", "open", "high", "low", "close", "volume"]])


def test_retry_after_is_honoured(exchange: LocalExchange, tmp_path: Path) -> None:
    exchange.faults.extend(["limited", "dies"])
    sleeps = Sleeps()
    open_at(exchange, tmp_path, sleeps).bars("1h", ["BTC/USDT"], "2024-01-01", "2024-01-05")
    assert sleeps[0] == 7.0  # what the server said, above the first back-off
    assert 1.0 <= sleeps[1] <= 3.0  # the second back-off: two seconds, half to one and a half of it


def test_waits_double_with_a_seeded_jitter(exchange: LocalExchange, tmp_path: Path) -> None:
    runs = []
    for attempt in range(2):
        exchange.faults.extend(["dies"] * 5)
        sleeps = Sleeps()
        open_at(exchange, tmp_path / str(attempt), sleeps).bars("1h", ["BTC/USDT"], "2024-01-01", "2024-01-05")
        runs.append(sleeps)
    assert runs[0] == runs[1]
    for k, seconds in enumerate(runs[0]):
        assert 0.5 * 2**k <= seconds <= 1.5 * 2**k
    assert len({seconds / 2**k for k, seconds in enumerate(runs[0])}) == 5


def test_an_exchange_that_keeps_failing_is_an_error_that_says_what_was_tried(exchange: LocalExchange, tmp_path: Path) -> None:
    exchange.faults.extend(["ok"] + ["dies"] * 6)
    with pytest.raises(SourceError, match=r"1h candles of BTC/USDT from 2024-02-11.*6 attempts.*run again") as caught:
        open_at(exchange, tmp_path).bars("1h", ["BTC/USDT"], "2024-01-01", None)
    assert "\n" not in str(caught.value)


def test_a_download_that_broke_off_goes_on_where_it_stopped(exchange: LocalExchange, tmp_path: Path) -> None:
    exchange.faults.extend(["ok"] + ["limited"] * 6)
    with pytest.raises(SourceError):
        open_at(exchange, tmp_path).bars("1h", ["BTC/USDT"], "2024-01-01", None)
    before = len(exchange.data_requests())
    rows = open_at(exchange, tmp_path).bars("1h", ["BTC/USDT"], "2024-01-01", None)
    assert_complete(rows, exchange)
    resumed = exchange.data_requests()[before:]
    assert int(resumed[0]["startTime"]) == exchange.candles[999][0] + HOUR
    assert len(resumed) == 2


def test_what_was_downloaded_once_is_not_asked_for_again(exchange: LocalExchange, tmp_path: Path) -> None:
    first = open_at(exchange, tmp_path).bars("1h", ["BTC/USDT"], "2024-01-10", "2024-03-01")
    before = len(exchange.data_requests())
    again = open_at(exchange, tmp_path).bars("1h", ["BTC/USDT"], "2024-01-10", "2024-03-01")
    pd.testing.assert_frame_equal(first, again)
    assert len(exchange.data_requests()) == before
    # A longer range asks for its two ends only.
    longer = open_at(exchange, tmp_path).bars("1h", ["BTC/USDT"], "2024-01-01", None)
    assert_complete(longer, exchange)
    for query in exchange.data_requests()[before:]:
        since = int(query["startTime"])
        assert since < START + 9 * 24 * HOUR or since >= START + 60 * 24 * HOUR


def test_the_exchange_refusing_is_not_tried_again(exchange: LocalExchange, tmp_path: Path) -> None:
    exchange.faults.append("refused")
    sleeps = Sleeps()
    with pytest.raises(SourceError, match="not tried again"):
        open_at(exchange, tmp_path, sleeps).bars("1h", ["BTC/USDT"], "2024-01-01", "2024-01-05")
    assert sleeps == []


def test_an_exchange_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with running(LocalExchange()) as served:
        url = served.url
    gone = LocalExchange()
    gone.url = url
    with pytest.raises(SourceError, match="its list of markets"):
        open_at(gone, tmp_path).symbols()


def test_trades_are_complete_across_pages_ties_and_silent_hours(exchange: LocalExchange, tmp_path: Path) -> None:
    exchange.page = 60
    exchange.faults.extend(["ok", "partial", "repeat", "dies", "empty", "limited"])
    rows = open_at(exchange, tmp_path).observations("trades", "2024-01-01", "2024-01-01T06:00")
    assert rows["trade_id"].tolist() == [row["a"] for row in exchange.trades]
    np.testing.assert_array_equal(rows["price"], [float(row["p"]) for row in exchange.trades])
    np.testing.assert_array_equal(rows["qty"], [float(row["q"]) for row in exchange.trades])
    # m: the buyer was the maker, so the aggressor sold.
    assert rows["side"].tolist() == ["sell" if row["m"] else "buy" for row in exchange.trades]
    np.testing.assert_array_equal(rows["ts"].to_numpy("datetime64[ms]").astype(np.int64), [row["T"] for row in exchange.trades])
    part = open_at(exchange, tmp_path).observations("trades", "2024-01-01T00:30", "2024-01-01T04:00")
    inside = rows["ts"].between("2024-01-01T00:30Z", "2024-01-01T04:00Z", inclusive="left")
    pd.testing.assert_frame_equal(part, rows[inside].reset_index(drop=True))


def test_funding_is_read_from_the_perpetual(exchange: LocalExchange, tmp_path: Path) -> None:
    rows = open_at(exchange, tmp_path).observations("funding", "2024-01-01", "2024-02-01")
    assert rows["rate"].tolist() == [float(row["fundingRate"]) for row in exchange.funding[:93]]
    assert set(rows["interval_hours"]) == {8.0}
    assert set(rows["symbol"]) == {"BTC/USDT"}


def test_on_a_perpetual_market_bars_are_the_perpetuals_own_and_downloads_do_not_mix(exchange: LocalExchange, tmp_path: Path) -> None:
    span = ("1h", ["BTC/USDT"], "2024-01-01", "2024-01-09")
    spot = open_at(exchange, tmp_path).bars(*span)
    source = open_at(exchange, tmp_path, market="perpetual")
    rows = source.bars(*span)
    assert source.symbols() == ("BTC/USDT",)  # ETH has no perpetual there
    np.testing.assert_allclose(rows["close"], spot["close"] * 1.1, rtol=1e-6)
    pd.testing.assert_series_equal(rows["taker_buy_volume"], spot["taker_buy_volume"])
    pd.testing.assert_frame_equal(open_at(exchange, tmp_path).bars(*span), spot)
    with pytest.raises(UnknownSymbolError, match="ETH/USDT"):
        source.bars("1h", ["ETH/USDT"], "2024-01-01", "2024-01-09")


def test_a_timeframe_the_exchange_lays_out_differently_is_made_from_days(exchange: LocalExchange, tmp_path: Path) -> None:
    source = open_at(exchange, tmp_path)
    weeks = source.bars("1w", ["BTC/USDT"], "2024-01-01", "2024-03-01")
    assert (weeks["ts"].dt.day_name() == "Monday").all()
    days = source.bars("1d", ["BTC/USDT"], "2024-01-01", "2024-03-01").set_index("ts")
    np.testing.assert_array_equal(weeks["high"], [days["high"].iloc[7 * k : 7 * k + 7].max() for k in range(len(weeks))])
    assert "1w bars are made from 1d candles" in source.notes()


def test_history_before_the_listing_costs_few_requests(exchange: LocalExchange, tmp_path: Path) -> None:
    rows = open_at(exchange, tmp_path).bars("1h", ["BTC/USDT"], None, None)
    assert_complete(rows, exchange)
    assert len(exchange.data_requests()) < 20


def test_an_unknown_symbol_is_answered_with_near_ones(exchange: LocalExchange, tmp_path: Path) -> None:
    with pytest.raises(UnknownSymbolError, match="BTC/USDT"):
        open_at(exchange, tmp_path).bars("1h", ["BTC/USDC"], "2024-01-01", None)


def test_an_unknown_exchange_is_answered_with_near_ones(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="binance"):
        ExchangeSource(Settings(source="ccxt", exchange="binanc", home=tmp_path))


def test_without_ccxt_the_error_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **keywords: Any) -> Any:
        if name == "ccxt":
            raise ImportError(name)
        return real(name, *rest, **keywords)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match="pip install ccxt"):
        ExchangeSource(Settings(source="ccxt", home=tmp_path))


def test_a_range_without_a_finished_bar_is_an_error(exchange: LocalExchange, tmp_path: Path) -> None:
    with pytest.raises(NoDataError, match="move the range"):
        open_at(exchange, tmp_path).bars("1h", ["BTC/USDT"], "2023-01-01", "2023-02-01")
    with pytest.raises(NoDataError):
        open_at(exchange, tmp_path).bars("1h", ["ETH/USDT"], "2024-01-01", "2024-01-02")


def test_pages_know_what_is_missing_and_merge_to_the_same_rows(tmp_path: Path) -> None:
    pages = Pages(tmp_path / "series", key="time")
    assert pages.missing(0, 100) == [(0, 100)]
    for first in range(100, 1000, 10):
        pages.add(first, first + 10, pd.DataFrame({"time": [first, first + 4], "x": [1.0, 2.0]}))
    pages.add(2000, 2010, pd.DataFrame())
    assert pages.missing(50, 2050) == [(50, 100), (1000, 2000), (2010, 2050)]
    before = pages.read(0, 3000)
    pages.merge()
    assert pages.spans() == [(100, 1000), (2000, 2010)]
    pd.testing.assert_frame_equal(pages.read(0, 3000), before)
    assert pages.read(104, 114)["time"].tolist() == [104, 110]


def test_a_page_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    pages = Pages(tmp_path, key="time")
    (tmp_path / "0-10.parquet").write_bytes(b"PAR1 and nothing more")
    with pytest.raises(CorruptFileError, match=r"0-10\.parquet.*delete it"):
        pages.read(0, 10)
