"""The protocol of live readers, and what they are configured with."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from html import unescape
from typing import Protocol

import pandas as pd

from strategy_pipeline.errors import SourceError
from strategy_pipeline.market.sources.live.http import Http


@dataclass(frozen=True)
class LiveConfig:
    """What live readers read, and how politely. The defaults need no key.

    Parameters
    ----------
    readers : names of `LIVE_READERS`; empty reads nothing
    symbols : ``BASE/QUOTE``; what fundamentals, funding and open interest are read for
    feeds : RSS or Atom addresses
    forums : names of subreddits
    series : FRED codes
    coins : CoinGecko's id by base currency, for those that `COINS` lacks
    metrics : CoinMetrics community metrics
    exchange : ccxt id for funding and open interest
    spacing : least seconds between two requests to one host
    attempts, timeout : per request; seconds
    agent : how requests introduce themselves
    hosts : address by service name, in place of the public one (tests; a mirror)
    """

    readers: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    feeds: tuple[str, ...] = (
        "https://www.coindesk.com/arc/outboundfeeds/rss/",
        "https://cointelegraph.com/rss",
        "https://decrypt.co/feed",
    )
    forums: tuple[str, ...] = ("CryptoCurrency", "Bitcoin", "ethereum")
    series: tuple[str, ...] = ("VIXCLS", "DTWEXBGS", "SP500", "DGS2", "DGS10", "BAMLH0A0HYM2", "FEDFUNDS", "CPIAUCSL", "UNRATE")
    coins: Mapping[str, str] = field(default_factory=dict)
    metrics: tuple[str, ...] = ("AdrActCnt", "TxCnt", "CapMrktCurUSD", "SplyCur", "FeeTotNtv", "HashRate")
    exchange: str = "binanceusdm"
    spacing: float = 2.0
    attempts: int = 4
    timeout: float = 20.0
    agent: str = "strategy-pipeline/0.1 (research; one request every few seconds)"
    hosts: Mapping[str, str] = field(default_factory=dict)

    @property
    def bases(self) -> tuple[str, ...]:
        """The symbols' base currencies, each once."""
        return tuple(dict.fromkeys(symbol.partition("/")[0] for symbol in self.symbols))

    def host(self, service: str) -> str:
        """Where a service answers, without a slash at the end."""
        return self.hosts.get(service, HOSTS[service]).rstrip("/")


HOSTS = {
    "reddit": "https://www.reddit.com",
    "fear_greed": "https://api.alternative.me",
    "fred": "https://fred.stlouisfed.org",
    "coingecko": "https://api.coingecko.com",
    "coinmetrics": "https://community-api.coinmetrics.io",
}

# CoinGecko's ids; symbols are not unique there.
COINS = {
    "BTC": "bitcoin", "ETH": "ethereum", "SOL": "solana", "BNB": "binancecoin", "XRP": "ripple", "DOGE": "dogecoin", "ADA": "cardano",
    "AVAX": "avalanche-2", "LINK": "chainlink", "DOT": "polkadot", "LTC": "litecoin", "MATIC": "matic-network", "UNI": "uniswap",
    "ATOM": "cosmos", "NEAR": "near", "FIL": "filecoin", "ENA": "ethena", "TRX": "tron", "XLM": "stellar", "ALGO": "algorand",
    "BCH": "bitcoin-cash", "ETC": "ethereum-classic", "AAVE": "aave", "MKR": "maker", "SHIB": "shiba-inu", "TON": "the-open-network",
    "APT": "aptos", "ARB": "arbitrum", "OP": "optimism", "SUI": "sui", "INJ": "injective-protocol", "XMR": "monero",
}  # fmt: skip


@dataclass(frozen=True)
class Reading:
    """What one poll gave.

    rows : the reader's columns and the table's, with ``available_at`` as the moment of publication (never before ``ts``)
    moment : when it was read by the server's clock; None where no server said
    failures : one line for each address that gave nothing while others did
    """

    rows: pd.DataFrame
    moment: pd.Timestamp | None
    failures: tuple[str, ...] = ()


class LiveReader(Protocol):
    """Reads one kind of observation as it is now. `archive.Archive` adds when each row was first seen.

    name : of `LIVE_READERS`; table : of `OBSERVATION_TABLES`
    keys : columns that say what a row is about. Of rows with equal keys, one whose `values` differ is a revision: kept
        beside the first, available from when it was seen. Rows that differ elsewhere are the same row again.
    by_release : its rows come with a release date that holds with a margin, and with `revised`: see `Archive`.
    """

    name: str
    table: str
    keys: tuple[str, ...]
    values: tuple[str, ...]
    by_release: bool

    def poll(self, http: Http) -> Reading:
        """Rows as the service gives them now. SourceError when it refuses, fails for good, or answers nonsense."""
        ...


def read_each(addresses: Iterable[str], read: Callable[[str], tuple[pd.DataFrame, pd.Timestamp | None]]) -> Reading:
    """What `read` gives for each address, together. One that fails does not cost the others; SourceError when all fail."""
    frames, moment, failures, last = [], None, [], None
    for address in addresses:
        try:
            rows, seen = read(address)
        except SourceError as error:
            failures.append(str(error))
            last = error
            continue
        moment = seen if moment is None else max(moment, seen or moment)
        frames.append(rows)
    if last is not None and not frames:
        raise last
    full = [frame for frame in frames if len(frame)]
    return Reading(pd.concat(full, ignore_index=True) if full else pd.DataFrame(), moment, tuple(failures))


def nonsense(what: str, error: object) -> SourceError:
    """The error for an answer that cannot be read."""
    reason = " ".join(f"{type(error).__name__} {error}".split())[:120] if isinstance(error, Exception) else str(error)
    return SourceError(f"Expected {what} in its usual format, was unreadable ({reason}); nothing of it is kept; try again later")


_TAG = re.compile(r"<[^>]+>")


def plain(text: object, longest: int = 4000) -> str:
    """Text without markup, entities and runs of space."""
    return " ".join(unescape(_TAG.sub(" ", str(text or ""))).split())[:longest]


def seconds(stamp: pd.Series) -> pd.Series:
    """Unix seconds as datetime64[ns, UTC]."""
    return pd.to_datetime(pd.to_numeric(stamp), unit="s", utc=True).astype("datetime64[ns, UTC]")
