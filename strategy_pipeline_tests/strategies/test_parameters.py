"""The numbers a search may turn."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategy_pipeline.errors import StrategyError
from strategy_pipeline.strategies import Strategy, parameters, parse, parse_condition, with_parameters
from strategy_pipeline_tests.strategies.population import strategies
from strategy_pipeline_tests.strategies.test_parsing import FIRST

STATE = "momentum on * 1h\nenter long when ema(close, {}) > ema(close, {})\nexit when rsi(14) > {}\nstop {}%\nsize all_in"


@given(strategies())
def test_setting_every_parameter_to_what_it_is_changes_nothing(strategy: Strategy) -> None:
    current = {parameter.path: parameter.value for parameter in parameters(strategy)}
    assert with_parameters(strategy, current) == strategy
    assert with_parameters(strategy, {}) == strategy


@given(strategies())
def test_parameters_are_within_their_ranges_and_paths_are_unique(strategy: Strategy) -> None:
    found = parameters(strategy)
    assert len({parameter.path for parameter in found}) == len(found)
    for parameter in found:
        assert parameter.low <= parameter.value <= parameter.high
        assert parameter.scale == "linear" or parameter.low > 0
        assert parameter.kind == "float" or parameter.value == int(parameter.value)


@given(st.data())
def test_any_draw_within_the_ranges_is_a_strategy(data: st.DataObject) -> None:
    strategy = parse(FIRST)
    drawn = {}
    for parameter in parameters(strategy):
        whole = parameter.kind == "int"
        draw = st.integers(int(parameter.low), int(parameter.high)) if whole else st.floats(parameter.low, parameter.high)
        drawn[parameter.path] = float(data.draw(draw))
    moved = with_parameters(strategy, drawn)
    assert sorted(parameter.value for parameter in parameters(moved)) == pytest.approx(sorted(drawn.values()), rel=1e-12) or len(
        parameters(moved)
    ) < len(drawn)


def test_strategies_that_differ_in_numbers_have_equal_paths() -> None:
    one, other = parse(STATE.format(9, 100, 70, 3)), parse(STATE.format(12, 48, 65, 5))
    assert [parameter.path for parameter in parameters(one)] == [parameter.path for parameter in parameters(other)]
    values = {parameter.path: parameter.value for parameter in parameters(other)}
    assert with_parameters(one, values) == other


def test_a_series_used_twice_is_one_parameter() -> None:
    strategy = parse(FIRST)
    paths = [parameter.path for parameter in parameters(strategy) if parameter.name == "ema.length"]
    assert len(paths) == 2
    moved = with_parameters(strategy, {paths[0]: 20})
    assert "crosses_above(ema(close, 20), ema(close, 48))" in moved.text
    assert "crosses_below(ema(close, 20), ema(close, 48))" in moved.text


def test_ranges_come_from_the_catalog_and_the_units() -> None:
    found = {parameter.name: parameter for parameter in parameters(parse(FIRST))}
    assert (found["ema.length"].kind, found["ema.length"].low, found["ema.length"].high, found["ema.length"].scale) == (
        "int",
        3,
        200,
        "log",
    )
    assert (found["adx threshold"].low, found["adx threshold"].high) == (5, 95)
    assert (found["forecast.return_24h threshold"].low, found["forecast.return_24h threshold"].high) == (-0.05, 0.05)
    assert (found["hold (bars)"].kind, found["hold (bars)"].value) == ("int", 96)
    assert (found["trail"].low, found["trail"].high, found["trail"].scale) == (0.005, 0.2, "log")
    assert found["volatility_target"].value == 0.15


def test_a_zero_that_tells_signs_apart_is_no_parameter() -> None:
    assert [p.name for p in parameters(parse("trend on * 1h\nenter long when macd > 0\nsize all_in"))] == [
        "macd.fast",
        "macd.slow",
        "macd.signal",
    ]


def test_wrong_values_are_refused_by_name() -> None:
    strategy = parse(FIRST)
    for values, reason in (
        ({"stap": 2.0}, "near: stop"),
        ({"hold": 2.5}, "whole number for hold"),
        ({"stop": -1.0}, "Expected stop"),
        ({"enter_long.terms[1].left.length": 0}, "ema.length within"),
    ):
        with pytest.raises(StrategyError, match=reason):
            with_parameters(strategy, values)


def test_a_threshold_and_the_bars_of_what_it_compares_are_two_parameters() -> None:
    strategy = parse("ml on * 1h\nenter long when change(forecast.return_24h, 2) < 1\nsize all_in")
    current = {parameter.path: parameter.value for parameter in parameters(strategy)}
    assert sorted(current.values()) == [1.0, 2.0]
    lagged = replace(strategy, enter_long=parse_condition("change(forecast.return_24h, 1) < 1"))
    assert len(parameters(lagged)) == 2
    assert with_parameters(lagged, {parameter.path: parameter.value for parameter in parameters(lagged)}) == lagged
