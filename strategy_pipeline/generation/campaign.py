"""A campaign: one search of so many trials by several methods, in which each builds on what those before it found.

Most of the trials are draws, made without looking at any return: bare sentences first (both sides, every symbol, no filter, no
stop: an idea shows before its trimmings do), then dressed ones. Beside them stand strategies on screened pairs, which are no draws:
prices of training chose them. What agrees best with whatever did well among the draws (`selection.consensus_scores`) seeds the methods
that search: genetic, model-driven, ensembles. Draws alone vote all along, here and in the gate, so that a search cannot confirm itself
by breeding copies.

What belongs here: how a budget is shared, and in what order. What does not: the methods, and judging what they found (`selection`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from strategy_pipeline.errors import StrategyError
from strategy_pipeline.generation.fitness import Evaluator, distinct_rows
from strategy_pipeline.generation.population import request_of
from strategy_pipeline.generation.protocol import Request, SearchSettings, method
from strategy_pipeline.generation.streams import SearchStream
from strategy_pipeline.generation.systematic import SystematicGenerator

if TYPE_CHECKING:
    from strategy_pipeline.market import Bars
    from strategy_pipeline.strategies import Strategy

FIRST = 0.6  # of the trials, made before anything is searched: draws, and what is made on screened pairs
BARE = 0.85  # of systematic draws
PAIRED = 0.1  # of those made first, at most
SHARES = {"genetic": 0.5, "ml_driven": 0.25, "ensemble": 0.25}  # of the trials that search, of the methods asked for
_OTHER = 0.25  # the weight of a method that is not named there
_FIRST = ("systematic", "pairs")  # methods that make strategies without evaluating any
_FEWEST = 12  # trials with which a search makes sense
_LEADERS, _ALIKE = 24, 0.9


@dataclass(frozen=True)
class Campaign:
    """What a campaign evaluated.

    strategies
        All of it, in the order it was run.
    returns
        Their net daily returns pooled over symbols on the bars given, float64 (n_strategies, n_days); zeros for one that could
        not be run.
    draws
        Ids of those made without looking at returns or prices.
    trials
        How many strategies each method added, by name.
    """

    strategies: tuple[Strategy, ...]
    returns: np.ndarray
    draws: frozenset[str]
    trials: dict[str, int]

    @property
    def ids(self) -> tuple[str, ...]:
        """Of `strategies`, in order."""
        return tuple(strategy.id for strategy in self.strategies)


def campaign(
    count: int,
    bars: Bars,
    families: Iterable[str] | None = None,
    methods: Iterable[str] | None = None,
    seed: int = 0,
    *,
    series: Iterable[str] = (),
    search: SearchSettings | None = None,
) -> Campaign:
    """A search of `count` trials in all; arguments as `generate`, but `methods` defaults to all that are registered.

    `bars` must be the training span alone. `search.trials` is not read: methods share `count`. A few trials fewer
    are made where a method runs out of new strategies; what it leaves goes to the draws where it can. Seeds in `search.seeds`
    are evaluated as well, beside the leaders of the draws.

    Same arguments, same strategies and returns. StrategyError as `generate`, and where the methods make no strategy at all.
    """
    from strategy_pipeline.generation.protocol import methods as registered

    request, chosen = request_of(count, bars, families, registered() if methods is None else methods, seed, series, search)
    searching = [name for name in chosen if name not in _FIRST] if count >= 2 * _FEWEST else []
    first = [name for name in chosen if name not in searching]
    book = _Book(request)
    _make_first(book, first, count if not searching else round(FIRST * count) if first else 0)
    weights = np.array([SHARES.get(name, _OTHER) for name in searching])
    for k, name in enumerate(searching):
        left = count - len(book)
        share = round(float(left * weights[k] / weights[k:].sum()))
        if share >= _FEWEST or k == len(searching) - 1:
            _search(book, name, share)
    if len(book) < count:
        _make_first(book, first, count - len(book))
    if not len(book):
        raise StrategyError(
            f"Expected a strategy of {', '.join(chosen)} in {count} trials, was none: searches need {2 * _FEWEST} trials, and pairs two "
            "symbols that pass the screen; give more trials, or name systematic as well."
        )
    return book.campaign()


class _Book:
    """Everything a campaign has run."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.found: dict[str, Strategy] = {}
        self.rows: list[np.ndarray] = []
        self.draws: set[str] = set()
        self.trials: dict[str, int] = {}
        self.sources: dict[str, Iterator[Strategy]] = {}

    def __len__(self) -> int:
        return len(self.found)

    def add(self, name: str, strategies: Sequence[Strategy], evaluator: Evaluator, *, drawn: bool) -> None:
        """Takes what is new among them, as `evaluator` ran it."""
        fresh = [strategy for strategy in strategies if strategy.id not in self.found]
        if not fresh:
            return
        ids = [strategy.id for strategy in fresh]
        self.found |= dict(zip(ids, fresh, strict=True))
        self.rows += list(evaluator.returns(ids))
        self.trials[name] = self.trials.get(name, 0) + len(fresh)
        if drawn:
            self.draws.update(ids)

    def leaders(self) -> list[Strategy]:
        """The distinct strategies that agree best with what did well among the draws, best first."""
        from strategy_pipeline.selection import consensus_scores

        if not self.rows:
            return []
        returns = np.array(self.rows)
        ids = list(self.found)
        voters = np.array([sid in self.draws for sid in ids]) if self.draws else None
        score = consensus_scores(returns.T, voters, returns.sum(axis=1) > 0)
        order = [k for k in np.argsort(-score, kind="stable") if np.isfinite(score[k])][: 10 * _LEADERS]
        return [self.found[ids[order[k]]] for k in distinct_rows(returns[order], _ALIKE, _LEADERS)] if order else []

    def campaign(self) -> Campaign:
        n_days = len(np.unique(np.asarray(self.request.bars.times).astype("datetime64[D]")))
        returns = np.array(self.rows) if self.rows else np.empty((0, n_days))
        return Campaign(tuple(self.found.values()), returns, frozenset(self.draws), dict(self.trials))


