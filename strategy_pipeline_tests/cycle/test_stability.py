"""The robustness score of a day: every factor there is, on training days alone; and who gets a look at all."""

from __future__ import annotations

import dataclasses
import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from strategy_pipeline import selection
from strategy_pipeline.backtest import Costs, backtest, bootstrap_prices, monte_carlo, skip_entries
from strategy_pipeline.book import Book, Entry
from strategy_pipeline.book.sequential import Track
from strategy_pipeline.config import Settings
from strategy_pipeline.cycle import Workspace, predictions, strategies, tuning
from strategy_pipeline.cycle.funding import funding_of
from strategy_pipeline.cycle.lineage import judged_after, parents
from strategy_pipeline.cycle.stability import stability
from strategy_pipeline.cycle.workspace import costs_of
from strategy_pipeline.rng import derive_seed
from strategy_pipeline.selection import select, stepm
from strategy_pipeline_tests.cycle.conftest import FIRST


def evidence_of(workspace: Workspace) -> pd.DataFrame:
    return workspace.lake.read(f"strategies/evidence/{FIRST}/evidence.parquet").set_index("strategy_id")


def test_the_score_of_a_day_has_every_factor_and_training_bars_alone(two_days: Workspace) -> None:
    frame, sizes = evidence_of(two_days), two_days.settings.sizes
    ids = list(frame.index)
    cut = strategies.spans(two_days, FIRST)
    bars = two_days.bars(FIRST).between(None, cut.train_end)
    series = {name: values[:, : bars.n_bars] for name, values in predictions.named_series(two_days, FIRST).items()}
    members = {s.id: s for s in strategies.population(two_days, FIRST)}
    members |= {s.id: s for s in strategies.strategies_of(two_days, ids)}
    result = backtest([members[i] for i in ids], bars, costs=costs_of(two_days), series=series)
    seed = derive_seed(two_days.settings.seed, "evidence", FIRST) % 2**31
    whole = monte_carlo(result, ids, n=sizes.monte_carlo, seed=seed, delay=1, jitter=0.1, draws=sizes.perturbed, skip=0.2,
                        prices=sizes.price_histories)  # fmt: skip
    np.testing.assert_allclose(frame["robustness"], whole.summary["robustness"])
    missed = skip_entries(result, ids, n=sizes.perturbed, seed=seed, skip=0.2)["probability_of_loss"]
    np.testing.assert_allclose(whole.summary["skip_loss"], missed)
    lost = bootstrap_prices(result, ids, n=sizes.price_histories, seed=seed)["probability_of_loss"]
    np.testing.assert_allclose(whole.summary["price_loss"], lost)
    assert whole.summary[["delayed_return", "jitter_share", "skip_loss"]].notna().all(axis=None)
    dear = dataclasses.replace(costs_of(two_days), fee_bps=20.0, slippage_bps=10.0)
    np.testing.assert_allclose(frame["stressed_sharpe"], result.rerun([members[i] for i in ids], costs=dear).summary()["sharpe"])


