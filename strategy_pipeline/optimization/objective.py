"""What a parameter set is worth: the median over purged walk-forward folds of the training span."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strategy_pipeline.backtest import metrics_from_returns
from strategy_pipeline.errors import PipelineError
from strategy_pipeline.resampling import walk_forward_splits
from strategy_pipeline.strategies.naming import near

# Objective -> whether more is better.
OBJECTIVES = {"sharpe": True, "sortino": True, "calmar": True, "omega": True, "max_drawdown": False}


class OptimizationError(PipelineError):
    """A search over parameters was asked for that cannot be run."""


@dataclass(frozen=True)
class Folds:
    """How the training span is judged.

    count
        Test folds, one after another, each as long as the others; what comes before the first, about as long as a
        fold, is left to indicators and sizing to warm up on.
    purge
        Days left out at the start of each fold, so that a position carried over from the fold before counts in one only.
    """

    count: int = 4
    purge: int = 2

    def tests(self, n_days: int) -> list[NDArray[np.int64]]:
        """Day indices of each fold. `OptimizationError` when a fold would have fewer than 20 days."""
        length = n_days // (self.count + 1) if self.count > 0 else 0
        if self.count < 1 or self.purge < 0 or length - self.purge < 20:
            raise OptimizationError(
                f"Expected at least 20 days in each of {self.count} folds after a purge of {self.purge}, was {max(length - self.purge, 0)} "
                f"in {n_days} days; a ratio of less says nothing; give more history or fewer folds"
            )
        splits = walk_forward_splits(n_days, n_days - self.count * length, length, purge=self.purge, anchored=True)
        return [split.test[self.purge :] for split in splits]


def fold_values(daily_returns: NDArray[np.float64], objective: str, folds: Folds) -> NDArray[np.float64]:
    """The objective of each strategy on each fold: float64 (n_strategies, n_folds); NaN where undefined, such as without a trade.

    daily_returns
        (n_strategies, n_days), as `BacktestResult.daily_returns`.
    """
    return values_of(daily_returns, objective, folds.tests(daily_returns.shape[1]))


def values_of(daily_returns: NDArray[np.float64], objective: str, parts: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
    """The objective of each strategy on each of the `parts`, day indices: float64 (n_strategies, n_parts); NaN where undefined."""
    values = [metrics_from_returns(daily_returns[:, days], 365.0, names=(objective,))[objective] for days in parts]
    return np.stack(values, axis=1).astype(np.float64)


def median_over_folds(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Median of the folds with a value, NaN where fewer than half of them have one: float64 (n_strategies,)."""
    known = np.isfinite(values)
    enough = known.sum(axis=1) * 2 >= values.shape[1]
    return np.array([np.median(row[ok]) if keep and ok.any() else np.nan for row, ok, keep in zip(values, known, enough, strict=True)])


def checked_objectives(objective: str | Sequence[str]) -> tuple[str, ...]:
    """One or several objectives as a tuple; `OptimizationError` for one that is unknown or repeated."""
    names = (objective,) if isinstance(objective, str) or not isinstance(objective, Iterable) else tuple(objective)
    said = [str(name) for name in names]
    unknown = [name for name in said if name not in OBJECTIVES]
    if unknown or not names or len(set(said)) != len(said):
        hint = near(unknown[0], OBJECTIVES) if unknown else ""
        raise OptimizationError(
            f"Expected distinct objectives of {', '.join(OBJECTIVES)}, was {', '.join(said) or 'none'}{hint}; name one or more"
        )
    return tuple(said)
