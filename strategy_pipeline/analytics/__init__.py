"""What a day came to, for people: rankings, attribution, regimes, correlation, the report.

What belongs here: tables and one HTML page made from results that others computed. What does not:
decisions (`selection/`, `book/`, `risk/`), reading the lake, or anything that a stage of the day takes as
input. Everything takes plain frames and arrays and knows no Dagster.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from strategy_pipeline.analytics.assets import asset_ranking
    from strategy_pipeline.analytics.dependence import correlation
    from strategy_pipeline.analytics.leaderboard import LEADERBOARD_COLUMNS, strategy_ranking
    from strategy_pipeline.analytics.pnl import Attribution, attribution
    from strategy_pipeline.analytics.regimes import regime_performance
    from strategy_pipeline.analytics.report import ReportInputs, performance_report

_HOMES = {
    "asset_ranking": "assets",
    "Attribution": "pnl",
    "attribution": "pnl",
    "correlation": "dependence",
    "regime_performance": "regimes",
    "ReportInputs": "report",
    "performance_report": "report",
    "LEADERBOARD_COLUMNS": "leaderboard",
    "strategy_ranking": "leaderboard",
}

__all__ = [
    "LEADERBOARD_COLUMNS",
    "Attribution",
    "ReportInputs",
    "asset_ranking",
    "attribution",
    "correlation",
    "performance_report",
    "regime_performance",
    "strategy_ranking",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
