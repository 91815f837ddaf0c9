"""What every generator is: a name and a stream of strategies that can be stopped and continued.

What does not belong here: how any one of them finds its strategies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from strategy_pipeline.errors import StrategyError
from strategy_pipeline.strategies.naming import near

if TYPE_CHECKING:
    import datetime as dt

    import numpy as np

    from strategy_pipeline.backtest import Costs
    from strategy_pipeline.backtest.kept import KeptBank
    from strategy_pipeline.market import Bars
    from strategy_pipeline.selection import TrialsLedger
    from strategy_pipeline.strategies import Strategy

MOST_TRIALS = 1_000_000
STATE_VERSION = 2


@dataclass(frozen=True)
class SearchSettings:
    """What methods that evaluate candidates need beside the request; they see its bars and nothing else.

    trials
        Strategies that a method evaluates before it hands over its best; a stream that is followed further searches again,
        from another seed, with as many.
    funding
        What held positions pay, as `backtest` takes it on the request's bars; None is nothing.
    values
        Named series, float64 (n_symbols, n_bars) each; searches use those of `Request.series` that are here.
    seeds
        Strategies to begin with, known to be good on training days (never on validation); evaluated like any other.
    record
        Called with (method, ids) before what was evaluated is used: every trial counts. `recorder` makes one of a ledger.
    checkpoint
        Called with a stream's state, plain data, after every step; `stream(request, state)` goes on from it.
    """

    trials: int = 1200
    costs: Costs | None = None
    fill: str = "next_open"
    funding: np.ndarray | None = None
    values: Mapping[str, np.ndarray] = field(default_factory=dict)
    seeds: Sequence[Strategy] = ()
    record: Callable[[str, Sequence[str]], None] | None = None
    checkpoint: Callable[[dict[str, Any]], None] | None = None
    workers: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.trials, bool) or not isinstance(self.trials, int) or not 1 <= self.trials <= MOST_TRIALS:
            raise StrategyError(f"Expected 1 to {MOST_TRIALS:,} trials of a search, was {self.trials!r}; every one counts as evidence.")


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
    search
        What methods that evaluate candidates need.
    """

    bars: Bars
    families: tuple[str, ...]
    series: frozenset[str] = frozenset()
    seed: int = 0
    search: SearchSettings = field(default_factory=SearchSettings)
    workshop: Workshop = field(default_factory=lambda: Workshop(), repr=False, compare=False)

    @property
    def bank(self) -> KeptBank:
        """The bank of these bars and values, one for all methods and searches of a request (and of copies of it)."""
        return self.workshop.bank(self.bars, self.search)


class Workshop:
    """What the methods of a request share: the series and comparisons that any of them has computed."""

    def __init__(self) -> None:
        self._bank: KeptBank | None = None
        self._values: Mapping[str, np.ndarray] = {}

    def bank(self, bars: Bars, search: SearchSettings) -> KeptBank:
        """A bank of these bars and the values of named series; the one made before, where it is of the same."""
        from strategy_pipeline.backtest.kept import KeptBank

        if self._bank is None or self._bank.bars is not bars or self._values is not search.values:
            self._bank = KeptBank(bars, series=dict(search.values), workers=search.workers)
            self._values = search.values
        return self._bank


class Stream(Protocol):
    """Candidates in order. `state` is plain data (JSON can hold it); a stream made from it goes on as this one would have."""

    def __iter__(self) -> Iterator[Strategy]:
        """Itself."""
        ...

    def __next__(self) -> Strategy:
        """The next candidate."""
        ...

    def state(self) -> dict[str, Any]:
        """Where it stands."""
        ...


@runtime_checkable
class Generator(Protocol):
    """A source of candidates.

    `stream` yields distinct (by id), valid strategies of the request's families, deterministically from the request: the
    first k of a stream do not depend on how many are taken. It ends when the generator has no more. Methods that do not
    search give families in turn; those that do give what they think best first, and report every strategy they evaluate.
    """

    @property
    def name(self) -> str:
        """Its name in `methods`."""
        ...

    def stream(self, request: Request, state: dict[str, Any] | None = None) -> Stream:
        """The candidates, in order; from a state, those after it."""
        ...


def recorder(ledger: TrialsLedger, search: str, *, day: dt.date) -> Callable[[str, Sequence[str]], None]:
    """A `SearchSettings.record` that enters trials into a ledger, by the method that proposed them."""

    def record(method: str, ids: Sequence[str]) -> None:
        ledger.record(search, ids, day=day, origin=method)

    return record


def read_state(state: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A stream's state, checked to be one of that method and version."""
    if state.get("method") != name or state.get("version") != STATE_VERSION:
        found = f"{state.get('method')!r} of version {state.get('version')!r}"
        raise StrategyError(
            f"Expected the state of a {name} stream of version {STATE_VERSION}, was of {found}; nothing is continued; start it anew."
        )
    return state


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
