"""Limits, target weights, signals, and what was really filled."""

from strategy_pipeline.defs.materialize import RETRY_SOURCE, stage_asset

risk_limits = stage_asset("risk_limits")
portfolio = stage_asset("portfolio")
signals = stage_asset("signals")
executions = stage_asset("executions", retry=RETRY_SOURCE)
execution_quality = stage_asset("execution_quality")

ASSETS = [risk_limits, portfolio, signals, executions, execution_quality]
