"""Volume nodes, anchored averages and motifs against definitions written out window by window, and against stumpy."""

from __future__ import annotations

import math

import numpy as np
import pytest

from strategy_pipeline.indicators import compute
from strategy_pipeline_tests.indicators.conftest import random_walk


def motif(x: np.ndarray, window: int) -> tuple[float, int]:
    """Nearest earlier neighbour of the last `window` values, each stretch z-normalised: distance and bars back."""
    last = x[-window:]
    best = (math.inf, 0)
    for lag in range(math.ceil(window / 4) + 1, len(x) - window + 1):
        other = x[len(x) - lag - window : len(x) - lag]
        gap = (last - last.mean()) / last.std() - (other - other.mean()) / other.std()
        best = min(best, (float(np.sqrt((gap**2).sum())), lag))
    return best


def test_motif_distance_is_that_of_the_nearest_earlier_stretch(whole):
    got = compute("motif_distance", whole, length=120, window=12)
    for i in (119, 120, 131, 132, 300, 599):
        distance, age = motif(whole.close[0, i - 119 : i + 1], 12)
        assert got["distance"][0, i] == pytest.approx(distance, rel=1e-7) and got["age"][0, i] == age
    assert np.isnan(got["distance"][:, :119]).all()


# (bar, bars back, distance) of the last left neighbour by stumpy 1.14.1: stump(history, 12)[-1, 2] and core.mass, on the 150
# closes of the first symbol that end at the bar. Kept as numbers: compiling stumpy takes most of a minute.
STUMPY = [
    (149, 107, 1.004701429897849), (210, 60, 0.899083760749322), (332, 7, 1.59949516484307), (449, 101, 0.953060302242207),
    (599, 116, 1.5338052585754431),
]  # fmt: skip


@pytest.mark.parametrize(("bar", "back", "distance"), STUMPY)
def test_motif_distance_is_the_left_matrix_profile_of_stumpy(whole, bar, back, distance):
    got = compute("motif_distance", whole, length=150, window=12)
    assert got["age"][0, bar] == back and got["distance"][0, bar] == pytest.approx(distance, rel=1e-8)


def test_a_repeated_motif_is_found_where_it_was(whole):
    x = random_walk(1, 400, seed=21).close.copy()
    x[0, 370:394] = 3.0 * x[0, 200:224] + 7.0  # the same shape at another price
    bars = random_walk(1, 400, seed=21).with_fields(close=x)
    got = compute("motif_distance", bars, length=300, window=24)
    assert got["distance"][0, 393] < 1e-4 and got["age"][0, 393] == 170


def test_what_does_not_vary_has_no_motif(whole):
    flat = compute("motif_distance", whole.with_fields(close=np.full(whole.close.shape, 3.0)))
    assert np.isnan(flat["distance"]).all() and np.isnan(flat["age"]).all()


def test_anchored_vwap_starts_at_the_extreme_of_the_window(whole):
    n = 48
    plain = compute("anchored_vwap", whole, length=n)
    bands = compute("anchored_vwap_bands", whole, length=n, width=1.5)
    typical = (whole.high[0] + whole.low[0] + whole.close[0]) / 3.0
    for i in (47, 48, 200, 599):
        for side, extreme, upper in (("from_high", np.argmax, "high_upper"), ("from_low", np.argmin, "low_upper")):
            field = whole.high[0] if side == "from_high" else whole.low[0]
            part = slice(i - n + 1 + int(extreme(field[i - n + 1 : i + 1])), i + 1)
            weights = whole.volume[0, part]
            centre = np.average(typical[part], weights=weights)
            spread = math.sqrt(np.average((typical[part] - centre) ** 2, weights=weights))
            assert plain[side][0, i] == pytest.approx(centre, rel=1e-10)
            assert bands[upper][0, i] == pytest.approx(centre + 1.5 * spread, rel=1e-9)
            assert bands[upper.replace("upper", "lower")][0, i] == pytest.approx(centre - 1.5 * spread, rel=1e-9)


def test_session_bands_are_the_days_weighted_deviation(whole):
    bands = compute("session_vwap_bands", whole, width=2.0)
    middle = compute("session_vwap", whole)[0]
    typical = (whole.high[0] + whole.low[0] + whole.close[0]) / 3.0
    for i in (0, 5, 23, 24, 599):
        part = slice(i // 24 * 24, i + 1)
        spread = math.sqrt(np.average((typical[part] - middle[i]) ** 2, weights=whole.volume[0, part]))
        assert bands["deviation"][0, i] == pytest.approx(spread, rel=1e-7, abs=1e-9)
        assert bands["upper"][0, i] == pytest.approx(middle[i] + 2.0 * spread, rel=1e-10)
        assert bands["lower"][0, i] == pytest.approx(middle[i] - 2.0 * spread, rel=1e-10)


def test_volume_nodes_are_the_profiles_peaks_and_dips_nearest_to_the_close(whole):
    """Bins 0..9 of width 1 from 100: full at 1 and 7, empty at 4 and 9 (the end is no node)."""
    traded = [2.0, 30.0, 3.0, 2.0, 1.0, 2.0, 4.0, 40.0, 3.0, 1.0]
    bars = whole.between(None, whole.times[10])
    low = np.array([100.0 + k for k in range(10)])
    shape = (3, 1)
    made = bars.with_fields(
        low=np.tile(low + 1e-9, shape), high=np.tile(low + 1 - 1e-9, shape), volume=np.tile(traded, shape),
        close=np.tile(np.r_[low[:-1] + 0.5, 103.0], shape),
    )  # fmt: skip
    nodes = compute("volume_nodes", made, length=10, bins=10)
    assert nodes["high_node"][0, -1] == pytest.approx(101.5) and nodes["low_node"][0, -1] == pytest.approx(104.5)
    near_top = made.with_fields(close=np.tile(np.r_[low[:-1] + 0.5, 109.0], shape))
    assert compute("volume_nodes", near_top, length=10, bins=10)["high_node"][0, -1] == pytest.approx(107.5)
    even = made.with_fields(volume=np.ones((3, 10)))
    assert np.isnan(compute("volume_nodes", even, length=10, bins=10)["high_node"][:, -1]).all()
