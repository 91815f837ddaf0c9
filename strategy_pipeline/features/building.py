"""Building a feature matrix: evaluate a set's expressions through the bank, read the world, stack.

What belongs here: the walk over a set, masks for what is absent, ranges with their look-back. What does not: which
features there are (`sets`, `blocks`, `world`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from strategy_pipeline.errors import NoDataError
from strategy_pipeline.features.matrix import FeatureMatrix
from strategy_pipeline.features.sets import Feature, FeatureSet
from strategy_pipeline.features.sets import feature_set as named_set
from strategy_pipeline.features.world import World
from strategy_pipeline.indicators import Arithmetic, Bank, Series, Value, book_series, first_bar_needed, macro_series, spec
from strategy_pipeline.indicators.registry import FIELDS

if TYPE_CHECKING:
    import pandas as pd

    from strategy_pipeline.features.sentiment import TextScorer
    from strategy_pipeline.market import Bars


def build(
    bars: Bars,
    feature_set: str | FeatureSet = "standard",
    *,
    observations: Mapping[str, pd.DataFrame] | None = None,
    start: Any = None,
    workers: int = 1,
    scorer: TextScorer | None = None,
) -> FeatureMatrix:
    """The feature matrix of a set on `bars`.

    Parameters
    ----------
    bars : Bars
        With the look-back that the set needs before the rows wanted; where it is shorter, values are NaN.
    feature_set : a name of `FEATURE_SETS`, or a set of one's own
    observations : mapping of table name to DataFrame (`market.OBSERVATION_TABLES`), optional
        Rows may reach beyond the bars: only those with ``available_at`` at or before a bar's close count in its row.
        Cutting rows off at the front can change what needs the past (a score's decay, a change over a year).
    start : time, optional
        Give only rows of bars that open at or after it. They equal those of the full build (to float32), but only
        the look-back they need is computed.
    workers : int
        Threads; 0 is one per core. Results do not depend on it.
    scorer : TextScorer, optional
        Scores news and posts that came without a score (`text_scorer` makes one); None is the embedded lexicon.

    Returns
    -------
    FeatureMatrix with one column per feature of the set, in its order. A feature whose data was not given at all is NaN
    and marked in `available`. Rows of missing bars are all NaN.

    Raises
    ------
    UnknownFeatureSetError, NoDataError (no bar at or after `start`), MissingColumnError (a table without its times).
    """
    chosen = named_set(feature_set) if isinstance(feature_set, str) else feature_set
    features = chosen.features(bars.timeframe)
    reads_named = any(feature.value is not None and named_series_of(feature.value) for feature in features)
    named = _named_series(observations, bars) if reads_named else {}
    usable = np.array([feature.value is None or _readable(feature.value, bars, named) for feature in features], dtype=bool)
    first = 0
    if start is not None:
        first = _index_of(bars, start)
        kept = [feature.value for feature, use in zip(features, usable, strict=True) if use and feature.value is not None]
        earliest = _earliest(bars, kept, first)
        bars, first = bars.between(bars.times[earliest], None), first - earliest
        named = {name: values[:, earliest:] for name, values in named.items()}
    rows = bars.n_bars - first
    # Filled feature by feature, so that writes are contiguous; one transposition at the end.
    planes = np.full((len(features), bars.n_symbols, rows), np.nan, dtype=np.float32)
    _price_columns(bars, features, usable, first, planes, workers, named)
    world = World(observations, bars.symbols, bars.available_at[first:], scorer)
    for column, feature in enumerate(features):
        if feature.read is not None:
            values = feature.read(world)
            usable[column] = values is not None
            if values is not None:
                planes[column] = values
    planes[:, np.isnan(bars.close[:, first:])] = np.nan
    planes[~np.isfinite(planes)] = np.nan
    values = np.ascontiguousarray(planes.transpose(1, 2, 0))
    values.flags.writeable = False
    usable.flags.writeable = False
    names = tuple(feature.name for feature in features)
    return FeatureMatrix(values, names, bars.times[first:], bars.symbols, bars.timeframe, usable, chosen.name, chosen.version)


def _price_columns(
    bars: Bars, features: Sequence[Feature], usable: np.ndarray, first: int, planes: np.ndarray, workers: int,
    named: Mapping[str, np.ndarray],
) -> None:  # fmt: skip
    bank = Bank(bars, series=named, workers=workers)
    wanted = [(column, feature.value) for column, feature in enumerate(features) if feature.value is not None and usable[column]]
    # A block at a time: indicators shared within it are computed together, and only it is held beside the matrix.
    for low in range(0, len(wanted), 32):
        part = wanted[low : low + 32]
        for (column, _), values in zip(part, bank.evaluate_many([value for _, value in part]), strict=True):
            planes[column] = values[:, first:]


def _index_of(bars: Bars, start: Any) -> int:
    from strategy_pipeline.market.timeframes import to_time

    index = int(np.searchsorted(bars.times, to_time(start)))
    if index >= bars.n_bars:
        raise NoDataError(f"Expected bars that open at or after {start}, was none (the last opens at {bars.times[-1]}); move the start")
    return index


def _earliest(bars: Bars, values: Sequence[Value], first: int) -> int:
    """The earliest bar that rows from `first` on can depend on."""
    bank = Bank(bars, workers=1)
    return min((first_bar_needed(value, bank, first) for value in values), default=first)


def _named_series(observations: Mapping[str, pd.DataFrame] | None, bars: Bars) -> dict[str, np.ndarray]:
    """Levels of the world's markets and quotes of the order book as named series, those that the tables have."""
    found: dict[str, np.ndarray] = {}
    for name, make in (("macro", macro_series), ("book", book_series)):
        table = (observations or {}).get(name)
        if table is not None and len(table):
            found |= make(table, bars)
    return found


def named_series_of(value: Value) -> tuple[str, ...]:
    """The named series that an expression reads, through its indicators."""
    if isinstance(value, Arithmetic):
        return tuple(name for operand in value.operands for name in named_series_of(operand))
    if not isinstance(value, Series) or value.name in FIELDS:
        return ()
    own = (value.name,) if "." in value.name else spec(value.name).named_inputs
    return (*own, *(name for each in value.inputs for name in named_series_of(each)))


def _readable(value: Value, bars: Bars, named: Mapping[str, np.ndarray]) -> bool:
    """Whether the bars carry every optional field that the expression reads, and the named series are there."""
    return all(name in named for name in named_series_of(value)) and _has_fields(value, bars)


def _has_fields(value: Value, bars: Bars) -> bool:
    """Whether the bars carry every optional field that the expression reads."""
    if isinstance(value, Arithmetic):
        return all(_has_fields(operand, bars) for operand in value.operands)
    if not isinstance(value, Series):
        return True
    if value.name in FIELDS:
        return getattr(bars, value.name) is not None
    if "." in value.name:
        return True
    return all(getattr(bars, name) is not None for name in spec(value.name).requires) and all(
        _has_fields(each, bars) for each in value.inputs
    )
