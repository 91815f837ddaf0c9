"""The arena: bars laid out for the kernels, once for a backtest.

What belongs here: windows, spans, days, marks and benchmarks of each symbol. What does not: strategies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from strategy_pipeline.backtest import bits, tile
from strategy_pipeline.errors import InvalidBarsError, NoDataError
from strategy_pipeline.market import Bars

DAY = np.timedelta64(1, "D")
ROUNDING = 1e-9  # by which an open or close may lie outside its bar


@dataclass(frozen=True, slots=True)
class Arena:
    """Arrays by symbol and bar, read-only. See `tile.run_tile` for the shapes."""

    bars: Bars
    marks: np.ndarray
    log_marks: np.ndarray
    benchmark: np.ndarray
    benchmark_square: np.ndarray
    benchmark_mean: np.ndarray
    benchmark_variance: np.ndarray
    traded_value: np.ndarray
    high: np.ndarray  # as the bars', but out of reach at bars where nothing fills
    low: np.ndarray
    next_bar: np.ndarray  # the first bar at or after each at which orders fill
    present: np.ndarray
    spans: np.ndarray
    days: np.ndarray  # datetime64[ns] (n_days,)
    day_last: np.ndarray
    daily_benchmark: np.ndarray  # (n_symbols, n_days), NaN where not listed

    @property
    def listed(self) -> np.ndarray:
        """bool (n_symbols, n_days)"""
        day = np.arange(len(self.days))
        return (day >= self.spans[:, tile.DAY_FROM, None]) & (day < self.spans[:, tile.DAY_TO, None])


def make_arena(bars: Bars, start: Any, end: Any) -> Arena:
    """Lay out `bars` for trading in [start, end) of bar opens; earlier bars only warm indicators up.

    Raises
    ------
    NoDataError
        No bar opens in the window, or no symbol has a price in it.
    InvalidBarsError
        A bar has some prices but not all, or a price that is not positive.
    """
    n_symbols, n_bars = bars.close.shape
    first = 0 if start is None else int(np.searchsorted(bars.times, _time(start)))
    stop = n_bars if end is None else int(np.searchsorted(bars.times, _time(end)))
    if first >= stop:
        raise NoDataError(f"Expected bars from {start or 'the first'} to {end or 'the last'}, was none among {n_bars}; widen the range")
    exists = _existing(bars)
    index = np.arange(n_bars)
    next_bar = np.full((n_symbols, n_bars + 1), n_bars, dtype=np.int32)
    idle = exists & (bars.volume == 0) & np.logical_or.accumulate(bars.volume > 0, axis=1)  # nothing trades: nothing fills
    fills = exists & ~idle
    next_bar[:, :-1] = np.minimum.accumulate(np.where(fills, index, n_bars)[:, ::-1], axis=1)[:, ::-1]
    newest = np.maximum.accumulate(np.where(exists, index, -1), axis=1)
    marks = np.where(newest >= 0, np.take_along_axis(bars.close, np.maximum(newest, 0), axis=1), np.nan)

    # A bar belongs to the UTC day in which it closes (a close at midnight to the day that ends then).
    day_of = (np.asarray(bars.available_at)[first:stop].astype("datetime64[ns]") - np.timedelta64(1, "ns")).astype("datetime64[D]")
    days = np.arange(day_of[0], day_of[-1] + DAY, DAY)
    day_index = (day_of - days[0]).astype(np.int64)
    day_last = first + np.searchsorted(day_index, np.arange(len(days)), side="right") - 1

    spans = np.zeros((n_symbols, tile.N_SPAN), dtype=np.int64)
    spans[:, tile.FIRST], spans[:, tile.STOP], spans[:, tile.LAST] = first, stop, newest[:, -1]
    spans[:, tile.IDLE] = idle.any(axis=1)
    benchmark = np.zeros((n_symbols, n_bars))
    mean, variance, square = np.full(n_symbols, np.nan), np.full(n_symbols, np.nan), np.zeros(n_symbols)
    daily = np.full((n_symbols, len(days)), np.nan)
    for s in range(n_symbols):
        begin, until = max(first, int(exists[s].argmax())), min(stop, int(newest[s, -1]) + 1)
        if begin >= until:
            continue
        spans[s, tile.SPAN_START], spans[s, tile.SPAN_STOP] = begin, until
        day_from, day_to = int(day_index[begin - first]), int(day_index[until - 1 - first]) + 1
        spans[s, tile.DAY_FROM], spans[s, tile.DAY_TO] = day_from, day_to
        benchmark[s, begin + 1 : until] = marks[s, begin + 1 : until] / marks[s, begin : until - 1] - 1
        returns = benchmark[s, begin:until]
        mean[s], variance[s], square[s] = returns.mean(), returns.var(), (returns**2).sum()
        levels = np.concatenate([marks[s, begin : begin + 1], marks[s, np.minimum(day_last[day_from:day_to], until - 1)]])
        daily[s, day_from:day_to] = levels[1:] / levels[:-1] - 1
    if not (spans[:, tile.SPAN_STOP] > spans[:, tile.SPAN_START]).any():
        raise NoDataError("Expected a symbol with prices in the range, was none: every bar is missing; choose another range or source")
    volume = bars.volume * bars.close if bars.quote_volume is None else bars.quote_volume
    return Arena(
        bars=bars,
        marks=frozen(marks),
        log_marks=frozen(np.log(marks)),
        benchmark=frozen(benchmark),
        benchmark_square=frozen(square),
        benchmark_mean=mean,
        benchmark_variance=variance,
        traded_value=frozen(volume),
        high=frozen(np.where(idle, -np.inf, bars.high) if idle.any() else bars.high),
        low=frozen(np.where(idle, np.inf, bars.low) if idle.any() else bars.low),
        next_bar=frozen(next_bar),
        present=frozen(bits.pack(exists)),
        spans=frozen(spans),
        days=days.astype("datetime64[ns]"),
        day_last=frozen(day_last),
        daily_benchmark=daily,
    )


def frozen(array: np.ndarray) -> np.ndarray:
    """A read-only C-contiguous view or copy, so that kernels see one type."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def _existing(bars: Bars) -> np.ndarray:
    prices = np.stack([bars.open, bars.high, bars.low, bars.close])
    missing = np.isnan(prices)
    exists = ~missing.any(axis=0)
    broken = (missing.any(axis=0) & ~missing.all(axis=0)) | (exists & ~((prices > 0) & np.isfinite(prices)).all(axis=0))
    if broken.any():
        s, t = (int(part[0]) for part in np.nonzero(broken))
        names = ("open", "high", "low", "close")
        field = next(i for i in range(4) if not (np.isfinite(prices[i, s, t]) and prices[i, s, t] > 0))
        raise InvalidBarsError(
            f"Expected four positive prices or none (a missing bar), was {names[field]} {prices[field, s, t]} of {bars.symbols[s]} at "
            f"{bars.times[t]} ({int(broken.sum())} such bars); run quality.check_bars to set them apart"
        )
    tops, bottoms = np.maximum(bars.open, bars.close), np.minimum(bars.open, bars.close)
    outside = exists & ((bars.high < tops * (1 - ROUNDING)) | (bars.low > bottoms * (1 + ROUNDING)))
    if outside.any():
        s, t = (int(part[0]) for part in np.nonzero(outside))
        shown = ", ".join(f"{name} {getattr(bars, name)[s, t]}" for name in ("open", "high", "low", "close"))
        raise InvalidBarsError(
            f"Expected open and close between low and high, was {shown} of {bars.symbols[s]} at {bars.times[t]} ({int(outside.sum())} such "
            "bars); run quality.check_bars to set them apart"
        )
    below = exists & (bars.volume < 0)
    if below.any():
        s, t = (int(part[0]) for part in np.nonzero(below))
        raise InvalidBarsError(
            f"Expected a volume of at least 0, or NaN where it is unknown, was {bars.volume[s, t]} of {bars.symbols[s]} at "
            f"{bars.times[t]}; run quality.check_bars to set it apart"
        )
    return exists


def _time(moment: Any) -> np.datetime64:
    from strategy_pipeline.market.timeframes import to_time

    return np.datetime64(to_time(moment))
