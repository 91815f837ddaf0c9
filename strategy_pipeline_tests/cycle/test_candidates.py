"""The candidates of a day: what generators may see, what they spend, and that every evaluation is a trial once."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from strategy_pipeline.cycle import Workspace, candidates, predictions, strategies
from strategy_pipeline.errors import StrategyError
from strategy_pipeline.rng import derive_seed
from strategy_pipeline_tests.cycle.conftest import FIRST, SECOND

SEARCHING = {"genetic", "ml_driven", "ensemble"}


def past_of(workspace: Workspace):
    return workspace.bars(FIRST).between(None, strategies.spans(workspace, FIRST).train_end)


def test_a_day_draws_and_searches_and_all_of_it_is_a_trial_once(two_days: Workspace) -> None:
    ledger = strategies.ledger_of(two_days, SECOND).to_frame()
    for day in (FIRST, SECOND):
        frame = two_days.lake.read(strategies.population_path(day))
        made = frame[frame["origin"] == "generated"]
        assert len(made) == two_days.settings.sizes.population
        assert made["method"].isin({"systematic", "pairs"} | SEARCHING).all()
        assert set(made.loc[made["drawn"], "method"]) == {"systematic"}
        assert not frame.loc[frame["origin"] != "generated", "drawn"].any()
        assert 0.4 <= made["drawn"].mean() <= 0.8 and made["method"].isin(SEARCHING).any()
        rows = ledger[ledger["strategy_id"].isin(made["strategy_id"])]
        assert len(rows) == len(made)
        today = rows[rows["day"] == pd.Timestamp(day, tz="UTC")].set_index("strategy_id")["origin"]
        expected = made.set_index("strategy_id")["method"].reindex(today.index)
        assert (today == expected).all() and len(today) > 0.9 * len(made)  # a few may have been tried the day before
        facts = two_days.require("strategy_population", day).facts
        assert facts["new"] == len(made) and facts["drawn"] == made["drawn"].sum()
        assert facts["method_systematic"] == (made["method"] == "systematic").sum()


def test_a_strategy_is_stored_with_the_generator_that_proposed_it(two_days: Workspace) -> None:
    frame = two_days.lake.read(strategies.population_path(SECOND))
    bred = frame[frame["method"] == "genetic"].iloc[0]
    document = two_days.documents.read("strategies", bred["strategy_id"], bred["family"])
    assert document is not None and document["method"] == "genetic"


def test_prices_after_training_change_no_candidate(two_days: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    seed = derive_seed(two_days.settings.seed, "strategy_population", FIRST) % 2**31
    bars, cut = two_days.bars(FIRST), strategies.spans(two_days, FIRST)
    known = {name: values.copy() for name, values in predictions.named_series(two_days, FIRST).items()}
    later = bars.times >= np.datetime64(cut.train_end.tz_convert(None))
    factor = np.where(later, np.exp(np.sin(np.arange(bars.n_bars))), 1.0)
    changed = bars.with_fields(**{name: bars.field(name) * factor for name in ("open", "high", "low", "close")})
    for values in known.values():
        values[:, later] = 0.5
    monkeypatch.setattr(type(two_days), "bars", lambda workspace, day: changed)
    monkeypatch.setattr(predictions, "named_series", lambda workspace, day: known)
    again = candidates.daily(two_days, FIRST, past_of(two_days), seed)
    frame = two_days.lake.read(strategies.population_path(FIRST))
    made = frame[frame["origin"] == "generated"]
    assert [s.id for s in again.strategies] == made["strategy_id"].tolist()
    assert again.draws == frozenset(made.loc[made["drawn"], "strategy_id"])
    assert list(again.method.values()) == made["method"].tolist()


def test_the_generators_of_a_day_can_be_chosen(two_days: Workspace) -> None:
    chosen = Workspace(two_days.settings.model_copy(update={"generators": ("systematic",), "population": 25}))
    found = candidates.daily(chosen, FIRST, past_of(two_days), 1)
    assert len(found.strategies) == 25 and set(found.method.values()) == {"systematic"} and len(found.draws) == 25
    other = Workspace(two_days.settings.model_copy(update={"generators": ("magic",)}))
    with pytest.raises(StrategyError, match="was 'magic'"):
        candidates.daily(other, FIRST, past_of(two_days), 1)
