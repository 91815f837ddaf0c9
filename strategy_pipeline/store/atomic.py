"""Writing a local file so that a killed process leaves the old one or the new one, never a piece.

The bytes go to a temporary name in the same folder, reach the disk, and take the final name in one
rename. A temporary name carries its writer's process id, so leftovers of a killed process can be told
from the work of a living one.
"""

from __future__ import annotations

import itertools
import os
import re
from pathlib import Path

_counter = itertools.count()
_TEMPORARY = re.compile(r"^\..+\.(\d+)-\d+\.tmp$")


def replace_file(path: Path, data: bytes) -> None:
    """Make `path` hold `data`, atomically and durably. Its folder must exist. OSError as the system says."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{next(_counter)}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def is_temporary(name: str) -> bool:
    """Whether a file name is one of ours for a file being written."""
    return _TEMPORARY.match(name) is not None


def sweep(folder: Path) -> list[Path]:
    """Remove, in `folder` and below, the temporary files of processes that no longer run; returns them."""
    swept = []
    for path in sorted(folder.rglob(".*.tmp")):
        found = _TEMPORARY.match(path.name)
        if found and not _alive(int(found.group(1))):
            path.unlink(missing_ok=True)
            swept.append(path)
    return swept


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _sync_folder(folder: Path) -> None:
    # The rename itself lives in the folder; without this a power cut may undo it. Windows cannot open folders.
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
