"""File names: which symbol, timeframe and venue a name states, and the units of raw time stamps."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from strategy_pipeline.config import TIMEFRAMES
from strategy_pipeline.market.symbols import to_symbol

_FRAME = r"(\d{1,2}(?:m|h|d|w|M|mo|Mo))"
_BINANCE = re.compile(rf"^([A-Z0-9]+(?:_PERP|_\d{{6}})?)-{_FRAME}-\d{{4}}(?:-\d{{2}}){{0,2}}$")
_BINANCE_TABLE = re.compile(r"^([A-Z0-9]+(?:_PERP|_\d{6})?)-(trades|aggTrades|fundingRate|metrics|bookTicker)-\d{4}(?:-\d{2}){0,2}$")
_FREQTRADE = re.compile(rf"^([A-Z0-9]+_[A-Z0-9]+(?:_[A-Z0-9]+)?)-{_FRAME}(?:-(futures|spot|mark|index|premiumIndex|funding_rate))?$")
_CDD = re.compile(
    r"^(?:([A-Za-z]+)_([A-Z0-9]+)|([A-Z0-9]+)_([A-Za-z]+)_futures_[A-Z]+)_(?:\d{4}_)?(minute|hour|daily|1min|1hr|1h|1m|d|\d{1,2}[mhd])$"
)
_CDD_FRAMES = {"minute": "1m", "1min": "1m", "hour": "1h", "1hr": "1h", "d": "1d", "daily": "1d"}
_OWN = re.compile(rf"^ohlcv_{_FRAME}_(.+)$")
_PLAIN = re.compile(rf"^([A-Z0-9]+(?:[_\-][A-Z0-9]+)?)[_\-]{_FRAME}(?:[_\-].*)?$")
_EXCHANGES = {
    "binance", "binanceus", "bitfinex", "bitget", "bitstamp", "bybit", "coinbase", "cryptocom", "gate", "gateio", "gemini", "htx",
    "huobi", "hyperliquid", "kraken", "kucoin", "mexc", "okx", "poloniex", "upbit",
}  # fmt: skip


@dataclass(frozen=True)
class Named:
    """What a file's name states; None where it states nothing."""

    symbol: str | None = None
    timeframe: str | None = None
    venue: str | None = None
    table: str | None = None  # an observation layout, such as fundingRate; None for bars
    style: str | None = None  # binance, freqtrade, cryptodatadownload, own, plain


def read_name(path: Path) -> Named:
    """Symbol, timeframe and venue from the names of people's downloads, and from the folders they lie in."""
    stem = path.name
    for suffix in (".gz", ".zip", ".csv", ".json", ".feather", ".parquet"):
        stem = stem.removesuffix(suffix)
    if found := _BINANCE.match(stem):
        return Named(_contract(found[1]), _frame(found[2]), _binance_venue(path), None, "binance")
    if found := _BINANCE_TABLE.match(stem):
        return Named(_contract(found[1]), None, _binance_venue(path), found[2], "binance")
    if found := _FREQTRADE.match(stem):
        kind = found[3] or ("futures" if found[1].count("_") == 2 else "spot")
        exchange = next((part for part in reversed([p.lower() for p in path.parts[:-1]]) if part in _EXCHANGES), "freqtrade")
        venue = f"{exchange}_spot" if kind == "spot" else f"{exchange}_perp"
        table = None if kind in ("spot", "futures") else kind
        return Named(to_symbol(found[1]), _frame(found[2]), venue, table, "freqtrade")
    if found := _CDD.match(stem):
        exchange, pair = (found[1], found[2]) if found[1] else (found[4], found[3])
        venue = f"{exchange.lower()}_{'spot' if found[1] else 'perp'}"
        return Named(to_symbol(pair), _frame(_CDD_FRAMES.get(found[5], found[5])), venue, None, "cryptodatadownload")
    if found := _OWN.match(stem):
        return Named(None, _frame(found[1]), found[2], None, "own")
    if found := _PLAIN.match(stem):
        return Named(to_symbol(found[1]), _frame(found[2]), None, None, "plain")
    return Named()


def _frame(text: str) -> str | None:
    text = re.sub(r"[mM]o$", "M", text)
    return text if text in TIMEFRAMES else None


def _contract(name: str) -> str:
    """Binance futures names carry a suffix (``BTCUSD_PERP``, ``BTCUSDT_250627``); the pair is what stands before it."""
    return to_symbol(name.split("_")[0])


def _binance_venue(path: Path) -> str:
    parts = [part.lower() for part in path.parts]
    if "um" in parts:
        return "binance_um"
    if "cm" in parts or path.name.split("-")[0].endswith("_PERP"):
        return "binance_cm"
    return "binance_spot"


def stamps(values: Any) -> pd.Series:
    """Times from numbers or text, as datetime64[ns, UTC].

    Numbers are seconds, milliseconds, microseconds or nanoseconds since 1970, told apart one by one by their size
    (files exist that change unit midway). Text is ISO, or CryptoDataDownload's ``2019-10-17 09-AM``. NaT where neither.
    """
    column = pd.Series(values)
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return pd.to_datetime(column, utc=True).astype(pd.DatetimeTZDtype("ns", "UTC"))
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    if len(column) and not np.isnan(numbers).all():
        size = np.abs(numbers)
        # Multipliers to nanoseconds; 1e11 s is the year 5138, 1e11 ms is 1973.
        unit = np.select([size < 1e11, size < 1e14, size < 1e17], [1e9, 1e6, 1e3], 1.0)
        whole = np.where(np.isnan(numbers), 0, numbers)
        nanoseconds = whole.astype(np.int64) * unit.astype(np.int64) + np.round((whole % 1) * unit).astype(np.int64)
        times = pd.Series(nanoseconds.astype("datetime64[ns]"), index=column.index)
        return times.where(~np.isnan(numbers)).dt.tz_localize("UTC").astype(pd.DatetimeTZDtype("ns", "UTC"))
    text = column.astype("str")
    parsed = pd.to_datetime(text, utc=True, errors="coerce", format="ISO8601")
    if len(text) and parsed.isna().any():
        parsed = parsed.fillna(pd.to_datetime(text, utc=True, errors="coerce", format="%Y-%m-%d %I-%p"))
    return parsed.astype(pd.DatetimeTZDtype("ns", "UTC"))
