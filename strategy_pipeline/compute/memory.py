"""What the C library does with memory that is freed.

What belongs here: settings of its allocator, for the time of some work. What does not: what the memory holds.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Parameters of glibc's mallopt, and values: beyond MAPPED bytes an array is mapped by itself and handed back when freed, below
# it comes from a heap, of which up to KEPT free bytes stay, and which grows by GROWN bytes at least.
TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3
MAPPED, KEPT, GROWN = 32 << 20, 1 << 30, 64 << 20
USUAL, PADDED = 2 * MAPPED, 128 << 10  # what glibc comes to by itself once arrays of that size have been freed

_lock = threading.Lock()
_inside = 0


@contextmanager
def lasting_memory() -> Iterator[None]:
    """While inside, memory that is freed stays with the process, for work that takes and frees arrays of megabytes all the time.

    Otherwise each of them goes back to the system when it is freed and comes anew, page by page and cleared, which costs more
    than most of what is computed in it. What is free at the end goes back then. Without glibc nothing happens; it may be nested,
    and entered by several threads.
    """
    global _inside
    library = _glibc()
    if library is None:
        yield
        return
    with _lock:
        _inside += 1
        if _inside == 1:
            _set(library, KEPT, GROWN)
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _set(library, USUAL, PADDED)
                library.malloc_trim(0)


def _set(library: Any, kept: int, grown: int) -> None:
    for parameter, value in ((MMAP_THRESHOLD, MAPPED), (TRIM_THRESHOLD, kept), (TOP_PAD, grown)):
        library.mallopt(parameter, value)


def _glibc() -> Any:
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version, library.mallopt, library.malloc_trim  # noqa: B018 - AttributeError where it is another library
    except (AttributeError, OSError, TypeError):
        return None
    return library
