"""Rankings and the day's report."""

from strategy_pipeline.defs.materialize import stage_asset

asset_ranking = stage_asset("asset_ranking")
strategy_ranking = stage_asset("strategy_ranking")
performance_report = stage_asset("performance_report")

ASSETS = [asset_ranking, strategy_ranking, performance_report]
