"""Downloaded pages on disk: which spans of time have been asked for, and the rows that were there.

A page is one Parquet file named ``<first>-<next>.parquet``: every row the exchange has with first <= time < next, in
milliseconds since 1970. So an hour the exchange never had is known to be a gap and not asked for again, and a
download that broke off goes on after its last page. Files appear whole or not at all; pages may overlap, because
rows are told apart by their key.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

import pandas as pd

from strategy_pipeline.errors import CorruptFileError
from strategy_pipeline.store.atomic import replace_file

_NAME = re.compile(r"^(\d+)-(\d+)\.parquet$")
# Above this many pages a series is merged into one file, so that reading it stays one read.
_MANY = 64


class Pages:
    """Pages of one series (an exchange, a table, a symbol, a timeframe) in one folder.

    Parameters
    ----------
    folder : made when the first page is written
    key : the column that tells rows apart; of two rows with one key the later page's wins
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder = folder
        self.key = key

    def spans(self) -> list[tuple[int, int]]:
        """Spans of time held, sorted, as half-open milliseconds."""
        if not self.folder.is_dir():
            return []
        found = (_NAME.match(path.name) for path in self.folder.iterdir())
        return sorted((int(match[1]), int(match[2])) for match in found if match)

    def missing(self, start: int, stop: int) -> list[tuple[int, int]]:
        """The parts of [start, stop) not yet held."""
        gaps, reached = [], start
        for first, following in self.spans():
            if following <= reached:
                continue
            if first >= stop:
                break
            if first > reached:
                gaps.append((reached, first))
            reached = following
        if reached < stop:
            gaps.append((reached, stop))
        return gaps

    def add(self, first: int, following: int, rows: pd.DataFrame) -> None:
        """Keep the rows of [first, following); `rows` has a column ``time`` in milliseconds."""
        buffer = io.BytesIO()
        rows.reset_index(drop=True).to_parquet(buffer, index=False)
        self.folder.mkdir(parents=True, exist_ok=True)
        replace_file(self._path(first, following), buffer.getvalue())

    def read(self, start: int, stop: int) -> pd.DataFrame:
        """Rows of [start, stop) by time, each key once. Empty, without columns, when nothing is held."""
        frames = [self._load(first, following) for first, following in self.spans() if first < stop and following > start]
        frames = [frame for frame in frames if len(frame)]
        if not frames:
            return pd.DataFrame()
        rows = pd.concat(frames, ignore_index=True).drop_duplicates(self.key, keep="last")
        rows = rows[(rows["time"] >= start) & (rows["time"] < stop)]
        return rows.sort_values(["time", self.key], kind="stable", ignore_index=True)

    def merge(self) -> None:
        """Join adjoining pages when there are many. Interrupted, it leaves overlapping pages, which read the same."""
        spans = self.spans()
        if len(spans) <= _MANY:
            return
        runs: list[list[tuple[int, int]]] = []
        for span in spans:
            if runs and span[0] <= max(following for _, following in runs[-1]):
                runs[-1].append(span)
            else:
                runs.append([span])
        for run in runs:
            if len(run) < 2:
                continue
            first, following = run[0][0], max(end for _, end in run)
            self.add(first, following, self.read(first, following))
            for span in run:
                if span != (first, following):
                    self._path(*span).unlink()

    def _path(self, first: int, following: int) -> Path:
        return self.folder / f"{first}-{following}.parquet"

    def _load(self, first: int, following: int) -> pd.DataFrame:
        path = self._path(first, following)
        try:
            return pd.read_parquet(path)
        except (OSError, ValueError) as error:
            raise CorruptFileError(f"Expected a downloaded page, was {path}, which cannot be read; delete it and run again") from error
