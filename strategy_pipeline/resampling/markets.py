"""Markets made from a market: resampled bars that keep its dependence, and null markets that keep all but an edge.

What belongs here: new `Bars` from old ones on the same grid, with the same gaps. A bar is described by its shape
relative to the close before it (log open, high, low, close over the previous close), so a new path is a new order, or
new signs, of these shapes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from strategy_pipeline.resampling.bootstrap import stationary_bootstrap_indices

if TYPE_CHECKING:
    from strategy_pipeline.market import Bars

PRICES = ("open", "high", "low", "close")
VOLUMES = ("volume", "quote_volume", "trades", "taker_buy_volume")


def bootstrap_bars(bars: Bars, rng: np.random.Generator, mean_block: float) -> Bars:
    """A joint stationary bootstrap of bars: blocks of time, the same for every symbol, so cross-correlation stays.

    Parameters
    ----------
    bars : Bars
    rng : numpy Generator
    mean_block : mean block length in bars (Politis and Romano 1994)

    Returns
    -------
    Bars on the same grid with the same gaps (NaN stays where it was). Each bar takes the shape and the volumes that
    some bar of the same symbol had; a time t drawn at which a symbol has no return of its own (it was not listed, or its
    bar is missing) is replaced, for that symbol, by the bar numbered t modulo their count among those that have one. Quote
    volume is rescaled to the new price. A symbol's path starts from its own first bar, which is kept.
    """
    return bootstrap_bars_with(bars, {}, rng, mean_block)[0]


def bootstrap_bars_with(
    bars: Bars, series: Mapping[str, np.ndarray], rng: np.random.Generator, mean_block: float
) -> tuple[Bars, dict[str, np.ndarray]]:
    """`bootstrap_bars`, and what else happened at the bars that were drawn: `series`, float64 (n_symbols, n_bars) each, in their
    new order; NaN where the bar is missing, and at a symbol's first bar."""
    index = stationary_bootstrap_indices(bars.n_bars, mean_block, 1, rng)[0]
    shapes, first = _shapes(bars)
    exists = np.isfinite(bars.close)
    new = np.full((4, *bars.close.shape), np.nan)
    origin = np.full(bars.close.shape, np.nan)
    volumes = {name: np.full(bars.close.shape, np.nan) for name in VOLUMES if getattr(bars, name) is not None}
    carried = {name: np.full(bars.close.shape, np.nan) for name in series}
    for s in range(bars.n_symbols):
        usable = np.isfinite(shapes[3, s])
        if first[s] < 0:
            continue
        at = np.flatnonzero(exists[s])
        if not usable.any():
            source = np.full(len(at), first[s])
        else:
            # Consecutive draws stay consecutive in the pool, so blocks survive, and no bar is favoured.
            pool = np.flatnonzero(usable)
            source = np.where(usable[index[at]], index[at], pool[index[at] % len(pool)])
        new[:, s, at] = np.nan_to_num(shapes[:, s, source])
        for name, values in volumes.items():
            values[s, at] = getattr(bars, name)[s, source]
            values[s, at[0]] = getattr(bars, name)[s, at[0]]
        for name, values in carried.items():
            values[s, at[1:]] = series[name][s, source[1:]]
        origin[s, at] = bars.close[s, source]
        origin[s, at[0]] = bars.close[s, at[0]]
    prices = _rebuild(bars, new, first)
    if "quote_volume" in volumes:
        volumes["quote_volume"] = volumes["quote_volume"] * (prices["close"] / origin)
    return bars.with_fields(**prices, **volumes), carried


