"""Splits cover, never overlap, and keep their distance; skfolio and scikit-learn cut the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategy_pipeline.resampling import SplitError, combinatorial_purged, purged_kfold, walk_forward_splits


@given(
    n=st.integers(20, 200), train=st.integers(5, 60), test=st.integers(1, 30), step=st.integers(1, 40) | st.none(),
    purge=st.integers(0, 4), embargo=st.integers(0, 6), anchored=st.booleans(),
)  # fmt: skip
def test_training_always_ends_purge_before_the_test_window(n, train, test, step, purge, embargo, anchored) -> None:
    if train + test > n:
        with pytest.raises(SplitError):
            walk_forward_splits(n, train, test, step=step, purge=purge, embargo=embargo, anchored=anchored)
        return
    splits = walk_forward_splits(n, train, test, step=step, purge=purge, embargo=embargo, anchored=anchored)
    starts = [split.test[0] for split in splits]
    assert starts[0] == train
    assert starts == sorted(starts)
    for split in splits:
        assert split.train.max() < split.test[0] - purge
        assert split.train.min() >= (0 if anchored else split.test[0] - train)
        np.testing.assert_array_equal(split.test, np.arange(split.test[0], split.test[0] + test))
        for earlier in starts:
            if earlier < split.test[0]:
                after = np.arange(earlier + test, earlier + test + embargo)
                assert not np.isin(after, split.train).any()


def test_rolling_and_anchored_windows_are_these() -> None:
    rolling = walk_forward_splits(10, 4, 2, purge=1)
    assert [(split.train.tolist(), split.test.tolist()) for split in rolling] == [
        ([0, 1, 2], [4, 5]),
        ([2, 3, 4], [6, 7]),
        ([4, 5, 6], [8, 9]),
    ]
    anchored = walk_forward_splits(10, 4, 2, embargo=1, anchored=True)
    assert [split.train.tolist() for split in anchored] == [[0, 1, 2, 3], [0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5, 7]]


@pytest.mark.parametrize(
    ("n", "folds", "tests", "purge", "embargo"), [(60, 6, 2, 0, 0), (60, 6, 2, 1, 2), (100, 10, 3, 2, 1), (45, 5, 4, 1, 1)]
)
def test_combinatorial_splits_equal_skfolio(n, folds, tests, purge, embargo) -> None:
    from skfolio.model_selection import CombinatorialPurgedCV

    theirs = CombinatorialPurgedCV(n_folds=folds, n_test_folds=tests, purged_size=purge, embargo_size=embargo)
    expected = sorted(
        (tuple(np.sort(np.concatenate(parts)).tolist()), tuple(np.sort(train).tolist())) for train, parts in theirs.split(np.zeros((n, 1)))
    )
    # skfolio purges on both sides of a test part, then embargoes; ours purges before and embargoes after.
    both = combinatorial_purged(n, folds, tests, purge=purge, embargo=purge + embargo)
    assert sorted((tuple(split.test.tolist()), tuple(split.train.tolist())) for split in both) == expected


def test_folds_equal_scikit_learn_without_purge() -> None:
    from sklearn.model_selection import KFold

    for ours, (train, test) in zip(purged_kfold(53, 5), KFold(5).split(np.zeros(53)), strict=True):
        np.testing.assert_array_equal(ours.train, train)
        np.testing.assert_array_equal(ours.test, test)


@given(n=st.integers(10, 120), folds=st.integers(2, 8), purge=st.integers(0, 3), embargo=st.integers(0, 5))
def test_folds_test_everything_once_and_leave_the_gaps_out(n, folds, purge, embargo) -> None:
    try:
        splits = purged_kfold(n, folds, purge=purge, embargo=embargo)
    except SplitError:
        assert n // folds <= purge + embargo or folds == 2
        return
    assert np.sort(np.concatenate([split.test for split in splits])).tolist() == list(range(n))
    for split in splits:
        start, stop = split.test[0], split.test[-1] + 1
        gap = np.r_[np.arange(max(0, start - purge), start), np.arange(stop, min(n, stop + embargo))]
        assert sorted([*split.train, *split.test, *gap]) == list(range(n))


@pytest.mark.parametrize(
    "call",
    [
        lambda: walk_forward_splits(10, 8, 4),
        lambda: walk_forward_splits(10, 0, 4),
        lambda: walk_forward_splits(10, 2, 2, purge=2),
        lambda: walk_forward_splits(10, 2, 2, embargo=-1),
        lambda: purged_kfold(10, 1),
        lambda: purged_kfold(10, 11),
        lambda: combinatorial_purged(10, 5, 5),
        lambda: combinatorial_purged(10_000, 40, 20),
        lambda: purged_kfold(10, 2, purge=5, embargo=5),
    ],
)
def test_impossible_splits_say_what_was_expected(call) -> None:
    with pytest.raises(SplitError, match="Expected .* was "):
        call()
