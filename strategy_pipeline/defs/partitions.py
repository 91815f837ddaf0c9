"""The one partitions definition that every partitioned asset shares, so that any of them backfill together.

Partition D holds data through D's close (midnight UTC) and is valid in D + 1. Models are keyed by their
cutoff day, as a partition of the same definition: model D is trained on data strictly before D.
"""

from __future__ import annotations

import dagster as dg

FIRST_DAY = "2013-01-01"

daily = dg.DailyPartitionsDefinition(start_date=FIRST_DAY, timezone="UTC")

# A day reads look-back from the lake by time range; lineage shows the day itself and the day before.
previous_day = dg.TimeWindowPartitionMapping(start_offset=-1, end_offset=-1)


def newest_within(days: int) -> dg.TimeWindowPartitionMapping:
    """A prediction of day D comes from the newest model whose cutoff lies in the `days` before D, or is D."""
    return dg.TimeWindowPartitionMapping(start_offset=-days, end_offset=0)
