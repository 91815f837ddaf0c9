"""Live observations: news, posts, moods, macro, market caps, chains, funding and open interest, as they are published.

What belongs here: polite HTTP (`http`), one reader per format (`texts`, `numbers`, `derivatives`), the archive that
remembers when each row was first seen (`archive`), and the source that adds them to another (`source`). What does not:
scoring texts and matching them to assets (features), bars (`exchange`). Nothing here runs unless it is asked for.
"""

from __future__ import annotations

from strategy_pipeline.market.sources.live.base import LiveConfig, LiveReader, Reading
from strategy_pipeline.market.sources.live.source import LIVE_READERS, LiveSource, live_readers

__all__ = ["LIVE_READERS", "LiveConfig", "LiveReader", "LiveSource", "Reading", "live_readers"]
