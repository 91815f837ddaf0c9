"""Observation files: from the layouts people have to point-in-time tables.

What belongs here: one reader per layout, and when its rows could be known. The rules of availability:

- news and posts: at publication; a stamp of exactly midnight carries no time of day and counts from the day's end
- Fear & Greed, stamped with a day: from the next day on
- fundamentals of a day: at noon of the day after, when on-chain providers have published it
- macro: `releases`
- funding: when it is settled; open interest: when its interval is over
- trades, quotes and depth: when received, where the file says so (never before the exchange's stamp)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from strategy_pipeline.errors import MissingColumnError
from strategy_pipeline.market.observations import OBSERVATION_TABLES, empty_table
from strategy_pipeline.market.sources.files import bar_layouts
from strategy_pipeline.market.sources.files.choice import pick_venue
from strategy_pipeline.market.sources.files.depth import replay
from strategy_pipeline.market.sources.files.inventory import TableHolding
from strategy_pipeline.market.sources.files.names import read_name, stamps
from strategy_pipeline.market.sources.releases import macro_table
from strategy_pipeline.market.symbols import to_symbol

_DAY = pd.Timedelta(days=1)
_SOCIAL = {"twitter", "x", "reddit", "telegram", "stocktwits", "discord", "mastodon", "farcaster"}
# How headlines name an asset; words for the market as a whole name none.
_ASSETS = {
    "BITCOIN": "BTC", "ETHEREUM": "ETH", "ETHER": "ETH", "SOLANA": "SOL", "RIPPLE": "XRP", "CARDANO": "ADA", "DOGECOIN": "DOGE",
    "POLKADOT": "DOT", "LITECOIN": "LTC", "CHAINLINK": "LINK", "AVALANCHE": "AVAX", "POLYGON": "MATIC", "TRON": "TRX", "UNISWAP": "UNI",
}  # fmt: skip
_WHOLE_MARKET = {
    "",
    "NAN",
    "NONE",
    "<NA>",
    "ALTCOIN",
    "ALTCOINS",
    "BLOCKCHAIN",
    "CRYPTO",
    "CRYPTOCURRENCY",
    "NFT",
    "DEFI",
    "MARKET",
    "GENERAL",
}
_PRICE_COLUMNS = {"open", "high", "low", "close"}


def read_table(
    table: str, holdings: Sequence[TableHolding], venue: str | None, start: np.datetime64 | None = None, end: np.datetime64 | None = None
) -> tuple[pd.DataFrame, list[str]]:
    """Rows of `table` from every holding that feeds it, half-open in ``ts``, and notes on what was chosen.

    Where several venues hold a symbol's funding, open interest, trades or book, one is chosen as for bars.
    """
    if table not in OBSERVATION_TABLES:
        raise MissingColumnError(f"Expected a table of {', '.join(OBSERVATION_TABLES)}, was {table!r}; name one of these")
    parts = []
    for holding in holdings:
        if holding.layout == f"own:{table}":
            parts.append(_frame(holding.path))
        elif holding.layout in _READERS:
            feeds, reader = _READERS[holding.layout]
            if table in feeds and not (table == "book" and _elsewhen(holding.path, start, end)):
                parts.append(reader(holding.path, table))
    if table == "book":
        parts += [_depth(*pair) for pair in _depth_pairs(holdings) if not _elsewhen(pair[1], start, end)]
    parts = [part for part in (_between(part, start, end) for part in parts) if len(part)]
    if not parts:
        return empty_table(table), []
    frame = pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]
    notes: list[str] = []
    if "venue" in OBSERVATION_TABLES[table] and table != "executions":
        frame, notes = _one_venue(table, frame, venue)
    if table in ("fundamentals", "macro", "fear_greed"):
        keys = {"fundamentals": ["ts", "asset", "metric"], "macro": ["ts", "series"], "fear_greed": ["ts"]}[table]
        repeated = frame.duplicated(keys)
        if repeated.any():
            notes.append(f"{table}: {int(repeated.sum())} values were given by two files; those of the first file by name were kept")
            frame = frame[~repeated]
    return frame, notes


def _elsewhen(path: Path, start: np.datetime64 | None, end: np.datetime64 | None) -> bool:
    """Whether a Parquet file says of itself that no row has a ``ts`` in [start, end), so that it need not be read.

    Quotes and depth are large, and a day asks for one day of them. False where the file keeps no such statistics.
    """
    if path.suffix != ".parquet":
        return False
    try:
        held = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError):
        return False  # reading it tells what is wrong
    column = held.schema_arrow.get_field_index("ts")
    if column < 0 or not pa.types.is_timestamp(held.schema_arrow.field(column).type):
        return False
    groups = [held.metadata.row_group(n).column(column) for n in range(held.metadata.num_row_groups)]
    if any(group.path_in_schema != "ts" or group.statistics is None or not group.statistics.has_min_max for group in groups) or not groups:
        return False
    first, last = (stamps([bound(getattr(group.statistics, side) for group in groups)])[0] for bound, side in ((min, "min"), (max, "max")))
    return (end is not None and first >= pd.Timestamp(end, tz="UTC")) or (start is not None and last < pd.Timestamp(start, tz="UTC"))


def _between(frame: pd.DataFrame, start: np.datetime64 | None, end: np.datetime64 | None) -> pd.DataFrame:
    times = stamps(frame["ts"])
    keep = pd.Series(True, index=frame.index)
    if start is not None:
        keep &= times >= pd.Timestamp(start, tz="UTC")
    if end is not None:
        keep &= times < pd.Timestamp(end, tz="UTC")
    return frame if keep.all() else frame[keep]


def _one_venue(table: str, frame: pd.DataFrame, wanted: str | None) -> tuple[pd.DataFrame, list[str]]:
    keep = np.zeros(len(frame), dtype=bool)
    chosen: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    # Funding and open interest live on derivatives, so "spot before the rest" decides nothing there.
    for symbol, venues in frame.groupby("symbol", sort=True)["venue"].unique().items():
        order = pick_venue(venues, wanted)
        if not order:
            continue
        keep |= ((frame["symbol"] == symbol) & (frame["venue"] == order[0])).to_numpy()
        others = tuple(sorted(set(venues) - {order[0]}))
        if others:
            chosen.setdefault((order[0], others), []).append(str(symbol))
    notes = [
        f"{table}: venue {venue} for {', '.join(symbols)} (also there: {', '.join(others)}; choose with venue=NAME)"
        for (venue, others), symbols in sorted(chosen.items())
    ]
    return frame[keep], notes


def _frame(path: Path) -> pd.DataFrame:
    """The file's columns as they are."""
    name = path.name.removesuffix(".gz")
    if name.endswith((".parquet", ".feather")):
        try:
            return pq.read_table(path).to_pandas() if name.endswith(".parquet") else pd.read_feather(path)
        except (pa.ArrowInvalid, OSError) as error:
            raise bar_layouts.corrupt(path, "Parquet" if name.endswith(".parquet") else "feather", error) from error
    if name.endswith(".json"):
        return bar_layouts.read_bar_file(path)
    text = bar_layouts.read_text(path)
    columns, skip = bar_layouts.header_of(path, text)
    return bar_layouts.read_csv(path, text, columns or list(_HEADERLESS[read_name(path).table or ""]), skip)


