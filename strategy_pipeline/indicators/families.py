"""Families: one indicator asked at many lengths, computed together in one pass over its input.

What belongs here: which entries have such a pass, and bringing it to a symbol's row. What does not: the loops
(`kernels.families`) and when a family is worth it (`bank`).

An entry computed in its family has the same bytes as alone, so results never depend on what else was asked. For
averages, which TA-Lib computes alone, that is verified once a process; where its library rounds otherwise (another
build, another processor) they are simply computed one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from strategy_pipeline.indicators.rows import Prepared

Array = np.ndarray
SMALLEST = 4  # lengths from which one pass is faster than one call each
EXTREMES = {"highest": 1.0, "lowest": -1.0}
AVERAGES = ("sma", "ema")
PARALLEL = 32  # lengths a shard takes, so that a family of hundreds still spreads over threads


def has_family(name: str) -> bool:
    """Whether the catalog entry has a one-pass family (over its only parameter, `length`)."""
    return name in EXTREMES or (name in AVERAGES and _same_bytes(name))


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
    dense = np.empty(count)
    for length, row in zip(lengths, rows, strict=True):
        row[:] = np.nan
        _compute(name, x, [length], [dense])
        row[where] = dense


def _compute(name: str, x: Array, lengths: Sequence[int], rows: Sequence[Array]) -> None:
    fits = [k for k, length in enumerate(lengths) if length <= len(x)]
    for k in range(len(fits), len(lengths)):
        rows[k][:] = np.nan
    if not fits:
        return
    usable = [int(lengths[k]) for k in fits]
    if name in EXTREMES:
        _extremes(x, usable, rows, EXTREMES[name])
    else:
        _averages(_loop(name), x, usable, rows)


def _averages(loop: Callable[..., None], x: Array, lengths: Sequence[int], rows: Sequence[Array]) -> None:
    """Four lengths a call; a last group of fewer repeats its longest into rows nobody reads."""
    for first in range(0, len(lengths), 4):
        part = list(lengths[first : first + 4])
        targets = list(rows[first : first + len(part)])
        while len(part) < 4:
            part.append(part[-1])
            targets.append(np.empty(len(x)))
        loop(x, np.array(part, dtype=np.int64), *targets)
    if not float(np.abs(x).max()) < 1e290:  # sums may have run over
        for row in rows:
            row[~np.isfinite(row)] = np.nan


def _extremes(x: Array, lengths: Sequence[int], rows: Sequence[Array], sign: float) -> None:
    """Windows of any length are two overlapping ones of a power of two, and those are doubled one from another."""
    from strategy_pipeline.indicators.kernels import families

    table, width = x, 1
    for length, row in zip(lengths, rows, strict=False):
        while 2 * width <= length:
            table, width = families.doubled(table, width, sign), 2 * width
        families.covered(table, width, length, sign, row)


def _loop(name: str) -> Callable[..., None]:
    from strategy_pipeline.indicators.kernels import families

    return {"sma": families.sma, "ema": families.ema}[name]


@cache
def _same_bytes(name: str) -> bool:
    """Whether the family repeats the installed TA-Lib bit by bit, on a series that rounds at every step."""
    import talib

    x = 100.0 * np.exp(np.cumsum(np.sin(np.arange(1.0, 400.0) ** 2) * 0.01))
    lengths = (2, 3, 14, 30, 57, 100)
    rows = [np.empty(len(x)) for _ in lengths]
    _averages(_loop(name), x, lengths, rows)
    alone = {"sma": talib.SMA, "ema": talib.EMA}[name]
    return all(np.array_equal(row, alone(x, length), equal_nan=True) for length, row in zip(lengths, rows, strict=True))
