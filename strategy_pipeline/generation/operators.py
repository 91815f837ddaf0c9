"""Genetic operators on strategies, strongly typed (D. Montana, 1995): conditions replace conditions, values replace values
of the same kind, numbers move within their own ranges, and only children that validate are returned.

What does not belong here: selection, populations and fitness.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np

from strategy_pipeline.errors import StrategyError
from strategy_pipeline.indicators.expressions import Arithmetic, Number, Series, Value
from strategy_pipeline.strategies.conditions import And, Compare, Condition, Not, Or
from strategy_pipeline.strategies.kinds import kind_of
from strategy_pipeline.strategies.needs import rules
from strategy_pipeline.strategies.parameters import Parameter, parameters, with_parameters
from strategy_pipeline.strategies.strategy import Level, Size
from strategy_pipeline.strategies.traverse import size
from strategy_pipeline.strategies.validation import problems

if TYPE_CHECKING:
    from strategy_pipeline.strategies.strategy import Strategy

Node: TypeAlias = Condition | Value
Path: TypeAlias = tuple[int, ...]
LARGEST = 60
_TRIES = 24
_LOOSENED = 5.0
_SIZES = (
    Size("all_in"), Size("all_in"), Size("fraction", 0.5), Size("fraction", 0.25), Size("fraction", 0.1), Size("volatility_target", 0.3),
    Size("volatility_target", 0.15), Size("kelly", 0.5),
)  # fmt: skip
_CONDITIONS = (Compare, Not, And, Or)
_OPPOSITE = {">": "<", "<": ">", ">=": "<=", "<=": ">=", "crosses_above": "crosses_below", "crosses_below": "crosses_above"}
_LIMITS = ("stop", "take", "trail", "breakeven", "hold", "cooldown")
_SOFTER = {"crosses_above": ">", "crosses_below": "<", ">": "crosses_above", "<": "crosses_below", ">=": ">", "<=": "<"}


def children(node: Node) -> tuple[Node, ...]:
    """The parts of a node, in order; a series' inputs, not its parameters."""
    if isinstance(node, Compare):
        return (node.left, node.right)
    if isinstance(node, Not):
        return (node.term,)
    if isinstance(node, (And, Or)):
        return node.terms
    return node.inputs if isinstance(node, Series) else node.operands if isinstance(node, Arithmetic) else ()


def places(node: Node, path: Path = ()) -> Iterator[tuple[Path, Node]]:
    """Every node of a tree with its path, the root first."""
    yield path, node
    for i, child in enumerate(children(node)):
        yield from places(child, (*path, i))


def put(node: Node, path: Path, new: Node) -> Node:
    """The tree with the node at `path` replaced."""
    if not path:
        return new
    parts = tuple(put(child, path[1:], new) if i == path[0] else child for i, child in enumerate(children(node)))
    if isinstance(node, Compare):
        return Compare(node.op, cast(Value, parts[0]), cast(Value, parts[1]))
    if isinstance(node, Not):
        return Not(cast(Condition, parts[0]))
    if isinstance(node, (And, Or)):
        return type(node)(cast("tuple[Condition, ...]", parts))
    if isinstance(node, Series):
        return replace(node, inputs=cast("tuple[Value, ...]", parts))
    return Arithmetic(cast(Arithmetic, node).op, cast("tuple[Value, ...]", parts))


def _pick(rng: np.random.Generator, options: list[Any]) -> Any:
    return options[int(rng.integers(len(options)))]


def _child(parent: Strategy, known: frozenset[str], attempt: Callable[[], Strategy | dict[str, Any] | None]) -> Strategy:
    """The first valid, new and not too large strategy of a few attempts; the parent where none is."""
    for _ in range(_TRIES):
        try:
            changes = attempt()
            if changes is None:
                continue
            child = replace(parent, **changes) if isinstance(changes, dict) else changes
        except StrategyError:
            continue
        if child != parent and max(map(size, rules(child).values())) <= LARGEST and not problems(child, known):
            return child
    return parent


def crossover(mother: Strategy, father: Strategy, rng: np.random.Generator, known_series: Iterable[str] = ()) -> Strategy:
    """The mother with a part of the father: a condition in place of a condition of a rule of the same role, or a value
    in place of a value of the same kind (an average for an average, an oscillator for one with its bounds)."""

    def attempt() -> dict[str, Any] | None:
        name = _pick(rng, list(rules(mother)))
        given = [rule for other, rule in rules(father).items() if other[:5] == name[:5]]
        if not given:
            return None
        own = getattr(mother, name)
        path, node = _pick(rng, list(places(own)))
        offers = [offer for rule in given for _, offer in places(rule) if _alike(node, offer)]
        return {name: put(own, path, _pick(rng, offers))} if offers else None

    return _child(mother, frozenset(known_series), attempt)


