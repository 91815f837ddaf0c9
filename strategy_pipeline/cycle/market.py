"""Stages of the market group: one day of the world into the lake, and history as one range before it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import pandas as pd

from strategy_pipeline.cycle.report import StageReport
from strategy_pipeline.cycle.workspace import DAY, Workspace
from strategy_pipeline.errors import NoDataError
from strategy_pipeline.market import Bars, MarketSource, timeframes
from strategy_pipeline.market.calendars import calendar_of, is_open
from strategy_pipeline.market.quality import check_bars, check_observations
from strategy_pipeline.market.sources.base import BAR_COLUMNS

# How far back a day's ingestion looks again, days: rows about an earlier moment become known later (a
# quarter's GDP a month after it ended), and a source that is asked every day must still pick them up.
_LOOK_AGAIN = {
    "news": 2, "social": 2, "fear_greed": 3, "macro": 120, "fundamentals": 7, "funding": 2, "open_interest": 2, "book": 2,
    "executions": 2,
}  # fmt: skip
# Slow series must be known when history starts, so their history starts earlier than the bars'.
_EARLIER = dt.timedelta(days=400)


@dataclass(frozen=True)
class _Ingested:
    rows: int
    quarantined: int
    rules: pd.DataFrame


def ingest_history(workspace: Workspace, day: dt.date) -> dict[str, StageReport]:
    """Loads what the lake lacks of the days from the start of history to the day before `day`, one range a table."""
    reports: dict[str, StageReport] = {}
    with workspace.lock():
        workspace.fix_start(day)
        missing = missing_history(workspace, day)
        if not missing:
            return reports
        start, end = workspace.start(day), pd.Timestamp(day, tz="UTC")
        workspace.observer("history", "start", None)
        if workspace.bars_table in missing:
            done = _ingest_bars(workspace, start, end)
            span = f"{start.date()} to {(end - DAY).date()}"
            summary = f"{done.rows:,} bars of {len(workspace.symbols)} symbols from {span}, {done.quarantined} quarantined"
            reports["bars"] = StageReport(summary, {"rows": done.rows, "quarantined": done.quarantined}, table=_broken_rules(done.rules))
        for stage, tables in OBSERVED.items():
            until = workspace.known_until(day - DAY)
            counts = {t: _ingest_observations(workspace, t, start - _EARLIER, until) for t in tables if f"observations/{t}" in missing}
            if counts:
                reports[stage] = StageReport(_counted(counts), dict(counts))
        workspace.forget()
        workspace.observer("history", "done", next(iter(reports.values())))
    return reports


def missing_history(workspace: Workspace, day: dt.date) -> list[str]:
    """The lake tables that do not cover every day from the start of history to the day before `day`.

    Each is asked for: a run that was killed between two tables, or that wanted bars only, leaves the others behind.
    """
    start, end = workspace.start(day), pd.Timestamp(day, tz="UTC")
    if start >= end:
        return []
    wanted = {workspace.bars_table: start} | {f"observations/{table}": start - _EARLIER for tables in OBSERVED.values() for table in tables}
    return [table for table, first in wanted.items() if not workspace.lake.covered(table, first, end)]


def bars(workspace: Workspace, day: dt.date) -> StageReport:
    """The day's bars: fetched, judged, stored; bad rows to quarantine with rule and reason; a gap stays a gap."""
    ingest_history(workspace, day)
    start, end = pd.Timestamp(day, tz="UTC"), workspace.close(day)
    done = _ingest_bars(workspace, start, end)
    workspace.forget()
    stored = workspace.lake.scan(workspace.bars_table, start, end)
    if stored.empty and closed(workspace.source, day):
        nothing = {f"{workspace.bars_table}@{day}": "closed"}
        return StageReport(f"the market was closed on {day}", {"rows": 0, "closed": "yes"}, outputs=nothing)
    if stored.empty:
        raise NoDataError(
            f"Expected bars of {day} from {workspace.source.name}, was none that passed ({done.quarantined} quarantined); "
            f"pass another --date, or look at the lake table quarantine/bars"
        )
    today = Bars.from_frame(stored, workspace.timeframe, symbols=workspace.symbols, start=start, end=end, require_all=False)
    missing = int(np.isnan(today.close).sum())
    silent = [s for s, row in zip(today.symbols, today.close, strict=True) if np.isnan(row).all()]
    facts: dict[str, int | float | str] = {
        "rows": done.rows, "symbols": len(today.symbols) - len(silent), "missing_bars": missing, "quarantined": done.quarantined,
        "first": str(workspace.start(day).date()), "content": today.fingerprint[:16],
    }  # fmt: skip
    if silent:
        facts["symbols_without_bars"] = ", ".join(silent)
    summary = f"{done.rows:,} bars of {len(today.symbols) - len(silent)} symbols, {missing} missing, {done.quarantined} quarantined"
    table = pd.DataFrame({"symbol": today.symbols, "close": today.close[:, -1], "volume": np.nansum(today.volume, axis=1)})
    return StageReport(
        summary,
        facts,
        table=table,
        line=workspace.bars(day).close[0][-24 * 30 :],
        outputs={f"{workspace.bars_table}@{day}": today.fingerprint},
    )


