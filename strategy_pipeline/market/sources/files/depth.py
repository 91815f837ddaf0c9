"""Order-book depth from a snapshot and the updates after it.

What belongs here: replaying updates into the top of the book, once a second. What does not: best quotes, which files
give as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from strategy_pipeline.market.sources.files.bar_layouts import corrupt

LEVELS = 10
_SECOND = 1_000_000_000


def replay(snapshots: Path, updates: Path) -> pd.DataFrame:
    """The ten best levels of each side at every full second after the snapshot of each (venue, symbol).

    Parameters
    ----------
    snapshots : Parquet with ``recv_ns, venue, symbol, side (b, a), level, price, qty``
    updates : Parquet with ``ts, recv_ns, venue, symbol, side, price, qty``; quantity 0 deletes a level

    Returns
    -------
    DataFrame ``ts, recv_ns, venue, symbol, level, bid, bid_qty, ask, ask_qty``
        ``ts`` is the exchange's time of the last update applied and ``recv_ns`` the full second at which the book
        stood so. A second in which nothing came gives no row. Updates received before the snapshot
        are applied too: some of them are younger than it, and as quantities are absolute, the others change nothing.
    """
    book, changes = _read(snapshots, ["recv_ns", "venue", "symbol", "side", "price", "qty"]), _read(updates, None)
    parts = []
    for (venue, symbol), start in book.groupby(["venue", "symbol"], sort=True):
        taken = int(start["recv_ns"].min())
        first = start[start["recv_ns"] == taken]
        mine = changes[(changes["venue"] == venue) & (changes["symbol"] == symbol)]
        rows = [row for row in _states(first, mine.sort_values("recv_ns", kind="stable")) if row[1] >= taken]
        if rows:
            part = pd.DataFrame(rows, columns=["ts", "recv_ns", "level", "bid", "bid_qty", "ask", "ask_qty"])
            parts.append(part.assign(venue=str(venue), symbol=str(symbol)))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"ts": []})


def _states(first: pd.DataFrame, changes: pd.DataFrame) -> Iterator[tuple[int, int, int, float, float, float, float]]:
    sides: dict[str, dict[float, float]] = {
        str(code): dict(zip(part["price"].tolist(), part["qty"].tolist(), strict=True)) for code, part in first.groupby("side")
    }
    bids, asks = sides.get("b", {}), sides.get("a", {})
    times = changes["ts"].dt.tz_convert("UTC").dt.tz_localize(None).to_numpy(dtype="datetime64[ns]").astype(np.int64).tolist()
    received = changes["recv_ns"].to_numpy(dtype=np.int64)
    seconds = (-(-received // _SECOND)).tolist()
    prices, quantities, codes = (changes[name].tolist() for name in ("price", "qty", "side"))
    for at, price in enumerate(prices):
        side = bids if codes[at] == "b" else asks
        if quantities[at] == 0:
            side.pop(price, None)
        else:
            side[price] = quantities[at]
        if at + 1 == len(prices) or seconds[at + 1] != seconds[at]:
            best_bids, best_asks = sorted(bids, reverse=True)[:LEVELS], sorted(asks)[:LEVELS]
            for level, (bid, ask) in enumerate(zip(best_bids, best_asks, strict=False)):
                yield times[at], seconds[at] * _SECOND, level, bid, bids[bid], ask, asks[ask]


def _read(path: Path, columns: list[str] | None) -> pd.DataFrame:
    try:
        return pq.read_table(path, columns=columns).to_pandas()
    except (pa.ArrowInvalid, OSError) as error:
        raise corrupt(path, "Parquet", error) from error
