"""Monte Carlo on prices and on fills: the strategies again on resampled histories, and with trades left out.

What belongs here: runs of strategies on joint block bootstraps of their bars, and the paths of trades of which some were
missed or which began at another trade. Resampled orders of trades, cost stress, jitter and the score are in `robustness`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from strategy_pipeline.backtest.engine import backtest
from strategy_pipeline.backtest.metrics import HEADLINE_METRICS
from strategy_pipeline.backtest.result import BacktestResult
from strategy_pipeline.backtest.robustness import MIN_TRADES, PERCENTILES, trade_effects
from strategy_pipeline.errors import StrategyError
from strategy_pipeline.resampling import bootstrap_bars
from strategy_pipeline.rng import generator


def bootstrap_prices(
    result: BacktestResult, ids: Sequence[str], *, n: int, seed: int, mean_block: float = 168.0, workers: int = 0
) -> pd.DataFrame:
    """Run strategies again on `n` joint stationary bootstraps of their bars (`resampling.bootstrap_bars`).

    The blocks are the same for every symbol, so cross-correlation stays. Returns are the mean over the strategy's symbols of
    the total returns (an account split equally and never rebalanced); drawdowns are the mean of the largest ones.

    Parameters
    ----------
    result : BacktestResult, whose bars, costs and fill are used
    ids : strategies of it
    n : histories; the k-th depends on (seed, k) only
    mean_block : mean block length in bars

    Returns
    -------
    DataFrame indexed by strategy_id: return_p5 ... return_p95, drawdown_p5 ... drawdown_p95, probability_of_loss (share of
    histories with a return below 0), trades (mean). NaN for a strategy that reads named series: these do not exist on
    resampled bars.

    Raises
    ------
    StrategyError
        An id is unknown, or n is below 1.
    """
    _check(result, ids, n)
    chosen = [result.strategies[id] for id in ids]
    row = {id: i for i, id in enumerate(ids)}
    found = np.full((3, n, len(ids)), np.nan)
    start, end = result._window
    for k in range(n if chosen else 0):
        bars = bootstrap_bars(result._arena.bars, generator(seed, "bootstrap_prices", k), mean_block)
        again = backtest(
            chosen, bars, costs=result.costs, fill=result.fill, start=start, end=end, metrics=HEADLINE_METRICS, workers=workers
        )
        if not again.strategy_ids:
            continue
        frame = again.metrics[["total_return", "max_drawdown", "trades"]].groupby(level="strategy_id").mean()
        found[:, k, [row[id] for id in frame.index]] = frame.to_numpy().T
    returns, drawdowns, trades = found
    columns: dict[str, np.ndarray] = {}
    columns |= dict(zip((f"return_p{p}" for p in PERCENTILES), np.percentile(returns, PERCENTILES, axis=0), strict=True))
    columns |= dict(zip((f"drawdown_p{p}" for p in PERCENTILES), np.percentile(drawdowns, PERCENTILES, axis=0), strict=True))
    columns["probability_of_loss"] = np.where(np.isnan(returns).any(axis=0), np.nan, (returns < 0).mean(axis=0))
    columns["trades"] = trades.mean(axis=0)
    return pd.DataFrame(columns, index=pd.Index(list(ids), name="strategy_id", dtype=object))


def skip_trades(
    result: BacktestResult, ids: Sequence[str], *, n: int, seed: int, skip: float = 0.2, random_start: bool = True,
    start: Any = None, end: Any = None,
) -> pd.DataFrame:  # fmt: skip
    """Paths of each strategy's closed trades in their order, each missed with probability `skip`, from a random first trade
    in the earlier half on where `random_start`.

    Returns
    -------
    DataFrame indexed by strategy_id: trades, return_p5 ... return_p95 (final returns of `n` paths), probability_of_loss; NaN
    for fewer than `robustness.MIN_TRADES` closed trades. A missed trade frees no other: the paths leave out, they do not add.

    Raises
    ------
    StrategyError
        An id is unknown, n is below 1, or skip outside [0, 1).
    """
    _check(result, ids, n)
    if not 0 <= skip < 1:
        raise StrategyError(f"Expected skip in [0, 1), was {skip}; correct it")
    names = ["trades", *(f"return_p{p}" for p in PERCENTILES), "probability_of_loss"]
    rows = np.full((len(ids), len(names)), np.nan)
    for i, id in enumerate(ids):
        effects = trade_effects(result, id, start, end)
        rows[i, 0] = len(effects)
        if len(effects) < MIN_TRADES:
            continue
        rng = generator(seed, "skip_trades", id)
        final = np.empty(n)
        chunk = max(1, 2_000_000 // len(effects))
        for first in range(0, n, chunk):
            count = min(chunk, n - first)
            taken = rng.random((count, len(effects))) >= skip
            if random_start:
                taken &= np.arange(len(effects)) >= rng.integers(0, len(effects) // 2 + 1, (count, 1))
            final[first : first + count] = np.prod(np.where(taken, 1 + effects, 1.0), axis=1) - 1
        rows[i, 1:-1] = np.percentile(final, PERCENTILES)
        rows[i, -1] = (final < 0).mean()
    return pd.DataFrame(rows, index=pd.Index(list(ids), name="strategy_id", dtype=object), columns=names)


def _check(result: BacktestResult, ids: Sequence[str], n: int) -> None:
    unknown = [id for id in ids if id not in result.strategies]
    if unknown:
        raise StrategyError(
            f"Expected strategies of this result, was {unknown[0]!r}; {result.failures.get(unknown[0], 'see `strategy_ids`')}"
        )
    if n < 1:
        raise StrategyError(f"Expected n of at least 1, was {n}; correct it")
