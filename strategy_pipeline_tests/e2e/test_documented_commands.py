"""The commands of the how-to page do what the page says: each is run as written. Slow, so nightly."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to.md"
# These run until they are stopped; test_ui and the service's tests cover them.
ENDLESS = ("strategy-pipeline ui", "strategy-pipeline serve", "dagster dev")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.nightly
@pytest.mark.timeout(1800)
def test_every_command_of_the_how_to_page_runs_as_written(tmp_path: Path) -> None:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("STRATEGY_PIPELINE_")}
    environment = {**kept, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    scripts = []
    for block in blocks("bash"):
        lines = [line for line in block.splitlines() if not line.startswith(ENDLESS)]
        scripts.append("\n".join(lines))
    assert any("backfill" in script for script in scripts)
    for script in scripts:
        done = subprocess.run(["bash", "-e", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_the_python_of_the_how_to_page_runs_as_written(tmp_path: Path, real_data: Path) -> None:
    pytest.importorskip("quantstats", reason="the extra `peers` is not installed")
    rules = "enter long when crosses_above(sma(close, 20), sma(close, 50))\nexit when crosses_below(sma(close, 20), sma(close, 50))"
    (tmp_path / "trend.txt").write_text(f"trend on * 1h\n{rules}\nsize all_in\n", encoding="utf-8")
    kept = {k: v for k, v in os.environ.items() if not k.startswith("STRATEGY_PIPELINE_")}
    said = ""
    for block in blocks("python"):
        block = block.replace("DIR/*.parquet", str(real_data / "ohlcv_1h_binance_spot.parquet"))  # the page's placeholder
        done = subprocess.run([sys.executable, "-c", block], cwd=tmp_path, env=kept, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        said += done.stdout
    assert "BTC/USDC" in said
