"""Covariance matrix adaptation finds optima of known functions, and its places are those of the parameters."""

from __future__ import annotations

import numpy as np
import pytest

from strategy_pipeline.optimization.cma import CovarianceMatrixAdaptation, number, place, proposals
from strategy_pipeline.rng import generator
from strategy_pipeline.strategies import Parameter

CENTRE = np.array([0.3, 0.7, 0.45, 0.6])
TURN = np.linalg.qr(np.random.default_rng(0).standard_normal((4, 4)))[0]
FUNCTIONS = {
    "sphere": lambda x: -((x - CENTRE) ** 2).sum(axis=1),
    "ellipsoid": lambda x: -(10.0 ** np.arange(4) * ((x - CENTRE) @ TURN) ** 2).sum(axis=1),
    "corner": lambda x: x.sum(axis=1),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_it_finds_the_optimum(name: str) -> None:
    search = CovarianceMatrixAdaptation(np.full(4, 0.5), 12)
    best = -np.inf
    for generation in range(90):
        points = search.ask(generator(1, name, generation), 12)
        assert ((points >= 0) & (points <= 1)).all()
        values = FUNCTIONS[name](points)
        best = max(best, float(values.max()))
        search.tell(points, values)
    optimum = 4.0 if name == "corner" else 0.0
    assert best == pytest.approx(optimum, abs=1e-4)


def test_what_has_no_value_is_worst_and_a_generation_of_nothing_changes_nothing() -> None:
    one, other = (CovarianceMatrixAdaptation(np.full(2, 0.5), 6) for _ in range(2))
    points = one.ask(generator(0), 6)
    values = points[:, 0].copy()
    one.tell(points, np.where(values < np.median(values), np.nan, values))
    other.tell(points, np.where(values < np.median(values), -9.0, values))
    np.testing.assert_array_equal(one.mean, other.mean)
    before = one.mean.copy()
    one.tell(points, np.full(6, np.nan))
    np.testing.assert_array_equal(one.mean, before)


@pytest.mark.parametrize("low, high, scale, kind", [(5, 200, "log", "int"), (-4, 4, "linear", "float"), (0.005, 0.15, "log", "float")])
def test_places_and_numbers_are_each_others_inverse(low: float, high: float, scale: str, kind: str) -> None:
    for at in (0.0, 0.25, 0.5, 1.0):
        parameter = Parameter("p", "p", kind, low, high, scale, low)
        value = number(parameter, at)
        assert low <= value <= high
        assert place(parameter, value) == pytest.approx(at, abs=0.05 if kind == "int" else 1e-9)
        assert kind == "float" or value == round(value)


def test_a_generation_follows_from_those_before_it_alone() -> None:
    space = [Parameter("a", "a", "int", 5, 200, "log", 20), Parameter("b", "b", "float", 0, 1, "linear", 0.5)]
    told = [[(values, values["a"]) for values in proposals(space, [], 6, 6, 3, "k")]]
    once, twice = (proposals(space, told, 6, 6, 3, "k") for _ in range(2))
    assert once == twice != proposals(space, told, 6, 6, 4, "k")
    assert np.mean([values["a"] for values in once]) > np.mean([values["a"] for values, _ in told[0]])
