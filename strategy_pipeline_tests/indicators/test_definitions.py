"""Own entries against plain definitions: pandas, scipy, numpy and loops written from the formula."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import scipy.stats as st

from strategy_pipeline.indicators import compute

YEAR = 365 * 24


@pytest.fixture(scope="module")
def one(whole):
    """The first symbol's fields, and its log returns."""
    fields = {name: getattr(whole, name)[0] for name in ("open", "high", "low", "close", "volume", "trades", "taker_buy_volume")}
    fields["returns"] = pd.Series(np.log(fields["close"])).diff()
    fields["other"] = pd.Series(np.log(whole.close[1])).diff()
    return fields


def rolling(function, *arrays, length: int) -> np.ndarray:
    """`function` of each window, by a plain loop; NaN before the first full one or where the window holds a NaN."""
    n = len(arrays[0])
    out = np.full(n, np.nan)
    for i in range(length - 1, n):
        parts = [np.asarray(a)[i - length + 1 : i + 1] for a in arrays]
        if not any(np.isnan(part).any() for part in parts):
            out[i] = function(*parts)
    return out


def check(got: np.ndarray, wanted: np.ndarray, row: int = 0) -> None:
    np.testing.assert_allclose(got[row], np.asarray(wanted), rtol=1e-9, atol=1e-12)
    assert np.isfinite(got[row]).sum() > 100


def test_realized_volatility_is_the_annualised_deviation_of_log_returns(whole, one):
    check(compute("realized_volatility", whole, length=24), one["returns"].rolling(24).std() * math.sqrt(YEAR))


def test_realized_volatility_annualises_by_the_timeframe_it_is_computed_on(whole):
    daily = whole.resample("1d")
    change = pd.Series(np.log(daily.close[0])).diff()
    check_values = compute("realized_volatility", daily, length=5)[0]
    np.testing.assert_allclose(check_values, change.rolling(5).std() * math.sqrt(365), rtol=1e-9)


def test_range_estimators_are_their_formulas(whole, one):
    o, h, low, c = (np.log(one[name]) for name in ("open", "high", "low", "close"))
    n = 24
    check(compute("parkinson", whole, length=n), np.sqrt(pd.Series((h - low) ** 2).rolling(n).mean() / (4 * math.log(2)) * YEAR))
    klass = 0.5 * (h - low) ** 2 - (2 * math.log(2) - 1) * (c - o) ** 2
    check(compute("garman_klass", whole, length=n), np.sqrt(pd.Series(klass).rolling(n).mean() * YEAR))
    satchell = pd.Series((h - c) * (h - o) + (low - c) * (low - o))
    check(compute("rogers_satchell", whole, length=n), np.sqrt(satchell.rolling(n).mean() * YEAR))
    k = 0.34 / (1.34 + (n + 1) / (n - 1))
    overnight = pd.Series(o).sub(pd.Series(c).shift())
    zhang = overnight.rolling(n).var() + k * pd.Series(c - o).rolling(n).var() + (1 - k) * satchell.rolling(n).mean()
    check(compute("yang_zhang", whole, length=n), np.sqrt(zhang * YEAR))


def test_semivariances_add_to_the_realised_variance(whole, one):
    parts = compute("semivariance", whole, length=48)
    total = (one["returns"] ** 2).rolling(48).mean() * YEAR
    np.testing.assert_allclose((parts["down"][0] ** 2 + parts["up"][0] ** 2), total, rtol=1e-9)
    check(parts["down"], np.sqrt((one["returns"].clip(upper=0) ** 2).rolling(48).mean() * YEAR))


def test_bipower_and_jumps(whole, one):
    size = one["returns"].abs()
    bipower = math.pi / 2 * (size * size.shift()).rolling(48).mean()
    check(compute("bipower_variation", whole, length=48), np.sqrt(bipower * YEAR))
    check(compute("jump_ratio", whole, length=48), (1 - bipower / (size**2).rolling(48).mean()).clip(lower=0))


