"""The daily ranking of assets: momentum, trend, liquidity, calm, and the forecast where one is given.

Every component is turned into a rank within the day's assets, so that none dominates by its units:
``(rank - 1/2) / n`` in (0, 1), ties averaged, an asset without the component left out of it. The score is
the weighted mean of the components an asset has:

    score = 0.4 momentum + 0.2 trend + 0.2 liquidity + 0.2 calm [+ 0.2 forecast], divided by the weights present

- momentum: mean rank of the risk-adjusted returns over the horizons (return / (daily volatility * sqrt(days)));
  cross-sectional momentum after Jegadeesh and Titman (1993)
- trend: t-statistic of the slope of log price on time over the longest horizon
- liquidity: median daily traded value over 30 days (quote units)
- calm: volatility over 30 days, lowest best (Ang, Hodrick, Xing and Zhang 2006)
- forecast: forecast return / forecast volatility
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from strategy_pipeline.errors import InvalidBarsError, MissingColumnError

if TYPE_CHECKING:
    from strategy_pipeline.market import Bars

WEIGHTS = {"momentum": 0.4, "trend": 0.2, "liquidity": 0.2, "calm": 0.2, "forecast": 0.2}
_DAYS_PER_YEAR = 365
_MONTH = 30


def asset_ranking(
    bars: Bars, *, day: dt.date, horizons: Sequence[int] = (7, 30, 90), forecasts: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Rank the symbols of `bars` as of the close of `day`; bars that open later are not looked at.

    Parameters
    ----------
    bars : of one day or finer; a day's close is its last bar's. A symbol without a bar on a day has none (NaN); on a day
        without any bar (a closed market) the closes of the last open day stand, with a return of 0
    day : the day ranked, UTC
    horizons : days of the momentum returns, ascending
    forecasts : optional frame with ``symbol``, ``return`` (expected, fraction) and optionally ``volatility``

    Returns
    -------
    DataFrame, best first: ``rank`` int64 from 1, ``symbol``, ``score`` in (0, 1), the components in (0, 1),
    ``close``, ``return_1d``, ``return_<h>d``, ``volatility`` (annualised), ``traded_value`` (quote units a day),
    ``trend_t``, ``drawdown`` (from the highest close of the longest horizon) and ``forecast_return``. NaN where
    history is missing; a symbol without a close on `day` has a NaN score and stands last, ties by symbol.

    Raises
    ------
    InvalidBarsError for bars coarser than a day; MissingColumnError for forecasts without their columns.
    """
    actual, traded = _daily(bars, day)
    closes = _standing(actual)
    longest = max(horizons)
    volatility = _volatility(closes, _MONTH)
    frame = pd.DataFrame({"symbol": list(bars.symbols), "close": closes[:, -1]})
    frame["return_1d"] = _change(closes, 1)
    momentum = []
    for horizon in horizons:
        frame[f"return_{horizon}d"] = change = _change(closes, horizon)
        with np.errstate(invalid="ignore", divide="ignore"):
            momentum.append(_ranks(np.where(volatility > 0, change / (volatility * np.sqrt(horizon)), np.nan)))
    frame["volatility"] = volatility * np.sqrt(_DAYS_PER_YEAR)
    frame["traded_value"] = _median(traded[:, -_MONTH:])
    frame["trend_t"] = _trend(actual[:, -longest:])
    frame["drawdown"] = _drawdown(closes[:, -longest:])
    forecast, certainty = _forecasts(frame["symbol"], forecasts)
    frame["forecast_return"] = forecast
    listed = np.isfinite(closes[:, -1])
    components = {
        "momentum": _mean(np.array(momentum)),
        "trend": _ranks(frame["trend_t"].to_numpy()),
        "liquidity": _ranks(frame["traded_value"].to_numpy()),
        "calm": _ranks(-frame["volatility"].to_numpy()),
        "forecast": _ranks(certainty),
    }
    values = np.array([np.where(listed, component, np.nan) for component in components.values()])
    weights = np.where(np.isfinite(values), np.array(list(WEIGHTS.values()))[:, None], 0.0)
    total = weights.sum(axis=0)
    # Without momentum there is too little history to compare an asset with the others.
    usable = (total > 0) & np.isfinite(values[0])
    score = np.where(usable, (np.nan_to_num(values) * weights).sum(axis=0) / np.where(total > 0, total, 1.0), np.nan)
    frame.insert(1, "score", score)
    for position, (name, component) in enumerate(zip(components, values, strict=True)):
        frame.insert(2 + position, name, component)
    # Rounded for the order only: two equal sums in another order of terms must not swap places.
    order = np.lexsort((frame["symbol"].to_numpy(dtype=str), -np.where(np.isfinite(score), np.round(score, 12), -np.inf)))
    frame = frame.iloc[order].reset_index(drop=True)
    frame.insert(0, "rank", np.arange(1, len(frame) + 1, dtype=np.int64))
    frame["symbol"] = frame["symbol"].astype("str")
    return frame


