"""Cost of the catalog beside TA-Lib's own functions, in one process, repetitions interleaved; prints medians and ratios.

Run ``python benchmarks/indicators.py`` (about half a minute); ``--bars`` and ``--repeats`` change the size.

1. All linear-time entries with default parameters on 43,800 hourly bars of one symbol, one thread, against all functions of
   TA-Lib called directly on the same arrays. Target: within 5x.
2. Entries whose cost grows with the window, listed in ns a bar. Target: together under 5 s.
3. 100 lengths (2 to 1,000) of each entry that has a family, by the bank, against copying their output, array by array:
   one thread, and one a core; the least of three times the repeats. Target: an average within 3x on one thread.
4. Cold start: a fresh process computes RSI, a rolling and an own entry, compiled cache present. Target: under 3 s.
5. The same entries from a folder (`Bank(cache=)`): computed, computed and written, read.

On a machine that is busy with other work, wall times rise by what waits; the ratios are taken side by side.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np

from strategy_pipeline.indicators import Bank, families, names, spec, term
from strategy_pipeline.market import Bars
from strategy_pipeline.rng import generator

COLD = """
import numpy as np
from strategy_pipeline.indicators import compute
from strategy_pipeline.market import Bars
close = 100.0 + np.arange(2000.0)[None, :] % 37
times = np.datetime64("2024-01-01", "ns") + np.arange(2000) * np.timedelta64(3600, "s")
bars = Bars(symbols=("A/B",), timeframe="1h", times=times, open=close, high=close + 1, low=close - 1, close=close, volume=close)
for name in ("rsi", "zscore", "hurst", "motif_distance", "sma"):
    compute(name, bars)
"""


def random_bars(n_bars: int, seed: int) -> Bars:
    """One symbol's hourly random walk with every optional field."""
    rng = generator(seed, "benchmark")
    close = 100.0 * np.exp(np.cumsum(rng.standard_normal((1, n_bars)) * 0.005, axis=1))
    open_ = np.concatenate([close[:, :1], close[:, :-1]], axis=1) * (1 + 0.0005 * rng.standard_normal((1, n_bars)))
    high = np.maximum(open_, close) * (1 + 0.003 * rng.random((1, n_bars)))
    low = np.minimum(open_, close) * (1 - 0.003 * rng.random((1, n_bars)))
    volume = np.exp(rng.standard_normal((1, n_bars)) * 0.7 + 4.0)
    times = np.datetime64("2019-01-01T00:00", "ns") + np.arange(n_bars) * np.timedelta64(3600, "s")
    return Bars(
        symbols=("BTC/USDT",), timeframe="1h", times=times, open=open_, high=high, low=low, close=close, volume=volume,
        quote_volume=volume * close, trades=np.floor(volume) + 1.0, taker_buy_volume=volume * rng.random((1, n_bars)),
    )  # fmt: skip


def named_series(bars: Bars) -> dict[str, np.ndarray]:
    """Quotes around the close, and levels that step once a day."""
    rng = generator(2, "benchmark")
    day = np.arange(bars.n_bars) // 24
    series = {name: np.exp(np.cumsum(rng.standard_normal(day[-1] + 1) * 0.01))[day] for name in ("sp500", "nasdaq", "dxy", "vix")}
    found = {f"macro.{name}": values[None, :] for name, values in series.items()}
    found |= {"book.bid": bars.close * 0.9999, "book.ask": bars.close * 1.0001}
    return found | {f"book.{side}_{what}": rng.random(bars.close.shape) + 0.1 for side in ("bid", "ask") for what in ("qty", "depth")}


