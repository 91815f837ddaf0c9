"""The command: options, output for people and machines, exit codes; on a home one day old."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pandas as pd
import pytest

from strategy_pipeline import __version__, console, show
from strategy_pipeline.cli import cli, main
from strategy_pipeline.config import Settings
from strategy_pipeline.cycle import Workspace, strategies
from strategy_pipeline.defs.resources import shared_workspace
from strategy_pipeline.orchestrator import Orchestrator
from strategy_pipeline.store import CONTAINERS

NOW = pd.Timestamp("2025-06-30 01:00", tz="UTC")
DAY = NOW.date() - pd.Timedelta(days=1)
CROSS = """\
trend on BTC/USDT 1h
enter long when crosses_above(sma(close, 20), sma(close, 50))
exit when crosses_below(sma(close, 20), sma(close, 50))
size all_in
"""
Said = Callable[..., str]


def strict(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def commands(group: click.Group = cli, prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for name, command in group.commands.items():
        found += commands(command, (*prefix, name)) if isinstance(command, click.Group) else [(*prefix, name)]
    return found


@pytest.fixture
def said(tiny_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Said:
    """Runs a command on the home, an hour into the next day, and returns what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STRATEGY_PIPELINE_HOME", str(tiny_copy))
    monkeypatch.setenv("STRATEGY_PIPELINE_PROFILE", "tiny")
    monkeypatch.setattr("strategy_pipeline.cli.system_now", lambda: NOW)
    monkeypatch.setitem(Orchestrator.__init__.__kwdefaults__, "now", lambda: NOW)

    def run(*arguments: str) -> str:
        main(arguments)
        return capsys.readouterr().out

    return run


@pytest.fixture
def refused(said: Said, capsys: pytest.CaptureFixture[str]) -> Said:
    """Runs a command that must end with exit code 2, and returns what it said on stderr."""

    def run(*arguments: str) -> str:
        with pytest.raises(SystemExit) as stopped:
            said(*arguments)
        assert stopped.value.code == 2
        return capsys.readouterr().err

    return run


@pytest.fixture
def workspace(said: Said) -> Workspace:
    return shared_workspace(Settings())


def test_every_command_of_the_design_is_there() -> None:
    designed = (
        "run backfill generate backtest optimize rank forecast signals report audit train-models train-agents watch serve store ui doctor"
    )
    assert set(designed.split()) | {"config"} == set(cli.commands)


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_commands_help_has_an_example(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    main([*command, "--help"])
    text = capsys.readouterr().out
    assert re.search(r"Examples?: .*strategy-pipeline " + " ".join(command), text), text[-300:]
    assert "--home" in text


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--version"])
    assert capsys.readouterr().out.strip() == f"strategy-pipeline, version {__version__}"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["rank", "--what", "cars"], "cars"), (["run", "--profile", "huge"], "huge"), (["audit", "tomorrow"], "tomorrow"),
        (["run", "--timeframe", "7m"], "7m"), (["run", "--timeframe", "1w"], "1d"), (["run", "--date", "29.06.2025"], "29.06.2025"),
        (["generate", "--count", "0"], "count"), (["report", "--days", "0"], "days"), (["run", "--seed", "x"], "seed"),
        (["nonsense"], "nonsense"), (["store", "cupboard"], "cupboard"), (["backtest", "no_such_id", "--date", "2025-06-29"], "no_such_id"),
        (["backtest", "{broken", "--date", "2025-06-29"], "JSON"), (["rank", "--date", "2025-06-30"], "2025-06-30"),
        (["signals", "--for", "PEPE/USDT"], "PEPE/USDT"), (["generate", "--families", "astrology"], "astrology"),
        (["optimize", "--ids", "0000"], "0000"), (["optimize", "--objective", "luck"], "was luck"),
        (["optimize", "--objective", "sharpe,sharpe"], "distinct"), (["optimize", "--objective", ","], "was none"),
        (["optimize", "--sampler", "grid"], "was 'grid'"), (["optimize", "--trials", "0"], "0 is not in the range"),
        (["optimize", "--trials", "-3"], "-3 is not in the range"), (["optimize", "--trials", "99999999"], "not in the range"),
        (["optimize", "--trials", "5000", "--sampler", "gp"], "at most 1,000"), (["optimize", "--trials", "many"], "many"),
        (["optimize", "--sampler", "cmaes", "--objective", "sharpe,calmar"], "one objective with cmaes"),
        (["optimize", "--prune", "--objective", "sharpe,calmar"], "one objective with pruning"),
        (["run", "--optimize-sampler", "grid"], "grid"), (["run", "--optimize-objective", "luck"], "luck"),
        (["run", "--optimize-sampler", "cmaes", "--optimize-objective", "sharpe,calmar"], "takes one optimize_objective"),
        (["run", "--optimize-trials", "0"], "optimize_trials"), (["signals", "--symbols", "BTX/USDT"], "BTX/USDT"),
    ],
    ids=lambda value: "_".join(value[:3]) if isinstance(value, list) else None,
)  # fmt: skip
def test_a_wrong_choice_ends_with_2_and_names_it(refused: Said, arguments: list[str], says: str) -> None:
    text = refused(*arguments)
    assert says in text
    assert "Traceback" not in text


