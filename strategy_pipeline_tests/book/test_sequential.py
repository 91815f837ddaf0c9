"""The forward test may be looked at every day of a year and still errs as seldom as it says."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from strategy_pipeline.book import CostWatch, Track, error_share
from strategy_pipeline.book.sequential import BETS, FIRST_DAYS, HALF_LIFE, MARGIN, SHARES, log_factor

DAYS, BEFORE = 365, 150


def normal(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.standard_normal((n, DAYS + BEFORE))


def clustered(rng: np.random.Generator, n: int) -> np.ndarray:
    """GARCH(1,1) with Student t of 5 degrees."""
    shocks = rng.standard_t(5, (n, DAYS + BEFORE)) / math.sqrt(5 / 3)
    returns, variance = np.empty_like(shocks), np.ones(n)
    for t in range(shocks.shape[1]):
        returns[:, t] = np.sqrt(variance) * shocks[:, t]
        variance = 0.03 + 0.12 * returns[:, t] ** 2 + 0.85 * variance
    return returns


def rare_losses(rng: np.random.Generator, n: int) -> np.ndarray:
    return (0.5 - rng.gamma(0.5, size=(n, DAYS + BEFORE))) / math.sqrt(0.5)


def rarely_active(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.standard_t(4, (n, DAYS + BEFORE)) * (rng.random((n, DAYS + BEFORE)) < 0.15)


def peaks(returns: np.ndarray) -> np.ndarray:
    """Largest log e-value of each path over its year."""
    found = []
    for path in 0.01 * returns:
        before = path[:BEFORE][path[:BEFORE] != 0]
        track = Track.starting(float(np.mean(before**2)) if len(before) else 0.0)
        for value in path[BEFORE:].tolist():
            track = track.after(value)
        found.append(track.peak_log_e)
    return np.array(found)


@pytest.mark.parametrize("draw", [normal, clustered, rare_losses, rarely_active])
def test_without_an_edge_the_bound_is_crossed_as_seldom_as_it_says(draw):
    crossed = peaks(draw(np.random.default_rng(1), 150)) >= math.log(1 / 0.10)
    assert binomtest(int(crossed.sum()), 150, 0.10, alternative="greater").pvalue > 0.01


def test_a_losing_strategy_crosses_hardly_ever():
    crossed = peaks(normal(np.random.default_rng(2), 60) - 1.0 / math.sqrt(365)) >= math.log(1 / 0.10)
    assert crossed.sum() <= 4


def test_an_edge_of_sharpe_three_is_proved_within_a_year_more_often_than_not():
    proved = peaks(clustered(np.random.default_rng(3), 60) + 3.0 / math.sqrt(365)) >= -math.log(error_share(1, 0.10))
    assert proved.sum() >= 33


@given(st.floats(-0.2, 0.2), st.floats(0.01, 0.4), st.floats(0.2, 5.0), st.floats(0.05, 0.95))
def test_a_day_multiplies_the_wealth_by_at_most_one_on_average(mean, bet, ratio, chance):
    """Any two-point distribution of mean at most 0 and mean square at most 1."""
    up = ratio
    down = (min(mean, 0.0) - chance * up) / (1 - chance)
    scale = math.sqrt(chance * up**2 + (1 - chance) * down**2)
    up, down = up / max(scale, 1.0), down / max(scale, 1.0)
    assert chance * math.exp(log_factor(bet, up)) + (1 - chance) * math.exp(log_factor(bet, down)) <= 1 + 1e-12


def test_the_track_equals_the_formulas_written_out():
    rng = np.random.default_rng(4)
    values = 0.01 * rng.standard_t(4, 60) * (rng.random(60) < 0.7)
    track = Track.starting(1e-4)
    recent, total, count, active = 1e-4, 1e-4 * FIRST_DAYS, FIRST_DAYS, 0
    logs, best, weight = np.zeros(len(BETS)), 0.0, 0.5 ** (1 / HALF_LIFE)
    for day, value in enumerate(values.tolist()):
        if value != 0:
            z = value / math.sqrt(MARGIN * max(recent, total / count))
            for k, bet in enumerate(BETS):
                daily = bet / math.sqrt(365 * (10 + active) / (10 + day))
                logs[k] += daily * z - daily**2 * (z**2 / 6 + 1 / 3)
            recent, total, count, active = weight * recent + (1 - weight) * value**2, total + value**2, count + 1, active + 1
            best = max(best, math.log(np.dot(SHARES, np.exp(logs))))
        track = track.after(value)
    assert track.log_wealths == pytest.approx(tuple(logs), rel=1e-12)
    assert track.peak_log_e == pytest.approx(best, rel=1e-12)
    assert track.sharpe == pytest.approx(values.mean() / values.std(ddof=1) * math.sqrt(365), rel=1e-9)
    equity = np.concatenate([[1.0], np.cumprod(1 + values)])
    assert track.max_drawdown == pytest.approx((1 - equity / np.maximum.accumulate(equity)).max(), rel=1e-9)
    assert (track.days, track.active_days) == (60, active)


def test_a_day_without_a_return_changes_nothing_and_a_flat_day_no_evidence():
    track = Track.starting(1e-4).after(0.02)
    assert track.after(math.nan) == track
    flat = track.after(0.0)
    assert (flat.log_wealths, flat.mean_square) == (track.log_wealths, track.mean_square)
    assert flat.days == track.days + 1


def test_the_first_return_of_an_unknown_strategy_only_starts_the_average():
    track = Track.starting(math.nan).after(0.05)
    assert track.log_e == pytest.approx(0.0, abs=1e-12) and track.mean_square == pytest.approx(0.0025)


def test_a_total_loss_stays_finite():
    track = Track.starting(1e-4).after(-1.0).after(0.01)
    assert math.isfinite(track.log_equity) and track.drawdown == pytest.approx(1.0)


def test_the_shares_of_the_error_sum_to_the_budget():
    assert sum(error_share(k, 0.1) for k in range(1, 100_000)) == pytest.approx(0.1, abs=1e-6)


def test_decay_is_seen_and_false_alarms_are_rare():
    rng = np.random.default_rng(5)

    def alarm(annual: float) -> bool:
        track = Track.starting(1e-4).watching_decay(1.5)
        for value in (0.01 * (rng.standard_normal(DAYS) + annual / math.sqrt(365))).tolist():
            track = track.after(value)
            if track.decay_log_e >= math.log(365):
                return True
        return False

    assert sum(alarm(1.5) for _ in range(60)) <= 12
    assert sum(alarm(-5.0) for _ in range(30)) >= 24


def test_the_cost_detector_alarms_seldom_without_drift_and_soon_with_it() -> None:
    rng = np.random.default_rng(6)

    def alarm_after(mean: float) -> int:
        watch = CostWatch()
        for k in range(DAYS):
            watch = watch.after(float(1e-4 * (rng.standard_t(4) + mean)))
            if watch.log_e >= math.log(365):
                return k
        return DAYS

    assert sum(alarm_after(0.0) < DAYS for _ in range(60)) <= 30  # once in 365 days on average, or less
    assert np.median([alarm_after(1.5) for _ in range(20)]) < 90
    assert CostWatch().after(math.nan) == CostWatch().after(0.0) == CostWatch() and math.isnan(CostWatch().annual)
