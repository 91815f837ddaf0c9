"""The fast engine equals the reference: trades exactly, metrics to rounding, on random strategies and ugly markets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategy_pipeline.backtest import HEADLINE_METRICS, METRICS, backtest, reference_backtest
from strategy_pipeline.strategies import parse
from strategy_pipeline_tests.backtest.worlds import make_bars, make_costs, make_pair, make_series, make_strategy, make_terms

EXACT = ("side", "entry_price", "exit_price", "size", "equity_before", "equity_after", "reason", "ruined")


def assert_equal_to_reference(result, strategy, bars, **options) -> int:
    """Compare one strategy on all its symbols; returns how many trades were compared."""
    count = 0
    times = pd.DatetimeIndex(bars.times).tz_localize("UTC")
    for symbol, run in reference_backtest(strategy, bars, **options).items():
        trades = result.trades(strategy.id, symbol)
        assert len(trades) == len(run.trades)
        count += len(trades)
        for name, attribute in zip(EXACT, (*EXACT[:3], "size", "equity_before", "equity_after", "reason", "ruined"), strict=True):
            expected = [getattr(trade, attribute) for trade in run.trades]
            if trades[name].dtype.kind == "f":
                np.testing.assert_array_equal(trades[name].to_numpy(), np.array(expected, dtype=float), err_msg=name)
            else:
                assert trades[name].tolist() == expected, name
        for name in ("decision", "entry"):
            assert trades[name].tolist() == [times[getattr(trade, f"{name}_bar")] for trade in run.trades]
        closed = trades["reason"] != "open"
        assert trades["exit"][closed].tolist() == [times[trade.exit_bar] for trade in run.trades if trade.reason != "open"]
        if strategy.against is not None:
            for name in ("entry_price", "exit_price", "size"):
                expected = [getattr(trade, f"other_{name}") for trade in run.trades]
                np.testing.assert_array_equal(trades[f"against_{name}"].to_numpy(), np.array(expected, dtype=float), err_msg=name)
        if "carry" in trades:
            np.testing.assert_array_equal(trades["carry"].to_numpy(), [trade.carry for trade in run.trades])
        np.testing.assert_allclose(result.equity(strategy.id, symbol).to_numpy(), run.equity, rtol=1e-12, atol=1e-14)
        row = result.metrics.loc[(strategy.id, symbol)]
        if len(run.equity):
            # A year made of a few bars raises rounding to as high a power, and a small drawdown divides it.
            power = max(1.0, 8760 / len(run.equity))
            raised = {"annual_return": power, "calmar": power / max(run.metrics["max_drawdown"], 1e-9)}
            for name in METRICS:
                atol = 1e-12 * raised.get(name, 1.0)
                np.testing.assert_allclose(row[name], run.metrics[name], rtol=1e-9, atol=atol, err_msg=f"{name} of {symbol}")
    return count


@settings(max_examples=170)  # of six strategies on two symbols each: two thousand runs
@given(seed=st.integers(0, 2**32 - 1))
def test_trades_and_metrics_equal_the_reference_on_random_worlds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    bars = make_bars(rng, n_symbols=2, n_bars=int(rng.integers(3, 260)), volatility=float(rng.choice([0.005, 0.03, 0.2])))
    if not np.isfinite(bars.close).any():  # a few bars, all of them missing: refused elsewhere
        return
    series = make_series(rng, bars)
    population = [make_strategy(rng, bars) for _ in range(4)] + [make_pair(rng, bars) for _ in range(2)]
    window = {}
    if rng.random() < 0.4:
        first, last = np.sort(rng.integers(0, bars.n_bars, 2))
        window = {"start": bars.times[first], "end": bars.times[last] + np.timedelta64(1, "h")}
        if not np.isfinite(bars.close[:, first : last + 1]).any():
            window = {}
    options = {"costs": make_costs(rng), "fill": str(rng.choice(["next_open", "close"])), "series": series, **window}
    options |= make_terms(rng, bars)
    result = backtest(population, bars, workers=1, **options)
    assert not result.failures
    for strategy in population:
        assert_equal_to_reference(result, strategy, bars, **options)
    headline = backtest(population, bars, workers=1, metrics=HEADLINE_METRICS, **options)
    for name in HEADLINE_METRICS:
        np.testing.assert_allclose(headline.metrics[name], result.metrics[name], rtol=1e-9, atol=1e-12, err_msg=name)


@settings(max_examples=10)
@given(seed=st.integers(0, 2**32 - 1))
def test_range_tables_give_the_statistics_of_a_walk_over_every_bar(seed: int) -> None:
    rng = np.random.default_rng(seed)
    bars = make_bars(rng, n_symbols=2, n_bars=int(rng.integers(600, 3000)), volatility=float(rng.choice([0.002, 0.03])))
    spike = int(rng.integers(bars.n_bars))
    factor = np.where(np.arange(bars.n_bars) >= spike, float(rng.choice([1.0, 500.0])), 1.0)
    prices = {name: getattr(bars, name) * factor for name in ("open", "high", "low", "close")}
    bars = replace(bars, **prices)
    series = {"x.enter": rng.random(bars.close.shape) < 0.01, "x.leave": rng.random(bars.close.shape) < float(rng.choice([0.1, 0.003]))}
    series = {name: values.astype(float) for name, values in series.items()}
    population = [
        parse(f"trend on * 1h\nenter {side} when x.enter > 0.5\nexit when x.leave > 0.5\n{levels}size {size}")
        for side in ("long", "short")
        for levels in ("", "stop 5%, take 9%\n")
        for size in ("all_in", "fraction 40%")
    ]
    options = {"costs": make_costs(rng), "fill": str(rng.choice(["next_open", "close"])), "series": series, "workers": 1}
    whole, headline = (backtest(population, bars, metrics=metrics, **options) for metrics in (None, HEADLINE_METRICS))
    for name in HEADLINE_METRICS:
        np.testing.assert_allclose(headline.metrics[name], whole.metrics[name], rtol=1e-9, atol=1e-12, err_msg=name)
    np.testing.assert_array_equal(headline.daily_returns, whole.daily_returns)
    pd.testing.assert_frame_equal(headline.pooled, whole.pooled)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(2000))
def test_thousands_of_random_worlds_equal_the_reference(seed: int) -> None:
    test_trades_and_metrics_equal_the_reference_on_random_worlds.hypothesis.inner_test(seed)