def test_settings_are_shown_with_where_they_came_from(said: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "strategy_pipeline.toml").write_text('fee_bps = 3.0\nseed = 4\nprofile = "full"\n')
    (tmp_path / ".env").write_text("STRATEGY_PIPELINE_SEED=5\nSTRATEGY_PIPELINE_SLIPPAGE_BPS=2\n")
    found = strict(said("config", "show", "--json", "--symbols", "ETH/USDT,BTC/USDT"))
    shown = {key: (found[key]["value"], found[key]["from"]) for key in found}
    assert shown["symbols"] == (["ETH/USDT", "BTC/USDT"], "argument")
    assert shown["profile"] == ("tiny", "environment")
    assert shown["seed"] == (5, ".env")
    assert shown["fee_bps"] == (3.0, "strategy_pipeline.toml")
    assert shown["timeframe"] == ("1h", "default")
    text = said("config", "show")
    assert re.search(r"^fee_bps +3\.0 +\(strategy_pipeline\.toml\)$", text, re.MULTILINE)
    assert {line.split()[0] for line in text.splitlines()} == set(Settings.model_fields)


def test_a_secret_is_not_shown(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRATEGY_PIPELINE_COSMOS_KEY", "hush-hush")
    assert "hush-hush" not in said("config", "show") + said("config", "show", "--json")


def test_a_strategy_is_backtested_from_text_from_a_file_from_json_and_by_its_id(said: Said, tmp_path: Path, workspace: Workspace) -> None:
    day = ("--date", "2025-06-29", "--json")
    from_text = strict(said("backtest", CROSS, *day))
    (tmp_path / "cross.txt").write_text(CROSS)
    assert strict(said("backtest", "cross.txt", *day)) == from_text
    assert set(from_text["metrics"]) == {"BTC/USDT", "pooled"}
    assert from_text["metrics"]["BTC/USDT"]["trades"] > 0
    stored = strategies.population(workspace, DAY)[0]
    by_id = strict(said("backtest", stored.id, *day))
    assert by_id["text"] == stored.text
    whole = json.dumps(stored.to_json())
    assert strict(said("backtest", whole, *day)) == by_id
    kept = workspace.lake.read(f"strategies/backtests/{DAY}/pooled.parquet").set_index("strategy_id")
    assert by_id["metrics"]["pooled"]["sharpe"] == pytest.approx(kept.loc[stored.id, "sharpe"], rel=1e-6)
    text = said("backtest", CROSS, "--date", "2025-06-29", "--trades")
    assert "crosses_above" in text
    assert f"{int(from_text['metrics']['BTC/USDT']['trades'])} trades" in text


def test_the_page_of_a_strategy_is_written_where_one_says(said: Said, refused: Said, tmp_path: Path) -> None:
    found = strict(said("backtest", CROSS, "--date", "2025-06-29", "--json", "--report", "cross.html"))
    assert found["report"] == "cross.html"
    page = (tmp_path / "cross.html").read_text(encoding="utf-8")
    assert "crosses_above(sma(close, 20), sma(close, 50))" in page
    assert "SAMPLE MARKET" in page
    assert "report: cross.html" in said("backtest", CROSS, "--date", "2025-06-29", "--report", "cross.html")
    assert (tmp_path / "cross.html").read_text(encoding="utf-8") == page
    assert "nowhere/cross.html" in refused("backtest", CROSS, "--date", "2025-06-29", "--report", "nowhere/cross.html")


def test_a_mistake_in_a_strategys_text_is_pointed_at(refused: Said) -> None:
    text = refused("backtest", CROSS.replace("sma(close, 50))\nexit", "sma(close 50))\nexit"), "--date", "2025-06-29")
    lines = text.splitlines()
    assert lines[0].startswith("error: line 2, column ")
    assert "sma(close 50)" in lines[-2]
    column = int(re.search(r"column (\d+)", lines[0]).group(1))  # type: ignore[union-attr]
    assert lines[-1] == " " * (column - 1) + "^"


def test_the_rankings_of_a_day_are_printed(said: Said) -> None:
    day = ("--date", "2025-06-29")
    board = strict(said("rank", *day, "--json", "--most", "7"))
    assert [row["rank"] for row in board] == list(range(1, 8))
    assets = strict(said("rank", "--what", "assets", *day, "--json"))
    assert {row["symbol"] for row in assets} == {"BTC/USDT", "ETH/USDT", "SOL/USDT"}
    text = said("rank", *day, "--most", "7")
    assert all(row["strategy_id"] in text for row in board)


def test_forecasts_signals_and_the_report_are_printed(said: Said, workspace: Workspace) -> None:
    forecasts = strict(said("forecast", "--date", "2025-06-29", "--json"))
    assert {row["symbol"] for row in forecasts} == set(workspace.symbols)
    signals = strict(said("signals", "--json"))
    assert [s["symbol"] for s in signals] == list(workspace.symbols)
    assert "BTC/USDC" in said("signals", "--for", "BTC/USDC")
    report = strict(said("report", "--json", "--days", "5"))
    assert report["day"] == "2025-06-29"
    assert Path(report["html"]).is_file()
    assert report["html"] in said("report")


def test_generated_strategies_are_stored_and_shown_with_what_was_left_out(said: Said, workspace: Workspace) -> None:
    ids = strict(said("generate", "--count", "4", "--json"))
    assert len(strategies.strategies_of(workspace, ids)) == 4
    text = said("generate", "--count", "4")
    assert ids[0] in text
    from strategy_pipeline.cycle import predictions
    from strategy_pipeline.generation import skipped_families

    skipped = skipped_families(workspace.bars(DAY), tuple(predictions.named_series(workspace, DAY)))
    assert text.count("note: no ") == len(skipped)


def test_a_strategy_is_tuned_as_one_says(said: Said, workspace: Workspace) -> None:
    chosen = strategies.population(workspace, DAY)[0].id
    asked = ("optimize", "--ids", chosen, "--objective", "sharpe,calmar", "--sampler", "nsga2", "--trials", "10")
    rows = strict(said(*asked, "--json"))
    assert {row["strategy_id"] for row in rows} == {chosen} and {row["trials"] for row in rows} == {10}
    assert {"sharpe_before", "sharpe_after", "calmar_before", "calmar_after"} <= set(rows[0])
    text = said(*asked)
    assert "1 strategies tuned in 10 trials" in text
    for row in rows:
        (line,) = (line for line in text.splitlines() if row["tuned_id"] in line)
        assert [console.cell(row[f"sharpe_{when}"]) in line for when in ("before", "after")] == [True, True]
    held = [strict(line) for line in said("store", "optimization_results", "--json", "--most", "100").splitlines()]
    (mine,) = (document for document in held if document["strategy_id"] == chosen and document["asked"]["trials"] == 10)
    assert mine["asked"]["objective"] == ["sharpe", "calmar"] and mine["tuned_id"] == rows[0]["tuned_id"]
    assert "name strategies of the store with --ids" in said("optimize")


def test_the_help_of_tuning_names_every_sampler_objective_and_limit(capsys: pytest.CaptureFixture[str]) -> None:
    from strategy_pipeline.optimization import MOST_TRIALS, OBJECTIVES, SAMPLERS

    main(["optimize", "--help"])
    text = capsys.readouterr().out
    own = " ".join(text.partition("--home")[0].split())
    assert [name for name in (*OBJECTIVES, *SAMPLERS, f"1<=x<={MOST_TRIALS}") if name not in own] == []


def test_families_without_data_are_named_with_what_is_missing(
    workspace: Workspace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("strategy_pipeline.show.predictions.named_series", lambda workspace, day: {})
    show.print_skipped(workspace)
    text = capsys.readouterr().out
    assert "note: no ml strategies: it needs a named series forecast." in text
    assert "note: no rl strategies: it needs a named series agent." in text
    assert "momentum" not in text


def test_the_store_is_counted_and_printed(said: Said) -> None:
    counts = strict(said("store", "--json"))
    assert set(counts) == set(CONTAINERS)
    assert all(count > 0 for count in counts.values())
    lines = said("store", "signals", "--json", "--most", "2").splitlines()
    assert len(lines) == 2
    assert {"id", "day", "symbol", "side"} <= set(strict(lines[0]))


def test_the_audit_passes_and_a_failure_ends_with_1(
    said: Said, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("strategy_pipeline.show.AUDITED_BARS", 2_500)
    monkeypatch.setattr("strategy_pipeline.indicators.catalog", _few(("sma", "rsi", "atr", "obv")))
    monkeypatch.setattr("strategy_pipeline.audit.subjects.catalog", _few(("sma", "rsi", "atr", "obv")))
    rows = strict(said("audit", "lookahead", "--times", "1", "--date", "2025-06-29", "--feature-set", "standard", "--json"))
    assert {row["name"].split(".")[0] for row in rows} == {"sma", "rsi", "atr", "obv", "full"}
    assert all(row["passed"] or not row["compared"] for row in rows)
    assert sum(row["passed"] for row in rows) > 150
    frame = pd.DataFrame({"name": ["peeks"], "passed": [False], "worst": [1.0], "compared": [7], "note": [""]})
    monkeypatch.setattr("strategy_pipeline.show.run_audit", lambda *args, **options: frame)
    with pytest.raises(SystemExit) as stopped:
        main(["audit", "lookahead", "--date", "2025-06-29"])
    assert stopped.value.code == 1
    assert "peeks" in capsys.readouterr().out


def test_the_null_and_power_audits_print_exact_intervals_and_go_on(said: Said, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--strategies", "20", "--methods", "systematic", "--date", "2025-06-29"]
    found = strict(said("audit", "null", "--markets", "1", *asked, "--json"))
    assert found["table"][0]["markets"] == 1 and found["table"][0]["high"] == pytest.approx(0.975)
    again = said("audit", "null", "--markets", "2", *asked)
    assert "of 2 null markets promoted anything" in again and "exact 95% interval" in again
    planted = strict(
        said("audit", "power", "--markets", "1", "--strength", "8", *asked, "--json", "--journal", str(tmp_path / "power.jsonl"))
    )
    assert planted["markets"][0]["sharpe"] == pytest.approx(8, abs=0.05) and (tmp_path / "power.jsonl").exists()
    for wrong, message in (
        (["--strength", "much"], "numbers, was 'much'"),
        (["--strength", "-1"], "from 0 to 20"),
        (["--methods", "magic"], "was 'magic'"),
    ):
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main(["audit", "power", "--markets", "1", *asked, *wrong, "--home", str(tmp_path / "untouched")])
        assert stopped.value.code == 2 and message in capsys.readouterr().err
    assert not (tmp_path / "untouched").exists()


def test_an_entry_whose_warm_up_exceeds_the_history_is_not_judged(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = {"name": ["sma", "slow"], "passed": [True, False], "worst": [0.0, 0.0], "compared": [7, 0], "note": ["", "takes 5030 bars"]}
    monkeypatch.setattr("strategy_pipeline.show.run_audit", lambda *args, **options: pd.DataFrame(rows))
    main(["audit", "warmup", "--date", "2025-06-29"])
    said = capsys.readouterr().out
    assert "not judged: slow (takes 5030 bars)" in said
    assert "1 of 1 passed" in said


@pytest.mark.parametrize("worst", [float("inf"), 0.0])
def test_an_audit_that_finds_no_number_on_one_side_or_judges_nothing_fails(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, worst: float
) -> None:
    rows = {"name": ["blank"], "passed": [False], "worst": [worst], "compared": [0], "note": ["nothing finite to compare"]}
    monkeypatch.setattr("strategy_pipeline.show.run_audit", lambda *args, **options: pd.DataFrame(rows))
    with pytest.raises(SystemExit) as stopped:
        main(["audit", "warmup", "--date", "2025-06-29"])
    assert stopped.value.code == 1


def test_an_indicator_of_ones_own_is_audited_from_its_file(said: Said, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from strategy_pipeline.indicators.registry import unregister

    mine = tmp_path / "mine.py"
    mine.write_text(
        "import numpy as np\n"
        "from strategy_pipeline.indicators import Output, indicator\n"
        'for name, ahead in (("honest", 0), ("peeks", 1)):\n'
        '    @indicator(name, family="price", inputs=("close",), outputs=(Output("value", "price"),), warmup=1, source="a test")\n'
        "    def shifted(close, ahead=ahead):\n"
        "        return np.append(close[ahead:], close[:ahead])\n"
    )
    asked = ["audit", "lookahead", "--module", str(mine), "--times", "4", "--date", "2025-06-29"]
    try:
        with pytest.raises(SystemExit) as stopped:
            main([*asked, "--name", "honest", "--name", "peeks"])
        printed = capsys.readouterr().out
    finally:
        for name in ("honest", "peeks"):
            unregister(name)
    assert stopped.value.code == 1
    assert "1 of 2 passed" in printed
    assert "peeks" in printed
    with pytest.raises(SystemExit) as unknown:
        main(["audit", "lookahead", "--name", "macdd"])
    assert unknown.value.code == 2
    assert "macd" in capsys.readouterr().err


def _few(names: tuple[str, ...]) -> Callable[[], pd.DataFrame]:
    from strategy_pipeline.indicators import catalog

    kept = catalog()
    return lambda: kept[kept["name"].isin(names)]


def test_a_day_for_machines_is_strict_json_and_names_stale_days(workspace: Workspace) -> None:
    with console.Progress(quiet=True) as progress:
        day = strict(show.day_as_json(workspace, DAY, progress, [NOW.date()]))
    assert day["day"] == "2025-06-29"
    assert day["stale_days"] == ["2025-06-30"]
    assert day["simulated"] is True
    assert len(day["signals"]) == 3
    assert day["evidence"]["trials"] >= len(day["leaderboard"]) > 0


def test_watch_prints_a_day_once(said: Said) -> None:
    text = said("watch", "--times", "2", "--every", "1")
    assert text.count("signals after 2025-06-29") == 1
