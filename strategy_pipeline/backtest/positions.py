"""What strategies hold for the next bar, once the orders decided at the last close have filled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from strategy_pipeline.backtest.costs import Costs
    from strategy_pipeline.market import Bars
    from strategy_pipeline.strategies import Strategy


_RECENT = np.timedelta64(1, "D")


def next_positions(
    strategies: Sequence[Strategy],
    bars: Bars,
    *,
    costs: Costs | None = None,
    fill: str = "next_open",
    series: Mapping[str, np.ndarray] | None = None,
    funding: np.ndarray | None = None,
) -> pd.DataFrame:
    """Signed fraction of its own equity that each strategy holds in each symbol after the last close.

    The engine runs on the bars and one more, which opens and stays at each symbol's last close: entries and exits
    decided at the last close fill there, by the same rules as everywhere. With ``fill="close"`` they have filled
    already, and no bar is added. `costs`, `fill`, `series` and `funding` as in `backtest`. A symbol whose newest
    bars are missing, for a day at most, is held at its last close.

    Returns
    -------
    DataFrame, index strategy ids, columns symbols, float64 in about [-1, 1]; 0 is flat, NaN a symbol the strategy
    does not trade. A pair holds both its legs; the second leg of several pairs is the sum of theirs. A strategy that cannot
    run has no row.
    """
    from strategy_pipeline.backtest.engine import backtest

    if not strategies:
        return pd.DataFrame(index=pd.Index([], dtype="str"), columns=list(bars.symbols), dtype=np.float64)
    # A condition that turns true on the added bar must not fill on it.
    longer = bars if fill == "close" else _with_one_more_bar(bars)
    more = np.full((bars.n_symbols, longer.n_bars - bars.n_bars), np.nan)
    padded = {name: np.concatenate([values, more], axis=1) for name, values in (series or {}).items()}
    rates = None if funding is None else np.concatenate([np.asarray(funding, dtype=np.float64), more], axis=1)
    result = backtest(strategies, longer, costs=costs, fill=fill, series=padded, funding=rates)
    held = pd.DataFrame(np.nan, index=pd.Index(result.strategy_ids, dtype="str"), columns=list(bars.symbols))
    for strategy_id, symbol in result.metrics.index:
        trades = result.trades(strategy_id, symbol)
        against = result.strategies[strategy_id].against
        held.loc[strategy_id, symbol] = 0.0
        if against is not None:
            held.loc[strategy_id, against] = np.nan_to_num(held.loc[strategy_id, against])
        if len(trades) and trades["reason"].iloc[-1] == "open":
            last = trades.iloc[-1]
            price = longer.close[longer.symbols.index(symbol), -1]
            if np.isfinite(price) and last["equity_after"] > 0:
                held.loc[strategy_id, symbol] = last["side"] * last["size"] * price / last["equity_after"]
                if against is not None:
                    other = np.nan_to_num(longer.close[longer.symbols.index(against), -1])
                    held.loc[strategy_id, against] -= last["side"] * last["against_size"] * other / last["equity_after"]
    return held


def _with_one_more_bar(bars: Bars) -> Bars:
    """The bars and the next one of the grid, flat at the last close, with the last bar's volume.

    Of a symbol whose newest bars are missing the last known ones count, for a day: an outage at the close of a day is
    no delisting. After a day there is no bar.
    """
    from strategy_pipeline.market import Bars, timeframes

    following = timeframes.close_times(bars.times[-1:], bars.timeframe)
    known = np.isfinite(bars.close) & (bars.times > bars.times[-1] - _RECENT)
    newest = np.where(known.any(axis=1), bars.n_bars - 1 - np.argmax(known[:, ::-1], axis=1), bars.n_bars - 1)[:, None]
    changed: dict[str, object] = {"symbols": bars.symbols, "timeframe": bars.timeframe, "times": np.concatenate([bars.times, following])}
    for field in fields(Bars):
        values = getattr(bars, field.name)
        if field.name in changed or values is None:
            continue
        source = bars.close if field.name in ("open", "high", "low", "close") else values
        last = np.take_along_axis(source, newest, axis=1)
        changed[field.name] = np.concatenate([values, last], axis=1)
    return Bars(**changed)  # type: ignore[arg-type]
