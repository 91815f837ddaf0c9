"""Against the world's markets: correlation with equities, the dollar and volatility, as named series ``macro.*``.

`indicators.named.macro_series` makes those series: the level last published at each bar's close, a step a trading day.
Both sides are therefore compared by their change over `horizon` bars, and only at bars where the other level has moved:
weekends and holidays, on which it stands still, say nothing about dependence.
"""

from __future__ import annotations

import numpy as np

from strategy_pipeline.indicators.kernels import windows
from strategy_pipeline.indicators.registry import Output, indicator, length

Array = np.ndarray
CORRELATION = (Output("value", "oscillator", -1, 1),)
LENGTHS = (length(720, 240, 2160, minimum=24), length(24, 1, 240, name="horizon", minimum=1))
FEWEST = 10  # pairs below which a correlation is not stated


def change(x: Array, horizon: int) -> Array:
    """ln(x_t / x_t-horizon); NaN before, and where either is not positive."""
    out = np.full(len(x), np.nan)
    if len(x) > horizon:
        with np.errstate(all="ignore"):
            out[horizon:] = np.log(x[horizon:] / x[:-horizon])
    return np.where(np.isfinite(out), out, np.nan)


def moved_correlation(close: Array, level: Array, length: int, horizon: int) -> Array:
    """Pearson correlation of changes over those of the last `length` bars at which `level` had moved within `horizon`.

    NaN under ten such bars or where either side did not vary.
    """
    x, y = change(close, horizon), change(level, horizon)
    use = np.isfinite(x) & np.isfinite(y) & (y != 0.0)
    late = np.arange(len(x)) >= horizon

    def total(values: Array) -> Array:
        return windows.mean(np.where(late, np.where(use, values, 0.0), np.nan), length) * length

    x, y = np.where(use, x, 0.0), np.where(use, y, 0.0)
    count = np.round(total(np.ones(len(x))))
    pairs = np.maximum(count, 1.0)
    sum_x, sum_y, square_x, square_y = total(x), total(y), total(x * x), total(y * y)
    xx, yy = square_x - sum_x**2 / pairs, square_y - sum_y**2 / pairs
    xy = total(x * y) - sum_x * sum_y / pairs
    known = (count >= FEWEST) & (xx > 1e-10 * square_x) & (yy > 1e-10 * square_y)
    return np.where(known, np.clip(xy / np.sqrt(np.where(known, xx * yy, 1.0)), -1.0, 1.0), np.nan)


@indicator(
    "correlation_sp500",
    family="cross_asset",
    inputs=("close", "macro.sp500"),
    params=LENGTHS,
    outputs=CORRELATION,
    lookback=lambda p: p["length"] + p["horizon"] - 1,
    warmup=lambda p: p["length"] + p["horizon"],
    source="Pearson correlation of log returns with the S&P 500",
)
def correlation_sp500(close: Array, level: Array, *, length: int, horizon: int) -> Array:
    """Correlation of `horizon`-bar log returns with those of the S&P 500, at the bars of the window where it has moved."""
    return moved_correlation(close, level, length, horizon)


@indicator(
    "correlation_nasdaq",
    family="cross_asset",
    inputs=("close", "macro.nasdaq"),
    params=LENGTHS,
    outputs=CORRELATION,
    lookback=lambda p: p["length"] + p["horizon"] - 1,
    warmup=lambda p: p["length"] + p["horizon"],
    source="Pearson correlation of log returns with the NASDAQ",
)
def correlation_nasdaq(close: Array, level: Array, *, length: int, horizon: int) -> Array:
    """Correlation of `horizon`-bar log returns with those of the NASDAQ, at the bars of the window where it has moved."""
    return moved_correlation(close, level, length, horizon)


@indicator(
    "correlation_dxy",
    family="cross_asset",
    inputs=("close", "macro.dxy"),
    params=LENGTHS,
    outputs=CORRELATION,
    lookback=lambda p: p["length"] + p["horizon"] - 1,
    warmup=lambda p: p["length"] + p["horizon"],
    source="Pearson correlation of log returns with the dollar index",
)
def correlation_dxy(close: Array, level: Array, *, length: int, horizon: int) -> Array:
    """Correlation of `horizon`-bar log returns with those of the dollar index, at the bars of the window where it has moved."""
    return moved_correlation(close, level, length, horizon)


@indicator(
    "correlation_vix",
    family="cross_asset",
    inputs=("close", "macro.vix"),
    params=LENGTHS,
    outputs=CORRELATION,
    lookback=lambda p: p["length"] + p["horizon"] - 1,
    warmup=lambda p: p["length"] + p["horizon"],
    source="Pearson correlation of log returns with the VIX",
)
def correlation_vix(close: Array, level: Array, *, length: int, horizon: int) -> Array:
    """Correlation of `horizon`-bar log returns with log changes of the VIX, at the bars of the window where it has moved."""
    return moved_correlation(close, level, length, horizon)
