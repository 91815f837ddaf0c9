"""Walk-forward history: what is promised about the future, the calendar, and the cache."""

from __future__ import annotations

import numpy as np
import pytest

from strategy_pipeline.forecasting import (
    SERIES,
    BoostedReturns,
    HarVolatility,
    ReturnEnsemble,
    TwoStateRegime,
    VolatilityEnsemble,
    calendar_cutoffs,
    default_forecasters,
    fit_history,
    fit_kind,
)
from strategy_pipeline.forecasting.model import FittedForecaster, Forecaster
from strategy_pipeline_tests.forecasting.markets import cut, market, with_other_future

SIZES = {"refit_days": 10, "first_fit_days": 40, "seed": 1}
MODELS = {
    "regime": TwoStateRegime(),
    "volatility": VolatilityEnsemble(),
    "returns": ReturnEnsemble(
        (("boosted_returns", {"trees": 5}), ("market_transformer", {"steps": 2, "batch": 4, "width": 8, "window": 8}))
    ),
}


class Shelf:
    """A cache that remembers what it was asked to make."""

    def __init__(self):
        self.kept, self.made = {}, []

    def __call__(self, key, make):
        if key not in self.kept:
            self.made.append(key)
            self.kept[key] = make()
        return self.kept[key]


@pytest.fixture(scope="module")
def world():
    return market(n_symbols=2, n_bars=24 * 70, seed=2)


@pytest.fixture(scope="module")
def shelf():
    return Shelf()


@pytest.fixture(scope="module")
def history(world, shelf):
    return fit_history(*world, forecasters=MODELS, cache=shelf, **SIZES)


def test_history_makes_the_named_series_missing_before_the_first_fit(history, world):
    assert set(history.series) == set(SERIES)
    first = history.answers["volatility"][0][0]
    assert world[0].times[first] == np.datetime64("2024-02-14")  # 8,810 days after 2000-01-01, the first multiple of ten
    for values in history.series.values():
        assert np.isnan(values[:, :first]).all() and np.isfinite(values[1, first:]).all()
        assert not values.flags.writeable
    assert (history.series["forecast.lower_24h"][1, first:] < history.series["forecast.upper_24h"][1, first:]).all()


def test_the_past_of_every_series_is_the_same_whatever_follows(history, world, shelf):
    for n in (24 * 50, 24 * 66 + 7):
        part = fit_history(*cut(*world, n), forecasters=MODELS, cache=shelf, **SIZES)
        other = fit_history(*with_other_future(*world, n), forecasters=MODELS, **SIZES)
        for name, values in history.series.items():
            np.testing.assert_array_equal(part.series[name], values[:, :n])
            np.testing.assert_array_equal(other.series[name][:, :n], values[:, :n])


def test_fits_are_made_once_and_found_again(history, world, shelf):
    made = len(shelf.made)
    again = fit_history(*world, forecasters=MODELS, cache=shelf, **SIZES)
    assert len(shelf.made) == made
    assert [fit.content for fit in again.fits] == [fit.content for fit in history.fits]
    assert len(history.fits) == 3 * 3
    # Another seed or other data is another fit.
    bars = world[0]
    key = fit_kind("regime", MODELS["regime"], bars, cutoff="2024-02-14", seed=1).key
    assert key in shelf.kept
    assert fit_kind("regime", MODELS["regime"], bars, cutoff="2024-02-14", seed=2).key != key
    closes = bars.close.copy()
    closes[1, 5] *= 1.0001
    assert fit_kind("regime", MODELS["regime"], bars.with_fields(close=closes), cutoff="2024-02-14", seed=1).key != key
    # What comes after the cutoff does not matter.
    assert fit_kind("regime", MODELS["regime"], bars.through("2024-02-20"), cutoff="2024-02-14", seed=1).key == key


def test_each_bar_is_answered_by_the_newest_fit_not_after_its_day(history, world):
    bars, features = world
    fits = {(fit.kind, fit.cutoff): fit for fit in history.fits}
    for kind, name, output in (("regime", "regime.calm", "regime.calm"), ("volatility", "forecast.volatility_24h", "volatility")):
        for (first, cutoff), (after, _) in zip(history.answers[kind], [*history.answers[kind][1:], (bars.n_bars, "")]):
            assert bars.times[first].astype("datetime64[D]") == np.datetime64(cutoff)
            said = fits[kind, cutoff].model.predict(bars, features)[output]
            np.testing.assert_array_equal(history.series[name][:, first:after], said[:, first:after])


