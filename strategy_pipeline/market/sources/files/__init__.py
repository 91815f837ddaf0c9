"""Files: a market in the layouts people already have.

Bars: this project's Parquet (and CSV), Binance public klines (CSV or zip, with or without header, stamps in milli- or
microseconds), CryptoDataDownload CSV, freqtrade JSON and feather. Observations: news, Fear & Greed, macro,
fundamentals, funding, open interest, trades, book quotes and depth. What belongs here: recognising, choosing, reading.
What does not: judging rows (quality).
"""

from strategy_pipeline.market.sources.files.source import FilesSource, read_bars

__all__ = ["FilesSource", "read_bars"]
