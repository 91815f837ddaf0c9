"""Audits: proof, by recomputation, that nothing sees the future, that declared look-backs suffice, and that luck is not promoted.

What belongs here: running any named function of bars on truncated history and comparing with the full one; running
search and selection on markets whose truth is known, and counting. What does not: the functions (indicators, features,
forecasts), and the rule that is audited (`selection/`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from strategy_pipeline.audit.journal import Journal, JournalError
    from strategy_pipeline.audit.lookahead import audit_lookahead
    from strategy_pipeline.audit.promotions import PromotionAudit, audit_promotions, check_promotions
    from strategy_pipeline.audit.scopes import audit_scope, pair_strategies, pair_world
    from strategy_pipeline.audit.subjects import catalog_functions, feature_functions, left_out
    from strategy_pipeline.audit.warmup import audit_warmup
    from strategy_pipeline.audit.worlds import World, forecast_like, leftovers, null_world, planted_world

__all__ = [
    "Journal",
    "JournalError",
    "PromotionAudit",
    "World",
    "audit_lookahead",
    "audit_promotions",
    "audit_scope",
    "audit_warmup",
    "catalog_functions",
    "check_promotions",
    "feature_functions",
    "forecast_like",
    "left_out",
    "leftovers",
    "null_world",
    "pair_strategies",
    "pair_world",
    "planted_world",
]

_MODULE_OF = {
    "Journal": "journal",
    "JournalError": "journal",
    "PromotionAudit": "promotions",
    "World": "worlds",
    "audit_promotions": "promotions",
    "check_promotions": "promotions",
    "audit_scope": "scopes",
    "pair_strategies": "scopes",
    "pair_world": "scopes",
    "forecast_like": "worlds",
    "leftovers": "worlds",
    "null_world": "worlds",
    "planted_world": "worlds",
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
