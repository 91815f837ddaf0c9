"""Reading the language: what is accepted, and how errors point at what is not."""

from __future__ import annotations

import pytest

from strategy_pipeline.errors import StrategyError
from strategy_pipeline.indicators.expressions import Arithmetic, Number, Series
from strategy_pipeline.strategies import (
    And,
    Compare,
    Level,
    Or,
    Size,
    Strategy,
    StrategySyntaxError,
    conditions_of,
    parse,
    parse_condition,
    parse_value,
    value_text,
    values_of,
)

FIRST = """momentum on BTC/USDT 1h
enter long when crosses_above(ema(close, 12), ema(close, 48)) and adx(14) > 20 and forecast.return_24h > 0
exit when crosses_below(ema(close, 12), ema(close, 48))
stop 2.0 atr(14), take 4.0 atr(14), trail 3%, hold at most 96 bars
size volatility_target 15%
"""
W1 = """trend on BTC/USDT 1h
enter long when crosses_above(sma(close, 20), sma(close, 50))
exit when crosses_below(sma(close, 20), sma(close, 50))
size all_in
"""
CLOSE = Series("close")


def ema(length: float) -> Series:
    return Series("ema", (CLOSE,), (length,))


def test_the_designs_first_example_means_what_it_says() -> None:
    expected = Strategy(
        "momentum",
        ("BTC/USDT",),
        "1h",
        enter_long=And(
            (
                Compare("crosses_above", ema(12.0), ema(48.0)),
                Compare(">", Series("adx", (), (14.0,)), Number(20.0)),
                Compare(">", Series("forecast.return_24h"), Number(0.0)),
            )
        ),
        exit_long=Compare("crosses_below", ema(12.0), ema(48.0)),
        stop=Level("atr", 2.0, 14),
        take=Level("atr", 4.0, 14),
        trail=Level("percent", 0.03),
        hold=96,
        size=Size("volatility_target", 0.15),
    )
    assert parse(FIRST) == expected
    assert parse(expected.text) == expected


@pytest.mark.parametrize(
    "extra", ["", "stop 2.0 atr(14), take 4.0 atr(14), trail 3%, hold at most 96 bars", "stop 3%, take 6%", "stop 3%, take 6%, trail 2%"]
)
def test_the_designs_comparison_examples_read_back(extra: str) -> None:
    strategy = parse(W1 + extra)
    assert parse(strategy.text) == strategy
    assert strategy.exit_short is None
    assert strategy.enter_long == Compare("crosses_above", Series("sma", (CLOSE,), (20.0,)), Series("sma", (CLOSE,), (50.0,)))


def test_or_binds_loosest_then_and_then_not() -> None:
    low, high, up = (parse_condition(text) for text in ("rsi(14) < 30", "rsi(14) > 70", "close > open"))
    assert parse_condition("rsi(14) < 30 or rsi(14) > 70 and close > open") == parse_condition(
        "rsi(14) < 30 or (rsi(14) > 70 and close > open)"
    )
    parsed = parse_condition("not rsi(14) >= 30 and close > open or rsi(14) > 70")
    assert isinstance(parsed, Or)
    assert high in parsed.terms
    assert And in {type(term) for term in parsed.terms}
    assert {low, up} == {part for term in parsed.terms if isinstance(term, And) for part in term.terms}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("close + open * 2", lambda close, open: close + open * 2),
        ("(close + open) * 2", lambda close, open: (close + open) * 2),
        ("close - open - 2", lambda close, open: close - open - 2),
        ("close - (open - 2)", lambda close, open: close - (open - 2)),
        ("close / open / 2", lambda close, open: close / open / 2),
        ("-close * open", lambda close, open: -close * open),
        ("-(close * open)", lambda close, open: -(close * open)),
        ("close - -open", lambda close, open: close - -open),
        ("3% * close", lambda close, open: 0.03 * close),
        ("max(close, open) - min(close, open)", lambda close, open: abs(close - open)),
    ],
)
def test_arithmetic_binds_as_in_school(text: str, value) -> None:
    def at(node, close: float, open: float) -> float:
        if isinstance(node, Number):
            return node.value
        if isinstance(node, Series):
            return {"close": close, "open": open}[node.name]
        parts = [at(term, close, open) for term in node.operands]
        return {
            "+": lambda: parts[0] + parts[1], "-": lambda: parts[0] - parts[1],
            "*": lambda: parts[0] * parts[1], "/": lambda: parts[0] / parts[1],
            "neg": lambda: -parts[0], "max": lambda: max(parts), "min": lambda: min(parts),
        }[node.op]()  # fmt: skip

    for close, open in ((5.0, 3.0), (2.0, 7.0)):
        assert at(parse_value(text), close, open) == pytest.approx(value(close, open), rel=1e-15)
        assert at(parse_value(value_text(parse_value(text))), close, open) == pytest.approx(value(close, open), rel=1e-15)


