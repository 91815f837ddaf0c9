"""What is left of a search's finds in months that no search saw: promoted strategies, naive picks and buy-and-hold, side by side.

The bars are cut first. Generation, search, its trials and the gate's one look at validation get the part before the cut and
nothing else; the part after it is run once, for what was picked before. Costs are those of a backtest unless said otherwise.

    python benchmarks/holdout.py --data FOLDER --strategies 1000 --seeds 5 --out holdout-1h.json --journal holdout-1h.jsonl
    python benchmarks/holdout.py --data FOLDER --timeframe 4h --symbols BTC/USDT,ETH/USDT,BNB/USDT --years 3

``--years 3`` holds back the last twelve months, then the twelve before them, and so on, each time with searches of its own on
what lies before. ``--journal`` keeps finished searches, so that a stopped run goes on there. Figures are the same for every
number of workers.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from strategy_pipeline.audit import Journal, World
from strategy_pipeline.audit.promotions import searched
from strategy_pipeline.backtest import BacktestResult, Costs, backtest, metrics_from_returns
from strategy_pipeline.compute import map_shards
from strategy_pipeline.errors import NoDataError
from strategy_pipeline.generation import methods, skipped_families
from strategy_pipeline.market import Bars
from strategy_pipeline.rng import derive_seed
from strategy_pipeline.selection import Gate, sharpe_interval, sharpe_ratio
from strategy_pipeline.store.atomic import replace_file
from strategy_pipeline.strategies import parse

SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT", "XRP/USDT", "ADA/USDT")
NAIVE = (1, 5, 20)
PROMOTED, LOOKED, ALL = "promoted by the gate", "looked at by the gate", "all candidates"
SHOWN = ("in_sample", "sharpe", "low", "high", "total_return", "max_drawdown", "correlation", "trades", "exposure")


def held_back(bars: Bars, months: int, before: int = 0) -> tuple[Bars, Bars, pd.Timestamp]:
    """The bars before the last `months`, the bars through their end, and the moment of the cut; `before` months are thrown away
    behind them. NoDataError where nothing lies before the cut."""
    end = pd.Timestamp(bars.available_at[-1]) - pd.DateOffset(months=before)
    cut = end - pd.DateOffset(months=months)
    past, through = bars.between(None, cut), bars.between(None, end)
    if not past.n_bars:
        raise NoDataError(f"Expected bars before {cut}, was none before {bars.times[0]}; nothing is left to search on; hold back less")
    assert past.available_at[-1] <= np.datetime64(cut), "a bar of the search closes after the cut"
    return past, through, cut


def search(past: Bars, count: int, seed: int, chosen: tuple[str, ...], costs: Costs | None, gate: Gate) -> dict[str, Any]:
    """One search on `past` alone, with its verdicts and the order in which a naive eye would buy its candidates.

    The in-sample ratio of a naive pick is over all of `past`: whoever does not know of validation has no reason to spare it.
    Plain values: ``candidates`` (text by id), ``in_sample`` (ratio by id, None where undefined), ``picks`` (ids by name, best first),
    ``before`` (by name, the ratio of the picks in equal parts), ``verdicts`` (reasons by id), ``trials, effective_trials, pbo``.
    """
    world = World(past, {}, None, float("nan"), np.empty(0))
    selection, _, by_id = searched(world, count, seed, chosen, costs, gate)
    result = backtest([by_id[sid] for sid in sorted(by_id)], past, costs=costs, workers=1)
    ratio = np.round(np.asarray(sharpe_ratio(result.daily_returns.T, 365.0)), 9)
    ids = list(result.strategy_ids)
    ranked = [ids[k] for k in sorted(range(len(ids)), key=lambda k: (-np.nan_to_num(ratio[k], nan=-np.inf), ids[k]))]
    picks = {PROMOTED: list(selection.promoted), LOOKED: [item.strategy_id for item in selection.evidence]}
    picks |= {f"top {n} by in-sample Sharpe": ranked[:n] for n in NAIVE} | {ALL: ranked}
    row = {sid: k for k, sid in enumerate(ids)}
    joint = {name: [row[sid] for sid in chosen_ids] for name, chosen_ids in picks.items()}
    return {
        "candidates": {sid: by_id[sid].text for sid in ids},
        "in_sample": {sid: _plain(value) for sid, value in zip(ids, ratio, strict=True)},
        "picks": picks,
        "before": {name: _plain(sharpe_ratio(_equal_parts(result, held), 365.0)[0]) for name, held in joint.items()},
        "verdicts": {item.strategy_id: f"{item.verdict}: {item.why}" for item in selection.evidence},
        "trials": selection.n_trials, "effective_trials": selection.effective_trials, "pbo": _plain(selection.pbo),
    }  # fmt: skip


def afterwards(found: dict[str, Any], through: Bars, cut: pd.Timestamp, costs: Costs | None) -> dict[str, Any]:
    """How each pick of a search did from `cut` on: ``rows`` (one dict a pick), and over all candidates ``rank_correlation`` of the
    ratios before and after the cut, ``positive_before`` and ``positive_after`` (share above zero of those that traded)."""
    members = [parse(text) for text in found["candidates"].values()]
    result = backtest(members, through, costs=costs, start=cut, workers=1)
    assert set(result.strategy_ids) == set(found["candidates"]), "a candidate is not what was searched"
    row = {sid: k for k, sid in enumerate(result.strategy_ids)}
    market = _market(result)
    before = np.array([found["in_sample"][sid] for sid in result.strategy_ids], dtype=np.float64)
    rows = []
    for name, ids in found["picks"].items():
        held = [row[sid] for sid in ids]
        figures = outcome(_equal_parts(result, held), market)
        pooled = result.pooled.iloc[held]
        rows.append(
            {"pick": name, "strategies": len(ids), "in_sample": found["before"][name], **figures, "trades": int(pooled["trades"].sum()),
             "exposure": _mean(pooled["exposure"]) if held else 0.0}
        )  # fmt: skip
    after = np.asarray(sharpe_ratio(result.daily_returns.T, 365.0))
    both = np.isfinite(before) & np.isfinite(after)
    ranks = pd.DataFrame({"before": before[both], "after": after[both]}).rank()
    promoted = [{"text": found["candidates"][sid], **outcome(result.daily_returns[row[sid]], market)} for sid in found["picks"][PROMOTED]]
    return {
        "rows": rows, "each_promoted": promoted, "rank_correlation": _plain(ranks["before"].corr(ranks["after"])),
        "positive_before": _plain(np.mean(before[both] > 0)), "positive_after": _plain(np.mean(after[both] > 0)),
    }  # fmt: skip


def _equal_parts(result: BacktestResult, held: list[int]) -> np.ndarray:
    """Daily returns of the strategies in these rows together, balanced every day, (n_days,); zeros for none."""
    return result.daily_returns[held].mean(axis=0) if held else np.zeros(len(result.days))


def outcome(returns: np.ndarray, market: np.ndarray) -> dict[str, Any]:
    """Sharpe ratio with its 90 % interval, return, drawdown, and correlation with the `market`, of daily returns (n_days,); None
    where undefined."""
    interval = sharpe_interval(returns, n_resamples=2000, seed=0)
    found = metrics_from_returns(returns, 365.0, names=("total_return", "max_drawdown"))
    return {
        "sharpe": _plain(interval.sharpe), "low": _plain(interval.low), "high": _plain(interval.high),
        "total_return": _plain(found["total_return"]), "max_drawdown": _plain(found["max_drawdown"]),
        "correlation": _plain(np.corrcoef(returns, market)[0, 1]) if np.ptp(returns) and np.ptp(market) else None,
    }  # fmt: skip


def bought_and_held(through: Bars, cut: pd.Timestamp, costs: Costs | None) -> list[dict[str, Any]]:
    """Each symbol bought at the first open after the cut and held, costs of the purchase paid; and equal parts of all, never
    balanced again. Held to the end, so nothing is sold."""
    rule = parse(f"trend on * {through.timeframe}\nenter long when close > 0\nsize all_in")
    result = backtest([rule], through, costs=costs, start=cut, workers=1)
    days, market, worth, rows = pd.DatetimeIndex(result.days).tz_localize("UTC"), _market(result), [], []
    for symbol in through.symbols:
        equity = result.equity(rule.id, symbol).resample("1D").last().reindex(days).ffill().fillna(1.0).to_numpy()
        worth.append(equity)
        own = result.metrics.loc[(rule.id, symbol)]
        held = {"strategies": 1, "in_sample": None, "trades": int(own["trades"]), "exposure": _plain(own["exposure"])}
        rows.append({"pick": f"hold {symbol}", **held, **outcome(_returns(equity), market)})
    whole = {"strategies": len(worth), "in_sample": None, "trades": sum(row["trades"] for row in rows)}
    exposure = _mean([row["exposure"] for row in rows])
    rows.append({"pick": "hold equal parts of all", **whole, "exposure": exposure, **outcome(_returns(np.mean(worth, axis=0)), market)})
    return rows


def _market(result: BacktestResult) -> np.ndarray:
    """Mean daily return of holding each symbol listed, (n_days,): what a pick's returns are correlated with."""
    rule = parse(f"trend on * {result.bars.timeframe}\nenter long when close > 0\nsize all_in")
    return result.rerun([rule], costs=Costs(fee_bps=0, slippage_bps=0), workers=1).daily_returns[0]


