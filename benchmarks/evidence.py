"""How often luck is promoted and how often an edge is found: the measured figures of docs/evidence.md, and what they cost.

Each command prints a table; ``--out`` keeps finished pieces in a file, so that a stopped run goes on there. Figures are the
same for every number of workers.

    python benchmarks/evidence.py null --data FOLDER --markets 40 --strategies 1000 --seed 20301 --out null.jsonl
    python benchmarks/evidence.py power --data FOLDER --markets 160 --strategies 1000 --seed 20302 --out power.jsonl
    python benchmarks/evidence.py power --data FOLDER --markets 40 --strategies 1000 --strength 0 --seed 20304 --out eaten.jsonl
    python benchmarks/evidence.py sizes --seed 20303
    python benchmarks/evidence.py tests --seed 20266
    python benchmarks/evidence.py forward --searches 10000 --seed 20267
    python benchmarks/evidence.py speed
    python benchmarks/evidence.py year --data FOLDER --markets 20 --seed 20311 --out year-null.jsonl
    python benchmarks/evidence.py year --data FOLDER --markets 20 --seed 20312 --sharpe 3 --out year-planted.jsonl
    python benchmarks/evidence.py null --scope single --data FOLDER --markets 40 --strategies 500 --seed 20313 --out single.jsonl
    python benchmarks/evidence.py null --scope pairs --data FOLDER --markets 40 --strategies 500 --seed 20314 --out pairs.jsonl
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


def hours(folder: str | None, span: tuple[str, str] = SPAN) -> Bars:
    """Three years of hourly bars of five pairs: real ones of `folder`, or correlated random walks of 2 years without one."""
    if folder:
        return Bars.read(f"{folder}/ohlcv_1h_binance_spot.parquet", "1h", symbols=SYMBOLS).between(*span)
    rng, n = generator(0, "benchmark", "evidence"), 2 * 365 * 24
    moves = 0.004 * (rng.standard_normal(n) + rng.standard_normal((len(SYMBOLS), n)))
    close = 100 * np.exp(np.cumsum(moves, axis=1))
    open_ = np.concatenate([close[:, :1], close[:, :-1]], axis=1)
    high, low = np.maximum(open_, close) * 1.001, np.minimum(open_, close) * 0.999
    times = np.datetime64("2022-01-01", "ns") + np.arange(n) * np.timedelta64(1, "h")
    return Bars(SYMBOLS, "1h", times, open_, high, low, close, rng.lognormal(8, 1, close.shape))


def promotions(args: argparse.Namespace) -> None:
    """The null or the power audit, or the size study of a scope."""
    from strategy_pipeline.audit import audit_promotions, audit_scope

    begin = time.perf_counter()
    if args.command == "null" and args.scope:
        found = audit_scope(
            hours(args.data), scope=args.scope, markets=args.markets, strategies=args.strategies, seed=args.seed, workers=args.workers,
            journal=args.out, observer=lambda done, of: print(f"{done} of {of}, {time.perf_counter() - begin:.0f} s", flush=True),
        )  # fmt: skip
        kinds = sorted({record["kind"] for record in found.records})
        counts = {kind: [bool(record["promoted"]) for record in found.records if record["kind"] == kind] for kind in kinds}
        print({kind: f"{sum(hits)} of {len(hits)}" for kind, hits in counts.items()}, found.leftover, found.summary, sep="\n")
        return
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


def sizes(args: argparse.Namespace) -> None:
    """How often the gate promotes anything of a search without an edge and without costs, by the span's length."""
    from strategy_pipeline.audit import Journal
    from strategy_pipeline.compute import map_shards
    from strategy_pipeline.selection import Gate, clopper_pearson, select, shortlist, split_days, t_statistic

    gate = Gate(resamples=500)
    run = {"study": "sizes", "searches": args.searches, "strategies": args.strategies, "seed": args.seed, "level": gate.level}
    journal = Journal(args.out, run)
    ids = [f"s{k:05d}" for k in range(args.strategies)]

    def one(span: int) -> None:
        if journal.get(f"{span:05d}") is not None:
            return
        train, held_out = split_days(span)
        passed, whole = [], []
        for k in range(args.searches):
            returns = null_search(generator(args.seed, "sizes", span, k), span, args.strategies)
            looked = shortlist(returns[train], ids=ids, draws=ids, gate=gate)
            if not looked:
                continue
            columns = [ids.index(sid) for sid in looked]
            out = returns[held_out][:, columns]
            options = {"ids": looked, "n_trials": args.strategies, "draws": looked, "gate": gate, "n_blocks": 2, "seed": k}
            passed.append(bool(select(returns[train][:, columns], out, gross=out, **options).promoted))
            whole.append(float(t_statistic(returns[:, columns]).max()))
        piece = {"span": span, "promoted": int(np.sum(passed)), "t_2": float(np.quantile(whole, 0.98))}
        journal.put(f"{span:05d}", piece)
        print(piece, flush=True)

    map_shards(one, args.spans, workers=args.workers)
    print("days | anything promoted | t over the whole span that the find of 2 % exceeds")
    for span in args.spans:
        row = journal.get(f"{span:05d}") or {}
        low, high = clopper_pearson(row["promoted"], args.searches)
        print(f"{span:,} | {row['promoted'] / args.searches:.1%} ({low:.1%} to {high:.1%}) | {row['t_2']:.2f}")


