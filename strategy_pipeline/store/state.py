"""The state folder: is it ours, is it of our version, and is anyone else at work in it.

What belongs here: the version file, the upgrades between versions, the lock. What does not: what the
folder holds besides; each store knows its own files.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from strategy_pipeline.errors import CorruptFileError, HomeLockedError, StateVersionError, UnwritableHomeError
from strategy_pipeline.store.atomic import replace_file

STATE_VERSION = 1
# From a version to the next: UPGRADES[1] rewrites a folder of version 1 as one of version 2. Each must be
# safe to run again after a kill, since the version file is written only when it has finished.
UPGRADES: Mapping[int, Callable[[Path], None]] = {}


class State:
    """The state folder `home`, made when absent and upgraded when old.

    UnwritableHomeError where it cannot be made or written, StateVersionError where it is newer than this
    program or no upgrade leads here, CorruptFileError where its version file is unreadable. `version` and
    `upgrades` stand for the program's own and are given only to rehearse an upgrade.
    """

    def __init__(
        self, home: str | Path, *, version: int = STATE_VERSION, upgrades: Mapping[int, Callable[[Path], None]] = UPGRADES
    ) -> None:
        self.home = Path(home)
        self.version = version
        self._require_writable()
        found = self.recorded_version(self.home)
        if found is None:
            self._record(version)
        elif found != version:
            self._upgrade(found, upgrades)

    @staticmethod
    def recorded_version(home: str | Path) -> int | None:
        """The version a folder says it has; None where it says nothing (new, or not ours). Writes nothing."""
        path = Path(home) / "state.json"
        try:
            text = path.read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise CorruptFileError(_unreadable(path, error)) from error
        try:
            version = json.loads(text)["version"]
        except (ValueError, KeyError, TypeError) as error:
            raise CorruptFileError(_unreadable(path, error)) from error
        if not isinstance(version, int):
            raise CorruptFileError(_unreadable(path, f"version {version!r}"))
        return version

    @contextmanager
    def lock(self, what: str = "", *, timeout: float = 0.0) -> Iterator[None]:
        """Hold the folder for this process. HomeLockedError, naming the holder, when another has it for
        longer than `timeout` seconds. The system releases it when the process ends, however it ends."""
        from filelock import FileLock, Timeout

        lock = FileLock(self.home / "lock", timeout=timeout)
        try:
            lock.acquire()
        except Timeout:
            raise HomeLockedError(
                f"Expected {self.home} to be free, was locked by {self.holder()}; wait for it to end, stop it, or choose another --home"
            ) from None
        except OSError as error:
            raise UnwritableHomeError(_unwritable(self.home, error)) from error
        try:
            # Beside the lock and not in it: opening a lock file to try it empties it.
            replace_file(self.home / "lock.holder", json.dumps({"pid": os.getpid(), "what": what}).encode())
            yield
        finally:
            (self.home / "lock.holder").unlink(missing_ok=True)
            lock.release()

    def holder(self) -> str:
        """Who holds the lock, in words, as far as the folder tells."""
        try:
            found = json.loads((self.home / "lock.holder").read_text(encoding="utf-8"))
            return f"process {found['pid']}" + (f" ({found['what']})" if found["what"] else "")
        except (OSError, ValueError, KeyError, TypeError):
            return "another process"

    def _require_writable(self) -> None:
        probe = self.home / f".probe-{os.getpid()}"
        try:
            self.home.mkdir(parents=True, exist_ok=True)
            probe.write_bytes(b"")
            probe.unlink(missing_ok=True)
        except OSError as error:
            raise UnwritableHomeError(_unwritable(self.home, error)) from error

    def _record(self, version: int) -> None:
        replace_file(self.home / "state.json", json.dumps({"program": "strategy_pipeline", "version": version}, indent=1).encode())

    def _upgrade(self, found: int, upgrades: Mapping[int, Callable[[Path], None]]) -> None:
        if found > self.version:
            raise StateVersionError(
                f"Expected state of version {self.version} or older in {self.home}, was {found}; it stays untouched: "
                "use the newer program that wrote it, or choose another --home"
            )
        for step in range(found, self.version):
            if step not in upgrades:
                raise StateVersionError(
                    f"Expected an upgrade from version {step} for {self.home}, was none; it stays as it is: "
                    "choose another --home and run again, or use the program that wrote it"
                )
        with self.lock("upgrade"):
            # Another process may have upgraded while this one waited for the lock.
            for step in range(self.recorded_version(self.home) or found, self.version):
                upgrades[step](self.home)
                self._record(step + 1)


def _unwritable(home: Path, error: object) -> str:
    return f"Expected a writable state folder at {home}, was not ({error}); choose another with --home"


def _unreadable(path: Path, error: object) -> str:
    return f"Expected a version file at {path}, was unreadable ({error}); restore it or choose another --home"
