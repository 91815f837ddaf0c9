"""The sample market: a simulated crypto market, offline, the same for the same seed.

What belongs here: the universe with its planted edges and null symbols (`universe`), the hourly path (`hours`,
`kernels`), the minutes inside an hour (`minutes`), news and posts (`stories`), macro, mood, fundamentals, funding
and open interest (`context`), and the source that serves them (`source`). What does not: anything that reads a real
venue or a file. docs/sample_market.md describes it for people.
"""

from __future__ import annotations

from strategy_pipeline.market.sources.sample.source import SampleSource
from strategy_pipeline.market.sources.sample.universe import NULL_SYMBOLS, PLANTED_EDGES, PlantedEdge

__all__ = ["NULL_SYMBOLS", "PLANTED_EDGES", "PlantedEdge", "SampleSource"]