def measured(args: argparse.Namespace, bars: Bars) -> dict[str, Any]:
    """All hold-outs of a run: settings, one dict a hold-out with its searches, and what holding earned in it."""
    costs, gate = Costs(fee_bps=args.fee, slippage_bps=args.slippage), Gate()
    chosen = tuple(args.methods.split(",")) if args.methods else methods()
    settings = {
        "study": "holdout", "bars": bars.fingerprint, "symbols": list(bars.symbols), "timeframe": bars.timeframe, "months": args.months,
        "strategies": args.strategies, "methods": list(chosen), "seed": args.seed, "costs": repr(costs), "gate": asdict(gate),
    }  # fmt: skip
    journal, begin = Journal(args.journal, settings), time.perf_counter()

    def one(task: tuple[int, int]) -> None:
        year, number = task
        key = f"{year:02d}-{number:03d}"
        if journal.get(key) is None:
            past, through, cut = held_back(bars, args.months, year * args.months)
            found = search(past, args.strategies, derive_seed(args.seed, "holdout", year, number) % 2**31, chosen, costs, gate)
            journal.put(key, {"year": year, "search": number, **found, **afterwards(found, through, cut, costs)})
            said = {name: found[name] for name in ("trials", "effective_trials", "verdicts")}
            print(f"{cut.date()}, search {number}: {said}, {time.perf_counter() - begin:.0f} s", flush=True)

    map_shards(one, [(year, number) for year in range(args.years) for number in range(args.seeds)], workers=args.workers)
    spans = []
    for year in range(args.years):
        past, through, cut = held_back(bars, args.months, year * args.months)
        searches = [journal.get(f"{year:02d}-{number:03d}") or {} for number in range(args.seeds)]
        spans.append(
            {"from": str(cut.date()), "through": str(pd.Timestamp(through.times[-1]).date()),
             "history_from": str(pd.Timestamp(past.times[0]).date()), "held": bought_and_held(through, cut, costs),
             "searches": searches, "skipped": skipped_families(past)}
        )  # fmt: skip
    return {"settings": settings, "holdouts": spans}


