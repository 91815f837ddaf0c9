"""The systematic generator: templates, their numbers and their variants, explored evenly.

Each template spans a grid: its slots and words times side, filter, risk, time limit, size and symbols. A grid of up to
`FACTORIAL` points is gone through completely, in an order drawn from the seed; a larger one is explored by a scrambled
Sobol sequence (I. Sobol, 1967; A. Owen, 1998), which fills it evenly however far it is followed, and completed in a
drawn order once the sequence brings little new. The design ``latin`` fills it by Latin hypercubes instead (M. McKay,
R. Beckman, W. Conover, 1979), of `_LATIN` points each. Families take turns, and templates within a family.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np

from strategy_pipeline.errors import StrategyError
from strategy_pipeline.generation.context import Market
from strategy_pipeline.generation.protocol import Request
from strategy_pipeline.generation.streams import Counted
from strategy_pipeline.generation.template import Sentence, Template
from strategy_pipeline.generation.templates import TEMPLATES
from strategy_pipeline.generation.variants import HOLDS, LIMITS, PAIR_RISKS, RISKS, SIDES, Filter, Risk, filters, sizes
from strategy_pipeline.rng import generator
from strategy_pipeline.strategies.conditions import And
from strategy_pipeline.strategies.naming import near
from strategy_pipeline.strategies.strategy import Size, Strategy
from strategy_pipeline.strategies.validation import problems

FACTORIAL = 4096
_COMPLETED = 4_000_000  # larger grids are not completed: the sequence never runs dry
_CHUNK = 64
_LATIN = 1024
DESIGNS = ("sobol", "latin")
_STALE = 512


class SystematicGenerator:
    """Candidates from `TEMPLATES`; see the module's docstring for the order."""

    name = "systematic"

    def __init__(self, templates: Sequence[Template] = TEMPLATES, design: str = "sobol", *, bare: bool = False) -> None:
        if design not in DESIGNS:
            raise StrategyError(f"Expected a design of {', '.join(DESIGNS)}, was {design!r}{near(design, DESIGNS)}.")
        self.templates, self.design, self.bare = tuple(templates), design, bare

    def stream(self, request: Request, state: dict[str, Any] | None = None) -> Counted:
        """Distinct valid candidates, families in turn, until every grid is exhausted."""
        return Counted(self.name, self._stream(request), state)

    def _stream(self, request: Request) -> Iterator[Strategy]:
        market = Market(request)
        turns = [
            _in_turn(
                [
                    _Grid(template, market, request, self.design, self.bare).stream()
                    for template in self.templates
                    if _fits(template, family, market)
                ]
            )
            for family in request.families
        ]
        seen: set[str] = set()
        for strategy in _in_turn([_new(turn, seen) for turn in turns]):
            if wrong := problems(strategy, request.series):
                raise StrategyError(f"Expected templates to make valid strategies, was {strategy.text!r}: {' '.join(wrong)}")
            yield strategy


def _fits(template: Template, family: str, market: Market) -> bool:
    return template.family == family and market.lacks(template) is None


def _new(source: Iterator[Strategy], seen: set[str]) -> Iterator[Strategy]:
    for strategy in source:
        if strategy.id not in seen:
            seen.add(strategy.id)
            yield strategy


def _in_turn(sources: Sequence[Iterator[Strategy]]) -> Iterator[Strategy]:
    """One of each source, again and again; a source that has ended drops out."""
    waiting = list(sources)
    while waiting:
        still: list[Iterator[Strategy]] = []
        for source in waiting:
            strategy = next(source, None)
            if strategy is not None:
                still.append(source)
                yield strategy
        waiting = still


