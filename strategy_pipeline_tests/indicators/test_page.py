"""The page of the catalog is the catalog, and its example works as written."""

from __future__ import annotations

import importlib.util
import re
from types import ModuleType

import numpy as np
import pytest

from strategy_pipeline.indicators import compute, names
from strategy_pipeline.indicators.registry import unregister
from strategy_pipeline_tests.conftest import REPOSITORY


@pytest.fixture(scope="module")
def page() -> ModuleType:
    """docs/indicators.py as a module."""
    path = REPOSITORY / "docs" / "indicators.py"
    if not path.exists():
        pytest.skip(f"no {path}: the library is tested without its documentation")
    found = importlib.util.spec_from_file_location("indicators_page", path)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_the_page_is_what_the_catalog_says(page):
    assert page.PAGE.read_text(encoding="utf-8") == page.render(), "docs/indicators.md is stale: run python docs/indicators.py"


def test_every_entry_is_on_the_page_once(page):
    rows = re.findall(r"^\| `(\w+)` \|", page.PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert sorted(rows) == list(names())


def test_the_page_would_be_stale_after_a_change(page):
    from strategy_pipeline.indicators import Output, indicator

    @indicator("newcomer", family="price", inputs=("close",), outputs=(Output("value", "price"),), warmup=1, source="a test")
    def newcomer(close):
        """Close."""
        return close

    try:
        assert page.PAGE.read_text(encoding="utf-8") != page.render()
    finally:
        unregister("newcomer")


def test_the_pages_own_indicator_works_as_written(page, gappy):
    code = next(block for block in re.findall(r"```python\n(.*?)```", page.HEAD, flags=re.DOTALL) if "@indicator" in block)
    try:
        exec(code, {"np": np})
        values = compute("body_share", gappy, length=4)
    finally:
        unregister("body_share")
    share = ((gappy.close - gappy.open) / (gappy.high - gappy.low))[0]
    assert np.isnan(values[0, :3]).all()
    np.testing.assert_allclose(values[0, 3:], np.convolve(share, np.ones(4) / 4, mode="valid"), rtol=1e-12)
