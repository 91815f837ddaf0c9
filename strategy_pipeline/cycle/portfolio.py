"""Stages of the portfolio group: limits, target weights, signals, and what was really filled."""

from __future__ import annotations

import datetime as dt

import pandas as pd

from strategy_pipeline.cycle.report import StageReport
from strategy_pipeline.cycle.workspace import Workspace


def risk_limits(workspace: Workspace, day: dt.date) -> StageReport:
    """The day's limits."""
    raise SystemExit


portfolio = signals = executions = execution_quality = risk_limits
_ = pd
