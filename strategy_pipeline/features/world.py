"""Features of the world around the bars: macro, mood, news, fundamentals, leverage, each as of the bar's close.

What belongs here: reading observation tables point in time. A row enters at the first close not before its
`available_at`; of several known rows the one about the latest `ts` counts, and of revisions the latest known. Series
marked `revised` are left out: their stored values were not known at the time. A value that has not been renewed
within its `max_age` is NaN.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from strategy_pipeline.errors import MissingColumnError
from strategy_pipeline.features.entities import EntityMatcher
from strategy_pipeline.features.sentiment import TextScorer, scored
from strategy_pipeline.features.streams import DAY

Array = np.ndarray


def moments(column: pd.Series) -> Array:
    """A time column as datetime64[ns], UTC without a zone."""
    return pd.to_datetime(column, utc=True).dt.tz_localize(None).to_numpy(dtype="datetime64[ns]")


def as_of(ts: Array, available_at: Array, value: Array, at: Array, max_age: np.timedelta64) -> Array:
    """The value about the latest `ts` among rows known at each moment of `at`; NaN where none, or too old.

    All (n,) but `at` (m,), datetime64[ns] and float64; NaN values are no rows. Age counts from `available_at`.
    """
    usable = np.isfinite(value)
    ts, available_at, value = ts[usable], available_at[usable], value[usable]
    order = np.lexsort((ts, available_at))
    ts, available_at, value = ts[order], available_at[order], value[order]
    newest = ts >= np.maximum.accumulate(ts) if len(ts) else np.zeros(0, dtype=bool)
    available_at, value = available_at[newest], value[newest]
    index = np.searchsorted(available_at, at, side="right") - 1
    out = np.full(len(at), np.nan)
    found = index >= 0
    fresh = np.zeros(len(at), dtype=bool)
    fresh[found] = at[found] - available_at[index[found]] <= max_age
    out[fresh] = value[index[fresh]]
    return out


class World:
    """Observation tables as of the closes of some bars.

    Parameters
    ----------
    tables : mapping of table name to DataFrame, as `market.OBSERVATION_TABLES` has them; absent or empty ones are absent
    symbols : tuple of str, ``BASE/QUOTE``
    closes : datetime64[ns] (n_bars,)
    scorer : scores texts that came without a score; None is the embedded lexicon
    """

    def __init__(
        self, tables: Mapping[str, pd.DataFrame] | None, symbols: Sequence[str], closes: Array, scorer: TextScorer | None = None
    ) -> None:
        self.symbols = tuple(symbols)
        self.bases = tuple(symbol.split("/")[0] for symbol in symbols)
        self.closes = np.asarray(closes, dtype="datetime64[ns]")
        self._tables = {name: frame for name, frame in (tables or {}).items() if frame is not None and len(frame)}
        for name, frame in self._tables.items():
            absent = [column for column in ("ts", "available_at") if column not in frame.columns]
            if absent:
                raise MissingColumnError(
                    f"Expected the {name} table with ts and available_at, was without {', '.join(absent)}; without them it "
                    "cannot be placed in time; build it with market's readers"
                )
        self._scorer = scorer
        self._texts: dict[str, pd.DataFrame] = {}
        self._rows_of: dict[str, dict[str, Array]] = {}
        self._split: dict[tuple[str, tuple[str, ...]], tuple[dict, pd.DataFrame, Array, Array]] = {}

    def table(self, name: str) -> pd.DataFrame | None:
        """The table, or None where it was not given or is empty."""
        return self._tables.get(name)

    def every(self, row: Array) -> Array:
        """One row (n_bars,) for all symbols."""
        return np.broadcast_to(row, (len(self.symbols), len(self.closes)))

    def texts(self, name: str) -> pd.DataFrame | None:
        """The news or social table, scored and matched to the symbols."""
        frame = self.table(name)
        if frame is None:
            return None
        if name not in self._texts:
            self._texts[name] = scored(frame, matcher=EntityMatcher(self.bases), scorer=self._scorer)
        return self._texts[name]

    def texts_about(self, name: str) -> list[Array] | None:
        """For each symbol, the rows of `texts(name)` that are about its base currency."""
        texts = self.texts(name)
        if texts is None:
            return None
        if name not in self._rows_of:
            about = texts["assets"].explode()
            self._rows_of[name] = {str(asset): np.unique(rows) for asset, rows in about.groupby(about).groups.items()}
        return [self._rows_of[name].get(base, np.zeros(0, dtype=np.int64)) for base in self.bases]

    def macro(self, name: str, days_ago: int = 0, max_age: int = 10) -> Array | None:
        """A macro series as of each close minus `days_ago` days, (n_bars,); None where the table holds no such series."""
        rows = self._known("macro", ("series",), "value", (name,))
        return None if rows is None else as_of(*rows, self.closes - days_ago * DAY, max_age * DAY)

    def keyed(
        self, table: str, columns: Sequence[str], value: str, keys: Sequence[tuple[str, ...]], max_age: float, days_ago: int = 0
    ) -> Array | None:
        """A row per symbol: those of the table whose `columns` equal the symbol's key, as of each close: (n_symbols, n_bars).

        None where no symbol has any.
        """
        out = np.full((len(self.symbols), len(self.closes)), np.nan)
        found = False
        for row, key in enumerate(keys):
            rows = self._known(table, tuple(columns), value, key)
            if rows is not None:
                found = True
                out[row] = as_of(*rows, self.closes - days_ago * DAY, np.timedelta64(round(max_age * 86_400), "s"))
        return out if found else None

    def _known(self, table: str, columns: tuple[str, ...], value: str, key: tuple[str, ...]) -> tuple[Array, Array, Array] | None:
        """(ts, available_at, value) of the rows with that key; None where there are none. Tables are split once."""
        frame = self.table(table)
        if frame is None:
            return None
        if (table, columns) not in self._split:
            if "revised" in frame.columns:
                frame = frame[~frame["revised"].to_numpy(dtype=bool)]
            texts = [frame[column].astype("str").str.upper() for column in columns]
            groups = frame.groupby(texts, sort=False).indices
            named = {group if isinstance(group, tuple) else (group,): index for group, index in groups.items()}
            self._split[table, columns] = (named, frame, moments(frame["ts"]), moments(frame["available_at"]))
        named, frame, ts, available_at = self._split[table, columns]
        index = named.get(tuple(part.upper() for part in key))
        if index is None:
            return None
        return ts[index], available_at[index], frame[value].to_numpy(dtype=np.float64)[index]