def recombine(mother: Strategy, father: Strategy, rng: np.random.Generator, known_series: Iterable[str] = ()) -> Strategy:
    """The mother with a part of the father for what it is: its entries, alone or joined with the mother's by ``and``, its exits, its
    limits, its size or its symbols. Rules are taken for both sides at once, so that what is the same on both stays it."""

    def attempt() -> dict[str, Any] | None:
        part = _pick(rng, ["entries", "entries", "joined", "joined", "exits", "exits", "limits", "size", "symbols"])
        if part in ("limits", "size", "symbols"):
            names = _LIMITS if part == "limits" else (part,)
            return {name: getattr(father, name) for name in names}
        verb = "exit" if part == "exits" else "enter"
        pairs = {f"{verb}_{side}": (getattr(mother, f"{verb}_{side}"), getattr(father, f"{verb}_{side}")) for side in ("long", "short")}
        if part == "joined":
            both = {name: And(pair) for name, pair in pairs.items() if None not in pair}
            return {name: both.get(name) for name in pairs} if both else None
        return {name: pair[1] for name, pair in pairs.items()}

    return _child(mother, frozenset(known_series), attempt)


def _alike(node: Node, offer: Node) -> bool:
    if isinstance(node, _CONDITIONS) or isinstance(offer, _CONDITIONS):
        return isinstance(node, _CONDITIONS) and isinstance(offer, _CONDITIONS)
    if isinstance(node, Number) or isinstance(offer, Number) or node == offer:
        return False
    one, other = kind_of(node), kind_of(offer)
    return (one.unit, one.low, one.high) == (other.unit, other.low, other.high)


def mutate_parameters(strategy: Strategy, rng: np.random.Generator, known_series: Iterable[str] = (), *, spread: float = 0.15) -> Strategy:
    """One to three numbers moved, each by a normal step of `spread` of its own range on its own scale, within the range.

    Numbers that are equal, or each other's mirror image, stay it: a rule that is the same for longs and shorts moves as one. Once in
    `_LOOSENED` times each moves alone.
    """
    tunable = parameters(strategy)
    if not tunable:
        return strategy

    def attempt() -> Strategy:
        values: dict[str, float] = {}
        alone = rng.random() * _LOOSENED < 1.0
        for i in rng.choice(len(tunable), size=min(len(tunable), int(rng.integers(1, 4))), replace=False):
            parameter = tunable[int(i)]
            low, high, value = parameter.low, parameter.high, parameter.value
            if parameter.scale == "log":
                moved = float(np.exp(np.log(value) + spread * rng.standard_normal() * np.log(high / low)))
            else:
                moved = value + spread * float(rng.standard_normal()) * (high - low)
            moved = min(max(moved, low), high)
            moved = float(round(moved)) if parameter.kind == "int" else float(f"{moved:.3g}")
            values[parameter.path] = moved
            if not alone:
                values |= _tied(parameter, moved, tunable)
        return with_parameters(strategy, values)

    return _child(strategy, frozenset(known_series), attempt)


def _tied(moved: Parameter, value: float, tunable: list[Parameter]) -> dict[str, float]:
    """What the numbers become that were as `moved` is, now that it becomes `value`: equal lengths, equal or mirrored thresholds."""
    found: dict[str, float] = {}
    for other in tunable:
        if other is moved or other.kind != moved.kind:
            continue
        if other.value == moved.value and (other.name == moved.name or other.kind == "int"):
            found[other.path] = min(max(value, other.low), other.high)
        elif other.name == moved.name and (other.low, other.high) == (moved.low, moved.high):
            twice = moved.low + moved.high
            if abs(other.value + moved.value - twice) <= 1e-9 * max(1.0, abs(twice)):
                found[other.path] = float(f"{twice - value:.6g}")
    return found


