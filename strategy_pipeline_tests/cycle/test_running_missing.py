"""`run_missing`: what has a record under the same settings is not made again; what was made under others is."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path
from typing import Any

import pytest

from strategy_pipeline.config import Settings
from strategy_pipeline.cycle import Workspace, run_missing

DAY = dt.date(2025, 6, 29)


@pytest.fixture
def home(tiny_day: Path, tmp_path: Path) -> Path:
    shutil.copytree(tiny_day, tmp_path / "home")
    return tmp_path / "home"


def stages_run(home: Path, stage: str, **values: Any) -> list[str]:
    workspace = Workspace(Settings(home=home, profile="tiny", **values))
    seen: list[str] = []
    workspace.observer = lambda name, event, what: seen.append(name) if event == "done" and not name.startswith("check ") else None
    run_missing(workspace, stage, DAY)
    return seen


def test_a_stage_that_was_run_is_not_run_again(home: Path) -> None:
    assert stages_run(home, "bars") == []


def test_a_stage_made_under_other_settings_is_made_again_once(home: Path) -> None:
    assert stages_run(home, "risk_limits", max_weight=0.1) == ["bars", "risk_limits"]
    assert stages_run(home, "risk_limits", max_weight=0.1) == []


def test_settings_that_change_no_result_make_nothing_again(home: Path) -> None:
    assert stages_run(home, "risk_limits", workers=1, log_level="ERROR") == []
