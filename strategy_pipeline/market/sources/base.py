"""The one protocol that every source of market data keeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import pandas as pd

# Columns of raw bar rows: these always, the optional ones where the source has them.
BAR_COLUMNS = ("ts", "symbol", "open", "high", "low", "close", "volume")
OPTIONAL_BAR_COLUMNS = ("quote_volume", "trades", "taker_buy_volume")


@runtime_checkable
class MarketSource(Protocol):
    """Where a market comes from. Rows are raw: quality rules run on them afterwards, so nothing is mended here.

    Times given and returned are UTC; ranges are half-open in ``ts`` (`start` included, `end` not; None: unbounded).
    """

    @property
    def name(self) -> str:
        """What the user calls it: sample, files, indices, ccxt."""
        ...

    @property
    def simulated(self) -> bool:
        """Whether the market is invented, so every output made from it must say so."""
        ...

    def symbols(self) -> tuple[str, ...]:
        """Every symbol it holds, ``BASE/QUOTE``: sorted, or in the order of its own table (sample)."""
        ...

    def listings(self) -> pd.DataFrame:
        """Columns ``symbol, listed, delisted`` (datetime64[ns, UTC]; delisted is NaT while the symbol still trades)."""
        ...

    def bars(self, timeframe: str, symbols: Sequence[str] | None, start: Any, end: Any) -> pd.DataFrame:
        """Raw long rows: `BAR_COLUMNS` (ts datetime64[ns, UTC], numbers float64), then those of `OPTIONAL_BAR_COLUMNS` it has.

        Raises
        ------
        UnknownSymbolError
            A symbol is not held; the message lists near matches.
        NoDataError
            Nothing lies in the range; the message says what range there is.
        """
        ...

    def observations(self, table: str, start: Any, end: Any) -> pd.DataFrame:
        """Rows of an observation table (see `OBSERVATION_TABLES`), an empty table when it has none."""
        ...

    def notes(self) -> list[str]:
        """Choices made so far that are worth printing: a venue chosen, a timeframe resampled, rows skipped."""
        ...
