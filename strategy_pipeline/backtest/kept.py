"""A bank that is kept for one population after another, and the comparisons it remembers beside its series.

What belongs here: what outlives a population. What does not: how a population is run (`engine`). A search runs many small
populations that share most of their parts; each by itself would compute these parts again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping

import numpy as np

from strategy_pipeline.indicators import Bank, Value
from strategy_pipeline.indicators.bank import Node
from strategy_pipeline.market import Bars

SERIES_BYTES = 512 << 20  # above what `source` asks for at once: what is dropped before it is read is computed twice
ROW_BYTES = 96 << 20

Comparison = tuple[int, Value, Value]  # op and sides, as in `plan`


class KeptBank(Bank):
    """`Bank` for ``backtest(..., bank=)`` of one population after another on the same bars and series.

    It forgets nothing on request, only beyond `max_bytes`, and remembers bit rows of comparisons within `row_bytes`, the least
    recently used forgotten first. Numbers are those of a bank made anew, to the bit.
    """

    def __init__(
        self, bars: Bars, *, series: Mapping[str, np.ndarray] | None = None, workers: int = 0, max_bytes: int = SERIES_BYTES,
        row_bytes: int = ROW_BYTES,
    ) -> None:  # fmt: skip
        super().__init__(bars, series=series, workers=workers, max_bytes=max_bytes)
        self._row_limit, self._row_size = row_bytes, 0
        self._rows: OrderedDict[Comparison, np.ndarray] = OrderedDict()

    def release(self, nodes: Iterable[Node]) -> None:
        """Keep what one population no longer needs: the next may."""

    def row(self, comparison: Comparison) -> np.ndarray | None:
        """The bits of a comparison, uint64 (n_symbols, n_words), or None."""
        found = self._rows.get(comparison)
        if found is not None:
            self._rows.move_to_end(comparison)
        return found

    def keep_row(self, comparison: Comparison, row: np.ndarray) -> None:
        """Remember a copy of the bits of a comparison that is not known yet."""
        if comparison in self._rows:
            return
        self._rows[comparison] = row.copy()
        self._row_size += row.nbytes
        while self._row_size > self._row_limit and len(self._rows) > 1:
            self._row_size -= self._rows.popitem(last=False)[1].nbytes
