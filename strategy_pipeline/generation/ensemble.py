"""Combinations of survivors that are strategies of the language themselves, of family ensemble.

Survivors are the best by what training makes expect (`Evaluator.worth`), of those given as seeds or of ones drawn, none correlated
above `_ALIKE` with another. Four kinds take turns: *vote* (so many of them agree), *weighted* (by the inverse of their correlation, as
a portfolio of least variance on standardised returns would: H. Markowitz, 1952), *switched* (one in calm days, another in
turbulent ones, each the better there), *stacked* (weights fitted to forward returns, none negative: L. Breiman, 1996).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strategy_pipeline.errors import StrategyError
from strategy_pipeline.generation.context import Market
from strategy_pipeline.generation.distill import labels
from strategy_pipeline.generation.fitness import SHARPE, Evaluator, correlations, distinct_rows
from strategy_pipeline.generation.protocol import Request
from strategy_pipeline.generation.streams import SearchStream
from strategy_pipeline.generation.systematic import SystematicGenerator
from strategy_pipeline.generation.templates import TEMPLATES
from strategy_pipeline.generation.votes import stance, tally
from strategy_pipeline.indicators.expressions import Number, Value
from strategy_pipeline.rng import derive_seed, generator
from strategy_pipeline.strategies.conditions import And, Compare, Condition, Not, Or
from strategy_pipeline.strategies.needs import rules
from strategy_pipeline.strategies.parsing import parse_condition
from strategy_pipeline.strategies.semantics import truth
from strategy_pipeline.strategies.strategy import EVERY_SYMBOL, Level, Size, Strategy
from strategy_pipeline.strategies.traverse import size
from strategy_pipeline.strategies.validation import problems

KINDS = ("vote", "weighted", "switched", "stacked")
FAMILY = "ensemble"
_SURVIVORS, _ALIKE = 16, 0.7
_MEMBERS = (2, 5)
_LARGEST = 30  # nodes of a member's rule
_ON_SURVIVORS = 0.5  # of the trials, where survivors must be drawn
_HANDED_OVER = 0.5
_HORIZON = 24
_SHRINK = 0.2  # of correlations towards 0, so that their inverse is tame
_TRIES = 400
_HOLDS: tuple[int | None, ...] = (None, None, 24, 48, 96)
_STOPS: tuple[Level | None, ...] = (None, None, Level("percent", 0.04), Level("percent", 0.08))
_SIZES = (Size("all_in"), Size("all_in"), Size("volatility_target", 0.3))


class EnsembleGenerator:
    """Combinations of survivors, best first."""

    name = "ensemble"

    def stream(self, request: Request, state: dict[str, Any] | None = None) -> SearchStream:
        """Searches one after another; each evaluates at most `SearchSettings.trials` strategies and hands over half of its
        combinations. Empty where the family ensemble is not asked for."""
        return SearchStream(self.name, request, EnsembleSearch, state)


class EnsembleSearch:
    """One search in two steps: survivors, then combinations of them."""

    def __init__(self, request: Request, epoch: int, evaluator: Evaluator, state: Mapping[str, Any] | None = None) -> None:
        self.request, self.evaluator = request, evaluator
        self.seed = derive_seed(request.seed, "ensemble", epoch)
        self.known = frozenset(request.series) & frozenset(request.search.values)
        self.stage = 0 if FAMILY in request.families else 2
        self.survivors: list[Strategy] = []
        self.combined: dict[str, Strategy] = {}
        if state is not None:
            self.stage = int(state["stage"])
            self.survivors = [Strategy.from_json(document) for document in state["survivors"]]
            self.combined = {strategy.id: strategy for strategy in map(Strategy.from_json, state["combined"])}
            evaluator.run([*self.survivors, *self.combined.values()])

    @property
    def done(self) -> bool:
        """Whether both steps are behind it."""
        return self.stage >= 2

    def step(self) -> None:
        """Find survivors, or combine them."""
        if self.stage == 0:
            self._survive()
        else:
            spent = max(1, self.request.search.trials - self._drawn())
            made = list(islice(self._combinations(), spent))
            self.combined = {strategy.id: strategy for strategy in made}
            self.evaluator.run(made)
        self.stage += 1

    def best(self) -> list[Strategy]:
        """By worth, half of the combinations."""
        count = max(1, round(_HANDED_OVER * len(self.combined)))
        return [self.combined[sid] for sid in self.evaluator.by_worth(self.combined)[:count]]

    def state(self) -> dict[str, Any]:
        """Survivors and combinations."""
        return {
            "stage": self.stage,
            "survivors": [strategy.to_json() for strategy in self.survivors],
            "combined": [strategy.to_json() for strategy in self.combined.values()],
        }

    # ---- survivors

    def _drawn(self) -> int:
        """Trials spent on survivors."""
        return len(self._seeds()) or round(_ON_SURVIVORS * self.request.search.trials)

    def _seeds(self) -> list[Strategy]:
        found = (self._member(strategy) for strategy in self.request.search.seeds)
        kept = {strategy.id: strategy for strategy in found if strategy is not None}
        return list(kept.values()) if len(kept) >= _MEMBERS[0] else []

    def _survive(self) -> None:
        candidates = self._seeds()
        if not candidates:
            market = Market(replace(self.request, series=self.known))
            families = tuple(dict.fromkeys(template.family for template in TEMPLATES if market.lacks(template) is None))
            request = replace(self.request, families=families, series=self.known, seed=derive_seed(self.seed, "draws"))
            drawn = (self._member(strategy) for strategy in SystematicGenerator().stream(request))
            fitting = {s.id: s for s in islice((s for s in drawn if s is not None), self._drawn())}
            candidates = list(fitting.values())
        ids = self.evaluator.by_worth(self.evaluator.run(candidates))
        good = [sid for sid, numbers in zip(ids, self.evaluator.numbers(ids), strict=True) if numbers[SHARPE] > 0] if ids else []
        ids = good if len(good) >= _MEMBERS[0] else ids
        if ids:
            rows = distinct_rows(self.evaluator.returns(ids), _ALIKE, _SURVIVORS)
            self.survivors = [self.evaluator.strategy(ids[row]) for row in rows]

    def _member(self, strategy: Strategy) -> Strategy | None:
        """A strategy on every symbol, where its rules mean something on each; None for a pair and for what is too long."""
        if strategy.against is not None or strategy.timeframe != self.request.bars.timeframe:
            return None
        if max(map(size, rules(strategy).values())) > _LARGEST:
            return None
        pooled = replace(strategy, symbols=EVERY_SYMBOL)
        return pooled if not problems(pooled, self.known) else None

    # ---- combinations

    def _combinations(self) -> Iterator[Strategy]:
        if len(self.survivors) < _MEMBERS[0]:
            return
        rng = generator(self.seed, "combine")
        room = _Members(self.request, self.evaluator, self.survivors)
        seen: set[str] = set()
        misses = 0
        for kind in itertools.cycle(KINDS):
            if misses > _TRIES:
                return
            made = self._combined(kind, room, rng)
            if made is None or made.id in seen or problems(made, self.known):
                misses += 1
                continue
            misses = 0
            seen.add(made.id)
            yield made

    def _combined(self, kind: str, room: _Members, rng: np.random.Generator) -> Strategy | None:
        most = min(_MEMBERS[1], len(self.survivors))
        count = 2 if kind == "switched" else int(rng.integers(min(3, most), most + 1))
        rows = sorted(rng.choice(len(self.survivors), size=count, replace=False).tolist())
        sides = {side for row in rows for side in ("long", "short") if getattr(self.survivors[row], f"enter_{side}") is not None}
        if kind == "switched":
            given: dict[str, Any] = room.switched(rows)
        else:
            weights = np.ones(count) if kind == "vote" else room.inverse(rows) if kind == "weighted" else room.stacked(rows)
            if not (weights > 0).any():
                return None
            quorum = float(rng.choice([0.34, 0.5, 0.67])) * float(weights.sum())
            given = _rules(tally([room.stances[row] for row in rows], weights.tolist()), quorum, sides)
        try:
            return Strategy(
                FAMILY, EVERY_SYMBOL, self.request.bars.timeframe, **given, hold=_HOLDS[int(rng.integers(len(_HOLDS)))],
                stop=_STOPS[int(rng.integers(len(_STOPS)))], size=_SIZES[int(rng.integers(len(_SIZES)))],
            )  # fmt: skip
        except StrategyError:
            return None


def _rules(vote: Value, quorum: float, sides: set[str]) -> dict[str, Condition]:
    """Enter where the vote exceeds a quorum, leave where it no longer leans that way."""
    level = Number(float(f"{quorum:.3g}"))
    found: dict[str, Condition] = {}
    if "long" in sides:
        found |= {"enter_long": Compare(">", vote, level), "exit_long": Compare("<=", vote, Number(0.0))}
    if "short" in sides:
        found |= {"enter_short": Compare("<", vote, Number(-level.value)), "exit_short": Compare(">=", vote, Number(0.0))}
    return found


class _Members:
    """What is known of survivors on the training bars: stances, correlations, calm days, forward returns."""

    def __init__(self, request: Request, evaluator: Evaluator, survivors: Sequence[Strategy]) -> None:
        self._survivors = survivors
        self._returns = evaluator.returns([strategy.id for strategy in survivors])
        self.stances = [stance(strategy) for strategy in survivors]
        self._bank = request.bank
        self._related = (1 - _SHRINK) * correlations(self._returns) + _SHRINK * np.eye(len(survivors))
        known = frozenset(request.series) & frozenset(request.search.values)
        self._calm = parse_condition("regime.calm > 0.5" if "regime.calm" in known else "volatility_ratio(close, 24, 168) < 1")
        self._said: NDArray[np.float64] | None = None

    def inverse(self, rows: Sequence[int]) -> NDArray[np.float64]:
        """Weights of least variance on standardised returns, none negative, the largest 1."""
        matrix = self._related[np.ix_(rows, rows)]
        np.fill_diagonal(matrix, 1.0)
        return _scaled(np.asarray(np.linalg.solve(matrix, np.ones(len(rows))), dtype=np.float64))

    def stacked(self, rows: Sequence[int]) -> NDArray[np.float64]:
        """Weights fitted to the labels of `distill` by non-negative least squares, the largest 1; all 0 where nothing fits."""
        from scipy.optimize import nnls

        table, target = self._table()
        return _scaled(nnls(table[:, rows], target)[0])

    def switched(self, rows: Sequence[int]) -> dict[str, Condition]:
        """Rules of the one that did better on calm days there, of the other elsewhere."""
        days = self._calm_days()
        better = [self._ratio(row, days) - self._ratio(row, ~days) for row in rows]
        calm, other = (rows[0], rows[1]) if better[0] >= better[1] else (rows[1], rows[0])
        found: dict[str, Condition] = {}
        for side in ("long", "short"):
            parts: list[Condition] = []
            leave: list[Condition] = []
            for row, gate in ((calm, self._calm), (other, Not(self._calm))):
                member = self._survivors[row]
                enter, leaves = getattr(member, f"enter_{side}"), getattr(member, f"exit_{side}")
                if enter is not None:
                    parts.append(And((gate, enter)))
                    leave += [And((gate, leaves))] if leaves is not None else []
            if parts:
                found[f"enter_{side}"] = parts[0] if len(parts) == 1 else Or(tuple(parts))
                if leave:
                    found[f"exit_{side}"] = leave[0] if len(leave) == 1 else Or(tuple(leave))
        return found

    def _ratio(self, row: int, days: NDArray[np.bool_]) -> float:
        returns = self._returns[row, days[: self._returns.shape[1]]]
        deviation = float(returns.std(ddof=1)) if len(returns) > 1 else 0.0
        return float(returns.mean()) / deviation if deviation > 0 else 0.0

    def _calm_days(self) -> NDArray[np.bool_]:
        """Days on which it was calm on at least half of the symbols and bars that know."""
        found = truth(self._calm, self._bank)
        day = np.unique(np.asarray(self._bank.bars.times).astype("datetime64[D]"), return_inverse=True)[1]
        calm = np.bincount(day, weights=(found == 1).sum(axis=0))
        known = np.bincount(day, weights=(found != -1).sum(axis=0))
        return np.asarray(2 * calm >= np.maximum(known, 1))

    def _table(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Stances and labels where all are known, on every eighth bar: (n_rows, n_survivors), (n_rows,)."""
        if self._said is None:
            said = np.stack(self._bank.evaluate_many(self.stances), axis=-1)[:, ::8]
            self._said = np.concatenate([said, labels(self._bank.bars.close, _HORIZON)[:, ::8, None]], axis=-1)
        fine = self._said[np.isfinite(self._said).all(axis=-1)]
        return fine[:, :-1], fine[:, -1]


def _scaled(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    positive = np.maximum(weights, 0.0)
    largest = float(positive.max(initial=0.0))
    return np.round(positive / largest, 2) if largest > 0 else positive
