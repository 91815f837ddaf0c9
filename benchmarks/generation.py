"""Generation: how fast strategies are drawn and bred, and whether breeding beats drawing.

Run ``python benchmarks/generation.py``; parts: ``--speed`` (10,000 strategies drawn; those that differ in their entries; a genetic
search of 500 x 20 generations on 5 symbols x 17,000 bars) and ``--against-random`` (genetic search and as many draws on a
market with a planted edge, seed by seed: best Sharpe ratio in training and on other markets of the same edge, hypervolume of the
front of Sharpe ratio, drawdown and turnover; a one-sided Wilcoxon signed-rank test over seeds). Both by default. With ``--data`` speed is
measured on real bars, and markets are planted as the power audit plants them (`audit.planted_world`), of which 60 % of the days are
trained on; without it they are random walks with a rule of their own.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from strategy_pipeline.audit.worlds import KINDS, planted_world
from strategy_pipeline.backtest import backtest
from strategy_pipeline.errors import NoDataError
from strategy_pipeline.generation import (
    GeneticSettings,
    Request,
    SearchSettings,
    SystematicGenerator,
    draw,
    generate,
    nsga,
    skipped_families,
)
from strategy_pipeline.generation.fitness import COMPLEXITY, DRAWDOWN, SHARPE, TURNOVER, Evaluator
from strategy_pipeline.generation.genetic import GeneticSearch
from strategy_pipeline.market import Bars
from strategy_pipeline.rng import generator
from strategy_pipeline.strategies import FAMILIES as EVERY_FAMILY
from strategy_pipeline.strategies import Strategy

SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT", "BNB/USDT", "XRP/USDT")
FAMILIES = ("momentum", "mean_reversion", "breakout", "trend", "volatility", "volume", "cross_asset", "ensemble")
LATER = 35_040  # bars of the made-up market on which what was chosen is held against each other: four years
AUDITED = ("BTC/USDT", "ETH/USDT", "SOL/USDT", "XRP/USDT", "ADA/USDT")  # with SPAN, what the audits are made from
SPAN = (np.datetime64("2022-06-30", "ns"), np.datetime64("2025-06-30", "ns"))
WORLDS, OTHERS = 20275, 2  # seed of the planted markets, and how many more of the same edge
# What a front is measured from, less is better: Sharpe ratio 0, a drawdown of all, 2,000 turns of equity a year (base-2 logarithm).
REFERENCE = np.array([0.0, 1.0, np.log2(2001.0)])


def planted(n_bars: int, n_symbols: int, seed: int, drift: float) -> Bars:
    """Random walks of 0.8 % an hour. While volume is above its two-day average, `drift` deviations an hour are added to the side where
    the 36-hour average of log prices stands of the 130-hour one: an edge that no template states, and of which each half is one."""
    rng = generator(seed, "planted")
    logs, volume = np.zeros((2, n_symbols, n_bars))
    price, fast, slow, busy, usual = (np.zeros(n_symbols) for _ in range(5))
    for t in range(n_bars):
        price = price + 0.008 * (rng.standard_normal(n_symbols) + drift * np.sign(fast - slow) * (busy > usual))
        fast, slow = fast + 2 / 37 * (price - fast), slow + 2 / 131 * (price - slow)
        busy = 0.95 * busy + 0.25 * rng.standard_normal(n_symbols)
        usual = usual + 2 / 49 * (busy - usual)
        logs[:, t], volume[:, t] = price, np.exp(5 + busy)
    close = 100 * np.exp(logs)
    open_ = np.concatenate([np.full((n_symbols, 1), 100.0), close[:, :-1]], axis=1)
    wick = 1 + 0.003 * rng.random((2, *close.shape))
    times = np.datetime64("2022-01-01", "ns") + np.arange(n_bars) * np.timedelta64(1, "h")
    high, low = np.maximum(open_, close) * wick[0], np.minimum(open_, close) / wick[1]
    return Bars(SYMBOLS[:n_symbols], "1h", times, open_, high, low, close, volume)


def real(folder: str, n_bars: int) -> Bars:
    bars = Bars.read(f"{folder}/ohlcv_1h_binance_spot.parquet", "1h", SYMBOLS)
    return bars.between(bars.times[-n_bars], None)


def searched(request: Request, settings: GeneticSettings, *, told: bool = False) -> tuple[GeneticSearch, Evaluator]:
    evaluator = Evaluator(request, "genetic")
    search = GeneticSearch(request, evaluator, 0, settings)
    while not search.done:
        search.step()
        if told and search.generation % 5 == 0:
            print(f"    generation {search.generation}: best Sharpe ratio {evaluator.numbers(search.fame[:1])[0, SHARPE]:.2f}")
    return search, evaluator


def speed(bars: Bars, population: int, generations: int) -> None:
    generate(50, bars, FAMILIES, seed=99)
    begin, processor = time.perf_counter(), time.process_time()
    found = generate(10_000, bars, FAMILIES, seed=1)
    print(f"10,000 distinct valid strategies: {time.perf_counter() - begin:.2f} s ({time.process_time() - processor:.2f} s processor)")
    assert len({strategy.id for strategy in found}) == 10_000
    begin, processor = time.perf_counter(), time.process_time()
    drawn = draw(10_000, bars, FAMILIES, seed=1)
    wall, processor = time.perf_counter() - begin, time.process_time() - processor
    print(f"10,000 that differ in their entries: {wall:.2f} s ({processor:.2f} s processor), {len(drawn.dropped):,} dropped")
    begin, processor = time.perf_counter(), time.process_time()
    settings = GeneticSettings(population=population, generations=generations)
    search, _ = searched(Request(bars, FAMILIES, frozenset(), 1), settings, told=True)
    wall, processor = time.perf_counter() - begin, time.process_time() - processor
    print(
        f"genetic search, {population} x {generations} generations, {bars.n_symbols} symbols x {bars.n_bars:,} bars: {wall:.1f} s "
        f"({processor:.1f} s processor), {len(search.evaluated):,} distinct strategies evaluated"
    )


def costs_of(numbers: np.ndarray) -> np.ndarray:
    return np.column_stack([-numbers[:, SHARPE], numbers[:, DRAWDOWN], np.log2(1 + numbers[:, TURNOVER])])


def volume(numbers: np.ndarray) -> float:
    """Hypervolume of Sharpe ratio, drawdown and turnover beyond `REFERENCE`."""
    return nsga.hypervolume(costs_of(numbers[np.isfinite(numbers).all(axis=1)]), REFERENCE)


def front(evaluator: Evaluator, ids: list[str]) -> list[str]:
    """Those that no other beats in Sharpe ratio, drawdown and turnover at once, of those that earn anything."""
    known = [sid for sid, row in zip(ids, evaluator.numbers(ids), strict=True) if np.isfinite(row).all() and row[SHARPE] > 0]
    ranks = nsga.ranks(costs_of(evaluator.numbers(known)))
    return [sid for sid, rank in zip(known, ranks, strict=True) if rank == 0]


@dataclass(frozen=True)
class Contest:
    """A market to search, its named series, and other markets of the same edge to hold what was chosen against each other."""

    bars: Bars
    families: tuple[str, ...]
    values: dict[str, np.ndarray]
    later: list[tuple[Bars, dict[str, np.ndarray]]]


def made_up(seed: int, n_bars: int, drift: float, later: Bars) -> Contest:
    return Contest(planted(n_bars, 3, seed, drift), FAMILIES, {}, [(later, {})])


def from_real(bars: Bars, seed: int, sharpe: float) -> Contest:
    """A market of the power audit, its first 60 % to search, and the same rule planted on two more markets."""
    kind = KINDS[seed % len(KINDS)]
    world = planted_world(bars, sharpe, kind, seed=WORLDS, market=seed)
    training = world.bars.between(None, world.bars.times[int(0.6 * world.bars.n_bars)].astype("datetime64[D]"))
    values = {name: array[:, : training.n_bars] for name, array in world.series.items()}
    skipped = skipped_families(training, values)
    later: list[tuple[Bars, dict[str, np.ndarray]]] = []
    for number in itertools.count(1):
        if len(later) == OTHERS:
            break
        try:
            other = planted_world(bars, sharpe, kind, seed=WORLDS, market=10_000 * number + seed, rule=world.planted)
        except NoDataError:  # the rule does not settle at that ratio there
            continue
        later.append((other.bars, dict(other.series)))
    return Contest(training, tuple(family for family in EVERY_FAMILY if family not in skipped), values, later)


def outcomes(contest: Contest, strategies: list[Strategy]) -> np.ndarray:
    """Sharpe ratio, drawdown, turnover of each on the other markets, their mean, float64 (n, 3); no trades are a ratio of 0."""
    found = []
    for bars, values in contest.later:
        pooled = backtest(strategies, bars, series=values).pooled.reindex([strategy.id for strategy in strategies])
        found.append(np.nan_to_num(pooled[["sharpe", "max_drawdown", "turnover"]].to_numpy(dtype=np.float64)))
    return np.mean(found, axis=0)


def held(contest: Contest, seed: int, settings: GeneticSettings, trials: int) -> dict[str, tuple[float, float]]:
    """(genetic, random) for each measure: as many trials, and the same rule of what to hand over (`Evaluator.leaders`)."""
    search = SearchSettings(trials=trials, values=contest.values)
    request = Request(contest.bars, contest.families, frozenset(contest.values), seed, search)
    genetic, evaluator = searched(request, settings)
    drawn = list(islice(SystematicGenerator().stream(replace(request, seed=seed + 10_000_000)), len(genetic.evaluated)))
    evaluator.run(drawn)
    sides = [list(genetic.evaluated), [strategy.id for strategy in drawn]]
    handed = [evaluator.leaders(side) for side in sides]
    fronts = [front(evaluator, side) for side in sides]
    every = list(dict.fromkeys(itertools.chain(*handed, *fronts)))
    after = dict(zip(every, outcomes(contest, [evaluator.strategy(sid) for sid in every]), strict=True))

    def both(measure: Callable[[list[str]], float], which: list[list[str]] = handed) -> tuple[float, float]:
        return measure(which[0]), measure(which[1])

    return {
        "best Sharpe ratio, training": both(lambda ids: float(np.nanmax(evaluator.numbers(ids)[:, SHARPE])), sides),
        "hypervolume, training": both(lambda ids: volume(evaluator.numbers(ids)), sides),
        "hypervolume of that front, out of sample": both(lambda ids: volume(np.array([after[sid] for sid in ids])), fronts),
        "Sharpe ratio of the first, out of sample": both(lambda ids: float(after[ids[0]][SHARPE])),
        "best of the first ten, out of sample": both(lambda ids: float(max(after[sid][SHARPE] for sid in ids[:10]))),
        "mean of the first ten, out of sample": both(lambda ids: float(np.mean([after[sid][SHARPE] for sid in ids[:10]]))),
        "nodes of the first": both(lambda ids: float(evaluator.numbers(ids[:1])[0, COMPLEXITY])),
    }


def against_random(seeds: Sequence[int], make: Callable[[int], Contest], settings: GeneticSettings, trials: int) -> None:
    from scipy.stats import wilcoxon

    rows = []
    for seed in seeds:
        rows.append(held(make(seed), seed, settings, trials))
        first = rows[-1]["Sharpe ratio of the first, out of sample"]
        print(f"  seed {seed}: first out of sample {first[0]:.2f} against {first[1]:.2f}", flush=True)
    population, generations, _ = settings.sizes(trials)
    print(f"genetic {population} x {generations} against as many draws, {len(rows)} markets, seeds {seeds[0]} to {seeds[-1]}:")
    for name in rows[0]:
        pairs: Any = np.array([row[name] for row in rows])
        test = wilcoxon(pairs[:, 0], pairs[:, 1], alternative="greater")
        wins = int((pairs[:, 0] > pairs[:, 1]).sum())
        print(
            f"  {name}: {pairs[:, 0].mean():.3f} against {pairs[:, 1].mean():.3f} (medians {np.median(pairs[:, 0]):.3f}, "
            f"{np.median(pairs[:, 1]):.3f}), better on {wins} of {len(rows)}, W = {test.statistic:.0f}, p = {test.pvalue:.2g}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder with ohlcv_1h_binance_spot.parquet; without it, random walks with planted momentum")
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--against-random", action="store_true")
    parser.add_argument("--population", type=int, default=500)
    parser.add_argument("--generations", type=int, default=20)
    parser.add_argument("--bars", type=int, default=17_000)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=0, help="seeds are this one and those after it")
    parser.add_argument("--trials", type=int, default=1000, help="of either side of the contest")
    parser.add_argument("--sharpe", type=float, default=3.0, help="planted annual Sharpe ratio, with --data")
    parser.add_argument("--contest-bars", type=int, default=8760, help="without --data")
    parser.add_argument("--drift", type=float, default=0.08, help="planted drift in deviations of an hour, without --data")
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    both = not (args.speed or args.against_random)
    if args.speed or both:
        speed(real(args.data, args.bars) if args.data else planted(args.bars, 5, 0, 0.02), args.population, args.generations)
    if args.against_random or both:
        seeds = range(args.first_seed, args.first_seed + args.seeds)
        if args.data:
            bars = Bars.read(f"{args.data}/ohlcv_1h_binance_spot.parquet", "1h", AUDITED).between(*SPAN)
            against_random(seeds, lambda seed: from_real(bars, seed, args.sharpe), GeneticSettings(), args.trials)
        else:
            later = planted(LATER, 3, 1_000_000, args.drift)
            against_random(seeds, lambda seed: made_up(seed, args.contest_bars, args.drift, later), GeneticSettings(), args.trials)


if __name__ == "__main__":
    main()
