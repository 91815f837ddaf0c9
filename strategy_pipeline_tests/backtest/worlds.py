"""Random markets and random strategies for property tests: small, ugly, and drawn from one seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from strategy_pipeline.backtest import Costs
from strategy_pipeline.errors import StrategyError
from strategy_pipeline.indicators import Arithmetic, Number, Series
from strategy_pipeline.market import Bars
from strategy_pipeline.strategies import And, Compare, Level, Not, Or, Size, Strategy, parse_value

HOUR = np.timedelta64(1, "h")


def make_bars(rng: np.random.Generator, n_symbols: int = 2, n_bars: int = 200, *, volatility: float = 0.02, holes: bool = True) -> Bars:
    """Bars with gaps between close and open, rounded prices (so levels are hit exactly), and where `holes`, missing
    bars, outages, a late listing and a delisting."""
    close = 100 * np.exp(np.cumsum(rng.normal(0, volatility, (n_symbols, n_bars)), axis=1))
    open_ = np.concatenate([close[:, :1], close[:, :-1]], axis=1) * np.exp(rng.normal(0, volatility / 3, close.shape))
    high = np.maximum(open_, close) * np.exp(np.abs(rng.normal(0, volatility / 3, close.shape)))
    low = np.minimum(open_, close) * np.exp(-np.abs(rng.normal(0, volatility / 3, close.shape)))
    if rng.random() < 0.3:
        open_, high, low, close = (np.maximum(np.round(field), 1.0) for field in (open_, high, low, close))
        high, low = np.maximum(high, np.maximum(open_, close)), np.minimum(low, np.minimum(open_, close))
    volume = rng.integers(0, 50, close.shape).astype(float)
    missing = np.zeros(close.shape, dtype=bool)
    if holes:
        missing |= rng.random(close.shape) < rng.choice([0.0, 0.03, 0.2])
        for s in range(n_symbols):
            kind = rng.integers(4)
            at = int(rng.integers(n_bars // 4, n_bars))
            if kind == 1:
                missing[s, at:] = True
            elif kind == 2:
                missing[s, : n_bars - at] = True
            elif kind == 3:
                missing[s, at : at + 12] = True
    fields = [np.where(missing, np.nan, field) for field in (open_, high, low, close, volume)]
    symbols = tuple(f"{name}/USDT" for name in ("BTC", "ETH", "SOL", "XRP")[:n_symbols])
    return Bars(symbols, "1h", np.datetime64("2023-01-01T05", "ns") + np.arange(n_bars) * HOUR, *fields)


def make_series(rng: np.random.Generator, bars: Bars) -> dict[str, np.ndarray]:
    """Named series: coarse values with ties and NaNs, a flag, a volatility that is sometimes unknown or zero."""
    shape = bars.close.shape
    series = {name: rng.integers(-3, 4, shape).astype(float) for name in ("x.a", "x.b", "x.flag")}
    series["x.a"][rng.random(shape) < 0.1] = np.nan
    series["x.flag"][:] = rng.random(shape) < 0.06
    series["x.sigma"] = rng.choice([np.nan, 0.0, 0.1, 0.4, 0.9], shape)
    return series


def make_value(rng: np.random.Generator) -> object:
    choices = [
        Series("close"), Series("open"), Series("x.a"), Series("x.b"), Series("x.flag"), Number(float(rng.integers(-2, 3))),
        parse_value("sma(close, 3)"), parse_value("sma(close, 8)"), parse_value("ema(close, 4)"),
        Arithmetic("lag", (Series("close"), Number(2.0))), Arithmetic("+", (Series("x.a"), Series("x.b"))),
    ]  # fmt: skip
    return choices[rng.integers(len(choices))]


def make_condition(rng: np.random.Generator, depth: int = 0) -> object:
    kind = rng.random()
    if depth < 3 and kind < 0.15:
        return Not(make_condition(rng, depth + 1))
    if depth < 3 and kind < 0.5:
        terms = tuple(make_condition(rng, depth + 1) for _ in range(int(rng.integers(2, 4))))
        return And(terms) if rng.random() < 0.6 else Or(terms)
    op = str(rng.choice([">", "<", ">=", "<=", "crosses_above", "crosses_below"]))
    return Compare(op, make_value(rng), make_value(rng))


def make_strategy(rng: np.random.Generator, bars: Bars) -> Strategy:
    """A random strategy; most trade often. Draws again where the language refuses one (a constant comparison, say)."""
    while True:
        try:
            return _draw(rng, bars)
        except StrategyError:
            continue


def _draw(rng: np.random.Generator, bars: Bars) -> Strategy:
    def level() -> Level | None:
        kind = rng.random()
        if kind < 0.45:
            return None
        if kind < 0.8:
            return Level("percent", float(rng.choice([0.005, 0.01, 0.03, 0.2])))
        return Level("atr", float(rng.choice([0.5, 1.0, 3.0])), int(rng.choice([3, 6])))

    def maybe(chance: float) -> object:
        return make_condition(rng) if rng.random() < chance else None

    long, short = make_condition(rng), maybe(0.5)
    if rng.random() < 0.3:
        long, short = short, long
    size = [
        Size("all_in"),
        Size("all_in"),
        Size("fraction", float(rng.choice([0.1, 0.5, 1.0]))),
        Size("volatility_target", 0.2, Series("x.sigma")),
        Size("volatility_target", 0.3),
        Size("kelly", 0.5),
    ][rng.integers(6)]
    symbols = ("*",) if rng.random() < 0.7 else (bars.symbols[rng.integers(len(bars.symbols))],)
    return Strategy(
        "momentum", symbols, "1h", long, short, maybe(0.7), maybe(0.7), level(), level(), level(),
        int(rng.integers(1, 30)) if rng.random() < 0.4 else None, size,
        level() if rng.random() < 0.4 else None, int(rng.integers(1, 20)) if rng.random() < 0.3 else None,
    )  # fmt: skip


def make_pair(rng: np.random.Generator, bars: Bars) -> Strategy:
    """A random pair of symbols: every other one against one of them, or one alone."""
    while True:
        try:
            drawn = _draw(rng, bars)
            against = bars.symbols[int(rng.integers(len(bars.symbols)))]
            others = [symbol for symbol in bars.symbols if symbol != against]
            symbols = ("*",) if rng.random() < 0.5 else (others[int(rng.integers(len(others)))],)
            levels = {
                name: Level("percent", float(rng.choice([0.005, 0.02, 0.1])))
                for name in ("stop", "take", "trail", "breakeven")
                if getattr(drawn, name) is not None
            }
            return replace(drawn, family="cross_asset", symbols=symbols, against=against, **levels)
        except StrategyError:
            continue


def make_terms(rng: np.random.Generator, bars: Bars) -> dict[str, object]:
    """Funding and delay: mostly none, sometimes every few bars, unknown at some, now and then ruinous."""
    terms: dict[str, object] = {}
    if rng.random() < 0.4:
        rates = np.where(np.arange(bars.n_bars) % 8 == 3, rng.normal(0, float(rng.choice([1e-4, 0.01, 0.2])), bars.close.shape), np.nan)
        terms["funding"] = np.clip(rates, -0.9, 0.9)
    if rng.random() < 0.3:
        terms["delay"] = int(rng.integers(1, 5))
    return terms


def make_costs(rng: np.random.Generator) -> Costs:
    more = {}
    if rng.random() < 0.5:
        more = {
            "maker_fee_bps": float(rng.choice([0.0, 30.0])),
            "slippage_volatility": float(rng.choice([0.0, 0.5])),
            "impact": float(rng.choice([0.0, 0.1, 2.0])),
            "capital": float(rng.choice([50.0, 10_000.0])),
            "lot": float(rng.choice([0.0, 0.01, 0.3])),
            "min_notional": float(rng.choice([0.0, 20.0])),
            "participation": [None, None, 0.02, 0.5][rng.integers(4)],
            "borrow_annual": float(rng.choice([0.0, 0.0, 0.3, 50.0])),
        }
    return Costs(float(rng.choice([0.0, 10.0, 80.0])), float(rng.choice([0.0, 5.0, 200.0])), bool(rng.random() < 0.3), **more)
