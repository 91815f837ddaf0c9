"""Entries that TA-Lib computes, against their definitions written in plain pandas from the literature.

Recursions are compared once their start is forgotten; windows from their first value on.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from strategy_pipeline.indicators import names, spec
from strategy_pipeline_tests.indicators.conftest import random_walk, run

N = 2600
BARS = random_walk(1, N, seed=91)
S = pd.Series
o, h, l, c, v = (S(getattr(BARS, name)[0]) for name in ("open", "high", "low", "close", "volume"))  # noqa: E741
typical, middle, one = (h + l + c) / 3, (h + l) / 2, c.diff()
true_range = pd.concat([h - l, (h - c.shift()).abs(), (l - c.shift()).abs()], axis=1).max(axis=1).where(c.shift().notna())
location = (((c - l) - (h - c)) / (h - l)).fillna(0.0)


def ema(x: pd.Series, n: int) -> pd.Series:
    return x.ewm(alpha=2 / (n + 1), adjust=False).mean()


def wilder(x: pd.Series, n: int) -> pd.Series:
    return x.ewm(alpha=1 / n, adjust=False).mean()


def wma(x: pd.Series, n: int) -> pd.Series:
    weights = np.arange(1, n + 1)
    return x.rolling(n).apply(lambda part: (part * weights).sum() / weights.sum(), raw=True)


def line(x: pd.Series, n: int, at: float) -> pd.Series:
    """Value of the least-squares line of each window at position `at` (n - 1 is its end)."""
    k = np.arange(n)
    return x.rolling(n).apply(lambda part: np.polyval(np.polyfit(k, part, 1), at), raw=True)


def slope(x: pd.Series, n: int) -> pd.Series:
    return line(x, n, 1.0) - line(x, n, 0.0)


def chande(x: pd.Series, n: int, mean) -> pd.Series:
    up, down = mean(x.diff().clip(lower=0), n), mean((-x.diff()).clip(lower=0), n)
    return 100 * (up - down) / (up + down)


def rsi(x: pd.Series, n: int) -> pd.Series:
    up, down = wilder(x.diff().clip(lower=0), n), wilder((-x.diff()).clip(lower=0), n)
    return 100 * up / (up + down)


def moving(n: int) -> SimpleNamespace:
    """Wilder's directional movement."""
    rise, fall = h.diff(), -l.diff()
    plus = rise.where((rise > fall) & (rise > 0), 0.0)
    minus = fall.where((fall > rise) & (fall > 0), 0.0)
    p, m, t = (wilder(x, n) for x in (plus, minus, true_range))
    dx = 100 * (p - m).abs() / (p + m)
    return SimpleNamespace(plus=100 * p / t, minus=100 * m / t, dx=dx, adx=wilder(dx, n), plus_dm=n * p, minus_dm=n * m)


def ratio_sum(a: pd.Series, b: pd.Series, n: int) -> pd.Series:
    return a.rolling(n).sum() / b.rolling(n).sum()


def stochastic(n: int) -> pd.Series:
    return 100 * (c - l.rolling(n).min()) / (h.rolling(n).max() - l.rolling(n).min())


def ultimate() -> pd.Series:
    low = np.minimum(l, c.shift())
    buying = (c - low).where(c.shift().notna())
    a, b, d = (ratio_sum(buying, true_range, n) for n in (7, 14, 28))
    return 100 * (4 * a + 2 * b + d) / 7


def triple(x: pd.Series, n: int) -> pd.Series:
    e1 = ema(x, n)
    e2 = ema(e1, n)
    return 3 * e1 - 3 * e2 + ema(e2, n)


def money_flow() -> pd.Series:
    flow, way = typical * v, np.sign(typical.diff())
    up, down = flow.where(way > 0, 0.0).rolling(14).sum(), flow.where(way < 0, 0.0).rolling(14).sum()
    return 100 * up / (up + down)


def since(x: pd.Series, n: int, pick) -> pd.Series:
    return x.rolling(n + 1).apply(lambda part: 100 * (n - pick(part[::-1])) / n, raw=True)


def commodity(n: int) -> pd.Series:
    mean = typical.rolling(n).mean()
    spread = typical.rolling(n).apply(lambda part: np.abs(part - part.mean()).mean(), raw=True)
    return (typical - mean) / (0.015 * spread)


