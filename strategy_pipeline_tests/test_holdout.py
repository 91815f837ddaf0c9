"""The hold-out table of docs/evidence.md is made of bars that no search saw; a small run of benchmarks/holdout.py."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from strategy_pipeline.backtest import Costs, backtest
from strategy_pipeline.errors import NoDataError
from strategy_pipeline.market import Bars
from strategy_pipeline.rng import generator
from strategy_pipeline.selection import Gate
from strategy_pipeline.strategies import parse

CHOSEN = ("genetic", "systematic")


@pytest.fixture(scope="module")
def holdout() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).resolve().parents[1] / "benchmarks"))
        import holdout

        return holdout


@pytest.fixture(scope="module")
def bars() -> Bars:
    """Two years of two symbols by four hours, each move leaning on those of the day before."""
    rng, n = generator(0, "holdout"), 2 * 365 * 6
    moves = 0.01 * rng.standard_normal((2, n))
    for t in range(6, n):
        moves[:, t] += 0.3 * moves[:, t - 6 : t].mean(axis=1)
    close = 100 * np.exp(np.cumsum(moves, axis=1))
    open_ = np.concatenate([close[:, :1], close[:, :-1]], axis=1)
    times = np.datetime64("2022-01-01", "ns") + np.arange(n) * np.timedelta64(4, "h")
    volume = rng.lognormal(8, 1, close.shape)
    return Bars(
        ("AAA/USDT", "BBB/USDT"), "4h", times, open_, np.maximum(open_, close) * 1.002, np.minimum(open_, close) * 0.998, close, volume
    )


@pytest.fixture(scope="module")
def found(holdout: Any, bars: Bars) -> dict[str, Any]:
    return holdout.search(holdout.held_back(bars, 6)[0], 40, 5, CHOSEN, None, Gate(resamples=100))


def after_the_cut_upside_down(bars: Bars, cut: pd.Timestamp) -> Bars:
    later = bars.times >= np.datetime64(cut)
    return bars.with_fields(
        **{name: np.where(later, 1e4 / bars.field(other), bars.field(name))
           for name, other in {"open": "open", "high": "low", "low": "high", "close": "close"}.items()}
    )  # fmt: skip


def test_no_bar_of_the_past_closes_after_the_cut(holdout: Any, bars: Bars) -> None:
    past, through, cut = holdout.held_back(bars, 6)
    assert cut == pd.Timestamp("2023-07-01") and past.available_at[-1] == np.datetime64(cut) and through.n_bars == bars.n_bars
    past, through, cut = holdout.held_back(bars, 6, before=6)
    assert cut == pd.Timestamp("2023-01-01") and through.available_at[-1] == np.datetime64("2023-07-01")
    with pytest.raises(NoDataError, match="nothing is left to search on"):
        holdout.held_back(bars, 36)


def test_other_bars_in_the_months_held_back_change_no_candidate_and_no_verdict(holdout: Any, bars: Bars, found: dict[str, Any]) -> None:
    _, through, cut = holdout.held_back(bars, 6)
    other = after_the_cut_upside_down(bars, cut)
    again = holdout.search(holdout.held_back(other, 6)[0], 40, 5, CHOSEN, None, Gate(resamples=100))
    assert again == found and len(found["candidates"]) == 40 <= found["trials"]
    earned = [holdout.afterwards(found, months, cut, None)["rows"][-1]["sharpe"] for months in (through, other)]
    assert earned[0] != earned[1]


def test_a_naive_pick_is_the_best_of_the_past_and_earns_what_a_plain_backtest_says(holdout: Any, bars: Bars, found: dict[str, Any]) -> None:
    past, through, cut = holdout.held_back(bars, 6)
    members = [parse(text) for text in found["candidates"].values()]
    before = backtest(members, past, workers=1)
    ranked = found["picks"]["top 20 by in-sample Sharpe"]
    assert ranked == before.pooled["sharpe"].sort_values(ascending=False).index[:20].tolist()
    whole = before.daily_returns[[before.strategy_ids.index(sid) for sid in ranked]].mean(axis=0)
    assert found["before"]["top 20 by in-sample Sharpe"] == pytest.approx(whole.mean() / whole.std(ddof=1) * np.sqrt(365), rel=1e-9)
    rows = {row["pick"]: row for row in holdout.afterwards(found, through, cut, None)["rows"]}
    own = backtest([parse(found["candidates"][ranked[0]])], through, start=cut, workers=1)
    for name in ("sharpe", "total_return", "max_drawdown", "trades", "exposure"):
        assert rows["top 1 by in-sample Sharpe"][name] == pytest.approx(own.pooled[name].iloc[0], rel=1e-9)
    assert [rows[f"top {n} by in-sample Sharpe"]["strategies"] for n in (1, 5, 20)] == [1, 5, 20]
    assert rows["all candidates"]["strategies"] == 40
    assert rows["promoted by the gate"]["strategies"] == len(found["picks"]["promoted by the gate"])


def test_holding_pays_its_purchase_and_nothing_else(holdout: Any, bars: Bars) -> None:
    _, through, cut = holdout.held_back(bars, 6)
    rows = {row["pick"]: row for row in holdout.bought_and_held(through, cut, Costs(fee_bps=100, slippage_bps=0))}
    first = int(np.searchsorted(bars.times, np.datetime64(cut))) + 1
    growth = bars.close[:, -1] / bars.open[:, first] / 1.01
    assert rows["hold AAA/USDT"]["total_return"] == pytest.approx(growth[0] - 1, rel=1e-6)
    assert rows["hold equal parts of all"]["total_return"] == pytest.approx(growth.mean() - 1, rel=1e-6)


def test_a_stopped_run_goes_on_from_its_journal(holdout: Any, bars: Bars, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    args = argparse.Namespace(fee=10.0, slippage=5.0, methods="systematic", months=6, strategies=30, seed=1, years=2, seeds=1,
                              journal=tmp_path / "j.jsonl", workers=1)  # fmt: skip
    study = holdout.measured(args, bars)
    monkeypatch.setattr(holdout, "searched", lambda *given: pytest.fail("it was searched again"))
    assert holdout.measured(args, bars) == json.loads(json.dumps(study, allow_nan=False))
    said = holdout.report(study)
    assert said.count("| hold AAA/USDT | 1 |") == 2 and "2023-07-01 to 2023-12-31 held back" in said
