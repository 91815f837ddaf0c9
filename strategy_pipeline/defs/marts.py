"""dbt marts over the lake: for people and BI; the library reads the lake, never a mart.

Unpartitioned: one build serves however many days an invocation ran. Each universe has its own DuckDB file
beside its lake.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DbtCliResource, DbtProject, dbt_assets

from strategy_pipeline.cycle import StageReport
from strategy_pipeline.defs.materialize import OWNERS
from strategy_pipeline.defs.resources import WorkspaceResource

PROJECT = DbtProject(project_dir=Path(__file__).resolve().parents[2] / "dbt", profiles_dir=Path(__file__).resolve().parents[2] / "dbt")


class _Dbt(DbtCliResource):
    """dbt in a process of its own, and only there.

    dagster-dbt would load dbt's adapter, and with it DuckDB, into this process as well, to fetch row counts
    that nobody asked for: three seconds, and a page of complaints about leaks when the process ends.
    """

    def _initialize_dbt_core_adapter(self, args: Sequence[str]) -> Any:
        return None


def dbt_resource() -> DbtCliResource:
    """The dbt of this Python's environment, which need not be on PATH."""
    own = Path(sys.executable).with_name("dbt")
    return _Dbt(project_dir=PROJECT, dbt_executable=str(own) if own.exists() else "dbt")


def _prepared_manifest() -> Path:
    """The project's manifest, parsed when it is missing or older than what it was made from."""
    manifest = Path(PROJECT.manifest_path)
    sources = [path for path in PROJECT.project_dir.rglob("*") if path.suffix in (".sql", ".yml") and "target" not in path.parts]
    if not manifest.exists() or manifest.stat().st_mtime < max(path.stat().st_mtime for path in sources):
        dbt_resource().cli(["parse", "--quiet"], target_path=Path(PROJECT.project_dir) / PROJECT.target_path).wait()
    return manifest


class _Translator(DagsterDbtTranslator):
    """Marts belong to the analytics group and have its owners."""

    def get_asset_spec(self, manifest: Any, unique_id: str, project: Any) -> dg.AssetSpec:
        spec = super().get_asset_spec(manifest, unique_id, project)
        return spec.replace_attributes(group_name="analytics", owners=OWNERS)


@dbt_assets(manifest=_prepared_manifest(), name="dbt_marts", pool="marts", dagster_dbt_translator=_Translator())
def marts(context: dg.AssetExecutionContext, dbt: DbtCliResource, pipeline: WorkspaceResource) -> Iterator[Any]:
    workspace = pipeline.workspace
    variables = {
        "STRATEGY_MARTS_LAKE": str(workspace.lake.url),
        "STRATEGY_MARTS_DATABASE": str((workspace.folder / "marts.duckdb").resolve()),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DO_NOT_TRACK": "1",
    }
    with _environment(variables):  # dbt reads them from the process it is started from
        folder = workspace.folder.resolve() / "dbt"
        folder.mkdir(parents=True, exist_ok=True)
        workspace.observer("marts", "start", None)
        yield from dbt.cli(["build", "--quiet"], context=context, target_path=folder).stream()
        workspace.observer("marts", "done", StageReport(variables["STRATEGY_MARTS_DATABASE"]))


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


marts_job = dg.define_asset_job("marts", selection=dg.AssetSelection.assets(marts), description="dbt marts over the lake.")
