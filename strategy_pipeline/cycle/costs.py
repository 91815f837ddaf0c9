"""What trading cost against what backtests assume: from fills where there are any, else from the day's own bars.

What belongs here: realised costs of reported fills, and the excess over the assumed costs that the book watches. What does
not: what the assumed costs are (settings), and when their drift matters (`book`).

On paper nothing is really filled, so slippage is modelled: in proportion to volatility and to the square root of the share of
the bar's traded value that an order takes (R. Almgren, C. Thum, E. Hauptmann, H. Li, 2005), scaled so that the average bar of a
symbol's history pays exactly the assumed slippage. The size of the account falls out. A day wilder or thinner than the
history then costs more than assumed, a calm one less.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from strategy_pipeline.cycle.workspace import Workspace, costs_of

if TYPE_CHECKING:
    from strategy_pipeline.backtest import BacktestResult
    from strategy_pipeline.market import Bars

LOOK_BACK = pd.Timedelta(days=30)  # of fills
COLUMNS = {"strategy_id": "str", "symbol": "str", "fills": "int64", "turnover": "float64", "excess": "float64", "source": "str"}


def excess_costs(workspace: Workspace, day: dt.date, result: BacktestResult | None) -> pd.DataFrame:
    """What each strategy of a run (None is of none) paid on the day beyond the assumed costs, a row a strategy and symbol it filled on.

    turnover, excess
        Value of the day's fills and excess cost, fractions of the strategy's pooled equity. Excess is negative where
        trading cost less than assumed.
    source
        ``fills`` where the symbol has reported fills of the 30 days before the day (the strategy's own where it has any),
        else ``model``. Limit orders (targets) slip neither way.
    """
    from strategy_pipeline.backtest.reference import WORST_SLIP

    if result is None:
        return pd.DataFrame({name: pd.Series([], dtype=kind) for name, kind in COLUMNS.items()})
    assumed = costs_of(workspace)
    start, end = pd.Timestamp(day, tz="UTC"), workspace.close(day)
    # Fills of the day itself may be stored before or after the book is advanced: those before it are there in any case.
    reported = workspace.lake.scan("observations/executions", start - LOOK_BACK, start)
    everyone = realised_costs(reported).set_index("symbol")
    bars = workspace.bars(day)
    ratios = slippage_ratios(bars, int(np.searchsorted(bars.times, np.datetime64(day))))
    position = {symbol: row for row, symbol in enumerate(bars.symbols)}
    rows = []
    for strategy_id in result.strategy_ids:
        mine = reported[reported["strategy_id"] == strategy_id] if len(reported) else reported
        own = realised_costs(mine).set_index("symbol")
        listed = max(int(result.listed_count(strategy_id)[-1]), 1)
        for symbol, fills in _fills(result, strategy_id, start, end).groupby("symbol", sort=True):
            table = own if symbol in own.index else everyone
            known = symbol in table.index
            fee, slip = table.loc[[symbol], ["fee_bps", "slippage_bps"]].to_numpy()[0] * 1e-4 if known else (assumed.fee, np.nan)
            at = np.searchsorted(bars.times, fills["time"].dt.tz_convert(None).to_numpy(dtype="datetime64[ns]"))
            modelled = np.minimum(assumed.slippage * ratios[position[str(symbol)], at], WORST_SLIP)
            market = (fills["reason"] != "take").to_numpy()
            slipped = np.where(market, (modelled if np.isnan(slip) else slip) - assumed.slippage, 0.0)
            share = fills["share"].to_numpy() / listed
            excess = float(np.nansum(share * (fee - assumed.fee + slipped)))
            rows.append((strategy_id, symbol, len(fills), float(share.sum()), excess, "fills" if known else "model"))
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def as_paper_rows(day: dt.date, excess: pd.DataFrame, ids: tuple[str, ...]) -> pd.DataFrame:
    """`excess_costs` in the shape of paper returns: the day, a column a strategy; 0 where it did not trade."""
    paid = excess.groupby("strategy_id")["excess"].sum().reindex(list(ids), fill_value=0.0)
    return pd.DataFrame([paid.to_numpy(dtype=np.float64)], index=pd.DatetimeIndex([pd.Timestamp(day)]), columns=list(ids))


def slippage_ratios(bars: Bars, known: int) -> np.ndarray:
    """Slippage at each bar over that of the average of the first `known` bars: volatility over the square root of traded value.

    float64 (n_symbols, n_bars). Volatility is the mean absolute return of the 24 bars before. NaN where a bar has no traded
    value or no past; 1 throughout for a symbol whose past has none.
    """
    from strategy_pipeline.backtest.costs import VOLATILITY_BARS

    close = pd.DataFrame(bars.close.T).ffill()
    moves = close.pct_change(fill_method=None).abs().fillna(0.0)
    volatility = moves.rolling(VOLATILITY_BARS, min_periods=1).mean().shift(1).to_numpy().T
    value = bars.close * bars.volume if bars.quote_volume is None else bars.quote_volume
    with np.errstate(divide="ignore", invalid="ignore"):
        cost = volatility / np.sqrt(value)
    cost[~np.isfinite(cost)] = np.nan
    past = cost[:, :known]
    there = np.isfinite(past)
    count = there.sum(axis=1)
    mean = np.where(there, past, 0.0).sum(axis=1) / np.maximum(count, 1)
    usable = (count > 0) & (mean > 0)
    return np.where(usable[:, None], cost / np.where(usable, mean, 1.0)[:, None], np.where(np.isfinite(bars.close), 1.0, np.nan))


def _fills(result: BacktestResult, strategy_id: str, start: pd.Timestamp, end: pd.Timestamp) -> pd.DataFrame:
    """Fills in [start, end): time, symbol (of the leg), reason, and value as a share of the equity that the strategy had there."""
    parts = []
    for symbol in result.symbols:
        if not result.trades_on(strategy_id, symbol):
            continue
        orders = result.orders(strategy_id, symbol)
        orders = orders[(orders["time"] >= start) & (orders["time"] < end)]
        if len(orders):
            trades = result.trades(strategy_id, symbol).iloc[orders["trade"]]
            entry = (orders["reason"] == "entry").to_numpy()
            equity = np.where(entry, trades["equity_before"].to_numpy(), trades["equity_after"].to_numpy())
            value = (orders["size"] * orders["price"]).to_numpy()
            share = np.divide(value, equity, out=np.zeros(len(orders)), where=equity > 0)
            parts.append(orders[["time", "symbol", "reason"]].assign(share=share))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"time": [], "symbol": [], "reason": [], "share": []})


def realised_costs(fills: pd.DataFrame) -> pd.DataFrame:
    """Per symbol: fills, notional (quote units), fee and slippage in basis points of notional, weighted by notional.

    Slippage is signed against the reference price: positive is worse for the trader. Fills without a reference
    price have no slippage of their own (NaN) and are left out of its mean.
    """
    columns = {"symbol": "str", "fills": "int64", "notional": "float64", "fee_bps": "float64", "slippage_bps": "float64"}
    if fills.empty:
        return pd.DataFrame({name: pd.Series([], dtype=kind) for name, kind in columns.items()})
    notional = fills["qty"] * fills["price"]
    sign = np.where(fills["side"] == "buy", 1.0, -1.0)
    slip = 1e4 * sign * (fills["price"] - fills["reference_price"]) / fills["reference_price"]
    table = pd.DataFrame({"symbol": fills["symbol"], "notional": notional, "fee": fills["fee"], "slip": slip})
    rows = []
    for symbol, part in table.groupby("symbol", sort=True):
        known = part["slip"].notna()
        slipped = np.average(part["slip"][known], weights=part["notional"][known]) if known.any() else np.nan
        rows.append((symbol, len(part), part["notional"].sum(), 1e4 * part["fee"].sum() / part["notional"].sum(), slipped))
    return pd.DataFrame(rows, columns=list(columns)).astype(columns)
