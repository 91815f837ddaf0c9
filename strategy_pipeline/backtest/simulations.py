"""Monte Carlo by running again: on resampled histories, with entries missed, from a later start.

What belongs here: runs of strategies on joint block bootstraps of their bars and with random entries left out, and the paths
of trades of which some were missed. Resampled orders of trades and the score are in `robustness`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from strategy_pipeline.backtest import paths
from strategy_pipeline.backtest.result import BacktestResult
from strategy_pipeline.backtest.robustness import MIN_TRADES, PERCENTILES, trade_effects
from strategy_pipeline.compute import map_shards, worker_count
from strategy_pipeline.errors import StrategyError
from strategy_pipeline.indicators import Number, Series
from strategy_pipeline.resampling import bootstrap_bars_with
from strategy_pipeline.rng import generator
from strategy_pipeline.strategies import And, Compare, Condition, Strategy

WANTED = ("total_return", "max_drawdown", "trades")  # all headline metrics: a few look-ups a trade
AT_ONCE = 4  # histories in memory
MASK_BYTES = 64 << 20  # masks of entries in memory
ENTRY = "monte_carlo.entry_{}"  # named series: above 0.5 where an entry is not missed


def bootstrap_prices(
    result: BacktestResult, ids: Sequence[str], *, n: int, seed: int, mean_block: float = 168.0, ruin: float = 0.5, workers: int = 0
) -> pd.DataFrame:
    """Run strategies again on `n` joint stationary bootstraps of their bars (`resampling.bootstrap_bars`).

    The blocks are the same for every symbol, so cross-correlation stays; funding comes with the bars it was settled at. Returns
    are the mean over the strategy's symbols of the total returns (an account split equally and never rebalanced); drawdowns
    are the mean of the largest ones.

    Parameters
    ----------
    result : BacktestResult, whose bars, costs and fill are used
    ids : strategies of it
    n : histories; the k-th depends on (seed, k) only
    mean_block : mean block length in bars
    ruin : drawdown, in (0, 1], that counts as ruin
    workers : threads, over histories; results do not depend on it

    Returns
    -------
    DataFrame indexed by strategy_id: return_p5 ... return_p95, drawdown_p5 ... drawdown_p95, probability_of_loss (share of
    histories with a return below 0), probability_of_ruin, trades (mean). NaN for a strategy that reads named series: these do
    not exist on resampled bars.

    Raises
    ------
    StrategyError
        An id is unknown, n is below 1, or ruin outside (0, 1].
    """
    _check(result, ids, n, ruin)
    chosen = [result.strategies[id] for id in ids]

    def one(k: int) -> np.ndarray:
        return _outcome(result.rerun(chosen, metrics=WANTED, workers=inner, **_history(result, seed, k, mean_block)), ids)

    outer = max(1, min(worker_count(workers), AT_ONCE))
    inner = max(1, worker_count(workers) // outer)
    found = map_shards(one, range(n), workers=outer) if chosen else []
    return _percentiles(np.array(found).reshape(n if chosen else 0, len(WANTED), len(ids)), ids, ruin)


def bootstrap_bands(result: BacktestResult, id: str, *, n: int, seed: int, mean_block: float = 168.0, workers: int = 0) -> pd.DataFrame:
    """Where the equity of one strategy lies, day by day, on the histories of `bootstrap_prices`.

    Returns
    -------
    DataFrame of percentiles (columns 5 ... 95) of the growth of 1 by pooled daily returns, indexed by day (UTC), without rows for a
    strategy that reads named series.

    Raises
    ------
    StrategyError
        The id is unknown, or n is below 1.
    """
    _check(result, [id], n, 1.0)

    def one(k: int) -> np.ndarray | None:
        again = result.rerun([result.strategies[id]], workers=1, **_history(result, seed, k, mean_block))
        return np.cumprod(1 + again.daily_returns[0]) if again.strategy_ids else None

    found = [path for path in map_shards(one, range(n), workers=min(worker_count(workers), AT_ONCE)) if path is not None]
    days = pd.DatetimeIndex(result.days if found else result.days[:0]).tz_localize("UTC")
    values = np.percentile(found, PERCENTILES, axis=0).T if found else np.empty((0, len(PERCENTILES)))
    return pd.DataFrame(values, index=days, columns=list(PERCENTILES))


def _history(result: BacktestResult, seed: int, k: int, mean_block: float) -> dict[str, Any]:
    """The k-th history: its bars, and the funding that was settled at the bars drawn."""
    known = {} if result.funding is None else {"funding": result.funding}
    bars, carried = bootstrap_bars_with(result.bars, known, generator(seed, "bootstrap_prices", k), mean_block)
    return {"bars": bars, **carried}


def skip_entries(
    result: BacktestResult, ids: Sequence[str], *, n: int, seed: int, skip: float = 0.2, random_start: bool = False,
    ruin: float = 0.5, workers: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """Run strategies again with every decision to enter missed with probability `skip`, and from a random bar of the earlier
    half of the window on where `random_start`.

    A missed entry leaves the strategy flat, so that a later one may come instead: what follows is simulated, not left out. A
    rule that stays true asks again at the next bar. Which bars are missed depends on (seed, k) only, and is the same for all
    strategies; all runs share one bank.

    Returns
    -------
    As `bootstrap_prices`, a row a strategy; NaN where it could not be run.

    Raises
    ------
    StrategyError
        An id is unknown, n is below 1, skip outside [0, 1) or ruin outside (0, 1].
    """
    _check(result, ids, n, ruin, skip)
    shape = result.bars.close.shape
    chosen = [result.strategies[id] for id in ids]
    size = max(1, MASK_BYTES // (8 * shape[0] * shape[1]))
    parts = []
    for first in range(0, n if chosen else 0, size):
        draws = range(first, min(first + size, n))
        masks, copies = {}, []
        for k in draws:
            rng = generator(seed, "skip_entries", k)
            taken = (rng.random(shape) >= skip).astype(np.float64)
            if random_start:
                begin, until = result.window
                taken[:, : begin + int(rng.integers(0, max(1, (until - begin) // 2)))] = 0.0
            masks[ENTRY.format(k)] = taken
            copies.append([_gated(strategy, ENTRY.format(k)) for strategy in chosen])
        again = result.rerun([s for copy in copies for s in copy], series=masks, metrics=WANTED, workers=workers)
        parts += [_outcome(again, [s.id for s in copy]) for copy in copies]
    return _percentiles(np.array(parts).reshape(len(parts), len(WANTED), len(ids)), ids, ruin)


def skip_trades(
    result: BacktestResult, ids: Sequence[str], *, n: int, seed: int, skip: float = 0.2, random_start: bool = True,
    ruin: float = 0.5, start: Any = None, end: Any = None, workers: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """Paths of each strategy's closed trades in their order, each missed with probability `skip`, from a random first trade
    in the earlier half on where `random_start`.

    Returns
    -------
    DataFrame indexed by strategy_id: trades, return_p5 ... return_p95 (final returns of `n` paths), drawdown_p5 ...
    drawdown_p95, probability_of_loss, probability_of_ruin; NaN for fewer than `robustness.MIN_TRADES` closed trades. A missed
    trade frees no other: the paths leave out, they do not add (`skip_entries` simulates what comes instead).

    Raises
    ------
    StrategyError
        An id is unknown, n is below 1, skip outside [0, 1) or ruin outside (0, 1].
    """
    _check(result, ids, n, ruin, skip)
    names = ["trades", *(f"{kind}_p{p}" for kind in ("return", "drawdown") for p in PERCENTILES)]
    names += ["probability_of_loss", "probability_of_ruin"]

    def one(id: str) -> list[float]:
        effects = trade_effects(result, id, start, end)
        count = len(effects)
        if count < MIN_TRADES:
            return [count, *[np.nan] * (len(names) - 1)]
        rng = generator(seed, "skip_trades", id)
        final, drawdown = np.empty(n), np.empty(n)
        chunk = max(1, paths.DRAWN_AT_ONCE // count)
        for first in range(0, n, chunk):
            part = slice(first, min(first + chunk, n))
            draws = rng.random((part.stop - first, count))
            begin = rng.integers(0, count // 2 + 1, len(draws)) if random_start else np.zeros(len(draws), dtype=np.int64)
            paths.thinned(1 + effects, draws, skip, begin, final[part], drawdown[part])
        ends = (final < 0).mean(), (drawdown >= ruin).mean()
        return [count, *np.percentile(final, PERCENTILES), *np.percentile(drawdown, PERCENTILES), *ends]

    rows = map_shards(one, list(ids), workers=workers)
    index = pd.Index(list(ids), name="strategy_id", dtype=object)
    return pd.DataFrame(np.array(rows, dtype=np.float64).reshape(len(ids), len(names)), index=index, columns=names)


def _outcome(result: BacktestResult, ids: Sequence[str]) -> np.ndarray:
    """`WANTED` of each strategy, the mean over its symbols, float64 (3, n_ids); NaN where it did not run."""
    found = np.full((len(WANTED), len(ids)), np.nan)
    if result.strategy_ids:
        frame = result.metrics[list(WANTED)].groupby(level="strategy_id").mean().reindex(list(ids))
        found[:] = frame.to_numpy(dtype=np.float64).T
    return found


def _percentiles(found: np.ndarray, ids: Sequence[str], ruin: float) -> pd.DataFrame:
    """Columns from outcomes (n_runs, 3, n_ids)."""
    returns, drawdowns, trades = found.transpose(1, 0, 2)
    unknown = np.isnan(returns).any(axis=0)
    columns: dict[str, np.ndarray] = {}
    for name, values in (("return", returns), ("drawdown", drawdowns)):
        levels = np.percentile(values, PERCENTILES, axis=0) if len(values) else np.full((len(PERCENTILES), len(ids)), np.nan)
        columns |= dict(zip((f"{name}_p{p}" for p in PERCENTILES), levels, strict=True))
    columns["probability_of_loss"] = np.where(unknown, np.nan, (returns < 0).mean(axis=0) if len(returns) else np.nan)
    columns["probability_of_ruin"] = np.where(unknown, np.nan, (drawdowns >= ruin).mean(axis=0) if len(returns) else np.nan)
    columns["trades"] = trades.mean(axis=0) if len(trades) else np.full(len(ids), np.nan)
    return pd.DataFrame(columns, index=pd.Index(list(ids), name="strategy_id", dtype=object))


def _gated(strategy: Strategy, name: str) -> Strategy:
    """`strategy`, entering only where the named series is above 0.5."""
    gate = Compare(">", Series(name), Number(0.5))

    def gated(rule: Condition | None) -> Condition | None:
        return None if rule is None else And((rule, gate))

    return replace(strategy, enter_long=gated(strategy.enter_long), enter_short=gated(strategy.enter_short))


def _check(result: BacktestResult, ids: Sequence[str], n: int, ruin: float, skip: float = 0.0) -> None:
    result.check(*ids)
    if n < 1 or not 0 < ruin <= 1 or not 0 <= skip < 1:
        raise StrategyError(f"Expected n of at least 1, ruin in (0, 1] and skip in [0, 1), was {n}, {ruin}, {skip}; correct them")
