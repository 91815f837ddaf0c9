"""The written truth of conditions, against tables and definitions made by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategy_pipeline.indicators.expressions import Number, Series
from strategy_pipeline.strategies import And, Compare, Not, Or, parse_condition, truth
from strategy_pipeline_tests.strategies.population import ArrayBank, conditions_on, numbers, random_bank
from strategy_pipeline_tests.strategies.population import plain as plain_series

NAN = float("nan")
# x > 0 is true, false, unknown
KLEENE = {"t": 1.0, "f": -1.0, "u": NAN}


def bank(**arrays: list[float]) -> ArrayBank:
    return ArrayBank({name: np.array([values]) for name, values in arrays.items()})


def positive(name: str) -> Compare:
    return Compare(">", Series(name), Number(0.0))


def test_comparisons_with_a_missing_value_are_unknown() -> None:
    b = bank(open=[1, 2, NAN, NAN], close=[2, 2, 2, NAN])
    assert truth(parse_condition("close > open"), b).tolist() == [[1, 0, -1, -1]]
    assert truth(parse_condition("close >= open"), b).tolist() == [[1, 1, -1, -1]]
    assert truth(parse_condition("close < open"), b).tolist() == [[0, 0, -1, -1]]
    assert truth(parse_condition("close <= open"), b).tolist() == [[0, 1, -1, -1]]
    assert truth(parse_condition("close > 1"), b).dtype == np.int8


def test_not_of_unknown_is_unknown() -> None:
    b = bank(close=[1, -1, NAN])
    assert truth(Not(positive("close")), b).tolist() == [[0, 1, -1]]


@pytest.mark.parametrize(
    ("pair", "conjunction", "disjunction"),
    [("tt", 1, 1), ("tf", 0, 1), ("tu", -1, 1), ("ff", 0, 0), ("fu", 0, -1), ("uu", -1, -1), ("ut", -1, 1), ("uf", 0, -1), ("ft", 0, 1)],
)
def test_and_or_follow_kleene(pair: str, conjunction: int, disjunction: int) -> None:
    b = bank(open=[KLEENE[pair[0]]], close=[KLEENE[pair[1]]])
    terms = (positive("open"), positive("close"))
    assert truth(And(terms), b).tolist() == [[conjunction]]
    assert truth(Or(terms), b).tolist() == [[disjunction]]


def test_a_crossing_needs_two_valid_neighbouring_bars() -> None:
    b = bank(close=[0, 2, 0, NAN, 2, 2, 1, 2], open=[1, 1, 1, 1, 1, 1, 1, 1])
    assert truth(parse_condition("crosses_above(close, open)"), b).tolist() == [[-1, 1, 0, -1, -1, 0, 0, 1]]
    assert truth(parse_condition("crosses_below(close, open)"), b).tolist() == [[-1, 0, 1, -1, -1, 0, 0, 0]]


def test_a_crossing_counts_a_touch_as_not_yet_crossed() -> None:
    b = bank(close=[1, 2], open=[1, 1])
    assert truth(parse_condition("crosses_above(close, open)"), b).tolist() == [[-1, 1]]


def test_a_crossing_with_a_false_half_and_an_unknown_half_is_unknown() -> None:
    # today is already not above, but yesterday is missing: the crossing itself is unknown, not false
    b = bank(close=[NAN, 0], open=[1, 1])
    assert truth(parse_condition("crosses_above(close, open)"), b).tolist() == [[-1, -1]]


def by_definition(condition, b: ArrayBank, i: int, t: int) -> int:
    """One bar at a time, in Python, as the docstring of `conditions` says it."""
    if isinstance(condition, Compare):
        left, right = b.evaluate(condition.left)[i], b.evaluate(condition.right)[i]
        if condition.op.startswith("crosses"):
            if t == 0 or np.isnan([left[t], right[t], left[t - 1], right[t - 1]]).any():
                return -1
            above = condition.op == "crosses_above"
            crossed = left[t] > right[t] and left[t - 1] <= right[t - 1] if above else left[t] < right[t] and left[t - 1] >= right[t - 1]
            return int(crossed)
        if np.isnan(left[t]) or np.isnan(right[t]):
            return -1
        return int({">": left[t] > right[t], "<": left[t] < right[t], ">=": left[t] >= right[t], "<=": left[t] <= right[t]}[condition.op])
    if isinstance(condition, Not):
        return {1: 0, 0: 1, -1: -1}[by_definition(condition.term, b, i, t)]
    inner = [{1: 2, -1: 1, 0: 0}[by_definition(term, b, i, t)] for term in condition.terms]  # false < unknown < true
    return {2: 1, 1: -1, 0: 0}[min(inner) if isinstance(condition, And) else max(inner)]


@given(conditions_on(st.one_of(plain_series, numbers)), st.integers(0, 1000))
def test_truth_equals_its_definition_bar_by_bar(condition, seed: int) -> None:
    b = random_bank(seed, 1, 12)
    expected = [[by_definition(condition, b, 0, t) for t in range(12)]]
    assert truth(condition, b).tolist() == expected