def test_prices_of_validation_change_no_score(two_days: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = evidence_of(two_days)
    bars, cut = two_days.bars(FIRST), strategies.spans(two_days, FIRST)
    later = bars.times >= np.datetime64(cut.train_end.tz_convert(None))
    factor = np.where(later, np.exp(np.sin(np.arange(bars.n_bars))), 1.0)
    changed = bars.with_fields(**{name: bars.field(name) * factor for name in ("open", "high", "low", "close")})
    monkeypatch.setattr(type(two_days), "bars", lambda workspace, day: changed)
    members = strategies.strategies_of(two_days, list(frame.index))
    seed = derive_seed(two_days.settings.seed, "evidence", FIRST) % 2**31
    result = strategies.run(two_days, FIRST, members, until=cut.train_end)
    assert result.bars.times[-1] < np.datetime64(cut.train_end.tz_convert(None))
    scores, stressed = stability(two_days, result, list(frame.index), seed)
    np.testing.assert_array_equal(frame["robustness"], [scores[i] for i in frame.index])
    np.testing.assert_array_equal(frame["stressed_sharpe"], [stressed[i] for i in frame.index])


def test_the_proof_before_costs_is_that_of_the_same_strategies_uncharged(two_days: Workspace) -> None:
    frame = evidence_of(two_days)
    ids = list(frame.index)
    members = {s.id: s for s in strategies.strategies_of(two_days, ids)}
    series = predictions.named_series(two_days, FIRST)
    rates = funding_of(two_days, FIRST)
    free = backtest([members[i] for i in ids], two_days.bars(FIRST), costs=Costs(fee_bps=0, slippage_bps=0), series=series, funding=rates)
    begin = np.datetime64(strategies.spans(two_days, FIRST).validation_start.date())
    days = np.asarray(free.days).astype("datetime64[D]") >= begin
    gate, seed = strategies.gate_of(two_days), derive_seed(two_days.settings.seed, "evidence", FIRST) % 2**31
    returns = strategies.returns_of(two_days, FIRST, list(members.values()), free)[:, days].T
    block = min(gate.mean_block, max(1.0, days.sum() / 60))
    expected = stepm(returns, n_resamples=gate.resamples, mean_block=block, seed=seed).p_values
    np.testing.assert_allclose(frame["gross_p_value"], expected)
    assert (frame["gross_p_value"] <= frame["stepm_p_value"]).all() and (frame["gross_p_value"] < frame["stepm_p_value"]).any()
    board = two_days.lake.read(f"leaderboard/date={FIRST}.parquet").set_index("strategy_id")
    np.testing.assert_allclose(board.loc[ids, "gross_p"], frame["gross_p_value"])


def test_what_the_book_tested_gets_no_other_look_and_says_why(two_days: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    before = list(evidence_of(two_days).index)
    tested, watched = before[0], before[1]
    states = {tested: "retired", watched: "watchlist"}
    entries = {i: Entry(i, state, FIRST, "test", FIRST, FIRST, 1, Track.starting(1e-4)) for i, state in states.items()}
    written: dict[str, pd.DataFrame] = {}
    monkeypatch.setattr(strategies, "book_of", lambda workspace, day: Book(entries))
    monkeypatch.setattr(type(two_days.lake), "write", lambda lake, path, frame: written.setdefault(path, frame))
    report = strategies.evidence(two_days, FIRST)
    looked = list(written[f"strategies/evidence/{FIRST}/evidence.parquet"]["strategy_id"])
    assert tested not in looked and len(looked) > 0
    screening = written[f"strategies/evidence/{FIRST}/screening.parquet"].set_index("strategy_id")
    assert screening.loc[tested, "reason"] == f"retired since {FIRST}"
    assert not screening.loc[tested, "looked_at"] and np.isfinite(screening.loc[tested, "train_sharpe"])
    assert "watchlist" not in screening.loc[watched, "reason"]  # what is only watched may be looked at
    results, _ = strategies.everything_run(two_days, FIRST)
    assert set(screening.index) == set(results.ids)
    barred = screening["reason"].str.startswith(("retired since", "correlation")) & screening["reason"].str.contains("retired")
    assert report.facts["tested_before"] == barred.sum() >= 1
    assert report.facts["trials"] == two_days.require("evidence", FIRST).facts["trials"]


def test_what_the_book_follows_is_not_tuned_by_the_day(two_days: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[list[str]] = []
    monkeypatch.setattr(tuning, "tune", lambda workspace, day, members, asked, **_: chosen.append([s.id for s in members]))
    tuning.optimization_results(two_days, FIRST)
    watched = {i: Entry(i, "watchlist", FIRST, "test", FIRST, FIRST, 1, Track.starting(1e-4)) for i in chosen[0]}
    monkeypatch.setattr(strategies, "book_of", lambda workspace, day: Book(watched))
    tuning.optimization_results(two_days, FIRST)
    assert len(chosen[0]) == len(chosen[1]) > 0 and not set(chosen[0]) & set(chosen[1])


def test_what_was_tuned_from_the_book_is_judged_on_days_after_the_look_at_its_parent(
    two_days: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    child, other = list(evidence_of(two_days).index)[:2]
    days = pd.DatetimeIndex(strategies.everything_run(two_days, FIRST)[0].days)
    looked_on = days[-41].date()  # forty days are left
    entry = Entry("parent", "active", looked_on, "test", looked_on, looked_on, 1, Track.starting(1e-4))
    monkeypatch.setattr(strategies, "book_of", lambda workspace, day: Book({"parent": entry}))
    monkeypatch.setattr(strategies, "parents", lambda workspace, day: {child: {"parent"}})
    given: dict[str, np.ndarray] = {}

    def caught(train: np.ndarray, validation: np.ndarray, **options: object) -> object:
        for name, values in (("validation", validation), ("gross", options.get("gross"))):
            if values is not None:
                given[name] = values[:, [list(options["ids"]).index(i) for i in (child, other)]]
        return select(train, validation, **options)

    monkeypatch.setattr(selection, "select", caught)
    monkeypatch.setattr(type(two_days.lake), "write", lambda lake, path, frame: None)
    strategies.evidence(two_days, FIRST)
    for values in given.values():
        assert np.isnan(values[:-40, 0]).all() and np.isfinite(values[-40:, 0]).all()
        assert np.isfinite(values[:, 1]).all()
    assert set(given) == {"validation", "gross"}


def test_ancestors_are_found_through_generations_and_requests_of_later_days_are_not_known(tmp_path: Path) -> None:
    workspace = Workspace(Settings(home=tmp_path, profile="tiny"))
    tuned = {
        "requested/2025-01-01/a": [("p", "c"), ("p", "p")], "requested/2025-01-03/b": [("c", "g")], "requested/2025-01-05/c": [("x", "g")],
        "optimized/2025-01-05": [("g", "h"), ("n", "m")], "optimized/2025-01-06": [("p", "n")],
    }  # fmt: skip
    for place, rows in tuned.items():
        frame = pd.DataFrame(rows, columns=["strategy_id", "tuned_id"]).astype("str")
        workspace.lake.write(f"strategies/{place}/tuned.parquet", frame)
    known = parents(workspace, dt.date(2025, 1, 5))
    assert known == {"c": {"p"}, "g": {"c"}, "h": {"g"}, "m": {"n"}}

    def entry(name: str, day: int) -> Entry:
        on = dt.date(2025, 1, day)
        return Entry(name, "watchlist", on, "test", on, on, 0, Track.starting(1e-4))

    looked = dt.date(2025, 1, 2)
    assert judged_after("cghmpq", known, Book({"p": entry("p", 2)})) == {"c": looked, "g": looked, "h": looked}
    both = Book({"p": entry("p", 2), "c": entry("c", 4)})
    assert judged_after(["g"], known, both) == {"g": dt.date(2025, 1, 4)}
    assert judged_after(["c", "g"], known | {"p": {"g"}}, both)["c"] == dt.date(2025, 1, 2)  # a circle ends


def test_evidence_that_an_earlier_gate_left_is_still_read(two_days: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    now = strategies.judged(two_days, FIRST)
    kept = two_days.lake.read(f"strategies/evidence/{FIRST}/evidence.parquet")
    earlier = kept.drop(columns="gross_p_value").assign(search_p_value=0.5, allowed_p_value=0.01)
    monkeypatch.setattr(type(two_days.lake), "read", lambda lake, path, columns=None: earlier)
    then = strategies.judged(two_days, FIRST)
    assert [item.strategy_id for item in then] == [item.strategy_id for item in now] and all(np.isnan(item.gross_p_value) for item in then)
