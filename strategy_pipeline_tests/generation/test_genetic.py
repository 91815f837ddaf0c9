"""Genetic search: its budget, its training window, its islands, and that it finds more than chance does."""

from __future__ import annotations

import datetime as dt
from itertools import islice

import numpy as np
import pytest

from strategy_pipeline.backtest import backtest, metrics_from_returns
from strategy_pipeline.errors import StrategyError
from strategy_pipeline.generation import GeneticGenerator, GeneticSettings, Request, SearchSettings, SystematicGenerator, fitness, recorder
from strategy_pipeline.generation.fitness import Evaluator, distinct_rows
from strategy_pipeline.generation.genetic import GeneticSearch
from strategy_pipeline.rng import derive_seed
from strategy_pipeline.selection import TrialsLedger, sharpe_ratio
from strategy_pipeline.strategies import parse
from strategy_pipeline_tests.generation.markets import market

FAMILIES = ("momentum", "mean_reversion", "breakout", "trend", "volatility", "volume", "ensemble")
BARS = market(2400, seed=9, momentum=0.06)
TRAIN = BARS.between(BARS.times[0], BARS.times[1440])
SETTINGS = GeneticSettings(population=32, generations=5, islands=2, migrate_every=2)


def searched(seed: int = 0, settings: GeneticSettings = SETTINGS, **search) -> tuple[GeneticSearch, Evaluator]:
    request = Request(TRAIN, FAMILIES, frozenset(), seed, SearchSettings(workers=1, **search))
    evaluator = Evaluator(request, "genetic")
    found = GeneticSearch(request, evaluator, 0, settings)
    while not found.done:
        found.step()
    return found, evaluator


@pytest.fixture(scope="module")
def found() -> tuple[GeneticSearch, Evaluator]:
    return searched()


def test_it_evaluates_exactly_its_budget_of_distinct_strategies(found) -> None:
    search, evaluator = found
    assert len(search.evaluated) == len(evaluator) == 32 * 5
    assert [len(island) for island in search.islands] == [16, 16]
    assert all(len(set(island)) == 16 for island in search.islands)


def test_fitness_is_that_of_a_plain_backtest_of_the_training_window(found) -> None:
    search, evaluator = found
    ids = search.fame[:3]
    result = backtest([search.evaluated[sid] for sid in ids], TRAIN, workers=1)
    plain = metrics_from_returns(result.daily_returns, 365.0)
    numbers = evaluator.numbers(ids)
    np.testing.assert_allclose(numbers[:, fitness.SHARPE], plain["sharpe"], rtol=1e-12)
    np.testing.assert_allclose(numbers[:, fitness.DRAWDOWN], plain["max_drawdown"], rtol=1e-12)
    np.testing.assert_allclose(numbers[:, fitness.TURNOVER], result.pooled["turnover"], rtol=1e-12)
    assert (evaluator.returns(ids) == result.daily_returns).all()


def test_neither_the_future_nor_the_number_of_threads_changes_a_search(found) -> None:
    """The same training bars cut from another future give the same search."""
    doubled = {name: np.where(np.arange(BARS.n_bars) < 1440, 1.0, 2.0) * getattr(BARS, name) for name in ("open", "high", "low", "close")}
    other = BARS.with_fields(**doubled).between(BARS.times[0], BARS.times[1440])
    request = Request(other, FAMILIES, frozenset(), 0, SearchSettings(workers=2))
    again = GeneticSearch(request, Evaluator(request, "genetic"), 0, SETTINGS)
    while not again.done:
        again.step()
    assert list(again.evaluated) == list(found[0].evaluated) and again.fame == found[0].fame


def test_the_hall_of_fame_is_sorted_and_its_members_differ(found) -> None:
    search, evaluator = found
    worth = evaluator.worth(search.fame)
    assert (np.diff(worth) <= 0).all()
    assert worth[0] == np.nanmax(evaluator.worth(list(search.evaluated)))
    assert distinct_rows(evaluator.returns(search.fame), 0.9) == list(range(len(search.fame)))


