"""Asset checks: the library's data-quality verdicts, shown and enforced by Dagster.

A blocking check stops everything downstream in its run. The stage's own record keeps the verdict too, so
that a later run does not build on a day that failed.
"""

import datetime as dt
import warnings

import dagster as dg

from strategy_pipeline.cycle import CHECKS, run_check
from strategy_pipeline.defs.partitions import daily
from strategy_pipeline.defs.resources import WorkspaceResource


def _check(name: str) -> dg.AssetChecksDefinition:
    check = CHECKS[name]

    @dg.asset_check(name=name, asset=check.asset, blocking=check.blocking, description=check.description, partitions_def=daily)
    def run(context: dg.AssetCheckExecutionContext, pipeline: WorkspaceResource) -> dg.AssetCheckResult:
        verdict = run_check(pipeline.workspace, name, dt.date.fromisoformat(context.partition_key))
        return dg.AssetCheckResult(
            passed=verdict.passed,
            severity=dg.AssetCheckSeverity.ERROR if check.blocking else dg.AssetCheckSeverity.WARN,
            description=verdict.summary,
            metadata=verdict.facts,
        )

    return run


with warnings.catch_warnings():
    warnings.simplefilter("ignore", dg.PreviewWarning)  # partitioned checks are in preview
    ALL = [_check(name) for name in CHECKS]
