"""A small market for indicator tests: three symbols, one gap, one late listing, every optional field."""

from __future__ import annotations

import numpy as np
import pytest

from strategy_pipeline.indicators import compute, spec
from strategy_pipeline.market import Bars


def random_walk(n_symbols: int, n_bars: int, seed: int, timeframe: str = "1h") -> Bars:
    """Bars of a geometric random walk with changing volatility; times start on a Monday midnight."""
    draw = np.random.default_rng(seed)
    calm = 0.004 * np.exp(0.5 * np.sin(np.arange(n_bars) / 40.0))
    close = 100.0 * np.exp(np.cumsum(draw.standard_t(5, (n_symbols, n_bars)) * calm, axis=1))
    open_ = np.concatenate([close[:, :1], close[:, :-1]], axis=1) * (1 + 0.0005 * draw.standard_normal((n_symbols, n_bars)))
    high = np.maximum(open_, close) * (1 + 0.003 * draw.random((n_symbols, n_bars)))
    low = np.minimum(open_, close) * (1 - 0.003 * draw.random((n_symbols, n_bars)))
    volume = np.exp(draw.standard_normal((n_symbols, n_bars)) * 0.7 + 4.0)
    step = {"1h": np.timedelta64(3600, "s"), "1d": np.timedelta64(86400, "s")}[timeframe]
    times = (np.datetime64("2024-01-01T00:00") + np.arange(n_bars) * step).astype("datetime64[ns]")
    return Bars(
        symbols=tuple(f"{name}/USDT" for name in ("BTC", "ETH", "SOL", "ADA")[:n_symbols]), timeframe=timeframe, times=times,
        open=open_, high=high, low=low, close=close, volume=volume, quote_volume=volume * close,
        trades=np.floor(volume * 3.0) + 1.0, taker_buy_volume=volume * draw.random((n_symbols, n_bars)),
    )  # fmt: skip


def blanked(bars: Bars, row: int, where: np.ndarray | slice) -> Bars:
    """The bars with some of one symbol's removed."""
    fields = {}
    for name in ("open", "high", "low", "close", "volume", "quote_volume", "trades", "taker_buy_volume"):
        array = getattr(bars, name)
        if array is not None:
            array = array.copy()
            array[row, where] = np.nan
            fields[name] = array
    return bars.with_fields(**fields)


def world(bars: Bars) -> dict[str, np.ndarray]:
    """Every named series the catalog reads: macro levels that step once a weekday, quotes around the close.

    A value depends on its bar's time (and close) alone, so truncated bars get the same ones.
    """
    hours = bars.times.astype("datetime64[h]").astype(np.int64)
    days = hours // 24
    weekdays = (days + 3) // 7 * 5 + np.minimum((days + 3) % 7, 4)  # stands still over the weekend
    draw = np.random.default_rng(77)
    walk = np.cumsum(draw.standard_normal((4, 20_000)) * 0.01, axis=1)
    shock = draw.random((4, 50_000))
    shape = bars.close.shape
    found = {f"macro.{name}": np.broadcast_to(100.0 * np.exp(walk[k, weekdays % 20_000]), shape)
             for k, name in enumerate(("sp500", "nasdaq", "dxy", "vix"))}  # fmt: skip
    jitter = shock[:, hours % 50_000]
    found["book.bid"] = bars.close * (1 - 1e-4 * jitter[0])
    found["book.ask"] = bars.close * (1 + 1e-4 * jitter[1])
    for k, side in enumerate(("bid", "ask")):
        found[f"book.{side}_qty"] = np.where(np.isfinite(bars.close), 1.0 + 9.0 * jitter[2 + k], np.nan)
        found[f"book.{side}_depth"] = found[f"book.{side}_qty"] * (3.0 + jitter[k])
    return found


def run(name: str, bars: Bars, **given: object) -> dict[str, np.ndarray]:
    """Every output of a catalog entry by name, the named series it reads being those of `world`."""
    needed = spec(name).named_inputs
    if needed:
        made = world(bars)
        given["named"] = {each: made[each] for each in needed}
    result = compute(name, bars, **given)
    return result if isinstance(result, dict) else {"value": result}


@pytest.fixture(scope="session")
def whole() -> Bars:
    """Three symbols, 600 hourly bars, none missing."""
    return random_walk(3, 600, seed=5)


@pytest.fixture(scope="session")
def gappy(whole: Bars) -> Bars:
    """The same with five bars of the second symbol missing and the third listed late."""
    return blanked(blanked(whole, 1, slice(300, 305)), 2, slice(0, 120))
