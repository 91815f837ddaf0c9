"""How often luck is promoted and how often an edge is found: the measured figures of docs/evidence.md, and what they cost.

Each command prints a table; ``--out`` keeps finished pieces in a file, so that a stopped run goes on there. Figures are the
same for every number of workers.

    python benchmarks/evidence.py null --data FOLDER --markets 40 --strategies 1000 --seed 20261 --out null.jsonl
    python benchmarks/evidence.py power --data FOLDER --markets 160 --strategies 1000 --seed 20262 --out power.jsonl
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
    for made in commands.choices.values():
        made.add_argument("--data", help="folder with ohlcv_1h_binance_spot.parquet; without it, random walks")
        made.add_argument("--seed", type=int, default=0)
        made.add_argument("--workers", type=int, default=1)
        made.add_argument("--out", type=Path, help="file of finished pieces, to go on from")
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