def seconds(call: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def spent() -> float:
    """Processor seconds of the processes that this one has started and waited for."""
    times = os.times()
    return times.children_user + times.children_system


def talib_calls(bars: Bars) -> list[Callable[[], object]]:
    """Every function of TA-Lib with its default parameters, on the bars' arrays."""
    import talib
    from talib import abstract

    fields = {name: np.ascontiguousarray(getattr(bars, name)[0]) for name in ("open", "high", "low", "close", "volume")}
    calls = []
    for name in talib.get_functions():
        wanted: list[str] = []
        for given in abstract.Function(name).input_names.values():
            wanted.extend(given if isinstance(given, (list, tuple)) else [given])
        arrays = [fields.get(each, fields["close"]) for each in wanted]
        function = getattr(talib, name)
        calls.append(lambda function=function, arrays=arrays: function(*arrays))
    return calls


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--bars", type=int, default=43_800)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    bars = random_bars(given.bars, 1)
    series = named_series(bars)
    linear = [term(name) for name in names() if spec(name).cost == "linear"]
    heavy = [name for name in names() if spec(name).cost == "window"]
    calls = talib_calls(bars)
    with np.errstate(all="ignore"):
        for call in calls:
            call()
    Bank(bars, series=series, workers=1).evaluate_many([*linear, *map(term, heavy)])  # compile, or load what was compiled

    ours, theirs = [], []
    for _ in range(given.repeats):
        theirs.append(seconds(lambda: [call() for call in calls]))
        bank = Bank(bars, series=series, workers=1)
        ours.append(seconds(lambda bank=bank: bank.evaluate_many(linear)))
    mine, peer = statistics.median(ours), statistics.median(theirs)
    print(f"{given.bars} bars, one symbol, one thread; medians of {given.repeats}")
    both = f"{len(linear)} linear entries {1e3 * mine:.0f} ms; TA-Lib's {len(calls)} functions {1e3 * peer:.0f} ms"
    print(f"1. {both}: {mine / peer:.2f}x (<= 5)")

    total = 0.0
    print("2. window-cost entries, ns a bar:")
    for name in heavy:
        taken = []
        for _ in range(min(3, given.repeats)):
            bank = Bank(bars, series=series, workers=1)
            taken.append(seconds(lambda bank=bank, name=name: bank.evaluate(term(name))))
        total += min(taken)
        print(f"     {name:22s}{1e9 * min(taken) / given.bars:9.0f}")
    print(f"     together {total:.2f} s (<= 5)")

    lengths = [int(n) for n in np.unique(np.round(np.geomspace(2, 1000, 130)))[:100]]
    print(f"3. {len(lengths)} lengths by the bank, against copying their output (least of {3 * given.repeats}): one thread, one a core")
    for name in (*families.FAMILIES, *families.EXTREMES):
        values = [term(name, length=n) for n in lengths]
        taken: dict[int, list[float]] = {1: [], 0: []}
        copied = []
        for _ in range(3 * given.repeats):
            for workers, times in taken.items():
                bank = Bank(bars, workers=workers)
                times.append(seconds(lambda bank=bank, values=values: bank.evaluate_many(values)))
            outputs = bank.evaluate_many(values)
            copied.append(seconds(lambda outputs=outputs: [output.copy() for output in outputs]))
        one, all_, copy = min(taken[1]), min(taken[0]), min(copied)
        print(f"     {name:10s}{1e3 * one:7.1f} ms, {1e3 * all_:5.1f} ms; copy {1e3 * copy:5.1f} ms: {one / copy:.2f}x, {all_ / copy:.2f}x")

    starts = [(seconds(lambda: subprocess.run([sys.executable, "-c", COLD], check=True)), spent()) for _ in range(3)]
    work = starts[-1][1] - starts[-2][1]
    print(f"4. cold start in a fresh process: {starts[-1][0]:.2f} s (<= 3; first run {starts[0][0]:.2f} s), {work:.2f} s of them work")

    print("5. linear and window-cost entries on disk:")
    for kind, asked in (("linear", linear), ("window", [term(name) for name in heavy])):
        with tempfile.TemporaryDirectory() as folder:
            plain = seconds(lambda asked=asked: Bank(bars, series=series, workers=1).evaluate_many(asked))
            miss = seconds(lambda asked=asked, folder=folder: Bank(bars, series=series, workers=1, cache=folder).evaluate_many(asked))
            hit = seconds(lambda asked=asked, folder=folder: Bank(bars, series=series, workers=1, cache=folder).evaluate_many(asked))
        print(f"     {kind}: computed {1e3 * plain:.0f} ms, computed and written {1e3 * miss:.0f} ms, read {1e3 * hit:.0f} ms")


if __name__ == "__main__":
    main()
