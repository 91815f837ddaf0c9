"""Resampled bars keep the market's dependence; null markets keep all of it but the edge."""

from __future__ import annotations

import numpy as np
import pytest

from strategy_pipeline.market import Bars
from strategy_pipeline.resampling import bootstrap_bars, bootstrap_bars_with, null_market
from strategy_pipeline.rng import generator

PRICES = ("open", "high", "low", "close")


def trending_market(n_bars: int = 20_000, n_symbols: int = 3, seed: int = 5) -> Bars:
    """Clustered volatility, momentum (serial dependence), a common factor, a strong drift, gaps and a late listing."""
    rng = generator(seed, "trending")
    volatility = 0.01 * np.exp(np.cumsum(rng.normal(0, 0.03, n_bars)) * 0.3)
    noise = volatility * (0.8 * rng.normal(size=n_bars) + 0.6 * rng.normal(size=(n_symbols, n_bars)))
    returns = noise.copy()
    for t in range(1, n_bars):
        returns[:, t] += 0.3 * returns[:, t - 1]
    returns += 3e-4
    close = 100 * np.exp(np.cumsum(returns, axis=1))
    open_ = np.concatenate([close[:, :1], close[:, :-1]], axis=1) * np.exp(0.1 * noise)
    high = np.maximum(open_, close) * np.exp(np.abs(noise) * 0.5)
    low = np.minimum(open_, close) * np.exp(-np.abs(noise[::-1]) * 0.5)
    missing = rng.random(close.shape) < 0.01
    missing[1, :500] = True
    missing[2, -700:] = True
    volume = np.exp(rng.normal(0, 1, close.shape)) * volatility
    fields = [np.where(missing, np.nan, field) for field in (open_, high, low, close, volume, volume * close)]
    times = np.datetime64("2020-01-01", "ns") + np.arange(n_bars) * np.timedelta64(1, "h")
    return Bars(("BTC/USDT", "ETH/USDT", "SOL/USDT"), "1h", times, *fields)


@pytest.fixture(scope="module")
def market() -> Bars:
    return trending_market()


def log_returns(bars: Bars, s: int = 0) -> np.ndarray:
    close = bars.close[s]
    return np.diff(np.log(close[np.isfinite(close)]))


def assert_bars_are_whole(bars: Bars, like: Bars) -> None:
    for name in PRICES:
        np.testing.assert_array_equal(np.isnan(getattr(bars, name)), np.isnan(getattr(like, name)), err_msg=name)
    exists = np.isfinite(bars.close)
    assert (bars.high[exists] >= np.maximum(bars.open, bars.close)[exists]).all()
    assert (bars.low[exists] <= np.minimum(bars.open, bars.close)[exists]).all()
    assert (bars.low[exists] > 0).all()
    np.testing.assert_array_equal(bars.times, like.times)


def test_a_null_market_keeps_gaps_and_whole_bars(market) -> None:
    null = null_market(market, generator(1))
    assert_bars_are_whole(null, market)
    np.testing.assert_array_equal(null.volume, market.volume)
    first = np.isfinite(market.close).argmax(axis=1)
    np.testing.assert_array_equal(null.close[np.arange(3), first], market.close[np.arange(3), first])


def test_a_null_market_keeps_the_size_of_every_move(market) -> None:
    null = null_market(market, generator(1))
    before, after = log_returns(market), log_returns(null)
    np.testing.assert_allclose(np.abs(after + np.log(np.cosh(before))), np.abs(before), atol=1e-12)
    exists = np.isfinite(market.close)
    spread = np.log(market.high / market.low)[exists]
    assert np.median(np.abs(np.log(null.high / null.low)[exists] - spread) / spread) < 0.02


