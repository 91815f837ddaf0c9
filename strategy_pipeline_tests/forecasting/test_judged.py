"""Rows that a judge refuses: the return model's baseline answers there, and everything else is as it was."""

from __future__ import annotations

import numpy as np
import pytest

from strategy_pipeline.features import Familiarity
from strategy_pipeline.forecasting import BoostedReturns, HarVolatility, ReturnEnsemble, TwoStateRegime, VolatilityEnsemble, fit_history
from strategy_pipeline.forecasting.history import Judge
from strategy_pipeline.forecasting.panel import Panel
from strategy_pipeline_tests.forecasting.markets import cut, market, with_other_future

SIZES = {"refit_days": 10, "first_fit_days": 40, "seed": 1}
MODELS = {
    "regime": TwoStateRegime(),
    "volatility": VolatilityEnsemble((("har_volatility", {}),)),
    "returns": ReturnEnsemble((("boosted_returns", {"trees": 10}),)),
}
MODEL_MADE = ("forecast.return_24h", "forecast.up_24h", "forecast.confidence_24h")


@pytest.fixture(scope="module")
def world():
    """A market whose returns follow a feature, so that the return model is accepted."""
    return market(n_symbols=2, n_bars=24 * 70, seed=2, edge=0.12)


@pytest.fixture(scope="module")
def shelf():
    kept = {}

    def find(key, make):
        if key not in kept:
            kept[key] = make()
        return kept[key]

    return find


@pytest.fixture(scope="module")
def free(world, shelf):
    return fit_history(*world, forecasters=MODELS, cache=shelf, **SIZES)


def refusing(refused: np.ndarray) -> Judge:
    """A judge that refuses certain (symbol, bar)s and notes nothing else."""
    return lambda cutoff, first, end: np.where(refused[:, first:end], 0.0, 1.0)


def gates(features) -> Judge:
    """The real judge: each cutoff's own gate, fitted on the rows known then."""
    kept: dict[str, Familiarity] = {}

    def judge(cutoff: str, first: int, end: int) -> np.ndarray:
        if cutoff not in kept:
            kept[cutoff] = Familiarity.fit(features, cutoff, seed=5)
        return kept[cutoff].judge(features.between(features.times[first], None).through(features.times[end - 1]))

    return judge


def test_where_rows_are_refused_the_baseline_answers_with_no_confidence(world, shelf, free):
    bars = world[0]
    returns = next(fit for fit in free.fits if fit.kind == "returns")
    assert returns.accepted  # else the baseline answers anyway, and nothing is shown
    refused = np.zeros(bars.close.shape, dtype=bool)
    refused[0, 1300:1310], refused[1, 1500] = True, True
    history = fit_history(*world, forecasters=MODELS, cache=shelf, judge=refusing(refused), **SIZES)
    familiar = history.series["forecast.familiar_24h"]
    first = history.answers["returns"][0][0]
    assert np.isnan(familiar[:, :first]).all() and (familiar[:, first:] == np.where(refused, 0, 1)[:, first:]).all()
    for name, values in history.series.items():
        if name not in (*MODEL_MADE, "forecast.familiar_24h", "forecast.lower_24h", "forecast.upper_24h"):
            np.testing.assert_array_equal(values, free.series[name], err_msg=name)
    panel = Panel.of(*world)
    for first, cutoff in history.answers["returns"]:
        after = next((bar for bar, _ in history.answers["returns"] if bar > first), bars.n_bars)
        model = next(fit.model for fit in history.fits if fit.kind == "returns" and fit.cutoff == cutoff)
        baseline = model.forecaster.infer(panel, model.arrays, {**model.config, "members": {}}, first)
        here = refused[:, first:after]
        for name in MODEL_MADE:
            own, was = history.series[name][:, first:after], free.series[name][:, first:after]
            np.testing.assert_array_equal(own[~here], was[~here])
            if name == "forecast.confidence_24h":
                assert (own[here] == 0).all()
            else:
                np.testing.assert_allclose(own[here], baseline[name.split(".")[1].split("_")[0]][:, first:after][here], rtol=1e-9)
    assert (history.series["forecast.return_24h"] != free.series["forecast.return_24h"])[refused].all()
    # The interval stands around what is said, not around what was refused.
    middle = (history.series["forecast.lower_24h"] + history.series["forecast.upper_24h"])[refused] / 2
    was = (free.series["forecast.lower_24h"] + free.series["forecast.upper_24h"])[refused] / 2
    assert not np.allclose(middle, was)


