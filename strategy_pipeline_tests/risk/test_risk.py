"""Limits hold whatever is wanted, risk adds up, and the frame says what bound."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategy_pipeline.risk import (
    RiskError,
    RiskLimits,
    adapt_limits,
    construct_portfolio,
    correlation_limits,
    decompose_risk,
    drawdown_guard,
    ewma_covariance,
    kelly_fraction,
    portfolio_volatility,
    protective_levels,
    volatility_targeted_weights,
)

SYMBOLS = ["BTC/USDT", "ETH/USDT", "SOL/USDT", "XRP/USDT"]


def market(seed: int = 0, n_days: int = 200, n: int = 4, common: float = 0.7) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    values = 0.03 * (common * rng.standard_normal((n_days, 1)) + rng.standard_normal((n_days, n)) * np.linspace(0.5, 1.5, n))
    return pd.DataFrame(values, index=pd.date_range("2025-01-01", periods=n_days, tz="UTC"), columns=SYMBOLS[:n])


def held(*rows: list[float]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), index=[f"s{k}" for k in range(len(rows))], columns=SYMBOLS, dtype=float)


def test_without_decay_and_shrinkage_the_covariance_is_the_plain_one_around_zero():
    returns = market().to_numpy()
    assert ewma_covariance(returns, half_life=1e12, shrinkage=0.0) == pytest.approx(returns.T @ returns / len(returns), rel=1e-9)


def test_recent_days_count_more():
    returns = market().to_numpy().copy()
    returns[-20:] *= 3
    assert (np.diag(ewma_covariance(returns, half_life=20)) > np.diag(ewma_covariance(returns, half_life=1e6))).all()


def test_full_shrinkage_leaves_one_correlation():
    covariance = ewma_covariance(market().to_numpy(), shrinkage=1.0)
    deviation = np.sqrt(np.diag(covariance))
    pairs = (covariance / np.outer(deviation, deviation))[np.triu_indices(4, 1)]
    assert np.ptp(pairs) < 1e-12


@given(st.integers(0, 10_000), st.floats(0.0, 0.9))
def test_the_covariance_is_semidefinite_whatever_is_missing(seed, share):
    returns = market(seed, 80).to_numpy().copy()
    returns[np.random.default_rng(seed).random(returns.shape) < share] = np.nan
    covariance = ewma_covariance(returns)
    known = ~np.isnan(np.diag(covariance))
    part = covariance[np.ix_(known, known)]
    assert np.array_equal(part, part.T)
    if known.any():
        assert np.linalg.eigvalsh(part).min() >= -1e-12 * np.trace(part)


def test_a_symbol_without_history_is_unknown_and_disturbs_nobody():
    returns = market().to_numpy().copy()
    without = ewma_covariance(returns[:, :3])
    returns[:, 3] = np.nan
    covariance = ewma_covariance(returns)
    assert np.isnan(covariance[3]).all() and covariance[:3, :3] == pytest.approx(without, rel=1e-12)


def test_weights_are_scaled_to_the_target_volatility():
    covariance = ewma_covariance(market().to_numpy())
    weights = volatility_targeted_weights([1, -2, 0, 1], covariance, 0.2)
    assert portfolio_volatility(weights, covariance) == pytest.approx(0.2, rel=1e-12)
    assert weights / weights[0] == pytest.approx([1, -2, 0, 1])
    assert not volatility_targeted_weights([0, 0, 0, 0], covariance, 0.2).any()


@given(st.lists(st.floats(-1, 1), min_size=4, max_size=4), st.integers(0, 100))
def test_contributions_sum_to_the_volatility_exactly(values, seed):
    covariance = ewma_covariance(market(seed, 60).to_numpy())
    frame = decompose_risk(pd.Series(values, index=SYMBOLS), covariance)
    assert frame["contribution"].sum() == pytest.approx(portfolio_volatility(values, covariance), rel=1e-12, abs=1e-15)


def test_a_contribution_is_the_weight_times_the_marginal_volatility():
    covariance = ewma_covariance(market().to_numpy())
    weights = np.array([0.3, -0.2, 0.1, 0.4])
    frame = decompose_risk(pd.Series(weights, index=SYMBOLS), covariance)
    for k in range(4):
        up, down = (weights + sign * 1e-6 * (np.arange(4) == k) for sign in (1, -1))
        slope = (portfolio_volatility(up, covariance) - portfolio_volatility(down, covariance)) / 2e-6
        assert frame["contribution"][k] == pytest.approx(weights[k] * slope, rel=1e-5)


def test_kelly_is_a_capped_share_and_never_a_bet_on_a_loser():
    bets = kelly_fraction([0.001, 0.001, -0.001, np.nan, 0.001], [0.0004, 0.00001, 0.0004, 0.0004, 0.0], fraction=0.25)
    assert bets == pytest.approx([0.625, 1.0, 0.0, 0.0, 0.0])


def test_the_same_bet_twice_shares_one_weight():
    correlation = np.array([[1, 0.95, 0.2], [0.95, 1, 0.1], [0.2, 0.1, 1]])
    weights, twins = correlation_limits([0.2, 0.1, 0.1], correlation, 0.9)
    assert weights == pytest.approx([0.1, 0.05, 0.1]) and twins == [(1, 0, 0.95)]
    assert correlation_limits([0.2, 0.1, 0.1], correlation, 0.9, method="drop")[0] == pytest.approx([0.2, 0, 0.1])
    hedge, none = correlation_limits([0.2, -0.1, 0.1], correlation, 0.9)
    assert hedge == pytest.approx([0.2, -0.1, 0.1]) and none == []


def test_exposure_shrinks_with_drawdown():
    fall = [0.1] + [0.0] * 3 + [-0.18]
    scale, drawdown = drawdown_guard(fall, start=0.1, stop=0.25)
    assert drawdown == pytest.approx(0.18) and scale == pytest.approx((0.25 - 0.18) / 0.15)
    assert drawdown_guard([0.01, -0.05], start=0.1, stop=0.25)[0] == 1.0
    assert drawdown_guard([-0.5], start=0.1, stop=0.25)[0] == 0.0


@given(
    st.lists(st.lists(st.floats(-1, 1), min_size=4, max_size=4), min_size=1, max_size=3),
    st.integers(0, 50), st.floats(0.05, 0.6), st.floats(0.05, 1.0), st.floats(0.1, 2.0), st.floats(0.05, 1.0),
)  # fmt: skip
def test_every_limit_holds(rows, seed, target, largest, gross, net):
    limits = RiskLimits(target_volatility=target, max_weight=largest, max_gross=gross, max_net=net)
    returns = market(seed, 60)
    portfolio = construct_portfolio(held(*rows), returns, limits)
    weights = portfolio.weights["weight"].to_numpy()
    assert np.abs(weights).max() <= largest * (1 + 1e-9)
    assert np.abs(weights).sum() <= gross * (1 + 1e-9)
    assert abs(weights.sum()) <= net * (1 + 1e-9)
    assert portfolio.volatility <= target * (1 + 1e-9)
    limits_frame = portfolio.limits.set_index("limit")
    if not limits_frame.binding.any() and weights.any():
        assert portfolio.volatility == pytest.approx(target)


def test_what_bound_is_said():
    portfolio = construct_portfolio(held([1, 0, 0, 0]), market(), RiskLimits(target_volatility=0.6, max_weight=0.2))
    bound = portfolio.limits.set_index("limit")
    assert bound.binding["max_weight"] and not bound.binding["max_gross"]
    assert "to the largest weight 20.0%" in portfolio.weights["reasons"][0]
    assert portfolio.weights["reasons"][1] == "held by no strategy"


def test_strategies_share_by_inverse_volatility_and_kelly():
    positions = held([1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0])
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((300, 3))
    noise = (noise - noise.mean(axis=0)) / noise.std(axis=0, ddof=1)
    record = pd.DataFrame(noise * [0.01, 0.02, 0.01] + [0.002, 0.002, -0.001], columns=["s0", "s1", "s2"])
    shares = construct_portfolio(positions, market(), strategy_returns=record).strategy_weights
    assert shares["s0"] == pytest.approx(2 * shares["s1"]) and shares["s2"] == 0


def test_nothing_active_is_cash_or_the_market_as_the_setting_says():
    empty = pd.DataFrame(columns=SYMBOLS, dtype=float)
    cash = construct_portfolio(empty, market())
    assert not cash.weights["weight"].any() and cash.mode == "cash" and "in cash" in cash.reason and cash.volatility == 0
    assert cash.weights["weight"].dtype == np.float64 and cash.risk["share"].isna().all()
    held_market = construct_portfolio(empty, market(), RiskLimits(max_weight=1.0), benchmark="buy_and_hold")
    weights = held_market.weights["weight"]
    assert (weights > 0).all() and np.ptp(weights) < 1e-12 and held_market.volatility == pytest.approx(0.15)
    with pytest.raises(RiskError, match="cash or buy_and_hold"):
        construct_portfolio(empty, market(), benchmark="bonds")


def test_a_position_that_cannot_be_measured_is_not_held_or_refused():
    returns = market()
    with pytest.raises(RiskError, match="without DOGE/USDT"):
        construct_portfolio(pd.DataFrame({"DOGE/USDT": [1.0]}, index=["s0"]), returns)
    returns["BTC/USDT"] = np.nan
    portfolio = construct_portfolio(held([1, 1, 0, 0]), returns)
    assert portfolio.weights["weight"][0] == 0 and "risk is unknown" in portfolio.weights["reasons"][0]
    assert portfolio.weights["weight"][1] > 0


def test_a_drawdown_shrinks_the_portfolio():
    positions = held([1, 1, 0, 0])
    before = construct_portfolio(positions, market())
    after = construct_portfolio(positions, market(), portfolio_returns=pd.Series([0.0, -0.175]))
    assert after.weights["weight"].to_numpy() == pytest.approx(0.5 * before.weights["weight"].to_numpy())
    assert "times 0.50 for a drawdown of 17.5%" in after.weights["reasons"][0]


def test_limits_tighten_in_a_wilder_market_and_never_loosen():
    calm = market(n_days=300)
    wild = calm.copy()
    wild.iloc[-20:] *= 3
    limits = RiskLimits()
    adapted, frame = adapt_limits(limits, wild)
    assert adapted.max_gross < limits.max_gross and (frame.adapted <= frame.base).all()
    quiet = calm.copy()
    quiet.iloc[-20:] *= 0.1
    assert adapt_limits(limits, quiet)[0].max_gross == limits.max_gross
    assert adapt_limits(limits, calm.iloc[:30])[0] == limits


def test_stops_lie_against_the_position():
    prices, deviation = pd.Series({"A": 100.0, "B": 50.0, "C": 10.0}), pd.Series({"A": 0.02, "B": 0.04, "C": 0.6})
    levels = protective_levels(prices, deviation, pd.Series({"A": 1, "B": -1, "C": 1}))
    assert levels.loc["A"].tolist() == pytest.approx([96.0, 108.0]) and levels.loc["B"].tolist() == pytest.approx([54.0, 42.0])
    assert levels.loc["C", "stop"] == 0.0
    assert protective_levels(prices, deviation, pd.Series({"A": 0})).isna().all(axis=None)


def test_limits_that_make_no_sense_are_refused():
    for wrong in ({"max_gross": 0}, {"shrinkage": 2}, {"drawdown_start": 0.3}):
        with pytest.raises(RiskError):
            RiskLimits(**wrong)
