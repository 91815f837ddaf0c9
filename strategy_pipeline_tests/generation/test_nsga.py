"""Fronts, crowding and hypervolume against definitions written out."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategy_pipeline.generation import nsga


def plain_ranks(costs: np.ndarray) -> list[int]:
    """Front by front, from the definition."""
    left, found, level = set(range(len(costs))), [0] * len(costs), 0
    while left:
        front = {i for i in left if not any((costs[j] <= costs[i]).all() and (costs[j] < costs[i]).any() for j in left)}
        for i in front:
            found[i] = level
        left -= front
        level += 1
    return found


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 30), st.integers(1, 4), st.integers(2, 6))
def test_fronts_are_those_of_the_definition(seed: int, n: int, m: int, grid: int) -> None:
    costs = np.random.default_rng(seed).integers(0, grid, (n, m)).astype(float)
    costs[costs.sum(axis=1) == 0] = np.inf
    assert nsga.ranks(costs).tolist() == plain_ranks(costs)


def test_crowding_is_the_span_of_neighbours_and_infinite_at_the_ends() -> None:
    costs = np.array([[0.0, 4.0], [1.0, 2.0], [3.0, 1.0], [4.0, 0.0], [5.0, 5.0]])
    front = nsga.ranks(costs)
    assert front.tolist() == [0, 0, 0, 0, 1]
    assert nsga.crowding(costs, front).tolist() == [np.inf, 3 / 4 + 3 / 4, 3 / 4 + 2 / 4, np.inf, np.inf]


def test_survivors_are_whole_fronts_then_the_least_crowded() -> None:
    costs = np.array([[0.0, 10.0], [5.0, 5.0], [5.1, 4.9], [10.0, 0.0], [11.0, 11.0]])
    assert set(nsga.survivors(costs, 3).tolist()) - {0, 3} <= {1, 2}
    assert nsga.survivors(costs, 5).tolist()[-1] == 4


@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_hypervolume_is_that_of_the_union_of_boxes(m: int) -> None:
    rng = np.random.default_rng(m)
    for _ in range(8):
        costs = rng.random((6, m))
        reference = np.full(m, 0.9)
        inside = costs[(costs < reference).all(axis=1)]
        by_inclusion = sum(
            (-1) ** (k + 1) * np.prod(reference - np.max(np.array(some), axis=0))
            for k in range(1, len(inside) + 1)
            for some in itertools.combinations(inside, k)
        )
        assert nsga.hypervolume(costs, reference) == pytest.approx(float(by_inclusion), abs=1e-12)


def test_what_is_not_below_the_reference_adds_no_volume() -> None:
    assert nsga.hypervolume(np.array([[2.0, 0.0], [np.inf, np.inf]]), np.array([1.0, 1.0])) == 0.0
    assert nsga.hypervolume(np.empty((0, 3)), np.ones(3)) == 0.0
