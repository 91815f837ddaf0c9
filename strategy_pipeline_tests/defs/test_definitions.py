"""The graph that Dagster sees: every product of the design, one partitions definition, owners, order, automation."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from strategy_pipeline.cycle import CHECKS, STAGES
from strategy_pipeline.definitions import build_defs
from strategy_pipeline.defs.partitions import daily
from strategy_pipeline.defs.resources import WorkspaceResource

DESIGNED = {
    "bars", "news", "macro", "fundamentals", "features", "regime_model", "volatility_models", "forecaster", "rl_agents", "regimes",
    "forecasts", "agent_actions", "strategy_population", "backtests", "optimization_results", "evidence", "performance_review",
    "strategy_book", "asset_ranking", "strategy_ranking", "risk_limits", "portfolio", "signals", "executions", "execution_quality",
    "performance_report",
}  # fmt: skip
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    return build_defs()


@pytest.fixture(scope="module")
def graph(definitions: dg.Definitions):
    return definitions.resolve_asset_graph()


def test_every_product_of_the_design_is_an_asset(graph) -> None:
    names = {key.to_user_string() for key in graph.materializable_asset_keys}
    assert names >= DESIGNED
    assert set(STAGES) == DESIGNED


def test_partitioned_assets_share_one_daily_definition(graph) -> None:
    for name in DESIGNED:
        assert graph.get(dg.AssetKey(name)).partitions_def == daily


def test_each_asset_has_an_owner_a_group_a_kind_and_a_description(graph) -> None:
    groups = {"market", "features", "models", "predictions", "strategies", "portfolio", "analytics"}
    for name in DESIGNED:
        node = graph.get(dg.AssetKey(name))
        assert node.owners == ["team:research"], name
        assert node.group_name in groups, name
        assert len(node.description or "") > 20, name
        assert node.kinds, name


def test_data_flows_through_the_groups_in_order_and_never_back(graph) -> None:
    order = ["market", "features", "models", "predictions", "strategies", "portfolio", "analytics"]
    for name in DESIGNED:
        node = graph.get(dg.AssetKey(name))
        for parent in node.parent_keys:
            assert order.index(graph.get(parent).group_name) <= order.index(node.group_name), (name, parent)


def test_the_book_depends_on_its_own_yesterday(graph) -> None:
    assert dg.AssetKey("strategy_book") in graph.get(dg.AssetKey("strategy_book")).parent_keys


def test_a_model_depends_on_the_day_before_its_cutoff(definitions: dg.Definitions) -> None:
    asset = definitions.resolve_assets_def("forecaster")
    mapping = asset.get_partition_mapping(dg.AssetKey("features"))
    assert mapping == dg.TimeWindowPartitionMapping(start_offset=-1, end_offset=-1)


def test_bars_have_blocking_quality_checks(graph) -> None:
    checks = {key.name: key for key in graph.asset_check_keys}
    assert set(checks) >= set(CHECKS)
    assert graph.get(checks["bars_are_sound"]).blocking
    assert graph.get(checks["few_rows_set_apart"]).blocking
    assert not graph.get(checks["bars_look_usual"]).blocking


@pytest.mark.parametrize("job", ["learning_day", "ingest", "retrain", "daily", "marts"])
def test_the_jobs_of_a_day_resolve(definitions: dg.Definitions, job: str) -> None:
    assert definitions.resolve_job_def(job).name == job


def test_the_schedule_asks_for_the_day_that_has_just_closed(definitions: dg.Definitions) -> None:
    schedule = definitions.resolve_schedule_def("daily_cycle")
    context = dg.build_schedule_context(
        scheduled_execution_time=dt.datetime(2025, 6, 30, 0, 10, tzinfo=dt.UTC), repository_def=definitions.get_repository_def()
    )
    request = schedule.evaluate_tick(context).run_requests[0]
    assert request.partition_key == "2025-06-29"
    assert request.run_key == "2025-06-29"


def test_the_sensor_waits_for_bars_before_it_asks_for_models(definitions: dg.Definitions, tmp_path: Path) -> None:
    sensor = definitions.resolve_sensor_def("models_too_old")
    resource = WorkspaceResource(settings_json='{"profile": "tiny", "home": "%s"}' % (tmp_path / "home"))
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(instance=instance, resources={"pipeline": resource})
        skipped = sensor(context)
    assert isinstance(skipped, dg.SkipReason)
    assert "no bars" in (skipped.skip_message or "")


def test_definitions_load_without_heavy_libraries() -> None:
    code = (
        "import sys, strategy_pipeline.definitions\n"
        "heavy = {'torch', 'mlflow', 'great_expectations', 'stable_baselines3', 'arch', 'ccxt', 'ray', 'sklearn', 'optuna', 'plotly'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_a_plain_dagster_deployment_loads_the_workspace_file() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dagster", "definitions", "validate", "-w", "workspace.yaml"],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
