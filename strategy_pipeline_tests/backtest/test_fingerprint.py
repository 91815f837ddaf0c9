"""A frozen run: every trade of a fixed population on the sample market, hashed, with its statistics beside.

If this fails, either trades changed (find out why before pinning anew) or the sample market did (its own tests say so).
Prices enter with nine significant digits, so a last bit of the platform's `exp` changes nothing.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from strategy_pipeline.backtest import backtest
from strategy_pipeline.config import Settings
from strategy_pipeline.market import Bars, open_source
from strategy_pipeline.strategies import parse

SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
RULES = [
    "enter long when crosses_above(sma(close, {a}), sma(close, {b}))\nexit when crosses_below(sma(close, {a}), sma(close, {b}))",
    "enter short when crosses_below(ema(close, {a}), ema(close, {b}))\nexit when crosses_above(ema(close, {a}), ema(close, {b}))",
    "enter long when rsi(close, {a}) < 30\nenter short when rsi(close, {a}) > 70 and close < sma(close, {b})\n"
    "exit when crosses_above(rsi(close, {a}), 50) or crosses_below(rsi(close, {a}), 50)",
]
TAILS = [
    "size all_in",
    "stop 3%, take 6%, trail 2%\nsize fraction 50%",
    "stop 2.0 atr(14), take 4.0 atr(14), hold at most 48 bars\nsize volatility_target 20%",
    "stop 4%\nsize kelly 0.5",
]
FINGERPRINTS = {
    "next_open": "d95edbb30e24a309e33db65e792399a69a83fb04765a4567dca8c481528d8716",
    "close": "6f5ac5feeb3e94e56658d9f24655e15c34b3d8c0681f42543ca7426ee3d18b52",
}
STATISTICS = {
    "next_open": (6188, -0.05468406458690191, -1.2357981940195844),
    "close": (5942, -0.05519529833604963, -1.3973016457206675),
}  # trades, mean pooled return, mean pooled Sharpe ratio


@pytest.fixture(scope="module")
def bars() -> Bars:
    frame = open_source(Settings(source="sample", seed=0)).bars("1h", SYMBOLS, "2023-01-01", "2023-07-01")
    return Bars.from_frame(frame, "1h", symbols=SYMBOLS)


@pytest.mark.parametrize("fill", ["next_open", "close"])
def test_every_trade_of_the_fixed_population_is_what_it_was(bars: Bars, fill: str) -> None:
    population = [
        parse(f"momentum on * 1h\n{rule.format(a=a, b=b)}\n{tail}")
        for rule in RULES
        for tail in TAILS
        for a, b in ((7, 30), (14, 60), (24, 168))
    ]
    result = backtest(population, bars, fill=fill)
    assert not result.failures
    digest = hashlib.sha256()
    for strategy in population:
        for symbol in SYMBOLS:
            for trade in result.trades(strategy.id, symbol).itertuples():
                left = trade.exit.isoformat() if trade.reason != "open" else "-"
                values = " ".join(f"{value:.8e}" for value in (trade.entry_price, trade.exit_price, trade.size, trade.equity_after))
                digest.update(f"{strategy.id} {symbol} {trade.side} {trade.entry.isoformat()} {left} {values} {trade.reason}\n".encode())
    trades = int(result.metrics["trades"].sum())
    returns, sharpe = result.pooled["total_return"].mean(), result.pooled["sharpe"].mean()
    assert (trades, digest.hexdigest()) == (STATISTICS[fill][0], FINGERPRINTS[fill]), f"{trades}, {returns!r}, {sharpe!r}"
    np.testing.assert_allclose((returns, sharpe), STATISTICS[fill][1:], rtol=1e-8)