_HEADERLESS: dict[str, tuple[str, ...]] = {
    "trades": ("id", "price", "qty", "quote_qty", "time", "is_buyer_maker", "is_best_match"),
    "aggTrades": (
        "agg_trade_id",
        "price",
        "quantity",
        "first_trade_id",
        "last_trade_id",
        "transact_time",
        "is_buyer_maker",
        "was_best_price",
    ),
    "fundingRate": ("calc_time", "funding_interval_hours", "last_funding_rate"),
    "metrics": ("create_time", "symbol", "sum_open_interest", "sum_open_interest_value"),
    "bookTicker": ("update_id", "best_bid_price", "best_bid_qty", "best_ask_price", "best_ask_qty", "transaction_time", "event_time"),
}


# ---- words and indices -------------------------------------------------------------------------------------------


def _asset(text: str) -> str:
    name = text.strip().upper()
    if name in _WHOLE_MARKET:
        return ""
    return _ASSETS.get(name, name.split("/")[0])


def _published(times: pd.Series) -> pd.Series:
    midnight = times == times.dt.floor("D")
    return times.where(~midnight, times + _DAY)


def _news(path: Path, table: str) -> pd.DataFrame:
    frame = _frame(path)
    social = frame["source"].astype("str").str.lower().isin(_SOCIAL)
    frame = frame[social if table == "social" else ~social]
    times = stamps(frame["ts"])
    names = frame["asset"].astype("str").fillna("")
    out = pd.DataFrame({"ts": times, "available_at": _published(times)})
    out["asset"] = names.map({name: _asset(name) for name in names.unique()}).astype("str")
    out["source"] = frame["source"]
    out["text"] = frame["text"]
    out["score"] = frame["score"] if "score" in frame.columns else np.nan
    if table == "news":
        out["title"] = frame["title"] if "title" in frame.columns else ""
    else:
        out["author"] = frame["author"] if "author" in frame.columns else ""
        out["reach"] = frame["reach"] if "reach" in frame.columns else np.nan
    return out


