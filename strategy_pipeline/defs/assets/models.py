"""Models, keyed by cutoff day: trained on data strictly before it. One training at a time."""

from strategy_pipeline.defs.materialize import stage_asset

POOL = "training"

regime_model = stage_asset("regime_model", pool=POOL)
volatility_models = stage_asset("volatility_models", pool=POOL)
forecaster = stage_asset("forecaster", pool=POOL)
rl_agents = stage_asset("rl_agents", pool=POOL)

ASSETS = [regime_model, volatility_models, forecaster, rl_agents]