@pytest.mark.parametrize(
    ("short", "full"),
    [
        ("rsi", "rsi(close, 14)"),
        ("rsi()", "rsi(close, 14)"),
        ("rsi(14)", "rsi(close, 14)"),
        ("rsi(length=21)", "rsi(close, 21)"),
        ("rsi(volume, length=21)", "rsi(volume, 21)"),
        ("macd.signal", "macd(close, 12, 26, 9).signal"),
        ("macd(close, 5)", "macd(close, 5, 26, 9).macd"),
        ("macd(signal=5).histogram", "macd(close, 12, 26, 5).histogram"),
        ("adx", "adx(14)"),
        ("rsi(14)@4h@BTC/USDT", "rsi(close, 14)@4h@BTC/USDT"),
        ("rsi(14)@BTC/USDT@4h", "rsi(close, 14)@4h@BTC/USDT"),
        ("ema(rsi(14), 5)", "ema(rsi(close, 14), 5)"),
        ("macro.vix", "macro.vix"),
        ("close@4h/open", "close@4h / open"),
    ],
)
def test_calls_are_completed_from_the_catalog(short: str, full: str) -> None:
    assert value_text(parse_value(short)) == full
    assert parse_value(full) == parse_value(short)


def test_several_symbols_and_all() -> None:
    assert parse("trend on ETH/USDT, BTC/USDT 4h\nenter long when close > open").symbols == ("BTC/USDT", "ETH/USDT")
    assert parse("trend on * 1M\nenter long when close > open").symbols == ("*",)
    assert parse("trend on BTC/USDT:USDT 1d\nenter long when close > open").symbols == ("BTC/USDT:USDT",)


def test_sides_have_their_own_exits() -> None:
    both = "trend on * 1h\nenter long when close > open\nenter short when close < open\n"
    shared = parse(both + "exit when rsi(14) > 50")
    assert shared.exit_long == shared.exit_short == parse_condition("rsi(14) > 50")
    own = parse(both + "exit short when rsi(14) < 30\nexit long when rsi(14) > 70")
    assert own.exit_long == parse_condition("rsi(14) > 70")
    assert own.exit_short == parse_condition("rsi(14) < 30")
    assert parse(own.text) == own
    short_only = parse("trend on * 1h\nenter short when close < open\nexit when close > open")
    assert short_only.exit_long is None
    assert parse(short_only.text) == short_only


def test_statements_may_share_a_line_and_conditions_may_span_several() -> None:
    one = parse("trend on * 1h enter long when close > open exit when close < open stop 3% hold at most 1 bar size kelly 0.5")
    other = parse(
        "trend on * 1h  # a comment\n\nsize kelly 50%\nhold 1\nenter long when\n  close\n  > open\nexit when close < open, stop 3%"
    )
    assert one == other


def test_sizes() -> None:
    def size(text: str) -> Size:
        return parse(f"trend on * 1h\nenter long when close > open\nsize {text}").size

    assert size("all_in") == Size("all_in")
    assert size("fraction 25%") == Size("fraction", 0.25)
    assert size("volatility_target 15% of forecast.volatility_24h") == Size("volatility_target", 0.15, Series("forecast.volatility_24h"))
    assert size("volatility_target 15% of ewma_volatility(60)").series == parse_value("ewma_volatility(close, 60)")


