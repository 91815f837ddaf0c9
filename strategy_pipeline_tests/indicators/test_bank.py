"""The bank: each series once, at its time, for its symbol, whatever the number of threads."""

from __future__ import annotations

import gc
from weakref import ref

import numpy as np
import pytest
import talib
from hypothesis import given
from hypothesis import strategies as some

from strategy_pipeline.errors import InvalidBarsError, MissingColumnError, UnknownIndicatorError, UnknownSymbolError
from strategy_pipeline.indicators import Arithmetic, Bank, Number, Series, UnknownSeriesError, bars_needed, compute, first_bar_needed, term
from strategy_pipeline.indicators.memo import LARGE_BYTES
from strategy_pipeline_tests.indicators.conftest import random_walk

CLOSE = Series("close")


def op(name: str, *operands) -> Arithmetic:
    return Arithmetic(name, tuple(Number(each) if isinstance(each, (int, float)) else each for each in operands))


def test_equal_expressions_are_computed_once(whole):
    bank = Bank(whole, workers=1)
    average = term("ema", length=12)
    first = bank.evaluate(average)
    assert bank.computed == 1
    assert bank.evaluate(Series("ema", (CLOSE,), (12.0,))) is first and bank.computed == 1
    macd = [term("macd", output=name) for name in ("macd", "signal", "histogram")]
    bank.evaluate_many([*macd, average, op("-", macd[0], macd[1])])
    assert bank.computed == 3  # one ema, one macd for its three outputs, one difference
    assert not first.flags.writeable and first.flags.c_contiguous


def test_indicators_nest(whole):
    value = Bank(whole, workers=1).evaluate(term("sma", term("rsi", length=14), length=5))
    expected = talib.SMA(talib.RSI(whole.close[0], 14), 5)
    np.testing.assert_array_equal(value[0], expected)


def test_a_higher_timeframe_is_known_only_at_its_close(whole):
    value = Bank(whole, workers=1).evaluate(Series("close", timeframe="4h"))
    # 00:00-04:00 closes with the bar that opens at 03:00: it and the next three see that close.
    assert np.isnan(value[:, :3]).all()
    np.testing.assert_array_equal(value[:, 3:7], np.repeat(whole.close[:, 3:4], 4, axis=1))
    np.testing.assert_array_equal(value[:, 7], whole.close[:, 7])
    daily = Bank(whole, workers=1).evaluate(Series("rsi", (CLOSE,), (5.0,), timeframe="1d"))
    np.testing.assert_array_equal(daily[:, 23::24], compute("rsi", whole.resample("1d"), length=5))


def test_a_higher_timeframe_is_unknown_where_the_symbol_has_no_bar(gappy):
    value = Bank(gappy, workers=1).evaluate(Series("close", timeframe="4h"))
    assert np.isnan(value[1, 300:305]).all() and np.isfinite(value[0, 300:305]).all()


def test_no_finer_timeframe_can_be_read(whole):
    with pytest.raises(InvalidBarsError, match="coarser"):
        Bank(whole).evaluate(Series("close", timeframe="15m"))
    with pytest.raises(UnknownIndicatorError, match="timeframe"):
        Bank(whole).evaluate(Series("close", timeframe="7h"))


def test_a_fixed_symbol_is_read_by_every_row(gappy):
    bank = Bank(gappy, workers=1)
    value = bank.evaluate(Series("rsi", (CLOSE,), (14.0,), symbol="ETH/USDT"))
    own = bank.evaluate(term("rsi", length=14))
    for row in range(3):
        np.testing.assert_array_equal(value[row], own[1])
    spread = bank.evaluate(op("-", CLOSE, Series("close", symbol="BTC/USDT")))
    np.testing.assert_array_equal(spread, gappy.close - gappy.close[0])
    with pytest.raises(UnknownSymbolError, match="DOGE/USDT"):
        bank.evaluate(Series("close", symbol="DOGE/USDT"))


def test_symbol_and_timeframe_combine(whole):
    bank = Bank(whole, workers=1)
    value = bank.evaluate(Series("rsi", (CLOSE,), (5.0,), timeframe="1d", symbol="ETH/USDT"))
    own = bank.evaluate(Series("rsi", (CLOSE,), (5.0,), timeframe="1d"))
    for row in range(3):
        np.testing.assert_array_equal(value[row], own[1])
    inner = Series("correlation", (CLOSE, Series("close", symbol="BTC/USDT")), (20.0,), symbol="SOL/USDT")
    np.testing.assert_array_equal(bank.evaluate(inner)[0], bank.evaluate(term("correlation", length=20))[2])
    ranked = bank.evaluate(Series("cross_rank", (), (24.0,), symbol="ETH/USDT"))
    np.testing.assert_array_equal(ranked[2], bank.evaluate(term("cross_rank", length=24))[1])


