"""Splits of n observations in time order into training and test parts that do not leak into each other.

What belongs here: walk-forward windows, purged k-fold, and combinatorial purged cross-validation. Purge removes
training observations whose label reaches into a test part (the `purge` observations before it); embargo removes
those that serial correlation ties to it (the `embargo` observations after it). López de Prado (2018), chapters 7 and 12.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np

from strategy_pipeline.errors import PipelineError

MAX_SPLITS = 100_000


class SplitError(PipelineError):
    """A split was asked for that the observations do not allow."""


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Sorted, disjoint indices into the observations. `train` never holds a purged or embargoed one."""

    train: np.ndarray  # int64 (n_train,)
    test: np.ndarray  # int64 (n_test,)


def walk_forward_splits(
    n: int, train: int, test: int, *, step: int | None = None, purge: int = 0, embargo: int = 0, anchored: bool = False
) -> list[Split]:
    """Windows that move forward through time, each tested on what follows it.

    Parameters
    ----------
    n : observations
    train : length of the training window before purging (the first one, when anchored)
    test : length of the test window; the last one may be shorter only if nothing else would be left, so
        observations that do not fill a test window stay unused
    step : from one test window to the next; None is `test`, so that they tile
    purge : observations left out between training and test: the label horizon
    embargo : observations left out after each earlier test window; with `anchored` or overlapping windows the
        training part then skips the first `embargo` observations after every earlier test window
    anchored : every training window starts at observation 0

    Returns
    -------
    list of Split, in time order; training precedes test in each

    Raises
    ------
    SplitError
        A length is not positive, or not even one window fits.
    """
    step = test if step is None else step
    _positive(n=n, train=train, test=test, step=step)
    _not_negative(purge=purge, embargo=embargo)
    if train <= purge:
        raise SplitError(f"Expected train above purge, was {train} and {purge}; nothing would be left to train on; lengthen train")
    splits: list[Split] = []
    starts = range(train, n - test + 1, step)
    for start in starts:
        first = 0 if anchored else start - train
        keep = np.ones(start - purge - first, dtype=bool)
        if embargo:
            for earlier in range(train, start, step):
                after = earlier + test
                keep[max(0, after - first) : max(0, after + embargo - first)] = False
        train_index = first + np.flatnonzero(keep)
        if len(train_index):
            splits.append(Split(train_index, np.arange(start, start + test)))
    if not splits:
        raise SplitError(f"Expected at least train + test = {train + test} observations, was {n}; shorten the windows or give more history")
    return splits


def purged_kfold(n: int, n_folds: int, *, purge: int = 0, embargo: int = 0) -> list[Split]:
    """Contiguous folds, each the test part once; training is the rest without purge and embargo.

    Raises SplitError for fewer than two folds, more folds than observations, or an empty training part.
    """
    return list(_combined(n, n_folds, 1, purge, embargo))


def combinatorial_purged(n: int, n_folds: int, n_test_folds: int, *, purge: int = 0, embargo: int = 0) -> list[Split]:
    """Every choice of `n_test_folds` of `n_folds` contiguous folds as test part (López de Prado 2018, chapter 12).

    Raises SplitError as `purged_kfold` does, and beyond 100,000 combinations (probably a misconfiguration).
    """
    if n_folds >= 2 and comb(n_folds, max(n_test_folds, 0)) > MAX_SPLITS:
        raise SplitError(
            f"Expected at most {MAX_SPLITS:,} combinations, was {comb(n_folds, n_test_folds):,} ({n_test_folds} of {n_folds}); "
            "they would take forever, which is probably a misconfiguration; use fewer folds"
        )
    return list(_combined(n, n_folds, n_test_folds, purge, embargo))


def _combined(n: int, n_folds: int, n_test_folds: int, purge: int, embargo: int) -> Iterator[Split]:
    _positive(n=n, n_test_folds=n_test_folds)
    _not_negative(purge=purge, embargo=embargo)
    if not 2 <= n_folds <= n:
        raise SplitError(f"Expected 2 to {n} folds of {n} observations, was {n_folds}; choose within")
    if n_test_folds >= n_folds:
        raise SplitError(f"Expected fewer test folds than the {n_folds} folds, was {n_test_folds}; nothing would be left to train on")
    # The first n % n_folds folds are one longer, as scikit-learn's KFold cuts them.
    edges = np.concatenate([[0], np.cumsum(np.full(n_folds, n // n_folds) + (np.arange(n_folds) < n % n_folds))])
    for chosen in combinations(range(n_folds), n_test_folds):
        role = np.zeros(n, dtype=np.int8)
        for fold in chosen:
            start, stop = int(edges[fold]), int(edges[fold + 1])
            role[max(0, start - purge) : start] = np.maximum(role[max(0, start - purge) : start], 1)
            role[stop : stop + embargo] = np.maximum(role[stop : stop + embargo], 1)
        for fold in chosen:
            role[edges[fold] : edges[fold + 1]] = 2
        train = np.flatnonzero(role == 0)
        if not len(train):
            raise SplitError(
                f"Expected training observations beside purge {purge} and embargo {embargo}, was none; lower them or use fewer folds"
            )
        yield Split(train, np.flatnonzero(role == 2))


def _positive(**values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise SplitError(f"Expected {name} of at least 1, was {value}; correct it")


def _not_negative(**values: int) -> None:
    for name, value in values.items():
        if value < 0:
            raise SplitError(f"Expected {name} of at least 0, was {value}; correct it")
