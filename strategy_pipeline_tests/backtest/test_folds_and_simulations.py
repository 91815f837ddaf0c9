"""Walk-forward chooses on the past only; resampled prices and missed trades keep what they should."""

from __future__ import annotations

import numpy as np
import pytest

from strategy_pipeline.backtest import Costs, backtest, bootstrap_prices, skip_trades, walk_forward, walk_forward_matrix
from strategy_pipeline.errors import SettingsError, StrategyError
from strategy_pipeline.resampling import bootstrap_bars
from strategy_pipeline.rng import generator
from strategy_pipeline.strategies import parse
from strategy_pipeline_tests.backtest.worlds import make_bars


@pytest.fixture(scope="module")
def result():
    bars = make_bars(np.random.default_rng(3), n_symbols=2, n_bars=24 * 80, volatility=0.01, holes=False)
    population = [
        parse(f"trend on * 1h\nenter {side} when close > sma(close, {n})\nexit when close < sma(close, {n})\nsize all_in")
        for n in (5, 12, 30)
        for side in ("long", "short")
    ]
    return backtest(population, bars, costs=Costs(1, 0))


def test_each_fold_follows_the_best_of_its_own_training_window(result) -> None:
    run = walk_forward(result, train=30, test=10, top=2)
    assert len(run.folds) == 5
    for _, fold in run.folds.iterrows():
        assert fold["train_end"] < fold["test_start"]
        after = fold["train_end"] + np.timedelta64(1, "D")
        best = result.summary(fold["train_start"], after)["sharpe"].sort_values(ascending=False, kind="stable").index[:2]
        assert fold["chosen"] == tuple(best)
        rows = [result.strategy_ids.index(id) for id in best]
        mask = result.day_mask(fold["test_start"], fold["test_end"] + np.timedelta64(1, "D"))
        paid = run.returns[fold["test_start"].tz_localize("UTC") : fold["test_end"].tz_localize("UTC")]
        np.testing.assert_array_equal(paid, result.daily_returns[rows][:, mask].mean(axis=0))


def test_days_after_a_fold_do_not_change_its_choice(result) -> None:
    early = backtest(list(result.strategies.values()), result._arena.bars, costs=result.costs, end=result.days[45])
    assert walk_forward(early, train=30, test=10).folds["chosen"][0] == walk_forward(result, train=30, test=10).folds["chosen"][0]


def test_the_matrix_holds_each_pair_of_lengths_and_nan_where_none_fits(result) -> None:
    matrix = walk_forward_matrix(result, [20, 30, 500], [5, 10])
    assert matrix.loc[30, 10] == walk_forward(result, train=30, test=10).metrics["sharpe"]
    assert matrix.loc[500].isna().all()
    with pytest.raises(SettingsError, match="metric"):
        walk_forward(result, train=30, test=10, metric="luck")


def test_bootstrapped_prices_give_what_a_run_on_them_gives(result) -> None:
    ids = result.strategy_ids[:3]
    table = bootstrap_prices(result, ids, n=3, seed=5, mean_block=48)
    totals = []
    for k in range(3):
        bars = bootstrap_bars(result._arena.bars, generator(5, "bootstrap_prices", k), 48)
        again = backtest([result.strategies[id] for id in ids], bars, costs=result.costs)
        totals.append([again.metrics.loc[id, "total_return"].mean() for id in ids])
    np.testing.assert_allclose(table["return_p50"], np.median(totals, axis=0), rtol=1e-9)
    np.testing.assert_allclose(table["probability_of_loss"], (np.array(totals) < 0).mean(axis=0))
    with pytest.raises(StrategyError, match="a strategy of this result"):
        bootstrap_prices(result, ["nobody"], n=1, seed=0)


def test_missing_no_trade_is_the_path_itself_and_missing_some_spreads_it(result) -> None:
    id = result.strategy_ids[0]
    whole = skip_trades(result, [id], n=5, seed=0, skip=0.0, random_start=False).loc[id]
    assert whole["return_p5"] == whole["return_p95"]
    some = skip_trades(result, [id], n=200, seed=0, skip=0.3).loc[id]
    assert some["return_p5"] < some["return_p50"] < some["return_p95"]
    assert 0 <= some["probability_of_loss"] <= 1
