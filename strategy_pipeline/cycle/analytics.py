"""Stages of the analytics group: rankings and the day's report."""

from __future__ import annotations

import datetime as dt

from strategy_pipeline.cycle.report import StageReport
from strategy_pipeline.cycle.workspace import Workspace


def asset_ranking(workspace: Workspace, day: dt.date) -> StageReport:
    """The day's ranking."""
    raise SystemExit


strategy_ranking = performance_report = asset_ranking
