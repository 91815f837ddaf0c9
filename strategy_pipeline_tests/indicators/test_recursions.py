"""Recursions, composites and remaining outputs, against the textbook's loops and formulas on one long random walk.

What remembers its start is compared in the second half, where the start is forgotten.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest

from strategy_pipeline_tests.indicators import textbook
from strategy_pipeline_tests.indicators.conftest import run, world
from strategy_pipeline_tests.indicators.test_references import (
    BARS,
    N,
    c,
    ema,
    h,
    l,
    line,
    location,
    middle,
    o,
    ratio_sum,
    rsi,
    since,
    stochastic,
    true_range,
    typical,
    v,
    wilder,
)  # fmt: skip

S = pd.Series
C, H, L, V = (x.to_numpy() for x in (c, h, l, v))
returns = np.log(c).diff()


def up_down(x: pd.Series, by: pd.Series, n: int) -> pd.Series:
    """100 times Wilder's mean of `x` where `by` rose, over that where it rose or fell."""
    up, down = wilder(x.where(by > 0, 0.0).fillna(0.0), n), wilder(x.where(by < 0, 0.0).fillna(0.0), n)
    return 100 * up / (up + down)


def smi() -> pd.Series:
    top, bottom = h.rolling(13).max(), l.rolling(13).min()
    away, span = c - (top + bottom) / 2, top - bottom
    return 100 * ema(ema(away.dropna(), 25), 2) / (ema(ema(span.dropna(), 25), 2) / 2)


def generalised(x: pd.Series, n: int, factor: float) -> pd.Series:
    return (1 + factor) * ema(x, n) - factor * ema(ema(x, n), n)


def tillson(n: int, factor: float) -> pd.Series:
    return generalised(generalised(generalised(c, n, factor), n, factor), n, factor)


def stochastic_of(x: pd.Series, n: int) -> pd.Series:
    return 100 * (x - x.rolling(n).min()) / (x.rolling(n).max() - x.rolling(n).min())


def schaff() -> pd.Series:
    x = ema(c, 23) - ema(c, 50)
    for _ in range(2):
        x = stochastic_of(x, 10).ewm(alpha=0.5, adjust=False).mean()
    return x


def money_line() -> pd.Series:
    return (location * v).cumsum()


@cache
def hilbert() -> textbook.Hilbert:
    return textbook.Hilbert(C)


@cache
def trend_bands() -> tuple[np.ndarray, np.ndarray]:
    return textbook.supertrend(H, L, C, wilder(true_range, 10).to_numpy(), 3.0)


def sine(degrees: float) -> np.ndarray:
    return np.sin(np.radians(hilbert().phase() + degrees))


def force(fast: int, slow: int) -> pd.Series:
    signed = v * np.sign(typical.diff())
    return ema(signed.iloc[1:], fast) - ema(signed.iloc[1:], slow)


def momentum_of_squeeze() -> pd.Series:
    centre = (h.rolling(20).max() + l.rolling(20).min()) / 2
    return line(c - (centre + c.rolling(20).mean()) / 2, 20, 19)


def same_week_hour() -> pd.Series:
    slot = S(np.arange(N) % 168)
    return returns.groupby(slot).transform(lambda x: x.dropna().rolling(5).mean().reindex(x.index).shift())


def percentile(part: np.ndarray, share: float) -> float:
    """Nearest rank: the smallest value that at least the given share of the window does not exceed."""
    return sorted(part)[int(np.ceil(share / 100 * len(part))) - 1]


