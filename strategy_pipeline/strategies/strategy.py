"""`Strategy`: one candidate, as data.

What belongs here: the frozen record and its parts. Reading and writing text and JSON, identity and the
tunable parameters live beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from strategy_pipeline.indicators.expressions import Value
from strategy_pipeline.strategies.conditions import Condition

FAMILIES = (
    "momentum", "mean_reversion", "breakout", "trend", "volatility", "volume", "sentiment", "macro", "cross_asset", "ml", "rl", "ensemble",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Level:
    """A distance from the fill price: ``3%`` is Level("percent", 0.03); ``2.0 atr(14)`` is Level("atr", 2.0, 14)."""

    kind: Literal["percent", "atr"]
    value: float
    length: int = 0  # of the ATR, read at the decision bar; 0 for percent


@dataclass(frozen=True, slots=True)
class Size:
    """How much: ``all_in``; ``fraction 25%``; ``volatility_target 15%`` (annualised); ``kelly 0.5`` (fraction of
    Kelly from this strategy's closed trades).

    series
        For volatility_target only: the annualised volatility it divides by, read at the decision bar and
        fixed for the trade; None means ``realized_volatility(close, 100)``, annualised from the bars.
    """

    kind: Literal["all_in", "fraction", "volatility_target", "kelly"]
    value: float = 1.0
    series: Value | None = None


@dataclass(frozen=True, slots=True)
class Strategy:
    """One candidate. Equal strategies have equal `id`s.

    symbols
        ``("*",)`` for every symbol of the bars given (judged pooled), or the named ones.
    enter_long, enter_short
        At least one is given.
    exit_long, exit_short
        When to leave a long / a short by signal; ``exit when`` in the text sets both.
    stop, take, trail
        Distances set from the fill price before slippage; None is none.
    hold
        Leave at the open of entry bar + hold; None is no limit.
    """

    family: str
    symbols: tuple[str, ...]
    timeframe: str
    enter_long: Condition | None = None
    enter_short: Condition | None = None
    exit_long: Condition | None = None
    exit_short: Condition | None = None
    stop: Level | None = None
    take: Level | None = None
    trail: Level | None = None
    hold: int | None = None
    size: Size = Size("all_in")
