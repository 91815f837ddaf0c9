"""A search improves on what it is given, counts every trial, and comes out the same whether or not it was killed."""

from __future__ import annotations

import numpy as np
import optuna
import pandas as pd
import pytest

from strategy_pipeline.backtest import Costs, backtest
from strategy_pipeline.optimization import Folds, OptimizationError, optimize, plan_search, search
from strategy_pipeline.optimization.objective import fold_values, median_over_folds
from strategy_pipeline.strategies import parameters, parse
from strategy_pipeline_tests.optimization.markets import TEXT, make_bars


@pytest.fixture(scope="module")
def bars():
    return make_bars()


def tune(bars, storage=None, **options):
    options = {"trials": 12, "batch": 4, "seed": 5, "workers": 1} | options
    return optimize(parse(TEXT), bars, storage=storage, **options)


def test_the_best_is_at_least_what_was_given_and_its_value_is_a_plain_backtest(bars):
    study = tune(bars)
    assert study.value >= study.value_before
    assert len(study.trials) == 12 and study.trials["strategy_id"][0] == parse(TEXT).id
    returns = backtest([study.best], bars, workers=1).daily_returns[0]
    length = len(returns) // 5
    first = len(returns) - 4 * length
    folds = [returns[first + k * length + 2 : first + (k + 1) * length] for k in range(4)]
    plain = np.median([fold.mean() / fold.std(ddof=1) * np.sqrt(365) for fold in folds])
    assert study.value == pytest.approx(plain, rel=1e-9)


def test_what_holding_costs_is_in_every_value(bars):
    rates = np.where(np.arange(bars.n_bars) % 8 == 0, 1e-3, np.nan) * np.ones((bars.n_symbols, 1))
    study = tune(bars, trials=4, funding=rates)
    returns = backtest([parse(TEXT)], bars, workers=1, funding=rates).daily_returns
    assert study.value_before == pytest.approx(median_over_folds(fold_values(returns, "sharpe", Folds()))[0], rel=1e-9)
    assert study.value_before < tune(bars, trials=4).value_before


def test_every_distinct_trial_is_reported_for_the_ledger(bars):
    study = tune(bars)
    assert set(study.strategy_ids) == set(study.trials["strategy_id"]) - {""}
    assert study.best.id in study.strategy_ids and len(study.strategy_ids) > 6


def test_the_same_seed_gives_the_same_study_and_another_seed_another(bars):
    first, again, other = tune(bars), tune(bars), tune(bars, seed=6)
    pd.testing.assert_frame_equal(first.trials, again.trials)
    assert first.trials["params"].tolist() != other.trials["params"].tolist()


@pytest.mark.parametrize("objective", ["sharpe", ("sharpe", "max_drawdown")])
@pytest.mark.parametrize("where", ["evaluating", "telling"])
def test_a_killed_search_ends_as_one_never_killed(bars, tmp_path, monkeypatch, objective, where):
    killed_and_resumed(bars, tmp_path, monkeypatch, where, objective=objective)


def test_a_pruned_search_survives_a_kill(bars, tmp_path, monkeypatch):
    killed_and_resumed(bars, tmp_path, monkeypatch, "telling", prune=True, trials=24, batch=8)


def killed_and_resumed(bars, tmp_path, monkeypatch, where, **options):
    undisturbed = tune(bars, tmp_path / "a.journal", **options)
    with monkeypatch.context() as patch:
        owner, name = (search, "backtest") if where == "evaluating" else (optuna.Study, "tell")
        real, calls = getattr(owner, name), []

        def killed(*args, **options):
            calls.append(1)
            if len(calls) == (2 if where == "evaluating" else 6):
                raise KeyboardInterrupt
            return real(*args, **options)

        patch.setattr(owner, name, killed)
        with pytest.raises(KeyboardInterrupt):
            tune(bars, tmp_path / "b.journal", **options)
    with (tmp_path / "b.journal").open("ab") as file:
        file.write(b'{"op_code": 4, "cut o')
    resumed = tune(bars, tmp_path / "b.journal", **options)
    pd.testing.assert_frame_equal(resumed.trials, undisturbed.trials)
    assert resumed.best.id == undisturbed.best.id


def test_a_search_of_many_generations_goes_on_too(bars, tmp_path, monkeypatch):
    """With values that cost nothing: 350 generations, each of parents that follow from those before."""

    def costless(run, candidates):
        return {candidate.id: (int(candidate.id[:6], 16), int(candidate.id[6:9], 16)) for candidate in candidates}

    monkeypatch.setattr(search._Evaluation, "__call__", costless)
    rule = parse("trend on * 1h\nenter long when close > sma(close, 20)\nexit when close < ema(close, 50)\nsize all_in")

    def found(trials, storage=None):
        return optimize(rule, bars, trials=trials, objective=("sharpe", "calmar"), batch=2, seed=5, storage=storage).trials

    found(699, tmp_path / "a.journal")  # the last batch is half of what 700 trials ask for: the study is rebuilt
    pd.testing.assert_frame_equal(found(700, tmp_path / "a.journal"), found(700))


