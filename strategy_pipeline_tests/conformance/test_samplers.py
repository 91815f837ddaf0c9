"""What every sampler and every objective must do; a new one is held to it by standing in the table of its room."""

from __future__ import annotations

from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest

from strategy_pipeline.backtest import backtest, metrics_from_returns
from strategy_pipeline.optimization import OBJECTIVES, SAMPLERS, Study, optimize
from strategy_pipeline.strategies import parse
from strategy_pipeline_tests.optimization.markets import TEXT, make_bars

BARS = make_bars()
ONE, TWO, THREE = ("sharpe",), ("sharpe", "calmar"), ("sortino", "max_drawdown", "omega")
CASES = [(name, which) for name in SAMPLERS for which in {"cmaes": (ONE,), "gp": (ONE, TWO)}.get(name, (ONE, TWO, THREE))]
_KNOWN: dict[tuple[str, tuple[str, ...]], Study] = {}
every_case = pytest.mark.parametrize(
    ("sampler", "objective"), CASES, ids=lambda value: value if isinstance(value, str) else str(len(value))
)


def tune(sampler: str, objective: tuple[str, ...], **options: Any) -> Study:
    given: dict[str, Any] = {"trials": 9, "batch": 3} if sampler == "gp" else {"trials": 24, "batch": 4}
    return optimize(parse(TEXT), BARS, sampler=sampler, objective=objective, seed=5, workers=1, **(given | options))


def known(sampler: str, objective: tuple[str, ...]) -> Study:
    """The search never stopped, run once for all tests."""
    if (sampler, objective) not in _KNOWN:
        _KNOWN[sampler, objective] = tune(sampler, objective)
    return _KNOWN[sampler, objective]


@every_case
def test_a_search_killed_in_a_late_batch_ends_as_one_never_killed(sampler, objective, tmp_path, monkeypatch):
    told, tell = [], optuna.Study.tell

    def killed(*args: Any, **options: Any) -> Any:
        told.append(1)
        if len(told) == len(known(sampler, objective).trials) - 2:  # in the last batch: everything a sampler remembers lies behind it
            raise KeyboardInterrupt
        return tell(*args, **options)

    undisturbed = known(sampler, objective)
    with monkeypatch.context() as patch:
        patch.setattr(optuna.Study, "tell", killed)
        with pytest.raises(KeyboardInterrupt):
            tune(sampler, objective, storage=tmp_path / "a.journal")
    resumed = tune(sampler, objective, storage=tmp_path / "a.journal")
    pd.testing.assert_frame_equal(resumed.trials, undisturbed.trials)
    assert [member.id for member in resumed.front] == [member.id for member in undisturbed.front]


@every_case
def test_fewer_or_more_trials_asked_for_before_in_the_same_file_change_nothing(sampler, objective, tmp_path):
    undisturbed = known(sampler, objective)
    whole = 2 * int((undisturbed.trials["batch"] == 0).sum())
    begun = tune(sampler, objective, trials=whole, storage=tmp_path / "a.journal")
    pd.testing.assert_frame_equal(begun.trials, undisturbed.trials.head(whole))
    assert len(tune(sampler, objective, trials=whole + 1, storage=tmp_path / "a.journal").trials) == whole + 1
    pd.testing.assert_frame_equal(tune(sampler, objective, storage=tmp_path / "a.journal").trials, undisturbed.trials)
    fewer = tune(sampler, objective, trials=whole - 1, storage=tmp_path / "a.journal")
    pd.testing.assert_frame_equal(fewer.trials, tune(sampler, objective, trials=whole - 1).trials)


@every_case
def test_the_own_values_come_first_and_what_is_proposed_differs(sampler, objective):
    found = known(sampler, objective)
    assert found.trials["strategy_id"][0] == parse(TEXT).id
    for _, batch in found.trials.groupby("batch"):  # of a few parents two children may be alike
        assert batch["params"].nunique() >= len(batch) - (sampler in ("nsga2", "nsga3"))
    assert len(found.strategy_ids) > len(found.trials) // 2


@every_case
def test_nothing_that_was_tried_beats_a_member_of_the_front(sampler, objective):
    found = known(sampler, objective)
    signs = np.array([1.0 if OBJECTIVES[name] else -1.0 for name in objective])
    tried = found.trials[found.trials["state"] == "complete"].drop_duplicates("strategy_id").set_index("strategy_id")
    values = tried[list(objective)] * signs
    front = [member.id for member in found.front]
    for member in front:
        own = values.loc[member]
        assert not ((values >= own).all(axis=1) & (values > own).any(axis=1)).any()
    beaten = values.drop(index=front)
    assert all(((values >= row).all(axis=1) & (values > row).any(axis=1)).any() for _, row in beaten.iterrows())
    assert found.best.id == front[0] and values.loc[front, objective[0]].is_monotonic_decreasing


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_an_objective_is_the_median_of_its_metric_over_the_folds_of_a_plain_backtest(objective):
    found = tune("tpe", (objective,), trials=8)
    returns = backtest([found.best], BARS, workers=1).daily_returns
    n = returns.shape[1]
    length = n // 5
    starts = [n - k * length + 2 for k in (4, 3, 2, 1)]  # two days purged
    folds = [metrics_from_returns(returns[:, start : start + length - 2], 365.0, names=(objective,))[objective][0] for start in starts]
    assert found.value == pytest.approx(np.median(folds), rel=1e-9)
    assert found.value >= found.value_before if OBJECTIVES[objective] else found.value <= found.value_before
