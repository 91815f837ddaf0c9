"""When macro series could first be known: release lags and whether values change afterwards.

What belongs here: one table, `RELEASES`, and the arithmetic on it. What does not: the values.

A macro row is stamped at the start of its period. It is available ``days`` after the period's end (for weekly series:
after the stamped day), counted to midnight UTC, so that the usual hour of publication has passed; where agencies were
sometimes later (shutdowns, benchmark revisions), the lag is the usual one with a margin of two or three days. Without
vintages the values are the latest ones: a series whose published values change later, be it only through seasonal
factors, is marked ``revised`` and stays out of the standard feature sets. An unknown series gets a long lag by its
spacing and counts as revised.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from strategy_pipeline.market.observations import TIME

Period = Literal["day", "week", "month", "quarter"]


@dataclass(frozen=True)
class Release:
    """`business` lags count whole business days after the period's end instead of calendar days."""

    period: Period
    days: int
    revised: bool
    source: str
    business: bool = False


def _market(source: str) -> Release:
    return Release("day", 0, False, f"{source}; closes the same day, counted from the next")


_H15 = Release("day", 1, False, "Federal Reserve H.15: the next business day", business=True)
_ICE = Release("day", 1, False, "ICE BofA indices on FRED: the next business day", business=True)
_EIA = Release("day", 8, False, "EIA spot prices: published weekly, on Wednesday")
_FX = Release("month", 4, False, "Federal Reserve G.5: first business days of the next month")
_JOBS = Release("month", 10, True, "BLS Employment Situation: usually the first Friday; annual benchmark")
_PRICES = Release("month", 17, True, "BLS CPI: around the middle of the next month; seasonal factors change yearly")
_GDP = Release("quarter", 30, True, "BEA GDP: advance estimate about 30 days after the quarter, then revised")

RELEASES: dict[str, Release] = {
    "AHETPI": _JOBS, "CIVPART": _JOBS, "PAYEMS": _JOBS, "U6RATE": _JOBS, "UNRATE": _JOBS,
    "CPIAUCSL": _PRICES, "CPILFESL": _PRICES,
    "CPI_index_nsa": Release("month", 17, False, "BLS CPI, not seasonally adjusted: around the middle of the next month, final"),
    "PPIFIS": Release("month", 18, True, "BLS PPI: middle of the next month; revised after four months"),
    "PCEPILFE": Release("month", 33, True, "BEA Personal Income and Outlays: end of the next month"),
    "GDP": _GDP, "GDPC1": _GDP,
    "INDPRO": Release("month", 18, True, "Federal Reserve G.17: around the 16th of the next month"),
    "RSXFS": Release("month", 18, True, "Census retail sales: middle of the next month"),
    "DGORDER": Release("month", 36, True, "Census M3: full report about 35 days after the month"),
    "HOUST": Release("month", 21, True, "Census housing starts: around the 18th of the next month"),
    "HSN1F": Release("month", 28, True, "Census new home sales: around the 25th of the next month"),
    "CSUSHPINSA": Release("month", 62, True, "S&P Case-Shiller: last Tuesday, with two months' delay"),
    "JTSJOL": Release("month", 42, True, "BLS JOLTS: about five to six weeks after the month"),
    "M2SL": Release("month", 28, True, "Federal Reserve H.6: fourth Tuesday of the next month"),
    "WM2NS": Release("week", 60, True, "Federal Reserve H.6: weekly values appear with the month's release"),
    "BUSLOANS": Release("month", 20, True, "Federal Reserve H.8, monthly averages"),
    "CFNAI": Release("month", 28, True, "Chicago Fed: around the 25th of the next month"),
    "UMCSENT": Release("month", 3, False, "University of Michigan: final survey by the month's end"),
    "MICH": Release("month", 3, False, "University of Michigan: final survey by the month's end"),
    "FEDFUNDS": Release("month", 4, False, "Federal Reserve H.15, monthly average"),
    "US10Y_monthly": Release("month", 4, False, "Federal Reserve H.15, monthly average"),
    "USREC": Release("month", 365, True, "NBER: turning points are announced 4 to 21 months later, and dated back"),
    "GOLD_monthly": Release("month", 5, False, "monthly average of daily fixings"),
    "OILPRICE": Release("month", 10, False, "Dow Jones monthly spot oil price"),
    "PALLFNFINDEXM": Release("month", 21, True, "IMF Primary Commodity Prices: middle of the next month"),
    "PCOPPUSDM": Release("month", 21, True, "IMF Primary Commodity Prices: middle of the next month"),
    "FX_monthly_China": _FX, "FX_monthly_Euro": _FX, "FX_monthly_Japan": _FX, "FX_monthly_Switzerland": _FX,
    "FX_monthly_United_Kingdom": _FX,
    "ICSA": Release("week", 5, True, "Department of Labor: Thursday after the week that ends on the stamped Saturday"),
    "ANFCI": Release("week", 5, True, "Chicago Fed: Wednesday after the stamped Friday; history re-estimated weekly"),
    "STLFSI4": Release("week", 6, True, "St. Louis Fed: Thursday after the stamped Friday; re-estimated"),
    "MORTGAGE30US": Release("week", 0, False, "Freddie Mac: on the stamped Thursday"),
    "GASREGW": Release("week", 1, False, "EIA: Monday's survey, published Monday or Tuesday"),
    "WALCL": Release("week", 1, False, "Federal Reserve H.4.1: Thursday after the stamped Wednesday"),
    "DGS2": _H15, "DGS10": _H15, "DGS30": _H15, "T10Y2Y": _H15, "T10YIE": _H15, "T5YIE": _H15, "EFFR_daily": _H15,
    "BAMLC0A0CM": _ICE, "BAMLH0A0HYM2": _ICE,
    "DTWEXBGS": Release("day", 8, False, "Federal Reserve H.10: Monday, for the week before"),
    "RRPONTSYD": Release("day", 0, False, "New York Fed: early afternoon of the day"),
    "DCOILBRENTEU": _EIA, "DCOILWTICO": _EIA, "BRENT_spot": _EIA, "WTI_spot": _EIA,
    "VIXCLS": _market("CBOE"), "VIX_close": _market("CBOE"), "VIX_open": _market("CBOE"), "VIX_high": _market("CBOE"),
    "VIX_low": _market("CBOE"),
    "SP500": _market("S&P Dow Jones"), "SPX_close": _market("S&P Dow Jones"), "SPX_close_1999_2018": _market("S&P Dow Jones"),
    "NASDAQ_close": _market("NASDAQ"), "DXY_close": _market("ICE"),
    "SPY_close": _market("NYSE Arca"), "SPY_volume": _market("NYSE Arca"), "QQQ_close": _market("NASDAQ"), "QQQ_volume": _market("NASDAQ"),
    "GLD_close": _market("NYSE Arca"), "GLD_volume": _market("NYSE Arca"), "IGV_close": _market("CBOE BZX"),
    "IGV_volume": _market("CBOE BZX"),
    "GOLD_daily": _market("spot gold"), "BTC_tweet_volume": Release("day", 0, False, "tweets of the day, counted when it is over"),
} | {f"XL{letter}_close": _market("NYSE Arca") for letter in ("B", "C", "E", "F", "I", "K", "P", "RE", "U", "V", "Y")}  # fmt: skip

