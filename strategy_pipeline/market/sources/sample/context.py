"""Everything around the prices of the sample market that comes in regular rows: macro, mood, fundamentals, leverage.

Most of it follows the market or ignores it. What leads, leads volatility only: the credit spread knows the next
day's turbulence. Each function returns the rows of one calendar year, unsorted, with the columns of its table in
`OBSERVATION_TABLES`; `horizon` is the last year of the path it may read and lies after `year`.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd

from strategy_pipeline import rng
from strategy_pipeline.market.sources.sample import kernels
from strategy_pipeline.market.sources.sample.hours import factor, hours
from strategy_pipeline.market.sources.sample.universe import EPOCH, EPOCH_YEAR, UNIVERSE, SampleSymbol, outage, year_start

VENUE = "sample"
_SUPPLY = {"BTC": 1.7e7, "ETH": 1.0e8, "SOL": 4.0e8, "BNB": 1.6e8, "XRP": 4.0e10, "DOGE": 1.2e11, "ADA": 2.6e10, "AVAX": 2.5e8}
_MINED = ("BTC", "LTC", "DOGE")
_DAY = np.timedelta64(1, "D")


def _days(year: int) -> np.ndarray:
    """Day numbers from the epoch of a calendar year."""
    return np.arange(year_start(year) // 24, year_start(year + 1) // 24)


def _stamp(hour: np.ndarray, seconds: int = 0) -> np.ndarray:
    return ((EPOCH + hour.astype("timedelta64[h]")).astype("datetime64[s]") + np.timedelta64(seconds, "s")).astype("datetime64[ns]")


def _normals(seed: int, key: str, last_year: int, rows: int, per_year) -> np.ndarray:
    """Standard normals (rows, n) from the epoch, each calendar year from its own generator."""
    blocks = []
    for year in range(EPOCH_YEAR, last_year + 1):
        blocks.append(rng.generator(seed, "sample", key, year).standard_normal((rows, per_year(year))))
    return np.concatenate(blocks, axis=1)


def _autoregression(noise: np.ndarray, memory: float) -> np.ndarray:
    """Unit-variance AR(1) driven by unit-variance noise, started at 0."""
    return kernels.autoregression(noise, np.sqrt(1 - memory**2), memory)


@lru_cache(maxsize=4)
def _macro_levels(seed: int, last_year: int, horizon: int) -> dict[str, np.ndarray]:
    """Daily levels from the epoch through `last_year`, each as of 21:00 UTC of its day."""
    common = factor(seed, horizon)
    n = year_start(last_year + 1) // 24
    noise = _normals(seed, "macro", last_year, 8, lambda year: len(_days(year)))
    close = 24 * np.arange(n) + 21  # hours closed by 21:00
    grown = np.concatenate([[0.0], np.cumsum(np.log1p(common.returns))])
    day_return = np.diff(grown[close], prepend=0.0)
    usual = np.sqrt(np.mean(common.volatility[: 24 * 365] ** 2) * 24)
    shock = np.clip(day_return / usual, -4.0, 4.0)
    variance = np.concatenate([[0.0], np.cumsum(common.volatility**2)])
    recent = (variance[close] - variance[np.maximum(close - 120, 0)]) / np.minimum(close, 120)
    stress = 0.5 * np.log(recent * 24 / usual**2)
    turbulent_tomorrow = common.turbulent[close + 24].astype(float)
    spx = 0.35 * shock + 0.94 * noise[0]
    return {
        "SPX_close": 2700.0 * np.exp(np.cumsum(0.00025 + 0.0085 * spx)),
        "NASDAQ_close": 7000.0 * np.exp(np.cumsum(0.00032 + 0.0115 * (0.9 * spx + 0.43 * noise[1]))),
        "DXY_close": 97.0 * np.exp(0.05 * _autoregression(-0.25 * shock + 0.97 * noise[2], 0.996)),
        "VIX_close": 17.0 * np.exp(0.75 * stress + 0.18 * _autoregression(noise[3], 0.95)),
        "DGS10": 3.2 + 1.1 * _autoregression(noise[4], 0.998),
        "DGS2": 2.9 + 1.3 * _autoregression(0.8 * noise[4] + 0.6 * noise[5], 0.998),
        "BAMLH0A0HYM2": 3.9 * np.exp(0.28 * turbulent_tomorrow + 0.12 * _autoregression(noise[6], 0.98)),
        "FEDFUNDS": np.maximum(2.6 + 1.4 * _autoregression(noise[7], 0.9985), 0.05),
    }


@lru_cache(maxsize=16)
def macro(seed: int, year: int, horizon: int, planted: bool) -> pd.DataFrame:
    """Daily closes (business days), a policy rate, and monthly and quarterly releases with their lags."""
    levels = _macro_levels(seed, year, horizon)
    days = _days(year)
    business = days[(days % 7) < 5]  # the epoch was a Monday
    parts = []
    for name, level in levels.items():
        if name == "FEDFUNDS":
            continue
        # Exchanges print at their close; the agencies' daily series appear the next day.
        lag_hours, seconds = (21, 900) if name.endswith("_close") else (36, 0)
        parts.append(_macro_rows(name, _stamp(24 * business), _stamp(24 * business + lag_hours, seconds), np.round(level[business], 2)))
    months = np.arange(np.datetime64(f"{year:04d}-01", "M"), np.datetime64(f"{year + 1:04d}-01", "M"))
    index = (months - np.datetime64(f"{EPOCH_YEAR}-01", "M")).astype(int)
    noise = _normals(seed, "macro monthly", year, 4, lambda _: 12)
    prices = 248.0 * np.exp(np.cumsum(0.0022 + 0.0016 * noise[0]))
    jobless = np.clip(4.6 + 0.9 * _autoregression(noise[1], 0.96), 2.5, None)
    payrolls = 148_000.0 + np.cumsum(150.0 + 120.0 * noise[2])
    output = 18_800.0 * np.exp(np.cumsum(0.0019 + 0.0015 * noise[3]))
    opened, following = months.astype("datetime64[ns]"), (months + 1).astype("datetime64[D]")
    policy = np.round(levels["FEDFUNDS"][((months.astype("datetime64[D]") - EPOCH.astype("datetime64[D]")) / _DAY).astype(int)] * 4) / 4
    parts.append(_macro_rows("FEDFUNDS", opened, _at(following, 1, 14), policy))
    parts.append(_macro_rows("CPIAUCSL", opened, _at(following, 11, 13.5), np.round(prices[index], 3)))
    parts.append(_macro_rows("UNRATE", opened, _at(following, 4, 13.5), np.round(jobless[index], 1)))
    parts.append(_macro_rows("PAYEMS", opened, _at(following, 4, 13.5), np.round(payrolls[index]), revised=True))
    quarter = index % 3 == 0
    released = _at((months[quarter] + 3).astype("datetime64[D]"), 27, 13.5)
    parts.append(_macro_rows("GDPC1", opened[quarter], released, np.round(output[index[quarter]], 1), revised=True))
    return pd.concat(parts, ignore_index=True)


def _at(day: np.ndarray, add_days: int, hour: float) -> np.ndarray:
    return (day + np.timedelta64(add_days, "D")).astype("datetime64[ns]") + np.timedelta64(int(hour * 60), "m")


def _macro_rows(name: str, ts: np.ndarray, available_at: np.ndarray, value: np.ndarray, revised: bool = False) -> pd.DataFrame:
    return pd.DataFrame(
        {"ts": ts, "available_at": available_at, "series": name, "value": value, "source": "sample market", "revised": revised}
    )


@lru_cache(maxsize=16)
def fear_greed(seed: int, year: int, horizon: int, planted: bool) -> pd.DataFrame:
    """A daily mood from 0 to 100 made of the market's past month: it follows."""
    common = factor(seed, horizon)
    days = _days(year)
    hour = 24 * days
    grown = np.concatenate([[0.0], np.cumsum(np.log1p(common.returns))])
    variance = np.concatenate([[0.0], np.cumsum(common.volatility**2)])

    def over(n_days: int) -> tuple[np.ndarray, np.ndarray]:
        first = np.maximum(hour - 24 * n_days, 0)
        return grown[hour] - grown[first], np.maximum(variance[hour] - variance[first], 1e-12)

    (month, month_variance), (week, week_variance) = over(30), over(7)
    noise = _normals(seed, "fear greed", year, 1, lambda y: len(_days(y)))[0][days]
    heat = 0.5 * np.log(week_variance / np.maximum(month_variance * 7 / 30, 1e-12))
    mood = 50 + 24 * np.tanh(month / np.sqrt(month_variance)) + 14 * np.tanh(week / np.sqrt(week_variance)) - 12 * heat + 3 * noise
    value = np.clip(np.round(mood), 3, 97)
    names = np.array(["Extreme Fear", "Fear", "Neutral", "Greed", "Extreme Greed"], dtype=object)
    label = names[np.searchsorted([24.5, 44.5, 55.5, 75.5], value)]
    return pd.DataFrame({"ts": _stamp(hour), "available_at": _stamp(hour, 300), "value": value, "classification": label})


