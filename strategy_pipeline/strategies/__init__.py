"""The strategy language: what a strategy is, how it reads, and what it means.

What belongs here: the frozen `Strategy` with its conditions, its text and JSON forms, canonical form and id, types,
the three-valued truth of conditions, and the numbers an optimiser may tune. What does not: how a value is computed
(`indicators`), how orders fill (`backtest`), and where new strategies come from (`generation`).
"""

from __future__ import annotations

from strategy_pipeline.strategies.conditions import COMPARISONS, And, Compare, Condition, Not, Or
from strategy_pipeline.strategies.lexer import StrategySyntaxError
from strategy_pipeline.strategies.needs import atr_series, conditions_of, rules, sizing_series, values_of
from strategy_pipeline.strategies.parameters import Parameter, parameters, with_parameters
from strategy_pipeline.strategies.parsing import parse, parse_condition, parse_value
from strategy_pipeline.strategies.semantics import truth
from strategy_pipeline.strategies.strategy import FAMILIES, Level, Size, Strategy
from strategy_pipeline.strategies.validation import problems, validate
from strategy_pipeline.strategies.writing import condition_text, value_text

__all__ = [
    "COMPARISONS",
    "FAMILIES",
    "And",
    "Compare",
    "Condition",
    "Level",
    "Not",
    "Or",
    "Parameter",
    "Size",
    "Strategy",
    "StrategySyntaxError",
    "atr_series",
    "condition_text",
    "conditions_of",
    "parameters",
    "parse",
    "parse_condition",
    "parse_value",
    "problems",
    "rules",
    "sizing_series",
    "truth",
    "validate",
    "value_text",
    "values_of",
    "with_parameters",
]
