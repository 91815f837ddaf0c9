"""Symbols: how files and venues write a pair, and the one way we write it (`BASE/QUOTE`)."""

from __future__ import annotations

import re
from difflib import get_close_matches

# Longest first, so BTCFDUSD reads BTC/FDUSD and not BTCFD/USD.
_QUOTES = sorted(
    ["USDT", "USDC", "FDUSD", "BUSD", "TUSD", "USDP", "USDS", "USDE", "USD1", "DAI", "PAX", "UST", "USD", "EUR", "GBP", "TRY", "BRL",
     "AUD", "JPY", "KRW", "CHF", "CAD", "ARS", "MXN", "PLN", "RON", "CZK", "COP", "ZAR", "RUB", "UAH", "NGN", "BIDR", "IDRT", "BKRW",
     "VAI", "BTC", "ETH", "BNB", "TRX", "XRP", "SOL", "DOT", "DOGE"],
    key=lambda quote: (-len(quote), quote),
)  # fmt: skip
# Coins whose last letter, joined to USD, looks like a stablecoin (BNBUSD is BNB/USD, not BN/BUSD).
_PLAIN_USD = frozenset(
    {"BNB", "SHIB", "ARB", "TRB", "DGB", "CKB", "DOT", "BAT", "ANT", "GRT", "HNT", "LPT", "APT", "SNT", "QNT", "BTT", "MDT", "MNT",
     "LIT", "ACT", "PNUT", "NOT", "CAT", "USDT", "FORT"}
)  # fmt: skip
_SEPARATED = re.compile(r"^([A-Z0-9]+)[/_\-]([A-Z0-9]+?)(?::[A-Z0-9\-]+|_[A-Z0-9]+)?$")


def to_symbol(text: str) -> str:
    """`BASE/QUOTE` from what a file or venue writes.

    ``BTCUSDT``, ``BTC_USDT``, ``BTC-USDT``, ``btc/usdt``, ``BTC/USDT:USDT`` and freqtrade's ``BTC_USDT_USDT`` are
    all BTC/USDT; ``BTC-PERP`` (FTX, quoted in dollars) is BTC/USD. A joined name without a known quote (an index,
    a stock) is taken to be quoted in USD.
    """
    name = text.strip().upper()
    if separated := _SEPARATED.match(name):
        base, quote = separated.groups()
        return f"{base}/{'USD' if quote == 'PERP' else quote}"
    if name.endswith("USD") and name[:-3] in _PLAIN_USD:
        return f"{name[:-3]}/USD"
    for quote in _QUOTES:
        if name.endswith(quote) and len(name) > len(quote):
            return f"{name[: -len(quote)]}/{quote}"
    return f"{name}/USD"


def near_matches(symbol: str, known: list[str] | tuple[str, ...], n: int = 3) -> list[str]:
    """Up to `n` known symbols that the one asked for may have meant: the same base first, then like spellings."""
    base = symbol.split("/")[0].upper()
    same = sorted(name for name in known if name.split("/")[0] == base)
    close = get_close_matches(symbol.upper(), list(known), n=n, cutoff=0.6)
    return list(dict.fromkeys(same + close))[:n]
