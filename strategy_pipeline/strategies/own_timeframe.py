"""A suffix that names the strategy's own timeframe says nothing: ``close@1h`` on 1h is ``close``."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from strategy_pipeline.indicators.expressions import Series, Value
from strategy_pipeline.strategies.canonical import canonical_condition, canonical_value
from strategy_pipeline.strategies.conditions import Condition
from strategy_pipeline.strategies.traverse import map_series, map_values
from strategy_pipeline.strategies.writing import condition_text, value_text


@lru_cache(1 << 16)
def settled(condition: Condition, timeframe: str) -> Condition:
    """`condition` in canonical form, suffixes equal to `timeframe` taken off wherever it is the surrounding one."""
    condition = canonical_condition(condition)
    if f"@{timeframe}" not in condition_text(condition):
        return condition
    return canonical_condition(map_values(condition, lambda value: _off(value, timeframe)))


def value_without_own_timeframe(value: Value, timeframe: str) -> Value:
    """The same for a value expression."""
    return canonical_value(_off(value, timeframe)) if f"@{timeframe}" in value_text(value) else value


def _off(value: Value, around: str) -> Value:
    def change(series: Series) -> Series:
        inside = around if series.timeframe is None else series.timeframe
        inputs = tuple(_off(term, inside) for term in series.inputs)
        return replace(series, inputs=inputs, timeframe=None if series.timeframe == around else series.timeframe)

    return map_series(value, change)
