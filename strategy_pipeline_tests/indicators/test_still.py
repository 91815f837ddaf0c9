"""What divides by a movement is NaN where nothing moved, and there only: against windows summed afresh."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from strategy_pipeline.indicators import compute
from strategy_pipeline_tests.indicators.conftest import random_walk, run

N = 900
WIDE = np.lib.stride_tricks.sliding_window_view


def dead_market():
    """Stretches of 3 to 40 bars at one price, some without volume as well, and one that is silent while price moves."""
    bars = random_walk(1, N, seed=41)
    fields = {name: getattr(bars, name).copy() for name in ("open", "high", "low", "close", "volume")}
    for first, size in ((100, 3), (150, 13), (200, 14), (260, 15), (330, 27), (400, 30), (500, 40)):
        for name in ("open", "high", "low", "close"):
            fields[name][0, first : first + size] = fields["close"][0, first - 1]
        if size % 2:
            fields["volume"][0, first : first + size] = 0.0
    fields["volume"][0, 700:720] = 0.0
    return bars.with_fields(**fields)


BARS = dead_market()
H, L, C, V = (getattr(BARS, name)[0] for name in ("high", "low", "close", "volume"))
PAST = np.r_[np.nan, C[:-1]]
TRUE = np.maximum(H, PAST) - np.minimum(L, PAST)
BUYING = C - np.minimum(L, PAST)
TYPICAL = (H + L + C) / 3


def over(function, x: np.ndarray, n: int) -> np.ndarray:
    return np.r_[np.full(n - 1, np.nan), function(WIDE(x, n), axis=1)]


def ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.where(b == 0, np.nan, a / b)


def stochastic(n: int) -> np.ndarray:
    return 100 * ratio(C - over(np.min, L, n), over(np.max, H, n) - over(np.min, L, n))


def path(n: int) -> np.ndarray:
    return over(np.sum, np.abs(np.diff(C, prepend=np.nan)), n)


def flow(n: int) -> np.ndarray:
    way = np.sign(np.diff(TYPICAL, prepend=np.nan)) * TYPICAL * V
    return 100 * ratio(over(np.sum, np.maximum(way, 0), n), over(np.sum, np.abs(way), n))


def ultimate() -> np.ndarray:
    short, medium, long = (ratio(over(np.sum, BUYING, n), over(np.sum, TRUE, n)) for n in (7, 14, 28))
    return 100 * (4 * short + 2 * medium + long) / 7


DEFINITIONS = [
    ("willr", "value", {"length": 14}, lambda: stochastic(14) - 100),
    ("stochf", "k", {"length": 14, "signal": 3}, lambda: stochastic(14)),
    ("stochf", "d", {"length": 14, "signal": 3}, lambda: over(np.mean, stochastic(14), 3)),
    ("stoch", "k", {}, lambda: over(np.mean, stochastic(14), 3)),
    ("stoch", "d", {}, lambda: over(np.mean, over(np.mean, stochastic(14), 3), 3)),
    ("ultosc", "value", {}, ultimate),
    ("vortex", "plus", {"length": 14}, lambda: ratio(over(np.sum, np.abs(H - np.r_[np.nan, L[:-1]]), 14), over(np.sum, TRUE, 14))),
    ("vortex", "minus", {"length": 14}, lambda: ratio(over(np.sum, np.abs(L - np.r_[np.nan, H[:-1]]), 14), over(np.sum, TRUE, 14))),
    ("efficiency_ratio", "value", {"length": 10}, lambda: ratio(np.abs(C - np.r_[np.full(10, np.nan), C[:-10]]), path(10))),
    ("vhf", "value", {"length": 14}, lambda: ratio(over(np.max, C, 14) - over(np.min, C, 14), path(14))),
    ("mfi", "value", {"length": 14}, lambda: flow(14)),
]


@pytest.mark.parametrize(("name", "output", "given", "definition"), DEFINITIONS, ids=lambda x: x if isinstance(x, str) else "")
def test_a_ratio_of_movements_is_nan_exactly_where_nothing_moved(name, output, given, definition):
    got, wanted = run(name, BARS, **given)[output][0, 60:], definition()[60:]
    assert 10 < np.isnan(wanted).sum() < 300
    np.testing.assert_array_equal(np.isnan(got), np.isnan(wanted))
    np.testing.assert_allclose(got, wanted, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("name", ["rsi", "connors_rsi"])
def test_a_series_has_no_strength_until_it_first_moves(name):
    close = BARS.close.copy()
    close[0, :300] = close[0, 299]
    values = compute(name, BARS.with_fields(close=close))[0]
    assert np.isnan(values[:300]).all() and np.isfinite(values[300:]).all()


def test_a_strength_that_stands_still_has_no_place_in_its_range():
    """Where the close does not change, RSI stays but for its rounding, of which TA-Lib would make values from 0 to 100."""
    strength = compute("rsi", BARS)[0, 60:]
    span = over(np.max, strength, 14) - over(np.min, strength, 14)
    wanted = np.where(span < 1e-9, np.nan, 100 * (strength - over(np.min, strength, 14)) / span)
    got = compute("stochrsi", BARS, output="k")[0, 60:]
    np.testing.assert_array_equal(np.isnan(got)[20:], np.isnan(wanted)[20:])
    np.testing.assert_allclose(got[20:], wanted[20:], rtol=1e-6, atol=1e-6)
    assert np.isnan(wanted[20:]).sum() > 20


def test_a_flat_market_has_no_distance_in_deviations():
    """The rounding of a weighted mean is no deviation."""
    flat = np.full(BARS.close.shape, 0.1 * 3)
    bands = compute("vwap_bands", BARS.with_fields(open=flat, high=flat, low=flat, close=flat))
    assert np.isnan(bands["zscore"]).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (np.nan_to_num(bands["deviation"]) < 1e-12).all()


def test_a_day_starts_without_spread():
    deviation = compute("session_vwap_bands", random_walk(1, N, seed=2), output="deviation")[0]
    assert (deviation[::24] == 0).all() and (deviation[1::24] > 0).all()
