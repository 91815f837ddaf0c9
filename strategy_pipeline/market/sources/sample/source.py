"""`SampleSource`: the sample market behind the protocol of all sources."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from strategy_pipeline.config import Settings
from strategy_pipeline.errors import NoDataError, UnknownSymbolError
from strategy_pipeline.market import timeframes as tf
from strategy_pipeline.market.bars import Bars
from strategy_pipeline.market.observations import as_table, empty_table
from strategy_pipeline.market.sources.sample.universe import (
    BY_NAME,
    EPOCH,
    EPOCH_YEAR,
    NULL_SYMBOLS,
    PLANTED_EDGES,
    UNIVERSE,
    hours_from_epoch,
    outage,
)
from strategy_pipeline.market.symbols import near_matches

# Paths are generated through at least this year, so that a process that asks for one day after another makes them once.
_USUAL_HORIZON = 2027
_TABLES = ("news", "social", "macro", "fear_greed", "fundamentals", "funding", "open_interest")


class SampleSource:
    """The simulated market: default, offline, the same for the same seed.

    Parameters
    ----------
    settings : its `seed` picks the market; nothing else matters
    planted : False gives the same market without its planted edges, so nothing in it can be predicted but risk

    There is a bar for every hour since 2018-01-01 while a symbol is listed, except one outage a year. Any range
    equals the slice of any larger range. Coarser bars are the hours resampled; finer ones are minutes that
    aggregate to the hours.
    """

    name = "sample"
    simulated = True

    def __init__(self, settings: Settings, *, planted: bool = True) -> None:
        self.seed = settings.seed
        self.planted = planted

    def symbols(self) -> tuple[str, ...]:
        """The universe in its own order: a profile of n symbols takes the first n."""
        return tuple(BY_NAME)

    def listings(self) -> pd.DataFrame:
        """Columns symbol, listed, delisted (NaT while it trades)."""
        return pd.DataFrame(
            {
                "symbol": pd.Series([one.symbol for one in UNIVERSE], dtype="str"),
                "listed": _utc([one.listed or str(EPOCH) for one in UNIVERSE]),
                "delisted": _utc([one.delisted for one in UNIVERSE]),
            }
        )

    def bars(self, timeframe: str, symbols: Sequence[str] | None = None, start: Any = None, end: Any = None) -> pd.DataFrame:
        """Bars that open in [start, end): by symbol in the order asked, then by time. See `MarketSource.bars`.

        `start` None is the epoch; `end` None is an error, because the market has no last day.
        """
        tf.duration(timeframe)
        wanted = self.symbols() if symbols is None else tuple(symbols)
        for symbol in wanted:
            if symbol not in BY_NAME:
                near = ", ".join(near_matches(symbol, self.symbols()) or self.symbols()[:3])
                raise UnknownSymbolError(f"Expected a symbol of the sample market, was {symbol!r}; near it: {near}; choose among these")
        opens = tf.open_grid(*self._range(start, end), timeframe)
        frames = [self._symbol_bars(symbol, timeframe, opens) for symbol in wanted] if len(opens) else []
        frames = [frame for frame in frames if len(frame)]
        if not frames:
            raise NoDataError(
                f"Expected {timeframe} bars of the sample market from {start or EPOCH} to {end}, was none; "
                f"it starts on {EPOCH} and symbols trade while listed (see listings); move the range"
            )
        return pd.concat(frames, ignore_index=True)

    def observations(self, table: str, start: Any = None, end: Any = None) -> pd.DataFrame:
        """Rows of the table with ts in [start, end), all assets; no trades, book or executions. See `OBSERVATION_TABLES`."""
        if table not in _TABLES:
            return empty_table(table)
        first, last = self._range(start, end)
        if first >= last:
            return empty_table(table)
        make = self._maker(table)
        final = _year(last - np.timedelta64(1, "ns"))
        horizon = max(final + 1, _USUAL_HORIZON)
        years = [make(self.seed, year, horizon, self.planted) for year in range(_year(first), final + 1)]
        kept = [frame[(frame["ts"] >= first) & (frame["ts"] < last)] for frame in years]
        return as_table(table, pd.concat(kept, ignore_index=True))

    def notes(self) -> list[str]:
        if not self.planted:
            return [f"SAMPLE MARKET: simulated prices, seed {self.seed}, no edge planted"]
        edges = ", ".join(f"{edge.symbol} ({edge.kind.replace('_', ' ')})" for edge in PLANTED_EDGES)
        return [
            f"SAMPLE MARKET: simulated prices, seed {self.seed}; nothing here happened on any venue",
            f"planted edges: {edges}; the other {len(NULL_SYMBOLS)} symbols have none",
        ]

    # ---- private ---------------------------------------------------------------------------------------------

    @staticmethod
    def _range(start: Any, end: Any) -> tuple[np.datetime64, np.datetime64]:
        if end is None:
            raise NoDataError("Expected an end, was None: the sample market has no last day; say until when")
        epoch = EPOCH.astype("datetime64[ns]")
        return (epoch if start is None else max(tf.to_time(start), epoch)), tf.to_time(end)

    @staticmethod
    def _maker(table: str) -> Callable[[int, int, int, bool], pd.DataFrame]:
        from strategy_pipeline.market.sources.sample import context, stories

        return getattr(stories if table in ("news", "social") else context, table)

    def _symbol_bars(self, symbol: str, timeframe: str, opens: np.ndarray) -> pd.DataFrame:
        """Rows of one symbol whose opens are among the grid `opens`; complete bars only."""
        from strategy_pipeline.market.sources.sample.hours import FIELDS, hours, lot_of
        from strategy_pipeline.market.sources.sample.minutes import minutes

        one = BY_NAME[symbol]
        final = np.datetime64(int(tf.close_times(opens[-1:], timeframe).astype(np.int64)[0]) - 1, "ns")  # the last moment inside
        first, last = hours_from_epoch(opens[0]), hours_from_epoch(final) + 1
        # Only listed hours are made; a bar that the listing or delisting cuts is incomplete and left out below.
        first = max(first, hours_from_epoch(np.datetime64(one.listed)) if one.listed else 0)
        last = min(last, hours_from_epoch(np.datetime64(one.delisted))) if one.delisted else last
        if first >= last:
            return pd.DataFrame()
        path = hours(self.seed, symbol, max(_year(final), _USUAL_HORIZON), self.planted)
        up = self._venue_up(first, last)
        if tf.is_finer(timeframe, "1h"):
            base, per = "1m", 60
            values = minutes(self.seed, symbol, path, lot_of(one), first, last)
        else:
            base, per, values = "1h", 1, path.values[:, first:last]
        times = tf.open_grid(EPOCH + first, EPOCH + last, base)
        present = np.repeat(up, per)
        if timeframe != base:
            fields = {name: np.where(present, row, np.nan)[None, :] for name, row in zip(FIELDS, values, strict=True)}
            coarse = Bars(symbols=(symbol,), timeframe=base, times=times, **fields).resample(timeframe)
            times, values = coarse.times, np.stack([coarse.field(name)[0] for name in FIELDS])
            present = ~np.isnan(values[0])
        keep = present & (times >= opens[0]) & (times <= opens[-1])
        rows: dict[str, Any] = {
            "ts": pd.DatetimeIndex(times[keep]).tz_localize("UTC"),
            "symbol": pd.array(np.full(int(keep.sum()), symbol, dtype=object), dtype="str"),
        }
        for name, row in zip(FIELDS, values, strict=True):
            rows[name] = row[keep]
        return pd.DataFrame(rows)

    def _venue_up(self, first: int, last: int) -> np.ndarray:
        up = np.ones(last - first, bool)
        for year in range(_year(EPOCH + first), _year(EPOCH + last) + 1):
            begin, end = outage(self.seed, year)
            up[max(begin - first, 0) : max(end - first, 0)] = False
        return up


def _year(time: np.datetime64) -> int:
    return max(int(time.astype("datetime64[Y]").astype(int)) + 1970, EPOCH_YEAR)


def _utc(times: list[str | None]) -> pd.Series:
    return pd.Series(pd.to_datetime(pd.Series(times, dtype="object"), utc=True)).astype("datetime64[ns, UTC]")
