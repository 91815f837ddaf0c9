"""Across symbols: against another series, and against the universe of the bars.

Universe entries see every symbol's row; at each bar they use the symbols that have one. `other` is the first
symbol's close unless given.
"""

from __future__ import annotations

import numpy as np

from strategy_pipeline.indicators.definitions.wrap import ema_bars
from strategy_pipeline.indicators.kernels import windows
from strategy_pipeline.indicators.registry import Output, indicator, length

Array = np.ndarray
PAIR = ("series", "other")
STATISTIC = (Output("value", "statistic"),)
CORRELATION = (Output("value", "oscillator", -1, 1),)
RATIO = (Output("value", "ratio"),)
RETURN = (Output("value", "return"),)


@indicator(
    "beta",
    family="cross_asset",
    inputs=PAIR,
    params=(length(96, 20, 500, minimum=3),),
    outputs=RATIO,
    warmup=lambda p: p["length"] + 1,
    source="slope of log returns on another series' log returns",
)
def beta(series: Array, other: Array, *, length: int) -> Array:
    """Least-squares slope of log returns of `series` on those of `other` over the last `length` bars."""
    return windows.co_moments(windows.log_returns(series), windows.log_returns(other), length)[0]


@indicator(
    "correlation",
    family="cross_asset",
    inputs=PAIR,
    params=(length(96, 20, 500, minimum=3),),
    outputs=CORRELATION,
    warmup=lambda p: p["length"] + 1,
    source="Pearson correlation of log returns",
)
def correlation(series: Array, other: Array, *, length: int) -> Array:
    """Correlation of log returns of `series` with those of `other` over the last `length` bars."""
    return windows.co_moments(windows.log_returns(series), windows.log_returns(other), length)[1]


@indicator(
    "ewm_correlation",
    family="cross_asset",
    inputs=PAIR,
    params=(length(96, 20, 500),),
    outputs=CORRELATION,
    lookback=lambda p: p["length"],
    warmup=lambda p: p["length"] + ema_bars(p["length"]),
    source="RiskMetrics, 1996",
)
def ewm_correlation(series: Array, other: Array, *, length: int) -> Array:
    """Exponentially weighted correlation of log returns about zero (weight 2 / (n + 1))."""
    one, two, weight = windows.log_returns(series), windows.log_returns(other), 2.0 / (length + 1.0)
    scale = np.sqrt(windows.ewm_mean(one**2, weight) * windows.ewm_mean(two**2, weight))
    return np.clip(np.where(scale > 0, windows.ewm_mean(one * two, weight) / scale, np.nan), -1.0, 1.0)


@indicator(
    "lead_lag",
    family="cross_asset",
    inputs=PAIR,
    params=(length(96, 20, 500, minimum=3), length(1, 1, 12, name="lag", minimum=1)),
    outputs=CORRELATION,
    warmup=lambda p: p["length"] + p["lag"] + 1,
    source="lagged cross-correlation of log returns",
)
def lead_lag(series: Array, other: Array, *, length: int, lag: int) -> Array:
    """Correlation of log returns of `series` with those of `other` `lag` bars earlier: positive where `other` leads."""
    lead = windows.log_returns(other)
    past = np.full(len(lead), np.nan)
    past[lag:] = lead[:-lag]
    return windows.co_moments(windows.log_returns(series), past, length)[1]


@indicator(
    "ratio_zscore",
    family="cross_asset",
    inputs=PAIR,
    params=(length(96, 20, 500),),
    outputs=STATISTIC,
    warmup=lambda p: p["length"],
    source="spread z-score of log prices",
)
def ratio_zscore(series: Array, other: Array, *, length: int) -> Array:
    """Distance of ln(series / other) from its mean, in deviations (ddof 1); NaN where it does not vary."""
    spread = np.log(series / other)
    deviation = windows.deviation(spread, length, 1)
    return np.where(deviation > 1e-13, (spread - windows.mean(spread, length)) / deviation, np.nan)


@indicator(
    "cointegration_residual",
    family="cross_asset",
    inputs=PAIR,
    params=(length(168, 30, 500, minimum=3),),
    outputs=STATISTIC,
    warmup=lambda p: p["length"],
    source="R. Engle and C. Granger, 1987, rolling",
)
def cointegration_residual(series: Array, other: Array, *, length: int) -> Array:
    """Residual of ln series on ln other (rolling least squares) over the residuals' deviation; NaN without variance."""
    y, x = np.log(series), np.log(other)
    slope, correlation = windows.co_moments(y, x, length)
    residual = (y - windows.mean(y, length)) - slope * (x - windows.mean(x, length))
    unexplained = windows.deviation(y, length, 1) * np.sqrt(np.maximum(1.0 - correlation**2, 0.0))
    unexplained = np.where(1.0 - correlation**2 > 1e-10, unexplained, np.nan)
    return np.where(unexplained > 1e-12, residual / unexplained, np.nan)


@indicator(
    "residual_return",
    family="cross_asset",
    inputs=PAIR,
    params=(length(96, 20, 500, minimum=3), length(24, 1, 200, name="horizon", minimum=1)),
    outputs=RETURN,
    warmup=lambda p: p["length"] + p["horizon"] + 1,
    source="D. Blitz, J. Huij and M. Martens, 2011",
)
def residual_return(series: Array, other: Array, *, length: int, horizon: int) -> Array:
    """Log return over `horizon` bars minus beta (over `length`) times that of `other`."""
    slope = windows.co_moments(windows.log_returns(series), windows.log_returns(other), length)[0]
    out = np.full(len(series), np.nan)
    out[horizon:] = np.log(series[horizon:] / series[:-horizon]) - slope[horizon:] * np.log(other[horizon:] / other[:-horizon])
    out[: length + horizon] = np.nan
    return out


