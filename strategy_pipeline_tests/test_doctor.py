"""What `doctor` finds, and what it says to do about it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from strategy_pipeline.cli import main
from strategy_pipeline.config import Settings
from strategy_pipeline.diagnosis import Finding, diagnose


def found(settings: Settings, what: str) -> Finding:
    return next(finding for finding in diagnose(settings) if finding.what == what)


def test_every_finding_that_is_wrong_comes_with_a_remedy(tmp_path: Path) -> None:
    findings = diagnose(Settings(home=tmp_path / "home", source="files", data=tmp_path / "nowhere"))
    assert {"Python", "packages", "TA-Lib", "state folder", "memory", "disk", "market data"} <= {f.what for f in findings}
    assert all(f.remedy for f in findings if not f.ok)


def test_looking_changes_nothing(tmp_path: Path) -> None:
    assert found(Settings(home=tmp_path / "home"), "state folder").detail.endswith("is new")
    assert list(tmp_path.iterdir()) == []


def test_the_installed_packages_are_those_the_project_asks_for(tmp_path: Path) -> None:
    packages = found(Settings(home=tmp_path / "home"), "packages")
    assert packages.ok, packages.detail
    assert found(Settings(home=tmp_path / "home"), "TA-Lib").ok


def test_a_state_folder_of_a_newer_version_or_a_broken_one_is_found(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text('{"program": "strategy_pipeline", "version": 999}')
    newer = found(Settings(home=tmp_path), "state folder")
    assert not newer.ok
    assert "999" in newer.detail
    (tmp_path / "state.json").write_text("{")
    assert not found(Settings(home=tmp_path), "state folder").ok
    (tmp_path / "state.json").write_text('{"program": "strategy_pipeline", "version": 1}')
    assert found(Settings(home=tmp_path), "state folder").ok


def test_a_file_in_the_place_of_the_state_folder_is_found(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    assert not found(Settings(home=tmp_path / "taken"), "state folder").ok


def test_data_that_is_missing_or_unreadable_is_found(tmp_path: Path) -> None:
    gone = found(Settings(home=tmp_path / "h", source="files", data=tmp_path / "nowhere"), "market data")
    assert (gone.ok, "nowhere" in gone.detail) == (False, True)
    (tmp_path / "ohlcv_1h_binance_spot.parquet").write_bytes(b"PAR1 no parquet PAR1")
    broken = found(Settings(home=tmp_path / "h", source="files", data=tmp_path), "market data")
    assert (broken.ok, "ohlcv_1h_binance_spot.parquet" in broken.detail) == (False, True)


def test_the_command_exits_with_1_when_something_must_be_fixed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["doctor", "--home", str(tmp_path / "h"), "--source", "files", "--data", str(tmp_path / "nowhere")])
    assert stopped.value.code == 1
    said = capsys.readouterr().out
    assert "✗ market data" in said
    assert "fix: pass --data" in said


def test_the_command_answers_machines_too(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("strategy_pipeline.diagnosis._NEEDED_MEMORY", 0)
    monkeypatch.setattr("strategy_pipeline.diagnosis._NEEDED_DISK", 0)
    main(["doctor", "--json", "--home", str(tmp_path / "h")])
    findings = json.loads(capsys.readouterr().out)
    assert {"what", "ok", "detail", "remedy"} == set(findings[0])
