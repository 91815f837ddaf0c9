"""Model-driven search: a surrogate proposes what to run next, and tree models of returns propose rules of their own.

A search begins with draws, the strategies it was given, and rules distilled from trees; then the surrogate, fitted on all
that was run, chooses each next batch from fresh draws and from variations of the best, and a part of it
is drawn without asking the surrogate, so that what it does not know yet is met as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np

from strategy_pipeline.generation import operators
from strategy_pipeline.generation.distill import distilled
from strategy_pipeline.generation.fitness import Evaluator
from strategy_pipeline.generation.protocol import Request
from strategy_pipeline.generation.streams import SearchStream
from strategy_pipeline.generation.surrogate import Surrogate
from strategy_pipeline.generation.systematic import SystematicGenerator
from strategy_pipeline.rng import derive_seed, generator
from strategy_pipeline.strategies.strategy import Strategy

_ROUNDS = 6
_DISTILLED = 0.4  # of the first batch, at most
_UNASKED = 0.2  # of a batch, drawn whatever the surrogate says
_POOL = 4  # candidates for each that is run, half of them drawn and half varied
_PARENTS = 40
_HANDED_OVER = 0.25


class ModelDrivenGenerator:
    """What the surrogate found, best first."""

    name = "ml_driven"

    def stream(self, request: Request, state: dict[str, Any] | None = None) -> SearchStream:
        """Searches one after another; each evaluates `SearchSettings.trials` strategies and hands over a quarter of them."""
        return SearchStream(self.name, request, ModelDrivenSearch, state)


class ModelDrivenSearch:
    """One search. Attributes: round (finished ones), evaluated (ids in order)."""

    def __init__(self, request: Request, epoch: int, evaluator: Evaluator, state: Mapping[str, Any] | None = None) -> None:
        self.request, self.evaluator = request, evaluator
        self.seed = derive_seed(request.seed, "ml_driven", epoch)
        self.known = frozenset(request.series) & frozenset(request.search.values)
        self.rounds = min(_ROUNDS, max(2, request.search.trials // 40))
        self.round, self._drawn = 0, 0
        self.evaluated: dict[str, Strategy] = {}
        self._draws = iter(SystematicGenerator().stream(replace(request, seed=derive_seed(self.seed, "draws"), series=self.known)))
        if state is not None:
            self.round, self._drawn = int(state["round"]), int(state["drawn"])
            self.evaluated = {strategy.id: strategy for strategy in map(Strategy.from_json, state["evaluated"])}
            for _ in islice(self._draws, self._drawn):
                pass
            evaluator.run(list(self.evaluated.values()))

    @property
    def done(self) -> bool:
        """Whether the budget is spent."""
        return self.round >= self.rounds

    def step(self) -> None:
        """Propose and evaluate one batch."""
        trials = self.request.search.trials
        count = trials * (self.round + 1) // self.rounds - trials * self.round // self.rounds
        batch = self._first(count) if self.round == 0 else self._next(count)
        self.evaluated |= {strategy.id: strategy for strategy in batch}
        self.evaluator.run(batch)
        self.round += 1

    def best(self) -> list[Strategy]:
        """By worth, a quarter of what was evaluated."""
        count = max(1, round(_HANDED_OVER * len(self.evaluated)))
        return [self.evaluated[sid] for sid in self.evaluator.by_worth(self.evaluated)[:count]]

    def state(self) -> dict[str, Any]:
        """What was run and how much was drawn; models are fitted again."""
        return {"round": self.round, "drawn": self._drawn, "evaluated": [strategy.to_json() for strategy in self.evaluated.values()]}

    def _fresh(self) -> Iterator[Strategy]:
        for strategy in self._draws:
            self._drawn += 1
            if strategy.id not in self.evaluated:
                yield strategy

    def _first(self, count: int) -> list[Strategy]:
        seeds = [strategy for strategy in self.request.search.seeds if strategy.family in self.request.families]
        found = {strategy.id: strategy for strategy in seeds[: count // 2]}
        rules = distilled(self.request, self.known, derive_seed(self.seed, "rules"))
        found |= {strategy.id: strategy for strategy in islice(rules, round(_DISTILLED * count))}
        fresh = self._fresh()
        while len(found) < count and (drawn := next(fresh, None)) is not None:
            found.setdefault(drawn.id, drawn)
        return list(found.values())[:count]

    def _next(self, count: int) -> list[Strategy]:
        surrogate = Surrogate(self.request.bars, derive_seed(self.seed, "surrogate", self.round))
        ids = list(self.evaluated)
        surrogate.fit([self.evaluated[sid] for sid in ids], self.evaluator.returns(ids))
        unasked = list(islice(self._fresh(), max(1, round(_UNASKED * count))))
        found = {strategy.id: strategy for strategy in unasked}
        pool = {strategy.id: strategy for strategy in islice(self._fresh(), _POOL * count // 2)}
        pool |= {strategy.id: strategy for strategy in self._varied(_POOL * count // 2)}
        candidates = [strategy for sid, strategy in pool.items() if sid not in found]
        if candidates:
            worth = surrogate.score(candidates) if surrogate.ready else np.zeros(len(candidates))
            order = np.lexsort([np.arange(len(candidates)), -np.round(worth, 9)])
            found |= {candidates[k].id: candidates[k] for k in order[: max(0, count - len(found))]}
        return list(found.values())[:count]

    def _varied(self, count: int) -> Iterator[Strategy]:
        """Variations of the best by worth that have not been run."""
        rng = generator(self.seed, "varied", self.round)
        parents = [self.evaluated[sid] for sid in self.evaluator.by_worth(self.evaluated)[:_PARENTS]]
        for _ in range(count if parents else 0):
            parent = parents[int(rng.integers(len(parents)))]
            draw = rng.random()
            if draw < 0.4:
                child = operators.mutate_parameters(parent, rng, self.known)
            elif draw < 0.75:
                child = operators.crossover(parent, parents[int(rng.integers(len(parents)))], rng, self.known)
            elif draw < 0.85:
                child = operators.mutate_limits(parent, rng, self.known)
            elif draw < 0.95:
                child = operators.mutate_hoist(parent, rng, self.known)
            else:
                child = operators.mutate_symbols(parent, self.request.bars.symbols, rng, self.known)
            if child.id not in self.evaluated:
                yield child
