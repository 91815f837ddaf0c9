"""The lake: Parquet files behind fsspec paths, written whole or not at all, the same bytes every time.

What belongs here: where a table's rows lie, which windows were ever ingested, reading back quickly. What
does not: what a table means, or which tables there are.

A *table* is a folder of monthly files, ``<table>/2025-06.parquet``, cut by the UTC month of the column
``ts``, with ``<table>/_table.json`` beside them: the windows ever ingested (so that a day without news is
known to be a day without news) and the columns ever seen. A *path* is one file written whole.
"""

from __future__ import annotations

import hashlib
import io
import json
import posixpath
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from strategy_pipeline.errors import (
    CorruptFileError,
    MissingColumnError,
)
from strategy_pipeline.store import parquet
from strategy_pipeline.store.documents import Condition, UnstorableError
from strategy_pipeline.store.files import Artifact, Files, Paths, checked

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    Moment = pd.Timestamp | str | Any
    Window = tuple[pd.Timestamp, pd.Timestamp]

_SIDECAR = "_table.json"
_FIRST, _LAST = "1700-01-01", "2262-01-01"  # what nanoseconds can hold, in whole years


class Lake(Files):
    """The lake at `url`: a local folder (made when absent) or any fsspec URL, such as ``abfs://container/lake``.

    Paths within it are relative, with ``/``; parts beginning with ``.`` or ``_`` are the lake's own. On a
    local disk a write is flushed and renamed into place, and writers of one table wait for each other;
    object stores replace a blob in one request, and there one writer per table is the caller's to keep.
    `options` go to fsspec (credentials, ``account_name``, ...).
    """

    def write(self, path: str, frame: pd.DataFrame) -> Artifact:
        """Write a frame as one Parquet file. Named index levels become columns, an unnamed index is dropped.

        The same frame gives the same bytes. UnstorableError for a column of mixed types.
        """
        data = parquet.to_bytes(frame, path)
        return Artifact(path, self._put(checked(path), data), len(frame))

    def read(self, path: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """A whole file back. MissingInputError when absent, CorruptFileError when it is no Parquet,
        MissingColumnError when it lacks one of `columns`."""
        data = self._get(checked(path))
        table = self._parse(path, data, columns)
        return parquet.from_table(table)

    # ---- tables by time ----------------------------------------------------------------------------

    def upsert(self, table: str, frame: pd.DataFrame, start: Moment, end: Moment) -> Sequence[Artifact]:
        """Make `frame` the whole truth about ``[start, end)`` of a table; other rows stay as they are.

        `frame` needs ``ts`` (UTC), all within the window. An empty frame says that nothing happened then,
        which `covered` remembers. Rows are kept in the order of ``ts``, equal times in the order given.
        Returns the months that now hold rows of the window; months whose bytes did not change are not
        rewritten. A killed call leaves the window uncovered, and repeating it heals.
        """
        import pandas as pd

        window = _window(start, end)
        rows = self._rows(table, frame, window)
        name = checked(table)
        with self._locked(name):
            coverage, dtypes = self._sidecar(name)
            months = pd.period_range(window[0].tz_localize(None), (window[1] - pd.Timedelta(1, "ns")).tz_localize(None), freq="M")
            planned = [(month, self._month_bytes(name, str(month), rows, window)) for month in months]
            changed = [(month, data) for month, (data, _, same) in planned if not same]
            if changed and _overlaps(coverage, window):
                self._record(name, _subtract(coverage, window), dtypes)
            for month, data in changed:
                path = f"{name}/{month}.parquet"
                if data is None:
                    self.delete(path)
                else:
                    self._put(path, data)
            known = {
                **dtypes,
                **{key: value for key, value in parquet.dtypes_of(rows).items() if key not in dtypes or dtypes[key] == "object"},
            }
            self._record(name, _merge([*coverage, window]), known)
        return [
            Artifact(f"{name}/{month}.parquet", hashlib.sha256(data).hexdigest(), count)
            for month, (data, count, _) in planned
            if data is not None
        ]

    def scan(
        self,
        table: str,
        start: Moment | None,
        end: Moment | None,
        columns: Sequence[str] | None = None,
        where: Sequence[Condition] | None = None,
    ) -> pd.DataFrame:
        """Rows of ``[start, end)`` in the order of ``ts``, reading only the months and columns needed; None is unbounded.

        `where` holds conditions (column, operator, value), operators as in `DocumentStore` but ``contains``.
        A column that some months lack is null there. A table never written, or without rows in the
        window, gives an empty frame with the columns ever seen.
        """
        window = _window(_FIRST if start is None else start, _LAST if end is None else end)
        name = checked(table)
        pieces = []
        for path in self._months(name, window):
            piece = self._parse_month(path, window, columns, where or ())
            if piece.num_rows:
                pieces.append(piece)
        if not pieces:
            return parquet.empty_frame(self._sidecar(name)[1], columns)
        import pyarrow as pa

        # Columns that came later are null before; an integer that became a fraction is read as a fraction.
        joined = pa.concat_tables(pieces, promote_options="permissive") if len(pieces) > 1 else pieces[0]
        frame = parquet.from_table(joined)
        if columns is None:
            return frame
        seen = self._sidecar(name)[1]
        for column in columns:
            if column not in frame.columns:
                if column not in seen:
                    raise MissingColumnError(
                        f"Expected columns of {table} among {', '.join(seen)}, was {column!r}; nothing was read: mend the name"
                    )
                frame[column] = parquet.empty_frame(seen, [column])[column].reindex(frame.index)
        return frame[list(columns)]

    def covered(self, table: str, start: Moment, end: Moment) -> bool:
        """Whether every moment of ``[start, end)`` was ever ingested, rows or not."""
        window = _window(start, end)
        return any(first <= window[0] and window[1] <= last for first, last in self.coverage(table))

    def coverage(self, table: str) -> Sequence[Window]:
        """The windows ever ingested, merged and sorted, as (start, end) in UTC."""
        return self._sidecar(checked(table))[0]

    # ---- inside ------------------------------------------------------------------------------------

    def _rows(self, table: str, frame: pd.DataFrame, window: Window) -> pd.DataFrame:
        import pandas as pd

        if "ts" not in frame.columns:
            raise MissingColumnError(
                f"Expected a column ts in rows for {table}, was {', '.join(map(str, frame.columns))}; nothing was written: add it"
            )
        if not isinstance(frame["ts"].dtype, pd.DatetimeTZDtype):
            if len(frame):
                raise UnstorableError(
                    f"Expected ts of {table} in UTC, was {frame['ts'].dtype}; nothing was written: convert with tz_localize('UTC')"
                )
            return frame.assign(ts=pd.Series([], dtype="datetime64[ns, UTC]"))
        ts = frame["ts"].dt.tz_convert("UTC").astype("datetime64[ns, UTC]")
        outside = ts.isna() | (ts < window[0]) | (ts >= window[1])
        if outside.any():
            raise UnstorableError(
                f"Expected ts of {table} within [{window[0]}, {window[1]}), was {ts[outside].iloc[0]} ({int(outside.sum())} rows outside); "
                "nothing was written: widen the window or drop the rows"
            )
        return frame.assign(ts=ts).sort_values("ts", kind="stable", ignore_index=True)

    def _month_bytes(self, table: str, month: str, rows: pd.DataFrame, window: Window) -> tuple[bytes | None, int, bool]:
        """(new bytes or None for no file, rows, whether the file already is so) of one month after the upsert."""
        import pandas as pd
        import pyarrow as pa

        path = f"{table}/{month}.parquet"
        begin = pd.Timestamp(f"{month}-01", tz="UTC")
        end = begin + pd.offsets.MonthBegin(1)
        fresh = parquet.to_table(rows[(rows["ts"] >= begin) & (rows["ts"] < end)], path)
        present = self._get(path) if self.exists(path) else None
        merged = fresh
        if present is not None and not (window[0] <= begin and end <= window[1]):
            old = self._parse(path, present)
            ts = old.column("ts").to_pandas()
            before, after = old.filter(pa.array(ts < window[0])), old.filter(pa.array(ts >= window[1]))
            pieces = [piece for piece in (before, fresh, after) if piece.num_rows]
            merged = pa.concat_tables(pieces, promote_options="permissive") if pieces else fresh
        if not merged.num_rows:
            return None, 0, present is None
        data = parquet.to_bytes(parquet.from_table(merged), path)
        return data, merged.num_rows, data == present

    def _months(self, table: str, window: Window) -> Paths:
        first, last = window[0].strftime("%Y-%m"), (window[1]).strftime("%Y-%m")
        names = [path.removeprefix(f"{table}/") for path in self.list(table)]
        return [f"{table}/{name}" for name in names if name.endswith(".parquet") and len(name) == 15 and first <= name[:7] <= last]

    def _parse_month(self, path: str, window: Window, columns: Sequence[str] | None, where: Sequence[Condition]) -> pa.Table:
        import pandas as pd
        import pyarrow as pa
        import pyarrow.parquet as pq

        begin = pd.Timestamp(f"{posixpath.basename(path)[:7]}-01", tz="UTC")
        inside = window[0] <= begin and begin + pd.offsets.MonthBegin(1) <= window[1]
        try:
            with pq.ParquetFile(self._opened(path)) as file:
                present = set(file.schema_arrow.names)
                asked = [condition for condition in where if condition[0] in present]
                absent = [condition for condition in where if condition[0] not in present]
                wanted = None if columns is None else [name for name in columns if name in present]
                needed = None if wanted is None else [*dict.fromkeys([*wanted, "ts", *(condition[0] for condition in asked)])]
                table = file.read(columns=needed, use_threads=False)
        except (pa.ArrowInvalid, pa.ArrowIOError, ValueError) as error:
            raise CorruptFileError(self._corrupt(path, error)) from error
        # A condition on a column this month lacks sees nulls there: only "is null" can hold.
        if any(not (operator == "=" and value is None) for _, operator, value in absent):
            return table.slice(0, 0)
        chosen = parquet.expression(asked, None if inside else window[0], None if inside else window[1])
        if chosen is not None:
            try:
                table = table.filter(chosen)
            except (pa.ArrowNotImplementedError, pa.ArrowInvalid, pa.ArrowTypeError) as error:
                raise UnstorableError(
                    f"Expected conditions of the columns' types on {path}, was {list(asked)} ({error}); mend them"
                ) from error
        return table if wanted is None else table.select(wanted)

    def _opened(self, path: str) -> Any:
        # A local file is mapped lazily, column by column; a remote one is small enough to fetch whole.
        return self._full(path) if self._local is not None else io.BytesIO(self._get(path))

    def _parse(self, path: str, data: bytes, columns: Sequence[str] | None = None) -> pa.Table:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            file = pq.ParquetFile(io.BytesIO(data))
            absent = [name for name in columns or () if name not in file.schema_arrow.names]
            if absent:
                raise MissingColumnError(
                    f"Expected columns {absent} in {path}, was {', '.join(file.schema_arrow.names)}; run the stage that writes it again"
                )
            return file.read(columns=None if columns is None else list(columns), use_threads=False)
        except (pa.ArrowInvalid, pa.ArrowIOError) as error:
            raise CorruptFileError(self._corrupt(path, error)) from error

    def _sidecar(self, table: str) -> tuple[Sequence[Window], dict[str, str]]:
        import pandas as pd

        path = f"{table}/{_SIDECAR}"
        if not self.exists(path):
            return [], {}
        try:
            found = json.loads(self._get(path))
            windows = [(pd.Timestamp(first), pd.Timestamp(last)) for first, last in found["covered"]]
            return windows, dict(found["columns"])
        except (ValueError, KeyError, TypeError) as error:
            raise CorruptFileError(self._corrupt(path, error)) from error

    def _record(self, table: str, windows: Sequence[Window], dtypes: Mapping[str, str]) -> None:
        content = {"columns": dict(sorted(dtypes.items())), "covered": [[first.isoformat(), last.isoformat()] for first, last in windows]}
        data = json.dumps(content, indent=1).encode()
        path = f"{table}/{_SIDECAR}"
        if not self.exists(path) or self._get(path) != data:
            self._put(path, data)


def _window(start: Moment, end: Moment) -> Window:
    import pandas as pd

    first, last = (pd.Timestamp(moment) for moment in (start, end))
    first, last = (moment.tz_localize("UTC") if moment.tzinfo is None else moment.tz_convert("UTC") for moment in (first, last))
    if not first < last:
        raise UnstorableError(f"Expected a window with start before end, was [{first}, {last}); nothing was read or written")
    return first.as_unit("ns"), last.as_unit("ns")


def _merge(windows: Sequence[Window]) -> Sequence[Window]:
    merged: list[Window] = []
    for first, last in sorted(windows):
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return merged


def _subtract(windows: Sequence[Window], hole: Window) -> Sequence[Window]:
    left: list[Window] = []
    for first, last in windows:
        left += [(a, b) for a, b in ((first, min(last, hole[0])), (max(first, hole[1]), last)) if a < b]
    return left


def _overlaps(windows: Sequence[Window], window: Window) -> bool:
    return any(first < window[1] and window[0] < last for first, last in windows)
