"""`verify_bars` and `verify_observations`: proof that what is about to be handed on is clean.

What belongs here: the suites behind blocking checks. They never change a frame; `check_bars` sets rows apart before.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from strategy_pipeline.market import timeframes as tf
from strategy_pipeline.market.bars import FIELDS, PRICES, REQUIRED
from strategy_pipeline.market.observations import OBSERVATION_TABLES
from strategy_pipeline.market.quality.check import normalised
from strategy_pipeline.market.quality.expectations import run_expectations
from strategy_pipeline.market.quality.report import Verification
from strategy_pipeline.market.quality.row_rules import times_of


def verify_bars(frame: pd.DataFrame, timeframe: str) -> Verification:
    """Run the bar suite on a frame that should be clean.

    Great Expectations executes the row and table rules; what it cannot say (grid, order of time within a symbol) is
    ours. An empty frame fails: bars are required.

    Parameters
    ----------
    frame : long rows as `check_bars(...).clean` or `Bars.to_frame()` give them

    Returns
    -------
    Verification
        Fit for a blocking asset check: `passed`, and per rule how many rows failed and an example.
    """
    import great_expectations.expectations as gxe

    missing = [name for name in ("ts", "symbol", *REQUIRED) if name not in frame.columns]
    if missing or frame.empty:
        detail = f"without the column {', '.join(missing)}" if missing else "no rows"
        return _verdict([_ours("has_rows_and_columns", len(frame), max(1, len(missing)), detail)])
    rows = normalised(frame)
    table = rows.assign(ts=rows["ts"].dt.tz_localize(None), symbol=rows["symbol"].astype(object))
    rules: dict[str, Any] = {
        "has_rows": gxe.ExpectTableRowCountToBeBetween(min_value=1),
        "has_columns": gxe.ExpectTableColumnsToMatchSet(column_set=["ts", "symbol", *REQUIRED], exact_match=False),
        "time_present": gxe.ExpectColumnValuesToNotBeNull(column="ts"),
        "symbol_written_base_quote": gxe.ExpectColumnValuesToMatchRegex(column="symbol", regex=r"^[A-Z0-9]{1,20}/[A-Z0-9]{2,10}$"),
        "unique_times": gxe.ExpectCompoundColumnsToBeUnique(column_list=["symbol", "ts"]),
    }
    for name in REQUIRED:
        rules[f"{name}_present"] = gxe.ExpectColumnValuesToNotBeNull(column=name)
    for name in PRICES:
        rules[f"{name}_positive"] = gxe.ExpectColumnValuesToBeBetween(
            column=name, min_value=0.0, strict_min=True, max_value=float(np.finfo(np.float64).max)
        )
    for name in ("open", "close", "low"):
        rules[f"high_at_least_{name}"] = gxe.ExpectColumnPairValuesAToBeGreaterThanB(column_A="high", column_B=name, or_equal=True)
    for name in ("open", "close"):
        rules[f"low_at_most_{name}"] = gxe.ExpectColumnPairValuesAToBeGreaterThanB(column_A=name, column_B="low", or_equal=True)
    for name in FIELDS:
        if name not in PRICES and name in table.columns:
            rules[f"{name}_not_negative"] = gxe.ExpectColumnValuesToBeBetween(column=name, min_value=0.0)
    results = run_expectations(table, "bars", rules)

    times = times_of(rows)
    off = ~tf.on_grid(times, timeframe)
    example = f"such as {rows['symbol'].iloc[int(off.argmax())]} {tf.written(times[int(off.argmax())])}" if off.any() else ""
    results.append(_ours("on_grid", len(rows), int(off.sum()), example))
    back = (rows["ts"].diff() <= pd.Timedelta(0)) & (rows["symbol"] == rows["symbol"].shift())
    where = f"such as {rows['symbol'][back].iloc[0]} {rows['ts'][back].iloc[0]}" if back.any() else ""
    results.append(_ours("time_ascends", len(rows), int(back.sum()), where))
    return _verdict(results)


def verify_observations(table: str, frame: pd.DataFrame) -> Verification:
    """Run the light suite of an observation table: its columns, its times, and `available_at` never before `ts`.

    An empty table passes: a day without news is an explicit empty day.
    """
    import great_expectations.expectations as gxe

    columns = list(OBSERVATION_TABLES[table])
    absent = [name for name in columns if name not in frame.columns]
    if absent:
        return _verdict([_ours("has_columns", len(frame), len(absent), f"without {', '.join(absent)}")])
    if frame.empty:
        return _verdict([_ours("has_columns", 0, 0, "")])
    plain = frame.copy()
    for name in ("ts", "available_at"):
        plain[name] = pd.to_datetime(plain[name], utc=True).dt.tz_localize(None)
    rules: dict[str, Any] = {
        "has_columns": gxe.ExpectTableColumnsToMatchSet(column_set=columns, exact_match=False),
        "time_present": gxe.ExpectColumnValuesToNotBeNull(column="ts"),
        "available_at_present": gxe.ExpectColumnValuesToNotBeNull(column="available_at"),
        "available_after_ts": gxe.ExpectColumnPairValuesAToBeGreaterThanB(column_A="available_at", column_B="ts", or_equal=True),
    }
    if table == "fear_greed":
        rules["value_in_range"] = gxe.ExpectColumnValuesToBeBetween(column="value", min_value=0, max_value=100)
    if table == "trades":
        rules["side_known"] = gxe.ExpectColumnValuesToBeInSet(column="side", value_set=["buy", "sell"])
    for name in ("price", "qty"):
        if name in columns:
            rules[f"{name}_positive"] = gxe.ExpectColumnValuesToBeBetween(column=name, min_value=0, strict_min=True)
    return _verdict(run_expectations(plain, table, rules))


def _ours(rule: str, checked: int, failed: int, detail: str) -> dict[str, Any]:
    return {"rule": rule, "passed": failed == 0, "checked": checked, "failed": failed, "detail": detail, "executor": "strategy_pipeline"}


def _verdict(results: list[dict[str, Any]]) -> Verification:
    frame = pd.DataFrame(results)
    return Verification(bool(frame["passed"].all()), frame)
