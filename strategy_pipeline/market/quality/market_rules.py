"""Warning rules: what a run of bars should not look like. They report and remove nothing.

Each takes clean rows sorted by symbol and time, and returns findings ``(symbol, time, count, reason)``, the number of
rows checked and the number that fail. Thresholds are in robust z: distance from the median in units of
1.4826 x the median absolute deviation, which equals the standard deviation for normal data (Hampel, 1974).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from strategy_pipeline.market import timeframes as tf
from strategy_pipeline.market.bars import PRICES, REQUIRED, Bars
from strategy_pipeline.market.calendars import is_open
from strategy_pipeline.market.quality.row_rules import times_of

STALE_BARS = 3
STEP_Z = 20.0
# A wick must also reach half the price away (in logs): quiet symbols have tiny typical wicks.
WICK_Z, WICK_LOG = 20.0, 0.5
VOLUME_Z = 8.0
# Robust z means nothing on a handful of bars.
SPIKE_BARS = 30
_RUNS_LISTED = 200


@dataclass
class Finding:
    checked: int
    failed: int
    rows: list[tuple[str, Any, int, str]]


def _by_symbol(frame: pd.DataFrame) -> Iterator[tuple[str, slice]]:
    names = frame["symbol"].to_numpy(dtype=object)
    if not len(names):
        return
    edges = np.flatnonzero(np.r_[True, names[1:] != names[:-1], True])
    for first, stop in pairwise(edges.tolist()):
        yield str(names[first]), slice(first, stop)


def _runs(mask: np.ndarray) -> Iterator[tuple[int, int]]:
    """(first, length) of each run of true values."""
    padded = np.diff(np.r_[0, mask.astype(np.int8), 0])
    yield from zip(np.flatnonzero(padded == 1).tolist(), (np.flatnonzero(padded == -1) - np.flatnonzero(padded == 1)).tolist(), strict=True)


def robust_z(values: np.ndarray) -> np.ndarray:
    """Distance from the median in robust standard deviations; shape kept, NaN stays NaN.

    When more than half of the values are equal the median absolute deviation is zero; the mean absolute deviation
    (x 1.2533, the same scale for normal data) stands in, and where that is zero too, every z is zero.
    """
    if not np.isfinite(values).any():
        return np.full(values.shape, np.nan)
    distance = np.abs(values - np.nanmedian(values))
    scale = 1.4826 * np.nanmedian(distance)
    if scale == 0:
        scale = 1.2533 * np.nanmean(distance)
    return distance / scale if scale > 0 else np.zeros_like(distance)


def gaps(frame: pd.DataFrame, timeframe: str, calendar: str) -> Finding:
    """Bars that the calendar expects between a symbol's first and last and that are not there."""
    times = times_of(frame)
    found = Finding(0, 0, [])
    for symbol, rows in _by_symbol(frame):
        held = times[rows]
        grid = tf.open_grid(held[0], held[-1] + np.timedelta64(1, "ns"), timeframe)
        expected = is_open(grid, timeframe, calendar)
        absent = expected & ~np.isin(grid, held)
        found.checked += int(expected.sum())
        found.failed += int(absent.sum())
        # Closed bars do not split a gap: runs are counted over the expected bars alone.
        opens = grid[expected]
        for first, length in _runs(absent[expected]):
            begun, over = tf.written(opens[first]), tf.written(opens[first + length - 1])
            found.rows.append((symbol, opens[first], length, f"no bars from {begun} to {over}" if length > 1 else f"no bar at {begun}"))
    return found


def time_order(frame: pd.DataFrame, timeframe: str) -> Finding:
    """Rows that came after a later bar of their symbol. They are sorted, not removed. Takes rows in the given order."""
    stamps = pd.Series(times_of(frame).astype(np.int64))
    names = frame["symbol"].reset_index(drop=True)
    late = (stamps < stamps.groupby(names).cummax()).to_numpy()
    found = Finding(len(frame), int(late.sum()), [])
    if late.any():
        for symbol, part in frame[late].groupby("symbol", sort=True):
            found.rows.append((str(symbol), times_of(part)[0], len(part), "rows came out of order and were sorted"))
    return found


def stale_runs(frame: pd.DataFrame, timeframe: str) -> Finding:
    """Three or more neighbouring bars that repeat the close before them with no volume."""
    times, close, volume = times_of(frame), frame["close"].to_numpy(), frame["volume"].to_numpy()
    found = Finding(len(frame), 0, [])
    for symbol, rows in _by_symbol(frame):
        part = close[rows]
        quiet = np.r_[False, (part[1:] == part[:-1])] & (volume[rows] == 0)
        for first, length in _runs(quiet):
            if length >= STALE_BARS:
                found.failed += length
                found.rows.append((symbol, times[rows][first], length, f"close stays {part[first]} without volume"))
    return found


def zero_volume(frame: pd.DataFrame, timeframe: str) -> Finding:
    volume, times = frame["volume"].to_numpy(), times_of(frame)
    found = Finding(len(frame), int((volume == 0).sum()), [])
    for symbol, rows in _by_symbol(frame):
        idle = np.flatnonzero(volume[rows] == 0)
        if len(idle):
            found.rows.append((symbol, times[rows][idle[0]], len(idle), f"{len(idle)} of {rows.stop - rows.start} bars traded nothing"))
    return found


