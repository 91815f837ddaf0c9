"""The job that runs a whole day from the UI or the schedule: one op around `run_day`."""

import datetime as dt

import dagster as dg

from strategy_pipeline.defs.partitions import daily
from strategy_pipeline.defs.resources import WorkspaceResource
from strategy_pipeline.defs.run_day import run_day


@dg.op(description="ingest, retrain when due, daily, marts: each a run of its own, linked in this run's log")
def run_the_day(context: dg.OpExecutionContext, pipeline: WorkspaceResource) -> None:
    result = run_day(pipeline.settings, dt.date.fromisoformat(context.partition_key), instance=context.instance)
    for job, run_id in result.runs.items():
        context.log.info(f"{job}: run {run_id}")
    if result.stale_days:
        context.log.warning(f"later days built on what this day was before: {', '.join(map(str, result.stale_days))}")


@dg.job(partitions_def=daily, description="A whole day of the cycle; what `strategy-pipeline run` does.")
def learning_day() -> None:
    run_the_day()
