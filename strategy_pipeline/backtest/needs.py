"""Needs: what the comparisons of a plan are made of, and the order in which that takes little memory.

What belongs here: the graph of series that the bank remembers, who still needs each, and orders of comparisons. What does
not: computing any of them (`source`, `indicators.bank`).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence

import numpy as np

from strategy_pipeline.backtest.plan import Plan, is_number
from strategy_pipeline.errors import PipelineError
from strategy_pipeline.indicators import Bank, Value

Node = tuple[int, Value]  # as the bank names what it remembers
FEW = 8  # uses left of a series from which on comparisons are weighed again when it loses one


class Needs:
    """Series by number, in an order in which each comes after those it is made of.

    A series is needed while a comparison to come reads it, a series to come is made of it, or a strategy reads it itself.
    """

    def __init__(self, bank: Bank, plan: Plan, fresh: np.ndarray) -> None:
        """fresh : bool (n_literals,), the comparisons that are still to be made."""
        found: dict[Node, tuple[tuple[Node, ...], int]] = {}
        sides = np.unique(plan.literals[fresh, 1:])
        tops = {side: _graph(bank, plan.values[side], found) for side in sides.tolist()}
        aux = [_graph(bank, plan.aux[number], found) for number in range(len(plan.aux))]
        self._names = list(found)
        number_of = {node: number for number, node in enumerate(self._names)}
        self._parts = [tuple(number_of[part] for part in parts) for parts, _ in found.values()]
        self._bytes = [size for _, size in found.values()]
        self._aux = [-1 if node is None else number_of[node] for node in aux]
        self._tops = {side: number_of[node] for side, node in tops.items() if node is not None}
        node_of = np.full(len(plan.values), -1, dtype=np.intp)
        node_of[list(self._tops)] = list(self._tops.values())
        self._sides = node_of[plan.literals[:, 1:]]  # (n_literals, 2), the series that each reads, -1 for none
        self._sides[self._sides[:, 0] == self._sides[:, 1], 1] = -1
        self._sides[~fresh] = -1
        read = plan.series_of(np.arange(len(plan)))
        readers = [self._aux[position] for position in np.unique(read[read >= 0]).tolist()]
        needed = [np.array([part for parts in self._parts for part in parts], dtype=np.intp), np.array(readers, dtype=np.intp)]
        self._left = self._count(np.concatenate([self._sides.ravel(), *needed]))  # who still needs each
        self._computed = [False] * len(self._names)
        self._values, self._literals = plan.values, plan.literals

    def done(self, literals: np.ndarray) -> list[Node]:
        """These have been compared: what nobody needs any more."""
        return self._release(self._sides[literals].ravel())

    def read(self, aux: int) -> list[Node]:
        """That series of the plan's `aux` has been read: what nobody needs any more."""
        return self._release(np.array([self._aux[aux]], dtype=np.intp))

    def _release(self, used: np.ndarray) -> list[Node]:
        new = self._new(np.unique(used[used >= 0]).tolist(), self._computed)
        for node in new:
            self._computed[node] = True
        lost = self._count(np.concatenate([used, np.array([part for node in new for part in self._parts[node]], dtype=np.intp)]))
        self._left -= lost
        return [self._names[node] for node in np.flatnonzero((lost > 0) & (self._left == 0)).tolist()]

    def _count(self, nodes: np.ndarray) -> np.ndarray:
        return np.bincount(nodes[nodes >= 0], minlength=len(self._names))

    def portions(self, literals: np.ndarray, at_once: int, size: int, room: int) -> Iterator[np.ndarray]:
        """Literals so many at a time that what is computed for them is at most `at_once` series of `size` bytes, in an order in
        which that and what is still needed fit into `room` bytes, if there is one.

        The order is that of their series by kinship and name, in which series of one kind are computed together, or, where too
        much would be alive between first and last use, the one that `_frugal` finds.
        """
        sides = self._sides[literals]
        weights = [self._bytes[node] for node in self._new(np.unique(sides[sides >= 0]).tolist(), self._computed)]
        if len(weights) <= at_once and sum(weights) <= size:
            yield from [literals] if len(literals) else []
            return
        order = self._kindred(literals)
        self._ends = {literal: tuple(node for node in self._sides[literal].tolist() if node >= 0) for literal in order}
        if self._most_alive(order) + size > room:
            order = self._frugal(order)
        part: list[int] = []
        held = weight = 0
        computed = list(self._computed)
        for literal in order:
            new = self._new(self._ends[literal], computed)
            more = sum(self._bytes[node] for node in new)
            if part and (held + len(new) > at_once or weight + more > size):
                yield np.array(part)
                part, held, weight = [], 0, 0
            part.append(literal)
            held += len(new)
            weight += more
            for node in new:
                computed[node] = True
        yield np.array(part)

    # -- the graph

    def _new(self, ends: Sequence[int], computed: Sequence[bool]) -> list[int]:
        """What must be computed for some series, themselves included."""
        waiting, found = [node for node in ends if not computed[node]], set[int]()
        while waiting:
            node = waiting.pop()
            if node not in found:
                found.add(node)
                waiting += [part for part in self._parts[node] if not computed[part]]
        return sorted(found)

    def _take(self, literal: int, left: list[int], computed: list[bool], changed: set[int]) -> list[int]:
        """Compare a literal in `left` and `computed`; what had to be computed. What lost a need enters `changed`."""
        ends = self._ends[literal]
        new = self._new(ends, computed)
        for node in new:
            computed[node] = True
            for part in self._parts[node]:
                left[part] -= 1
            changed.update(self._parts[node])
        for node in ends:
            left[node] -= 1
        changed.update(ends)
        return new

    # -- orders

    def _kindred(self, literals: np.ndarray) -> list[int]:
        """Literals with those of kin series together, and by the names of their series among these."""
        names = {side: str(self._values[side]) for side in np.unique(self._literals[literals, 1:]).tolist()}
        place = np.zeros(len(self._values), dtype=np.intp)
        place[sorted(names, key=lambda side: (names[side], side))] = np.arange(len(names))
        left, right = self._literals[literals, 1], self._literals[literals, 2]
        constant = np.array([is_number(value) for value in self._values], dtype=bool)
        lead = np.where(constant[left], right, left)
        order: list[int] = literals[np.lexsort([literals, place[lead], self._kin()[lead]])].tolist()
        return order

    def _kin(self) -> np.ndarray:
        """A number for each value, equal for values that have a part in common, directly or through others; prices, and parts that so
        many values share that they would make all one, are left out of account."""
        nothing_yet = [False] * len(self._names)
        made_of = {side: self._new((node,), nothing_yet) for side, node in self._tops.items()}
        uses = np.bincount(np.array([node for nodes in made_of.values() for node in nodes], dtype=np.intp), minlength=len(self._names))
        few = (uses <= np.sqrt(len(self._values))).tolist()
        first: dict[int, int] = {}
        pairs = [(first.setdefault(node, side), side) for side, nodes in made_of.items() for node in nodes if few[node]]
        pairs += [(left, right) for left, right in self._literals[:, 1:].tolist() if left in made_of and right in made_of]
        return connected(len(self._values), np.array(pairs, dtype=np.intp).reshape(-1, 2))

    def _most_alive(self, order: Sequence[int]) -> int:
        """Bytes alive at once at most when literals are compared in that order and nothing is kept that nobody needs."""
        left, computed = self._left.tolist(), list(self._computed)
        alive = most = 0
        for literal in order:
            changed: set[int] = set()
            new = self._take(literal, left, computed, changed)
            alive += sum(self._bytes[node] for node in new)
            most = max(most, alive)
            alive -= sum(self._bytes[node] for node in changed if left[node] == 0)
        return most

    def _frugal(self, order: Sequence[int]) -> list[int]:
        """Literals one by one, always one of those that add least to what is alive; of equals, the first in `order`."""
        left, computed = self._left.tolist(), list(self._computed)
        place = {literal: position for position, literal in enumerate(order)}
        readers: list[list[int]] = [[] for _ in self._names]
        for literal in order:
            for node in self._new(self._ends[literal], computed):
                readers[node].append(literal)
            for node in self._ends[literal]:
                if computed[node]:
                    readers[node].append(literal)

        def growth(literal: int) -> int:
            new = self._new(self._ends[literal], computed)
            lost: dict[int, int] = {}
            for node in self._ends[literal]:
                lost[node] = 1
            for node in new:
                for part in self._parts[node]:
                    lost[part] = lost.get(part, 0) + 1
            added = sum(self._bytes[node] for node in new)
            return added - sum(self._bytes[node] for node, count in lost.items() if left[node] == count)

        current = {literal: growth(literal) for literal in order}
        heap = [(current[literal], place[literal], literal) for literal in order]
        heapq.heapify(heap)
        result: list[int] = []
        while heap:
            value, _, literal = heapq.heappop(heap)
            if current.get(literal) != value:
                continue  # it was weighed again since, or taken
            del current[literal]
            result.append(literal)
            changed: set[int] = set()
            new = self._take(literal, left, computed, changed)
            near = {reader for node in (*new, *(one for one in changed if left[one] <= FEW)) for reader in readers[node]}
            for reader in near & current.keys():
                value = growth(reader)
                if value != current[reader]:
                    current[reader] = value
                    heapq.heappush(heap, (value, place[reader], reader))
        return result


def connected(n: int, pairs: np.ndarray) -> np.ndarray:
    """The smallest number that each of `n` is connected with by `pairs`, intp (n,)."""
    label = np.arange(n)
    while True:  # the smallest label spreads along the pairs
        smallest = np.minimum(label[pairs[:, 0]], label[pairs[:, 1]])
        spread = label.copy()
        np.minimum.at(spread, pairs[:, 0], smallest)
        np.minimum.at(spread, pairs[:, 1], smallest)
        spread = spread[spread]
        if (spread == label).all():
            return label
        label = spread


def _graph(bank: Bank, value: Value, into: dict[Node, tuple[tuple[Node, ...], int]]) -> Node | None:
    try:
        return bank.graph(value, into)
    except PipelineError:
        return None  # what is wrong with it is said where it is evaluated
