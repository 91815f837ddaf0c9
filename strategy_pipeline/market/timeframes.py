"""Timeframes: how long a bar is, where it opens, when it closes.

What belongs here: arithmetic on bar times. What does not: prices.

Bars open at fixed multiples of their length since the Unix epoch (so 3d bars open on days whose number
since 1970-01-01 is a multiple of three), except weeks, which open on Monday 00:00 UTC, and months, which
are calendar months. Times are numpy ``datetime64[ns]``, UTC, without a zone attached.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from strategy_pipeline.errors import InvalidBarsError

__all__ = [
    "TIMEFRAMES",
    "bars_per_year",
    "close_times",
    "divides",
    "duration",
    "floor",
    "is_finer",
    "on_grid",
    "open_grid",
    "to_time",
    "written",
]

_MINUTE = 60 * 10**9
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
_NANOSECONDS = {
    "1m": _MINUTE, "3m": 3 * _MINUTE, "5m": 5 * _MINUTE, "15m": 15 * _MINUTE, "30m": 30 * _MINUTE,
    "1h": _HOUR, "2h": 2 * _HOUR, "4h": 4 * _HOUR, "6h": 6 * _HOUR, "12h": 12 * _HOUR,
    "1d": _DAY, "3d": 3 * _DAY, "1w": 7 * _DAY, "1M": 304375 * _DAY // 10_000,
}  # fmt: skip
TIMEFRAMES = tuple(_NANOSECONDS)  # what the settings accept, without the cost of loading them
# 1970-01-01 was a Thursday; the Monday of that week lies three days before.
_MONDAY = -3 * _DAY


def _nanoseconds(timeframe: str) -> int:
    try:
        return _NANOSECONDS[timeframe]
    except KeyError:
        raise InvalidBarsError(f"Expected a timeframe of {', '.join(TIMEFRAMES)}, was {timeframe!r}; name one of these") from None


def duration(timeframe: str) -> np.timedelta64:
    """Length of a bar in nanoseconds. A month is the nominal 30.4375 days: use it to annualise, never to step."""
    return np.timedelta64(_nanoseconds(timeframe), "ns")


def to_time(value: Any) -> np.datetime64:
    """A UTC ``datetime64[ns]`` from a date, datetime, Timestamp, numpy time or ISO text. Without a zone it is UTC.

    Raises
    ------
    InvalidBarsError
        The text is no time, or the value is NaT.
    """
    try:
        stamp = pd.Timestamp(value)
    except (ValueError, TypeError) as error:
        raise InvalidBarsError(f"Expected a time like 2025-06-29 or 2025-06-29T12:00, was {value!r}; mend it") from error
    if stamp is pd.NaT:
        raise InvalidBarsError(f"Expected a time, was {value!r}; give a date such as 2025-06-29")
    if stamp.tzinfo is not None:
        stamp = stamp.tz_convert("UTC").tz_localize(None)
    return stamp.as_unit("ns").to_datetime64()


def written(time: Any) -> str:
    """A time as people write it, UTC: ``2025-06-29``, ``2025-06-29 12:00``, with seconds and fractions only where there are any."""
    text = str(pd.Timestamp(time).as_unit("ns").tz_localize(None)).removesuffix(":00")
    return text.removesuffix(" 00:00")


def _as_times(times: Any) -> np.ndarray:
    if isinstance(times, (pd.Series, pd.Index)):
        times = pd.DatetimeIndex(times)
        if times.tz is not None:
            times = times.tz_convert("UTC").tz_localize(None)
    return np.asarray(times, dtype="datetime64[ns]")


def floor(times: Any, timeframe: str) -> np.ndarray:
    """Open time of the bar that each time falls into.

    Parameters
    ----------
    times : datetime64 array of any shape (or a pandas series or index, any zone)

    Returns
    -------
    ndarray of datetime64[ns], same shape; NaT stays NaT.
    """
    times = _as_times(times)
    step = _nanoseconds(timeframe)
    if timeframe == "1M":
        return times.astype("datetime64[M]").astype("datetime64[ns]")
    anchor = _MONDAY if timeframe == "1w" else 0
    stamps = times.astype(np.int64)
    # Euclidean remainder, so times before 1970 floor downwards too.
    floored = (stamps - np.mod(stamps - anchor, step)).astype("datetime64[ns]")
    return np.where(np.isnat(times), np.datetime64("NaT", "ns"), floored)


def on_grid(times: Any, timeframe: str) -> np.ndarray:
    """Whether each time is an open time of `timeframe`; False for NaT. Boolean array, same shape."""
    times = _as_times(times)
    return floor(times, timeframe) == times


def close_times(opens: Any, timeframe: str) -> np.ndarray:
    """When each bar closes, that is, the open of the next: the moment from which it is known.

    `opens` are open times on the grid, datetime64 of any shape; the result is datetime64[ns] of that shape.
    """
    opens = _as_times(opens)
    if timeframe == "1M":
        return (opens.astype("datetime64[M]") + np.timedelta64(1, "M")).astype("datetime64[ns]")
    return opens + duration(timeframe)


def open_grid(start: Any, end: Any, timeframe: str) -> np.ndarray:
    """Every open time in the half-open range from `start` to `end`, datetime64[ns] of shape (n,), ascending."""
    start, end = to_time(start), to_time(end)
    first = floor(start, timeframe)[()]
    if first < start:
        first = close_times(first, timeframe)[()]
    if first >= end:
        return np.empty(0, dtype="datetime64[ns]")
    if timeframe == "1M":
        month, last = (int(time.astype("datetime64[M]").astype(np.int64)) for time in (first, end))
        months = np.arange(month, last + 1, dtype=np.int64).astype("datetime64[M]").astype("datetime64[ns]")
        return months[months < end]
    step = _nanoseconds(timeframe)
    # Counted in integers: numpy's arange computes its length in floats and would lose a nanosecond over years.
    origin = int(first.astype(np.int64))
    count = -(-(int(end.astype(np.int64)) - origin) // step)
    return (origin + step * np.arange(count, dtype=np.int64)).astype("datetime64[ns]")


def bars_per_year(timeframe: str) -> float:
    """Bars in a year of 365 days (12 for months), for annualising."""
    return 12.0 if timeframe == "1M" else 365 * _DAY / _nanoseconds(timeframe)


def is_finer(a: str, b: str) -> bool:
    """Whether bars of `a` are shorter than bars of `b`."""
    return _nanoseconds(a) < _nanoseconds(b)


def divides(a: str, b: str) -> bool:
    """Whether every bar of `b` is a whole number (two or more) of bars of `a`, so `a` can be resampled to `b` exactly.

    Weeks and 3d bars straddle months, and 3d bars straddle weeks, so those pairs do not divide.
    """
    if not is_finer(a, b):
        return False
    if b == "1M":
        return a not in ("3d", "1w")
    return _nanoseconds(b) % _nanoseconds(a) == 0 and not (b == "1w" and a == "3d")
