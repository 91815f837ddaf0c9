"""Monte Carlo: how much of a result was the order of its trades, its costs, its parameters, its luck.

What belongs here: vectorised resampling of trades, the other perturbations gathered per strategy, and the score they are
summed up in. What does not: whether the edge is real (selection).

Per strategy, with T its closed trades on all its symbols in order of exit and w their effect on equity
(equity_after / equity_before - 1, divided by how many of the strategy's symbols are listed on the day of the exit, so that
a path is the pooled one up to compounding within symbols):

- trade resampling: n paths of len(T) trades drawn in circular blocks (Politis and Romano 1992) of about the cube root of
  len(T); the path's final return is prod(1 + w) - 1 and its drawdown the largest fall from its running maximum;
- shuffling: n paths of each trade once, in the same blocks; their final return is the same, their drawdown is not;
- cost stress: the strategy run again with fee and slippage times `cost_multiple`;
- latency stress: run again with its orders `delay` bars late;
- parameter jitter: strategies with its numbers moved, run again; the share that ends above water;
- missed entries: run again with entries missed at random (`simulations.skip_entries`);
- prices: run again on joint block bootstraps of its bars (`simulations.bootstrap_prices`).

``robustness`` is the product of what was asked for: ``1 - probability_of_loss`` of resampled trades, 1 where the return under
stressed costs is positive and else 0, the same under delay, ``jitter_share``, ``1 - skip_loss`` and ``1 - price_loss`` (shares
of runs that end in a loss). It lies in [0, 1]: the chance to end above water if the perturbations came one by one and
independently. NaN for fewer than `MIN_TRADES` closed trades.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from strategy_pipeline.backtest import paths, walk
from strategy_pipeline.backtest.neighbours import jitter_parameters, outcomes
from strategy_pipeline.backtest.result import BacktestResult
from strategy_pipeline.backtest.scenarios import scaled
from strategy_pipeline.compute import map_shards
from strategy_pipeline.errors import StrategyError
from strategy_pipeline.market.timeframes import to_time
from strategy_pipeline.rng import generator
from strategy_pipeline.strategies import Strategy

MIN_TRADES = 10
PERCENTILES = (5, 25, 50, 75, 95)
BAND_POINTS = 50
Jitter = Callable[[Strategy, np.random.Generator], Sequence[Strategy]]


@dataclass(frozen=True, slots=True)
class MonteCarlo:
    """What became of the strategies in other orders, costs and parameters.

    summary
        DataFrame indexed by strategy_id: trades, return_p5 ... return_p95 and drawdown_p5 ... drawdown_p95 (percentiles
        of the resampled paths' final returns and largest drawdowns), probability_of_loss (final return below 0),
        probability_of_ruin (drawdown of `ruin` or more), realised_return and realised_drawdown (of the closed trades in
        their own order), shuffled_p50 and shuffled_p95 (drawdowns of the same trades in other orders), order_luck (share of
        these deeper than the realised one), stressed_return and delayed_return (total, pooled), jitter_share, skip_loss,
        price_loss, robustness. NaN is what was not asked for.
    bands
        id -> DataFrame of percentiles (columns 5 ... 95) of equity of the resampled paths, indexed by the share of trades
        made, in [0, 1].
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
    delay: int = 0,
    jitter: Jitter | float | None = None,
    draws: int = 20,
    skip: float = 0.0,
    prices: int = 0,
    workers: int = 0,
) -> MonteCarlo:
    """Stress the strategies `ids` of `result`.

    Parameters
    ----------
    n : paths per strategy, of each kind
    seed : of every draw; a strategy's draws depend on (seed, its id) only, not on its company
    start, end : half-open range of days; only trades that close in it, and returns on its days, count
    ruin : drawdown, in (0, 1], that counts as ruin
    cost_multiple : every cost times this for the cost stress
    delay : bars by which orders are late in the latency stress; 0 is none
    jitter : how far numbers move, as a fraction of themselves (`neighbours.jitter_parameters`), or from a strategy and a
        generator, strategies like it; None is none
    draws : jittered strategies, and runs with missed entries, a strategy
    skip : share of entries missed, in [0, 1); 0 is none
    prices : price bootstraps; 0 is none. These and missed entries are runs over all bars, whatever `start` and `end`
    workers : threads; results do not depend on it

    Raises
    ------
    StrategyError
        An id is unknown, or n, ruin, cost_multiple, draws, skip or prices is out of range.
    """
    result.check(*ids)
    if n < 1 or not 0 < ruin <= 1 or not cost_multiple >= 0:
        raise StrategyError(f"Expected n >= 1, ruin in (0, 1], cost_multiple >= 0, was {n}, {ruin}, {cost_multiple}; correct them")
    if draws < 1 or not 0 <= skip < 1 or prices < 0 or delay < 0:
        raise StrategyError(
            f"Expected draws >= 1, skip in [0, 1), prices >= 0, delay >= 0, was {draws}, {skip}, {prices}, {delay}; correct them"
        )
    window = (start, end)
    lately = _others(result, ids, jitter, draws, seed, window, cost_multiple, delay, skip, prices, workers)
    found = map_shards(lambda id: _paths(result, id, n, seed, window, ruin), list(ids), workers=workers)
    names = ["trades", *(f"{kind}_p{p}" for kind in ("return", "drawdown") for p in PERCENTILES)]
    names += ["probability_of_loss", "probability_of_ruin", "realised_return", "realised_drawdown", "shuffled_p50", "shuffled_p95"]
    names += ["order_luck", *lately.columns, "robustness"]
    index = pd.Index(list(ids), name="strategy_id", dtype=object)
    summary = pd.DataFrame([row for row, _ in found], index=index, columns=names).astype(np.float64)
    for name in lately.columns:
        summary[name] = lately[name].to_numpy()
    delayed = summary["delayed_return"]
    score = (1 - summary["probability_of_loss"]) * (summary["stressed_return"] > 0) * ((delayed > 0) | delayed.isna())
    for share in (summary["jitter_share"], 1 - summary["skip_loss"], 1 - summary["price_loss"]):
        score = score * share.fillna(1.0)
    summary["robustness"] = score
    summary["trades"] = summary["trades"].astype(np.int64)
    return MonteCarlo(summary, {id: bands for id, (_, bands) in zip(ids, found, strict=True) if bands is not None})


