"""`check_bars`: every rule on raw bar rows, from worst to mildest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from strategy_pipeline.errors import MissingColumnError
from strategy_pipeline.market import timeframes as tf
from strategy_pipeline.market.bars import FIELDS, REQUIRED
from strategy_pipeline.market.quality import market_rules, row_rules
from strategy_pipeline.market.quality.report import RULE_COLUMNS, WARNING_COLUMNS, QualityReport
from strategy_pipeline.market.sources.files.names import stamps


def check_bars(
    frame: pd.DataFrame,
    timeframe: str,
    *,
    listings: pd.DataFrame | None = None,
    finer: pd.DataFrame | None = None,
    calendar: str = "always",
) -> QualityReport:
    """Set apart the rows that cannot be bars, and report what looks wrong among the rest.

    Parameters
    ----------
    frame : raw long rows ``ts, symbol, open, high, low, close, volume`` and optional fields, in any order
    timeframe : of the rows
    listings : ``symbol, listed, delisted``; bars outside these dates are errors
    finer : raw rows of a finer timeframe, to compare complete windows with (a ``timeframe`` column names it, else it
        is read from their spacing)
    calendar : when the market trades (`calendars.CALENDARS`), so that closed days are no gaps

    Returns
    -------
    QualityReport
        Error rules (rows quarantined): time_present, symbol_present, on_grid, values_present, positive_prices, ohlc_order,
        volume_not_negative, listing_dates, unique_times. Warnings: time_order, gaps, stale_runs, zero_volume,
        step_spikes, wick_spikes, volume_spikes, taker_within_volume, cross_timeframe. A gap stays a gap.

    Raises
    ------
    MissingColumnError
        A required column is absent.
    """
    rows = normalised(frame)
    outcomes: list[dict[str, Any]] = []
    rule = np.full(len(rows), "", dtype=object)
    reason = np.full(len(rows), "", dtype=object)

    def apply(name: str, broken: np.ndarray, words: Any, positions: np.ndarray) -> None:
        hit = positions[broken]
        for local, position in zip(np.flatnonzero(broken), hit, strict=True):
            rule[position], reason[position] = name, words(int(local))
        example = f"{rows['symbol'].iloc[hit[0]]} {_when(rows['ts'].iloc[hit[0]])}: {reason[hit[0]]}" if len(hit) else ""
        outcomes.append(dict(zip(RULE_COLUMNS, (name, "error", len(positions), len(hit), example), strict=True)))

    for name, test in row_rules.ROW_RULES.items():
        positions = np.flatnonzero(rule == "")
        apply(name, *test(rows.iloc[positions], timeframe), positions)
    if listings is not None and len(listings):
        positions = np.flatnonzero(rule == "")
        apply("listing_dates", *row_rules.listing_dates(rows.iloc[positions], timeframe, listings), positions)
    positions = np.flatnonzero(rule == "")
    apply("unique_times", *row_rules.unique_times(rows.iloc[positions]), positions)

    kept = rule == ""
    given_order = rows[kept]
    clean = given_order.sort_values(["symbol", "ts"], kind="stable", ignore_index=True)
    quarantine = rows[~kept].reset_index(drop=True)
    quarantine["rule"] = pd.array(rule[~kept], dtype="str")
    quarantine["reason"] = pd.array(reason[~kept], dtype="str")

    findings = {
        "time_order": market_rules.time_order(given_order, timeframe),
        "gaps": market_rules.gaps(clean, timeframe, calendar),
        "stale_runs": market_rules.stale_runs(clean, timeframe),
        "zero_volume": market_rules.zero_volume(clean, timeframe),
        "step_spikes": market_rules.step_spikes(clean, timeframe),
        "wick_spikes": market_rules.wick_spikes(clean, timeframe),
        "volume_spikes": market_rules.volume_spikes(clean, timeframe),
        "taker_within_volume": market_rules.taker_within_volume(clean, timeframe),
    }
    if finer is not None and len(finer) and len(clean):
        fine = _timeframe_of(finer, timeframe)
        findings["cross_timeframe"] = market_rules.cross_timeframe(clean, timeframe, check_bars(finer, fine).clean, fine)
    warnings: list[tuple[Any, ...]] = []
    for name, found in findings.items():
        example = f"{found.rows[0][0]} {_when(found.rows[0][1])}: {found.rows[0][3]}" if found.rows else ""
        outcomes.append(dict(zip(RULE_COLUMNS, (name, "warning", found.checked, found.failed, example), strict=True)))
        warnings += [(name, *row) for row in found.rows]
    warned = pd.DataFrame(warnings, columns=list(WARNING_COLUMNS)).astype(
        {"rule": "str", "symbol": "str", "count": "int64", "reason": "str"}
    )
    warned["ts"] = pd.to_datetime(warned["ts"], utc=True).astype("datetime64[ns, UTC]")
    return QualityReport(clean, quarantine, pd.DataFrame(outcomes, columns=list(RULE_COLUMNS)), warned)


def _when(time: Any) -> str:
    return "without time" if pd.isna(time) else tf.written(time)


def normalised(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows with ts as datetime64[ns, UTC] (NaT where unreadable), symbol as text, and float64 numbers."""
    missing = [name for name in ("ts", "symbol", *REQUIRED) if name not in frame.columns]
    if missing:
        raise MissingColumnError(f"Expected bar rows with ts, symbol, {', '.join(REQUIRED)}, was without {', '.join(missing)}; add them")
    rows = frame.reset_index(drop=True).copy()
    rows["ts"] = stamps(rows["ts"])
    rows["symbol"] = rows["symbol"].astype("str")
    for name in FIELDS:
        if name in rows.columns:
            rows[name] = pd.to_numeric(rows[name], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    return rows


def _timeframe_of(finer: pd.DataFrame, timeframe: str) -> str:
    names = set(finer["timeframe"].unique()) if "timeframe" in finer.columns else set()
    if len(names) == 1:
        return str(names.pop())
    times = np.unique(stamps(finer["ts"]).dropna().dt.tz_localize(None).to_numpy(dtype="datetime64[ns]"))
    able = [name for name in tf.TIMEFRAMES if tf.divides(name, timeframe) and tf.on_grid(times, name).all()]
    if not able:
        raise MissingColumnError(f"Expected finer rows of a timeframe that fills {timeframe}, was none; give them a timeframe column")
    return able[-1]
