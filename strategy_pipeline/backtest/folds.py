"""Walk-forward: choose on the past, be paid by what follows, again and again.

What belongs here: folds over the days of one result. Strategies are causal rules without fitted parts, so a fold needs no
run of its own: every fold, and every cell of the matrix of window lengths, reads the daily returns of the one run, whose
series and bits were computed once. A position open at the edge of a fold carries over it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from strategy_pipeline.backtest.metrics import RETURN_METRICS, metrics_from_returns
from strategy_pipeline.backtest.result import BacktestResult
from strategy_pipeline.errors import SettingsError
from strategy_pipeline.resampling import walk_forward_splits


@dataclass(frozen=True, slots=True, eq=False)
class WalkForward:
    """What choosing the best of each training window earned in the window after it.

    folds
        DataFrame, a row a fold: train_start, train_end, test_start, test_end (UTC days, inclusive), chosen (tuple of ids,
        best first), trained and tested (the metric: mean over the chosen in training, of their equal mix in testing).
    returns
        Daily returns of the equal mix of the chosen, over all test windows, indexed by day; a day tested twice counts by
        the latest window that holds it.
    metrics
        `RETURN_METRICS` of `returns`.
    efficiency
        Mean of tested over mean of trained, folds without a value left out; NaN where trained is not above zero.
    """

    folds: pd.DataFrame
    returns: pd.Series
    metrics: dict[str, float]
    efficiency: float


def walk_forward(
    result: BacktestResult, *, train: int, test: int, step: int | None = None, purge: int = 0, embargo: int = 0,
    anchored: bool = False, top: int = 1, metric: str = "sharpe",
) -> WalkForward:  # fmt: skip
    """Choose the `top` strategies by `metric` in each training window and follow them in the test window after it.

    Parameters
    ----------
    result : BacktestResult
    train, test, step, purge, embargo : days, as in `resampling.walk_forward_splits`
    anchored : every training window starts on the first day
    top : how many are followed, in equal parts; strategies whose metric is NaN are never chosen, and a fold that has none
        stays flat
    metric : one of `RETURN_METRICS`; larger is better

    Raises
    ------
    SettingsError
        An unknown metric, or top below 1.
    SplitError
        Not one fold fits.
    """
    if metric not in RETURN_METRICS or top < 1:
        raise SettingsError(f"Expected a metric of {', '.join(RETURN_METRICS)} and top of at least 1, was {metric!r} and {top}; correct it")
    daily = result.daily_returns
    splits = walk_forward_splits(len(result.days), train, test, step=step, purge=purge, embargo=embargo, anchored=anchored)
    ids = np.asarray(result.strategy_ids, dtype=object)
    paid = np.full(len(result.days), np.nan)
    rows = []
    for split in splits:
        scores = metrics_from_returns(np.ascontiguousarray(daily[:, split.train]), 365.0)[metric]
        known = np.flatnonzero(~np.isnan(scores))
        best = known[np.argsort(-scores[known], kind="stable")][:top]
        mix = daily[np.ix_(best, split.test)].mean(axis=0) if len(best) else np.zeros(len(split.test))
        paid[split.test] = mix
        edges = result.days[[split.train[0], split.train[-1], split.test[0], split.test[-1]]]
        tested = float(metrics_from_returns(mix, 365.0)[metric])
        rows.append((*edges, tuple(ids[best]), float(scores[best].mean()) if len(best) else np.nan, tested))
    folds = pd.DataFrame(rows, columns=["train_start", "train_end", "test_start", "test_end", "chosen", "trained", "tested"])
    seen = ~np.isnan(paid)
    returns = pd.Series(paid[seen], index=pd.DatetimeIndex(result.days[seen]).tz_localize("UTC"), name="return")
    metrics = {name: float(value) for name, value in metrics_from_returns(paid[seen], 365.0).items()}
    both = folds[["trained", "tested"]].dropna()
    trained = both["trained"].mean()
    efficiency = float(both["tested"].mean() / trained) if trained > 0 else float("nan")
    return WalkForward(folds, returns, metrics, efficiency)


def walk_forward_matrix(
    result: BacktestResult, trains: Sequence[int], tests: Sequence[int], *, metric: str = "sharpe", anchored: bool = False, top: int = 1
) -> pd.DataFrame:
    """The out-of-sample `metric` by length of training (rows) and testing (columns), both in days; NaN where no fold fits."""
    from strategy_pipeline.resampling.splits import SplitError

    cells = np.full((len(trains), len(tests)), np.nan)
    for i, train in enumerate(trains):
        for j, test in enumerate(tests):
            try:
                cells[i, j] = walk_forward(result, train=train, test=test, metric=metric, anchored=anchored, top=top).metrics[metric]
            except SplitError:
                continue
    return pd.DataFrame(cells, index=pd.Index(list(trains), name="train"), columns=pd.Index(list(tests), name="test"))
