"""Many lengths of one indicator: together in one pass, the same bytes as one by one."""

from __future__ import annotations

import numpy as np
import pytest
import talib
from hypothesis import given
from hypothesis import strategies as some

from strategy_pipeline.indicators import Bank, Series, compute, families, term
from strategy_pipeline.indicators.kernels import families as loops
from strategy_pipeline.indicators.rows import prepare
from strategy_pipeline_tests.indicators.conftest import blanked, random_walk

ALONE = {
    "sma": talib.SMA, "ema": talib.EMA, "wma": talib.WMA, "rma": talib.RMA, "dema": talib.DEMA, "tema": talib.TEMA,
    "variance": talib.VAR, "stddev": talib.STDDEV, "highest": talib.MAX, "lowest": talib.MIN,
}  # fmt: skip
STAGES = {"dema": 2, "tema": 3}


def alone(name, x, length):
    """TA-Lib's own result; NaN where its first value would lie beyond the series."""
    return ALONE[name](x, length) if STAGES.get(name, 1) * (length - 1) < len(x) else np.full(len(x), np.nan)


LENGTHS = [2, 3, 5, 14, 30, 31, 32, 33, 64, 100, 250, 599, 600, 601, 2000]


@pytest.mark.parametrize("name", ALONE)
def test_together_and_alone_are_the_same_bytes(name, gappy):
    """With gaps, a late listing, lengths longer than the history, and one symbol or several."""
    together = Bank(gappy, workers=2).evaluate_many([term(name, length=n) for n in LENGTHS])
    for length, values in zip(LENGTHS, together, strict=True):
        assert values.tobytes() == Bank(gappy, workers=1).evaluate(term(name, length=length)).tobytes(), length
        existing = gappy.close[1][np.isfinite(gappy.close[1])]
        np.testing.assert_array_equal(values[1][np.isfinite(gappy.close[1])], alone(name, existing, length))
        assert np.isnan(values[1, 300:305]).all() and not values.flags.writeable


@given(some.integers(0, 10**6), some.lists(some.integers(2, 90), min_size=4, max_size=9, unique=True), some.sampled_from(list(ALONE)))
def test_families_hold_on_any_series(seed, lengths, name):
    draw = np.random.default_rng(seed)
    x = np.round(draw.standard_normal(80), int(draw.integers(0, 3)))  # rounded, so that values tie
    rows = [np.empty(80) for _ in lengths]
    families.fill_rows(name, prepare([x]), sorted(lengths), rows)
    for length, row in zip(sorted(lengths), rows, strict=True):
        np.testing.assert_array_equal(row, alone(name, x, length))


@pytest.mark.parametrize("name", ALONE)
@pytest.mark.parametrize("level", [0.0, 1e6])
def test_families_hold_where_sums_start_afresh(name, level):
    """Long enough for every stretch and re-anchoring, with outliers, a flat stretch, ties, and a level that drowns the steps."""
    draw = np.random.default_rng(8)
    x = level + np.cumsum(np.round(draw.standard_normal(9_000), 1)) * 1e-2
    x[[2_000, 2_050, 7_777]] *= 1e5
    x[4_000:4_700] = x[4_000]
    lengths = [2, 3, 4, 5, 9, 16, 17, 63, 64, 65, 250, 256, 1_000, 2_500, 4_000]
    rows = [np.empty(len(x)) for _ in lengths]
    families.fill_rows(name, prepare([x]), lengths, rows)
    for length, row in zip(lengths, rows, strict=True):
        np.testing.assert_array_equal(row, alone(name, x, length), err_msg=f"{name} {length}")


def test_zeros_come_without_a_sign_together_and_alone(whole):
    signed = np.where(np.arange(600) % 2, -0.0, 0.0) * np.ones((3, 1))
    bank = Bank(whole, series={"a.b": signed}, workers=1)
    for name in ("highest", "lowest"):
        for length, values in zip(
            (2, 3, 4, 8), bank.evaluate_many([term(name, Series("a.b"), length=n) for n in (2, 3, 4, 8)]), strict=True
        ):
            one = Bank(whole, series={"a.b": signed}, workers=1).evaluate(term(name, Series("a.b"), length=length))
            assert values.tobytes() == one.tobytes() and not np.signbit(values[:, length:]).any()


def test_the_bank_takes_the_pass_when_enough_lengths_are_asked(whole, monkeypatch):
    seen = []
    real = families.fill_rows
    monkeypatch.setattr(
        families,
        "fill_rows",
        lambda name, prepared, lengths, rows: (seen.append((name, tuple(lengths))), real(name, prepared, lengths, rows)),
    )
    bank = Bank(whole, workers=1)
    bank.evaluate_many([term("sma", length=n) for n in (5, 6, 7)])
    assert seen == []
    bank.evaluate_many(
        [term("sma", length=n) for n in (20, 5, 10, 30, 40)] + [term("sma", Series("high"), length=9), term("rsi", length=9)]
    )
    assert seen == [("sma", (10, 20, 30, 40))] * 3
    assert bank.computed == 3 + 4 + 2


def test_a_library_that_rounds_otherwise_is_used_one_by_one(whole, monkeypatch):
    """Where the loop does not repeat TA-Lib bit by bit, averages are not computed as a family."""
    expected = Bank(whole, workers=1).evaluate_many([term("ema", length=n) for n in (5, 9, 13, 17)])
    families._same_bytes.cache_clear()
    monkeypatch.setattr(loops, "ema", loops.sma)
    try:
        assert not families.has_family("ema")
        got = Bank(whole, workers=1).evaluate_many([term("ema", length=n) for n in (5, 9, 13, 17)])
    finally:
        families._same_bytes.cache_clear()
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_infinite_results_are_missing_in_a_family_too(whole):
    huge = whole.with_fields(close=np.full(whole.close.shape, 1e308))
    for name in ALONE:
        for values in Bank(huge, workers=1).evaluate_many([term(name, length=n) for n in (10, 20, 30, 40)]):
            assert not np.isinf(values).any()


def test_rows_are_written_throughout_where_nothing_exists():
    bars = blanked(random_walk(2, 50, seed=2), 0, slice(None))
    for name in ALONE:
        for values in Bank(bars, workers=1).evaluate_many([term(name, length=n) for n in (2, 3, 4, 5)]):
            assert np.isnan(values[0]).all() and np.isfinite(values[1, 12:]).all()
    np.testing.assert_array_equal(compute("highest", bars, length=1), bars.close)