def tests(args: argparse.Namespace) -> None:
    """Size and power of SPA: ours studentised and not, and arch's, at nominal 0.05 and 0.10."""
    from arch.bootstrap import SPA

    from strategy_pipeline.selection import spa_p_value

    def draw(kind: str, rng: np.random.Generator, edge: float) -> np.ndarray:
        n, m = 365, 20
        shocks = {
            "normal": lambda: rng.standard_normal((n, m)),
            "student t(4), a common factor": lambda: (rng.standard_t(4, (n, m)) + rng.standard_t(4, (n, 1))) / 2,
            "rare large losses": lambda: (0.5 - rng.gamma(0.5, size=(n, m))) / np.sqrt(0.5),
            "volatilities 1 to 20": lambda: rng.standard_normal((n, m)) * np.geomspace(1, 20, m),
        }[kind]()
        # The edge is the first column's, the quietest where volatilities differ; the others lose a ratio of 1 a year there.
        if kind == "volatilities 1 to 20" and edge:
            shocks[:, 1:] -= np.geomspace(1, 20, m)[1:] / np.sqrt(365)
        shocks[:, 0] += edge / np.sqrt(365) * shocks[:, 0].std()
        return 0.01 * shocks

    print("returns | true annual Sharpe ratio | share rejected at 0.05 / 0.10: ours studentised | ours not | arch")
    for kind in ("normal", "student t(4), a common factor", "rare large losses", "volatilities 1 to 20"):
        for edge in (0.0, 2.0, 4.0):
            p_values = np.empty((args.searches, 3))
            for k in range(args.searches):
                returns = draw(kind, generator(args.seed, "tests", kind, edge, k), edge)
                other = SPA(np.zeros(len(returns)), -returns, block_size=7, reps=300, bootstrap="stationary", studentize=True, seed=k)
                other.compute()
                p_values[k] = (
                    spa_p_value(returns, n_resamples=300, seed=k),
                    spa_p_value(returns, n_resamples=300, studentize=False, seed=k),
                    float(other.pvalues["consistent"]),
                )
            shares = [f"{np.mean(p_values[:, j] <= 0.05):.3f} / {np.mean(p_values[:, j] <= 0.10):.3f}" for j in range(3)]
            print(f"{kind} | {edge:g} | {' | '.join(shares)}", flush=True)


def forward(args: argparse.Namespace) -> None:
    """How often the forward test of the book makes something active within 365 days, without an edge and with one."""
    from math import log, sqrt

    from evidence_year import YEAR

    from strategy_pipeline.book import Track, error_share

    def garch(rng: np.random.Generator, n: int) -> np.ndarray:
        shocks, out, level = rng.standard_t(5, n) / sqrt(5 / 3), np.empty(n), 1.0
        for t, shock in enumerate(shocks):
            out[t] = sqrt(level) * shock
            level = 0.03 + 0.12 * out[t] ** 2 + 0.85 * level
        return out

    kinds = {
        "normal": lambda rng, n: rng.standard_normal(n),
        "GARCH with Student t(5)": garch,
        "rare large losses": lambda rng, n: (0.5 - rng.gamma(0.5, size=n)) / sqrt(0.5),
        "in the market on 15 % of days": lambda rng, n: rng.standard_t(4, n) * (rng.random(n) < 0.15),
    }
    bound = -log(error_share(1, 0.10))
    print(f"returns | true Sharpe ratio | share of {args.searches} that cross {np.exp(bound):.1f} within 60 / 120 / 365 days")
    for name, draw in kinds.items():
        for edge in (0.0, 3.0):
            crossed = np.full(args.searches, np.inf)
            for k in range(args.searches):
                values = draw(generator(args.seed, "forward", name, k), 150 + YEAR)
                values = 0.01 * (values + edge / sqrt(365) * values.std())
                before = values[:150][values[:150] != 0]
                track = Track.starting(float(np.mean(before**2)) if len(before) else 0.0)
                for day, value in enumerate(values[150:].tolist(), start=1):
                    track = track.after(value)
                    if track.peak_log_e >= bound:
                        crossed[k] = day
                        break
            print(f"{name} | {edge:g} | {' / '.join(f'{np.mean(crossed <= limit):.3f}' for limit in (60, 120, 365))}", flush=True)


