"""`Strategy`: one candidate, as data.

What belongs here: the frozen record and its parts, and what makes a record wrong in itself. Reading and
writing text and JSON, the meaning of conditions and the tunable parameters live beside it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, cast

from strategy_pipeline.config import TIMEFRAMES
from strategy_pipeline.errors import StrategyError
from strategy_pipeline.indicators.expressions import Number, Value
from strategy_pipeline.strategies.canonical import canonical_value, finite
from strategy_pipeline.strategies.conditions import Condition
from strategy_pipeline.strategies.documents import canonical_json, read_strategy, strategy_document
from strategy_pipeline.strategies.naming import SYMBOL, near
from strategy_pipeline.strategies.own_timeframe import settled, value_without_own_timeframe
from strategy_pipeline.strategies.writing import strategy_text

FAMILIES = (
    "momentum", "mean_reversion", "breakout", "trend", "volatility", "volume", "sentiment", "macro", "cross_asset", "ml", "rl", "ensemble",
)  # fmt: skip
# Widest distances that still mean something: a stop of 100 % is never reached from above zero.
_LIMITS = {"stop": 1.0, "trail": 1.0, "take": 10.0, "breakeven": 10.0}
_ATR_MULTIPLE = 100.0
EVERY_SYMBOL = ("*",)
_SIZES = {"all_in": 1.0, "fraction": 1.0, "volatility_target": 5.0, "kelly": 1.0}


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
    """One candidate. Building one checks it and puts it into canonical form, so equal strategies are equal
    objects with equal `id`s. StrategyError names the field that is wrong.

    family
        One of `FAMILIES`.
    symbols
        ``("*",)`` for every symbol of the bars given (judged pooled), or the named ones, sorted.
    enter_long, enter_short
        At least one is given.
    exit_long, exit_short
        When to leave a long / a short by signal; ``exit when`` in the text sets both. The exit of a side that
        is never entered is dropped.
    stop, take, trail
        Distances set from the fill price before slippage; None is none.
    hold
        Leave at the open of entry bar + hold; None is no limit.
    breakeven
        Once the price has moved this far in favour, by the bars before, the stop stands at the fill price before slippage
        at least.
    cooldown
        Bars, the one of the exit included, at which no entry is decided after a losing trade.
    against
        The second leg of a pair, for the family cross_asset: a long is long each of `symbols` and short this one, of equal
        notional, a short the reverse. Distances are then in percent, of the pair's own value. None is no pair.
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
    breakeven: Level | None = None
    cooldown: int | None = None
    against: str | None = None
    _id: str | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        settle = object.__setattr__
        if self.family not in FAMILIES:
            raise StrategyError(f"Expected a family of {', '.join(FAMILIES)}, was {self.family!r}{near(self.family, FAMILIES)}.")
        settle(self, "symbols", _symbols(self.symbols))
        if self.timeframe not in TIMEFRAMES:
            raise StrategyError(f"Expected a timeframe of {', '.join(TIMEFRAMES)}, was {self.timeframe!r}.")
        settle(self, "timeframe", TIMEFRAMES[TIMEFRAMES.index(self.timeframe)])
        if self.enter_long is None and self.enter_short is None:
            raise StrategyError("Expected enter_long or enter_short, was neither: the strategy would never trade.")
        for side in ("long", "short"):
            for name in (f"enter_{side}", f"exit_{side}"):
                condition = getattr(self, name)
                if condition is not None:
                    entered = name.startswith("enter") or getattr(self, f"enter_{side}") is not None
                    own = settled(condition, self.timeframe)
                    settle(self, name, own if entered else None)
        for name in ("stop", "take", "trail", "breakeven"):
            if getattr(self, name) is not None:
                settle(self, name, _level(name, getattr(self, name)))
        if self.hold is not None:
            settle(self, "hold", _whole("hold", self.hold, 1, 1_000_000))
        if self.cooldown is not None:
            settle(self, "cooldown", _whole("cooldown", self.cooldown, 1, 1_000_000))
        settle(self, "size", _size(self.size, self.timeframe))
        if self.against is not None:
            _check_pair(self)
        _check_reach(self)

    @property
    def id(self) -> str:
        """The first 16 hexadecimal digits of SHA-256 over the canonical JSON: equal strategies, equal ids."""
        known = self._id
        if known is None:
            known = hashlib.sha256(canonical_json(self).encode()).hexdigest()[:16]
            object.__setattr__(self, "_id", known)
        return known

    @property
    def text(self) -> str:
        """The strategy as sentences; `parse(strategy.text) == strategy`."""
        return strategy_text(self)

    def __str__(self) -> str:
        return strategy_text(self)

    def to_json(self) -> dict[str, Any]:
        """The strategy as JSON data (see `documents`); `Strategy.from_json(strategy.to_json()) == strategy`."""
        return strategy_document(self)

    @classmethod
    def from_json(cls, document: object) -> Strategy:
        """The strategy of a JSON document; StrategyError says which key is wrong, and why."""
        return read_strategy(document)


