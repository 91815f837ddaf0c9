"""`FeatureMatrix`: the record. How it is built lives in `building`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from strategy_pipeline.errors import InvalidBarsError, MissingColumnError
from strategy_pipeline.market import timeframes as tf


@dataclass(frozen=True, eq=False)
class FeatureMatrix:
    """Model input on the grid of the bars it was built from.

    Parameters
    ----------
    values : float32 (n_symbols, n_bars, n_features), C-contiguous, read-only; NaN is unknown, never 0
    feature_names : tuple of str of length n_features, in the set's order
    times : datetime64[ns] (n_bars,), bar opens, UTC
    symbols : tuple of str of length n_symbols
    timeframe : of the bars
    available : bool (n_features,)
        False where the data that a feature needs was not given at all (no news, no taker volume): its column is NaN.
    feature_set, version : name and version of the set

    A row is known at the close of its bar and uses only data available by then. A row is all NaN where the symbol
    has no bar.
    """

    values: np.ndarray
    feature_names: tuple[str, ...]
    times: np.ndarray
    symbols: tuple[str, ...]
    timeframe: str
    available: np.ndarray
    feature_set: str = "custom"
    version: str = ""

    def __post_init__(self) -> None:
        shape = (len(self.symbols), len(self.times), len(self.feature_names))
        values = np.ascontiguousarray(self.values, dtype=np.float32)
        available = np.asarray(self.available, dtype=bool)
        if values.shape != shape or available.shape != shape[2:]:
            raise InvalidBarsError(
                f"Expected values of shape {shape} and available of shape {shape[2:]}, was {values.shape} and {available.shape}; "
                "rows would not match their names; give one column per feature"
            )
        for name, array in (("values", values), ("available", available), ("times", np.asarray(self.times, dtype="datetime64[ns]"))):
            if array.flags.writeable:
                array = array.copy() if array is getattr(self, name) else array
                array.flags.writeable = False
            object.__setattr__(self, name, array)

    @property
    def n_features(self) -> int:
        return len(self.feature_names)

    @property
    def mask(self) -> np.ndarray:
        """Where a value is known: bool (n_symbols, n_bars, n_features)."""
        return np.isfinite(self.values)

    @cached_property
    def available_at(self) -> np.ndarray:
        """Close of each bar, when its row is known: datetime64[ns] (n_bars,)."""
        return tf.close_times(self.times, self.timeframe)

    @cached_property
    def hash(self) -> str:
        """SHA-256 (hex) over set, version, names, symbols, times and values; NaNs count alike."""
        digest = hashlib.sha256()
        for text in (self.feature_set, self.version, self.timeframe, *self.feature_names, "\x1e", *self.symbols):
            digest.update(text.encode() + b"\x1f")
        digest.update(self.times.astype("<i8").tobytes())
        digest.update(np.where(self.mask, self.values, np.float32(np.nan)).astype("<f4").tobytes())
        return digest.hexdigest()

    def column(self, name: str) -> np.ndarray:
        """One feature, float32 (n_symbols, n_bars). MissingColumnError where the matrix has none of that name."""
        if name not in self.feature_names:
            raise MissingColumnError(
                f"Expected a feature of {self.feature_set!r}, was {name!r}; see feature_names for the {self.n_features} it has"
            )
        return self.values[:, :, self.feature_names.index(name)]

    def between(self, start: Any = None, end: Any = None) -> FeatureMatrix:
        """The rows whose bars open in [start, end); None is unbounded."""
        first = 0 if start is None else int(np.searchsorted(self.times, tf.to_time(start)))
        stop = len(self.times) if end is None else int(np.searchsorted(self.times, tf.to_time(end)))
        return self._rows(first, max(first, stop))

    def through(self, open_time: Any) -> FeatureMatrix:
        """The rows up to and including the bar that opens at `open_time`."""
        return self._rows(0, int(np.searchsorted(self.times, tf.to_time(open_time), side="right")))

    def _rows(self, first: int, stop: int) -> FeatureMatrix:
        return self.replaced(self.values[:, first:stop], self.times[first:stop])

    def replaced(self, values: np.ndarray, times: np.ndarray | None = None) -> FeatureMatrix:
        """The same features with other values (and times)."""
        return FeatureMatrix(
            values, self.feature_names, self.times if times is None else times, self.symbols, self.timeframe, self.available,
            self.feature_set, self.version,
        )  # fmt: skip