def _alive(ts: np.ndarray, one: SampleSymbol) -> np.ndarray:
    alive = np.ones(len(ts), bool)
    if one.listed:
        alive &= ts >= np.datetime64(one.listed)
    if one.delisted:
        alive &= ts < np.datetime64(one.delisted)
    return alive


@lru_cache(maxsize=16)
def fundamentals(seed: int, year: int, horizon: int, planted: bool) -> pd.DataFrame:
    """Supply, market value and use of each network, a day at a time, known six hours into the next day."""
    days = _days(year)
    ts, available = _stamp(24 * days), _stamp(24 * days + 30)
    parts = []
    for one in UNIVERSE:
        path = hours(seed, one.symbol, horizon, planted)
        noise = _normals(seed, f"fundamentals {one.base}", year, 3, lambda y: len(_days(y)))
        supply = _SUPPLY.get(one.base, 1e9 / one.price) * np.exp(0.00004 * days)
        close = path["close"][24 * days + 23]
        interest = path.attention[24 * days + 23]
        active = one.turnover / 2500.0 * np.exp(0.18 * interest + 0.25 * _autoregression(noise[0], 0.97)[days] + 0.05 * noise[1][days])
        metrics = {
            "SplyCur": supply,
            "CapMrktCurUSD": supply * close,
            "AdrActCnt": np.round(active),
            "TxCnt": np.round(active * 0.8 * np.exp(0.1 * noise[2][days])),
            "FeeTotNtv": active * 2e-3 / one.price * np.exp(0.3 * interest),
        }
        if one.base in _MINED:
            metrics["HashRate"] = 4e7 * np.exp(0.0009 * days + 0.1 * _autoregression(noise[2], 0.98)[days])
        alive = _alive(ts, one)
        for metric, value in metrics.items():
            rows = {"ts": ts, "available_at": available, "asset": one.base, "metric": metric, "value": value, "source": "sample market"}
            parts.append(pd.DataFrame(rows)[alive])
    return pd.concat(parts, ignore_index=True)


