"""Monte Carlo: how much of a result was the order of its trades, its costs, or its parameters.

What belongs here: vectorised resampling of trades and daily returns, cost stress, parameter jitter, and the score they
are summed up in. What does not: whether the edge is real (selection).

Per strategy, with T its closed trades on all its symbols in order of exit and w their effect on equity
(equity_after / equity_before - 1, divided by how many of the strategy's symbols are listed on the day of the exit, so that
a path is the pooled one up to compounding within symbols):

- trade resampling: n paths of len(T) trades drawn in circular blocks (Politis and Romano 1992) of about the cube root of
  len(T); the path's final return is prod(1 + w) - 1 and its drawdown the largest fall from its running maximum;
- cost stress: the strategy run again with fee and slippage times `cost_multiple`;
- parameter jitter: the strategies that `jitter` returns for it, run again; the share that ends above water.

``robustness = (1 - probability_of_loss) * stress * jitter`` with stress = 1 where the pooled total return under stressed
costs is positive and 0 elsewhere, and jitter the share of jittered strategies with a positive pooled total return (1
where no jitter is given). It lies in [0, 1]; NaN for fewer than `MIN_TRADES` closed trades.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from strategy_pipeline.backtest.costs import Costs
from strategy_pipeline.backtest.result import BacktestResult
from strategy_pipeline.errors import StrategyError
from strategy_pipeline.market.timeframes import to_time
from strategy_pipeline.resampling import block_bootstrap_indices
from strategy_pipeline.rng import generator
from strategy_pipeline.strategies import Strategy

MIN_TRADES = 10
PERCENTILES = (5, 25, 50, 75, 95)
BAND_POINTS = 50


@dataclass(frozen=True, slots=True)
class MonteCarlo:
    """What became of the strategies in other orders, costs and parameters.

    summary
        DataFrame indexed by strategy_id: trades, return_p5 ... return_p95 and drawdown_p5 ... drawdown_p95 (percentiles
        of the paths' final returns and largest drawdowns), probability_of_loss (final return below 0),
        probability_of_ruin (drawdown of `ruin` or more), stressed_return (total, pooled, at stressed costs),
        jitter_share, robustness.
    bands
        id -> DataFrame of percentiles (columns 5 ... 95) of equity, indexed by the share of trades made, in [0, 1].
    """

    summary: pd.DataFrame
    bands: dict[str, pd.DataFrame]

    @property
    def scores(self) -> dict[str, float]:
        """id -> robustness, NaN where undefined."""
        return {str(id): float(value) for id, value in self.summary["robustness"].items()}


def monte_carlo(
    result: BacktestResult,
    ids: Sequence[str],
    *,
    n: int,
    seed: int,
    start: Any = None,
    end: Any = None,
    ruin: float = 0.5,
    cost_multiple: float = 2.0,
    jitter: Callable[[Strategy, np.random.Generator], Sequence[Strategy]] | None = None,
    workers: int = 0,
) -> MonteCarlo:
    """Stress the strategies `ids` of `result`.

    Parameters
    ----------
    n : paths per strategy
    seed : of every draw; a strategy's draws depend on (seed, its id) only, not on its company
    start, end : half-open range of days; only trades that close in it, and returns on its days, count
    ruin : drawdown, in (0, 1], that counts as ruin
    cost_multiple : fee and slippage times this for the cost stress
    jitter : from a strategy and a generator, strategies like it (`strategies.with_parameters`); None is none
    workers : threads of the backtests; results do not depend on it

    Raises
    ------
    StrategyError
        An id is unknown, or n, ruin or cost_multiple is out of range.
    """
    unknown = [id for id in ids if id not in result.strategies]
    if unknown:
        raise StrategyError(
            f"Expected strategies of this result, was {unknown[0]!r}; {result.failures.get(unknown[0], 'see `strategy_ids`')}"
        )
    if n < 1 or not 0 < ruin <= 1 or not cost_multiple >= 0:
        raise StrategyError(f"Expected n >= 1, ruin in (0, 1], cost_multiple >= 0, was {n}, {ruin}, {cost_multiple}; correct them")
    window = (start, end)
    stressed = _stressed(result, ids, cost_multiple, window, workers)
    shares = _jittered(result, ids, jitter, seed, window, workers)
    rows, bands = [], {}
    for id in ids:
        effects = trade_effects(result, id, start, end)
        row: dict[str, float] = {
            "trades": len(effects),
            "stressed_return": stressed.get(id, np.nan),
            "jitter_share": shares.get(id, np.nan),
        }
        if len(effects) >= MIN_TRADES:
            final, drawdown, bands[id] = resample_trades(effects, n, generator(seed, "monte_carlo", id))
            row |= {f"return_p{p}": value for p, value in zip(PERCENTILES, np.percentile(final, PERCENTILES), strict=True)}
            row |= {f"drawdown_p{p}": value for p, value in zip(PERCENTILES, np.percentile(drawdown, PERCENTILES), strict=True)}
            row["probability_of_loss"] = float((final < 0).mean())
            row["probability_of_ruin"] = float((drawdown >= ruin).mean())
            kept = 1.0 if np.isnan(row["jitter_share"]) else row["jitter_share"]
            row["robustness"] = (1 - row["probability_of_loss"]) * float(row["stressed_return"] > 0) * kept
        rows.append(row)
    names = ["trades", *(f"{kind}_p{p}" for kind in ("return", "drawdown") for p in PERCENTILES)]
    names += ["probability_of_loss", "probability_of_ruin", "stressed_return", "jitter_share", "robustness"]
    return MonteCarlo(pd.DataFrame(rows, index=pd.Index(list(ids), name="strategy_id", dtype=object), columns=names), bands)


def trade_effects(result: BacktestResult, id: str, start: Any = None, end: Any = None) -> np.ndarray:
    """What each trade that closed in [start, end) did to pooled equity, float64 (n_trades,), by exit, then by symbol."""
    names = [symbol for symbol in result.symbols if result.trades_on(id, symbol)]
    parts = []
    for symbol in names:
        trades = result.trades(id, symbol)
        closed = trades[trades["reason"] != "open"]
        parts.append(pd.DataFrame({"exit": closed["exit"], "effect": closed["equity_after"] / closed["equity_before"] - 1}))
    if not parts:
        return np.empty(0)
    frame = pd.concat(parts).sort_values("exit", kind="stable")
    if start is not None:
        frame = frame[frame["exit"] >= pd.Timestamp(to_time(start), tz="UTC")]
    if end is not None:
        frame = frame[frame["exit"] < pd.Timestamp(to_time(end), tz="UTC")]
    day = np.clip(
        np.searchsorted(result.days, frame["exit"].dt.tz_localize(None).to_numpy().astype("datetime64[ns]"), side="right") - 1, 0, None
    )
    return frame["effect"].to_numpy() / np.maximum(result.listed_count(id)[day], 1)


def resample_trades(effects: np.ndarray, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """n block-resampled orders of trades: final returns (n,), largest drawdowns (n,), and equity bands."""
    count = len(effects)
    block = max(1, round(count ** (1 / 3)))
    points = np.unique(np.linspace(0, count, min(BAND_POINTS, count) + 1).round().astype(int))
    final, drawdown = np.empty(n), np.empty(n)
    at_points = np.empty((n, len(points)))
    chunk = max(1, 2_000_000 // count)
    for first in range(0, n, chunk):
        part = slice(first, min(first + chunk, n))
        steps = effects[block_bootstrap_indices(count, block, part.stop - part.start, rng)]
        paths = np.cumprod(np.concatenate([np.ones((len(steps), 1)), 1 + steps], axis=1), axis=1)
        final[part] = paths[:, -1] - 1
        drawdown[part] = (1 - paths / np.maximum.accumulate(paths, axis=1)).max(axis=1)
        at_points[part] = paths[:, points]
    bands = pd.DataFrame(np.percentile(at_points, PERCENTILES, axis=0).T, index=points / count, columns=list(PERCENTILES))
    bands.index.name = "share_of_trades"
    return final, drawdown, bands


def _stressed(result: BacktestResult, ids: Sequence[str], multiple: float, window: tuple[Any, Any], workers: int) -> dict[str, float]:
    if not ids:
        return {}
    costs: Costs = replace(result.costs, fee_bps=result.costs.fee_bps * multiple, slippage_bps=result.costs.slippage_bps * multiple)
    again = result.rerun([result.strategies[id] for id in ids], costs=costs, workers=workers)
    return _total_returns(again, window)


def _jittered(
    result: BacktestResult, ids: Sequence[str], jitter: Callable[[Strategy, np.random.Generator], Sequence[Strategy]] | None,
    seed: int, window: tuple[Any, Any], workers: int,
) -> dict[str, float]:  # fmt: skip
    if jitter is None:
        return {}
    drawn = {id: list(jitter(result.strategies[id], generator(seed, "jitter", id))) for id in ids}
    everyone = [other for found in drawn.values() for other in found]
    if not everyone:
        return {}
    total = _total_returns(result.rerun(everyone, workers=workers), window)
    return {id: float(np.mean([total.get(other.id, np.nan) > 0 for other in found])) for id, found in drawn.items() if found}


def _total_returns(result: BacktestResult, window: tuple[Any, Any]) -> dict[str, float]:
    return dict(zip(result.strategy_ids, result.summary(*window)["total_return"].tolist(), strict=True))
