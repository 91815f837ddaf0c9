"""What every registered generator must do; a new one is held to it by being registered."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import pytest

from strategy_pipeline.generation import Generator, Request, methods
from strategy_pipeline.generation.protocol import method
from strategy_pipeline.strategies import FAMILIES, Strategy, parse, validate
from strategy_pipeline_tests.generation.markets import SERIES, market

REQUEST = Request(market(240), FAMILIES, frozenset(SERIES), 5)


def first(name: str, count: int, request: Request = REQUEST) -> list[Strategy]:
    return list(islice(method(name).stream(request), count))


@pytest.mark.parametrize("name", methods())
def test_a_generator_keeps_the_protocol(name: str) -> None:
    made = method(name)
    assert isinstance(made, Generator)
    assert made.name == name
    strategies = first(name, 60)
    assert len({strategy.id for strategy in strategies}) == 60
    for strategy in strategies:
        validate(strategy, SERIES)
        assert parse(strategy.text) == strategy
        assert strategy.timeframe == REQUEST.bars.timeframe
        assert strategy.symbols == ("*",) or set(strategy.symbols) <= set(REQUEST.bars.symbols)


@pytest.mark.parametrize("name", methods())
def test_a_generator_repeats_itself_and_follows_its_seed(name: str) -> None:
    assert first(name, 30) == first(name, 30) == first(name, 50)[:30]
    assert first(name, 30) != first(name, 30, replace(REQUEST, seed=6))


@pytest.mark.parametrize("name", methods())
def test_a_generator_stays_within_the_families_and_series_asked_for(name: str) -> None:
    strategies = first(name, 30, replace(REQUEST, families=("trend", "momentum"), series=frozenset()))
    assert {strategy.family for strategy in strategies} <= {"trend", "momentum"}
    for strategy in strategies:
        validate(strategy, ())
