"""Paths of equity made from the effects of trades in other orders.

What belongs here: drawing orders in blocks, with and without replacement, and the kernel that walks them. What does not:
which strategies, and what is concluded (`robustness`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit

DRAWN_AT_ONCE = 2_000_000  # trades of paths drawn in one go
Draw = Callable[[int], tuple[np.ndarray, np.ndarray]]  # from a number of paths: starts and lengths of their blocks


@dataclass(frozen=True, slots=True)
class Paths:
    """What n paths came to.

    final, drawdown : float64 (n,), total return and largest fall from a running maximum (a positive fraction)
    at_points : float64 (n, n_points), equity after so many trades, from 1
    """

    final: np.ndarray
    drawdown: np.ndarray
    at_points: np.ndarray


def default_block(count: int) -> int:
    """Trades a block: the cube root of how many there are, as block bootstraps of n observations want (Künsch 1989)."""
    return max(1, round(count ** (1 / 3)))


def resampled(
    effects: np.ndarray, n: int, rng: np.random.Generator, *, block: int | None = None, points: np.ndarray | None = None
) -> Paths:
    """`n` paths of as many trades, drawn with replacement in circular blocks (Politis and Romano 1992).

    Parameters
    ----------
    effects : float64 (n_trades,), what each trade did to equity, as a fraction
    block : trades a block; None is `default_block`
    points : sorted int64, after how many trades to note the equity; None is none
    """
    count = len(effects)
    length = default_block(count) if block is None else int(block)
    pieces = -(-count // length)
    lengths = np.full((1, pieces), length, dtype=np.int64)

    def draw(paths: int) -> tuple[np.ndarray, np.ndarray]:
        return rng.integers(0, count, (paths, pieces)), np.broadcast_to(lengths, (paths, pieces))

    return _walk(effects, n, draw, points)


def shuffled(effects: np.ndarray, n: int, rng: np.random.Generator, *, block: int | None = None, points: np.ndarray | None = None) -> Paths:
    """`n` paths of every trade once, in blocks whose order is drawn and whose cuts start anywhere on the circle.

    The final return is the same for all; the drawdown says what the order did. Parameters as in `resampled`.
    """
    count = len(effects)
    length = default_block(count) if block is None else int(block)
    pieces = -(-count // length)
    lengths = np.full(pieces, length, dtype=np.int64)
    lengths[-1] = count - length * (pieces - 1)

    def draw(paths: int) -> tuple[np.ndarray, np.ndarray]:
        shift = rng.integers(0, count, (paths, 1))
        order = rng.permuted(np.broadcast_to(np.arange(pieces), (paths, pieces)).copy(), axis=1)
        return (order * length + shift) % count, lengths[order]

    return _walk(effects, n, draw, points)


def straight(effects: np.ndarray) -> tuple[float, float]:
    """Final return and largest drawdown of the trades in their own order."""
    count = np.array([[len(effects)]], dtype=np.int64)
    found = _walk(effects, 1, lambda _: (np.zeros((1, 1), dtype=np.int64), count), None)
    return float(found.final[0]), float(found.drawdown[0])


def _walk(effects: np.ndarray, n: int, draw: Draw, points: np.ndarray | None) -> Paths:
    growth = np.ascontiguousarray(1 + np.asarray(effects, dtype=np.float64))
    at = np.zeros(0, dtype=np.int64) if points is None else np.ascontiguousarray(points, dtype=np.int64)
    final, drawdown, noted = np.empty(n), np.empty(n), np.empty((n, len(at)))
    chunk = max(1, DRAWN_AT_ONCE // max(1, len(growth)))
    for first in range(0, n, chunk):
        part = slice(first, min(first + chunk, n))
        starts, lengths = draw(part.stop - part.start)
        _follow(growth, np.ascontiguousarray(starts), np.ascontiguousarray(lengths), at, final[part], drawdown[part], noted[part])
    return Paths(final, drawdown, noted)


@njit(cache=True, nogil=True, error_model="numpy")
def _follow(
    growth: np.ndarray, starts: np.ndarray, lengths: np.ndarray, points: np.ndarray, final: np.ndarray, drawdown: np.ndarray,
    at_points: np.ndarray,
) -> None:  # fmt: skip
    """Walk each row's blocks of trades (from starts, so many, around the circle) until every path has made all trades."""
    count = growth.shape[0]
    for k in range(starts.shape[0]):
        level = peak = low = 1.0
        deepest = 0.0
        done = point = 0
        while point < points.shape[0] and points[point] == 0:
            at_points[k, point] = 1.0
            point += 1
        wanted = points[point] if point < points.shape[0] else -1
        for piece in range(starts.shape[1]):
            at = starts[k, piece]
            for _ in range(min(lengths[k, piece], count - done)):
                level *= growth[at]
                at += 1
                if at == count:
                    at = 0
                if level > peak:
                    deepest = max(deepest, 1 - low / peak)
                    peak = low = level
                elif level < low:
                    low = level
                done += 1
                if done == wanted:
                    at_points[k, point] = level
                    point += 1
                    wanted = points[point] if point < points.shape[0] else -1
        final[k] = level - 1
        drawdown[k] = max(deepest, 1 - low / peak)


@njit(cache=True, nogil=True, error_model="numpy")
def thinned(growth: np.ndarray, draws: np.ndarray, skip: float, first: np.ndarray, final: np.ndarray, drawdown: np.ndarray) -> None:
    """Paths of the trades in their order, from trade first[k] on, each missed where draws[k] < skip.

    growth : float64 (n_trades,), 1 + effect; draws : float64 (n, n_trades) in [0, 1); first : int64 (n,);
    final, drawdown : float64 (n,), written
    """
    for k in range(draws.shape[0]):
        level = peak = low = 1.0
        deepest = 0.0
        for i in range(first[k], growth.shape[0]):
            if draws[k, i] >= skip:
                level *= growth[i]
                if level > peak:
                    deepest = max(deepest, 1 - low / peak)
                    peak = low = level
                elif level < low:
                    low = level
        final[k] = level - 1
        drawdown[k] = max(deepest, 1 - low / peak)
