"""How a rule is traded: its side, its filter, its stops, its time limit, its size.

The lists are what systematic generation explores beside a template's numbers; a choice listed twice is drawn twice as often.
"""

from __future__ import annotations

from dataclasses import dataclass

from strategy_pipeline.generation.context import Market
from strategy_pipeline.strategies.conditions import Condition
from strategy_pipeline.strategies.parsing import parse_condition, parse_value
from strategy_pipeline.strategies.strategy import Level, Size

SIDES = (("long", "short"), ("long", "short"), ("long",), ("short",))
HOLDS: tuple[int | None, ...] = (None, None, None, 24, 48, 96, 168)
# For rules that have no exit of their own.
LIMITS: tuple[int | None, ...] = (6, 12, 18, 24, 36, 48, 72, 96, 168)


@dataclass(frozen=True, slots=True)
class Risk:
    """Stop, target, trail and break-even of a trade, and the rest after a losing one; None is none."""

    stop: Level | None = None
    take: Level | None = None
    trail: Level | None = None
    breakeven: Level | None = None
    cooldown: int | None = None


def _atr(multiple: float, length: int = 14) -> Level:
    return Level("atr", multiple, length)


def _percent(percent: float) -> Level:
    return Level("percent", percent / 100)


RISKS = (
    Risk(),
    Risk(),
    Risk(),
    Risk(),
    Risk(stop=_atr(2.0)),
    Risk(stop=_atr(4.0, 24)),
    Risk(stop=_percent(3.0)),
    Risk(stop=_percent(8.0)),
    Risk(stop=_atr(3.0), take=_atr(3.0)),
    Risk(stop=_atr(2.0), take=_atr(4.0)),
    Risk(stop=_atr(3.0, 24), take=_atr(9.0, 24)),
    Risk(stop=_percent(3.0), take=_percent(6.0)),
    Risk(trail=_atr(3.0)),
    Risk(trail=_atr(6.0, 24)),
    Risk(trail=_percent(4.0)),
    Risk(stop=_atr(3.0), take=_atr(6.0), trail=_percent(5.0)),
    Risk(stop=_atr(2.0), take=_atr(6.0), breakeven=_atr(2.0)),
    Risk(stop=_percent(3.0), cooldown=24),
)

# Of pairs, whose distances are of their own value.
PAIR_RISKS = (
    Risk(),
    Risk(),
    Risk(),
    Risk(stop=_percent(2.0)),
    Risk(stop=_percent(4.0)),
    Risk(stop=_percent(3.0), cooldown=24),
    Risk(stop=_percent(3.0), take=_percent(3.0)),
    Risk(stop=_percent(3.0), take=_percent(6.0), breakeven=_percent(2.0)),
    Risk(trail=_percent(3.0)),
)

# (long, short) conditions added to an entry; words as in templates.
_FILTERS = (
    ("close > ema(close, 200)", "close < ema(close, 200)"),
    ("adx(14) > 20", "adx(14) > 20"),
    ("volume_ratio(48) > 1", "volume_ratio(48) > 1"),
    ("volatility_ratio(close, 24, 168) < 1.2", "volatility_ratio(close, 24, 168) < 1.2"),
    ("efficiency_ratio(close, 48) > 0.15", "efficiency_ratio(close, 48) > 0.15"),
    ("close@<higher> > ema(close, 20)@<higher>", "close@<higher> < ema(close, 20)@<higher>"),
    ("<calm> > 0.6", "<calm> > 0.6"),
    ("<turbulent> > 0.5", "<turbulent> > 0.5"),
)


@dataclass(frozen=True, slots=True)
class Filter:
    """Conditions an entry must meet as well."""

    long: Condition
    short: Condition


def filters(market: Market) -> tuple[Filter | None, ...]:
    """No filter (half of the list), and each general filter that this market has the words for."""
    made: list[Filter] = []
    for long, short in _FILTERS:
        words = [word for word in ("higher", "calm", "turbulent") if f"<{word}>" in long]
        chosen = {word: market.word(word) for word in words}
        if all(chosen.values()):
            for word, values in chosen.items():
                long, short = (text.replace(f"<{word}>", values[0]) for text in (long, short))
            made.append(Filter(parse_condition(long), parse_condition(short)))
    return (*([None] * len(made)), *made)


def sizes(market: Market) -> tuple[Size, ...]:
    """All of equity (drawn most), volatility targets (also by the forecast where there is one), a fraction, half of Kelly."""
    by_forecast = tuple(Size("volatility_target", 0.3, parse_value(series)) for series in market.word("volatility")[:1])
    return (
        Size("all_in"), Size("all_in"), Size("all_in"), Size("volatility_target", 0.2), Size("volatility_target", 0.4),
        Size("fraction", 0.5), Size("kelly", 0.5), *by_forecast,
    )  # fmt: skip
