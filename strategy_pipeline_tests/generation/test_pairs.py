"""Screening finds the pair that was tied together and not random walks, and pairs are traded against each other."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from strategy_pipeline.backtest import backtest
from strategy_pipeline.errors import StrategyError
from strategy_pipeline.generation import PairsGenerator, Request, Screen, screen_pairs
from strategy_pipeline.generation.pairs import COLUMNS, half_life
from strategy_pipeline.strategies import problems
from strategy_pipeline_tests.generation.markets import market, tied_market

TIED = tied_market(3000, half_life=24.0)


def test_the_tied_pair_passes_and_says_how_fast_it_reverts() -> None:
    table = screen_pairs(TIED)
    assert tuple(table.columns) == COLUMNS and len(table) == 3
    first = table.iloc[0]
    assert (first["symbol"], first["against"], bool(first["passed"])) == ("BTC/USDT", "TIE/USDT", True)
    assert first["half_life"] == pytest.approx(24, rel=0.35) and first["hedge"] == pytest.approx(1, abs=0.15)
    assert not table["passed"][1:].any()
    assert table["reason"][1:].str.contains("not cointegrated").all()


def test_random_walks_pass_hardly_ever() -> None:
    passed = [screen_pairs(market(600, ("A/USDT", "B/USDT", "C/USDT", "D/USDT"), seed=seed))["passed"].any() for seed in range(12)]
    assert sum(passed) <= 2


def test_the_statistic_is_that_of_an_independent_library() -> None:
    from statsmodels.tsa.stattools import coint

    x, y = np.log(TIED.close[:2, :3000:3])
    expected = min(coint(a, b, trend="c", maxlag=1, autolag=None)[1] for a, b in ((x, y), (y, x)))
    table = screen_pairs(TIED).set_index(["symbol", "against"])
    assert table.loc[("BTC/USDT", "ETH/USDT"), "p_value"] == pytest.approx(min(1.0, 2 * expected), abs=0.02)


def test_half_life_is_that_of_the_autoregression() -> None:
    rng = np.random.default_rng(0)
    spread = np.zeros(40_000)
    for t in range(1, len(spread)):
        spread[t] = 0.9 * spread[t - 1] + rng.standard_normal()
    assert half_life(spread) == pytest.approx(np.log(2) / -np.log(0.9), rel=0.05)
    assert half_life(np.arange(100.0)) == np.inf


def test_why_a_pair_does_not_pass_is_said() -> None:
    reasons = {
        "half-life": Screen(half_life=(1000.0, 2000.0)),
        "too far from equal notionals": Screen(hedge=(2.0, 3.0)),
        "moved by": Screen(drift=0.0),
        "not cointegrated": Screen(level=1e-300),
    }
    for words, screen in reasons.items():
        assert words in screen_pairs(TIED, screen)["reason"][0]
    dull = TIED.with_fields(**{name: np.full_like(TIED.close, 5.0) for name in ("open", "high", "low", "close")})
    assert screen_pairs(dull)["reason"].str.contains("points with both prices").all()
    with pytest.raises(StrategyError, match="at least two symbols"):
        screen_pairs(TIED.select(("BTC/USDT",)))


def test_strategies_trade_the_screened_pair_by_lengths_of_its_own() -> None:
    request = Request(TIED, ("cross_asset", "trend"), frozenset(), 3)
    found = list(islice(PairsGenerator().stream(request), 30))
    assert {(strategy.symbols, strategy.against) for strategy in found} == {(("BTC/USDT",), "TIE/USDT")}
    assert all(problems(strategy, ()) == [] for strategy in found)
    free = backtest(found, TIED, workers=1)
    assert not free.failures
    assert (free.pooled["trades"] > 0).mean() > 0.9


def test_where_nothing_passes_or_is_asked_for_there_are_no_pairs() -> None:
    assert list(PairsGenerator(Screen(level=1e-300)).stream(Request(TIED, ("cross_asset",)))) == []
    assert list(PairsGenerator().stream(Request(TIED, ("trend",)))) == []
    assert list(PairsGenerator().stream(Request(TIED.select(("BTC/USDT",)), ("cross_asset",)))) == []


def test_a_grid_of_pairs_ends() -> None:
    found = list(PairsGenerator().stream(Request(TIED, ("cross_asset",))))
    assert len({strategy.id for strategy in found}) == len(found) > 1000
