"""The assets, one module a group, in the order data flows. Each is a stage of `strategy_pipeline.cycle`."""

from __future__ import annotations

from strategy_pipeline.defs.assets import analytics, features, market, models, portfolio, predictions, strategies

GROUPS = (market, features, models, predictions, strategies, portfolio, analytics)
ALL = [asset for group in GROUPS for asset in group.ASSETS]
