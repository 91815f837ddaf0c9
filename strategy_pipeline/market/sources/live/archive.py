"""What was seen, and when first: the rows of one live reader on disk.

A feed forgets within hours and a service revises without saying so. The archive keeps each row with the later of its
publication and the moment it was first seen, so that reading again never changes when something was known, and a
changed value becomes a second row, known from when it was seen. One Parquet file, replaced whole.

Macro series carry a release lag instead (`releases`: the agency's usual day with a margin), so that a fresh installation has
the past that anyone could have known. A row keeps its release date when it was released, by that rule, since the series was last
read without it (or the series is read for the first time), and the series is marked as never revised: what stands there now is
then what stood there at the release. A row that should have been there at the last reading and was not came late, a revised
series shows values of today under days of the past, and a changed value is a correction: these count from first sight.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from strategy_pipeline.errors import CorruptFileError
from strategy_pipeline.market.observations import as_table, empty_table
from strategy_pipeline.market.sources.live.base import LiveReader, Reading
from strategy_pipeline.store.atomic import replace_file

_SEEN = b"seen_until"


class Archive:
    """Rows of one reader.

    Parameters
    ----------
    path : the Parquet file; its folder is made when the first poll is kept
    reader : whose rows they are (`table`, `keys`, `values`)
    """

    def __init__(self, path: Path, reader: LiveReader) -> None:
        self._path, self._table = path, reader.table
        self._keys, self._values, self._by_release = list(reader.keys), list(reader.values), reader.by_release
        self._rows, self.seen_until = self._load()

    def add(self, reading: Reading, now: pd.Timestamp) -> int:
        """Keep what is new as first seen at `now`; returns how many rows. The file changes only here, and whole."""
        seen = reading.rows
        if len(seen):
            seen = seen.drop_duplicates([*self._keys, *self._values], ignore_index=True)
            # A row stamped in the future (a coming release, a wrong clock) is never known before what it is about.
            published = seen[["available_at", "ts"]].max(axis=1)
            stands = published > now
            if self._by_release:
                stands |= self._released_since(seen, published)
            seen = seen.assign(available_at=published.where(stands, now).astype("datetime64[ns, UTC]"))
        fresh = self._fresh(seen)
        parts = [part for part in (self._rows, fresh) if len(part)]
        self._rows = pd.concat(parts, ignore_index=True) if parts else self._rows
        self.seen_until = now if self.seen_until is None else max(now, self.seen_until)
        self._store()
        return len(fresh)

    def read(self, start: object = None, end: object = None) -> pd.DataFrame:
        """Rows with ts in [start, end) as the observation table has them."""
        rows = self._rows
        if rows.empty:
            return empty_table(self._table)
        if start is not None:
            rows = rows[rows["ts"] >= _utc(start)]
        if end is not None:
            rows = rows[rows["ts"] < _utc(end)]
        return as_table(self._table, rows)

    def __len__(self) -> int:
        return len(self._rows)

    def _fresh(self, seen: pd.DataFrame) -> pd.DataFrame:
        """Rows whose key is new, or whose values differ from the newest of that key."""
        if self._rows.empty or seen.empty:
            return seen
        newest = self._rows.drop_duplicates(self._keys, keep="last")[[*self._keys, *self._values]]
        joined = seen.merge(newest, on=self._keys, how="left", suffixes=("", "_known"), indicator=True)
        changed = pd.Series(False, index=joined.index)
        for name in self._values:
            one, other = joined[name], joined[f"{name}_known"]
            changed |= ~((one == other) | (one.isna() & other.isna()))
        return seen[((joined["_merge"] == "left_only") | changed).to_numpy()]

    def _released_since(self, seen: pd.DataFrame, published: pd.Series) -> pd.Series:
        """Which rows of series that are never revised were released after their series was last read; bool, as `seen`."""
        if self._rows.empty or self.seen_until is None:
            return ~seen["revised"].astype(bool)
        read_before = seen["series"].isin(set(self._rows["series"]))
        known = pd.MultiIndex.from_frame(seen[self._keys]).isin(pd.MultiIndex.from_frame(self._rows[self._keys]))
        return ~seen["revised"].astype(bool) & ~known & (~read_before | (published > self.seen_until))

    def _load(self) -> tuple[pd.DataFrame, pd.Timestamp | None]:
        if not self._path.exists():
            return pd.DataFrame(), None
        try:
            table = pq.read_table(self._path)
            seen = json.loads((table.schema.metadata or {})[_SEEN])
        except (OSError, ValueError, KeyError, pa.ArrowException) as error:
            raise CorruptFileError(
                f"Expected an archive of live rows, was {self._path}, which cannot be read; move it away and run again"
            ) from error
        return table.to_pandas(), pd.Timestamp(seen)

    def _store(self) -> None:
        table = pa.Table.from_pandas(self._rows, preserve_index=False)
        seen = "" if self.seen_until is None else self.seen_until.isoformat()
        table = table.replace_schema_metadata({**(table.schema.metadata or {}), _SEEN: json.dumps(seen).encode()})
        buffer = io.BytesIO()
        pq.write_table(table, buffer)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(self._path, buffer.getvalue())


def _utc(moment: object) -> pd.Timestamp:
    stamp = pd.Timestamp(moment)  # type: ignore[arg-type]
    return stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp.tz_convert("UTC")


def joined(frames: Sequence[pd.DataFrame], table: str) -> pd.DataFrame:
    """Tables of one kind as one."""
    parts = [frame for frame in frames if len(frame)]
    return as_table(table, pd.concat(parts, ignore_index=True)) if parts else empty_table(table)
