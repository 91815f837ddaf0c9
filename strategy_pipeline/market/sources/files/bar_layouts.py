"""Bar files other than this project's Parquet: CSV, zip, JSON and feather as venues and other tools write them.

What belongs here: from one file to raw bar rows. Cells that are no numbers become NaN and rows keep their order;
quality judges them. A file that is not what it claims to be is an error that names it.
"""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from pathlib import Path

import pandas as pd

from strategy_pipeline.errors import CorruptFileError, MissingColumnError
from strategy_pipeline.market.sources.files.names import Named, read_name, stamps
from strategy_pipeline.market.symbols import to_symbol

BINANCE_COLUMNS = (
    "open_time", "open", "high", "low", "close", "volume",
    "close_time", "quote_volume", "count", "taker_buy_volume", "taker_buy_quote_volume", "ignore",
)  # fmt: skip
_TIME_NAMES = ("ts", "open_time", "unix", "timestamp", "time", "datetime", "date")
_ALIASES = {
    "count": "trades", "tradecount": "trades", "trade_count": "trades", "number_of_trades": "trades",
    "quote_asset_volume": "quote_volume", "taker_buy_base_asset_volume": "taker_buy_volume", "taker_buy_base_volume": "taker_buy_volume",
}  # fmt: skip
_NUMBERS = ("open", "high", "low", "close", "volume", "quote_volume", "trades", "taker_buy_volume")


def corrupt(path: Path, expected: str, reason: object) -> CorruptFileError:
    first = str(reason).splitlines()[0] if str(reason) else type(reason).__name__
    return CorruptFileError(f"Expected {path.name} to be {expected}, was unreadable ({first}); download it again or remove it")


def read_text(path: Path) -> bytes:
    """The bytes of a plain, gzipped or single-member zipped file."""
    try:
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                members = [name for name in archive.namelist() if name.lower().endswith((".csv", ".json"))]
                if len(members) != 1:
                    raise CorruptFileError(f"Expected {path.name} to hold one CSV, was {len(members)}; unpack it beside the others")
                return archive.read(members[0])
        if path.suffix == ".gz":
            return gzip.decompress(path.read_bytes())
        return path.read_bytes()
    except (zipfile.BadZipFile, gzip.BadGzipFile, EOFError, OSError) as error:
        raise corrupt(path, "a readable archive" if path.suffix in (".zip", ".gz") else "a readable file", error) from error


def header_of(path: Path, text: bytes) -> tuple[list[str], int]:
    """Lower-case column names and the lines to skip before data; [] names for a file without header."""
    lines = text[:8192].decode("utf-8-sig", errors="replace").splitlines()
    skip = 0
    while skip < len(lines) and ("," not in lines[skip] or "cryptodatadownload" in lines[skip].lower()):
        skip += 1  # a URL, a title, an empty line
    if skip >= len(lines):
        raise CorruptFileError(f"Expected {path.name} to be comma separated, was without a comma in its first lines; remove or mend it")
    cells = [cell.strip().strip('"').lower() for cell in lines[skip].split(",")]
    if cells[0].replace(".", "", 1).isdigit():
        return [], skip
    return cells, skip + 1


def read_csv(path: Path, text: bytes, columns: list[str], skip: int) -> pd.DataFrame:
    try:
        return pd.read_csv(io.BytesIO(text), header=None, names=columns, skiprows=skip, float_precision="round_trip", index_col=False)
    except (pd.errors.ParserError, UnicodeDecodeError, ValueError) as error:
        raise corrupt(path, "comma separated text", error) from error


def read_bar_file(path: Path) -> pd.DataFrame:
    """Raw rows ``ts, symbol, timeframe, venue`` and numbers from one CSV, zip, JSON or feather file.

    Raises
    ------
    CorruptFileError, MissingColumnError
        Each names the file and the remedy.
    """
    named = read_name(path)
    plain = path.name.removesuffix(".gz")
    if plain.endswith(".json"):
        return _finish(path, _freqtrade_json(path), named)
    if plain.endswith((".feather", ".parquet")):
        return _finish(path, _arrow(path), named)
    text = read_text(path)
    columns, skip = header_of(path, text)
    if columns:
        return _finish(path, _rename(read_csv(path, text, columns, skip), named), named)
    width = len(text[:8192].decode("utf-8-sig", errors="replace").splitlines()[skip].split(","))
    if width < len(BINANCE_COLUMNS):
        raise MissingColumnError(
            f"Expected {path.name} to have the {len(BINANCE_COLUMNS)} columns of Binance klines ({', '.join(BINANCE_COLUMNS[:6])}, ...), "
            f"was {width} without a header; add a header line, or download it again"
        )
    extra = [f"extra_{i}" for i in range(width - len(BINANCE_COLUMNS))]
    return _finish(path, read_csv(path, text, [*BINANCE_COLUMNS, *extra], skip).rename(columns=_ALIASES), named)


