"""Writing value expressions in Python, and how much history they need.

What belongs here: `term`, which fills in a `Series` from the catalog, and look-back arithmetic over expressions.
What does not: text (`strategies/`) and evaluation (`bank`).
"""

from __future__ import annotations

from typing import cast

import numpy as np

from strategy_pipeline.indicators.bank import Bank
from strategy_pipeline.indicators.expressions import Arithmetic, Number, Series, Value
from strategy_pipeline.indicators.operations import known_at
from strategy_pipeline.indicators.registry import FIELDS, spec


def term(
    name: str, *inputs: Value, output: str | None = None, timeframe: str | None = None, symbol: str | None = None, **params: float
) -> Series:
    """An indicator as a value expression: ``term("ema", Series("close"), length=12)``.

    Parameters not given take their defaults; `series` defaults to the close. Errors as `spec` and `Param.accept` raise.
    """
    entry = spec(name)
    for key in params:
        entry.parameter(key)
    values = tuple(float(p.accept(name, params.get(p.name, p.default))) for p in entry.params)
    if output is not None:
        entry.output(output)
    if not inputs and entry.expression_inputs:
        inputs = (Series("close"),)
    return Series(name, tuple(inputs), values, output, timeframe, symbol)


def bars_needed(value: Value, timeframe: str) -> int:
    """Bars of `timeframe` that determine `value` at a bar, that bar included, where no bar is missing.

    The sum of warm-ups along the deepest path (named series count one bar: their history is their maker's).
    """
    if isinstance(value, Number):
        return 0
    if isinstance(value, Arithmetic):
        deepest = max(bars_needed(operand, timeframe) for operand in value.operands)
        if value.op in ("lag", "change"):
            return deepest + int(cast(Number, value.operands[1]).value)
        return deepest
    if value.timeframe is not None and value.timeframe != timeframe:
        from strategy_pipeline.market.timeframes import duration

        inner = Series(value.name, value.inputs, value.params, value.output, None, value.symbol)
        ratio = int(np.ceil(duration(value.timeframe) / duration(timeframe)))
        return (bars_needed(inner, value.timeframe) + 1) * ratio
    if value.name in FIELDS or "." in value.name:
        return 1
    entry = spec(value.name)
    inputs = value.inputs or (Number(0.0),)
    return max(1, entry.warmup(entry.values(value.params))) + max(max(bars_needed(operand, timeframe) - 1, 0) for operand in inputs)


def first_bar_needed(value: Value, bank: Bank, index: int) -> int:
    """Index of the earliest bar of `bank.bars` that `value` at bar `index`, or later, can depend on, gaps counted.

    Exact for windows, to the catalog's tolerance for recursions. Never before the first bar a symbol has.
    """
    if isinstance(value, Number) or index <= 0:
        return max(index, 0)
    if isinstance(value, Arithmetic):
        if value.op in ("lag", "change"):
            index = index - int(cast(Number, value.operands[1]).value)
        return min(first_bar_needed(operand, bank, index) for operand in value.operands)
    home, node = bank._route(value)
    if home is not bank and home.bars.timeframe != bank.bars.timeframe:
        at = int(known_at(np.asarray(home.bars.available_at), np.asarray(bank.bars.available_at[index : index + 1]))[0])
        if at < 0:
            return 0
        opens = home.bars.times[first_bar_needed(node, home, at)]
        return int(np.searchsorted(bank.bars.times, opens))
    if node.name in FIELDS or "." in node.name:
        return index
    node = home._canonical(node)
    entry = spec(node.name)
    back = max(1, entry.warmup(entry.values(node.params)))
    start = index
    for present in _joint_presence(node, home):
        if not present[index:].any():
            continue
        existing = np.flatnonzero(present[: index + 1])
        if len(existing):
            start = min(start, int(existing[max(0, len(existing) - back)]))
    return min([start, *(first_bar_needed(operand, home, start) for operand in node.inputs)])


def _joint_presence(node: Series, bank: Bank) -> np.ndarray:
    """Where an indicator's inputs can all exist: bool (rows, n_bars), other symbols that it reads included."""
    present = bank._present.copy()
    top = bank._parent or bank
    pending: list[Value] = list(node.inputs)
    while pending:
        value = pending.pop()
        if isinstance(value, Arithmetic):
            pending.extend(value.operands)
        elif isinstance(value, Series):
            if value.symbol is not None and value.timeframe in (None, bank.bars.timeframe):
                present &= top._present[top.bars.symbols.index(value.symbol)]
            pending.extend(value.inputs)
    return present