def _daily(bars: Bars, day: dt.date) -> tuple[np.ndarray, np.ndarray]:
    """Closes and traded values (n_symbols, n_days) of every calendar day through `day`."""
    if bars.timeframe in ("3d", "1w", "1M"):
        raise InvalidBarsError(f"Expected bars of a day or finer for a daily ranking, was {bars.timeframe}; give finer bars")
    last = np.datetime64(day, "D")
    days = bars.times.astype("datetime64[D]")
    seen = days <= last
    if not seen.any():
        raise InvalidBarsError(f"Expected bars on or before {day}, was none; give bars that reach that day")
    first = days[0]
    n_days = int((last - first).astype(int)) + 1
    position = (days[seen] - first).astype(int)
    closes = np.full((len(bars.symbols), n_days), np.nan)
    traded = np.full_like(closes, np.nan)
    value = bars.close * bars.volume if bars.quote_volume is None else bars.quote_volume
    for row in range(len(bars.symbols)):
        close = bars.close[row, seen]
        there = np.isfinite(close)
        closes[row, position[there]] = close[there]  # times ascend, so the day's last bar is written last
        counted = np.bincount(position[there], minlength=n_days)
        sums = np.bincount(position[there], weights=np.nan_to_num(value[row, seen][there]), minlength=n_days)
        traded[row] = np.where(counted > 0, sums, np.nan)
    return closes, traded


def _standing(closes: np.ndarray) -> np.ndarray:
    """The closes, and on days on which no symbol has one those of the last day on which some symbol did."""
    open_days = np.isfinite(closes).any(axis=0)
    last = np.maximum.accumulate(np.where(open_days, np.arange(closes.shape[1]), -1))
    return np.where(last >= 0, closes[:, np.maximum(last, 0)], np.nan)


def _change(closes: np.ndarray, days: int) -> np.ndarray:
    if closes.shape[1] <= days:
        return np.full(closes.shape[0], np.nan)
    return closes[:, -1] / closes[:, -1 - days] - 1.0


def _volatility(closes: np.ndarray, days: int) -> np.ndarray:
    """Daily, ddof=1, from the returns between neighbouring days; NaN with fewer than 10 of them."""
    recent = closes[:, -(days + 1) :]
    returns = recent[:, 1:] / recent[:, :-1] - 1.0
    found = np.full(len(closes), np.nan)
    for row, values in enumerate(returns):
        present = values[np.isfinite(values)]
        if present.size >= 10:
            found[row] = present.std(ddof=1)
    return found


def _trend(closes: np.ndarray) -> np.ndarray:
    """t-statistic of the least-squares slope of log close on the day; NaN with fewer than 20 closes."""
    found = np.full(len(closes), np.nan)
    for row, values in enumerate(closes):
        there = np.isfinite(values)
        n = int(there.sum())
        if n < 20:
            continue
        x = np.flatnonzero(there).astype(float)
        x -= x.mean()
        y = np.log(values[there])
        y -= y.mean()
        slope = (x @ y) / (x @ x)
        residual = y - slope * x
        error = np.sqrt((residual @ residual) / (n - 2) / (x @ x))
        if error > 1e-12:
            found[row] = slope / error
    return found


def _drawdown(closes: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        highest = np.fmax.reduce(closes, axis=1)
    return 1.0 - closes[:, -1] / highest


def _forecasts(symbols: pd.Series, forecasts: pd.DataFrame | None) -> tuple[np.ndarray, np.ndarray]:
    """(expected return, return per volatility) by symbol; NaN where there is none."""
    nothing = np.full(len(symbols), np.nan)
    if forecasts is None or forecasts.empty:
        return nothing, nothing
    missing = {"symbol", "return"} - set(forecasts.columns)
    if missing:
        raise MissingColumnError(
            f"Expected forecasts with symbol and return, was without {', '.join(sorted(missing))}; rename or leave them out"
        )
    known = forecasts.set_index("symbol")
    expected = known["return"].reindex(symbols).to_numpy(dtype=float)
    if "volatility" not in known.columns:
        return expected, expected
    sigma = known["volatility"].reindex(symbols).to_numpy(dtype=float)
    with np.errstate(invalid="ignore", divide="ignore"):
        return expected, np.where(sigma > 0, expected / sigma, np.nan)


def _ranks(values: np.ndarray) -> np.ndarray:
    """(rank - 1/2) / n among the finite values, ties averaged."""
    # Rounded to 12 digits: what differs only by the order of additions is a tie.
    finite = pd.Series(values).where(np.isfinite(values)).map(lambda value: float(f"{value:.12g}"))
    return ((finite.rank(method="average") - 0.5) / max(int(finite.notna().sum()), 1)).to_numpy()


def _mean(rows: np.ndarray) -> np.ndarray:
    count = np.isfinite(rows).sum(axis=0)
    return np.where(count > 0, np.nan_to_num(rows).sum(axis=0) / np.maximum(count, 1), np.nan)


def _median(rows: np.ndarray) -> np.ndarray:
    return np.array([np.median(row[np.isfinite(row)]) if np.isfinite(row).any() else np.nan for row in rows])
