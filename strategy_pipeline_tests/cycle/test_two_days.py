"""Two days in a row on the sample market: the book, the trials, what a later day may know, what becomes stale."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from strategy_pipeline.config import Settings
from strategy_pipeline.cycle import STAGES, Workspace, embedding, fits, predictions, records, run_missing, run_stage, strategies
from strategy_pipeline.errors import MissingInputError
from strategy_pipeline.store import CONTAINERS, EVERY_PARTITION
from strategy_pipeline_tests.cycle.conftest import FIRST, SECOND


def test_the_first_day_starts_from_an_empty_book_and_the_second_from_the_first(two_days: Workspace) -> None:
    first, second = two_days.record("strategy_book", FIRST), two_days.record("strategy_book", SECOND)
    assert first is not None and second is not None
    assert first.inputs["strategy_book@yesterday"] == "none"
    assert second.inputs["strategy_book@yesterday"] == first.digest
    before, after = strategies.book_of(two_days, FIRST), strategies.book_of(two_days, SECOND)
    assert all(book.day == day for book, day in ((before, FIRST), (after, SECOND)) if book.entries)  # an empty book has no day
    assert set(before.ids()) <= set(after.ids())
    followed = set(two_days.lake.read(strategies.population_path(SECOND))["strategy_id"])
    assert set(before.followed) <= followed


def test_nothing_reaches_active_without_being_validated_first(two_days: Workspace) -> None:
    for day in (FIRST, SECOND):
        moves = two_days.lake.read(f"book/{day}/transitions.parquet")
        assert not ((moves["from_state"] == "candidate") & ~moves["to_state"].isin(["validated", "watchlist"])).any()
        assert (moves["reason"].str.len() > 0).all()


def test_a_missing_day_in_the_book_is_an_error_with_the_remedy(two_days: Workspace) -> None:
    later = SECOND + dt.timedelta(days=2)
    for stage in STAGES["strategy_book"].inputs:
        records.write(two_days.lake, records.Record(stage, later.isoformat(), two_days.settings.fingerprint))
    try:
        with pytest.raises(
            MissingInputError, match=r"strategy_book of 2025-07-01, was missing .*backfill --from 2025-07-01 --to 2025-07-02"
        ):
            run_stage(two_days, "strategy_book", later)
    finally:
        for stage in STAGES["strategy_book"].inputs:
            two_days.lake.delete(records.path_of(stage, later))


@pytest.mark.parametrize("stage", [name for name, stage in STAGES.items() if stage.job == "daily" and stage.inputs])
def test_a_stage_without_its_inputs_says_what_to_run(two_days: Workspace, stage: str) -> None:
    with pytest.raises(MissingInputError, match=r"of 2025-08-01, was not made yet; .*strategy-pipeline run --date 2025-08-01"):
        run_stage(two_days, stage, dt.date(2025, 8, 1))
    assert two_days.record(stage, dt.date(2025, 8, 1)) is None


def test_a_days_series_are_the_same_when_computed_a_day_later(two_days: Workspace) -> None:
    early, late = predictions.named_series(two_days, FIRST), predictions.named_series(two_days, SECOND)
    n = two_days.bars(FIRST).n_bars
    assert two_days.bars(SECOND).n_bars == n + 24
    assert set(early) == set(late)
    assert any(np.isfinite(values).any() for name, values in early.items() if name.startswith("forecast."))
    for name, values in early.items():
        np.testing.assert_allclose(late[name][:, :n], values, rtol=1e-9, atol=1e-12, equal_nan=True, err_msg=name)


def test_what_a_day_stored_is_what_the_series_say(two_days: Workspace) -> None:
    series = predictions.named_series(two_days, FIRST)
    today = two_days.bars(FIRST).times >= np.datetime64(FIRST)
    for stage in ("regimes", "forecasts", "agent_actions"):
        stored = two_days.lake.read(f"predictions/{stage}/{FIRST}.parquet")
        names = [name for name in stored if name not in ("ts", "symbol")]
        assert names
        for name in names:
            np.testing.assert_allclose(stored[name].to_numpy().reshape(3, -1), series[name][:, today], rtol=1e-9, equal_nan=True)


def test_a_backfilled_earlier_day_uses_no_later_model(two_days: Workspace) -> None:
    earlier = FIRST - dt.timedelta(days=1)
    for stage in fits.MODEL_STAGES:
        assert fits.registered(two_days, stage, FIRST) == [FIRST]
        assert fits.registered(two_days, stage, earlier) == []
    assert fits.due(two_days, earlier)
    with pytest.raises(MissingInputError, match=rf"regime_model with a cutoff not after {earlier}, was none"):
        predictions.regimes(two_days, earlier)


def test_models_are_due_by_age_by_grid_and_after_a_killed_training(two_days: Workspace) -> None:
    sizes = two_days.settings.sizes
    assert not fits.due(two_days, FIRST)
    assert not fits.due(two_days, SECOND)
    assert fits.due(two_days, FIRST + dt.timedelta(days=sizes.model_max_age_days))
    grid = fits.grid_cutoff(two_days, FIRST)
    assert grid <= FIRST < grid + dt.timedelta(days=sizes.refit_days)
    assert (grid - dt.date(2000, 1, 1)).days % sizes.refit_days == 0
    path = records.path_of("rl_agents", FIRST)
    kept = two_days.lake.read_bytes(path)
    two_days.lake.delete(path)  # killed after the entry was written and before the record
    try:
        assert fits.due(two_days, FIRST)
    finally:
        two_days.lake.write_bytes(path, kept)


def test_trials_are_counted_across_days_and_tuned_ones_count(two_days: Workspace) -> None:
    made: dict[dt.date, set[str]] = {}
    for day in (FIRST, SECOND):
        frame = two_days.lake.read(strategies.population_path(day))
        made[day] = set(frame.loc[frame["origin"] == "generated", "strategy_id"])
        assert len(made[day]) == two_days.settings.sizes.population
    ledger = strategies.ledger_of(two_days, SECOND)
    rows = ledger.to_frame()
    assert {"systematic", "optuna", "genetic"} <= set(rows["origin"])
    tuned = {i for day in (FIRST, SECOND) for i in two_days.lake.read(f"strategies/optimized/{day}/tuned.parquet")["tuned_id"]}
    assert tuned <= set(rows["strategy_id"])
    assert made[FIRST] | made[SECOND] <= set(rows["strategy_id"])
    assert ledger.count(strategies.SEARCH) == rows["strategy_id"].nunique()
    counted = {day: two_days.require("evidence", day).facts["trials"] for day in (FIRST, SECOND)}
    assert counted[SECOND] == ledger.count(strategies.SEARCH)
    assert counted[FIRST] == strategies.ledger_of(two_days, FIRST).count(strategies.SEARCH) < counted[SECOND]


def test_validation_returns_do_not_decide_which_strategies_get_a_look(two_days: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = set(two_days.lake.read(f"strategies/evidence/{FIRST}/evidence.parquet")["strategy_id"])
    results, texts = strategies.everything_run(two_days, FIRST)
    cut = strategies.spans(two_days, FIRST)
    assert cut.train_end < cut.validation_start < cut.end
    turned = results.returns.copy()
    turned[:, results.days >= np.datetime64(cut.validation_start.date())] *= -3.0
    changed = strategies.Results(results.ids, turned, results.days, results.pooled, results.metrics)
    written: dict[str, pd.DataFrame] = {}
    monkeypatch.setattr(strategies, "everything_run", lambda workspace, day: (changed, texts))
    monkeypatch.setattr(type(two_days.lake), "write", lambda lake, path, frame: written.setdefault(path, frame))
    strategies.evidence(two_days, FIRST)
    frame = written[f"strategies/evidence/{FIRST}/evidence.parquet"].set_index("strategy_id")
    assert set(frame.index) == honest
    kept = two_days.lake.read(f"strategies/evidence/{FIRST}/evidence.parquet").set_index("strategy_id").loc[frame.index]
    # What is said of training, the Monte Carlo included, is the same too; what is said of validation is not.
    pd.testing.assert_frame_equal(
        frame[["train_sharpe", "robustness", "stressed_sharpe"]], kept[["train_sharpe", "robustness", "stressed_sharpe"]]
    )
    assert not np.allclose(frame["sharpe"], kept["sharpe"])


def test_later_days_are_stale_when_bars_changed_and_only_then(two_days: Workspace) -> None:
    assert two_days.stale_after(FIRST) == []
    assert two_days.stale_after(SECOND) == []
    start, end = pd.Timestamp(FIRST, tz="UTC"), two_days.close(FIRST)
    kept = two_days.lake.scan(two_days.bars_table, start, end)
    run_stage(two_days, "bars", FIRST)  # nothing changed at the source
    assert two_days.stale_after(FIRST) == []
    changed = kept.assign(volume=kept["volume"].where(kept.index != 0, kept["volume"] + 1))
    try:
        two_days.lake.upsert(two_days.bars_table, changed, start, end)
        two_days.forget()
        assert two_days.stale_after(FIRST) == [SECOND]
    finally:
        two_days.lake.upsert(two_days.bars_table, kept, start, end)
        two_days.forget()
    assert two_days.stale_after(FIRST) == []


@pytest.mark.parametrize("table", ["news", "macro", "fundamentals", "funding"])
def test_later_days_are_stale_when_an_observation_of_a_past_day_changed(two_days: Workspace, table: str) -> None:
    start, end = pd.Timestamp(FIRST, tz="UTC") - pd.Timedelta(days=3), two_days.known_until(FIRST)
    kept = two_days.lake.scan(f"observations/{table}", start, end)
    known = (kept["available_at"] <= two_days.close(FIRST)).to_numpy()
    number = next(name for name in ("score", "value", "rate") if name in kept)
    changed = kept.copy()
    changed.loc[np.flatnonzero(known)[0], number] = 0.125
    unknown = kept.copy()
    late = unknown["available_at"] > two_days.close(SECOND)
    try:
        two_days.lake.upsert(f"observations/{table}", changed, start, end)
        assert two_days.stale_after(FIRST) == [SECOND] and two_days.stale_after(SECOND) == []
        two_days.lake.upsert(f"observations/{table}", changed.iloc[1:], start, end)  # a row less is a change too
        assert two_days.stale_after(FIRST) == [SECOND]
        two_days.lake.upsert(f"observations/{table}", unknown[~late].iloc[::-1].reset_index(drop=True), start, end)
        assert two_days.stale_after(FIRST) == []  # another order, and without what no day has seen
    finally:
        two_days.lake.upsert(f"observations/{table}", kept, start, end)
    assert two_days.stale_after(FIRST) == []


def test_running_a_past_days_news_again_makes_nothing_stale(two_days: Workspace) -> None:
    for stage in ("news", "macro", "fundamentals"):
        run_stage(two_days, stage, FIRST)
    assert two_days.stale_after(FIRST) == []


def test_later_days_are_stale_when_the_book_they_were_built_on_changed(two_days: Workspace) -> None:
    path = records.path_of("strategy_book", FIRST)
    kept = two_days.lake.read_bytes(path)
    record = json.loads(kept)
    record["outputs"] = dict.fromkeys(record["outputs"], "0" * 64)
    try:
        two_days.lake.write_bytes(path, json.dumps(record).encode())
        assert two_days.stale_after(FIRST) == [SECOND]
    finally:
        two_days.lake.write_bytes(path, kept)


def test_every_container_has_documents_after_a_day(two_days: Workspace) -> None:
    counts = {name: two_days.documents.count(name, EVERY_PARTITION) for name in CONTAINERS}
    assert len(counts) == 9
    assert {name for name, count in counts.items() if count == 0} == set()


def test_every_stage_left_a_record_that_names_its_inputs(two_days: Workspace) -> None:
    for name, stage in STAGES.items():
        if stage.job != "daily":
            continue
        record = two_days.record(name, SECOND)
        assert record is not None, name
        daily = {upstream for upstream in stage.inputs if STAGES[upstream].job == "daily"}
        assert daily <= set(record.inputs), name
        for upstream in daily:
            assert record.inputs[upstream] == two_days.require(upstream, SECOND).digest, (name, upstream)


def test_the_population_says_which_families_the_market_has_no_data_for(two_days: Workspace) -> None:
    from strategy_pipeline.generation import skipped_families

    series = tuple(sorted(predictions.named_series(two_days, FIRST)))
    skipped = skipped_families(two_days.bars(FIRST), series)
    facts = two_days.require("strategy_population", FIRST).facts
    assert {k.removeprefix("skipped_"): v for k, v in facts.items() if k.startswith("skipped_")} == skipped


def test_what_a_person_had_tuned_is_a_candidate_of_the_next_day(two_days: Workspace, tmp_path: Path) -> None:
    # A home of its own: what is asked for here is counted in its ledger, which other tests read.
    shutil.copytree(two_days.settings.home, tmp_path / "home")
    two_days = Workspace(Settings(home=tmp_path / "home", profile="tiny"))
    asked = sorted(set(two_days.lake.read(strategies.population_path(SECOND))["strategy_id"]))[:8]
    found = embedding.optimize(two_days, SECOND, asked)
    assert set(found["strategy_id"]) == set(asked)
    following = SECOND + dt.timedelta(days=1)
    tuned = {s.id for s in strategies.requested(two_days, SECOND)}
    assert tuned == set(found["tuned_id"]) - set(two_days.lake.read(strategies.population_path(SECOND))["strategy_id"])
    assert tuned, "of eight strategies, tuning improved none: nothing to see"
    run_missing(two_days, "strategy_population", following)
    frame = two_days.lake.read(strategies.population_path(following)).set_index("strategy_id")
    entered = tuned - set(frame.index[frame["origin"] == "generated"])
    assert set(frame.index[frame["origin"] == "requested"]) == entered
    assert two_days.require("strategy_population", following).facts["requested"] == len(entered)
