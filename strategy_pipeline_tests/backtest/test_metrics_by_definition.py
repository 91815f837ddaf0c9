"""Each metric is its written definition, both ways it is computed: streamed through trades, and from a return series."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from strategy_pipeline.backtest import METRICS, RETURN_METRICS, TRADE_METRICS, Costs, backtest, metrics_from_returns
from strategy_pipeline.errors import SettingsError
from strategy_pipeline.strategies import parse
from strategy_pipeline_tests.backtest import definitions
from strategy_pipeline_tests.backtest.worlds import make_bars, make_costs, make_series, make_strategy

FORMULAS = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"


@settings(max_examples=60)
@given(
    r=arrays(np.float64, st.integers(2, 80), elements=st.floats(-0.4, 0.5).map(lambda x: round(x, 4))),
    beta=st.floats(-1, 2),
    year=st.sampled_from([252.0, 365.0, 8760.0]),
    seed=st.integers(0, 1000),
)
def test_metrics_of_a_series_are_their_definitions(r, beta, year, seed) -> None:
    benchmark = beta * r + np.random.default_rng(seed).normal(0, 0.01, len(r))
    found = metrics_from_returns(r, year, benchmark)
    expected = definitions.of_returns(r, year, benchmark)
    assert set(found) == set(expected) == set(RETURN_METRICS)
    for name in RETURN_METRICS:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-7, atol=1e-10, err_msg=name)


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1))
def test_streamed_metrics_are_those_of_the_bar_returns_and_of_the_trades(seed: int) -> None:
    rng = np.random.default_rng(seed)
    bars = make_bars(rng, 2, int(rng.integers(40, 400)), volatility=float(rng.choice([0.005, 0.03])))
    population = [make_strategy(rng, bars) for _ in range(4)]
    result = backtest(population, bars, costs=make_costs(rng), series=make_series(rng, bars))
    value = bars.volume * bars.close
    for id, symbol in result.metrics.index:
        row, returns, s = result.metrics.loc[(id, symbol)], result.returns(id, symbol), bars.symbols.index(symbol)
        if not len(returns):
            continue
        close = pd.Series(bars.close[s], index=pd.DatetimeIndex(bars.times).tz_localize("UTC")).ffill().loc[returns.index]
        held = close.pct_change().fillna(0.0).to_numpy()
        from_series = metrics_from_returns(returns.to_numpy(), 8760, held)
        for name in RETURN_METRICS:
            np.testing.assert_allclose(row[name], from_series[name], rtol=1e-8, atol=1e-11, err_msg=name)
        traded = pd.Series(value[s], index=pd.DatetimeIndex(bars.times).tz_localize("UTC"))
        from_trades = definitions.of_trades(result.trades(id, symbol), len(returns), 8760, traded)
        assert set(from_trades) == set(TRADE_METRICS)
        for name in TRADE_METRICS:
            if result.costs.participation is None or name not in ("turnover", "capacity"):  # exits in parts have fills of their own
                np.testing.assert_allclose(row[name], from_trades[name], rtol=1e-9, atol=1e-12, err_msg=name)


@given(r=arrays(np.float64, (3, 50), elements=st.floats(-0.3, 0.3)), names=st.sets(st.sampled_from(RETURN_METRICS), min_size=1))
def test_asking_for_some_metrics_gives_the_same_numbers(r, names) -> None:
    whole = metrics_from_returns(r, 365, r[0])
    some = metrics_from_returns(r, 365, r[0], names=tuple(sorted(names)))
    assert set(some) == names
    for name in names:
        np.testing.assert_array_equal(some[name], whole[name], err_msg=name)


def test_a_metric_that_does_not_exist_is_named() -> None:
    with pytest.raises(SettingsError, match="'luck'"):
        metrics_from_returns(np.zeros(3), 365, names=("luck",))


def test_an_annual_return_beyond_any_number_is_nan_and_never_infinite() -> None:
    found = metrics_from_returns(np.array([0.0, 0.5]), 8760)
    assert np.isnan(found["annual_return"]).all()
    assert np.isnan(found["calmar"]).all()
    assert found["total_return"] == 0.5


def test_capacity_is_where_the_mean_fill_takes_a_hundredth_of_its_bar() -> None:
    bars = make_bars(np.random.default_rng(5), 1, 600, holes=False)
    bars = bars.with_fields(volume=np.full(bars.volume.shape, 1_000.0))
    strategy = parse("trend on * 1h\nenter long when close > sma(close, 9)\nexit when close < sma(close, 9)\nsize all_in")
    result = backtest([strategy], bars, costs=Costs(1, 1))
    capacity = result.metrics["capacity"].iloc[0]
    orders = result.orders(strategy.id, "BTC/USDT")
    trades = result.trades(strategy.id, "BTC/USDT")
    before = trades["equity_before"].to_numpy()[orders["trade"]]
    at = np.searchsorted(bars.times, orders["time"].dt.tz_localize(None).to_numpy())
    share = capacity * (orders["size"] * orders["price"] / before) / (1_000.0 * bars.close[0, at])
    assert share.mean() == pytest.approx(0.01, rel=1e-9)
    thin = backtest([strategy], bars.with_fields(volume=bars.volume / 10), costs=Costs(1, 1)).metrics["capacity"].iloc[0]
    assert thin == pytest.approx(capacity / 10, rel=1e-9)
    dry = backtest([strategy], bars.with_fields(volume=np.zeros(bars.volume.shape)), costs=Costs(1, 1)).metrics["capacity"]
    assert (dry == 0).all()


def test_every_metric_has_a_formula_on_the_page() -> None:
    text = FORMULAS.read_text(encoding="utf-8")
    named = set(re.findall(r"^\| `(\w+)` \|", text, flags=re.MULTILINE))
    assert named == set(METRICS)
