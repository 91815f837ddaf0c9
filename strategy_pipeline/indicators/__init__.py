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

_HOME = {
    "Number": "expressions",
    "Series": "expressions",
    "Arithmetic": "expressions",
    "Value": "expressions",
    "ARITHMETIC": "expressions",
    "Indicator": "registry",
    "IndicatorParameterError": "registry",
    "Output": "registry",
    "Param": "registry",
    "UNITS": "registry",
    "catalog": "registry",
    "indicator": "registry",
    "names": "registry",
    "spec": "registry",
    "Bank": "bank",
    "UnknownSeriesError": "bank",
    "compute": "bank",
    "bars_needed": "terms",
    "first_bar_needed": "terms",
    "term": "terms",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> object:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
