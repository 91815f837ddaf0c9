"""Small null and power audits: luck is not promoted, a planted edge is, and a stopped run goes on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from strategy_pipeline.audit import (
    Journal,
    JournalError,
    PromotionAudit,
    audit_promotions,
    forecast_like,
    leftovers,
    null_world,
    planted_world,
)
from strategy_pipeline.audit.worlds import KINDS, draw_rule, tilted
from strategy_pipeline.backtest import backtest
from strategy_pipeline.errors import SettingsError, StrategyError
from strategy_pipeline.market import Bars
from strategy_pipeline.rng import generator
from strategy_pipeline.selection import sharpe_ratio


def walk(days: int = 420, n_symbols: int = 3, seed: int = 0, momentum: float = 0.0) -> Bars:
    rng = generator(seed, "promotions")
    n = days * 24
    volatility = 0.004 * np.exp(0.5 * np.sin(np.arange(n) / 400))
    moves = volatility * (0.7 * rng.standard_normal(n) + 0.7 * rng.standard_normal((n_symbols, n)))
    for t in range(1, n if momentum else 0):
        moves[:, t] += momentum * moves[:, t - 1] + 6e-4
    close = 100 * np.exp(np.cumsum(moves, axis=1))
    open_ = np.concatenate([close[:, :1], close[:, :-1]], axis=1)
    high, low = np.maximum(open_, close) * 1.001, np.minimum(open_, close) * 0.999
    times = np.datetime64("2022-01-01", "ns") + np.arange(n) * np.timedelta64(1, "h")
    return Bars(("BTC/USDT", "ETH/USDT", "SOL/USDT")[:n_symbols], "1h", times, open_, high, low, close, rng.lognormal(8, 1, close.shape))


@pytest.fixture(scope="module")
def bars() -> Bars:
    return walk()


def test_nothing_is_left_in_null_worlds_of_a_market_full_of_it() -> None:
    """The given market drifts and trends; over twenty null worlds of it no p-value says either."""
    given = walk(200, 2, momentum=0.2)
    before = leftovers(given).set_index("symbol")
    assert (before["drift_t"] > 3).all() and (before["serial_p"] < 1e-6).all()
    after = [leftovers(null_world(given, seed=1, market=k).bars).set_index("symbol").loc["all"] for k in range(20)]
    drift, serial = np.array([row["drift_t"] for row in after]), np.array([row["serial_p"] for row in after])
    assert stats.chi2.sf((drift**2).sum(), 20) > 0.01 and abs(drift.mean()) < 3 / np.sqrt(20)
    assert stats.kstest(serial, "uniform").pvalue > 0.01


def test_the_dependence_statistic_sees_through_changing_volatility() -> None:
    """Uncorrelated returns whose volatility swings tenfold are called dependent as seldom as the level says."""
    rng, rejected = np.random.default_rng(5), 0
    for _ in range(100):
        n = 1500
        moves = 0.002 * np.exp(1.1 * np.sin(np.arange(n) / 40)) * rng.standard_normal((1, n))
        close = 100 * np.cumprod(1 + moves, axis=1)
        times = np.datetime64("2022-01-01", "ns") + np.arange(n) * np.timedelta64(1, "h")
        one = Bars(("BTC/USDT",), "1h", times, close, close, close, close, np.ones((1, n)))
        rejected += leftovers(one, lags=12)["serial_p"].iloc[0] < 0.10
    assert stats.binomtest(rejected, 100, 0.10).pvalue > 0.01


def test_too_short_a_history_says_nothing() -> None:
    assert leftovers(walk(5, 1))[["drift_t", "serial_p"]].isna().all().all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_planted_rule_earns_what_was_asked(bars: Bars, kind: str) -> None:
    world = planted_world(bars, 3.0, kind, seed=4, market=0)
    assert world.planted is not None
    result = backtest([world.planted], world.bars, series=world.series, workers=1)
    assert float(sharpe_ratio(result.daily_returns[0], 365.0)[0]) == pytest.approx(3.0, abs=0.05)
    assert world.sharpe == pytest.approx(3.0, abs=0.05)
    base = null_world(bars, seed=4, market=0).bars
    moved = np.diff(np.log(world.bars.close), axis=1) - np.diff(np.log(base.close), axis=1)
    typical = np.median(np.abs(np.diff(np.log(base.close), axis=1)))
    assert np.abs(moved).max() > 0 and np.median(np.abs(moved)) < 0.3 * typical  # an edge, not a market of its own
    assert (world.bars.high >= np.maximum(world.bars.open, world.bars.close)).all()
    assert (world.bars.low <= np.minimum(world.bars.open, world.bars.close)).all()


def test_a_tilt_is_the_drift_it_says(bars: Bars) -> None:
    drift = np.full(bars.close.shape, 1e-4)
    after = tilted(bars, drift)
    np.testing.assert_allclose(np.diff(np.log(after.close)) - np.diff(np.log(bars.close)), 1e-4, atol=1e-12)
    np.testing.assert_allclose(np.log(after.open / bars.open)[:, 5], 5e-4, rtol=1e-9)


def test_rules_are_drawn_anew_and_forecasts_know_no_prices(bars: Bars) -> None:
    texts = {draw_rule(kind, "1h", generator(k, "rule")).text for kind in KINDS for k in range(10)}
    assert len(texts) >= 38
    series = forecast_like(bars, generator(1, "forecast"))
    ahead = np.diff(np.log(bars.close), axis=1)
    assert abs(np.corrcoef(series[0, :-1], ahead[0])[0, 1]) < 0.05
    assert np.nanstd(series) == pytest.approx(0.005, rel=0.2)
    with pytest.raises(StrategyError, match="was 'luck'"):
        planted_world(bars, 3.0, "luck", seed=1, market=0)


def test_a_small_null_audit_promotes_nothing(bars: Bars) -> None:
    audit = audit_promotions(bars, what="null", markets=4, strategies=60, seed=11, methods=["systematic"], workers=2)
    row = audit.table.iloc[0]
    assert (row["markets"], row["promoted"], row["low"]) == (4, 0, 0.0)
    assert row["high"] == pytest.approx(stats.binomtest(0, 4).proportion_ci(0.95, "exact").high)
    assert "0 of 4 null markets promoted anything" in audit.summary and audit.leftover["drift"] > 1e-3
    assert all(record["trials"] == 60 and record["looked_at"] <= 5 for record in audit.records)


def test_a_small_power_audit_finds_large_edges_and_says_which(bars: Bars) -> None:
    audit = audit_promotions(bars, what="power", markets=4, strategies=150, seed=12, strengths=[9.0], methods=["systematic"], workers=2)
    assert audit.table.iloc[0]["found"] >= 2
    assert set(audit.kinds["kind"]) == set(KINDS)
    found = next(record for record in audit.records if record["found"])
    assert max(item["correlation"] for item in found["promoted"]) > 0.5
    assert json.loads(json.dumps(audit.to_json(), allow_nan=False))["table"][0]["strength"] == 9.0


def test_a_stopped_audit_goes_on_and_is_the_same(bars: Bars, tmp_path: Path) -> None:
    options = {"what": "null", "strategies": 20, "seed": 3, "methods": ["systematic"], "monte_carlo": 0}
    path = tmp_path / "null.jsonl"
    audit_promotions(bars, markets=1, journal=path, workers=1, **options)
    first = path.read_text().splitlines()
    calls: list[tuple[int, int]] = []
    gone_on = audit_promotions(bars, markets=3, journal=path, workers=1, observer=lambda *done: calls.append(done), **options)
    assert gone_on == audit_promotions(bars, markets=3, workers=2, **options)
    assert path.read_text().splitlines()[:2] == first and calls[-1] == (3, 3)
    with pytest.raises(JournalError, match="another seed \\(3, here 4\\)"):
        audit_promotions(bars, markets=1, journal=path, **{**options, "seed": 4})
    assert path.read_text().splitlines()[:2] == first


def test_a_damaged_journal_is_named_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "work.jsonl"
    Journal(path, {"run": 1}).put("a", {"value": 2})
    whole = path.read_bytes()
    for damage in (b"{torn", b"[1]\n", b'{"no": "key"}\n', b"\xff\xfe\n"):
        path.write_bytes(whole + damage)
        with pytest.raises(JournalError, match="in line 3"):
            Journal(path, {"run": 1})
        assert path.read_bytes() == whole + damage
    path.write_bytes(whole.replace(b'"journal": 1', b'"journal": 9'))
    with pytest.raises(JournalError, match="another journal \\(9, here 1\\)"):
        Journal(path, {"run": 1})
    with pytest.raises(ValueError, match="JSON"):
        Journal(None, {}).put("b", {"value": float("nan")})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"what": "luck"}, "null or power"), ({"markets": 0}, "at least 1 market"), ({"strategies": -5}, "at least 1 market"),
     ({"what": "power", "strengths": []}, "Sharpe ratios from 0"), ({"what": "power", "strengths": [-1]}, "Sharpe ratios from 0")],
)  # fmt: skip
def test_what_cannot_be_audited_is_refused(bars: Bars, wrong: dict, message: str) -> None:
    options = {"what": "null", "markets": 1, "strategies": 10, "seed": 0} | wrong
    with pytest.raises(SettingsError, match=message):
        audit_promotions(bars, **options)


def record(market: int, *correlations: float | None, strength: float = 3.0) -> dict:
    promoted = [{"id": str(k), "correlation": value} for k, value in enumerate(correlations)]
    found = any(value is not None and value > 0.5 for value in correlations)
    left = {"drift_t": 0.1, "serial_p": 0.5}
    return {"market": market, "strength": strength, "kind": "momentum", "promoted": promoted, "found": found, **left}


def test_where_costs_eat_the_edge_every_promotion_counts() -> None:
    audit = PromotionAudit((record(0, 0.9, strength=0.0), record(1, 0.2, strength=0.0), record(2, strength=0.0), record(3, 0.2)), "power")
    eaten, planted = audit.table.to_dict("records")
    assert (eaten["strength"], eaten["promoted"], eaten["found"], eaten["rate"]) == (0.0, 2, 1, 2 / 3)
    assert (planted["strength"], planted["rate"]) == (3.0, 0.0)
    assert audit.summary.startswith("2 of 3 markets whose edge costs eat promoted anything (66.7%")


def test_an_edge_beside_the_planted_one_is_counted_apart() -> None:
    row = PromotionAudit((record(0, 0.9), record(1, 0.2), record(2), record(3, 0.8, None)), "power").table.iloc[0]
    assert (row["markets"], row["promoted"], row["found"], row["beside"]) == (4, 3, 2, 2)
