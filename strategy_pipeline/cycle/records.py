"""Records: what a stage read and wrote on a day, so that later days can tell when they became stale.

A record is a small JSON file in the lake, ``records/<stage>/<day>.json``. It holds no time of running and
no settings that change no result, so the same run twice writes the same record.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any

from strategy_pipeline.store import Lake


@dataclass(frozen=True)
class Record:
    """What a stage read and wrote.

    inputs
        Digest by input: ``stage`` for the same day's, ``stage@yesterday`` for its own previous day's, and
        names of what was read by time range (``bars_history``).
    outputs
        SHA-256 by lake path.
    facts
        The report's facts; ``passed`` is False when a quality verdict forbids building on this day.
    """

    stage: str
    day: str
    settings: str
    inputs: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    summary: str = ""

    @property
    def digest(self) -> str:
        """SHA-256 over what was written: equal digests are equal outputs."""
        return hashlib.sha256(json.dumps(self.outputs, sort_keys=True).encode()).hexdigest()


def path_of(stage: str, day: dt.date) -> str:
    return f"records/{stage}/{day.isoformat()}.json"


def write(lake: Lake, record: Record) -> None:
    text = json.dumps(asdict(record), sort_keys=True, indent=1)
    lake.write_bytes(path_of(record.stage, dt.date.fromisoformat(record.day)), text.encode())


def read(lake: Lake, stage: str, day: dt.date) -> Record | None:
    path = path_of(stage, day)
    if not lake.exists(path):
        return None
    return Record(**json.loads(lake.read_bytes(path)))


def days_of(lake: Lake, stage: str) -> list[dt.date]:
    """The days a stage has a record of, oldest first."""
    names = (path.rsplit("/", 1)[-1] for path in lake.list(f"records/{stage}"))
    return sorted(dt.date.fromisoformat(name.removesuffix(".json")) for name in names if name.endswith(".json"))
