"""Monte Carlo: paths are what block resampling says, and the score does what its formula does."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from strategy_pipeline.backtest import Costs, backtest, monte_carlo
from strategy_pipeline.backtest.robustness import MIN_TRADES, resample_trades, trade_effects
from strategy_pipeline.errors import StrategyError
from strategy_pipeline.rng import generator
from strategy_pipeline.strategies import parse
from strategy_pipeline_tests.backtest.worlds import make_bars


def rule(fast: int, slow: int):
    return parse(
        f"trend on * 1h\nenter long when crosses_above(sma(close, {fast}), sma(close, {slow}))\n"
        f"exit when crosses_below(sma(close, {fast}), sma(close, {slow}))\nsize all_in"
    )


@pytest.fixture(scope="module")
def result():
    bars = make_bars(generator(31), 2, 2500, holes=False)
    return backtest([rule(3, 9), rule(5, 20), rule(20, 400)], bars, costs=Costs(1, 0))


def test_effects_are_the_trades_in_order_of_exit_shared_among_symbols(result) -> None:
    id = result.strategy_ids[0]
    effects = trade_effects(result, id)
    both = pd.concat([result.trades(id, symbol) for symbol in result.symbols])
    closed = both[both["reason"] != "open"].sort_values("exit", kind="stable")
    np.testing.assert_allclose(effects, (closed["pnl"] / closed["equity_before"]).to_numpy() / 2, rtol=1e-9, atol=1e-15)
    cut = closed["exit"].iloc[len(closed) // 2]
    assert len(trade_effects(result, id, end=cut)) + len(trade_effects(result, id, start=cut)) == len(effects)


def test_paths_of_one_repeated_trade_are_known() -> None:
    final, drawdown, bands = resample_trades(np.full(20, -0.1), 30, generator(1))
    np.testing.assert_allclose(final, 0.9**20 - 1)
    np.testing.assert_allclose(drawdown, 1 - 0.9**20)
    np.testing.assert_allclose(bands[50], 0.9 ** np.arange(21))


def test_the_spread_of_paths_is_that_of_independent_draws() -> None:
    effects = generator(2).normal(0.001, 0.02, 400)
    final, drawdown, bands = resample_trades(effects, 4000, generator(3))
    logs = np.log1p(final)
    assert logs.mean() == pytest.approx(400 * np.log1p(effects).mean(), abs=0.03)
    assert logs.std() == pytest.approx(20 * np.log1p(effects).std(), rel=0.15)
    assert ((drawdown >= 0) & (drawdown < 1)).all()
    assert (bands[5] <= bands[50]).all()
    assert (bands[50] <= bands[95]).all()
    assert bands.index[0] == 0
    assert bands.index[-1] == 1


def test_the_score_is_its_formula(result) -> None:
    def jitter(strategy, rng):
        shift = int(rng.integers(1, 3))
        return [rule(3 + shift, 9 + shift), rule(4, 15)]

    ids = list(result.strategy_ids)
    found = monte_carlo(result, ids, n=300, seed=5, jitter=jitter)
    assert list(found.summary.index) == ids
    for id in ids:
        row = found.summary.loc[id]
        if row["trades"] < MIN_TRADES:
            assert np.isnan(row["robustness"])
            assert id not in found.bands
            continue
        stressed = result.rerun([result.strategies[id]], costs=Costs(2, 0)).pooled["total_return"].iloc[0]
        assert row["stressed_return"] == pytest.approx(stressed)
        assert row["robustness"] == pytest.approx((1 - row["probability_of_loss"]) * (stressed > 0) * row["jitter_share"])
        assert row["return_p5"] <= row["return_p50"] <= row["return_p95"]
    assert found.scores == found.summary["robustness"].to_dict() or found.summary["robustness"].isna().any()


def test_draws_depend_on_seed_and_id_and_not_on_company_or_threads(result) -> None:
    ids = list(result.strategy_ids)
    all_of_them = monte_carlo(result, ids, n=100, seed=5).summary
    alone = monte_carlo(result, ids[1:2], n=100, seed=5, workers=2).summary
    pd.testing.assert_frame_equal(all_of_them.loc[ids[1:2]], alone, check_exact=True)
    other = monte_carlo(result, ids[1:2], n=100, seed=6).summary
    assert (other["return_p50"] != alone["return_p50"]).all()


def test_bad_requests_are_named(result) -> None:
    with pytest.raises(StrategyError, match="'nobody'"):
        monte_carlo(result, ["nobody"], n=10, seed=1)
    with pytest.raises(StrategyError, match="n >= 1"):
        monte_carlo(result, list(result.strategy_ids), n=0, seed=1)
