"""The trials of the daily search, in the lake: a file for each day and who proposed them.

One search goes on from day to day: every strategy that was ever evaluated counts against every later promotion, once by id.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import TYPE_CHECKING

import pandas as pd

from strategy_pipeline.cycle.workspace import DAY, Workspace

if TYPE_CHECKING:
    from strategy_pipeline.selection import TrialsLedger

SEARCH = "daily"
_TRIALS = "strategies/trials"


def count_trials(workspace: Workspace, day: dt.date, ids: Iterable[str], *, origin: str, file: str = "") -> int:
    """Enters a day's trials into the ledger; returns how many no earlier day had seen.

    They replace what the day's file of that name (default: the origin) held, so that a stage run again counts once.
    """
    ledger = ledger_of(workspace, day - DAY)
    before = ledger.count(SEARCH)
    ledger.record(SEARCH, ids, day=day, origin=origin)
    frame = ledger.to_frame()
    today = frame[frame["day"] == pd.Timestamp(day, tz="UTC")]
    workspace.lake.write(f"{_TRIALS}/{day}-{file or origin}.parquet", today)
    return ledger.count(SEARCH) - before


def ledger_of(workspace: Workspace, day: dt.date) -> TrialsLedger:
    """The trials of every day up to and including `day`."""
    from strategy_pipeline.selection import TrialsLedger

    ledger = TrialsLedger()
    for path in workspace.lake.list(_TRIALS):
        if dt.date.fromisoformat(path.rsplit("/", 1)[-1][:10]) <= day:
            ledger = ledger.merge(TrialsLedger.from_frame(workspace.lake.read(path)))
    return ledger