def test_leaders_differ_and_those_come_first_that_others_agree_with(found) -> None:
    search, evaluator = found
    leaders = evaluator.leaders(search.evaluated)
    assert [strategy.id for strategy in search.best()[: len(leaders)]] == leaders
    related = fitness.correlations(evaluator.returns(leaders))
    assert (related[np.triu_indices(len(leaders), 1)] <= 0.9).all()
    votes = np.exp(evaluator.worth(evaluator.by_worth(search.evaluated)) * 60 / 365)
    agree = np.corrcoef(evaluator.returns([*leaders, *evaluator.by_worth(search.evaluated)]))[: len(leaders), len(leaders) :]
    score = (np.maximum(agree, 0.0) ** 2) @ votes
    assert (np.diff(score) <= 1e-9).all()


def test_losing_strategies_stand_behind_all_that_do_not_lose(found) -> None:
    search, evaluator = found
    ids = evaluator.by_worth(search.evaluated)
    costs, worth = search._costs(ids), evaluator.worth(ids)
    assert costs[worth < 0].min() > costs[worth >= 0].max()


def test_strategies_that_never_trade_are_kept_out_of_what_is_handed_over(found) -> None:
    search, evaluator = found
    assert np.isfinite(evaluator.numbers([strategy.id for strategy in search.best()])).all()
    assert len(search.best()) == 40


def test_generations_improve_on_the_first_which_is_drawn(found) -> None:
    search, evaluator = found
    first = [strategy.id for strategy in islice(search.evaluated.values(), 32)]
    both = []
    for bare, count in ((True, 22), (False, 10)):
        seed = derive_seed(search.seed, "bare" if bare else "draws")
        both += islice(SystematicGenerator(bare=bare).stream(Request(TRAIN, FAMILIES, frozenset(), seed)), count)
    assert set(first) == {strategy.id for strategy in both}
    started = np.nanmax(evaluator.numbers(first)[:, fitness.SHARPE])
    assert np.nanmax(evaluator.numbers(search.fame)[:, fitness.SHARPE]) > started


def test_on_planted_momentum_it_beats_drawing_as_many_in_training_and_is_not_far_behind_after() -> None:
    """Four seeds here; twenty, with the test statistic, in benchmarks/generation.py."""
    ahead, later = [], []
    for seed in range(4):
        search, evaluator = searched(seed)
        bred = search.best()[0]
        drawn = list(islice(SystematicGenerator().stream(Request(TRAIN, FAMILIES, frozenset(), 100 + seed)), 160))
        evaluator.run(drawn)
        best = evaluator.strategy(evaluator.leaders([strategy.id for strategy in drawn])[0])
        ahead.append(np.subtract(*evaluator.numbers([bred.id, best.id])[:, fitness.SHARPE]))
        result = backtest([bred, best], BARS, workers=1)
        later.append(np.subtract(*sharpe_ratio(result.daily_returns[:, 60:].T)))
    assert np.mean(ahead) > 0 and np.median(ahead) > 0
    assert np.mean(later) > -0.05


def test_seeds_given_begin_the_search_and_are_counted() -> None:
    given = parse("trend on * 1h\nenter long when ema(close, 24) > ema(close, 96)\nexit when ema(close, 24) < ema(close, 96)")
    ledger = TrialsLedger()
    told = recorder(ledger, "daily", day=dt.date(2024, 1, 1))
    search, _ = searched(seeds=(given,), record=told, settings=GeneticSettings(population=8, generations=2))
    assert given.id in search.evaluated
    assert ledger.ids("daily") == frozenset(search.evaluated)
    assert set(ledger.to_frame()["origin"]) == {"genetic"}


