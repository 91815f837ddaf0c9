"""One day of the world: bars, news, macro series, fundamentals. Idempotent; retried, for sources are busy."""

from strategy_pipeline.defs.materialize import RETRY_SOURCE, stage_asset

POOL = "market_source"  # limits calls to one exchange at a time

bars = stage_asset("bars", retry=RETRY_SOURCE, pool=POOL)
news = stage_asset("news", retry=RETRY_SOURCE, pool=POOL)
macro = stage_asset("macro", retry=RETRY_SOURCE, pool=POOL)
fundamentals = stage_asset("fundamentals", retry=RETRY_SOURCE, pool=POOL)

ASSETS = [bars, news, macro, fundamentals]
