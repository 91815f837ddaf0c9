"""What every registered generator must do; a new one is held to it by being registered."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice
from typing import Any

import pytest

from strategy_pipeline.errors import StrategyError
from strategy_pipeline.generation import Generator, Request, SearchSettings, methods
from strategy_pipeline.generation.protocol import method
from strategy_pipeline.strategies import FAMILIES, Strategy, parse, validate
from strategy_pipeline_tests.generation.markets import SERIES, named_series, tied_market

BARS = tied_market()
SEARCH = SearchSettings(trials=80, values=named_series(BARS), workers=1)
REQUEST = Request(BARS, FAMILIES, frozenset(SERIES), 5, SEARCH)
SEARCHING = ("ensemble", "genetic", "ml_driven")
_KNOWN: dict[str, list[Strategy]] = {}


def first(name: str, count: int, request: Request = REQUEST) -> list[Strategy]:
    return list(islice(method(name).stream(request), count))


def known(name: str) -> list[Strategy]:
    """The first 40, drawn once for all tests."""
    if name not in _KNOWN:
        _KNOWN[name] = first(name, 40)
    return _KNOWN[name]


def watched(**hooks: Any) -> Request:
    return replace(REQUEST, search=replace(SEARCH, **hooks))


@pytest.mark.parametrize("name", methods())
def test_a_generator_keeps_the_protocol(name: str) -> None:
    made = method(name)
    assert isinstance(made, Generator)
    assert made.name == name
    assert len({strategy.id for strategy in known(name)}) == 40
    for strategy in known(name):
        validate(strategy, SERIES)
        assert parse(strategy.text) == strategy
        assert strategy.timeframe == BARS.timeframe
        assert strategy.symbols == ("*",) or set(strategy.symbols) <= set(BARS.symbols)


@pytest.mark.parametrize("name", methods())
def test_a_generator_repeats_itself_and_follows_its_seed(name: str) -> None:
    assert first(name, 15) == known(name)[:15]
    assert first(name, 15, replace(REQUEST, seed=6)) != known(name)[:15]


@pytest.mark.parametrize("name", methods())
def test_a_generator_stays_within_the_families_and_series_asked_for(name: str) -> None:
    strategies = first(name, 15, replace(REQUEST, families=("trend", "momentum"), series=frozenset()))
    assert {strategy.family for strategy in strategies} <= {"trend", "momentum"}
    for strategy in strategies:
        validate(strategy, ())


@pytest.mark.parametrize("name", methods())
def test_a_stream_continued_from_its_state_is_the_stream_never_stopped(name: str) -> None:
    stream = method(name).stream(REQUEST)
    begun = list(islice(stream, 7))
    state = json.loads(json.dumps(stream.state()))
    assert begun + list(islice(method(name).stream(REQUEST, state), 33)) == known(name)


@pytest.mark.parametrize("name", methods())
def test_a_state_of_another_method_or_version_is_refused(name: str) -> None:
    state = method(name).stream(REQUEST).state()
    for wrong in ({**state, "method": "other"}, {**state, "version": 0}, {}):
        with pytest.raises(StrategyError, match="state of a"):
            method(name).stream(REQUEST, wrong)


@pytest.mark.parametrize("name", SEARCHING)
@pytest.mark.parametrize("after", [1, 2])
def test_a_search_killed_and_continued_is_the_search_never_killed(name: str, after: int) -> None:
    kept: list[str] = []

    def kill(state: dict[str, Any]) -> None:
        kept.append(json.dumps(state))
        if len(kept) == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        first(name, 40, watched(checkpoint=kill))
    resumed = method(name).stream(REQUEST, json.loads(kept[-1]))
    assert list(islice(resumed, 40)) == known(name)


@pytest.mark.parametrize("name", SEARCHING)
def test_every_strategy_a_search_evaluates_is_reported_under_its_name(name: str) -> None:
    told: list[str] = []

    def record(who: str, ids: Any) -> None:
        assert who == name
        told.extend(ids)

    assert first(name, 15, watched(record=record)) == known(name)[:15]
    assert {strategy.id for strategy in known(name)[:15]} <= set(told)
    assert len(told) == len(set(told))
    assert 60 <= len(told) <= 80
