"""Trials are counted once, kept, merged, and refused from another version; clusters of them."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategy_pipeline.selection import InvalidReturnsError, LedgerVersionError, TrialsLedger, cluster_labels, effective_trials

DAY = dt.date(2025, 6, 29)
records = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("uvwxyz"), st.integers(0, 9), st.sampled_from(["g", "o"])), max_size=30)


def ledger_of(rows) -> TrialsLedger:
    ledger = TrialsLedger()
    for search, strategy_id, shift, origin in rows:
        ledger.record(search, [strategy_id], day=DAY + dt.timedelta(days=shift), origin=origin)
    return ledger


def test_an_id_counts_once_however_often_it_is_evaluated():
    ledger = TrialsLedger()
    assert ledger.record("s", ["a", "b", "a"], day=DAY) == 2
    assert ledger.record("s", ["b", "c"], day=DAY) == 1
    assert ledger.record("other", ["a"], day=DAY) == 1
    assert (ledger.count("s"), ledger.count("other"), ledger.count(), ledger.count("none")) == (3, 1, 3, 0)
    assert ledger.searches == ("other", "s")


def test_a_count_through_a_day_does_not_see_later_trials():
    ledger = ledger_of([("s", "a", 0, ""), ("s", "b", 2, "")])
    assert ledger.count("s", through=DAY + dt.timedelta(days=1)) == 1
    assert ledger.count("s", through=DAY + dt.timedelta(days=2)) == 2


@given(records, records)
def test_merging_is_commutative_idempotent_and_loses_nothing(left, right):
    a, b = ledger_of(left), ledger_of(right)
    pd.testing.assert_frame_equal(a.merge(b).to_frame(), b.merge(a).to_frame())
    pd.testing.assert_frame_equal(a.merge(a).to_frame(), a.to_frame())
    assert a.merge(b).ids() == a.ids() | b.ids()


@given(records)
def test_a_ledger_survives_its_frame(rows):
    ledger = ledger_of(rows)
    pd.testing.assert_frame_equal(TrialsLedger.from_frame(ledger.to_frame()).to_frame(), ledger.to_frame())


def test_a_ledger_survives_parquet(tmp_path):
    frame = ledger_of([("s", "a", 0, "g"), ("s", "b", 2, "o")]).to_frame()
    frame.to_parquet(tmp_path / "trials.parquet")
    again = TrialsLedger.from_frame(pd.read_parquet(tmp_path / "trials.parquet"))
    pd.testing.assert_frame_equal(again.to_frame(), frame)


def test_a_ledger_of_another_version_is_refused():
    frame = ledger_of([("s", "a", 0, "g")]).to_frame()
    with pytest.raises(LedgerVersionError, match="Expected a trials ledger of version 1, was 2"):
        TrialsLedger.from_frame(frame.assign(version=2))
    with pytest.raises(LedgerVersionError, match="without origin"):
        TrialsLedger.from_frame(frame.drop(columns="origin"))


def test_a_damaged_ledger_is_named_and_not_half_read():
    frame = ledger_of([("s", "a", 0, "g"), ("s", "b", 1, "g")]).to_frame()
    for version in ("new", None, 1.5):
        with pytest.raises(LedgerVersionError, match=f"was 1, {version}"):
            TrialsLedger.from_frame(frame.assign(version=pd.Series([1, version], dtype=object)))
    for column, value in (("strategy_id", None), ("search", ""), ("day", pd.NaT)):
        broken = frame.copy()
        broken[column] = pd.Series([frame[column][0], value], dtype=frame[column].dtype)
        with pytest.raises(LedgerVersionError, match="was without one in row 1"):
            TrialsLedger.from_frame(broken)


def test_a_trial_without_a_name_cannot_be_counted():
    with pytest.raises(InvalidReturnsError, match="name of a search"):
        TrialsLedger().record("", ["a"], day=DAY)
    with pytest.raises(InvalidReturnsError, match="strategy ids as text"):
        TrialsLedger().record("s", [""], day=DAY)


def grouped(groups: int, each: int, noise: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.repeat(rng.standard_normal((400, groups)), each, axis=1) + noise * rng.standard_normal((400, groups * each))


def test_variations_of_one_strategy_are_one_trial():
    assert effective_trials(grouped(7, 12, 0.2)) == 7
    labels = cluster_labels(grouped(7, 12, 0.2))
    assert all(len(set(labels[g * 12 : g * 12 + 12])) == 1 for g in range(7))


def test_unrelated_strategies_are_all_trials():
    assert effective_trials(np.random.default_rng(0).standard_normal((400, 60))) == 60


def test_a_strategy_and_its_opposite_are_two_trials():
    column = np.random.default_rng(0).standard_normal((100, 1))
    assert effective_trials(np.hstack([column, -column])) == 2


def test_sampling_a_large_population_finds_the_same_clusters():
    returns = grouped(25, 40, 0.2, seed=3)
    assert effective_trials(returns, max_linkage=100) == effective_trials(returns) == 25


def test_strategies_that_never_traded_are_no_trials():
    returns = np.column_stack([grouped(3, 2, 0.1), np.zeros(400), np.full(400, np.nan)])
    assert effective_trials(returns) == 3
    assert cluster_labels(returns)[-2:].tolist() == [-1, -1]
    assert effective_trials(np.zeros((50, 4))) == 1


def test_a_correlation_outside_its_range_is_refused():
    with pytest.raises(InvalidReturnsError, match="correlation"):
        effective_trials(np.ones((5, 2)), correlation=1.0)
