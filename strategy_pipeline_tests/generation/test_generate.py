"""`generate`: exactly so many, distinct, valid, the same again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import pytest

from strategy_pipeline.errors import StrategyError
from strategy_pipeline.generation import Generator, Request, SystematicGenerator, Template, generate, methods, register, skipped_families
from strategy_pipeline.generation import protocol as registry
from strategy_pipeline.generation.variants import HOLDS, RISKS
from strategy_pipeline.strategies import FAMILIES, Strategy, parse, validate
from strategy_pipeline_tests.generation.markets import SERIES, market

BARS = market()
PRICE_FAMILIES = ("momentum", "mean_reversion", "breakout", "trend", "volatility", "volume", "cross_asset", "ensemble")


@pytest.fixture(scope="module")
def thousand() -> list[Strategy]:
    return generate(1200, BARS, seed=7, series=SERIES)


def test_exactly_so_many_distinct_strategies(thousand: list[Strategy]) -> None:
    assert len(thousand) == len({strategy.id for strategy in thousand}) == 1200
    for count in (1, 2, 13):
        assert len(generate(count, BARS)) == count


def test_every_one_is_valid_and_reads_back(thousand: list[Strategy]) -> None:
    for strategy in thousand:
        validate(strategy, SERIES)
        assert strategy.timeframe == "1h"
    for strategy in thousand[::20]:
        assert parse(strategy.text) == strategy


def test_the_same_arguments_give_the_same_strategies(thousand: list[Strategy]) -> None:
    assert generate(300, BARS, seed=7, series=reversed(SERIES)) == thousand[:300]
    assert generate(300, BARS, seed=8, series=SERIES) != thousand[:300]


def test_a_smaller_count_is_a_prefix_of_a_larger_one(thousand: list[Strategy]) -> None:
    for count in (1, 50, 600):
        assert generate(count, BARS, seed=7, series=SERIES) == thousand[:count]


def test_families_share_evenly(thousand: list[Strategy]) -> None:
    assert Counter(strategy.family for strategy in thousand) == dict.fromkeys(FAMILIES, 100)
    shares = Counter(strategy.family for strategy in generate(100, BARS, ["trend", "breakout", "momentum"]))
    assert sorted(shares.values()) == [33, 33, 34]


def test_sides_stops_limits_sizes_and_symbols_all_occur(thousand: list[Strategy]) -> None:
    assert {(s.enter_long is not None, s.enter_short is not None) for s in thousand} == {(True, True), (True, False), (False, True)}
    for name in ("stop", "take", "trail"):
        assert {getattr(s, name).kind for s in thousand if getattr(s, name)} == {"percent", "atr"}
    plain = [s for s in thousand if s.against is None]
    for name in ("breakeven", "cooldown"):
        assert sum(getattr(s, name) is not None for s in plain) > 0.03 * len(plain), name
    assert {s.size.kind for s in thousand} == {"all_in", "fraction", "volatility_target", "kelly"}
    assert {s.symbols for s in thousand} == {("*",), ("BTC/USDT",), ("ETH/USDT",)}
    pooled = sum(s.symbols == ("*",) for s in thousand) / len(thousand)
    assert 0.4 < pooled < 0.6


def test_every_strategy_can_leave_its_position(thousand: list[Strategy]) -> None:
    for s in thousand:
        sides = [(s.enter_long, s.exit_long), (s.enter_short, s.exit_short)]
        assert s.hold is not None or all(leave is not None for enter, leave in sides if enter is not None)


def test_families_without_data_are_skipped_with_the_reason(caplog: pytest.LogCaptureFixture) -> None:
    skipped = skipped_families(market(symbols=("BTC/USDT",)))
    assert set(skipped) == {"sentiment", "macro", "cross_asset", "ml", "rl"}
    assert "at least two symbols" in skipped["cross_asset"]
    assert "forecast.return_*" in skipped["ml"]
    found = generate(80, BARS)
    assert {strategy.family for strategy in found} == set(PRICE_FAMILIES)
    assert "no macro strategies are generated: it needs a named series macro.*" in caplog.text
    assert skipped_families(BARS, SERIES) == {}


def test_named_series_are_used_only_where_given() -> None:
    given = ("forecast.return_6h", "regime.calm", "regime.turbulent")
    for strategy in generate(200, BARS, series=given):
        validate(strategy, given)
    assert any("forecast.return_6h" in strategy.text for strategy in generate(50, BARS, ["ml"], series=given))


def test_taker_flow_is_used_where_bars_have_it() -> None:
    with_flow = BARS.with_fields(taker_buy_volume=BARS.volume * 0.5)
    assert any("taker_buy_volume" in strategy.text for strategy in generate(20, with_flow, ["volume"]))
    assert not any("taker_buy_volume" in strategy.text for strategy in generate(20, BARS, ["volume"]))


@pytest.mark.parametrize("timeframe", ["4h", "1d", "1w"])
def test_other_timeframes_and_single_symbols_work(timeframe: str) -> None:
    for strategy in generate(200, market(symbols=("SOL/USDT",), timeframe=timeframe)):
        validate(strategy, ())
        assert strategy.symbols == ("*",)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"count": 0}, "1 or more"),
        ({"count": -5}, "1 or more"),
        ({"count": 2.5}, "1 or more"),
        ({"count": True}, "1 or more"),
        ({"count": 1_000_001}, "probably a mistake"),
        ({"count": 5, "families": ["momentun"]}, "near: momentum"),
        ({"count": 5, "families": []}, "at least one family"),
        ({"count": 5, "families": "momentum"}, r"write \['momentum'\]"),
        ({"count": 5, "families": ["ml"]}, "ml: it needs a named series forecast.return_"),
        ({"count": 5, "methods": ["sytematic"]}, "near: systematic"),
        ({"count": 5, "methods": []}, "at least one generation method"),
    ],
)
def test_bad_requests_say_what_to_do(arguments: dict, reason: str) -> None:
    with pytest.raises(StrategyError, match=reason):
        generate(**{"bars": BARS} | arguments)


TINY = Template(
    "tiny", "trend", "close > ema(close, 5)", "close < ema(close, 5)", "close < ema(close, 5)", "close > ema(close, 5)", filtered=False
)


def test_a_small_grid_is_gone_through_completely_and_then_ends() -> None:
    one_symbol = Request(market(symbols=("BTC/USDT",)), ("trend",), frozenset(), 3)
    found = list(SystematicGenerator([TINY]).stream(one_symbol))
    limits = {strategy.hold for strategy in found}
    risks = {(s.stop, s.take, s.trail, s.breakeven, s.cooldown) for s in found}
    sizes = {strategy.size for strategy in found}
    assert (len(limits), len(risks), len(sizes)) == (len(set(HOLDS)), len(set(RISKS)), 5)
    assert len(found) == len({strategy.id for strategy in found}) == 3 * len(limits) * len(risks) * len(sizes)
    assert found[:20] != list(islice(SystematicGenerator([TINY]).stream(replace(one_symbol, seed=4)), 20))


def test_asking_for_more_than_there_are_says_how_many() -> None:
    class Few:
        name = "few"

        def stream(self, request: Request) -> Iterator[Strategy]:
            yield from islice(SystematicGenerator().stream(request), 7)

    register("few", Few)
    try:
        assert isinstance(Few(), Generator)
        assert {"few", "systematic"} < set(methods())
        with pytest.raises(StrategyError, match="Expected 8 distinct strategies, was 7"):
            generate(8, BARS, ["trend"], ["few"])
        both = generate(30, BARS, ["trend"], ["few", "systematic"])
        assert len({strategy.id for strategy in both}) == 30
        with pytest.raises(StrategyError, match="exists"):
            register("few", Few)
    finally:
        del registry._METHODS["few"]
