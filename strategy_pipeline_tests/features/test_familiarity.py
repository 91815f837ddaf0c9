"""What is kept of a training window beside a model: the same bytes for the same rows, verdicts row by row, what is usual."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from strategy_pipeline.errors import CorruptFileError, MissingInputError
from strategy_pipeline.features import DriftReference, Familiarity, build
from strategy_pipeline.features.drift import KS_SHIFTED, MISSING_SHIFTED, SHIFTED, ks, psi
from strategy_pipeline.features.familiarity import training_hash, week_of
from strategy_pipeline.market import Bars
from strategy_pipeline_tests.features.test_scaling import matrix

CUTOFF, ROWS = "2024-03-11", 1680  # ten weeks of hours


def market(n_bars: int = 2016, seed: int = 0) -> np.ndarray:
    """Two symbols, eight features: four of noise, four that move slowly; a symbol without bars for ten hours."""
    draw = np.random.default_rng(seed)
    values = draw.standard_normal((2, n_bars, 8)).astype(np.float32)
    for t in range(1, n_bars):
        values[:, t, 4:] = 0.98 * values[:, t - 1, 4:] + 0.2 * values[:, t, 4:]
    values[1, 1700:1710] = np.nan
    return values


@pytest.fixture(scope="module")
def kept() -> Familiarity:
    return Familiarity.fit(matrix(market()), CUTOFF, seed=3)


def test_the_same_training_gives_the_same_bytes_whatever_follows(kept):
    later = market()
    later[:, ROWS:] = 1e4
    assert Familiarity.fit(matrix(later), CUTOFF, seed=3).to_bytes() == kept.to_bytes()
    assert training_hash(matrix(later), CUTOFF) == training_hash(matrix(market()), CUTOFF)
    assert Familiarity.fit(matrix(market()), CUTOFF, seed=4).to_bytes() != kept.to_bytes()
    earlier = market()
    earlier[0, ROWS - 1, 0] += 1.0
    assert training_hash(matrix(earlier), CUTOFF) != training_hash(matrix(market()), CUTOFF)


def test_it_comes_back_from_its_bytes_with_the_same_verdicts(kept):
    again = Familiarity.from_bytes(kept.to_bytes())
    assert again.to_bytes() == kept.to_bytes()
    given = matrix(market())
    np.testing.assert_array_equal(again.judge(given), kept.judge(given))
    assert again.report(given).table.equals(kept.report(given).table)
    for broken in (b"", kept.to_bytes()[:100], b"x" * 50):
        with pytest.raises(CorruptFileError, match="delete the file"):
            Familiarity.from_bytes(broken)


def test_a_made_outlier_is_refused_its_neighbours_are_not_and_a_missing_bar_is_not_judged(kept):
    values = market()
    values[0, 1800] = 30.0
    given = matrix(values)
    verdict = kept.judge(given)
    assert verdict[0, 1800] == 0 and verdict[0, 1799] == 1 and verdict[0, 1801] == 1
    assert np.isnan(verdict[1, 1700:1710]).all() and np.isfinite(verdict[0]).all()
    assert np.nanmean(verdict[:, ROWS:]) > 0.95
    # Each row by itself: cut off behind it, or the market after it another, and it is judged the same.
    for end in (1801, 1900):
        np.testing.assert_array_equal(kept.judge(given.between(None, given.times[end])), verdict[:, :end])
    with pytest.raises(MissingInputError):
        kept.judge(matrix(values[:, :, :4]))


def test_what_is_usual_is_each_week_of_training_against_its_other_weeks(kept):
    values = market()[:, :ROWS].astype(np.float64)
    assert kept.window == week_of(matrix(market())) == 168 and len(kept.drift.usual) == 10
    for week, share in enumerate(kept.drift.usual):
        inside = np.zeros(ROWS, dtype=bool)
        inside[168 * week : 168 * (week + 1)] = True
        drifted = []
        for k in range(8):
            here, there = values[:, inside, k].ravel(), values[:, ~inside, k].ravel()
            drifted.append((psi(there, here) > SHIFTED and ks(there, here) > KS_SHIFTED) or np.isnan(here).mean() > MISSING_SHIFTED)
        # The record counts in quantiles of the whole window, this in those of the rest: a feature at the limit may differ.
        assert share == pytest.approx(np.mean(drifted), abs=1 / 8 + 1e-9)
    assert np.mean([share > 0 for share in kept.drift.usual]) > 0.5  # slow features always seem to drift within a week


def test_a_market_that_goes_on_is_usual_and_a_drifted_one_is_not(kept):
    calm = kept.report(matrix(market()))
    assert calm.limit == pytest.approx(np.quantile(kept.drift.usual, 0.95)) and not calm.unusual
    moved = market()
    moved[:, -168:, :5] += 2.0
    report = kept.report(matrix(moved))
    assert report.unusual and report.share > report.limit and {"f0", "f1", "f2", "f3"} <= set(report.drifted)
    assert "95 % of training's own stretches" in report.summary
    # Only the last week counts.
    before = market()
    before[:, -400:-168, :5] += 2.0
    assert not kept.report(matrix(before)).unusual


def test_a_short_training_says_less_and_never_fails():
    short = matrix(market(n_bars=150))
    kept = Familiarity.fit(short, "2024-01-04", seed=0)  # 72 rows of two symbols
    assert kept.gate is None and np.isnan(kept.judge(short)).all()
    report = kept.report(short)
    assert np.isnan(report.limit) and not report.unusual and "95 %" not in report.summary
    nothing = Familiarity.fit(short, "2023-12-01", seed=0)
    assert nothing.drift is None and nothing.report(short) is None
    assert Familiarity.from_bytes(nothing.to_bytes()).gate is None


def test_sources_that_fell_silent_are_drift(kept):
    silent = market()
    silent[:, -168:, 2:] = np.nan
    report = kept.report(matrix(silent))
    assert report.unusual and {"f2", "f3", "f4", "f5", "f6", "f7"} <= set(report.drifted)
    assert (report.table.set_index("feature").loc[["f2", "f7"], "missing_more"] > 0.9).all()


def test_stretches_are_counted_back_from_the_cutoff():
    values = np.random.default_rng(1).standard_normal((1, 1000, 3)).astype(np.float32)
    values[:, 900:, 0] += 5.0
    usual = DriftReference.fit(matrix(values), "2024-02-11T16:00", window=100).usual  # the close of the last row
    assert len(usual) == 10 and usual[-1] == pytest.approx(1 / 3) and (usual[:-1] == 0).all()


def test_the_crash_of_march_2020_is_refused_and_the_weeks_before_it_are_not(real_data):
    """A gate of January 2020: bitcoin lost half of its price on the 12th and 13th of March."""
    columns = ["ts", "symbol", "open", "high", "low", "close", "volume"]
    frame = pd.read_parquet(real_data / "ohlcv_1h_binance_spot.parquet", columns=columns)
    frame = frame[(frame["symbol"].astype(str) == "BTCUSDT") & (frame["ts"] >= "2019-02-01") & (frame["ts"] < "2020-03-20")]
    bars = Bars.from_frame(frame.assign(symbol="BTC/USDT", timeframe="1h"), "1h")
    given = build(bars, "standard")
    kept = Familiarity.fit(given, "2020-02-01", seed=0)
    refused = pd.Series(kept.judge(given)[0] == 0, index=pd.DatetimeIndex(given.times))
    assert refused["2020-02-01":"2020-03-11"].mean() < 0.05
    assert refused["2020-03-13":"2020-03-14"].all() and refused["2020-03-12 00:00":"2020-03-12 09:00"].mean() < 0.2
    before, after = kept.report(given.through("2020-03-11T23:00")), kept.report(given.through("2020-03-15T23:00"))
    assert not before.unusual and after.share > before.share + 0.2
