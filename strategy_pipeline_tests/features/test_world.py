"""The world as of a moment: availability, revisions, age, sentiment."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as some

from strategy_pipeline.features import score_text
from strategy_pipeline.features.readings import change, level
from strategy_pipeline.features.sentiment import scored
from strategy_pipeline.features.streams import DAY, buzz, decayed_score
from strategy_pipeline.features.world import World, as_of

HOUR = np.timedelta64(3600 * 10**9, "ns")
T0 = np.datetime64("2024-03-01T00:00", "ns")


def hours(*values: float) -> np.ndarray:
    return T0 + (np.array(values) * 3600 * 10**9).astype("timedelta64[ns]")


def test_the_latest_period_known_counts_and_a_revision_replaces_it():
    ts = hours(0, 24, 0, 48)
    available = hours(30, 54, 60, 200)
    value = np.array([1.0, 2.0, 1.5, 3.0])
    at = hours(29, 30, 53, 54, 61, 199, 200)
    # At 60 h an old period is revised: it does not displace the newer period.
    np.testing.assert_array_equal(as_of(ts, available, value, at, 100 * DAY), [np.nan, 1, 1, 2, 2, 2, 3])
    revised = as_of(hours(0, 0), hours(10, 20), np.array([1.0, 1.1]), hours(15, 20), DAY)
    np.testing.assert_array_equal(revised, [1.0, 1.1])


def test_a_value_that_is_not_renewed_expires():
    got = as_of(hours(0), hours(0), np.array([5.0]), hours(1, 24, 25), DAY)
    np.testing.assert_array_equal(got, [5, 5, np.nan])


@given(
    some.lists(some.tuples(some.integers(0, 50), some.integers(0, 50), some.integers(-3, 3)), min_size=1, max_size=12),
    some.integers(0, 120),
)
def test_as_of_is_the_plain_rule(rows, moment):
    ts, available = [t for t, _, _ in rows], [t + lag for t, lag, _ in rows]
    known = [(t, a, i) for i, (t, a) in enumerate(zip(ts, available, strict=True)) if a <= moment]
    got = as_of(hours(*ts), hours(*available), np.array([float(v) for *_, v in rows]), hours(moment), 1000 * DAY)[0]
    if not known:
        assert np.isnan(got)
    else:
        newest = max(known)[:2]
        assert got in {float(rows[i][2]) for t, a, i in known if (t, a) == newest}


def test_revised_series_stay_out_and_the_first_known_name_counts():
    table = pd.DataFrame(
        {
            "ts": pd.to_datetime(["2024-03-01"] * 2, utc=True), "available_at": pd.to_datetime(["2024-03-01"] * 2, utc=True),
            "series": ["GDPC1", "VIXCLS"], "value": [1.0, 20.0], "revised": [True, False],
        }
    )  # fmt: skip
    world = World({"macro": table}, ("BTC/USDT",), hours(5))
    assert world.macro("GDPC1") is None and world.macro("VIXCLS")[0] == 20.0
    assert level(("VIX_close", "VIXCLS"))(world)[0, 0] == 20.0
    assert change(("GDPC1",), 5, logarithm=True)(world) is None


def test_a_decayed_score_is_the_weighted_mean_of_what_is_known():
    moments, scores = hours(0.5, 3.0, 3.2), np.array([1.0, -1.0, np.nan])
    closes = hours(1, 2, 3, 4)
    got = decayed_score(moments, scores, closes, 2 * HOUR)
    late = 0.5 ** np.array([3.5 / 2, 1 / 2])
    wanted = [1, 1, (0.5**1.25 - 1) / (0.5**1.25 + 1), (late[0] - late[1]) / late.sum()]
    np.testing.assert_allclose(got, wanted, rtol=1e-12)
    assert np.isnan(decayed_score(moments[:1], scores[:1], hours(1, 2, 40), 2 * HOUR))[2]


def test_a_score_started_later_is_the_same():
    rng = np.random.default_rng(0)
    moments = np.sort(hours(*rng.uniform(0, 200, 60)))
    scores, closes = rng.uniform(-1, 1, 60), hours(*range(1, 200))
    whole = decayed_score(moments, scores, closes, 12 * HOUR)
    np.testing.assert_allclose(decayed_score(moments, scores, closes[150:], 12 * HOUR), whole[150:], rtol=1e-9)


def test_buzz_compares_a_day_with_the_month_before():
    daily, last_day = [24 * day + 1 for day in range(40)], np.linspace(24 * 39 + 2, 24 * 39 + 20, 6)
    moments = np.sort(hours(*daily, *last_day))
    got = buzz(moments, hours(24 * 10, 24 * 40))
    assert np.isnan(got[0]) and got[1] == pytest.approx(np.log(8.0) - np.log(2.0))


def test_vader_scores_what_has_no_score_of_its_own():
    scores = score_text(["Bitcoin soars to a great record high, investors are happy", "Exchange hacked, horrible losses", "", "  "])
    assert scores[0] > 0.5 and scores[1] < -0.5 and np.isnan(scores[2:]).all()
    frame = pd.DataFrame(
        {
            "available_at": pd.to_datetime(["2024-03-02", "2024-03-01"], utc=True), "asset": ["BTC", "ETH"],
            "title": ["terrible crash", "fine"], "text": ["", ""], "score": [np.nan, 0.25],
        }
    )  # fmt: skip
    table = scored(frame)
    assert table["asset"].tolist() == ["ETH", "BTC"] and table["score"].iloc[0] == 0.25 and table["score"].iloc[1] < -0.3
