"""Sensors: what asks for work outside the schedule."""

import datetime as dt

import dagster as dg

from strategy_pipeline.defs.jobs import retrain
from strategy_pipeline.defs.resources import WorkspaceResource


@dg.sensor(
    job=retrain,
    minimum_interval_seconds=600,
    description="Asks for a training when the newest model is older than the profile allows on the newest day there is.",
)
def models_too_old(context: dg.SensorEvaluationContext, pipeline: WorkspaceResource) -> dg.RunRequest | dg.SkipReason:
    workspace = pipeline.workspace
    newest = workspace.newest_day("bars")
    if newest is None:
        return dg.SkipReason("no bars yet: run a day first")
    cutoff = newest + dt.timedelta(days=1)
    if not workspace.models_due(cutoff):
        return dg.SkipReason(f"the newest models are young enough for {cutoff}")
    # One request a cutoff: a repeated tick with the same run key starts nothing.
    return dg.RunRequest(run_key=f"retrain-{cutoff}", partition_key=cutoff.isoformat())
