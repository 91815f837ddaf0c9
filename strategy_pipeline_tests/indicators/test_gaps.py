"""The gap rule, warm-up NaNs and degenerate rows, over the whole catalog."""

from __future__ import annotations

import numpy as np
import pytest

from strategy_pipeline.indicators import names, spec
from strategy_pipeline.market import Bars
from strategy_pipeline_tests.indicators.conftest import blanked, random_walk
from strategy_pipeline_tests.indicators.conftest import run as outputs

PER_SYMBOL = [name for name in names() if spec(name).scope == "symbol" and not {"time", *spec(name).named_inputs} & set(spec(name).inputs)]
# NaN can also follow the lookback where an entry is undefined: no swing yet, no reversion, no trade, no other side.
SPARSE = {
    "swing_high", "swing_low", "zigzag", "half_life", "hour_return", "week_hour_return", "hour_volume_ratio", "ratio_zscore",
    "cointegration_residual", "cross_rank", "relative_strength", "pivot_points",
}  # fmt: skip


@pytest.mark.parametrize("name", PER_SYMBOL)
def test_a_gap_is_skipped_and_stays_a_gap(name):
    """On the bars that exist, values are those of a history that never had the others."""
    bars = random_walk(1, 420, seed=11)
    gone = np.r_[150:155, 300]
    kept = np.setdiff1d(np.arange(420), gone)
    fields = {
        field: getattr(bars, field)[:, kept]
        for field in ("open", "high", "low", "close", "volume", "quote_volume", "trades", "taker_buy_volume")
    }
    closed_up = Bars(symbols=bars.symbols, timeframe="1h", times=bars.times[: len(kept)], **fields)
    expected = outputs(name, closed_up)
    for key, values in outputs(name, blanked(bars, 0, gone)).items():
        assert np.isnan(values[0, gone]).all(), key
        np.testing.assert_array_equal(values[0, kept], expected[key][0], err_msg=key)


@pytest.mark.parametrize("name", names())
def test_values_start_exactly_after_the_lookback(name, whole):
    entry = spec(name)
    first = entry.lookback(entry.values(()))
    for key, values in outputs(name, whole).items():
        assert values.shape == whole.close.shape and values.dtype == np.float64 and not values.flags.writeable
        assert not np.isinf(values).any()
        assert np.isnan(values[:, :first]).all(), key
        if name not in SPARSE:
            assert np.isfinite(values[:, first:]).all(), key
        else:
            assert np.isfinite(values[1]).any() or name in ("hour_return", "week_hour_return"), key


@pytest.mark.parametrize("name", names())
def test_bounds_hold(name, gappy):
    entry = spec(name)
    for key, values in outputs(name, gappy).items():
        output = entry.output(key if key in entry.output_names else None)
        known = values[np.isfinite(values)]
        assert (known >= output.low - 1e-9).all() and (known <= output.high + 1e-9).all(), key


@pytest.mark.parametrize("corner", ["minimum", "low", "high"])
def test_the_ends_of_every_parameter_compute_within_bounds(corner, whole):
    for name in names():
        entry = spec(name)
        given = {p.name: p.low if corner == "low" or not np.isfinite(getattr(p, corner)) else getattr(p, corner) for p in entry.params}
        first = entry.lookback(entry.values(tuple(given.values())))
        for key, values in outputs(name, whole, **given).items():
            output = entry.output(key)
            known = values[np.isfinite(values)]
            assert not np.isinf(values).any() and np.isnan(values[:, :first]).all(), (name, given)
            assert (known >= output.low - 1e-9).all() and (known <= output.high + 1e-9).all(), (name, given)


def degenerate(kind: str) -> Bars:
    bars = random_walk(2, 200, seed=3)
    if kind == "one bar":
        return bars.between(None, bars.times[1])
    if kind == "all NaN":
        return blanked(bars, 0, slice(None))
    if kind == "constant":
        flat = np.full(bars.close.shape, 7.0)
        return bars.with_fields(open=flat, high=flat, low=flat, close=flat)
    zero = np.zeros(bars.close.shape)
    return bars.with_fields(volume=zero, quote_volume=zero, trades=zero, taker_buy_volume=zero)


@pytest.mark.parametrize("kind", ["one bar", "all NaN", "constant", "zero volume"])
def test_degenerate_rows_give_numbers_or_nan_and_never_infinity(kind):
    bars = degenerate(kind)
    for name in names():
        for key, values in outputs(name, bars).items():
            assert not np.isinf(values).any(), (name, key)
            if kind == "all NaN" and spec(name).inputs != ("time",):
                assert np.isnan(values[0]).all(), (name, key)


@pytest.mark.parametrize(
    "name",
    ["rsi", "stoch", "cci", "adx", "zscore", "rank", "roc", "natr", "realized_volatility", "yang_zhang", "hurst", "bbands", "ema", "atr"],
)
def test_prices_in_another_currency_scale_prices_and_leave_the_rest(name, whole):
    scaled = whole.with_fields(**{field: getattr(whole, field) * 1024.0 for field in ("open", "high", "low", "close")})
    entry, before = spec(name), outputs(name, whole)
    for key, values in outputs(name, scaled).items():
        output = entry.output(key if key in entry.output_names else None)
        factor = 1024.0 if output.unit in ("price", "difference") else 1.0
        np.testing.assert_allclose(values, before[key] * factor, rtol=1e-9, atol=1e-12)
