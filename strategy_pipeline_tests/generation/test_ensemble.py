"""Ensembles: votes say what their members say, and what comes out is a strategy like any other."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from strategy_pipeline.generation import EnsembleGenerator, Request, SearchSettings
from strategy_pipeline.generation.distill import labels
from strategy_pipeline.generation.ensemble import EnsembleSearch, _Members, _scaled
from strategy_pipeline.generation.fitness import Evaluator, correlations
from strategy_pipeline.generation.votes import score, stance, tally
from strategy_pipeline.indicators import Bank
from strategy_pipeline.strategies import FAMILIES, parse, parse_condition, problems, truth, values_of
from strategy_pipeline_tests.generation.markets import SERIES, market, named_series

BARS = market(1500, seed=21, momentum=0.08)
REQUEST = Request(BARS, FAMILIES, frozenset(), 4, SearchSettings(trials=100, workers=1))
BANK = Bank(BARS, workers=1)
CONDITIONS = (
    "close > ema(close, 20)", "rsi(close, 14) < 40", "close > open and rsi(close, 14) > 50",
    "close < ema(close, 20) or adx(14) > 30", "not (close > open and rsi(close, 14) > 50)", "roc(close, 12) > 0",
)  # fmt: skip


@pytest.mark.parametrize("text", CONDITIONS)
def test_the_score_of_a_condition_is_its_truth_in_signs(text: str) -> None:
    condition = parse_condition(text)
    said, true = BANK.evaluate(score(condition)), truth(condition, BANK)
    known = np.isfinite(said) & (said != 0)
    assert known.mean() > 0.9
    np.testing.assert_array_equal(said[known] > 0, true[known] == 1)
    assert set(np.unique(said[np.isfinite(said)])) <= {-1.0, 0.0, 1.0}


def test_a_stance_is_one_for_long_minus_one_for_short_and_else_nothing() -> None:
    both = parse("trend on * 1h\nenter long when close > ema(close, 20) and close > open\nenter short when rsi(close, 14) < 30")
    said = BANK.evaluate(stance(both))
    long, short = (truth(rule, BANK) == 1 for rule in (both.enter_long, both.enter_short))
    known = np.isfinite(said)
    np.testing.assert_array_equal(said[known], (long.astype(float) - short)[known])
    only = parse("trend on * 1h\nenter short when rsi(close, 14) < 30")
    np.testing.assert_array_equal(BANK.evaluate(stance(only))[known], -short.astype(float)[known])


def test_a_tally_is_the_weighted_sum() -> None:
    parts = [score(parse_condition(text)) for text in CONDITIONS[:3]]
    weights = [1.0, 0.5, 0.0]
    expected = BANK.evaluate(parts[0]) + 0.5 * BANK.evaluate(parts[1])
    np.testing.assert_allclose(BANK.evaluate(tally(parts, weights)), expected)


@pytest.fixture(scope="module")
def search() -> EnsembleSearch:
    found = EnsembleSearch(REQUEST, 0, Evaluator(REQUEST, "ensemble"))
    while not found.done:
        found.step()
    return found


def test_survivors_make_money_and_differ(search: EnsembleSearch) -> None:
    ids = [strategy.id for strategy in search.survivors]
    assert len(ids) >= 2
    assert (search.evaluator.numbers(ids)[:, 0] > 0).all()
    related = correlations(search.evaluator.returns(ids))
    assert (np.triu(related, 1) <= 0.7).all()


def test_every_kind_occurs_and_each_is_a_valid_ensemble(search: EnsembleSearch) -> None:
    made = list(search.combined.values())
    assert len(made) == 50 and {strategy.family for strategy in made} == {"ensemble"}
    for strategy in made:
        assert problems(strategy, ()) == [] and parse(strategy.text) == strategy
        assert len(values_of(strategy)) >= 1
    texts = [strategy.text for strategy in made]
    assert any("volatility_ratio(close, 24, 168) < 1" in text for text in texts)
    assert any("sign(" in text and "0." in text for text in texts)
    assert len(search.evaluator) <= REQUEST.search.trials


def test_weights_by_inverse_correlation_favour_what_stands_alone(search: EnsembleSearch) -> None:
    room = _Members(REQUEST, search.evaluator, search.survivors[:2])
    room._related = np.array([[1.0, 0.8, 0.0], [0.8, 1.0, 0.0], [0.0, 0.0, 1.0]])
    weights = room.inverse([0, 1, 2])
    np.testing.assert_allclose(weights, [0.56, 0.56, 1.0])
    assert (_scaled(np.array([-1.0, 2.0, 4.0])) == [0.0, 0.5, 1.0]).all()
    assert (_scaled(np.array([-1.0, -2.0])) == 0.0).all()


def test_stacked_weights_find_the_member_that_knows() -> None:
    values = named_series(BARS)
    values["agent.ppo"] = np.sign(np.nan_to_num(labels(BARS.close, 24)))
    request = Request(BARS, FAMILIES, frozenset(SERIES), 0, SearchSettings(values=values, workers=1))
    evaluator = Evaluator(request, "ensemble")
    members = [
        parse(f"ensemble on * 1h\nenter long when {text} > 0\nenter short when {text} < 0\nhold at most 24 bars")
        for text in ("agent.dqn", "agent.ppo")
    ]
    evaluator.run(members)
    weights = _Members(request, evaluator, members).stacked([0, 1])
    assert weights[1] == 1.0 and weights[0] < 0.2


def test_a_switch_gives_calm_days_to_the_one_that_does_better_there(search: EnsembleSearch) -> None:
    members = [
        parse(f"ensemble on * 1h\nenter long when volatility_ratio(close, 24, 168) {op} 1 and close > ema(close, {n})\nhold at most 2 bars")
        for op, n in (("<", 24), (">=", 25))
    ]
    evaluator = Evaluator(REQUEST, "ensemble")
    evaluator.run(members)
    room = _Members(REQUEST, evaluator, members)
    days = room._calm_days()
    rng = np.random.default_rng(0)
    room._returns = 0.01 * rng.standard_normal((2, len(days))) + 0.01 * np.vstack([days, ~days])
    rules = room.switched([0, 1])
    calm = truth(parse_condition("volatility_ratio(close, 24, 168) < 1"), BANK) == 1
    own = truth(members[0].enter_long, BANK) == 1
    np.testing.assert_array_equal((truth(rules["enter_long"], BANK) == 1)[calm], own[calm])


def test_seeds_take_the_place_of_draws() -> None:
    seeds = tuple(
        parse(f"trend on * 1h\nenter long when {text} > ema(close, 96)\nenter short when {text} < ema(close, 96)\nhold at most 48 bars")
        for text in ("ema(close, 24)", "lag(close, 30)", "sma(open, 7)")
    )
    told: list[str] = []
    search = SearchSettings(trials=12, workers=1, seeds=seeds, record=lambda _, ids: told.extend(ids))
    found = list(islice(EnsembleGenerator().stream(Request(BARS, ("ensemble",), frozenset(), 0, search)), 3))
    assert len(found) == 3
    assert {seed.id for seed in seeds} <= set(told) and len(told) <= 12


def test_without_the_family_there_are_no_ensembles() -> None:
    assert list(EnsembleGenerator().stream(Request(BARS, ("trend",), frozenset(), 0))) == []
