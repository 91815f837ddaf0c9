"""Small markets for generation: random walks, with a planted drift where asked."""

from __future__ import annotations

import numpy as np

from strategy_pipeline.indicators import Bank
from strategy_pipeline.market import Bars
from strategy_pipeline.strategies import Strategy, truth

SERIES = (
    "forecast.return_24h", "forecast.volatility_24h", "forecast.up_24h", "forecast.confidence_24h", "regime.calm", "regime.turbulent",
    "agent.ppo", "agent.dqn", "agent.sac", "agent.vote", "sentiment.mean", "sentiment.buzz", "macro.vix", "macro.dollar",
)  # fmt: skip


def market(
    n_bars: int = 64, symbols: tuple[str, ...] = ("BTC/USDT", "ETH/USDT"), timeframe: str = "1h", seed: int = 0, momentum: float = 0.0
) -> Bars:
    """Random walks of 1 % an hour; `momentum` adds that many deviations of drift to the side where the 24-hour average
    stands of the 96-hour one."""
    rng = np.random.default_rng(seed)
    close = np.empty((len(symbols), n_bars))
    for i in range(len(symbols)):
        price, fast, slow = 100.0, 100.0, 100.0
        for t, z in enumerate(rng.standard_normal(n_bars)):
            price *= 1.0 + 0.01 * (z + momentum * np.sign(fast - slow))
            fast += 2 / 25 * (price - fast)
            slow += 2 / 97 * (price - slow)
            close[i, t] = price
    open_ = np.concatenate([np.full((len(symbols), 1), 100.0), close[:, :-1]], axis=1)
    wick = 1.0 + 0.004 * rng.random((2, *close.shape))
    hours = {"1h": 1, "4h": 4, "1d": 24, "1w": 168}[timeframe]
    start = np.datetime64("2023-01-02", "ns")
    return Bars(
        symbols, timeframe, start + np.arange(n_bars) * np.timedelta64(hours, "h"),
        open_, np.maximum(open_, close) * wick[0], np.minimum(open_, close) / wick[1], close, rng.lognormal(5.0, 0.8, close.shape),
    )  # fmt: skip


def named_series(bars: Bars, seed: int = 1) -> dict[str, np.ndarray]:
    """Slow random series within the bounds of their kind."""
    rng = np.random.default_rng(seed)
    made = {}
    for name in SERIES:
        noise = rng.standard_normal((bars.n_symbols, bars.n_bars))
        for t in range(1, bars.n_bars):
            noise[:, t] = 0.95 * noise[:, t - 1] + 0.3 * noise[:, t]
        bounded = name.startswith(("forecast.up", "forecast.conf", "regime"))
        made[name] = 1 / (1 + np.exp(-noise)) if bounded else np.exp(noise) if "volatility" in name or "vix" in name else np.tanh(noise) / 2
    return made


def positions(strategy: Strategy, bank: Bank, row: int = 0) -> np.ndarray:
    """-1, 0 or 1 held after each bar by entries, exits and the time limit (stops left out), one symbol."""
    long, short, leave_long, leave_short = (
        [] if rule is None else (truth(rule, bank)[row] == 1).tolist()
        for rule in (strategy.enter_long, strategy.enter_short, strategy.exit_long, strategy.exit_short)
    )
    held, since = 0, 0
    out = np.zeros(bank.bars.n_bars)
    for t in range(len(out)):
        leaving = leave_long if held > 0 else leave_short
        if held and ((leaving and leaving[t]) or (strategy.hold is not None and t - since >= strategy.hold)):
            held = 0
        if not held:
            if long and long[t] and not (leave_long and leave_long[t]):
                held, since = 1, t
            elif short and short[t] and not (leave_short and leave_short[t]):
                held, since = -1, t
        out[t] = held
    return out


def tied_market(n_bars: int = 480, seed: int = 4, half_life: float = 8.0) -> Bars:
    """BTC, ETH and a third symbol whose price is BTC's times the exponential of deviations that revert with that half-life."""
    free = market(n_bars, seed=seed)
    rng = np.random.default_rng(seed + 1)
    keep, deviation = 0.5 ** (1 / half_life), np.zeros(n_bars)
    for t in range(1, n_bars):
        deviation[t] = keep * deviation[t - 1] + 0.006 * rng.standard_normal()
    tied = {
        name: np.vstack([getattr(free, name), getattr(free, name)[:1] * np.exp(deviation)]) for name in ("open", "high", "low", "close")
    }
    close = tied["close"]
    volume = np.vstack([free.volume, free.volume[:1]])
    return Bars(("BTC/USDT", "ETH/USDT", "TIE/USDT"), "1h", free.times, tied["open"], tied["high"], tied["low"], close, volume)
