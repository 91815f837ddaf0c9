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
    """How many bars exist (every input finite), where they are, and the inputs (n_bars,) on them, which nobody may write to."""
    from strategy_pipeline.indicators.kernels import placing

    stretches = [placing.finite_stretch(array) for array in inputs]
    first, stop = max(first for first, _ in stretches), min(stop for _, stop in stretches)
    where: slice | Array
    if stop >= 0:  # each is one unbroken stretch, the usual case, and so is what they have in common
        count = max(0, stop - first)
        where = slice(first, first + count)
    else:
        valid = np.isfinite(inputs[0])
        for array in inputs[1:]:
            valid &= np.isfinite(array)
        where = np.flatnonzero(valid)
        count = len(where)
    return count, where, [np.asarray(_Lent(np.ascontiguousarray(array[where]))) for array in inputs]


class _Lent:
    """An array as one that could be written to, so that kernels see one type and compile once, though those who are lent it do not."""

    __slots__ = ("__array_interface__", "_owner")

    def __init__(self, array: Array) -> None:
        self._owner = array
        self.__array_interface__ = {**array.__array_interface__, "data": (array.__array_interface__["data"][0], False)}


def fill_row(entry: Indicator, prepared: Prepared, parameters: dict[str, Any], lookback: int, outputs: Sequence[Array]) -> None:
    """Compute one symbol's row into `outputs`, each (n_bars,), written throughout: NaN where there is no value.

    The function gets C-contiguous float64 arrays of its own; entries that only read (the catalog's) get the shared ones.
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