def speed(args: argparse.Namespace) -> None:
    """What the evidence for a population of three years of daily returns costs: `--strategies`, by default 5,000."""
    from strategy_pipeline.selection import select, split_days

    rng = generator(args.seed, "speed")
    factors = rng.standard_t(4, (1095, 100))
    shape = (1095, args.strategies)
    returns = 0.01 * (factors[:, rng.integers(0, 100, args.strategies)] + rng.uniform(0.1, 2, args.strategies) * rng.standard_t(4, shape))
    train, held_out = split_days(1095)
    begin, processor = time.perf_counter(), time.process_time()
    ids = [f"s{k}" for k in range(args.strategies)]
    found = select(returns[train], returns[held_out], ids=ids, n_trials=args.strategies, full=returns)
    print(f"{time.perf_counter() - begin:.1f} s wall, {time.process_time() - processor:.1f} s processor; {found.summary[:60]}")


LONG = ("2022-01-01", "2025-06-30")


def year(args: argparse.Namespace) -> None:
    """365 daily cycles in a row on each market: a search of small populations, one look each, and the book."""
    from evidence_year import YEAR, Year, print_year

    from strategy_pipeline.audit import Journal, null_world, planted_world
    from strategy_pipeline.audit.worlds import KINDS
    from strategy_pipeline.compute import map_shards

    bars = hours(args.data, LONG)
    names = ("population", "seed", "sharpe", "trials", "every", "paths")
    run = {"study": f"{YEAR} days", "bars": bars.fingerprint} | {name: getattr(args, name) for name in names}
    journal = Journal(args.out, run)

    def one(market: int) -> None:
        key = f"{market:05d}"
        if journal.get(key) is None:
            kind = KINDS[market % len(KINDS)]
            world = null_world(bars, seed=args.seed, market=market)
            if args.sharpe:
                world = planted_world(bars, args.sharpe, kind, seed=args.seed, market=market)
            journal.put(key, {"market": market, "kind": kind if args.sharpe else None, **Year(world, args, market).lived()})
        print(journal.get(key), flush=True)

    map_shards(one, range(args.first, args.first + args.markets), workers=args.workers)
    found = [journal.get(f"{market:05d}") or {} for market in range(args.first, args.first + args.markets)]
    print_year(found, planted=bool(args.sharpe))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("null", "power"):
        made = commands.add_parser(name, help=f"the {name} audit")
        made.add_argument("--markets", type=int, default=40)
        made.add_argument("--strategies", type=int, default=1000)
        made.add_argument("--methods", help="generators, comma separated; default: all")
        made.add_argument("--strength", type=lambda text: tuple(map(float, text.split(","))), default=(1.0, 2.0, 3.0, 4.0))
        if name == "null":
            made.add_argument("--scope", choices=("single", "pairs"), help="markets of one symbol, or populations of pairs, alone")
        made.set_defaults(run=promotions)
    made = commands.add_parser("sizes", help="the gate's size without an edge or costs, by length of history")
    made.add_argument("--searches", type=int, default=1000)
    made.add_argument("--strategies", type=int, default=1000, help="independent ones a search")
    made.add_argument("--spans", type=lambda text: tuple(map(int, text.split(","))), default=(183, 365, 730, 1095, 1825))
    made.set_defaults(run=sizes)
    for name, function, about in (("tests", tests, "size and power of SPA"), ("forward", forward, "the book's forward test")):
        made = commands.add_parser(name, help=about)
        made.add_argument("--searches", type=int, default=1000, help="simulations")
        made.set_defaults(run=function)
    made = commands.add_parser("speed", help="the time of the evidence")
    made.add_argument("--strategies", type=int, default=5000)
    made.set_defaults(run=speed)
    made = commands.add_parser("year", help="365 daily cycles on each market")
    made.add_argument("--markets", type=int, default=20)
    made.add_argument("--first", type=int, default=0, help="number of the first market")
    made.add_argument("--population", type=int, default=20, help="new candidates a day")
    made.add_argument("--sharpe", type=float, default=0.0, help="planted annual Sharpe ratio; 0 plants nothing")
    made.add_argument("--every", type=int, default=122, help="days between campaigns, the first on the first day")
    made.add_argument("--trials", type=int, default=400, help="of a campaign")
    made.add_argument("--paths", type=int, default=200, help="Monte Carlo resamples of the stability of what would be promoted")
    made.set_defaults(run=year)
    for made in commands.choices.values():
        made.add_argument("--data", help="folder with ohlcv_1h_binance_spot.parquet; without it, random walks")
        made.add_argument("--seed", type=int, default=0)
        made.add_argument("--workers", type=int, default=1)
        made.add_argument("--out", type=Path, help="file of finished pieces, to go on from")
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