def test_drift_is_gone_from_null_markets(market) -> None:
    """The mean simple return over many null markets is zero within its standard error; the market's own is not."""
    assert np.expm1(log_returns(market)).mean() > 5 * np.expm1(log_returns(market)).std() / np.sqrt(market.n_bars)
    one = market.select(["BTC/USDT"])
    means = np.array([np.expm1(log_returns(null_market(one, generator(seed, "drift")))).mean() for seed in range(120)])
    assert abs(means.mean()) < 3 * means.std(ddof=1) / np.sqrt(len(means))
    uncompensated = np.mean(np.cosh(log_returns(market)) - 1)
    assert uncompensated > 4 * means.std(ddof=1) / np.sqrt(len(means))  # the test would see a forgotten compensation


def test_serial_dependence_is_gone_but_clustering_and_correlation_stay(market) -> None:
    null = null_market(market, generator(2))
    before, after = log_returns(market), log_returns(null)

    def autocorrelation(x: np.ndarray) -> float:
        return float(np.corrcoef(x[1:], x[:-1])[0, 1])

    assert autocorrelation(before) > 0.25
    assert abs(autocorrelation(after)) < 0.03
    assert autocorrelation(np.abs(after)) == pytest.approx(autocorrelation(np.abs(before)), abs=0.02)
    both = np.isfinite(market.close[0]) & np.isfinite(market.close[1])
    pairs = [np.corrcoef(*np.diff(np.log(bars.close[:2, both]), axis=1))[0, 1] for bars in (market, null)]
    assert pairs[1] == pytest.approx(pairs[0], abs=0.08)


def test_bootstrapped_bars_are_whole_and_draw_the_markets_own_moves(market) -> None:
    other = bootstrap_bars(market, generator(3), 48)
    assert_bars_are_whole(other, market)
    own = np.round(log_returns(market), 9)
    drawn = np.round(log_returns(other), 9)
    assert np.isin(drawn, own).mean() > 0.999
    assert 0.55 < len(np.unique(drawn)) / len(drawn) < 0.72  # 1 - 1/e of the moves appear
    exists = np.isfinite(market.close)
    np.testing.assert_allclose((other.quote_volume / other.volume / other.close)[exists], 1, rtol=1e-9)


def test_what_happened_at_a_bar_comes_along_with_it(market) -> None:
    numbered = np.broadcast_to(np.arange(market.n_bars, dtype=float), market.close.shape)
    other, carried = bootstrap_bars_with(market, {"bar": numbered}, generator(3), 48)
    assert other.fingerprint == bootstrap_bars(market, generator(3), 48).fingerprint
    for s in range(market.n_symbols):
        exists = np.isfinite(market.close[s])
        source = carried["bar"][s]
        assert np.isnan(source[~exists]).all() and np.isnan(source[np.flatnonzero(exists)[0]])
        following = np.flatnonzero(exists)[1:]
        shape = market.high[s] / market.close[s]
        np.testing.assert_allclose((other.high[s] / other.close[s])[following], shape[source[following].astype(int)], rtol=1e-9)


def test_bootstrapping_keeps_momentum_and_cross_correlation(market) -> None:
    other = bootstrap_bars(market, generator(4), 48)
    before, after = log_returns(market), log_returns(other)
    assert np.corrcoef(after[1:], after[:-1])[0, 1] == pytest.approx(np.corrcoef(before[1:], before[:-1])[0, 1], abs=0.06)
    both = np.isfinite(market.close[0]) & np.isfinite(market.close[1])
    pairs = [np.corrcoef(*np.diff(np.log(bars.close[:2, both]), axis=1))[0, 1] for bars in (market, other)]
    assert pairs[1] == pytest.approx(pairs[0], abs=0.08)


def test_equal_generators_make_equal_markets(market) -> None:
    short = market.through(market.times[400])
    assert null_market(short, generator(8)).fingerprint == null_market(short, generator(8)).fingerprint
    assert bootstrap_bars(short, generator(8), 24).fingerprint == bootstrap_bars(short, generator(8), 24).fingerprint
    assert null_market(short, generator(8)).fingerprint != null_market(short, generator(9)).fingerprint
