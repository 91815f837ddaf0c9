"""Orders, returns and portfolios that other tools read say what the result says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategy_pipeline.backtest import Costs, backtest
from strategy_pipeline.errors import StrategyError
from strategy_pipeline.rng import generator
from strategy_pipeline.strategies import parse
from strategy_pipeline_tests.backtest.worlds import make_bars, make_costs, make_pair, make_series, make_strategy


@pytest.fixture(scope="module")
def result():
    bars = make_bars(generator(51), 2, 24 * 90, volatility=0.01, holes=False)
    rule = parse("trend on * 1h\nenter long when close > sma(close, 20)\nexit when close < sma(close, 20)\nstop 2%\nsize all_in")
    return backtest([rule], bars, costs=Costs(5, 2))


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), pair=st.booleans())
def test_orders_add_up_to_the_trades_profits(seed: int, pair: bool) -> None:
    rng = np.random.default_rng(seed)
    bars = make_bars(rng, 2, 200)
    strategy = make_pair(rng, bars) if pair else make_strategy(rng, bars)
    result = backtest([strategy], bars, costs=make_costs(rng), series=make_series(rng, bars))
    assert not result.failures
    for symbol in result.symbols:
        if not result.trades_on(strategy.id, symbol):
            continue
        trades, orders = result.trades(strategy.id, symbol), result.orders(strategy.id, symbol)
        assert orders["time"].is_monotonic_increasing or pair
        flow = (-orders["side"] * orders["size"] * orders["price"] - orders["fees"]).groupby(orders["trade"]).sum()
        closed = (trades["reason"] != "open") & ~trades["ruined"]
        np.testing.assert_allclose(flow[closed], trades["pnl"][closed], rtol=1e-9, atol=1e-12)
        legs = 2 if pair else 1
        assert len(orders) == legs * (len(trades) + (trades["reason"] != "open").sum())
        assert (orders["fees"][orders["reason"] == "entry"] >= 0).all()


@settings(max_examples=12)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_vectorbt_portfolio_of_the_orders_has_the_equity(seed: int) -> None:
    pytest.importorskip("vectorbt", reason="the extra `peers` is not installed")
    rng = np.random.default_rng(seed)
    bars = make_bars(rng, 1, 300)
    strategy = make_strategy(rng, bars)
    costs = replace(make_costs(rng), participation=None, borrow_annual=0.0)
    result = backtest([strategy], bars, costs=costs, series=make_series(rng, bars))
    trades = result.trades(strategy.id, "BTC/USDT")
    if not len(trades) or trades["ruined"].any():
        return
    portfolio = result.to_vectorbt(strategy.id, "BTC/USDT")
    np.testing.assert_allclose(portfolio.value().to_numpy(), result.equity(strategy.id, "BTC/USDT").to_numpy(), rtol=1e-9, atol=1e-12)
    assert portfolio.orders.count() == len(result.orders(strategy.id, "BTC/USDT"))


def test_quantstats_reads_the_daily_returns_and_finds_the_same_numbers(result) -> None:
    import quantstats.stats as qs

    id = result.strategy_ids[0]
    daily, pooled = result.to_quantstats(id), result.pooled.loc[id]
    assert daily.index.tz is None
    assert qs.sharpe(daily, periods=365) == pytest.approx(pooled["sharpe"], rel=1e-9)
    assert qs.sortino(daily, periods=365) == pytest.approx(pooled["sortino"], rel=1e-9)
    assert -qs.max_drawdown(daily) == pytest.approx(pooled["max_drawdown"], rel=1e-9)
    assert qs.comp(daily) == pytest.approx(pooled["total_return"], rel=1e-9)


def test_the_days_of_the_symbols_average_to_the_pool(result) -> None:
    id = result.strategy_ids[0]
    parts = pd.concat([result.to_quantstats(id, symbol) for symbol in result.symbols], axis=1)
    np.testing.assert_allclose(parts.mean(axis=1), result.to_quantstats(id), rtol=1e-9, atol=1e-14)
    pd.testing.assert_series_equal(result.returns(id).tz_localize(None), result.to_quantstats(id), check_names=False, check_freq=False)
    assert result.equity(id).iloc[-1] - 1 == pytest.approx(result.pooled.loc[id, "total_return"], rel=1e-12)


def test_trades_on_all_symbols_are_those_of_each_by_entry(result) -> None:
    id = result.strategy_ids[0]
    whole = result.trades(id)
    assert whole["entry"].is_monotonic_increasing
    for symbol in result.symbols:
        part = whole[whole["symbol"] == symbol].drop(columns="symbol").reset_index(drop=True)
        pd.testing.assert_frame_equal(part, result.trades(id, symbol))
    for call in (result.trades, result.returns, result.equity, result.to_quantstats):
        with pytest.raises(StrategyError, match="'nobody'"):
            call("nobody")
