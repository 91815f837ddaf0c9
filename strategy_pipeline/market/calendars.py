"""Trading calendars: on which opens a market could have traded, so that a closed day is not taken for a gap.

What belongs here: `always` (crypto) and `new_york` (the cash session of NYSE and NASDAQ). What does not: hours within
a day; a calendar here opens or closes whole UTC dates.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from strategy_pipeline.errors import InvalidBarsError
from strategy_pipeline.market import timeframes as tf

CALENDARS = ("always", "new_york")
# Days on which New York stayed shut outside the rules: 11 September 2001, mourning for Presidents Nixon, Reagan, Ford,
# Bush and Carter, hurricane Sandy.
_SHUT = (
    "1994-04-27", "2001-09-11", "2001-09-12", "2001-09-13", "2001-09-14", "2004-06-11", "2007-01-02", "2012-10-29", "2012-10-30",
    "2018-12-05", "2025-01-09",
)  # fmt: skip


def calendar_of(source: Any) -> str:
    """The calendar a source names in its ``calendar`` attribute; "always" when it names none."""
    return str(getattr(source, "calendar", "always"))


def is_open(opens: Any, timeframe: str, calendar: str = "always") -> np.ndarray:
    """Whether a market that keeps `calendar` trades at some moment of each bar.

    Parameters
    ----------
    opens : ndarray of shape (n,), datetime64, bar opens on the grid of `timeframe`
    calendar : one of `CALENDARS`

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    opens = np.asarray(opens, dtype="datetime64[ns]")
    if calendar == "always":
        return np.ones(len(opens), dtype=bool)
    if calendar != "new_york":
        raise InvalidBarsError(f"Expected a calendar of {', '.join(CALENDARS)}, was {calendar!r}; name one of these")
    first = opens.astype("datetime64[D]")
    last = (tf.close_times(opens, timeframe) - np.timedelta64(1, "ns")).astype("datetime64[D]")
    if not len(opens):
        return np.zeros(0, dtype=bool)
    holidays = _new_york_holidays(int(str(first.min())[:4]), int(str(last.max())[:4]))
    # busday_count counts business days in [first, last + 1).
    return np.busday_count(first, last + 1, holidays=holidays) > 0


@lru_cache(maxsize=8)
def _new_york_holidays(first: int, last: int) -> np.ndarray:
    """Full closures by the exchange's rules: a Saturday holiday is not moved back over a year's end."""
    from pandas.tseries.holiday import (
        AbstractHolidayCalendar,
        GoodFriday,
        Holiday,
        USLaborDay,
        USMartinLutherKingJr,
        USMemorialDay,
        USPresidentsDay,
        USThanksgivingDay,
        nearest_workday,
        sunday_to_monday,
    )

    rules = [
        Holiday("New Year", month=1, day=1, observance=sunday_to_monday),
        USMartinLutherKingJr,
        USPresidentsDay,
        GoodFriday,
        USMemorialDay,
        Holiday("Juneteenth", month=6, day=19, start_date="2022-01-01", observance=nearest_workday),
        Holiday("Independence Day", month=7, day=4, observance=nearest_workday),
        USLaborDay,
        USThanksgivingDay,
        Holiday("Christmas", month=12, day=25, observance=nearest_workday),
    ]
    days = AbstractHolidayCalendar(rules=rules).holidays(pd.Timestamp(first, 1, 1), pd.Timestamp(last, 12, 31))
    shut = np.array(_SHUT, dtype="datetime64[D]")
    return np.unique(np.concatenate([days.to_numpy().astype("datetime64[D]"), shut]))
