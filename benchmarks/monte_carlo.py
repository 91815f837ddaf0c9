"""Monte Carlo speed: resampled trades, and strategies run again on bootstrapped prices; prints wall and processor time.

Run ``python benchmarks/monte_carlo.py --data FOLDER`` for real bars (5 symbols, two years of hours, or what ``--bars`` says), or
without ``--data`` for random walks of the same size; ``--help`` lists the options. 200 strategies come from the generator, all
families that bars alone allow. What is timed starts from a finished backtest: 1,000 resampled and 1,000 shuffled orders of the trades
of each strategy with the run under doubled costs; 100 joint stationary bootstraps of all bars, each with its own indicators; entries
missed, and a grid of parameters.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

import numpy as np

from strategy_pipeline.backtest import backtest, bootstrap_prices, monte_carlo, permute_parameters, skip_entries
from strategy_pipeline.generation import generate
from strategy_pipeline.market import Bars
from strategy_pipeline.rng import generator

SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT", "XRP/USDT", "ADA/USDT")


def random_bars(n_bars: int) -> Bars:
    """Correlated random walks with gaps between each close and the next open."""
    rng = generator(0, "benchmark")
    common = rng.normal(0, 0.004, n_bars)
    close = 100 * np.exp(np.cumsum(common + rng.normal(0, 0.004, (len(SYMBOLS), n_bars)), axis=1))
    open_ = np.concatenate([close[:, :1], close[:, :-1]], axis=1) * np.exp(rng.normal(0, 0.0005, close.shape))
    high = np.maximum(open_, close) * np.exp(np.abs(rng.normal(0, 0.002, close.shape)))
    low = np.minimum(open_, close) * np.exp(-np.abs(rng.normal(0, 0.002, close.shape)))
    times = np.datetime64("2023-07-01", "ns") + np.arange(n_bars) * np.timedelta64(1, "h")
    return Bars(SYMBOLS, "1h", times, open_, high, low, close, rng.lognormal(8, 1, close.shape))


def clock(name: str, repeats: int, work: Callable[[], object]) -> None:
    wall, processor = [], []
    for _ in range(repeats):
        cpu, begin = time.process_time(), time.perf_counter()
        work()
        wall.append(time.perf_counter() - begin)
        processor.append(time.process_time() - cpu)
    print(f"{name:<58} {statistics.median(wall):7.2f} s   CPU {statistics.median(processor):7.2f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder of real bars, as source=files reads them; without it random walks")
    parser.add_argument("--bars", type=int, default=17_544, help="bars of each symbol (the newest)")
    parser.add_argument("--strategies", type=int, default=200)
    parser.add_argument("--paths", type=int, default=1000, help="orders of trades a strategy and kind")
    parser.add_argument("--histories", type=int, default=100, help="price bootstraps")
    parser.add_argument("--draws", type=int, default=20, help="runs with missed entries")
    parser.add_argument("--repeats", type=int, default=1, help="the median counts")
    parser.add_argument("--workers", type=int, default=0, help="threads; 0: one per core")
    args = parser.parse_args()
    if args.data:
        bars = Bars.read(args.data, "1h", symbols=list(SYMBOLS))
        bars = bars.between(bars.times[-min(args.bars, bars.n_bars)], None)
    else:
        bars = random_bars(args.bars)
    population = generate(args.strategies, bars, seed=0)
    result = backtest(population, bars, workers=args.workers)
    ids = list(result.strategy_ids)
    monte_carlo(result, ids[:2], n=10, seed=0)  # compile
    bootstrap_prices(result, ids, n=1, seed=0)
    skip_entries(result, ids[:2], n=1, seed=0)
    trades = int(result.pooled["trades"].sum())
    source = "real" if args.data else "random"
    size = f"{bars.n_symbols} symbols of {bars.n_bars:,} {source} hourly bars"
    print(f"{len(ids)} strategies, {trades:,} trades, {size}, {os.cpu_count()} cores")
    again = {"workers": args.workers, "seed": 1}
    clock(
        f"{args.paths:,} resampled and as many shuffled orders of each",
        args.repeats,
        lambda: monte_carlo(result, ids, n=args.paths, **again),
    )
    clock(
        f"{args.histories} joint price bootstraps, all strategies on each",
        args.repeats,
        lambda: bootstrap_prices(result, ids, n=args.histories, **again),
    )
    clock(f"{args.draws} runs of each with entries missed", args.repeats, lambda: skip_entries(result, ids, n=args.draws, **again))
    few = ids[:20]
    clock(f"up to 50 neighbours of each of {len(few)}", args.repeats, lambda: permute_parameters(result, few, most=50, **again))


if __name__ == "__main__":
    main()
