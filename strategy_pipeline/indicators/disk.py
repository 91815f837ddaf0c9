"""Computed series on disk, by the content they came from.

What belongs here: the key, the file and its checks, and keeping a folder within a limit. What does not: when the disk is
asked (`bank`) and what is remembered in memory (`memo`).

A key is a hash of everything a result depends on: the bytes of every input array, the entry's name and parameters, the
timeframe, and the code that computes it (the catalog's own sources, the versions of the libraries and the processor's
name, since instructions differ in rounding). A different market, parameter or version is a different key, so nothing is
ever stale. A file carries a digest of its key and content; one that does not match is removed, noted in the log, and the series
computed again. Any number of processes may share a folder: a file appears whole or not at all, and equal keys mean
equal bytes.
"""

from __future__ import annotations

import hashlib
import logging
import os
import struct
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from strategy_pipeline.indicators.registry import Indicator
from strategy_pipeline.store.atomic import replace_file, sweep

Array = np.ndarray
_LOG = logging.getLogger(__name__)
_MAGIC = b"SERIES01"
_HEADER = struct.Struct("<8s32sQQQ")  # magic, sha256 of key and content, outputs, symbols, bars
SUFFIX = ".series"
SLOW = ("ht_dcphase", "ht_sine", "ht_trendmode")  # linear in bars, at more than a microsecond each


class SeriesCache:
    """Series in `folder`, the least recently used removed beyond `max_bytes`.

    Parameters
    ----------
    folder : str or Path
        Made when the first series is written.
    max_bytes : int
        Of all files together. Each process looks at the folder again after writing a sixteenth of that, so n of them
        at once may go over by n sixteenths, for that long.

    Attributes
    ----------
    hits, misses, damaged : int
        Series found, not found, and found damaged (these are misses as well) so far.
    """

    def __init__(self, folder: str | Path, *, max_bytes: int = 8 << 30) -> None:
        self.folder = Path(folder)
        self.max_bytes = max_bytes
        self.hits = self.misses = self.damaged = 0
        self._total: int | None = None  # bytes in the folder when last looked at, plus what was written since
        self._written = 0

    @staticmethod
    def worth(entry: Indicator) -> bool:
        """Whether an entry's series are kept: the catalog's own, where computing takes longer than reading.

        Reading and checking takes some 10 ns a bar; most entries are computed in less. The code of an entry that a user
        registered is not part of the key, so its series would outlive a change of it.
        """
        ours = entry.function.__module__.startswith("strategy_pipeline.indicators.definitions.")
        return ours and (entry.cost == "window" or entry.name in SLOW)

    def read(self, key: str, outputs: Sequence[Array]) -> bool:
        """Fill `outputs`, float64 (n_symbols, n_bars) each, with the series of `key`; False (contents undefined) if it has none."""
        path = self._path(key)
        try:
            with path.open("rb", buffering=0) as file:
                problem = _fill(file.readinto, key, outputs)
                if not problem and file.read(1):
                    problem = "longer than its header says"
            if not problem:
                os.utime(path)
        except FileNotFoundError:
            self.misses += 1
            return False
        except OSError as error:
            problem = str(error)
        if problem:
            self.misses += 1
            self.damaged += 1
            _LOG.warning("Expected a whole series in %s, was %s; it is removed and computed again.", path, problem)
            self._remove(path)
            return False
        self.hits += 1
        return True

    def write(self, key: str, outputs: Sequence[Array]) -> None:
        """Keep `outputs` under `key`. A folder that cannot be written is noted in the log; the results are whole without it."""
        content = b"".join(np.ascontiguousarray(output, dtype="<f8").tobytes() for output in outputs)
        data = _HEADER.pack(_MAGIC, hashlib.sha256(key.encode() + content).digest(), len(outputs), *outputs[0].shape) + content
        if len(data) > self.max_bytes:
            return
        path = self._path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(path, data)
        except OSError as error:
            _LOG.warning("Expected to keep a series in %s, was %s; it is not kept; give a folder that can be written.", path, error)
            return
        self._written += len(data)
        if self._total is None or self._total + self._written > self.max_bytes or self._written > self.max_bytes // 16:
            self._trim()

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}{SUFFIX}"

    def _trim(self) -> None:
        """Look at the folder; where it is too large, remove what was used longest ago until an eighth is free."""
        sweep(self.folder)
        found = []
        for path in self.folder.glob(f"??/*{SUFFIX}"):
            try:
                status = path.stat()
            except OSError:  # another process removed it
                continue
            found.append((status.st_mtime_ns, path.name, status.st_size, path))
        self._total, self._written = sum(size for _, _, size, _ in found), 0
        if self._total <= self.max_bytes:
            return
        for _, _, size, path in sorted(found):
            if self._total <= self.max_bytes - self.max_bytes // 8:
                break
            self._remove(path)
            self._total -= size

    def _remove(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            _LOG.warning("Expected to remove %s, was %s; the folder may stay over its limit.", path, error)


def key_of(name: str, parameters: Sequence[float], timeframe: str, inputs: Sequence[str], shape: tuple[int, int]) -> str:
    """The key of an entry's outputs: `inputs` are the digests of what it reads, in order."""
    said = repr((code_digest(), name, [float(value) for value in parameters], timeframe, list(inputs), shape))
    return hashlib.sha256(said.encode()).hexdigest()


def digest_of(array: Array) -> str:
    """A hash of an array's shape and values."""
    digest = hashlib.sha256(repr((array.shape, array.dtype.str)).encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


@cache
def code_digest() -> str:
    """A hash of the code that computes the catalog: its sources, the libraries' versions and the processor's name."""
    import llvmlite.binding
    import numba
    import talib

    digest = hashlib.sha256()
    home = Path(__file__).parent
    for path in sorted([*home.glob("definitions/*.py"), *home.glob("kernels/*.py"), home / "rows.py", home / "families.py"]):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    versions = (np.__version__, numba.__version__, talib.__version__, talib.__ta_version__, llvmlite.binding.get_host_cpu_name())
    digest.update(repr(versions).encode())
    return digest.hexdigest()


def _fill(read_into: Callable[[Any], int | None], key: str, outputs: Sequence[Array]) -> str:
    """Fill `outputs` from a file; "" or what is wrong with it."""
    header = bytearray(_HEADER.size)
    if read_into(header) != _HEADER.size:
        return "shorter than a header"
    magic, wanted, *shape = _HEADER.unpack(header)
    if magic != _MAGIC or shape != [len(outputs), *outputs[0].shape]:
        return f"of another kind or shape ({shape})"
    digest = hashlib.sha256(key.encode())
    for output in outputs:
        view = output.data.cast("B")
        done = 0
        while done < len(view):
            count = read_into(view[done:])
            if not count:
                return "cut short"
            done += count
        digest.update(view)
    return "" if digest.digest() == wanted else "of other content than was written"
