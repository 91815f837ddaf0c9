"""Genetic operators: typed, valid, bounded, the same from the same generator."""

from __future__ import annotations

import numpy as np
import pytest

from strategy_pipeline.errors import StrategyError
from strategy_pipeline.generation import generate, operators
from strategy_pipeline.rng import generator
from strategy_pipeline.strategies import And, Strategy, parameters, parse, parse_condition, parse_value, problems, rules
from strategy_pipeline.strategies.traverse import comparisons, size
from strategy_pipeline_tests.generation.markets import SERIES, market

PARENTS = generate(60, market(), seed=5, series=SERIES)
DONORS = [rule for parent in PARENTS[:20] for rule in rules(parent).values()]
OPERATORS = {
    "crossover": lambda parent, rng: operators.crossover(parent, PARENTS[int(rng.integers(60))], rng, SERIES),
    "parameters": lambda parent, rng: operators.mutate_parameters(parent, rng, SERIES),
    "point": lambda parent, rng: operators.mutate_point(parent, rng, SERIES),
    "subtree": lambda parent, rng: operators.mutate_subtree(parent, DONORS, rng, SERIES),
    "limits": lambda parent, rng: operators.mutate_limits(parent, rng, SERIES),
    "hoist": lambda parent, rng: operators.mutate_hoist(parent, rng, SERIES),
    "size": lambda parent, rng: operators.mutate_size(parent, rng, SERIES),
    "symbols": lambda parent, rng: operators.mutate_symbols(parent, ("BTC/USDT", "ETH/USDT", "SOL/USDT"), rng, SERIES),
    "recombine": lambda parent, rng: operators.recombine(parent, PARENTS[int(rng.integers(60))], rng, SERIES),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_children_are_valid_bounded_and_read_back(name: str) -> None:
    rng = generator(1, name)
    changed = 0
    for parent in PARENTS:
        child = OPERATORS[name](parent, rng)
        changed += child != parent
        assert problems(child, SERIES) == []
        assert max(map(size, rules(child).values())) <= operators.LARGEST
        assert parse(child.text) == child
        kept = ("family", *(() if name in ("recombine", "symbols") else ("symbols",)), "timeframe", "against")
        assert [getattr(child, name) for name in kept] == [getattr(parent, name) for name in kept]
    assert changed >= (20 if name == "hoist" else 54)


@pytest.mark.parametrize("name", OPERATORS)
def test_the_same_generator_makes_the_same_children(name: str) -> None:
    def brood() -> list[Strategy]:
        rng = generator(2, name)
        return [OPERATORS[name](parent, rng) for parent in PARENTS[:20]]

    assert brood() == brood()


def test_generations_of_all_operators_stay_valid() -> None:
    rng = generator(3)
    population = PARENTS[:12]
    for _ in range(6):
        population = [OPERATORS[list(OPERATORS)[int(rng.integers(len(OPERATORS)))]](parent, rng) for parent in population]
    for strategy in population:
        assert problems(strategy, SERIES) == []


def test_a_crossover_takes_a_part_of_the_father() -> None:
    mother = parse("momentum on * 1h\nenter long when ema(close, 10) > ema(close, 50) and rsi(14) > 55\nexit when rsi(14) < 45")
    father = parse("trend on * 1h\nenter long when sma(close, 30) < close and adx(14) > 25\nexit when close < sma(close, 30)")
    rng = np.random.default_rng(0)
    for _ in range(30):
        child = operators.crossover(mother, father, rng)
        assert any(word in child.text for word in ("sma(close, 30)", "adx(14)", "close <", "close >"))


def test_values_are_replaced_by_values_of_their_kind_only() -> None:
    mother = parse("momentum on * 1h\nenter long when close > ema(close, 50)")
    father = parse("momentum on * 1h\nenter long when rsi(14) < 30 and volume > sma(volume, 20) and wma(close, 9) > hma(close, 9)")
    rng = np.random.default_rng(1)
    children = [operators.crossover(mother, father, rng) for _ in range(30)]
    assert all(problems(child) == [] for child in children)
    entries = {child.text.splitlines()[1].removeprefix("enter long when ") for child in children}
    # One average in place of the other, in a rule and in an average; no oscillator and no volume against a price.
    assert {"close > wma(close, 9)", "close > ema(hma(close, 9), 50)"} <= entries
    assert not any("rsi" in entry or "volume" in entry for entry in entries if "ema" in entry)


def test_parameter_mutation_keeps_the_structure_and_the_ranges() -> None:
    rng = np.random.default_rng(2)
    for parent in PARENTS[:20]:
        ranges = {parameter.path: parameter for parameter in parameters(parent)}
        child = operators.mutate_parameters(parent, rng, SERIES, spread=0.05)
        assert sum(1 for rule in rules(child).values() for _ in comparisons(rule)) <= sum(
            1 for rule in rules(parent).values() for _ in comparisons(rule)
        )
        for parameter in parameters(child):
            if parameter.path in ranges and parameter.name == ranges[parameter.path].name:
                assert ranges[parameter.path].low * 0.99 - 0.01 <= parameter.value <= ranges[parameter.path].high * 1.01 + 0.01


def test_hoisting_shortens() -> None:
    parent = parse("trend on * 1h\nenter long when close > open and rsi(14) > 50 and adx(14) > 20\nexit when close < open")
    child = operators.mutate_hoist(parent, np.random.default_rng(3))
    assert not isinstance(child.enter_long, And)
    alone = parse("trend on * 1h\nenter long when close > open")
    assert operators.mutate_hoist(alone, np.random.default_rng(3)) == alone


def test_subtree_mutation_needs_donors() -> None:
    with pytest.raises(StrategyError, match="donor"):
        operators.mutate_subtree(PARENTS[0], [], np.random.default_rng(0))


def test_put_replaces_exactly_one_place() -> None:
    condition = parse_condition("ema(close, 10) > ema(close, 50) and not rsi(14) > 55 and close + open > lowest(low, 20)")
    places = list(operators.places(condition))
    assert len(places) > 15
    for path, node in places:
        assert operators.put(condition, path, node) == condition
        new = parse_condition("volume > 7") if isinstance(node, operators._CONDITIONS) else parse_value("volume")
        found = dict(operators.places(operators.put(condition, path, new)))
        assert found[path] == new
        beside = [(other, kept) for other, kept in places if other[: len(path)] != path and path[: len(other)] != other]
        assert all(found[other] == kept for other, kept in beside)


def test_limits_are_given_changed_and_dropped() -> None:
    rng = generator(8, "limits")
    strategy = parse("trend on * 1h\nenter long when close > sma(close, 30)\nexit when close < sma(close, 30)")
    seen: set[str] = set()
    for _ in range(60):
        strategy = operators.mutate_limits(strategy, rng)
        seen |= {name for name in ("stop", "take", "trail", "breakeven", "hold", "cooldown") if getattr(strategy, name) is not None}
    assert seen == {"stop", "take", "trail", "breakeven", "hold", "cooldown"}
    moved = {path for _ in range(60) for path in _moved(strategy, operators.mutate_parameters(strategy, rng))}
    assert {"breakeven", "cooldown"} <= moved
    pair = parse("cross_asset on * against BTC/USDT 1h\nenter long when close > sma(close, 30)\nexit when close < sma(close, 30)")
    for _ in range(40):
        pair = operators.mutate_limits(pair, rng)
        assert "atr" not in pair.text
    for _ in range(20):
        shorter = operators.mutate_hoist(strategy, rng)
        strategy = shorter
    assert strategy.cooldown is None


def _moved(before: Strategy, after: Strategy) -> set[str]:
    old = {parameter.path: parameter.value for parameter in parameters(before)}
    return {parameter.path for parameter in parameters(after) if old.get(parameter.path) != parameter.value}


def test_recombination_takes_a_part_for_both_sides() -> None:
    mother = parse(
        "trend on * 1h\nenter long when ema(close, 9) > ema(close, 50)\nenter short when ema(close, 9) < ema(close, 50)\nstop 3%"
    )
    father = parse("breakout on * 1h\nenter long when rsi(close, 14) > 70\nenter short when rsi(close, 14) < 30\nhold at most 24 bars")
    rng = generator(4)
    for _ in range(60):
        child = operators.recombine(mother, father, rng)
        sides = [[type(child.enter_long), type(child.enter_short)], ["rsi" in str(child.enter_long), "rsi" in str(child.enter_short)]]
        assert all(one == other for one, other in sides)
        assert child.family == "trend"


def test_numbers_that_mirror_each_other_move_together() -> None:
    parent = parse(
        "mean_reversion on * 1h\nenter long when rsi(close, 14) < 30 and close > lowest(low, 20)\n"
        "enter short when rsi(close, 14) > 70 and close < highest(high, 20)\nhold at most 24 bars"
    )
    rng = generator(5)
    mirrored = 0
    for _ in range(80):
        values = {parameter.path: parameter.value for parameter in parameters(operators.mutate_parameters(parent, rng, spread=0.2))}
        low, high = sorted(value for path, value in values.items() if path.endswith("right") and value not in (14.0, 20.0))[:2]
        mirrored += low + high == pytest.approx(100.0)
    assert mirrored >= 60


def test_another_size_is_no_other_rule() -> None:
    parent = parse("trend on * 1h\nenter long when ema(close, 9) > ema(close, 50)\nstop 3%")
    rng = generator(6)
    kinds = set()
    for _ in range(40):
        child = operators.mutate_size(parent, rng)
        kinds.add(child.size.kind)
        assert rules(child) == rules(parent) and child.stop == parent.stop
    assert kinds >= {"fraction", "volatility_target", "kelly"}
