"""Text and JSON: both read back what they wrote."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategy_pipeline.errors import StrategyError
from strategy_pipeline.strategies import Strategy, parse, parse_condition, parse_value, value_text
from strategy_pipeline.strategies.canonical import canonical_value
from strategy_pipeline.strategies.documents import canonical_json
from strategy_pipeline_tests.strategies.population import strategies, values


@given(strategies())
def test_text_reads_back(strategy: Strategy) -> None:
    assert parse(strategy.text) == strategy
    assert parse(strategy.text).id == strategy.id
    assert parse(strategy.text.replace("\n", "  # why\n\n ")) == strategy


@given(strategies())
def test_json_reads_back(strategy: Strategy) -> None:
    stored = json.loads(json.dumps(strategy.to_json()))
    assert Strategy.from_json(stored) == strategy
    assert Strategy.from_json(stored).id == strategy.id


@given(strategies())
def test_the_hashed_form_is_the_json_form_with_sorted_keys(strategy: Strategy) -> None:
    assert canonical_json(strategy) == json.dumps(strategy.to_json(), sort_keys=True, separators=(",", ":"))


@given(values)
def test_values_read_back(value) -> None:
    try:
        canonical = canonical_value(value)
    except StrategyError:
        return
    assert parse_value(value_text(canonical)) == canonical


def good() -> dict:
    text = (
        "momentum on BTC/USDT 1h\nenter long when ema(close, 12) > close and not crosses_above(close, open) or rsi(14) < 30\nstop 2 atr(14)"
    )
    return parse(text).to_json()


@pytest.mark.parametrize(
    ("where", "poison"),
    [
        ("family", {"family": 3}),
        ("symbols", {"symbols": "BTC/USDT"}),
        ("symbols[0]", {"symbols": [1]}),
        ("enter_long", {"enter_long": "close > open"}),
        ("enter_long", {"enter_long": {}}),
        ("enter_long", {"enter_long": {"op": ">", "left": 1}}),
        ("enter_long.op", {"enter_long": {"op": "=", "left": 1, "right": 2}}),
        ("enter_long.left", {"enter_long": {"op": ">", "left": {"op": "^", "operands": [1, 2]}, "right": 2}}),
        ("enter_long.left.params[0]", {"enter_long": {"op": ">", "left": {"series": "ema", "params": ["12"]}, "right": 2}}),
        ("enter_long.left", {"enter_long": {"op": ">", "left": {"series": "ema", "window": 3}, "right": 2}}),
        ("enter_long.and", {"enter_long": {"and": []}}),
        ("enter_long.and[0]", {"enter_long": {"and": [3]}}),
        ("enter_long.not", {"enter_long": {"not": None}}),
        ("stop", {"stop": 0.03}),
        ("stop", {"stop": {"kind": "percent"}}),
        ("stop", {"stop": {"kind": "percent", "value": -0.03}}),
        ("hold", {"hold": "96"}),
        ("hold", {"hold": float("nan")}),
        ("hold", {"hold": float("inf")}),
        ("size", {"size": {"kind": "half"}}),
        ("schema", {"schema": 99}),
        ("the top", {"unknown": 1}),
    ],
)
def test_a_poisoned_document_says_where(where: str, poison: dict) -> None:
    with pytest.raises(StrategyError) as caught:
        Strategy.from_json(good() | poison)
    assert where in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("document", [None, 3, [], "text", {}])
def test_what_is_no_document_is_refused(document) -> None:
    with pytest.raises(StrategyError, match="document"):
        Strategy.from_json(document)


def test_a_bottomless_document_is_refused() -> None:
    deep: object = {"op": ">", "left": 1, "right": {"series": "close"}}
    for _ in range(500):
        deep = {"not": deep}
    with pytest.raises(StrategyError, match="levels"):
        Strategy.from_json(good() | {"enter_long": deep})


keys = st.sampled_from(["op", "left", "right", "not", "and", "series", "params", "kind", "value"])
json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(["family", "symbols", "timeframe", "enter_long", "stop", "hold", "size", "schema"]), json_values)
def test_no_document_raises_anything_but_a_strategy_error(key: str, poison) -> None:
    try:
        strategy = Strategy.from_json(good() | {key: poison})
    except StrategyError:
        return
    assert Strategy.from_json(strategy.to_json()) == strategy


@given(st.text(alphabet="cloepnrsi(14)<>=,.@%/*+-|&#0 \nandhow_", max_size=40))
def test_no_text_raises_anything_but_a_strategy_error(text: str) -> None:
    for read in (parse, parse_condition, parse_value):
        try:
            read(text)
        except StrategyError as error:
            assert "\n" not in str(error)


def test_breakeven_and_cooldown_read_back_and_leave_other_ids_alone() -> None:
    plain = "trend on BTC/USDT 1h\nenter long when close > sma(close, 20)\n"
    both = parse(plain + "stop 3%, breakeven 1.5 atr(14), cooldown 12 bars\nsize all_in")
    assert parse(both.text) == both == Strategy.from_json(json.loads(json.dumps(both.to_json())))
    assert canonical_json(both) == json.dumps(both.to_json(), sort_keys=True, separators=(",", ":"))
    assert not {"breakeven", "cooldown"} & set(parse(plain + "size all_in").to_json())
    with pytest.raises(StrategyError, match="whole number of bars"):
        parse(plain + "cooldown 0 bars\nsize all_in")
