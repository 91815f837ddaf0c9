"""Spreading work: order, equality over workers, and which failure is told."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategy_pipeline.compute import ShardError, map_shards, worker_count
from strategy_pipeline.errors import NoDataError, SettingsError


def column_sums(shard: np.ndarray) -> float:
    return float(np.sort(shard).sum())


@given(shards=st.lists(st.integers(-1000, 1000), max_size=20), workers=st.integers(1, 6))
def test_answers_come_in_the_order_of_the_shards(shards: list[int], workers: int) -> None:
    def late_ones_first(shard: int) -> int:
        time.sleep((1000 - shard) * 1e-7)
        return shard * shard

    assert map_shards(late_ones_first, shards, workers=workers) == [shard * shard for shard in shards]


def test_results_do_not_depend_on_workers() -> None:
    shards = list(np.random.default_rng(1).normal(size=(7, 1000)))
    alone = map_shards(column_sums, shards, workers=1)
    assert map_shards(column_sums, shards, workers=5) == alone
    assert map_shards(column_sums, iter(shards)) == alone


def test_shards_run_at_the_same_time() -> None:
    together = threading.Barrier(3, timeout=20)
    assert sorted(map_shards(lambda shard: together.wait() >= 0, range(3), workers=3)) == [True] * 3


def test_no_shards_no_answers() -> None:
    assert map_shards(column_sums, []) == []


@pytest.mark.parametrize("workers", [1, 4])
def test_the_first_failing_shard_is_named_whichever_fails_first_in_time(workers: int) -> None:
    def work(shard: int) -> int:
        if shard == 1:
            time.sleep(0.05)
            raise ValueError("slow failure")
        if shard == 2:
            raise KeyError("fast failure")
        return shard

    with pytest.raises(ShardError, match="shard BTC/USDT.*ValueError: slow failure") as told:
        map_shards(work, [0, 1, 2, 3], workers=workers, names=["ETH/USDT", "BTC/USDT", "SOL/USDT", "XRP/USDT"])
    assert isinstance(told.value.__cause__, ValueError)


def test_an_error_a_user_can_mend_comes_through_as_it_is() -> None:
    def work(shard: int) -> int:
        raise NoDataError("Expected bars of BTC/USDT, was none; widen the range")

    with pytest.raises(NoDataError, match="widen the range"):
        map_shards(work, [1, 2], workers=2)


def test_after_a_failure_waiting_shards_are_left_undone() -> None:
    done: list[int] = []

    def work(shard: int) -> None:
        if shard == 0:
            raise ValueError("stop")
        time.sleep(0.02)
        done.append(shard)

    with pytest.raises(ShardError, match="number 0"):
        map_shards(work, range(500), workers=2)
    assert len(done) < 400


def test_workers_are_counted_and_checked() -> None:
    assert worker_count(3) == 3
    assert worker_count(0) >= 1
    with pytest.raises(SettingsError, match="workers"):
        worker_count(-1)
    with pytest.raises(SettingsError, match="names"):
        map_shards(column_sums, [], names=["one"])


@pytest.fixture
def ray() -> Any:
    ray = pytest.importorskip("ray", reason="ray is not installed")
    yield ray
    ray.shutdown()


@pytest.mark.nightly
def test_ray_gives_what_threads_give(ray: Any) -> None:
    shards = list(np.random.default_rng(1).normal(size=(5, 100)))
    assert map_shards(column_sums, shards, workers=2, backend="ray") == map_shards(column_sums, shards)

    def fail(shard: int) -> int:
        raise ValueError("on the cluster")

    with pytest.raises(ShardError, match="number 0.*on the cluster"):
        map_shards(fail, [1], workers=2, backend="ray")
