"""What the Dagster UI of a home is started with."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from strategy_pipeline.config import PREFIX, Settings
from strategy_pipeline.defs.last_run import remember, remembered
from strategy_pipeline.defs.ui import _require_free, as_variables
from strategy_pipeline.errors import PipelineError


@pytest.fixture(autouse=True)
def no_settings_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith(PREFIX) and not name.startswith(f"{PREFIX}TEST_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_a_child_process_reads_the_same_settings_from_its_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given = Settings(
        home=tmp_path / "home", source="files", data=tmp_path, symbols=["ETH/USDT", "BTC/USDT"], history_from="2023-01-01", profile="tiny",
        fee_bps=7.5, population=40, cosmos_key="secret",
    )  # fmt: skip
    variables = as_variables(given)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert Settings().model_dump() == given.model_dump()
    assert Settings().fingerprint == given.fingerprint


def test_an_option_that_equals_the_default_still_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(f"{PREFIX}PROFILE", "tiny")
    given = Settings(profile="quick", home=tmp_path / "home")
    for name, value in as_variables(given).items():
        monkeypatch.setenv(name, value)
    assert Settings().profile == "quick"


def test_the_last_run_of_a_home_is_remembered_without_secrets(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    remember(Settings(home=home, profile="tiny", symbols=["ETH/USDT"], cosmos_key="secret"))
    assert "secret" not in (home / "last_run.json").read_text()
    opened = remembered(Settings(home=home))
    assert (opened.profile, opened.symbols, opened.home) == ("tiny", ("ETH/USDT",), home)
    assert remembered(Settings(home=home, profile="full")).profile == "full"


def test_a_home_that_never_ran_opens_with_the_settings_as_they_are(tmp_path: Path) -> None:
    given = Settings(home=tmp_path / "nothing", profile="tiny")
    assert remembered(given) == given


def test_a_relative_data_folder_is_remembered_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    home = tmp_path / "home"
    home.mkdir()
    remember(Settings(home=home, source="files", data="data"))
    assert json.loads((home / "last_run.json").read_text())["data"] == str(tmp_path / "data")


def test_a_port_in_use_is_refused_with_the_remedy() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PipelineError, match=rf"port {port} .* was in use; pass --port"):
            _require_free("127.0.0.1", port)
    _require_free("127.0.0.1", port)
