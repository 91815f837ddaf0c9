"""One symbol alone and pairs alone: their null markets hold nothing, and nothing is promoted on them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from strategy_pipeline.audit import audit_scope, leftovers, null_world, pair_strategies, pair_world
from strategy_pipeline.errors import SettingsError
from strategy_pipeline.generation import screen_pairs
from strategy_pipeline.market import Bars
from strategy_pipeline.selection import split_days
from strategy_pipeline_tests.audit.test_promotions import walk


@pytest.fixture(scope="module")
def bars() -> Bars:
    return walk(420, 3)


def training(bars: Bars) -> Bars:
    days = np.unique(np.asarray(bars.times).astype("datetime64[D]"))
    return bars.between(None, days[split_days(len(days))[0].stop])


def ratio_of(bars: Bars, one: int, other: int) -> Bars:
    """The price of one symbol in another, as a market of its own."""
    close = (bars.close[one] / bars.close[other])[None]
    return Bars(("RATIO",), bars.timeframe, bars.times, close, close, close, close, np.ones_like(close))


@pytest.mark.parametrize("kind", ["joint", "independent"])
def test_no_ratio_of_two_prices_of_a_pair_world_can_be_foreseen(kind: str) -> None:
    """Made from two prices that are tied together: the given ratio reverts, those of twenty null worlds do not."""
    given = walk(150, 2)
    rng = np.random.default_rng(1)
    close = given.close.copy()
    for t in range(1, given.n_bars):
        close[1, t] = close[0, t] * (close[1, t - 1] / close[0, t - 1]) ** 0.7 * np.exp(0.002 * rng.standard_normal())
    scale = close / given.close
    tied = given.with_fields(close=close, open=given.open * scale, high=given.high * scale, low=given.low * scale)
    assert leftovers(ratio_of(tied, 0, 1))["serial_p"].iloc[0] < 1e-6
    p_values = [leftovers(ratio_of(pair_world(tied, kind, seed=2, market=k).bars, 0, 1))["serial_p"].iloc[0] for k in range(20)]
    assert stats.kstest(p_values, "uniform").pvalue > 0.01


def test_signs_are_shared_or_each_symbols_own(bars: Bars) -> None:
    together, apart = (
        np.corrcoef(np.diff(np.log(pair_world(bars, kind, seed=3, market=0).bars.close), axis=1))[0, 1] for kind in ("joint", "independent")
    )
    assert together > 0.3 and abs(apart) < 0.05
    np.testing.assert_array_equal(pair_world(bars, "joint", seed=3, market=0).bars.close, null_world(bars, seed=3, market=0).bars.close)
    sizes = np.abs(np.diff(np.log(pair_world(bars, "independent", seed=3, market=0).bars.close), axis=1))
    assert np.corrcoef(sizes)[0, 1] > 0.1  # large moves still come together


def test_a_tied_world_looks_tied_in_training() -> None:
    bars = walk(120, 2)
    found = [screen_pairs(training(pair_world(bars, kind, seed=4, market=0).bars))["p_value"].min() for kind in ("tied", "independent")]
    assert found[0] < 0.2 and found[0] < found[1]


def test_pair_strategies_are_pairs_of_both_sorts(bars: Bars) -> None:
    made = pair_strategies(60, training(bars), seed=5)
    assert len({s.id for s in made}) == 60 and all(s.against is not None for s in made)
    assert len({(s.symbols[0], s.against) for s in made}) >= 2
    assert [s.id for s in pair_strategies(60, training(bars), seed=5)] == [s.id for s in made]


@pytest.mark.parametrize(
    ("scope", "kinds"), [("single", {"BTC/USDT", "ETH/USDT", "SOL/USDT"}), ("pairs", {"joint", "independent", "tied"})]
)
def test_a_small_size_study_promotes_hardly_anything(bars: Bars, scope: str, kinds: set[str], tmp_path) -> None:
    """At 2 % one of three is luck (6 %), two an error (0.1 %)."""
    options = {"scope": scope, "markets": 3, "strategies": 40, "seed": 6, "monte_carlo": 0}
    audit = audit_scope(bars, workers=1, journal=tmp_path / "scope.jsonl", **options)
    row = audit.table.iloc[0]
    assert row["markets"] == 3 and row["promoted"] <= 1 and {record["kind"] for record in audit.records} == kinds
    assert all(record["looked_at"] <= 5 and record["trials"] >= 30 for record in audit.records)
    assert audit_scope(bars, workers=2, **options) == audit == audit_scope(bars, workers=1, journal=tmp_path / "scope.jsonl", **options)


def test_what_is_no_scope_is_refused(bars: Bars) -> None:
    options = {"scope": "pairs", "markets": 1, "strategies": 10, "seed": 0}
    for wrong, message in (({"scope": "triples"}, "single or pairs"), ({"markets": 0}, "at least 1 market")):
        with pytest.raises(SettingsError, match=message):
            audit_scope(bars, **{**options, **wrong})
    with pytest.raises(SettingsError, match="at least two symbols"):
        audit_scope(bars.select(("BTC/USDT",)), **options)
    with pytest.raises(SettingsError, match="was 'twins'"):
        pair_world(bars, "twins", seed=0, market=0)
