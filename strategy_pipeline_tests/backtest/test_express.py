"""The express says what the general path says, and its parts say what a plain loop says."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategy_pipeline.backtest import HEADLINE_METRICS, Costs, backtest, bits, engine, ranges, ranks, source, touch
from strategy_pipeline.backtest.plan import make_plan
from strategy_pipeline.backtest.streaming import EQUITY, M2, MAX_DRAWDOWN, MEAN, N_SUMS
from strategy_pipeline.backtest.tally import tally
from strategy_pipeline.errors import StrategyError
from strategy_pipeline.strategies import Level, Size, Strategy, parse
from strategy_pipeline_tests.backtest.worlds import make_bars, make_condition, make_series, make_strategy

SEEDS = st.integers(0, 2**32 - 1)


def plain_strategy(rng: np.random.Generator) -> Strategy:
    """Long, of a fixed size, levels in percent: what the express takes."""

    def level() -> Level | None:
        return Level("percent", float(rng.choice([0.005, 0.01, 0.03, 0.2]))) if rng.random() < 0.5 else None

    return Strategy(
        "momentum", ("*",), "1h", make_condition(rng), None, make_condition(rng) if rng.random() < 0.7 else None, None,
        level(), level(), level(), int(rng.integers(1, 30)) if rng.random() < 0.4 else None,
        Size("all_in") if rng.random() < 0.6 else Size("fraction", float(rng.choice([0.1, 0.5, 1.0]))),
    )  # fmt: skip


def plain_population(rng: np.random.Generator, count: int) -> list[Strategy]:
    found: list[Strategy] = []
    while len(found) < count:
        try:
            found.append(plain_strategy(rng))
        except StrategyError:
            continue
    return found


@settings(max_examples=60)
@given(seed=SEEDS)
def test_plain_strategies_have_the_numbers_of_the_general_path_on_ugly_markets(seed: int) -> None:
    rng = np.random.default_rng(seed)
    bars = make_bars(rng, 2, int(rng.integers(3, 700)), volatility=float(rng.choice([0.005, 0.03, 0.2])))
    options = {
        "series": make_series(rng, bars),
        "fill": str(rng.choice(["next_open", "close"])),
        "costs": Costs(
            float(rng.choice([0, 10, 200])), float(rng.choice([0, 5, 100])), bool(rng.random() < 0.3),
            maker_fee_bps=None if rng.random() < 0.5 else 2.0,
        ),
        "workers": 1,
    }  # fmt: skip
    if rng.random() < 0.4:
        first, last = np.sort(rng.integers(0, bars.n_bars, 2))
        if np.isfinite(bars.close[:, first : last + 1]).any():
            options |= {"start": bars.times[first], "end": bars.times[last] + np.timedelta64(1, "h")}
    population = plain_population(rng, 8)
    with pytest.MonkeyPatch.context() as patch:
        if rng.random() < 0.5:
            patch.setattr(engine, "TABLE_USES", 1)
        if rng.random() < 0.5:
            patch.setattr(source, "PAIR", 1e9)  # whatever is compared with another series is ranked
        headline = backtest(population, bars, metrics=HEADLINE_METRICS, **options).metrics
    everything = backtest(population, bars, **options).metrics
    for name in HEADLINE_METRICS:
        np.testing.assert_allclose(headline[name], everything[name], rtol=1e-9, atol=1e-12, err_msg=name)


def test_what_is_plain_goes_by_express_and_nothing_else_does(monkeypatch) -> None:
    bars = make_bars(np.random.default_rng(1), 1, 300, holes=False)
    plain = "trend on * 1h\nenter long when close > sma(close, 8)\nexit when close < sma(close, 3)\n{}size {}"
    population = [
        parse(plain.format("", "all_in")),
        parse(plain.format("stop 3%, take 6%, trail 2%, hold at most 9 bars\n", "all_in")),
        parse(plain.format("stop 2 atr(6)\n", "all_in")),
        parse(plain.format("", "fraction 50%")),
        parse(plain.format("", "kelly 0.5")),
        parse(plain.format("", "all_in").replace("long", "short")),
    ]
    taken = []
    run = engine.run_express
    monkeypatch.setattr(engine, "run_express", lambda *args: (taken.append(len(args[7])), run(*args))[1])
    for costs, expected in ((Costs(), 3), (Costs(impact=0.1), 0), (Costs(lot=0.01), 0), (Costs(borrow_annual=0.1), 0)):
        taken.clear()
        backtest(population, bars, costs=costs, metrics=HEADLINE_METRICS, workers=1)
        assert max(taken, default=0) == expected
    taken.clear()
    backtest(population, bars, workers=1)
    assert not taken


def test_a_crossing_population_by_ranks_is_the_one_by_numbers(monkeypatch) -> None:
    rng = np.random.default_rng(4)
    bars = make_bars(rng, 2, 900)
    lengths = range(2, 22)
    text = "trend on * 1h\nenter long when crosses_above(sma(close, {0}), sma(close, {1}))\nexit when {2}\nsize all_in"
    leave = ("crosses_below(sma(close, {0}), sma(close, {1}))", "sma(close, {0}) < sma(close, {1})", "not sma(close, {0}) > ema(close, 9)")
    population = [parse(text.format(a, b, leave[(a + b) % 3].format(a, b))) for a in lengths for b in lengths if a < b]
    ranked = []
    rank = source.ranks.rank
    monkeypatch.setattr(source.ranks, "rank", lambda *args: (ranked.append(args), rank(*args))[1])
    monkeypatch.setattr(source, "PAIR", 10.0)
    by_ranks = backtest(population, bars, metrics=HEADLINE_METRICS, workers=2)
    assert ranked
    monkeypatch.setattr(source, "PAIR", 0.0)
    ranked.clear()
    by_numbers = backtest(population, bars, metrics=HEADLINE_METRICS, workers=1)
    assert not ranked
    pd.testing.assert_frame_equal(by_ranks.metrics, by_numbers.metrics, check_exact=True)


def test_returns_that_hardly_vary_are_measured_about_their_mean() -> None:
    bars = make_bars(np.random.default_rng(2), 1, 400, holes=False)
    close = 100 * 1.001 ** np.arange(400)[None]
    bars = bars.with_fields(open=close, high=close, low=close, close=close, volume=np.ones_like(close))
    strategy = parse("trend on * 1h\nenter long when close > 0\nsize all_in")
    costs = Costs(0, 0)
    headline = backtest([strategy], bars, costs=costs, fill="close", metrics=HEADLINE_METRICS).metrics
    everything = backtest([strategy], bars, costs=costs, fill="close").metrics
    for name in HEADLINE_METRICS:
        np.testing.assert_allclose(headline[name], everything[name], rtol=1e-9, atol=1e-12, err_msg=name)


@settings(max_examples=40)
@given(seed=SEEDS)
def test_bits_of_comparisons_are_those_of_the_language(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n_symbols, n = int(rng.integers(1, 4)), int(rng.integers(1, 300))
    x, y = np.round(rng.normal(size=(2, n_symbols, n)), 1)
    x[rng.random(x.shape) < 0.1] = np.nan
    known = ~np.isnan(x) & ~np.isnan(y)

    def before(mask: np.ndarray) -> np.ndarray:
        return np.concatenate([np.zeros((n_symbols, 1), dtype=bool), mask[:, :-1]], axis=1)

    with np.errstate(invalid="ignore"):
        above, below = (x > y) & before(x <= y), (x < y) & before(x >= y)
        pair = known & before(known)
        expected = [x > y, x < y, x >= y, x <= y, above, below, pair & ~above, pair & ~below]
    shape = (n_symbols, -(-n // 64))
    for op, truth in enumerate(expected):
        out = np.zeros(shape, dtype=np.uint64)
        bits.compare(op, x, y, out)
        np.testing.assert_array_equal(bits.unpack(out, n), truth)
    rows = np.zeros((2, *shape), dtype=np.uint64)
    bits.cross_both(x, y, bits.pack(known), *rows)
    np.testing.assert_array_equal(bits.unpack(rows[0], n), above)
    np.testing.assert_array_equal(bits.unpack(rows[1], n), below)
    planes = np.full((2, n_symbols, 64 * shape[1]), ranks.UNKNOWN, dtype=np.int8)
    where = np.zeros((2, *shape), dtype=np.uint64)
    for s in range(n_symbols):
        ranks.rank(ranks.addresses_of([x, y], s), 0, n, planes[:, s], where[:, s])
        for op in (bits.GREATER, bits.GREATER_EQUAL, bits.ABOVE, bits.NOT_ABOVE):
            bits.compare_ranks(op, planes[0, s], planes[1, s], where[0, s], where[1, s], rows[0, s])
            np.testing.assert_array_equal(bits.unpack(rows[0, s : s + 1], n)[0], expected[op][s])
        bits.cross_ranks(planes[0, s], planes[1, s], where[0, s], where[1, s], rows[0, s], rows[1, s])
    np.testing.assert_array_equal(bits.unpack(rows[0], n), above)
    np.testing.assert_array_equal(bits.unpack(rows[1], n), below)


@settings(max_examples=30)
@given(seed=SEEDS)
def test_ranks_order_as_the_numbers_do(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, bars = int(rng.integers(2, ranks.MOST + 1)), int(rng.integers(1, 200))
    x = np.round(np.cumsum(rng.normal(size=(n, 1, bars)), axis=2), 1)
    x[rng.random(x.shape) < 0.05] = np.nan
    planes = np.full((n, 64 * -(-bars // 64)), ranks.UNKNOWN, dtype=np.int8)
    ranks.rank(ranks.addresses_of(list(x), 0), 0, bars, planes, np.zeros((n, -(-bars // 64)), dtype=np.uint64))
    for t in range(bars):
        order = pd.Series(x[:, 0, t]).rank(method="dense").fillna(0).astype(int) + ranks.UNKNOWN
        np.testing.assert_array_equal(planes[:, t], order)
    assert (planes[:, bars:] == ranks.UNKNOWN).all()


@settings(max_examples=40)
@given(seed=SEEDS)
def test_tables_of_reach_and_fall_are_those_of_a_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 1500))
    marks = np.exp(np.cumsum(rng.normal(0, 0.02, n)))[None]
    returns = np.zeros_like(marks)
    returns[0, 1:] = marks[0, 1:] / marks[0, :-1] - 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranges, "WIDEST", int(rng.integers(ranges.SHIFT, ranges.WIDEST + 1)))
        tables = ranges.range_tables(marks, returns, np.array([[0, n]]))
    for _ in range(20):
        first, last = (int(t) for t in np.sort(rng.integers(0, n, 2)))
        held = marks[0, first : last + 1]
        assert ranges.reach(tables.reaches[0], np.uint64(first), np.uint64(last)) == (held.max(), held.min())
        blocks = marks[0, first // ranges.BLOCK * ranges.BLOCK : (last // ranges.BLOCK + 1) * ranges.BLOCK]
        assert ranges.bounds(tables.wides[0], np.uint64(first), np.uint64(last)) == (blocks.max(), blocks.min())
        fall = (1 - held / np.maximum.accumulate(held)).max()
        assert ranges.largest_fall(marks[0], tables.reaches[0], tables.falls[0], first, last) == pytest.approx(fall, abs=1e-15)


@settings(max_examples=60)
@given(seed=SEEDS)
def test_the_tally_of_trades_is_that_of_equity_bar_by_bar(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(40, 900))
    marks = np.exp(np.cumsum(rng.normal(rng.choice([-0.002, 0.0, 0.002]), 0.02, n)))[None]
    returns = np.zeros_like(marks)
    returns[0, 1:] = marks[0, 1:] / marks[0, :-1] - 1
    running, reaches, falls, wides = (table[0] for table in ranges.range_tables(marks, returns, np.array([[0, n]])))
    cuts = np.sort(rng.choice(n, 2 * int(rng.integers(1, n // 4)), replace=False))
    held = cuts.reshape(-1, 2).astype(np.uint32)
    at_once = rng.random(len(held)) < 0.1  # left in the bar entered
    held[at_once, 1] = held[at_once, 0]
    weight = float(rng.choice([1.0, 0.4]))
    paid = marks[0, held[:, 0]] * rng.uniform(0.99, 1.01, len(held))
    got = marks[0, held[:, 1]] * rng.uniform(0.98, 1.01, len(held))
    money, path = 1.0, [1.0]
    for k, (entry, leave) in enumerate(held.tolist()):
        unit = money * weight / paid[k]
        for t in range(entry, leave):
            path.append(money * (1 - weight) + unit * marks[0, t])
        money = money * (1 - weight) + unit * got[k]
        path.append(money)
    steps = np.array(path)
    gains = steps[1:] / steps[:-1] - 1
    sums = np.empty(N_SUMS)
    scratch = np.empty((2, len(held) + 1))
    tally(len(held), 0, weight, held, paid, got, *scratch, marks[0], running, reaches, falls, wides, n, sums)
    assert sums[EQUITY] == pytest.approx(money, rel=1e-12)
    assert sums[MEAN] * n == pytest.approx(gains.sum(), rel=1e-10, abs=1e-12)
    assert (sums[M2] + sums[MEAN] ** 2) * n == pytest.approx((gains**2).sum(), rel=1e-10)
    assert sums[MAX_DRAWDOWN] == pytest.approx((1 - steps / np.maximum.accumulate(steps)).max(), rel=1e-10, abs=1e-12)


def test_a_spike_elsewhere_takes_no_digits_from_a_sum() -> None:
    returns = np.full((1, 200), 1e-9)
    returns[0, 50] = 1e9
    marks = np.ones_like(returns)
    running = ranges.range_tables(marks, returns, np.array([[0, 200]])).running[0]
    part = (running[150] - running[100])[[ranges.SQUARE, ranges.SQUARE_REST]].sum()
    assert part == pytest.approx(50 * 1e-18, rel=1e-12)


@settings(max_examples=60)
@given(seed=SEEDS)
def test_the_first_touch_is_that_of_a_loop_over_bars(seed: int) -> None:
    rng = np.random.default_rng(seed)
    bars = make_bars(rng, 1, int(rng.integers(2, 400)), volatility=float(rng.choice([0.002, 0.02])))
    open_, high, low = bars.open[0], bars.high[0], bars.low[0]
    tops, bottoms = np.empty((2, 1, -(-bars.n_bars // ranges.BLOCK)))
    touch.extremes(bars.high, bars.low, tops, bottoms)
    start = int(rng.integers(0, bars.n_bars))
    limit = int(rng.integers(start, bars.n_bars + 1))
    stop, take, trail = (float(rng.choice([0.0, 0.01, 0.05, 0.2])) for _ in range(3))
    base = float(rng.uniform(90, 110))
    expected: tuple[int, float] = (limit, math.nan)
    peak = base
    for b in range(start, limit):
        level = max(base * (1 - stop) if stop else -math.inf, peak * (1 - trail) if trail else -math.inf)
        if low[b] <= level:
            expected = b, min(open_[b], level)
            break
        if take and high[b] >= base * (1 + take):
            expected = b, -max(open_[b], base * (1 + take))
            break
        peak = max(peak, high[b]) if high[b] == high[b] else peak
    found = touch.first_touch(open_, high, low, tops[0], bottoms[0], base, stop, take, trail, start, limit)
    np.testing.assert_equal(found, expected)


def test_equal_parts_that_are_different_objects_are_one() -> None:
    rng = np.random.default_rng(8)
    bars = make_bars(rng, 2, 50)
    population = [make_strategy(rng, bars) for _ in range(40)]
    copies = [pickle.loads(pickle.dumps(strategy)) for strategy in population]
    one, other = (make_plan(strategies, bars.symbols, "1h") for strategies in (population, [*population, *copies]))
    assert one.ids == other.ids and one.values == other.values and one.aux == other.aux
    mixed = make_plan([*copies[:20], *population], bars.symbols, "1h")
    assert mixed.ids == one.ids and mixed.values == one.values
    np.testing.assert_array_equal(mixed.rules, one.rules)
    np.testing.assert_array_equal(mixed.literals, one.literals)


def test_part_of_a_plan_is_the_plan_of_the_part() -> None:
    rng = np.random.default_rng(9)
    bars = make_bars(rng, 2, 50)
    population = [make_strategy(rng, bars) for _ in range(30)]
    rows = np.array([3, 4, 11, 29])
    part = make_plan(population, bars.symbols, "1h").part(rows)
    alone = make_plan([population[row] for row in rows], bars.symbols, "1h")

    def spelled(plan: object, row: int) -> list[list[object]]:
        out = []
        for program in plan.rules[row]:
            steps = plan.steps[plan.offsets[program] : plan.offsets[program + 1]]
            literals = [plan.literals[step] if step >= 0 else step for step in steps]
            out.append([step if np.isscalar(step) else (step[0], plan.values[step[1]], plan.values[step[2]]) for step in literals])
        return out

    assert part.ids == alone.ids
    assert len(part.literals) == len(alone.literals)
    for row in range(len(rows)):
        assert spelled(part, row) == spelled(alone, row)
    np.testing.assert_array_equal(part.distances, alone.distances)


def test_a_series_that_cannot_be_had_fails_its_strategies_alone_also_by_express() -> None:
    bars = make_bars(np.random.default_rng(3), 1, 200, holes=False)
    good = parse("trend on * 1h\nenter long when close > sma(close, 8)\nsize all_in")
    bad = replace(good, exit_long=parse("trend on * 1h\nenter long when x.missing > 1\nsize all_in").enter_long)
    result = backtest([bad, good], bars, metrics=HEADLINE_METRICS)
    assert result.strategy_ids == (good.id,)
    assert "exit_long" in result.failures[bad.id] and "x.missing" in result.failures[bad.id]
