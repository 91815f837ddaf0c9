"""Memory that stays with the process while some work lasts."""

from __future__ import annotations

import ctypes
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from strategy_pipeline.compute import lasting_memory, memory


class Library:
    """What is asked of the C library's allocator, in order."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int, int]] = []

    def mallopt(self, parameter: int, value: int) -> int:
        self.asked.append(("set", parameter, value))
        return 1

    def malloc_trim(self, pad: int) -> int:
        self.asked.append(("trim", pad, 0))
        return 1


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    made = Library()
    monkeypatch.setattr(memory, "_glibc", lambda: made)
    return made


def kept(library: Library) -> list[int]:
    return [value for what, parameter, value in library.asked if what == "set" and parameter == memory.TRIM_THRESHOLD]


def test_memory_is_kept_inside_and_given_back_at_the_end(library: Library) -> None:
    with lasting_memory():
        assert kept(library) == [memory.KEPT] and ("trim", 0, 0) not in library.asked
    assert kept(library) == [memory.KEPT, memory.USUAL] and library.asked[-1] == ("trim", 0, 0)


def test_afterwards_the_allocator_is_set_as_glibc_would_have_come_to_be(library: Library) -> None:
    """M_MMAP_THRESHOLD at its dynamic maximum, M_TRIM_THRESHOLD twice that, M_TOP_PAD at its default (mallopt(3))."""
    with lasting_memory():
        pass
    assert library.asked[-4:-1] == [("set", -3, 32 << 20), ("set", -1, 64 << 20), ("set", -2, 128 * 1024)]


def test_the_last_to_leave_gives_back(library: Library) -> None:
    with lasting_memory():
        with lasting_memory():
            pass
        assert kept(library) == [memory.KEPT]
    assert kept(library) == [memory.KEPT, memory.USUAL]


def test_threads_inside_at_once_are_counted(library: Library) -> None:
    together = Barrier(4)

    def work(_: int) -> None:
        with lasting_memory():
            together.wait(timeout=60)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert kept(library) == [memory.KEPT, memory.USUAL]


def test_a_failure_gives_back_too(library: Library) -> None:
    with pytest.raises(ZeroDivisionError), lasting_memory():
        1 / 0
    assert library.asked[-1] == ("trim", 0, 0)


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    with lasting_memory():
        assert memory._glibc() is None
