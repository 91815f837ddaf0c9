"""The state folder: version, upgrades, lock, and what a user is told."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from strategy_pipeline.errors import CorruptFileError, HomeLockedError, StateVersionError, UnwritableHomeError
from strategy_pipeline.store import State
from strategy_pipeline.store.state import STATE_VERSION


def test_a_new_folder_gets_the_version_of_the_program(tmp_path: Path) -> None:
    assert State.recorded_version(tmp_path / "home") is None
    State(tmp_path / "home")
    assert State.recorded_version(tmp_path / "home") == STATE_VERSION
    State(tmp_path / "home")  # and opens again


def test_an_old_folder_is_upgraded_step_by_step(tmp_path: Path) -> None:
    State(tmp_path, version=1)
    (tmp_path / "notes").write_text("1")
    upgrades = {n: (lambda home, n=n: (home / "notes").write_text((home / "notes").read_text() + f">{n + 1}")) for n in (1, 2)}
    State(tmp_path, version=3, upgrades=upgrades)
    assert (tmp_path / "notes").read_text() == "1>2>3"
    assert State.recorded_version(tmp_path) == 3


def test_an_upgrade_that_failed_goes_on_where_it_stopped(tmp_path: Path) -> None:
    State(tmp_path, version=1)
    done: list[int] = []

    def broken(home: Path) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        State(tmp_path, version=3, upgrades={1: lambda home: done.append(1), 2: broken})
    assert State.recorded_version(tmp_path) == 2
    State(tmp_path, version=3, upgrades={1: lambda home: done.append(1), 2: lambda home: done.append(2)})
    assert done == [1, 2]


def test_a_folder_of_a_newer_program_is_refused_and_untouched(tmp_path: Path) -> None:
    State(tmp_path, version=STATE_VERSION + 1)
    before = (tmp_path / "state.json").read_bytes()
    with pytest.raises(StateVersionError, match="newer program"):
        State(tmp_path)
    assert (tmp_path / "state.json").read_bytes() == before


def test_a_folder_no_upgrade_leads_from_is_refused_with_the_remedy(tmp_path: Path) -> None:
    State(tmp_path, version=1)
    with pytest.raises(StateVersionError, match="another --home"):
        State(tmp_path, version=3, upgrades={2: lambda home: None})
    assert State.recorded_version(tmp_path) == 1


@pytest.mark.parametrize("content", ["", "[]", '{"version": "one"}', '{"program": "x"}'])
def test_an_unreadable_version_file_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "state.json").write_text(content)
    with pytest.raises(CorruptFileError, match=r"state\.json"):
        State(tmp_path)


@pytest.mark.parametrize("home", ["file", "below-file", "/proc/strategy_pipeline"])
def test_a_folder_that_cannot_be_written_is_refused_with_the_remedy(tmp_path: Path, home: str) -> None:
    (tmp_path / "file").write_text("I am a file")
    folder = {"file": tmp_path / "file", "below-file": tmp_path / "file" / "home"}.get(home, Path(home))
    if home.startswith("/proc") and not Path("/proc").is_dir():
        pytest.skip("no /proc on this system")
    with pytest.raises(UnwritableHomeError, match="--home"):
        State(folder)


def test_a_second_holder_is_refused_and_told_who_has_it(tmp_path: Path) -> None:
    state = State(tmp_path)
    body = """
import sys
from strategy_pipeline.store import State
with State(sys.argv[1]).lock("run 2025-06-29"):
    print("held", flush=True)
    sys.stdin.readline()
"""
    holder = subprocess.Popen([sys.executable, "-c", body, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(HomeLockedError, match=rf"process {holder.pid} \(run 2025-06-29\)"), state.lock():
        pass
    holder.kill()
    holder.wait()
    with state.lock("after the kill"):  # the system let go of it
        assert json.loads((tmp_path / "lock.holder").read_text())["what"] == "after the kill"
    assert not (tmp_path / "lock.holder").exists()


def test_a_lock_is_free_again_after_an_error_inside(tmp_path: Path) -> None:
    state = State(tmp_path)
    with pytest.raises(ValueError, match="inside"), state.lock():
        raise ValueError("inside")
    with state.lock():
        pass


def test_two_states_of_one_process_exclude_each_other(tmp_path: Path) -> None:
    with State(tmp_path).lock(), pytest.raises(HomeLockedError), State(tmp_path).lock():
        pass