def _fear_greed(path: Path, table: str) -> pd.DataFrame:
    frame = _frame(path)
    times = stamps(frame["date"])
    return pd.DataFrame({"ts": times, "available_at": times + _DAY, "value": frame["value"], "classification": frame["classification"]})


def _macro(path: Path, table: str) -> pd.DataFrame:
    frame = _frame(path)
    source = frame["source"] if "source" in frame.columns else path.name
    rows = pd.DataFrame({"ts": stamps(frame["date"]), "series": frame["series"].astype("str"), "value": frame["value"], "source": source})
    return macro_table(rows.dropna(subset=["value"]))


def _fundamentals(path: Path, table: str) -> pd.DataFrame:
    frame = _frame(path)
    metrics = [
        name
        for name in frame.columns
        if name not in _PRICE_COLUMNS and pd.api.types.is_numeric_dtype(frame[name]) and name not in ("date", "asset")
    ]
    times, assets = stamps(frame["date"]), frame["asset"].astype("str").str.upper()
    parts = []
    for metric in metrics:
        held = frame[metric].notna()
        part = pd.DataFrame(
            {"ts": times[held], "available_at": times[held] + 1.5 * _DAY, "asset": assets[held], "value": frame.loc[held, metric]}
        )
        part["metric"] = pd.array([metric], dtype="str").repeat(len(part))
        parts.append(part)
    if not parts:
        return pd.DataFrame({"ts": pd.Series([], dtype="datetime64[ns, UTC]")})
    out = pd.concat(parts, ignore_index=True)
    out["source"] = pd.array([path.name.split(".")[0]], dtype="str").repeat(len(out))
    return out


# ---- order flow --------------------------------------------------------------------------------------------------


def _received(frame: pd.DataFrame, times: pd.Series) -> pd.Series:
    """The receiver's clock, or the exchange's where that is later (clocks differ by milliseconds)."""
    if "recv_ns" not in frame.columns:
        return times
    received = stamps(frame["recv_ns"])
    return received.where(received > times, times)


def _symbol_column(frame: pd.DataFrame) -> pd.Series:
    names = frame["symbol"].astype("str")
    return names.map({name: to_symbol(name) for name in names.unique()}).astype("str")


def _trades(path: Path, table: str) -> pd.DataFrame:
    frame = _frame(path)
    times = stamps(frame["ts"])
    out = frame[["trade_id", "price", "qty", "side"]].copy()
    out["ts"], out["available_at"] = times, _received(frame, times)
    out["symbol"] = _symbol_column(frame)
    out["venue"] = frame["venue"] if "venue" in frame.columns else "unknown"
    return out


def _binance_trades(path: Path, table: str) -> pd.DataFrame:
    frame = _frame(path)
    named = read_name(path)
    time = next(name for name in ("time", "transact_time", "timestamp") if name in frame.columns)
    times = stamps(frame[time])
    # The buyer was the maker, so the seller crossed the spread.
    maker = frame["is_buyer_maker"].astype("str").str.lower().isin(["true", "1"])
    out = pd.DataFrame({"ts": times, "available_at": times, "symbol": named.symbol, "venue": named.venue})
    out["trade_id"] = frame["id" if "id" in frame.columns else "agg_trade_id"]
    out["price"] = frame["price"]
    out["qty"] = frame["qty" if "qty" in frame.columns else "quantity"]
    out["side"] = np.where(maker, "sell", "buy")
    return out


def _bbo(path: Path, table: str) -> pd.DataFrame:
    frame = _frame(path)
    times = stamps(frame["ts"])
    out = frame[["bid", "bid_qty", "ask", "ask_qty"]].copy()
    out["ts"], out["available_at"], out["level"] = times, _received(frame, times), 0
    out["symbol"] = _symbol_column(frame)
    out["venue"] = frame["venue"] if "venue" in frame.columns else "unknown"
    return out