@pytest.mark.parametrize(
    ("text", "column", "expected"),
    [
        ("rsi(14) <", 10, "Expected a number, a series"),
        ("rsi(14) < 30 and", 17, "Expected a number, a series"),
        ("rsii(14) < 30", 1, "near: rsi"),
        ("close > ema(close, 12", 22, "Expected ',' or ')'"),
        ("close", 1, "Expected a condition, was a value"),
        ("close > (open > high)", 9, "Expected a value, was a condition"),
        ("10 < rsi(14) < 30", 14, "between"),
        ("close = open", 7, "never compared for equality"),
        ("lag(close, -1) > close", 1, "never ahead"),
        ("lag(close, open) > close", 1, "whole number of bars"),
        ("ema(12, close) > close", 9, "before its numbers"),
        ("ema(close, 12, 13) > close", 1, "at most 1 parameters"),
        ("ema(close, lenght=12) > close", 1, "near: length"),
        ("ema(close, length=12, length=13) > close", 23, "once"),
        ("rsi(14.5) > 50", 1, "whole number"),
        ("beta(60) > 1", 1, "2 series first"),
        ("adx(close, 14) > 20", 1, "it reads whole bars"),
        ("macd.signl > 0", 1, "near: signal"),
        ("close(3) > open", 1, "no arguments"),
        ("abs(close, open) > 1", 1, "Expected 1 value"),
        ("close@7h > open", 7, "timeframe"),
        ("close@4h@1d > open", 9, "one timeframe"),
        ("(close - open)@4h > 0", 15, "right after a series"),
        ("close > open close", 14, "Expected 'and', 'or' or the end"),
        ("close > 1 / 0", 11, "never defined"),
        ("not close", 5, "Expected a condition"),
        ("close & open", 7, "Expected a word"),
        ("(" * 80 + "close", 51, "levels of nesting"),
        ("-" * 80 + "close > 0", 51, "levels of nesting"),
    ],
)
def test_errors_point_at_the_place(text: str, column: int, expected: str) -> None:
    with pytest.raises(StrategySyntaxError, match=".*") as caught:
        parse_condition(text)
    assert expected in str(caught.value)
    assert (caught.value.line, caught.value.column) == (1, column)
    assert str(caught.value).startswith(f"line 1, column {column}: ")
    assert caught.value.pointed == f"{text.rstrip()}\n{' ' * (column - 1)}^"


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("", 1, "Expected a family"),
        ("momentun on * 1h", 1, "near: momentum"),
        ("trend BTC/USDT 1h", 1, "Expected 'on'"),
        ("trend on BTCUSDT 1h", 1, "BASE/QUOTE"),
        ("trend on * daily", 1, "Expected a timeframe"),
        ("trend on * 1h\nenter when close > open", 2, "'long' or 'short'"),
        ("trend on * 1h\nenter long if close > open", 2, "Expected 'when'"),
        ("trend on * 1h\nenter long when close > open\nstop 3", 3, "'%' or 'atr(14)'"),
        ("trend on * 1h\nenter long when close > open\nstop 3 art(14)", 3, "near: atr"),
        ("trend on * 1h\nenter long when close > open\nstop 3%\nstop 4%", 4, "once"),
        ("trend on * 1h\nenter long when close > open\nenter long when close > high", 3, "join conditions with 'or'"),
        ("trend on * 1h\nenter long when close > open\nexit short when close < open", 3, "could never apply"),
        ("trend on * 1h\nenter long when close > open\nhold at most 0 bars", 3, "1 or more"),
        ("trend on * 1h\nenter long when close > open\nhold most 3 bars", 3, "number of bars"),
        ("trend on * 1h\nenter long when close > open\nsize fraction 25", 3, "write 25%"),
        ("trend on * 1h\nenter long when close > open\nsize large", 3, "a size"),
        ("trend on * 1h\nenter long when close > open\nexxit when close < open", 3, "near: exit"),
    ],
)
def test_statement_errors_name_the_line(text: str, line: int, expected: str) -> None:
    with pytest.raises(StrategySyntaxError) as caught:
        parse(text)
    assert caught.value.line == line
    assert expected in str(caught.value)


def test_texts_that_are_none_are_refused() -> None:
    for wrong in (None, 3, "trend" * 50_000):
        with pytest.raises(StrategyError):
            parse(wrong)  # type: ignore[arg-type]


def test_what_a_strategy_needs_is_listed_once() -> None:
    strategy = parse(FIRST)
    assert [value_text(value) for value in values_of(strategy)] == [
        "adx(14)", "ema(close, 12)", "ema(close, 48)", "forecast.return_24h", "atr(14)", "realized_volatility(close, 100)",
    ]  # fmt: skip
    assert len(conditions_of(strategy)) == 4
    assert all(not isinstance(value, (Number, Arithmetic)) for value in values_of(strategy))
