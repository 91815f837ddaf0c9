"""What a population did.

What belongs here: the record that `backtest` returns, its frames, and trades and equity on demand.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from strategy_pipeline.backtest import streaming as col
from strategy_pipeline.backtest import tile, trace, walk
from strategy_pipeline.backtest.arena import Arena
from strategy_pipeline.backtest.costs import Costs
from strategy_pipeline.backtest.metrics import METRICS, RETURN_METRICS, finish, metrics_from_returns, trade_metrics
from strategy_pipeline.backtest.reference import REASONS
from strategy_pipeline.errors import NoDataError, StrategyError, UnknownSymbolError
from strategy_pipeline.market.timeframes import bars_per_year, to_time

if TYPE_CHECKING:
    from strategy_pipeline.backtest.terms import Terms
    from strategy_pipeline.market import Bars
    from strategy_pipeline.strategies import Strategy

COUNTS = ("trades", "open_trades", "delisted", "ruined")
KEPT = 64  # strategies whose trades stay in memory once asked for
_KEEPING = threading.Lock()

TRADE_COLUMNS = {
    "closed": col.CLOSED, "trades": col.TRADES, "wins": col.WINS, "losers": col.LOSERS, "profit": col.PROFIT, "loss": col.LOSS,
    "win_return": col.WIN_RETURN, "loss_return": col.LOSS_RETURN, "turnover": col.TURNOVER, "held": col.HELD,
    "holding": col.HOLDING, "fills": col.FILLS, "participation": col.PARTICIPATION, "open_trades": col.OPEN_TRADES,
    "delisted": col.DELISTINGS, "ruined": col.RUINS, "n": col.N,
}  # fmt: skip


class BacktestResult:
    """Metrics, daily returns and, on demand, trades and equity of a population.

    Attributes
    ----------
    strategy_ids : tuple of str, in the order given, without repeats and failures
    strategies : dict of id -> Strategy
    symbols : tuple of str
    days : datetime64[ns] (n_days,), UTC midnights of every day traded
    daily_returns : float64 (n_strategies, n_days), the equal mean over the strategy's symbols listed that day; 0 on
        days when none of them is
    failures : dict of id -> why that strategy could not run
    metrics : DataFrame indexed by (strategy_id, symbol), one column per name asked for (all of
        `METRICS` unless `backtest` was told), from bar returns
    pooled : DataFrame indexed by strategy_id; return metrics of the pooled daily returns, trade metrics over all trades
    """

    def __init__(
        self, strategies: Mapping[str, Strategy], failures: Mapping[str, str], arena: Arena, sums: np.ndarray, daily: np.ndarray,
        applies: np.ndarray, terms: Terms, series: Mapping[str, np.ndarray] | None, window: tuple[Any, Any],
        names: tuple[str, ...] = METRICS,
    ) -> None:  # fmt: skip
        self.strategies: dict[str, Strategy] = dict(strategies)
        self.strategy_ids = tuple(self.strategies)
        self.failures = dict(failures)
        self.symbols = arena.bars.symbols
        self.days = arena.days
        self.costs, self.fill, self.delay = terms.costs, terms.fill, terms.delay
        self._terms, self._window = terms, window
        self._arena, self._sums, self._applies, self._series = arena, sums, applies, series
        self._kept: dict[str, list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]] = {}
        self._row = {id: row for row, id in enumerate(self.strategy_ids)}
        self._names, self._daily = names, daily
        self._complete = daily.shape[1] > 0

    def __repr__(self) -> str:
        return (
            f"BacktestResult({len(self.strategy_ids)} strategies, {len(self.symbols)} symbols, {len(self.days)} days, "
            f"{len(self.failures)} failures)"
        )

    @property
    def bars(self) -> Bars:
        """The bars it ran on."""
        return self._arena.bars

    @property
    def window(self) -> tuple[int, int]:
        """The bars traded, as a half-open range of positions."""
        return int(self._arena.spans[0, tile.FIRST]), int(self._arena.spans[0, tile.STOP])

    @property
    def funding(self) -> np.ndarray | None:
        """The rates it was charged, float64 (n_symbols, n_bars); None without any."""
        return self._terms.funding

    @cached_property
    def daily_returns(self) -> np.ndarray:
        self._complete_sums()
        counts = self._applies.astype(np.float64) @ self._arena.listed.astype(np.float64)
        returns = np.divide(self._daily, counts, out=self._daily, where=counts > 0)
        returns.flags.writeable = False
        return returns

    def _complete_sums(self) -> None:
        """Run once more for what a run for headline metrics left out."""
        if not self._complete:
            whole = self.rerun(list(self.strategies.values()))
            self._sums, self._daily, self._complete = whole._sums, whole._daily, True

    @cached_property
    def metrics(self) -> pd.DataFrame:
        rows, columns = np.nonzero(self._applies)
        index = pd.MultiIndex.from_arrays(
            [np.asarray(self.strategy_ids, dtype=object)[rows], np.asarray(self.symbols, dtype=object)[columns]],
            names=["strategy_id", "symbol"],
        )
        sums = np.ascontiguousarray(self._sums[rows, columns].T)
        arena, year = self._arena, bars_per_year(self._arena.bars.timeframe)
        out = finish(_statistics(sums, arena.benchmark_mean[columns], arena.benchmark_variance[columns]), year)
        out |= trade_metrics({name: sums[column] for name, column in TRADE_COLUMNS.items()}, year)
        frame = pd.DataFrame({name: out[name] for name in METRICS if name in self._names}, index=index)
        for name in COUNTS:
            if name in frame:
                frame[name] = frame[name].fillna(0).astype(np.int64)
        return frame

    @cached_property
    def pooled(self) -> pd.DataFrame:
        out = dict(metrics_from_returns(self.daily_returns, 365.0, self._benchmark(slice(None))))
        self._complete_sums()
        held = np.where(self._applies[:, :, None] > 0, self._sums, np.nan)
        totals = np.nansum(held, axis=1).T
        out |= trade_metrics({name: totals[column] for name, column in TRADE_COLUMNS.items()}, bars_per_year(self._arena.bars.timeframe))
        frame = pd.DataFrame({name: out[name] for name in METRICS}, index=pd.Index(self.strategy_ids, name="strategy_id", dtype=object))
        for name in COUNTS:
            frame[name] = frame[name].astype(np.int64)
        return frame

    def day_mask(self, start: Any = None, end: Any = None) -> np.ndarray:
        """bool (n_days,), the days in [start, end); None is unbounded."""
        mask = np.ones(len(self.days), dtype=bool)
        if start is not None:
            mask &= self.days >= np.datetime64(to_time(start))
        if end is not None:
            mask &= self.days < np.datetime64(to_time(end))
        return mask

    def summary(self, start: Any = None, end: Any = None) -> pd.DataFrame:
        """Return metrics of the pooled daily returns on days in [start, end), indexed by strategy_id.

        NoDataError where no day lies in the range.
        """
        mask = self.day_mask(start, end)
        if not mask.any():
            raise NoDataError(
                f"Expected days within {self.days[0].astype('datetime64[D]')} to {self.days[-1].astype('datetime64[D]')}, "
                f"was {start} to {end}; widen the range"
            )
        out = metrics_from_returns(self.daily_returns[:, mask], 365.0, self._benchmark(mask))
        return pd.DataFrame(
            {name: out[name] for name in RETURN_METRICS}, index=pd.Index(self.strategy_ids, name="strategy_id", dtype=object)
        )

    def trades(self, id: str, symbol: str | None = None) -> pd.DataFrame:
        """The trades of one strategy on one symbol, in order; without a symbol those on all its symbols by entry, with the
        column symbol first.

        Columns: side (1 long, -1 short); decision, entry, exit (opens of those bars, UTC; NaT while open);
        entry_price, exit_price (slippage included); size (base units, of an equity that starts at 1 quote unit);
        equity_before, equity_after (marked where open); pnl, net_return (net of costs; on the entry notional);
        bars (exit - entry, to the last bar where open); reason (`open`, `signal`, `stop`, `trail`, `take`, `time`,
        `delisted`, `ruined`); ruined (equity fell to zero). Where holding costs, also carry (funding and borrow paid). Of a
        pair, prices and size are the first leg's; against_entry_price, against_exit_price, against_size the second's, on the
        other side of the market; net_return is on both legs' entry notional. An exit in parts shows its mean price.
        """
        if symbol is None:
            self.check(id)
            parts = [(name, self.trades(id, name)) for name in self.symbols if self.trades_on(id, name)]
            whole = pd.concat([part.assign(symbol=pd.array([name] * len(part), dtype="str")) for name, part in parts])
            return whole[["symbol", *parts[0][1].columns]].sort_values("entry", kind="stable", ignore_index=True)
        ints, floats, extra, _ = self._captured(id, symbol)
        bars = self._arena.bars
        entry, leave = ints[:, walk.ENTRY], ints[:, walk.EXIT]
        is_open = ints[:, walk.REASON] == walk.OPEN
        times = pd.DatetimeIndex(np.asarray(bars.times)).tz_localize("UTC")
        end = self._arena.spans[self._symbol(symbol), tile.SPAN_STOP] - 1
        pnl = floats[:, walk.AFTER] - floats[:, walk.BEFORE]
        notional = floats[:, walk.UNITS] * floats[:, walk.ENTRY_PRICE]
        more: dict[str, np.ndarray] = {}
        if self._terms.carry.shape[2]:
            more["carry"] = extra[:, trace.CARRY]
        if self.strategies[id].against is not None:
            columns = {"entry_price": trace.OTHER_ENTRY, "exit_price": trace.OTHER_EXIT, "size": trace.OTHER_UNITS}
            more |= {f"against_{name}": extra[:, column] for name, column in columns.items()}
            notional = notional + extra[:, trace.OTHER_UNITS] * extra[:, trace.OTHER_ENTRY]
        return pd.DataFrame(
            {
                "side": ints[:, walk.SIDE],
                "decision": times[ints[:, walk.DECISION]],
                "entry": times[entry],
                "exit": times[np.maximum(leave, 0)].where(~is_open),
                "entry_price": floats[:, walk.ENTRY_PRICE],
                "exit_price": floats[:, walk.EXIT_PRICE],
                "size": floats[:, walk.UNITS],
                "equity_before": floats[:, walk.BEFORE],
                "equity_after": floats[:, walk.AFTER],
                "pnl": pnl,
                "net_return": pnl / notional,
                "bars": np.where(is_open, end, leave) - entry,
                "reason": pd.array([REASONS[reason] for reason in ints[:, walk.REASON]], dtype="str"),
                "ruined": ints[:, walk.IS_RUINED].astype(bool),
                **more,
            }
        )

    def equity(self, id: str, symbol: str | None = None) -> pd.Series:
        """Equity at the close of every bar of the symbol's span (carried over missing bars), from 1 before the first;
        indexed by bar open, UTC. Without a symbol the growth of 1 by the pooled daily returns, indexed by day."""
        if symbol is None:
            return (1 + self.returns(id)).cumprod().rename("equity")
        ints, floats, _, worth = self._captured(id, symbol)
        s = self._symbol(symbol)
        begin, until = int(self._arena.spans[s, tile.SPAN_START]), int(self._arena.spans[s, tile.SPAN_STOP])
        values = np.ones(until - begin)
        marks = self._arena.marks[s]
        for whole, real in zip(ints, floats, strict=True):
            entry, leave = int(whole[walk.ENTRY]), int(whole[walk.EXIT])
            leave = until if whole[walk.REASON] == walk.OPEN else leave
            held = worth[entry:leave] if len(worth) else real[walk.CASH] + whole[walk.SIDE] * real[walk.UNITS] * marks[entry:leave]
            values[entry - begin : leave - begin] = held
            values[leave - begin :] = real[walk.AFTER]
        times = pd.DatetimeIndex(np.asarray(self._arena.bars.times[begin:until])).tz_localize("UTC")
        return pd.Series(values, index=times, name="equity")

    def returns(self, id: str, symbol: str | None = None) -> pd.Series:
        """Simple returns per bar of `equity`, the first against the starting equity; 0 after ruin. Without a symbol the pooled
        daily returns, indexed by day, UTC."""
        if symbol is None:
            self.check(id)
            days = pd.DatetimeIndex(self.days).tz_localize("UTC")
            return pd.Series(self.daily_returns[self._row[id]], index=days, name="return")
        equity = self.equity(id, symbol)
        before = np.concatenate([[1.0], equity.to_numpy()[:-1]])
        values = np.divide(equity.to_numpy(), before, out=np.ones(len(equity)), where=before > 0) - 1
        return pd.Series(values, index=equity.index, name="return")

    def orders(self, id: str, symbol: str) -> pd.DataFrame:
        """Every fill on one symbol: time, symbol, side, size, price, fees, reason, trade; see `exports.orders`."""
        from strategy_pipeline.backtest.exports import orders

        return orders(self, id, symbol)

    def to_quantstats(self, id: str, symbol: str | None = None) -> pd.Series:
        """Daily returns as quantstats, empyrical and pyfolio take them; see `exports.daily_returns`."""
        from strategy_pipeline.backtest.exports import daily_returns

        return daily_returns(self, id, symbol)

    def to_vectorbt(self, id: str, symbol: str) -> Any:
        """A `vectorbt.Portfolio` of the fills on one symbol (needs the extra ``peers``)."""
        from strategy_pipeline.backtest.exports import vectorbt_portfolio

        return vectorbt_portfolio(self, id, symbol)

    def report(self, id: str, **options: Any) -> str:
        """One strategy as a self-contained HTML page, the same bytes for the same result; see `report.strategy_report`."""
        from strategy_pipeline.backtest.report import strategy_report

        return strategy_report(self, id, **options)

    def trades_on(self, id: str, symbol: str) -> bool:
        """Whether a strategy of this result trades `symbol`."""
        return bool(self._applies[self._row[id], self._symbol(symbol)])

    def listed_count(self, id: str) -> np.ndarray:
        """How many of a strategy's symbols are listed on each day, int64 (n_days,)."""
        return self._applies[self._row[id]].astype(np.int64) @ self._arena.listed.astype(np.int64)

    def rerun(
        self, strategies: Sequence[Strategy], *, costs: Costs | None = None, series: Mapping[str, np.ndarray] | None = None,
        bars: Bars | None = None, metrics: Sequence[str] | None = None, workers: int = 0, **options: Any,
    ) -> BacktestResult:  # fmt: skip
        """Other strategies, other costs, more named series, or other bars (on which this result's named series do not exist), in
        the same window, with the same fill, delay and (on these bars) funding; see `backtest`."""
        from strategy_pipeline.backtest.engine import backtest

        start, end = self._window
        known = {} if bars is not None else dict(self._series or {})
        options = {"delay": self.delay, "funding": None if bars is not None else self._terms.funding, **options}
        return backtest(
            strategies,
            self.bars if bars is None else bars,
            costs=costs or self.costs,
            fill=self.fill,
            series={**known, **(series or {})},
            start=start,
            end=end,
            metrics=metrics,
            workers=workers,
            **options,
        )

    def captured(self, id: str, *, keep: bool = True) -> list[tuple[np.ndarray, np.ndarray]]:
        """The trades of a strategy on every symbol of the bars as `walk` writes them, integers and floats; on symbols it does
        not trade as well. `keep` them for what is asked next."""
        return [(ints, floats) for ints, floats, _, _ in self._whole_capture(id, keep)]

    def _whole_capture(self, id: str, keep: bool = True) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
        from strategy_pipeline.backtest.engine import capture

        self.check(id)
        found = self._kept.get(id)
        if found is None:
            found = capture(self.strategies[id], self._arena, self._terms, self._series)
            if keep:
                with _KEEPING:
                    if len(self._kept) >= KEPT:
                        self._kept.pop(next(iter(self._kept)))
                    self._kept[id] = found
        return found

    def check(self, *ids: str) -> None:
        """StrategyError, with the reason where it failed, for an id that is not of this result."""
        for id in ids:
            if id not in self.strategies:
                raise StrategyError(f"Expected a strategy of this result, was {id!r}; {self.failures.get(id, 'see `strategy_ids`')}")

    def _captured(self, id: str, symbol: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        self.check(id)
        if not self._applies[self._row[id], self._symbol(symbol)]:
            raise UnknownSymbolError(
                f"Expected a symbol of strategy {id} ({', '.join(self.strategies[id].symbols)}), was {symbol}; choose one"
            )
        return self._whole_capture(id)[self._symbol(symbol)]

    def _symbol(self, symbol: str) -> int:
        if symbol not in self.symbols:
            raise UnknownSymbolError(f"Expected one of {', '.join(self.symbols)}, was {symbol!r}; choose among the bars' symbols")
        return self.symbols.index(symbol)

    def benchmark_returns(self, rows: Any = slice(None)) -> np.ndarray:
        """Daily returns of buying and holding each strategy's symbols in equal parts, of all strategies or of some rows of
        `daily_returns`; float64 (n_rows, n_days), 0 on days when none is listed."""
        return self._benchmark(slice(None), rows)

    def _benchmark(self, days: Any, strategies: Any = slice(None)) -> np.ndarray:
        rows = self._arena.daily_benchmark[:, days]
        masks, which = np.unique(self._applies[strategies], axis=0, return_inverse=True)
        listed = ~np.isnan(rows)
        out = np.zeros((len(masks), rows.shape[1]))
        for number, mask in enumerate(masks):
            part = mask.astype(bool)
            count = listed[part].sum(axis=0)
            out[number] = np.where(count > 0, np.where(listed[part], rows[part], 0).sum(axis=0) / np.maximum(count, 1), 0.0)
        return out[which.reshape(-1)]


def _statistics(sums: np.ndarray, mean_b: np.ndarray, var_b: np.ndarray) -> dict[str, np.ndarray]:
    """What `finish` wants, from the kernels' sums (N_SUMS, n)."""
    with np.errstate(all="ignore"):
        n = np.where(sums[col.N] > 0, sums[col.N], np.nan)
        mean = sums[col.MEAN]
        cross = sums[col.CROSS] / n
        active_mean = mean - mean_b
        return {
            "n": n,
            "equity": sums[col.EQUITY],
            "mean": mean,
            "m2": sums[col.M2],
            "m3": sums[col.M3],
            "m4": sums[col.M4],
            "mean_square": sums[col.M2] + mean**2,
            "downside": sums[col.DOWNSIDE] / n,
            "gains": sums[col.GAINS],
            "losses": sums[col.LOSSES],
            "max_drawdown": sums[col.MAX_DRAWDOWN],
            "drawdown_bars": sums[col.DRAWDOWN_BARS],
            "q05": sums[col.Q05],
            "q95": sums[col.Q95],
            "worst": sums[col.WORST],
            "stability": sums[col.STABILITY],
            "mean_b": mean_b,
            "var_b": np.where(var_b > 0, var_b, 0.0),
            "cov": cross - mean * mean_b,
            "active_mean": active_mean,
            "active_var": sums[col.ACTIVE] / n - active_mean**2,
        }
