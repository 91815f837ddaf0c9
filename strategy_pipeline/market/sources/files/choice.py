"""Which holdings answer a request: the venue, and the timeframe itself or the finer one it is made from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from strategy_pipeline.errors import NoDataError, UnknownSymbolError
from strategy_pipeline.market import timeframes as tf
from strategy_pipeline.market.sources.files.inventory import BarHolding
from strategy_pipeline.market.symbols import near_matches


@dataclass(frozen=True)
class Choice:
    """One symbol's answer: files of one venue and one stored timeframe; `others` are venues passed over."""

    symbol: str
    venue: str
    stored: str
    holdings: tuple[BarHolding, ...]
    others: tuple[str, ...]


def servable(holdings: Iterable[BarHolding], timeframe: str) -> list[BarHolding]:
    """Holdings that have `timeframe` or a finer one that fills it exactly."""
    return [holding for holding in holdings if holding.timeframe == timeframe or tf.divides(holding.timeframe, timeframe)]


def pick_venue(venues: Iterable[str], wanted: str | None) -> list[str]:
    """Venues in order of preference: only those that `wanted` names (whole or in part), else spot before the rest."""
    names = sorted(set(venues))
    if wanted is not None:
        exact = [name for name in names if name.lower() == wanted.lower()]
        names = exact or [name for name in names if wanted.lower() in name.lower()]
    return sorted(names, key=lambda name: ("spot" not in name.lower(), name))


def choose(
    holdings: Sequence[BarHolding], timeframe: str, symbols: Sequence[str] | None, venue: str | None, where: str, named: bool = True
) -> list[Choice]:
    """For each symbol asked for (None: every one that can be served), the files to read.

    Order of preference: the venue asked for, else spot; the timeframe itself; the coarsest finer one; then names.

    Raises
    ------
    UnknownSymbolError, NoDataError
    """
    by_symbol: dict[str, list[BarHolding]] = defaultdict(list)
    for holding in holdings:
        by_symbol[holding.symbol].append(holding)
    wanted = sorted(by_symbol) if symbols is None else list(dict.fromkeys(symbols))
    choices = []
    for symbol in wanted:
        if symbol not in by_symbol:
            near = near_matches(symbol, sorted(by_symbol)) or sorted(by_symbol)[:5]
            raise UnknownSymbolError(
                f"Expected a symbol held in {where}, was {symbol}; near it: {', '.join(near) or 'none'}; choose one of {len(by_symbol)}"
            )
        able = servable(by_symbol[symbol], timeframe)
        venues = pick_venue((holding.venue for holding in able), venue)
        if not venues:
            if symbols is None:
                continue
            raise _unservable(symbol, timeframe, venue, by_symbol[symbol], where)
        # Spot venues stand together at the front; among equals, one that has the timeframe itself goes first.
        rank = {name: ("spot" not in name.lower(), position) for position, name in enumerate(venues)}
        best = min(
            (holding for holding in able if holding.venue in rank),
            key=lambda holding: (
                rank[holding.venue][0],
                holding.timeframe != timeframe,
                -tf.duration(holding.timeframe).astype(int),
                rank[holding.venue][1],
            ),
        )
        chosen = tuple(holding for holding in able if (holding.venue, holding.timeframe) == (best.venue, best.timeframe))
        others = tuple(sorted({holding.venue for holding in able} - {best.venue}))
        choices.append(Choice(symbol, best.venue, best.timeframe, chosen, others))
    if not choices:
        held = sorted({holding.timeframe for holding in holdings}, key=lambda name: tf.duration(name).astype(int))
        raise NoDataError(
            f"Expected {timeframe} bars in {where}, was {', '.join(held) or 'no bars at all'}; choose another timeframe or venue"
        )
    return choices


def _unservable(symbol: str, timeframe: str, venue: str | None, holdings: list[BarHolding], where: str) -> NoDataError:
    held = ", ".join(sorted({f"{holding.venue} {holding.timeframe}" for holding in holdings}))
    asked = f"{timeframe} bars of {symbol}" + (f" from venue {venue}" if venue else "")
    return NoDataError(f"Expected {asked} in {where}, was only {held}; choose one of these")


def choice_notes(choices: Sequence[Choice], timeframe: str) -> list[str]:
    """One line per (venue chosen, venues passed over), and one per stored timeframe that was resampled."""
    notes = []
    venues: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    made: dict[tuple[str, str], list[str]] = defaultdict(list)
    for choice in choices:
        if choice.others:
            venues[choice.venue, choice.others].append(choice.symbol)
        if choice.stored != timeframe:
            made[choice.stored, choice.venue].append(choice.symbol)
    for (venue, others), symbols in sorted(venues.items()):
        notes.append(f"venue {venue} for {_some(symbols)} (also there: {', '.join(others)}; choose with venue=NAME)")
    for (stored, venue), symbols in sorted(made.items()):
        notes.append(f"{timeframe} made exactly from {stored} bars of {venue} for {_some(symbols)}")
    return notes


def _some(symbols: list[str]) -> str:
    return ", ".join(symbols[:5]) + (f" and {len(symbols) - 5} more" if len(symbols) > 5 else "")
