"""Days on which New York is closed: every stage runs, says so, and what was known before stands."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from strategy_pipeline.config import PROFILES, Settings
from strategy_pipeline.cycle import Workspace, predictions, run_missing
from strategy_pipeline.cycle.portfolio import daily_returns, signals_of

FRIDAY, SATURDAY, SUNDAY, MONDAY = (dt.date(2018, 12, 28) + dt.timedelta(days=n) for n in range(4))


@pytest.fixture(scope="module")
def over_a_weekend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A home that starts on a Saturday, with a model of few steps trained then, and goes on to the Monday."""
    small = replace(PROFILES["tiny"], population=20, refit_days=365, transformer_steps=2, agent_steps=64, bootstrap=50, optimize_trials=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PROFILES, "tiny", small)
        home = tmp_path_factory.mktemp("indices") / "home"
        workspace = Workspace(
            Settings(
                home=home, source="indices", timeframe="1d", profile="tiny", history_from=dt.date(2017, 9, 1), benchmark="buy_and_hold"
            )
        )
        for day in (SATURDAY, SUNDAY, MONDAY):
            run_missing(workspace, "performance_report", day)
        yield workspace


def test_a_closed_day_has_every_stage_and_no_new_prediction(over_a_weekend: Workspace) -> None:
    for day in (SATURDAY, SUNDAY):
        said = {stage: over_a_weekend.record(stage, day) for stage in ("bars", "forecasts", "agent_actions", "performance_report")}
        assert all(record is not None for record in said.values())
        assert said["bars"].facts["closed"] == "yes"
        assert "no bar" in said["forecasts"].summary and "no bar" in said["agent_actions"].summary
        for stage in ("regimes", "forecasts", "agent_actions"):
            stored = over_a_weekend.lake.read(f"predictions/{stage}/{day}.parquet")
            assert stored.drop(columns=["ts", "symbol"]).isna().all().all()


def test_signals_of_a_closed_day_name_the_last_known_price(over_a_weekend: Workspace) -> None:
    bars = over_a_weekend.bars(SUNDAY)
    friday = bars.close[:, bars.times == np.datetime64(FRIDAY)][:, 0]
    for day in (SATURDAY, SUNDAY):
        made = signals_of(over_a_weekend, day)
        assert {s.symbol: s.price for s in made} == dict(zip(bars.symbols, friday, strict=True))
        # The last volatility forecast stands too, so what is held keeps its levels.
        assert all(s.target_weight > 0 and s.stop is not None and 0 < s.stop < s.price < s.take_profit for s in made)


def test_the_ranking_of_a_closed_day_stands_on_the_last_closes(over_a_weekend: Workspace) -> None:
    ranking = over_a_weekend.lake.read(f"asset_ranking/date={SUNDAY}.parquet")
    assert ranking["score"].notna().all() and (ranking["return_1d"] == 0).all()
    bars = over_a_weekend.bars(MONDAY)
    at = {day: int(np.searchsorted(bars.times, np.datetime64(day))) for day in (FRIDAY, MONDAY)}
    monday = over_a_weekend.lake.read(f"asset_ranking/date={MONDAY}.parquet").set_index("symbol")["return_1d"]
    expected = bars.close[:, at[MONDAY]] / bars.close[:, at[FRIDAY]] - 1
    np.testing.assert_allclose(monday.reindex(list(bars.symbols)), expected, rtol=1e-12)
    # A year of calendar days: nothing is earned at the weekend, and Monday earns what Friday's close became.
    returns = daily_returns(over_a_weekend, MONDAY)
    np.testing.assert_allclose(returns.iloc[-1], expected, rtol=1e-12)
    assert (returns.iloc[-3:-1] == 0).all().all() and returns.notna().all().all()


def test_predictions_go_on_after_the_weekend_by_the_model_trained_on_it(over_a_weekend: Workspace) -> None:
    series = predictions.named_series(over_a_weekend, MONDAY)
    times = over_a_weekend.bars(MONDAY).times
    weekend = (times >= np.datetime64(SATURDAY)) & (times < np.datetime64(MONDAY))
    assert weekend.sum() == 2
    for name in ("forecast.return_24h", "forecast.volatility_24h", "regime.turbulent", "agent.vote"):
        assert np.isfinite(series[name][:, -1]).all(), name
        assert np.isnan(series[name][:, weekend]).all(), name
    stored = over_a_weekend.lake.read(f"predictions/forecasts/{MONDAY}.parquet")
    assert stored["ts"].unique().tolist() == [pd.Timestamp(MONDAY, tz="UTC")]