def trade_effects(result: BacktestResult, id: str, start: Any = None, end: Any = None) -> np.ndarray:
    """What each trade that closed in [start, end) did to pooled equity, float64 (n_trades,), by exit, then by symbol."""
    times = np.asarray(result.bars.times)
    leaves, effects = [np.empty(0, dtype=np.int64)], [np.empty(0)]
    for symbol, (ints, floats) in zip(result.symbols, result.captured(id, keep=False), strict=True):
        if result.trades_on(id, symbol):
            closed = ints[:, walk.REASON] != walk.OPEN
            leaves.append(ints[closed, walk.EXIT])
            effects.append(floats[closed, walk.AFTER] / floats[closed, walk.BEFORE] - 1)
    leave, effect = np.concatenate(leaves), np.concatenate(effects)
    order = np.argsort(leave, kind="stable")
    moment = times[leave[order]]
    kept = np.ones(len(order), dtype=bool)
    if start is not None:
        kept &= moment >= np.datetime64(to_time(start))
    if end is not None:
        kept &= moment < np.datetime64(to_time(end))
    day = np.clip(np.searchsorted(result.days, moment[kept], side="right") - 1, 0, None)
    return effect[order][kept] / np.maximum(result.listed_count(id)[day], 1)


def resample_trades(effects: np.ndarray, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """n block-resampled orders of trades: final returns (n,), largest drawdowns (n,), and equity bands."""
    count = len(effects)
    points = np.unique(np.linspace(0, count, min(BAND_POINTS, count) + 1).round().astype(np.int64))
    found = paths.resampled(effects, n, rng, points=points)
    bands = pd.DataFrame(np.percentile(found.at_points, PERCENTILES, axis=0).T, index=points / count, columns=list(PERCENTILES))
    bands.index.name = "share_of_trades"
    return found.final, found.drawdown, bands


def _paths(
    result: BacktestResult, id: str, n: int, seed: int, window: tuple[Any, Any], ruin: float
) -> tuple[dict[str, float], pd.DataFrame | None]:
    effects = trade_effects(result, id, *window)
    row: dict[str, float] = {"trades": len(effects)}
    if len(effects) < MIN_TRADES:
        return row, None
    final, drawdown, bands = resample_trades(effects, n, generator(seed, "monte_carlo", id))
    row |= {f"return_p{p}": value for p, value in zip(PERCENTILES, np.percentile(final, PERCENTILES), strict=True)}
    row |= {f"drawdown_p{p}": value for p, value in zip(PERCENTILES, np.percentile(drawdown, PERCENTILES), strict=True)}
    row["probability_of_loss"] = float((final < 0).mean())
    row["probability_of_ruin"] = float((drawdown >= ruin).mean())
    row["realised_return"], row["realised_drawdown"] = paths.straight(effects)
    orders = paths.shuffled(effects, n, generator(seed, "shuffle", id)).drawdown
    row["shuffled_p50"], row["shuffled_p95"] = (float(value) for value in np.percentile(orders, (50, 95)))
    row["order_luck"] = float((orders > row["realised_drawdown"]).mean())
    return row, bands


def _others(
    result: BacktestResult, ids: Sequence[str], jitter: Jitter | float | None, draws: int, seed: int, window: tuple[Any, Any],
    multiple: float, delay: int, skip: float, prices: int, workers: int,
) -> pd.DataFrame:  # fmt: skip
    """What further runs say, a row a strategy; NaN where one was not asked for."""
    from strategy_pipeline.backtest.simulations import bootstrap_prices, skip_entries

    names = ["stressed_return", "delayed_return", "jitter_share", "skip_loss", "price_loss"]
    frame = pd.DataFrame(np.nan, index=pd.Index(list(ids), name="strategy_id", dtype=object), columns=names)
    if not ids:
        return frame
    chosen = [result.strategies[id] for id in ids]
    stressed = result.rerun(chosen, costs=scaled(result.costs, multiple), workers=workers).summary(*window)
    frame["stressed_return"] = stressed["total_return"].reindex(frame.index).to_numpy()
    if delay:
        late = result.rerun(chosen, delay=delay, workers=workers).summary(*window)
        frame["delayed_return"] = late["total_return"].reindex(frame.index).to_numpy()
    if jitter is not None:
        drawn = {id: _like(result.strategies[id], jitter, draws, generator(seed, "jitter", id)) for id in ids}
        others = outcomes(result, drawn, start=window[0], end=window[1], workers=workers)
        shares = [(others[id]["total_return"] > 0).sum() / len(drawn[id]) if drawn[id] else np.nan for id in ids]
        frame["jitter_share"] = shares
    if skip:
        frame["skip_loss"] = skip_entries(result, ids, n=draws, seed=seed, skip=skip, workers=workers)["probability_of_loss"].to_numpy()
    if prices:
        frame["price_loss"] = bootstrap_prices(result, ids, n=prices, seed=seed, workers=workers)["probability_of_loss"].to_numpy()
    return frame


def _like(strategy: Strategy, jitter: Jitter | float, draws: int, rng: np.random.Generator) -> list[Strategy]:
    return list(jitter(strategy, rng)) if callable(jitter) else jitter_parameters(strategy, rng, n=draws, spread=jitter)
