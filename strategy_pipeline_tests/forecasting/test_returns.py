from __future__ import annotations

import random

import numpy as np
import pytest

from strategy_pipeline.errors import NoDataError
from strategy_pipeline.forecasting import BoostedReturns, FittedForecaster, MarketTransformer, Panel, ReturnEnsemble
from strategy_pipeline.forecasting.boosting import fit_trees, score_trees
from strategy_pipeline.forecasting.scaling import fit_scaler, scaled, slope, squared_skill
from strategy_pipeline.forecasting.scores import rank_ic
from strategy_pipeline.rng import generator
from strategy_pipeline_tests.forecasting.markets import market

CUTOFF = "2024-03-25"  # the 2016th of 2500 hourly bars
SMALL = {"steps": 40, "batch": 8, "width": 16, "window": 8, "rate": 1e-2}


@pytest.fixture(scope="module")
def edge():
    """A market where a feature tells the next day's return."""
    return market(n_symbols=3, n_bars=2500, seed=8, edge=0.25)


def out_of_sample_ic(fitted, bars, features):
    panel = Panel.of(bars, features)
    later = panel.index_of(np.datetime64(CUTOFF))
    return rank_ic(fitted.predict(bars, features)["return"][:, later:], panel.forward_return()[:, later:])


def test_trees_kept_as_arrays_score_as_scikit_learn_does():
    from sklearn.ensemble import HistGradientBoostingRegressor

    rng = generator(1, "trees")
    x = rng.standard_normal((800, 5)).astype(np.float32)
    x[rng.random(x.shape) < 0.1] = np.nan
    y = np.sin(np.nan_to_num(x[:, 0])) + np.isnan(x[:, 1]) + 0.1 * rng.standard_normal(800)
    theirs = HistGradientBoostingRegressor(
        max_iter=20, max_depth=3, learning_rate=0.1, min_samples_leaf=20, l2_regularization=10.0, early_stopping=False, random_state=0
    ).fit(x, y)
    ours = score_trees(x, fit_trees(x, y, 20, 3, 0.1, 0))
    np.testing.assert_allclose(ours, theirs.predict(x), rtol=1e-12)
    assert np.corrcoef(ours, y)[0, 1] > 0.8


def test_trees_leave_out_columns_that_are_missing_or_constant():
    rng = generator(2, "columns")
    x = rng.standard_normal((400, 4)).astype(np.float32)
    x[:, 0], x[:, 2] = np.nan, 3.0
    arrays = fit_trees(x, x[:, 3].astype(float), 10, 2, 0.3, 0)
    assert set(arrays["feature"]) <= {-1, 1, 3}
    assert np.corrcoef(score_trees(x, arrays), x[:, 3])[0, 1] > 0.9
    with pytest.raises(NoDataError, match="vary"):
        fit_trees(x[:, [0, 2]], x[:, 3].astype(float), 10, 2, 0.3, 0)


def test_boosted_returns_find_a_planted_signal_and_are_accepted(edge):
    fitted = BoostedReturns().fit(*edge, cutoff=CUTOFF, seed=1)
    assert fitted.accepted and fitted.metrics["skill"] > 0
    assert out_of_sample_ic(fitted, *edge) > 0.2


def test_the_transformer_finds_a_planted_signal(edge):
    fitted = MarketTransformer(**SMALL).fit(*edge, cutoff=CUTOFF, seed=1)
    assert fitted.metrics["pinball"] < fitted.metrics["pinball_baseline"]
    assert out_of_sample_ic(fitted, *edge) > 0.2


def test_noise_is_not_accepted_and_the_baseline_stands_in():
    bars, features = market(n_symbols=3, n_bars=2500, seed=9)
    fitted = ReturnEnsemble((("boosted_returns", {"trees": 20}),)).fit(bars, features, cutoff=CUTOFF, seed=1)
    assert not fitted.accepted and fitted.metrics["boosted_returns.accepted"] == 0
    said = fitted.predict(bars, features)
    # Shrunk drift is small beside volatility, and leans the way of the trailing mean.
    assert np.nanmax(np.abs(said["return"])) < 0.05
    assert np.nanstd(said["up"]) < 0.1 and abs(np.nanmean(said["up"]) - 0.5) < 0.1


