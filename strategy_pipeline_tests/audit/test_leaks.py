"""What looks ahead, or declares too short a warm-up, fails its audit: fixtures that are wrong on purpose, each in its own way."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import pytest

from strategy_pipeline.audit import audit_lookahead, audit_warmup, catalog_functions, feature_functions
from strategy_pipeline.features.sets import Feature, FeatureSet
from strategy_pipeline.indicators import Output, indicator, macro_series, term
from strategy_pipeline.indicators.registry import unregister
from strategy_pipeline.market import Bars
from strategy_pipeline_tests.indicators.conftest import world

HOUR, DAY = 3600.0, 86_400.0
Array = np.ndarray


# Leaky functions of bars.
def centred_mean(bars: Bars) -> Array:
    return pd.DataFrame(bars.close.T).rolling(5, center=True).mean().to_numpy().T


def future_shift(bars: Bars) -> Array:
    return pd.DataFrame(bars.close.T).pct_change(fill_method=None).shift(-1).to_numpy().T


def full_sample_zscore(bars: Bars) -> Array:
    return (bars.close - np.nanmean(bars.close, axis=1, keepdims=True)) / np.nanstd(bars.close, axis=1, keepdims=True)


def filled_from_the_future(bars: Bars) -> Array:
    return pd.DataFrame(bars.close.T).bfill().to_numpy().T


def smoothed(bars: Bars) -> Array:
    forward = pd.DataFrame(bars.close.T).ewm(span=5).mean()
    return forward[::-1].ewm(span=5).mean()[::-1].to_numpy().T


def day_close_early(bars: Bars) -> Array:
    """The day's close spread over the whole day."""
    days = pd.DatetimeIndex(bars.times).floor("D")
    return pd.DataFrame(bars.close.T).groupby(days).transform("last").to_numpy().T


def knows_the_end(bars: Bars) -> Array:
    return np.where(np.isfinite(bars.close), float(bars.n_bars), np.nan)


def fitted_on_everything(bars: Bars) -> Array:
    """A model: next returns on the last two, by least squares over the whole history, applied back onto it."""
    change = np.nan_to_num(np.diff(np.log(bars.close), axis=1, prepend=np.nan))
    out = np.full(change.shape, np.nan)
    for row, r in enumerate(change):
        x = np.column_stack([r[1:-1], r[:-2]])
        weights = np.linalg.lstsq(x, r[2:], rcond=None)[0]
        out[row, 1:] = np.column_stack([r[1:], r[:-1]]) @ weights
    return out


def tiny(bars: Bars) -> Array:
    """A leak in numbers far below one: units must not hide it."""
    return 1e-15 * future_shift(bars)


def selected_afterwards(bars: Bars) -> dict[str, Array]:
    """Shows only the symbol that ends best."""
    best = int(np.argmax(bars.close[:, -1] / bars.close[:, 150]))
    return {bars.symbols[best]: bars.close}


FUNCTIONS = [
    centred_mean, future_shift, full_sample_zscore, filled_from_the_future, smoothed, day_close_early, knows_the_end,
    fitted_on_everything, tiny,
]  # fmt: skip


@pytest.mark.parametrize("leaky", FUNCTIONS)
def test_a_function_that_looks_ahead_fails(leaky, gappy):
    honest = catalog_functions(gappy, ["sma"])
    result = audit_lookahead({**honest, "leaky": leaky}, gappy, n_times=6, seed=1).set_index("name")
    assert not result.loc["leaky", "passed"] and result.loc["leaky", "worst"] > 1e-6
    assert result.loc["leaky", "symbol"] in gappy.symbols and isinstance(result.loc["leaky", "at"], pd.Timestamp)
    assert result.loc["sma", "passed"]


def test_outputs_that_come_and_go_with_the_history_fail(gappy):
    result = audit_lookahead({"leaky": selected_afterwards}, gappy, n_times=40, seed=1)
    assert not result["passed"].any() and "changes its outputs" in result["note"].iloc[0]


# Leaky indicators, registered as a user would.
def negative_shift(close: Array) -> Array:
    return np.append(close[1:], close[-1])


