"""The templates, by family: typed sentences of the language with ranges for their numbers.

What belongs here: the sentences. What does not: how their settings are explored (`systematic`).
Ranges lean to lengths of hours and days: at ten basis points a side, rules that trade every few bars pay more than
they can earn.
"""

from __future__ import annotations

from strategy_pipeline.generation.templates import activity, knowledge, price

TEMPLATES = (*price.TEMPLATES, *activity.TEMPLATES, *knowledge.TEMPLATES)
