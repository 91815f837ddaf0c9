"""What the pages show can be done: their Python runs as written, their commands know the options they are given."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from strategy_pipeline.cli import cli
from strategy_pipeline.rng import generator

REPOSITORY = Path(__file__).resolve().parents[1]
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
# The how-to page's and the readme's Python asks for whole days: nightly, in `e2e/test_documented_commands.py`.
WITH_PYTHON = ["backtest", "data", "evidence", "indicators", "language", "robustness"]
# What the pages speak of without making it, on a market of fifteen months.
PRELUDE = """
import numpy as np
from strategy_pipeline.backtest import Costs, backtest
from strategy_pipeline.generation import generate
from strategy_pipeline.market import Bars
from strategy_pipeline.market.sources.files import FilesSource
bars = Bars.read("DIR", "1h", symbols=["BTC/USDT", "ETH/USDT"], start="2023-01-01")
population = generate(12, bars, seed=1)
source, start, end = FilesSource.at("DIR"), bars.times[0], bars.times[-1]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hourly bars of two symbols in a file, as the pages' `DIR` holds them."""
    rng, n = generator(0, "pages"), 24 * 450
    times = pd.date_range("2023-01-01", periods=n, freq="h", tz="UTC")
    frames = []
    for symbol in ("BTCUSDT", "ETHUSDT"):
        close = 100 * np.exp(np.cumsum(0.005 * rng.standard_normal(n)))
        open_ = np.concatenate([close[:1], close[:-1]])
        prices = {"open": open_, "high": np.maximum(open_, close) * 1.001, "low": np.minimum(open_, close) * 0.999, "close": close}
        frames.append(pd.DataFrame({"ts": times, "symbol": symbol, **prices, "volume": rng.lognormal(5, 1, n)}))
    where = tmp_path_factory.mktemp("pages")
    pd.concat(frames).to_parquet(where / "ohlcv_1h_simulated.parquet")
    return where


def test_no_page_with_python_is_left_out() -> None:
    found = {page.stem for page in PAGES if "```python" in page.read_text(encoding="utf-8")}
    assert found == {*WITH_PYTHON, "README", "how-to"}


@pytest.mark.parametrize("page", WITH_PYTHON)
def test_the_python_of_a_page_runs_as_written(page: str, folder: Path) -> None:
    text = (REPOSITORY / "docs" / f"{page}.md").read_text(encoding="utf-8")
    spoken_of = PRELUDE if page in ("backtest", "indicators", "robustness") else ""
    code = "\n".join([spoken_of, *re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)])
    if page == "robustness":  # its table of calls as well
        calls = re.findall(r"^\| `(\w+\(result.*?\))`", text, flags=re.MULTILINE)
        assert len(calls) > 8
        code = "\n".join([code, "ids, id = result.strategy_ids[:2], result.strategy_ids[0]", *calls])
    code = code.replace('"DIR"', repr(str(folder)))
    clean = {k: v for k, v in os.environ.items() if not k.startswith("STRATEGY_PIPELINE_")}
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for printed, said in re.findall(r"^print\((.*)\)  # ([\d.]+)$", text, flags=re.MULTILINE):
        assert said in done.stdout.splitlines(), printed


def commands(program: str) -> list[tuple[str, str]]:
    """(page, command) of every command of `program` on the pages, in blocks and in running text."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        shown = [
            line for block in re.findall(r"```bash\n(.*?)```", text, flags=re.DOTALL) for line in block.replace("\\\n", "").splitlines()
        ]
        for line in [*shown, *re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))]:
            if line.removeprefix(".venv/bin/").startswith(program):
                found.append((page.name, line.removeprefix(".venv/bin/").split(" #")[0].strip()))
    return list(dict.fromkeys(found))


def options(words: list[str]) -> tuple[list[str], list[str]]:
    """What names the command, and its options."""
    named = [word.split("=")[0] for word in words if word.startswith("--")]
    first = next((k for k, word in enumerate(words) if word.startswith("-")), len(words))
    return words[:first], named


@pytest.mark.parametrize(("page", "command"), commands("python benchmarks/"))
def test_a_study_named_on_a_page_knows_its_options(
    page: str, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (script, *words), named = options(shlex.split(command)[1:])
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    monkeypatch.setattr(sys, "argv", [script, *words, "--help"])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(REPOSITORY / script), run_name="__main__")
    assert stopped.value.code == 0
    said = capsys.readouterr().out
    assert [name for name in named if not re.search(rf"{name}\b", said)] == [], f"{page}: {command}"


@pytest.mark.parametrize(("page", "command"), commands("strategy-pipeline "))
def test_a_command_named_on_a_page_knows_its_options(page: str, command: str) -> None:
    words, named = options(shlex.split(command)[1:])
    group, path = cli, []
    while words and hasattr(group, "commands") and words[0] in group.commands:
        group, path = group.commands[words[0]], [*path, words.pop(0)]
    assert path or named == ["--help"], f"{page}: {command}"
    assert not words or any(parameter.param_type_name == "argument" for parameter in group.params), f"{page}: {command}"
    known = {name for parameter in group.params for name in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}
    assert [name for name in named if name not in known] == [], f"{page}: {command}"
    assert CliRunner().invoke(cli, [*path, "--help"]).exit_code == 0
