"""`Bars`: one timeframe, many symbols, immutable.

What belongs here: the record, cutting it by time and symbol, and exact resampling. Reading files lives in
`sources/files.py`; judging rows lives in `quality/`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from strategy_pipeline.errors import InvalidBarsError, MissingColumnError, NoDataError, UnknownSymbolError
from strategy_pipeline.market import timeframes as tf
from strategy_pipeline.market.symbols import near_matches

PRICES = ("open", "high", "low", "close")
REQUIRED = (*PRICES, "volume")
OPTIONAL = ("quote_volume", "trades", "taker_buy_volume")
FIELDS = REQUIRED + OPTIONAL


@dataclass(frozen=True, eq=False)
class Bars:
    """Prices and volumes of many symbols on one complete grid of bar opens.

    Parameters
    ----------
    symbols : tuple of str of length n_symbols, ``BASE/QUOTE``, distinct
    timeframe : one of `timeframes.TIMEFRAMES`
    times : ndarray of shape (n_bars,), datetime64[ns], UTC bar opens; every open time from first to last
    open, high, low, close, volume : ndarray of shape (n_symbols, n_bars), float64
        Prices in quote units, volume in base units. NaN is no bar (not listed, outage); nothing is filled.
    quote_volume, trades, taker_buy_volume : the same shape, or None where the source has none

    Arrays are C-contiguous and read-only; a writable array is copied. Two `Bars` are equal when their
    fingerprints are.

    Raises
    ------
    InvalidBarsError
        Shapes disagree, times leave the grid or miss an open, symbols repeat.
    """

    symbols: tuple[str, ...]
    timeframe: str
    times: np.ndarray
    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray
    volume: np.ndarray
    quote_volume: np.ndarray | None = None
    trades: np.ndarray | None = None
    taker_buy_volume: np.ndarray | None = None

    def __post_init__(self) -> None:
        symbols = tuple(self.symbols)
        if len(set(symbols)) != len(symbols) or not symbols:
            raise InvalidBarsError(f"Expected distinct symbols, at least one, was {symbols!r}; name each once")
        times = np.asarray(self.times, dtype="datetime64[ns]")
        _check_grid(times, self.timeframe)
        object.__setattr__(self, "symbols", symbols)
        object.__setattr__(self, "times", _frozen(times, "datetime64[ns]"))
        shape = (len(symbols), len(times))
        for name in FIELDS:
            array = getattr(self, name)
            if array is None and name in OPTIONAL:
                continue
            array = _frozen(array, np.float64)
            if array.shape != shape:
                raise InvalidBarsError(f"Expected {name} of shape {shape} (symbols, bars), was {array.shape}; give one row per symbol")
            object.__setattr__(self, name, array)

    # ---- making ----------------------------------------------------------------------------------------------

    @classmethod
    def read(
        cls,
        pattern: str | Path,
        timeframe: str,
        symbols: Sequence[str] | None = None,
        start: Any = None,
        end: Any = None,
        venue: str | None = None,
    ) -> Bars:
        """Bars from files: a path, a folder or a glob of files in any layout that source=files recognises.

        Parameters
        ----------
        timeframe : when the files hold only a finer one, it is resampled exactly
        symbols : ``BASE/QUOTE`` in the order wanted; None is all, sorted
        start, end : half-open range of bar opens; None is unbounded
        venue : which one, where a symbol lies there from several (default: spot)

        Rows that repeat exactly (overlapping downloads) count once. Bad prices are not mended: see `quality`.

        Raises
        ------
        UnknownSymbolError, NoDataError, CorruptFileError, MissingColumnError
            As the source says.
        InvalidBarsError
            Rows of one bar contradict each other, or lie off the grid.
        """
        from strategy_pipeline.market.sources.files import read_bars

        return read_bars(pattern, timeframe, symbols=symbols, start=start, end=end, venue=venue)

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        timeframe: str,
        symbols: Sequence[str] | None = None,
        start: Any = None,
        end: Any = None,
        *,
        require_all: bool = True,
    ) -> Bars:
        """Bars from long rows: ``ts, symbol, open, high, low, close, volume`` and optional fields, in any row order.

        A ``timeframe`` column, if there, selects rows. ``ts`` without a zone is UTC. The grid runs from the first
        to the last row in the half-open range [start, end); a symbol with no row in it is all NaN. A symbol with no
        row at all is an error, unless `require_all` is False (a day on which it was not listed): then it is all NaN too.

        Raises
        ------
        MissingColumnError, UnknownSymbolError, NoDataError
        InvalidBarsError
            A bar appears twice, a time is off the grid or in another zone than UTC, a required value is missing.
        """
        missing = [name for name in ("ts", "symbol", *REQUIRED) if name not in frame.columns]
        if missing:
            raise MissingColumnError(
                f"Expected bar rows with ts, symbol, {', '.join(REQUIRED)}, was without {', '.join(missing)}; add them"
            )
        if "timeframe" in frame.columns:
            frame = frame[frame["timeframe"] == timeframe]
        times = _utc(frame["ts"])
        names = frame["symbol"].astype("str")
        known = pd.unique(names)
        wanted = tuple(sorted(known)) if symbols is None else tuple(symbols)
        for symbol in wanted:
            if require_all and symbol not in known:
                raise UnknownSymbolError(
                    f"Expected rows of {symbol}, was without; "
                    f"known: {', '.join(near_matches(symbol, list(known)) or sorted(known)[:5]) or 'none'}; choose among these"
                )
        keep = np.ones(len(frame), dtype=bool) if symbols is None else names.isin(wanted).to_numpy()
        if start is not None:
            keep = keep & (times >= tf.to_time(start))
        if end is not None:
            keep = keep & (times < tf.to_time(end))
        if not keep.any():
            span = f"{tf.written(times.min())} to {tf.written(times.max())}" if len(times) else "no rows at all"
            raise NoDataError(
                f"Expected {timeframe} rows from {start or 'the start'} to {end or 'the end'}, was none; there is {span}; move the range"
            )
        times = times[keep]
        rows = pd.Categorical(names[keep], categories=list(wanted)).codes.astype(np.int64)
        return cls._scatter(frame[keep], times, rows, wanted, timeframe)

    @classmethod
    def _scatter(cls, frame: pd.DataFrame, times: np.ndarray, rows: np.ndarray, symbols: tuple[str, ...], timeframe: str) -> Bars:
        off = np.flatnonzero(~tf.on_grid(times, timeframe))
        if len(off):
            raise InvalidBarsError(
                f"Expected {timeframe} bars to open on the grid, was {tf.written(times[off[0]])} of {symbols[rows[off[0]]]} "
                f"({len(off)} rows off it); check the timeframe, or run quality.check_bars to set such rows apart"
            )
        grid = tf.open_grid(times.min(), times.max() + np.timedelta64(1, "ns"), timeframe)
        columns = np.searchsorted(grid, times)
        cells = rows * len(grid) + columns
        counts = np.bincount(cells, minlength=len(symbols) * len(grid))
        if counts.max(initial=0) > 1:
            first = int(np.flatnonzero(counts > 1)[0])
            raise InvalidBarsError(
                f"Expected each bar once, was {symbols[first // len(grid)]} {tf.written(grid[first % len(grid)])} {counts[first]} times "
                f"({int((counts > 1).sum())} bars repeat); run quality.check_bars to set repeats apart"
            )
        fields: dict[str, np.ndarray | None] = {}
        for name in FIELDS:
            if name not in frame.columns:
                fields[name] = None
                continue
            values = frame[name].to_numpy(dtype=np.float64, na_value=np.nan)
            if name in REQUIRED and (bad := np.flatnonzero(np.isnan(values))).size:
                raise InvalidBarsError(
                    f"Expected a number for {name}, was none at {tf.written(times[bad[0]])} of {symbols[rows[bad[0]]]} "
                    f"({bad.size} rows); drop such rows, or run quality.check_bars to set them apart"
                )
            flat = np.full(len(symbols) * len(grid), np.nan)
            flat[cells] = values
            fields[name] = _own(flat.reshape(len(symbols), len(grid)))
        grid.flags.writeable = False
        return cls(symbols=symbols, timeframe=timeframe, times=grid, **fields)  # type: ignore[arg-type]

    def to_frame(self) -> pd.DataFrame:
        """Long rows ``ts, symbol, timeframe, open, ...`` by symbol, then time; none for missing bars.

        ``ts`` is datetime64[ns, UTC]; optional fields appear where the bars have them. `from_frame` reads it back
        equal, but for leading and trailing bars in which no symbol traded.
        """
        present = ~np.isnan(self.close)
        rows, columns = np.nonzero(present)
        data: dict[str, Any] = {
            "ts": pd.DatetimeIndex(self.times[columns]).tz_localize("UTC"),
            "symbol": pd.array(np.array(self.symbols, dtype=object)[rows], dtype="str"),
            "timeframe": pd.array(np.full(len(rows), self.timeframe, dtype=object), dtype="str"),
        }
        for name, array in self._fields().items():
            data[name] = array[present]
        return pd.DataFrame(data)

    # ---- cutting ---------------------------------------------------------------------------------------------

    def through(self, open_time: Any) -> Bars:
        """The bars up to and including the one that opens at `open_time` (or at the last open before it)."""
        stop = int(np.searchsorted(self.times, tf.to_time(open_time), side="right"))
        return self._columns(0, stop)

    def between(self, start: Any, end: Any) -> Bars:
        """The bars whose opens lie in the half-open range from `start` to `end`; None is unbounded. May be empty."""
        first = 0 if start is None else int(np.searchsorted(self.times, tf.to_time(start)))
        stop = self.n_bars if end is None else int(np.searchsorted(self.times, tf.to_time(end)))
        return self._columns(first, max(first, stop))

    def select(self, symbols: Sequence[str]) -> Bars:
        """The named symbols in the order named, on the same grid. UnknownSymbolError where one is absent."""
        positions = []
        for symbol in symbols:
            if symbol not in self.symbols:
                near = ", ".join(near_matches(symbol, self.symbols) or self.symbols[:5])
                raise UnknownSymbolError(f"Expected a symbol of these bars, was {symbol}; near it: {near}; choose among `bars.symbols`")
            positions.append(self.symbols.index(symbol))
        return self._with({name: _own(array[positions]) for name, array in self._fields().items()}, symbols=tuple(symbols))

    def field(self, name: str) -> np.ndarray:
        """The array called `name`, float64 (n_symbols, n_bars). MissingColumnError where these bars have none."""
        array = getattr(self, name, None) if name in FIELDS else None
        if array is None:
            raise MissingColumnError(f"Expected a field of {', '.join(self._fields())}, was {name!r}; these bars do not have it")
        return array

    def with_fields(self, **arrays: np.ndarray | None) -> Bars:
        """The same grid with some fields replaced, added, or (None, optional fields only) taken away."""
        unknown = [name for name in arrays if name not in FIELDS]
        if unknown:
            raise MissingColumnError(f"Expected fields of {', '.join(FIELDS)}, was {', '.join(unknown)}; rename them")
        return self._with({**{name: getattr(self, name) for name in FIELDS}, **arrays})

    # ---- resampling ------------------------------------------------------------------------------------------

    def resample(self, timeframe: str) -> Bars:
        """Coarser bars, exactly as a venue would make them: first open, highest high, lowest low, last close, sums.

        Only complete windows count: a window in which a symbol lacks one finer bar is NaN for that symbol, and
        windows that the grid does not cover whole, at either end, are dropped. Weeks open on Monday, months are
        calendar months. Prices are exact; sums are exact to the rounding of float addition.

        Raises
        ------
        InvalidBarsError
            `timeframe` is not a whole number of these bars (finer, or straddling: 1w to 1M).
        """
        if timeframe == self.timeframe:
            return self
        if not tf.divides(self.timeframe, timeframe):
            raise InvalidBarsError(
                f"Expected a timeframe that {self.timeframe} bars fill exactly, was {timeframe}; choose another, or read finer bars"
            )
        if self.n_bars == 0:
            return self._columns(0, 0)._with({}, timeframe=timeframe)
        last_close = tf.close_times(self.times[-1], timeframe=self.timeframe)[()]
        opens = tf.open_grid(self.times[0], last_close, timeframe)
        opens = opens[tf.close_times(opens, timeframe) <= last_close]
        starts = np.searchsorted(self.times, opens)
        stops = np.searchsorted(self.times, tf.close_times(opens, timeframe))
        if not len(opens):
            return self._columns(0, 0)._with({}, timeframe=timeframe)
        # The windows tile [starts[0], stops[-1]), so reduceat over their starts needs only the tail cut off.
        tail = slice(None, stops[-1])
        whole = ~np.logical_or.reduceat(np.isnan(self.close[:, tail]), starts, axis=1)
        fields: dict[str, np.ndarray | None] = {}
        for name, array in self._fields().items():
            if name == "open":
                out = array[:, starts]
            elif name == "close":
                out = array[:, stops - 1]
            elif name == "high":
                out = np.maximum.reduceat(array[:, tail], starts, axis=1)
            elif name == "low":
                out = np.minimum.reduceat(array[:, tail], starts, axis=1)
            else:
                out = np.add.reduceat(array[:, tail], starts, axis=1)
            fields[name] = _own(np.where(whole, out, np.nan))
        return self._with(fields, times=_own(opens), timeframe=timeframe)

    # ---- properties ------------------------------------------------------------------------------------------

    @property
    def n_symbols(self) -> int:
        return len(self.symbols)

    @property
    def n_bars(self) -> int:
        return len(self.times)

    @cached_property
    def available_at(self) -> np.ndarray:
        """Close time of each bar, the moment it is known; datetime64[ns] of shape (n_bars,)."""
        return _own(tf.close_times(self.times, self.timeframe))

    @cached_property
    def listed(self) -> np.ndarray:
        """Whether each bar lies between the symbol's first and last bar; bool (n_symbols, n_bars)."""
        present = ~np.isnan(self.close)
        seen = np.logical_or.accumulate(present, axis=1)
        ahead = np.logical_or.accumulate(present[:, ::-1], axis=1)[:, ::-1]
        return _own(seen & ahead)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over timeframe, symbols, times and every field, the same on every platform."""
        digest = hashlib.sha256("\x1f".join([self.timeframe, *self.symbols]).encode())
        digest.update(self.times.astype("<i8").tobytes())
        for name, array in self._fields().items():
            digest.update(name.encode())
            # One bit pattern for every NaN and both zeros.
            canonical = np.where(np.isnan(array), np.nan, array + 0.0).astype("<f8")
            digest.update(canonical.tobytes())
        return digest.hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bars) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        span = f"{tf.written(self.times[0])} to {tf.written(self.times[-1])}" if self.n_bars else "no bars"
        names = ", ".join(self.symbols[:4]) + (", ..." if self.n_symbols > 4 else "")
        return f"Bars({self.timeframe}, {self.n_symbols} symbols [{names}], {self.n_bars} bars, {span})"

    # ---- private ---------------------------------------------------------------------------------------------

    def _fields(self) -> dict[str, np.ndarray]:
        return {name: array for name in FIELDS if (array := getattr(self, name)) is not None}

    def _columns(self, first: int, stop: int) -> Bars:
        if (first, stop) == (0, self.n_bars):
            return self
        fields: dict[str, np.ndarray | None] = {name: _own(array[:, first:stop].copy()) for name, array in self._fields().items()}
        return self._with(fields, times=_own(self.times[first:stop].copy()))

    def _with(self, fields: dict[str, Any], **changes: Any) -> Bars:
        values: dict[str, Any] = {name: getattr(self, name) for name in FIELDS} | fields
        return Bars(**({"symbols": self.symbols, "timeframe": self.timeframe, "times": self.times} | values | changes))


def _own(array: np.ndarray) -> np.ndarray:
    """Mark a fresh array read-only, so that the constructor keeps it without a copy."""
    array = np.ascontiguousarray(array)
    array.flags.writeable = False
    return array


def _frozen(array: Any, dtype: Any) -> np.ndarray:
    """The array as C-contiguous, read-only `dtype`; copied unless it already is all that and owns its memory."""
    given = np.asarray(array)
    frozen = np.ascontiguousarray(given, dtype=dtype)
    if frozen.flags.writeable and np.shares_memory(frozen, given):
        frozen = frozen.copy()
    frozen.flags.writeable = False
    return frozen


def _check_grid(times: np.ndarray, timeframe: str) -> None:
    if times.ndim != 1:
        raise InvalidBarsError(f"Expected times of shape (n_bars,), was {times.shape}; give one open time per bar")
    tf.duration(timeframe)
    if not len(times):
        return
    steps = np.diff(times)
    if np.isnat(times).any() or (steps <= np.timedelta64(0, "ns")).any():
        at = int(np.flatnonzero(steps <= np.timedelta64(0, "ns"))[0]) if len(steps) and (steps <= np.timedelta64(0, "ns")).any() else 0
        raise InvalidBarsError(f"Expected ascending, distinct bar opens, was {times[at : at + 2]}; sort them and drop repeats")
    if not tf.on_grid(times[[0, -1]], timeframe).all():
        raise InvalidBarsError(
            f"Expected {timeframe} bar opens on the grid, was {tf.written(times[0])} to {tf.written(times[-1])}; check the timeframe"
        )
    if not np.array_equal(tf.close_times(times[:-1], timeframe), times[1:]):
        at = int(np.flatnonzero(tf.close_times(times[:-1], timeframe) != times[1:])[0])
        raise InvalidBarsError(
            f"Expected every {timeframe} open from first to last, was {tf.written(times[at])} followed by {tf.written(times[at + 1])}; "
            "give the complete grid with NaN where no bar traded"
        )


def _utc(column: pd.Series) -> np.ndarray:
    """Row times as datetime64[ns]; a zone other than UTC is an error, because a grid in local time hides a shift."""
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        if str(column.dtype.tz) not in ("UTC", "Etc/UTC", "UTC+00:00", "datetime.timezone.utc"):
            raise InvalidBarsError(f"Expected ts in UTC, was {column.dtype.tz}; convert with `frame.ts.dt.tz_convert('UTC')`")
        column = column.dt.tz_localize(None)
    elif not pd.api.types.is_datetime64_dtype(column):
        raise InvalidBarsError(f"Expected ts as datetimes, was {column.dtype}; convert with `pd.to_datetime(frame.ts, utc=True)`")
    times = column.to_numpy(dtype="datetime64[ns]")
    if np.isnat(times).any():
        raise InvalidBarsError(f"Expected a time in every row, was {int(np.isnat(times).sum())} rows without; drop or date them")
    return times
