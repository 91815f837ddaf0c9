"""Frames to Parquet bytes and back, always the same bytes for the same frame.

What belongs here: writer options, dtypes, conditions on columns. What does not: paths and windows (`lake`).
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from strategy_pipeline.store.documents import Condition, UnstorableError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

# Every option that could change the bytes is set here, so that a library's new default cannot.
_WRITER: dict[str, Any] = {
    "version": "2.6",
    "data_page_version": "1.0",
    "compression": "zstd",
    "compression_level": 3,
    "use_dictionary": True,
    "write_statistics": True,
    "row_group_size": 256 * 1024,
    "data_page_size": 1024 * 1024,
    "store_schema": True,
}


def to_bytes(frame: pd.DataFrame, what: str) -> bytes:
    """Parquet of `frame`. Named index levels become columns, an unnamed index is dropped; datetimes are
    nanoseconds and keep their zone; nothing is written of pandas, of versions or of the moment.

    UnstorableError, naming `what`, where a column mixes types or a name is not text or comes twice.
    """
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(to_table(frame, what), buffer, **_WRITER)
    return buffer.getvalue()


def to_table(frame: pd.DataFrame, what: str) -> pa.Table:
    """The Arrow table that `to_bytes` writes."""
    import pyarrow as pa

    named = [name for name in frame.index.names if name is not None]
    clash = [name for name in named if name in frame.columns]
    if clash:
        raise UnstorableError(
            f"Expected index names of {what} that are not also columns, was {clash}; nothing was written: reset_index(drop=True)"
        )
    if named:
        frame = frame.reset_index(level=named)
    names = list(frame.columns)
    bad = [name for name in names if not isinstance(name, str)]
    if bad or len(set(names)) != len(names):
        raise UnstorableError(f"Expected distinct text column names in {what}, was {bad or names}; nothing was written: rename them")
    try:
        table = pa.Table.from_pandas(frame, preserve_index=False, nthreads=1).replace_schema_metadata(None)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise UnstorableError(
            f"Expected one type in every column of {what}, was mixed ({_first_line(error)}); nothing was written: convert it"
        ) from error
    for position, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type) and field.type.unit != "ns":
            # Not every moment fits in nanoseconds; the cast says so rather than wrap around.
            cast = table.column(position).cast(pa.timestamp("ns", field.type.tz))
            table = table.set_column(position, pa.field(field.name, cast.type), cast)
        elif pa.types.is_large_string(field.type):
            # pandas' str may come as string or large_string for the same values; one of them is kept.
            table = table.set_column(position, pa.field(field.name, pa.string()), table.column(position).cast(pa.string()))
    return table


def from_table(table: pa.Table) -> pd.DataFrame:
    """The frame of a table: text as pandas' str, datetimes in nanoseconds."""
    return table.to_pandas(ignore_metadata=True)


def empty_frame(dtypes: dict[str, str], columns: Sequence[str] | None) -> pd.DataFrame:
    """A frame without rows, of the given columns (all when None); a column never seen is object."""
    import pandas as pd

    names = list(dtypes) if columns is None else list(columns)
    return pd.DataFrame({name: pd.Series([], dtype=dtypes.get(name, "object")) for name in names})


def dtypes_of(frame: pd.DataFrame) -> dict[str, str]:
    """Column -> dtype as text, such that `empty_frame` makes the like; categories become text."""
    import pandas as pd

    found = {}
    for name, dtype in frame.dtypes.items():
        if isinstance(dtype, pd.DatetimeTZDtype):
            found[str(name)] = f"datetime64[ns, {dtype.tz}]"
        elif dtype.kind == "M":
            found[str(name)] = "datetime64[ns]"
        else:
            found[str(name)] = "str" if isinstance(dtype, pd.CategoricalDtype) else str(dtype)
    return found


def expression(where: Sequence[Condition], start: pd.Timestamp | None, end: pd.Timestamp | None) -> Any:
    """The Arrow filter of conditions and of the half-open window of ``ts``; None when there is nothing to ask."""
    import pyarrow as pa
    import pyarrow.compute as pc

    def moment(stamp: pd.Timestamp) -> Any:  # Arrow would cut a pandas stamp to microseconds
        return pa.scalar(stamp.as_unit("ns").value, pa.timestamp("ns", "UTC"))

    terms = []
    if start is not None:
        terms.append(pc.field("ts") >= moment(start))
    if end is not None:
        terms.append(pc.field("ts") < moment(end))
    terms += [_term(pc, *condition) for condition in where]
    combined = None
    for term in terms:
        combined = term if combined is None else combined & term
    return combined


def _term(pc: Any, name: str, operator: str, value: Any) -> Any:
    field = pc.field(name)
    if value is None and operator in ("=", "!="):
        return field.is_null() if operator == "=" else ~field.is_null()
    if operator == "in":
        return field.isin(list(value))
    comparisons = {
        "=": lambda: field == value,
        "!=": lambda: field != value,
        "<": lambda: field < value,
        "<=": lambda: field <= value,
        ">": lambda: field > value,
        ">=": lambda: field >= value,
    }
    if operator not in comparisons:
        raise UnstorableError(
            f"Expected an operator of {' '.join([*comparisons, 'in'])} on column {name}, was {operator!r}; nothing was read"
        )
    return comparisons[operator]()


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:200]
