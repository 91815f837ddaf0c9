from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from strategy_pipeline.forecasting import HarVolatility, Panel
from strategy_pipeline.forecasting.garch import aggregate, fit_garch, garch_path
from strategy_pipeline.forecasting.kernels import exponential_mean, linear_scores, trailing_mean
from strategy_pipeline.forecasting.scores import qlike
from strategy_pipeline.forecasting.volatility import ewma_variance, fit_har, har_variance
from strategy_pipeline.market import Bars
from strategy_pipeline.rng import generator
from strategy_pipeline_tests.forecasting.markets import market


@pytest.fixture(scope="module")
def returns():
    """A GARCH(1,1) path in per cent with omega .05, alpha .1, beta .85."""
    rng = generator(1, "garch")
    out, variance = np.empty(6000), 1.0
    for t in range(6000):
        out[t] = np.sqrt(variance) * rng.standard_normal()
        variance = 0.05 + 0.1 * out[t] ** 2 + 0.85 * variance
    return out


def test_the_garch_recursion_is_that_of_arch(returns):
    from arch import arch_model

    fixed = arch_model(returns, mean="Zero", vol="GARCH", p=1, q=1, rescale=False).fix([0.05, 0.1, 0.85])
    ours = garch_path(returns, 0.05, 0.1, 0.85)
    # Ours is the variance of the next bar; the start values differ and are forgotten.
    np.testing.assert_allclose(ours[500:-1], fixed.conditional_volatility[501:] ** 2, rtol=1e-9)
    theirs = fixed.forecast(horizon=24).variance.to_numpy()[-1].sum()
    assert aggregate(ours[-1:], 0.05, 0.1, 0.85, 24)[0] == pytest.approx(theirs, rel=1e-9)


def test_garch_parameters_are_those_of_arch(returns):
    from arch import arch_model

    theirs = arch_model(returns, mean="Zero", vol="GARCH", p=1, q=1, rescale=False).fit(disp="off").params.to_numpy()
    omega, alpha, beta = fit_garch(returns)
    assert alpha == pytest.approx(theirs[1], abs=0.01)
    assert beta == pytest.approx(theirs[2], abs=0.02)
    assert omega / (1 - alpha - beta) == pytest.approx(np.mean(returns**2))


def test_explosive_returns_keep_the_persistence_below_one():
    growing = generator(2, "x").standard_normal(800) * np.exp(np.arange(800) / 100)
    omega, alpha, beta = fit_garch(growing)
    assert omega > 0 and alpha >= 0 and alpha + beta < 1
    assert np.isfinite(aggregate(garch_path(growing, omega, alpha, beta), omega, alpha, beta, 24)).all()


def test_constant_or_few_returns_have_no_garch():
    assert np.isnan(fit_garch(np.zeros(500))).all()
    assert np.isnan(fit_garch(np.ones(20))).all()


def test_log_har_recovers_a_linear_law_of_logs():
    rng = generator(3, "har")
    inputs = rng.standard_normal((1, 4000, 3))
    logs = 0.5 * inputs[..., 0] - 0.2 * inputs[..., 1] - 9 + 0.3 * rng.standard_normal((1, 4000))
    arrays = fit_har(inputs, np.exp(logs), np.arange(4000), 1e-6)
    np.testing.assert_allclose(arrays["weights"] / arrays["scale"], [0.5, -0.2, 0], atol=0.02)
    # The mean of a log-normal: the factor puts back what the logarithm takes away.
    assert arrays["factor"][0] == pytest.approx(np.exp(0.3**2 / 2), rel=0.02)
    assert np.mean(np.exp(logs) / har_variance(inputs, arrays)) == pytest.approx(1, abs=0.01)


def test_har_beats_exponential_weights_on_real_bars(real_data):
    frame = pd.read_parquet(real_data / "ohlcv_1h_binance_spot.parquet", filters=[("symbol", "in", ["BTCUSDT", "ETHUSDT", "SOLUSDT"])])
    frame = frame[frame.ts >= pd.Timestamp("2022-06-01", tz="UTC")]
    bars = Bars.from_frame(frame, "1h")
    fitted = HarVolatility().fit(bars, cutoff="2024-06-01")
    assert fitted.accepted
    panel = Panel.of(bars)
    later = panel.times >= np.datetime64("2024-06-01")
    forecast = fitted.predict(panel)["volatility"] ** 2 * panel.horizon.years
    truth, baseline = panel.forward_variance()[:, later], ewma_variance(panel)[:, later]
    assert qlike(forecast[:, later], truth) < 0.9 * qlike(baseline, truth)


def test_trailing_means_are_those_of_pandas():
    values = generator(4, "mean").standard_normal((2, 300))
    values[0, 40:60] = np.nan
    frame = pd.DataFrame(values.T)
    np.testing.assert_allclose(trailing_mean(values, 24, 20), frame.rolling(24, min_periods=20).mean().to_numpy().T, atol=1e-12)
    # pandas fills a gap with the last mean and lets weights age over it, as ours do.
    expected = frame.ewm(alpha=0.1, adjust=True, ignore_na=False, min_periods=5).mean().to_numpy().T
    np.testing.assert_allclose(exponential_mean(values, 0.9, 5), expected, rtol=1e-10)


def test_linear_scores_are_a_matrix_product():
    rng = generator(5, "linear")
    x, w = rng.standard_normal((50, 4)), rng.standard_normal(4)
    np.testing.assert_allclose(linear_scores(x, w, 0.5), x @ w + 0.5, rtol=1e-12)


def test_labels_look_ahead_by_the_horizon_and_end_unknown():
    bars, _ = market()
    panel = Panel.of(bars)
    assert panel.horizon.bars == 24 and panel.horizon.label == "24h"
    label = panel.forward_return()
    assert label[1, 100] == pytest.approx(bars.close[1, 124] / bars.close[1, 100] - 1)
    assert np.isnan(label[:, -24:]).all()
    squares = np.diff(np.log(bars.close[1, 100:125])) ** 2
    assert panel.forward_variance()[1, 100] == pytest.approx(squares.sum() + 24e-8)


def test_a_day_of_daily_bars_is_one_bar_ahead():
    bars, _ = market(n_bars=300, hours=24)
    panel = Panel.of(bars)
    assert panel.horizon.bars == 1 and panel.horizon.label == "24h"
    fitted = HarVolatility().fit(bars, cutoff="2024-10-01")
    assert 0.3 < np.nanmedian(fitted.predict(bars)["volatility"][1, 60:]) / (0.006 * np.sqrt(365)) < 3