def test_without_a_judge_nothing_is_said_about_rows(free):
    assert "forecast.familiar_24h" not in free.series


def test_models_of_prices_alone_are_not_judged(world, shelf):
    asked = []

    def judge(cutoff: str, first: int, end: int) -> np.ndarray:
        asked.append(cutoff)
        return np.zeros((2, end - first))

    alone = {kind: MODELS[kind] for kind in ("regime", "volatility")}
    history = fit_history(*world, forecasters=alone, cache=shelf, judge=judge, **SIZES)
    assert not asked and "forecast.familiar_24h" not in history.series
    assert HarVolatility().stand_in(Panel.of(*world), {}, {}) is None and BoostedReturns().uses_features


def test_each_span_is_judged_by_its_own_cutoff_once(world, shelf):
    asked = []

    def judge(cutoff: str, first: int, end: int) -> np.ndarray:
        asked.append((cutoff, first, end))
        return np.full((2, end - first), np.nan)  # nothing is judged: the model answers

    history = fit_history(*world, forecasters=MODELS, cache=shelf, judge=judge, **SIZES)
    spans = history.answers["returns"]
    ends = [*(first for first, _ in spans[1:]), world[0].n_bars]
    assert asked == [(cutoff, first, end) for (first, cutoff), end in zip(spans, ends, strict=True)]
    assert np.isnan(history.series["forecast.familiar_24h"]).all()


def test_the_past_of_gated_series_is_the_same_whatever_follows(world, shelf):
    bars, features = world
    strange = features.values.copy()
    strange[0, 1350:1353, :] = 25.0
    features = features.replaced(strange)
    history = fit_history(bars, features, forecasters=MODELS, cache=shelf, judge=gates(features), **SIZES)
    familiar = history.series["forecast.familiar_24h"]
    assert (familiar[0, 1350:1353] == 0).all() and (familiar[:, 1400:] == 1).mean() > 0.8
    for n in (1352, 24 * 60 + 7):
        part = fit_history(*cut(bars, features, n), forecasters=MODELS, cache=shelf, judge=gates(cut(bars, features, n)[1]), **SIZES)
        changed = with_other_future(bars, features, n)
        other = fit_history(*changed, forecasters=MODELS, judge=gates(changed[1]), **SIZES)
        for name, values in history.series.items():
            np.testing.assert_array_equal(part.series[name], values[:, :n], err_msg=name)
            np.testing.assert_array_equal(other.series[name][:, :n], values[:, :n], err_msg=name)


def test_closed_bars_are_skipped_by_verdicts_as_by_forecasts(world, shelf):
    """The whole market closed for a day: verdicts stand on the bars given, and none is made there."""
    bars, features = world
    closed = slice(1320, 1344)
    shut = {}
    for name in ("open", "high", "low", "close", "volume"):
        shut[name] = bars.field(name).copy()
        shut[name][:, closed] = np.nan
    values = features.values.copy()
    values[:, closed] = np.nan
    refused = np.zeros(bars.close.shape, dtype=bool)
    refused[:, 1319], refused[:, 1344] = True, True
    history = fit_history(
        bars.with_fields(**shut), features.replaced(values), forecasters=MODELS, cache=shelf, judge=refusing(refused), **SIZES
    )
    familiar = history.series["forecast.familiar_24h"]
    assert np.isnan(familiar[:, closed]).all() and (familiar[:, [1319, 1344]] == 0).all() and (familiar[:, 1345:1360] == 1).all()
