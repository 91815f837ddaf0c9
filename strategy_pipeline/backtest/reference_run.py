"""The reference engine on strategies and bars: conditions from `truth`, trades from `reference.simulate`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from strategy_pipeline.backtest import tile
from strategy_pipeline.backtest.arena import Arena, make_arena
from strategy_pipeline.backtest.costs import Costs
from strategy_pipeline.backtest.metrics import metrics_from_returns, trade_metrics
from strategy_pipeline.backtest.reference import Charges, Distance, Market, Rules, Trade, simulate, trade_sums
from strategy_pipeline.backtest.reference_pairs import simulate_pair
from strategy_pipeline.backtest.terms import Terms, make_terms
from strategy_pipeline.indicators import Bank
from strategy_pipeline.market import Bars
from strategy_pipeline.market.timeframes import bars_per_year
from strategy_pipeline.strategies import Condition, Level, Strategy, atr_series, sizing_series, truth


@dataclass(frozen=True, slots=True)
class ReferenceRun:
    """One strategy on one symbol: its trades (bars are indices into the bars given), equity at the close of each bar
    of the symbol's span, and metrics by name."""

    trades: list[Trade]
    equity: np.ndarray
    metrics: dict[str, float]


def reference_backtest(
    strategy: Strategy,
    bars: Bars,
    *,
    costs: Costs | None = None,
    fill: str = "next_open",
    series: Mapping[str, np.ndarray] | None = None,
    start: Any = None,
    end: Any = None,
    funding: str | np.ndarray | None = None,
    delay: int = 0,
) -> dict[str, ReferenceRun]:
    """What `backtest` computes for one strategy, by symbol, in plain Python (about a thousand times slower).

    Parameters as in `backtest`. Errors of the strategy's series are raised as they are.
    """
    costs = costs or Costs()
    arena = make_arena(bars, start, end)
    bank = Bank(bars, series=series, workers=1)
    names = bars.symbols if strategy.symbols == ("*",) else strategy.symbols
    year = bars_per_year(bars.timeframe)
    terms = make_terms(arena, costs, fill, delay, funding, series)
    runs = {}
    for s, symbol in enumerate(bars.symbols):
        if symbol not in names or symbol == strategy.against:
            continue
        first, stop, _, begin, until = (int(arena.spans[s, column]) for column in range(tile.SPAN_STOP + 1))
        market, charges, rules = _market(bars, s), _charges(terms, arena, s, year), _rules(strategy, bank, s)
        if strategy.against is None:
            trades, equity = simulate(market, rules, charges, fill, first, stop, delay)
        else:
            o = bars.symbols.index(strategy.against)
            legs = (market, _market(bars, o)), rules, (charges, _charges(terms, arena, o, year))
            trades, equity = simulate_pair(*legs, fill, first, stop, delay)
        marks = np.asarray(equity[begin - first : until - first])
        before = np.concatenate([[1.0], marks[:-1]])
        returns = np.divide(marks, before, out=np.ones(len(marks)), where=before > 0) - 1
        found = {name: float(value) for name, value in metrics_from_returns(returns, year, arena.benchmark[s, begin:until]).items()}
        sums = trade_sums(trades, until - begin, begin)
        found |= {name: float(value) for name, value in trade_metrics({k: np.asarray(v) for k, v in sums.items()}, year).items()}
        runs[symbol] = ReferenceRun(trades, marks, found)
    return runs


def _market(bars: Bars, s: int) -> Market:
    return Market(*(field[s].tolist() for field in (bars.open, bars.high, bars.low, bars.close, bars.volume)))


def _charges(terms: Terms, arena: Arena, s: int, year: float) -> Charges:
    funding = None if terms.funding is None else terms.funding[s].tolist()
    fee, maker, impact, capital, lot, least, participation = terms.costs.table.tolist()
    slips, value = terms.slips[s].tolist(), arena.traded_value[s].tolist()
    borrow = terms.costs.borrow_annual / year
    return Charges(
        fee, maker, impact, capital, lot, least, participation, slips, value, terms.costs.market_targets, funding, borrow
    )  # fmt: skip


def _rules(strategy: Strategy, bank: Bank, s: int) -> Rules:
    def fires(condition: Condition | None) -> list[bool]:
        if condition is None:
            return [False] * bank.bars.close.shape[1]
        return (np.broadcast_to(truth(condition, bank), bank.bars.close.shape)[s] == 1).tolist()

    def distance(level: Level | None) -> Distance | None:
        if level is None:
            return None
        return Distance(level.value, bank.evaluate(atr_series(level))[s].tolist() if level.kind == "atr" else None)

    sigma = sizing_series(strategy)
    return Rules(
        fires(strategy.enter_long), fires(strategy.enter_short), fires(strategy.exit_long), fires(strategy.exit_short),
        distance(strategy.stop), distance(strategy.take), distance(strategy.trail), strategy.hold,
        strategy.size.kind, strategy.size.value, None if sigma is None else bank.evaluate(sigma)[s].tolist(),
        distance(strategy.breakeven), strategy.cooldown,
    )  # fmt: skip
