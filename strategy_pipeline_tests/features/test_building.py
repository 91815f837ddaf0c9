"""Feature matrices: shapes, masks, ranges, time."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from strategy_pipeline.config import Settings
from strategy_pipeline.errors import InvalidBarsError, MissingColumnError, NoDataError
from strategy_pipeline.features import FEATURE_SETS, Feature, FeatureMatrix, FeatureSet, UnknownFeatureSetError, build, feature_table
from strategy_pipeline.indicators import Series, compute, macro_series, term
from strategy_pipeline.market import Bars, open_source
from strategy_pipeline_tests.indicators.conftest import blanked, random_walk


@pytest.fixture(scope="module")
def market():
    """The sample market: three symbols over half a year, and its observation tables."""
    source = open_source(Settings(source="sample", seed=7))
    bars = Bars.from_frame(source.bars("1h", source.symbols()[:3], "2022-01-01", "2022-07-01"), "1h")
    names = ("news", "social", "macro", "fear_greed", "fundamentals", "funding", "open_interest")
    return bars, {name: source.observations(name, "2021-01-01", "2022-07-01") for name in names}


@pytest.fixture(scope="module")
def matrix(market) -> FeatureMatrix:
    bars, tables = market
    return build(bars, "standard", observations=tables)


def test_a_matrix_stands_on_the_bars_grid(market, matrix):
    bars, _ = market
    assert matrix.values.shape == (3, bars.n_bars, len(matrix.feature_names)) and matrix.values.dtype == np.float32
    assert matrix.symbols == bars.symbols and np.array_equal(matrix.times, bars.times)
    np.testing.assert_array_equal(matrix.available_at, bars.available_at)
    assert not matrix.values.flags.writeable and matrix.values.flags.c_contiguous
    assert matrix.feature_set == "standard" and matrix.version and len(set(matrix.feature_names)) == matrix.n_features
    assert not np.isinf(matrix.values).any()


def test_with_everything_given_everything_is_available_and_known(market, matrix):
    assert matrix.available.all()
    late = matrix.values[:, -24:]
    for k, name in enumerate(matrix.feature_names):
        if not name.endswith("@1d"):  # half a year holds few daily windows
            assert np.isfinite(late[:, :, k]).any(), name


def test_columns_are_the_indicators_they_name(market, matrix):
    bars, _ = market
    np.testing.assert_array_equal(matrix.column("rsi_14"), compute("rsi", bars, length=14).astype(np.float32))
    np.testing.assert_array_equal(matrix.column("adx_14@4h"), compute("adx", bars, length=14, timeframe="4h").astype(np.float32))
    with pytest.raises(MissingColumnError, match="rsi_13"):
        matrix.column("rsi_13")


def test_a_missing_block_is_masked_and_never_zero(market):
    bars, tables = market
    bare = build(
        bars.with_fields(taker_buy_volume=None, trades=None),
        "standard",
        observations={"macro": tables["macro"], "news": tables["news"].head(0)},
    )
    missing = {name for name, there in zip(bare.feature_names, bare.available, strict=True) if not there}
    assert {"taker_imbalance_24", "log_trade_size", "news_score_1d", "fear_greed", "funding_rate"} <= missing
    assert not {"log_vix", "rsi_14", "cmf_24"} & missing
    for name in missing:
        assert np.isnan(bare.column(name)).all()
    full = build(bars, "standard", observations=tables)
    assert bare.feature_names == full.feature_names
    np.testing.assert_array_equal(bare.column("log_vix"), full.column("log_vix"))


def test_correlations_with_the_worlds_markets_are_the_catalogs_and_masked_without_macro(market):
    bars, tables = market
    names = [f"correlation_{name}_60d" for name in ("sp500", "nasdaq", "dxy", "vix")]
    given = build(bars, "full", observations=tables)
    series = macro_series(tables["macro"], bars)
    for name in names:
        if given.available[given.feature_names.index(name)]:
            wanted = compute(name.removesuffix("_60d"), bars, length=60 * 24, horizon=24, named=series)
            np.testing.assert_array_equal(given.column(name), wanted.astype(np.float32))
    known = [name for name in names if np.isfinite(given.column(name)).any()]
    assert {"correlation_sp500_60d", "correlation_vix_60d"} <= set(known)
    without = build(bars, "full", observations={name: table for name, table in tables.items() if name != "macro"})
    for name in names:
        assert not without.available[without.feature_names.index(name)] and np.isnan(without.column(name)).all()
    # Sixty days and daily changes on any bars: sixty bars of a day, and as many days of shorter ones.
    for timeframe, bars_a_day in (("15m", 96), ("4h", 6), ("1d", 1), ("1w", 1)):
        table = feature_table("full", timeframe).set_index("feature")
        assert table.loc["correlation_vix_60d", "definition"] == f"correlation_vix(length={60 * bars_a_day}, horizon={bars_a_day})"
        assert "VIXCLS" in table.loc["correlation_vix_60d", "source"]


def test_a_set_of_ones_own_may_read_quotes_and_levels_by_name(market):
    bars, tables = market
    level = Feature("vix", "mine", Series("macro.vix"))
    mine = FeatureSet("mine", "1", "named", lambda _: (level, Feature("tilt", "mine", term("book_imbalance"))))
    matrix = build(bars, mine, observations=tables)
    np.testing.assert_array_equal(matrix.column("vix"), macro_series(tables["macro"], bars)["macro.vix"].astype(np.float32))
    assert matrix.available.tolist() == [True, "book" in tables] and build(bars, mine).available.tolist() == [False, False]
    assert feature_table(mine)["source"].str.contains("macro: |book: ").all()


def test_rows_of_missing_bars_are_unknown():
    bars = blanked(random_walk(3, 300, 4), 1, slice(200, 210))
    values = build(bars, "minimal").values
    assert np.isnan(values[1, 200:210]).all() and np.isfinite(values[0, 200:210]).all()


@pytest.mark.parametrize("name", ["minimal", "standard", "full"])
def test_a_range_with_its_look_back_equals_the_full_build(market, name):
    bars, tables = market
    whole = build(bars, name, observations=tables)
    for start in ("2022-06-20", "2022-05-03T07:00"):
        part = build(bars, name, observations=tables, start=start)
        same = whole.between(start)
        assert np.array_equal(part.times, same.times) and np.array_equal(part.available, same.available)
        np.testing.assert_allclose(part.values, same.values, rtol=2e-6, atol=1e-7, equal_nan=True)


def test_a_range_on_real_bars_with_outages_equals_the_full_build(real_data):
    frame = pd.read_parquet(real_data / "ohlcv_1h_binance_spot.parquet")
    frame = frame[
        frame["symbol"].astype(str).isin(["BTCUSDT", "ETHUSDT", "SOLUSDT"]) & (frame["ts"] >= "2022-06-01") & (frame["ts"] < "2024-06-01")
    ]
    frame = frame.assign(symbol=frame["symbol"].astype(str).str.replace("USDT", "/USDT"), timeframe="1h")
    bars = Bars.from_frame(frame, "1h")
    whole, part = build(bars), build(bars, start="2024-05-25")
    np.testing.assert_allclose(part.values, whole.between("2024-05-25").values, rtol=2e-6, atol=1e-7, equal_nan=True)


def test_only_the_look_back_is_computed(market, monkeypatch):
    from strategy_pipeline.features import building

    bars, _ = market
    seen = []
    original = building._price_columns
    monkeypatch.setattr(building, "_price_columns", lambda given, *rest: (seen.append(given.n_bars), original(given, *rest))[1])
    build(bars, "minimal", start="2022-06-30")
    assert 24 < seen[0] <= 24 + FEATURE_SETS["minimal"].lookback("1h") < bars.n_bars


def test_a_row_uses_no_observation_known_after_its_close(market):
    bars, tables = market
    moment = bars.available_at[2000]
    known = {name: frame[frame["available_at"].dt.tz_localize(None) <= moment] for name, frame in tables.items()}
    whole, cut = build(bars, "full", observations=tables), build(bars, "full", observations=known)
    np.testing.assert_array_equal(whole.values[:, 1990:2001], cut.values[:, 1990:2001])
    assert not np.array_equal(whole.values[:, 2100], cut.values[:, 2100], equal_nan=True)


def test_the_same_input_gives_the_same_hash_and_other_input_another(market, matrix):
    bars, tables = market
    assert build(bars, "standard", observations=tables, workers=3).hash == matrix.hash
    assert build(bars, "standard").hash != matrix.hash


@pytest.mark.parametrize("timeframe", ["1h", "1d"])
def test_sets_work_on_other_timeframes(timeframe):
    bars = random_walk(2, 400, 8, timeframe)
    matrix = build(bars, "full")
    higher = {name.split("@")[1] for name in matrix.feature_names if "@" in name}
    assert higher == ({"4h", "1d"} if timeframe == "1h" else {"1w", "1M"})
    assert FEATURE_SETS["full"].lookback(timeframe) > 1000


def test_ones_own_set(market):
    bars, _ = market
    mine = FeatureSet("mine", "1", "two columns", lambda _: (Feature("close", "price", Series("close")), Feature("atr", "v", term("atr"))))
    matrix = build(bars, mine)
    assert matrix.feature_names == ("close", "atr") and matrix.feature_set == "mine"
    np.testing.assert_array_equal(matrix.column("close"), bars.close.astype(np.float32))


def test_what_cannot_be_built_is_told(market):
    bars, tables = market
    with pytest.raises(UnknownFeatureSetError, match="standrad"):
        build(bars, "standrad")
    with pytest.raises(NoDataError, match="2030"):
        build(bars, "minimal", start="2030-01-01")
    with pytest.raises(MissingColumnError, match="available_at"):
        build(bars, "standard", observations={"macro": tables["macro"].drop(columns="available_at")})
    with pytest.raises(InvalidBarsError, match="shape"):
        FeatureMatrix(np.zeros((1, 2, 3)), ("a",), bars.times[:2], ("X/Y",), "1h", np.ones(1, dtype=bool))