def test_probabilities_and_confidence_stay_within_bounds_and_agree_with_the_return(edge):
    fitted = ReturnEnsemble((("boosted_returns", {"trees": 20}), ("market_transformer", SMALL))).fit(*edge, cutoff=CUTOFF, seed=1)
    said = fitted.predict(*edge)
    for name in ("up", "confidence"):
        values = said[name][np.isfinite(said[name])]
        assert values.min() >= 0 and values.max() <= 1
    ok = np.isfinite(said["return"])
    assert np.corrcoef(said["return"][ok], said["up"][ok])[0, 1] > 0.5


def test_quantiles_of_the_transformer_never_cross_and_scale_with_volatility(edge):
    said = MarketTransformer(**SMALL).fit(*edge, cutoff=CUTOFF, seed=1).predict(*edge)
    stack = np.stack([said[name] for name in ("q05", "q25", "q50", "q75", "q95")])
    known = np.isfinite(stack).all(0)
    assert (np.diff(stack[:, known], axis=0) >= 0).all()
    assert np.isnan(stack[:, :, :14]).all()  # two layers of a window of 8 reach 14 rows back


def test_a_transformer_row_does_not_depend_on_where_the_history_begins(edge):
    bars, features = edge
    fitted = MarketTransformer(**{**SMALL, "steps": 3}).fit(bars, features, cutoff=CUTOFF, seed=1)
    first = bars.times[777]
    whole = fitted.predict(bars, features)["up"]
    later = fitted.predict(bars.between(first, None), features.between(first, None))["up"]
    np.testing.assert_array_equal(later[:, 14:], whole[:, 777 + 14 :])


def test_training_leaves_global_random_state_and_threads_alone(edge):
    import torch

    torch.set_num_threads(2)
    before = (random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state().clone())  # noqa: NPY002
    first = ReturnEnsemble((("boosted_returns", {"trees": 5}), ("market_transformer", {**SMALL, "steps": 3}))).fit(
        *edge, cutoff=CUTOFF, seed=1
    )
    assert random.getstate() == before[0]
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[2])
    assert torch.get_num_threads() == 2
    # And global state does not reach the training.
    torch.manual_seed(99)
    torch.set_num_threads(1)
    again = ReturnEnsemble((("boosted_returns", {"trees": 5}), ("market_transformer", {**SMALL, "steps": 3}))).fit(
        *edge, cutoff=CUTOFF, seed=1
    )
    assert again.to_bytes() == first.to_bytes()


def test_another_seed_gives_another_transformer(edge):
    model = MarketTransformer(**{**SMALL, "steps": 20})
    one, two = (model.fit(*edge, cutoff=CUTOFF, seed=seed) for seed in (1, 2))
    assert isinstance(one, FittedForecaster) and one.to_bytes() != two.to_bytes()


def test_scaling_uses_medians_and_leaves_missing_values_at_zero():
    values = np.arange(1000, dtype=np.float32).reshape(1, 1000, 1).repeat(2, axis=2)
    values[0, :, 1] = 4.0
    scaler = fit_scaler(values, np.arange(1000))
    np.testing.assert_allclose(scaler["median"], [499.5, 4.0])
    np.testing.assert_allclose(scaler["scale"], [499.5 / 1.349, 1.0], rtol=1e-6)
    out = scaled(np.array([[[np.nan, np.nan], [1e9, 5.0]]], dtype=np.float32), scaler)
    np.testing.assert_array_equal(out, [[[0, 0], [5, 1]]])


def test_a_slope_is_never_negative_and_skill_compares_with_the_baseline():
    x = np.linspace(-1, 1, 50)
    assert slope(x, 0.5 * x) == pytest.approx(0.5)
    assert slope(x, -x) == 0.0 and slope(x, 9 * x) == 1.5
    assert squared_skill(x, x) == 1.0 and squared_skill(np.zeros(50), x) == 0.0
    assert np.isnan(squared_skill(np.full(50, np.nan), x))
