"""Memory of large results is used again, within limits, and never by two at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from strategy_pipeline.indicators.memo import LARGE_BYTES, Memo, Pool

SHAPE = (2, LARGE_BYTES // 16)


def spare(pool: Pool) -> int:
    return sum(memory.nbytes for kept in pool._spare.values() for memory in kept)


def test_spare_memory_stays_within_its_limit() -> None:
    pool = Pool(3 * LARGE_BYTES)
    taken = [pool.empty(SHAPE) for _ in range(8)]
    places = {array.ctypes.data for array in taken}
    assert len(places) == 8 and spare(pool) == 0
    taken.clear()
    assert spare(pool) == 3 * LARGE_BYTES
    again = [pool.empty(SHAPE) for _ in range(3)]
    assert {array.ctypes.data for array in again} <= places and spare(pool) == 0


def test_spare_memory_serves_results_of_its_own_size_alone() -> None:
    pool = Pool(3 * LARGE_BYTES)
    pool.empty(SHAPE)  # and back
    small, wide = pool.empty((1, 8)), pool.empty((4, *SHAPE))
    assert small.nbytes == 64 and wide.nbytes == 4 * LARGE_BYTES and spare(pool) == LARGE_BYTES


def test_with_the_last_result_forgotten_spare_memory_goes_back_to_the_system() -> None:
    memo: Memo[str] = Memo(8 * LARGE_BYTES)
    for name in ("a", "b"):
        memo.put(name, (memo.pool.empty(SHAPE),))
    memo.drop(["a"])
    assert spare(memo.pool) == LARGE_BYTES
    memo.drop(["b"])
    assert spare(memo.pool) == 0 and memo.size == 0


def test_no_two_threads_get_the_same_memory() -> None:
    pool = Pool(4 * LARGE_BYTES)

    def work(number: int) -> bool:
        fine = True
        for turn in range(150):
            array = pool.empty(SHAPE)
            array[:] = number
            part = array[1, turn:]
            del array
            fine &= bool((part == number).all())
        return fine

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(work, range(4)))
    assert spare(pool) <= 4 * LARGE_BYTES


def test_any_view_keeps_its_memory_from_others() -> None:
    pool = Pool(4 * LARGE_BYTES)
    array = pool.empty(SHAPE)
    array[:] = 7.0
    parts = [array[0], array.reshape(-1)[5:], array.T, memoryview(array)]
    del array
    while parts:
        pool.empty(SHAPE)[:] = 0.0
        assert (np.asarray(parts.pop()) == 7.0).all()
    assert spare(pool) == 2 * LARGE_BYTES  # all is back: what was lent, and what others took meanwhile
