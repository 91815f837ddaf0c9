"""From a stage to an asset: the only place where a stage's report becomes Dagster metadata."""

import datetime as dt
from typing import Any

import dagster as dg
import pandas as pd

from strategy_pipeline.cycle import STAGES, StageReport, run_stage
from strategy_pipeline.defs.partitions import daily, newest_within, previous_day
from strategy_pipeline.defs.resources import WorkspaceResource
from strategy_pipeline.errors import PipelineError

OWNERS = ["team:research"]
RETRY_SOURCE = dg.RetryPolicy(max_retries=3, delay=2, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)
MODELS_WITHIN = 31  # days of lineage shown from a prediction back to the model runs it may have used


def stage_asset(name: str, *, retry: dg.RetryPolicy | None = None, pool: str | None = None) -> dg.AssetsDefinition:
    """The asset of the stage called `name`: same name, group, description and inputs."""
    stage = STAGES[name]

    @dg.asset(
        name=name,
        group_name=stage.group,
        description=stage.description,
        deps=[_dependency(upstream, stage.job) for upstream in stage.inputs] + ([_own_yesterday(name)] if stage.needs_yesterday else []),
        partitions_def=daily,
        kinds=set(stage.kinds),
        owners=OWNERS,
        tags={"job": stage.job},
        retry_policy=retry,
        pool=pool,
    )
    def asset(context: dg.AssetExecutionContext, pipeline: WorkspaceResource) -> dg.MaterializeResult:
        day = dt.date.fromisoformat(context.partition_key)
        try:
            report = run_stage(pipeline.workspace, name, day)
        except PipelineError as error:  # a cause with a remedy: another try would end the same way
            raise dg.Failure(description=str(error), allow_retries=retry is not None and error.transient) from error
        return dg.MaterializeResult(metadata=metadata_of(report))

    return asset


def metadata_of(report: StageReport) -> dict[str, Any]:
    """The report as Dagster metadata: summary, facts, sparkline, table, and each file with its hash."""
    metadata: dict[str, Any] = {"summary": dg.MarkdownMetadataValue(report.summary), **report.facts}
    if report.sparkline:
        metadata["sparkline"] = dg.MarkdownMetadataValue(f"`{report.sparkline}`")
    if report.table is not None and len(report.table):
        metadata["table"] = dg.MarkdownMetadataValue(_markdown(report.table.head(20)))
    if report.artifacts:
        rows = [{"file": a.path, "rows": a.rows, "sha256": a.sha256[:16]} for a in report.artifacts]
        metadata["files"] = dg.MarkdownMetadataValue(_markdown(pd.DataFrame(rows)))
        metadata["dagster/row_count"] = sum(a.rows or 0 for a in report.artifacts)
    return metadata


def _markdown(frame: pd.DataFrame) -> str:
    def cell(value: object) -> str:
        text = f"{value:.4g}" if isinstance(value, float) else str(value)
        return text.replace("|", "\\|").replace("\n", " ")

    lines = ["| " + " | ".join(map(str, frame.columns)) + " |", "|" + " --- |" * len(frame.columns)]
    lines += ["| " + " | ".join(cell(v) for v in row) + " |" for row in frame.itertuples(index=False)]
    return "\n".join(lines)


def _dependency(upstream: str, job: str) -> dg.AssetDep:
    if job == "retrain":  # trained on data strictly before the cutoff day
        return dg.AssetDep(upstream, partition_mapping=previous_day)
    if STAGES[upstream].job == "retrain":
        return dg.AssetDep(upstream, partition_mapping=newest_within(MODELS_WITHIN))
    return dg.AssetDep(upstream)


def _own_yesterday(name: str) -> dg.AssetDep:
    return dg.AssetDep(name, partition_mapping=previous_day)