def _make_first(book: _Book, names: Sequence[str], count: int) -> None:
    """`count` new strategies by the methods of these that evaluate none; fewer where they hold no more."""
    if not names or count < 1:
        return
    made: dict[str, list[Strategy]] = {}
    known = set(book.found)
    if "pairs" in names:
        most = count if len(names) == 1 else int(PAIRED * count)
        made["pairs"] = _taken(book, "pairs", most, known)
    if "systematic" in names:
        rest = count - sum(map(len, made.values()))
        bare = _taken(book, "bare", round(BARE * rest), known)
        made["systematic"] = [*bare, *_taken(book, "systematic", rest - len(bare), known)]
    for name, strategies in made.items():
        evaluator = Evaluator(book.request, name)
        evaluator.run(strategies)
        book.add(name, strategies, evaluator, drawn=name == "systematic")


def _taken(book: _Book, source: str, count: int, known: set[str]) -> list[Strategy]:
    if source not in book.sources:
        made = SystematicGenerator(bare=True) if source == "bare" else method(source)
        book.sources[source] = iter(made.stream(book.request))
    fresh = (strategy for strategy in book.sources[source] if strategy.id not in known)
    found = []
    for strategy in itertools.islice(fresh, count):
        known.add(strategy.id)
        found.append(strategy)
    return found


def _search(book: _Book, name: str, trials: int) -> None:
    """One search of that method, seeded with the leaders so far. What it runs again of these counts against its trials."""
    if trials < 1:
        return
    own = book.request.search
    tried: dict[str, None] = {}

    def record(by: str, ids: Sequence[str]) -> None:
        tried.update(dict.fromkeys(ids))
        if own.record is not None:
            own.record(by, ids)

    seeds = [*own.seeds, *book.leaders()]
    request = replace(book.request, search=replace(own, trials=trials, seeds=seeds, record=record))
    stream = method(name).stream(request)
    handed = next(stream, None)
    if not isinstance(stream, SearchStream):
        found = [] if handed is None else [handed, *itertools.islice(stream, trials - 1)]
        evaluator = Evaluator(book.request, name)
        evaluator.run(found)
    else:
        evaluator = stream.evaluator
        found = [evaluator.strategy(sid) for sid in tried if sid in evaluator]
    book.add(name, found, evaluator, drawn=False)
