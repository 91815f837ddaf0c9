"""Any exchange that ccxt reads, as a source of market data.

What belongs here: asking an exchange politely and again when it fails (`client`), downloading a range page by page
so that it can be taken up where it broke off (`download`), keeping the pages (`pages`), and the source that serves
them (`source`). What does not: judging bars, orders, keys. ccxt itself is imported when a source is opened.
"""

from __future__ import annotations

from strategy_pipeline.market.sources.exchange.source import ExchangeSource

__all__ = ["ExchangeSource"]
