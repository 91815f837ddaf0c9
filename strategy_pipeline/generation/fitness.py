"""What candidates are worth on the bars of a request, each evaluated once.

Objectives are of net daily returns pooled over symbols, on all the bars given and on nothing else: a search must be given
the training span. Every strategy is reported as a trial before its numbers are used.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from strategy_pipeline.errors import StrategyError
from strategy_pipeline.generation.protocol import Request
from strategy_pipeline.indicators.expressions import Number, Value
from strategy_pipeline.strategies.conditions import Compare
from strategy_pipeline.strategies.kinds import kind_of
from strategy_pipeline.strategies.needs import conditions_of, rules
from strategy_pipeline.strategies.order import value_numbers, value_shape
from strategy_pipeline.strategies.strategy import Strategy
from strategy_pipeline.strategies.traverse import size

if TYPE_CHECKING:
    from strategy_pipeline.strategies.conditions import Condition

OBJECTIVES = ("sharpe", "max_drawdown", "turnover", "complexity")
SHARPE, DRAWDOWN, TURNOVER, COMPLEXITY = range(len(OBJECTIVES))
DAYS_A_YEAR = 365.0
_EXTRAS = ("stop", "take", "trail", "breakeven", "hold", "cooldown")
_BATCH = 2000
_CREDIBLE = 2.0  # standard errors of a Sharpe ratio: what a search among many reaches by luck
_COMPARED, _EXTRA, _NARROWED = 0.5, 0.5, 2.0  # decisions
_UPWARD = {"lowest": "highest", "lower": "upper", "low": "high", "minus": "plus", "down": "up", "-": "+"}
_DOWNWARD = re.compile("|".join(map(re.escape, _UPWARD)))


def complexity(strategy: Strategy) -> int:
    """Nodes of its rules, and one for each stop, target, trail, break-even, time limit and cool-down."""
    parts: Iterable[Condition] = rules(strategy).values()
    return sum(map(size, parts)) + sum(getattr(strategy, name) is not None for name in _EXTRAS)


def decisions(strategy: Strategy) -> float:
    """What a search chose: each distinct number, half of each stop, target, trail, break-even, time limit and cool-down, and
    `_NARROWED` for leaving out a side, and for leaving out symbols.

    A number of a long rule and its mirror image in the short one (30 and 70 of an oscillator, 2 and -2) are one: what is
    the same rule on both sides and on every symbol has shown itself that many times, and what was narrowed down to where it did
    well has not.
    """
    chosen: set[tuple[str, float]] = set()
    compared: set[str] = set()
    for part in conditions_of(strategy):
        compared.add(_compared(part))
        for side in (part.left, part.right):
            chosen.update(_numbers(side, part.left))
    extras = sum(getattr(strategy, name) is not None for name in _EXTRAS)
    narrowed = (strategy.enter_long is None or strategy.enter_short is None) + (strategy.symbols != ("*",))
    return len(chosen) + _COMPARED * len(compared) + _EXTRA * extras + _NARROWED * narrowed


@lru_cache(1 << 14)
def _compared(part: Compare) -> str:
    """What is compared with what, without numbers, the same for a rule and its mirror image."""
    sides = sorted(value_shape(side) for side in (part.left, part.right))
    return _DOWNWARD.sub(lambda found: _UPWARD[found.group()], "|".join(sides))


@lru_cache(1 << 14)
def _numbers(value: Value, beside: Value) -> tuple[tuple[str, float], ...]:
    """The numbers of one side of a comparison; a threshold by its distance from the middle of what it is held against."""
    if not isinstance(value, Number):
        return tuple(("of a series", abs(number)) for number in value_numbers(value))
    try:
        kind = kind_of(beside)
    except StrategyError:
        return (("threshold", abs(value.value)),)
    distance = abs(value.value - (kind.low + kind.high) / 2) if kind.bounded else abs(value.value)
    return (("threshold", round(distance, 9)),) if distance else ()


def expected_sharpe(
    sharpe: NDArray[np.float64], chosen: NDArray[np.float64], years: float, credible: float = np.inf
) -> NDArray[np.float64]:
    """What is left of a Sharpe ratio a year out of sample, by the Sharpe ratio information criterion (D. Paulsen, J. Söhl, "Noise Fit,
    Estimation Error and a Sharpe Information Criterion", 2020): less k / (T S) for k parameters fitted to T years, as which each
    choice counts here. Below a ratio of 1, where it would run off, S is 1 in the correction.

    credible
        The most that S is in the correction: the best of many look better than they are, and a ratio that is luck should not
        pay for the choices that made it.
    """
    return sharpe - chosen / (years * np.clip(sharpe, 1.0, credible))


class Evaluator:
    """Runs candidates in batches through `backtest` and remembers what came out, by strategy id."""

    def __init__(self, request: Request, method: str) -> None:
        self._request, self._method = request, method
        self._row: dict[str, int] = {}
        self._strategies: list[Strategy] = []
        self._numbers = np.empty((0, len(OBJECTIVES)))
        self._returns = np.empty((0, 0))
        self._worth = np.empty(0)
        self._reported: set[str] = set()

    def __len__(self) -> int:
        return len(self._row)

    def __contains__(self, strategy_id: str) -> bool:
        return strategy_id in self._row

    def strategy(self, strategy_id: str) -> Strategy:
        """The strategy evaluated under that id."""
        return self._strategies[self._row[strategy_id]]

    def run(self, strategies: Sequence[Strategy]) -> list[str]:
        """Evaluates what is new among them; their distinct ids, in order."""
        distinct = {strategy.id: strategy for strategy in strategies}
        search = self._request.search
        fresh = [strategy for sid, strategy in distinct.items() if sid not in self._row]
        if search.record is not None:
            search.record(self._method, [strategy.id for strategy in fresh if strategy.id not in self._reported])
        self._reported.update(strategy.id for strategy in fresh)
        for first in range(0, len(fresh), _BATCH):
            self._add(fresh[first : first + _BATCH])
        return list(distinct)

    def _add(self, fresh: Sequence[Strategy]) -> None:
        from strategy_pipeline.backtest import backtest

        search = self._request.search
        result = backtest(
            fresh, self._request.bars, costs=search.costs, fill=search.fill, series=dict(search.values), workers=search.workers,
            funding=search.funding, bank=self._request.bank,
        )  # fmt: skip
        numbers = np.full((len(fresh), len(OBJECTIVES)), np.nan)
        returns = np.zeros((len(fresh), result.daily_returns.shape[1]))
        place = {strategy.id: row for row, strategy in enumerate(fresh)}
        rows = [place[sid] for sid in result.strategy_ids]
        returns[rows] = result.daily_returns
        numbers[rows, :COMPLEXITY] = _objectives(result)
        numbers[:, COMPLEXITY] = [complexity(strategy) for strategy in fresh]
        chosen = np.array([decisions(strategy) for strategy in fresh], dtype=np.float64)
        years = returns.shape[1] / DAYS_A_YEAR
        expected = expected_sharpe(numbers[:, SHARPE], chosen, years, max(1.0, _CREDIBLE / np.sqrt(years)))
        self._worth = np.append(self._worth, expected)
        self._row |= {strategy.id: len(self._strategies) + row for row, strategy in enumerate(fresh)}
        self._strategies += fresh
        self._numbers = np.concatenate([self._numbers, numbers])
        self._returns = np.concatenate([self._returns, returns]) if self._returns.shape[1] else returns

    def numbers(self, ids: Sequence[str]) -> NDArray[np.float64]:
        """(n, 4): Sharpe ratio, maximum drawdown, turnover a year, complexity; NaN where undefined (no trades, or it cannot run)."""
        return self._numbers[[self._row[sid] for sid in ids]]

    def costs(self, ids: Sequence[str]) -> NDArray[np.float64]:
        """(n, 4), less is better: the objectives with the Sharpe ratio negated, infinite where one is undefined."""
        found = self.numbers(ids).copy()
        found[:, SHARPE] *= -1
        found[~np.isfinite(found).all(axis=1)] = np.inf
        return found

    def worth(self, ids: Sequence[str]) -> NDArray[np.float64]:
        """What is expected of their Sharpe ratios out of sample (`expected_sharpe`), (n,); NaN where undefined."""
        return self._worth[[self._row[sid] for sid in ids]]

    def returns(self, ids: Sequence[str]) -> NDArray[np.float64]:
        """Net daily returns pooled over symbols, (n, n_days)."""
        return self._returns[[self._row[sid] for sid in ids]]

    def by_worth(self, ids: Iterable[str]) -> list[str]:
        """Those of `ids` that have a Sharpe ratio, by what is expected of it out of sample, best first; ties by id."""
        known = list(dict.fromkeys(ids))
        worth = self.worth(known) if known else np.empty(0)
        order = sorted((k for k in range(len(known)) if np.isfinite(worth[k])), key=lambda k: (-worth[k], known[k]))
        return [known[k] for k in order]

    def leaders(self, ids: Iterable[str], most: int = 25, alike: float = 0.9) -> list[str]:
        """Which of `ids` to hand over first: at most `most` of the best by worth, no two correlated above `alike`, those first that
        agree best with whatever did well.

        The worth of one strategy is mostly luck where many were tried; what several different ones found is less so. Each of `ids` has
        a vote of exp(worth x years), as its likelihood against none would be were worth the truth, and gives it by the
        square of its correlation, where that is positive.
        """
        ordered = self.by_worth(ids)
        if not ordered:
            return []
        best = ordered[: 4 * most]
        chosen = [best[k] for k in distinct_rows(self.returns(best), alike, most)]
        evidence = self.worth(ordered) * self._returns.shape[1] / DAYS_A_YEAR
        likeness = np.maximum(correlated(self.returns(chosen), self.returns(ordered)), 0.0)
        score = (likeness**2) @ np.exp(evidence - evidence.max())
        return [chosen[k] for k in np.lexsort([np.arange(len(chosen)), -score])]


def _objectives(result: Any) -> NDArray[np.float64]:
    return result.pooled[["sharpe", "max_drawdown", "turnover"]].to_numpy(dtype=np.float64)


def correlations(returns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correlation of the rows of (n, n_days), (n, n); 0 with a row that does not move."""
    unit = _unit(returns)
    return unit @ unit.T


def correlated(returns: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correlation of each row of (n, n_days) with each of (m, n_days), (n, m); 0 with a row that does not move."""
    return _unit(returns) @ _unit(others).T


def _unit(returns: NDArray[np.float64]) -> NDArray[np.float64]:
    centred = returns - returns.mean(axis=1, keepdims=True)
    norm = np.sqrt((centred**2).sum(axis=1, keepdims=True))
    return np.divide(centred, norm, out=np.zeros_like(centred), where=norm > 0)


def distinct_rows(returns: NDArray[np.float64], limit: float, most: int | None = None) -> list[int]:
    """Rows, in order, that correlate at most `limit` with each row kept before; at most `most`."""
    related = correlations(returns)
    kept: list[int] = []
    for row in range(len(returns)):
        if most is not None and len(kept) >= most:
            break
        if not kept or (related[row, kept] <= limit).all():
            kept.append(row)
    return kept
