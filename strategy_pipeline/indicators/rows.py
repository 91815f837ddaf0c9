"""How one indicator meets one symbol's row: the gap rule.

A bar where any input is not finite does not exist for the indicator: it is computed on the bars that remain, and
its value at the missing bar is NaN. Values before the lookback and infinite results are NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from strategy_pipeline.indicators.registry import Indicator, IndicatorParameterError

Array = np.ndarray


# Existing bars of a row and its inputs on them, shared by every indicator of a run that reads the same arrays.
Prepared = tuple[int, "slice | Array", list[Array]]
Cache = dict[tuple[tuple[int, ...], int], Prepared]


def symbol_shards(
    entry: Indicator, inputs: Sequence[Array], parameters: dict[str, Any], lookback: int, outputs: tuple[Array, ...], cache: Cache
) -> list[Callable[[], None]]:
    """One closure a symbol; each writes its own row of `outputs` throughout, so order cannot matter.

    `cache` serves one run, while the arrays in it live; two threads may fill an entry, with the same content.
    """

    def shard(row: int) -> Callable[[], None]:
        return lambda: fill_row(entry, shared(inputs, row, cache), parameters, lookback, [output[row] for output in outputs])

    return [shard(row) for row in range(outputs[0].shape[0])]


def shared(inputs: Sequence[Array], row: int, cache: Cache) -> Prepared:
    """`prepare` of one symbol's row of the inputs, made once a run."""
    key = (tuple(id(array) for array in inputs), row)
    found = cache.get(key)
    if found is None:
        found = cache[key] = prepare([array[row] for array in inputs])
    return found


def universe_shard(entry: Indicator, inputs: Sequence[Array], parameters: dict[str, Any], outputs: tuple[Array, ...]) -> Callable[[], None]:
    """One closure for all symbols: the function sees arrays (n_symbols, n_bars) with their NaNs; `outputs` are written throughout."""

    def shard() -> None:
        for output, result in zip(
            outputs, _results(entry, [np.array(array) for array in inputs], parameters, outputs[0].shape), strict=True
        ):
            output[...] = np.where(np.isfinite(result), result, np.nan)

    return shard


def prepare(inputs: Sequence[Array]) -> Prepared:
    """How many bars exist (every input finite), where they are, and the inputs (n_bars,) on them, read-only."""
    valid = np.isfinite(inputs[0])
    for array in inputs[1:]:
        valid &= np.isfinite(array)
    count = int(np.count_nonzero(valid))
    first = int(np.argmax(valid))
    where: slice | Array
    if valid[first : first + count].all():  # one unbroken stretch, the usual case
        where = slice(first, first + count)
    else:
        where = np.flatnonzero(valid)
    pieces = [np.ascontiguousarray(array[where]).view() for array in inputs]
    for piece in pieces:
        piece.flags.writeable = False
    return count, where, pieces


def fill_row(entry: Indicator, prepared: Prepared, parameters: dict[str, Any], lookback: int, outputs: Sequence[Array]) -> None:
    """Compute one symbol's row into `outputs`, each (n_bars,), written throughout: NaN where there is no value.

    The function gets C-contiguous float64 arrays of its own; entries that only read (TA-Lib) get the shared ones.
    """
    from strategy_pipeline.indicators.kernels import placing

    count, where, pieces = prepared
    if count <= lookback or count == 0:
        for output in outputs:
            output[:] = np.nan
        return
    given = pieces if entry.borrows else [np.array(piece) for piece in pieces]
    for output, result in zip(outputs, _results(entry, given, parameters, (count,)), strict=True):
        if isinstance(where, slice):
            placing.place(result, lookback, where.start, output)
        else:
            placing.scatter(result, lookback, where, output)


def _results(entry: Indicator, inputs: list[Array], parameters: dict[str, Any], shape: tuple[int, ...]) -> list[Array]:
    with np.errstate(all="ignore"):
        result = entry.function(*inputs, **parameters)
    results = list(result) if isinstance(result, tuple) else [result]
    arrays = [each if _usable(each) else np.array(each, dtype=np.float64) for each in results]
    if len(arrays) != len(entry.outputs) or any(array.shape != shape for array in arrays):
        raise IndicatorParameterError(
            f"Expected {entry.name!r} to return {len(entry.outputs)} arrays of shape {shape}, was {[array.shape for array in arrays]}; "
            "its values cannot be placed; return one array per declared output."
        )
    return arrays


def _usable(values: Any) -> bool:
    return isinstance(values, np.ndarray) and values.dtype == np.float64 and values.flags.writeable
