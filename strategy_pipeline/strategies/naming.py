"""How names are written in the language, and near matches for those that are not known."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

# BASE/QUOTE[:SETTLE], at least one letter in the base, so that 2/3 stays a division
SYMBOL_PATTERN = r"(?=[0-9._^]*[A-Z\u0080-\uffff])[A-Z0-9._^\u0080-\uffff]+/[A-Z][A-Z0-9.]*(?::[A-Z0-9]+)?"
SYMBOL = re.compile(SYMBOL_PATTERN)
NAMED_SERIES = re.compile(r"[A-Za-z_]\w*(?:\.\w+)+")
PRICE_FIELDS = ("open", "high", "low", "close", "volume", "quote_volume", "trades", "taker_buy_volume")


def near(name: str, known: Iterable[str]) -> str:
    """`` (near: a, b)`` for an error message, or nothing."""
    close = get_close_matches(str(name).lower(), sorted(set(known)), n=3, cutoff=0.6)
    return f" (near: {', '.join(close)})" if close else ""