def table(span: dict[str, Any]) -> pd.DataFrame:
    """One row a pick: medians over the searches, with the range of the Sharpe ratio over them; and what holding earned."""
    rows = pd.DataFrame([row for found in span["searches"] for row in found["rows"]])
    order = list(dict.fromkeys(rows["pick"]))
    numbers = ["strategies", *SHOWN]
    middle = rows.groupby("pick")[numbers].agg(lambda column: column.astype(float).median()).loc[order]
    spread = rows.assign(sharpe=rows["sharpe"].astype(float)).groupby("pick")["sharpe"].agg(["min", "max"]).loc[order]
    held = pd.DataFrame(span["held"]).set_index("pick")[numbers].astype(float)
    return pd.concat([middle.join(spread.set_axis(["worst", "best"], axis=1)), held]).reset_index()


def report(study: dict[str, Any]) -> str:
    """The tables as Markdown."""
    lines = []
    for span in study["holdouts"]:
        searches = span["searches"]
        promoted = [len(found["picks"][PROMOTED]) for found in searches]
        lines += [
            f"{span['from']} to {span['through']} held back, history from {span['history_from']}; {len(searches)} searches of "
            f"{sorted(found['trials'] for found in searches)} trials; promoted {promoted}; left out {sorted(span['skipped'])}",
            "",
            "| pick | strategies | Sharpe before | Sharpe after | 90 % interval | over searches | return | drawdown | with the market | "
            "trades | exposure |",
            "|---|---|---|---|---|---|---|---|---|---|---|",
        ]
        for row in table(span).to_dict("records"):
            spread = f"{_text(row['worst'])} to {_text(row['best'])}" if np.isfinite(row["worst"]) else ""
            interval = f"{_text(row['low'])} to {_text(row['high'])}" if np.isfinite(row["low"]) else ""
            lines.append(
                f"| {row['pick']} | {row['strategies']:g} | {_text(row['in_sample'])} | {_text(row['sharpe'])} | {interval} | {spread} | "
                f"{row['total_return']:+.1%} | {row['max_drawdown']:.1%} | {_text(row['correlation'])} | {row['trades']:,.0f} | "
                f"{row['exposure']:.0%} |"
            )
        ranks = [round(found["rank_correlation"], 2) for found in searches if found["rank_correlation"] is not None]
        before, after = (_mean([found[name] for found in searches]) or 0.0 for name in ("positive_before", "positive_after"))
        lines += [
            "",
            f"Rank correlation of all candidates' ratios before and after: {ranks}; above zero before {before:.0%}, after {after:.0%}.",
            "",
        ]
        for number, found in enumerate(searches):
            lines += [
                f"search {number} promoted, Sharpe after {_text(item['sharpe'])}: {item['text']!r}" for item in found["each_promoted"]
            ]
    return "\n".join(lines)


