"""A bank that is kept changes no number, whatever it remembers or forgets."""

from __future__ import annotations

import numpy as np
import pytest

from strategy_pipeline.backtest import backtest
from strategy_pipeline.backtest.kept import KeptBank
from strategy_pipeline.generation import generate
from strategy_pipeline.strategies import Strategy, parse
from strategy_pipeline_tests.generation.markets import market, named_series

BARS = market(700, seed=5)
SERIES = {name: values for name, values in named_series(BARS).items() if name.startswith(("forecast", "regime"))}


@pytest.fixture(scope="module")
def populations() -> list[list[Strategy]]:
    return [generate(60, BARS, seed=seed, series=SERIES) for seed in (1, 2)]


@pytest.mark.parametrize(("max_bytes", "row_bytes"), [(64 << 20, 16 << 20), (200_000, 4_000)])
def test_populations_on_a_kept_bank_have_the_numbers_of_banks_of_their_own(
    populations: list[list[Strategy]], max_bytes: int, row_bytes: int
) -> None:
    bank = KeptBank(BARS, series=SERIES, workers=1, max_bytes=max_bytes, row_bytes=row_bytes)
    first, second = populations
    for population in (first, second, [*first[:30], *second[20:]], first):
        own = backtest(population, BARS, series=SERIES, workers=1)
        kept = backtest(population, BARS, series=SERIES, workers=1, bank=bank)
        assert kept.strategy_ids == own.strategy_ids
        np.testing.assert_array_equal(kept.daily_returns, own.daily_returns)
        np.testing.assert_array_equal(kept.metrics.to_numpy(), own.metrics.to_numpy())


def test_what_was_run_before_is_not_computed_again(populations: list[list[Strategy]]) -> None:
    bank = KeptBank(BARS, series=SERIES, workers=1)
    backtest(populations[0], BARS, series=SERIES, workers=1, bank=bank)
    computed = bank.computed
    assert computed > 50
    backtest(populations[0][::-1], BARS, series=SERIES, workers=1, bank=bank)
    assert bank.computed == computed


def test_a_comparison_that_failed_fails_again(populations: list[list[Strategy]]) -> None:
    bank = KeptBank(BARS, workers=1)
    missing = parse("ml on * 1h\nenter long when forecast.return_24h > 0\nhold at most 12 bars")
    for _ in range(2):
        result = backtest([missing, populations[0][0]], BARS, workers=1, bank=bank)
        assert list(result.failures) == [missing.id] and "forecast.return_24h" in result.failures[missing.id]


def test_what_is_kept_stays_within_its_limits(populations: list[list[Strategy]]) -> None:
    bank = KeptBank(BARS, series=SERIES, workers=1, max_bytes=200_000, row_bytes=4_000)
    for population in populations:
        backtest(population, BARS, series=SERIES, workers=1, bank=bank)
    rows = bank._rows.values()
    assert 0 < sum(row.nbytes for row in rows) == bank._row_size <= 4_000
    assert all(row.base is None for row in rows)  # a row that were part of a run's would hold all of that run's
    assert bank._store.size <= 200_000
