"""`LiveSource`: another source's bars, with observations read live beside its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from strategy_pipeline.errors import SettingsError, SourceError
from strategy_pipeline.market.sources.base import MarketSource
from strategy_pipeline.market.sources.live import derivatives, numbers, texts
from strategy_pipeline.market.sources.live.archive import Archive, _utc, joined
from strategy_pipeline.market.sources.live.base import LiveConfig, LiveReader
from strategy_pipeline.market.sources.live.http import Http

LIVE_READERS: dict[str, Callable[[LiveConfig], LiveReader]] = {
    "rss": texts.FeedReader,
    "reddit": texts.ForumReader,
    "fear_greed": numbers.FearGreedReader,
    "fred": numbers.MacroReader,
    "market_cap": numbers.MarketCapReader,
    "on_chain": numbers.OnChainReader,
    "funding": derivatives.FundingReader,
    "open_interest": derivatives.OpenInterestReader,
}


def live_readers(config: LiveConfig) -> list[LiveReader]:
    """The readers that `config.readers` names, each once. SettingsError for a name that is none."""
    for name in config.readers:
        if name not in LIVE_READERS:
            raise SettingsError(f"Expected live readers of {', '.join(LIVE_READERS)}, was {name!r}; name some of these, or none")
    return [LIVE_READERS[name](config) for name in dict.fromkeys(config.readers)]


class LiveSource:
    """A market source whose observation tables also hold what live readers saw.

    Parameters
    ----------
    base : gives bars, symbols, listings, and its own observations
    config : which readers, and how they ask
    folder : where the archives are kept, one file a reader
    now : the moment of reading; None takes the clock of the server that answers
    readers : in place of those that `config` names
    sleep : called with seconds

    A table is read live when a range is asked for that reaches beyond what its readers have seen; earlier ranges are
    answered from the archive, so that running a past day again asks nobody and finds what was found then. A reader that
    fails is noted and asked again next time: one dead feed does not stop a day.

    Raises
    ------
    SettingsError
        A reader is unknown, or the base is simulated: real news would be told about an invented market.
    """

    def __init__(
        self,
        base: MarketSource,
        config: LiveConfig,
        *,
        folder: Path,
        now: Any = None,
        readers: Sequence[LiveReader] | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if base.simulated:
            raise SettingsError(
                f"Expected a real market beside live readers, was source={base.name}, which is simulated: real news would be told "
                "about an invented market; set source to ccxt, files or indices, or leave `live` empty"
            )
        self._base = base
        self._readers = list(live_readers(config) if readers is None else readers)
        self._archives = {reader.name: Archive(Path(folder) / f"{reader.name}.parquet", reader) for reader in self._readers}
        self._now = None if now is None else _utc(now)
        self._http = Http(agent=config.agent, spacing=config.spacing, attempts=config.attempts, timeout=config.timeout, sleep=sleep)
        self._notes: dict[str, None] = {}
        if hasattr(base, "calendar"):
            self.calendar = base.calendar

    @property
    def name(self) -> str:
        return self._base.name

    @property
    def simulated(self) -> bool:
        return self._base.simulated

    def symbols(self) -> tuple[str, ...]:
        return self._base.symbols()

    def listings(self) -> pd.DataFrame:
        return self._base.listings()

    def bars(self, timeframe: str, symbols: Sequence[str] | None, start: Any, end: Any) -> pd.DataFrame:
        return self._base.bars(timeframe, symbols, start, end)

    def notes(self) -> list[str]:
        return [*self._base.notes(), *self._notes]

    def observations(self, table: str, start: Any, end: Any) -> pd.DataFrame:
        """The base's rows and the live ones with ts in [start, end)."""
        live = [reader for reader in self._readers if reader.table == table]
        for reader in live:
            seen = self._archives[reader.name].seen_until
            if end is None or seen is None or seen < _utc(end):
                self._poll(reader)
        own = self._base.observations(table, start, end)
        return joined([own, *(self._archives[reader.name].read(start, end) for reader in live)], table)

    def poll(self, now: Any = None) -> dict[str, int]:
        """Asks every reader now, whatever was seen; new rows by reader. For feeds that forget faster than a day."""
        moment = self._now if now is None else _utc(now)
        return {reader.name: self._poll(reader, moment) for reader in self._readers}

    def _poll(self, reader: LiveReader, now: pd.Timestamp | None = None) -> int:
        try:
            reading = reader.poll(self._http)
            moment = now or self._now or reading.moment
            if moment is None:
                raise SourceError(f"Expected the moment at which {reader.name} was read, was none: its server tells no time; give `now`")
        except SourceError as error:
            self._notes[f"live {reader.name}: {error}"] = None
            return 0
        for failure in reading.failures:
            self._notes[f"live {reader.name}: {failure}"] = None
        new = self._archives[reader.name].add(reading, moment) if len(reading.rows) or reading.moment else 0
        self._notes[f"live {reader.name}: {new} new rows at {moment:%Y-%m-%d %H:%M} UTC"] = None
        return new
