"""The lake: windows replaced whole, equal bytes, atomic files, quick partial reads, honest errors."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given
from hypothesis import strategies as st

from strategy_pipeline.errors import (
    CorruptFileError,
    MissingColumnError,
    MissingInputError,
    SettingsError,
    SourceError,
    UnwritableHomeError,
)
from strategy_pipeline.store import Lake, UnstorableError
from strategy_pipeline_tests.tools.emulators import blob_emulator

# Azurite's published development account; it guards nothing.
AZURITE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@pytest.fixture(scope="module")
def azurite() -> Iterator[Any]:
    with blob_emulator() as port:
        yield port


@pytest.fixture(params=["local", "memory", "abfs"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    if request.param == "local":
        return Lake(tmp_path / "lake")
    if request.param == "memory":
        return Lake(f"memory://{tmp_path.name}/lake")
    port = request.getfixturevalue("azurite")
    connection = (
        f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={AZURITE_KEY};"
        f"BlobEndpoint=http://127.0.0.1:{port}/devstoreaccount1;"
    )
    container = "c" + hashlib.sha256(str(tmp_path).encode()).hexdigest()[:16]
    lake = Lake(f"abfs://{container}/lake", options={"connection_string": connection, "account_name": "devstoreaccount1"})
    lake._fs.mkdir(container)
    return lake


def hours(start: str, end: str, **columns: Any) -> pd.DataFrame:
    ts = pd.date_range(start, end, freq="1h", tz="UTC", inclusive="left").as_unit("ns")
    return pd.DataFrame({"ts": ts, "close": np.arange(len(ts), dtype=float), **columns})


def test_a_frame_comes_back_with_its_values_and_types(lake: Lake) -> None:
    frame = hours("2025-06-01", "2025-06-02", symbol="BTC/USDT", n=range(24), flag=True)
    frame.loc[3, "close"] = np.nan
    artifact = lake.write("rankings/date=2025-06-01.parquet", frame)
    assert (artifact.path, artifact.rows) == ("rankings/date=2025-06-01.parquet", 24)
    assert artifact.sha256 == hashlib.sha256(lake.read_bytes(artifact.path)).hexdigest()
    pd.testing.assert_frame_equal(lake.read(artifact.path), frame)
    pd.testing.assert_frame_equal(lake.read(artifact.path, columns=["n", "ts"]), frame[["n", "ts"]])


def test_the_same_frame_gives_the_same_bytes_however_it_was_made(lake: Lake) -> None:
    frame = hours("2025-06-01", "2025-06-03", symbol="BTC/USDT")
    other = pd.concat([frame.iloc[:7], frame.iloc[7:]])
    other["ts"] = other["ts"].astype("datetime64[us, UTC]")
    other["symbol"] = other["symbol"].astype(object)
    assert lake.write("a.parquet", frame).sha256 == lake.write("b.parquet", other).sha256


def test_named_index_levels_become_columns_and_an_unnamed_index_is_dropped(lake: Lake) -> None:
    frame = pd.DataFrame({"strategy_id": ["a", "b"], "symbol": ["X/Y", "X/Y"], "sharpe": [1.0, np.nan]})
    lake.write("metrics.parquet", frame.set_index(["strategy_id", "symbol"]))
    pd.testing.assert_frame_equal(lake.read("metrics.parquet"), frame)
    lake.write("sliced.parquet", frame.iloc[1:])
    assert list(lake.read("sliced.parquet").columns) == ["strategy_id", "symbol", "sharpe"]


def test_plain_bytes_are_files_too(lake: Lake) -> None:
    assert not lake.exists("reports/a.html")
    lake.write_bytes("reports/a.html", b"<html>")
    assert lake.exists("reports/a.html")
    assert lake.read_bytes("reports/a.html") == b"<html>"
    assert lake.list("reports") == ["reports/a.html"]
    assert lake.digest() == {"reports/a.html": hashlib.sha256(b"<html>").hexdigest()}
    assert lake.delete("reports/a.html") is True
    assert lake.delete("reports/a.html") is False
    assert lake.list() == []


def test_what_is_absent_is_a_missing_input(lake: Lake) -> None:
    with pytest.raises(MissingInputError, match=r"forecasts/x\.parquet"):
        lake.read("forecasts/x.parquet")
    with pytest.raises(MissingInputError):
        lake.read_bytes("reports/x.html")


def test_an_upsert_replaces_its_window_and_nothing_else(lake: Lake) -> None:
    lake.upsert("bars/1h", hours("2025-05-30", "2025-06-03"), "2025-05-30", "2025-06-03")
    lake.upsert("bars/1h", hours("2025-06-01", "2025-06-01T05:00", symbol="new"), "2025-06-01", "2025-06-02")
    found = lake.scan("bars/1h", "2025-01-01", "2026-01-01")
    assert len(found) == 48 + 5 + 24
    inside = (found["ts"] >= "2025-06-01") & (found["ts"] < "2025-06-02")
    assert found.loc[inside, "symbol"].tolist() == ["new"] * 5
    assert found.loc[~inside, "symbol"].isna().all()
    assert found["ts"].is_monotonic_increasing
    assert [path for path in lake.list("bars") if path.endswith(".parquet")] == ["bars/1h/2025-05.parquet", "bars/1h/2025-06.parquet"]


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1], [1, 2, 0, 1]])
def test_the_order_of_ingestion_leaves_no_trace(tmp_path: Path, order: list[int]) -> None:
    days = pd.date_range("2025-05-31", periods=4, tz="UTC")
    whole, piecewise = Lake(tmp_path / "whole"), Lake(tmp_path / "piecewise")
    frame = hours("2025-05-31", "2025-06-03", symbol="A/B")
    whole.upsert("bars", frame, days[0], days[3])
    for position in order:
        start, end = days[position], days[position + 1]
        piecewise.upsert("bars", frame[(frame["ts"] >= start) & (frame["ts"] < end)], start, end)
    assert piecewise.digest() == whole.digest()


def test_a_window_without_rows_is_known_to_have_been_ingested(lake: Lake) -> None:
    empty = pd.DataFrame({"ts": pd.Series([], dtype="datetime64[ns, UTC]"), "title": pd.Series([], dtype="str")})
    lake.upsert("news", empty, "2025-06-01", "2025-06-02")
    assert lake.covered("news", "2025-06-01", "2025-06-02")
    assert not lake.covered("news", "2025-06-01", "2025-06-03")
    assert not lake.covered("macro", "2025-06-01", "2025-06-02")
    found = lake.scan("news", "2025-06-01", "2025-06-02")
    assert found.empty
    assert found.dtypes.astype(str).to_dict() == {"title": "str", "ts": "datetime64[ns, UTC]"}


def test_an_empty_frame_deletes_what_was_there(lake: Lake) -> None:
    frame = hours("2025-06-01", "2025-06-03")
    lake.upsert("bars", frame, "2025-06-01", "2025-06-03")
    lake.upsert("bars", frame.iloc[:0], "2025-06-01", "2025-06-02")
    assert len(lake.scan("bars", "2025-06-01", "2025-06-03")) == 24
    lake.upsert("bars", frame.iloc[:0], "2025-06-01", "2025-07-01")
    assert lake.scan("bars", "2025-06-01", "2025-07-01").empty
    assert [path for path in lake.list("bars") if path.endswith(".parquet")] == []
    assert lake.covered("bars", "2025-06-01", "2025-07-01")


def test_neighbouring_windows_cover_together_and_gaps_stay_gaps(lake: Lake) -> None:
    empty = hours("2025-06-01", "2025-06-01")
    for start, end in [
        ("2025-06-03", "2025-06-04"),
        ("2025-06-01", "2025-06-02"),
        ("2025-06-02", "2025-06-03"),
        ("2025-06-05", "2025-06-06"),
    ]:
        lake.upsert("news", empty, start, end)
    assert lake.covered("news", "2025-06-01", "2025-06-04")
    assert not lake.covered("news", "2025-06-03", "2025-06-06")
    assert len(lake.coverage("news")) == 2


def test_a_scan_reads_the_columns_and_rows_asked_for(lake: Lake) -> None:
    frame = hours("2025-06-29", "2025-07-02", symbol="A/B", volume=1.0)
    frame.loc[frame.index % 2 == 1, "symbol"] = "C/D"
    lake.upsert("bars", frame, "2025-06-29", "2025-07-02")
    found = lake.scan(
        "bars", "2025-06-30T12:00", "2025-07-01T02:00", columns=["close", "symbol"], where=[("symbol", "in", ["C/D"]), ("close", ">", 40)]
    )
    expected = frame[
        (frame["ts"] >= "2025-06-30T12:00") & (frame["ts"] < "2025-07-01T02:00") & (frame["symbol"] == "C/D") & (frame["close"] > 40)
    ]
    pd.testing.assert_frame_equal(found, expected[["close", "symbol"]].reset_index(drop=True))
    assert len(lake.scan("bars", "2025-06-29", "2025-07-02", where=[("symbol", "!=", "C/D")])) == 36
    for condition in (("symbol", ">", 3), ("symbol", "contains", "C")):
        with pytest.raises(UnstorableError, match="symbol"):
            lake.scan("bars", "2025-06-29", "2025-07-02", where=[condition])  # type: ignore[list-item]


def test_a_scan_without_bounds_reads_all(lake: Lake) -> None:
    frame = hours("2025-05-31", "2025-06-02")
    lake.upsert("bars", frame, "2025-05-31", "2025-06-02")
    pd.testing.assert_frame_equal(lake.scan("bars", None, None), frame)
    assert len(lake.scan("bars", None, "2025-06-01")) == 24
    assert len(lake.scan("bars", "2025-06-01", None)) == 24


def test_a_column_that_came_later_is_null_before(lake: Lake) -> None:
    lake.upsert("bars", hours("2025-05-31", "2025-06-01", n=1), "2025-05-31", "2025-06-01")
    lake.upsert("bars", hours("2025-06-01", "2025-06-02", n=1.5, trades=7), "2025-06-01", "2025-06-02")
    found = lake.scan("bars", "2025-05-01", "2025-07-01")
    assert found["trades"].isna().sum() == 24
    assert sorted(found["n"].unique()) == [1.0, 1.5]
    assert lake.scan("bars", "2025-05-01", "2025-06-01", columns=["ts", "trades"])["trades"].isna().all()
    assert len(lake.scan("bars", "2025-05-01", "2025-07-01", where=[("trades", "=", 7)])) == 24
    assert len(lake.scan("bars", "2025-05-01", "2025-07-01", where=[("trades", "=", None)])) == 24
    with pytest.raises(MissingColumnError, match="volume"):
        lake.scan("bars", "2025-05-01", "2025-06-01", columns=["volume"])


def test_rows_outside_the_window_or_without_zone_are_refused(lake: Lake) -> None:
    frame = hours("2025-06-01", "2025-06-02")
    with pytest.raises(UnstorableError, match="1 rows outside"):
        lake.upsert("bars", frame, "2025-06-01", "2025-06-01T23:00")
    with pytest.raises(UnstorableError, match="UTC"):
        lake.upsert("bars", frame.assign(ts=frame["ts"].dt.tz_localize(None)), "2025-06-01", "2025-06-02")
    with pytest.raises(MissingColumnError, match="ts"):
        lake.upsert("bars", frame.drop(columns="ts"), "2025-06-01", "2025-06-02")
    with pytest.raises(UnstorableError, match="before end"):
        lake.upsert("bars", frame, "2025-06-02", "2025-06-02")
    assert lake.list() == []


def test_a_window_in_another_zone_is_the_same_moment(lake: Lake) -> None:
    frame = hours("2025-06-01", "2025-06-02")
    lake.upsert("bars", frame.assign(ts=frame["ts"].dt.tz_convert("Asia/Tokyo")), "2025-06-01T09:00+09:00", "2025-06-02T09:00+09:00")
    assert lake.scan("bars", "2025-06-01", "2025-06-02")["ts"].tolist() == frame["ts"].tolist()


def test_a_column_of_mixed_types_is_refused_by_name(lake: Lake) -> None:
    with pytest.raises(UnstorableError, match="mixed"):
        lake.write("a.parquet", pd.DataFrame({"x": [1, "two"]}))
    with pytest.raises(UnstorableError, match="column names"):
        lake.write("a.parquet", pd.DataFrame([[1, 2]], columns=["x", "x"]))
    assert lake.list() == []


def test_paths_stay_within_the_lake(lake: Lake) -> None:
    for path in ("../outside.parquet", "/etc/passwd", "a//b", "", "a/./b", ".hidden", "a\\b"):
        with pytest.raises(UnstorableError):
            lake.write_bytes(path, b"")


def test_a_corrupt_file_is_named_with_the_remedy(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.upsert("bars", hours("2025-06-01", "2025-06-02"), "2025-06-01", "2025-06-02")
    (tmp_path / "bars" / "2025-06.parquet").write_bytes(b"PAR1 broken")
    for use in (
        lambda: lake.scan("bars", "2025-06-01", "2025-06-02"),
        lambda: lake.read("bars/2025-06.parquet"),
        lambda: lake.upsert("bars", hours("2025-06-03", "2025-06-04"), "2025-06-03", "2025-06-04"),
    ):
        with pytest.raises(CorruptFileError, match=r"2025-06\.parquet.*delete it"):
            use()
    (tmp_path / "bars" / "_table.json").write_text("{")
    with pytest.raises(CorruptFileError, match="_table.json"):
        lake.covered("bars", "2025-06-01", "2025-06-02")


def test_a_truncated_file_is_corrupt_and_not_shorter(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.write("a.parquet", hours("2025-06-01", "2025-06-02"))
    data = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(data[: len(data) // 2])
    with pytest.raises(CorruptFileError):
        lake.read("a.parquet")


def test_unfinished_files_of_the_dead_are_ignored_and_swept_and_those_of_the_living_stay(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.write_bytes("folder/a.bin", b"a")
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    dead, living = tmp_path / "folder" / f".a.bin.{process.pid}-0.tmp", tmp_path / "folder" / f".a.bin.{os.getpid()}-0.tmp"
    dead.write_bytes(b"half")
    living.write_bytes(b"half")
    assert lake.list() == ["folder/a.bin"]
    assert lake.sweep() == [dead.relative_to(tmp_path).as_posix()]
    assert living.exists()
    assert not dead.exists()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize("moment", [1, 2, 3, 4])
def test_a_writer_killed_at_any_file_heals_when_repeated(tmp_path: Path, moment: int) -> None:
    old, new = hours("2025-05-30", "2025-06-03"), hours("2025-05-30", "2025-06-03", symbol="A/B")
    for folder in ("killed", "undisturbed"):
        Lake(tmp_path / folder).upsert("bars", old, "2025-05-30", "2025-06-03")
    body = f"""
        import os, signal, sys
        from pathlib import Path
        import pandas as pd
        from strategy_pipeline.store import Lake, atomic
        replace, done = Path.replace, 0
        def counted(self, target):
            global done
            done += 1
            if done == {moment}:
                os.kill(os.getpid(), signal.SIGKILL)
            return replace(self, target)
        Path.replace = counted
        Lake(sys.argv[1]).upsert("bars", pd.read_parquet(sys.argv[2]), "2025-05-30", "2025-06-03")
    """
    new.to_parquet(tmp_path / "new.parquet")
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(body), str(tmp_path / "killed"), str(tmp_path / "new.parquet")])
    assert done.returncode == -signal.SIGKILL
    killed, undisturbed = Lake(tmp_path / "killed"), Lake(tmp_path / "undisturbed")
    # Between the kill and the repetition every file reads, and the window is not claimed as ingested
    # unless nothing had changed yet.
    assert len(killed.scan("bars", "2025-05-30", "2025-06-03")) == 96
    assert killed.covered("bars", "2025-05-30", "2025-06-03") == (moment == 1)
    for lake in (killed, undisturbed):
        lake.upsert("bars", new, "2025-05-30", "2025-06-03")
    assert killed.digest() == undisturbed.digest()
    assert len(killed.sweep()) == 1


def test_an_unchanged_month_is_not_rewritten(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    frame = hours("2025-06-01", "2025-06-03")
    first = lake.upsert("bars", frame, "2025-06-01", "2025-06-03")
    stamps = {path: (tmp_path / path).stat().st_ino for path in lake.list()}
    assert lake.upsert("bars", frame, "2025-06-01", "2025-06-03") == first
    assert {path: (tmp_path / path).stat().st_ino for path in lake.list()} == stamps


def test_writers_of_one_table_wait_for_each_other(tmp_path: Path) -> None:
    days = pd.date_range("2025-06-01", periods=13, tz="UTC")

    def ingest(lake: Lake, position: int) -> None:
        start, end = days[position], days[position + 1]
        lake.upsert("bars", hours(str(start.date()), str(end.date())), start, end)

    lakes = [Lake(tmp_path) for _ in range(3)]
    threads = [threading.Thread(target=ingest, args=(lakes[position % 3], position)) for position in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lakes[0].scan("bars", days[0], days[12])) == 12 * 24
    assert lakes[0].covered("bars", days[0], days[12])


def test_nothing_about_the_writer_or_the_moment_is_in_the_file(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.write("a.parquet", hours("2025-06-01", "2025-06-02"))
    metadata = pq.read_metadata(tmp_path / "a.parquet").metadata or {}
    assert set(metadata) <= {b"ARROW:schema"}


def test_an_unwritable_lake_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("I am a file")
    with pytest.raises(UnwritableHomeError, match="file"):
        Lake(tmp_path / "file" / "lake")
    lake = Lake(tmp_path / "lake")
    (tmp_path / "lake" / "table").write_text("a file where a folder should be")
    with pytest.raises(UnwritableHomeError):
        lake.write_bytes("table/a.bin", b"")


def test_an_unknown_protocol_is_a_setting_to_mend() -> None:
    with pytest.raises(SettingsError, match="lake_url"):
        Lake("nonsense://bucket/lake")


class _Refusing(MemoryFileSystem):
    protocol = "refusing"
    cachable = False

    def pipe_file(self, path: str, value: bytes, **options: Any) -> None:
        raise FileNotFoundError(path) if "nowhere" in path else ConnectionRefusedError("connection refused")


def test_a_service_that_refuses_is_named_with_the_remedy() -> None:
    fsspec.register_implementation("refusing", _Refusing, clobber=True)
    with pytest.raises(SourceError, match=r"refusing://box/lake.*connection refused.*credentials"):
        Lake("refusing://box/lake").write_bytes("a.bin", b"")
    with pytest.raises(SourceError, match="create it"):
        Lake("refusing://nowhere/lake").write_bytes("a.bin", b"")


moments = st.integers(0, 24 * 70)


@given(windows=st.lists(st.tuples(moments, st.integers(1, 24 * 40)), min_size=1, max_size=6))
def test_the_lake_equals_a_frame_in_memory_under_any_upserts(
    tmp_path_factory: pytest.TempPathFactory, windows: list[tuple[int, int]]
) -> None:
    lake, origin = Lake(tmp_path_factory.mktemp("lake")), pd.Timestamp("2025-05-15", tz="UTC")
    expected = pd.Series(dtype=float, index=pd.DatetimeIndex([], tz="UTC"))
    hour = pd.Timedelta("1h")
    for version, (first, length) in enumerate(windows):
        start, end = origin + first * hour, origin + (first + length) * hour
        ts = pd.date_range(start, end, freq="7h", inclusive="left").as_unit("ns")
        lake.upsert("t", pd.DataFrame({"ts": ts, "x": float(version)}), start, end)
        expected = pd.concat(
            [expected[(expected.index < start) | (expected.index >= end)], pd.Series(float(version), index=ts)]
        ).sort_index()
    found = lake.scan("t", origin, origin + pd.Timedelta("200D"))
    assert found["ts"].tolist() == expected.index.tolist()
    assert found["x"].tolist() == expected.tolist()
    assert all(lake.covered("t", origin + first * hour, origin + (first + length) * hour) for first, length in windows)
