"""Every metric from its written definition, in loops over returns and trades: slow, plain, and apart from the library's code."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd


def compounded(level: float, power: float) -> float:
    try:
        return level**power
    except OverflowError:
        return math.nan


def of_returns(returns: Sequence[float], year: float, benchmark: Sequence[float] | None = None) -> dict[str, float]:
    """The metrics of a return series, formula by formula; where one divides by zero, NaN."""
    r = [float(x) for x in returns]
    n = len(r)
    equity, level, peak, deepest, run, longest = [], 1.0, 1.0, 0.0, 0, 0
    for x in r:
        level *= 1 + x
        equity.append(level)
        peak = max(peak, level)
        fall = 1 - level / peak
        run = run + 1 if fall > 1e-12 else 0
        longest = max(longest, run)
        deepest = max(deepest, fall if fall > 1e-12 else 0.0)
    mean = math.fsum(r) / n
    central = [math.fsum((x - mean) ** k for x in r) / n for k in range(5)]
    constant = central[2] <= 1e-14 * math.fsum(x * x for x in r) / n
    deviation = math.nan if constant or n < 2 else math.sqrt(central[2] * n / (n - 1))
    down = math.sqrt(math.fsum(min(x, 0) ** 2 for x in r) / n)
    gains, losses = math.fsum(x for x in r if x > 0), -math.fsum(x for x in r if x < 0)
    ordered = sorted(r)
    below = math.floor(0.05 * (n - 1))
    found = {
        "total_return": level - 1,
        "annual_return": compounded(level, year / n) - 1,
        "volatility": 0.0 if constant and n > 1 else deviation * math.sqrt(year),
        "sharpe": mean / deviation * math.sqrt(year),
        "sortino": divided(mean, down) * math.sqrt(year),
        "max_drawdown": deepest,
        "drawdown_bars": longest,
        "omega": divided(gains, losses),
        "var_95": -quantile(ordered, 0.05),
        "cvar_95": -math.fsum(ordered[: below + 1]) / (below + 1),
        "tail_ratio": divided(abs(quantile(ordered, 0.95)), abs(quantile(ordered, 0.05))),
        "skew": math.nan if constant else central[3] / central[2] ** 1.5,
        "kurtosis": math.nan if constant else central[4] / central[2] ** 2,
        "stability": straightness(equity),
        "information_ratio": math.nan,
        "alpha": math.nan,
        "beta": math.nan,
    }
    found["calmar"] = divided(found["annual_return"], deepest)
    if benchmark is not None:
        b = [float(x) for x in benchmark]
        mean_b = math.fsum(b) / n
        var_b = math.fsum((x - mean_b) ** 2 for x in b) / n
        cov = math.fsum((x - mean) * (y - mean_b) for x, y in zip(r, b, strict=True)) / n
        active = [x - y for x, y in zip(r, b, strict=True)]
        mean_a = math.fsum(active) / n
        var_a = math.fsum((x - mean_a) ** 2 for x in active) / n
        found["beta"] = cov / var_b if var_b > 1e-14 * math.fsum(x * x for x in b) / n else math.nan
        found["alpha"] = (mean - found["beta"] * mean_b) * year
        if n > 1 and var_a > 1e-14 * (central[2] + var_b):
            found["information_ratio"] = mean_a / math.sqrt(var_a * n / (n - 1)) * math.sqrt(year)
    return found


def of_trades(trades: pd.DataFrame, bars: int, year: float, traded_value: pd.Series) -> dict[str, float]:
    """The metrics of a trade list on a symbol of so many bars; `traded_value` (quote units) by bar open."""
    closed = trades[trades["reason"] != "open"]
    wins, losers = closed[closed["pnl"] > 0], closed[closed["pnl"] <= 0]
    entered = [(t.entry, t.size * t.entry_price / t.equity_before) for t in trades.itertuples()]
    left = [(t.exit, t.size * t.exit_price / t.equity_before) for t in closed.itertuples()]
    fills = entered + left
    held = sum(t.bars + (1 if t.reason == "open" else 0) for t in trades.itertuples())
    shares = [weight / traded_value[at] if traded_value[at] else math.inf for at, weight in fills]
    avg_win = divided(wins["net_return"].sum(), len(wins))
    avg_loss = divided(-losers["net_return"].sum(), len(losers))
    return {
        "trades": len(trades),
        "open_trades": len(trades) - len(closed),
        "win_rate": divided(len(wins), len(closed)),
        "profit_factor": divided(wins["pnl"].sum(), -losers["pnl"].sum()),
        "expectancy": divided(closed["net_return"].sum(), len(closed)),
        "avg_win": avg_win,
        "avg_loss": avg_loss,
        "payoff": divided(avg_win, avg_loss),
        "avg_holding_bars": divided(closed["bars"].sum(), len(closed)),
        "exposure": held / bars,
        "turnover": sum(weight for _, weight in fills) * year / bars,
        "capacity": 0.01 * divided(len(fills), sum(shares)) if fills else math.nan,
        "delisted": (trades["reason"] == "delisted").sum(),
        "ruined": trades["ruined"].sum(),
    }


def divided(above: float, below: float) -> float:
    return above / below if below else math.nan


def quantile(ordered: Sequence[float], q: float) -> float:
    position = q * (len(ordered) - 1)
    low = math.floor(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


def straightness(equity: Sequence[float]) -> float:
    if min(equity) <= 0:
        return math.nan
    y = [math.log(x) for x in equity]
    n = len(y)
    mean_y, mean_t = math.fsum(y) / n, (n - 1) / 2
    total = math.fsum((v - mean_y) ** 2 for v in y)
    if total <= 1e-14 * math.fsum(v * v for v in y):
        return math.nan
    time = math.fsum((t - mean_t) ** 2 for t in range(n))
    return math.fsum((v - mean_y) * (t - mean_t) for t, v in enumerate(y)) ** 2 / (total * time)
