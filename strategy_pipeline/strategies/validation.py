"""Whether a strategy can run and means something: names, parameters, timeframes, types.

What does not belong here: what makes a record wrong in itself (`strategy`), and grammar (`parsing`).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from strategy_pipeline.errors import StrategyError
from strategy_pipeline.indicators.expressions import Series, Value
from strategy_pipeline.strategies.conditions import Compare, Condition
from strategy_pipeline.strategies.kinds import comparison_problem, kind_of
from strategy_pipeline.strategies.naming import PRICE_FIELDS, near
from strategy_pipeline.strategies.needs import rules
from strategy_pipeline.strategies.strategy import Strategy
from strategy_pipeline.strategies.traverse import comparisons, series_of
from strategy_pipeline.strategies.vocabulary import entry, problems_of_series, words
from strategy_pipeline.strategies.writing import value_text


def validate(strategy: Strategy, known_series: Iterable[str] | None = ()) -> None:
    """Raise StrategyError with everything that is wrong, in sentences, and the strategy's id; return when nothing is.

    Parameters
    ----------
    strategy
        As parsed or built.
    known_series
        Names of the named series that will be there (``forecast.return_24h``), for the strategy's own words and for
        indicators that read some (``correlation_vix`` reads ``macro.vix``); None accepts any.
    """
    if wrong := problems(strategy, known_series):
        raise StrategyError(f"{' '.join(wrong)} (strategy {strategy.id}, {strategy.family})")


def problems(strategy: Strategy, known_series: Iterable[str] | None = ()) -> list[str]:
    """What is wrong with a strategy, a sentence each, without repeats; empty when it can run."""
    known = None if known_series is None else frozenset(known_series)
    one_symbol = len(strategy.symbols) == 1 and strategy.symbols != ("*",)
    found: dict[str, None] = {}
    for rule in rules(strategy).values():
        found.update(dict.fromkeys(_rule_problems(rule, strategy.timeframe, one_symbol, known)))
    if strategy.size.series is not None:
        found.update(dict.fromkeys(_size_problems(strategy.size.series, strategy.timeframe, known)))
    return list(found)


@lru_cache(1 << 15)
def _rule_problems(rule: Condition, timeframe: str, one_symbol: bool, known: frozenset[str] | None) -> tuple[str, ...]:
    return tuple(problem for comparison in comparisons(rule) for problem in _comparison_problems(comparison, timeframe, one_symbol, known))


@lru_cache(1 << 15)
def _comparison_problems(comparison: Compare, timeframe: str, one_symbol: bool, known: frozenset[str] | None) -> tuple[str, ...]:
    found = [*_value_problems(comparison.left, timeframe, known), *_value_problems(comparison.right, timeframe, known)]
    if not found and (problem := comparison_problem(comparison, one_symbol)) is not None:
        found.append(problem)
    return tuple(found)


@lru_cache(1 << 15)
def _value_problems(value: Value, timeframe: str, known: frozenset[str] | None) -> tuple[str, ...]:
    found: list[str] = []
    for series in series_of(value):
        if series.name in PRICE_FIELDS:
            if series.inputs or series.params or series.output:
                found.append(f"Expected no arguments of the price field {series.name}, was {value_text(series)}.")
        elif "." in series.name:
            if known is not None and series.name not in known:
                found.append(f"Expected a named series that exists, was {series.name!r}{near(series.name, known)}{_given(known)}.")
        elif (indicator := entry(series.name)) is None:
            found.append(
                f"Expected a price field, an indicator of the catalog or a named series, was {series.name!r}{near(series.name, words())}."
            )
        else:
            found.extend(problems_of_series(series))
            absent = [name for name in indicator.named_inputs if known is not None and name not in known]
            if known is not None and absent:
                read = " and ".join(absent)
                found.append(f"Expected {read} among the named series, which {value_text(series)} reads, was absent{_given(known)}.")
    return (*found, *_timeframe_problems(value, timeframe))


def _given(known: frozenset[str]) -> str:
    """What there is instead."""
    if not known:
        return "; no named series are given"
    return f"; there are {', '.join(sorted(known)[:8])}{' and others' if len(known) > 8 else ''}"


def _timeframe_problems(value: Value, around: str) -> list[str]:
    from strategy_pipeline.market.timeframes import divides

    if not isinstance(value, Series):
        return [problem for term in getattr(value, "operands", ()) for problem in _timeframe_problems(term, around)]
    found: list[str] = []
    inside = around
    if value.timeframe is not None:
        inside = value.timeframe
        if not divides(around, inside):
            found.append(
                f"Expected a timeframe that {around} bars divide in {value_text(value)}, was {inside}: only coarser bars can be built."
            )
    return found + [problem for term in value.inputs for problem in _timeframe_problems(term, inside)]


def _size_problems(value: Value, timeframe: str, known: frozenset[str] | None) -> list[str]:
    found = list(_value_problems(value, timeframe, known))
    if not found:
        try:
            kind = kind_of(value)
        except StrategyError as error:
            return [str(error)]
        if kind.unit not in ("volatility", "ratio", "mixed"):
            found.append(f"Expected an annualised volatility to size by, was {value_text(value)}, {kind}.")
    return found
