"""What the newest models with an earlier cutoff say of the day."""

from strategy_pipeline.defs.materialize import stage_asset

regimes = stage_asset("regimes")
forecasts = stage_asset("forecasts")
agent_actions = stage_asset("agent_actions")

ASSETS = [regimes, forecasts, agent_actions]