@indicator(
    "relative_volatility",
    family="cross_asset",
    inputs=PAIR,
    params=(length(96, 20, 500),),
    outputs=(Output("value", "ratio", 0),),
    warmup=lambda p: p["length"] + 1,
    source="ratio of return deviations",
)
def relative_volatility(series: Array, other: Array, *, length: int) -> Array:
    """Deviation of log returns over that of `other`."""
    return windows.deviation(windows.log_returns(series), length, 1) / windows.deviation(windows.log_returns(other), length, 1)


@indicator(
    "downside_beta",
    family="cross_asset",
    inputs=PAIR,
    params=(length(168, 30, 500, minimum=3),),
    outputs=RATIO,
    warmup=lambda p: p["length"] + 1,
    source="V. Bawa and E. Lindenberg, 1977",
)
def downside_beta(series: Array, other: Array, *, length: int) -> Array:
    """Sum of r * min(r_other, 0) over sum of min(r_other, 0)^2: sensitivity to falls of `other`."""
    fall = np.minimum(windows.log_returns(other), 0.0)
    return windows.mean(windows.log_returns(series) * fall, length) / windows.mean(fall**2, length)


def per_symbol(close: Array, function: object, length: int) -> Array:
    """`function(row, length)` on each symbol's existing bars, NaN at its gaps."""
    out = np.full(close.shape, np.nan)
    for row in range(close.shape[0]):
        valid = np.flatnonzero(np.isfinite(close[row]))
        out[row, valid] = function(close[row, valid], length)  # type: ignore[operator]
    return out


def horizon_return(close: Array, length: int) -> Array:
    """ln(x_t / x_t-n) of one row."""
    out = np.full(len(close), np.nan)
    if len(close) > length:
        out[length:] = np.log(close[length:] / close[:-length])
    return out


def across(values: Array) -> tuple[Array, Array]:
    """Mean over the symbols that have a value, and how many have: (n_bars,) each; the mean of none is NaN."""
    known = np.isfinite(values)
    count = known.sum(axis=0)
    total = np.where(known, values, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan), count


@indicator(
    "market_return",
    family="cross_asset",
    inputs=("close",),
    params=(length(24, 1, 500, minimum=1),),
    outputs=RETURN,
    warmup=lambda p: p["length"] + 1,
    source="equal-weighted universe",
    scope="universe",
)
def market_return(close: Array, *, length: int) -> Array:
    """Mean over symbols of the log return over `length` bars, at every symbol's bars."""
    return np.where(np.isfinite(close), across(per_symbol(close, horizon_return, length))[0], np.nan)


@indicator(
    "relative_strength",
    family="cross_asset",
    inputs=("close",),
    params=(length(24, 1, 500, minimum=1),),
    outputs=RETURN,
    warmup=lambda p: p["length"] + 1,
    source="N. Jegadeesh and S. Titman, 1993",
    scope="universe",
)
def relative_strength(close: Array, *, length: int) -> Array:
    """A symbol's log return over `length` bars minus the universe's mean; NaN where fewer than two symbols have one."""
    moves = per_symbol(close, horizon_return, length)
    average, count = across(moves)
    return np.where(count >= 2, moves - average, np.nan)


@indicator(
    "cross_rank",
    family="cross_asset",
    inputs=("close",),
    params=(length(24, 1, 500, minimum=1),),
    outputs=(Output("value", "probability", 0, 1),),
    warmup=lambda p: p["length"] + 1,
    source="cross-sectional rank of momentum",
    scope="universe",
)
def cross_rank(close: Array, *, length: int) -> Array:
    """Share of the other symbols whose return over `length` bars is lower, ties half: 1 is the strongest; NaN alone."""
    moves = per_symbol(close, horizon_return, length)
    known = np.isfinite(moves)
    others = known.sum(axis=0) - 1.0
    below = np.zeros(moves.shape)
    for row in range(moves.shape[0]):
        with np.errstate(invalid="ignore"):
            below += (moves[row] < moves) + 0.5 * (moves[row] == moves)
    return np.where(known & (others > 0), (below - 0.5) / np.maximum(others, 1.0), np.nan)


@indicator(
    "breadth",
    family="cross_asset",
    inputs=("close",),
    params=(length(48, 5, 300),),
    outputs=(Output("value", "probability", 0, 1),),
    warmup=lambda p: p["length"],
    source="share of symbols above their mean",
    scope="universe",
)
def breadth(close: Array, *, length: int) -> Array:
    """Share of symbols whose close is above its mean of `length` bars."""
    average = per_symbol(close, windows.mean, length)
    above = np.where(np.isfinite(average), (close > average).astype(np.float64), np.nan)
    return np.where(np.isfinite(close), across(above)[0], np.nan)


@indicator(
    "dispersion",
    family="cross_asset",
    inputs=("close",),
    params=(length(24, 1, 500, minimum=1),),
    outputs=(Output("value", "return", 0),),
    warmup=lambda p: p["length"] + 1,
    source="cross-sectional deviation of returns",
    scope="universe",
)
def dispersion(close: Array, *, length: int) -> Array:
    """Standard deviation (ddof 1) across symbols of the log return over `length` bars; NaN under two symbols."""
    moves = per_symbol(close, horizon_return, length)
    average, count = across(moves)
    squares = np.where(np.isfinite(moves), (moves - average) ** 2, 0.0).sum(axis=0)
    spread = np.where(count >= 2, np.sqrt(squares / np.maximum(count - 1.0, 1.0)), np.nan)
    return np.where(np.isfinite(close), spread, np.nan)