def centred_window(close: Array) -> Array:
    return np.convolve(close, np.ones(5) / 5, mode="same")


def standardised_by_the_whole(close: Array) -> Array:
    return (close - close.mean()) / close.std()


def holes_filled_backwards(close: Array) -> Array:
    """Swing highs marked at their own bar, and held back to the one before."""
    swing = pd.Series(np.where((close > np.roll(close, 1)) & (close > np.roll(close, -1)), close, np.nan))
    return swing.bfill().ffill().to_numpy()


def unfinished_day(close: Array, time: Array) -> Array:
    """The close of the bar's day before the day is over."""
    return pd.Series(close).groupby(time // DAY).transform("last").to_numpy()


def interpolated(close: Array, time: Array) -> Array:
    """Six-hourly closes joined by straight lines."""
    marks = np.flatnonzero(time % (6 * HOUR) == 0)
    return np.interp(np.arange(len(close)), marks, close[marks])


def scaled_to_the_last(close: Array) -> Array:
    return close / close[-1]


def whole_spectrum(close: Array) -> Array:
    """A low-pass through the Fourier transform of the entire series."""
    parts = np.fft.rfft(close)
    parts[len(parts) // 10 :] = 0
    return np.fft.irfft(parts, len(close))


REGISTERED = {
    "negative_shift": (negative_shift, ("close",)),
    "centred_window": (centred_window, ("close",)),
    "standardised_by_the_whole": (standardised_by_the_whole, ("close",)),
    "holes_filled_backwards": (holes_filled_backwards, ("close",)),
    "unfinished_day": (unfinished_day, ("close", "time")),
    "interpolated": (interpolated, ("close", "time")),
    "scaled_to_the_last": (scaled_to_the_last, ("close",)),
    "whole_spectrum": (whole_spectrum, ("close",)),
}


@pytest.fixture
def register() -> Iterator[Callable[..., str]]:
    """Registers an indicator of one output for the length of a test."""
    made: list[str] = []

    def add(name: str, function: Callable[..., Array], inputs: tuple[str, ...] = ("close",), **declared: object) -> str:
        given = {"warmup": 1, "outputs": (Output("value", "price"),), **declared}
        indicator(name, family="price", inputs=inputs, source="a test", **given)(function)
        made.append(name)
        return name

    yield add
    for name in made:
        unregister(name)


@pytest.mark.parametrize("name", REGISTERED)
def test_a_registered_indicator_that_looks_ahead_fails(name, gappy, register):
    register(name, *REGISTERED[name])
    result = audit_lookahead(catalog_functions(gappy, [name, "ema"]), gappy, n_times=10, seed=21).set_index("name")
    assert not result.loc[name, "passed"] and result.loc[name, "worst"] > 1e-6
    assert result.loc["ema", "passed"]


def test_an_entry_of_the_universe_that_looks_ahead_fails(gappy, register):
    def against_the_end(close: Array) -> Array:
        return close / np.nanmax(close, axis=1, keepdims=True)

    register("against_the_end", against_the_end, scope="universe")
    assert not audit_lookahead(catalog_functions(gappy, ["against_the_end"]), gappy, seed=22)["passed"].any()


def test_named_series_that_know_too_early_fail(gappy):
    """A level entered a bar before it was known is caught with the entry that reads it."""

    def early(bars: Bars) -> dict[str, Array]:
        return {name: np.roll(values, -1, axis=1) for name, values in world(bars).items()}

    result = audit_lookahead(catalog_functions(gappy, ["book_imbalance"], series=early), gappy, seed=1)
    assert not result["passed"].any()


def test_macro_levels_entered_on_their_own_day_fail(sample, sample_world):
    """The day's level by `ts` instead of `available_at`: the table is cut at what is known, and the value changes."""
    table = sample_world["macro"]

    def early(bars: Bars) -> dict[str, Array]:
        now = pd.Timestamp(bars.available_at[-1], tz="UTC")
        known = table[table["available_at"] <= now]
        return macro_series(known.assign(available_at=known["ts"]), bars)

    honest = audit_lookahead(
        catalog_functions(sample, ["correlation_vix"], series=lambda bars: macro_series(table, bars)), sample, n_times=8, seed=3
    )  # fmt: skip
    leaky = audit_lookahead(catalog_functions(sample, ["correlation_vix"], series=early), sample, n_times=8, seed=3)
    assert honest["passed"].all() and not leaky["passed"].any()


# Leaky features.
def set_of(*features: Feature) -> FeatureSet:
    return FeatureSet("leaky", "0", "a test", lambda timeframe: features)


def test_a_feature_made_of_a_leaky_indicator_fails(gappy, register):
    register("negative_shift", negative_shift)
    chosen = set_of(Feature("ahead", "test", term("negative_shift")), Feature("honest", "test", term("rsi")))
    result = audit_lookahead(feature_functions(chosen), gappy, n_times=6, seed=23).set_index("name")
    assert not result.loc["leaky.ahead", "passed"] and result.loc["leaky.honest", "passed"]


def test_a_feature_that_reads_observations_by_their_own_day_fails(sample, sample_world):
    def on_its_day(world: object) -> Array:
        table = world.table("fear_greed")
        at = np.searchsorted(table["ts"].to_numpy(dtype="datetime64[ns]"), world.closes, side="right") - 1
        row = np.where(at >= 0, table["value"].to_numpy(dtype=float)[np.maximum(at, 0)], np.nan)
        return np.tile(row, (sample.n_symbols, 1))

    late = sample_world["fear_greed"]
    tables = {"fear_greed": late.assign(available_at=late["ts"] + pd.Timedelta(hours=30))}
    result = audit_lookahead(feature_functions(set_of(Feature("early", "test", read=on_its_day)), tables), sample, n_times=12, seed=24)
    assert not result["passed"].any()


def test_a_feature_scaled_by_the_whole_sample_fails(sample, sample_world):
    def scaled(world: object) -> Array:
        shape = (sample.n_symbols, len(world.closes))
        return np.broadcast_to(np.linspace(-1.0, 1.0, shape[1]), shape)

    result = audit_lookahead(feature_functions(set_of(Feature("scaled", "test", read=scaled)), sample_world), sample, n_times=3, seed=25)
    assert not result["passed"].any()


# Warm-ups declared too short.
def slow_mean(close: Array) -> Array:
    return pd.Series(close).ewm(span=30, adjust=False).mean().to_numpy()


def since_the_start(close: Array) -> Array:
    return np.cumsum(close) / np.arange(1, len(close) + 1)


def about_the_start(close: Array) -> Array:
    """A running sum whose steps still depend on where history starts."""
    return np.cumsum(close - since_the_start(close))


def wide_window(close: Array) -> Array:
    return pd.Series(close).rolling(50).mean().to_numpy()


WARMUPS = {
    "short_mean": (slow_mean, {"warmup": 20, "lookback": 0}),
    "since_the_start": (since_the_start, {"warmup": 100}),
    "running_sum": (np.cumsum, {"warmup": 100}),
    "uneven_steps": (about_the_start, {"warmup": 10, "cumulative": True}),
    "one_bar_short": (lambda close: pd.Series(close).rolling(50, min_periods=1).mean().to_numpy(), {"warmup": 49, "lookback": 60}),
    "never_there": (wide_window, {"warmup": 20}),
}


@pytest.mark.parametrize("name", WARMUPS)
def test_a_warm_up_that_is_too_short_fails(name, gappy, register):
    function, declared = WARMUPS[name]
    register(name, function, **declared)
    result = audit_warmup([name, "ema", "obv"], gappy, seed=7).set_index("name")
    assert not result.loc[name, "passed"]
    assert result.loc[name, "worst"] > 1e-6  # a difference, not a want of values
    assert result.loc["ema", "passed"] and result.loc["obv", "passed"]


def test_what_is_cumulative_passes_by_its_differences_once_it_says_so(gappy, register):
    register("running_sum", np.cumsum, warmup=1, cumulative=True)
    assert audit_warmup(["running_sum"], gappy, seed=7)["passed"].all()
