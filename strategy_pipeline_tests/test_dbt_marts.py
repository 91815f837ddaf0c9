"""The dbt project builds its marts from a lake, in this process and as a command, and its tests catch bad rows."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from strategy_pipeline.analytics import strategy_ranking
from strategy_pipeline.store import Lake

PROJECT = Path(__file__).resolve().parent.parent / "dbt"
COLUMNS = ["strategy_id", "family", "text", "trades", "train_sharpe"]


def write_day(lake: Lake, day: str, rows: list[tuple[str, float, str]]) -> None:
    """A leaderboard of (strategy id, training Sharpe, state)."""
    metrics = pd.DataFrame([(id, "momentum", f"momentum on {id}", 12, sharpe) for id, sharpe, _ in rows], columns=COLUMNS)
    frame = strategy_ranking(metrics, pd.DataFrame(), day=dt.date.fromisoformat(day), states={id: state for id, _, state in rows})
    lake.write(f"leaderboard/date={day}.parquet", frame)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project, so that a test leaves nothing in the repository."""
    folder = tmp_path / "dbt"
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns("target", "logs"))
    lake = Lake(tmp_path / "lake")
    write_day(lake, "2025-06-28", [("aaa", 2.0, "candidate"), ("bbb", 1.0, "candidate")])
    write_day(lake, "2025-06-29", [("aaa", 0.5, "watchlist"), ("ccc", 1.5, "validated")])
    return folder


def environment(project: Path) -> dict[str, str]:
    return {
        "STRATEGY_MARTS_LAKE": str(project.parent / "lake"),
        "STRATEGY_MARTS_DATABASE": str(project.parent / "marts.duckdb"),
        "DO_NOT_TRACK": "1",
    }


def arguments(project: Path) -> list[str]:
    return ["build", "--project-dir", str(project), "--profiles-dir", str(project), "--log-path", str(project / "logs"), "--quiet"]


def mart(project: Path) -> pd.DataFrame:
    with duckdb.connect(str(project.parent / "marts.duckdb"), read_only=True) as connection:
        return connection.execute("select * from leaderboard order by strategy_id").df()


def test_the_leaderboard_mart_tells_when_a_strategy_came_how_high_and_where_it_is(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dbt.cli.main import dbtRunner

    for name, value in environment(project).items():
        monkeypatch.setenv(name, value)
    done = dbtRunner().invoke(arguments(project))
    assert done.success, done.exception
    found = mart(project).set_index("strategy_id")
    assert list(found.index) == ["aaa", "bbb", "ccc"]
    assert found["days_on_board"].to_dict() == {"aaa": 2, "bbb": 1, "ccc": 1}
    assert found["best_rank"].to_dict() == {"aaa": 1, "bbb": 2, "ccc": 1}
    assert found["latest_rank"].to_dict() == {"aaa": 2, "bbb": 2, "ccc": 1}
    assert found["latest_state"].to_dict() == {"aaa": "watchlist", "bbb": "candidate", "ccc": "validated"}
    assert found["first_seen"].astype(str).to_dict() == {"aaa": "2025-06-28", "bbb": "2025-06-28", "ccc": "2025-06-29"}
    assert found["last_seen"].astype(str).to_dict() == {"aaa": "2025-06-29", "bbb": "2025-06-28", "ccc": "2025-06-29"}
    assert found.loc["aaa", "sharpe_train"] == 0.5


def test_a_bad_verdict_fails_the_build_as_a_command(project: Path) -> None:
    lake = Lake(project.parent / "lake")
    lake.write("leaderboard/date=2025-06-30.parquet", lake.read("leaderboard/date=2025-06-29.parquet").assign(verdict="splendid"))
    done = subprocess.run(
        [sys.executable, "-m", "dbt.cli.main", *arguments(project)],
        env={**os.environ, **environment(project)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "accepted_values" in done.stdout


def test_the_source_is_the_asset_that_writes_it_and_nothing_is_reported_to_anyone() -> None:
    import yaml

    source = yaml.safe_load((PROJECT / "models" / "staging" / "lake.yml").read_text())["sources"][0]["tables"][0]
    assert source["config"]["meta"]["dagster"]["asset_key"] == ["strategy_ranking"]
    assert yaml.safe_load((PROJECT / "dbt_project.yml").read_text())["flags"]["send_anonymous_usage_stats"] is False
