"""What a search over one strategy's parameters costs, by sampler, and how much of it is the engine's.

    python benchmarks/optimization.py --data FOLDER

Five symbols of hourly bars, 710 days (random walks without ``--data``); processor time of the whole process. Gaussian processes
get a tenth of the trials: they are for few.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from evidence import hours  # the script beside this one

from strategy_pipeline.optimization import optimize, search
from strategy_pipeline.strategies import parameters, parse

STRATEGY = """trend on * 1h
enter long when crosses_above(ema(close, 20), ema(close, 50)) and rsi(close, 14) < 70
exit when crosses_below(ema(close, 20), ema(close, 50))
stop 3%, take 6%
size all_in"""
SAMPLERS = {
    "cmaes": "sharpe",
    "nsga2": ("sharpe", "max_drawdown"),
    "nsga3": ("sharpe", "calmar", "max_drawdown"),
    "tpe": "sharpe",
    "gp": "sharpe",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder with ohlcv_1h_binance_spot.parquet; without it, random walks")
    parser.add_argument("--trials", type=int, default=512)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--samplers", default=",".join(SAMPLERS))
    parser.add_argument("--prune", action="store_true", help="leave off what falls behind, with one objective")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    bars, strategy = hours(args.data, ("2022-07-01", "2024-06-10")), parse(STRATEGY)
    run, spent = search.backtest, [0.0]

    def watched(*given: Any, **options: Any) -> Any:
        begin = time.process_time()
        result = run(*given, **options)
        spent[0] += time.process_time() - begin
        return result

    search.backtest = watched  # type: ignore[assignment]
    optimize(strategy, bars, trials=2, workers=1)  # compiled kernels are read from their cache
    print(f"{len(parameters(strategy))} parameters, {bars.n_symbols} x {bars.n_bars:,} bars, batches of {args.batch}")
    print("sampler | trials | s processor | of it engine | trials a second | first objective before and after")
    for name in args.samplers.split(","):
        trials = args.trials // 10 if name == "gp" else args.trials
        begin, spent[0] = time.process_time(), 0.0
        options: dict[str, Any] = {"sampler": name, "objective": SAMPLERS[name], "prune": args.prune and isinstance(SAMPLERS[name], str)}
        found = optimize(strategy, bars, trials=trials, batch=args.batch, seed=args.seed, workers=1, **options)
        took = time.process_time() - begin
        print(
            f"{name} | {trials} | {took:.2f} | {spent[0]:.2f} | {trials / took:.0f} | {found.value_before:.2f} {found.value:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
