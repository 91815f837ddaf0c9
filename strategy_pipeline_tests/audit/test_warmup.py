"""Declared warm-ups suffice: the bars that an entry says it needs determine its value."""

from __future__ import annotations

import pytest

from strategy_pipeline.audit import audit_warmup
from strategy_pipeline.indicators import macro_series, names, spec
from strategy_pipeline_tests.indicators.conftest import random_walk, world

CUMULATIVE = {"ad", "cumulative_delta", "nvi", "obv", "pvi", "pvt", "wad"}


def test_declared_warm_ups_suffice_on_real_bars(real, real_world):
    result = audit_warmup(None, real, n_times=8, seed=6, series=lambda bars: macro_series(real_world["macro"], bars))
    assert result["passed"].all(), result[~result["passed"]].to_string()
    assert {name.split(".")[0] for name in result["name"]} == {
        name for name in names() if not any(each.startswith("book.") for each in spec(name).named_inputs)
    }


def test_declared_warm_ups_suffice_on_a_walk_with_gaps(gappy):
    """What 600 bars have room for, at many moments."""
    result = audit_warmup(None, gappy, n_times=12, seed=16, series=world)
    enough = ~result["note"].str.contains("warm-up takes")
    assert result[enough & (result["compared"] > 0)]["passed"].all(), result[enough & ~result["passed"]].to_string()
    assert (enough & (result["compared"] > 0)).mean() > 0.8


def test_declared_warm_ups_suffice_on_the_sample_market(sample):
    short = [name for name in names() if not spec(name).named_inputs and spec(name).warmup(spec(name).values(())) < 1500]
    result = audit_warmup(short, sample, n_times=6, seed=17)
    assert result["passed"].all(), result[~result["passed"]].to_string()


@pytest.mark.parametrize("corner", ["low", "high"])
def test_warm_ups_grow_with_the_parameters(corner):
    """An entry with longer (shorter) windows declares at least (at most) what its default does, and never less than its lookback."""
    for name in names():
        entry = spec(name)
        default = entry.values(())
        given = entry.values(tuple(getattr(p, corner) for p in entry.params))
        assert entry.warmup(given) > entry.lookback(given) or entry.lookback(given) == 0 == entry.warmup(given) - 1, name
        lengths = [p.name for p in entry.params if p.whole]
        if lengths and len(lengths) == len(entry.params):
            longer = entry.warmup(given) >= entry.warmup(default)
            assert longer if corner == "high" else entry.warmup(given) <= entry.warmup(default), name


@pytest.mark.parametrize("corner", ["low", "high"])
def test_warm_ups_suffice_at_the_ends_of_the_search_ranges(corner, sample):
    """Recomputed with each entry's extreme parameters on the bars that it then declares."""
    from strategy_pipeline_tests.audit.warmups import worst_at_corner

    found = worst_at_corner(sample, corner, n_times=3, seed=18)
    assert {name: worst for name, worst in found.items() if worst > 1e-6} == {}
    assert len(found) > 150


def test_entries_that_read_quotes_are_audited_with_them(gappy):
    quoted = [name for name in names() if any(each.startswith("book.") for each in spec(name).named_inputs)]
    result = audit_warmup(quoted, gappy, n_times=5, seed=6, series=world)
    assert len(result) == 6 and result["passed"].all(), result.to_string()


def test_entries_marked_cumulative_are_the_running_totals():
    """Audited on their differences, so the mark must not spread."""
    assert {name for name in names() if spec(name).cumulative} == CUMULATIVE


def test_a_history_shorter_than_the_warm_up_is_told(gappy):
    result = audit_warmup(["kama"], gappy, seed=8)
    assert not result["passed"].any() and "5030 bars" in result["note"].iloc[0]


def test_a_symbol_with_too_few_bars_is_not_judged_by_those_that_have_enough():
    bars = random_walk(2, 600, seed=8)
    close = bars.close.copy()
    close[1, 50:560] = float("nan")  # listed early, silent since: 90 bars, cut by any window that suits the other
    result = audit_warmup(["ema"], bars.with_fields(close=close), n_times=30, seed=9)
    assert result["passed"].all(), result.to_string()
