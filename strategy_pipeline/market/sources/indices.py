"""`indices`: real index history that ships inside the `arch` package, so a first run on real data needs no network.

What it holds: daily bars of the S&P 500 and the NASDAQ Composite, 1999-01-04 to 2018-12-31 (Yahoo Finance, as collected
in arch), and as macro observations the VIX (2014-2019), WTI oil (1986-2019) and core CPI (1957-2018).

Closed days: the grid of `Bars` is every calendar day, and weekends and holidays of New York are NaN on it. A gap stays
a gap. Quality checks are given ``calendar = "new_york"``, so that closed days are expected and only a missing trading
day is reported. Weeks and months are made from all trading days of the window; one missing trading day drops the bar.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from strategy_pipeline.config import Settings
from strategy_pipeline.errors import MissingExtraError, NoDataError, UnknownSymbolError
from strategy_pipeline.market import timeframes as tf
from strategy_pipeline.market.calendars import is_open
from strategy_pipeline.market.observations import as_table, empty_table
from strategy_pipeline.market.sources.releases import macro_table
from strategy_pipeline.market.symbols import near_matches

_MODULES = {"SP500/USD": "sp500", "NASDAQ/USD": "nasdaq"}
# Series name (as FRED writes it) to arch's module and column.
_SERIES = {"VIXCLS": ("vix", "vix"), "DCOILWTICO": ("wti", "DCOILWTICO"), "CPILFESL": ("core_cpi", "CPILFESL")}


class IndicesSource:
    """Two equity indices, daily and coarser, in US dollars (index points), and three macro series."""

    name = "indices"
    simulated = False
    calendar = "new_york"

    def __init__(self, settings: Settings) -> None:
        self._timeframe = settings.timeframe
        self._frames: dict[str, pd.DataFrame] = {}
        self._notes: dict[str, None] = {}

    def symbols(self) -> tuple[str, ...]:
        return tuple(sorted(_MODULES))

    def listings(self) -> pd.DataFrame:
        """First day held; nothing is delisted, the data just ends with 2018."""
        first = [self._daily(symbol)["ts"].min() for symbol in self.symbols()]
        frame = pd.DataFrame({"symbol": pd.array(list(self.symbols()), dtype="str"), "listed": pd.DatetimeIndex(first).as_unit("ns")})
        frame["delisted"] = pd.DatetimeIndex([pd.NaT] * len(frame), tz="UTC").as_unit("ns")
        return frame

    def bars(self, timeframe: str, symbols: Sequence[str] | None = None, start: Any = None, end: Any = None) -> pd.DataFrame:
        """Raw rows, 1d or coarser; see `MarketSource.bars`. Volume is shares traded on the index's members."""
        if tf.is_finer(timeframe, "1d"):
            raise NoDataError(f"Expected a timeframe of 1d or coarser from source=indices, was {timeframe}; pass --timeframe 1d")
        frames = []
        for symbol in self.symbols() if symbols is None else symbols:
            if symbol not in _MODULES:
                near = ", ".join(near_matches(symbol, self.symbols()) or self.symbols())
                raise UnknownSymbolError(
                    f"Expected a symbol of source=indices, was {symbol}; near it: {near}; choose one of {len(_MODULES)}"
                )
            frame = self._daily(symbol)
            if timeframe != "1d":
                frame = _coarser(frame, timeframe)
                self._notes[f"{timeframe} made from all trading days of each window"] = None
            keep = pd.Series(True, index=frame.index)
            if start is not None:
                keep &= frame["ts"] >= pd.Timestamp(tf.to_time(start), tz="UTC")
            if end is not None:
                keep &= frame["ts"] < pd.Timestamp(tf.to_time(end), tz="UTC")
            frames.append(frame[keep])
        rows = pd.concat(frames, ignore_index=True)
        if rows.empty:
            raise NoDataError(
                f"Expected {timeframe} bars from {start or 'the start'} to {end or 'the end'}, was none; "
                "source=indices holds 1999-01-04 to 2018-12-31; choose dates within"
            )
        return rows

    def observations(self, table: str, start: Any = None, end: Any = None) -> pd.DataFrame:
        """The macro table (VIXCLS, DCOILWTICO, CPILFESL) with release lags; every other table is empty."""
        empty = empty_table(table)
        if table != "macro":
            return empty
        parts = []
        for series, (module, column) in _SERIES.items():
            values = _load(module)[column].dropna()
            stamps = pd.Series(_days(values))
            parts.append(
                pd.DataFrame({"ts": stamps, "series": series, "value": values.to_numpy(dtype=np.float64), "source": f"arch.data.{module}"})
            )
        frame = as_table("macro", macro_table(pd.concat(parts, ignore_index=True)))
        keep = pd.Series(True, index=frame.index)
        if start is not None:
            keep &= frame["ts"] >= pd.Timestamp(tf.to_time(start), tz="UTC")
        if end is not None:
            keep &= frame["ts"] < pd.Timestamp(tf.to_time(end), tz="UTC")
        return frame[keep].reset_index(drop=True)

    def notes(self) -> list[str]:
        return ["real index history 1999-2018 that ships with the arch package; closed days of New York stay gaps", *self._notes]

    def _daily(self, symbol: str) -> pd.DataFrame:
        if symbol not in self._frames:
            data = _load(_MODULES[symbol])
            frame = pd.DataFrame({"ts": _days(data), "symbol": pd.array([symbol] * len(data), dtype="str")})
            for name in ("Open", "High", "Low", "Close", "Volume"):
                frame[name.lower()] = data[name].to_numpy(dtype=np.float64)
            self._frames[symbol] = frame
        return self._frames[symbol]


def _load(module: str) -> pd.DataFrame:
    import importlib

    try:
        return importlib.import_module(f"arch.data.{module}").load()
    except ImportError as error:
        raise MissingExtraError(f"Expected the arch package for source=indices, was not importable ({error}); pip install arch") from error


def _days(data: pd.Series | pd.DataFrame) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(data.index).tz_localize("UTC").as_unit("ns")


def _coarser(daily: pd.DataFrame, timeframe: str) -> pd.DataFrame:
    """Windows in which every trading day of New York is there, whole within the data."""
    days = daily["ts"].dt.tz_localize(None).to_numpy(dtype="datetime64[ns]")
    windows = tf.floor(days, timeframe)
    opens = np.unique(windows)
    grid = tf.open_grid(opens[0], tf.close_times(opens[-1:], timeframe)[0], "1d")
    expected = pd.Series(is_open(grid, "1d", "new_york")).groupby(tf.floor(grid, timeframe)).sum()
    parts = daily.assign(window=windows).groupby("window", sort=True)
    made = parts.agg(
        symbol=("symbol", "first"),
        open=("open", "first"),
        high=("high", "max"),
        low=("low", "min"),
        close=("close", "last"),
        volume=("volume", "sum"),
    )
    made = made[parts.size() == expected.reindex(made.index)]
    made.insert(0, "ts", pd.DatetimeIndex(made.index).tz_localize("UTC").as_unit("ns"))
    return made.reset_index(drop=True)
