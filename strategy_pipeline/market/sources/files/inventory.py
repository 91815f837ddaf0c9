"""What lies in a folder: which files hold which symbols, timeframes, venues and observation tables.

What belongs here: recognising a file from its schema, header or name without reading its rows. What does not:
turning rows into bars or tables.
"""

from __future__ import annotations

import glob
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from strategy_pipeline.errors import CorruptFileError, MissingColumnError, NoDataError
from strategy_pipeline.market.observations import OBSERVATION_TABLES
from strategy_pipeline.market.sources.files import bar_layouts
from strategy_pipeline.market.sources.files.names import read_name
from strategy_pipeline.market.symbols import to_symbol

SUFFIXES = (".parquet", ".csv", ".zip", ".json", ".json.gz", ".csv.gz", ".feather")
_BAR = {"ts", "symbol", "open", "high", "low", "close", "volume"}
_CSV_TABLES = {
    "binance_trades": {"price", "qty", "is_buyer_maker"}, "binance_aggtrades": {"agg_trade_id", "price"},
    "binance_funding": {"calc_time", "last_funding_rate"}, "binance_metrics": {"create_time", "sum_open_interest"},
    "binance_bbo": {"best_bid_price", "best_ask_price"},
}  # fmt: skip


@dataclass(frozen=True)
class BarHolding:
    """The bars of one symbol, timeframe and venue in one file. `raw` is the symbol as the file writes it."""

    path: Path
    layout: str  # "own" (this project's Parquet) or "other"
    symbol: str
    raw: str
    timeframe: str
    venue: str


@dataclass(frozen=True)
class TableHolding:
    """A file that holds an observation layout (see `observation_layouts`)."""

    path: Path
    layout: str


@dataclass
class Inventory:
    """Everything recognised under a path. `skipped` are files of a known suffix that hold no layout we know."""

    root: str
    bars: list[BarHolding] = field(default_factory=list)
    tables: list[TableHolding] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


def take_inventory(pattern: str | Path) -> Inventory:
    """Recognise every file of a path, a folder (all below it) or a glob.

    Raises
    ------
    NoDataError
        Nothing matches, or a folder holds no file of a known suffix.
    CorruptFileError, MissingColumnError
        A file is broken, or lacks a column of the layout it otherwise follows.
    """
    inventory = Inventory(str(pattern))
    for path in _files(pattern):
        if path.suffix == ".parquet":
            _parquet(path, inventory)
        else:
            _other(path, inventory)
    return inventory


def _files(pattern: str | Path) -> list[Path]:
    path = Path(pattern)
    if path.is_dir():
        # Hidden files and folders (a state folder, a virtual environment) hold no market.
        found = [
            file
            for file in path.rglob("*")
            if file.name.endswith(SUFFIXES) and file.is_file() and not any(part.startswith(".") for part in file.relative_to(path).parts)
        ]
        if not found:
            raise NoDataError(f"Expected market data in the folder {path}, was no file of {', '.join(SUFFIXES)}; point data at another")
        return sorted(found)
    if path.is_file():
        return [path]
    found = [Path(name) for name in glob.glob(str(pattern), recursive=True) if Path(name).is_file()]  # noqa: PTH207 (absolute globs)
    if not found:
        raise NoDataError(f"Expected a file, folder or glob that matches something, was {str(pattern)!r}; check the path")
    return sorted(found)


def _parquet(path: Path, inventory: Inventory) -> None:
    try:
        schema = pq.read_schema(path)
        names = set(schema.names)
        layout = _table_layout(names)
        if layout:
            inventory.tables.append(TableHolding(path, layout))
        elif names >= _BAR:
            keys = [name for name in ("symbol", "timeframe", "venue") if name in names]
            inventory.bars += _own_bars(path, pq.ParquetFile(path, read_dictionary=keys))
        elif {"date", "open", "high", "low", "close"} <= names and read_name(path).symbol:
            _named_bars(path, inventory)
        elif len(names & _BAR) >= 5:
            absent = ", ".join(sorted(_BAR - names))
            raise MissingColumnError(f"Expected {path.name} to hold bars, was without the column {absent}; add it or remove the file")
        else:
            inventory.skipped.append(path.name)
    except (pa.ArrowInvalid, OSError) as error:
        raise bar_layouts.corrupt(path, "Parquet", error) from error


