"""What a strategy needs computed: its distinct values and comparisons."""

from __future__ import annotations

from strategy_pipeline.indicators.expressions import Number, Series, Value
from strategy_pipeline.strategies.conditions import Compare, Condition
from strategy_pipeline.strategies.strategy import Level, Strategy
from strategy_pipeline.strategies.traverse import comparisons
from strategy_pipeline.strategies.vocabulary import call


def rules(strategy: Strategy) -> dict[str, Condition]:
    """The conditions that are set, by field name, in the order entries before exits, long before short."""
    names = ("enter_long", "enter_short", "exit_long", "exit_short")
    return {name: rule for name in names if (rule := getattr(strategy, name)) is not None}


def conditions_of(strategy: Strategy) -> tuple[Compare, ...]:
    """Every distinct comparison, in reading order."""
    return tuple(dict.fromkeys(part for rule in rules(strategy).values() for part in comparisons(rule)))


def values_of(strategy: Strategy) -> tuple[Value, ...]:
    """Every distinct value that must be evaluated, numbers aside: both sides of the comparisons in reading order,
    the ATR of stops, targets and trails, and the volatility that sizes (`sizing_series`)."""
    needed: dict[Value, None] = {}
    for part in conditions_of(strategy):
        needed.update(dict.fromkeys(side for side in (part.left, part.right) if not isinstance(side, Number)))
    for level in (strategy.stop, strategy.take, strategy.trail, strategy.breakeven):
        if level is not None and level.kind == "atr":
            needed[atr_series(level)] = None
    if (volatility := sizing_series(strategy)) is not None:
        needed[volatility] = None
    return tuple(needed)


def atr_series(level: Level) -> Series:
    """The average true range that an ``atr`` level is a multiple of."""
    return call("atr", (), (float(level.length),))


def sizing_series(strategy: Strategy) -> Value | None:
    """The annualised volatility that ``size volatility_target`` divides by; None for other sizes."""
    if strategy.size.kind != "volatility_target":
        return None
    return strategy.size.series or call("realized_volatility", (), (100.0,))
