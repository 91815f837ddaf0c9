"""`draw`: so many that differ in what they do, from several methods, with what was dropped and why."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from strategy_pipeline.errors import StrategyError
from strategy_pipeline.generation import SearchSettings, draw, generate
from strategy_pipeline.generation import overlap as overlaps
from strategy_pipeline.generation.overlap import Sieve, entries
from strategy_pipeline.indicators import Bank
from strategy_pipeline.strategies import parse, truth
from strategy_pipeline_tests.generation.markets import SERIES, market, named_series

BARS = market(700, ("BTC/USDT", "ETH/USDT", "SOL/USDT"), seed=2)
VALUES = named_series(BARS)
SEARCH = SearchSettings(trials=40, values=VALUES, workers=1)


def plain_entries(strategy, bars=BARS, values=VALUES) -> np.ndarray:
    """Entries of both sides on the symbols traded, from the written semantics."""
    bank = Bank(bars, series=values, workers=1)
    traded = np.array([strategy.symbols == ("*",) or symbol in strategy.symbols for symbol in bars.symbols])
    traded &= np.array([symbol != strategy.against for symbol in bars.symbols])
    sides = [
        np.zeros(bars.close.shape, bool) if rule is None else truth(rule, bank) == 1 for rule in (strategy.enter_long, strategy.enter_short)
    ]
    return np.stack(sides) & traded[None, :, None]


def jaccard(a: np.ndarray, b: np.ndarray) -> float:
    either = (a | b).sum()
    return (a & b).sum() / either if either else 0.0


@pytest.fixture(scope="module")
def population() -> list:
    return generate(150, BARS, seed=3, series=SERIES)


def test_entry_bits_are_the_written_semantics(population) -> None:
    rows, ran = entries(population, BARS, VALUES, workers=1)
    assert all(ran)
    for strategy, row in zip(population, rows, strict=True):
        assert int(np.bitwise_count(row).sum()) == plain_entries(strategy).sum(), strategy.text


def test_the_sieve_drops_exactly_what_resembles_one_before(population) -> None:
    found = Sieve(BARS, VALUES, len(population), 0.6, workers=1)(population)
    plain = [plain_entries(strategy) for strategy in population]
    kept: list[int] = []
    for k, strategy in enumerate(population):
        twins = [j for j in kept if population[j].against == strategy.against and jaccard(plain[k], plain[j]) >= 0.6]
        assert found[k] == (population[twins[0]].id if twins else None)
        if not twins:
            kept.append(k)
    assert 0 < len(kept) < len(population)


def test_parts_make_no_difference_to_the_sieve(population) -> None:
    whole = Sieve(BARS, VALUES, 150, 0.8, workers=1)(population)
    parted = Sieve(BARS, VALUES, 150, 0.8, workers=1)
    assert parted(population[:40]) + parted(population[40:41]) + parted(population[41:]) == whole


def test_only_the_latest_bars_are_held_where_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlaps, "_WORDS", (12, 12))
    monkeypatch.setattr(overlaps, "_WARM", 64)
    sieve = Sieve(BARS, None, 10, 1.0, workers=1)
    first, second = (parse(f"trend on * 1h\nenter long when close > ema(close, {n})\nhold at most {h} bars") for n, h in ((10, 5), (10, 6)))
    assert sieve([first, second]) == [None, first.id]
    recent, _ = entries([first], sieve._bars, None, skip=sieve._skip, workers=1)
    held = sieve._bars.n_bars - 64 * sieve._skip
    assert 64 < held <= 128 and sieve._bars.n_bars < BARS.n_bars
    assert int(np.bitwise_count(recent).sum()) == plain_entries(first)[:, :, -held:].sum() > 0


def test_a_strategy_that_never_enters_or_cannot_be_run_resembles_no_other() -> None:
    idle = [parse(f"trend on BTC/USDT 1h\nenter long when close > {price}\nhold at most 9 bars") for price in (10**9, 10**10)]
    lost = [parse(f"ml on * 1h\nenter long when forecast.none > {x}\nhold at most 9 bars") for x in (1, 2)]
    assert Sieve(BARS, None, 10, 0.9, workers=1)([*idle, *lost]) == [None] * 4


def test_methods_share_the_count_and_no_two_enter_on_nearly_the_same_bars() -> None:
    drawn = draw(60, BARS, methods=["systematic", "genetic", "ensemble"], seed=1, series=SERIES, search=SEARCH, overlap=0.8)
    assert len(drawn.strategies) == len({strategy.id for strategy in drawn.strategies}) == 60 == sum(drawn.shares.values())
    assert min(drawn.shares.values()) >= 12
    plain = [plain_entries(strategy) for strategy in drawn.strategies]
    for i in range(60):
        for j in range(i):
            if drawn.strategies[i].against == drawn.strategies[j].against:
                assert jaccard(plain[i], plain[j]) < 0.8
    assert list(drawn.dropped.columns) == ["strategy_id", "method", "reason", "like"]
    kept = {strategy.id for strategy in drawn.strategies}
    alike = drawn.dropped[drawn.dropped["like"] != ""]
    assert set(alike["like"]) <= kept and not set(alike["strategy_id"]) & kept
    assert alike["reason"].str.contains("at least 80% of the same bars").all()


def test_the_same_arguments_draw_the_same() -> None:
    one, two = (draw(40, BARS, seed=4, series=SERIES, search=replace(SEARCH, workers=workers)) for workers in (1, 2))
    assert one.strategies == two.strategies
    assert one.dropped.equals(two.dropped)


def test_systematic_draws_that_differ_are_in_the_order_of_generate() -> None:
    ids = [strategy.id for strategy in generate(400, BARS, seed=4, series=SERIES)]
    drawn = [strategy.id for strategy in draw(40, BARS, seed=4, series=SERIES, search=SEARCH).strategies]
    assert drawn == sorted(drawn, key=ids.index)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"count": 0}, "1 or more"),
        ({"count": -3}, "1 or more"),
        ({"count": 10**9}, "at most 1,000,000"),
        ({"families": ["momentun"]}, "near: momentum"),
        ({"methods": ["genetics"]}, "near: genetic"),
        ({"overlap": 0.0}, "overlap above 0"),
        ({"overlap": 1.5}, "overlap above 0"),
    ],
)
def test_bad_requests_say_what_to_do(arguments: dict, reason: str) -> None:
    with pytest.raises(StrategyError, match=reason):
        draw(**{"count": 5, "bars": BARS} | arguments)


def test_where_too_few_differ_it_says_how_many_were_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("strategy_pipeline.generation.population._PATIENCE", 1)
    monkeypatch.setattr("strategy_pipeline.generation.population._AT_ONCE", 30)
    with pytest.raises(StrategyError, match="that differ in their entries, was"):
        draw(90, BARS, ["trend"], overlap=0.1)
