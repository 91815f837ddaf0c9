"""What a person sees: values, tables, progress, errors."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from strategy_pipeline import console
from strategy_pipeline.cycle import CHECKS, STAGES, StageReport
from strategy_pipeline.errors import PipelineError


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"), (float("nan"), "–"), (True, "yes"), (False, "no"), (0.123456, "0.1235"), (-12345.6, "-12,346"), (7, "7"),
        (pd.Timestamp("2025-06-30 01:02:03"), "2025-06-30 01:02"), ("BTC/USDT", "BTC/USDT"), (1e-9, "1e-09"),
    ],
)  # fmt: skip
def test_a_value_is_shown_as_a_person_reads_it(value: object, shown: str) -> None:
    assert console.cell(value) == shown


def printed(frame: pd.DataFrame, **options: int) -> str:
    stream = io.StringIO()
    console.table(frame, "title", console=Console(file=stream, width=200), **options)
    return stream.getvalue()


def test_a_table_says_how_many_rows_it_leaves_out() -> None:
    text = printed(pd.DataFrame({"number": range(9)}), most=4)
    assert "… 5 more" in text
    assert "8" not in text
    assert "more" not in printed(pd.DataFrame({"number": range(4)}), most=4)


def test_brackets_in_values_are_text_and_no_markup() -> None:
    assert "[bold]x[/bold]" in printed(pd.DataFrame({"text": ["[bold]x[/bold]"]}))


def test_an_error_is_one_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    console.fail(PipelineError("Expected [x],\n was   y; mend it" + " and so on" * 60))
    said = capsys.readouterr()
    assert said.err.startswith("error: Expected [x], was y; mend it")
    assert said.err.count("\n") == 1
    assert said.out == ""


def test_progress_prints_one_plain_line_a_stage_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with console.Progress() as progress:
        progress("bars", "start", None)
        progress("bars", "done", StageReport("72 rows [of 3]"))
        progress("news", "start", None)
        progress("news", "failed", PipelineError("no news"))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert re.fullmatch(r" ✓ bars +\d+\.\d s  72 rows \[of 3\]", lines[0])
    assert re.fullmatch(r" ✗ news +\d+\.\d s  no news", lines[1])
    assert [name for name, _ in progress.timings] == ["bars", "news"]


def test_how_far_a_stage_is_shows_beside_its_name_on_a_terminal_and_is_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    shown: list[str] = []

    class Spinner:
        def update(self, text: str) -> None:
            shown.append(text)

        def stop(self) -> None:
            shown.append("stopped")

    with console.Progress() as progress:
        progress("optimize", "progress", "no terminal")
        progress._status = Spinner()  # type: ignore[assignment]
        progress("optimize", "start", None)
        progress("optimize", "progress", "16 of [all] trials")
    assert shown == ["[bold]optimize[/]", "[bold]optimize[/]  16 of \\[all] trials", "stopped"]
    assert capsys.readouterr().out == "" and progress.timings == []


def test_quiet_progress_prints_nothing_and_still_takes_the_time(capsys: pytest.CaptureFixture[str]) -> None:
    with console.Progress(quiet=True) as progress:
        progress("bars", "start", None)
        progress("bars", "done", StageReport("x"))
    assert capsys.readouterr().out == ""
    assert len(progress.timings) == 1


def test_a_day_prints_one_line_for_every_stage_and_check(tiny_day: Path) -> None:
    said = (tiny_day.parent / "stdout.txt").read_text()
    shown = re.findall(r"^ ✓ (?:check )?(\S+) +\d+\.\d s  \S", said, flags=re.MULTILINE)
    assert sorted(shown) == sorted([*STAGES, *CHECKS, "history", "marts"])
    assert "\x1b" not in said
    assert "SAMPLE MARKET" in said
    assert "Not investment advice." in said
