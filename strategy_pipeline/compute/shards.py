"""Spreading shards over threads or over Ray, with the answers in the order of the shards."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Literal, TypeVar

from strategy_pipeline.errors import MissingExtraError, PipelineError, SettingsError

Shard = TypeVar("Shard")
Result = TypeVar("Result")


class ShardError(PipelineError):
    """The work on one shard failed; the message names the shard and ``__cause__`` is the failure."""


def worker_count(workers: int = 0) -> int:
    """Threads that `workers` asks for: itself, or with 0 one per core this process may use."""
    if workers < 0:
        raise SettingsError(f"Expected workers of at least 0, was {workers}; 0 means one per core")
    if workers:
        return workers
    affinity = getattr(os, "sched_getaffinity", None)  # absent on macOS
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def map_shards(
    function: Callable[[Shard], Result],
    shards: Iterable[Shard],
    *,
    workers: int = 0,
    backend: Literal["threads", "ray"] = "threads",
    names: Sequence[str] | None = None,
) -> list[Result]:
    """``[function(shard) for shard in shards]``, spread over `workers`.

    Threads suit kernels that release the GIL. Ray runs on the cluster the process is connected to, or
    starts one on this machine; `function` and shards are then pickled. The answer is in shard order and
    equal for every worker count and backend.

    The failure raised is that of the first failing shard in shard order, whatever the order they ran in:
    a `PipelineError` as it is (its message already says what to mend), any other failure as `ShardError`
    naming the shard (`names`, or its position). Shards not yet started are then left undone.
    """
    work = list(shards)
    if names is not None and len(names) != len(work):
        raise SettingsError(f"Expected a name for each of {len(work)} shards, was {len(names)} names; give one for each or none")
    count = worker_count(workers)
    if backend == "ray":
        return _map_ray(function, work, count, names)
    if not work:
        return []
    with ThreadPoolExecutor(max_workers=min(count, len(work)), thread_name_prefix="shard") as pool:
        futures = [pool.submit(function, shard) for shard in work]
        wait(futures, return_when=FIRST_EXCEPTION)
        if any(future.done() and future.exception() is not None for future in futures):
            for future in futures:
                future.cancel()
    # Shards start in order, so whatever comes before the first failure has run to its end: which failure
    # is reported does not depend on timing, and a cancelled shard is never reached.
    results = []
    for position, future in enumerate(futures):
        failure = future.exception()
        if failure is not None:
            raise _named(position, names, failure)
        results.append(future.result())
    return results


def _named(position: int, names: Sequence[str] | None, failure: BaseException) -> BaseException:
    if isinstance(failure, PipelineError):
        return failure
    label = names[position] if names is not None else f"number {position}"
    error = ShardError(f"Expected shard {label} to finish, was {type(failure).__name__}: {failure}; it and the later shards have no result")
    error.__cause__ = failure
    return error


def _map_ray(function: Callable[[Shard], Result], work: list[Shard], workers: int, names: Sequence[str] | None) -> list[Result]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray reports usage by default; nothing phones home
    try:
        import ray
    except ImportError:
        raise MissingExtraError("Expected ray for backend='ray', was not installed; install strategy-pipeline[cluster]") from None
    if not ray.is_initialized():
        ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False, configure_logging=False, _node_ip_address="127.0.0.1")
    remote = ray.remote(num_cpus=1)(function)
    pending = [remote.remote(shard) for shard in work]
    results: list[Result] = []
    for position, reference in enumerate(pending):
        try:
            results.append(ray.get(reference))
        except ray.exceptions.RayTaskError as error:
            for later in pending[position + 1 :]:
                ray.cancel(later)
            raise _named(position, names, error.cause if isinstance(error.cause, BaseException) else error) from None
    return results
