"""Who was tuned from whom, and since when a descendant may be judged.

Who has a strategy of the book tuned does so for what validation said of it, so the same validation days prove nothing of the result: a
descendant is judged on days after the look at its ancestor alone. What the day itself tunes of a descendant is one too.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from strategy_pipeline.book import Book
from strategy_pipeline.cycle.workspace import DAY, Workspace

OPTIMIZED = "strategies/optimized"  # what the day itself tunes
REQUESTED = "strategies/requested"  # what people had tuned, beside the daily search


def parents(workspace: Workspace, day: dt.date) -> dict[str, set[str]]:
    """By id of a tuned strategy, what it was tuned from: by the tuning of `day` and of days before it, and by requests of days before it,
    since those of the day itself come after its evidence."""
    found: dict[str, set[str]] = {}
    for prefix, last in ((OPTIMIZED, day), (REQUESTED, day - DAY)):
        for path in workspace.lake.list(prefix):
            if path.endswith("/tuned.parquet") and path.removeprefix(f"{prefix}/")[:10] <= last.isoformat():
                for parent, child in workspace.lake.read(path)[["strategy_id", "tuned_id"]].itertuples(index=False):
                    if child != parent:
                        found.setdefault(child, set()).add(parent)
    return found


def judged_after(ids: Iterable[str], parents: dict[str, set[str]], book: Book) -> dict[str, dt.date]:
    """Of `ids`, those with an ancestor that the book had a look at, and the day of the last such look: only later days count."""
    found: dict[str, dt.date] = {}
    for strategy_id in ids:
        ancestors: set[str] = set()
        above = set(parents.get(strategy_id, ()))
        while above:
            ancestors |= above
            above = {older for one in above for older in parents.get(one, ())} - ancestors
        looks = [book.entries[one].looked_on for one in ancestors - {strategy_id} if one in book.entries]
        if looks:
            found[strategy_id] = max(looks)
    return found
