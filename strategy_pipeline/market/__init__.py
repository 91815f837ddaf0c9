"""What the world was: bars, observations, the sources they come from, and the rules they must pass.

What belongs here: `Bars` and its timeframes, observation tables with the moment each row could be known, readers of
files and venues, the simulated sample market, quality rules. What does not: anything computed from bars to predict
or to trade (indicators and the rooms below), and where results are kept (store).
"""

from __future__ import annotations

from strategy_pipeline.market import timeframes
from strategy_pipeline.market.bars import Bars
from strategy_pipeline.market.observations import OBSERVATION_TABLES
from strategy_pipeline.market.sources import MarketSource, open_source

__all__ = ["OBSERVATION_TABLES", "Bars", "MarketSource", "open_source", "timeframes"]
