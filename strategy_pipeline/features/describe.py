"""What the columns of a set are: definition, look-back and source of each, as a table and as the page ``docs/features.md``.

python -m strategy_pipeline.features.describe > docs/features.md
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd

from strategy_pipeline.features.building import named_series_of
from strategy_pipeline.features.sets import FEATURE_SETS, Feature, FeatureSet, feature_set
from strategy_pipeline.features.world import World
from strategy_pipeline.indicators import Arithmetic, Number, Series, Value, spec
from strategy_pipeline.indicators.named import MACRO_LEVELS
from strategy_pipeline.indicators.registry import FIELDS

_TIMEFRAME = "1h"


class _Recorder(World):
    """A world without tables that notes which are asked for, and which series of them."""

    def __init__(self) -> None:
        super().__init__(None, ("BASE/QUOTE",), np.array(["2024-01-01T01:00"], dtype="datetime64[ns]"))
        self.asked: dict[str, list[str]] = {}

    def table(self, name: str) -> pd.DataFrame | None:
        self.asked.setdefault(name, [])
        return None

    def _known(self, table: str, columns: tuple[str, ...], value: str, key: tuple[str, ...]) -> None:
        series = self.asked.setdefault(table, [])
        # A symbol's own rows are named by what is read of them, series of the whole market by their name.
        said = key[columns.index("metric")] if "metric" in columns else key[0] if "series" in columns else value
        if said not in series:
            series.append(said)


def feature_table(which: str | FeatureSet = "full", timeframe: str = _TIMEFRAME) -> pd.DataFrame:
    """The columns of a set on bars of `timeframe`: feature, block, lookback (bars; 1 reads no earlier bar), source, definition."""
    chosen = feature_set(which) if isinstance(which, str) else which
    rows = []
    for feature in chosen.features(timeframe):
        if feature.value is not None:
            source = f"bars: {', '.join(sorted(_fields(feature.value))) or 'time'}"
            for name in dict.fromkeys(named_series_of(feature.value)):
                source += f"; macro: {', '.join(MACRO_LEVELS[name])}" if name in MACRO_LEVELS else f"; {name.replace('.', ': ')}"
            rows.append((feature.name, feature.block, feature.lookback(timeframe), source, text(feature.value)))
        else:
            rows.append((feature.name, feature.block, 1, _source(feature), "as known at each close"))
    return pd.DataFrame(rows, columns=["feature", "block", "lookback", "source", "definition"])


def text(value: Value) -> str:
    """The expression as it is written: ``log(close / ema(close, length=24))``."""
    if isinstance(value, Number):
        return f"{value.value:g}"
    if isinstance(value, Series):
        inputs = [text(one) for one in value.inputs]
        given = (
            [f"{param.name}={number:g}" for param, number in zip(spec(value.name).params, value.params, strict=True)]
            if value.params
            else []
        )
        where = f"@{value.timeframe}" if value.timeframe else ""
        arguments = f"({', '.join([*inputs, *given])})" if inputs or given or (value.name not in FIELDS and "." not in value.name) else ""
        return f"{value.name}{arguments}{where}" + (f".{value.output}" if value.output not in (None, "value") else "")
    if value.op not in "+-*/":
        return f"{value.op}({', '.join(text(one) for one in value.operands)})"
    inner = [f"({text(one)})" if isinstance(one, Arithmetic) and one.op in "+-*/" else text(one) for one in value.operands]
    return f" {value.op} ".join(inner)


def _fields(value: Value) -> set[str]:
    """The fields of bars that an expression reads."""
    if isinstance(value, Number):
        return set()
    if isinstance(value, Arithmetic):
        return set().union(*(_fields(one) for one in value.operands))
    if value.name in FIELDS:
        return {value.name}
    if "." in value.name:
        return set()
    entry = spec(value.name)
    own = {name for name in (*entry.inputs, *entry.requires) if name in FIELDS}
    return own.union(*(_fields(one) for one in value.inputs))


def _source(feature: Feature) -> str:
    world = _Recorder()
    if feature.read is not None and feature.read(world) is not None:
        return "calendar"
    return "; ".join(f"{table}: {', '.join(names)}" if names else table for table, names in world.asked.items())


_INTRODUCTION = f"""# Features

What models see at each close, by named set. A set's name and version always mean the same columns; the version changes when a
column changes. `build(bars, "standard", observations=...)` makes the matrix: float32 `(n_symbols, n_bars, n_features)`.

- A row uses only bars that have closed and observations available by its own close; a higher timeframe (`@4h`) enters when its
  bar closes. Macro values count from their release; series that are revised later stay out.
- Unknown is NaN, never 0. A block whose data was not given at all (no news, no taker volume) is marked in `available` and its
  columns are NaN: models leave it out.
- Look-backs count bars of the set's own timeframe ({_TIMEFRAME} below; other timeframes have other higher ones).
- News and posts: a source's own score is kept; texts without one are scored by the embedded lexicon or the configured classifier,
  and those without an asset count for the assets they name.

This page is generated by `python -m strategy_pipeline.features.describe`; a test fails when it is stale.
"""


def markdown() -> str:
    """The page: a section per set with what it adds to the smaller ones."""
    parts = [_INTRODUCTION]
    seen: set[str] = set()
    for one in FEATURE_SETS.values():
        table = feature_table(one)
        fresh = table[~table["feature"].isin(seen)]
        seen |= set(table["feature"])
        held = f", {len(table) - len(fresh)} of them above" if len(fresh) < len(table) else ""
        about = one.description[0].upper() + one.description[1:]
        parts.append(f"## {one.name}, version {one.version}\n\n{about}. {len(table)} columns{held}.\n")
        lines = ["| feature | block | look-back | source | definition |", "|---|---|---|---|---|"]
        lines += [
            f"| `{row.feature}` | {str(row.block).replace('_', ' ')} | {row.lookback} | {row.source} | `{row.definition}` |"
            for row in fresh.itertuples()
        ]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    sys.stdout.write(markdown())
