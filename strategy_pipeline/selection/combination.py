"""Two looks that share one level: what training proves about a search loosens what validation must prove about its find.

Under the hypothesis that nothing the search could draw has an edge, the p-value of the training test is uniform or larger, and
independent of validation days. Fisher's (1932) product of the two, with a ceiling on the second, is the rule: a look
passes when its validation p-value is at most ``min(ceiling, c / p)`` for a training p-value of p. The chance of that is
``c + c log(ceiling / c)`` (the ceiling for p up to c / ceiling, then c / p), and c is the number that makes it the level
asked for. However many strategies a search tried, and however it bred them, the level holds: training tests a set of
strategies drawn beforehand, and validation is not read before the looks are chosen. The ceiling bounds the error where something
else has an edge: a strategy without one then passes in at most that share of cases.
"""

from __future__ import annotations

import math

from strategy_pipeline.selection.errors import InvalidReturnsError


def product_bound(level: float, ceiling: float) -> float:
    """c of ``c (1 + log(ceiling / c)) = level``, by bisection to the last digit; the ceiling itself when the level is as high."""
    if not 0 < level <= ceiling < 1:
        raise InvalidReturnsError(f"Expected 0 < level <= validation_level < 1, was {level} and {ceiling}; 0.02 and 0.07 are the gate's")
    low, high = 0.0, ceiling
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if middle * (1 + math.log(ceiling / middle)) < level else (low, middle)
    return high


def allowed_p_value(search_p_value: float, level: float, ceiling: float) -> float:
    """The largest validation p-value that passes, for a training p-value of the search; `level` where that is NaN (not tested)."""
    if math.isnan(search_p_value):
        return level
    return min(ceiling, product_bound(level, ceiling) / search_p_value)
