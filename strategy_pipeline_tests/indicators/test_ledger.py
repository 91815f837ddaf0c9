"""No entry without a reference: every output is compared, somewhere in these modules, with values that come from elsewhere.

A table row (entry, output, ...) is read as it stands; a test counts for the entries and outputs that it names.
"""

from __future__ import annotations

import ast
import inspect
from types import ModuleType

import pytest

from strategy_pipeline.indicators import names, spec
from strategy_pipeline_tests.indicators import (
    test_candles,
    test_composites,
    test_definitions,
    test_named,
    test_profiles,
    test_recursions,
    test_references,
)

MODULES = (test_candles, test_composites, test_definitions, test_named, test_profiles, test_recursions, test_references)
# Entries a test names by parts (f"correlation_{market}"), and the outputs that a loop over a dict of wanted values covers.
BY_PARTS = {f"correlation_{market}": "test_correlation_with_a_market_is_that_of_the_bars_where_it_moved"
            for market in ("sp500", "nasdaq", "dxy", "vix")}  # fmt: skip
BY_PARTS |= {"anchored_vwap_bands": "test_anchored_vwap_starts_at_the_extreme_of_the_window"}
# What no reference covers yet: this list only shrinks.
WITHOUT: set[tuple[str, str]] = set()


def words(function: object) -> set[str]:
    """The string constants of a test."""
    tree = ast.parse(inspect.getsource(function))
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def covered_by(module: ModuleType) -> set[tuple[str, str]]:
    """(entry, output) that the module's tables and tests compare."""
    found: set[tuple[str, str]] = set()
    for row in getattr(module, "DEFINITIONS", []):
        found.add((row[0], row[1] or "value"))
    found |= {(row[0], "value") for row in getattr(module, "CUMULATIVE", [])}
    found |= {(f"cdl{pattern}", "value") for pattern in getattr(module, "PATTERNS", {})}
    tests = {name: function for name, function in vars(module).items() if name.startswith("test_")}
    for entry, test in BY_PARTS.items():
        if test in tests:
            found |= {(entry, output.name) for output in spec(entry).outputs}
    for function in tests.values():
        if inspect.isfunction(function):
            said = words(function)
            for entry in said & set(names()):
                found |= {(entry, output.name) for output in spec(entry).outputs if output.name == "value" or output.name in said}
    return found


def test_every_output_of_every_entry_has_a_reference():
    covered = set().union(*(covered_by(module) for module in MODULES))
    missing = {(name, output.name) for name in names() for output in spec(name).outputs} - covered
    assert missing == WITHOUT, "an entry came without a reference, or one of the list has got its own: write it, or shorten the list"


def test_the_rows_of_the_tables_are_entries_and_outputs():
    for module in MODULES:
        for row in getattr(module, "DEFINITIONS", []):
            spec(row[0]).output(row[1] or "value")
    for test in BY_PARTS.values():
        assert any(hasattr(module, test) for module in MODULES), test


def test_an_entry_without_a_reference_is_seen():
    from strategy_pipeline.indicators import Output, indicator
    from strategy_pipeline.indicators.registry import unregister

    @indicator("unheard_of", family="price", inputs=("close",), outputs=(Output("value", "price"),), warmup=1, source="a test")
    def unheard(close):
        """Close."""
        return close

    try:
        with pytest.raises(AssertionError, match="unheard_of|reference"):
            test_every_output_of_every_entry_has_a_reference()
    finally:
        unregister("unheard_of")
