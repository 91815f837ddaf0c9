"""Genetic programming over the language: typed operators, several objectives, islands.

A generation evaluates as many new, distinct strategies as the population has members. Parents are chosen by tournaments, most
by Sharpe ratio and the others by front and crowding; children come from the operators of `operators`, or are drawn anew
where these bring nothing. What goes on is chosen per island from parents and children together: a few by Sharpe ratio alone,
the others by NSGA-II on Sharpe ratio, drawdown, turnover and complexity, each rounded to what still matters, so that no
strategy survives for being simpler by a node. Strategies that lose money stand behind all that do not (K. Deb, 2000,
feasibility first), and of those whose daily returns are nearly the same the better one stays. Islands exchange their best every
few generations (D. Whitley, S. Rana, R. Heckendorn, 1999).

What stands for the Sharpe ratio is what is expected of it out of sample (`fitness.expected_sharpe`): of two strategies that do
as well, the one that chose less is better. The first generation is mostly bare sentences, both sides on every symbol, and
operators keep what is the same on both sides the same: a rule that was narrowed down to where it did well has shown less.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strategy_pipeline.errors import StrategyError
from strategy_pipeline.generation import nsga, operators
from strategy_pipeline.generation.fitness import COMPLEXITY, SHARPE, TURNOVER, Evaluator, correlations, distinct_rows
from strategy_pipeline.generation.protocol import Request
from strategy_pipeline.generation.streams import SearchStream
from strategy_pipeline.generation.systematic import SystematicGenerator
from strategy_pipeline.rng import derive_seed, generator
from strategy_pipeline.strategies.conditions import Condition
from strategy_pipeline.strategies.needs import rules
from strategy_pipeline.strategies.strategy import Strategy

# Share of children by operator; what is left of 1 is a number of the mother moved.
_RECOMBINED, _CROSSOVER, _SUBTREE, _POINT, _HOIST, _LIMITS, _SYMBOLS, _SIZE = 0.22, 0.12, 0.06, 0.04, 0.10, 0.05, 0.03, 0.06
_AND_MOVED = 0.3  # of crossovers, those whose numbers move as well
_TRIES = 6  # for a child that is new
_BARE = 0.7  # of the first generation: ideas without filters, stops and choices of symbols
_DRAWN = 0.05  # of a generation, drawn anew
_ELITE = 0.25  # of an island, kept by Sharpe ratio alone
_BY_SHARPE = 0.7  # of tournaments
_SPREADS = (0.03, 0.08, 0.2)  # of moved numbers, as shares of their ranges
_TOURNAMENT = 3
_FAME, _FAME_ALIKE = 25, 0.9
_HANDED_OVER = 0.25  # of what was evaluated
# What still matters of each objective; turnover and complexity in logarithms to base 2.
_GRAIN = np.array([0.1, 0.02, 0.5, 0.25])
_LOSING = 1e3  # on top of every objective of a strategy that loses, so that none of them dominates one that does not


@dataclass(frozen=True)
class GeneticSettings:
    """population, generations: None derives them from `SearchSettings.trials`. alike: correlation of daily returns from
    which two strategies of an island are one."""

    population: int | None = None
    generations: int | None = None
    islands: int | None = None
    migrate_every: int = 3
    migrants: int = 2
    alike: float = 0.95

    def sizes(self, trials: int) -> tuple[int, int, int]:
        """Population, generations (the first, drawn one included) and islands. StrategyError where they make no search."""
        generations = self.generations or min(max(round(trials**0.35), 2), 40)
        population = self.population or max(trials // generations, 4)
        islands = self.islands or min(max(population // 25, 1), 8)
        if population < 4 * islands or generations < 1 or self.migrate_every < 1 or self.migrants < 0 or not 0 < self.alike <= 1:
            raise StrategyError(
                f"Expected a population of at least 4 for each of {islands} islands and 1 generation, was {population} and {generations}, "
                f"every {self.migrate_every} generations {self.migrants} migrants, alike from {self.alike}; nothing can be bred."
            )
        return population, generations, islands


class GeneticGenerator:
    """What genetic search finds, best first."""

    name = "genetic"

    def __init__(self, settings: GeneticSettings | None = None) -> None:
        self.settings = settings or GeneticSettings()

    def stream(self, request: Request, state: dict[str, Any] | None = None) -> SearchStream:
        """Searches one after another; each evaluates `SearchSettings.trials` strategies and hands over a quarter of them."""

        def make(request: Request, epoch: int, evaluator: Evaluator, state: Mapping[str, Any] | None) -> GeneticSearch:
            return GeneticSearch(request, evaluator, epoch, self.settings, state)

        return SearchStream(self.name, request, make, state)


class GeneticSearch:
    """One search. Attributes: generation (finished ones), islands (ids), fame (ids, best first), evaluated (ids in order)."""

    def __init__(
        self, request: Request, evaluator: Evaluator, epoch: int, settings: GeneticSettings, state: Mapping[str, Any] | None = None
    ) -> None:
        self.request, self.evaluator, self.settings = request, evaluator, settings
        self.seed = derive_seed(request.seed, "genetic", epoch)
        self.known = frozenset(request.series) & frozenset(request.search.values)
        self.population, self.generations, n_islands = settings.sizes(request.search.trials)
        self.generation, self._drawn = 0, 0
        self.islands: list[list[str]] = [[] for _ in range(n_islands)]
        self.fame: list[str] = []
        self.evaluated: dict[str, Strategy] = {}
        self._pool = self._draws()
        self._donors: list[Condition] = []
        if state is not None:
            self._restore(state)

    @property
    def done(self) -> bool:
        """Whether every generation has been bred."""
        return self.generation >= self.generations

    def step(self) -> None:
        """Breed, evaluate and select one generation."""
        broods = self._first() if self.generation == 0 else [self._breed(number) for number in range(len(self.islands))]
        taken: dict[str, None] = {}
        for brood in broods:
            taken |= dict.fromkeys(child.id for child in brood)
            self.evaluated |= {child.id: child for child in brood}
        self.evaluator.run([self.evaluated[sid] for sid in taken])
        for number, brood in enumerate(broods):
            self.islands[number] = self._select([*self.islands[number], *(child.id for child in brood)], self._share(number))
        best = self.evaluator.by_worth([*self.fame, *taken])[: 4 * _FAME]
        self.fame = [best[k] for k in distinct_rows(self.evaluator.returns(best), _FAME_ALIKE, _FAME)] if best else []
        self.generation += 1
        if self.generation % self.settings.migrate_every == 0:
            self._migrate()

    def best(self) -> list[Strategy]:
        """The leaders of all that was evaluated (`Evaluator.leaders`), then by front and Sharpe ratio; a quarter of it, none that
        never traded."""
        known = self.evaluator.by_worth(self.evaluated)
        if not known:
            return []
        front = nsga.ranks(self._costs(known))
        ordered = [*self.evaluator.leaders(known, _FAME, _FAME_ALIKE), *(known[k] for k in np.lexsort([np.arange(len(known)), front]))]
        count = max(1, round(_HANDED_OVER * len(self.evaluated)))
        return [self.evaluated[sid] for sid in dict.fromkeys(ordered)][:count]

    def state(self) -> dict[str, Any]:
        """Everything the next generation depends on; random numbers derive from the generation's number."""
        return {
            "generation": self.generation,
            "drawn": self._drawn,
            "islands": [list(island) for island in self.islands],
            "fame": list(self.fame),
            "evaluated": [strategy.to_json() for strategy in self.evaluated.values()],
        }

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.generation = int(state["generation"])
        self.islands = [list(island) for island in state["islands"]]
        self.fame = list(state["fame"])
        self.evaluated = {strategy.id: strategy for strategy in map(Strategy.from_json, state["evaluated"])}
        for _ in range(int(state["drawn"])):
            self._draw()
        self.evaluator.run(list(self.evaluated.values()))

    # ---- where strategies come from

    def _draws(self) -> Iterator[Strategy]:
        return iter(SystematicGenerator().stream(self._request("draws")))

    def _request(self, use: str) -> Request:
        return replace(self.request, seed=derive_seed(self.seed, use), series=self.known)

    def _draw(self) -> Strategy | None:
        strategy = next(self._pool, None)
        if strategy is not None:
            self._drawn += 1
            if len(self._donors) < self.population:
                self._donors += rules(strategy).values()
        return strategy

    def _first(self) -> list[list[Strategy]]:
        seeds = [strategy for strategy in self.request.search.seeds if strategy.family in self.request.families]
        members = {strategy.id: strategy for strategy in seeds[: self.population // 2]}
        bare = iter(SystematicGenerator(bare=True).stream(self._request("bare")))
        for strategy in islice(bare, round(_BARE * (self.population - len(members)))):
            members.setdefault(strategy.id, strategy)
        while len(members) < self.population and (drawn := self._draw()) is not None:
            members.setdefault(drawn.id, drawn)
        order = generator(self.seed, "islands").permutation(len(members))
        found = list(members.values())
        n = len(self.islands)
        return [[found[k] for k in order[number::n]] for number in range(n)]

    def _share(self, island: int) -> int:
        return len(range(island, self.population, len(self.islands)))

    def _breed(self, number: int) -> list[Strategy]:
        rng = generator(self.seed, "generation", self.generation, number)
        island, share = self.islands[number], self._share(number)
        children: dict[str, Strategy] = {}
        if island:
            key = self._standing(island)
            while len(children) < share - round(_DRAWN * share):
                child = self._child(island, key, rng, children)
                if child is None:
                    break
                children[child.id] = child
        while len(children) < share and (drawn := self._draw()) is not None:
            if drawn.id not in self.evaluated:
                children[drawn.id] = drawn
        self.evaluated |= children  # so that no other island breeds the same
        return list(children.values())

    def _child(
        self, island: Sequence[str], key: NDArray[np.int64], rng: np.random.Generator, siblings: Mapping[str, Strategy]
    ) -> Strategy | None:
        for _ in range(_TRIES):
            mother = self._parent(island, key, rng)
            child = self._varied(mother, island, key, rng)
            if child.id not in self.evaluated and child.id not in siblings:
                return child
        return self._draw()

    def _parent(self, island: Sequence[str], key: NDArray[np.int64], rng: np.random.Generator) -> Strategy:
        entrants = rng.integers(len(island), size=_TOURNAMENT)
        place = key[int(rng.random() >= _BY_SHARPE)]
        return self.evaluated[island[int(entrants[np.argmin(place[entrants])])]]

    def _standing(self, island: Sequence[str]) -> NDArray[np.int64]:
        """(2, n): places by Sharpe ratio, and by front and crowding; 0 is best."""
        raw, costs = -np.nan_to_num(self.evaluator.worth(island), nan=-np.inf), self._costs(island)
        front = nsga.ranks(costs)
        orders = np.argsort(raw, kind="stable"), np.lexsort([np.arange(len(island)), -nsga.crowding(costs, front), front])
        places = np.empty((2, len(island)), dtype=np.int64)
        for row, order in enumerate(orders):
            places[row, order] = np.arange(len(island))
        return places

    def _varied(self, mother: Strategy, island: Sequence[str], key: NDArray[np.int64], rng: np.random.Generator) -> Strategy:
        draw = float(rng.random())
        if draw < _RECOMBINED:
            return operators.recombine(mother, self._parent(island, key, rng), rng, self.known)
        draw -= _RECOMBINED
        if draw < _CROSSOVER:
            child = operators.crossover(mother, self._parent(island, key, rng), rng, self.known)
            return self._moved(child, rng) if rng.random() < _AND_MOVED else child
        draw -= _CROSSOVER
        if 0 <= draw < _SUBTREE and self._donors:
            famous = [rule for sid in self.fame for rule in rules(self.evaluated[sid]).values()]
            return operators.mutate_subtree(mother, famous if famous and rng.random() < 0.5 else self._donors, rng, self.known)
        draw -= _SUBTREE
        if 0 <= draw < _POINT:
            return operators.mutate_point(mother, rng, self.known)
        draw -= _POINT
        if 0 <= draw < _HOIST:
            return operators.mutate_hoist(mother, rng, self.known)
        draw -= _HOIST
        if 0 <= draw < _LIMITS:
            return operators.mutate_limits(mother, rng, self.known)
        draw -= _LIMITS
        if 0 <= draw < _SYMBOLS:
            return operators.mutate_symbols(mother, self.request.bars.symbols, rng, self.known)
        draw -= _SYMBOLS
        if 0 <= draw < _SIZE:
            return operators.mutate_size(mother, rng, self.known)
        return self._moved(mother, rng)

    def _moved(self, strategy: Strategy, rng: np.random.Generator) -> Strategy:
        return operators.mutate_parameters(strategy, rng, self.known, spread=float(rng.choice(_SPREADS)))

    # ---- what goes on

    def _costs(self, ids: Sequence[str]) -> NDArray[np.float64]:
        """Objectives rounded to what matters, those of losing strategies behind all others."""
        costs = self.evaluator.costs(ids).copy()
        fine = np.isfinite(costs).all(axis=1)
        costs[fine, SHARPE] = -self.evaluator.worth(ids)[fine]
        for column in (TURNOVER, COMPLEXITY):
            costs[fine, column] = np.log2(1.0 + costs[fine, column])
        losing = fine & (costs[:, SHARPE] > 0)
        costs[fine] = np.round(costs[fine] / _GRAIN)
        loss = costs[losing, SHARPE]
        costs[losing] = _LOSING + loss[:, None]
        return costs

    def _select(self, ids: Sequence[str], count: int) -> list[str]:
        ids = list(dict.fromkeys(ids))
        ordered = self.evaluator.by_worth(ids)
        if not ordered:
            return ids[:count]
        related = correlations(self.evaluator.returns(ordered))
        twin = np.asarray((np.triu(related, 1) > self.settings.alike).any(axis=0), dtype=np.bool_)  # of a better one
        elite = [sid for sid, behind in zip(ordered, twin, strict=True) if not behind][: max(1, round(_ELITE * count))]
        costs = self._costs(ordered)
        costs[twin] += 2 * _LOSING
        chosen = [ordered[k] for k in nsga.survivors(costs, len(ordered))]
        return list(dict.fromkeys([*elite, *chosen, *ids]))[:count]

    def _migrate(self) -> None:
        """The best few of each island by Sharpe ratio go to the next, in a ring; each island keeps its size."""
        n = len(self.islands)
        if n < 2:
            return
        leaving = [self.evaluator.by_worth(island)[: self.settings.migrants] for island in self.islands]
        for number in range(n):
            self.islands[number] = self._select([*self.islands[number], *leaving[number - 1]], self._share(number))
