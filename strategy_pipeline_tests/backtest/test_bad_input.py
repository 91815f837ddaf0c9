"""What is wrong with what was given is said in one line that names it, and one broken strategy loses nobody."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from strategy_pipeline.backtest import Costs, backtest
from strategy_pipeline.errors import InvalidBarsError, NoDataError, PipelineError, SettingsError, StrategyError
from strategy_pipeline.indicators import Number, Output, Series, indicator, registry
from strategy_pipeline.market import Bars
from strategy_pipeline.rng import generator
from strategy_pipeline.strategies import Compare, Level, Strategy, parse
from strategy_pipeline_tests.backtest.worlds import make_bars

FINE = parse("trend on * 1h\nenter long when close > sma(close, 5)\nexit when close < sma(close, 5)")


@pytest.fixture(scope="module")
def bars() -> Bars:
    return make_bars(generator(31, "bad input"), 1, 120, holes=False)


def changed(bars: Bars, field: str, value: float, bar: int = 7) -> Bars:
    array = np.array(getattr(bars, field))
    array[0, bar] = value
    return bars.with_fields(**{field: array})


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("close", np.nan, "was close nan of BTC/USDT at 2023-01-01T12:00"),
        ("open", np.nan, "was open nan"),
        ("high", np.inf, "was high inf"),
        ("low", 0.0, r"was low 0\.0"),
        ("close", -3.0, r"was close -3\.0"),
        ("high", 1.0, "Expected open and close between low and high"),
        ("low", 1e6, "Expected open and close between low and high"),
        ("volume", -1.0, "Expected a volume of at least 0"),
    ],
)
def test_a_price_that_cannot_be_names_field_symbol_and_bar(bars: Bars, field: str, value: float, said: str) -> None:
    with pytest.raises(InvalidBarsError, match=said):
        backtest([FINE], changed(bars, field, value))


def test_rounding_of_an_extreme_is_no_error(bars: Bars) -> None:
    top = float(max(bars.open[0, 7], bars.close[0, 7]))
    low = float(min(bars.open[0, 7], bars.close[0, 7]))
    rounded = changed(changed(bars, "high", top * (1 - 1e-12)), "low", low * (1 + 1e-12))
    assert not backtest([FINE], rounded).failures


def test_times_out_of_order_or_twice_are_refused_when_bars_are_made(bars: Bars) -> None:
    fields = [getattr(bars, name) for name in ("open", "high", "low", "close", "volume")]
    for times in (bars.times[::-1], np.concatenate([bars.times[:5], bars.times[4:-1]])):
        with pytest.raises(InvalidBarsError, match="ascending, distinct bar opens"):
            Bars(bars.symbols, "1h", times, *fields)
    frame = bars.to_frame()
    with pytest.raises(InvalidBarsError, match="each bar once, was BTC/USDT"):
        Bars.from_frame(pd.concat([frame, frame.iloc[3:4].assign(close=5.0)]), "1h")
    assert Bars.from_frame(frame.sample(frac=1, random_state=1), "1h").fingerprint == bars.fingerprint


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("take 2%, breakeven 3%", "Expected breakeven below take"),
        ("take 2 atr(14), breakeven 2 atr(14)", "Expected breakeven below take"),
        ("stop 100%", "Expected stop above 0% and below 100%"),
        ("stop -3%", "Expected stop above 0%"),
        ("trail 0 atr(14)", "Expected trail as a multiple of the ATR above 0"),
        ("stop 3% stop 2%", "Expected stop once"),
        ("hold 0 bars", "Expected a whole number of bars"),
        ("size fraction 200%", "Expected size fraction above 0 and at most 1"),
    ],
)
def test_distances_that_contradict_or_cannot_be_name_the_field(text: str, said: str) -> None:
    with pytest.raises(StrategyError, match=said):
        parse(f"trend on * 1h\nenter long when close > open\n{text}")


def test_a_target_that_a_short_never_reaches_is_refused_and_one_of_both_sides_is_not() -> None:
    rule = Compare(">", Series("close"), Series("open"))
    with pytest.raises(StrategyError, match="Expected take below 100% of a strategy that is only ever short"):
        Strategy("trend", ("*",), "1h", enter_short=rule, take=Level("percent", 1.5))
    assert Strategy("trend", ("*",), "1h", rule, rule, take=Level("percent", 1.5)).take == Level("percent", 1.5)
    near = Strategy("trend", ("*",), "1h", rule, take=Level("percent", 0.03), breakeven=Level("atr", 2.0, 14))
    assert near.breakeven is not None  # which of the two is nearer is known only at the decision


def test_other_things_than_strategies_bars_and_costs_are_told_apart(bars: Bars) -> None:
    for wrong, said in ((None, "was NoneType"), (FINE.text, "was str; parse texts first"), ({"a": FINE}, "was dict")):
        with pytest.raises(StrategyError, match=said):
            backtest(wrong, bars)
    for empty in ([], (), iter(())):
        with pytest.raises(StrategyError, match="at least one strategy, was none"):
            backtest(empty, bars)
    assert backtest((one for one in [FINE]), bars).strategy_ids == (FINE.id,)
    with pytest.raises(SettingsError, match="Expected bars as Bars, was DataFrame"):
        backtest([FINE], bars.to_frame())
    with pytest.raises(SettingsError, match="Expected costs as Costs, was int"):
        backtest([FINE], bars, costs=10)
    with pytest.raises(SettingsError, match="Expected fee_bps as a number, was '10'"):
        Costs(fee_bps="10")
    with pytest.raises(SettingsError, match="Expected market_targets as a switch"):
        Costs(market_targets=1.0)
    with pytest.raises(SettingsError, match="Expected metrics as a list of names"):
        backtest([FINE], bars, metrics="sharpe")
    with pytest.raises(NoDataError, match="was none among"):
        backtest([FINE], bars, start="2024-02-01", end="2024-01-01")
    with pytest.raises(PipelineError, match="was 'soon'"):
        backtest([FINE], bars, start="soon")


def broken() -> dict[str, Strategy]:
    """Strategies that fail, by what must be said of them."""
    hollow = object.__new__(Strategy)
    tampered = parse("trend on * 1h\nenter long when close > open\nstop 3%")
    object.__setattr__(tampered, "stop", Level("percent", float("nan")))
    return {
        "enter_long: Expected an indicator of the catalog, was 'rsii' (near: rsi": Strategy(
            "trend", ("*",), "1h", Compare(">", Series("rsii", (Series("close"),), (14.0,)), Number(50.0))
        ),
        "exit_long: Expected a named series among (none given), was 'forecast.retrun_24h'": Strategy(
            "ml",
            ("*",),
            "1h",
            Compare(">", Series("close"), Series("open")),
            exit_long=Compare(">", Series("forecast.retrun_24h"), Number(0.0)),
        ),
        "size: Expected a named series": parse(
            "ml on * 1h\nenter long when close > open\nsize volatility_target 15% of forecast.volatility_9h"
        ),
        "symbols: Expected symbols of the bars": parse("trend on DOGE/USDT 1h\nenter long when close > open"),
        "timeframe: Expected the bars' 1h, was 4h": parse("trend on * 4h\nenter long when close > open"),
        "enter_long: Expected a timeframe coarser": parse("trend on * 1h\nenter long when close > sma(close, 3)@15m"),
        "enter_long: Expected bars with 'taker_buy_volume'": parse("trend on * 1h\nenter long when taker_buy_volume > volume"),
        "enter_long: Expected a symbol among BTC/USDT": parse("trend on * 1h\nenter long when close > close@DOGE/USDT"),
        "Expected a whole strategy, was one that cannot be read ('Strategy' object": hollow,
        "Expected a whole strategy, was one that cannot be read (Out of range": tampered,
        "Expected a Strategy, was str": "close > open",  # type: ignore[dict-item]
    }


def test_each_broken_strategy_among_many_is_reported_with_its_field_and_loses_nobody(bars: Bars) -> None:
    many = [
        parse(f"trend on * 1h\nenter long when close > sma(close, {n})\nexit when close < sma(close, {n})\nstop {p}%")
        for n in range(2, 22)
        for p in range(1, 21)
    ]
    wrong = broken()
    mixed = list(many)
    for place, strategy in enumerate(wrong.values()):
        mixed.insert(37 * place, strategy)
    for metrics in (None, ("sharpe", "trades")):
        result = backtest(mixed, bars, metrics=metrics)
        assert len(result.failures) == len(wrong)
        for said in wrong:
            assert any(said in reason for reason in result.failures.values()), said
        alone = backtest(many, bars, metrics=metrics)
        pd.testing.assert_frame_equal(result.metrics, alone.metrics, check_exact=True)
        assert result.strategy_ids == alone.strategy_ids


def test_an_indicator_of_ones_own_that_breaks_loses_only_those_who_read_it(bars: Bars) -> None:
    @indicator(
        "breaks_here", family="price", inputs=("close",), outputs=(Output("value", "ratio", -1, 1),), warmup=lambda p: 1, source="a test"
    )
    def breaks_here(close: np.ndarray) -> np.ndarray:
        raise ValueError("no such luck")

    try:
        reader = parse("trend on * 1h\nenter long when breaks_here > 0.5")
        result = backtest([reader, FINE], bars)
        assert result.strategy_ids == (FINE.id,)
        assert "enter_long" in result.failures[reader.id]
        assert "no such luck" in result.failures[reader.id]
    finally:
        registry.unregister("breaks_here")


@pytest.mark.nightly
def test_one_broken_strategy_in_ten_thousand_is_reported(bars: Bars) -> None:
    many = [
        parse(f"trend on * 1h\nenter long when close > sma(close, {n})\nstop {p}%, take {q}%")
        for n in range(2, 102)
        for p in range(1, 11)
        for q in range(1, 11)
    ]
    lost = Strategy("trend", ("*",), "1h", Compare(">", Series("nowhere", (), (3.0,)), Number(1.0)))
    result = backtest([*many[:5000], lost, *many[5000:]], bars, metrics=("sharpe",))
    assert list(result.failures) == [lost.id]
    assert len(result.strategy_ids) == 10_000
