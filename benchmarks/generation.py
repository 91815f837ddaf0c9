"""Generation: how fast strategies are drawn and bred, and whether breeding beats drawing.

Run ``python benchmarks/generation.py``; parts: ``--speed`` (10,000 strategies drawn; those that differ in their entries; a genetic
search of 500 x 20 generations on 5 symbols x 17,000 bars) and ``--against-random`` (genetic search and as many draws on a
market with a planted edge, seed by seed: best Sharpe ratio in training and on another market of the same edge, hypervolume of the
front of Sharpe ratio, drawdown and turnover; a one-sided Wilcoxon signed-rank test over seeds). Both by default. With ``--data`` speed is
measured on real bars.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np

from strategy_pipeline.backtest import backtest
from strategy_pipeline.generation import GeneticSettings, Request, SearchSettings, SystematicGenerator, draw, generate, nsga
from strategy_pipeline.generation.fitness import COMPLEXITY, DRAWDOWN, SHARPE, TURNOVER, Evaluator
from strategy_pipeline.generation.genetic import GeneticSearch
from strategy_pipeline.market import Bars
from strategy_pipeline.rng import generator

SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT", "BNB/USDT", "XRP/USDT")
FAMILIES = ("momentum", "mean_reversion", "breakout", "trend", "volatility", "volume", "cross_asset", "ensemble")
LATER = 35_040  # bars of the market on which what was chosen is held against each other: four years
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


def volume(numbers: np.ndarray) -> float:
    """Hypervolume of Sharpe ratio, drawdown and turnover beyond `REFERENCE`."""
    known = numbers[np.isfinite(numbers).all(axis=1)]
    costs = np.column_stack([-known[:, SHARPE], known[:, DRAWDOWN], np.log2(1 + known[:, TURNOVER])])
    return nsga.hypervolume(costs, REFERENCE)


def contest(seed: int, n_bars: int, drift: float, settings: GeneticSettings, later: Bars) -> dict[str, tuple[float, float]]:
    """(genetic, random) for each measure: searched on one market, and what was chosen there run on `later`, another and longer one."""
    request = Request(planted(n_bars, 3, seed, drift), FAMILIES, frozenset(), seed, SearchSettings(workers=2))
    search, evaluator = searched(request, settings)
    drawn = list(islice(SystematicGenerator().stream(replace(request, seed=seed + 10_000)), len(search.evaluated)))
    evaluator.run(drawn)
    sides = [list(search.evaluated), [strategy.id for strategy in drawn]]
    tops = [evaluator.by_worth(side)[:10] for side in sides]
    result = backtest([evaluator.strategy(sid) for sid in dict.fromkeys([*tops[0], *tops[1]])], later)
    after = result.pooled["sharpe"]

    def both(measure: Callable[[list[str]], float]) -> tuple[float, float]:
        return measure(tops[0]), measure(tops[1])

    return {
        "best Sharpe ratio, training": both(lambda top: float(evaluator.numbers(top)[:, SHARPE].max())),
        "hypervolume, training": (volume(evaluator.numbers(sides[0])), volume(evaluator.numbers(sides[1]))),
        "Sharpe ratio of the first, out of sample": both(lambda top: float(after[top[0]])),
        "mean of the first ten, out of sample": both(lambda top: float(np.nanmean([after[sid] for sid in top]))),
        "best of the first ten, out of sample": both(lambda top: float(np.nanmax([after[sid] for sid in top]))),
        "nodes of the first": both(lambda top: float(evaluator.numbers(top[:1])[0, COMPLEXITY])),
    }


def against_random(seeds: int, n_bars: int, drift: float, settings: GeneticSettings) -> None:
    from scipy.stats import wilcoxon

    later = planted(LATER, 3, 1_000_000, drift)
    rows = [contest(seed, n_bars, drift, settings, later) for seed in range(seeds)]
    population, generations, _ = settings.sizes(1)
    print(f"genetic {population} x {generations} against as many draws, {seeds} markets of 3 symbols x {n_bars:,} bars, drift {drift}:")
    for name in rows[0]:
        pairs: Any = np.array([row[name] for row in rows])
        test = wilcoxon(pairs[:, 0], pairs[:, 1], alternative="greater")
        wins = int((pairs[:, 0] > pairs[:, 1]).sum())
        print(
            f"  {name}: {pairs[:, 0].mean():.3f} against {pairs[:, 1].mean():.3f} (medians {np.median(pairs[:, 0]):.3f}, "
            f"{np.median(pairs[:, 1]):.3f}), better on {wins} of {seeds}, W = {test.statistic:.0f}, p = {test.pvalue:.2g}"
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
    parser.add_argument("--contest", type=int, nargs=2, default=(100, 12), metavar=("POPULATION", "GENERATIONS"))
    parser.add_argument("--contest-bars", type=int, default=8760)
    parser.add_argument("--drift", type=float, default=0.08, help="planted drift in deviations of an hour")
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    both = not (args.speed or args.against_random)
    if args.speed or both:
        speed(real(args.data, args.bars) if args.data else planted(args.bars, 5, 0, 0.02), args.population, args.generations)
    if args.against_random or both:
        against_random(args.seeds, args.contest_bars, args.drift, GeneticSettings(*args.contest))


if __name__ == "__main__":
    main()
