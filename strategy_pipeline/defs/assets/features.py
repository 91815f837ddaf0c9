"""What models see: the day's feature matrices."""

from strategy_pipeline.defs.materialize import stage_asset

features = stage_asset("features")

ASSETS = [features]