# For series the table does not know, by the spacing of their stamps: long enough for nearly every agency.
UNKNOWN: dict[Period, Release] = {
    "day": Release("day", 2, True, "unknown daily series: two business days", business=True),
    "week": Release("week", 10, True, "unknown weekly series: ten days after the stamp"),
    "month": Release("month", 45, True, "unknown monthly series: 45 days after the month"),
    "quarter": Release("quarter", 120, True, "unknown quarterly series: 120 days after the quarter"),
}


def release_of(series: str, stamps: pd.Series) -> Release:
    """The series' entry, or one by the median spacing of its stamps (datetimes)."""
    if series in RELEASES:
        return RELEASES[series]
    steps = stamps.drop_duplicates().sort_values().diff().dropna()
    days = float(steps.dt.total_seconds().median()) / 86_400 if len(steps) else 30.0
    if days < 5:
        return UNKNOWN["day"]
    if days < 20:
        return UNKNOWN["week"]
    return UNKNOWN["month"] if days < 60 else UNKNOWN["quarter"]


def available_at(stamps: pd.Series, release: Release) -> pd.Series:
    """When values stamped `stamps` (UTC datetimes) could first be known; datetime64[ns, UTC] of the same length."""
    days = stamps.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy().astype("datetime64[D]")
    if release.period in ("day", "week"):
        end = days + np.timedelta64(1, "D")
    else:
        months = 1 if release.period == "month" else 3
        start = days.astype("datetime64[M]")
        if release.period == "quarter":
            start = start - (start.astype(np.int64) % 3).astype("timedelta64[M]")
        end = (start + np.timedelta64(months, "M")).astype("datetime64[D]")
    if release.business:
        # `days` business days after the last day of the period, and that day over.
        known = np.busday_offset(end - np.timedelta64(1, "D"), release.days, roll="backward") + np.timedelta64(1, "D")
    else:
        known = end + np.timedelta64(release.days, "D")
    return pd.Series(known.astype("datetime64[ns]"), index=stamps.index).dt.tz_localize("UTC").astype(pd.api.types.pandas_dtype(TIME))


def macro_table(frame: pd.DataFrame) -> pd.DataFrame:
    """The macro table from rows ``ts, series, value, source``: available_at and revised from `RELEASES`."""
    parts = []
    for series, part in frame.groupby("series", sort=True):
        release = release_of(str(series), part["ts"])
        parts.append(part.assign(available_at=available_at(part["ts"], release), revised=release.revised))
    return pd.concat(parts, ignore_index=True)