@pytest.mark.parametrize("garbled", [b'{"op_code": 4, "cut o', b"\0" * 300, b'\0\0\0"}\n{"op_code": 4}\n', b"\xff\xfe\n"])
def test_what_a_crash_garbled_at_the_end_of_a_journal_is_not_read(bars, tmp_path, garbled):
    path = tmp_path / "a.journal"
    undisturbed = tune(bars, path)
    whole = path.read_bytes()
    for kept in (len(whole), whole.rfind(b"\n", 0, len(whole) * 2 // 3) + 1):
        path.write_bytes(whole[:kept] + garbled)
        pd.testing.assert_frame_equal(tune(bars, path).trials, undisturbed.trials)
        assert garbled not in path.read_bytes()


def test_a_finished_search_is_read_not_run_again(bars, tmp_path, monkeypatch):
    first = tune(bars, tmp_path / "a.journal")
    monkeypatch.setattr(search, "backtest", lambda *args, **options: pytest.fail("it was run again"))
    pd.testing.assert_frame_equal(tune(bars, tmp_path / "a.journal").trials, first.trials)


def test_other_inputs_are_another_study_in_the_same_file(bars, tmp_path):
    tune(bars, tmp_path / "a.journal")
    other = tune(make_bars(seed=1), tmp_path / "a.journal")
    pd.testing.assert_frame_equal(other.trials, tune(make_bars(seed=1)).trials)


def test_several_objectives_make_a_front_that_nothing_beats(bars):
    study = tune(bars, objective=("sharpe", "max_drawdown"), trials=16)
    rows = study.trials[study.trials["state"] == "complete"].set_index("strategy_id")[["sharpe", "max_drawdown"]]
    for strategy in study.front:
        own = rows.loc[[strategy.id]].iloc[0]
        better = (rows["sharpe"] >= own.sharpe) & (rows["max_drawdown"] <= own.max_drawdown) & ((rows != own).any(axis=1))
        assert not better.any()
    assert study.best.id == study.front[0].id


def test_progress_is_told_after_each_batch(bars):
    told = []
    tune(bars, trials=6, progress=lambda done, of: told.append((done, of)))
    assert told == [(4, 6), (6, 6)]


def test_a_strategy_that_never_trades_is_returned_as_it_is(bars):
    idle = parse(TEXT.replace("crosses_above(sma(close, 20), sma(close, 50))", "close > 1000000000"))
    study = optimize(idle, bars, trials=1, workers=1)
    assert study.best == idle and np.isnan(study.value) and study.trials["state"].tolist() == ["failed"]


def test_folds_tile_the_end_of_the_span_without_their_purged_days():
    parts = Folds(3, purge=5).tests(403)
    assert [len(part) for part in parts] == [95, 95, 95]
    assert parts[-1][-1] == 402 and parts[1][0] == parts[0][-1] + 6
    with pytest.raises(OptimizationError, match="at least 20 days in each of 4 folds"):
        Folds(4).tests(100)


def test_a_fold_without_a_trade_is_left_out_of_the_median_and_too_many_make_it_undefined():
    assert median_over_folds(np.array([[1.0, np.nan, 3.0, 5.0], [1.0, np.nan, np.nan, np.nan]]))[0] == 3.0
    assert np.isnan(median_over_folds(np.array([[1.0, np.nan, np.nan, np.nan]]))[0])
    assert np.isnan(fold_values(np.zeros((1, 200)), "sharpe", Folds())).all()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"objective": "luck"}, "was luck"), ({"objective": ()}, "was none"), ({"objective": "sharp"}, "near: sharpe"),
        ({"objective": ("sharpe", "sharpe")}, "distinct"), ({"objective": 7}, "was 7"),
        ({"objective": ("sharpe", None)}, "was sharpe, None"),
        ({"sampler": "grid"}, "tpe, nsga2, nsga3, gp, cmaes, was 'grid'"), ({"sampler": "nsga"}, "near: nsga"), ({"sampler": ""}, "was ''"),
        ({"sampler": "cmaes", "objective": ("sharpe", "calmar")}, "one objective with cmaes"),
        ({"prune": True, "objective": ("sharpe", "calmar")}, "one objective with pruning"), ({"prune": "no"}, "was 'no'"),
        ({"trials": 0}, "at least 1 trial"), ({"trials": -8}, "was -8"), ({"trials": True}, "was True"), ({"trials": 2.5}, "was 2.5"),
        ({"trials": "many"}, "was 'many'"), ({"batch": 0}, "batch of at least 1"),
        ({"trials": 10_001}, "at most 10,000 trials a strategy with tpe, was 10,001"), ({"trials": 10**12}, "1,000,000,000,000"),
        ({"trials": 1_001, "sampler": "gp"}, "at most 1,000 trials a strategy with gp"),
    ],
)  # fmt: skip
def test_what_cannot_be_searched_is_refused_in_one_line_before_anything_runs(bars, monkeypatch, wrong, message):
    monkeypatch.setattr(search, "backtest", lambda *args, **options: pytest.fail("it was run"))
    with pytest.raises(OptimizationError) as refused:
        tune(bars, **wrong)
    assert message in str(refused.value) and "\n" not in str(refused.value)


