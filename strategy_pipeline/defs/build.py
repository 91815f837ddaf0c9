"""All definitions together. `build_defs` makes fresh ones, so that a test or a run can bring its own resources."""

from __future__ import annotations

from typing import Any

import dagster as dg

from strategy_pipeline.defs import assets, checks
from strategy_pipeline.defs.ingest import ingest
from strategy_pipeline.defs.jobs import daily_job, retrain
from strategy_pipeline.defs.learning_day import learning_day
from strategy_pipeline.defs.marts import dbt_resource, marts, marts_job
from strategy_pipeline.defs.resources import WorkspaceResource
from strategy_pipeline.defs.schedules import daily_cycle
from strategy_pipeline.defs.sensors import models_too_old


def build_defs(*, resource_overrides: dict[str, Any] | None = None) -> dg.Definitions:
    """Fresh definitions; tests and `run_day` replace resources by name (`pipeline`, `dbt`)."""
    resources: dict[str, Any] = {"pipeline": WorkspaceResource(), "dbt": dbt_resource()}
    return dg.Definitions(
        assets=[*assets.ALL, marts],
        asset_checks=checks.ALL,
        jobs=[learning_day, ingest, retrain, daily_job, marts_job],
        schedules=[daily_cycle],
        sensors=[models_too_old],
        resources={**resources, **(resource_overrides or {})},
        executor=dg.in_process_executor,  # the multiprocess one spends three seconds a step and re-imports everything
    )
