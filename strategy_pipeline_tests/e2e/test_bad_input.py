"""Mistakes a user makes: each gets one line with the remedy, exit code 2, and nothing half-written."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from strategy_pipeline.cli import main


@pytest.fixture(autouse=True)
def clean_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STRATEGY_PIPELINE_HOME", str(tmp_path / "home"))
    return tmp_path


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Runs the command, demands exit code 2 and one line on stderr, and returns that line."""
    with pytest.raises(SystemExit) as stopped:
        main(list(arguments))
    assert stopped.value.code == 2
    said = capsys.readouterr()
    line = said.err.strip()
    assert line.startswith("error: ")
    assert "\n" not in line
    assert "Traceback" not in said.out + said.err
    return line


def hourly_csv(path: Path, columns: dict[str, str] | None = None) -> None:
    """200 days of made-up hourly klines in the project's own columns."""
    ts = pd.date_range("2024-01-01", periods=24 * 200, freq="h", tz="UTC")
    prices = {"open": 100.0, "high": 101.0, "low": 99.0, "close": 100.0, "volume": 5.0}
    frame = pd.DataFrame({"ts": ts, "symbol": "BTCUSDT", "timeframe": "1h", **prices})
    frame["venue"] = "binance_spot"
    frame.rename(columns=columns or {}).to_parquet(path, index=False)


def test_an_unknown_symbol_is_named_with_near_matches(capsys: pytest.CaptureFixture[str], clean_folder: Path) -> None:
    line = refused(capsys, "run", "--symbols", "BTX/USDT", "--profile", "tiny", "--date", "2025-06-29")
    assert "BTX/USDT" in line
    assert "BTC/USDT" in line
    assert not (clean_folder / "home").exists()


def test_no_data_in_the_range_says_what_range_there_is(capsys: pytest.CaptureFixture[str], clean_folder: Path) -> None:
    data = clean_folder / "data"
    data.mkdir()
    hourly_csv(data / "ohlcv_1h_binance_spot.parquet")
    line = refused(capsys, "run", "--source", "files", "--data", str(data), "--date", "2020-06-29", "--history-from", "2020-01-01")
    assert "2024-01-01" in line
    assert not (clean_folder / "home").exists()


def test_a_corrupt_parquet_file_is_named(capsys: pytest.CaptureFixture[str], clean_folder: Path) -> None:
    data = clean_folder / "data"
    data.mkdir()
    (data / "ohlcv_1h_binance_spot.parquet").write_bytes(b"PAR1 this is no parquet PAR1")
    line = refused(capsys, "run", "--source", "files", "--data", str(data), "--date", "2024-06-29")
    assert "ohlcv_1h_binance_spot.parquet" in line
    assert not (clean_folder / "home").exists()


def test_a_csv_with_a_missing_column_names_file_and_column(capsys: pytest.CaptureFixture[str], clean_folder: Path) -> None:
    data = clean_folder / "data"
    data.mkdir()
    rows = "\n".join(f"{1704067200000 + i * 3600000},BTC/USDT,1,2,0.5" for i in range(100))
    (data / "Binance_BTCUSDT_1h.csv").write_text("https://www.CryptoDataDownload.com\nUnix,Symbol,Open,High,Low\n" + rows + "\n")
    line = refused(capsys, "run", "--source", "files", "--data", str(data), "--date", "2024-01-03")
    assert "Binance_BTCUSDT_1h.csv" in line
    assert "close" in line.lower()
    assert not (clean_folder / "home").exists()


def test_a_date_in_the_future_is_refused_with_the_last_day_there_is(capsys: pytest.CaptureFixture[str], clean_folder: Path) -> None:
    line = refused(capsys, "run", "--profile", "tiny", "--date", "2999-01-01")
    assert "2999-01-01" in line
    assert "--date" in line
    assert not (clean_folder / "home").exists()


@pytest.mark.parametrize("command", [["run"], ["backfill", "--from", "2025-06-28", "--to", "2025-06-29"]])
def test_a_state_folder_that_cannot_be_written_is_named(capsys: pytest.CaptureFixture[str], clean_folder: Path, command: list[str]) -> None:
    (clean_folder / "taken").write_text("a file, not a folder")
    arguments = [*command, "--home", str(clean_folder / "taken"), "--profile", "tiny"]
    line = refused(capsys, *arguments, *(["--date", "2025-06-29"] if command == ["run"] else []))
    assert "taken" in line
    assert "--home" in line


def test_data_that_does_not_exist_is_named(capsys: pytest.CaptureFixture[str], clean_folder: Path) -> None:
    line = refused(capsys, "run", "--source", "files", "--data", str(clean_folder / "nowhere"))
    assert "nowhere" in line
    assert not (clean_folder / "home").exists()


def test_an_unknown_option_is_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["run", "--colour", "red"])
    assert stopped.value.code == 2
    assert "--colour" in capsys.readouterr().err


def test_a_backfill_that_ends_before_it_begins_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "swap" in refused(capsys, "backfill", "--from", "2025-06-29", "--to", "2025-06-01")


def test_a_home_of_a_newer_version_is_left_alone(capsys: pytest.CaptureFixture[str], clean_folder: Path) -> None:
    home = clean_folder / "home"
    home.mkdir()
    (home / "state.json").write_text('{"program": "strategy_pipeline", "version": 999}')
    line = refused(capsys, "run", "--profile", "tiny", "--date", "2025-06-29")
    assert "999" in line
    assert sorted(p.name for p in home.iterdir()) == ["state.json"]
    shutil.rmtree(home)
