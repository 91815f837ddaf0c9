"""`generate`: exactly so many distinct strategies for a market, from the methods asked for; `draw`: those that also differ in
what they do, with what was dropped and why."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from strategy_pipeline.errors import StrategyError
from strategy_pipeline.generation.context import Market
from strategy_pipeline.generation.protocol import Request, SearchSettings, method
from strategy_pipeline.generation.templates import TEMPLATES
from strategy_pipeline.strategies.naming import near
from strategy_pipeline.strategies.strategy import FAMILIES

if TYPE_CHECKING:
    import pandas as pd

    from strategy_pipeline.market import Bars
    from strategy_pipeline.strategies import Strategy

MOST = 1_000_000
_PATIENCE = 10  # times as many are looked at as are asked for
_AT_ONCE = 2000
_LOG = logging.getLogger(__name__)


def generate(
    count: int,
    bars: Bars,
    families: Iterable[str] | None = None,
    methods: Iterable[str] | None = None,
    seed: int = 0,
    *,
    series: Iterable[str] = (),
    search: SearchSettings | None = None,
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
    search : SearchSettings, optional
        For methods that evaluate candidates: their budget, costs, the values of named series, who counts their trials.

    Raises
    ------
    StrategyError
        Unknown family or method, a count that is zero, negative or enormous, no family that can be drawn from, or
        fewer distinct strategies than asked for.
    """
    request, chosen = request_of(count, bars, families, methods, seed, series, search)
    found = list(islice(_distinct([method(name).stream(request) for name in chosen]), count))
    if len(found) < count:
        raise StrategyError(
            f"Expected {count:,} distinct strategies, was {len(found):,}: {', '.join(request.families)} hold no more; "
            "ask for fewer, or for more families."
        )
    return found


@dataclass(frozen=True)
class Drawn:
    """What `draw` gives: strategies; `dropped`, a row each, with strategy_id, method, reason and like (the id of the one it
    resembles, empty where that is itself); and how many each method gave, by name."""

    strategies: list[Strategy]
    dropped: pd.DataFrame
    shares: dict[str, int]


def draw(
    count: int,
    bars: Bars,
    families: Iterable[str] | None = None,
    methods: Iterable[str] | None = None,
    seed: int = 0,
    *,
    series: Iterable[str] = (),
    search: SearchSettings | None = None,
    overlap: float = 0.95,
) -> Drawn:
    """Exactly `count` strategies as `generate` gives, of which no two enter on nearly the same of the bars given.

    overlap
        Share of all entries of either that two strategies have in common (Jaccard) from which the later is dropped, above 0
        and at most 1. Values of named series are read from `search.values`; where one is missing a strategy that reads it
        cannot be held against others, and stays.

    Errors as `generate`; also StrategyError where so many that differ cannot be found among `_PATIENCE` times as many.
    """
    import pandas as pd

    from strategy_pipeline.generation.overlap import Sieve

    if not 0 < overlap <= 1:
        raise StrategyError(f"Expected an overlap above 0 and at most 1, was {overlap!r}; 0.95 drops what enters on nearly the same bars.")
    request, chosen = request_of(count, bars, families, methods, seed, series, search)
    sieve = Sieve(bars, request.search.values, count, overlap, workers=request.search.workers)
    source = _in_turn({name: method(name).stream(request) for name in chosen})
    kept: list[Strategy] = []
    dropped: list[tuple[str, str, str, str]] = []
    shares = dict.fromkeys(chosen, 0)
    seen: set[str] = set()
    looked = 0
    while len(kept) < count and looked < _PATIENCE * count + _AT_ONCE:
        part = list(islice(source, min(max(count - len(kept), 64), _AT_ONCE)))
        if not part:
            break
        looked += len(part)
        fresh = []
        for name, strategy in part:
            if strategy.id in seen:
                dropped.append((strategy.id, name, "drawn before", ""))
            else:
                seen.add(strategy.id)
                fresh.append((name, strategy))
        for (name, strategy), twin in zip(fresh, sieve([strategy for _, strategy in fresh]) if fresh else [], strict=True):
            if len(kept) == count:
                break
            if twin is None:
                kept.append(strategy)
                shares[name] += 1
            else:
                dropped.append((strategy.id, name, f"enters on at least {overlap:.0%} of the same bars as another", twin))
    if len(kept) < count:
        raise StrategyError(
            f"Expected {count:,} strategies that differ in their entries, was {len(kept):,} of {looked:,} drawn; ask for fewer, for more "
            "families, or raise overlap."
        )
    frame = pd.DataFrame(dropped, columns=["strategy_id", "method", "reason", "like"]).astype("str")
    return Drawn(kept, frame, shares)


def request_of(
    count: int, bars: Bars, families: Iterable[str] | None, methods: Iterable[str] | None, seed: int, series: Iterable[str],
    search: SearchSettings | None,
) -> tuple[Request, tuple[str, ...]]:  # fmt: skip
    """What is asked for, checked, and the methods."""
    wanted, chosen = check_request(count, families, methods)
    named = frozenset(series)
    skipped = skipped_families(bars, named, wanted)
    for family, reason in skipped.items():
        _LOG.warning("no %s strategies are generated: %s", family, reason)
    usable = tuple(family for family in wanted if family not in skipped)
    if not usable:
        reasons = "; ".join(f"{family}: {reason}" for family, reason in skipped.items())
        raise StrategyError(f"Expected a family that this market has data for, was none ({reasons}).")
    return Request(bars, usable, named, seed, search or SearchSettings()), chosen


def check_request(
    count: int, families: Iterable[str] | None = None, methods: Iterable[str] | None = None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The families and methods meant, or StrategyError: what can be told of a request before there is a market."""
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise StrategyError(f"Expected a count of 1 or more strategies, was {count!r}; nothing was generated.")
    if count > MOST:
        raise StrategyError(
            f"Expected at most {MOST:,} strategies, was {count:,}: that is probably a mistake; generate in parts with other seeds."
        )
    wanted = _families(families)
    if isinstance(methods, str):
        raise StrategyError(f"Expected methods as a list, was the text {methods!r}; write [{methods!r}].")
    chosen = tuple(dict.fromkeys(methods)) if methods is not None else ("systematic",)
    if not chosen:
        raise StrategyError("Expected at least one generation method, was none; leave methods out for the default.")
    for name in chosen:
        method(name)
    return wanted, chosen


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


def _in_turn(streams: dict[str, Iterator[Strategy]]) -> Iterator[tuple[str, Strategy]]:
    """The streams in turn, each strategy with the name of its stream; one that has ended drops out."""
    waiting = dict(streams)
    while waiting:
        for name in list(waiting):
            strategy = next(waiting[name], None)
            if strategy is None:
                del waiting[name]
            else:
                yield name, strategy
