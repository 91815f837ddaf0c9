"""Backtest speed beside vectorbt, in one process, repetitions interleaved; prints medians and ratios.

Run ``python benchmarks/backtest.py`` (needs the extra ``peers``); ``--help`` lists the options.

Workloads: two-average crossovers from 150 windows on one symbol, 43,800 hourly bars, fill at the close, fee 0.1 %. W1: all
in, no stops. W2: with ``stop 3%, take 6%, trail 2%`` and slippage 0.05 %; W2b: without the trail; W1f: W1 with half of
equity. Both engines start from
OHLC arrays and end at total return, Sharpe ratio, maximum drawdown and trade count (with ``--all-metrics`` ours computes
all its metrics and the daily returns); a strategy's id, the hash of its text, belongs to making it. vectorbt
runs in its best set-up, chunks of 20 columns, on fewer strategies, and is extrapolated linearly, as the output says. Both
must agree on what is compared, or the run fails.
"""

from __future__ import annotations

import argparse
import itertools
import resource
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from strategy_pipeline.backtest import Costs, backtest
from strategy_pipeline.backtest import engine as inside
from strategy_pipeline.compute import map_shards
from strategy_pipeline.market import Bars
from strategy_pipeline.rng import generator
from strategy_pipeline.strategies import Strategy, parse

WINDOWS = sorted({round(float(window)) for window in np.geomspace(5, 2000, 220)})[:150]
STOPS = {"W1": "", "W1f": "", "W2": "stop 3%, take 6%, trail 2%\n", "W2b": "stop 3%, take 6%\n"}
SIZES = {"W1f": "fraction 50%"}
PEER = ("W1", "W2", "W2b")  # what vectorbt runs beside
COMPARED = ("total_return", "sharpe", "max_drawdown", "trades")
COSTS = {"W1": Costs(10, 0), "W1f": Costs(10, 0), "W2": Costs(10, 5, market_targets=True), "W2b": Costs(10, 5, market_targets=True)}


def random_bars(n_bars: int, seed: int) -> Bars:
    """A random walk with gaps between each close and the next open."""
    rng = generator(seed, "benchmark")
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.006, (1, n_bars)), axis=1))
    open_ = np.concatenate([close[:, :1], close[:, :-1]], axis=1) * np.exp(rng.normal(0, 0.0005, close.shape))
    high = np.maximum(open_, close) * np.exp(np.abs(rng.normal(0, 0.002, close.shape)))
    low = np.minimum(open_, close) * np.exp(-np.abs(rng.normal(0, 0.002, close.shape)))
    times = np.datetime64("2020-01-01", "ns") + np.arange(n_bars) * np.timedelta64(1, "h")
    return Bars(("BTC/USDT",), "1h", times, open_, high, low, close, np.full(close.shape, 1000.0))


def crossover(fast: int, slow: int, workload: str) -> Strategy:
    return parse(
        f"trend on * 1h\nenter long when crosses_above(sma(close, {fast}), sma(close, {slow}))\n"
        f"exit when crosses_below(sma(close, {fast}), sma(close, {slow}))\n{STOPS[workload]}size {SIZES.get(workload, 'all_in')}"
    )


