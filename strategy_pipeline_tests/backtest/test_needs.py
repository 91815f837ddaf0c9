"""The order in which a plan's comparisons are made, and what is forgotten on the way."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from strategy_pipeline.backtest import backtest
from strategy_pipeline.backtest import engine as inside
from strategy_pipeline.backtest.needs import Needs
from strategy_pipeline.backtest.plan import Plan, is_number, make_plan
from strategy_pipeline.indicators import Bank, Value
from strategy_pipeline.market import Bars
from strategy_pipeline.rng import generator
from strategy_pipeline.strategies import Strategy, parse
from strategy_pipeline_tests.backtest.worlds import make_bars

LENGTHS = (5, 9, 14, 20, 33, 50, 77, 120)


@pytest.fixture(scope="module")
def bars() -> Bars:
    return make_bars(generator(4, "needs"), 2, 700)


@pytest.fixture(scope="module")
def population() -> list[Strategy]:
    """Each series is compared with a few others, and with numbers made of others: no order by name keeps few alive."""
    rules = [f"rsi(close, {a}) > 50 and ema(close, {a}) > sma(close, {b})" for a, b in zip(LENGTHS, reversed(LENGTHS), strict=True)]
    rules += [f"stddev(close, {a}) * 2 + sma(close, {a}) < high" for a in LENGTHS]
    rules += [f"lag(rsi(close, {a}), 3) < rsi(close, {a}) and sma(rsi(close, {a}), {b}) > 40" for a, b in pairwise(LENGTHS)]
    return [
        parse(f"momentum on * 1h\nenter long when {rule}\nexit when rsi(close, 14) > 70\nstop 2 atr(14)\nsize all_in") for rule in rules
    ]


def needs(bars: Bars, population: list[Strategy]) -> tuple[Needs, Plan, Bank]:
    plan, bank = make_plan(population, bars.symbols, bars.timeframe), Bank(bars, workers=1)
    return Needs(bank, plan, np.ones(len(plan.literals), dtype=bool)), plan, bank


def sides(plan: Plan, literals: np.ndarray) -> list[Value]:
    return [plan.values[side] for side in np.unique(plan.literals[literals, 1:])]


def test_every_comparison_comes_once_whatever_fits(bars: Bars, population: list[Strategy]) -> None:
    _, plan, _ = needs(bars, population)
    for at_once, size, room in [(512, 1 << 30, 1 << 30), (4, 1 << 30, 1 << 30), (512, 5 * bars.close.nbytes, 0), (1, 1, 0)]:
        found = [
            literal for part in needs(bars, population)[0].portions(np.arange(len(plan.literals)), at_once, size, room) for literal in part
        ]
        assert sorted(found) == list(range(len(plan.literals)))


def test_all_that_is_computed_is_forgotten_once_nobody_needs_it_and_not_before(bars: Bars, population: list[Strategy]) -> None:
    """Releasing as told, every expression is computed once, and in the end the bank holds nothing but what strategies read."""
    found, plan, bank = needs(bars, population)
    for part in found.portions(np.arange(len(plan.literals)), 3, 1 << 30, 0):
        bank.evaluate_many([value for value in sides(plan, part) if not is_number(value)])
        bank.release(found.done(part))
    for number, value in enumerate(plan.aux):
        bank.evaluate(value)
        bank.release(found.read(number))
    alone = Bank(bars, workers=1)
    alone.evaluate_many([*plan.values, *plan.aux])
    assert bank.computed == alone.computed
    assert not bank._store._entries and bank._store.size == 0


def test_a_frugal_order_holds_less_alive(bars: Bars, population: list[Strategy]) -> None:
    found, plan, _ = needs(bars, population)
    every = np.arange(len(plan.literals))
    named = [literal for part in found.portions(every, 1, 1 << 40, 1 << 50) for literal in part.tolist()]
    frugal = [literal for part in found.portions(every, 1, 1 << 40, 0) for literal in part.tolist()]
    assert found._most_alive(frugal) < found._most_alive(named)


def test_little_memory_computes_nothing_twice_and_changes_no_number(
    bars: Bars, population: list[Strategy], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = backtest(population, bars, workers=1).metrics
    banks: list[Bank] = []

    def noted(*args: object, **options: object) -> Bank:
        banks.append(Bank(*args, **options))
        return banks[-1]

    monkeypatch.setattr(inside, "Bank", noted)
    monkeypatch.setattr(inside, "BANK_BYTES", 24 * bars.close.nbytes)
    found = backtest(population, bars, workers=1).metrics
    assert found.equals(wanted)
    ample = Bank(bars, workers=1)
    plan = make_plan(population, bars.symbols, bars.timeframe)
    ample.evaluate_many([*plan.values, *plan.aux])
    assert banks[0].computed == ample.computed
