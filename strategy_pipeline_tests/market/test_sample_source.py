from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategy_pipeline.config import Settings
from strategy_pipeline.errors import NoDataError, UnknownSymbolError
from strategy_pipeline.market import Bars
from strategy_pipeline.market.sources.sample import NULL_SYMBOLS, PLANTED_EDGES, PlantedEdge, SampleSource, kernels
from strategy_pipeline.market.sources.sample.universe import EPOCH, outage
from strategy_pipeline.strategies import parse

FIELDS = ["open", "high", "low", "close", "volume", "quote_volume", "trades", "taker_buy_volume"]
FINGERPRINT = "84e48fbdbb8b5946c5b22e0ad1d0665ca3d7632dffd321a56be7c100970e2118"
FINGERPRINT_CODE = """
import sys
from pathlib import Path
from strategy_pipeline.config import Settings
from strategy_pipeline.market import Bars
from strategy_pipeline.market.sources.sample import SampleSource
source = SampleSource(Settings(seed=0, _env_file=None))
print(Bars.from_frame(source.bars("1h", source.symbols()[:8], "2024-01-01", "2024-03-01"), "1h").fingerprint)
"""


@pytest.fixture(scope="module")
def source() -> SampleSource:
    return SampleSource(Settings(seed=0))


def test_the_market_of_the_default_seed_is_frozen(source: SampleSource) -> None:
    bars = Bars.from_frame(source.bars("1h", source.symbols()[:8], "2024-01-01", "2024-03-01"), "1h")
    assert bars.fingerprint == FINGERPRINT


