"""Small simulated markets for the model rooms: clustered volatility, an optional predictable part, gaps."""

from __future__ import annotations

import numpy as np

from strategy_pipeline.features import FeatureMatrix
from strategy_pipeline.market import Bars
from strategy_pipeline.rng import generator

START = np.datetime64("2024-01-01", "ns")


def market(n_symbols: int = 2, n_bars: int = 1500, seed: int = 0, edge: float = 0.0, hours: int = 1) -> tuple[Bars, FeatureMatrix]:
    """Bars and features. With an edge, the next returns follow a slow feature named `signal`, in units of their volatility."""
    rng = generator(seed, "market", n_symbols, n_bars)
    log_vol = np.zeros((n_symbols, n_bars))
    signal = np.zeros((n_symbols, n_bars))
    for t in range(1, n_bars):
        log_vol[:, t] = 0.98 * log_vol[:, t - 1] + 0.12 * rng.standard_normal(n_symbols)
        signal[:, t] = 0.98 * signal[:, t - 1] + 0.2 * rng.standard_normal(n_symbols)
    sd = 0.006 * np.exp(log_vol)
    returns = sd * rng.standard_normal((n_symbols, n_bars))
    returns[:, 1:] += edge * sd[:, 1:] * signal[:, :-1]
    close = 100 * np.exp(np.cumsum(returns, axis=1))
    opens = np.concatenate([np.full((n_symbols, 1), 100.0), close[:, :-1]], axis=1)
    wick = 1 + sd * np.abs(rng.standard_normal((2, n_symbols, n_bars)))
    high, low = np.maximum(opens, close) * wick[0], np.minimum(opens, close) / wick[1]
    volume = 1000 * np.exp(log_vol + 0.3 * rng.standard_normal((n_symbols, n_bars)))
    fields = {"open": opens, "high": high, "low": low, "close": close, "volume": volume}
    for values in fields.values():
        values[0, 400:405] = np.nan  # an outage of one symbol
    times = START + np.arange(n_bars) * np.timedelta64(hours, "h")
    symbols = tuple(f"S{i}/USDT" for i in range(n_symbols))
    bars = Bars(symbols, {1: "1h", 24: "1d"}[hours], times, **fields)
    past = np.full(close.shape, np.nan)
    past[:, 24:] = np.log(close[:, 24:] / close[:, :-24])
    noise = rng.standard_normal((4, n_symbols, n_bars))
    values = np.stack([signal, past, log_vol, *noise], axis=-1).astype(np.float32)
    values[np.isnan(close)] = np.nan
    names = ("signal", "past", "log_vol", "n0", "n1", "n2", "n3")
    return bars, FeatureMatrix(values, names, times, symbols, bars.timeframe, np.ones(len(names), dtype=bool))


def cut(bars: Bars, features: FeatureMatrix, n: int) -> tuple[Bars, FeatureMatrix]:
    """The first n bars."""
    last = bars.times[n - 1]
    return bars.through(last), features.through(last)


def with_other_future(bars: Bars, features: FeatureMatrix, n: int) -> tuple[Bars, FeatureMatrix]:
    """The same first n bars, and another future: prices times three, other features."""
    fields = {}
    for name in ("open", "high", "low", "close", "volume"):
        values = bars.field(name).copy()
        values[:, n:] = 3 * values[:, n:][:, ::-1]
        fields[name] = values
    values = features.values.copy()
    values[:, n:] = 7.0
    return bars.with_fields(**fields), features.replaced(values)
