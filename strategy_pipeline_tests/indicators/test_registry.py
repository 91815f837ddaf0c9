"""The catalog: what every entry declares, and what a wrong name or value meets."""

from __future__ import annotations

import numpy as np
import pytest

from strategy_pipeline.errors import MissingColumnError, UnknownIndicatorError
from strategy_pipeline.indicators import IndicatorParameterError, Output, catalog, compute, indicator, names, spec, term
from strategy_pipeline.indicators.registry import FIELDS, UNITS, length, unregister


def test_the_catalog_is_broad_and_every_entry_declares_itself():
    table = catalog()
    assert {"name", "family", "inputs", "params", "outputs", "warmup", "requires", "source"} <= set(table.columns)
    assert table["name"].is_unique and len(table) >= 220
    assert (table["family"] == "candles").sum() == 61
    for row in table.itertuples():
        assert len(row.source) > 3 and len(row.description) > 3, row.name
        assert row.warmup >= 1 and 0 <= row.lookback <= row.warmup, row.name
        for parameter in row.params.values():
            assert parameter["low"] <= parameter["default"] <= parameter["high"], row.name
        for output in row.outputs.values():
            assert output["unit"] in UNITS and output["low"] < output["high"], row.name
        assert set(row.requires) <= set(FIELDS)


def test_search_ranges_are_within_what_is_accepted():
    for name in names():
        entry = spec(name)
        for parameter in entry.params:
            assert parameter.accept(name, parameter.low) == parameter.low
            assert parameter.accept(name, parameter.high) == parameter.high


def test_unknown_names_are_answered_with_near_ones(whole):
    with pytest.raises(UnknownIndicatorError, match=r"'rsii'.*rsi"):
        spec("rsii")
    with pytest.raises(UnknownIndicatorError, match=r"'lenght'.*length"):
        compute("rsi", whole, lenght=14)
    with pytest.raises(UnknownIndicatorError, match=r"'signall'.*signal"):
        compute("macd", whole, output="signall")
    with pytest.raises(UnknownIndicatorError, match="price field"):
        compute("ema", whole, series="clsoe")


@pytest.mark.parametrize("value", [0, -3, 2.5, float("nan"), "14", True])
def test_a_length_that_makes_no_window_is_refused(whole, value):
    with pytest.raises(IndicatorParameterError, match="length"):
        compute("rsi", whole, length=value)


def test_an_absent_required_input_is_named(whole):
    without = whole.with_fields(taker_buy_volume=None)
    with pytest.raises(MissingColumnError, match="taker_buy_volume"):
        compute("taker_imbalance", without)
    assert spec("taker_imbalance").requires == ("taker_buy_volume",)


def test_several_outputs_come_as_a_dict_and_one_on_request(whole):
    bands = compute("bbands", whole, length=10)
    assert list(bands) == ["upper", "middle", "lower"]
    np.testing.assert_array_equal(bands["lower"], compute("bbands", whole, length=10, output="lower"))


def test_ones_own_indicator_takes_five_lines(gappy):
    @indicator("body_share", family="price", inputs=("open", "close", "high", "low"), params=(length(5),),
               outputs=(Output("value", "ratio", -1, 1),), warmup=lambda p: p["length"], source="a test")  # fmt: skip
    def body_share(open, close, high, low, *, length):
        """Mean of body over range."""
        return np.convolve((close - open) / (high - low), np.ones(length) / length)[: len(open)]

    try:
        values = compute("body_share", gappy, length=4)
        first = ((gappy.close - gappy.open) / (gappy.high - gappy.low))[0, :4].mean()
        assert np.isnan(values[0, :3]).all() and values[0, 3] == pytest.approx(first)
        assert np.isnan(values[1, 300:305]).all() and "body_share" in set(catalog()["name"])
        with pytest.raises(IndicatorParameterError, match="body_share"):
            indicator("body_share", family="price", inputs=("close",), outputs=(Output("value", "price"),), warmup=1, source="x")(len)
    finally:
        unregister("body_share")
    assert "body_share" not in names()


def test_a_function_that_returns_the_wrong_shape_is_told(whole):
    @indicator("half", family="price", inputs=("close",), outputs=(Output("value", "price"),), warmup=1, source="a test")
    def half(close):
        return close[::2]

    try:
        with pytest.raises(IndicatorParameterError, match="half"):
            compute("half", whole)
    finally:
        unregister("half")


def test_a_term_fills_in_defaults():
    built = term("macd", output="signal", slow=30)
    assert built.params == (12.0, 30.0, 9.0) and built.output == "signal" and built.inputs[0].name == "close"
    with pytest.raises(UnknownIndicatorError):
        term("macd", slo=30)


def declared(name: str, function=lambda close: close, **changed):
    given = {"family": "price", "inputs": ("close",), "outputs": (Output("value", "price"),), "warmup": 1, "source": "a test", **changed}
    return indicator(name, **given)(function)


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"inputs": ("clsoe",)}, "clsoe"), ({"outputs": (Output("value", "prices"),)}, "prices"), ({"outputs": ()}, "outputs"),
        ({"source": " "}, "source"), ({"warmup": lambda p: p["len"]}, "len"), ({"lookback": lambda p: p["lag"]}, "lag"),
    ],
)  # fmt: skip
def test_a_malformed_declaration_is_refused_and_leaves_nothing(changed, word):
    with pytest.raises(IndicatorParameterError, match=word):
        declared("malformed", **changed)
    assert "malformed" not in names()


def test_a_plain_list_is_taken_and_nothing_is_not(whole):
    declared("listed", lambda close: list(close * 2))
    declared("silent", lambda close: None)
    try:
        np.testing.assert_array_equal(compute("listed", whole), whole.close * 2)
        with pytest.raises(IndicatorParameterError, match="silent"):
            compute("silent", whole)
    finally:
        unregister("listed")
        unregister("silent")


def test_writing_into_an_input_harms_nobody(whole):
    def greedy(close):
        close[:] = 0.0
        return close

    declared("greedy", greedy)
    before = whole.close.copy()
    try:
        assert (compute("greedy", whole) == 0).all()
        np.testing.assert_array_equal(whole.close, before)
    finally:
        unregister("greedy")


def test_no_function_of_the_catalog_writes_to_what_it_is_given():
    """They are lent the bank's own arrays."""
    generator = np.random.default_rng(3)
    close = 100.0 * np.exp(np.cumsum(generator.normal(0.0, 0.01, 800)))
    prices = {"open": close * 1.001, "high": close * 1.01, "low": close * 0.99, "close": close, "series": close}
    for name in names():
        entry = spec(name)
        shape = (3, 800) if entry.scope == "universe" else (800,)
        given = [np.array(np.broadcast_to(prices.get(field, np.arange(800) * 3600.0), shape)) for field in entry.inputs]
        before = [array.tobytes() for array in given]
        parameters = {**entry.values(()), **({"bars_per_year": 8766.0} if entry.annualised else {})}
        with np.errstate(all="ignore"):
            result = entry.function(*given, **parameters)
        assert [array.tobytes() for array in given] == before, name
        for array in result if isinstance(result, tuple) else (result,):
            assert not any(np.shares_memory(array, one) for one in given), name
        assert entry.borrows
