"""Scaling learned from a training window, and from nothing after it."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats as st

from strategy_pipeline.errors import MissingInputError, NoDataError
from strategy_pipeline.features import FeatureMatrix, RankScaler, RobustScaler


def matrix(values: np.ndarray) -> FeatureMatrix:
    times = (np.datetime64("2024-01-01") + np.arange(values.shape[1]) * np.timedelta64(1, "h")).astype("datetime64[ns]")
    names = tuple(f"f{k}" for k in range(values.shape[2]))
    symbols = tuple(f"S{k}/USDT" for k in range(values.shape[0]))
    return FeatureMatrix(values, names, times, symbols, "1h", np.ones(len(names), dtype=bool))


@pytest.fixture(scope="module")
def given_matrix() -> FeatureMatrix:
    draw = np.random.default_rng(0)
    values = draw.normal([3.0, -50.0, 0.0, 0.0], [1.0, 20.0, 1.0, 1.0], (2, 500, 4)).astype(np.float32)
    values[:, :, 2] = 7.0
    values[:, ::3, 3] = np.nan
    return matrix(values)


@pytest.mark.parametrize("scaler", [RobustScaler, RankScaler])
def test_rows_after_the_cutoff_do_not_change_the_fit(scaler, given_matrix):
    cutoff = "2024-01-11T00:00"  # the close of row 239
    changed = given_matrix.values.copy()
    changed[:, 240:] = 1e6
    one, other = scaler.fit(given_matrix, cutoff).state(), scaler.fit(matrix(changed), cutoff).state()
    for key, value in one.items():
        np.testing.assert_array_equal(value, other[key])
    changed[:, 239] = 1e6
    moved = scaler.fit(matrix(changed), cutoff).state()
    assert any(not np.array_equal(value, moved[key], equal_nan=key != "feature_names") for key, value in one.items())


def test_the_robust_scale_is_median_and_interquartile_range(given_matrix):
    scaler = RobustScaler.fit(given_matrix, "2024-03-01")
    flat = given_matrix.values[:, :, 1].ravel().astype(float)
    assert scaler.median[1] == pytest.approx(np.median(flat)) and scaler.scale[1] == pytest.approx(st.iqr(flat) / 1.349)
    scaled = scaler.transform(given_matrix)
    assert scaled.values.dtype == np.float32 and abs(float(np.nanmedian(scaled.column("f0")))) < 1e-3
    assert (scaled.column("f2") == 0).all() and np.array_equal(scaled.mask, given_matrix.mask)


def test_ranks_lie_within_one_and_follow_the_order(given_matrix):
    scaler = RankScaler.fit(given_matrix, "2024-03-01")
    ranks = scaler.transform(given_matrix)
    column, values = ranks.column("f0").ravel(), given_matrix.column("f0").ravel()
    assert np.nanmin(column) >= -1 and np.nanmax(column) <= 1
    assert (np.diff(column[np.argsort(values)]) >= 0).all()
    wanted = 2 * (st.rankdata(values) - 1) / (len(values) - 1) - 1
    assert np.abs(column - wanted).max() < 0.01
    assert np.array_equal(ranks.mask[:, :, [0, 1, 3]], given_matrix.mask[:, :, [0, 1, 3]])
    assert (ranks.column("f2") == 0).all()


@pytest.mark.parametrize("scaler", [RobustScaler, RankScaler])
def test_a_scaler_comes_back_from_its_state(scaler, given_matrix):
    fitted = scaler.fit(given_matrix, "2024-01-15")
    again = scaler.restore(fitted.state())
    np.testing.assert_array_equal(fitted.transform(given_matrix).values, again.transform(given_matrix).values)


@pytest.mark.parametrize("scaler", [RobustScaler, RankScaler])
def test_other_features_and_empty_windows_are_refused(scaler, given_matrix):
    fitted = scaler.fit(given_matrix, "2024-01-15")
    with pytest.raises(MissingInputError, match="f3"):
        fitted.transform(matrix(given_matrix.values[:, :, :3]))
    with pytest.raises(NoDataError, match="2023"):
        scaler.fit(given_matrix, "2023-01-01")
