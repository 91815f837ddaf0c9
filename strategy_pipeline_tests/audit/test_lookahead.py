"""The audits pass the catalog and the feature sets, and fail what looks ahead."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from strategy_pipeline.audit import audit_lookahead, audit_warmup, catalog_functions, feature_functions
from strategy_pipeline.config import Settings
from strategy_pipeline.errors import NoDataError
from strategy_pipeline.indicators import Output, indicator, macro_series, names, spec
from strategy_pipeline.indicators.registry import unregister
from strategy_pipeline.market import Bars, open_source
from strategy_pipeline_tests.indicators.conftest import blanked, random_walk, world


@pytest.fixture(scope="module")
def gappy() -> Bars:
    bars = random_walk(3, 600, seed=5)
    return blanked(blanked(bars, 1, slice(300, 305)), 2, slice(0, 120))


@pytest.fixture(scope="module")
def real(real_data) -> Bars:
    """BTC, ETH and SOL over the outage of 2023-03-24."""
    frame = pd.read_parquet(real_data / "ohlcv_1h_binance_spot.parquet")
    frame = frame[frame["symbol"].astype(str).isin(["BTCUSDT", "ETHUSDT", "SOLUSDT"])]
    frame = frame[(frame["ts"] >= "2022-05-01") & (frame["ts"] < "2023-04-15")]
    frame = frame.assign(symbol=frame["symbol"].astype(str).str.replace("USDT", "/USDT"), timeframe="1h")
    return Bars.from_frame(frame, "1h")


@pytest.fixture(scope="module")
def levels(real_data) -> pd.DataFrame:
    """Macro levels by day, known (so this test assumes) at the end of the day after."""
    frame = pd.read_parquet(real_data / "macro.parquet")
    frame = frame[(frame["date"] >= "2022-01-01") & (frame["date"] < "2023-05-01")]
    ts = frame["date"].astype("datetime64[ns]").dt.tz_localize("UTC")
    return frame.assign(ts=ts, available_at=ts + pd.Timedelta(days=2))


# Deliberately leaky functions: each looks ahead in its own way.
def centred_mean(bars: Bars) -> np.ndarray:
    return pd.DataFrame(bars.close.T).rolling(5, center=True).mean().to_numpy().T


def future_shift(bars: Bars) -> np.ndarray:
    return pd.DataFrame(bars.close.T).pct_change(fill_method=None).shift(-1).to_numpy().T


def full_sample_zscore(bars: Bars) -> np.ndarray:
    return (bars.close - np.nanmean(bars.close, axis=1, keepdims=True)) / np.nanstd(bars.close, axis=1, keepdims=True)


def filled_from_the_future(bars: Bars) -> np.ndarray:
    return pd.DataFrame(bars.close.T).bfill().to_numpy().T


def smoothed(bars: Bars) -> np.ndarray:
    forward = pd.DataFrame(bars.close.T).ewm(span=5).mean()
    return forward[::-1].ewm(span=5).mean()[::-1].to_numpy().T


def day_close_early(bars: Bars) -> np.ndarray:
    """The day's close spread over the whole day."""
    days = pd.DatetimeIndex(bars.times).floor("D")
    return pd.DataFrame(bars.close.T).groupby(days).transform("last").to_numpy().T


def knows_the_end(bars: Bars) -> np.ndarray:
    return np.where(np.isfinite(bars.close), float(bars.n_bars), np.nan)


@pytest.mark.parametrize(
    "leaky", [centred_mean, future_shift, full_sample_zscore, filled_from_the_future, smoothed, day_close_early, knows_the_end]
)
def test_what_looks_ahead_fails(leaky, gappy):
    honest = catalog_functions(gappy, ["sma"])
    result = audit_lookahead({**honest, "leaky": leaky}, gappy, n_times=6, seed=1).set_index("name")
    assert not result.loc["leaky", "passed"] and result.loc["leaky", "worst"] > 1e-6
    assert result.loc["leaky", "symbol"] in gappy.symbols and isinstance(result.loc["leaky", "at"], pd.Timestamp)
    assert result.loc["sma", "passed"]


def test_nothing_to_compare_is_no_pass(gappy):
    result = audit_lookahead({"silent": lambda bars: np.full(bars.close.shape, np.nan)}, gappy, seed=1)
    assert not result["passed"].any() and "nothing finite" in result["note"].iloc[0]
    with pytest.raises(NoDataError):
        audit_lookahead({}, gappy.between(None, gappy.times[2]), seed=1)