def _table_layout(names: set[str]) -> str | None:
    """The observation layout whose columns these are."""
    for table, columns in OBSERVATION_TABLES.items():
        if names >= set(columns):
            return f"own:{table}"
    if names >= {"date", "value", "classification"}:
        return "fear_greed"
    if names >= {"date", "series", "value"}:
        return "macro"
    if names >= {"ts", "source", "asset", "text"}:
        return "news"
    if names >= {"date", "asset"}:
        return "fundamentals"
    if names >= {"ts", "symbol", "trade_id", "price", "qty", "side"}:
        return "trades"
    if names >= {"ts", "symbol", "bid", "bid_qty", "ask", "ask_qty"}:
        return "bbo"
    if names >= {"recv_ns", "symbol", "side", "level", "price", "qty"}:
        return "depth_snapshots"
    if names >= {"ts", "symbol", "first_id", "last_id", "side", "price", "qty"}:
        return "depth_updates"
    return None


def _own_bars(path: Path, file: pq.ParquetFile) -> list[BarHolding]:
    keys = [name for name in ("symbol", "timeframe", "venue") if name in file.schema_arrow.names]
    varying = [name for name in keys if name == "symbol" or _constant(file, name) is None]
    table = file.read(columns=varying).unify_dictionaries()
    if table.num_rows == 0:
        return []
    rows = table.group_by(varying).aggregate([]).to_pylist()
    named = read_name(path)
    holdings = []
    for row in rows:
        values = {name: row.get(name) or _constant(file, name) for name in keys}
        timeframe = values.get("timeframe") or named.timeframe
        if timeframe is None:
            raise MissingColumnError(f"Expected {path.name} to have a timeframe column or a name like ohlcv_1h_venue, was neither; add one")
        raw = str(values["symbol"])
        venue = values.get("venue") or named.venue or "unknown"
        holdings.append(BarHolding(path, "own", to_symbol(raw), raw, timeframe, venue))
    return sorted(holdings, key=lambda holding: (holding.venue, holding.timeframe, holding.symbol))


def _constant(file: pq.ParquetFile, name: str) -> str | None:
    """The one value of a column when its statistics prove that it has only one."""
    position = file.schema_arrow.names.index(name)
    found = set()
    for group in range(file.metadata.num_row_groups):
        statistics = file.metadata.row_group(group).column(position).statistics
        if statistics is None or not statistics.has_min_max or statistics.min != statistics.max or statistics.null_count:
            return None
        found.add(statistics.min)
    return found.pop() if len(found) == 1 else None


def _other(path: Path, inventory: Inventory) -> None:
    named = read_name(path)
    if named.table in ("mark", "index", "premiumIndex"):
        inventory.skipped.append(path.name)
        return
    if named.table:
        known = {"trades": "binance_trades", "aggTrades": "binance_aggtrades", "fundingRate": "binance_funding",
                  "metrics": "binance_metrics", "bookTicker": "binance_bbo", "funding_rate": "freqtrade_funding"}  # fmt: skip
        inventory.tables.append(TableHolding(path, known[named.table]))
        return
    if named.symbol and named.timeframe:
        _named_bars(path, inventory)
        return
    if path.name.endswith((".csv", ".zip", ".csv.gz")):
        columns, _ = bar_layouts.header_of(path, bar_layouts.read_text(path))
        names = set(columns)
        layout = _table_layout(names) or next((name for name, needed in _CSV_TABLES.items() if names >= needed), None)
        if layout:
            inventory.tables.append(TableHolding(path, layout))
            return
        if columns and not named.symbol and len(names & {"open", "high", "low", "close"}) < 2:
            inventory.skipped.append(path.name)
            return
    elif not named.symbol and path.name.endswith((".json", ".json.gz")):
        inventory.skipped.append(path.name)
        return
    _named_bars(path, inventory)


def _named_bars(path: Path, inventory: Inventory) -> None:
    """A bar file of one or a few symbols: read once for what it holds when its name does not say."""
    named = read_name(path)
    if named.symbol and named.timeframe:
        inventory.bars.append(BarHolding(path, "other", named.symbol, named.symbol, named.timeframe, named.venue or "unknown"))
        return
    frame = bar_layouts.read_bar_file(path)
    if frame.empty:
        raise CorruptFileError(f"Expected {path.name} to hold rows, was empty; download it again or remove it")
    for (symbol, timeframe, venue), _ in frame.groupby(["symbol", "timeframe", "venue"], sort=True):
        inventory.bars.append(BarHolding(path, "other", str(symbol), str(symbol), str(timeframe), str(venue)))
