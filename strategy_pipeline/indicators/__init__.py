"""The catalog of indicators, and the bank that computes each distinct series once.

What belongs here: what an indicator is (`Indicator`, registered with `indicator`), every entry of the
catalog (`definitions/`, their compiled loops in `kernels/`), value expressions, and the bank that evaluates
them. What does not: comparisons and rules (`strategies/`), model inputs (`features/`), and anything fitted.

The gap rule, one for all entries: a bar where any input is missing (NaN or infinite) does not exist for the
indicator. It is computed on the bars that remain, so a length counts bars that exist, and its value at the
missing bar is NaN. Values before the first full window are NaN, never zero; infinite results are NaN.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from strategy_pipeline.indicators.expressions import ARITHMETIC, Arithmetic, Number, Series, Value

if TYPE_CHECKING:
    from strategy_pipeline.indicators.bank import Bank, UnknownSeriesError
    from strategy_pipeline.indicators.disk import SeriesCache
    from strategy_pipeline.indicators.named import book_series, macro_series
    from strategy_pipeline.indicators.registry import (
        UNITS,
        Indicator,
        IndicatorParameterError,
        Output,
        Param,
        catalog,
        indicator,
        length,
        names,
        spec,
    )  # fmt: skip
    from strategy_pipeline.indicators.single import compute
    from strategy_pipeline.indicators.terms import bars_needed, first_bar_needed, term

__all__ = [
    "ARITHMETIC", "UNITS", "Arithmetic", "Bank", "Indicator", "IndicatorParameterError", "Number", "Output", "Param",
    "Series", "SeriesCache", "UnknownSeriesError", "Value", "bars_needed", "book_series", "catalog", "compute", "first_bar_needed",
    "indicator", "length", "macro_series", "names", "spec", "term",
]  # fmt: skip

# Expressions cost nothing to import; the catalog brings TA-Lib and numba and waits until it is asked for.
_HOME = {
    "registry": ("UNITS", "Indicator", "IndicatorParameterError", "Output", "Param", "catalog", "indicator", "length", "names", "spec"),
    "bank": ("Bank", "UnknownSeriesError"),
    "single": ("compute",),
    "disk": ("SeriesCache",),
    "named": ("book_series", "macro_series"),
    "terms": ("bars_needed", "first_bar_needed", "term"),
}
_MODULE_OF = {name: module for module, exported in _HOME.items() for name in exported}


def __getattr__(name: str) -> object:
    if name in _MODULE_OF:
        return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
