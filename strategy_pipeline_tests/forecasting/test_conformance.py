"""What every forecaster must do, whatever it learns."""

from __future__ import annotations

import json

import numpy as np
import pytest

from strategy_pipeline.errors import CorruptFileError, InvalidBarsError, MissingInputError, NoDataError
from strategy_pipeline.forecasting import (
    BoostedReturns,
    EwmaVolatility,
    FittedForecaster,
    GarchVolatility,
    HarVolatility,
    MarketTransformer,
    ReturnEnsemble,
    TwoStateRegime,
    VolatilityEnsemble,
    restore,
)
from strategy_pipeline_tests.forecasting.markets import cut, market, with_other_future

SMALL = {"steps": 4, "batch": 4, "width": 8, "window": 8}
FORECASTERS = [
    EwmaVolatility(),
    HarVolatility(),
    GarchVolatility(),
    TwoStateRegime(),
    BoostedReturns(trees=8),
    MarketTransformer(**SMALL),
    VolatilityEnsemble(),
    ReturnEnsemble((("boosted_returns", {"trees": 8}), ("market_transformer", SMALL))),
]
CUTOFF = "2024-02-20"  # the 1200th of 1500 hourly bars


@pytest.fixture(scope="module")
def world():
    return market()


@pytest.fixture(scope="module")
def fits(world):
    return {model.name: model.fit(*world, cutoff=CUTOFF, seed=3) for model in FORECASTERS}


each = pytest.mark.parametrize("model", FORECASTERS, ids=lambda model: model.name)


@each
def test_a_prediction_is_the_same_whatever_follows_it(model, world, fits):
    whole = fits[model.name].predict(*world)
    for n in (1490, 1333, 700):
        short = fits[model.name].predict(*cut(*world, n))
        for name, values in short.items():
            np.testing.assert_array_equal(values, whole[name][:, :n])


@each
def test_training_knows_nothing_after_its_cutoff(model, world, fits):
    other = with_other_future(*world, 1200)
    assert not np.array_equal(other[0].close, world[0].close, equal_nan=True)
    assert model.fit(*other, cutoff=CUTOFF, seed=3).to_bytes() == fits[model.name].to_bytes()


@each
def test_bytes_restore_the_model(model, world, fits):
    fitted = fits[model.name]
    again = FittedForecaster.from_bytes(fitted.to_bytes())
    assert again.to_bytes() == fitted.to_bytes()
    assert again.forecaster == model or again.forecaster.settings() == model.settings()
    for name, values in again.predict(*world).items():
        np.testing.assert_array_equal(values, fitted.predict(*world)[name])
    assert restore(fitted.state()).metrics.keys() == fitted.metrics.keys()
    json.dumps(fitted.config, allow_nan=False)


@each
def test_outputs_have_the_promised_names_and_shape_and_are_missing_where_the_bar_is(model, world, fits):
    said = fits[model.name].predict(*world)
    assert tuple(said) == model.outputs
    gap = np.isnan(world[0].close)
    for name, values in said.items():
        assert values.shape == world[0].close.shape and values.dtype == np.float64
        assert not np.isinf(values).any()
        assert np.isfinite(values[1, 800:]).all(), name
        assert np.isnan(values[gap]).all(), name


@each
def test_rows_from_a_start_are_those_of_the_whole(model, world, fits):
    whole, part = fits[model.name].predict(*world), fits[model.name].predict(*world, start=1234)
    for name, values in part.items():
        np.testing.assert_array_equal(values[:, 1234:], whole[name][:, 1234:])


# The baseline needs no training, and stands in for the volatility ensemble's members when they cannot be trained.
trained = [model for model in FORECASTERS if model.name not in ("ewma_volatility", "volatility")]


@pytest.mark.parametrize("model", trained, ids=lambda model: model.name)
def test_too_little_history_is_refused(model, world):
    with pytest.raises(NoDataError, match="Expected at least"):
        model.fit(*cut(*world, 30), cutoff="2024-01-02", seed=0)


def test_a_volatility_is_annualised_and_near_the_truth(world, fits):
    # Per-bar volatility is 0.006 exp(x), x an AR(1) with standard deviation 0.6: a typical level of 0.006.
    said = fits["volatility"].predict(*world)["volatility"]
    assert 0.3 < np.nanmedian(said) / (0.006 * np.sqrt(8760)) < 2.5


def test_features_on_other_rows_are_refused(world):
    bars, features = world
    with pytest.raises(InvalidBarsError, match="1500 times"):
        BoostedReturns().fit(bars, features.through(bars.times[99]), cutoff=CUTOFF)


def test_other_features_than_in_training_are_refused(world, fits):
    bars, features = world
    renamed = type(features)(
        features.values, ("x", *features.feature_names[1:]), features.times, features.symbols, "1h", features.available
    )
    with pytest.raises(MissingInputError, match="signal"):
        fits["boosted_returns"].predict(bars, renamed)
    with pytest.raises(MissingInputError, match="feature matrix"):
        fits["boosted_returns"].predict(bars)


def test_bytes_of_something_else_are_refused():
    with pytest.raises(CorruptFileError):
        FittedForecaster.from_bytes(b"nothing of the kind")
    with pytest.raises(CorruptFileError):
        restore({"x": np.zeros(3)})
