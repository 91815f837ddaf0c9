"""What every generator is: a name and a stream of strategies.

What does not belong here: how any one of them finds its strategies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from strategy_pipeline.errors import StrategyError
from strategy_pipeline.strategies.naming import near

if TYPE_CHECKING:
    from strategy_pipeline.market import Bars
    from strategy_pipeline.strategies import Strategy


@dataclass(frozen=True)
class Request:
    """What strategies are asked for.

    bars
        The market: its symbols, its timeframe and which optional fields it has; data-driven generators read its
        prices as well, and must be given the training span only.
    families
        The families to draw from, each of which can be drawn from this market.
    series
        Names of the named series that rules may use (``forecast.return_24h``).
    seed
        Every draw derives from it.
    """

    bars: Bars
    families: tuple[str, ...]
    series: frozenset[str] = frozenset()
    seed: int = 0


@runtime_checkable
class Generator(Protocol):
    """A source of candidates.

    `stream` yields distinct (by id), valid strategies, families in turn, deterministically from the request: the
    first k of a stream do not depend on how many are taken. It ends when the generator has no more.
    """

    @property
    def name(self) -> str:
        """Its name in `methods`."""
        ...

    def stream(self, request: Request) -> Iterator[Strategy]:
        """The candidates, in order."""
        ...


_METHODS: dict[str, Callable[[], Generator]] = {}


def register(name: str, make: Callable[[], Generator]) -> None:
    """Offer a generator under `name` in `generate(methods=...)`; a name that is taken is an error."""
    if name in _METHODS:
        raise StrategyError(f"Expected a new method name, was {name!r}, which exists; choose another.")
    _METHODS[name] = make


def methods() -> tuple[str, ...]:
    """The registered method names, sorted."""
    return tuple(sorted(_METHODS))


def method(name: str) -> Generator:
    """The generator of that name; StrategyError names near matches."""
    if name not in _METHODS:
        raise StrategyError(f"Expected a generation method of {', '.join(methods())}, was {name!r}{near(name, _METHODS)}.")
    return _METHODS[name]()
