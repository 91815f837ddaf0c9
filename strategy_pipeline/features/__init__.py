"""What models see: point-in-time feature matrices.

What belongs here: named, versioned sets of features, the code that builds them from bars and observation tables using
only rows available by the close of each bar, the sentiment of texts and whom they are about, scaling fitted on training
windows, drift between windows, and the gate that refuses rows unlike training. What does not: formulas of indicators
(`indicators/`), labels and models (`forecasting/`), where matrices are kept (`store/`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from strategy_pipeline.features.building import build
    from strategy_pipeline.features.describe import feature_table
    from strategy_pipeline.features.drift import DriftReference, DriftReport
    from strategy_pipeline.features.entities import EntityMatcher
    from strategy_pipeline.features.familiarity import Familiarity
    from strategy_pipeline.features.gate import DissimilarityGate
    from strategy_pipeline.features.matrix import FeatureMatrix
    from strategy_pipeline.features.scaling import RankScaler, RobustScaler
    from strategy_pipeline.features.sentiment import TextScorer, score_text, text_scorer
    from strategy_pipeline.features.sets import FEATURE_SETS, Feature, FeatureSet, UnknownFeatureSetError

__all__ = [
    "FEATURE_SETS", "DissimilarityGate", "DriftReference", "DriftReport", "EntityMatcher", "Familiarity", "Feature", "FeatureMatrix",
    "FeatureSet", "RankScaler", "RobustScaler", "TextScorer", "UnknownFeatureSetError", "build", "feature_table", "score_text",
    "text_scorer",
]  # fmt: skip

_HOME = {
    "building": ("build",),
    "describe": ("feature_table",),
    "drift": ("DriftReference", "DriftReport"),
    "entities": ("EntityMatcher",),
    "familiarity": ("Familiarity",),
    "gate": ("DissimilarityGate",),
    "matrix": ("FeatureMatrix",),
    "scaling": ("RankScaler", "RobustScaler"),
    "sentiment": ("TextScorer", "score_text", "text_scorer"),
    "sets": ("FEATURE_SETS", "Feature", "FeatureSet", "UnknownFeatureSetError"),
}
_MODULE_OF = {name: module for module, exported in _HOME.items() for name in exported}


def __getattr__(name: str) -> object:
    if name in _MODULE_OF:
        return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
