"""The book as a table, and back."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import fields

import numpy as np
import pandas as pd

from strategy_pipeline.book.entry import STATES, BookError, BookVersionError, Entry
from strategy_pipeline.book.sequential import BETS, CostWatch, Track

# 2 watches costs: a book of version 1 is read with nothing known about them. 3 bets on other ratios: a wealth of version 2 is
# spread anew over the bets, which keeps what it is worth, and so the error that it may make.
BOOK_VERSION = 3
TRANSITION_COLUMNS = ["day", "strategy_id", "from_state", "to_state", "reason"]
_NO_TRANSITIONS = pd.DataFrame(
    {"day": pd.DatetimeIndex([], tz="UTC").astype("datetime64[ns, UTC]")}
    | {name: pd.Series(dtype="str") for name in TRANSITION_COLUMNS[1:]}
)
_TEXT = ["strategy_id", "state", "reason"]
_DAYS = ["day", "since", "looked_on", "through"]
_WHOLE = ["version", "order", "track_days", "track_active_days", "costs_days"]
_WEALTHS = [f"track_log_wealth_{k}" for k in range(len(BETS))]
_TRACK = [item.name for item in fields(Track) if item.name != "log_wealths"]
_COSTS = [f"costs_{item.name}" for item in fields(CostWatch)]
# What people look at, computed for the table and not read back.
_DERIVED = ["forward_sharpe", "forward_return", "forward_drawdown", "e_value"]
_COLUMNS = [
    "version", "day", "strategy_id", "state", "since", "reason", "looked_on", "through", "order", *_DERIVED, "band", "peak_equity",
    *[f"track_{name}" for name in _TRACK], *_WEALTHS, *_COSTS,
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
        row |= {name: getattr(entry.costs, name.removeprefix("costs_")) for name in _COSTS}
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
    if "version" in frame and len(frame) > 0 and bool((frame["version"] == 1).all()):
        frame = frame.assign(version=2, **{name: getattr(CostWatch(), name.removeprefix("costs_")) for name in _COSTS})
    if "version" in frame and "e_value" in frame and len(frame) > 0 and bool((frame["version"] == 2).all()):
        frame = frame.assign(version=BOOK_VERSION, **{name: np.log(np.maximum(frame["e_value"], 1e-300)) for name in _WEALTHS})
    missing = [column for column in _COLUMNS if column not in frame and column not in _DERIVED]
    if "version" in frame and len(frame) == 0:
        missing = [column for column in missing if column not in _COSTS]
    if missing:
        raise BookVersionError(f"Expected the columns of a strategy book, was without {', '.join(missing)}; restore the file or start anew")
    versions = sorted({str(version) for version in frame["version"]})
    if versions not in ([], [str(BOOK_VERSION)]):
        raise BookVersionError(
            f"Expected a strategy book of version {BOOK_VERSION}, was {', '.join(versions)}; "
            "its states may mean something else; read it with the version that wrote it, or start a new home"
        )
    for column in (*_TEXT, *_DAYS, "order"):
        lost = frame[column].isna().to_numpy()
        if lost.any():
            raise BookError(
                f"Expected {column} in every row of a strategy book, was without it in row {int(lost.argmax())}; "
                "a strategy would be lost, so nothing was read; restore the file"
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


def lifecycles(history: pd.DataFrame, through: dt.date | None = None) -> pd.DataFrame:
    """Every state that every strategy was ever in, from all transitions of a book.

    history
        The transitions of all days, joined in any order.
    through
        Last day of the book, which closes the open rows; None leaves their `until` NaT.

    Returns one row a stay, by strategy and day: strategy_id, state, since, until (datetime64[ns, UTC]; NaT while it lasts), days
    (in the state, through `through` where it lasts), reason (of entering). `BookError` where a transition does not follow the
    one before it: a day is missing, or is there twice.
    """
    lacking = [column for column in TRANSITION_COLUMNS if column not in history]
    if lacking:
        raise BookError(f"Expected the columns of transitions, was without {', '.join(lacking)}; pass what `advance` returned")
    ordered = history.sort_values(["strategy_id", "day"], kind="stable", ignore_index=True)
    state: dict[str, str] = {}
    for row in ordered.to_dict("records"):
        before = state.get(row["strategy_id"], "candidate")
        if row["from_state"] != before:
            raise BookError(
                f"Expected {row['strategy_id']} to leave {before} on {_date(row['day'])}, was {row['from_state']}; "
                "a day of the history is missing or repeated; join the transitions of every day once"
            )
        state[row["strategy_id"]] = row["to_state"]
    made = ordered.rename(columns={"to_state": "state", "day": "since"})[["strategy_id", "state", "since", "reason"]]
    until = made.groupby("strategy_id", sort=False)["since"].shift(-1)
    end = until if through is None else until.fillna(pd.Timestamp(through, tz="UTC"))
    made.insert(3, "until", until.astype("datetime64[ns, UTC]"))
    made.insert(4, "days", (end - made["since"]).dt.total_seconds() / 86_400.0)
    return made


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
        costs=CostWatch(float(row["costs_log_e"]), int(row["costs_days"]), float(row["costs_total"]), float(row["costs_square_sum"])),
    )


def _date(value: object) -> dt.date:
    return pd.Timestamp(value).date()  # type: ignore[arg-type]
