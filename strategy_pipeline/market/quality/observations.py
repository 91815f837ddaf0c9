"""`check_observations`: light rules for news, macro and the other observation tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from strategy_pipeline.errors import MissingColumnError
from strategy_pipeline.market.observations import OBSERVATION_TABLES, TIME
from strategy_pipeline.market.quality.report import RULE_COLUMNS, WARNING_COLUMNS, QualityReport

# What a row is useless without: a headline without words, a series without a value.
_NEEDED = {
    "fear_greed": ["value"], "macro": ["series", "value"], "fundamentals": ["asset", "metric", "value"], "funding": ["symbol", "rate"],
    "open_interest": ["symbol", "open_interest"], "trades": ["symbol", "price", "qty"], "book": ["symbol", "bid", "ask"],
    "executions": ["execution_id", "symbol", "qty", "price"],
}  # fmt: skip
_EITHER = {"news": ["title", "text"], "social": ["text"]}
_POSITIVE = {"trades": ["price", "qty"], "book": ["bid", "ask"], "executions": ["price", "qty"]}


def check_observations(table: str, frame: pd.DataFrame) -> QualityReport:
    """Set apart the rows of an observation table that cannot be used; see `QualityReport`.

    Error rules: time_present, available_after_ts, content_present, in_range, side_known, not_repeated (exact repeats
    after the first). Warning: crossed_book (bid at or above ask).

    Raises
    ------
    MissingColumnError
        The table is unknown, or a column is absent.
    """
    if table not in OBSERVATION_TABLES:
        raise MissingColumnError(f"Expected a table of {', '.join(OBSERVATION_TABLES)}, was {table!r}; name one of these")
    columns = OBSERVATION_TABLES[table]
    absent = [name for name in columns if name not in frame.columns]
    if absent:
        raise MissingColumnError(f"Expected the {table} table to have {', '.join(columns)}, was without {', '.join(absent)}; add them")
    rows = frame.reset_index(drop=True).copy()
    for name in ("ts", "available_at"):
        rows[name] = pd.to_datetime(rows[name], utc=True, errors="coerce").astype(pd.api.types.pandas_dtype(TIME))
    rule = np.full(len(rows), "", dtype=object)
    reason = np.full(len(rows), "", dtype=object)
    outcomes: list[tuple[Any, ...]] = []
    for name, (broken, words) in _rules(table, rows).items():
        hit = np.flatnonzero(broken & (rule == "")).tolist()
        outcomes.append(
            (name, "error", int((rule == "").sum()), len(hit), f"{rows['ts'].iloc[hit[0]]}: {words(hit[0])}" if len(hit) else "")
        )
        rule[hit] = name
        reason[hit] = [words(at) for at in hit]
    kept = rule == ""
    clean = rows[kept].sort_values(["ts", "available_at"], kind="stable", ignore_index=True)
    quarantine = rows[~kept].reset_index(drop=True)
    quarantine["rule"] = pd.array(rule[~kept], dtype="str")
    quarantine["reason"] = pd.array(reason[~kept], dtype="str")
    warnings = pd.DataFrame(columns=list(WARNING_COLUMNS))
    if table == "book":
        crossed = clean[clean["bid"] >= clean["ask"]]
        outcomes.append(("crossed_book", "warning", len(clean), len(crossed), str(crossed["ts"].iloc[0]) if len(crossed) else ""))
        warnings = pd.DataFrame(
            {"rule": "crossed_book", "symbol": crossed["symbol"], "ts": crossed["ts"], "count": 1, "reason": "bid at or above ask"}
        ).reset_index(drop=True)
    return QualityReport(clean, quarantine, pd.DataFrame(outcomes, columns=list(RULE_COLUMNS)), warnings)


def _rules(table: str, rows: pd.DataFrame) -> dict[str, tuple[np.ndarray, Callable[[int], str]]]:
    def empty(name: str) -> np.ndarray:
        column = rows[name]
        if OBSERVATION_TABLES[table][name] == "float64":
            return ~np.isfinite(pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan))
        return (column.isna() | (column.astype("str").str.strip() == "")).to_numpy()

    nothing = np.zeros(len(rows), dtype=bool)
    blank = nothing.copy()
    for name in _NEEDED.get(table, []):
        blank |= empty(name)
    if table in _EITHER:
        blank |= np.logical_and.reduce([empty(name) for name in _EITHER[table]])
    outside = nothing.copy()
    for name in _POSITIVE.get(table, []):
        outside |= ~(rows[name] > 0).to_numpy()
    if table == "fear_greed":
        outside |= ~rows["value"].between(0, 100).to_numpy()
    if table in ("news", "social"):
        outside |= (rows["score"].abs() > 1).to_numpy()
    if table == "funding":
        # A tenth of the notional in one period: venues cap rates far below.
        outside |= (rows["rate"].abs() > 0.1).to_numpy()
    rules: dict[str, tuple[np.ndarray, Callable[[int], str]]] = {
        "time_present": (rows[["ts", "available_at"]].isna().any(axis=1).to_numpy(), lambda at: "ts or available_at is missing"),
        "available_after_ts": (
            (rows["available_at"] < rows["ts"]).to_numpy(),
            lambda at: f"available at {rows['available_at'].iloc[at]}, before what it is about",
        ),
        "content_present": (blank, lambda at: f"one of {', '.join(_NEEDED.get(table) or _EITHER.get(table, []))} is missing"),
        "in_range": (outside, lambda at: "a number lies outside its range"),
    }
    if "side" in rows.columns:
        known = rows["side"].isin(["buy", "sell"]).to_numpy()
        rules["side_known"] = (~known, lambda at: f"side {rows['side'].iloc[at]!r} is neither buy nor sell")
    repeated = rows.duplicated(list(OBSERVATION_TABLES[table])).to_numpy()
    rules["not_repeated"] = (repeated, lambda at: "exact repeat of an earlier row")
    return rules