def test_the_whole_catalog_sees_no_future(gappy):
    result = audit_lookahead(catalog_functions(gappy, series=world), gappy, n_times=5, seed=2)
    late = result["name"].isin(["hour_return", "week_hour_return"]) | result["name"].str.startswith(
        "correlation_"
    )  # longer than this history
    failed = result[~result["passed"] & ~late]
    assert failed.empty, failed.to_string()
    assert len(result) > 260


def test_the_whole_catalog_sees_no_future_on_real_bars(real, levels):
    recent = real.between("2023-02-01", None)
    functions = catalog_functions(recent, series=lambda bars: macro_series(levels, bars))
    result = audit_lookahead(functions, recent, n_times=4, seed=3)
    assert result["passed"].all(), result[~result["passed"]].to_string()
    assert {"correlation_sp500", "correlation_nasdaq", "correlation_dxy", "correlation_vix"} <= set(result["name"])


def test_the_whole_catalog_sees_no_future_on_the_sample_market():
    source = open_source(Settings(source="sample", seed=3))
    bars = Bars.from_frame(source.bars("1h", source.symbols()[:2], "2022-01-01", "2022-04-01"), "1h")
    macro = source.observations("macro", "2021-06-01", "2022-04-01")
    result = audit_lookahead(catalog_functions(bars, series=lambda given: macro_series(macro, given)), bars, n_times=3, seed=11)
    assert result["passed"].all(), result[~result["passed"]].to_string()


def test_named_series_that_know_too_early_fail(gappy):
    """A level published a day late but entered on its own day is caught with the entry that reads it."""

    def early(bars: Bars) -> dict[str, np.ndarray]:
        ahead = {name: np.roll(values, -1, axis=1) for name, values in world(bars).items()}
        return ahead

    result = audit_lookahead(catalog_functions(gappy, ["book_imbalance"], series=early), gappy, seed=1)
    assert not result["passed"].any()


@pytest.mark.parametrize("name", ["minimal", "standard", "full"])
def test_feature_sets_see_no_future(name, real):
    result = audit_lookahead(feature_functions(name), real, n_times=2, seed=4)
    unknown = result["note"] != ""  # no observations were given, and warm-ups longer than this history
    assert result[~unknown]["passed"].all(), result[~result["passed"] & ~unknown].to_string()
    assert (~unknown).mean() > 0.7


def test_features_of_the_world_see_no_future():
    source = open_source(Settings(source="sample", seed=3))
    bars = Bars.from_frame(source.bars("1h", source.symbols()[:3], "2022-01-01", "2022-04-01"), "1h")
    tables = {
        name: source.observations(name, "2021-06-01", "2022-04-01") for name in ("news", "macro", "fear_greed", "fundamentals", "funding")
    }
    result = audit_lookahead(feature_functions("standard", tables), bars, n_times=3, seed=5).set_index("name")
    world = result.loc[["standard.news_score_1d", "standard.log_vix", "standard.fear_greed", "standard.news_buzz", "standard.funding_rate"]]
    assert world["passed"].all(), world.to_string()
    assert result.loc[result["note"] == "", "passed"].all()


def test_declared_warm_ups_suffice(real, levels):
    result = audit_warmup(None, real, n_times=5, seed=6, series=lambda bars: macro_series(levels, bars))
    assert result["passed"].all(), result[~result["passed"]].to_string()


def test_declared_warm_ups_of_entries_that_read_quotes_suffice(gappy):
    quoted = [name for name in names() if any(each.startswith("book.") for each in spec(name).named_inputs)]
    result = audit_warmup(quoted, gappy, n_times=5, seed=6, series=world)
    assert len(result) == 6 and result["passed"].all(), result.to_string()


def test_a_warm_up_that_is_too_short_fails(gappy):
    @indicator("short_ema", family="trend", inputs=("close",), outputs=(Output("value", "price"),), lookback=0, warmup=20, source="a test")
    def short_ema(close):
        return pd.Series(close).ewm(span=30, adjust=False).mean().to_numpy()

    try:
        result = audit_warmup(["short_ema", "ema", "obv"], gappy, seed=7).set_index("name")
    finally:
        unregister("short_ema")
    assert not result.loc["short_ema", "passed"] and result.loc["ema", "passed"] and result.loc["obv", "passed"]


def test_a_history_shorter_than_the_warm_up_is_told(gappy):
    result = audit_warmup(["kama"], gappy, seed=8)
    assert not result["passed"].any() and "5030 bars" in result["note"].iloc[0]