def news(workspace: Workspace, day: dt.date) -> StageReport:
    """Headlines, posts and the fear and greed index that became known; a day without any is an explicit empty one."""
    return _observed(workspace, "news", day)


def macro(workspace: Workspace, day: dt.date) -> StageReport:
    """Macro series by release: each value counts from the day it was published."""
    return _observed(workspace, "macro", day)


def fundamentals(workspace: Workspace, day: dt.date) -> StageReport:
    """Market cap, supply, addresses, funding and open interest; the order book as last seen before each close."""
    return _observed(workspace, "fundamentals", day)


OBSERVED = {
    "news": ("news", "social", "fear_greed"),
    "macro": ("macro",),
    "fundamentals": ("fundamentals", "funding", "open_interest", "book"),
}


def _observed(workspace: Workspace, stage: str, day: dt.date) -> StageReport:
    counts, outputs = {}, {}
    for table in OBSERVED[stage]:
        start, end = workspace.close(day) - pd.Timedelta(days=_LOOK_AGAIN[table]), workspace.known_until(day)
        counts[table] = _ingest_observations(workspace, table, start, end, of_day=day)
        known = workspace.lake.scan(f"observations/{table}", start, end)
        outputs[f"observations/{table}@{day}"] = f"{len(known)}-{pd.util.hash_pandas_object(known, index=False).sum():016x}"
    workspace.forget()
    return StageReport(_counted(counts), dict(counts), outputs=outputs)


def quarantine_table(table: str) -> str:
    """Where rows go that broke an error rule: the table's columns with ``rule`` and ``reason``."""
    return f"quarantine/{table}"


def stamped(quarantine: pd.DataFrame, start: pd.Timestamp, end: pd.Timestamp) -> pd.DataFrame:
    """Rows set apart, each under a time of the window they came in: one without a readable time, or with one outside the
    window, stands at the window's start, with the time it gave in its reason."""
    rows = quarantine.copy()
    astray = rows["ts"].isna() | (rows["ts"] < start) | (rows["ts"] >= end)
    rows["reason"] = rows["reason"].where(~astray, rows["reason"] + " (time given: " + rows["ts"].astype("str") + ")")
    rows["ts"] = rows["ts"].where(~astray, start)
    return rows


def closed(source: MarketSource, day: dt.date) -> bool:
    """Whether the source's calendar says that nothing traded on a day."""
    return not bool(is_open(np.array([np.datetime64(day)]), "1d", calendar_of(source))[0])


def _ingest_bars(workspace: Workspace, start: pd.Timestamp, end: pd.Timestamp) -> _Ingested:
    try:
        frame = workspace.source.bars(workspace.timeframe, workspace.symbols, start, end)
    except NoDataError:
        if end - start > DAY or not closed(workspace.source, start.date()):
            raise
        frame = pd.DataFrame({name: pd.Series([], dtype="float64") for name in BAR_COLUMNS})  # an explicit empty day: the market was closed
    report = check_bars(frame, workspace.timeframe, listings=workspace.source.listings(), calendar=calendar_of(workspace.source))
    workspace.lake.upsert(quarantine_table("bars"), stamped(report.quarantine, start, end), start, end)
    workspace.lake.upsert(workspace.bars_table, report.clean, start, end)
    return _Ingested(len(report.clean), len(report.quarantine), report.rules)


def _ingest_observations(workspace: Workspace, table: str, start: pd.Timestamp, end: pd.Timestamp, *, of_day: dt.date | None = None) -> int:
    """Stores the rows about [start, end); returns how many became known on the day, or in all."""
    frame = workspace.source.observations(table, start, end)
    report = check_observations(table, last_of_each_bar(frame, workspace.timeframe) if table == "book" else frame)
    workspace.lake.upsert(quarantine_table(table), stamped(report.quarantine, start, end), start, end)
    workspace.lake.upsert(f"observations/{table}", report.clean, start, end)
    if of_day is None:
        return len(report.clean)
    available = report.clean["available_at"]
    return int(((available > pd.Timestamp(of_day, tz="UTC")) & (available <= workspace.close(of_day))).sum())


def last_of_each_bar(book: pd.DataFrame, timeframe: str) -> pd.DataFrame:
    """Of an order book table, the newest snapshot of each symbol that became known within each bar, all its levels.

    A venue changes its quotes many times a second, and what is decided at closes reads no others. A snapshot known at the very
    close belongs to the bar that closes.
    """
    if book.empty:
        return book
    known = book["available_at"].dt.tz_convert("UTC").dt.tz_localize(None).to_numpy(dtype="datetime64[ns]")
    bar = pd.Series(timeframes.floor(known - np.timedelta64(1, "ns"), timeframe), index=book.index)
    keys = [book["symbol"], bar]
    newest = book["ts"] == book.groupby(keys)["ts"].transform("max")
    rows = book[newest]
    keys = [rows["symbol"], bar[newest]]
    return rows[rows["available_at"] == rows.groupby(keys)["available_at"].transform("max")].reset_index(drop=True)


def _broken_rules(rules: pd.DataFrame) -> pd.DataFrame | None:
    broken = rules[rules["failed"] > 0]
    return broken if len(broken) else None


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {table.replace('_', ' ')}" for table, count in counts.items()) + " rows"
