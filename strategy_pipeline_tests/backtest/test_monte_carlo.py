"""Resampled orders, missed entries, neighbours, worse costs and late orders: each is what its definition says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategy_pipeline.backtest import (
    METRICS,
    Costs,
    backtest,
    bootstrap_bands,
    bootstrap_prices,
    jitter_parameters,
    monte_carlo,
    permute_parameters,
    skip_entries,
    skip_trades,
    stress,
)
from strategy_pipeline.backtest import paths as walked
from strategy_pipeline.backtest.neighbours import permutations
from strategy_pipeline.backtest.robustness import trade_effects
from strategy_pipeline.backtest.simulations import ENTRY
from strategy_pipeline.errors import SettingsError, StrategyError
from strategy_pipeline.market import Bars
from strategy_pipeline.resampling import block_bootstrap_indices, bootstrap_bars
from strategy_pipeline.rng import generator
from strategy_pipeline.strategies import parameters, parse
from strategy_pipeline_tests.backtest import definitions
from strategy_pipeline_tests.backtest.worlds import make_bars, make_pair, make_series


def cross(fast: int = 4, slow: int = 15, more: str = "") -> object:
    return parse(
        f"trend on * 1h\nenter long when crosses_above(sma(close, {fast}), sma(close, {slow}))\n"
        f"exit when crosses_below(sma(close, {fast}), sma(close, {slow}))\n{more}size all_in"
    )


@pytest.fixture(scope="module")
def result():
    bars = make_bars(generator(41), 2, 2400, volatility=0.01, holes=False)
    return backtest([cross(), cross(6, 30, "stop 3%, take 5%\n"), cross(200, 900)], bars, costs=Costs(2, 1))


def drawdown(path: np.ndarray) -> float:
    path = np.concatenate([[1.0], path])
    return float((1 - path / np.maximum.accumulate(path)).max())


@given(seed=st.integers(0, 10_000), count=st.integers(1, 40), block=st.integers(1, 9))
def test_the_kernel_walks_the_blocks_that_block_bootstrap_indices_name(seed: int, count: int, block: int) -> None:
    effects = np.random.default_rng(seed).normal(0, 0.2, count).clip(-1)
    points = np.unique([0, count // 2, count])
    found = walked.resampled(effects, 7, np.random.default_rng(seed), block=block, points=points)
    index = block_bootstrap_indices(count, block, 7, np.random.default_rng(seed))
    for k in range(7):
        path = np.cumprod(1 + effects[index[k]])
        assert found.final[k] == path[-1] - 1
        np.testing.assert_allclose(found.drawdown[k], drawdown(path), rtol=1e-12, atol=1e-15)
        np.testing.assert_array_equal(found.at_points[k], np.concatenate([[1.0], path])[points])


@given(seed=st.integers(0, 10_000), count=st.integers(1, 60), block=st.integers(1, 9))
def test_shuffling_makes_every_trade_once_and_keeps_blocks_together(seed: int, count: int, block: int) -> None:
    effects = np.arange(1.0, count + 1) * 0.01
    found = walked.shuffled(effects, 5, np.random.default_rng(seed), block=block, points=np.arange(count + 1))
    for path in found.at_points:
        made = np.round((path[1:] / path[:-1] - 1) * 100).astype(int)
        assert sorted(made.tolist()) == list(range(1, count + 1))
        cuts = np.count_nonzero((made[1:] - made[:-1] - 1) % count) if count > 1 else 0
        assert cuts <= -(-count // block) - 1
    np.testing.assert_allclose(found.final, np.prod(1 + effects) - 1, rtol=1e-12)


def test_other_orders_of_wins_before_losses_fall_less_deep() -> None:
    effects = np.concatenate([np.full(30, 0.05), np.full(30, -0.04)])
    _, realised = walked.straight(effects)
    assert realised == pytest.approx(1 - 0.96**30)
    found = walked.shuffled(effects, 400, generator(1))
    assert (found.drawdown < realised).mean() > 0.95
    assert (found.drawdown > realised + 1e-12).mean() == 0


def test_the_summary_says_where_the_realised_path_lies(result) -> None:
    ids = list(result.strategy_ids[:2])
    found = monte_carlo(result, ids, n=400, seed=3)
    for id in ids:
        effects = trade_effects(result, id)
        row = found.summary.loc[id]
        assert row["realised_return"] == pytest.approx(np.prod(1 + effects) - 1)
        assert row["realised_drawdown"] == pytest.approx(drawdown(np.cumprod(1 + effects)))
        assert row["shuffled_p50"] <= row["shuffled_p95"]
        assert 0 <= row["order_luck"] <= 1
        assert row[["delayed_return", "jitter_share", "skip_loss", "price_loss"]].isna().all()


def test_the_score_multiplies_every_perturbation_asked_for(result) -> None:
    ids = list(result.strategy_ids[:2])
    found = monte_carlo(result, ids, n=200, seed=3, delay=1, jitter=0.2, draws=5, skip=0.3, prices=4).summary
    expected = (
        (1 - found["probability_of_loss"])
        * (found["stressed_return"] > 0)
        * (found["delayed_return"] > 0)
        * found["jitter_share"]
        * (1 - found["skip_loss"])
        * (1 - found["price_loss"])
    )
    pd.testing.assert_series_equal(found["robustness"], expected, check_names=False)
    assert found[["delayed_return", "jitter_share", "skip_loss", "price_loss"]].notna().all(axis=None)
    late = result.rerun([result.strategies[id] for id in ids], delay=1).pooled["total_return"]
    np.testing.assert_array_equal(found["delayed_return"], late.loc[ids])
    again = monte_carlo(result, ids, n=200, seed=3, delay=1, jitter=0.2, draws=5, skip=0.3, prices=4, workers=1).summary
    pd.testing.assert_frame_equal(found, again, check_exact=True)


def test_missing_no_entry_changes_nothing(result) -> None:
    ids = list(result.strategy_ids)
    found = skip_entries(result, ids, n=2, seed=0, skip=0.0)
    means = result.metrics.groupby(level=0)[["total_return", "max_drawdown", "trades"]].mean().loc[ids]
    np.testing.assert_allclose(found["return_p50"], means["total_return"], rtol=1e-12)
    np.testing.assert_allclose(found["drawdown_p95"], means["max_drawdown"], rtol=1e-12)
    np.testing.assert_array_equal(found["trades"], means["trades"])


def test_missed_entries_are_the_entries_at_masked_bars(result) -> None:
    id = result.strategy_ids[0]
    table = skip_entries(result, [id], n=3, seed=9, skip=0.5)
    totals = []
    for k in range(3):
        mask = generator(9, "skip_entries", k).random(result.bars.close.shape) >= 0.5
        gated = parse(result.strategies[id].text.replace("enter long when ", f"enter long when {ENTRY.format(k)} > 0.5 and "))
        again = backtest([gated], result.bars, costs=result.costs, series={ENTRY.format(k): mask.astype(float)})
        for symbol in result.symbols:
            whole, some = result.trades(id, symbol), again.trades(gated.id, symbol)
            assert set(some["decision"]) < set(whole["decision"])
            assert mask[result.symbols.index(symbol)][np.searchsorted(result.bars.times, some["decision"].dt.tz_localize(None))].all()
        totals.append(again.metrics["total_return"].mean())
    assert table.loc[id, "return_p50"] == pytest.approx(np.median(totals), rel=1e-12)


def test_a_random_start_leaves_out_what_came_before_it(result) -> None:
    id = result.strategy_ids[0]
    found = skip_entries(result, [id], n=12, seed=2, skip=0.0, random_start=True).loc[id]
    whole = result.metrics.loc[id]["trades"].mean()
    assert 0.5 * whole - 2 <= found["trades"] < whole
    assert found["return_p5"] < found["return_p95"]


def test_skipped_trades_are_those_drawn(result) -> None:
    id = result.strategy_ids[0]
    effects = trade_effects(result, id)
    draws = generator(4, "skip_trades", id).random((6, len(effects)))
    expected = np.prod(np.where(draws >= 0.4, 1 + effects, 1.0), axis=1) - 1
    found = skip_trades(result, [id], n=6, seed=4, skip=0.4, random_start=False).loc[id]
    assert found["return_p50"] == pytest.approx(np.median(expected), rel=1e-10)
    assert found["probability_of_loss"] == (expected < 0).mean()


def test_ruin_is_a_drawdown_that_deep(result) -> None:
    ids = list(result.strategy_ids[:2])
    for found in (
        skip_trades(result, ids, n=50, seed=1, ruin=0.05),
        skip_entries(result, ids, n=5, seed=1, ruin=0.05),
        bootstrap_prices(result, ids, n=5, seed=1, ruin=0.05),
    ):
        assert ((found["probability_of_ruin"] >= 0.95) == (found["drawdown_p5"] >= 0.05)).all()
    never = skip_trades(result, ids, n=50, seed=1, ruin=1.0)["probability_of_ruin"]
    assert (never == 0).all()


def test_bands_of_histories_are_percentiles_of_their_equity(result) -> None:
    id = result.strategy_ids[0]
    found = bootstrap_bands(result, id, n=4, seed=6)
    paths = []
    for k in range(4):
        bars = bootstrap_bars(result.bars, generator(6, "bootstrap_prices", k), 168.0)
        paths.append(backtest([result.strategies[id]], bars, costs=result.costs).equity(id))
    np.testing.assert_allclose(found[75], np.percentile(paths, 75, axis=0), rtol=1e-12)
    assert (found.index == paths[0].index).all()


def test_histories_do_not_depend_on_threads(result) -> None:
    ids = list(result.strategy_ids)
    pd.testing.assert_frame_equal(
        bootstrap_prices(result, ids, n=4, seed=1, workers=1), bootstrap_prices(result, ids, n=4, seed=1, workers=4), check_exact=True
    )


def test_a_strategy_that_reads_named_series_has_no_bootstrapped_prices(result) -> None:
    named = parse("ml on * 1h\nenter long when x.signal > 0\nexit when x.signal < 0\nsize all_in")
    series = {"x.signal": np.sign(np.sin(np.arange(result.bars.n_bars) / 9.0)) * np.ones(result.bars.close.shape)}
    both = backtest([named, cross()], result.bars, series=series)
    found = bootstrap_prices(both, [named.id, cross().id], n=3, seed=0)
    assert found.loc[named.id].isna().all()
    assert bootstrap_bands(both, named.id, n=2, seed=0).empty
    assert found.loc[cross().id].notna().all()
    assert skip_entries(both, [named.id], n=3, seed=0).loc[named.id].notna().all()


def test_jittered_numbers_stay_near_and_whole(result) -> None:
    strategy = cross(10, 40, "stop 3%, take 5%, hold at most 20 bars\n")
    own = {p.path: p for p in parameters(strategy)}
    drawn = jitter_parameters(strategy, generator(1), n=40, spread=0.2)
    assert len({other.id for other in drawn} - {strategy.id}) == 40
    for other in drawn:
        for p in parameters(other):
            assert abs(p.value - own[p.path].value) <= max(0.2 * own[p.path].value, 1.0 if p.kind == "int" else 0.0) + 1e-12
            assert own[p.path].low <= p.value <= own[p.path].high
    assert [s.id for s in drawn] == [s.id for s in jitter_parameters(strategy, generator(1), n=40, spread=0.2)]
    with pytest.raises(SettingsError, match="spread"):
        jitter_parameters(strategy, generator(1), spread=1.5)


def test_permutations_are_every_combination_or_as_many_as_asked() -> None:
    two = cross(10, 40)
    grid = permutations(two, generator(1), spread=0.2, steps=3)
    pairs = {tuple(p.value for p in parameters(other)) for other in grid}
    assert pairs == {(a, b) for a in (8.0, 10.0, 12.0) for b in (32.0, 40.0, 48.0)} - {(10.0, 40.0)}
    assert len(permutations(cross(10, 40, "stop 3%, take 5%\n"), generator(1), most=30)) in (29, 30)
    none = parse("trend on * 1h\nenter long when close > open\nexit when close < open\nsize all_in")
    assert permutations(none, generator(1)) == []


def test_the_grid_says_how_a_strategy_stands_among_its_like(result) -> None:
    id = result.strategy_ids[0]
    row = permute_parameters(result, [id], seed=1).loc[id]
    around = permutations(result.strategies[id], generator(1, "permutations", id))
    pooled = result.rerun(around).pooled
    assert row["neighbours"] == len(around)
    assert row["return_p50"] == pytest.approx(pooled["total_return"].median())
    assert row["profitable"] == pytest.approx((pooled["total_return"] > 0).mean())
    assert row["rank"] == pytest.approx((pooled["sharpe"] < result.pooled.loc[id, "sharpe"]).mean())


def test_stress_runs_the_same_rules_under_other_costs_and_late(result) -> None:
    ids = list(result.strategy_ids[:2])
    found = stress(result, ids, costs=(0, 1, 4), delays=(1,))
    assert list(found.loc[ids[0]].index) == ["costs x0", "costs x1", "costs x4", "1 bar late"]
    np.testing.assert_allclose(found.xs("costs x1", level=1)["total_return"], result.pooled.loc[ids, "total_return"], rtol=1e-12)
    free = backtest([result.strategies[id] for id in ids], result.bars, costs=Costs(0, 0)).pooled
    np.testing.assert_allclose(found.xs("costs x0", level=1)["sharpe"], free.loc[ids, "sharpe"], rtol=1e-12)
    late = backtest([result.strategies[id] for id in ids], result.bars, costs=result.costs, delay=1).pooled
    np.testing.assert_allclose(found.xs("1 bar late", level=1)["max_drawdown"], late.loc[ids, "max_drawdown"], rtol=1e-12)
    assert stress(result, []).empty


@settings(max_examples=5)
@given(seed=st.integers(0, 10_000))
def test_pairs_and_delisted_symbols_go_through_all_of_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    bars = make_bars(rng, 3, 700)
    population = [make_pair(rng, bars) for _ in range(3)]
    series = make_series(rng, bars)
    result = backtest(population, bars, series=series)
    ids = list(result.strategy_ids)
    found = monte_carlo(result, ids, n=40, seed=1, delay=1, jitter=0.2, draws=3, skip=0.2, prices=2)
    assert list(found.summary.index) == ids
    scores = found.summary["robustness"].dropna()
    assert ((scores >= 0) & (scores <= 1)).all()
    assert len(stress(result, ids, costs=(1, 2), delays=(1,))) == 3 * len(ids)
    page = result.report(ids[0], paths=20, prices=1)
    assert result.strategies[ids[0]].against in page


def test_on_real_bars_everything_agrees_with_its_definition(real_data) -> None:
    bars = Bars.read(
        real_data / "ohlcv_1h_binance_spot.parquet", "1h", symbols=["BTC/USDT", "ETH/USDT"], start="2024-01-01", end="2025-01-01"
    )
    result = backtest([cross(24, 96), cross(12, 60, "stop 3%, take 6%\n")], bars)
    close = pd.DataFrame(bars.close.T, index=pd.DatetimeIndex(bars.times).tz_localize("UTC"), columns=list(bars.symbols))
    value = pd.DataFrame(bars.quote_volume.T, index=close.index, columns=close.columns)
    for id, symbol in result.metrics.index:
        returns = result.returns(id, symbol)
        held = close[symbol].ffill().loc[returns.index].pct_change().fillna(0.0)
        expected = definitions.of_returns(returns, 8760, held) | definitions.of_trades(
            result.trades(id, symbol), len(returns), 8760, value[symbol]
        )
        for name in METRICS:
            np.testing.assert_allclose(result.metrics.loc[(id, symbol), name], expected[name], rtol=1e-8, atol=1e-11, err_msg=name)
    ids = list(result.strategy_ids)
    histories = bootstrap_prices(result, ids, n=6, seed=2)
    assert (histories["drawdown_p50"] > 0.05).all()
    assert (histories["trades"] > 20).all()
    moves = np.log(bars.close[:, 1:] / bars.close[:, :-1])
    drawn = bootstrap_bars(bars, generator(2, "bootstrap_prices", 0), 168.0).close
    drawn = np.log(drawn[:, 1:] / drawn[:, :-1])
    assert np.corrcoef(drawn)[0, 1] == pytest.approx(np.corrcoef(moves)[0, 1], abs=0.05)
    assert drawn.std() == pytest.approx(moves.std(), rel=0.15)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda r, i: skip_entries(r, i, n=0, seed=0), StrategyError, "n of at least 1"),
        (lambda r, i: skip_trades(r, i, n=5, seed=0, skip=1.0), StrategyError, r"skip in \[0, 1\)"),
        (lambda r, i: bootstrap_prices(r, i, n=5, seed=0, ruin=0.0), StrategyError, "ruin"),
        (lambda r, i: monte_carlo(r, i, n=5, seed=0, draws=0), StrategyError, "draws"),
        (lambda r, i: stress(r, i, costs=(-1,)), SettingsError, "multiple of costs"),
        (lambda r, i: stress(r, i, delays=(0,)), SettingsError, "delays"),
        (lambda r, i: permute_parameters(r, i, seed=0, steps=1), SettingsError, "steps"),
        (lambda r, _: skip_entries(r, ["nobody"], n=1, seed=0), StrategyError, "'nobody'"),
    ],
)
def test_what_cannot_be_is_named(result, call, error, words) -> None:
    with pytest.raises(error, match=words):
        call(result, list(result.strategy_ids[:1]))