def _derivative_hours(seed: int, year: int, every: int, one: SampleSymbol) -> np.ndarray:
    """Hours of the year at multiples of `every`, while the symbol is listed and the venue is up."""
    hour = np.arange(year_start(year), year_start(year + 1), every)
    begin, end = outage(seed, year)
    return hour[_alive(_stamp(hour), one) & ~((hour >= begin) & (hour < end))]


@lru_cache(maxsize=16)
def funding(seed: int, year: int, horizon: int, planted: bool) -> pd.DataFrame:
    """Funding every eight hours: longs pay after rises. It follows."""
    parts = []
    for one in UNIVERSE:
        path = hours(seed, one.symbol, horizon, planted)
        noise = _normals(seed, f"funding {one.base}", year, 1, lambda y: (year_start(y + 1) - year_start(y)) // 8)[0]
        hour = _derivative_hours(seed, year, 8, one)
        last, first = np.maximum(hour - 1, 0), np.maximum(hour - 25, 0)
        move = np.log(path["close"][last] / path["close"][first]) / (path.volatility[last] * np.sqrt(24.0))
        rate = 1e-4 + 1.2e-4 * np.tanh(move) + 0.8e-4 * _autoregression(noise, 0.9)[hour // 8]
        rate = np.round(np.clip(rate, -0.003, 0.003), 8)
        ts = _stamp(hour)
        parts.append(
            pd.DataFrame({"ts": ts, "available_at": ts, "symbol": one.symbol, "venue": VENUE, "rate": rate, "interval_hours": 8.0})
        )
    return pd.concat(parts, ignore_index=True)


@lru_cache(maxsize=16)
def open_interest(seed: int, year: int, horizon: int, planted: bool) -> pd.DataFrame:
    """Open interest every four hours, known a minute later."""
    parts = []
    for one in UNIVERSE:
        path = hours(seed, one.symbol, horizon, planted)
        noise = _normals(seed, f"open interest {one.base}", year, 1, lambda y: (year_start(y + 1) - year_start(y)) // 4)[0]
        hour = _derivative_hours(seed, year, 4, one)
        last = np.maximum(hour - 1, 0)
        value = 0.6 * one.turnover * np.exp(0.35 * _autoregression(noise, 0.995)[hour // 4] + 0.08 * path.attention[last])
        price = path["close"][last]
        rows = {
            "ts": _stamp(hour), "available_at": _stamp(hour, 60), "symbol": one.symbol, "venue": VENUE,
            "open_interest": np.round(value / price, 3), "open_interest_value": np.round(value, 2),
        }  # fmt: skip
        parts.append(pd.DataFrame(rows))
    return pd.concat(parts, ignore_index=True)