def mutate_point(strategy: Strategy, rng: np.random.Generator, known_series: Iterable[str] = ()) -> Strategy:
    """One operator changed: a comparison softened to or sharpened from a crossing, turned round, or `and` for `or`."""

    def attempt() -> dict[str, Any] | None:
        name = _pick(rng, list(rules(strategy)))
        rule = getattr(strategy, name)
        path, node = _pick(rng, [(path, node) for path, node in places(rule) if isinstance(node, (Compare, And, Or))])
        if isinstance(node, Compare):
            turned = _OPPOSITE if rng.random() < 0.3 else _SOFTER
            return {name: put(rule, path, Compare(turned[node.op], node.left, node.right))}
        return {name: put(rule, path, (Or if isinstance(node, And) else And)(node.terms))}

    return _child(strategy, frozenset(known_series), attempt)


def mutate_subtree(strategy: Strategy, donors: list[Condition], rng: np.random.Generator, known_series: Iterable[str] = ()) -> Strategy:
    """A condition of a rule replaced by, or joined with, one of `donors` (conditions drawn from templates, say)."""
    if not donors:
        raise StrategyError("Expected conditions to draw from, was none; give at least one donor.")

    def attempt() -> dict[str, Any] | None:
        name = _pick(rng, list(rules(strategy)))
        rule = getattr(strategy, name)
        path, node = _pick(rng, [(path, node) for path, node in places(rule) if isinstance(node, _CONDITIONS)])
        donor = _pick(rng, donors)
        join: type[And] | type[Or] = And if name.startswith("enter") else Or
        return {name: put(rule, path, donor if rng.random() < 0.5 else join((node, donor)))}

    return _child(strategy, frozenset(known_series), attempt)


def mutate_hoist(strategy: Strategy, rng: np.random.Generator, known_series: Iterable[str] = ()) -> Strategy:
    """A rule shortened to one of its own parts, or a stop, target, trail, break-even, time limit or cool-down dropped."""

    def attempt() -> dict[str, Any] | None:
        named = rules(strategy)
        longer = [name for name, rule in named.items() if isinstance(rule, (And, Or, Not))]
        extras = [name for name in _LIMITS if getattr(strategy, name) is not None]
        leaves = all(f"exit{name[5:]}" in named for name in named if name.startswith("enter"))
        if extras and (leaves or len(extras) > 1) and (not longer or rng.random() < 0.3):
            return {_pick(rng, extras): None}
        if not longer:
            return None
        name = _pick(rng, longer)
        parts = [node for path, node in places(named[name]) if path and isinstance(node, _CONDITIONS)]
        return {name: _pick(rng, parts)}

    return _child(strategy, frozenset(known_series), attempt)


def mutate_limits(strategy: Strategy, rng: np.random.Generator, known_series: Iterable[str] = ()) -> Strategy:
    """A stop, target, trail, break-even, time limit or cool-down given, or given anew: distances in percent or, of strategies
    on one leg, in average true ranges."""

    def attempt() -> dict[str, Any] | None:
        name = _pick(rng, list(_LIMITS))
        if name in ("hold", "cooldown"):
            return {name: _pick(rng, [6, 12, 24, 48, 96, 168])}
        if strategy.against is None and rng.random() < 0.5:
            return {name: Level("atr", _pick(rng, [1.0, 1.5, 2.0, 3.0, 4.0, 6.0]), _pick(rng, [14, 24]))}
        return {name: Level("percent", _pick(rng, [0.01, 0.015, 0.02, 0.03, 0.04, 0.06, 0.08, 0.12]))}

    return _child(strategy, frozenset(known_series), attempt)


def mutate_size(strategy: Strategy, rng: np.random.Generator, known_series: Iterable[str] = ()) -> Strategy:
    """Another size: a fraction, a volatility target, a part of Kelly, or all in. What is risked is an objective of its own."""

    def attempt() -> dict[str, Any] | None:
        size = _pick(rng, list(_SIZES))
        return None if size.kind == strategy.size.kind == "all_in" else {"size": size}

    return _child(strategy, frozenset(known_series), attempt)


def mutate_symbols(strategy: Strategy, symbols: Sequence[str], rng: np.random.Generator, known_series: Iterable[str] = ()) -> Strategy:
    """Another scope: every symbol where one was named, else one of `symbols`; a pair's second leg stays."""

    def attempt() -> dict[str, Any] | None:
        others = [symbol for symbol in symbols if symbol != strategy.against]
        if len(others) < 2 and strategy.symbols == ("*",):
            return None
        return {"symbols": (_pick(rng, others),) if strategy.symbols == ("*",) or rng.random() < 0.3 else ("*",)}

    return _child(strategy, frozenset(known_series), attempt)
