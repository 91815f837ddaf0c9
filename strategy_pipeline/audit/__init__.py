"""Audits: proof, by recomputation, that nothing sees the future and that declared look-backs suffice.

What belongs here: running any named function of bars on truncated history and comparing with the full one. What does
not: the functions (indicators, features, forecasts), and statistical evidence (`selection/`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from strategy_pipeline.audit.lookahead import audit_lookahead
    from strategy_pipeline.audit.subjects import catalog_functions, feature_functions, left_out
    from strategy_pipeline.audit.warmup import audit_warmup

__all__ = ["audit_lookahead", "audit_warmup", "catalog_functions", "feature_functions", "left_out"]

_MODULE_OF = {
    "audit_lookahead": "lookahead",
    "audit_warmup": "warmup",
    "catalog_functions": "subjects",
    "feature_functions": "subjects",
    "left_out": "subjects",
}


def __getattr__(name: str) -> object:
    if name in _MODULE_OF:
        return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
