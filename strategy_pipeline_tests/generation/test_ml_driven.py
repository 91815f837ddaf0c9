"""The surrogate learns what does well, rules come out of trees without seeing the future, and the search uses both."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from strategy_pipeline.generation import ModelDrivenGenerator, Request, SearchSettings, SystematicGenerator, features
from strategy_pipeline.generation.distill import HORIZONS, distilled, labels, paths
from strategy_pipeline.generation.fitness import SHARPE, Evaluator
from strategy_pipeline.generation.ml_driven import ModelDrivenSearch
from strategy_pipeline.generation.surrogate import Surrogate
from strategy_pipeline.indicators import Bank
from strategy_pipeline.strategies import parse, problems, truth
from strategy_pipeline_tests.generation.markets import SERIES, market, named_series

FAMILIES = ("momentum", "mean_reversion", "breakout", "trend")
BARS = market(2000, seed=12, momentum=0.1)
REQUEST = Request(BARS, FAMILIES, frozenset(), 2, SearchSettings(trials=120, workers=1))


@pytest.fixture(scope="module")
def past() -> tuple[list, Evaluator]:
    evaluator = Evaluator(REQUEST, "ml_driven")
    drawn = list(islice(SystematicGenerator().stream(REQUEST), 260))
    evaluator.run(drawn)
    return drawn, evaluator


def test_the_surrogate_ranks_strategies_it_has_not_seen(past) -> None:
    drawn, evaluator = past
    ids = [strategy.id for strategy in drawn]
    surrogate = Surrogate(BARS, 1)
    assert not surrogate.ready
    surrogate.fit(drawn[:180], evaluator.returns(ids[:180]))
    sharpe = evaluator.numbers(ids[180:])[:, SHARPE]
    known = np.isfinite(sharpe)
    expected = surrogate.score(drawn[180:], explore=0.0)
    order = [np.argsort(np.argsort(values[known])) for values in (expected, sharpe)]
    assert np.corrcoef(*order)[0, 1] > 0.4


def test_too_little_to_learn_from_leaves_the_surrogate_unready(past) -> None:
    drawn, evaluator = past
    surrogate = Surrogate(BARS, 1)
    surrogate.fit(drawn[:5], evaluator.returns([strategy.id for strategy in drawn[:5]]))
    assert not surrogate.ready


def test_features_tell_structure_and_parameters_apart() -> None:
    texts = [
        "trend on * 1h\nenter long when ema(close, 24) > ema(close, 96)\nhold at most 24 bars",
        "trend on * 1h\nenter long when ema(close, 24) > ema(close, 97)\nhold at most 24 bars",
        "trend on * 1h\nenter short when ema(close, 24) > ema(close, 96)\nhold at most 24 bars",
        "trend on BTC/USDT 1h\nenter long when ema(close, 24) > ema(close, 96)\nhold at most 24 bars",
        "trend on * 1h\nenter long when ema(close, 24) > ema(close, 96)\nhold at most 25 bars",
        "trend on * 1h\nenter long when crosses_above(ema(close, 24), ema(close, 96))\nhold at most 24 bars",
    ]
    rows = features.structure([parse(text) for text in texts], BARS.symbols)
    assert np.isfinite(rows).all()
    assert len(np.unique(rows, axis=0)) == len(texts)


def test_regimes_are_measured_per_stretch_of_days() -> None:
    parts = features.segments(BARS, 4)
    assert sum(map(len, parts)) == len(np.unique(BARS.times.astype("datetime64[D]")))
    found = features.regimes(BARS, parts)
    inside = np.diff(np.log(BARS.close), axis=1)[:, : 24 * len(parts[0]) - 1]
    assert found[0, 0] == pytest.approx(np.append(inside.ravel(), [0.0, 0.0]).std(), rel=1e-9)
    assert np.isfinite(found).all() and (found[:, 2] <= 1).all()


def test_labels_look_no_further_than_their_horizon_and_never_beyond_the_bars() -> None:
    close = BARS.close
    found = labels(close, 24)
    assert np.isnan(found[:, -24:]).all() and np.isfinite(found[:, 48:-24]).all()
    t = 500
    logs = np.log(close[0])
    deviation = np.sqrt((np.diff(logs)[t - 48 : t] ** 2).mean() * 24)
    assert found[0, t] == pytest.approx((logs[t + 24] - logs[t]) / deviation, rel=1e-9)
    changed = close.copy()
    changed[:, t + 25 :] *= 3.0
    np.testing.assert_array_equal(labels(changed, 24)[:, : t + 1], found[:, : t + 1])


def test_a_path_of_the_tree_is_the_split_that_was_planted() -> None:
    rng = np.random.default_rng(0)
    noise, planted = rng.standard_normal((2, 2, 6000))
    label = np.where(planted > 0.8, 1.0, 0.0) + 0.5 * rng.standard_normal((2, 6000))
    best = paths([noise, planted], label - 0.2, 6, seed=1)[0]
    assert (1, ">") in {(feature, op) for feature, op, _ in best.bounds}
    assert next(cut for feature, op, cut in best.bounds if (feature, op) == (1, ">")) == pytest.approx(0.8, abs=0.1)
    assert best.mean > 0 and best.later > 0


def test_leaves_that_turn_round_on_the_later_part_are_dropped() -> None:
    rng = np.random.default_rng(3)
    value = rng.standard_normal((2, 6000))
    label = np.where(value > 0, 1.0, -1.0) * np.where(np.arange(6000) < 4200, 1.0, -1.0)
    assert paths([value], label, 6, seed=0) == []


def test_distilled_rules_are_valid_sentences_and_follow_the_planted_momentum() -> None:
    found = list(distilled(REQUEST, frozenset(), 3))
    assert len({strategy.id for strategy in found}) == len(found) > 6
    bank = Bank(BARS, workers=1)
    ahead = labels(BARS.close, 24)
    gains = []
    for strategy in found:
        assert problems(strategy, ()) == [] and parse(strategy.text) == strategy
        assert strategy.family in FAMILIES and strategy.hold in HORIZONS
        if strategy.enter_long is not None:
            gains.append(np.nanmean(ahead[truth(strategy.enter_long, bank) == 1]))
    assert np.median(gains) > 0.1


def test_named_series_become_terminals_where_their_values_are_given() -> None:
    values = named_series(BARS)
    ahead = np.nan_to_num(labels(BARS.close, 12))
    values["agent.ppo"] = np.clip(ahead, -1, 1)  # an oracle: what a tree must find first
    request = Request(BARS, ("ml",), frozenset(SERIES), 0, SearchSettings(values=values, workers=1))
    found = list(islice(distilled(request, frozenset(SERIES), 0), 4))
    assert all("agent.ppo" in strategy.text and strategy.family == "ml" for strategy in found)


def test_later_batches_are_better_than_the_first_drawn_one() -> None:
    evaluator = Evaluator(REQUEST, "ml_driven")
    search = ModelDrivenSearch(REQUEST, 0, evaluator)
    sizes = []
    while not search.done:
        search.step()
        sizes.append(len(search.evaluated))
    assert sizes == [40, 80, 120]
    sharpe = evaluator.numbers(list(search.evaluated))[:, SHARPE]
    assert np.nanmedian(sharpe[80:]) > np.nanmedian(sharpe[:40])
    best = evaluator.worth([strategy.id for strategy in search.best()])
    assert len(best) == 30 and (np.diff(best) <= 0).all()


def test_too_few_bars_for_a_tree_still_make_a_search() -> None:
    short = Request(market(200), FAMILIES, frozenset(), 0, SearchSettings(trials=16, workers=1))
    assert list(distilled(short, frozenset(), 0)) == []
    assert len(list(islice(ModelDrivenGenerator().stream(short), 3))) == 3
