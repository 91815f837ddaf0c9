"""What a strategy needs of named series, in its own words and through the indicators it names."""

from __future__ import annotations

import pytest

from strategy_pipeline.errors import StrategyError
from strategy_pipeline.strategies import parse, problems, validate

WORLD = parse(
    "macro on BTC/USDT 1h\nenter long when correlation_vix(720, 24) < -0.2 and ema(close, 12) > ema(close, 48)\n"
    "exit when book_imbalance() < 0\nsize all_in"
)
SUPPLIED = ("macro.vix", "book.bid_qty", "book.ask_qty")


def test_an_indicator_whose_named_series_is_absent_is_told_with_the_strategy() -> None:
    found = problems(WORLD, ("macro.vix", "forecast.return_24h"))
    assert len(found) == 1
    assert found[0].startswith("Expected book.bid_qty and book.ask_qty among the named series, which book_imbalance reads, was absent")
    assert "there are forecast.return_24h, macro.vix" in found[0]
    with pytest.raises(StrategyError, match=rf"macro.vix .*correlation_vix\(720, 24\).*no named series.*\(strategy {WORLD.id}, macro\)"):
        validate(WORLD, ())


def test_what_is_supplied_or_not_to_be_checked_is_no_problem() -> None:
    assert problems(WORLD, SUPPLIED) == [] == problems(WORLD, None)
    validate(WORLD, SUPPLIED)


def test_named_series_inside_other_values_and_sizes_are_found() -> None:
    nested = parse(
        "macro on BTC/USDT 1h\nenter long when ema(correlation_dxy(720, 24), 10) > 0\nexit when close < sma(close, 20)\nsize all_in"
    )
    assert "macro.dxy" in problems(nested, SUPPLIED)[0]
    assert problems(nested, ("macro.dxy",)) == []
    direct = parse("ml on BTC/USDT 1h\nenter long when forecast.return_24h > 0\nexit when forecast.return_24h < 0\nsize all_in")
    assert "was 'forecast.return_24h'" in problems(direct, SUPPLIED)[0]
