"""Bootstrap indices have the block structure they promise; arch draws from the same distribution."""

from __future__ import annotations

import numpy as np
import pytest

from strategy_pipeline.resampling import SplitError, block_bootstrap_indices, stationary_bootstrap_indices
from strategy_pipeline.rng import generator


def block_lengths(indices: np.ndarray) -> np.ndarray:
    n = indices.shape[1]
    breaks = (indices[:, 1:] - indices[:, :-1]) % n != 1
    ends = np.flatnonzero(np.concatenate([breaks.ravel(), [True]]))
    return np.diff(np.concatenate([[-1], ends]))


def test_block_lengths_are_geometric_with_the_asked_mean() -> None:
    indices = stationary_bootstrap_indices(5000, 8.0, 40, generator(1, "blocks"))
    lengths = block_lengths(indices)
    assert indices.min() == 0
    assert indices.max() == 4999
    assert abs(lengths.mean() - 8) < 0.15
    for k in (1, 3, 10):
        assert abs((lengths > k).mean() - (7 / 8) ** k) < 0.01


def test_every_observation_is_drawn_equally_often() -> None:
    counts = np.bincount(stationary_bootstrap_indices(200, 5, 4000, generator(2)).ravel(), minlength=200)
    assert np.abs(counts / 4000 - 1).max() < 0.15


def test_the_variance_of_the_mean_equals_that_of_arch() -> None:
    from arch.bootstrap import StationaryBootstrap

    rng = generator(3, "arch")
    series = rng.normal(size=1000)
    for t in range(1, 1000):
        series[t] += 0.7 * series[t - 1]
    ours = series[stationary_bootstrap_indices(1000, 20, 3000, rng)].mean(axis=1)
    theirs = StationaryBootstrap(20, series, seed=7).apply(np.mean, 3000).ravel()
    assert abs(ours.mean() - series.mean()) < 0.01
    assert ours.std() / theirs.std() == pytest.approx(1, abs=0.06)
    # Resampling single observations would miss the serial dependence, and with it most of the variance.
    plain = series[stationary_bootstrap_indices(1000, 1, 3000, rng)].mean(axis=1)
    assert plain.std() < 0.6 * ours.std()


def test_fixed_blocks_run_for_their_length_around_the_circle() -> None:
    indices = block_bootstrap_indices(50, 7, 300, generator(4))
    assert indices.shape == (300, 50)
    starts = np.arange(50) % 7 == 0
    steps = (indices[:, 1:] - indices[:, :-1]) % 50
    assert (steps[:, ~starts[1:]] == 1).all()
    assert len(np.unique(indices)) == 50


def test_equal_seeds_give_equal_indices() -> None:
    for draw in (stationary_bootstrap_indices, block_bootstrap_indices):
        np.testing.assert_array_equal(draw(30, 4, 5, generator(9, "x")), draw(30, 4, 5, generator(9, "x")))
        assert (draw(30, 4, 5, generator(9, "x")) != draw(30, 4, 5, generator(9, "y"))).any()


@pytest.mark.parametrize("arguments", [(0, 3, 1), (10, 0.5, 1), (10, 3, 0), (10, float("nan"), 1)])
def test_impossible_bootstraps_are_refused(arguments) -> None:
    for draw in (stationary_bootstrap_indices, block_bootstrap_indices):
        with pytest.raises(SplitError, match="Expected"):
            draw(*arguments, generator(1))