@lru_cache(1 << 14)
def _shared(part: Level | Size | tuple[str, ...]) -> Level | Size | tuple[str, ...]:
    """One object for equal parts: a population is then told apart by identity, without comparing field by field."""
    return part


def _symbols(symbols: object) -> tuple[str, ...]:
    if isinstance(symbols, str) or not isinstance(symbols, (tuple, list)) or not symbols:
        raise StrategyError(f"Expected symbols as a tuple such as ('BTC/USDT',) or ('*',), was {symbols!r}.")
    if tuple(symbols) == ("*",):
        return EVERY_SYMBOL
    for symbol in symbols:
        if not isinstance(symbol, str) or not SYMBOL.fullmatch(symbol):
            raise StrategyError(f"Expected a symbol written BASE/QUOTE such as BTC/USDT, or * alone for all, was {symbol!r}.")
    return cast("tuple[str, ...]", _shared(tuple(sorted(set(symbols)))))


def _check_pair(strategy: Strategy) -> None:
    if strategy.family != "cross_asset":
        raise StrategyError(f"Expected family cross_asset of a pair (against {strategy.against}), was {strategy.family}.")
    if not isinstance(strategy.against, str) or not SYMBOL.fullmatch(strategy.against):
        raise StrategyError(f"Expected against as a symbol written BASE/QUOTE such as ETH/USDT, was {strategy.against!r}.")
    if strategy.against in strategy.symbols:
        raise StrategyError(
            f"Expected against as another symbol than {', '.join(strategy.symbols)}, was {strategy.against}: it has no spread."
        )
    for name in _LIMITS:
        level = getattr(strategy, name)
        if level is not None and level.kind != "percent":
            raise StrategyError(f"Expected {name} of a pair in percent of its value, was atr: a pair has no range of its own.")


def _check_reach(strategy: Strategy) -> None:
    """Distances that contradict one another, or that no price reaches."""
    take, even = strategy.take, strategy.breakeven
    alike = take is not None and even is not None and (take.kind, take.length) == (even.kind, even.length)
    if take is not None and even is not None and alike and even.value >= take.value:
        shown = [f"{level.value:.6g} ATR" if level.kind == "atr" else f"{level.value:.6%}" for level in (take, even)]
        raise StrategyError(f"Expected breakeven below take ({shown[0]}), was {shown[1]}: the target is met before it could act.")
    for name in ("take", "breakeven"):
        level = getattr(strategy, name)
        if strategy.enter_long is None and level is not None and level.kind == "percent" and level.value >= 1.0:
            raise StrategyError(
                f"Expected {name} below 100% of a strategy that is only ever short, was {level.value:.6%}: no price would reach it."
            )


def _whole(name: str, value: object, low: int, high: int) -> int:
    number = finite(value, name)
    if number != int(number) or not low <= number <= high:
        raise StrategyError(f"Expected {name} as a whole number from {low} to {high}, was {value!r}.")
    return int(number)


def _level(name: str, level: object) -> Level:
    if not isinstance(level, Level):
        raise StrategyError(f"Expected {name} as a Level, was {level!r}.")
    value = finite(level.value, name)
    if level.kind == "percent":
        if not 0 < value < _LIMITS[name]:
            raise StrategyError(
                f"Expected {name} above 0% and below {_LIMITS[name]:.0%} of the fill price, was {value:.6%}: "
                + ("it would close every position at once." if value <= 0 else "no price would reach it.")
            )
        if level.length:
            raise StrategyError(f"Expected {name} in percent without a length, was length {level.length}; only ATR distances have one.")
        return cast("Level", _shared(Level("percent", value)))
    if level.kind == "atr":
        if not 0 < value <= _ATR_MULTIPLE:
            raise StrategyError(f"Expected {name} as a multiple of the ATR above 0 and at most {_ATR_MULTIPLE:g}, was {value:g}.")
        return cast("Level", _shared(Level("atr", value, _whole(f"{name}'s ATR length", level.length, 1, 100_000))))
    raise StrategyError(f"Expected {name} in percent or atr, was {level.kind!r}.")


def _size(size: object, timeframe: str) -> Size:
    if not isinstance(size, Size) or size.kind not in _SIZES:
        raise StrategyError(f"Expected size of {', '.join(_SIZES)}, was {size!r}.")
    if size.series is not None and size.kind != "volatility_target":
        raise StrategyError(f"Expected a series with size volatility_target only, was one with {size.kind}.")
    if size.kind == "all_in":
        return cast("Size", _shared(Size("all_in")))
    value = finite(size.value, "size")
    if not 0 < value <= _SIZES[size.kind]:
        unit = "" if size.kind == "kelly" else " of equity" if size.kind == "fraction" else " annual volatility"
        raise StrategyError(f"Expected size {size.kind} above 0 and at most {_SIZES[size.kind]:g}{unit}, was {value:g}.")
    series = None if size.series is None else value_without_own_timeframe(canonical_value(size.series), timeframe)
    if isinstance(series, Number):
        raise StrategyError(f"Expected a volatility series after 'of' in size, was the number {series.value:g}.")
    return cast("Size", _shared(Size(size.kind, value, series)))