middle_sma = c.rolling(20).mean()
# (entry, output or None, parameters, definition)
DEFINITIONS = [
    ("kama", None, {"length": 30}, lambda: textbook.kama(C, 30)),
    ("t3", None, {"length": 8, "factor": 0.6}, lambda: tillson(8, 0.6)),
    ("zlema", None, {"length": 21}, lambda: ema((2 * c - c.shift(10)).dropna(), 21).reindex(range(N))),
    ("mama", "mama", {}, lambda: hilbert().mama(0.5, 0.05)[0]),
    ("mama", "fama", {}, lambda: hilbert().mama(0.5, 0.05)[1]),
    ("frama", None, {"length": 16}, lambda: textbook.frama(H, L, C, 16)),
    ("sar", None, {}, lambda: textbook.parabolic(H, L, 0.02, 0.2)),
    ("supertrend", "value", {}, lambda: trend_bands()[0]),
    ("supertrend", "direction", {}, lambda: trend_bands()[1]),
    ("keltner", "upper", {}, lambda: ema(typical, 20) + 2 * wilder(true_range, 10)),
    ("keltner", "middle", {}, lambda: ema(typical, 20)),
    ("keltner", "lower", {}, lambda: ema(typical, 20) - 2 * wilder(true_range, 10)),
    ("bbands", "middle", {"length": 20, "width": 2.0}, lambda: middle_sma),
    ("donchian", "middle", {"length": 20}, lambda: (h.rolling(20).max() + l.rolling(20).min()) / 2),
    ("accbands", "middle", {"length": 20}, lambda: middle_sma),
    ("accbands", "lower", {"length": 20}, lambda: (l * (1 - 4 * (h - l) / (h + l))).rolling(20).mean()),
    ("ht_dcperiod", None, {}, lambda: hilbert().smooth_period),
    ("ht_dcphase", None, {}, lambda: hilbert().phase()),
    ("ht_phasor", "inphase", {}, lambda: hilbert().inphase),
    ("ht_phasor", "quadrature", {}, lambda: hilbert().quadrature),
    ("ht_sine", "sine", {}, lambda: sine(0)),
    ("ht_sine", "leadsine", {}, lambda: sine(45)),
    ("ht_trendline", None, {}, lambda: hilbert().trendline()),
    ("ht_trendmode", None, {}, lambda: hilbert().trendmode()),
    ("heikin_ashi", "open", {}, lambda: textbook.heikin_ashi(o, h, l, c)["open"]),
    ("heikin_ashi", "high", {}, lambda: textbook.heikin_ashi(o, h, l, c)["high"]),
    ("heikin_ashi", "low", {}, lambda: textbook.heikin_ashi(o, h, l, c)["low"]),
    ("heikin_ashi", "close", {}, lambda: textbook.heikin_ashi(o, h, l, c)["close"]),
    ("macd", "histogram", {}, lambda: ema(c, 12) - ema(c, 26) - ema(ema(c, 12) - ema(c, 26), 9)),
    ("apo", None, {}, lambda: ema(c, 12) - ema(c, 26)),
    ("ppo", None, {}, lambda: 100 * (ema(c, 12) / ema(c, 26) - 1)),
    ("pvo", None, {}, lambda: 100 * (ema(v, 12) / ema(v, 26) - 1)),
    ("ac", None, {}, lambda: (awesome := middle.rolling(5).mean() - middle.rolling(34).mean()) - awesome.rolling(5).mean()),
    ("stoch", "k", {}, lambda: stochastic(14).rolling(3).mean()),
    ("stoch", "d", {}, lambda: stochastic(14).rolling(3).mean().rolling(3).mean()),
    ("stochf", "d", {"length": 5, "signal": 3}, lambda: stochastic(5).rolling(3).mean()),
    ("stochrsi", "k", {}, lambda: stochastic_of(rsi(c, 14), 14)),
    ("stochrsi", "d", {}, lambda: stochastic_of(rsi(c, 14), 14).rolling(3).mean()),
    ("kdj", "k", {}, lambda: wilder(stochastic(9).dropna(), 3).reindex(range(N))),
    ("kdj", "d", {}, lambda: wilder(wilder(stochastic(9).dropna(), 3), 3).reindex(range(N))),
    ("kdj", "j", {}, lambda: (3 * (k := wilder(stochastic(9).dropna(), 3)) - 2 * wilder(k, 3)).reindex(range(N))),
    ("smi", "smi", {}, lambda: smi().reindex(range(N))),
    ("smi", "signal", {}, lambda: ema(smi(), 9).reindex(range(N))),
    ("stc", None, {}, schaff),
    ("fosc", None, {"length": 5}, lambda: 100 * (c - line(c, 5, 5).shift()) / c),
    ("dpo", None, {"length": 20}, lambda: c.shift(11) - middle_sma),
    ("rvi", None, {}, lambda: up_down(c.rolling(10).std(ddof=0), c.diff(), 14)),
    ("chaikin_volatility", None, {}, lambda: 100 * ema(h - l, 10).pct_change(10)),
    ("percentile", None, {"length": 30, "percentile": 20.0}, lambda: c.rolling(30).apply(lambda part: percentile(part, 20.0), raw=True)),
    ("adosc", None, {}, lambda: ema(money_line(), 3) - ema(money_line(), 10)),
    ("klinger", "klinger", {}, lambda: force(34, 55).reindex(range(N))),
    ("klinger", "signal", {}, lambda: ema(force(34, 55), 13).reindex(range(N))),
    ("swing_low", "level", {"left": 4, "right": 3}, lambda: textbook.swings(L, 4, 3)[0]),
    ("swing_low", "age", {"left": 4, "right": 3}, lambda: textbook.swings(L, 4, 3)[1]),
    ("swing_high", "level", {"left": 4, "right": 3}, lambda: -textbook.swings(-H, 4, 3)[0]),
    ("swing_high", "age", {"left": 4, "right": 3}, lambda: textbook.swings(-H, 4, 3)[1]),
    ("zigzag", "direction", {"reversal": 0.03}, lambda: textbook.zigzag(H, L, 0.03)["direction"]),
    ("zigzag", "pivot", {"reversal": 0.03}, lambda: textbook.zigzag(H, L, 0.03)["pivot"]),
    ("zigzag", "extreme", {"reversal": 0.03}, lambda: textbook.zigzag(H, L, 0.03)["extreme"]),
    ("alligator", "teeth", {}, lambda: wilder(middle, 8).shift(5)),
    ("alligator", "lips", {}, lambda: wilder(middle, 5).shift(3)),
    ("chandelier", "short", {}, lambda: l.rolling(22).min() + 3 * wilder(true_range, 22)),
    ("ichimoku", "base", {}, lambda: (h.rolling(26).max() + l.rolling(26).min()) / 2),
    ("random_walk_index", "low", {}, lambda: (h.shift(14) - l) / (true_range.rolling(14).mean() * np.sqrt(14))),
    ("squeeze", "momentum", {}, momentum_of_squeeze),
    ("kst", "kst", {}, lambda: sum(
        k * (100 * c.pct_change(n)).rolling(m).mean() for k, n, m in ((1, 10, 10), (2, 15, 10), (3, 20, 10), (4, 30, 15)))),
    ("fisher", "trigger", {}, lambda: run("fisher", BARS)["fisher"][0, np.r_[0, 0 : N - 1]]),
    ("volatility_ratio", None, {"fast": 12, "slow": 96}, lambda: returns.rolling(12).std() / returns.rolling(96).std()),
    ("rmi", None, {"length": 14, "momentum": 5}, lambda: up_down(c.diff(5).abs(), c.diff(5), 14)),
    ("decycler", None, {"length": 60}, lambda: C - textbook.high_pass(C, 60)),
    ("roofing_filter", None, {"slow": 48, "fast": 10}, lambda: textbook.super_smoother(textbook.high_pass(C, 48), 10)),
    ("week_hour_return", None, {"length": 5}, same_week_hour),
    ("semivariance", "up", {"length": 24}, lambda: np.sqrt((returns.clip(lower=0) ** 2).rolling(24).mean() * 365 * 24)),
    ("aroon", "down", {"length": 20}, lambda: since(l, 20, np.argmin)),
    ("vortex", "minus", {"length": 21}, lambda: ratio_sum((l - h.shift()).abs(), true_range, 21)),
]  # fmt: skip
CUMULATIVE = [
    ("wad", lambda: (c - l.where(l < c.shift(), c.shift())).where(c.diff() > 0, (c - h.where(h > c.shift(), c.shift()))), False),
    ("nvi", lambda: textbook.volume_index(C, V, rising=False), True),
    ("pvi", lambda: textbook.volume_index(C, V, rising=True), True),
]


