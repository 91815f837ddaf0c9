"""The trials ledger: every strategy ever evaluated, by search.

Generator draws, genetic generations, Optuna trials: what was looked at is counted once, by id, or no
later test can say what the best of so many means.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from strategy_pipeline.selection.errors import InvalidReturnsError, LedgerVersionError

LEDGER_VERSION = 1
_COLUMNS = ["version", "search", "strategy_id", "origin", "day"]


@dataclass
class TrialsLedger:
    """Append-only record of evaluated strategies. An id counts once in a search, however often it is evaluated.

    ``ledger.record("2025-06-29", ids, day=day, origin="systematic")`` returns how many were new;
    ``ledger.count()`` is the number of trials to deflate by.
    """

    _first: dict[tuple[str, str], tuple[str, dt.date]] = field(default_factory=dict)

    def record(self, search: str, ids: Iterable[str], *, day: dt.date, origin: str = "") -> int:
        """Adds the ids evaluated by `search` on `day` and returns how many it had not seen.

        origin
            Who proposed them (``systematic``, ``optuna``); the first to propose an id keeps it.
        """
        if not search:
            raise InvalidReturnsError("Expected the name of a search, was an empty one; name the search, so that its trials can be counted")
        day = _as_date(day)
        before = len(self._first)
        for strategy_id in ids:
            if not isinstance(strategy_id, str) or not strategy_id:
                raise InvalidReturnsError(
                    f"Expected strategy ids as text, was {strategy_id!r}; a trial without an id cannot be counted; pass `strategy.id`"
                )
            self._first.setdefault((search, strategy_id), (origin, day))
        return len(self._first) - before

    def count(self, search: str | None = None, *, through: dt.date | None = None) -> int:
        """Distinct strategies evaluated in `search` (default: in all of them together), up to and including the day `through`."""
        return len(self.ids(search, through=through))

    def ids(self, search: str | None = None, *, through: dt.date | None = None) -> frozenset[str]:
        """The distinct ids that `count` counts."""
        limit = None if through is None else _as_date(through)
        return frozenset(
            strategy_id
            for (name, strategy_id), (_, day) in self._first.items()
            if (search is None or name == search) and (limit is None or day <= limit)
        )

    @property
    def searches(self) -> tuple[str, ...]:
        """The searches that recorded anything, sorted."""
        return tuple(sorted({search for search, _ in self._first}))

    def __len__(self) -> int:
        return len(self._first)

    def merge(self, other: TrialsLedger) -> TrialsLedger:
        """A ledger with the trials of both. Where both have one, the earlier day (then the first origin by name) stands,
        so that merging is commutative and merging twice changes nothing."""
        merged = dict(self._first)
        for key, entry in other._first.items():
            known = merged.get(key)
            merged[key] = entry if known is None else min(known, entry, key=lambda item: (item[1], item[0]))
        return TrialsLedger(merged)

    def to_frame(self) -> pd.DataFrame:
        """One row per (search, strategy_id), sorted: version int64, search, strategy_id, origin str, day datetime64[ns, UTC]."""
        rows = [(LEDGER_VERSION, search, sid, origin, day) for (search, sid), (origin, day) in sorted(self._first.items())]
        frame = pd.DataFrame(rows, columns=_COLUMNS)
        frame["version"] = frame["version"].astype(np.int64)
        frame["day"] = pd.to_datetime(frame["day"], utc=True).astype("datetime64[ns, UTC]")
        return frame.astype({"search": "str", "strategy_id": "str", "origin": "str"})

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> TrialsLedger:
        """The ledger that `to_frame` wrote. `LedgerVersionError` for rows of another version or a missing column."""
        missing = [column for column in _COLUMNS if column not in frame]
        if missing:
            raise LedgerVersionError(
                f"Expected the columns {', '.join(_COLUMNS)} in a trials ledger, was without {', '.join(missing)}; "
                "trials would go uncounted; restore the file or start a new home"
            )
        versions = sorted({str(version) for version in frame["version"].unique()})
        if versions not in ([], [str(LEDGER_VERSION)]):
            raise LedgerVersionError(
                f"Expected a trials ledger of version {LEDGER_VERSION}, was {', '.join(versions)}; "
                "its trials may be counted differently; read it with the version that wrote it, or start a new home"
            )
        named = frame[["search", "strategy_id", "origin"]]
        broken = named.isna().any(axis=1) | (named[["search", "strategy_id"]] == "").any(axis=1) | pd.isna(frame["day"])
        if broken.any():
            row = int(broken.to_numpy().argmax())
            raise LedgerVersionError(
                f"Expected a search, an id and a day in every row of a trials ledger, was without one in row {row}; "
                "a trial would be lost, so nothing was read; restore the file"
            )
        rows = zip(frame["search"], frame["strategy_id"], frame["origin"], frame["day"], strict=True)
        return cls({(str(search), str(sid)): (str(origin), _as_date(day)) for search, sid, origin, day in rows})


def _as_date(day: object) -> dt.date:
    return pd.Timestamp(day).date()  # type: ignore[arg-type]