def _returns(equity: np.ndarray) -> np.ndarray:
    return equity / np.concatenate([[1.0], equity[:-1]]) - 1


def _plain(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def _mean(values: Any) -> float | None:
    """Mean of what is a number; None where nothing is."""
    known = np.asarray(values, dtype=np.float64)
    return float(known[np.isfinite(known)].mean()) if np.isfinite(known).any() else None


def _text(value: float | None) -> str:
    return f"{value:.2f}" if value is not None and np.isfinite(value) else ""


def read(args: argparse.Namespace) -> Bars:
    """The bars asked for: a file or glob as it is, a folder by the name the other studies use."""
    path = Path(args.data)
    where = path / f"ohlcv_{args.timeframe}_binance_spot.parquet" if path.is_dir() else path
    return Bars.read(where, args.timeframe, symbols=args.symbols.split(","), start=args.since)


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder with ohlcv_TIMEFRAME_binance_spot.parquet, or a file or glob of bars")
    parser.add_argument("--symbols", default=",".join(SYMBOLS))
    parser.add_argument("--timeframe", default="1h")
    parser.add_argument("--since", default="2022-01-01", help="first day of history")
    parser.add_argument("--months", type=int, default=12, help="months held back")
    parser.add_argument("--years", type=int, default=1, help="how many such stretches, each before the other")
    parser.add_argument("--strategies", type=int, default=1000, help="candidates a search")
    parser.add_argument("--methods", help="generators, comma separated; default: all")
    parser.add_argument("--seeds", type=int, default=5, help="searches of each stretch")
    parser.add_argument("--seed", type=int, default=20281)
    parser.add_argument("--fee", type=float, default=Costs().fee_bps, help="basis points a side")
    parser.add_argument("--slippage", type=float, default=Costs().slippage_bps, help="basis points a side")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--journal", type=Path, help="file of finished searches, to go on from")
    parser.add_argument("--out", type=Path, help="file for everything as JSON")
    args = parser.parse_args(given)
    study = measured(args, read(args))
    print(report(study))
    if args.out:
        replace_file(args.out, json.dumps(study, sort_keys=True, allow_nan=False).encode() + b"\n")


if __name__ == "__main__":
    main()
