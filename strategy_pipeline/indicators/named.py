"""Observations as named series: what was last known of each at the close of every bar.

What belongs here: quotes and macro levels brought to a grid of bars, under the names that catalog entries read. What
does not: readings made for models (`features/`), and formulas (`definitions/`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from strategy_pipeline.errors import MissingColumnError

if TYPE_CHECKING:
    import pandas as pd

    from strategy_pipeline.market import Bars

Array = np.ndarray
NANOSECOND = "datetime64[ns]"

# Series name -> names it goes by in the macro table, the first that has a value counting.
MACRO_LEVELS: dict[str, tuple[str, ...]] = {
    "macro.sp500": ("SPX_close", "SP500", "SPY_close"),
    "macro.nasdaq": ("NASDAQ_close", "QQQ_close"),
    "macro.dxy": ("DXY_close", "DTWEXBGS"),
    "macro.vix": ("VIX_close", "VIXCLS"),
}
BOOK_SERIES = ("book.bid", "book.bid_qty", "book.ask", "book.ask_qty", "book.bid_depth", "book.ask_depth")


def macro_series(table: pd.DataFrame, bars: Bars, *, max_age_days: int = 10) -> dict[str, Array]:
    """Levels of the S&P 500, NASDAQ, dollar index and VIX as known at each bar's close.

    Parameters
    ----------
    table : DataFrame with columns ``ts, available_at, series, value`` (the macro table of `market`)
    max_age_days : int
        A level older than that, counted from when it became known, is NaN.

    Returns
    -------
    dict of ``macro.sp500, macro.nasdaq, macro.dxy, macro.vix`` to float64 (n_symbols, n_bars); those the table has
    no rows for are left out. At each close the first source (`MACRO_LEVELS`) with a value speaks; where it is another than
    before, it goes on at the level that the one before had reached, so that changes are always those of one index.
    MissingColumnError where a column is absent.
    """
    _need(table, ("ts", "available_at", "series", "value"), "macro")
    closes = np.asarray(bars.available_at).astype(NANOSECOND)
    names = table["series"].astype("str").to_numpy()
    found: dict[str, Array] = {}
    for name, sources in MACRO_LEVELS.items():
        levels = []
        for source in sources:
            rows = table[names == source]
            if len(rows):
                at = _newest_known(rows, closes, np.timedelta64(max_age_days, "D"))
                levels.append(_take(rows["value"].to_numpy(dtype=np.float64), at))
        if levels:
            found[name] = _every(_linked(np.stack(levels)), bars.n_symbols)
    return found


def _linked(levels: Array) -> Array:
    """One series of the first source that has a value at each close, float64 (n_bars,); `levels` (n_sources, n_bars).

    At a change of source the new one is scaled to meet the old at the last close that had a value, by what the new one was
    then; where it was not there then, it starts at its own level. Each value depends on closes up to its own only.
    """
    known = np.isfinite(levels)
    if not known.any() or len(levels) == 1:
        return levels[0]
    chosen = np.where(known.any(axis=0), known.argmax(axis=0), -1)
    there = np.flatnonzero(chosen >= 0)
    out = np.full(levels.shape[1], np.nan)
    turns = np.flatnonzero(np.diff(chosen[there])) + 1
    scale = 1.0
    for low, high in zip([0, *turns], [*turns, len(there)], strict=True):
        span, source = there[low:high], chosen[there[low]]
        if low:
            before = there[low - 1]
            own = levels[source, before]
            scale = out[before] / own if np.isfinite(own) and own != 0 else 1.0
        out[span] = scale * levels[source, span]
    return out


def book_series(table: pd.DataFrame, bars: Bars, *, max_age: np.timedelta64 | None = None) -> dict[str, Array]:
    """Best quotes and total depth as last known at each bar's close.

    Parameters
    ----------
    table : DataFrame with columns ``ts, available_at, symbol, level, bid, bid_qty, ask, ask_qty`` (the book table of
        `market`; level 0 is the best price, rows of one ``ts`` are one snapshot)
    max_age : timedelta64, optional
        A snapshot known earlier than that before the close is NaN; by default one bar.

    Returns
    -------
    dict of ``book.bid, book.bid_qty, book.ask, book.ask_qty`` (level 0) and ``book.bid_depth, book.ask_depth`` (summed
    over the levels of the snapshot), float64 (n_symbols, n_bars), NaN where nothing was known. MissingColumnError where a
    column is absent.
    """
    from strategy_pipeline.market.timeframes import duration

    _need(table, ("ts", "available_at", "symbol", "level", "bid", "bid_qty", "ask", "ask_qty"), "book")
    closes = np.asarray(bars.available_at).astype(NANOSECOND)
    age = max_age if max_age is not None else duration(bars.timeframe).astype("timedelta64[ns]")
    found = {name: np.full((bars.n_symbols, bars.n_bars), np.nan) for name in BOOK_SERIES}
    symbols = table["symbol"].astype("str").to_numpy()
    for row, symbol in enumerate(bars.symbols):
        own = table[symbols == symbol]
        best = own[own["level"].to_numpy() == 0]
        if len(best) == 0:
            continue
        at = _newest_known(best, closes, age)
        for column in ("bid", "bid_qty", "ask", "ask_qty"):
            found[f"book.{column}"][row] = _take(best[column].to_numpy(dtype=np.float64), at)
        depth = own.groupby(["ts", "available_at"])[["bid_qty", "ask_qty"]].sum()
        depth = depth.reindex(_pairs(best))
        for side in ("bid", "ask"):
            found[f"book.{side}_depth"][row] = _take(depth[f"{side}_qty"].to_numpy(dtype=np.float64), at)
    return found


def _need(table: pd.DataFrame, columns: tuple[str, ...], name: str) -> None:
    absent = [column for column in columns if column not in table.columns]
    if absent:
        raise MissingColumnError(
            f"Expected the {name} table with {', '.join(columns)}, was without {', '.join(absent)}; its rows cannot be placed; "
            "build it with market's readers"
        )


def _pairs(rows: pd.DataFrame) -> pd.MultiIndex:
    import pandas as pd

    return pd.MultiIndex.from_arrays([rows["ts"], rows["available_at"]])


def _moments(column: pd.Series) -> Array:
    zone = getattr(column.dt, "tz", None)
    plain = column.dt.tz_convert("UTC").dt.tz_localize(None) if zone is not None else column
    return plain.to_numpy(dtype=NANOSECOND)


def _newest_known(rows: pd.DataFrame, closes: Array, max_age: np.timedelta64) -> Array:
    """For each close, the position in `rows` of the latest `ts` that was known by then; -1 where none, or too old."""
    ts, known = _moments(rows["ts"]), _moments(rows["available_at"])
    order = np.lexsort((ts, known))
    # A row that came late about an earlier moment does not replace what is known about a later one.
    order = order[ts[order] >= np.maximum.accumulate(ts[order])] if len(order) else order
    index = np.searchsorted(known[order], closes, side="right") - 1
    at = np.where(index >= 0, order[np.maximum(index, 0)], -1)
    return np.where((at >= 0) & (closes - known[np.maximum(at, 0)] <= max_age), at, -1)


def _take(values: Array, at: Array) -> Array:
    return np.where(at >= 0, values[np.maximum(at, 0)], np.nan)


def _every(row: Array, n_symbols: int) -> Array:
    return np.ascontiguousarray(np.broadcast_to(row, (n_symbols, len(row))))
