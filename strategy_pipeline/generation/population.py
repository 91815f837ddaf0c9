"""`generate`: exactly so many distinct strategies for a market, from the methods asked for."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from strategy_pipeline.errors import StrategyError
from strategy_pipeline.generation.context import Market
from strategy_pipeline.generation.protocol import Request, method
from strategy_pipeline.generation.templates import TEMPLATES
from strategy_pipeline.strategies.naming import near
from strategy_pipeline.strategies.strategy import FAMILIES

if TYPE_CHECKING:
    from strategy_pipeline.market import Bars
    from strategy_pipeline.strategies import Strategy

MOST = 1_000_000
_LOG = logging.getLogger(__name__)


def generate(
    count: int,
    bars: Bars,
    families: Iterable[str] | None = None,
    methods: Iterable[str] | None = None,
    seed: int = 0,
    *,
    series: Iterable[str] = (),
) -> list[Strategy]:
    """Exactly `count` strategies, distinct by id and valid on `bars`, in a fixed order.

    Parameters
    ----------
    count : int
        1 to 1,000,000.
    bars : Bars
        The market: symbols, timeframe, optional fields. Data-driven methods read its prices too: give the training span.
    families : iterable of str, optional
        From `FAMILIES`; None is all of them. Families take turns, so their shares differ by one at most (until one has
        no more). A family that this market has no data for is left out; the reason is logged, and
        `skipped_families` gives it.
    methods : iterable of str, optional
        Generators by name, taking turns; None is ("systematic",).
    seed : int
        Same arguments, same strategies. The first k of a larger count are the k of a smaller one.
    series : iterable of str
        Names of the named series that rules may use (``forecast.return_24h``).

    Raises
    ------
    StrategyError
        Unknown family or method, a count that is zero, negative or enormous, no family that can be drawn from, or
        fewer distinct strategies than asked for.
    """
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise StrategyError(f"Expected a count of 1 or more strategies, was {count!r}; nothing was generated.")
    if count > MOST:
        raise StrategyError(
            f"Expected at most {MOST:,} strategies, was {count:,}: that is probably a mistake; generate in parts with other seeds."
        )
    named = frozenset(series)
    wanted = _families(families)
    skipped = skipped_families(bars, named, wanted)
    for family, reason in skipped.items():
        _LOG.warning("no %s strategies are generated: %s", family, reason)
    usable = tuple(family for family in wanted if family not in skipped)
    if not usable:
        reasons = "; ".join(f"{family}: {reason}" for family, reason in skipped.items())
        raise StrategyError(f"Expected a family that this market has data for, was none ({reasons}).")
    chosen = tuple(dict.fromkeys(methods)) if methods is not None else ("systematic",)
    if not chosen:
        raise StrategyError("Expected at least one generation method, was none; leave methods out for the default.")
    request = Request(bars, usable, named, seed)
    found = list(islice(_distinct([method(name).stream(request) for name in chosen]), count))
    if len(found) < count:
        raise StrategyError(
            f"Expected {count:,} distinct strategies, was {len(found):,}: {', '.join(usable)} hold no more; "
            "ask for fewer, or for more families."
        )
    return found


def skipped_families(bars: Bars, series: Iterable[str] = (), families: Iterable[str] | None = None) -> dict[str, str]:
    """The families that cannot be drawn from on this market, each with what is missing, in words."""
    wanted = _families(families)
    market = Market(Request(bars, wanted, frozenset(series)))
    skipped: dict[str, str] = {}
    for family in wanted:
        lacks = [market.lacks(template) for template in TEMPLATES if template.family == family]
        missing = [lack for lack in lacks if lack is not None]
        if len(missing) == len(lacks):
            skipped[family] = f"it needs {' or '.join(dict.fromkeys(missing))}"
    return skipped


def _families(families: Iterable[str] | None) -> tuple[str, ...]:
    if families is None:
        return FAMILIES
    if isinstance(families, str):
        raise StrategyError(f"Expected families as a list, was the text {families!r}; write [{families!r}].")
    wanted = tuple(dict.fromkeys(families))
    for family in wanted:
        if family not in FAMILIES:
            raise StrategyError(f"Expected families of {', '.join(FAMILIES)}, was {family!r}{near(family, FAMILIES)}.")
    if not wanted:
        raise StrategyError("Expected at least one family, was none; leave families out for all of them.")
    return wanted


def _distinct(streams: list[Iterator[Strategy]]) -> Iterator[Strategy]:
    """The streams in turn, without repeats between them."""
    if len(streams) == 1:
        yield from streams[0]
        return
    seen: set[str] = set()
    while streams:
        for stream in list(streams):
            fresh = next((strategy for strategy in stream if strategy.id not in seen), None)
            if fresh is None:
                streams.remove(stream)
            else:
                seen.add(fresh.id)
                yield fresh
