"""What people ask to have tuned: as they said or as the settings say, each request with documents, files and trials of its own."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest

from strategy_pipeline import Orchestrator, Settings
from strategy_pipeline.cycle import Workspace, strategies, tuning
from strategy_pipeline.cycle.lineage import parents
from strategy_pipeline.optimization import MOST_TRIALS, OBJECTIVES, SAMPLERS, OptimizationError
from strategy_pipeline.show import print_container
from strategy_pipeline.store import EVERY_PARTITION, flatten
from strategy_pipeline_tests.cycle.conftest import FIRST, SECOND

NOW = pd.Timestamp("2025-06-30 01:00", tz="UTC")
REQUESTS: list[dict[str, Any]] = [
    {"trials": 6},
    {"trials": 7},
    {"trials": 6, "objective": "calmar"},
    {"trials": 6, "sampler": "cmaes"},
    {"trials": 6, "seed": 5},
    {"trials": 20, "prune": True},
    {"trials": 20, "objective": ["sharpe", "max_drawdown"], "sampler": "nsga2"},
]


@pytest.fixture(scope="module")
def home(tiny_day: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("tuning") / "home"
    shutil.copytree(tiny_day, found)
    return found


@pytest.fixture(scope="module")
def orchestrator(home: Path) -> Orchestrator:
    return Orchestrator(Settings(home=home, profile="tiny"), now=lambda: NOW)


@pytest.fixture(scope="module")
def chosen(orchestrator: Orchestrator) -> str:
    """The strategy that the day itself tuned."""
    return str(orchestrator.workspace.lake.read(f"strategies/optimized/{FIRST}/tuned.parquet")["strategy_id"][0])


def documents(workspace: Workspace, strategy_id: str) -> dict[str, Any]:
    pages = workspace.documents.query("optimization_results", strategy_id)
    return {found["id"]: {k: v for k, v in found.items() if not k.startswith("_")} for found in flatten(pages)}


def ask(orchestrator: Orchestrator, strategy_id: str, **request: Any) -> pd.DataFrame:
    return asyncio.run(orchestrator.optimize_strategies([strategy_id], **request))


def counted(workspace: Workspace) -> set[str]:
    return strategies.ledger_of(workspace, FIRST).ids(strategies.SEARCH)


def test_every_request_has_a_document_and_trials_of_its_own_and_the_days_own_stay(orchestrator: Orchestrator, chosen: str) -> None:
    workspace = orchestrator.workspace
    days_own = documents(workspace, chosen)
    assert list(days_own) == [f"{chosen}-{FIRST}"] and days_own[f"{chosen}-{FIRST}"]["origin"] == "daily"
    known, trials = days_own, counted(workspace)
    for number, request in enumerate(REQUESTS, 2):
        frame = ask(orchestrator, chosen, **request)
        found = documents(workspace, chosen)
        assert len(found) == number
        assert {i: found[i] for i in known} == known, "a request changed the document of another"
        (new,) = (found[i] for i in found if i not in known)
        assert (new["day"], new["origin"], new["tuned_id"]) == (str(FIRST), "requested", frame["tuned_id"][0])
        assert new["asked"]["trials"] == request["trials"] == new["trials"]
        assert new["asked"]["sampler"] == request.get("sampler", "tpe") and new["asked"]["seed"] == request.get("seed", 0)
        assert trials <= counted(workspace)
        known, trials = found, counted(workspace)


def test_the_same_request_gives_the_same_rows_documents_files_and_trials(orchestrator: Orchestrator, chosen: str) -> None:
    workspace = orchestrator.workspace
    request = REQUESTS[-1]
    first = ask(orchestrator, chosen, **request)
    before = (
        documents(workspace, chosen),
        counted(workspace),
        workspace.lake.digest("strategies"),
        workspace.documents.count("strategies", EVERY_PARTITION),
    )
    pd.testing.assert_frame_equal(ask(orchestrator, chosen, **request), first)
    spelled = {**request, "objective": tuple(request["objective"]), "prune": False, "seed": 0}  # the defaults, said
    pd.testing.assert_frame_equal(ask(orchestrator, chosen, **spelled), first)
    after = (
        documents(workspace, chosen),
        counted(workspace),
        workspace.lake.digest("strategies"),
        workspace.documents.count("strategies", EVERY_PARTITION),
    )
    assert after == before


@pytest.mark.parametrize("request_", [REQUESTS[3], REQUESTS[-1]], ids=["one objective", "front"])
def test_a_request_killed_and_asked_again_leaves_the_same_document(
    orchestrator: Orchestrator, chosen: str, request_: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = orchestrator.workspace
    first = ask(orchestrator, chosen, **request_)
    expected, files = documents(workspace, chosen), workspace.lake.digest("strategies")
    (workspace.folder / "optuna" / f"{FIRST}-{chosen}.journal").unlink()
    real, told = optuna.Study.tell, []

    def killed(*args: Any, **options: Any) -> Any:
        told.append(1)
        if len(told) == request_["trials"] - 1:
            raise KeyboardInterrupt
        return real(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(optuna.Study, "tell", killed)
        with pytest.raises(KeyboardInterrupt):
            ask(orchestrator, chosen, **request_)
    pd.testing.assert_frame_equal(ask(orchestrator, chosen, **request_), first)
    assert documents(workspace, chosen) == expected and workspace.lake.digest("strategies") == files


def test_a_strategy_tuned_among_others_has_the_document_it_has_alone(orchestrator: Orchestrator, chosen: str) -> None:
    workspace = orchestrator.workspace
    other = next(s.id for s in strategies.population(workspace, FIRST) if s.id != chosen)
    alone = ask(orchestrator, chosen, trials=5)
    expected = documents(workspace, chosen)
    both = asyncio.run(orchestrator.optimize_strategies([other, chosen, chosen], trials=5))
    assert both["strategy_id"].tolist() == sorted([chosen, other])
    pd.testing.assert_frame_equal(both[both["strategy_id"] == chosen].reset_index(drop=True), alone)
    assert documents(workspace, chosen) == expected


def test_several_objectives_give_the_members_of_the_front(orchestrator: Orchestrator, chosen: str) -> None:
    workspace = orchestrator.workspace
    frame = ask(orchestrator, chosen, **REQUESTS[-1])
    assert frame["tuned_id"].is_unique and set(frame["strategy_id"]) == {chosen}
    assert frame["sharpe_after"].is_monotonic_decreasing and frame["max_drawdown_after"].is_monotonic_decreasing
    assert frame["objective_after"].equals(frame["sharpe_after"]) and frame["sharpe_before"].nunique() == 1
    assert len(frame) > 1, "a front of one: nothing to see"
    made = strategies.strategies_of(workspace, frame["tuned_id"].tolist())
    assert [strategy.text for strategy in made] == frame["text"].tolist()
    known = {strategy.id for strategy in strategies.population(workspace, FIRST)}
    assert set(frame["tuned_id"]) - known <= {strategy.id for strategy in strategies.requested(workspace, FIRST)}
    assert set(frame["tuned_id"]) <= counted(workspace)
    descent = parents(workspace, SECOND)
    assert all(descent[tuned_id] == {chosen} for tuned_id in frame["tuned_id"] if tuned_id != chosen)
    (document,) = (found for found in documents(workspace, chosen).values() if found["asked"]["sampler"] == "nsga2")
    assert [row["tuned_id"] for row in document["front"]] == frame["tuned_id"].tolist()
    assert [row["max_drawdown"] for row in document["front"]] == frame["max_drawdown_after"].tolist()


def test_what_shows_a_day_is_as_before_with_several_documents(
    orchestrator: Orchestrator, chosen: str, tiny_day: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = orchestrator.workspace
    before = Workspace(Settings(home=tiny_day, profile="tiny"))
    asked = len(documents(workspace, chosen))
    assert asked > len(documents(before, chosen)) == 1
    for prefix in ("leaderboard", "reports", "book", "records", "strategies/optimized", "strategies/evidence"):
        assert workspace.lake.digest(prefix) == before.lake.digest(prefix), prefix
    report = asyncio.run(orchestrator.get_performance_report(days=5))
    assert report.summary["trials"] == before.require("evidence", FIRST).facts["trials"]
    capsys.readouterr()
    print_container(workspace, "optimization_results", 100, as_json=True)
    shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert sum(document["strategy_id"] == chosen for document in shown) == asked
    tuning.optimization_results(workspace, FIRST)  # the stage run again
    assert len(documents(workspace, chosen)) == asked
    assert workspace.lake.digest("strategies/optimized") == before.lake.digest("strategies/optimized")


def test_settings_say_what_a_request_leaves_out_and_what_the_day_does(tiny_day: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_day, tmp_path / "home")
    options: dict[str, Any] = {"optimize_objective": "calmar, sharpe", "optimize_sampler": "nsga3", "optimize_trials": 18}
    workspace = Workspace(Settings(home=tmp_path / "home", profile="tiny", seed=0, **options))
    asked = tuning.asked_of(workspace)
    assert str(asked.plan) == "calmar, sharpe by nsga3 in 18 trials" and asked.origin == "requested"
    said = tuning.asked_of(workspace, objective="omega", sampler="gp", trials=3, seed=9)
    assert str(said.plan) == "omega by gp in 3 trials" and said.seed == 9
    assert str(tuning.asked_of(Workspace(Settings(home=tmp_path / "home"))).plan) == "sharpe by tpe in 24 trials"
    frame = tuning.optimization_results(workspace, FIRST).table
    assert frame is not None and frame["trials"].eq(18).all() and {"calmar_after", "sharpe_after"} <= set(frame)
    run, texts = strategies.everything_run(workspace, FIRST)  # what evidence and rankings read
    assert len(set(run.ids)) == len(run.ids) == len(run.returns) and set(frame["tuned_id"]) <= set(run.ids) == set(texts)
    day = documents(workspace, str(frame["strategy_id"][0]))
    assert list(day) == [f"{frame['strategy_id'][0]}-{FIRST}"]
    assert next(iter(day.values()))["asked"]["objective"] == ["calmar", "sharpe"]


def test_the_names_and_limits_of_the_settings_are_those_of_the_room() -> None:
    for name in OBJECTIVES:
        assert Settings(optimize_objective=name).optimize_objective == (name,)
    for name in SAMPLERS:
        assert Settings(optimize_sampler=name).optimize_sampler == name
    assert Settings(optimize_trials=MOST_TRIALS).sizes.optimize_trials == MOST_TRIALS


@pytest.mark.parametrize("seed", [-1, 2**31, True, 1.5, "7"])
def test_a_seed_that_cannot_be_is_refused(orchestrator: Orchestrator, seed: Any) -> None:
    with pytest.raises(OptimizationError, match="seed from 0 to"):
        tuning.asked_of(orchestrator.workspace, seed=seed)


def test_requests_of_other_costs_are_other_requests(home: Path) -> None:
    cheap, dear = (tuning.asked_of(Workspace(Settings(home=home, profile="tiny", fee_bps=fee))) for fee in (1, 10))
    workspaces = [Workspace(Settings(home=home, profile="tiny", fee_bps=fee)) for fee in (1, 10)]
    assert cheap.key(workspaces[0]) != dear.key(workspaces[1])
    assert cheap.key(workspaces[0], ["a", "b"]) == cheap.key(workspaces[0], ["b", "a"]) != cheap.key(workspaces[0], ["a"])
