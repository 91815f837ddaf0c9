"""The page of features is what the sets are."""

from __future__ import annotations

from pathlib import Path

import pytest

from strategy_pipeline.features import FEATURE_SETS, feature_table
from strategy_pipeline.features.describe import markdown, text
from strategy_pipeline.indicators import Arithmetic, Number, Series, term

PAGE = Path(__file__).resolve().parents[2] / "docs" / "features.md"


def test_the_page_is_not_stale():
    assert PAGE.read_text() == markdown(), "run: python -m strategy_pipeline.features.describe > docs/features.md"


@pytest.mark.parametrize("name", FEATURE_SETS)
def test_every_column_has_a_source_and_a_look_back(name):
    table = feature_table(name)
    assert table["feature"].tolist() == [feature.name for feature in FEATURE_SETS[name].features("1h")]
    assert (table["lookback"] >= 1).all() and table["source"].str.len().gt(0).all() and table["definition"].str.len().gt(0).all()


def test_every_block_that_a_matrix_promises_has_columns():
    blocks = set(feature_table("full")["block"])
    wanted = {"returns", "higher_timeframes", "cross_asset", "volume_profile", "order_flow", "regime", "calendar", "macro", "fundamentals",
              "sentiment", "mood", "leverage"}  # fmt: skip
    assert wanted <= blocks


def test_sources_name_the_tables_that_are_read():
    table = feature_table("full").set_index("feature")["source"]
    assert table["log_vix"] == "macro: VIX_close, VIXCLS" and table["news_buzz"] == "news" and table["weekend"] == "calendar"
    assert table["book_spread"].startswith("book: bid") and table["hash_rate_growth_30d"] == "fundamentals: HashRate"
    assert table["rsi_14"] == "bars: close" and "taker_buy_volume" in table["taker_imbalance_24"]


def test_expressions_are_written_as_they_compute():
    value = Arithmetic("log", (Arithmetic("/", (Series("close"), term("ema", length=12))),))
    assert text(value) == "log(close / ema(close, length=12))"
    nested = Arithmetic("*", (Arithmetic("-", (Series("high"), Series("low"))), Number(0.5)))
    assert text(nested) == "(high - low) * 0.5"
    assert text(term("stoch", output="k", length=14)).endswith(".k")
