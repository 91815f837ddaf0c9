"""A population as a generator draws it, on bars as they are: where the time goes, and that nothing is computed twice.

Run ``python benchmarks/population.py --data FOLDER`` for 5,000 strategies on five real symbols, 30,000 hourly bars each; add
``--minutes`` for 1,000 strategies on 1.5 million sample bars of one minute. The times of the parts are processor times of one
thread, the total is wall time with all threads; ``--headline`` asks for the headline metrics alone.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections import Counter
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
from monte_carlo import SYMBOLS, random_bars  # the script beside this one

from strategy_pipeline.backtest import HEADLINE_METRICS, Costs, backtest
from strategy_pipeline.backtest import engine as inside
from strategy_pipeline.backtest import source as inner
from strategy_pipeline.config import Settings
from strategy_pipeline.generation import generate
from strategy_pipeline.market import Bars, open_source
from strategy_pipeline.strategies import Strategy


def real_hours(folder: str, n_bars: int) -> Bars:
    bars = Bars.read(f"{folder}/ohlcv_1h_binance_spot.parquet", "1h", symbols=SYMBOLS)
    stop = bars.times[-1] + np.timedelta64(1, "h")
    return bars.between(stop - n_bars * np.timedelta64(1, "h"), stop)


def sample_minutes(n_bars: int) -> Bars:
    start = np.datetime64("2023-01-01", "ns")
    frame = open_source(Settings()).bars("1m", ["BTC/USDT"], start, start + n_bars * np.timedelta64(1, "m"))
    return Bars.from_frame(frame, "1m", ["BTC/USDT"])


class Stopwatch:
    """Processor time of this thread in functions of the engine, while they are watched."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self._undo: list[tuple[Any, str, Any]] = []

    def watch(self, owner: Any, name: str, part: str) -> None:
        function = getattr(owner, name)

        def timed(*args: Any, **options: Any) -> Any:
            begin = time.thread_time()
            try:
                return function(*args, **options)
            finally:
                self.seconds[part] += time.thread_time() - begin
                self.calls[part] += 1

        self._undo.append((owner, name, function))
        setattr(owner, name, timed)

    def stop(self) -> None:
        for owner, name, function in reversed(self._undo):
            setattr(owner, name, function)


def measure(name: str, bars: Bars, count: int, seed: int, options: dict[str, Any]) -> None:
    begin = time.perf_counter()
    population = generate(count, bars, seed=seed)
    print(f"{name}: {len(population):,} strategies drawn in {time.perf_counter() - begin:.1f} s, {bars.n_symbols} x {bars.n_bars:,} bars")
    for strategy in population:
        strategy.id  # noqa: B018 - kept by the strategy from here on
    backtest(population[:20], bars.between(bars.times[0], bars.times[2000]), **options)  # compiled kernels are read from their cache
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    begin, processor = time.perf_counter(), time.process_time()
    result = backtest(population, bars, **options)
    frame = result.metrics
    total, processor = time.perf_counter() - begin, time.process_time() - processor
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    trades = int(frame["trades"].sum())
    print(
        f"  total {total:.2f} s wall, {processor:.2f} s processor; peak memory {after:,.0f} MB ({after - before:,.0f} MB more than before)"
    )
    print(f"  {trades:,} trades, {processor / trades * 1e9:.0f} ns each of everything; {len(result.failures)} strategies failed")
    watch, banks = Stopwatch(), []
    bank = inside.Bank
    inside.Bank = lambda *args, **given: (banks.append(bank(*args, **given)), banks[-1])[1]  # type: ignore[assignment]
    watch.watch(inside, "make_plan", "plan")
    watch.watch(inner.Source, "_series", "series")
    watch.watch(inner.Source, "_compare", "conditions and series")
    watch.watch(inner.Source, "_rank", "ranks and series")
    watch.watch(inner.bits, "compare", "compare")
    watch.watch(inner.bits, "cross_both", "cross")
    watch.watch(inside, "run_express", "express")
    watch.watch(inside.tile, "run_tile", "general")
    try:
        backtest(population, bars, workers=1, **options)
    finally:
        watch.stop()
        inside.Bank = bank  # type: ignore[misc]
    for part, seconds in watch.seconds.most_common():
        print(f"    {part}: {seconds:.2f} s in {watch.calls[part]:,} calls")
    plan = inside.make_plan(population, bars.symbols, bars.timeframe)
    print(f"  {len(plan.literals):,} distinct comparisons of {len(plan.values):,} values and {len(plan.aux)} series of levels and sizes;")
    plainest(bars, population, options["costs"])
    print(f"  {banks[0].computed:,} expressions computed, {distinct(plan, bars):,} distinct")


def plainest(bars: Bars, population: list[Strategy], costs: Costs) -> None:
    """What a trade costs in the kernel for strategies all in, long, with fixed stops or none: rules, walk, headline numbers."""

    def plain(strategy: Strategy) -> bool:
        levels = [level for level in (strategy.stop, strategy.take) if level is not None]
        rest = (strategy.enter_short, strategy.trail, strategy.breakeven, strategy.cooldown, strategy.against)
        return strategy.size.kind == "all_in" and all(level.kind == "percent" for level in levels) and rest == (None,) * 5

    chosen = [strategy for strategy in population if plain(strategy)]
    backtest(chosen[:4], bars, costs=costs, metrics=HEADLINE_METRICS, workers=1)  # the kernel is read from its cache
    taken, trades = [], 0
    for _ in range(7):
        watch = Stopwatch()
        watch.watch(inside, "run_express", "express")
        watch.watch(inside.touch, "fill_table", "express")
        try:
            trades = int(backtest(chosen, bars, costs=costs, metrics=HEADLINE_METRICS, workers=1).metrics["trades"].sum())
        finally:
            watch.stop()
        taken.append(watch.seconds["express"] / trades * 1e9)
    print(
        f"  all in, long, fixed stops or none: {len(chosen):,} strategies, {trades:,} trades, {median(taken):.0f} ns each and core "
        f"({min(taken):.0f} to {max(taken):.0f} in seven runs)"
    )


def distinct(plan: Any, bars: Bars) -> int:
    """How many expressions a bank computes for the values of a plan when each is asked for once, and memory is no concern."""
    alone = inside.Bank(bars.between(bars.times[0], bars.times[64]))
    alone.evaluate_many([*plan.values, *plan.aux])
    return alone.computed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder with ohlcv_1h_binance_spot.parquet; without it, random walks")
    parser.add_argument("--strategies", type=int, default=5000)
    parser.add_argument("--bars", type=int, default=30_000)
    parser.add_argument("--minutes", action="store_true", help="also 1,000 strategies on 1.5 million bars of one minute")
    parser.add_argument("--headline", action="store_true", help="headline metrics only")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    options: dict[str, Any] = {"costs": Costs(), "metrics": HEADLINE_METRICS if args.headline else None}
    source: Callable[[], Bars] = lambda: real_hours(args.data, args.bars) if args.data else random_bars(args.bars)  # noqa: E731
    measure("hours", source(), args.strategies, args.seed, options)
    if args.minutes:
        measure("minutes", sample_minutes(1_500_000), 1000, args.seed, options)


if __name__ == "__main__":
    main()