def vectorbt_run(bars: Bars, pairs: list[tuple[int, int]], workload: str) -> pd.DataFrame:
    """Metrics by vectorbt, chunks of 20 columns, averages computed once a window."""
    import vectorbt as vbt

    index = pd.DatetimeIndex(bars.times)
    close = pd.Series(bars.close[0], index=index)
    windows = sorted({window for pair in pairs for window in pair})
    averages = dict(zip(windows, vbt.MA.run(close, window=windows).ma.to_numpy().T, strict=True))
    stops = {"W1": {}, "W2": {"sl_stop": 0.02, "sl_trail": True, "tp_stop": 0.06}, "W2b": {"sl_stop": 0.03, "tp_stop": 0.06}}[workload]
    prices = {name: pd.Series(getattr(bars, name)[0], index=index) for name in ("open", "high", "low")} if stops else {}
    parts = []
    for first in range(0, len(pairs), 20):
        chunk = pairs[first : first + 20]
        fast = np.column_stack([averages[a] for a, _ in chunk])
        slow = np.column_stack([averages[b] for _, b in chunk])
        above, below = fast > slow, fast < slow
        enter, leave = np.zeros_like(above), np.zeros_like(above)
        enter[1:] = above[1:] & (fast[:-1] <= slow[:-1])
        leave[1:] = below[1:] & (fast[:-1] >= slow[:-1])
        portfolio = vbt.Portfolio.from_signals(
            pd.DataFrame(np.broadcast_to(bars.close[0][:, None], above.shape), index=index),
            pd.DataFrame(enter, index=index),
            pd.DataFrame(leave, index=index),
            **prices,
            **stops,
            fees=0.001,
            slippage=COSTS[workload].slippage,
            init_cash=1e6,
            freq="1h",
            **({"stop_exit_price": "stopmarket"} if stops else {}),
        )
        parts.append(
            pd.DataFrame(
                {
                    "total_return": portfolio.total_return(),
                    "sharpe": portfolio.sharpe_ratio(),
                    "max_drawdown": -portfolio.max_drawdown(),
                    "trades": portfolio.trades.count(),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def kernel_seconds(
    bars: Bars, population: list[Strategy], workload: str, workers: int, metrics: Sequence[str] | None, repeats: int
) -> float:
    """Rules, simulation and statistics alone, the median: series, comparisons and tables are there."""
    calls: list[tuple[Callable[..., None], tuple]] = []

    def noting(kernel: Callable[..., None]) -> Callable[..., None]:
        return lambda *arguments: (calls.append((kernel, arguments)), kernel(*arguments))[1]

    express, tile = inside.run_express, inside.tile.run_tile
    inside.run_express, inside.tile.run_tile = noting(express), noting(tile)
    try:
        backtest(population, bars, costs=COSTS[workload], fill="close", metrics=metrics, workers=workers)
    finally:
        inside.run_express, inside.tile.run_tile = express, tile
    return statistics.median(clock(lambda: map_shards(lambda call: call[0](*call[1]), calls, workers=workers)) for _ in range(repeats))


def peak_memory() -> float:
    """MB that the process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def clock(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strategies", type=int, default=10_000, help="ours, at most 11,175 (default 10,000)")
    parser.add_argument("--peer-strategies", type=int, default=200, help="what vectorbt runs before extrapolation (default 200)")
    parser.add_argument("--bars", type=int, default=43_800)
    parser.add_argument("--repeats", type=int, default=3, help="interleaved repetitions; the median counts")
    parser.add_argument("--workers", type=int, default=0, help="threads of ours; 0: one per core")
    parser.add_argument("--workloads", nargs="+", choices=sorted(STOPS), default=["W1", "W2", "W2b", "W1f"])
    parser.add_argument("--without-peer", action="store_true", help="time ours only")
    parser.add_argument("--all-metrics", action="store_true", help="ours computes every metric and the daily returns")
    args = parser.parse_args()
    chosen_metrics = None if args.all_metrics else COMPARED
    bars = random_bars(args.bars, 0)
    pairs = list(itertools.combinations(WINDOWS, 2))[: args.strategies]
    spread = pairs[:: max(1, len(pairs) // args.peer_strategies)][: args.peer_strategies]
    print(f"{len(pairs):,} strategies on {args.bars:,} bars; vectorbt on {len(spread)}, extrapolated linearly to {len(pairs):,}")
    for workload in args.workloads:
        begin = time.perf_counter()
        population = [crossover(*pair, workload) for pair in pairs]
        parsing = time.perf_counter() - begin
        begin = time.perf_counter()
        for strategy in population:
            strategy.id  # noqa: B018 - kept by the strategy from here on
        naming = time.perf_counter() - begin
        costs = COSTS[workload]
        backtest(population[:4], bars, costs=costs, fill="close", metrics=chosen_metrics, workers=args.workers)  # compile
        before = peak_memory()
        backtest(population, bars, costs=costs, fill="close", metrics=chosen_metrics, workers=args.workers)
        added = peak_memory() - before  # of the first workload; later ones find the peer's memory taken
        peer_runs = not args.without_peer and workload in PEER
        if peer_runs:
            vectorbt_run(bars, spread[:20], workload)
        ours, theirs, processor, peer_processor = [], [], [], []
        frame = peer = pd.DataFrame()
        for _ in range(args.repeats):
            cpu, begin = time.process_time(), time.perf_counter()
            frame = backtest(population, bars, costs=costs, fill="close", metrics=chosen_metrics, workers=args.workers).metrics
            ours.append(time.perf_counter() - begin)
            processor.append(time.process_time() - cpu)
            if peer_runs:
                cpu, begin = time.process_time(), time.perf_counter()
                peer = vectorbt_run(bars, spread, workload)
                theirs.append((time.perf_counter() - begin) * len(pairs) / len(spread))
                peer_processor.append((time.process_time() - cpu) * len(pairs) / len(spread))
        mine = statistics.median(ours)
        trades = int(frame["trades"].sum())
        cells = len(pairs) * args.bars
        line = f"{workload}: ours {mine:.2f} s (CPU {statistics.median(processor):.2f} s; parsing before {parsing:.1f} s, ids {naming:.1f})"
        if peer_runs:
            chosen = frame.loc[[(crossover(*pair, workload).id, "BTC/USDT") for pair in spread]]
            for name in peer.columns:
                np.testing.assert_allclose(chosen[name], peer[name], rtol=1e-9, atol=1e-12, err_msg=name)
            line += (
                f", vectorbt {statistics.median(theirs):.0f} s (CPU {statistics.median(peer_processor):.0f} s), extrapolated: "
                f"{statistics.median(theirs) / mine:.0f}x (CPU {statistics.median(peer_processor) / statistics.median(processor):.0f}x)"
            )
        print(f"{line}; peak memory raised by {added:.0f} MB")
        seconds = kernel_seconds(bars, population, workload, args.workers, chosen_metrics, args.repeats)
        print(
            f"    simulation and statistics alone: {seconds:.2f} s, {seconds / cells * 1e9:.2f} ns per strategy-bar, "
            f"{seconds / trades * 1e9:.0f} ns per trade ({trades:,} trades)"
        )


if __name__ == "__main__":
    main()
