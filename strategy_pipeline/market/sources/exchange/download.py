"""Downloading a range of time page by page: no gap that the exchange does not have, no row twice, resumable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from strategy_pipeline.market.sources.exchange.client import Client, StalePageError
from strategy_pipeline.market.sources.exchange.pages import Pages

# One page: rows (a frame with ``time`` in milliseconds) from `since` on, as many as the exchange gives.
Fetch = Callable[[int], pd.DataFrame]


@dataclass(frozen=True, slots=True)
class Series:
    """What is downloaded.

    what : names it in errors; step : milliseconds between rows, 0 when rows come at any time (trades); window : span
    that an empty page is taken to have covered; fetch : see `Fetch`.
    """

    what: str
    step: int
    window: int
    fetch: Fetch


def download(client: Client, series: Series, pages: Pages, start: int, stop: int) -> int:
    """Bring [start, stop) (milliseconds) into `pages`; returns how many pages were asked for.

    Each page is kept as it arrives, so a download that dies goes on from its last page. A page that ends early is
    followed by the next from its last row; an empty one counts only when a second look agrees; one that repeats what
    came before is asked for again.
    """
    asked = 0
    for first, last in pages.missing(start, stop):
        cursor = first
        while cursor < last:
            rows = _page(client, series, cursor)
            asked += 1
            if _doubtful(series, rows, cursor, last):
                again = _page(client, series, cursor)
                rows = again if len(again) >= len(rows) else rows
                asked += 1
            following = _following(series, rows, cursor, last)
            pages.add(cursor, following, rows[rows["time"] < following] if len(rows) else rows)
            cursor = following
    if asked:
        pages.merge()
    return asked


def _page(client: Client, series: Series, cursor: int) -> pd.DataFrame:
    def once() -> pd.DataFrame:
        rows = series.fetch(cursor)
        if rows.empty:
            return rows
        rows = rows.drop_duplicates(keep="last").sort_values("time", kind="stable", ignore_index=True)
        fresh = rows[rows["time"] >= cursor]
        if fresh.empty:
            raise StalePageError(f"{len(rows)} rows that end before the {_moment(cursor)} asked for: an earlier page again")
        return fresh.reset_index(drop=True)

    return client.call(f"{series.what} from {_moment(cursor)}", once)


def _doubtful(series: Series, rows: pd.DataFrame, cursor: int, last: int) -> bool:
    """Whether a page needs a second look: it holds nothing of the range, or a single moment that it may have cut."""
    return rows.empty or int(rows["time"].iloc[0]) >= last or (series.step == 0 and int(rows["time"].iloc[-1]) == cursor)


def _following(series: Series, rows: pd.DataFrame, cursor: int, last: int) -> int:
    """Where the next page starts: everything before is known."""
    if rows.empty:
        return min(cursor + series.window, last)
    end = int(rows["time"].iloc[-1])
    if end >= last:
        return last
    if series.step:
        return min(end + series.step, last)
    # More rows may share the last moment: leave it to the next page, unless the page is that moment alone.
    return end if end > cursor else min(cursor + 1, last)


def _moment(milliseconds: int) -> str:
    return pd.Timestamp(milliseconds, unit="ms").isoformat(sep=" ")
