"""What a strategy did, in the forms that other tools read.

What belongs here: orders, daily returns as quantstats and empyrical take them, a vectorbt portfolio. What does not: computing
anything anew; all of it comes from the trades and equity of a result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from strategy_pipeline.backtest import tile
from strategy_pipeline.errors import MissingExtraError

if TYPE_CHECKING:
    from strategy_pipeline.backtest.result import BacktestResult

COLUMNS = ("time", "symbol", "side", "size", "price", "fees", "reason", "trade")


def orders(result: BacktestResult, id: str, symbol: str) -> pd.DataFrame:
    """Every fill of a strategy on one symbol, in order.

    Columns: time (open of the bar it filled in, UTC); symbol (of the leg: a pair has two); side (1 buy, -1 sell); size (base
    units, of an equity that starts at 1 quote unit); price (slippage included); fees (quote units; those of an exit hold what
    holding cost too); reason (``entry``, or why it left); trade (its row in `trades`). Fees and prices add up to the trades'
    profits.
    """
    trades = result.trades(id, symbol)
    legs = [(symbol, 1, "")]
    other = getattr(result.strategies[id], "against", None)
    if other is not None:
        legs.append((other, -1, "against_"))
    rate = result.costs.fee
    closed = (trades["reason"] != "open").to_numpy()
    entry_notional = sum(trades[f"{prefix}size"].to_numpy() * trades[f"{prefix}entry_price"].to_numpy() for _, _, prefix in legs)
    exit_notional = sum(trades[f"{prefix}size"].to_numpy() * trades[f"{prefix}exit_price"].to_numpy() for _, _, prefix in legs)
    gross = sum(
        sign * trades["side"].to_numpy() * trades[f"{prefix}size"].to_numpy()
        * (trades[f"{prefix}exit_price"].to_numpy() - trades[f"{prefix}entry_price"].to_numpy())
        for _, sign, prefix in legs
    )  # fmt: skip
    left = gross - trades["pnl"].to_numpy() - rate * entry_notional
    parts = []
    for name, sign, prefix in legs:
        size, entered, got = (trades[f"{prefix}{column}"].to_numpy() for column in ("size", "entry_price", "exit_price"))
        share = np.divide(size * got, exit_notional, out=np.zeros(len(trades)), where=closed & (exit_notional > 0))
        common = {"symbol": name, "size": size, "trade": np.arange(len(trades))}
        side = sign * trades["side"].to_numpy()
        entries = {"time": trades["entry"], "side": side, "price": entered, "fees": rate * size * entered, "reason": "entry"}
        exits = {"time": trades["exit"], "side": -side, "price": got, "fees": left * share, "reason": trades["reason"]}
        parts += [pd.DataFrame({**common, **entries}).assign(order=0), pd.DataFrame({**common, **exits}).assign(order=1)[closed]]
    found = pd.concat(parts, ignore_index=True).sort_values(["trade", "order"], kind="stable", ignore_index=True)
    return found[list(COLUMNS)].astype({"symbol": "str", "reason": "str"})


def daily_returns(result: BacktestResult, id: str, symbol: str | None = None) -> pd.Series:
    """Returns by UTC day as quantstats, empyrical and pyfolio take them: simple, float64, a time-zone-free daily index.

    Of one symbol from its first to its last listed day, or with None of the strategy on all its symbols (`.daily_returns`).
    """
    result.check(id)
    if symbol is None:
        index, values = pd.DatetimeIndex(result.days), result.daily_returns[result.strategy_ids.index(id)]
        return pd.Series(values, index=index, name=id)
    equity = result.equity(id, symbol)
    length = np.asarray(result.bars.available_at)[0] - np.asarray(result.bars.times)[0]
    day = (pd.DatetimeIndex(equity.index).tz_localize(None) + length - np.timedelta64(1, "ns")).floor("D").as_unit("ns")
    last = equity.groupby(day).last()
    before = np.concatenate([[1.0], last.to_numpy()[:-1]])
    values = np.divide(last.to_numpy(), before, out=np.ones(len(last)), where=before > 0) - 1
    return pd.Series(values, index=pd.DatetimeIndex(last.index, name=None), name=id)


def vectorbt_portfolio(result: BacktestResult, id: str, symbol: str) -> Any:
    """A `vectorbt.Portfolio` of the fills on one symbol: its value is `equity`, its statistics and plots are vectorbt's.

    MissingExtraError without vectorbt; it comes with the extra ``peers``.
    """
    try:
        import vectorbt as vbt
        from vectorbt.portfolio.enums import log_dt, order_dt
    except ImportError:
        raise MissingExtraError("Expected vectorbt, was not installed; install strategy-pipeline[peers]") from None
    equity, frame = result.equity(id, symbol), orders(result, id, symbol)
    frame = frame[frame["symbol"] == symbol]
    records = np.zeros(len(frame), dtype=order_dt)
    records["id"] = np.arange(len(frame))
    records["idx"] = equity.index.get_indexer(pd.DatetimeIndex(frame["time"]))
    records["size"], records["price"], records["fees"] = frame["size"], frame["price"], frame["fees"]
    records["side"] = (frame["side"] < 0).astype(np.int64)
    s = result.symbols.index(symbol)
    begin, until = (int(result._arena.spans[s, column]) for column in (tile.SPAN_START, tile.SPAN_STOP))
    close = pd.Series(np.array(result._arena.marks[s, begin:until]), index=equity.index, name=symbol)
    wrapper = vbt.ArrayWrapper.from_obj(close, freq=pd.Timedelta(result.bars.times[1] - result.bars.times[0]))
    return vbt.Portfolio(wrapper, close, records, np.zeros(0, dtype=log_dt), 1.0, False)
