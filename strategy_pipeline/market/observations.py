"""Observation tables: everything known about the world besides bars, point in time.

What belongs here: the columns of each table and what makes a table valid. What does not: where rows come from.

Every table is long, and every row has ``ts`` (what the row is about: the start of a macro period, the moment of a
post) and ``available_at`` (when it could first be known, never before ``ts``). A decision at a moment uses rows
with ``available_at`` at or before it, whatever their ``ts``.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from strategy_pipeline.errors import InvalidBarsError, MissingColumnError

TIME = "datetime64[ns, UTC]"
_TIMES = {"ts": TIME, "available_at": TIME}

# Units: score is the source's own sentiment in [-1, 1] (NaN: none given); asset is a base currency such as BTC, or
# "" for the whole market; rate is the fraction a long pays a short per `interval_hours`; quantities are base units;
# side is the aggressor's, buy or sell; level 0 of the book is the best price; latency stands in `available_at`.
OBSERVATION_TABLES: dict[str, dict[str, str]] = {
    "news": _TIMES | {"asset": "str", "source": "str", "title": "str", "text": "str", "score": "float64"},
    "social": _TIMES | {"asset": "str", "source": "str", "author": "str", "text": "str", "reach": "float64", "score": "float64"},
    "fear_greed": _TIMES | {"value": "float64", "classification": "str"},
    "macro": _TIMES | {"series": "str", "value": "float64", "source": "str", "revised": "bool"},
    "fundamentals": _TIMES | {"asset": "str", "metric": "str", "value": "float64", "source": "str"},
    "funding": _TIMES | {"symbol": "str", "venue": "str", "rate": "float64", "interval_hours": "float64"},
    "open_interest": _TIMES | {"symbol": "str", "venue": "str", "open_interest": "float64", "open_interest_value": "float64"},
    "trades": _TIMES
    | {"symbol": "str", "venue": "str", "trade_id": "int64", "price": "float64", "qty": "float64", "side": "str"},
    "book": _TIMES
    | {"symbol": "str", "venue": "str", "level": "int64", "bid": "float64", "bid_qty": "float64", "ask": "float64", "ask_qty": "float64"},
    "executions": _TIMES
    | {
        "execution_id": "str", "signal_id": "str", "strategy_id": "str", "symbol": "str", "venue": "str", "side": "str",
        "qty": "float64", "price": "float64", "fee": "float64", "reference_price": "float64",
    },
}  # fmt: skip


def _columns(table: str) -> dict[str, str]:
    try:
        return OBSERVATION_TABLES[table]
    except KeyError:
        raise MissingColumnError(f"Expected a table of {', '.join(OBSERVATION_TABLES)}, was {table!r}; name one of these") from None


def empty_table(table: str) -> pd.DataFrame:
    """A frame with the table's columns and dtypes and no rows."""
    return pd.DataFrame({name: pd.Series([], dtype=dtype) for name, dtype in _columns(table).items()})


def as_table(table: str, frame: pd.DataFrame) -> pd.DataFrame:
    """The frame as the table's contract has it: its columns in order, its dtypes, sorted by ts and available_at.

    Parameters
    ----------
    table : one of `OBSERVATION_TABLES`
    frame : the table's columns in any order; others are left out. Times with a zone are converted to UTC, without
        one they are UTC. Missing text becomes "", missing numbers NaN.

    Raises
    ------
    MissingColumnError
        A column is absent.
    InvalidBarsError
        A time is missing, or a row is available before what it is about.
    """
    columns = _columns(table)
    absent = [name for name in columns if name not in frame.columns]
    if absent:
        raise MissingColumnError(f"Expected the {table} table to have {', '.join(columns)}, was without {', '.join(absent)}; add them")
    if frame.empty:
        return empty_table(table)
    out: dict[str, pd.Series] = {}
    for name, dtype in columns.items():
        column = frame[name]
        kind = pd.api.types.pandas_dtype(dtype)
        if dtype == TIME:
            out[name] = pd.to_datetime(column, utc=True).astype(kind)
        elif dtype == "str":
            out[name] = column.astype(kind).fillna("")
        else:
            out[name] = column.astype(kind)
    result = pd.DataFrame(out)
    if result["ts"].isna().any() or result["available_at"].isna().any():
        raise InvalidBarsError(f"Expected every {table} row to have ts and available_at, was a row without; drop or date such rows")
    early = np.flatnonzero((result["available_at"] < result["ts"]).to_numpy())
    if len(early):
        row = result.iloc[early[0]]
        raise InvalidBarsError(
            f"Expected available_at at or after ts in {table}, was {row['available_at']} before {row['ts']} ({len(early)} rows)"
        )
    return result.sort_values(["ts", "available_at"], kind="stable", ignore_index=True)
