"""The rules of the planted edges in plain pandas and a plain loop: an oracle that shares no code with the library."""

from __future__ import annotations

import numpy as np
import pandas as pd

COST = 0.0015  # 10 + 5 basis points a side


def momentum(bars: pd.DataFrame) -> dict[str, np.ndarray]:
    fast = bars["close"].ewm(span=24, adjust=False).mean()
    slow = bars["close"].ewm(span=96, adjust=False).mean()
    above, below = (fast > slow).to_numpy(), (fast < slow).to_numpy()
    return {"enter_long": above, "enter_short": below, "exit_long": below, "exit_short": above}


def mean_reversion(bars: pd.DataFrame) -> dict[str, np.ndarray]:
    window = bars["close"].rolling(48)
    z = ((bars["close"] - window.mean()) / window.std()).to_numpy()
    return {"enter_long": z < -2, "enter_short": z > 2, "exit_long": z > 0, "exit_short": z < 0}


def breakout(bars: pd.DataFrame) -> dict[str, np.ndarray]:
    highest = bars["high"].rolling(72).max().shift(1)
    lowest = bars["low"].rolling(72).min().shift(1)
    never = np.zeros(len(bars), bool)
    return {
        "enter_long": (bars["close"] > highest).to_numpy(), "enter_short": (bars["close"] < lowest).to_numpy(),
        "exit_long": never, "exit_short": never,
    }  # fmt: skip


def news(bars: pd.DataFrame, stories: pd.DataFrame) -> dict[str, np.ndarray]:
    """Mean score of the stories that became available in the twelve hours before each bar's close."""
    times = stories["available_at"].to_numpy("datetime64[ns]")
    order = np.argsort(times, kind="stable")
    total = np.concatenate([[0.0], np.cumsum(stories["score"].to_numpy()[order])])
    close = bars["ts"].to_numpy("datetime64[ns]") + np.timedelta64(1, "h")
    last = np.searchsorted(times[order], close, side="right")
    first = np.searchsorted(times[order], close - np.timedelta64(12, "h"), side="right")
    mean = np.where(last > first, (total[last] - total[first]) / np.maximum(last - first, 1), 0.0)
    up, down = mean > 0.25, mean < -0.25
    return {"enter_long": up, "enter_short": down, "exit_long": ~up, "exit_short": ~down}


HOLD = {"momentum": 10**9, "mean_reversion": 24, "breakout": 24, "news": 10**9}


def daily_returns(bars: pd.DataFrame, rule: dict[str, np.ndarray], hold: int, cost: float = COST) -> np.ndarray:
    """Daily net returns of the rule: decided at a close, filled at the next open, one position at a time."""
    opens, closes = bars["open"].to_numpy(), bars["close"].to_numpy()
    enter_long, enter_short = rule["enter_long"], rule["enter_short"]
    exit_long, exit_short = rule["exit_long"], rule["exit_short"]
    n = len(bars)
    hourly = np.zeros(n)
    side, since = 0, 0
    for t in range(1, n):
        leaving = (side > 0 and exit_long[t - 1]) or (side < 0 and exit_short[t - 1]) or (side != 0 and t - since >= hold)
        if leaving:
            hourly[t] = side * (opens[t] / closes[t - 1] - 1.0) - cost
            side = 0
        elif side != 0:
            hourly[t] = side * (closes[t] / closes[t - 1] - 1.0)
        else:
            wanted = 1 if enter_long[t - 1] and not exit_long[t - 1] else (-1 if enter_short[t - 1] and not exit_short[t - 1] else 0)
            if wanted:
                side, since = wanted, t
                hourly[t] = side * (closes[t] / opens[t] - 1.0) - cost
    days = bars["ts"].dt.floor("D").to_numpy()
    return pd.Series(hourly).groupby(days).sum().to_numpy()


def sharpe(daily: np.ndarray) -> float:
    return float(daily.mean() / daily.std(ddof=1) * np.sqrt(365))


def rule_for(kind: str, bars: pd.DataFrame, stories: pd.DataFrame | None = None) -> dict[str, np.ndarray]:
    if kind == "news":
        assert stories is not None
        return news(bars, stories)
    return {"momentum": momentum, "mean_reversion": mean_reversion, "breakout": breakout}[kind](bars)
