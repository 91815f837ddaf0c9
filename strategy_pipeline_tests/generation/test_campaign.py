"""A campaign spends its budget once, counts every trial, and hands over what it ran with the returns it ran up."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from strategy_pipeline.backtest import backtest
from strategy_pipeline.errors import StrategyError
from strategy_pipeline.generation import Campaign, PairsGenerator, SearchSettings, SystematicGenerator, campaign
from strategy_pipeline.generation.protocol import Request
from strategy_pipeline.market import Bars
from strategy_pipeline.strategies import FAMILIES
from strategy_pipeline_tests.generation.markets import market, named_series, tied_market

PLAIN = ("momentum", "mean_reversion", "breakout", "trend", "volatility", "cross_asset", "ensemble")


@pytest.fixture(scope="module")
def bars() -> Bars:
    return market(24 * 120, momentum=0.06)


@pytest.fixture(scope="module")
def reported() -> dict[str, list[str]]:
    return {}


@pytest.fixture(scope="module")
def made(bars: Bars, reported: dict[str, list[str]]) -> Campaign:
    search = SearchSettings(record=lambda method, ids: reported.setdefault(method, []).extend(ids), workers=1)
    return campaign(150, bars, PLAIN, seed=4, search=search)


def test_the_budget_is_shared_by_all_methods_and_not_exceeded(made: Campaign) -> None:
    assert len(made.strategies) == len(set(made.ids)) == sum(made.trials.values()) <= 150
    assert len(made.strategies) >= 140
    assert {"systematic", "genetic", "ml_driven", "ensemble"} <= set(made.trials)
    assert 0.55 * 150 <= len(made.draws) <= 0.7 * 150


def test_what_prices_chose_is_no_draw() -> None:
    """Pairs are screened on the prices of training: their returns there prove nothing, and they have no vote."""
    tied = tied_market(3000, half_life=24.0)
    made = campaign(60, tied, PLAIN, ["systematic", "pairs", "genetic"], seed=4, search=SearchSettings(workers=1))
    own = {strategy.id for strategy in islice(PairsGenerator().stream(Request(tied, PLAIN, seed=4)), made.trials["pairs"])}
    assert len(own) == made.trials["pairs"] > 0 and own <= set(made.ids) and not own & made.draws
    assert len(made.draws) == made.trials["systematic"]


def test_every_trial_is_reported_before_it_counts(made: Campaign, reported: dict[str, list[str]]) -> None:
    assert set(made.ids) == {sid for ids in reported.values() for sid in ids}


def test_returns_are_those_of_a_backtest(made: Campaign, bars: Bars) -> None:
    some = list(made.strategies[::7])
    result = backtest(some, bars, workers=1)
    place = {sid: k for k, sid in enumerate(made.ids)}
    for sid, daily in zip(result.strategy_ids, result.daily_returns, strict=True):
        np.testing.assert_array_equal(made.returns[place[sid]], daily)


def test_the_same_arguments_give_the_same_campaign(made: Campaign, bars: Bars) -> None:
    again = campaign(150, bars, PLAIN, seed=4, search=SearchSettings(workers=1))
    assert again.ids == made.ids and again.draws == made.draws and again.trials == made.trials
    np.testing.assert_array_equal(again.returns, made.returns)
    assert campaign(150, bars, PLAIN, seed=5, search=SearchSettings(workers=1)).ids != made.ids


def test_draws_do_not_depend_on_returns(made: Campaign, bars: Bars) -> None:
    """Prices of another walk: what is bred differs, what is drawn beforehand does not."""
    other = campaign(150, market(24 * 120, seed=9), PLAIN, seed=4, search=SearchSettings(workers=1))
    first = [sid for sid in made.ids if sid in made.draws and sid in other.draws]
    assert len(first) >= 0.9 * len(made.draws)
    assert set(made.ids) - made.draws != set(other.ids) - other.draws


def test_one_method_alone_gets_everything(bars: Bars) -> None:
    drawn = campaign(40, bars, PLAIN, ["systematic"], search=SearchSettings(workers=1))
    assert drawn.trials == {"systematic": 40} and drawn.draws == set(drawn.ids)
    bred = campaign(40, bars, PLAIN, ["genetic"], search=SearchSettings(workers=1))
    assert set(bred.trials) == {"genetic"} and not bred.draws and 30 <= len(bred.strategies) <= 40


def test_a_very_small_campaign_only_draws(bars: Bars) -> None:
    made = campaign(5, bars, PLAIN, search=SearchSettings(workers=1))
    assert len(made.strategies) == 5 and made.draws == set(made.ids)
    assert made.returns.shape == (5, 120)


def test_methods_that_can_make_nothing_are_refused(bars: Bars) -> None:
    for count, methods in ((20, ["genetic"]), (5, ["ensemble", "ml_driven"]), (20, ["pairs"])):
        with pytest.raises(StrategyError, match=f"in {count} trials, was none.*name systematic as well"):
            campaign(count, bars, PLAIN, methods, search=SearchSettings(workers=1))


def test_seeds_are_evaluated_too(bars: Bars) -> None:
    known = list(islice(SystematicGenerator().stream(Request(bars, ("trend",), seed=77)), 3))
    made = campaign(120, bars, PLAIN, seed=4, search=SearchSettings(seeds=known, workers=1))
    assert {strategy.id for strategy in known} <= set(made.ids) and not {s.id for s in known} & made.draws


def test_named_series_are_used_where_their_values_are_given(bars: Bars) -> None:
    series = named_series(bars)
    made = campaign(60, bars, FAMILIES, seed=1, series=series, search=SearchSettings(values=series, workers=1))
    assert any("forecast." in strategy.text for strategy in made.strategies)


def test_requests_that_make_no_sense_are_refused(bars: Bars) -> None:
    for arguments in ({"count": 0}, {"count": 10, "families": ["luck"]}, {"count": 10, "methods": ["luck"]}, {"count": 10, "methods": []}):
        with pytest.raises(StrategyError):
            campaign(bars=bars, **arguments)


def test_bare_sentences_have_both_sides_every_symbol_and_no_trimmings(bars: Bars) -> None:
    made = list(islice(SystematicGenerator(bare=True).stream(Request(bars, PLAIN, seed=3)), 200))
    assert len({strategy.id for strategy in made}) == 200
    for strategy in made:
        assert strategy.enter_long is not None and strategy.enter_short is not None
        assert strategy.stop is strategy.take is strategy.trail is strategy.breakeven is strategy.cooldown is None
        assert strategy.size.kind == "all_in" and strategy.symbols == ("*",)
