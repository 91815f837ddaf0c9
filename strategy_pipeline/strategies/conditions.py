"""Conditions: the boolean half of the language, as data.

Three-valued: a comparison with a NaN is unknown, `not` of unknown is unknown, `and` / `or` follow
Kleene. A rule fires only where it is true. A crossing needs two valid neighbouring bars:
``crosses_above(a, b)`` at t is ``a[t] > b[t] and a[t-1] <= b[t-1]``, unknown when any of the four is NaN.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from strategy_pipeline.indicators.expressions import Hashed, Value

COMPARISONS = (">", "<", ">=", "<=", "crosses_above", "crosses_below")


@dataclass(frozen=True, slots=True)
class Compare(Hashed):
    op: str  # one of COMPARISONS
    left: Value
    right: Value

    __hash__ = Hashed.__hash__

    def _parts(self) -> tuple[Any, ...]:
        return (self.op, self.left, self.right)


@dataclass(frozen=True, slots=True)
class Not(Hashed):
    term: Condition

    __hash__ = Hashed.__hash__

    def _parts(self) -> tuple[Any, ...]:
        return ("Not", self.term)


@dataclass(frozen=True, slots=True)
class And(Hashed):
    terms: tuple[Condition, ...]  # two or more, in canonical order, no duplicates

    __hash__ = Hashed.__hash__

    def _parts(self) -> tuple[Any, ...]:
        return ("And", self.terms)


@dataclass(frozen=True, slots=True)
class Or(Hashed):
    terms: tuple[Condition, ...]

    __hash__ = Hashed.__hash__

    def _parts(self) -> tuple[Any, ...]:
        return ("Or", self.terms)


Condition: TypeAlias = Compare | Not | And | Or
