"""Where the profit came from: by strategy, by symbol, by day, adding up to the total.

A day's contribution of a pair is weight times return. Over several days contributions do not add up,
because profits are reinvested; scaled by the equity at the start of each day they do (the money made by the
pair, per unit of starting capital), and their sum is the total return exactly.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from strategy_pipeline.errors import MissingColumnError


@dataclass(frozen=True)
class Attribution:
    """Profit and loss per unit of starting capital.

    total : the return over the period, and the sum of each table's ``contribution``
    by_pair, by_strategy, by_symbol, by_day : frames with their keys and ``contribution``, keys ascending;
        the first three also with ``share`` of the total (NaN when the total is 0)
    unpriced : rows whose return was NaN under a weight that was not 0; they count as 0
    """

    total: float
    by_pair: pd.DataFrame
    by_strategy: pd.DataFrame
    by_symbol: pd.DataFrame
    by_day: pd.DataFrame
    unpriced: int


def attribution(positions: pd.DataFrame) -> Attribution:
    """Attribute a portfolio's return to its strategies and symbols.

    `positions` has one row per (``day``, ``strategy_id``, ``symbol``) held: ``weight`` (fraction of equity at
    the start of the day, signed) and ``return`` (of the symbol over the day, after costs). A NaN return
    earns 0 and is counted; a NaN weight is no position. MissingColumnError without these columns.
    """
    columns = ["day", "strategy_id", "symbol", "weight", "return"]
    missing = [name for name in columns if name not in positions.columns]
    if missing:
        raise MissingColumnError(f"Expected positions with {', '.join(columns)}, was without {', '.join(missing)}; add them")
    rows = positions[columns].sort_values(["day", "strategy_id", "symbol"], kind="stable", ignore_index=True)
    weight = rows["weight"].fillna(0.0).to_numpy(dtype=float)
    change = rows["return"].to_numpy(dtype=float)
    unpriced = int((np.isnan(change) & (weight != 0)).sum())
    rows["made"] = weight * np.nan_to_num(change)
    equity, start = 1.0, {}
    for day, made in rows.groupby("day", sort=True)["made"]:
        start[day] = equity
        equity *= 1.0 + math.fsum(made)
    rows["contribution"] = rows["made"] * rows["day"].map(start).astype(float)
    # The total is defined as the exact sum of the parts; equity - 1 is the same up to the last digits.
    total = math.fsum(rows["contribution"])
    return Attribution(
        total,
        _sum_by(rows, ["strategy_id", "symbol"], total),
        _sum_by(rows, ["strategy_id"], total),
        _sum_by(rows, ["symbol"], total),
        _sum_by(rows, ["day"], total).drop(columns="share"),
        unpriced,
    )


def _sum_by(rows: pd.DataFrame, keys: list[str], total: float) -> pd.DataFrame:
    sums: dict[Hashable, float] = {key: math.fsum(part) for key, part in rows.groupby(keys, sort=True)["contribution"]}
    frame = pd.DataFrame([key if isinstance(key, tuple) else (key,) for key in sums], columns=keys)
    frame["contribution"] = np.array(list(sums.values()), dtype=float)
    frame["share"] = frame["contribution"] / total if total != 0 else np.nan
    return frame