def test_ewma_volatility_is_the_recursion(whole, one):
    state, wanted = np.nan, np.full(600, np.nan)
    for i in range(1, 600):
        square = one["returns"].iloc[i] ** 2
        state = square if i == 1 else state + 2 / 61 * (square - state)
        wanted[i] = math.sqrt(state * YEAR) if i >= 60 else np.nan
    check(compute("ewma_volatility", whole, length=60), wanted)


def test_ratios_of_volatility(whole, one):
    r = one["returns"]
    check(compute("volatility_ratio", whole, fast=12, slow=96), r.rolling(12).std() / r.rolling(96).std())
    level = r.rolling(24).std()
    check(compute("volatility_of_volatility", whole, length=24, window=48), level.rolling(48).std() / level.rolling(48).mean())


def test_ulcer_and_choppiness(whole, one):
    c = pd.Series(one["close"])
    fall = 100 * (c / c.rolling(14).max() - 1)
    check(compute("ulcer_index", whole, length=14), np.sqrt((fall**2).rolling(14).mean()))
    h, low, previous = pd.Series(one["high"]), pd.Series(one["low"]), c.shift()
    span = pd.concat([h - low, (h - previous).abs(), (low - previous).abs()], axis=1).max(axis=1)
    span.iloc[0] = np.nan
    top, bottom = np.fmax(h, previous), np.fmin(low, previous)
    wanted = 100 * np.log10(span.rolling(14).sum() / (top.rolling(14).max() - bottom.rolling(14).min())) / math.log10(14)
    check(compute("choppiness", whole, length=14), wanted)


def test_window_statistics_agree_with_pandas_and_scipy(whole, one):
    c, r = pd.Series(one["close"]), one["returns"]
    check(compute("highest", whole, length=20), c.rolling(20).max())
    check(compute("lowest", whole, length=20), c.rolling(20).min())
    check(compute("zscore", whole, length=20), (c - c.rolling(20).mean()) / c.rolling(20).std())
    check(compute("drawdown", whole, length=50), 1 - c / c.rolling(50).max())
    check(compute("log_return", whole, length=5), np.log(c).diff(5))
    check(compute("simple_return", whole, length=5), c.pct_change(5))
    check(compute("skew", whole, length=48), rolling(st.skew, r, length=48))
    check(compute("kurtosis", whole, length=48), rolling(lambda x: st.kurtosis(x, fisher=False), r, length=48))
    check(compute("bars_since_high", whole, length=20), rolling(lambda x: 19 - (19 - np.argmax(x[::-1])), c, length=20))
    check(compute("bars_since_low", whole, length=20), rolling(lambda x: np.argmin(x[::-1]), c, length=20))
    check(compute("rank", whole, length=30), rolling(lambda x: (st.rankdata(x)[-1] - 1) / 29, c, length=30))
    check(compute("r_squared", whole, length=20), rolling(lambda x: st.linregress(np.arange(20), x).rvalue ** 2, c, length=20))


def test_dependence_on_the_past(whole, one):
    r, c = one["returns"], pd.Series(one["close"])
    check(compute("autocorrelation", whole, length=48, lag=2), r.rolling(48).corr(r.shift(2)))
    check(compute("variance_ratio", whole, length=96, step=4), r.rolling(4).sum().rolling(96).var() / (4 * r.rolling(96).var()))
    slopes = rolling(lambda x, p: st.linregress(p, x - p).slope, c, c.shift(), length=96)
    wanted = np.where((slopes < 0) & (slopes > -1), math.log(2) / -np.log1p(np.clip(slopes, -0.999999, -1e-12)), np.nan)
    np.testing.assert_allclose(compute("half_life", whole, length=96)[0], wanted, rtol=1e-6)


