"""What positions pay for being held, where the settings say that perpetuals are traded.

What belongs here: settled funding of the lake laid out for the engine, and what is done where there is none. What does not:
how a position is charged (the engine's).

A rate that is not known is no rate of zero: a history with too few of them would look better than it was. Up to
`MOST_UNSETTLED` of a symbol's time may be without (an exchange's outage, a lost row); nothing is charged there, and the day
says so. Beyond that the day stops, and says which symbol and what to do.
"""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd

from strategy_pipeline.cycle.workspace import Workspace
from strategy_pipeline.errors import NoDataError
from strategy_pipeline.market import Bars

MOST_UNSETTLED = 0.05  # share of a symbol's time
_INTERVAL = 8.0  # hours, where the source does not say


def funding_of(workspace: Workspace, day: dt.date) -> np.ndarray | None:
    """Funding settled and known by the close of `day`, as `backtest(funding=)` takes it; None on a spot market.

    NoDataError for a symbol of which too little is known.
    """
    if workspace.settings.market == "spot":
        return None

    def make() -> np.ndarray:
        from strategy_pipeline.backtest import funding_rates

        bars, rows = workspace.bars(day), workspace.observations("funding", day)
        for symbol, share in unsettled(bars, rows).items():
            if share > MOST_UNSETTLED:
                known = rows.loc[rows["symbol"] == symbol, "ts"] if len(rows) else rows
                held = f"{known.min():%Y-%m-%d} to {known.max():%Y-%m-%d}, {1 - share:.0%} of it" if len(known) else "none"
                raise NoDataError(
                    f"Expected funding of {symbol} for all the time it is traded, was {held}; what holding a perpetual costs is not known: "
                    f"bring its funding, leave the symbol out, pass a later --history-from, or --market spot"
                )
        rates = funding_rates(bars, rows)
        rates.flags.writeable = False
        return rates

    return workspace.remember(("funding", day), make)


def unsettled(bars: Bars, rows: pd.DataFrame) -> dict[str, float]:
    """Of each symbol, the share of the time from its first bar to its last for which no funding was settled, in [0, 1].

    A rate stands for the `interval_hours` before the next (columns ts, symbol, interval_hours). A symbol without two bars has
    no such time.
    """
    found = {}
    hours = np.timedelta64(1, "h")
    for symbol, closes in zip(bars.symbols, bars.close, strict=True):
        there = np.flatnonzero(np.isfinite(closes))
        if len(there) < 2:
            continue
        first, last = bars.times[there[0]], bars.times[there[-1]]
        own = rows[rows["symbol"] == symbol].sort_values("ts") if len(rows) else rows
        if own.empty:
            found[symbol] = 1.0
            continue
        begins = own["ts"].dt.tz_convert(None).to_numpy(dtype="datetime64[ns]")
        length = (own["interval_hours"].fillna(_INTERVAL).to_numpy() * (hours / np.timedelta64(1, "ns"))).astype("timedelta64[ns]")
        ends = np.minimum(begins + length, np.append(begins[1:], last))
        covered = np.minimum(ends, last) - np.maximum(begins, first)
        found[symbol] = 1.0 - float(np.maximum(covered, np.timedelta64(0, "ns")).sum() / (last - first))
    return found


def funding_note(workspace: Workspace, day: dt.date) -> str:
    """One line on what was charged and where nothing could be; empty on a spot market."""
    if workspace.settings.market == "spot":
        return ""
    lacking = {s: share for s, share in unsettled(workspace.bars(day), workspace.observations("funding", day)).items() if share > 1e-3}
    said = ", ".join(f"{symbol} {share:.1%}" for symbol, share in lacking.items())
    return "settled funding is charged to what is held" + (f"; nothing for time without any known rate ({said})" if said else "")


def paid_daily(workspace: Workspace, day: dt.date) -> pd.DataFrame | None:
    """What holding one unit of value from one day's last close cost on the next: days, symbols; None on a spot market.

    As the engine charges it: each rate on the last close before it.
    """
    rates = funding_of(workspace, day)
    if rates is None:
        return None
    bars = workspace.bars(day)
    days = bars.times.astype("datetime64[D]")
    closes = pd.DataFrame(bars.close.T, columns=list(bars.symbols)).ffill()
    marks = closes.shift(1).to_numpy()
    paid = pd.DataFrame(np.nan_to_num(rates.T * marks), columns=list(bars.symbols)).groupby(days).sum()
    return (paid / closes.groupby(days).last().shift(1)).fillna(0.0)
