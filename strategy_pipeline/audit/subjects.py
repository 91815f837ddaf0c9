"""What can be audited: named functions of bars, made from the catalog, from a feature set, or one's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from strategy_pipeline.indicators import catalog, compute, spec

if TYPE_CHECKING:
    import pandas as pd

    from strategy_pipeline.features import FeatureSet
    from strategy_pipeline.market import Bars

# Bars -> an array (n_symbols, n_bars), a dict of them by output, or a FeatureMatrix.
Function: TypeAlias = "Callable[[Bars], Any]"


# Bars -> the named series (macro levels, quotes) known at their closes; it is called with truncated bars too.
NamedSeries: TypeAlias = "Callable[[Bars], Mapping[str, np.ndarray]]"


def catalog_functions(bars: Bars, names: Iterable[str] | None = None, *, series: NamedSeries | None = None) -> dict[str, Function]:
    """Every catalog entry (or those named) with default parameters, but for those whose fields or named series are not there.

    `series` makes the named series for any bars, such as ``lambda bars: macro_series(table, bars)``: it is audited with
    the entries that read them, and called once for the same bars.
    """
    made: list[tuple[Bars, Mapping[str, np.ndarray]]] = []

    def known(given: Bars) -> Mapping[str, np.ndarray]:
        if series is not None and not (made and made[0][0] is given):
            made[:] = [(given, series(given))]
        return made[0][1] if made else {}

    def function(name: str) -> Function:
        needed = spec(name).named_inputs
        if not needed:
            return lambda given: compute(name, given)
        return lambda given: compute(name, given, named={each: known(given)[each] for each in needed})

    lacking = _lacking(bars, _wanted(names), known(bars))
    return {name: function(name) for name in _wanted(names) if name not in lacking}


def left_out(bars: Bars, names: Iterable[str] | None = None, *, series: NamedSeries | None = None) -> dict[str, str]:
    """Entries that `catalog_functions` leaves out, each with the fields or named series that it lacks, comma separated."""
    return _lacking(bars, _wanted(names), series(bars) if series is not None else {})


def _wanted(names: Iterable[str] | None) -> list[str]:
    return list(names) if names is not None else catalog()["name"].tolist()


def _lacking(bars: Bars, names: Iterable[str], there: Mapping[str, np.ndarray]) -> dict[str, str]:
    found = {}
    for name in names:
        entry = spec(name)
        absent = [field for field in entry.requires if getattr(bars, field) is None]
        absent += [each for each in entry.named_inputs if each not in there]
        if absent:
            found[name] = ", ".join(absent)
    return found


def feature_functions(
    feature_set: str | FeatureSet = "standard", observations: Mapping[str, pd.DataFrame] | None = None
) -> dict[str, Function]:
    """One function that builds the set; on truncated bars it gets only the observations known by their last close."""
    from strategy_pipeline.features import build

    name = feature_set if isinstance(feature_set, str) else feature_set.name

    def function(bars: Bars) -> Any:
        known = {table: _known_by(frame, bars.available_at[-1]) for table, frame in (observations or {}).items()}
        return build(bars, feature_set, observations=known)

    return {name: function}


def _known_by(frame: pd.DataFrame, moment: np.datetime64) -> pd.DataFrame:
    known = frame["available_at"].dt.tz_convert("UTC").dt.tz_localize(None).to_numpy(dtype="datetime64[ns]")
    return frame[known <= moment]


def arrays_of(name: str, result: Any) -> dict[str, np.ndarray]:
    """A function's result as named float64 arrays (n_symbols, n_bars)."""
    if isinstance(result, Mapping):
        return {f"{name}.{key}": np.asarray(values, dtype=np.float64) for key, values in result.items()}
    if hasattr(result, "feature_names"):
        return {f"{name}.{key}": result.values[:, :, k].astype(np.float64) for k, key in enumerate(result.feature_names)}
    return {name: np.atleast_2d(np.asarray(result, dtype=np.float64))}