def test_an_extra_cutoff_changes_nothing_before_its_day(history, world, shelf):
    more = fit_history(*world, forecasters=MODELS, cache=shelf, extra_cutoffs=["2024-03-01"], **SIZES)
    day = np.searchsorted(world[0].times, np.datetime64("2024-03-01"))
    assert ("regime", "2024-03-01") in {(fit.kind, fit.cutoff) for fit in more.fits}
    for name, values in history.series.items():
        np.testing.assert_array_equal(more.series[name][:, :day], values[:, :day])
    assert not np.array_equal(more.series["regime.calm"], history.series["regime.calm"], equal_nan=True)


class Stubborn(Forecaster):
    """Predicts its own cutoff's day of the month; accepted on even days only."""

    name = "stubborn"
    outputs = ("day",)
    uses_features = False

    def settings(self):
        return {}

    def fit(self, bars, features=None, *, cutoff, seed=0):
        day = int(str(np.datetime64(cutoff, "D"))[-2:])
        harmless = HarVolatility().fit(bars, cutoff=cutoff)
        return FittedForecaster("ewma_volatility", harmless.cutoff, "1h", seed, {"decay": 1 - day / 100}, {}, {}, {}, day % 2 == 0)

    def train(self, panel, seed):
        raise AssertionError("fit is overridden")

    def infer(self, panel, arrays, config, start=0):
        raise AssertionError("the fitted model is another")


def test_a_fit_that_did_not_beat_its_baseline_does_not_replace_one_that_did():
    bars, _ = market(n_symbols=1, n_bars=24 * 70, seed=2)
    stubborn = Stubborn()
    type(stubborn).outputs = ("volatility",)
    told = fit_history(bars, forecasters={"volatility": stubborn}, refit_days=1, first_fit_days=50)
    days = [int(cutoff[-2:]) for _, cutoff in told.answers["volatility"]]
    assert days[0] == 20 and all(day % 2 == 0 for day in days) and len(told.fits) > len(days)
    # Until one is accepted the newest answers.
    late = fit_history(bars, forecasters={"volatility": stubborn}, refit_days=1, first_fit_days=51)
    assert [int(cutoff[-2:]) for _, cutoff in late.answers["volatility"]][:3] == [21, 22, 24]


def test_cutoffs_are_the_same_days_for_runs_of_any_length():
    times = np.arange("2020-03-05", "2023-01-01", dtype="datetime64[h]").astype("datetime64[ns]")
    whole = calendar_cutoffs(times, refit_days=30, first_fit_days=365)
    later = calendar_cutoffs(times[5000:], refit_days=30, first_fit_days=365)
    assert set(later) <= set(whole) and len(later) > 10
    assert all((day - np.datetime64("2000-01-01")).astype(int) % 30 == 0 for day in whole)
    assert whole[0] >= np.datetime64("2021-03-05") and whole[0] < np.datetime64("2021-04-04")
    assert calendar_cutoffs(times[:10], refit_days=30, first_fit_days=365) == []


def test_a_history_too_short_for_any_fit_is_all_missing():
    bars, features = market(n_bars=200)
    told = fit_history(bars, features, forecasters=MODELS, **SIZES)
    assert not told.fits and set(told.series) == set(SERIES)
    assert all(np.isnan(values).all() for values in told.series.values())


def test_a_cutoff_with_too_little_history_is_skipped_with_the_reason():
    bars, features = market(n_bars=24 * 30)
    told = fit_history(bars, features, forecasters={"returns": BoostedReturns()}, refit_days=5, first_fit_days=2)
    assert told.skipped and "Expected at least" in told.skipped[0]


def test_the_default_forecasters_are_the_kinds_of_a_learning_day():
    models = default_forecasters(transformer_steps=7)
    assert list(models) == ["regime", "volatility", "returns"]
    assert dict(models["returns"].settings()["members"])["market_transformer"]["steps"] == 7
