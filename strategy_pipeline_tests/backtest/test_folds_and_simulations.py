"""Walk-forward chooses on the past only; resampled prices and missed trades keep what they should."""

from __future__ import annotations

import numpy as np
import pytest

from strategy_pipeline.backtest import (
    Costs,
    backtest,
    bootstrap_prices,
    cross_validation,
    metrics_from_returns,
    skip_trades,
    walk_forward,
    walk_forward_matrix,
)
from strategy_pipeline.errors import SettingsError, StrategyError
from strategy_pipeline.resampling import bootstrap_bars, bootstrap_bars_with, combinatorial_purged
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


def test_bootstrapped_prices_are_charged_the_funding_of_the_bars_drawn(result) -> None:
    bars, ids = result.bars, result.strategy_ids[:2]
    rates = np.where(np.arange(bars.n_bars) % 8 == 0, 2e-3, np.nan) * np.ones((bars.n_symbols, 1))
    charged = backtest([result.strategies[id] for id in ids], bars, costs=result.costs, funding=rates)
    table = bootstrap_prices(charged, ids, n=1, seed=5, mean_block=48)
    other, carried = bootstrap_bars_with(bars, {"funding": rates}, generator(5, "bootstrap_prices", 0), 48)
    again = backtest([result.strategies[id] for id in ids], other, costs=result.costs, funding=carried["funding"])
    np.testing.assert_allclose(table["return_p50"], [again.metrics.loc[id, "total_return"].mean() for id in ids], rtol=1e-9)
    free = bootstrap_prices(result, ids, n=1, seed=5, mean_block=48)["return_p50"]
    assert (table["return_p50"] - free).abs().min() > 0.01


def test_missing_no_trade_is_the_path_itself_and_missing_some_spreads_it(result) -> None:
    id = result.strategy_ids[0]
    whole = skip_trades(result, [id], n=5, seed=0, skip=0.0, random_start=False).loc[id]
    assert whole["return_p5"] == whole["return_p95"]
    some = skip_trades(result, [id], n=200, seed=0, skip=0.3).loc[id]
    assert some["return_p5"] < some["return_p50"] < some["return_p95"]
    assert 0 <= some["probability_of_loss"] <= 1


@pytest.mark.parametrize(("folds", "left_out", "purge", "embargo"), [(5, 1, 1, 2), (6, 2, 2, 1), (6, 3, 0, 0)])
def test_cross_validation_cuts_and_recombines_as_skfolio_does(result, folds, left_out, purge, embargo) -> None:
    from skfolio.model_selection import CombinatorialPurgedCV

    found = cross_validation(result, folds=folds, left_out=left_out, purge=purge, embargo=embargo)
    n = len(result.days)
    if left_out > 1:
        theirs = CombinatorialPurgedCV(n_folds=folds, n_test_folds=left_out, purged_size=0, embargo_size=0)
        assert found.paths.shape[1] == theirs.n_test_paths
        ids = theirs.get_path_ids()
        expected = {(split, fold): path for split, row in enumerate(theirs.test_set_index) for fold, path in zip(row, ids[split])}
        assert {(row.split, row.fold): row.path for row in found.folds.itertuples()} == expected
    splits = combinatorial_purged(n, folds, left_out, purge=purge, embargo=embargo)
    sharpe = {}
    for row in found.folds.itertuples():
        train = splits[row.split].train
        if row.split not in sharpe:
            sharpe[row.split] = metrics_from_returns(np.ascontiguousarray(result.daily_returns[:, train]), 365.0)["sharpe"]
        scores = sharpe[row.split]
        best = int(np.nanargmax(scores))
        assert row.chosen == (result.strategy_ids[best],)
        assert row.trained == pytest.approx(scores[best])
        days = (result.days >= row.test_start) & (result.days <= row.test_end)
        assert not np.isin(np.flatnonzero(days), train).any()
        np.testing.assert_array_equal(found.paths.iloc[np.flatnonzero(days), row.path], result.daily_returns[best, days])
    assert found.paths.notna().all(axis=None)
    for path in found.paths:
        assert found.metrics.loc[path, "sharpe"] == pytest.approx(metrics_from_returns(found.paths[path].to_numpy(), 365.0)["sharpe"])
    assert found.efficiency == pytest.approx(found.folds["tested"].mean() / found.folds["trained"].mean())


def test_no_fold_runs_anything_again(result, monkeypatch) -> None:
    from strategy_pipeline.backtest import engine

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a fold needs no run of its own")

    assert result.daily_returns.size
    monkeypatch.setattr(engine, "backtest", refuse)
    walk_forward(result, train=20, test=10, anchored=True)
    walk_forward_matrix(result, [20, 30], [5, 10], purge=1, embargo=1)
    cross_validation(result, folds=5, left_out=2)


def test_anchored_folds_train_from_the_first_day(result) -> None:
    run = walk_forward(result, train=30, test=10, anchored=True, purge=2, embargo=3)
    assert (run.folds["train_start"] == result.days[0]).all()
    assert (run.folds["test_start"] - run.folds["train_end"] >= np.timedelta64(3, "D")).all()


def test_where_small_is_good_the_smallest_is_chosen(result) -> None:
    fold = walk_forward(result, train=60, test=10, metric="max_drawdown").folds.iloc[0]
    falls = result.summary(fold["train_start"], fold["train_end"] + np.timedelta64(1, "D"))["max_drawdown"]
    assert fold["chosen"] == (falls.idxmin(),)


def test_choosing_by_alpha_reads_the_benchmark(result) -> None:
    run = walk_forward(result, train=40, test=20, metric="alpha", top=2)
    after = run.folds["train_end"][0] + np.timedelta64(1, "D")
    best = result.summary(run.folds["train_start"][0], after)["alpha"].nlargest(2)
    assert run.folds["chosen"][0] == tuple(best.index)
    assert np.isfinite(run.metrics["alpha"])
    held = result.benchmark_returns([0])[0][result.day_mask(run.returns.index[0], run.returns.index[-1] + np.timedelta64(1, "D"))]
    assert run.metrics["beta"] == pytest.approx(np.cov(run.returns, held)[0, 1] / held.var(ddof=1))
