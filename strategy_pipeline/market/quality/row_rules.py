"""Error rules: what no single bar may be. A row that breaks one is set apart, never mended.

Each rule takes a frame with ``ts`` as datetime64[ns, UTC] and float64 numbers, and returns a boolean array of the
rows that break it and a function from row position to the reason in words.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from strategy_pipeline.market import timeframes as tf
from strategy_pipeline.market.bars import FIELDS, PRICES, REQUIRED

Broken = tuple[Any, Callable[[int], str]]  # a boolean array of shape (rows,), and the words


def times_of(frame: pd.DataFrame) -> np.ndarray:
    return frame["ts"].dt.tz_localize(None).to_numpy(dtype="datetime64[ns]")


def time_present(frame: pd.DataFrame, timeframe: str) -> Broken:
    return frame["ts"].isna().to_numpy(), lambda at: "the row has no readable time"


def symbol_present(frame: pd.DataFrame, timeframe: str) -> Broken:
    names = frame["symbol"]
    return (names.isna() | (names.str.strip() == "")).to_numpy(dtype=bool), lambda at: "the row names no symbol"


def on_grid(frame: pd.DataFrame, timeframe: str) -> Broken:
    times = times_of(frame)
    return ~tf.on_grid(
        times, timeframe
    ), lambda at: f"{tf.written(times[at])} is no {timeframe} open; the nearest before is {tf.written(tf.floor(times[at], timeframe)[()])}"


def values_present(frame: pd.DataFrame, timeframe: str) -> Broken:
    values = frame[list(REQUIRED)].to_numpy(dtype=np.float64)
    finite = np.isfinite(values)
    return ~finite.all(axis=1), lambda at: f"{', '.join(np.array(REQUIRED)[~finite[at]])} is no finite number"


def positive_prices(frame: pd.DataFrame, timeframe: str) -> Broken:
    values = frame[list(PRICES)].to_numpy(dtype=np.float64)
    return (values <= 0).any(axis=1), lambda at: f"a price is not positive: open, high, low, close {values[at].tolist()}"


def ohlc_order(frame: pd.DataFrame, timeframe: str) -> Broken:
    opened, high, low, close = (frame[name].to_numpy(dtype=np.float64) for name in PRICES)
    broken = (high < np.maximum(opened, close)) | (low > np.minimum(opened, close)) | (high < low)
    return broken, lambda at: f"low <= open, close <= high fails: open {opened[at]}, high {high[at]}, low {low[at]}, close {close[at]}"


def volume_not_negative(frame: pd.DataFrame, timeframe: str) -> Broken:
    names = [name for name in FIELDS if name not in PRICES and name in frame.columns]
    values = frame[names].to_numpy(dtype=np.float64)
    return (values < 0).any(axis=1), lambda at: f"negative: {', '.join(np.array(names)[values[at] < 0])}"


ROW_RULES: dict[str, Callable[[pd.DataFrame, str], Broken]] = {
    "time_present": time_present,
    "symbol_present": symbol_present,
    "on_grid": on_grid,
    "values_present": values_present,
    "positive_prices": positive_prices,
    "ohlc_order": ohlc_order,
    "volume_not_negative": volume_not_negative,
}


def listing_dates(frame: pd.DataFrame, timeframe: str, listings: pd.DataFrame) -> Broken:
    """Bars that close before their symbol was listed, or open at or after its delisting.

    `listings` has ``symbol, listed, delisted``; a missing date, and a symbol it does not name, bounds nothing. The
    bar in which a symbol is listed is kept.
    """
    bounds = listings.set_index("symbol")
    times = times_of(frame)
    closes = tf.close_times(times, timeframe)

    def bound(column: str) -> np.ndarray:
        dates = pd.to_datetime(bounds[column], utc=True).astype("datetime64[ns, UTC]")
        return frame["symbol"].map(dates).dt.tz_localize(None).to_numpy(dtype="datetime64[ns]")

    listed, delisted = bound("listed"), bound("delisted")
    # Comparisons with NaT are false, so a missing bound breaks nothing.
    early, late = closes <= listed, times >= delisted
    return (
        early | late,
        lambda at: f"before the listing on {tf.written(listed[at])}" if early[at] else f"after the delisting on {tf.written(delisted[at])}",
    )


def unique_times(frame: pd.DataFrame) -> Broken:
    """Repeated (symbol, ts): of exact repeats the first is kept, of rows that contradict each other none.

    A row without a time repeats nothing; its own rule removes it.
    """
    values = [name for name in FIELDS if name in frame.columns]
    clash = frame.duplicated(["symbol", "ts"], keep=False).to_numpy()
    exact = frame.duplicated(["symbol", "ts", *values]).to_numpy()
    conflicting = frame[~exact].duplicated(["symbol", "ts"], keep=False)
    contradicting = np.zeros(len(frame), dtype=bool)
    contradicting[~exact] = conflicting.to_numpy()
    # Repeats of a row that others contradict go with it.
    keys = frame.loc[contradicting, ["symbol", "ts"]].drop_duplicates()
    if len(keys):
        marked = frame[["symbol", "ts"]].merge(keys.assign(_hit=True), how="left", on=["symbol", "ts"])["_hit"].notna().to_numpy()
        contradicting |= marked & clash
    broken = contradicting | exact
    return broken, lambda at: "rows of this bar contradict each other" if contradicting[at] else "exact repeat of an earlier row"
