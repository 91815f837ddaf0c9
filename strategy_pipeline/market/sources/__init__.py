"""Sources: each reads a market from somewhere and keeps the protocol of `base.MarketSource`.

What belongs here: reading rows and saying when each could be known. What does not: judging or mending them (quality).
Each source lives in its own module, imported only when it is opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from strategy_pipeline.market.sources.base import BAR_COLUMNS, OPTIONAL_BAR_COLUMNS, MarketSource

if TYPE_CHECKING:
    from strategy_pipeline.config import Settings

__all__ = ["BAR_COLUMNS", "OPTIONAL_BAR_COLUMNS", "MarketSource", "open_source"]


def open_source(settings: Settings) -> MarketSource:
    """The source that ``settings.source`` names (sample, files, indices or ccxt), with the live readers of ``settings.live`` beside it."""
    source = _plain_source(settings)
    if not settings.live:
        return source
    from strategy_pipeline.market.sources.live import LiveConfig, LiveSource

    return LiveSource(source, LiveConfig(readers=settings.live, symbols=settings.symbols), folder=settings.home / "live")


def _plain_source(settings: Settings) -> MarketSource:
    if settings.source == "files":
        from strategy_pipeline.market.sources.files import FilesSource

        return FilesSource(settings)
    if settings.source == "indices":
        from strategy_pipeline.market.sources.indices import IndicesSource

        return IndicesSource(settings)
    if settings.source == "ccxt":
        from strategy_pipeline.market.sources.exchange import ExchangeSource

        return ExchangeSource(settings)
    from strategy_pipeline.market.sources.sample import SampleSource

    return SampleSource(settings)
