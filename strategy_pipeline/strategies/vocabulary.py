"""The words of the language: price fields, catalog indicators and named series, and how a call becomes a `Series`.

What does not belong here: the grammar (`parsing`), and what may be compared with what (`kinds`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from strategy_pipeline.errors import PipelineError, StrategyError, UnknownIndicatorError
from strategy_pipeline.indicators.expressions import ARITHMETIC, Series, Value
from strategy_pipeline.strategies.naming import PRICE_FIELDS, near

if TYPE_CHECKING:
    from strategy_pipeline.indicators.registry import Indicator

FUNCTIONS = tuple(name for name in ARITHMETIC if name.isalpha() and name != "neg")
CONDITION_FUNCTIONS = ("crosses_above", "crosses_below", "between")
CLOSE = Series("close")


# Prefixes of the named series the pipeline itself makes; others are accepted too, these are known to be no indicator.
SERIES_PREFIXES = frozenset({"forecast", "regime", "agent", "sentiment", "macro", "feature", "vote", "book", "familiar"})


def entry(name: str) -> Indicator | None:
    """The catalog entry of that name, or None."""
    if name in SERIES_PREFIXES or name in PRICE_FIELDS or "." in name:
        return None
    from strategy_pipeline.indicators.registry import spec

    try:
        return spec(name)
    except UnknownIndicatorError:
        return None


def words() -> tuple[str, ...]:
    """Every name a value can start with, named series aside."""
    from strategy_pipeline.indicators.registry import names

    return (*PRICE_FIELDS, *names(), *FUNCTIONS, *CONDITION_FUNCTIONS)


def signature(indicator: Indicator) -> str:
    """How a call is written: ``ema(series=close, length=30)``."""
    inputs = [f"{name}=close" if name == "series" else name for name in indicator.expression_inputs]
    return f"{indicator.name}({', '.join([*inputs, *(f'{p.name}={p.default:g}' for p in indicator.params)])})"


def call(name: str, inputs: Sequence[Value] = (), numbers: Sequence[float] = (), keywords: Mapping[str, float] | None = None,
         output: str | None = None, timeframe: str | None = None, symbol: str | None = None) -> Series:  # fmt: skip
    """The series of a call, every default filled in. StrategyError says what the call lacks or has too much.

    A first input that is left out is the close. `output` None chooses the first of several.
    """
    indicator = entry(name)
    if indicator is None:
        raise StrategyError(f"Expected a price field, an indicator of the catalog or a named series, was {name!r}{near(name, words())}.")
    wanted = indicator.expression_inputs
    if not inputs and wanted == ("series",):
        inputs = (CLOSE,)
    if len(inputs) != len(wanted):
        wants = f"{len(wanted)} series first ({', '.join(wanted)})" if wanted else "no series: it reads whole bars"
        raise StrategyError(f"Expected {wants} in {name}, was {len(inputs)}; write {signature(indicator)}.")
    known = tuple(parameter.name for parameter in indicator.params)
    if len(numbers) > len(known):
        raise StrategyError(f"Expected at most {len(known)} parameters in {name}, was {len(numbers)}; write {signature(indicator)}.")
    given: dict[str, float] = dict(zip(known, numbers, strict=False))
    for keyword, number in (keywords or {}).items():
        if keyword not in known:
            raise StrategyError(f"Expected a parameter of {name}, was {keyword!r}{near(keyword, known)}; write {signature(indicator)}.")
        if keyword in given:
            raise StrategyError(f"Expected {keyword} of {name} once, was given twice.")
        given[keyword] = number
    try:
        params = tuple(float(parameter.accept(name, given.get(parameter.name, parameter.default))) for parameter in indicator.params)
        if output is not None:
            indicator.output(output)
    except PipelineError as error:
        raise StrategyError(str(error)) from None
    several = len(indicator.outputs) > 1
    chosen = (output or indicator.output_names[0]) if several else None
    return Series(name, tuple(inputs), params, chosen, timeframe, symbol)


def problems_of_series(series: Series) -> list[str]:
    """What is wrong with a series of the catalog in itself: name, inputs, parameters, output (not its inputs')."""
    try:
        settled = call(series.name, series.inputs, series.params, None, series.output)
    except StrategyError as error:
        return [str(error)]
    if settled.params != series.params:
        return [f"Expected all {len(settled.params)} parameters of {series.name}, was {len(series.params)}."]
    return []