def null_market(bars: Bars, rng: np.random.Generator) -> Bars:
    """The same market with nothing to find: every bar's return gets a fair random sign, the same for all symbols.

    Signs are independent from bar to bar and common to all symbols, so volatility clustering, fat tails and
    cross-correlation stay, while neither past returns nor anything else says which way the next goes. A symmetric sign on
    a log return r leaves the price a drift of log E[exp(+-r)] = log cosh r, half the variance; it is subtracted bar by
    bar, so that the expected simple return of each bar is exactly zero: price changes are a martingale.

    Each bar is rebuilt by scaling its own shape. With sign -1 it is mirrored (open, close and extremes change sign, so
    high and low exchange) and then shifted by the compensated close. The gap between a close and the next open is
    mirrored along. Volumes stay where they were: their link to volatility survives, their link to direction does not.

    Parameters
    ----------
    bars : Bars
    rng : numpy Generator

    Returns
    -------
    Bars on the same grid; NaN gaps are kept, and the first bar of each symbol as it was.
    """
    shapes, first = _shapes(bars)
    sign = np.where(rng.random(bars.n_bars) < 0.5, -1.0, 1.0)
    flipped = shapes * sign
    flipped[1], flipped[2] = np.where(sign > 0, flipped[1], flipped[2]), np.where(sign > 0, flipped[2], flipped[1])
    # The whole shape shrinks by the same share at each of its points: a fraction of the bar's way is gone when a
    # fraction of its log return is. The close takes the full compensation.
    drift = np.log(np.cosh(shapes[3]))
    flipped[3] = flipped[3] - drift
    flipped[0] = flipped[0] - np.log(np.cosh(shapes[0]))
    body_high, body_low = np.fmax(flipped[0], flipped[3]), np.fmin(flipped[0], flipped[3])
    flipped[1], flipped[2] = np.fmax(flipped[1], body_high), np.fmin(flipped[2], body_low)
    exists = np.isfinite(bars.close)
    new = np.where(exists & np.isfinite(shapes[3]), flipped, np.where(exists, 0.0, np.nan))
    return bars.with_fields(**_rebuild(bars, new, first))


def _shapes(bars: Bars) -> tuple[np.ndarray, np.ndarray]:
    """Log prices of each bar over the symbol's previous existing close, (4, n_symbols, n_bars), NaN where there is none;
    and each symbol's first bar (-1 for none). A return across a gap belongs to the bar after it."""
    exists = np.isfinite(bars.close)
    position = np.arange(bars.n_bars)
    newest = np.maximum.accumulate(np.where(exists, position, -1), axis=1)
    before = np.concatenate([np.full((bars.n_symbols, 1), -1), newest[:, :-1]], axis=1)
    previous = np.where(before >= 0, np.take_along_axis(bars.close, np.maximum(before, 0), axis=1), np.nan)
    with np.errstate(all="ignore"):
        shapes = np.stack([np.log(getattr(bars, name) / previous) for name in PRICES])
    return shapes, np.where(exists.any(axis=1), exists.argmax(axis=1), -1)


def _rebuild(bars: Bars, shapes: np.ndarray, first: np.ndarray) -> dict[str, np.ndarray]:
    """Prices from shapes: each symbol starts from its own first bar, then every close is the base of the next."""
    out = {name: np.full(bars.close.shape, np.nan) for name in PRICES}
    for s in range(bars.n_symbols):
        if first[s] < 0:
            continue
        at = np.flatnonzero(np.isfinite(shapes[3, s]))
        steps = shapes[3, s, at].copy()
        steps[0] = 0.0
        level = np.log(bars.close[s, first[s]]) + np.cumsum(steps)
        base = np.concatenate([[level[0]], level[:-1]])
        for number, name in enumerate(PRICES):
            out[name][s, at] = np.exp(base + shapes[number, s, at])
            out[name][s, first[s]] = getattr(bars, name)[s, first[s]]
        out["close"][s, at[1:]] = np.exp(level[1:])
        # exp and log round: the extremes must still contain the body.
        body = np.stack([out["open"][s, at], out["close"][s, at]])
        out["high"][s, at] = np.maximum(out["high"][s, at], body.max(axis=0))
        out["low"][s, at] = np.minimum(out["low"][s, at], body.min(axis=0))
    return out
