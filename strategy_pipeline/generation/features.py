"""A strategy and the market around it as numbers, for a model that learns which do well when.

What does not belong here: the model (`surrogate`).
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from strategy_pipeline.generation.fitness import complexity
from strategy_pipeline.indicators.expressions import Value
from strategy_pipeline.market import Bars
from strategy_pipeline.strategies.needs import conditions_of, rules, values_of
from strategy_pipeline.strategies.parameters import parameters
from strategy_pipeline.strategies.strategy import FAMILIES, Strategy
from strategy_pipeline.strategies.traverse import series_of

ABSENT = -20.0  # below every logarithm and place: a tree tells it apart with one cut
BUCKETS = 48  # of words: indicators and named series, by checksum
_LEVELS = ("stop", "take", "trail", "breakeven")
_SIZES = ("all_in", "fraction", "volatility_target", "kelly")
REGIME = ("volatility", "trend", "efficiency", "persistence", "togetherness")


def structure(strategies: Sequence[Strategy], symbols: Sequence[str]) -> NDArray[np.float64]:
    """float64 (n, n_features): family, sides, scope, words, shape, lengths, thresholds, levels and size; `ABSENT` where it has none."""
    names = tuple(symbols)
    return np.array([_row(strategy, names) for strategy in strategies], dtype=np.float64)


@lru_cache(1 << 12)
def _row(strategy: Strategy, symbols: tuple[str, ...]) -> tuple[float, ...]:
    given, compared = rules(strategy), conditions_of(strategy)
    words = [0.0] * BUCKETS
    for value in values_of(strategy):
        for bucket in _buckets(value):
            words[bucket] += 1.0
    tunable = parameters(strategy)
    lengths = [math.log(p.value) for p in tunable if p.kind == "int" and p.value > 0 and "." in p.path]
    places = [(p.value - p.low) / (p.high - p.low) for p in tunable if "threshold" in p.name and p.high > p.low]
    crossings = sum(part.op.startswith("crosses") for part in compared)
    return (
        *(float(strategy.family == family) for family in FAMILIES),
        *(float(name in given) for name in ("enter_long", "enter_short", "exit_long", "exit_short")),
        float(strategy.symbols == ("*",)),
        *(float(strategy.symbols == (symbol,)) for symbol in symbols),
        float(strategy.against is not None),
        *words,
        float(complexity(strategy)), float(len(compared)), float(crossings),
        *(_spread(lengths)), *(_spread(places)),
        *(_level(strategy, name) for name in _LEVELS),
        math.log(strategy.hold) if strategy.hold else ABSENT,
        math.log(strategy.cooldown) if strategy.cooldown else ABSENT,
        *(float(strategy.size.kind == kind) for kind in _SIZES), strategy.size.value,
    )  # fmt: skip


@lru_cache(1 << 14)
def _buckets(value: Value) -> tuple[int, ...]:
    """The bucket of each word of a value."""
    words = [f"{series.name}.{series.output or ''}{'@' if series.timeframe else ''}" for series in series_of(value)]
    return tuple(zlib.crc32(word.encode()) % BUCKETS for word in words)


def _spread(numbers: Sequence[float]) -> tuple[float, float, float]:
    return (min(numbers), sum(numbers) / len(numbers), max(numbers)) if numbers else (ABSENT, ABSENT, ABSENT)


def _level(strategy: Strategy, name: str) -> float:
    """A distance in percent; one in average true ranges as if these were one percent."""
    level = getattr(strategy, name)
    return ABSENT if level is None else math.log(level.value * (100.0 if level.kind == "percent" else 1.0))


def segments(bars: Bars, count: int) -> list[NDArray[np.int64]]:
    """The days of the bars in `count` stretches of the same length: indices of days, one array each."""
    n_days = len(np.unique(np.asarray(bars.times).astype("datetime64[D]")))
    return [part for part in np.array_split(np.arange(n_days), count) if len(part)]


def regimes(bars: Bars, parts: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
    """float64 (n_parts, 5): what the market was like in each stretch of days, over symbols: deviation of a bar's return, mean
    return over it, net over gross movement, autocorrelation at one bar, mean correlation of symbols. 0 where undefined."""
    returns = np.diff(np.log(bars.close), axis=1, prepend=np.nan)
    day = np.unique(np.asarray(bars.times).astype("datetime64[D]"), return_inverse=True)[1]
    return np.array([_regime(returns[:, (day >= part[0]) & (day <= part[-1])]) for part in parts])


def _regime(returns: NDArray[np.float64]) -> list[float]:
    known = np.nan_to_num(returns)
    deviation = float(known.std())
    if deviation == 0.0:
        return [0.0] * len(REGIME)
    mean = known.mean(axis=0)
    gross = np.abs(known).sum(axis=1)
    together = 0.0
    if len(known) > 1:
        moving = known[known.std(axis=1) > 0]
        matrix = np.corrcoef(moving) if len(moving) > 1 else np.eye(1)
        together = float((matrix.sum() - len(matrix)) / max(1, len(matrix) * (len(matrix) - 1)))
    market = mean - mean.mean()
    persistence = float((market[1:] * market[:-1]).sum() / max(float((market**2).sum()), 1e-300))
    efficiency = float(np.mean(np.abs(known.sum(axis=1)) / np.maximum(gross, 1e-300)))
    return [deviation, float(mean.mean()) / deviation, efficiency, persistence, together]
