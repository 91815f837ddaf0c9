"""Files behind an fsspec URL: whole writes, plain reads, a sorted listing, digests, one lock per name.

What belongs here: how bytes reach a local disk or an object store, and what its failures mean to a user.
What does not: Parquet and tables (`lake`).
"""

from __future__ import annotations

import hashlib
import posixpath
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from strategy_pipeline.errors import MissingInputError, SettingsError, SourceError, UnwritableHomeError
from strategy_pipeline.store import atomic
from strategy_pipeline.store.documents import UnstorableError

Paths = list[str]  # spelled out here because `Files.list` hides the built-in name inside the class


@dataclass(frozen=True)
class Artifact:
    """What a write left: the path within the lake, the SHA-256 of its bytes, its rows (0 for plain bytes)."""

    path: str
    sha256: str
    rows: int


class Files:
    """Files under `url`, a local folder or an fsspec URL. `Lake` documents the rest."""

    def __init__(self, url: str | Path, *, options: Mapping[str, Any] | None = None) -> None:
        text = str(url)
        self.url = text
        self._local: Path | None = None
        if "://" not in text or text.startswith("file://"):
            self._local = Path(text.removeprefix("file://"))
            self._root = str(self._local)
            try:
                self._local.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise UnwritableHomeError(_unwritable(self._local, error)) from error
        else:
            import fsspec

            try:
                # Listings are not cached: another process may write between two of ours.
                self._fs, self._root = fsspec.core.url_to_fs(text, **{"use_listings_cache": False, **(options or {})})
            except (ValueError, ImportError) as error:
                raise SettingsError(
                    f"Expected a lake URL that fsspec can open, was {text!r} ({error}); mend lake_url or install its package"
                ) from error
        self._thread_lock = threading.RLock()

    def write_bytes(self, path: str, data: bytes) -> Artifact:
        """Write any file (an HTML report, JSON, arrays)."""
        return Artifact(path, self._put(checked(path), data), 0)

    def read_bytes(self, path: str) -> bytes:
        """Any file back. MissingInputError when absent."""
        return self._get(checked(path))

    def exists(self, path: str) -> bool:
        """Whether a file is there."""
        full = self._full(checked(path))
        return Path(full).is_file() if self._local is not None else bool(self._remote(lambda: self._fs.isfile(full), path))

    def list(self, prefix: str = "") -> Paths:
        """Paths of the files in the folder `prefix` and below, sorted. Locks and unfinished files are not files."""
        folder = self._full(checked(prefix)) if prefix else self._root
        if self._local is not None:
            found = [path.relative_to(self._local).as_posix() for path in Path(folder).rglob("*") if path.is_file()]
        else:
            root = self._root.rstrip("/") + "/"
            found = [str(path).removeprefix(root) for path in self._remote(lambda: self._fs.find(folder), prefix)]
        return sorted(path for path in found if not any(part.startswith(".") for part in path.split("/")))

    def delete(self, path: str) -> bool:
        """Remove a file; False where there was none."""
        full = self._full(checked(path))
        if not self.exists(path):
            return False
        if self._local is not None:
            Path(full).unlink(missing_ok=True)
        else:
            self._remote(lambda: self._fs.rm_file(full), path)
        return True

    def digest(self, prefix: str = "") -> dict[str, str]:
        """{path: SHA-256 hex} of everything under `prefix`: what two equal runs must have in common."""
        return {path: hashlib.sha256(self._get(path)).hexdigest() for path in self.list(prefix)}

    def sweep(self) -> Paths:
        """Remove unfinished files of processes that no longer run (they are ignored anyway); returns their paths."""
        if self._local is None:
            return []
        return [path.relative_to(self._local).as_posix() for path in atomic.sweep(self._local)]

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        with self._thread_lock:
            if self._local is None:
                yield
                return
            from filelock import FileLock

            folder = self._local / ".locks"
            try:
                folder.mkdir(exist_ok=True)
                lock = FileLock(folder / (name.replace("/", "~") + ".lock"))
                lock.acquire()
            except OSError as error:
                raise UnwritableHomeError(_unwritable(self._local, error)) from error
            try:
                yield
            finally:
                lock.release()

    def _put(self, path: str, data: bytes) -> str:
        full = self._full(path)
        if self._local is not None:
            target = Path(full)
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                atomic.replace_file(target, data)
            except OSError as error:
                raise UnwritableHomeError(_unwritable(target, error)) from error
        else:
            try:
                self._remote(lambda: self._fs.pipe_file(full, data), path)
            except FileNotFoundError as error:
                raise SourceError(f"Expected the container or bucket of {self.url} to exist, did not; create it, then run again") from error
        return hashlib.sha256(data).hexdigest()

    def _get(self, path: str) -> bytes:
        full = self._full(path)
        try:
            return Path(full).read_bytes() if self._local is not None else bytes(self._remote(lambda: self._fs.cat_file(full), path))
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise MissingInputError(f"Expected {path} in the lake {self.url}, was absent; run the stage that writes it first") from None

    def _remote(self, call: Callable[[], Any], path: str) -> Any:
        try:
            return call()
        except FileNotFoundError:
            raise
        except _remote_errors() as error:
            if type(error).__name__ == "ResourceNotFoundError":
                raise FileNotFoundError(path) from None
            raise SourceError(f"Expected the lake {self.url} to answer for {path}, did not ({error}); check URL and credentials") from error

    def _full(self, path: str) -> str:
        return posixpath.join(self._root, path)

    def _corrupt(self, path: str, error: Exception) -> str:
        reason = (str(error).splitlines() or [""])[0][:160]
        return f"Expected a readable file at {self._full(path)}, was not ({reason}); delete it and run the stage that writes it again"


def _remote_errors() -> tuple[type[Exception], ...]:
    # Azure's errors are no OSError; where its library is not loaded none of them can be raised.
    azure = sys.modules.get("azure.core.exceptions")
    return (OSError, azure.AzureError) if azure is not None else (OSError,)


def checked(path: str) -> str:
    parts = path.split("/")
    if not path or any(not part or part in (".", "..") or part.startswith(".") for part in parts) or "\\" in path:
        raise UnstorableError(
            f"Expected a relative path within the lake, was {path!r}; no part may be empty, begin with a dot, or hold a backslash"
        )
    return path


def _unwritable(path: Path, error: Exception) -> str:
    return f"Expected a writable lake at {path}, was not ({error}); nothing was written there: choose another or mend its permissions"