def test_entropies_are_those_of_counted_patterns(whole, one):
    def permutation(x):
        share = np.array(list(Counter(tuple(np.argsort(x[i : i + 3], kind="stable")) for i in range(len(x) - 2)).values())) / (len(x) - 2)
        return -(share * np.log(share)).sum() / math.log(6)

    def shannon(x):
        share = np.histogram(x, bins=8)[0] / len(x)
        share = share[share > 0]
        return -(share * np.log(share)).sum() / math.log(8)

    check(compute("entropy", whole, length=60), rolling(permutation, one["returns"], length=60))
    check(compute("shannon_entropy", whole, length=60), rolling(shannon, one["returns"], length=60))


def test_hurst_is_the_slope_of_rescaled_ranges(whole, one):
    def rescaled(x):
        points = []
        for block in (8, 16, 32, 64):
            ratios = []
            for k in range(64 // block):
                part = x[64 - (k + 1) * block : 64 - k * block]
                walk = np.concatenate([[0], np.cumsum(part - part.mean())])
                ratios.append((walk.max() - walk.min()) / part.std())
            points.append((math.log(block), math.log(np.mean(ratios))))
        return np.polyfit(*zip(*points, strict=True), 1)[0]

    np.testing.assert_allclose(compute("hurst", whole, length=64)[0], rolling(rescaled, one["returns"], length=64), rtol=1e-8)


def test_pairs_of_series(whole, one):
    y, x = pd.Series(np.log(whole.close[1])), pd.Series(np.log(whole.close[0]))
    r, m = one["other"], one["returns"]
    slope = r.rolling(96).cov(m) / m.rolling(96).var()
    check(compute("beta", whole, length=96), slope, row=1)
    check(compute("correlation", whole, length=96), r.rolling(96).corr(m), row=1)
    check(compute("lead_lag", whole, length=96, lag=2), r.rolling(96).corr(m.shift(2)), row=1)
    spread = y - x
    check(compute("ratio_zscore", whole, length=96), (spread - spread.rolling(96).mean()) / spread.rolling(96).std(), row=1)
    check(compute("relative_volatility", whole, length=96), r.rolling(96).std() / m.rolling(96).std(), row=1)
    check(
        compute("downside_beta", whole, length=96),
        (r * m.clip(upper=0)).rolling(96).mean() / (m.clip(upper=0) ** 2).rolling(96).mean(),
        row=1,
    )
    residual = (y.diff(24) - slope * x.diff(24)).where(np.arange(600) >= 120)
    check(compute("residual_return", whole, length=96, horizon=24), residual, row=1)

    def engle_granger(b, a):
        fit = st.linregress(a, b)
        left = b - fit.intercept - fit.slope * a
        return left[-1] / left.std(ddof=1)

    np.testing.assert_allclose(compute("cointegration_residual", whole, length=96)[1], rolling(engle_granger, y, x, length=96), rtol=1e-6)


def test_across_the_universe(gappy):
    moves = np.full(gappy.close.shape, np.nan)
    for row in range(3):
        valid = np.flatnonzero(np.isfinite(gappy.close[row]))
        moves[row, valid[10:]] = np.log(gappy.close[row, valid[10:]] / gappy.close[row, valid[:-10]])
    frame = pd.DataFrame(moves)
    present = np.isfinite(gappy.close)
    np.testing.assert_allclose(compute("market_return", gappy, length=10), np.where(present, frame.mean().to_numpy(), np.nan), rtol=1e-9)
    np.testing.assert_allclose(
        compute("relative_strength", gappy, length=10), np.where(frame.count() >= 2, frame - frame.mean(), np.nan), atol=1e-12
    )
    np.testing.assert_allclose(compute("dispersion", gappy, length=10), np.where(present, frame.std().to_numpy(), np.nan), rtol=1e-9)
    ranks = (frame.rank() - 1) / np.where(frame.count() > 1, frame.count() - 1, np.nan)
    np.testing.assert_allclose(compute("cross_rank", gappy, length=10), np.where(frame.count() >= 2, ranks, np.nan), atol=1e-12)
    above = [np.where(np.isfinite(row), pd.Series(row).dropna().rolling(48).mean().reindex(range(600)), np.nan) for row in gappy.close]
    above = pd.DataFrame(np.where(np.isfinite(above), gappy.close > np.array(above), np.nan).astype(float))
    np.testing.assert_allclose(compute("breadth", gappy, length=48), np.where(present, above.mean().to_numpy(), np.nan), atol=1e-12)


def test_order_flow(whole, one):
    v, buys, r = pd.Series(one["volume"]), pd.Series(one["taker_buy_volume"]), one["returns"]
    net = 2 * buys - v
    check(compute("taker_imbalance", whole, length=24), net.rolling(24).sum() / v.rolling(24).sum())
    check(compute("cumulative_delta", whole), net.cumsum())
    check(compute("delta_divergence", whole, length=48), r.rolling(48).corr(net))
    check(
        compute("kyle_lambda", whole, length=48),
        1e4 * r.rolling(48).cov(net) / net.where(r.notna()).rolling(48).var() * v.rolling(48).mean(),
    )
    signed = v * (2 * st.norm.cdf(r / r.rolling(24).std()) - 1)
    check(compute("bulk_imbalance", whole, length=24), signed.rolling(24).sum() / v.rolling(24).sum())
    signed = v * (2 * st.norm.cdf(r / r.rolling(48).std()) - 1)
    check(compute("vpin", whole, length=48), signed.abs().rolling(48).sum() / v.rolling(48).sum())
    check(compute("amihud", whole, length=24), (r.abs() / (v * one["close"]) * 1e6).rolling(24).mean())
    roll = 2 * np.sqrt((-r.rolling(48).cov(r.shift())).clip(lower=0))
    np.testing.assert_allclose(compute("roll_spread", whole, length=48)[0], roll, atol=1e-6)
    size = v / one["trades"]
    check(compute("trade_size_ratio", whole, length=48), size / (v.rolling(48).sum() / pd.Series(one["trades"]).rolling(48).sum()))
    trades = pd.Series(one["trades"])
    check(compute("trade_intensity", whole, length=48), trades / trades.rolling(48).mean().shift())


def test_corwin_schultz_is_the_published_estimator(whole, one):
    h, low = one["high"], one["low"]
    wanted = np.full(600, np.nan)
    for i in range(1, 600):
        beta = math.log(h[i] / low[i]) ** 2 + math.log(h[i - 1] / low[i - 1]) ** 2
        gamma = math.log(max(h[i], h[i - 1]) / min(low[i], low[i - 1])) ** 2
        k = 3 - 2 * math.sqrt(2)
        alpha = (math.sqrt(2 * beta) - math.sqrt(beta)) / k - math.sqrt(gamma / k)
        wanted[i] = max(2 * (math.exp(alpha) - 1) / (1 + math.exp(alpha)), 0)
    np.testing.assert_allclose(compute("corwin_schultz", whole, length=24)[0], pd.Series(wanted).rolling(24).mean(), atol=1e-12)


def test_volume_and_vwap(whole, one):
    v = pd.Series(one["volume"])
    typical = pd.Series((one["high"] + one["low"] + one["close"]) / 3)
    check(compute("volume_ratio", whole, length=20), v / v.rolling(20).mean().shift())
    mean = (typical * v).rolling(24).sum() / v.rolling(24).sum()
    check(compute("vwap", whole, length=24), mean)
    spread = np.sqrt((typical**2 * v).rolling(24).sum() / v.rolling(24).sum() - mean**2)
    np.testing.assert_allclose(compute("vwap_bands", whole, length=24, output="deviation")[0], spread, rtol=1e-6)
    np.testing.assert_allclose(compute("vwap_bands", whole, length=24, output="zscore")[0], (one["close"] - mean) / spread, rtol=1e-5)
    middle = pd.Series((one["high"] + one["low"]) / 2)
    move = middle.pct_change() * (one["high"] - one["low"]) / middle.shift() / (v / v.rolling(14).mean()) * 1e8
    check(compute("ease_of_movement", whole, length=14), move.rolling(14).mean())


def test_a_volume_profile_puts_the_point_of_control_where_most_was_traded(whole):
    high, low, volume = np.full(30, 110.0), np.full(30, 100.0), np.ones(30)
    high[10:20], low[10:20], volume[10:20] = 104.9, 104.1, 50.0
    bars = whole.between(None, whole.times[30])
    shape = (3, 1)
    flat = bars.with_fields(high=np.tile(high, shape), low=np.tile(low, shape), volume=np.tile(volume, shape))
    profile = compute("volume_profile", flat, length=30, bins=10, share=0.7)
    assert profile["poc"][0, -1] == pytest.approx(104.5)
    assert (profile["value_low"][0, -1], profile["value_high"][0, -1]) == (pytest.approx(104.0), pytest.approx(105.0))


def test_swings_enter_when_confirmed(whole):
    bars = whole.between(None, whole.times[9])
    high = np.array([1, 2, 5, 3, 2, 2, 6, 4, 3], dtype=float)
    shaped = bars.with_fields(high=np.tile(high, (3, 1)), low=np.tile(high - 1, (3, 1)))
    swing = compute("swing_high", shaped, left=2, right=2)
    np.testing.assert_array_equal(swing["level"][0], [np.nan] * 4 + [5, 5, 5, 5, 6])
    np.testing.assert_array_equal(swing["age"][0], [np.nan] * 4 + [2, 3, 4, 5, 2])
    np.testing.assert_array_equal(compute("williams_fractal", shaped)["up"][0], [np.nan] * 4 + [100, 0, 0, 0, 100])
    turning = compute("zigzag", shaped, reversal=0.35)
    assert turning["direction"][0, -1] == -1 and turning["pivot"][0, -1] == 6


def test_seasonality_knows_only_the_same_hours_before(whole, one):
    frame = pd.DataFrame({"hour": pd.DatetimeIndex(whole.times).hour, "r": one["returns"], "v": one["volume"]})
    wanted = frame.groupby("hour")["r"].transform(lambda x: x.dropna().rolling(10).mean().reindex(x.index).shift())
    # At midnight the first return is missing, so that hour's window fills a day later.
    np.testing.assert_allclose(compute("hour_return", whole, length=10)[0], wanted, atol=1e-15)
    volume = frame["v"] / frame.groupby("hour")["v"].transform(lambda x: x.rolling(10).mean().shift())
    np.testing.assert_allclose(compute("hour_volume_ratio", whole, length=10)[0], volume, rtol=1e-9)
    circle = compute("hour_of_day", whole)
    assert circle["sin"][0, 6] == pytest.approx(1) and circle["cos"][0, 0] == pytest.approx(1)
    assert compute("day_of_week", whole)["sin"][0, 0] == 0.0  # the fixture starts on a Monday


def test_rsi_of_wilders_worked_example():
    """The example of Wilder's averages as StockCharts prints it (14 bars; first values 70.53, 66.32, 66.55, 69.41)."""
    from strategy_pipeline_tests.indicators.conftest import random_walk

    text = (
        "44.3389 44.0902 44.1497 43.6124 44.3278 44.8264 45.0955 45.4245 45.8433 "
        "46.0826 45.8931 46.0328 45.6140 46.2820 46.2820 46.0028 46.0328 46.4116"
    )
    closes = [float(word) for word in text.split()]
    bars = random_walk(1, len(closes), 1).with_fields(close=np.array([closes]))
    np.testing.assert_allclose(compute("rsi", bars, length=14)[0, 14:], [70.53, 66.32, 66.55, 69.41], atol=0.01)


def test_the_fractal_dimension_of_a_straight_line_is_one(whole):
    line = np.tile(np.arange(600.0) + 100.0, (3, 1))
    values = compute("fractal_dimension", whole.with_fields(high=line, low=line), length=32)
    assert np.nanmax(np.abs(values - 1.0)) < 0.06