# (entry, output or None, parameters, definition)
DEFINITIONS = [
    ("sma", None, {"length": 30}, lambda: c.rolling(30).mean()),
    ("ema", None, {"length": 30}, lambda: ema(c, 30)),
    ("wma", None, {"length": 12}, lambda: wma(c, 12)),
    ("rma", None, {"length": 14}, lambda: wilder(c, 14)),
    ("dema", None, {"length": 20}, lambda: 2 * ema(c, 20) - ema(ema(c, 20), 20)),
    ("tema", None, {"length": 20}, lambda: triple(c, 20)),
    ("trima", None, {"length": 9}, lambda: c.rolling(5).mean().rolling(5).mean()),
    ("hma", None, {"length": 16}, lambda: wma(2 * wma(c, 8) - wma(c, 16), 4)),
    ("vwma", None, {"length": 20}, lambda: ratio_sum(c * v, v, 20)),
    ("midpoint", None, {"length": 14}, lambda: (c.rolling(14).max() + c.rolling(14).min()) / 2),
    ("midprice", None, {"length": 14}, lambda: (h.rolling(14).max() + l.rolling(14).min()) / 2),
    ("linearreg", None, {"length": 14}, lambda: line(c, 14, 13)),
    ("linearreg_intercept", None, {"length": 14}, lambda: line(c, 14, 0)),
    ("linearreg_slope", None, {"length": 14}, lambda: slope(c, 14)),
    ("linearreg_angle", None, {"length": 14}, lambda: np.degrees(np.arctan(slope(c, 14)))),
    ("tsf", None, {"length": 14}, lambda: line(c, 14, 14)),
    ("bbands", "upper", {"length": 20, "width": 2.0}, lambda: c.rolling(20).mean() + 2 * c.rolling(20).std(ddof=0)),
    ("bbands", "lower", {"length": 20, "width": 2.0}, lambda: c.rolling(20).mean() - 2 * c.rolling(20).std(ddof=0)),
    ("donchian", "upper", {"length": 20}, lambda: h.rolling(20).max()),
    ("donchian", "lower", {"length": 20}, lambda: l.rolling(20).min()),
    ("accbands", "upper", {"length": 20}, lambda: (h * (1 + 4 * (h - l) / (h + l))).rolling(20).mean()),
    ("adx", None, {"length": 14}, lambda: moving(14).adx),
    ("dx", None, {"length": 14}, lambda: moving(14).dx),
    ("plus_di", None, {"length": 14}, lambda: moving(14).plus),
    ("minus_di", None, {"length": 14}, lambda: moving(14).minus),
    ("plus_dm", None, {"length": 14}, lambda: moving(14).plus_dm),
    ("minus_dm", None, {"length": 14}, lambda: moving(14).minus_dm),
    ("adxr", None, {"length": 14}, lambda: (moving(14).adx + moving(14).adx.shift(13)) / 2),
    ("aroon", "up", {"length": 14}, lambda: since(h, 14, np.argmax)),
    ("aroon", "down", {"length": 14}, lambda: since(l, 14, np.argmin)),
    ("aroonosc", None, {"length": 14}, lambda: since(h, 14, np.argmax) - since(l, 14, np.argmin)),
    ("vortex", "plus", {"length": 14}, lambda: ratio_sum((h - l.shift()).abs(), true_range, 14)),
    ("vortex", "minus", {"length": 14}, lambda: ratio_sum((l - h.shift()).abs(), true_range, 14)),
    ("vhf", None, {"length": 28}, lambda: (c.rolling(28).max() - c.rolling(28).min()) / one.abs().rolling(28).sum()),
    ("efficiency_ratio", None, {"length": 10}, lambda: (c - c.shift(10)).abs() / one.abs().rolling(10).sum()),
    ("atr", None, {"length": 14}, lambda: wilder(true_range, 14)),
    ("natr", None, {"length": 14}, lambda: 100 * wilder(true_range, 14) / c),
    ("trange", None, {}, lambda: true_range),
    ("adr", None, {"length": 14}, lambda: (h - l).rolling(14).mean()),
    ("stddev", None, {"length": 20}, lambda: c.rolling(20).std(ddof=0)),
    ("variance", None, {"length": 20}, lambda: c.rolling(20).var(ddof=0)),
    ("avgdev", None, {"length": 14}, lambda: c.rolling(14).apply(lambda part: np.abs(part - part.mean()).mean(), raw=True)),
    ("sum", None, {"length": 30}, lambda: c.rolling(30).sum()),
    ("mass_index", None, {"fast": 9, "slow": 25}, lambda: (ema(h - l, 9) / ema(ema(h - l, 9), 9)).rolling(25).sum()),
    ("rsi", None, {"length": 14}, lambda: rsi(c, 14)),
    ("cmo", None, {"length": 14}, lambda: chande(c, 14, wilder)),
    ("cmo_sum", None, {"length": 14}, lambda: chande(c, 14, lambda x, n: x.rolling(n).sum())),
    ("macd", "macd", {}, lambda: ema(c, 12) - ema(c, 26)),
    ("macd", "signal", {}, lambda: ema(ema(c, 12) - ema(c, 26), 9)),
    ("mom", None, {"length": 10}, lambda: c.diff(10)),
    ("roc", None, {"length": 10}, lambda: 100 * c.pct_change(10)),
    ("willr", None, {"length": 14}, lambda: stochastic(14) - 100),
    ("stochf", "k", {"length": 5, "signal": 3}, lambda: stochastic(5)),
    ("cci", None, {"length": 14}, lambda: commodity(14)),
    ("ultosc", None, {}, ultimate),
    ("trix", None, {"length": 15}, lambda: 100 * ema(ema(ema(c, 15), 15), 15).pct_change()),
    ("bop", None, {}, lambda: ((c - o) / (h - l)).where(h > l, 0.0)),
    ("ao", None, {}, lambda: middle.rolling(5).mean() - middle.rolling(34).mean()),
    ("qstick", None, {"length": 10}, lambda: (c - o).rolling(10).mean()),
    ("imi", None, {"length": 14}, lambda: 100 * ratio_sum((c - o).clip(lower=0), (c - o).abs(), 14)),
    ("elder_ray", "bull", {"length": 13}, lambda: h - ema(c, 13)),
    ("elder_ray", "bear", {"length": 13}, lambda: l - ema(c, 13)),
    ("mfi", None, {"length": 14}, money_flow),
    ("cmf", None, {"length": 20}, lambda: ratio_sum(location * v, v, 20)),
    ("efi", None, {"length": 13}, lambda: ema(one * v, 13)),
    ("marketfi", None, {}, lambda: (h - l) / v),
    ("avgprice", None, {}, lambda: (o + h + l + c) / 4),
    ("medprice", None, {}, lambda: middle),
    ("typprice", None, {}, lambda: typical),
    ("wclprice", None, {}, lambda: (h + l + 2 * c) / 4),
    ("coppock", None, {}, lambda: wma(100 * c.pct_change(14) + 100 * c.pct_change(11), 10)),
    ("tsi", None, {}, lambda: 100 * ema(ema(one, 25), 13) / ema(ema(one.abs(), 25), 13)),
]
CUMULATIVE = [
    ("obv", lambda: (np.sign(one) * v).fillna(0.0)),
    ("ad", lambda: location * v),
    ("pvt", lambda: c.pct_change().fillna(0.0) * v),
]


@pytest.mark.parametrize(("name", "output", "given", "definition"), DEFINITIONS, ids=lambda x: x if isinstance(x, str) else "")
def test_talib_computes_the_definition(name, output, given, definition):
    got = run(name, BARS, **given)
    got = got[output or "value"][0]
    wanted = definition().to_numpy(dtype=float)
    part = slice(N // 2, None)
    assert np.isfinite(got[part]).all()
    np.testing.assert_allclose(got[part], wanted[part], rtol=1e-6, atol=1e-8 * np.nanstd(wanted))


@pytest.mark.parametrize(("name", "step"), CUMULATIVE, ids=lambda x: x if isinstance(x, str) else "")
def test_running_totals_grow_by_their_definition(name, step):
    np.testing.assert_allclose(np.diff(run(name, BARS)["value"][0])[5:], step().to_numpy()[6:], rtol=1e-6, atol=1e-6)


def test_the_definitions_cover_the_catalog_broadly():
    assert {name for name, *_ in DEFINITIONS} | {name for name, _ in CUMULATIVE} <= set(names())
    assert len({name for name, *_ in DEFINITIONS} | {name for name, _ in CUMULATIVE}) >= 60
    assert all(spec(name).source for name, *_ in DEFINITIONS)
