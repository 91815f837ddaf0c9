"""Order book: imbalance, microprice and spread, where quotes are given as the named series ``book.*``.

`indicators.named.book_series` makes those series from a book table: what was last known at each bar's close.
"""

from __future__ import annotations

import numpy as np

from strategy_pipeline.indicators.kernels import windows
from strategy_pipeline.indicators.registry import Output, indicator, length

Array = np.ndarray
QUOTES = ("book.bid", "book.bid_qty", "book.ask", "book.ask_qty")
SIZES = ("book.bid_qty", "book.ask_qty")
IMBALANCE = (Output("value", "oscillator", -1, 1),)


def tilt(bid: Array, ask: Array) -> Array:
    """(bid - ask) / (bid + ask); NaN where both are empty."""
    total = bid + ask
    return np.where(total > 0, (bid - ask) / np.where(total > 0, total, 1.0), np.nan)


@indicator(
    "book_imbalance", family="order_flow", inputs=SIZES, outputs=IMBALANCE, warmup=1, source="R. Cont, A. Kukanov and S. Stoikov, 2014"
)
def book_imbalance(bid_qty: Array, ask_qty: Array) -> Array:
    """Best bid size minus best ask size over their sum, at the bar's close."""
    return tilt(bid_qty, ask_qty)


@indicator(
    "depth_imbalance",
    family="order_flow",
    inputs=("book.bid_depth", "book.ask_depth"),
    outputs=IMBALANCE,
    warmup=1,
    source="imbalance over all quoted levels (A. Cartea, S. Jaimungal and J. Penalva, 2015)",
)
def depth_imbalance(bid_depth: Array, ask_depth: Array) -> Array:
    """Bid depth minus ask depth over their sum, all levels given, at the bar's close."""
    return tilt(bid_depth, ask_depth)


@indicator(
    "book_pressure",
    family="order_flow",
    inputs=SIZES,
    params=(length(12, 2, 200),),
    outputs=IMBALANCE,
    warmup=lambda p: p["length"],
    source="mean of the best quotes' imbalance",
)
def book_pressure(bid_qty: Array, ask_qty: Array, *, length: int) -> Array:
    """Mean of the best quotes' imbalance at the last `length` closes."""
    return np.clip(windows.mean(tilt(bid_qty, ask_qty), length), -1.0, 1.0)


@indicator(
    "microprice",
    family="order_flow",
    inputs=QUOTES,
    outputs=(Output("value", "price"),),
    warmup=1,
    source="J. Gatheral and R. Oomen, 2010; S. Stoikov, 2018",
)
def microprice(bid: Array, bid_qty: Array, ask: Array, ask_qty: Array) -> Array:
    """Mean of bid and ask, each weighted by the other side's size: nearer to the side that will give way."""
    total = bid_qty + ask_qty
    return np.where(total > 0, (ask * bid_qty + bid * ask_qty) / np.where(total > 0, total, 1.0), np.nan)


@indicator(
    "microprice_gap",
    family="order_flow",
    inputs=QUOTES,
    outputs=(Output("value", "return"),),
    warmup=1,
    source="S. Stoikov, 2018",
)
def microprice_gap(bid: Array, bid_qty: Array, ask: Array, ask_qty: Array) -> Array:
    """Microprice over the middle of bid and ask, minus one."""
    return microprice(bid, bid_qty, ask, ask_qty) / ((bid + ask) / 2.0) - 1.0


@indicator(
    "quoted_spread",
    family="order_flow",
    inputs=("book.bid", "book.ask"),
    outputs=(Output("value", "ratio"),),
    warmup=1,
    source="quoted spread over the middle",
)
def quoted_spread(bid: Array, ask: Array) -> Array:
    """(ask - bid) over the middle, a fraction of price; negative where the book is crossed."""
    return (ask - bid) / ((bid + ask) / 2.0)
