"""Everything the language page shows is true."""

from __future__ import annotations

import re

import numpy as np
import pytest

from strategy_pipeline.errors import StrategyError
from strategy_pipeline.strategies import condition_text, parse, parse_condition, parse_value, problems, truth
from strategy_pipeline_tests.conftest import REPOSITORY
from strategy_pipeline_tests.strategies.population import ArrayBank

PAGE = (REPOSITORY / "docs" / "language.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def lines(kind: str) -> list[str]:
    return [line for block in blocks(kind) for line in block.splitlines() if line.strip()]


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table after a heading, header and rule left out; code marks stripped."""
    after = PAGE[PAGE.index(heading) :]
    table = re.search(r"(?:^\|.*\n)+", after, re.MULTILINE)
    assert table is not None
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.group().splitlines()[2:]]


@pytest.mark.parametrize("text", blocks("strategy"))
def test_every_strategy_shown_reads_back_and_is_valid(text: str) -> None:
    strategy = parse(text)
    assert parse(strategy.text) == strategy
    assert problems(strategy, {"forecast.return_24h"}) == []


@pytest.mark.parametrize("line", lines("condition"))
def test_every_condition_shown_is_one(line: str) -> None:
    condition = parse_condition(line)
    assert parse_condition(condition_text(condition)) == condition
    assert problems(parse(f"trend on * 1h\nenter long when {line}"), {"regime.turbulent"}) == []


@pytest.mark.parametrize("line", lines("value"))
def test_every_value_shown_is_one(line: str) -> None:
    parse_value(line)


@pytest.mark.parametrize("code", blocks("python"))
def test_the_python_shown_runs(code: str) -> None:
    exec(compile(code, "language.md", "exec"), {"__name__": "language"})


def test_every_statement_of_the_table_is_one() -> None:
    head, enter = "trend on * 1h\n", "enter long when close > open\nenter short when close < open\n"
    shown = [statement for cells in rows("## Statements") for statement in re.findall(r"`([^`]+)`", cells[0])]
    assert len(shown) >= 14
    for statement in shown:
        statement = statement.replace("<condition>", "rsi(14) > 50")
        if " on " in statement:
            parse(f"{statement}\n{enter}")
        elif statement.startswith("enter"):
            parse(head + statement)
        else:
            parse(head + enter + statement)


def test_the_table_of_three_values_is_the_truth() -> None:
    numbers = {"true": 1.0, "false": -1.0, "unknown": float("nan")}
    words = {1: "true", 0: "false", -1: "unknown"}
    for a, b, both, either, negated in rows("### Three values"):
        bank = ArrayBank({"open": np.array([[numbers[a]]]), "close": np.array([[numbers[b]]])})
        for text, expected in (("open > 0 and close > 0", both), ("open > 0 or close > 0", either), ("not open > 0", negated)):
            assert words[int(truth(parse_condition(text), bank)[0, 0])] == expected


def test_the_explanations_of_types_are_what_validate_says() -> None:
    for sentence, explanation in rows("## Types"):
        assert problems(parse(f"trend on * 1h\nenter long when {sentence.strip('`')}"), ()) == [explanation]


def test_the_canonical_forms_shown_are_the_canonical_forms() -> None:
    for written, stored in rows("## Canonical form"):
        assert condition_text(parse_condition(written.strip("`"))) == stored.strip("`")


def test_the_error_shown_is_the_error() -> None:
    with pytest.raises(StrategyError) as caught:
        parse("trend on * 1h\nenter long when close > rsi(close, lenght=21)")
    assert [str(caught.value)] == lines("text")
