"""What models see: point-in-time feature matrices.

What belongs here: named, versioned sets of features, the code that builds them from bars and observation tables
using only rows available by the close of each bar, and scaling fitted on training windows. What does not: formulas
of indicators (`indicators/`), labels and models (`forecasting/`), where matrices are kept (`store/`).
"""

from __future__ import annotations

from importlib import import_module

_HOME = {
    "FEATURE_SETS": "sets",
    "Feature": "sets",
    "FeatureSet": "sets",
    "FeatureMatrix": "matrix",
    "RankScaler": "scaling",
    "RobustScaler": "scaling",
    "UnknownFeatureSetError": "sets",
    "build": "building",
    "score_text": "sentiment",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> object:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
