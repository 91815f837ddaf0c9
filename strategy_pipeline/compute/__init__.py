"""One `map_shards` over independent pieces of work: threads on one machine, Ray on a cluster.

What belongs here: how shards are spread and gathered, and how memory is kept meanwhile. What does not: what a shard is or
computes. Rooms below cut their work so that results do not depend on how it was spread.
"""

from __future__ import annotations

from strategy_pipeline.compute.memory import lasting_memory
from strategy_pipeline.compute.shards import ShardError, map_shards, worker_count

__all__ = ["ShardError", "lasting_memory", "map_shards", "worker_count"]