def _binance_bbo(path: Path, table: str) -> pd.DataFrame:
    frame = _frame(path)
    named = read_name(path)
    times = stamps(frame["transaction_time"])
    seen = stamps(frame["event_time"]) if "event_time" in frame.columns else times
    out = pd.DataFrame({"ts": times, "available_at": np.maximum(seen, times), "symbol": named.symbol, "venue": named.venue, "level": 0})
    for side in ("bid", "ask"):
        out[side], out[f"{side}_qty"] = frame[f"best_{side}_price"], frame[f"best_{side}_qty"]
    return out


def _depth_snapshots(path: Path, table: str) -> pd.DataFrame:
    frame = _frame(path)
    keys = ["recv_ns", "venue", "symbol", "level"]
    sides = {}
    for code, side in (("b", "bid"), ("a", "ask")):
        part = frame[frame["side"] == code]
        sides[side] = part.set_index(keys)[["price", "qty"]].rename(columns={"price": side, "qty": f"{side}_qty"})
    # A level that one side lacks is no level of the book.
    out = sides["bid"].join(sides["ask"], how="inner").reset_index()
    out["symbol"] = _symbol_column(out)
    out["ts"] = stamps(out["recv_ns"])
    out["available_at"] = out["ts"]
    return out.drop(columns="recv_ns")


def _depth_pairs(holdings: Sequence[TableHolding]) -> list[tuple[Path, Path]]:
    """Each file of updates with the snapshots that lie beside it."""
    snapshots = {holding.path.parent: holding.path for holding in holdings if holding.layout == "depth_snapshots"}
    updates = [holding.path for holding in holdings if holding.layout == "depth_updates"]
    return [(snapshots[path.parent], path) for path in updates if path.parent in snapshots]


def _depth(snapshots: Path, updates: Path) -> pd.DataFrame:
    frame = replay(snapshots, updates)
    if frame.empty:
        return frame
    times = stamps(frame["ts"])
    return frame.assign(ts=times, available_at=_received(frame, times), symbol=_symbol_column(frame)).drop(columns="recv_ns")


# ---- derivatives -------------------------------------------------------------------------------------------------


def _binance_funding(path: Path, table: str) -> pd.DataFrame:
    frame = _frame(path)
    named = read_name(path)
    times = stamps(frame["calc_time"])
    out = pd.DataFrame({"ts": times, "available_at": times, "symbol": named.symbol, "venue": named.venue})
    out["rate"] = frame["last_funding_rate"]
    out["interval_hours"] = frame["funding_interval_hours"] if "funding_interval_hours" in frame.columns else 8.0
    return out


def _freqtrade_funding(path: Path, table: str) -> pd.DataFrame:
    """freqtrade keeps the rate in the open of candles stamped at the settlement."""
    frame = bar_layouts.read_bar_file(path)
    named = read_name(path)
    hours = frame["ts"].sort_values().diff().dt.total_seconds().median() / 3600 if len(frame) > 1 else 8.0
    out = pd.DataFrame({"ts": frame["ts"], "available_at": frame["ts"], "symbol": named.symbol, "venue": named.venue})
    out["rate"], out["interval_hours"] = frame["open"], float(hours)
    return out


def _binance_metrics(path: Path, table: str) -> pd.DataFrame:
    frame = _frame(path)
    named = read_name(path)
    times = stamps(frame["create_time"])
    # Written every five minutes for the interval that begins at the stamp.
    out = pd.DataFrame({"ts": times, "available_at": times + pd.Timedelta(minutes=5), "symbol": named.symbol, "venue": named.venue})
    out["open_interest"] = frame["sum_open_interest"]
    out["open_interest_value"] = frame["sum_open_interest_value"] if "sum_open_interest_value" in frame.columns else np.nan
    return out


_READERS: dict[str, tuple[tuple[str, ...], Callable[[Path, str], pd.DataFrame]]] = {
    "news": (("news", "social"), _news),
    "fear_greed": (("fear_greed",), _fear_greed),
    "macro": (("macro",), _macro),
    "fundamentals": (("fundamentals",), _fundamentals),
    "trades": (("trades",), _trades),
    "binance_trades": (("trades",), _binance_trades),
    "binance_aggtrades": (("trades",), _binance_trades),
    "bbo": (("book",), _bbo),
    "binance_bbo": (("book",), _binance_bbo),
    "depth_snapshots": (("book",), _depth_snapshots),
    "binance_funding": (("funding",), _binance_funding),
    "freqtrade_funding": (("funding",), _freqtrade_funding),
    "binance_metrics": (("open_interest",), _binance_metrics),
}
