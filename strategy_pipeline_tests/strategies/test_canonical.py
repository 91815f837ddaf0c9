"""One spelling for what means the same, and never one for what does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategy_pipeline.errors import StrategyError
from strategy_pipeline.indicators.expressions import Arithmetic, Number, Series
from strategy_pipeline.strategies import (
    And,
    Compare,
    Level,
    Not,
    Or,
    Size,
    Strategy,
    condition_text,
    parse_condition,
    parse_value,
    truth,
    value_text,
)
from strategy_pipeline.strategies.canonical import canonical_condition, canonical_value
from strategy_pipeline.strategies.traverse import comparisons
from strategy_pipeline_tests.strategies.population import _arithmetic, conditions_on, numbers, plain, random_bank, strategies, values

small = st.integers(-3, 3).map(lambda n: Number(float(n)))
arithmetic = st.recursive(st.one_of(plain, plain, small), _arithmetic, max_leaves=5)


def settled(make, thing):
    """The canonical form, or None where it has no value at all (1 / 0)."""
    try:
        return make(thing)
    except StrategyError:
        return None


@given(arithmetic, st.integers(0, 1000))
def test_the_canonical_value_is_the_same_value_bit_for_bit(value, seed: int) -> None:
    canonical = settled(canonical_value, value)
    if canonical is not None:
        bank = random_bank(seed)
        np.testing.assert_array_equal(bank.evaluate(canonical), bank.evaluate(value))


@given(conditions_on(arithmetic), st.integers(0, 1000))
def test_the_canonical_condition_has_the_same_three_valued_truth(condition, seed: int) -> None:
    canonical = settled(canonical_condition, condition)
    if canonical is not None:
        bank = random_bank(seed)
        np.testing.assert_array_equal(truth(canonical, bank), truth(condition, bank))


@given(conditions_on(values))
def test_canonical_form_is_reached_in_one_step(condition) -> None:
    canonical = settled(canonical_condition, condition)
    if canonical is not None:
        assert canonical_condition(canonical) == canonical


@given(conditions_on(values))
def test_canonical_trees_hold_not_only_over_crossings_and_no_single_terms(condition) -> None:
    canonical = settled(canonical_condition, condition)
    if canonical is None:
        return
    assert all(not isinstance(part.left, Number) or isinstance(part.right, Number) for part in comparisons(canonical))

    def check(node) -> None:
        if isinstance(node, Not):
            assert isinstance(node.term, Compare) and node.term.op.startswith("crosses")
        elif isinstance(node, (And, Or)):
            assert len(node.terms) == len(set(node.terms)) >= 2
            assert not any(type(term) is type(node) for term in node.terms)
            for term in node.terms:
                check(term)

    check(canonical)


@given(strategies(), st.randoms(use_true_random=False))
def test_shuffled_and_doubled_terms_make_the_same_strategy(strategy: Strategy, random) -> None:
    def shuffled(node):
        if isinstance(node, (And, Or)):
            terms = [shuffled(term) for term in node.terms] * 2
            random.shuffle(terms)
            return type(node)(tuple(terms))
        return Not(Not(node))

    rules = {name: getattr(strategy, name) for name in ("enter_long", "enter_short", "exit_long", "exit_short")}
    again = replace(strategy, **{name: None if rule is None else shuffled(rule) for name, rule in rules.items()})
    assert again == strategy
    assert again.id == strategy.id
    assert hash(again) == hash(strategy)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("30 > rsi(14)", "rsi(close, 14) < 30"),
        ("rsi(length=14) < 3e1", "rsi(close, 14) < 30"),
        ("not rsi(14) >= 30", "rsi(14) < 30"),
        ("close > open and rsi(14) < 30", "rsi(14) < 30 and (open < close and close > open)"),
        ("not (close > open or rsi(14) < 30)", "close <= open and rsi(14) >= 30"),
        ("crosses_above(ema(12), ema(48))", "crosses_below(ema(48), ema(12))"),
        ("macd > macd.signal", "macd(close, 12, 26, 9).macd > macd(close, 12, 26, 9).signal"),
        ("close * (1 + 0.5) > open", "open < 1.5 * close"),
        ("between(rsi(14), 30, 70)", "rsi(14) >= 30 and rsi(14) <= 70"),
        ("close - -2 > open", "2 + close > open"),
        ("not not close > open", "close > open"),
    ],
)
def test_what_means_the_same_is_written_the_same(one: str, other: str) -> None:
    assert parse_condition(one) == parse_condition(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("not crosses_above(close, open)", "crosses_below(close, open)"),
        ("close > open", "close >= open"),
        ("close - open > 0", "open - close > 0"),
        ("close@4h > open", "close > open"),
        ("(close > open or high > low) and rsi(14) < 30", "close > open or high > low and rsi(14) < 30"),
    ],
)
def test_what_means_something_else_is_written_differently(one: str, other: str) -> None:
    assert parse_condition(one) != parse_condition(other)


def test_the_strategys_own_timeframe_is_no_suffix() -> None:
    def on(text: str, timeframe: str) -> Strategy:
        return Strategy("trend", ("*",), timeframe, parse_condition(text))

    assert on("close@1h > ema(close@1h, 12)@1h", "1h") == on("close > ema(close, 12)", "1h")
    assert on("close@1h > ema(close, 12)", "5m") != on("close > ema(close, 12)", "5m")
    assert condition_text(on("rsi(close@4h, 14)@4h > 50", "1h").enter_long) == "rsi(close@4h, 14)@4h > 50"


def test_ids_are_frozen() -> None:
    strategy = Strategy("trend", ("BTC/USDT",), "1h", parse_condition("crosses_above(sma(close, 20), sma(close, 50))"))
    assert strategy.id == "857981c9ec76c484"
    assert len({strategy.id, Strategy("trend", ("BTC/USDT",), "1h", strategy.enter_long, hold=3).id}) == 2


@pytest.mark.parametrize("number", [float("nan"), float("inf"), "1", None])
def test_numbers_that_are_none_are_refused(number) -> None:
    with pytest.raises(StrategyError, match="finite number"):
        canonical_value(Number(number))


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("stop", {"stop": Level("percent", -0.03)}),
        ("stop", {"stop": Level("percent", 0.0)}),
        ("stop", {"stop": Level("percent", 1.0)}),
        ("stop", {"stop": Level("percent", 0.03, 14)}),
        ("take", {"take": Level("atr", 0.0, 14)}),
        ("take", {"take": Level("atr", 2.0, 0)}),
        ("trail", {"trail": Level("percent", 1.5)}),
        ("trail", {"trail": Level("atr", float("nan"), 14)}),
        ("trail", {"trail": Level("points", 1.0)}),
        ("hold", {"hold": 0}),
        ("hold", {"hold": 2.5}),
        ("size", {"size": Size("fraction", 0.0)}),
        ("size", {"size": Size("fraction", 1.5)}),
        ("size", {"size": Size("kelly", -0.5)}),
        ("size", {"size": Size("all_of_it")}),
        ("size", {"size": Size("volatility_target", 0.2, Number(0.3))}),
        ("series", {"size": Size("fraction", 0.2, Series("close"))}),
        ("family", {"family": "momentun"}),
        ("symbol", {"symbols": ("BTCUSDT",)}),
        ("symbol", {"symbols": ("*", "BTC/USDT")}),
        ("symbols", {"symbols": ()}),
        ("timeframe", {"timeframe": "7h"}),
        ("enter_long or enter_short", {"enter_long": None}),
    ],
)
def test_a_strategy_that_cannot_be_names_the_field(field: str, change: dict) -> None:
    given = {"family": "trend", "symbols": ("BTC/USDT",), "timeframe": "1h", "enter_long": parse_condition("close > open")} | change
    with pytest.raises(StrategyError, match=field):
        Strategy(**given)


def test_the_design_allows_a_stop_beside_a_tighter_trail() -> None:
    Strategy(
        "trend",
        ("*",),
        "1h",
        parse_condition("close > open"),
        stop=Level("percent", 0.03),
        take=Level("percent", 0.06),
        trail=Level("percent", 0.02),
    )


def test_a_look_ahead_cannot_be_written() -> None:
    for steps in (-1.0, 0.5):
        with pytest.raises(StrategyError, match="never ahead"):
            canonical_value(Arithmetic("lag", (Series("close"), Number(steps))))


@given(numbers)
def test_numbers_read_back_exactly(number: Number) -> None:
    assert parse_value(value_text(canonical_value(number))) == canonical_value(number)
