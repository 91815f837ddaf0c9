"""A damaged document or a ledger of another version in the home: one clear line by every public way in, and nothing is lost."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from strategy_pipeline import Orchestrator, Settings, cli
from strategy_pipeline.cycle import Workspace, strategies
from strategy_pipeline.errors import PipelineError, StrategyError
from strategy_pipeline.strategies import Strategy
from strategy_pipeline_tests.cycle.conftest import FIRST

NOW = pd.Timestamp("2025-06-30 01:00", tz="UTC")


@pytest.fixture(scope="module")
def home(tiny_day: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("bad_store") / "home"
    shutil.copytree(tiny_day, found)
    return found


@pytest.fixture
def orchestrator(home: Path) -> Orchestrator:
    return Orchestrator(Settings(home=home, profile="tiny"), now=lambda: NOW)


@pytest.fixture
def command(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that must fail with exit code 2 and one line, and returns the line."""
    monkeypatch.setattr(cli, "system_now", lambda: NOW)
    monkeypatch.setitem(Orchestrator.__init__.__kwdefaults__, "now", lambda: NOW)

    def run(*arguments: str) -> str:
        with pytest.raises(SystemExit) as stopped:
            cli.main([*arguments, "--profile", "tiny", "--home", str(home)])
        assert stopped.value.code == 2
        said = capsys.readouterr().err
        assert "Traceback" not in said
        return " ".join(said.split())

    return run


def documents(workspace: Workspace) -> int:
    from strategy_pipeline.store import EVERY_PARTITION

    return workspace.documents.count("strategies", EVERY_PARTITION)


@pytest.fixture
def poisoned(orchestrator: Orchestrator) -> Any:
    workspace = orchestrator.workspace
    victim: Strategy = strategies.population(workspace, FIRST)[0]
    kept = {k: v for k, v in (workspace.documents.read("strategies", victim.id, victim.family) or {}).items() if not k.startswith("_")}
    workspace.documents.upsert("strategies", {**kept, "json": {"family": "luck"}})
    yield victim
    workspace.documents.upsert("strategies", kept)


def test_a_poisoned_document_is_named_by_whatever_reads_it(
    orchestrator: Orchestrator, poisoned: Strategy, command: Callable[..., str]
) -> None:
    before = documents(orchestrator.workspace)
    with pytest.raises(StrategyError, match=rf"rules of strategy {poisoned.id} in the store, was damaged"):
        asyncio.run(orchestrator.optimize_strategies([poisoned.id]))
    for arguments in (("optimize", "--ids", poisoned.id), ("backtest", poisoned.id, "--date", str(FIRST))):
        assert f"rules of strategy {poisoned.id} in the store, was damaged" in command(*arguments)
    assert documents(orchestrator.workspace) == before


def test_others_are_not_harmed_by_a_poisoned_document(orchestrator: Orchestrator, poisoned: Strategy) -> None:
    other = next(s for s in strategies.population(orchestrator.workspace, FIRST) if s.id != poisoned.id)
    assert strategies.strategies_of(orchestrator.workspace, [other.id]) == [other]
    assert len(asyncio.run(orchestrator.generate_new_strategies(3, ["trend"]))) == 3


@pytest.fixture(params=["another version", "without a column", "no table at all"])
def ledger(request: pytest.FixtureRequest, orchestrator: Orchestrator) -> Any:
    """A file of the ledger, of the day before, that cannot be counted; with the words that must be said of it."""
    lake = orchestrator.workspace.lake
    own = lake.read(f"strategies/trials/{FIRST}-systematic.parquet")
    path = "strategies/trials/2025-06-28-systematic.parquet"
    if request.param == "another version":
        lake.write(path, own.assign(version=np.int64(7)))
        yield "version 1, was 7", path
    elif request.param == "without a column":
        lake.write(path, own.drop(columns="strategy_id"))
        yield "was without strategy_id", path
    else:
        lake.write_bytes(path, b"garbage")
        yield "was not (", path
    lake.delete(path)


def test_a_ledger_that_cannot_be_counted_stops_every_search_and_is_named(
    orchestrator: Orchestrator, ledger: tuple[str, str], command: Callable[..., str]
) -> None:
    words, path = ledger
    workspace = orchestrator.workspace
    before, files = documents(workspace), workspace.lake.digest("strategies/trials")
    with pytest.raises(PipelineError) as stopped:
        asyncio.run(orchestrator.generate_new_strategies(2, ["momentum"], methods=["genetic"]))
    assert words in str(stopped.value) and path in str(stopped.value)
    with pytest.raises(PipelineError, match="Expected"):
        strategies.evidence(workspace, FIRST)
    said = command("optimize", "--ids", strategies.population(workspace, FIRST)[0].id)
    assert words in said
    assert documents(workspace) == before and workspace.lake.digest("strategies/trials") == files


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("generate", "--families", "astrology"), "was 'astrology'"),
        (("generate", "--families", "momentun"), "momentum"),
        (("generate", "--methods", "magic"), "was 'magic'"),
        (("generate", "--count", "0"), "0 is not in the range"),
        (("generate", "--count", "-5"), "-5 is not in the range"),
        (("generate", "--count", "99999999"), "99999999 is not in the range"),
        (("optimize", "--ids", "0000000000000000"), "0000000000000000 in the store, was absent"),
        (("backtest", "0000000000000000", "--date", str(FIRST)), "which is none of them"),
    ],
)
def test_a_request_that_cannot_be_met_is_one_line(command: Callable[..., str], arguments: tuple[str, ...], said: str) -> None:
    assert said in command(*arguments)
