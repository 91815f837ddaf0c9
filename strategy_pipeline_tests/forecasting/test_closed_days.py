"""A market that is closed on some days: models see the bars that exist, and say nothing where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from strategy_pipeline.features import FeatureMatrix
from strategy_pipeline.forecasting import Panel, fit_history
from strategy_pipeline.market import Bars
from strategy_pipeline_tests.forecasting.markets import cut, market
from strategy_pipeline_tests.forecasting.test_conformance import FORECASTERS
from strategy_pipeline_tests.forecasting.test_history import MODELS

N = 560  # bars that exist
FIELDS = ("open", "high", "low", "close", "volume")
CUTOFF = "2025-09-06"  # a Saturday


@pytest.fixture(scope="module")
def week_days() -> tuple[Bars, FeatureMatrix, Panel, np.ndarray]:
    """Daily bars on a calendar whose weekends are missing; features there too; the same bars side by side; where bars are."""
    dense, given = market(n_bars=N, hours=24, seed=8)
    days = np.arange("2024-01-01", "2026-06-01", dtype="datetime64[D]")
    days = days[: np.flatnonzero(np.is_busday(days))[N - 1] + 1]
    there = np.is_busday(days)
    fields = {name: np.full((2, len(days)), np.nan) for name in FIELDS}
    for name, values in fields.items():
        values[:, there] = dense.field(name)
    # News goes on at weekends: a feature that has a value on a closed day must not be read as a bar.
    values = np.full((2, len(days), given.values.shape[-1]), 9.0, dtype=np.float32)
    values[:, there] = given.values
    bars = Bars(dense.symbols, "1d", days.astype("datetime64[ns]"), **fields)
    features = FeatureMatrix(values, given.feature_names, bars.times, bars.symbols, "1d", given.available)
    panel = Panel(
        bars.symbols, "1d", bars.times[there], bars.available_at[there], **{name: dense.field(name) for name in FIELDS},
        features=given.values, feature_names=given.feature_names, available=given.available, horizon=Panel.of(bars).horizon,
    )  # fmt: skip
    return bars, features, panel, there


@pytest.fixture(scope="module")
def fits(week_days):
    bars, features, _, _ = week_days
    return {model.name: model.fit(bars, features, cutoff=CUTOFF, seed=3) for model in FORECASTERS}


each = pytest.mark.parametrize("model", FORECASTERS, ids=lambda model: model.name)


@each
def test_a_model_learns_and_says_what_it_would_on_the_bars_side_by_side(model, week_days, fits):
    bars, features, panel, there = week_days
    assert model.fit(panel, cutoff=CUTOFF, seed=3).to_bytes() == fits[model.name].to_bytes()
    expected = fits[model.name].predict(panel)
    for name, values in fits[model.name].predict(bars, features).items():
        assert values.shape == bars.close.shape
        assert np.isnan(values[:, ~there]).all()
        assert np.isfinite(values[1, there][500:]).all(), name
        np.testing.assert_array_equal(values[:, there], expected[name])


@each
def test_what_follows_a_closed_day_changes_nothing_before_it(model, week_days, fits):
    bars, features, _, _ = week_days
    whole = fits[model.name].predict(bars, features)
    saturday = int(np.searchsorted(bars.times, np.datetime64("2025-12-06")))
    for n in (saturday, saturday + 1, saturday + 2, saturday + 3):
        for name, values in fits[model.name].predict(*cut(bars, features, n)).items():
            np.testing.assert_array_equal(values, whole[name][:, :n])
    for start in (saturday, saturday + 2):
        for name, values in fits[model.name].predict(bars, features, start=start).items():
            np.testing.assert_array_equal(values[:, start:], whole[name][:, start:])


def test_history_stands_on_the_bars_given(week_days):
    bars, features, panel, there = week_days
    sizes = {"forecasters": {kind: MODELS[kind] for kind in ("regime", "volatility")}, "refit_days": 100, "first_fit_days": 350, "seed": 1}
    told, dense = fit_history(bars, features, **sizes), fit_history(panel, **sizes)
    assert [fit.key for fit in told.fits] == [fit.key for fit in dense.fits] and told.fits
    for name, values in told.series.items():
        np.testing.assert_array_equal(values[:, there], dense.series[name])
        assert np.isnan(values[:, ~there]).all() and not values.flags.writeable
    at = np.flatnonzero(there)
    for kind, spans in told.answers.items():
        assert spans == [(int(at[row]), cutoff) for row, cutoff in dense.answers[kind]]
    n = 602
    assert not there[n - 1]
    part = fit_history(*cut(bars, features, n), **sizes)
    for name, values in part.series.items():
        np.testing.assert_array_equal(values, told.series[name][:, :n])


def test_labels_reach_over_a_closed_day_and_a_lone_gap_stays_one(week_days):
    bars, features, _, there = week_days
    panel = Panel.of(bars, features)
    assert panel.n_bars == N
    friday = int(np.searchsorted(bars.times, np.datetime64("2025-12-05")))
    label = panel.on_grid(panel.forward_return())
    assert label[1, friday] == pytest.approx(bars.close[1, friday + 3] / bars.close[1, friday] - 1)
    assert np.isnan(label[0, there][400:405]).all()  # one symbol's own outage
    assert panel.row_of(friday + 1) == panel.row_of(friday + 3) == panel.row_of(friday) + 1
    assert panel.bar_of(panel.row_of(friday + 1)) == friday + 3


def test_an_outage_of_all_symbols_is_bridged_and_forecasts_go_on_after_it():
    bars, features = market(n_symbols=2, n_bars=1500, seed=3)
    fields = {name: bars.field(name).copy() for name in FIELDS}
    for values in fields.values():
        values[:, 1300:1305] = np.nan
    out = bars.with_fields(**fields)
    model = FORECASTERS[0]
    fitted = model.fit(bars, features, cutoff="2024-02-20")
    said, before = fitted.predict(out, features), fitted.predict(bars, features)
    for name, values in said.items():
        assert np.isnan(values[:, 1300:1305]).all()
        assert np.isfinite(values[:, 1305:]).all(), name
        np.testing.assert_array_equal(values[:, :1300], before[name][:, :1300])
