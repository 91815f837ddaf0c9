"""Filters and composite systems against plain recursions and definitions."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import talib

from strategy_pipeline.indicators import compute


@pytest.fixture(scope="module")
def one(whole):
    return {name: pd.Series(getattr(whole, name)[0]) for name in ("open", "high", "low", "close", "volume")}


def check(got: np.ndarray, wanted, rtol: float = 1e-9) -> None:
    np.testing.assert_allclose(got[0], np.asarray(wanted, dtype=float), rtol=rtol, atol=1e-10)
    assert np.isfinite(got[0]).sum() > 100


def test_alma_is_a_gaussian_weighting(whole, one):
    weights = np.array([math.exp(-((k - 0.85 * 8) ** 2) / (2 * (9 / 6) ** 2)) for k in range(9)])
    check(compute("alma", whole, length=9), one["close"].rolling(9).apply(lambda x: (x * weights).sum() / weights.sum(), raw=True))


def test_the_super_smoother_is_its_recursion_and_passes_a_constant(whole, one):
    x, a = one["close"].to_numpy(), math.exp(-1.414213562373095 * math.pi / 10)
    c2, c3 = 2 * a * math.cos(1.414213562373095 * math.pi / 10), -a * a
    y = list(x[:2])
    for i in range(2, len(x)):
        y.append((1 - c2 - c3) * (x[i] + x[i - 1]) / 2 + c2 * y[-1] + c3 * y[-2])
    check(compute("supersmoother", whole, length=10), y)
    flat = compute("supersmoother", whole.with_fields(close=np.full((3, 600), 5.0)), length=10)
    np.testing.assert_allclose(flat, 5.0)


def test_filters_keep_and_remove_the_cycles_they_name(whole):
    t = np.arange(600.0)
    slow, quick = 100 + np.sin(2 * np.pi * t / 300), 100 + np.sin(2 * np.pi * t / 8)

    def swing(name, x, **params):
        values = compute(name, whole.with_fields(close=np.tile(x, (3, 1))), **params)[0, 300:]
        return values.max() - values.min()

    assert swing("decycler", slow, length=60) > 1.8 and swing("decycler", quick, length=60) < 0.4
    assert swing("supersmoother", slow, length=20) > 1.9 and swing("supersmoother", quick, length=30) < 0.2
    assert swing("roofing_filter", slow, slow=48, fast=10) < 0.2
    assert swing("roofing_filter", 100 + np.sin(2 * np.pi * t / 25), slow=48, fast=10) > 1.4


def test_adaptive_averages_are_their_recursions(whole, one):
    x = one["close"].to_numpy()
    change = np.diff(x, prepend=x[0])
    y = np.full(600, np.nan)
    y[14] = x[14]
    for i in range(15, 600):
        part = change[i - 13 : i + 1]
        y[i] = y[i - 1] + 2 / 15 * abs(part.sum()) / np.abs(part).sum() * (x[i] - y[i - 1])
    check(compute("vidya", whole, length=14), y)
    m = [x[0]]
    for value in x[1:]:
        m.append(m[-1] + (value - m[-1]) / max(1, 14 * (value / m[-1]) ** 4))
    check(compute("mcginley", whole, length=14), m)


def test_fisher_and_laguerre_are_their_recursions(whole, one):
    middle = ((one["high"] + one["low"]) / 2).to_numpy()
    value = level = 0.0
    wanted = np.full(600, np.nan)
    for i in range(9, 600):
        part = middle[i - 9 : i + 1]
        value = 0.66 * ((middle[i] - part.min()) / (part.max() - part.min()) - 0.5) + 0.67 * value
        value = min(0.999, max(-0.999, value))
        level = 0.5 * math.log((1 + value) / (1 - value)) + 0.5 * level
        wanted[i] = level
    wanted[9] = np.nan  # the trigger is a bar later, and both start together
    check(compute("fisher", whole, length=10, output="fisher"), wanted)
    x, stages, got = one["close"].to_numpy(), [one["close"][0]] * 4, []
    for value in x:
        old = list(stages)
        stages[0] = 0.5 * value + 0.5 * old[0]
        for k in (1, 2, 3):
            stages[k] = -0.5 * stages[k - 1] + old[k - 1] + 0.5 * old[k]
        steps = [stages[k] - stages[k + 1] for k in range(3)]
        up, down = sum(max(s, 0) for s in steps), sum(max(-s, 0) for s in steps)
        got.append(up / (up + down) if up + down else 0.5)
    check(compute("laguerre_rsi", whole, gamma=0.5), [np.nan] * 4 + got[4:])


def test_ichimoku_shows_the_cloud_that_stands_now(whole, one):
    lines = compute("ichimoku", whole)

    def middle(n):
        return (one["high"].rolling(n).max() + one["low"].rolling(n).min()) / 2

    ready = np.arange(600) >= 77  # all lines start together
    check(lines["conversion"], middle(9).where(ready))
    check(lines["span_a"], ((middle(9) + middle(26)) / 2).shift(26).where(ready))
    check(lines["span_b"], middle(52).shift(26).where(ready))


def test_alligator_and_chandelier(whole, one):
    middle = ((one["high"] + one["low"]) / 2).to_numpy()
    jaw = pd.Series(talib.RMA(middle, 13)).shift(8)
    check(compute("alligator", whole)["jaw"], jaw)
    h, low, c = (one[name].to_numpy() for name in ("high", "low", "close"))
    check(compute("chandelier", whole)["long"], one["high"].rolling(22).max() - 3 * talib.ATR(h, low, c, 22))


def test_kst_and_connors(whole, one):
    c = one["close"]
    parts = zip((1, 2, 3, 4), (10, 15, 20, 30), (10, 10, 10, 15), strict=True)
    total = sum(weight * (100 * c.pct_change(change)).rolling(smooth).mean() for weight, change, smooth in parts)
    check(compute("kst", whole)["signal"], total.rolling(9).mean())
    run, streaks = 0, []
    for step in np.sign(c.diff().fillna(0)):
        run = 0 if step == 0 else (run + step if run * step > 0 else step)
        streaks.append(float(run))
    moves = c.pct_change()
    rank = 100 * moves.rolling(100).apply(lambda x: (x[:-1] < x[-1]).mean(), raw=True)
    check(compute("connors_rsi", whole), (talib.RSI(c.to_numpy(), 3) + talib.RSI(np.array(streaks), 2) + rank) / 3)


def test_oscillators_of_bodies_runs_and_distances(whole, one):
    def weighted(x):
        return (x + 2 * x.shift(1) + 2 * x.shift(2) + x.shift(3)) / 6

    value = weighted(one["close"] - one["open"]).rolling(10).mean() / weighted(one["high"] - one["low"]).rolling(10).mean()
    ready = np.arange(600) >= 15
    check(compute("rvgi", whole)["value"], value.where(ready))
    check(compute("rvgi", whole)["signal"], weighted(value))
    gap = one["close"] - one["close"].rolling(30).mean()
    wanted = 100 * gap.clip(lower=0).rolling(30).mean() / gap.abs().rolling(30).mean()
    check(compute("trend_intensity", whole), wanted)
    rose = (one["close"].diff() > 0).astype(float).where(one["close"].diff().notna())
    check(compute("psychological_line", whole), 100 * rose.rolling(12).mean())
    change = np.log(one["close"]).diff()
    check(compute("gain_loss_ratio", whole), change.clip(lower=0).rolling(48).sum() / (-change).clip(lower=0).rolling(48).sum())


def test_rmi_of_one_bar_is_rsi(whole):
    np.testing.assert_allclose(compute("rmi", whole, momentum=1), compute("rsi", whole), rtol=1e-9)


def test_random_walk_index_and_squeeze(whole, one):
    h, low, c = (one[name].to_numpy() for name in ("high", "low", "close"))
    span = pd.Series(talib.TRANGE(h, low, c))
    check(compute("random_walk_index", whole)["high"], (one["high"] - one["low"].shift(14)) / (span.rolling(14).mean() * math.sqrt(14)))
    span.iloc[0] = h[0] - low[0]
    on = (2 * one["close"].rolling(20).std(ddof=0) < 1.5 * span.rolling(20).mean()).astype(float).where(np.arange(600) >= 38)
    check(compute("squeeze", whole)["on"], on)


def test_volume_oscillators(whole, one):
    v = one["volume"].to_numpy()
    signed = v[1:] * np.sign(np.diff(one["close"]))
    check(compute("vzo", whole), [np.nan, *(100 * talib.EMA(signed, 14) / talib.EMA(v[1:], 14))])
    typical = ((one["high"] + one["low"] + one["close"]) / 3).to_numpy()
    force = v[1:] * np.sign(np.diff(typical))
    line = talib.EMA(force, 34) - talib.EMA(force, 55)
    check(compute("klinger", whole)["klinger"], [np.nan, *np.where(np.arange(599) >= 66, line, np.nan)])


def test_the_day_is_known_bar_by_bar(whole, one):
    day = pd.DatetimeIndex(whole.times).floor("D")
    typical = (one["high"] + one["low"] + one["close"]) / 3
    vwap = (typical * one["volume"]).groupby(day).cumsum() / one["volume"].groupby(day).cumsum()
    check(compute("session_vwap", whole), vwap)
    daily = whole.resample("1d")
    pivot = (daily.high[0] + daily.low[0] + daily.close[0]) / 3
    # The first day may have begun before the history: pivots start on the third.
    np.testing.assert_allclose(compute("pivot_points", whole)["pivot"][0, 48:], np.repeat(pivot[1:], 24)[: 600 - 48])
    assert np.isnan(compute("pivot_points", whole)["pivot"][0, :48]).all()


def test_the_schaff_cycle_lies_between_its_bounds_and_turns_with_the_trend(whole):
    t = np.arange(600.0)
    wave = whole.with_fields(close=np.tile(100 + 10 * np.sin(2 * np.pi * t / 120), (3, 1)))
    cycle = compute("stc", wave)[0]
    assert np.nanmin(cycle) >= 0 and np.nanmax(cycle) <= 100
    assert cycle[360 + 10] > 95 and cycle[360 + 75] < 5  # rising, then falling
