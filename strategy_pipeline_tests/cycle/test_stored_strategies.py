"""A damaged document in the store is named; nothing is read from it and nothing is lost."""

from __future__ import annotations

from typing import Any

import pytest

from strategy_pipeline.cycle.strategies import stored_strategy
from strategy_pipeline.errors import StrategyError
from strategy_pipeline.strategies import parse

RULES = parse("trend on * 1h\nenter long when close > ema(close, 9)\nexit when close < ema(close, 9)")


def document(**changes: Any) -> dict[str, Any]:
    return {"id": RULES.id, "family": RULES.family, "json": RULES.to_json()} | changes


def test_a_whole_document_is_its_strategy() -> None:
    assert stored_strategy(document()) == RULES


@pytest.mark.parametrize(
    "poison", [None, "text", [], {}, {**RULES.to_json(), "family": "luck"}, {**RULES.to_json(), "enter_long": {"op": ">"}}]
)
def test_a_poisoned_document_is_named(poison: Any) -> None:
    with pytest.raises(StrategyError, match=f"rules of strategy {RULES.id} in the store, was damaged .*nothing was changed"):
        stored_strategy(document(json=poison))
    with pytest.raises(StrategyError, match=RULES.id):
        stored_strategy({"id": RULES.id})


def test_rules_of_another_strategy_under_an_id_are_refused() -> None:
    other = parse("trend on * 1h\nenter long when close > ema(close, 10)\nexit when close < ema(close, 10)")
    with pytest.raises(StrategyError, match=f"was those of {other.id}"):
        stored_strategy(document(json=other.to_json()))
