"""Jobs. A day is `retrain` (when due), `daily`, `marts`, in this order; `learning_day` runs them as one."""

from __future__ import annotations

import dagster as dg

from strategy_pipeline.cycle import STAGES
from strategy_pipeline.defs.partitions import daily

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def _names(job: str) -> list[str]:
    return [name for name, stage in STAGES.items() if stage.job == job]


retrain = dg.define_asset_job(
    "retrain",
    selection=dg.AssetSelection.assets(*_names("retrain")),
    partitions_def=daily,
    description="Train the models whose cutoff is this day, on data strictly before it.",
)
daily_job = dg.define_asset_job(
    "daily",
    selection=dg.AssetSelection.assets(*_names("daily")),
    partitions_def=daily,
    description="One day of the cycle, from market data to the report.",
)
