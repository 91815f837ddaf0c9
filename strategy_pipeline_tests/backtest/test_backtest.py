"""The population call: failures, windows, pooling, sharding, and what is asked of bad input."""

from __future__ import annotations

import gc
from weakref import ref

import numpy as np
import pandas as pd
import pytest

from strategy_pipeline.backtest import METRICS, RETURN_METRICS, Costs, backtest, engine, metrics_from_returns, source
from strategy_pipeline.errors import InvalidBarsError, NoDataError, PipelineError, SettingsError, StrategyError, UnknownSymbolError
from strategy_pipeline.indicators import Bank, Number, Output, Series, indicator
from strategy_pipeline.indicators.registry import unregister
from strategy_pipeline.rng import generator
from strategy_pipeline.strategies import Compare, Strategy, parse
from strategy_pipeline_tests.backtest.worlds import make_bars, make_series, make_strategy


@pytest.fixture(scope="module")
def world():
    rng = generator(21, "population")
    bars = make_bars(rng, 3, 700)
    series = make_series(rng, bars)
    return bars, series, [make_strategy(rng, bars) for _ in range(150)]


@pytest.fixture(scope="module")
def result(world):
    bars, series, population = world
    return backtest(population, bars, series=series)


def frames_equal(a: pd.DataFrame, b: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(a, b, check_exact=True)


def test_threads_tiles_blocks_and_company_do_not_change_a_bit(world, result, monkeypatch) -> None:
    bars, series, population = world
    for workers in (1, 3):
        other = backtest(population, bars, series=series, workers=workers)
        frames_equal(other.metrics, result.metrics)
        np.testing.assert_array_equal(other.daily_returns, result.daily_returns)
    monkeypatch.setattr(engine, "WAVE_BYTES", 20_000)
    monkeypatch.setattr(source, "SERIES_AT_ONCE", 7)
    monkeypatch.setattr(source, "AUX_BYTES", 60_000)
    blocks = backtest(population, bars, series=series, workers=2)
    frames_equal(blocks.metrics, result.metrics)
    frames_equal(blocks.pooled, result.pooled)
    some = backtest(population[40:60][::-1], bars, series=series)
    frames_equal(some.metrics, result.metrics.loc[list(some.strategy_ids)].reindex(some.metrics.index))


def test_a_bank_kept_for_the_next_run_changes_no_bit_and_must_be_of_the_same_bars_and_series(world, result) -> None:
    bars, series, population = world
    bank = Bank(bars, series=series, workers=1)
    for part in (population[:70], population, population):
        kept = backtest(part, bars, series=series, bank=bank, workers=1)
        frames_equal(kept.metrics, result.metrics.loc[list(kept.strategy_ids)].reindex(kept.metrics.index))
    later = backtest(population[:5], bars, series=series, bank=bank, start=bars.times[300], costs=Costs(fee_bps=30))
    frames_equal(later.metrics, backtest(population[:5], bars, series=series, start=bars.times[300], costs=Costs(fee_bps=30)).metrics)
    changed = {name: np.where(np.arange(values.shape[-1]) < 650, values, 0.0) for name, values in series.items()}
    for other in (Bank(bars.through(bars.times[600]), series=None), Bank(bars, series=None), Bank(bars, series=changed)):
        with pytest.raises(SettingsError, match="Expected a bank of the bars and series given"):
            backtest(population[:5], bars, series=series, bank=other)


@pytest.mark.parametrize("failure", [ValueError, RuntimeError, IndexError])
def test_an_indicator_of_ones_own_that_fails_stops_its_strategies_alone_on_any_number_of_threads(world, failure: type[Exception]) -> None:
    @indicator("furious", family="momentum", inputs=("series",), params=(), outputs=(Output("value", "ratio"),), warmup=1, source="a test")
    def furious(series: np.ndarray) -> np.ndarray:
        raise failure("not today")

    try:
        own, other = (parse(f"momentum on * 1h\nenter long when {x} > close\nsize all_in") for x in ("furious(close)", "sma(close, 5)"))
        found = [backtest([own, other], world[0], workers=workers) for workers in (1, 2)]
    finally:
        unregister("furious")
    for result in found:
        assert result.strategy_ids == (other.id,)
        reason = f"Expected furious(close) to be computed, was {failure.__name__}: not today"
        assert result.failures == {own.id: f"strategy {own.id}: enter_long: {reason}"}


def test_every_distinct_series_and_literal_is_computed_once(world, monkeypatch) -> None:
    bars, series, population = world
    compared, banks = [], []
    compare, bank = source.bits.compare, engine.Bank

    def spy(op, left, right, out):
        compared.append((op, left.tobytes(), right.tobytes()))
        compare(op, left, right, out)

    def keep(*args, **options):
        banks.append(bank(*args, **options))
        return banks[-1]

    monkeypatch.setattr(source.bits, "compare", spy)
    monkeypatch.setattr(engine, "Bank", keep)
    backtest([*population, *population], bars, series=series, workers=1)
    assert len(compared) == len(set(compared))
    alone = Bank(bars, series=series)
    from strategy_pipeline.strategies import values_of

    alone.evaluate_many(list(dict.fromkeys(value for strategy in population for value in values_of(strategy))))
    assert banks[0].computed == alone.computed


@pytest.mark.parametrize("lost", [False, True])
def test_the_memory_of_a_run_goes_with_the_run(world, monkeypatch, lost: bool) -> None:
    """Its bank and bit rows do not wait for the garbage collector, which counts objects and not their gigabytes."""
    bars, series, population = world
    other = parse(f"momentum on * 1h\nenter long when ema(close, 9)@4h > sma(close, 5)@{bars.symbols[0]}\nsize all_in")
    population = [*population[:40], other]
    made = {engine.Bank: [], engine.Source: []}

    def noted(kind):
        def make(*args, **options):
            one = kind(*args, **options)
            made[kind].append(ref(one))
            return one

        return make

    for name, kind in (("Bank", engine.Bank), ("Source", engine.Source)):
        monkeypatch.setattr(engine, name, noted(kind))
    known = {} if lost else series
    backtest(population, bars, series=known, workers=1)  # what is compiled or loaded the first time may hold on to frames
    gc.collect()
    gc.disable()
    try:
        result = backtest(population, bars, series=known, workers=1)
        assert bool(result.failures) == lost
        assert [[one() for one in kind] for kind in made.values()] == [[None, None], [None, None]]
    finally:
        gc.enable()


def test_daily_returns_are_the_equal_mean_over_listed_symbols(world, result) -> None:
    bars, _, population = world
    checked = 0
    for strategy in population[:25]:
        columns = []
        for symbol in bars.symbols if strategy.symbols == ("*",) else strategy.symbols:
            equity = result.equity(strategy.id, symbol)
            if equity.empty:
                continue
            close = (equity.index + pd.Timedelta("1h") - pd.Timedelta("1ns")).floor("D")
            last = equity.groupby(close).last()
            before = last.shift(fill_value=1.0)
            columns.append((last / before - 1).where(before > 0, 0.0))
        expected = pd.concat(columns, axis=1).mean(axis=1).reindex(pd.DatetimeIndex(result.days).tz_localize("UTC"), fill_value=0.0)
        row = result.daily_returns[result.strategy_ids.index(strategy.id)]
        np.testing.assert_allclose(row, expected.to_numpy(), rtol=1e-9, atol=1e-14)
        checked += int((row != 0).sum())
    assert checked > 100


def test_streaming_metrics_equal_those_from_the_return_series(world, result) -> None:
    bars, _, population = world
    for strategy in population[:20]:
        for symbol in bars.symbols if strategy.symbols == ("*",) else strategy.symbols:
            returns = result.returns(strategy.id, symbol)
            expected = metrics_from_returns(returns.to_numpy(), 8760)
            for name in RETURN_METRICS:
                if name not in ("information_ratio", "alpha", "beta"):
                    found = result.metrics.loc[(strategy.id, symbol), name]
                    np.testing.assert_allclose(found, expected[name], rtol=1e-9, atol=1e-12, err_msg=name)


def test_pooled_metrics_and_their_periods(result) -> None:
    pooled = result.pooled
    assert list(pooled.columns) == list(METRICS) == list(result.metrics.columns)
    expected = metrics_from_returns(result.daily_returns, 365)
    np.testing.assert_allclose(pooled["sharpe"], expected["sharpe"], rtol=1e-12)
    by_symbol = result.metrics.groupby(level=0, sort=False)
    assert (by_symbol["trades"].sum() == pooled["trades"]).all()
    pd.testing.assert_frame_equal(result.summary(), pooled[list(RETURN_METRICS)])
    cut = result.days[len(result.days) // 2]
    early, late = result.summary(end=cut), result.summary(start=cut)
    np.testing.assert_allclose((1 + early["total_return"]) * (1 + late["total_return"]), 1 + pooled["total_return"], rtol=1e-9)
    assert (result.day_mask(end=cut) ^ result.day_mask(start=cut)).all()
    with pytest.raises(NoDataError, match="Expected days within"):
        result.summary(start="2031-01-01")


def test_a_window_trades_inside_it_and_warms_up_before_it() -> None:
    bars = make_bars(generator(5), 1, 400, holes=False)
    strategy = parse("trend on * 1h\nenter long when close > sma(close, 12)\nexit when close < sma(close, 12)\nsize all_in")
    start, end = bars.times[200], bars.times[300]
    inside = backtest([strategy], bars, start=start, end=end)
    trades = inside.trades(strategy.id, "BTC/USDT")
    assert len(trades) > 3
    assert trades["decision"].min() >= pd.Timestamp(start, tz="UTC")
    assert trades["exit"].max() < pd.Timestamp(end, tz="UTC")
    assert trades["decision"].min() < pd.Timestamp(bars.times[212], tz="UTC")  # 12 bars of warm-up were not needed again
    assert len(inside.equity(strategy.id, "BTC/USDT")) == 100
    later = backtest([strategy], bars.between(None, end), start=start)
    pd.testing.assert_frame_equal(later.trades(strategy.id, "BTC/USDT"), trades)


def test_one_broken_strategy_is_reported_and_loses_nobody(world) -> None:
    bars, series, population = world
    rule = Compare(">", Series("close"), Number(0.0))
    unknown = Strategy("ml", ("*",), "1h", Compare(">", Series("forecast.nothing"), Number(0.0)))
    elsewhere = Strategy("ml", ("DOGE/USDT",), "1h", rule)
    slow = Strategy("ml", ("*",), "4h", rule)
    result = backtest([unknown, *population, elsewhere, slow, "not a strategy"], bars, series=series)
    assert set(result.failures) == {unknown.id, elsewhere.id, slow.id, f"#{len(population) + 3}"}
    assert "enter_long" in result.failures[unknown.id]
    assert "forecast.nothing" in result.failures[unknown.id]
    assert "symbols" in result.failures[elsewhere.id]
    assert "DOGE/USDT" in result.failures[elsewhere.id]
    assert "timeframe: Expected the bars' 1h, was 4h" in result.failures[slow.id]
    frames_equal(result.metrics, backtest(population, bars, series=series).metrics)
    with pytest.raises(StrategyError, match="forecast.nothing"):
        result.trades(unknown.id, "BTC/USDT")


def test_a_population_of_failures_has_empty_frames(world) -> None:
    bars, _, _ = world
    result = backtest([Strategy("ml", ("*",), "4h", Compare(">", Series("close"), Number(0.0)))], bars)
    assert result.strategy_ids == ()
    assert len(result.metrics) == len(result.pooled) == 0
    assert len(result.failures) == 1


def test_bad_input_gets_one_line_that_says_what_was_expected(world) -> None:
    bars, _, population = world
    with pytest.raises(StrategyError, match="at least one strategy, was none"):
        backtest([], bars)
    with pytest.raises(SettingsError, match="was 'tomorrow'"):
        backtest(population, bars, fill="tomorrow")
    with pytest.raises(NoDataError, match="was none"):
        backtest(population, bars, start="2031-01-01")
    with pytest.raises(SettingsError, match="fee_bps"):
        Costs(fee_bps=-1)
    half = bars.with_fields(open=np.where(np.arange(bars.n_bars) == 30, np.nan, bars.open))
    with pytest.raises(InvalidBarsError, match="was open nan of"):
        backtest(population, half)
    negative = bars.with_fields(low=np.where(np.isfinite(bars.low), -1.0, np.nan))
    with pytest.raises(InvalidBarsError, match=r"was low -1\.0 of"):
        backtest(population, negative)
    with pytest.raises(PipelineError):
        backtest(population, bars.with_fields(**{name: np.full(bars.close.shape, np.nan) for name in ("open", "high", "low", "close")}))


def test_asking_for_what_is_not_there_says_what_is(world, result) -> None:
    _, _, population = world
    named = next(strategy for strategy in population if strategy.symbols != ("*",))
    other = next(symbol for symbol in result.symbols if symbol not in named.symbols)
    with pytest.raises(UnknownSymbolError, match=named.symbols[0]):
        result.trades(named.id, other)
    with pytest.raises(UnknownSymbolError, match="DOGE"):
        result.equity(named.id, "DOGE/USDT")
    with pytest.raises(StrategyError, match="was 'nobody'"):
        result.trades("nobody", "BTC/USDT")


def test_a_symbol_without_any_bar_has_undefined_metrics_and_no_say_in_the_pool() -> None:
    bars = make_bars(generator(6), 2, 200, holes=False)
    gone = np.array([[False], [True]])
    bars = bars.with_fields(**{name: np.where(gone, np.nan, getattr(bars, name)) for name in ("open", "high", "low", "close", "volume")})
    strategy = parse("trend on * 1h\nenter long when close > sma(close, 5)\nexit when close < sma(close, 5)\nsize all_in")
    result = backtest([strategy], bars)
    row = result.metrics.loc[(strategy.id, "ETH/USDT")]
    assert row["trades"] == 0
    assert np.isnan(row["total_return"])
    alone = backtest([strategy], bars.select(["BTC/USDT"]))
    np.testing.assert_array_equal(result.daily_returns, alone.daily_returns)


def test_the_room_is_the_function_the_public_surface_names() -> None:
    from strategy_pipeline import Costs as PublicCosts
    from strategy_pipeline import backtest as public

    assert PublicCosts is Costs
    bars = make_bars(generator(7), 1, 60, holes=False)
    strategy = parse("trend on * 1h\nenter long when close > open\nexit when close < open\nsize all_in")
    frames_equal(public([strategy], bars).metrics, backtest([strategy], bars).metrics)
