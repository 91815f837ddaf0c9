"""Families: one indicator asked at many lengths, computed together in one pass over its input.

What belongs here: which entries have such a pass, and bringing it to a symbol's row. What does not: the loops
(`kernels.families`, `kernels.spreads`) and when a family is worth it (`bank`).

An entry computed in its family has the same bytes as alone, so results never depend on what else was asked. TA-Lib
computes these entries alone; that the loops repeat it bit by bit is verified once a process, and where its library
rounds otherwise (another version, another processor) they are simply computed one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module

import numpy as np

from strategy_pipeline.indicators.rows import Prepared

Array = np.ndarray
SMALLEST = 4  # lengths from which one pass is faster than one call each
SIDE_BY_SIDE = 4  # lengths a loop takes
PARALLEL = 32  # lengths a shard takes, so that a family of hundreds still spreads over threads
EXTREMES = {"highest": True, "lowest": False}


@dataclass(frozen=True)
class Family:
    """TA-Lib's function of an entry, the loop that repeats it, and where its first value stands."""

    alone: str
    module: str
    loop: str
    stages: int = 1  # the first value is at index stages * (length - 1)
    safe: float = 1e290  # largest input whose sums cannot overflow


FAMILIES = {
    "sma": Family("SMA", "families", "sma"),
    "ema": Family("EMA", "families", "ema"),
    "wma": Family("WMA", "families", "wma"),
    "rma": Family("RMA", "families", "rma"),
    "dema": Family("DEMA", "families", "dema", 2),
    "tema": Family("TEMA", "families", "tema", 3),
    "variance": Family("VAR", "spreads", "variance", safe=1e140),
    "stddev": Family("STDDEV", "spreads", "deviation", safe=1e140),
}

NAMES = frozenset((*FAMILIES, *EXTREMES))


def has_family(name: str) -> bool:
    """Whether the catalog entry has a one-pass family (over its only parameter, `length`) that is right on this machine."""
    return name in EXTREMES or (name in FAMILIES and _same_bytes(name))


def fill_rows(name: str, prepared: Prepared, lengths: Sequence[int], rows: Sequence[Array]) -> None:
    """Compute one symbol's row at every length into `rows`, each (n_bars,), written throughout.

    `lengths` ascend and are at least 2. Values are as `rows.fill_row` would place them.
    """
    count, where, (x,) = prepared
    if isinstance(where, slice):
        for row in rows:
            row[: where.start] = np.nan
            row[where.stop :] = np.nan
        _compute(name, x, lengths, [row[where] for row in rows])
        return
    dense = [np.empty(count) for _ in range(min(SIDE_BY_SIDE, len(rows)))]
    for first in range(0, len(rows), SIDE_BY_SIDE):
        part = rows[first : first + SIDE_BY_SIDE]
        _compute(name, x, lengths[first : first + SIDE_BY_SIDE], dense[: len(part)])
        for row, values in zip(part, dense, strict=False):
            row[:] = np.nan
            row[where] = values


def _compute(name: str, x: Array, lengths: Sequence[int], rows: Sequence[Array]) -> None:
    stages = FAMILIES[name].stages if name in FAMILIES else 1
    fits = sum(stages * (length - 1) < len(x) for length in lengths)
    for row in rows[fits:]:
        row[:] = np.nan
    if fits == 0:
        return
    usable = [int(length) for length in lengths[:fits]]
    if name in EXTREMES:
        _extremes(x, usable, rows, EXTREMES[name])
    else:
        family = FAMILIES[name]
        _side_by_side(_loop(name), x, usable, rows)
        if not float(np.abs(x).max()) < family.safe:
            for row in rows[:fits]:
                row[~np.isfinite(row)] = np.nan


def _side_by_side(loop: Callable[..., None], x: Array, lengths: Sequence[int], rows: Sequence[Array]) -> None:
    """Four lengths a call; a last group of fewer repeats its longest into rows nobody reads."""
    for first in range(0, len(lengths), SIDE_BY_SIDE):
        part = list(lengths[first : first + SIDE_BY_SIDE])
        targets = list(rows[first : first + len(part)])
        while len(part) < SIDE_BY_SIDE:
            part.append(part[-1])
            targets.append(np.empty(len(x)))
        loop(x, np.array(part, dtype=np.int64), *targets)


def _extremes(x: Array, lengths: Sequence[int], rows: Sequence[Array], highest: bool) -> None:
    """Windows of any length are two overlapping ones of a power of two, and those are doubled one from another."""
    from strategy_pipeline.indicators.kernels import spreads

    table, width = x, 1
    for length, row in zip(lengths, rows, strict=False):
        while 2 * width <= length:
            table, width = spreads.doubled(table, width, highest), 2 * width
        spreads.covered(table, width, length, highest, row)


def _loop(name: str) -> Callable[..., None]:
    family = FAMILIES[name]
    loop: Callable[..., None] = getattr(import_module(f"strategy_pipeline.indicators.kernels.{family.module}"), family.loop)
    return loop


@cache
def _same_bytes(name: str) -> bool:
    """Whether the loop repeats the installed TA-Lib bit by bit: where it rounds at every step, and where sums start afresh."""
    import talib

    x = 100.0 * np.exp(np.cumsum(np.sin(np.arange(1.0, 1200.0) ** 2) * 0.01))
    x[500] = 1e6  # an outlier, and a stretch without variance
    x[800:900] = 50.0
    lengths = (2, 3, 14, 30, 57, 100)
    rows = [np.empty(len(x)) for _ in lengths]
    _side_by_side(_loop(name), x, lengths, rows)
    alone = getattr(talib, FAMILIES[name].alone)
    return all(np.array_equal(row, alone(x, length), equal_nan=True) for length, row in zip(lengths, rows, strict=True))
