"""History as one range: what a fresh home needs before its first day."""

import datetime as dt

import dagster as dg

from strategy_pipeline.cycle import ingest_history
from strategy_pipeline.defs.materialize import metadata_of
from strategy_pipeline.defs.partitions import daily
from strategy_pipeline.defs.resources import WorkspaceResource


@dg.op(description="Fetch, check and store every missing day from the start of history to the day before this one.")
def fetch_history(context: dg.OpExecutionContext, pipeline: WorkspaceResource) -> None:
    day = dt.date.fromisoformat(context.partition_key)
    for name, report in ingest_history(pipeline.workspace, day).items():
        context.log_event(dg.AssetObservation(asset_key=name, partition=day.isoformat(), metadata=metadata_of(report)))


@dg.job(partitions_def=daily, description="Load the history before a day as one range.")
def ingest() -> None:
    fetch_history()
