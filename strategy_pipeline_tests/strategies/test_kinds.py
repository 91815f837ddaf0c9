"""What may be compared with what, and how the answer is explained."""

from __future__ import annotations

import pytest

from strategy_pipeline.errors import StrategyError
from strategy_pipeline.strategies import parse, parse_value, problems, validate
from strategy_pipeline.strategies.kinds import kind_of

SERIES = ("forecast.return_24h", "forecast.volatility_24h", "forecast.up_24h", "regime.calm", "agent.ppo", "sentiment.mean", "macro.vix")


def wrong(condition: str, symbols: str = "*", timeframe: str = "1h", tail: str = "") -> list[str]:
    return problems(parse(f"trend on {symbols} {timeframe}\nenter long when {condition}\n{tail}"), SERIES)


@pytest.mark.parametrize(
    "condition",
    [
        "close > ema(close, 20)", "close > ema(close, 20) + 2 * atr(14)", "close < bbands(20, 2).lower", "rsi(14) < 30",
        "ema(rsi(14), 5) > rsi(14)", "close / lag(close, 24) - 1 > 3%", "volume > 3 * sma(volume, 20)", "change(obv, 10) > 0",
        "obv > ema(obv, 20)", "atr(14) / close > 2%", "abs(rsi(14) - 50) < 10", "macd(rsi(14)).macd > 0", "mom(10) > 0",
        "forecast.return_24h > 0.1 * forecast.volatility_24h", "forecast.up_24h > 60%", "regime.calm > 0.5", "agent.ppo < -0.3",
        "sentiment.mean > 0.2", "zscore(macro.vix, 100) > 1", "macro.vix > 20", "log(close) > log(ema(close, 10))",
        "sign(mom(10)) + sign(roc(10)) > 1.5", "close@BTC/USDT > 20000", "rsi(14)@4h > rsi(14)", "max(close, open) > high",
        "correlation(close, close@BTC/USDT, 48) < 0.5", "crosses_above(rsi(14), 30)", "taker_buy_volume / volume > 0.5",
    ],
)  # fmt: skip
def test_sentences_that_mean_something_are_accepted(condition: str) -> None:
    assert wrong(condition) == []


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        ("close > rsi(14)", "a price and an oscillator within [0, 100]"),
        ("close > ema(volume, 20)", "a price and a volume"),
        ("close > atr(14)", "a price and a price difference"),
        ("rsi(14) > willr(14)", "[-100, 0]"),
        ("rsi(14) < 130", "was 130"),
        ("rsi(14) > 100", "the answer never changes"),
        ("willr(14) > 20", "the answer never changes"),
        ("ema(rsi(14), 5) > 120", "was 120"),
        ("forecast.up_24h > 1.5", "a probability within [0, 1]"),
        ("agent.ppo > 2", "a score within [-1, 1]"),
        ("close > 100", "differs by symbol"),
        ("volume > 100", "differs by symbol"),
        ("close + volume > 0", "a price and a volume"),
        ("close + rsi(14) > 0", "one unit"),
        ("obv > 0", "use change(x, n)"),
        ("close > close", "the same twice"),
        ("2 > 1", "two numbers"),
        ("roc(10) > forecast.return_24h", "a return and a percentage"),
        ("forecast.return_48h > 0", "near: forecast.return_24h"),
        ("close@30m > close", "coarser"),
        ("close@1h@BTC/USDT > rsi(close@5m, 14)", "coarser"),
    ],
)
def test_sentences_that_mean_nothing_are_explained(condition: str, reason: str) -> None:
    found = wrong(condition)
    assert len(found) == 1
    assert reason in found[0]


def test_a_price_level_means_something_on_one_symbol() -> None:
    assert wrong("close > 20000", symbols="BTC/USDT") == []
    assert wrong("close > 20000", symbols="BTC/USDT, ETH/USDT") != []


def test_weeks_cannot_be_built_from_three_day_bars() -> None:
    assert wrong("close@1w > close", timeframe="3d") != []
    assert wrong("close@1w > close", timeframe="1d") == []


def test_sizing_needs_a_volatility() -> None:
    assert wrong("close > open", tail="size volatility_target 15% of forecast.volatility_24h") == []
    assert wrong("close > open", tail="size volatility_target 15% of parkinson(48)") == []
    assert "volatility" in wrong("close > open", tail="size volatility_target 15% of rsi(14)")[0]
    assert "forecast.volatility_48h" in wrong("close > open", tail="size volatility_target 15% of forecast.volatility_48h")[0]


def test_validate_raises_every_reason_in_one_line() -> None:
    with pytest.raises(StrategyError) as caught:
        validate(parse("trend on * 1h\nenter long when close > rsi(14) or macro.oil > 1"), SERIES)
    assert "oscillator" in str(caught.value)
    assert "macro.oil" in str(caught.value)
    assert "\n" not in str(caught.value)
    validate(parse("trend on * 1h\nenter long when macro.oil > 1"), None)


@pytest.mark.parametrize(
    ("text", "unit", "low", "high"),
    [
        ("close - open", "difference", None, None),
        ("close / open", "ratio", 0, None),
        ("rsi(14) / 100", "oscillator", 0, 1),
        ("rsi(14) - 50", "oscillator", -50, 50),
        ("-rsi(14)", "oscillator", -100, 0),
        ("abs(rsi(14) - 50)", "oscillator", 0, 50),
        ("min(rsi(14), 40)", "oscillator", 0, 40),
        ("rsi(14) + stoch(14, 3, 3).k", "oscillator", 0, 200),
        ("rsi(14) - lag(rsi(14), 3)", "ratio", -100, 100),
        ("change(rsi(14), 3)", "ratio", -100, 100),
        ("close * volume", "mixed", None, None),
        ("close * 2", "price", 0, None),
        ("sign(close - open)", "score", -1, 1),
        ("2 * 3", "number", 6, 6),
        ("sqrt(volume)", "mixed", None, None),
    ],
)
def test_arithmetic_carries_units_and_bounds(text: str, unit: str, low: float | None, high: float | None) -> None:
    kind = kind_of(parse_value(text))
    assert kind.unit == unit
    assert kind.low == (float("-inf") if low is None else low)
    assert kind.high == (float("inf") if high is None else high)