def _freqtrade_json(path: Path) -> pd.DataFrame:
    try:
        rows = json.loads(read_text(path))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise corrupt(path, "freqtrade JSON", error) from error
    if not isinstance(rows, list) or any(not isinstance(row, list) or len(row) < 6 for row in rows):
        raise MissingColumnError(f"Expected {path.name} to hold rows of [time, open, high, low, close, volume], was not; export it again")
    return pd.DataFrame([row[:6] for row in rows], columns=["date", "open", "high", "low", "close", "volume"])


def _arrow(path: Path) -> pd.DataFrame:
    import pyarrow as pa

    try:
        frame = pd.read_feather(path) if path.suffix == ".feather" else pd.read_parquet(path)
    except (pa.ArrowInvalid, OSError, ValueError) as error:
        raise corrupt(path, "feather" if path.suffix == ".feather" else "Parquet", error) from error
    return frame.rename(columns=str.lower)


def _rename(frame: pd.DataFrame, named: Named) -> pd.DataFrame:
    """CryptoDataDownload names volumes after their currency: ``Volume BTC`` is base, ``Volume USDT`` quote."""
    volumes = [name for name in frame.columns if name.startswith("volume ")]
    renames = dict(_ALIASES)
    if volumes:
        first = frame["symbol"].iloc[0] if "symbol" in frame.columns and len(frame) else named.symbol
        symbol = to_symbol(str(first)) if first else ""
        base = symbol.split("/")[0].lower()
        for position, name in enumerate(volumes):
            currency = name.removeprefix("volume ").strip()
            renames[name] = "volume" if currency == base or (position == 0 and not base) else "quote_volume"
    return frame.rename(columns=renames)


def _finish(path: Path, frame: pd.DataFrame, named: Named) -> pd.DataFrame:
    time = next((name for name in _TIME_NAMES if name in frame.columns), None)
    missing = [name for name in ("open", "high", "low", "close", "volume") if name not in frame.columns]
    if time is None or missing:
        absent = ", ".join(([] if time else ["a time (ts, open_time, unix, timestamp or date)"]) + missing)
        raise MissingColumnError(f"Expected {path.name} to hold bars, was without the column {absent}; add it or remove the file")
    if "symbol" not in frame.columns and named.symbol is None:
        raise MissingColumnError(
            f"Expected {path.name} to state its symbol in a column or its name (BTC_USDT-1h.json), was neither; rename it"
        )
    out = pd.DataFrame({"ts": stamps(frame[time])})
    out["symbol"] = pd.array([named.symbol] * len(frame), dtype="str") if named.symbol else _symbols(frame["symbol"])
    frames = frame["timeframe"].astype("str") if "timeframe" in frame.columns else named.timeframe
    out["timeframe"] = frames if frames is not None else _spacing(out["ts"])
    out["venue"] = frame["venue"].astype("str") if "venue" in frame.columns else (named.venue or "unknown")
    for name in _NUMBERS:
        if name in frame.columns:
            out[name] = pd.to_numeric(frame[name], errors="coerce").to_numpy(dtype="float64", na_value=float("nan"))
    if out["timeframe"].isna().any():
        raise MissingColumnError(f"Expected {path.name} to state its timeframe in a column or its name (..-1h-..), was neither; rename it")
    return out


def _symbols(column: pd.Series) -> pd.Series:
    names = column.astype("str")
    return names.map({name: to_symbol(name) for name in names.dropna().unique()}).astype("str")


def _spacing(times: pd.Series) -> str | None:
    """The timeframe that the commonest step between stamps spells, for files that state none."""
    from strategy_pipeline.market.timeframes import TIMEFRAMES, duration

    steps = times.sort_values().diff().dropna()
    if steps.empty:
        return None
    step = steps.mode().iloc[0].to_timedelta64()
    if pd.Timedelta(step).days in (28, 29, 30, 31):
        return "1M"
    return next((name for name in TIMEFRAMES if name != "1M" and duration(name) == step), None)
