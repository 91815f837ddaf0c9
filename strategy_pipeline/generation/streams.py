"""Streams that can be stopped and continued: of methods that only draw, and of methods that search.

A state is plain data. What was drawn is drawn again up to where it stopped; what was searched goes on from the last finished
step, whose random numbers derive from the seed and the step's own number, so that a search killed and continued is the
search that was never killed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

from strategy_pipeline.generation.fitness import Evaluator
from strategy_pipeline.generation.protocol import STATE_VERSION, Request, read_state
from strategy_pipeline.strategies.strategy import Strategy

if TYPE_CHECKING:
    from collections.abc import Sequence

BARREN = 3  # searches in a row that bring nothing new end a stream


class Counted:
    """A stream whose place is how many were taken."""

    def __init__(self, method: str, source: Iterator[Strategy], state: Mapping[str, Any] | None = None) -> None:
        self._method, self._source = method, source
        self._taken = 0 if state is None else int(read_state(state, method)["taken"])
        for _ in islice(source, self._taken):
            pass

    def __iter__(self) -> Iterator[Strategy]:
        return self

    def __next__(self) -> Strategy:
        strategy = next(self._source)
        self._taken += 1
        return strategy

    def state(self) -> dict[str, Any]:
        """How many were taken."""
        return {"method": self._method, "version": STATE_VERSION, "taken": self._taken}


class Search(Protocol):
    """One search of limited budget, in steps."""

    @property
    def done(self) -> bool:
        """Whether no step is left."""
        ...

    def step(self) -> None:
        """Evaluate the next batch."""
        ...

    def best(self) -> Sequence[Strategy]:
        """What it hands over, best first."""
        ...

    def state(self) -> dict[str, Any]:
        """Plain data, after a step."""
        ...


class SearchStream:
    """Searches one after another, each from a seed of its own; each hands over its best, without repeats."""

    def __init__(
        self,
        method: str,
        request: Request,
        make: Callable[[Request, int, Evaluator, Mapping[str, Any] | None], Search],
        state: Mapping[str, Any] | None = None,
    ) -> None:
        self._method, self._request, self._make = method, request, make
        self._evaluator = Evaluator(request, method)
        self._epoch, self._barren = 0, 0
        self._given: dict[str, None] = {}
        self._waiting: list[Strategy] = []
        self._search: Search | None = None
        if state is not None:
            state = read_state(state, method)
            self._epoch, self._barren = int(state["epoch"]), int(state["barren"])
            self._given = dict.fromkeys(state["given"])
            self._waiting = [Strategy.from_json(document) for document in state["waiting"]]
            if state["search"] is not None:
                self._search = make(request, self._epoch, self._evaluator, state["search"])

    def __iter__(self) -> Iterator[Strategy]:
        return self

    def __next__(self) -> Strategy:
        while not self._waiting:
            if self._barren >= BARREN:
                raise StopIteration
            self._search_once()
        strategy = self._waiting.pop(0)
        self._given[strategy.id] = None
        return strategy

    @property
    def evaluator(self) -> Evaluator:
        """What it has run so far."""
        return self._evaluator

    def _search_once(self) -> None:
        if self._search is None:
            self._search = self._make(self._request, self._epoch, self._evaluator, None)
        while not self._search.done:
            self._search.step()
            self._checkpoint()
        self._waiting = [strategy for strategy in self._search.best() if strategy.id not in self._given]
        self._barren = 0 if self._waiting else self._barren + 1
        self._search = None
        self._epoch += 1
        self._checkpoint()

    def _checkpoint(self) -> None:
        if self._request.search.checkpoint is not None:
            self._request.search.checkpoint(self.state())

    def state(self) -> dict[str, Any]:
        """The search under way, what was given, and what waits to be."""
        return {
            "method": self._method,
            "version": STATE_VERSION,
            "epoch": self._epoch,
            "barren": self._barren,
            "given": list(self._given),
            "waiting": [strategy.to_json() for strategy in self._waiting],
            "search": None if self._search is None else self._search.state(),
        }