def test_what_is_expected_of_a_sharpe_ratio_falls_with_choices_and_rises_with_years() -> None:
    found = fitness.expected_sharpe(np.array([2.0, 2.0, 2.0, 0.5, -1.0, np.nan]), np.array([4.0, 8.0, 4.0, 4.0, 4.0, 4.0]), 2.0)
    np.testing.assert_allclose(found, [1.0, 0.0, 1.0, -1.5, -3.0, np.nan])
    assert fitness.expected_sharpe(np.array([2.0]), np.array([4.0]), 20.0)[0] == pytest.approx(1.9)
    assert fitness.expected_sharpe(np.array([4.0]), np.array([3.0]), 2.0, credible=1.5)[0] == pytest.approx(3.0)


def test_choices_are_counted_once_for_a_rule_and_its_mirror_image() -> None:
    both = (
        "mean_reversion on * 1h\nenter long when rsi(close, 14) < 30 and close < bbands(close, 20, 2).lower\n"
        "enter short when rsi(close, 14) > 70 and close > bbands(close, 20, 2).upper\nexit long when rsi(close, 14) > 50"
    )
    # 14, 20, 2 and the distance of 20 from 50; two comparisons, half each
    assert fitness.decisions(parse(both)) == 5
    assert fitness.decisions(parse(both.replace("> 70", "> 72"))) == 6
    assert fitness.decisions(parse(f"{both}\nstop 3%, hold at most 9 bars")) == 6
    assert fitness.decisions(parse(both.replace("on *", "on BTC/USDT"))) == 7
    one_side = "\n".join(line for line in both.splitlines() if "short" not in line)
    assert fitness.decisions(parse(one_side)) == 7


def test_expected_sharpe_ratios_are_nearer_to_what_came_than_those_fitted() -> None:
    """Best of k independent coin flips in each of many searches: the criterion's correction is of the size of the disappointment."""
    rng = np.random.default_rng(0)
    k, years, true = 6, 2.0, 2.0
    fitted = []
    for _ in range(400):
        # k choices, each a direction in which the estimate can be fitted: the fitted ratio is the length of the estimate
        estimate = np.append(true, np.zeros(k - 1)) + rng.standard_normal(k) / np.sqrt(years)
        weights = estimate / np.linalg.norm(estimate)
        fitted.append((float(np.linalg.norm(estimate)), true * float(weights[0])))
    inside, outside = np.array(fitted).T
    corrected = fitness.expected_sharpe(inside, np.full(400, float(k)), years)
    assert abs(corrected.mean() - outside.mean()) < 0.4 * (inside.mean() - outside.mean())


def test_settings_follow_from_the_budget_or_are_refused() -> None:
    assert GeneticSettings().sizes(1200) == (100, 12, 4)
    assert GeneticSettings(population=500, generations=20).sizes(1) == (500, 20, 8)
    for wrong in (GeneticSettings(population=3), GeneticSettings(population=20, islands=8), GeneticSettings(migrate_every=0)):
        with pytest.raises(StrategyError, match="nothing can be bred"):
            wrong.sizes(100)
    for trials in (0, -1, 10**9, 2.5, True):
        with pytest.raises(StrategyError, match="trials of a search"):
            SearchSettings(trials=trials)


def test_rows_of_the_same_returns_count_once() -> None:
    rng = np.random.default_rng(0)
    base = rng.standard_normal((2, 50))
    returns = np.vstack([base[0], base[1], 2 * base[0], -base[0], np.zeros(50)])
    assert distinct_rows(returns, 0.9) == [0, 1, 3, 4]
    assert distinct_rows(returns, 0.9, most=2) == [0, 1]


def test_a_second_search_of_a_stream_brings_others() -> None:
    request = Request(TRAIN, ("trend",), frozenset(), 3, SearchSettings(trials=24, workers=1))
    found = list(islice(GeneticGenerator().stream(request), 10))
    assert len({strategy.id for strategy in found}) == 10
