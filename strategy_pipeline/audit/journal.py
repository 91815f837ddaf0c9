"""A file of finished pieces of work, one JSON line each: a long run goes on where it was stopped.

What belongs here: reading and writing it safely. What does not: what a piece is.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from strategy_pipeline.errors import PipelineError
from strategy_pipeline.store.atomic import replace_file

JOURNAL_VERSION = 1


class JournalError(PipelineError):
    """A journal belongs to another run or version, or holds a line that is not what was written."""


class Journal:
    """Finished pieces by name, on disk after each one (`path` None keeps them in memory).

    The first line says what run it is (`run`, a mapping of plain values); each other line is a piece with its ``key``. The
    whole file is replaced at each piece, so a kill leaves all finished ones and no part of another. Threads may share it.
    `JournalError` when the file is of another version or run, or damaged: it is left as it is.
    """

    def __init__(self, path: Path | None, run: Mapping[str, Any]) -> None:
        self.path = path
        self._header = {"journal": JOURNAL_VERSION, **run}
        self._pieces: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()
        if path is not None and path.exists():
            self._read(path)

    def get(self, key: str) -> dict[str, Any] | None:
        """The piece of that name, or None."""
        with self._lock:
            return self._pieces.get(key)

    def put(self, key: str, piece: Mapping[str, Any]) -> None:
        """Keeps a finished piece: plain values without NaN."""
        line = json.loads(json.dumps({"key": key, **piece}, allow_nan=False))
        with self._lock:
            self._pieces[key] = line
            if self.path is not None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                ordered = [self._header, *(self._pieces[name] for name in sorted(self._pieces))]
                replace_file(self.path, "".join(json.dumps(item, sort_keys=True) + "\n" for item in ordered).encode())

    def __len__(self) -> int:
        return len(self._pieces)

    def _read(self, path: Path) -> None:
        lines = path.read_bytes().splitlines()
        for number, raw in enumerate(lines, start=1):
            try:
                line = json.loads(raw)
            except ValueError:
                line = None
            if not isinstance(line, dict) or (number > 1 and not isinstance(line.get("key"), str)):
                raise JournalError(
                    f"Expected one JSON object a line in {path}, was {raw[:40]!r} in line {number}; "
                    "nothing was changed; take that line out, or name another file"
                )
            if number == 1:
                self._check(path, line)
            else:
                self._pieces[line["key"]] = line

    def _check(self, path: Path, found: dict[str, Any]) -> None:
        expected = json.loads(json.dumps(self._header))
        for name in (*expected, *found):
            if found.get(name) != expected.get(name):
                raise JournalError(
                    f"Expected a file of this run in {path}, was another {name} ({found.get(name)!r}, here {expected.get(name)!r}); "
                    "nothing was changed; name another file, or run it as it was begun"
                )
