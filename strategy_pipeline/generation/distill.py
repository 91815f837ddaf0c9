"""Rules distilled from tree models of forward returns: paths of a tree, written as sentences of the language.

Small regression trees (L. Breiman et al., 1984) are fitted on the bars given, which must be the training span, to the return
over the next bars in units of recent volatility. No label reaches beyond the span: the last bars, whose future is
not in it, have none. Each tree is fitted on the earlier part and its leaves are held against the later one, with as many bars between
as a label is long; a leaf that does not keep its sign there is dropped.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strategy_pipeline.errors import StrategyError
from strategy_pipeline.generation.protocol import Request
from strategy_pipeline.generation.variants import RISKS
from strategy_pipeline.indicators.expressions import Number, Value
from strategy_pipeline.rng import derive_seed, generator
from strategy_pipeline.strategies.conditions import And, Compare, Condition
from strategy_pipeline.strategies.kinds import kind_of, series_kind
from strategy_pipeline.strategies.parsing import parse_value
from strategy_pipeline.strategies.strategy import Size, Strategy
from strategy_pipeline.strategies.validation import problems

HORIZONS = (6, 12, 24, 48)
_EARLIER = 0.7
_DEPTH = 3
_LEAST = 0.02  # of the rows, in a leaf
_FEWEST = 100  # rows to fit on
_CLIP = 5.0
_SHARE = 0.5  # of the terminals, in one tree
_ROUNDS = 6
# (family, value): without dimension, so that a threshold means the same on every symbol.
TERMINALS = (
    ("momentum", "roc(close, 12)"), ("momentum", "roc(close, 48)"), ("momentum", "roc(close, 168)"), ("momentum", "rsi(close, 14)"),
    ("momentum", "rsi(close, 48)"), ("momentum", "ppo(close, 12, 48)"), ("mean_reversion", "zscore(close, 24)"),
    ("mean_reversion", "zscore(close, 96)"), ("trend", "adx(14)"), ("trend", "close / ema(close, 48)"),
    ("trend", "close / ema(close, 200)"),
    ("trend", "efficiency_ratio(close, 48)"), ("breakout", "close / highest(high, 72)"), ("breakout", "close / lowest(low, 72)"),
    ("volatility", "volatility_ratio(close, 24, 168)"), ("volatility", "atr(14) / close"), ("volatility", "choppiness(24)"),
    ("volume", "volume_ratio(48)"), ("volume", "mfi(14)"), ("volume", "cmf(24)"),
)  # fmt: skip
_BOUNDED_SERIES = ("return", "probability", "score", "statistic")


@dataclass(frozen=True)
class Path:
    """A leaf: bounds (terminal, above or below, threshold), mean label on the earlier and on the later part, and their t."""

    bounds: tuple[tuple[int, str, float], ...]
    mean: float
    later: float
    t: float


def labels(close: NDArray[np.float64], horizon: int, window: int = 48) -> NDArray[np.float64]:
    """Log return over the next `horizon` bars over its expected deviation (of the last `window` bars' returns), clipped at 5;
    (n_symbols, n_bars), NaN for the last `horizon` bars and where a price is missing."""
    logs = np.log(close)
    step = np.diff(logs, axis=1, prepend=np.nan)
    known = np.where(np.isfinite(step), step, 0.0)
    total = np.cumsum(known**2, axis=1)
    past = total.copy()
    past[:, window:] -= total[:, :-window]
    deviation = np.sqrt(past / window * horizon)
    out = np.full(close.shape, np.nan)
    if close.shape[1] <= horizon:
        return out
    ahead = logs[:, horizon:] - logs[:, :-horizon]
    base = deviation[:, :-horizon]
    out[:, :-horizon] = np.divide(ahead, base, out=np.full(ahead.shape, np.nan), where=base > 0)
    out[:, :window] = np.nan
    return np.clip(out, -_CLIP, _CLIP)


def distilled(request: Request, known: frozenset[str], seed: int) -> Iterator[Strategy]:
    """Valid strategies from trees, most telling leaves first within a round of trees; it ends after a few rounds."""
    terminals = _terminals(request, known)
    if not terminals:
        return
    values = request.bank.evaluate_many([value for _, value in terminals])
    seen: set[str] = set()
    for number in range(_ROUNDS):
        horizon = HORIZONS[number % len(HORIZONS)]
        rng = generator(seed, "distill", number)
        size = max(1, round(_SHARE * len(terminals)))
        chosen = sorted(rng.choice(len(terminals), size=size, replace=False).tolist()) if number >= len(HORIZONS) else range(len(terminals))
        picked = list(chosen)
        found = paths([values[k] for k in picked], labels(request.bars.close, horizon), horizon, seed=derive_seed(seed, "tree", number))
        for strategy in _strategies(request, [terminals[k] for k in picked], found, horizon, rng):
            if strategy.id not in seen and not problems(strategy, known):
                seen.add(strategy.id)
                yield strategy


def paths(values: Sequence[NDArray[np.float64]], label: NDArray[np.float64], horizon: int, *, seed: int) -> list[Path]:
    """The leaves of a tree that keep their sign on the later part, by the size of their t statistic.

    values
        One (n_symbols, n_bars) a terminal; label as `labels` gives. Rows are every ``horizon // 3``-th bar where all are known.
    """
    from sklearn.tree import DecisionTreeRegressor

    n_bars = label.shape[1]
    bars = np.arange(0, n_bars, max(1, horizon // 3))
    table = np.stack([value[:, bars] for value in values], axis=-1)
    target = label[:, bars]
    fine = np.isfinite(table).all(axis=-1) & np.isfinite(target)
    cut = int(n_bars * _EARLIER)
    early, late = fine & (bars < cut - horizon), fine & (bars >= cut)
    if min(early.sum(), late.sum()) < _FEWEST:
        return []
    tree = DecisionTreeRegressor(max_depth=_DEPTH, min_samples_leaf=_LEAST, random_state=seed % 2**32)
    tree.fit(table[early].astype(np.float32), target[early])
    ends, later_ends = tree.apply(table[early].astype(np.float32)), tree.apply(table[late].astype(np.float32))
    found = []
    for leaf, bounds in _leaves(tree.tree_):
        mine, others = target[early][ends == leaf], target[late][later_ends == leaf]
        if not bounds or len(others) < _FEWEST // 10:
            continue
        mean, later = float(mine.mean()), float(others.mean())
        if mean * later > 0:
            t = mean / max(float(mine.std(ddof=1)) / math.sqrt(len(mine) / 3), 1e-12)  # labels overlap threefold
            found.append(Path(bounds, mean, later, t))
    return sorted(found, key=lambda path: (-abs(path.t), path.bounds))


def _leaves(tree: Any) -> Iterator[tuple[int, tuple[tuple[int, str, float], ...]]]:
    """Each leaf's number and its bounds; several on one side of a terminal become the tightest."""
    stack: list[tuple[int, dict[tuple[int, str], float]]] = [(0, {})]
    while stack:
        node, bounds = stack.pop()
        if tree.children_left[node] < 0:
            yield node, tuple((feature, op, threshold) for (feature, op), threshold in sorted(bounds.items()))
            continue
        feature, threshold = int(tree.feature[node]), float(tree.threshold[node])
        below = bounds | {(feature, "<="): min(threshold, bounds.get((feature, "<="), math.inf))}
        above = bounds | {(feature, ">"): max(threshold, bounds.get((feature, ">"), -math.inf))}
        stack += [(int(tree.children_left[node]), below), (int(tree.children_right[node]), above)]


def _terminals(request: Request, known: frozenset[str]) -> list[tuple[str, Value]]:
    """Terminals with the family a rule takes from its first bound: ml where that is asked for, else the terminal's own."""
    named = [("ml", name) for name in sorted(known) if series_kind(name).unit in _BOUNDED_SERIES]
    found: list[tuple[str, Value]] = []
    for family, text in (*TERMINALS, *named):
        own = "ml" if "ml" in request.families else family
        if own in request.families:
            value = parse_value(text)
            try:
                kind_of(value)
            except StrategyError:
                continue
            found.append((own, value))
    return found


def _strategies(
    request: Request, terminals: Sequence[tuple[str, Value]], found: Sequence[Path], horizon: int, rng: np.random.Generator
) -> Iterator[Strategy]:
    for path in found:
        enter = "enter_long" if path.mean > 0 else "enter_short"
        opposite = next((other for other in found if other.mean * path.mean < 0), None)
        family = terminals[path.bounds[0][0]][0]
        for variant in range(3):
            rules: dict[str, Any] = {enter: _condition(path, terminals)}
            if opposite is not None and variant != 1:
                other = "enter_short" if enter == "enter_long" else "enter_long"
                rules[other] = _condition(opposite, terminals)
            risk = RISKS[0] if variant == 0 else RISKS[int(rng.integers(len(RISKS)))]
            try:
                yield Strategy(
                    family, ("*",), request.bars.timeframe, **rules, stop=risk.stop, take=risk.take, trail=risk.trail,
                    hold=horizon, size=Size("all_in") if variant < 2 else Size("volatility_target", 0.3),
                )  # fmt: skip
            except StrategyError:
                continue  # a threshold that rounding put where no value reaches


def _condition(path: Path, terminals: Sequence[tuple[str, Value]]) -> Condition:
    parts = tuple(Compare(op, terminals[feature][1], Number(float(f"{threshold:.3g}"))) for feature, op, threshold in path.bounds)
    return parts[0] if len(parts) == 1 else And(parts)
