"""Which strategies a search need not look at again: those tested before, and what moves with them."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from strategy_pipeline.book import Book, BookRules
from strategy_pipeline.book.likeness import correlations
from strategy_pipeline_tests.book.test_book import START, Look, paper


@given(st.integers(0, 10_000), st.floats(0.0, 0.6), st.floats(1e-6, 1e3))
def test_correlations_are_those_of_the_days_in_common(seed: int, missing: float, scale: float) -> None:
    rng = np.random.default_rng(seed)
    one, other = scale * rng.standard_normal((40, 3)) + 5 * scale, rng.standard_normal((40, 2))
    one[:, 1] += 2 * scale * other[:, 0]
    for matrix in (one, other):
        matrix[rng.random(matrix.shape) < missing] = np.nan
    found = correlations(one, other, least=5)
    for i in range(3):
        for j in range(2):
            both = ~np.isnan(one[:, i]) & ~np.isnan(other[:, j])
            if both.sum() < 5:
                assert np.isnan(found[i, j])
            else:
                np.testing.assert_allclose(found[i, j], np.corrcoef(one[both, i], other[both, j])[0, 1], atol=1e-9)


def test_what_does_not_vary_on_the_common_days_has_no_correlation() -> None:
    values = np.random.default_rng(0).standard_normal((30, 1))
    still = np.full((30, 3), np.nan)
    still[:, 0], still[:10, 1], still[10:, 1] = 0.1, values[:10, 0], 0.1
    values[:10] = np.nan
    assert np.isnan(correlations(values, still)).all()


def test_the_tested_and_their_copies_are_barred_and_the_watched_are_not() -> None:
    returns = paper(200, seed=3, a=6.0, c=6.0, new=2.0, w=1.0)
    returns["copy"] = returns["a"] * 1.01
    returns["like_watched"] = returns["w"]
    book, _ = Book().advance(START, evidence=[Look("a"), Look("w", "watchlist"), Look("gone")])
    rules = BookRules(incubation_days=1)
    book, _ = book.advance(START + dt.timedelta(days=1), rules=rules)
    book, _ = book.advance(START + dt.timedelta(days=2), rules=rules)
    assert book.entries["a"].state == book.entries["gone"].state == "retired"
    said = book.barred(returns)
    assert list(said) == ["a", "copy"] and said["a"] == "retired since 2025-01-03"
    assert said["copy"] == "correlation 1.00 > 0.8 with retired a"
    assert list(book.barred(returns.drop(columns="a"))) == []
    assert list(book.barred(returns, rules=BookRules(max_correlation=0.9999))) == ["a", "copy"]
    assert Book().barred(returns) == {} and book.barred(pd.DataFrame()) == {}


def test_too_few_days_in_common_bar_nobody() -> None:
    returns = paper(60, seed=3, a=6.0)
    returns["copy"] = returns["a"]
    returns.iloc[15:, 1] = np.nan
    book, _ = Book().advance(START, evidence=[Look("a")])
    assert list(book.barred(returns)) == ["a"]