def test_another_process_makes_the_same_market() -> None:
    result = subprocess.run([sys.executable, "-c", FINGERPRINT_CODE], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == FINGERPRINT


def test_minutes_and_observations_of_the_default_seed_are_frozen(source: SampleSource) -> None:
    digest = hashlib.sha256()
    digest.update(source.bars("1m", ["DOGE/USDT"], "2024-05-06", "2024-05-07")[FIELDS].to_numpy().astype("<f8").tobytes())
    for table in ("news", "macro", "funding", "fear_greed"):
        rows = source.observations(table, "2024-05-01", "2024-06-01")
        digest.update(rows["available_at"].to_numpy("datetime64[ns]").astype("<i8").tobytes())
        digest.update(rows.select_dtypes("float64").to_numpy().astype("<f8").tobytes())
    assert digest.hexdigest() == "47ebf7b366dbc6cb7f88ba2f0e91472db3a0b2fa6b9936aa7c020defc7af7e3c"


def test_seeds_are_different_markets_and_equal_seeds_the_same_one(source: SampleSource) -> None:
    def closes(seed: int) -> np.ndarray:
        return SampleSource(Settings(seed=seed)).bars("1h", ["BTC/USDT"], "2024-01-01", "2024-02-01")["close"].to_numpy()

    assert np.array_equal(closes(0), source.bars("1h", ["BTC/USDT"], "2024-01-01", "2024-02-01")["close"].to_numpy())
    assert not np.array_equal(closes(0), closes(1))


@given(
    timeframe=st.sampled_from(["5m", "30m", "1h", "4h", "1d", "3d", "1w"]),
    first=st.integers(0, 24 * 20),
    length=st.integers(1, 24 * 30),
)
def test_any_range_equals_the_slice_of_a_larger_one(timeframe: str, first: int, length: int) -> None:
    source = SampleSource(Settings(seed=0))
    origin = pd.Timestamp("2024-03-20", tz="UTC")  # ENA is listed inside
    start, end = origin + pd.Timedelta(hours=first), origin + pd.Timedelta(hours=first + length)
    symbols = ["ETH/USDT", "ENA/USDT"]
    larger = source.bars(timeframe, symbols, origin - pd.Timedelta(days=40), origin + pd.Timedelta(days=90))
    inside = larger[(larger["ts"] >= start) & (larger["ts"] < end)].reset_index(drop=True)
    if inside.empty:
        with pytest.raises(NoDataError):
            source.bars(timeframe, symbols, start, end)
    else:
        pd.testing.assert_frame_equal(source.bars(timeframe, symbols, start, end), inside)


def test_asking_for_later_years_never_changes_the_past(source: SampleSource) -> None:
    near = source.bars("1h", ["SOL/USDT", "XRP/USDT"], "2024-01-01", "2024-02-01")
    far = source.bars("1h", ["SOL/USDT", "XRP/USDT"], "2024-01-01", "2029-02-01")
    assert far["ts"].max() == pd.Timestamp("2029-01-31 23:00", tz="UTC")
    pd.testing.assert_frame_equal(far[far["ts"] < pd.Timestamp("2024-02-01", tz="UTC")].reset_index(drop=True), near)
    for table in ("macro", "fear_greed"):
        short, long = source.observations(table, "2027-12-20", "2028-01-01"), source.observations(table, "2027-12-20", "2029-01-05")
        pd.testing.assert_frame_equal(long[long["ts"] < pd.Timestamp("2028-01-01", tz="UTC")].reset_index(drop=True), short)


@pytest.mark.parametrize("timeframe", ["2h", "4h", "12h", "1d", "3d", "1w", "1M"])
def test_coarse_bars_are_the_hours_resampled(source: SampleSource, timeframe: str) -> None:
    symbols = ["BTC/USDT", "DOGE/USDT"]
    asked = Bars.from_frame(source.bars(timeframe, symbols, "2023-05-01", "2024-03-01"), timeframe)
    hours = Bars.from_frame(source.bars("1h", symbols, "2023-04-24", "2024-03-06"), "1h").resample(timeframe)
    resampled = hours.between(asked.times[0], asked.times[-1] + np.timedelta64(1, "ns"))
    for name in FIELDS:
        np.testing.assert_array_equal(asked.field(name), resampled.field(name))


@pytest.mark.parametrize("symbol", ["BTC/USDT", "DOGE/USDT", "MATIC/USDT"])
def test_minutes_aggregate_to_the_hours(source: SampleSource, symbol: str) -> None:
    minutes = source.bars("1m", [symbol], "2024-02-01", "2024-04-01")
    hours = source.bars("1h", [symbol], "2024-02-01", "2024-04-01")
    groups = minutes.groupby(minutes["ts"].dt.floor("h"))
    assert (groups.size() == 60).all()
    made = groups.agg(
        open=("open", "first"), high=("high", "max"), low=("low", "min"), close=("close", "last"), volume=("volume", "sum"),
        quote_volume=("quote_volume", "sum"), trades=("trades", "sum"), taker_buy_volume=("taker_buy_volume", "sum"),
    )  # fmt: skip
    for name in ("open", "high", "low", "close", "trades"):
        np.testing.assert_array_equal(made[name].to_numpy(), hours[name].to_numpy())
    for name in ("volume", "quote_volume", "taker_buy_volume"):
        np.testing.assert_allclose(made[name].to_numpy(), hours[name].to_numpy(), rtol=1e-12)


@pytest.mark.parametrize(("timeframe", "end"), [("1m", "2024-02-01"), ("1h", "2026-01-01")])
def test_every_bar_is_consistent(source: SampleSource, timeframe: str, end: str) -> None:
    rows = source.bars(timeframe, source.symbols()[:4], "2024-01-01", end)
    body = rows[["open", "close"]]
    assert (rows["low"] <= body.min(axis=1)).all()
    assert (rows["high"] >= body.max(axis=1)).all()
    assert (rows["low"] > 0).all()
    assert (rows["volume"] >= 0).all()
    assert rows["taker_buy_volume"].between(0, rows["volume"]).all()
    assert (rows["trades"] == rows["trades"].round()).all()
    traded = rows[rows["volume"] > 0]
    mean_price = traded["quote_volume"] / traded["volume"]
    rounding = 1e-6 / traded["volume"]  # of the quote volume
    assert mean_price.between(traded["low"] - 2 * rounding, traded["high"] + 2 * rounding).all()
    # Six significant digits: printing a price with them gives it back.
    for name in ("open", "high", "low", "close"):
        sample = rows[name].to_numpy()[:: max(len(rows) // 500, 1)]
        np.testing.assert_allclose([float(f"{value:.6g}") for value in sample], sample, rtol=1e-5)


def test_the_next_open_is_near_the_close_but_not_at_it(source: SampleSource) -> None:
    rows = source.bars("1h", ["BTC/USDT"], "2024-01-01", "2025-01-01")
    gap = (rows["open"].to_numpy()[1:] / rows["close"].to_numpy()[:-1] - 1.0)[np.diff(rows["ts"]) == np.timedelta64(1, "h")]
    usual = np.abs(rows["close"] / rows["open"] - 1.0).mean()
    assert (gap != 0).mean() > 0.3
    assert np.abs(gap).mean() < 0.1 * usual
    assert abs(gap.mean()) < 4 * gap.std() / np.sqrt(len(gap))


def test_once_a_year_the_venue_is_down_for_some_hours_and_the_gap_stays(source: SampleSource) -> None:
    for year in (2023, 2024, 2025):
        first, last = outage(0, year)
        begin = EPOCH + first
        times = source.bars("1h", ["BTC/USDT"], f"{year}-01-01", f"{year + 1}-01-01")["ts"].dt.tz_localize(None).to_numpy()
        every = np.arange(f"{year}-01-01T00", f"{year + 1}-01-01T00", dtype="datetime64[h]").astype("datetime64[ns]")
        absent = np.setdiff1d(every, times)
        np.testing.assert_array_equal(absent, np.arange(begin, begin + (last - first)).astype("datetime64[ns]"))
        assert 2 <= len(absent) <= 6


def test_a_symbol_is_listed_late_and_another_is_delisted(source: SampleSource) -> None:
    listings = source.listings().set_index("symbol")
    late, gone = listings.loc["ENA/USDT"], listings.loc["MATIC/USDT"]
    rows = source.bars("1h", ["ENA/USDT", "MATIC/USDT"], "2024-01-01", "2025-01-01")
    spans = rows.groupby("symbol")["ts"].agg(["min", "max"])
    assert spans.loc["ENA/USDT", "min"] == late["listed"] > pd.Timestamp("2024-01-01", tz="UTC")
    assert spans.loc["MATIC/USDT", "max"] == gone["delisted"] - pd.Timedelta(hours=1)
    assert listings["delisted"].notna().sum() == 1
    with pytest.raises(NoDataError, match="listed"):
        source.bars("1h", ["ENA/USDT"], "2023-01-01", "2024-01-01")
    news = source.observations("news", "2024-01-01", "2025-01-01")
    assert news[news["asset"] == "ENA"]["ts"].min() >= late["listed"]


def test_every_symbol_is_planted_or_null(source: SampleSource) -> None:
    planted = {edge.symbol for edge in PLANTED_EDGES}
    assert planted | set(NULL_SYMBOLS) == set(source.symbols())
    assert not planted & set(NULL_SYMBOLS)
    assert len(source.symbols()) == 20
    assert planted <= set(source.symbols()[:8])


def test_without_edges_only_the_planted_symbols_change(source: SampleSource) -> None:
    bare = SampleSource(Settings(seed=0), planted=False)
    rows = {name: (source.bars("1h", [name], "2024-01-01", "2024-02-01"), bare.bars("1h", [name], "2024-01-01", "2024-02-01"))
            for name in source.symbols()[:8]}  # fmt: skip
    changed = {name for name, (with_edge, without) in rows.items() if not with_edge.equals(without)}
    assert changed == {edge.symbol for edge in PLANTED_EDGES}
    assert "no edge planted" in bare.notes()[0]


def test_every_output_can_say_sample_market(source: SampleSource) -> None:
    assert source.simulated
    assert "SAMPLE MARKET" in source.notes()[0]
    for edge in PLANTED_EDGES:
        assert edge.symbol in source.notes()[1]


def test_an_unknown_symbol_is_answered_with_near_ones(source: SampleSource) -> None:
    with pytest.raises(UnknownSymbolError, match="BTC/USDT"):
        source.bars("1h", ["BTC/USDC"], "2024-01-01", "2024-01-02")


def test_a_range_before_the_epoch_or_without_an_end_is_an_error(source: SampleSource) -> None:
    with pytest.raises(NoDataError, match="2018-01-01"):
        source.bars("1h", ["BTC/USDT"], "2015-01-01", "2016-01-01")
    with pytest.raises(NoDataError, match="until when"):
        source.bars("1h", ["BTC/USDT"], "2024-01-01", None)
    assert source.bars("1h", ["BTC/USDT"], None, "2018-01-02")["ts"].min() == pd.Timestamp("2018-01-01", tz="UTC")


def test_compiled_kernels_equal_their_plain_python() -> None:
    draw = np.random.default_rng(3)
    n = 400
    shock, switch, jump, season = draw.standard_normal(n), draw.random(n), draw.random(n), np.ones(n)
    tides = draw.standard_normal((2, n))
    switch[::40], jump[::50] = 0.0, 0.0  # regime changes and jumps happen
    outputs = [[np.empty(n), np.empty(n), np.empty(n, np.int8), np.empty(n, np.int8)] for _ in range(2)]
    kernels.factor_path(shock, tides, switch, jump, season, 0.005, *outputs[0])
    kernels.factor_path.py_func(shock, tides, switch, jump, season, 0.005, *outputs[1])
    for compiled, plain in zip(*outputs, strict=True):
        np.testing.assert_allclose(compiled, plain, rtol=1e-12)
    returns, volatility = outputs[0][:2]
    uniforms, news = 1.0 - draw.random((3, n)), np.sign(draw.standard_normal(n)).astype(np.int8)
    normals, own = draw.standard_normal((7, n)), draw.standard_normal(n)
    for kind, windows in enumerate([(0, 0), (24, 96), (48, 24), (72, 24), (12, 0)]):
        results = []
        for run in (kernels.symbol_path, kernels.symbol_path.py_func):
            out, out_volatility, attention, state = np.empty((8, n)), np.empty(n), np.empty(n), np.empty(n, np.int8)
            run(
                kind, 0.1, np.array(windows), news, 20.0, 1.2, 0.005, 0.006, 1e5, 0.01, returns, volatility, season, season, season,
                own, normals, uniforms, out, out_volatility, attention, state,
            )  # fmt: skip
            results.append((out, out_volatility, attention, state))
        for compiled, plain in zip(*results, strict=True):
            np.testing.assert_allclose(compiled, plain, rtol=1e-9)
        assert (np.unique(results[0][3]).size > 1) == (kind != 0)


def test_the_documentation_lists_the_edges_and_nulls_as_they_are() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "sample_market.md").read_text()
    for edge in PLANTED_EDGES:
        assert f"| `{edge.symbol}` | {edge.kind.replace('_', ' ')} | {edge.what} | {edge.strength:.3f} |" in text
        assert f"| {edge.sharpe:.1f} ± {edge.spread:.1f} |" in text
        assert edge.rule.replace(edge.symbol, "X") in text.replace(edge.symbol, "X").replace("SOL/USDT", "X")
    assert "Null symbols: " + ", ".join(f"`{name}`" for name in NULL_SYMBOLS) in text


@pytest.mark.parametrize("edge", PLANTED_EDGES, ids=lambda edge: edge.symbol)
def test_the_sentence_of_an_edge_is_a_strategy(edge: PlantedEdge) -> None:
    strategy = parse(edge.rule)
    assert strategy.symbols == (edge.symbol,)
    assert strategy.timeframe == "1h"
    assert strategy.enter_long is not None
    assert strategy.enter_short is not None
