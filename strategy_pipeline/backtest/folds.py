"""Folds: choose on some days, be paid by others, again and again.

What belongs here: walk-forward windows, purged and combinatorial cross-validation, over the days of one result. Strategies are
causal rules without fitted parts, so a fold needs no run of its own: every fold, and every cell of the matrix of window
lengths, reads the daily returns of the one run, whose series and bits were computed once. A position open at the edge of a
fold carries over it; purge and embargo leave out the days it may reach into.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np
import pandas as pd

from strategy_pipeline.backtest.metrics import RETURN_METRICS, metrics_from_returns
from strategy_pipeline.backtest.result import BacktestResult
from strategy_pipeline.errors import SettingsError
from strategy_pipeline.resampling import SplitError, combinatorial_purged, walk_forward_splits

DAYS_A_YEAR = 365.0
SMALLER_IS_BETTER = ("volatility", "max_drawdown", "drawdown_bars", "var_95", "cvar_95")


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
        `RETURN_METRICS` of `returns`, against buying and holding what the chosen trade.
    efficiency
        Mean of tested over mean of trained, folds without a value left out; NaN where trained is not above zero.
    """

    folds: pd.DataFrame
    returns: pd.Series
    metrics: dict[str, float]
    efficiency: float


@dataclass(frozen=True, slots=True, eq=False)
class CrossValidation:
    """What choosing on all other folds earned in those left out.

    folds
        DataFrame, a row a split and left-out fold: split, fold (numbers), path (which history it is part of), test_start,
        test_end (UTC days, inclusive), chosen (tuple of ids, best first), trained and tested (the metric, as in `WalkForward`).
    paths
        Daily returns by day (rows) and path (columns), each a whole history in which every day is paid by strategies chosen
        without it: one path for one fold left out at a time, C(folds - 1, left out - 1) of them otherwise.
    metrics
        `RETURN_METRICS` of each path, indexed by path, against buying and holding what the chosen trade.
    efficiency
        Mean of tested over mean of trained, folds without a value left out; NaN where trained is not above zero.
    """

    folds: pd.DataFrame
    paths: pd.DataFrame
    metrics: pd.DataFrame
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
    metric : one of `RETURN_METRICS`; larger is better but for `SMALLER_IS_BETTER`

    Raises
    ------
    SettingsError
        An unknown metric, or top below 1.
    SplitError
        Not one fold fits.
    """
    _check(metric, top)
    splits = walk_forward_splits(len(result.days), train, test, step=step, purge=purge, embargo=embargo, anchored=anchored)
    paid, against = np.full((2, len(result.days)), np.nan)
    rows = []
    for split in splits:
        chosen, trained = _choose(result, split.train, metric, top)
        paid[split.test], against[split.test], tested = _follow(result, chosen, split.test, metric)
        edges = result.days[[split.train[0], split.train[-1], split.test[0], split.test[-1]]]
        rows.append((*edges, _names(result, chosen), trained, tested))
    folds = pd.DataFrame(rows, columns=["train_start", "train_end", "test_start", "test_end", "chosen", "trained", "tested"])
    seen = ~np.isnan(paid)
    returns = pd.Series(paid[seen], index=pd.DatetimeIndex(result.days[seen]).tz_localize("UTC"), name="return")
    metrics = {name: float(value) for name, value in metrics_from_returns(paid[seen], DAYS_A_YEAR, against[seen]).items()}
    return WalkForward(folds, returns, metrics, _efficiency(folds))


def walk_forward_matrix(
    result: BacktestResult, trains: Sequence[int], tests: Sequence[int], *, metric: str = "sharpe", anchored: bool = False,
    top: int = 1, purge: int = 0, embargo: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """The out-of-sample `metric` by length of training (rows) and testing (columns), both in days; NaN where no fold fits."""
    cells = np.full((len(trains), len(tests)), np.nan)
    for i, train in enumerate(trains):
        for j, test in enumerate(tests):
            try:
                found = walk_forward(
                    result, train=train, test=test, metric=metric, anchored=anchored, top=top, purge=purge, embargo=embargo
                )
            except SplitError:
                continue
            cells[i, j] = found.metrics[metric]
    return pd.DataFrame(cells, index=pd.Index(list(trains), name="train"), columns=pd.Index(list(tests), name="test"))


def cross_validation(
    result: BacktestResult, *, folds: int = 6, left_out: int = 1, purge: int = 0, embargo: int = 0, top: int = 1,
    metric: str = "sharpe",
) -> CrossValidation:  # fmt: skip
    """Choose the `top` strategies by `metric` on all folds but `left_out` of them, and follow them in those.

    With one fold left out it is purged k-fold, with more combinatorial purged cross-validation (López de Prado 2018, chapters
    7 and 12), whose C(folds, left_out) splits make up C(folds - 1, left_out - 1) whole histories.

    Parameters
    ----------
    folds, left_out, purge, embargo : as in `resampling.combinatorial_purged`, in days
    top, metric : as in `walk_forward`

    Raises
    ------
    SettingsError, SplitError
        As `walk_forward`; folds that the days do not allow.
    """
    _check(metric, top)
    days = result.days
    splits = combinatorial_purged(len(days), folds, left_out, purge=purge, embargo=embargo)
    paid, against = np.full((2, len(days), comb(folds - 1, left_out - 1)), np.nan)
    edges = np.concatenate([[0], np.cumsum([len(part) for part in np.array_split(np.arange(len(days)), folds)])])
    used = np.zeros(folds, dtype=np.int64)  # how many histories have this fold already
    rows = []
    for number, split in enumerate(splits):
        chosen, trained = _choose(result, split.train, metric, top)
        for fold in np.unique(np.searchsorted(edges, split.test, side="right") - 1):
            part = np.arange(edges[fold], edges[fold + 1])
            paid[part, used[fold]], against[part, used[fold]], tested = _follow(result, chosen, part, metric)
            rows.append((number, int(fold), int(used[fold]), *days[[part[0], part[-1]]], _names(result, chosen), trained, tested))
            used[fold] += 1
    names = ["split", "fold", "path", "test_start", "test_end", "chosen", "trained", "tested"]
    table = pd.DataFrame(rows, columns=names)
    columns = pd.RangeIndex(paid.shape[1], name="path")
    found = metrics_from_returns(np.ascontiguousarray(paid.T), DAYS_A_YEAR, np.ascontiguousarray(against.T))
    paths = pd.DataFrame(paid, index=pd.DatetimeIndex(days).tz_localize("UTC"), columns=columns)
    return CrossValidation(table, paths, pd.DataFrame(found, index=columns), _efficiency(table))


def _choose(result: BacktestResult, days: np.ndarray, metric: str, top: int) -> tuple[np.ndarray, float]:
    """Rows of the best strategies on `days`, best first, and the mean of their metric there (NaN where none has one)."""
    daily = result.daily_returns
    benchmark = result.benchmark_returns()[:, days] if metric in ("information_ratio", "alpha", "beta") else None
    scores = metrics_from_returns(np.ascontiguousarray(daily[:, days]), DAYS_A_YEAR, benchmark, names=(metric,))[metric]
    known = np.flatnonzero(~np.isnan(scores))
    sign = 1 if metric in SMALLER_IS_BETTER else -1
    best = known[np.argsort(sign * scores[known], kind="stable")][:top]
    return best, float(scores[best].mean()) if len(best) else float("nan")


def _follow(result: BacktestResult, chosen: np.ndarray, days: np.ndarray, metric: str) -> tuple[np.ndarray, np.ndarray, float]:
    """Daily returns of the equal mix of some rows on `days`, those of its benchmark, and its metric."""
    if not len(chosen):
        return np.zeros(len(days)), np.zeros(len(days)), float("nan")
    mix = result.daily_returns[np.ix_(chosen, days)].mean(axis=0)
    benchmark = result.benchmark_returns(chosen)[:, days].mean(axis=0)
    return mix, benchmark, float(metrics_from_returns(mix, DAYS_A_YEAR, benchmark, names=(metric,))[metric])


def _names(result: BacktestResult, rows: np.ndarray) -> tuple[str, ...]:
    return tuple(result.strategy_ids[row] for row in rows)


def _efficiency(folds: pd.DataFrame) -> float:
    both = folds[["trained", "tested"]].dropna()
    trained = both["trained"].mean()
    return float(both["tested"].mean() / trained) if trained > 0 else float("nan")


def _check(metric: str, top: int) -> None:
    if metric not in RETURN_METRICS or top < 1:
        raise SettingsError(f"Expected a metric of {', '.join(RETURN_METRICS)} and top of at least 1, was {metric!r} and {top}; correct it")
