"""How often luck is promoted and how often an edge is found: the measured figures of docs/evidence.md, and what they cost.

Each command prints a table; ``--out`` keeps finished pieces in a file, so that a stopped run goes on there. Figures are the
same for every number of workers.

    python benchmarks/evidence.py null --data FOLDER --markets 40 --strategies 1000 --seed 20261 --out null.jsonl
    python benchmarks/evidence.py power --data FOLDER --markets 160 --strategies 1000 --seed 20262 --out power.jsonl
    python benchmarks/evidence.py thresholds --seed 20263
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from strategy_pipeline.market import Bars
from strategy_pipeline.rng import generator

SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT", "XRP/USDT", "ADA/USDT")
SPAN = ("2022-06-30", "2025-06-30")


def hours(folder: str | None) -> Bars:
    """Three years of hourly bars of five pairs: real ones of `folder`, or correlated random walks of 2 years without one."""
    if folder:
        return Bars.read(f"{folder}/ohlcv_1h_binance_spot.parquet", "1h", symbols=SYMBOLS).between(*SPAN)
    rng, n = generator(0, "benchmark", "evidence"), 2 * 365 * 24
    moves = 0.004 * (rng.standard_normal(n) + rng.standard_normal((len(SYMBOLS), n)))
    close = 100 * np.exp(np.cumsum(moves, axis=1))
    open_ = np.concatenate([close[:, :1], close[:, :-1]], axis=1)
    high, low = np.maximum(open_, close) * 1.001, np.minimum(open_, close) * 0.999
    times = np.datetime64("2022-01-01", "ns") + np.arange(n) * np.timedelta64(1, "h")
    return Bars(SYMBOLS, "1h", times, open_, high, low, close, rng.lognormal(8, 1, close.shape))


def promotions(args: argparse.Namespace) -> None:
    """The null or the power audit."""
    from strategy_pipeline.audit import audit_promotions

    begin = time.perf_counter()
    audit = audit_promotions(
        hours(args.data), what=args.command, markets=args.markets, strategies=args.strategies, seed=args.seed, workers=args.workers,
        journal=args.out, methods=args.methods.split(",") if args.methods else None, strengths=args.strength,
        observer=lambda done, of: print(f"{done} of {of}, {time.perf_counter() - begin:.0f} s", flush=True),
    )  # fmt: skip
    print(audit.table.to_string(index=False))
    if args.command == "power":
        print(audit.kinds.to_string(index=False))
    print({name: round(value, 3) for name, value in audit.leftover.items()}, audit.summary, sep="\n")


def null_search(rng: np.random.Generator, n_days: int, n: int) -> np.ndarray:
    """Daily returns of a search without an edge, (n_days, n): Student t of 4 degrees, a common factor held long or short,
    clustered volatility common to all, and spells out of the market."""
    volatility, level = np.empty(n_days), 1.0
    for t, shock in enumerate(rng.standard_normal(n_days)):
        volatility[t] = np.sqrt(level)
        level = 0.05 + 0.10 * level * shock * shock + 0.85 * level
    common = rng.standard_t(4, (n_days, 1)) * rng.uniform(-0.5, 0.5, n)
    returns = 0.01 * volatility[:, None] * (rng.standard_t(4, (n_days, n)) + common)
    inside, share = np.empty((n_days, n), dtype=bool), rng.uniform(0.15, 1.0, n)
    state = rng.random(n) < share
    for t in range(n_days):
        # Spells of five days out of the market; as long within it as the share asks.
        leave = 0.2 * (1 - share) / share
        state = np.where(rng.random(n) < np.where(state, np.minimum(leave, 1.0), 0.2), ~state, state)
        inside[t] = state
    return returns * inside


def thresholds(args: argparse.Namespace) -> None:
    """The t statistic over the whole span that 2 % of null searches exceed after the step-wise test, by the span's length."""
    from strategy_pipeline.audit import Journal
    from strategy_pipeline.compute import map_shards
    from strategy_pipeline.selection import sharpe_ratio, split_days, stepm, t_statistic

    run = {"study": "thresholds", "searches": args.searches, "strategies": args.strategies, "seed": args.seed}
    journal = Journal(args.out, run)

    def one(span: int) -> None:
        if journal.get(f"{span:05d}") is not None:
            return
        train, held_out = split_days(span)
        passed, looked = [], []
        for k in range(args.searches):
            returns = null_search(generator(args.seed, "thresholds", span, k), span, args.strategies)
            ratio = sharpe_ratio(returns[train])
            ratio[(returns[train] != 0).sum(axis=0) < 20] = np.nan
            top = np.argsort(-np.nan_to_num(ratio, nan=-np.inf))[:5]
            test = stepm(returns[held_out][:, top], n_resamples=500, seed=k)
            t_values = np.nan_to_num(t_statistic(returns[:, top]), nan=-np.inf)
            looked.append(t_values.max())
            passed.append(t_values[test.superior].max(initial=-9.0))
        found = {"share": float(np.mean(np.array(passed) > -9)), "t_2": float(np.quantile(passed, 0.98)), "t_1": float(np.quantile(passed, 0.99)),
                 "above_3.46": float(np.mean(np.array(passed) >= 3.46)), "looked_2": float(np.quantile(looked, 0.98))}  # fmt: skip
        journal.put(f"{span:05d}", {"span": span, **found})
        print(span, {name: round(value, 4) for name, value in found.items()}, flush=True)

    map_shards(one, args.spans, workers=args.workers)
    print("span days | pass the step-wise test | t exceeded by 2 % | by 1 % | pass with t >= 3.46 | annual Sharpe ratio of the 2 % t")
    for span in args.spans:
        row = journal.get(f"{span:05d}") or {}
        year = np.sqrt(span / 365)
        print(f"{span} | {row['share']:.3f} | {row['t_2']:.2f} | {row['t_1']:.2f} | {row['above_3.46']:.4f} | {row['t_2'] / year:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("null", "power"):
        made = commands.add_parser(name, help=f"the {name} audit")
        made.add_argument("--markets", type=int, default=40)
        made.add_argument("--strategies", type=int, default=1000)
        made.add_argument("--methods", help="generators, comma separated; default: all")
        made.add_argument("--strength", type=lambda text: tuple(map(float, text.split(","))), default=(1.0, 2.0, 3.0, 4.0))
        made.set_defaults(run=promotions)
    made = commands.add_parser("thresholds", help="the t threshold by length of history")
    made.add_argument("--searches", type=int, default=4000)
    made.add_argument("--strategies", type=int, default=100, help="independent ones a search; 1,000 generated make about 95")
    made.add_argument("--spans", type=lambda text: tuple(map(int, text.split(","))), default=(183, 274, 365, 548, 730, 1095, 1460, 1825))
    made.set_defaults(run=thresholds)
    for made in commands.choices.values():
        made.add_argument("--data", help="folder with ohlcv_1h_binance_spot.parquet; without it, random walks")
        made.add_argument("--seed", type=int, default=0)
        made.add_argument("--workers", type=int, default=1)
        made.add_argument("--out", type=Path, help="file of finished pieces, to go on from")
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