def test_a_plan_has_the_default_sampler_of_its_objectives():
    assert plan_search(trials=3).sampler == "tpe"
    assert plan_search(trials=3, objective=["sharpe", "calmar"]).sampler == "nsga2"
    assert str(plan_search(trials=1200, objective=["sharpe"], sampler="cmaes", prune=True)) == "sharpe by cmaes in 1,200 trials, pruned"


@pytest.mark.parametrize("sampler", ["cmaes", "gp", "nsga3", "tpe", "nsga2"])
def test_a_batch_proposes_different_points_and_the_own_values_come_first(bars, sampler):
    study = tune(bars, sampler=sampler, trials=10, batch=5)
    assert study.trials["strategy_id"][0] == parse(TEXT).id
    for _, batch in study.trials.groupby("batch"):
        assert batch["params"].nunique() == len(batch)
    assert study.value >= study.value_before


def test_pruning_leaves_off_what_is_behind_and_changes_no_value(bars):
    pruned = tune(bars, prune=True, trials=32, batch=8)
    states = pruned.trials["state"].value_counts()
    assert states["pruned"] >= 8 and states["complete"] >= 8
    for _, batch in pruned.trials.groupby("batch"):
        assert (batch["state"] == "pruned").sum() <= len(batch) // 2
    assert pruned.trials.loc[pruned.trials["state"] == "pruned", "sharpe"].isna().all()
    complete = pruned.trials[pruned.trials["state"] == "complete"]
    plain = search._Evaluation(bars, ("sharpe",), Folds(), Costs(), "next_open", None, 1)
    found = [pruned.best] + [strategy for strategy in pruned.front if strategy.id in set(complete["strategy_id"])]
    values = plain(found)
    assert values[pruned.best.id][0] == pytest.approx(pruned.value, rel=1e-12)
    assert set(pruned.trials.loc[pruned.trials["state"] == "pruned", "strategy_id"]) <= set(pruned.strategy_ids)


@pytest.mark.parametrize("count, first", [(4, 1), (5, 2)])
def test_what_is_seen_of_the_first_folds_is_what_the_whole_run_says_of_them(bars, count, first):
    values = np.random.default_rng(3).standard_normal(bars.close.shape)
    strategy = parse(TEXT.replace("crosses_above(", "own.signal > -1 and crosses_above("))
    folds = Folds(count)
    run = search._Evaluation(
        bars, ("sharpe",), folds, Costs(), "next_open", {"own.signal": values}, 1, True, np.full(bars.close.shape, 1e-5)
    )
    whole = backtest([strategy], bars, series=run.series, funding=run.funding, workers=1).daily_returns
    expected = np.median(fold_values(whole, "sharpe", folds)[0, :first])
    assert run.first_folds([strategy])[strategy.id] == pytest.approx(expected, rel=1e-9)


def test_whole_numbers_stay_whole_and_every_number_stays_within_its_bounds(bars):
    space = {parameter.path: parameter for parameter in parameters(parse(TEXT))}
    for sampler in ("tpe", "cmaes"):
        for text in tune(bars, sampler=sampler, trials=40, batch=20).trials["params"]:
            for path, number in (part.rsplit("=", 1) for part in text.split(", ")):
                assert space[path].low <= float(number) <= space[path].high
                assert space[path].kind == "float" or float(number) == int(float(number))


def test_what_one_batch_computed_the_next_does_not_compute_again(bars, monkeypatch):
    made = []
    monkeypatch.setattr(search, "backtest", lambda *args, bank, **options: (made.append(bank), backtest(*args, bank=bank, **options))[1])
    tune(bars, trials=24, batch=8)
    assert len(made) == 3 and len(set(map(id, made))) == 1
    kept = made[0].computed
    backtest([parse(TEXT)], bars, bank=made[0], workers=1)
    assert made[0].computed == kept


def test_where_nothing_trades_is_proposed_less_than_by_a_sampler_that_forgets_it(bars, monkeypatch):
    rare = parse(TEXT.replace("crosses_above(", "zscore(close, 40) > 1 and crosses_above("))  # no entry where the threshold is high

    def wasted():
        studies = [optimize(rare, bars, trials=48, batch=8, seed=seed, workers=1) for seed in (1, 2, 3)]
        return sum((study.trials["state"] == "failed").sum() for study in studies)

    learned, tell = wasted(), optuna.Study.tell
    forgotten = {optuna.trial.TrialState.PRUNED: optuna.trial.TrialState.FAIL}
    monkeypatch.setattr(optuna.Study, "tell", lambda *args, state=None: tell(*args, state=forgotten.get(state, state)))
    assert 0 < learned < wasted()