class _Grid:
    """All settings of one template on one market."""

    def __init__(self, template: Template, market: Market, request: Request, design: str = "sobol", bare: bool = False) -> None:
        self.template, self.design = template, design
        self.timeframe = market.timeframe
        self.seed = request.seed
        names = template.word_names
        offered = [template.words[name] if name in template.words else market.word(name) for name in names]
        self.sentences = [Sentence(template, dict(zip(names, chosen, strict=True))) for chosen in product(*offered)]
        self.filters: tuple[Filter | None, ...] = filters(market) if template.filtered else (None,)
        self.holds = HOLDS if template.exit_long else LIMITS
        self.sizes = sizes(market)
        self.risks: tuple[Risk, ...] = PAIR_RISKS if template.pair else RISKS
        self.against = market.reference if template.pair else None
        self.symbols = _symbols(market, "reference" in names)
        self.sides: tuple[tuple[str, ...], ...] = SIDES
        if bare:
            self.filters, self.risks, self.sizes, self.symbols = (None,), (Risk(),), (Size("all_in"),), self.symbols[:1]
            self.sides, self.holds = SIDES[:1], (None,) if template.exit_long else LIMITS
        slots = [len(slot.values) for slot in template.slots]
        self.axes = [
            len(self.sentences),
            *slots,
            len(self.sides),
            len(self.filters),
            len(self.risks),
            len(self.holds),
            len(self.sizes),
            len(self.symbols),
        ]

    def stream(self) -> Iterator[Strategy]:
        """Its strategies without repeats."""
        seen: set[str] = set()
        for point in self._points(lambda: len(seen)):
            strategy = self._strategy(point)
            if strategy.id not in seen:
                seen.add(strategy.id)
                yield strategy

    def _points(self, found: Callable[[], int]) -> Iterator[Sequence[int]]:
        total = math.prod(self.axes)
        if total > FACTORIAL:
            stale, last = 0, 0
            for point in self._sobol() if self.design == "sobol" else self._latin():
                yield point
                stale = 0 if found() > last else stale + 1
                last = found()
                if stale > _STALE:
                    break
        if total <= _COMPLETED:
            order = generator(self.seed, "systematic", self.template.name, "order").permutation(total)
            for index in order:
                yield np.unravel_index(int(index), self.axes)  # type: ignore[misc]

    def _sobol(self) -> Iterator[Sequence[int]]:
        from scipy.stats import qmc

        draw = generator(self.seed, "systematic", self.template.name, "sobol")
        sequence = qmc.Sobol(len(self.axes), scramble=True, rng=draw)
        axes = np.asarray(self.axes)
        while sequence.num_generated < 2**30 - _CHUNK:
            yield from np.minimum((sequence.random(_CHUNK) * axes).astype(np.int64), axes - 1).tolist()

    def _latin(self) -> Iterator[Sequence[int]]:
        from scipy.stats import qmc

        draw = generator(self.seed, "systematic", self.template.name, "latin")
        axes = np.asarray(self.axes)
        while True:
            cube = qmc.LatinHypercube(len(self.axes), rng=draw).random(_LATIN)
            yield from np.minimum((cube * axes).astype(np.int64), axes - 1).tolist()

    def _strategy(self, point: Sequence[int]) -> Strategy:
        template = self.template
        slots = len(template.slots)
        sentence = self.sentences[point[0]]
        numbers = template.numbers({slot.name: slot.values[i] for slot, i in zip(template.slots, point[1 : 1 + slots], strict=True)})
        side, filtered, risk, hold, size, symbols = point[1 + slots :]
        sides, extra, levels = self.sides[side], self.filters[filtered], self.risks[risk]
        rules: dict[str, Any] = {}
        for name in sides:
            entry = sentence.rule(f"enter_{name}", numbers)
            if entry is not None and extra is not None:
                entry = And((entry, extra.long if name == "long" else extra.short))
            rules[f"enter_{name}"] = entry
            rules[f"exit_{name}"] = sentence.rule(f"exit_{name}", numbers)
        return Strategy(
            template.family,
            self.symbols[symbols],
            self.timeframe,
            **rules,
            stop=levels.stop,
            take=levels.take,
            trail=levels.trail,
            hold=self.holds[hold],
            size=self.sizes[size],
            breakeven=levels.breakeven,
            cooldown=levels.cooldown,
            against=self.against,
        )


def _symbols(market: Market, referenced: bool) -> tuple[tuple[str, ...], ...]:
    """Every symbol pooled in half of the draws, each alone in the other half; a reference is not held against itself."""
    if len(market.symbols) == 1:
        return (("*",),)
    single = tuple((symbol,) for symbol in market.symbols if not (referenced and symbol == market.reference))
    return (*([("*",)] * len(single)), *single)