def step_spikes(frame: pd.DataFrame, timeframe: str) -> Finding:
    """Bars whose log return stands more than 20 robust standard deviations from the symbol's median."""
    times, close = times_of(frame), frame["close"].to_numpy()
    found = Finding(0, 0, [])
    for symbol, rows in _by_symbol(frame):
        part = close[rows]
        if len(part) < SPIKE_BARS:
            continue
        # A return over a gap spans more than one bar and is no step.
        neighbours = times[rows][1:] == tf.close_times(times[rows][:-1], timeframe)
        returns = np.where(neighbours, np.diff(np.log(part)), np.nan)
        z = robust_z(returns)
        found.checked += int(np.isfinite(returns).sum())
        for at in np.flatnonzero(z > STEP_Z):
            back = at + 1 < len(returns) and abs(returns[at] + returns[at + 1]) < 0.2 * abs(returns[at])
            found.failed += 1
            found.rows.append(
                (
                    symbol,
                    times[rows][at + 1],
                    1,
                    f"close moved {np.expm1(returns[at]):+.2%}, robust z {z[at]:.0f}{', and back at the next bar' if back else ''}",
                )
            )
    return found


def wick_spikes(frame: pd.DataFrame, timeframe: str) -> Finding:
    """Bars whose high or low stands far off their open and close, the print of a bad tick or a flash crash.

    The log distance exceeds 0.5 (65 % up, 39 % down) and 20 robust standard deviations of the symbol's wicks.
    """
    times = times_of(frame)
    opened, high, low, close = (np.log(frame[name].to_numpy()) for name in PRICES)
    wicks = {"high": high - np.maximum(opened, close), "low": np.minimum(opened, close) - low}
    found = Finding(0, 0, [])
    for symbol, rows in _by_symbol(frame):
        if rows.stop - rows.start < SPIKE_BARS:
            continue
        found.checked += rows.stop - rows.start
        for name, distance in wicks.items():
            part = distance[rows]
            for at in np.flatnonzero((part > WICK_LOG) & (robust_z(part) > WICK_Z)):
                found.failed += 1
                extreme = frame[name].to_numpy()[rows][at]
                body = frame[["open", "close"]].to_numpy()[rows][at].tolist()
                found.rows.append((symbol, times[rows][at], 1, f"{name} {extreme:g} stands far off open and close {body}"))
    return found


def volume_spikes(frame: pd.DataFrame, timeframe: str) -> Finding:
    """Bars whose log volume stands more than 8 robust standard deviations above the symbol's median."""
    times, volume = times_of(frame), frame["volume"].to_numpy()
    found = Finding(0, 0, [])
    for symbol, rows in _by_symbol(frame):
        part = volume[rows]
        traded = part > 0
        if traded.sum() < SPIKE_BARS:
            continue
        logs = np.full(len(part), np.nan)
        logs[traded] = np.log(part[traded])
        z = robust_z(logs)
        found.checked += int(traded.sum())
        for at in np.flatnonzero((z > VOLUME_Z) & (logs > np.nanmedian(logs))):
            found.failed += 1
            found.rows.append((symbol, times[rows][at], 1, f"volume {part[at]:g} is {part[at] / np.nanmedian(part):.0f} times the median"))
    return found


def taker_within_volume(frame: pd.DataFrame, timeframe: str) -> Finding:
    """Bars whose taker buys exceed the volume by more than rounding (1e-9 of it)."""
    if "taker_buy_volume" not in frame.columns:
        return Finding(0, 0, [])
    taker, volume = frame["taker_buy_volume"].to_numpy(dtype=np.float64), frame["volume"].to_numpy(dtype=np.float64)
    times = times_of(frame)
    broken = np.flatnonzero(taker > volume * (1 + 1e-9))
    names = frame["symbol"].to_numpy(dtype=object)
    rows = [(str(names[at]), times[at], 1, f"taker buys {taker[at]:g} of volume {volume[at]:g}") for at in broken[:_RUNS_LISTED]]
    return Finding(int(np.isfinite(taker).sum()), len(broken), rows)


def cross_timeframe(frame: pd.DataFrame, timeframe: str, finer: pd.DataFrame, finer_timeframe: str) -> Finding:
    """Bars that differ from what complete windows of finer bars make: prices at all, volume by more than 1e-6 of it.

    `finer` are clean rows of a timeframe that fills this one; windows with a missing finer bar compare nothing.
    """
    made = Bars.from_frame(finer, finer_timeframe).resample(timeframe).to_frame()
    both = frame.merge(made, on=["symbol", "ts"], suffixes=("", "_made"))
    broken = np.zeros(len(both), dtype=bool)
    which = np.full(len(both), "", dtype=object)
    for name in REQUIRED:
        given, built = both[name].to_numpy(), both[f"{name}_made"].to_numpy()
        differ = given != built if name in PRICES else ~np.isclose(given, built, rtol=1e-6, atol=1e-9)
        which[differ & ~broken] = name
        broken |= differ
    times = times_of(both) if len(both) else np.empty(0, dtype="datetime64[ns]")
    rows = []
    for at in np.flatnonzero(broken)[:_RUNS_LISTED]:
        name = which[at]
        rows.append(
            (
                str(both["symbol"].iloc[at]),
                times[at],
                1,
                f"{name} {both[name].iloc[at]:g}, from {finer_timeframe} bars {both[f'{name}_made'].iloc[at]:g}",
            )
        )
    return Finding(len(both), int(broken.sum()), rows)
