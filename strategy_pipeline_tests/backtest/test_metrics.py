"""Metrics against hand calculation, quantstats and scipy."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from strategy_pipeline.backtest import RETURN_METRICS, metrics_from_returns
from strategy_pipeline.rng import generator


@pytest.fixture(scope="module")
def returns() -> np.ndarray:
    return generator(11, "returns").standard_t(4, 1000) * 0.01 + 0.0004


@pytest.fixture(scope="module")
def benchmark(returns) -> np.ndarray:
    return 0.5 * returns + generator(12).normal(0, 0.01, 1000)


def test_a_short_series_by_hand() -> None:
    m = metrics_from_returns(np.array([0.1, -0.5, 0.2, 0.0]), 4)
    assert m["total_return"] == pytest.approx(1.1 * 0.5 * 1.2 - 1)
    assert m["annual_return"] == pytest.approx(1.1 * 0.5 * 1.2 - 1)  # four periods are a year
    assert m["max_drawdown"] == pytest.approx(0.5)
    assert m["drawdown_bars"] == 3
    assert m["omega"] == pytest.approx(0.3 / 0.5)
    assert m["sortino"] == pytest.approx(-0.05 / np.sqrt(0.25 / 4) * 2)
    assert m["var_95"] == pytest.approx(0.5 - 0.15 * 0.5)  # 15 % of the way from -0.5 to 0
    assert m["cvar_95"] == pytest.approx(0.5)
    assert np.isnan(m["beta"])


def test_quantstats_agrees_where_its_definitions_are_ours(returns, benchmark) -> None:
    import quantstats.stats as qs

    index = pd.date_range("2020-01-01", periods=len(returns))
    series, bench = pd.Series(returns, index=index), pd.Series(benchmark, index=index)
    m = metrics_from_returns(returns, 252, benchmark)
    assert m["sharpe"] == pytest.approx(qs.sharpe(series, periods=252), rel=1e-9)
    assert m["sortino"] == pytest.approx(qs.sortino(series, periods=252), rel=1e-9)
    assert m["volatility"] == pytest.approx(qs.volatility(series, periods=252), rel=1e-9)
    assert m["max_drawdown"] == pytest.approx(-qs.max_drawdown(series), rel=1e-9)
    assert m["total_return"] == pytest.approx(qs.comp(series), rel=1e-9)
    assert m["omega"] == pytest.approx(qs.omega(series), rel=1e-9)
    assert m["tail_ratio"] == pytest.approx(qs.tail_ratio(series), rel=1e-9)
    assert m["beta"] == pytest.approx(qs.greeks(series, bench, periods=252)["beta"], rel=1e-9)
    assert m["alpha"] == pytest.approx(qs.greeks(series, bench, periods=252)["alpha"], rel=1e-9)
    active = returns - benchmark
    assert m["information_ratio"] == pytest.approx(qs.information_ratio(series, bench) * np.sqrt(252), rel=1e-9)
    assert m["information_ratio"] == pytest.approx(active.mean() / active.std(ddof=1) * np.sqrt(252), rel=1e-9)


def test_scipy_and_numpy_agree_on_moments_and_quantiles(returns) -> None:
    from scipy import stats

    m = metrics_from_returns(returns, 365)
    assert m["skew"] == pytest.approx(stats.skew(returns), rel=1e-9)
    assert m["kurtosis"] == pytest.approx(stats.kurtosis(returns, fisher=False), rel=1e-9)
    assert m["var_95"] == pytest.approx(-np.quantile(returns, 0.05), rel=1e-12)
    line = stats.linregress(np.arange(1000), np.log(np.cumprod(1 + returns)))
    assert m["stability"] == pytest.approx(line.rvalue**2, rel=1e-9)


def test_undefined_is_nan_not_zero_or_infinite() -> None:
    flat = metrics_from_returns(np.zeros(50), 365, np.zeros(50))
    for name in (
        "sharpe",
        "sortino",
        "calmar",
        "omega",
        "tail_ratio",
        "skew",
        "kurtosis",
        "stability",
        "beta",
        "alpha",
        "information_ratio",
    ):
        assert np.isnan(flat[name]), name
    assert flat["total_return"] == flat["max_drawdown"] == flat["volatility"] == 0
    rising = metrics_from_returns(np.full(50, 0.01), 365)
    assert np.isnan(rising["sharpe"])
    assert np.isnan(rising["calmar"])
    assert all(np.isnan(value) for value in metrics_from_returns(np.empty(0), 365).values())
    assert np.isnan(metrics_from_returns(np.array([0.1, np.nan]), 365)["total_return"])


def test_a_benchmark_traded_itself_has_beta_one_and_no_alpha(benchmark) -> None:
    m = metrics_from_returns(benchmark, 365, benchmark)
    assert m["beta"] == pytest.approx(1, rel=1e-12)
    assert m["alpha"] == pytest.approx(0, abs=1e-12)
    assert np.isnan(m["information_ratio"])


@given(rows=arrays(np.float64, (5, 40), elements=st.floats(-0.5, 0.5)))
def test_many_series_at_once_equal_each_alone(rows) -> None:
    together = metrics_from_returns(rows, 365, rows[0])
    for i, row in enumerate(rows):
        alone = metrics_from_returns(row, 365, rows[0])
        for name in RETURN_METRICS:
            np.testing.assert_allclose(together[name][i], alone[name], rtol=1e-9, atol=1e-12, err_msg=name)


@given(r=arrays(np.float64, 60, elements=st.floats(-0.3, 0.3)), scale=st.floats(0.1, 0.9))
def test_halving_every_return_keeps_the_sharpe_ratio(r, scale) -> None:
    full, part = metrics_from_returns(r, 365), metrics_from_returns(r * scale, 365)
    np.testing.assert_allclose(part["sharpe"], full["sharpe"], rtol=1e-6)
    np.testing.assert_allclose(part["var_95"], full["var_95"] * scale, rtol=1e-9, atol=1e-15)
    assert part["max_drawdown"] <= full["max_drawdown"] + 1e-12
