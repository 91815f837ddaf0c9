"""One `map_shards` over independent pieces of work: threads on one machine, Ray on a cluster.

What belongs here: how shards are spread and gathered. What does not: what a shard is or computes. Rooms
below cut their work so that results do not depend on how it was spread.
"""

from __future__ import annotations

from strategy_pipeline.compute.shards import ShardError, map_shards, worker_count

__all__ = ["ShardError", "map_shards", "worker_count"]
