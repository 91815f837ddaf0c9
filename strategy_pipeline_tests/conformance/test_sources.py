"""What every source of market data must do, whatever it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from strategy_pipeline.config import Settings
from strategy_pipeline.errors import NoDataError, PipelineError, UnknownSymbolError
from strategy_pipeline.market import OBSERVATION_TABLES, Bars, MarketSource, open_source
from strategy_pipeline.market.sources.base import BAR_COLUMNS, OPTIONAL_BAR_COLUMNS
from strategy_pipeline.market.timeframes import duration, on_grid
from strategy_pipeline_tests.market.local_exchange import LocalExchange, running

UTC = "datetime64[ns, UTC]"


@dataclass(frozen=True)
class Case:
    """A source, made anew on each call, and a range in which its first two symbols have bars and its tables rows."""

    open: Callable[[], MarketSource]
    symbols: tuple[str, ...]
    timeframe: str
    start: str
    end: str
    simulated: bool = False

    @property
    def times(self) -> tuple[pd.Timestamp, pd.Timestamp]:
        return pd.Timestamp(self.start, tz="UTC"), pd.Timestamp(self.end, tz="UTC")


def _sample(_: Path, __: ExitStack) -> Case:
    return Case(lambda: open_source(Settings(source="sample")), ("BTC/USDT", "DOGE/USDT"), "1h", "2024-03-01", "2024-03-08", simulated=True)


def _files(folder: Path, _: ExitStack) -> Case:
    sample = open_source(Settings(source="sample"))
    bars = Bars.from_frame(sample.bars("1h", ["BTC/USDT", "ETH/USDT"], "2024-02-20", "2024-04-01"), "1h")
    bars.to_frame().to_parquet(folder / "ohlcv_1h_binance_spot.parquet")
    mood = sample.observations("fear_greed", "2024-01-01", "2024-05-01")
    mood.rename(columns={"ts": "date"}).drop(columns="available_at").to_parquet(folder / "fear_greed.parquet")
    news = sample.observations("news", "2024-02-01", "2024-04-01").drop(columns="available_at")
    news.assign(label="", score_finbert=np.nan, dataset="test").to_parquet(folder / "news.parquet")
    settings = Settings(source="files", data=folder)
    return Case(lambda: open_source(settings), ("BTC/USDT", "ETH/USDT"), "1h", "2024-03-01", "2024-03-08")


def _indices(_: Path, __: ExitStack) -> Case:
    source = Settings(source="indices", timeframe="1d")
    symbols = open_source(source).symbols()[:2]
    return Case(lambda: open_source(source), symbols, "1d", "2010-03-01", "2010-06-01")


def _exchange(folder: Path, stack: ExitStack) -> Case:
    from strategy_pipeline.market.sources.exchange import ExchangeSource

    exchange = stack.enter_context(running(LocalExchange(n_hours=400)))
    exchange.now += 3_600_000
    settings = Settings(source="ccxt", exchange="binance", home=folder, symbols=["BTC/USDT"])
    options = {"rateLimit": 1}

    def open_one() -> MarketSource:
        return ExchangeSource(settings, url=exchange.url, options=options, sleep=lambda _: None)

    return Case(open_one, ("BTC/USDT",), "1h", "2024-01-01", "2024-01-02")


CASES = {"sample": _sample, "files": _files, "indices": _indices, "ccxt": _exchange}


@pytest.fixture(scope="module", params=list(CASES))
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    with ExitStack() as stack:
        yield CASES[request.param](tmp_path_factory.mktemp(request.param), stack)


@pytest.fixture(scope="module")
def rows(case: Case) -> pd.DataFrame:
    return case.open().bars(case.timeframe, list(case.symbols), case.start, case.end)


def test_it_keeps_the_protocol(case: Case) -> None:
    source = case.open()
    assert isinstance(source, MarketSource)
    assert source.name in ("sample", "files", "indices", "ccxt")
    assert source.simulated is case.simulated


def test_bar_rows_have_the_agreed_columns_and_types(rows: pd.DataFrame) -> None:
    assert tuple(name for name in rows.columns if name in BAR_COLUMNS) == BAR_COLUMNS
    assert set(rows.columns) <= {*BAR_COLUMNS, *OPTIONAL_BAR_COLUMNS, "venue", "timeframe"}
    assert str(rows["ts"].dtype) == UTC
    assert rows["symbol"].dtype == "str"
    for name in rows.columns.intersection([*BAR_COLUMNS[2:], *OPTIONAL_BAR_COLUMNS]):
        assert rows[name].dtype == np.float64, name
    assert rows.index.equals(pd.RangeIndex(len(rows)))


def test_bars_open_on_the_grid_and_inside_the_half_open_range(case: Case, rows: pd.DataFrame) -> None:
    start, end = case.times
    assert on_grid(rows["ts"], case.timeframe).all()
    assert rows["ts"].min() >= start
    assert rows["ts"].max() < end
    first = rows["ts"].min()
    source = case.open()
    following = first + duration(case.timeframe)
    assert (source.bars(case.timeframe, [case.symbols[0]], first, following)["ts"] == first).all()
    assert first not in set(source.bars(case.timeframe, [case.symbols[0]], following, end)["ts"])


def test_rows_are_sorted_by_time_within_each_symbol(case: Case, rows: pd.DataFrame) -> None:
    assert set(rows["symbol"]) == set(case.symbols)
    for _, one in rows.groupby("symbol"):
        assert one["ts"].is_monotonic_increasing
        assert one["ts"].is_unique
        assert one.index[-1] - one.index[0] + 1 == len(one)  # one block a symbol


def test_times_may_be_given_in_any_form(case: Case, rows: pd.DataFrame) -> None:
    start, end = case.times
    forms = [(start, end), (start.to_pydatetime(), end.to_pydatetime()), (start.tz_localize(None).to_datetime64(), end.date())]
    for first, last in forms:
        pd.testing.assert_frame_equal(case.open().bars(case.timeframe, list(case.symbols), first, last), rows)


def test_the_same_question_gives_the_same_answer(case: Case, rows: pd.DataFrame) -> None:
    source = case.open()
    once = source.bars(case.timeframe, list(case.symbols), case.start, case.end)
    pd.testing.assert_frame_equal(once, rows)
    pd.testing.assert_frame_equal(source.bars(case.timeframe, list(case.symbols), case.start, case.end), rows)


def test_one_symbol_is_a_part_of_all(case: Case, rows: pd.DataFrame) -> None:
    for symbol in case.symbols:
        alone = case.open().bars(case.timeframe, [symbol], case.start, case.end)
        pd.testing.assert_frame_equal(alone, rows[rows["symbol"] == symbol].reset_index(drop=True))


def test_prices_are_ordered_and_bars_can_be_made_of_the_rows(case: Case, rows: pd.DataFrame) -> None:
    assert (rows["low"] <= rows[["open", "close"]].min(axis=1)).all()
    assert (rows["high"] >= rows[["open", "close"]].max(axis=1)).all()
    assert (rows["low"] > 0).all()
    bars = Bars.from_frame(rows, case.timeframe, symbols=case.symbols)
    assert bars.n_symbols == len(case.symbols)
    assert int((~np.isnan(bars.close)).sum()) == len(rows)


def test_symbols_are_distinct_and_hold_those_asked_for(case: Case) -> None:
    symbols = case.open().symbols()
    assert isinstance(symbols, tuple)
    assert len(set(symbols)) == len(symbols)
    assert set(case.symbols) <= set(symbols)
    assert all(symbol.count("/") == 1 for symbol in symbols)


def test_listings_name_each_symbol_once(case: Case, rows: pd.DataFrame) -> None:
    listings = case.open().listings()
    assert list(listings.columns) == ["symbol", "listed", "delisted"]
    assert str(listings["listed"].dtype) == UTC
    assert str(listings["delisted"].dtype) == UTC
    assert set(listings["symbol"]) == set(case.open().symbols())
    assert listings["symbol"].is_unique
    known = listings.set_index("symbol")["listed"].dropna()
    for symbol in known.index.intersection(case.symbols):
        assert known[symbol] <= rows.loc[rows["symbol"] == symbol, "ts"].min()


def test_an_unknown_symbol_is_an_error_that_names_it(case: Case) -> None:
    with pytest.raises(UnknownSymbolError, match="NOSUCH/COIN") as caught:
        case.open().bars(case.timeframe, ["NOSUCH/COIN"], case.start, case.end)
    assert "\n" not in str(caught.value)


def test_a_range_without_bars_is_an_error(case: Case) -> None:
    with pytest.raises(NoDataError) as caught:
        case.open().bars(case.timeframe, list(case.symbols), "1990-01-01", "1990-02-01")
    assert "\n" not in str(caught.value)
    with pytest.raises(NoDataError):
        case.open().bars(case.timeframe, list(case.symbols), case.end, case.start)


def test_an_unknown_timeframe_is_an_error(case: Case) -> None:
    with pytest.raises(PipelineError):
        case.open().bars("7h", list(case.symbols), case.start, case.end)


@pytest.mark.parametrize("table", list(OBSERVATION_TABLES))
def test_observations_are_point_in_time(case: Case, table: str) -> None:
    start, end = case.times
    found = case.open().observations(table, case.start, case.end)
    assert {name: str(dtype) for name, dtype in found.dtypes.items()} == OBSERVATION_TABLES[table]
    if len(found):
        assert (found["available_at"] >= found["ts"]).all()
        assert found["ts"].min() >= start
        assert found["ts"].max() < end
        assert found["ts"].is_monotonic_increasing
        middle = start + (end - start) / 2
        halves = [case.open().observations(table, start, middle), case.open().observations(table, middle, end)]
        assert sum(map(len, halves)) == len(found)
        pd.testing.assert_frame_equal(case.open().observations(table, case.start, case.end), found)


def test_it_has_the_observations_it_is_known_for(case: Case) -> None:
    source = case.open()
    known = {
        "sample": ("news", "social", "fear_greed", "macro", "fundamentals", "funding", "open_interest"),
        "files": ("news", "fear_greed"),
        "indices": ("macro",),
        "ccxt": ("trades", "funding"),
    }
    for table in known[source.name]:
        assert len(source.observations(table, case.start, case.end)) > 0, table


def test_an_unknown_table_is_an_error(case: Case) -> None:
    with pytest.raises(PipelineError, match="gossip"):
        case.open().observations("gossip", case.start, case.end)


def test_notes_are_lines_worth_printing(case: Case) -> None:
    source = case.open()
    source.bars(case.timeframe, list(case.symbols), case.start, case.end)
    notes = source.notes()
    assert isinstance(notes, list)
    assert notes == list(dict.fromkeys(notes))
    assert all(isinstance(note, str) and note and "\n" not in note for note in notes)
    assert any("SAMPLE MARKET" in note for note in notes) is source.simulated