def test_named_series_are_aligned_and_missing_ones_named(whole):
    given_values = np.arange(600.0)
    bank = Bank(whole, series={"forecast.return_24h": np.tile(given_values, (3, 1)), "macro.vix": given_values}, workers=1)
    assert bank.names == ("forecast.return_24h", "macro.vix")
    np.testing.assert_array_equal(bank.evaluate(Series("macro.vix"))[2], given_values)
    np.testing.assert_array_equal(bank.evaluate(Series("macro.vix", timeframe="4h"))[0, 3:11], np.repeat([3.0, 7.0], 4))
    np.testing.assert_array_equal(bank.evaluate(term("sma", Series("macro.vix"), length=3))[0, 2:], given_values[1:-1])
    with pytest.raises(
        UnknownSeriesError, match=r"forecast\.return_24 .*near: forecast\.return_24h|forecast\.return_24'.*near: forecast\.return_24h"
    ):
        bank.evaluate(Series("forecast.return_24"))
    with pytest.raises(InvalidBarsError, match=r"x\.y"):
        Bank(whole, series={"x.y": np.zeros(7)})


@pytest.mark.parametrize("kind", ["<U1", "complex128", "datetime64[ns]", "ragged", "mapping", "texts among numbers"])
def test_a_named_series_that_holds_no_numbers_is_named(whole, kind):
    values = {"ragged": [[1.0], [2.0, 3.0]], "mapping": {"a": 1.0}, "texts among numbers": np.array([1.0, "much"], dtype=object)}
    given = values[kind] if kind in values else np.zeros(whole.close.shape).astype(kind)
    with pytest.raises(InvalidBarsError, match=r"^Expected numbers in the named series 'news\.mood', was .*: pass float64"):
        Bank(whole, series={"news.mood": given})


def test_whole_numbers_and_switches_are_numbers(whole):
    for kind in (np.int64, bool, object):
        made = Bank(whole, series={"news.mood": np.ones(whole.close.shape).astype(kind)}).evaluate(Series("news.mood"))
        assert made.dtype == np.float64 and (made == 1).all()


def test_arithmetic_is_undefined_where_mathematics_is(whole):
    bank = Bank(whole, series={"a.b": np.tile([0.0, -1.0, 4.0], 200)}, workers=1)
    x = Series("a.b")
    for expression, wanted in [
        (op("/", 1, x), [np.nan, -1, 0.25]), (op("log", x), [np.nan, np.nan, np.log(4)]), (op("sqrt", x), [0, np.nan, 2]),
        (op("sign", x), [0, -1, 1]), (op("neg", x), [0, 1, -4]), (op("abs", x), [0, 1, 4]), (op("min", x, 1), [0, -1, 1]),
        (op("max", x, 1), [1, 1, 4]), (op("*", x, 2), [0, -2, 8]), (op("+", x, 2), [2, 1, 6]),
    ]:  # fmt: skip
        np.testing.assert_array_equal(bank.evaluate(expression)[0, :3], wanted)
    np.testing.assert_array_equal(bank.evaluate(op("lag", x, 2))[0, :5], [np.nan, np.nan, 0, -1, 4])
    np.testing.assert_array_equal(bank.evaluate(op("change", x, 1))[0, :4], [np.nan, -1, 5, -4])
    assert np.isnan(bank.evaluate(op("max", op("log", x), 1))[0, 0])
    for wrong in (op("lag", x, -1), op("lag", x, 1.5), op("lag", x, x), op("^", x, 2), op("log", x, x)):
        with pytest.raises(UnknownIndicatorError):
            bank.evaluate(wrong)


def test_an_absent_field_is_named(whole):
    with pytest.raises(MissingColumnError, match="trades"):
        Bank(whole.with_fields(trades=None)).evaluate(Series("trades"))


def test_wrong_inputs_are_told(whole):
    bank = Bank(whole, workers=1)
    with pytest.raises(UnknownIndicatorError, match="whole bars"):
        bank.evaluate(Series("atr", (CLOSE,), (14.0,)))
    with pytest.raises(UnknownIndicatorError, match="alone"):
        bank.evaluate(Series("close", (), (3.0,)))


def test_results_do_not_depend_on_threads_or_on_forgetting(gappy):
    values = [term(name) for name in ("rsi", "adx", "hurst", "correlation", "cross_rank", "vwap", "zigzag")]
    values += [Series("rsi", (CLOSE,), (14.0,), timeframe="4h"), term("sma", term("rsi"), length=4)]
    alone = Bank(gappy, workers=1).evaluate_many(values)
    several = Bank(gappy, workers=3).evaluate_many(values)
    tight = Bank(gappy, workers=1, max_bytes=20_000)
    for one, other, value in zip(alone, several, values, strict=True):
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(one, tight.evaluate(value))
    assert tight._store.size <= 20_000


