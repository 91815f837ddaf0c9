"""Nothing sees the future: every entry of the catalog and every feature of every set, at many moments, on three histories."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import pytest

from strategy_pipeline.audit import audit_lookahead, catalog_functions, feature_functions, left_out
from strategy_pipeline.audit.lookahead import audit_times
from strategy_pipeline.errors import NoDataError
from strategy_pipeline.features import FEATURE_SETS
from strategy_pipeline.indicators import book_series, compute, macro_series, names, spec
from strategy_pipeline.market import Bars
from strategy_pipeline_tests.indicators.conftest import world

# Longer than six hundred hours with their default lengths; audited on the longer histories.
LONG = {"hour_return", "week_hour_return", "correlation_sp500", "correlation_nasdaq", "correlation_dxy", "correlation_vix"}


def known_series(tables: dict[str, pd.DataFrame], bars: Bars) -> dict[str, np.ndarray]:
    """The named series of a world of tables."""
    return macro_series(tables["macro"], bars) | (book_series(tables["book"], bars) if "book" in tables else {})


def failed(result: pd.DataFrame) -> str:
    return result[~result["passed"]].to_string()


def outputs_of(entries: set[str]) -> set[str]:
    return {name if len(spec(name).outputs) == 1 else f"{name}.{output.name}" for name in entries for output in spec(name).outputs}


def test_the_whole_catalog_sees_no_future_at_many_moments(gappy):
    entries = set(names()) - LONG
    result = audit_lookahead(catalog_functions(gappy, sorted(entries), series=world), gappy, n_times=48, seed=2)
    assert result["passed"].all(), failed(result)
    assert set(result["name"]) == outputs_of(entries)
    assert result["compared"].median() > 300


def test_the_whole_catalog_sees_no_future_on_real_bars(real, real_world):
    recent = real.between("2023-02-01", None)
    series = partial(known_series, real_world)
    result = audit_lookahead(catalog_functions(recent, series=series), recent, n_times=10, seed=3)
    assert result["passed"].all(), failed(result)
    assert set(result["name"]) == outputs_of(set(names()) - set(left_out(recent, series=series)))
    assert all("book." in lacking for lacking in left_out(recent, series=series).values())


def test_the_whole_catalog_sees_no_future_on_the_sample_market(sample, sample_world):
    functions = catalog_functions(sample, series=partial(known_series, sample_world))
    result = audit_lookahead(functions, sample, n_times=10, seed=11)
    assert result["passed"].all(), failed(result)
    assert set(result["name"]) == outputs_of(set(names()))


@pytest.mark.parametrize("corner", ["low", "high"])
def test_no_parameter_lets_an_entry_see_the_future(corner, gappy):
    """At the ends of the search ranges; lengths are kept within the history."""

    def at_the_corner(name: str, bars: Bars) -> object:
        entry = spec(name)
        given = {p.name: min(getattr(p, corner), 200) if p.whole else getattr(p, corner) for p in entry.params}
        named = {each: values for each, values in world(bars).items() if each in entry.named_inputs}
        return compute(name, bars, named=named or None, **given)

    functions = {name: partial(at_the_corner, name) for name in set(names()) - LONG if spec(name).params}
    result = audit_lookahead(functions, gappy, n_times=4, seed=12)
    # A longest window may leave nothing to compare, but never a difference.
    assert (result["worst"] <= 1e-9).all(), result[result["worst"] > 1e-9].to_string()
    assert result["passed"].mean() > 0.97


@pytest.mark.parametrize("timeframe", ["4h", "1d"])
def test_higher_timeframes_show_closed_bars_only(timeframe, gappy):
    plain = [name for name in names() if spec(name).scope == "symbol" and not spec(name).named_inputs]
    functions = {name: partial(compute, name, timeframe=timeframe) for name in plain if spec(name).warmup(spec(name).values(())) < 100}
    result = audit_lookahead(functions, gappy, n_times=5, seed=13)
    assert (result["worst"] == 0).all(), result[result["worst"] > 0].to_string()
    assert len(functions) > 120 and result["passed"].mean() > (0.4 if timeframe == "1d" else 0.95)


def test_the_full_set_holds_the_features_of_the_others():
    """So that its audit is theirs."""
    whole = {feature.name: feature for feature in FEATURE_SETS["full"].features("1h")}
    for one in FEATURE_SETS.values():
        assert all(whole.get(feature.name) == feature for feature in one.features("1h"))


def test_every_feature_sees_no_future_in_the_sample_world(sample, sample_world):
    result = audit_lookahead(feature_functions("full", sample_world), sample, n_times=10, seed=5)
    assert result["passed"].all(), failed(result)
    assert len(result) == len(FEATURE_SETS["full"].features("1h"))


def test_features_see_no_future_in_the_real_world(real, real_world):
    result = audit_lookahead(feature_functions("full", real_world), real, n_times=3, seed=4)
    absent = result["note"] != ""  # no quotes, social posts, funding or open interest then and there
    assert (result["worst"] == 0).all(), result[result["worst"] > 0].to_string()
    assert result[~absent]["passed"].all()
    assert (~absent).mean() > 0.85


@pytest.mark.parametrize("name", ["minimal", "standard"])
def test_smaller_sets_see_no_future(name, sample, sample_world):
    result = audit_lookahead(feature_functions(name, sample_world), sample, n_times=3, seed=6)
    assert result["passed"].all(), failed(result)


def test_nothing_to_compare_is_no_pass(gappy):
    result = audit_lookahead({"silent": lambda bars: np.full(bars.close.shape, np.nan)}, gappy, seed=1)
    assert not result["passed"].any() and "nothing finite" in result["note"].iloc[0]
    with pytest.raises(NoDataError):
        audit_lookahead({}, gappy.between(None, gappy.times[2]), seed=1)


def test_moments_are_distinct_repeatable_and_among_them_gaps(gappy):
    times = audit_times(gappy, 30, 1)
    assert times == audit_times(gappy, 30, 1) != audit_times(gappy, 30, 2)
    assert len(set(times)) == len(times) >= 28
    assert min(times) >= 150 and max(times) < 599
    assert set(times) & set(range(300, 305))


def test_entries_that_cannot_be_audited_are_told_with_what_they_lack(gappy):
    bare = gappy.with_fields(trades=None)
    assert left_out(bare, ["rsi", "trade_intensity", "correlation_vix"]) == {"trade_intensity": "trades", "correlation_vix": "macro.vix"}
    assert list(catalog_functions(bare, ["rsi", "trade_intensity", "correlation_vix"])) == ["rsi"]
    assert not left_out(gappy, series=world)


def test_named_series_are_made_once_for_the_same_bars(gappy):
    asked: list[Bars] = []

    def series(bars: Bars) -> dict[str, np.ndarray]:
        asked.append(bars)
        return world(bars)

    audit_lookahead(catalog_functions(gappy, ["book_imbalance", "microprice", "quoted_spread"], series=series), gappy, n_times=3, seed=1)
    assert len(asked) == 4
