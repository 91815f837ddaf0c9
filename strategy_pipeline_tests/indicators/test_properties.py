"""What must hold of every entry, or of every entry of a kind: scale, symmetry, constants, timeframes."""

from __future__ import annotations

import numpy as np
import pytest

from strategy_pipeline.indicators import compute, names, spec
from strategy_pipeline.market.timeframes import TIMEFRAMES, divides
from strategy_pipeline_tests.indicators.conftest import random_walk, run

BARS = random_walk(2, 900, seed=7)
PRICES = ("open", "high", "low", "close")
# How each scales when prices do, where that is neither as a price nor not at all.
POWERS = {"variance": 2, "sum": 1, "efi": 1, "marketfi": 1, "amihud": -1}


@pytest.mark.parametrize("name", [name for name in names() if name != "linearreg_angle" and not spec(name).named_inputs])
def test_prices_in_another_currency_scale_prices_and_leave_the_rest(name):
    """A power of two changes no digits; the angle of a slope is that of its own units."""
    scaled = BARS.with_fields(**{field: getattr(BARS, field) * 1024.0 for field in PRICES})
    entry, before = spec(name), run(name, BARS)
    for key, values in run(name, scaled).items():
        power = POWERS.get(name, 1 if entry.output(key).unit in ("price", "difference") else 0)
        np.testing.assert_allclose(values, before[key] * 1024.0**power, rtol=1e-7, atol=1e-9, err_msg=key)


FLIPPED = ["mom", "macd", "ao", "qstick", "linearreg_slope", "dpo", "bop", "cmo_sum", "aroonosc", "zscore", "cci"]


@pytest.mark.parametrize("name", FLIPPED)
def test_a_market_upside_down_turns_the_sign(name):
    """Prices mirrored about a level: what rose falls, highs become lows."""
    mirrored = BARS.with_fields(open=1000 - BARS.open, high=1000 - BARS.low, low=1000 - BARS.high, close=1000 - BARS.close)
    for key, values in run(name, mirrored).items():
        np.testing.assert_allclose(values, -run(name, BARS)[key], rtol=1e-6, atol=1e-6, err_msg=key)


@pytest.mark.parametrize(
    "name", ["sma", "ema", "wma", "hma", "kama", "dema", "highest", "lowest", "midpoint", "vwap", "supersmoother", "alma"]
)
def test_an_average_of_a_constant_is_the_constant(name):
    flat = np.full(BARS.close.shape, 7.0)
    values = run(name, BARS.with_fields(open=flat, high=flat, low=flat, close=flat))["value"]
    np.testing.assert_allclose(values[np.isfinite(values)], 7.0, rtol=1e-12)
    assert np.isfinite(values).any()


@pytest.mark.parametrize("timeframe", [each for each in TIMEFRAMES if each != "1h" and divides("1h", each)])
def test_any_coarser_timeframe_is_that_of_its_own_bars(timeframe):
    """From hourly bars: at the last hour of each coarser bar, the value computed on those bars."""
    coarse = BARS.resample(timeframe)
    got, wanted = compute("roc", BARS, length=2, timeframe=timeframe), compute("roc", coarse, length=2)
    at = np.searchsorted(BARS.available_at, coarse.available_at)
    inside = at < BARS.n_bars
    np.testing.assert_array_equal(got[:, at[inside]], wanted[:, inside])