def test_a_population_of_thousands_is_read_in_bounded_memory():
    """Read in parts, whatever their number, the bank holds its limit and one part; forgotten series come back the same."""
    bars = random_walk(2, 250, seed=3)
    size = 2 * 250 * 8
    limit = 60 * size
    bank = Bank(bars, workers=1, max_bytes=limit)
    names = ("sma", "ema", "stddev", "rsi", "highest", "zscore", "macd")
    wanted = [term(name, Series(field), **{} if name == "macd" else {"length": n})
              for n in range(2, 62) for name in names for field in ("close", "high", "volume", "low", "open")]  # fmt: skip
    assert len(set(wanted)) > 1_800
    first = bank.evaluate(wanted[0]).tobytes()
    for at in range(0, len(wanted), 25):
        bank.evaluate_many(wanted[at : at + 25])
        assert bank._store.size <= limit
        # What it holds is what it counts: every living block and array, each once.
        held = {id(block if block is not None else array): (block if block is not None else array).nbytes
                for arrays, block in bank._store._entries.values() for array in arrays}  # fmt: skip
        assert sum(held.values()) == bank._store.size
    count = bank.computed
    assert bank.evaluate(wanted[0]).tobytes() == first and bank.computed == count + 1


@given(
    length=some.integers(2, 60),
    cut=some.integers(100, 299),
    name=some.sampled_from(["ema", "rsi", "kama", "zscore", "highest", "realized_volatility"]),
)
def test_later_bars_never_change_a_value(length, cut, name):
    bars = random_walk(1, 300, seed=9)
    past = bars.through(bars.times[cut])
    np.testing.assert_array_equal(compute(name, past, length=length), compute(name, bars, length=length)[:, : cut + 1])


def test_history_needed_adds_up(gappy):
    value = op("lag", term("sma", term("log_return", length=5), length=10), 3)
    assert bars_needed(value, "1h") == 3 + 10 + 5
    assert bars_needed(Series("sma", (CLOSE,), (10.0,), timeframe="4h"), "1h") == 11 * 4
    bank = Bank(gappy, workers=1)
    assert first_bar_needed(term("sma", length=10), bank, 400) == 391
    # Five bars are missing before bar 308 of the second symbol: ten existing ones reach further back.
    assert first_bar_needed(term("sma", length=10), bank, 308) == 294


def test_memory_of_large_results_is_used_again_only_once_nobody_reads_it():
    bars = random_walk(1, LARGE_BYTES // 8, seed=5)
    bank = Bank(bars, workers=1)
    values = [term("sma", length=n) for n in (3, 4)]
    wanted = Bank(bars, workers=1).evaluate(values[0]).tobytes()
    first = bank.evaluate(values[0])
    part, place = first[:, 5:], first.ctypes.data
    bank.release([bank.graph(values[0], {})])
    del first
    kept = bank.evaluate(values[1])
    assert kept.ctypes.data != place and part.tobytes() == wanted[40:]  # the caller still reads a part of it
    del part
    assert bank.evaluate(values[0]).ctypes.data == place


def test_what_a_value_is_made_of_is_told_with_its_bytes(whole):
    bank = Bank(whole, workers=1)
    close, nbytes = Series("close"), whole.close.nbytes
    value = op("-", term("sma", term("rsi", length=7), length=3), Series("atr", (), (5.0,), timeframe="4h"))
    found: dict = {}
    bank.evaluate(value)
    assert bank.graph(close, found) is None and bank.graph(Number(1.0), found) is None and not found
    assert bank.graph(value, found) == (id(bank), value)
    assert set(found) == set(bank._store._entries)  # what it remembers
    seen: set = set()
    for node, (parts, size) in found.items():
        assert seen.issuperset(parts)
        assert size == sum(array.nbytes for array in bank._store.get(node))
        seen.add(node)
    parts, size = found[id(bank), value]
    assert len(parts) == 2 and size == nbytes


def test_a_bank_and_what_it_remembers_go_with_the_last_who_holds_it(whole):
    """Also with banks for other timeframes and symbols: a garbage collector that has little to count would keep gigabytes."""
    values = [term("sma", length=9), Series("atr", (), (5.0,), timeframe="4h"), Series("close", symbol=whole.symbols[1]), term("beta")]
    values += [Series("cross_rank", (), (), symbol=whole.symbols[1], timeframe="4h")]
    Bank(whole, workers=1).evaluate_many(values)  # what is compiled or loaded the first time may hold on to frames
    gc.collect()
    gc.disable()
    try:
        bank = Bank(whole, workers=1)
        bank.evaluate_many(values)
        assert bank._timeframes and bank._symbols and bank._timeframes["4h"]._symbols
        left = [ref(bank), ref(bank._store), *map(ref, bank._timeframes.values()), *map(ref, bank._symbols.values())]
        del bank
        assert [one() for one in left] == [None] * len(left)
    finally:
        gc.enable()
