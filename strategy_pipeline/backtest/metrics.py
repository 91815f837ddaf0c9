"""Metrics: what a return series and a list of trades amount to.

Let r_1..r_n be simple returns per period, P the periods per year, E_t = prod(1 + r_i, i <= t), E_0 = 1.

==================  =====================================================================================
total_return        E_n - 1
annual_return       E_n ** (P / n) - 1
volatility          std(r, ddof=1) * sqrt(P)
sharpe              mean(r) / std(r, ddof=1) * sqrt(P) (Sharpe 1994, zero risk-free rate)
sortino             mean(r) / sqrt(mean(min(r, 0)**2)) * sqrt(P) (Sortino and Price 1994)
calmar              annual_return / max_drawdown (Young 1991)
omega               sum(max(r, 0)) / sum(max(-r, 0)) (Keating and Shadwick 2002, threshold 0)
max_drawdown        max(1 - E_t / max(E_s, s <= t)), a positive fraction
drawdown_bars       longest run of periods with E_t below its running maximum (by more than 1e-12 of it)
win_rate            share of closed trades with profit > 0
profit_factor       sum of profits / sum of losses, closed trades, in money
expectancy          mean net return of a closed trade on its entry notional
payoff              avg_win / avg_loss
trades              trades opened, the one still open included
exposure            share of bars at whose close a position is held
turnover            traded notional (entries and exits) over the equity at entry, summed, per year
avg_holding_bars    mean of exit bar - entry bar over closed trades
information_ratio   mean(r - b) / std(r - b, ddof=1) * sqrt(P), b the benchmark (Goodwin 1998)
alpha, beta         beta = cov(r, b) / var(b); alpha = (mean(r) - beta * mean(b)) * P (Jensen 1968)
var_95              -quantile(r, 0.05), linear interpolation: a loss is positive
cvar_95             -mean of the floor(0.05 (n - 1)) + 1 smallest returns
tail_ratio          |quantile(r, 0.95)| / |quantile(r, 0.05)|
skew, kurtosis      m3 / m2**1.5 and m4 / m2**2 (3 for a normal), moments with divisor n
stability           R squared of log E_t regressed on t
capacity            equity (quote units) at which the average fill takes 1 % of its bar's traded value
avg_win, avg_loss   mean net return of winning trades; of losing trades, as a positive fraction
open_trades         1 where a position was open (marked, not closed) at the end
delisted, ruined    trades closed by delisting; by equity at or below zero
==================  =====================================================================================

Undefined is NaN: no trades, no losses, a zero variance (below 1e-14 of the mean square, what rounding
leaves of none), a zero divisor. On a symbol the benchmark is buy and hold of it, pooled the equal mean of
these; per bar on a symbol, per UTC day (P = 365) pooled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from strategy_pipeline.errors import SettingsError

RETURN_METRICS = (
    "total_return", "annual_return", "volatility", "sharpe", "sortino", "calmar", "omega", "max_drawdown", "drawdown_bars",
    "information_ratio", "alpha", "beta", "var_95", "cvar_95", "tail_ratio", "skew", "kurtosis", "stability",
)  # fmt: skip
TRADE_METRICS = (
    "win_rate", "profit_factor", "expectancy", "payoff", "trades", "exposure", "turnover", "avg_holding_bars", "capacity",
    "avg_win", "avg_loss", "open_trades", "delisted", "ruined",
)  # fmt: skip
METRICS = (
    "total_return", "annual_return", "volatility", "sharpe", "sortino", "calmar", "omega", "max_drawdown", "drawdown_bars",
    "win_rate", "profit_factor", "expectancy", "payoff", "trades", "exposure", "turnover", "avg_holding_bars",
    "information_ratio", "alpha", "beta", "var_95", "cvar_95", "tail_ratio", "skew", "kurtosis", "stability", "capacity",
    "avg_win", "avg_loss", "open_trades", "delisted", "ruined",
)  # fmt: skip

HEADLINE_METRICS = (
    "total_return", "annual_return", "volatility", "sharpe", "calmar", "max_drawdown", "trades", "open_trades",
)  # fmt: skip

ZERO_VARIANCE = 1e-14  # of the mean square: what rounding leaves of no variance at all
STILL = 1e-13  # standard deviation of log equity that is rounding
UNDER_WATER = 1e-12  # relative distance below the peak from which equity is in drawdown: rounding is none
_CHUNK = 256
_OF_EQUITY = {"total_return", "annual_return", "calmar", "max_drawdown", "drawdown_bars", "stability"}


def metrics_from_returns(
    returns: np.ndarray, periods_per_year: float, benchmark: np.ndarray | None = None, *, names: Sequence[str] = RETURN_METRICS
) -> dict[str, np.ndarray]:
    """Metrics from simple returns.

    Parameters
    ----------
    returns : ndarray of shape (n_periods,) or (n_series, n_periods), fractions per period
    periods_per_year : e.g. 365 for days, 8760 for hours of a market that never closes
    benchmark : ndarray of shape (n_periods,) or like `returns`; None leaves information_ratio, alpha and beta NaN
    names : those wanted; what only the others need (sorting for quantiles, say) is not computed

    Returns
    -------
    dict of name -> float64 array of shape (n_series,), or of shape () for one series. A series that holds
    a NaN, or has no period, has NaN metrics. Formulas: see the module's docstring.

    Raises
    ------
    SettingsError
        A name is not among `RETURN_METRICS`.
    """
    for name in names:
        if name not in RETURN_METRICS:
            raise SettingsError(f"Expected metrics of returns ({', '.join(RETURN_METRICS)}), was {name!r}; correct it")
    values = np.asarray(returns, dtype=np.float64)
    rows = values.reshape(1, -1) if values.ndim == 1 else values
    bench = None if benchmark is None else np.broadcast_to(np.asarray(benchmark, dtype=np.float64), rows.shape)
    columns: dict[str, np.ndarray] = {name: np.full(len(rows), np.nan) for name in names}
    if rows.shape[1] and names:
        for first in range(0, len(rows), _CHUNK):
            part = slice(first, first + _CHUNK)
            chunk = finish(_sums(rows[part], None if bench is None else bench[part], frozenset(names)), periods_per_year)
            broken = np.isnan(rows[part]).any(axis=1)
            for name in names:
                columns[name][part] = np.where(broken, np.nan, chunk[name])
    return {name: column[0] if values.ndim == 1 else column for name, column in columns.items()}


def finish(sums: Mapping[str, np.ndarray], periods_per_year: float) -> dict[str, np.ndarray]:
    """Return metrics from their sufficient statistics: the last step that both ways of computing share.

    sums : arrays of shape (n_series,): n, equity (E_n), mean, m2, m3, m4 (central, divisor n), mean_square,
        downside (mean of min(r, 0)**2), gains, losses (sums), max_drawdown, drawdown_bars, q05, q95, worst
        (mean of the worst 5 %), stability, mean_b, var_b, cov (divisor n), active_mean, active_var (divisor n).
    """
    s = {name: np.asarray(value, dtype=np.float64) for name, value in sums.items()}
    n, year = s["n"], float(periods_per_year)
    out: dict[str, np.ndarray] = {}
    with np.errstate(all="ignore"):
        unbias = np.where(n > 1, n / (n - 1), np.nan)
        variance = np.where(s["m2"] > ZERO_VARIANCE * s["mean_square"], s["m2"], np.nan)
        deviation = np.sqrt(variance * unbias)
        out["total_return"] = s["equity"] - 1
        annual = np.maximum(s["equity"], 0) ** (year / n) - 1
        out["annual_return"] = np.where(np.isfinite(annual), annual, np.nan)  # a good minute, compounded over a year, overflows
        out["volatility"] = np.where(np.isnan(variance) & (n > 1), 0.0, deviation * np.sqrt(year))
        out["sharpe"] = s["mean"] / deviation * np.sqrt(year)
        out["sortino"] = ratio(s["mean"], np.sqrt(s["downside"])) * np.sqrt(year)
        out["max_drawdown"] = s["max_drawdown"]
        out["calmar"] = ratio(out["annual_return"], s["max_drawdown"])
        out["omega"] = ratio(s["gains"], s["losses"])
        out["drawdown_bars"] = s["drawdown_bars"]
        active = np.where(s["active_var"] > ZERO_VARIANCE * (s["m2"] + s["var_b"]), s["active_var"], np.nan)
        out["information_ratio"] = s["active_mean"] / np.sqrt(active * unbias) * np.sqrt(year)
        out["beta"] = ratio(s["cov"], s["var_b"])
        out["alpha"] = (s["mean"] - out["beta"] * s["mean_b"]) * year
        out["var_95"] = 0.0 - s["q05"]
        out["cvar_95"] = 0.0 - s["worst"]
        out["tail_ratio"] = ratio(np.abs(s["q95"]), np.abs(s["q05"]))
        out["skew"] = s["m3"] / variance**1.5
        out["kurtosis"] = s["m4"] / variance**2
        out["stability"] = s["stability"]
    return out


def ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """above / below, NaN where below is zero."""
    below = np.asarray(below, dtype=np.float64)
    with np.errstate(all="ignore"):
        return np.asarray(above) / np.where(below == 0, np.nan, below)


def trade_metrics(sums: Mapping[str, np.ndarray], periods_per_year: float) -> dict[str, np.ndarray]:
    """The metrics of `TRADE_METRICS` from sums over trades.

    sums : arrays of one shape: n (periods), trades, closed, wins, losers (counts), profit, loss (sums in money,
        both positive), win_return, loss_return (sums of net returns, both positive), turnover (sum over trades),
        held (bars), holding (sum over closed trades), fills, participation (sum over fills of weight per unit
        of traded value), open_trades, delisted, ruined.
    """
    s = {name: np.asarray(value, dtype=np.float64) for name, value in sums.items()}
    closed = np.where(s["closed"] > 0, s["closed"], np.nan)
    out = {
        "win_rate": s["wins"] / closed,
        "profit_factor": ratio(s["profit"], s["loss"]),
        "expectancy": (s["win_return"] - s["loss_return"]) / closed,
        "avg_win": ratio(s["win_return"], s["wins"]),
        "avg_loss": ratio(s["loss_return"], s["losers"]),
        "trades": s["trades"],
        "exposure": ratio(s["held"], s["n"]),
        "turnover": ratio(s["turnover"] * periods_per_year, s["n"]),
        "avg_holding_bars": s["holding"] / closed,
        "capacity": 0.01 * ratio(s["fills"], s["participation"]),
        "open_trades": s["open_trades"],
        "delisted": s["delisted"],
        "ruined": s["ruined"],
    }
    out["payoff"] = ratio(out["avg_win"], out["avg_loss"])
    return out


def _sums(r: np.ndarray, b: np.ndarray | None, names: frozenset[str]) -> dict[str, np.ndarray]:
    """The statistics `finish` wants for `names`, from rows of returns: two passes, central moments about the mean. What only
    other names need is NaN."""
    n = r.shape[1]
    unknown = np.full(len(r), np.nan)
    out = dict.fromkeys(
        ("equity", "m3", "m4", "downside", "gains", "losses", "max_drawdown", "drawdown_bars", "q05", "q95", "worst", "stability",
         "mean_b", "var_b", "cov", "active_mean", "active_var"),
        unknown,
    )  # fmt: skip
    mean = r.mean(axis=1)
    centred = r - mean[:, None]
    square = centred * centred
    out |= {"n": np.full(len(r), float(n)), "mean": mean, "m2": square.mean(axis=1), "mean_square": (r * r).mean(axis=1)}
    equity = np.cumprod(1 + r, axis=1) if names & _OF_EQUITY else unknown[:, None]
    out["equity"] = equity[:, -1]
    if names & {"max_drawdown", "drawdown_bars", "calmar"}:
        peak = np.maximum(np.maximum.accumulate(equity, axis=1), 1.0)
        under = equity < peak * (1 - UNDER_WATER)
        out["max_drawdown"] = np.where(under, 1 - equity / peak, 0).max(axis=1)
        out["drawdown_bars"] = _longest_run(under)
    if names & {"skew", "kurtosis"}:
        out["m3"], out["m4"] = (square * centred).mean(axis=1), (square * square).mean(axis=1)
    if names & {"sortino", "omega"}:
        out["downside"] = (np.minimum(r, 0) ** 2).mean(axis=1)
        out["gains"], out["losses"] = np.maximum(r, 0).sum(axis=1), np.maximum(-r, 0).sum(axis=1)
    if names & {"var_95", "cvar_95", "tail_ratio"}:
        ordered = np.sort(r, axis=1)
        out["q05"], out["q95"] = _interpolate(ordered, 0.05), _interpolate(ordered, 0.95)
        out["worst"] = ordered[:, : int(np.floor(0.05 * (n - 1))) + 1].mean(axis=1)
    if "stability" in names:
        out["stability"] = _stability(equity)
    if b is not None and names & {"information_ratio", "alpha", "beta"}:
        mean_b = b.mean(axis=1)
        active = r - b
        centred_b = b - mean_b[:, None]
        var_b = (centred_b**2).mean(axis=1)
        out |= {
            "mean_b": mean_b,
            "var_b": np.where(var_b > ZERO_VARIANCE * (b * b).mean(axis=1), var_b, 0.0),
            "cov": (centred * centred_b).mean(axis=1),
            "active_mean": active.mean(axis=1),
            "active_var": active.var(axis=1),
        }
    return out


def _interpolate(ordered: np.ndarray, q: float) -> np.ndarray:
    position = q * (ordered.shape[1] - 1)
    low = int(np.floor(position))
    high = min(low + 1, ordered.shape[1] - 1)
    return ordered[:, low] + (ordered[:, high] - ordered[:, low]) * (position - low)


def _longest_run(mask: np.ndarray) -> np.ndarray:
    index = np.arange(1, mask.shape[1] + 1)
    since = index - np.maximum.accumulate(np.where(mask, 0, index), axis=1)
    return since.max(axis=1).astype(np.float64)


def _stability(equity: np.ndarray) -> np.ndarray:
    n = equity.shape[1]
    time = np.arange(n) - (n - 1) / 2
    with np.errstate(all="ignore"):
        level = np.log(equity)
        centred = level - level.mean(axis=1, keepdims=True)
        total = (centred**2).sum(axis=1)
        alive = (equity > 0).all(axis=1) & (total > ZERO_VARIANCE * (level**2).sum(axis=1) + n * STILL**2)
        return np.where(alive, (centred @ time) ** 2 / (total * (time**2).sum()), np.nan)
