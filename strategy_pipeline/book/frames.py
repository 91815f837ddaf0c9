"""The book as a table, and back."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import fields

import numpy as np
import pandas as pd

from strategy_pipeline.book.entry import STATES, BookError, BookVersionError, Entry
from strategy_pipeline.book.sequential import BETS, Track

BOOK_VERSION = 1
TRANSITION_COLUMNS = ["day", "strategy_id", "from_state", "to_state", "reason"]
_NO_TRANSITIONS = pd.DataFrame(
    {"day": pd.DatetimeIndex([], tz="UTC").astype("datetime64[ns, UTC]")}
    | {name: pd.Series(dtype="str") for name in TRANSITION_COLUMNS[1:]}
)
_TEXT = ["strategy_id", "state", "reason"]
_DAYS = ["day", "since", "looked_on", "through"]
_WHOLE = ["version", "order", "track_days", "track_active_days"]
_WEALTHS = [f"track_log_wealth_{k}" for k in range(len(BETS))]
_TRACK = [item.name for item in fields(Track) if item.name != "log_wealths"]
# What people look at, computed for the table and not read back.
_DERIVED = ["forward_sharpe", "forward_return", "forward_drawdown", "e_value"]
_COLUMNS = [
    "version", "day", "strategy_id", "state", "since", "reason", "looked_on", "through", "order", *_DERIVED, "band", "peak_equity",
    *[f"track_{name}" for name in _TRACK], *_WEALTHS,
]  # fmt: skip


def to_frame(entries: Iterable[Entry], day: dt.date | None) -> pd.DataFrame:
    """One row per entry, sorted by id: days as datetime64[ns, UTC], text as str, counts int64, the rest float64."""
    rows = []
    for entry in entries:
        track = entry.track
        row: dict[str, object] = {"version": BOOK_VERSION, "day": day}
        row |= {name: getattr(entry, name) for name in (*_TEXT, *_DAYS[1:], "order", "band", "peak_equity")}
        row |= {f"track_{name}": getattr(track, name) for name in _TRACK}
        row |= dict(zip(_WEALTHS, track.log_wealths, strict=True))
        row |= {"forward_sharpe": track.sharpe, "forward_return": track.total_return, "forward_drawdown": track.drawdown}
        row["e_value"] = float(np.exp(min(track.log_e, 700.0)))
        rows.append(row)
    frame = pd.DataFrame(rows, columns=_COLUMNS)
    for column in _COLUMNS:
        if column in _DAYS:
            frame[column] = pd.to_datetime(frame[column], utc=True).astype("datetime64[ns, UTC]")
        else:
            frame[column] = frame[column].astype("str" if column in _TEXT else np.int64 if column in _WHOLE else np.float64)
    return frame


def from_frame(frame: pd.DataFrame) -> tuple[list[Entry], dt.date | None]:
    """Entries and day of the book that `to_frame` wrote."""
    missing = [column for column in _COLUMNS if column not in frame and column not in _DERIVED]
    if missing:
        raise BookVersionError(f"Expected the columns of a strategy book, was without {', '.join(missing)}; restore the file or start anew")
    versions = sorted({int(version) for version in frame["version"]})
    if versions not in ([], [BOOK_VERSION]):
        raise BookVersionError(
            f"Expected a strategy book of version {BOOK_VERSION}, was {', '.join(map(str, versions))}; "
            "its states may mean something else; read it with the version that wrote it, or start a new home"
        )
    entries = [_entry(row) for row in frame.to_dict("records")]
    if len({entry.strategy_id for entry in entries}) != len(entries):
        raise BookError("Expected each strategy once in a book, was a repeated one; restore the file or start anew")
    days = {_date(value) for value in frame["day"]}
    if len(days) > 1:
        raise BookError(f"Expected the book of one day, was {len(days)} days; pass the rows of one day")
    return entries, next(iter(days), None)


def transitions(rows: Sequence[tuple[object, ...]]) -> pd.DataFrame:
    """Transitions with the same types whether there are any or none: day datetime64[ns, UTC], the rest str."""
    if not rows:
        return _NO_TRANSITIONS.copy()
    frame = pd.DataFrame(rows, columns=TRANSITION_COLUMNS)
    frame["day"] = pd.to_datetime(frame["day"], utc=True).astype("datetime64[ns, UTC]")
    return frame.astype(dict.fromkeys(TRANSITION_COLUMNS[1:], "str"))


def _entry(row: dict) -> Entry:
    if row["state"] not in STATES:
        raise BookError(f"Expected a state of {', '.join(STATES)}, was {row['state']!r} for {row['strategy_id']}; restore the file")
    values = {name: row[f"track_{name}"] for name in _TRACK}
    values |= {name: int(values[name]) for name in ("days", "active_days")}
    track = Track(log_wealths=tuple(float(row[name]) for name in _WEALTHS), **values)
    return Entry(
        strategy_id=str(row["strategy_id"]),
        state=row["state"],
        since=_date(row["since"]),
        reason=str(row["reason"]),
        looked_on=_date(row["looked_on"]),
        through=_date(row["through"]),
        order=int(row["order"]),
        track=track,
        band=float(row["band"]),
        peak_equity=float(row["peak_equity"]),
    )


def _date(value: object) -> dt.date:
    return pd.Timestamp(value).date()  # type: ignore[arg-type]
