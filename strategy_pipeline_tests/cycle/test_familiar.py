"""A market that changes after training: rows refused and said, drift that warns, and the same bytes again."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from strategy_pipeline.config import PROFILES
from strategy_pipeline.cycle import (
    Workspace,
    analytics,
    embedding,
    familiar,
    fits,
    portfolio,
    predictions,
    run_check,
    run_missing,
    run_stage,
)
from strategy_pipeline.cycle.features import matrix
from strategy_pipeline.features import Familiarity
from strategy_pipeline.store import EVERY_PARTITION, flatten
from strategy_pipeline_tests.cycle.conftest import files_workspace, hourly

USUAL, STRANGE = dt.date(2024, 5, 20), dt.date(2024, 5, 26)


def changed_market() -> pd.DataFrame:
    """Calm until the 20th, nervous and heavily traded after it; on the 26th BTC does what it never did."""
    frame = pd.concat([hourly(f"{base}/USDT", "2024-01-01", "2024-05-29", seed) for seed, base in enumerate(("BTC", "ETH", "SOL"))])
    parts = []
    for symbol, part in frame.groupby("symbol", sort=False):
        after = (part["ts"] >= pd.Timestamp(USUAL, tz="UTC") + pd.Timedelta(days=1)).to_numpy()
        wild = ((part["ts"] >= pd.Timestamp(STRANGE, tz="UTC")).to_numpy()) & (symbol == "BTCUSDT")
        scale = np.where(wild, 40.0, np.where(after, 3.0, 1.0))
        steps = np.log(part["close"] / part["open"]) * scale
        close = 100 * np.exp(np.cumsum(np.where(wild, np.clip(steps, -0.2, 0.2), steps)))
        open_ = np.concatenate([[100.0], close[:-1]])
        spread = np.exp(0.002 * scale)
        parts.append(
            part.assign(
                open=open_, close=close, high=np.maximum(open_, close) * spread, low=np.minimum(open_, close) / spread,
                volume=part["volume"] * np.where(wild, 400.0, np.where(after, 4.0, 1.0)),
            )
        )  # fmt: skip
    return pd.concat(parts)


@pytest.fixture(scope="module")
def after_the_change(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """Models of the 20th, asked on that day and on the 26th."""
    small = replace(PROFILES["tiny"], population=20, refit_days=365, transformer_steps=2, agent_steps=64, bootstrap=50, optimize_trials=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PROFILES, "tiny", small)
        workspace = files_workspace(tmp_path_factory.mktemp("changed"), changed_market())
        for day in (USUAL, STRANGE):
            for stage in ("forecasts", "agent_actions"):
                run_missing(workspace, stage, day)
        yield workspace


def test_a_gate_and_a_reference_lie_beside_the_models_that_read_features(after_the_change: Workspace) -> None:
    made = familiar.at_training(after_the_change, USUAL)
    pages = after_the_change.documents.query("ml_models", EVERY_PARTITION)
    documents = {document["stage"]: document for document in flatten(pages)}
    assert set(documents) == set(fits.MODEL_STAGES) and made.threshold is not None
    assert {stage: document.get("familiar") for stage, document in documents.items()} == {
        "forecaster": made.entry, "rl_agents": made.entry, "regime_model": None, "volatility_models": None,
    }  # fmt: skip
    stored = after_the_change.lake.read_bytes(made.path)
    whole = matrix(after_the_change, STRANGE)  # days that came after the training change nothing of it
    again = familiar.of_cutoff(after_the_change, whole, USUAL.isoformat())
    assert again.sha256 == made.sha256 and Familiarity.from_bytes(stored).to_bytes() == stored


def test_a_made_outlier_day_is_refused_and_said_everywhere(after_the_change: Workspace) -> None:
    day = STRANGE
    said = after_the_change.lake.read(f"predictions/forecasts/{day}.parquet").set_index("symbol")
    btc = said.loc["BTC/USDT"]
    assert (btc["forecast.familiar_24h"] == 0).mean() > 0.8  # the first hours still look like the days before
    refused = said["forecast.familiar_24h"] == 0
    assert (said.loc[refused, "forecast.confidence_24h"] == 0).all() and said.loc[refused, "forecast.return_24h"].notna().all()
    actions = after_the_change.lake.read(f"predictions/agent_actions/{day}.parquet").set_index("symbol")
    nothing = actions.loc[actions["familiar.agents"] == 0]
    assert len(nothing) and (nothing[[name for name in nothing if name.startswith("agent.")]] == 0).all().all()
    record = after_the_change.require("forecasts", day)
    assert record.facts["rows_refused"] == int(refused.sum()) and record.facts["rows_judged"] == 72
    assert "are unlike training: the baseline answers there" in record.summary
    assert "nothing is held there" in after_the_change.require("agent_actions", day).summary
    verdict = run_check(after_the_change, "rows_are_like_training", day)
    assert not verdict.passed and f"{int(refused.sum())} of 72" in verdict.summary
    weights = pd.DataFrame({"symbol": ["BTC/USDT", "XRP/USDT"], "weight": 0.0, "reasons": ["capped", ""]})
    last = (predictions.latest(after_the_change, stage, day).set_index("symbol") for stage in ("forecasts", "agent_actions"))
    reasons = portfolio.with_familiarity(weights, *last)
    held = "features unlike training, so agents hold nothing"
    assert reasons == [f"capped; features unlike training, so the forecast is its baseline's; {held}", ""]
    notes = analytics.familiarity_notes(after_the_change, day)
    assert f"{int(refused.sum())} of 72 rows are unlike training" in notes[1] and "(UNUSUAL)" in notes[0]


def test_strategies_may_read_whether_the_forecast_is_the_models(after_the_change: Workspace) -> None:
    from strategy_pipeline.strategies import parse, validate

    series = predictions.named_series(after_the_change, STRANGE)
    text = "ml on BTC/USDT 1h\nenter long when forecast.familiar_24h > 0.5 and forecast.return_24h > 0\nexit when familiar.agents < 0.5"
    strategy = parse(f"{text}\nsize all_in")
    validate(strategy, series)
    ids = embedding.generate(after_the_change, STRANGE, 30, None, None, 5)
    assert len(ids) == 30  # generators meet the new names and still make what validates


def test_a_drifted_market_warns_and_a_usual_one_does_not(after_the_change: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    calm, drifted = (run_check(after_the_change, "features_have_not_drifted", day) for day in (USUAL, STRANGE))
    assert calm.passed and not drifted.passed
    assert drifted.facts["drifted_share"] > drifted.facts["drift_limit"] and "the models are of 2024-05-20" in drifted.summary
    record = after_the_change.record("forecasts", STRANGE)
    old = replace(record, facts={**record.facts, "drift_cutoff": "2024-04-20"})
    monkeypatch.setattr(Workspace, "require", lambda *_: old)
    assert "train-models" in run_check(after_the_change, "features_have_not_drifted", STRANGE).summary
    monkeypatch.undo()
    facts = after_the_change.require("forecasts", STRANGE).facts
    assert facts["drift_unusual"] == "yes" and facts["drift_cutoff"] == str(USUAL)
    table = after_the_change.lake.read(predictions.drift_path(STRANGE))
    assert set(table["feature"]) == set(matrix(after_the_change, STRANGE).feature_names)
    feature_set = after_the_change.settings.feature_set
    document = after_the_change.documents.read("feature_store", f"drift-{feature_set}-{STRANGE}", feature_set)
    assert document is not None and document["unusual"] and document["drifted"] == list(table.loc[table["drifted"], "feature"])
    assert document["cutoff"] == str(USUAL) and document["rows_refused"] == facts["rows_refused"]


def test_running_it_again_writes_the_same_bytes_from_kept_gates_and_from_new_ones(after_the_change: Workspace) -> None:
    before = after_the_change.lake.digest()
    for path in after_the_change.lake.list("models/familiar"):
        after_the_change.lake.delete(path)
    fresh = Workspace(after_the_change.settings)
    for stage in ("forecasts", "agent_actions"):
        run_stage(fresh, stage, STRANGE)
    assert after_the_change.lake.digest() == before


def test_what_was_said_of_a_day_is_the_same_a_week_later(after_the_change: Workspace) -> None:
    early, late = (predictions.named_series(after_the_change, day) for day in (USUAL, STRANGE))
    n = after_the_change.bars(USUAL).n_bars
    for name in ("forecast.familiar_24h", "familiar.agents", "forecast.return_24h", "forecast.confidence_24h", "agent.vote"):
        np.testing.assert_allclose(late[name][:, :n], early[name], rtol=1e-9, atol=1e-12, equal_nan=True, err_msg=name)
    assert np.isfinite(early["forecast.familiar_24h"]).any()


def test_the_record_names_the_model_that_answers_not_the_newest(after_the_change: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace as changed

    stages = ("volatility_models", "forecaster")
    history = predictions._history(after_the_change, stages, STRANGE)
    own = next(fit for fit in history.fits if fit.kind == "returns")
    older = changed(own, cutoff="2024-04-20", content="a" * 64)
    # The newest registered model was rejected, and an older, accepted one answers.
    told = changed(history, fits=(older, *history.fits), answers={**history.answers, "returns": [(100, "2024-04-20")]})
    monkeypatch.setattr(predictions, "_history", lambda *_: told)
    answered = predictions.answering(after_the_change, stages, STRANGE)
    assert answered["forecaster@2024-04-20"] == "a" * 64 and f"forecaster@{USUAL}" not in answered
    entry = json.loads(after_the_change.lake.read_bytes(f"models/registered/volatility_models/{USUAL}.json"))
    assert answered[f"volatility_models@{USUAL}"] == entry["sha256"]