@pytest.mark.parametrize(("name", "output", "given", "definition"), DEFINITIONS, ids=lambda x: x if isinstance(x, str) else "")
def test_an_entry_is_the_textbooks_loop(name, output, given, definition):
    got = run(name, BARS, **given)[output or "value"][0]
    wanted = np.asarray(definition(), dtype=float)
    part = slice(N // 2, None)
    assert np.isfinite(got[part]).all() and np.isfinite(wanted[part]).all()
    np.testing.assert_allclose(got[part], wanted[part], rtol=1e-6, atol=1e-8 * np.nanstd(wanted))
    assert np.std(wanted[part]) > 0  # a constant would compare equal to much


@pytest.mark.parametrize(("name", "step", "compounds"), CUMULATIVE, ids=lambda x: x if isinstance(x, str) else "")
def test_running_totals_and_indices_grow_by_their_definition(name, step, compounds):
    got, wanted = run(name, BARS)["value"][0], np.asarray(step(), dtype=float)
    if compounds:
        np.testing.assert_allclose(got[6:] / got[5:-1], wanted[6:] / wanted[5:-1], rtol=1e-9)
    else:
        np.testing.assert_allclose(np.diff(got)[5:], wanted[6:], rtol=1e-6, atol=1e-9)


def test_the_exponential_correlation_is_riskmetrics_recursion(whole):
    x, y = (np.log(S(whole.close[row])).diff().iloc[1:] for row in (1, 0))
    mean = [(a * b).ewm(alpha=2 / 97, adjust=False).mean() for a, b in ((x, y), (x, x), (y, y))]
    wanted = (mean[0] / np.sqrt(mean[1] * mean[2])).reindex(range(600))
    np.testing.assert_allclose(run("ewm_correlation", whole)["value"][1, 96:], wanted[96:], rtol=1e-9)


def test_kama_starts_on_the_bar_before_its_first():
    np.testing.assert_allclose(run("kama", BARS, length=10)["value"][0, 10:400], textbook.kama(C[:400], 10)[10:], rtol=1e-12)


def test_a_fractal_is_a_bar_beyond_its_neighbours():
    got = run("williams_fractal", BARS, left=2, right=2)
    for key, sign, x in (("up", 1, H), ("down", -1, L)):
        tops = [i for i in range(4, N) if sign * x[i - 2] > max(sign * x[j] for j in (i - 4, i - 3, i - 1, i))]
        fired = np.flatnonzero(got[key][0] != 0)
        assert sorted(tops) == [i for i in fired if i >= 4] and len(tops) > 200
        assert set(np.unique(np.abs(got[key][0, 4:]))) == {0.0, 100.0}


def test_the_fractal_dimension_is_that_of_halves_and_whole():
    got = run("fractal_dimension", BARS, length=30)["value"][0]
    for i in (29, 30, 777, N - 1):
        ranges = [H[a:b].max() - L[a:b].min() for a, b in ((i - 29, i - 14), (i - 14, i + 1), (i - 29, i + 1))]
        wanted = np.log(((ranges[0] + ranges[1]) / 15) / (ranges[2] / 30)) / np.log(2)
        assert got[i] == pytest.approx(min(2, max(1, wanted)), rel=1e-9)


@pytest.mark.parametrize("i", [95, 400, 1234, N - 1])
def test_point_of_control_and_value_area_are_those_of_the_spread_volume(i):
    got = run("volume_profile", BARS, length=96, bins=24, share=0.7)
    edges, held = textbook.profile(H[i - 95 : i + 1], L[i - 95 : i + 1], V[i - 95 : i + 1], 24)
    best = int(np.argmax(held))
    assert got["poc"][0, i] == pytest.approx((edges[best] + edges[best + 1]) / 2)
    low = high = best
    while held[low : high + 1].sum() < 0.7 * held.sum():
        below, above = held[low - 1] if low else -1.0, held[high + 1] if high < 23 else -1.0
        low, high = (low, high + 1) if above >= below else (low - 1, high)
    assert got["value_low"][0, i] == pytest.approx(edges[low]) and got["value_high"][0, i] == pytest.approx(edges[high + 1])
    nodes = run("volume_nodes", BARS, length=96, bins=24)
    peaks = [k for k in range(1, 23) if held[k] > max(held.mean(), held[k - 1], held[k + 1])]
    wanted = min(((edges[k] + edges[k + 1]) / 2 for k in peaks), key=lambda price: abs(price - C[i]))
    assert nodes["high_node"][0, i] == pytest.approx(wanted)


def test_pivots_are_those_of_the_day_before():
    got = run("pivot_points", BARS)
    days = np.arange(N) // 24
    top, bottom, last = (x.groupby(days).transform(how).groupby(days).first().shift() for x, how in ((h, "max"), (l, "min"), (c, "last")))
    pivot = (top + bottom + last) / 3
    wanted = {
        "pivot": pivot, "r1": 2 * pivot - bottom, "s1": 2 * pivot - top, "r2": pivot + top - bottom, "s2": pivot - top + bottom,
    }  # fmt: skip
    for key, daily in wanted.items():
        np.testing.assert_allclose(got[key][0, 48:], daily.to_numpy()[days][48:], rtol=1e-12)


def test_pressure_and_depth_read_their_own_sides(whole):
    book = world(whole)
    bid, ask = book["book.bid_depth"], book["book.ask_depth"]
    np.testing.assert_allclose(run("depth_imbalance", whole)["value"], (bid - ask) / (bid + ask), rtol=1e-12)
    gap = run("microprice_gap", whole)["value"]
    weight = book["book.bid_qty"] / (book["book.bid_qty"] + book["book.ask_qty"])
    micro = book["book.bid"] + weight * (book["book.ask"] - book["book.bid"])
    np.testing.assert_allclose(gap, micro / ((book["book.bid"] + book["book.ask"]) / 2) - 1, atol=1e-14)
