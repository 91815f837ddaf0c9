"""Conditions: the boolean half of the language, as data.

Three-valued: a comparison with a NaN is unknown, `not` of unknown is unknown, `and` / `or` follow
Kleene. A rule fires only where it is true. A crossing needs two valid neighbouring bars:
``crosses_above(a, b)`` at t is ``a[t] > b[t] and a[t-1] <= b[t-1]``, unknown when any of the four is NaN.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from strategy_pipeline.indicators.expressions import Value

COMPARISONS = (">", "<", ">=", "<=", "crosses_above", "crosses_below")


@dataclass(frozen=True, slots=True)
class Compare:
    op: str  # one of COMPARISONS
    left: Value
    right: Value


@dataclass(frozen=True, slots=True)
class Not:
    term: Condition


@dataclass(frozen=True, slots=True)
class And:
    terms: tuple[Condition, ...]  # two or more, in canonical order, no duplicates


@dataclass(frozen=True, slots=True)
class Or:
    terms: tuple[Condition, ...]


Condition: TypeAlias = Compare | Not | And | Or
