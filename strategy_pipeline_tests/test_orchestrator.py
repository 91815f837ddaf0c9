"""The four calls that other people's code makes, on a home one day old, at a moment an hour into the next."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from strategy_pipeline import Orchestrator, Settings, Strategy
from strategy_pipeline.cycle import predictions, strategies
from strategy_pipeline.errors import NoDataError, PipelineError, StrategyError, UnknownSymbolError
from strategy_pipeline.orchestrator import as_dict, as_plain
from strategy_pipeline.selection import TrialsLedger

NOW = pd.Timestamp("2025-06-30 01:00", tz="UTC")
DAY = (NOW - pd.Timedelta(days=1)).date()


@pytest.fixture(scope="module")
def orchestrator(tiny_copy: Path) -> Orchestrator:
    return Orchestrator(Settings(home=tiny_copy, profile="tiny"), now=lambda: NOW)


def test_signals_are_as_of_the_last_closed_bar_and_expire(orchestrator: Orchestrator) -> None:
    signals = asyncio.run(orchestrator.get_trading_signals())
    assert [s.symbol for s in signals] == list(orchestrator.workspace.symbols)
    for signal in signals:
        assert signal.as_of == pd.Timestamp("2025-06-30", tz="UTC")
        assert signal.as_of <= NOW < signal.valid_until
        assert signal.price == orchestrator.workspace.bars(DAY).close[orchestrator.workspace.symbols.index(signal.symbol), -1]
        assert signal.reason
        assert signal.priced_on == signal.symbol
        assert {"agent.ppo", "agent.dqn", "agent.sac"} <= set(signal.votes)
        assert "forecast.return_24h" in signal.predictions


def test_another_quote_is_answered_by_the_base_with_a_warning(orchestrator: Orchestrator) -> None:
    asked = ["ETH/USDC", "BTC/USDT"]
    other, own = asyncio.run(orchestrator.get_trading_signals(asked))
    assert [other.symbol, own.symbol] == asked
    assert other.priced_on == "ETH/USDT"
    assert "ETH/USDC" in other.warning and "ETH/USDT" in other.warning
    assert own.warning == ""


def test_a_symbol_that_is_not_held_is_named(orchestrator: Orchestrator) -> None:
    with pytest.raises(UnknownSymbolError, match=r"BTC/USDT.*was 'PEPE/USDT'"):
        asyncio.run(orchestrator.get_trading_signals(["PEPE/USDT"]))


def test_generated_strategies_are_distinct_of_the_family_stored_and_repeatable(orchestrator: Orchestrator) -> None:
    ids = asyncio.run(orchestrator.generate_new_strategies(count=12, strategy_types=["momentum"]))
    assert len(set(ids)) == 12
    found = strategies.strategies_of(orchestrator.workspace, ids)
    assert all(isinstance(s, Strategy) and s.family == "momentum" for s in found)
    assert asyncio.run(orchestrator.generate_new_strategies(count=12, strategy_types=["momentum"])) == ids
    assert asyncio.run(orchestrator.generate_new_strategies(count=12, strategy_types=["momentum"], seed=5)) != ids


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"count": 0}, "count of 1 or more"), ({"strategy_types": ["astrology"]}, "astrology"), ({"methods": ["magic"]}, "magic")],
)
def test_a_request_that_cannot_be_met_says_why(orchestrator: Orchestrator, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(StrategyError, match=message):
        asyncio.run(orchestrator.generate_new_strategies(**{"count": 3, **arguments}))  # type: ignore[arg-type]


def test_what_a_search_evaluated_reaches_the_ledger_once(orchestrator: Orchestrator) -> None:
    from strategy_pipeline import generation
    from strategy_pipeline.cycle.workspace import costs_of

    workspace = orchestrator.workspace
    before = strategies.ledger_of(workspace, DAY).ids(strategies.SEARCH)
    ask = {"count": 6, "methods": ["genetic", "ensemble"], "seed": 3}
    ids = asyncio.run(orchestrator.generate_new_strategies(**ask))
    # The same search by itself, on the training span, with a recorder of its own.
    past = workspace.bars(DAY).between(None, strategies.spans(workspace, DAY).train_end)
    values = {name: array[:, : past.n_bars] for name, array in predictions.named_series(workspace, DAY).items()}
    ledger = TrialsLedger()
    search = generation.SearchSettings(costs=costs_of(workspace), values=values, record=generation.recorder(ledger, "daily", day=DAY))
    made = generation.draw(6, past, methods=ask["methods"], seed=3, series=sorted(values), search=search).strategies
    assert [strategy.id for strategy in made] == ids
    rows = strategies.ledger_of(workspace, DAY).to_frame().set_index("strategy_id")
    own = ledger.to_frame().set_index("strategy_id")
    assert set(own["origin"]) == {"genetic", "ensemble"} and set(ids) <= set(own.index)
    assert set(rows.index) == before | set(own.index) and rows.index.is_unique
    fresh = sorted(set(own.index) - before)
    assert rows.loc[fresh, "origin"].isin(["genetic", "ensemble"]).all()
    assert len(own) > 1200  # both searches in full, not the six that were handed over
    asyncio.run(orchestrator.generate_new_strategies(**ask))
    assert strategies.ledger_of(workspace, DAY).ids(strategies.SEARCH) == before | set(own.index)


def test_no_two_of_those_asked_for_enter_on_nearly_the_same_bars(orchestrator: Orchestrator) -> None:
    from strategy_pipeline.backtest import backtest

    workspace = orchestrator.workspace
    ids = asyncio.run(orchestrator.generate_new_strategies(count=40, strategy_types=["momentum", "trend"]))
    past = workspace.bars(DAY).between(None, strategies.spans(workspace, DAY).train_end)
    found = strategies.strategies_of(workspace, ids)
    series = {name: array[:, : past.n_bars] for name, array in predictions.named_series(workspace, DAY).items()}
    result = backtest([replace(s, stop=None, take=None, trail=None, hold=1, cooldown=None, breakeven=None, exit_long=None, exit_short=None)
                       for s in found], past, series=series)  # fmt: skip
    entries = [frozenset((t.symbol, t.entry, t.side) for t in result.trades(i).itertuples()) for i in result.strategy_ids]
    pairs = [(a, b) for k, a in enumerate(entries) for b in entries[:k] if a | b]
    assert len(pairs) > 500
    assert max(len(a & b) / len(a | b) for a, b in pairs) < 0.99


@pytest.mark.parametrize("count", [0, -3, 2_000_000, True, 1.5, "many"])
def test_a_count_that_cannot_be_is_refused_before_anything_runs(count: object, tmp_path: Path) -> None:
    fresh = Orchestrator(Settings(home=tmp_path / "home", profile="tiny"), now=lambda: NOW)
    with pytest.raises(StrategyError, match="count|at most 1,000,000"):
        asyncio.run(fresh.generate_new_strategies(count=count))  # type: ignore[arg-type]
    assert not (tmp_path / "home" / "universes").exists()


def test_tuned_strategies_are_trials_of_the_day_and_candidates_of_the_next(orchestrator: Orchestrator) -> None:
    workspace = orchestrator.workspace
    asked = sorted(s.id for s in strategies.population(workspace, DAY))[:2]
    before = set(strategies.ledger_of(workspace, DAY).to_frame()["strategy_id"])
    earlier = {s.id for s in strategies.requested(workspace, DAY)}  # of tests that share the home
    trials: set[str] = set()
    tuned: set[str] = set()
    for strategy_id in asked:  # two requests of one day: the second must not replace the first
        frame = asyncio.run(orchestrator.optimize_strategies([strategy_id]))
        assert frame["strategy_id"].tolist() == [strategy_id]
        tuned |= set(frame["tuned_id"])
        rows = strategies.ledger_of(workspace, DAY).to_frame()
        assert trials <= set(rows.loc[rows["origin"].str.startswith("requested"), "strategy_id"])
        trials = set(rows.loc[rows["origin"].str.startswith("requested"), "strategy_id"])
        assert trials
    assert trials - before
    assert strategies.ledger_of(workspace, DAY).count(strategies.SEARCH) == len(before | trials)
    known = {s.id for s in strategies.population(workspace, DAY)}
    assert {s.id for s in strategies.requested(workspace, DAY)} == earlier | (tuned - known)
    again = asyncio.run(orchestrator.optimize_strategies(asked[-1:]))
    assert set(again["tuned_id"]) <= tuned
    assert strategies.ledger_of(workspace, DAY).count(strategies.SEARCH) == len(before | trials)


def test_nothing_active_is_nothing_tuned(orchestrator: Orchestrator) -> None:
    assert strategies.book_of(orchestrator.workspace, DAY).active == ()
    assert asyncio.run(orchestrator.optimize_strategies()).empty


def test_tuning_a_strategy_that_is_not_stored_is_refused(orchestrator: Orchestrator) -> None:
    with pytest.raises(StrategyError, match="0000000000000000 in the store, was absent"):
        asyncio.run(orchestrator.optimize_strategies(["0000000000000000"]))


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        ({"objective": "luck"}, "sharpe, sortino, calmar, omega, max_drawdown, was luck"), ({"objective": ["calmer"]}, "near: calmar"),
        ({"objective": []}, "was none"), ({"sampler": "grid"}, "tpe, nsga2, nsga3, gp, cmaes, was 'grid'"), ({"trials": 0}, "was 0"),
        ({"trials": -5}, "was -5"), ({"trials": 10**9}, "at most 10,000 trials"), ({"trials": True}, "was True"),
        ({"trials": 1.5}, "was 1.5"), ({"sampler": "gp", "trials": 2_000}, "at most 1,000 trials"), ({"seed": -1}, "was -1"),
        ({"sampler": "cmaes", "objective": ["sharpe", "calmar"]}, "one objective with cmaes"), ({"ids": "0000"}, "ids as a list"),
    ],
)  # fmt: skip
def test_a_tuning_that_cannot_be_met_is_refused_in_one_line_before_anything_runs(
    request_: dict[str, object], says: str, tmp_path: Path
) -> None:
    fresh = Orchestrator(Settings(home=tmp_path / "home", profile="tiny"), now=lambda: NOW)
    with pytest.raises(PipelineError) as refused:
        asyncio.run(fresh.optimize_strategies(**request_))  # type: ignore[arg-type]
    assert says in str(refused.value) and "\n" not in str(refused.value)
    assert not (tmp_path / "home" / "universes").exists()


def test_a_strategy_that_is_not_stored_is_named_before_a_day_is_run_for_it(tmp_path: Path) -> None:
    empty = Orchestrator(Settings(home=tmp_path, profile="tiny"), now=lambda: NOW)
    with pytest.raises(StrategyError, match="0000000000000000 in the store, was absent"):
        asyncio.run(empty.optimize_strategies(["0000000000000000"]))
    assert empty.workspace.lake.list("records") == []


def test_the_report_covers_the_book_and_names_the_page(orchestrator: Orchestrator) -> None:
    report = asyncio.run(orchestrator.get_performance_report(days=10))
    assert report.day == DAY
    page = Path(report.html).read_text(encoding="utf-8")
    assert "SAMPLE MARKET" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    book = strategies.book_of(orchestrator.workspace, DAY)
    assert set(report.strategies["strategy_id"]) == set(book.ids())
    assert (report.strategies["days"] <= 10).all()
    results, _ = strategies.everything_run(orchestrator.workspace, DAY)
    for row in report.strategies.itertuples():
        last = results.returns[results.ids.index(row.strategy_id), -10:]
        assert row.total_return == pytest.approx((1 + last[last == last]).prod() - 1)
    assert set(report.transitions["strategy_id"]) == set(book.ids())
    assert report.summary["trials"] == orchestrator.workspace.require("evidence", DAY).facts["trials"]


def test_calls_at_once_answer_as_calls_in_turn_and_leave_the_loop_free(orchestrator: Orchestrator) -> None:
    async def both() -> tuple[list, object, int]:
        beats = 0

        async def beat() -> None:
            nonlocal beats
            while True:
                beats += 1
                await asyncio.sleep(0.001)

        heart = asyncio.create_task(beat())
        signals, report, ids = await asyncio.gather(
            orchestrator.get_trading_signals(), orchestrator.get_performance_report(), orchestrator.generate_new_strategies(5, ["trend"])
        )
        heart.cancel()
        assert len(ids) == 5
        return signals, report, beats

    signals, report, beats = asyncio.run(both())
    assert [as_dict(s) for s in signals] == [as_dict(s) for s in asyncio.run(orchestrator.get_trading_signals())]
    assert report.day == DAY
    assert beats > 1


def test_two_orchestrators_of_one_home_take_turns(orchestrator: Orchestrator) -> None:
    other = Orchestrator(orchestrator.settings, now=lambda: NOW)
    found: list[int] = []

    def ask(asked: Orchestrator) -> None:
        found.append(len(asyncio.run(asked.get_trading_signals())))

    threads = [threading.Thread(target=ask, args=(one,)) for one in (orchestrator, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [3, 3]


def test_an_unknown_symbol_in_the_settings_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    asked = Orchestrator(Settings(home=tmp_path / "home", profile="tiny", symbols=["BTX/USDT"]), now=lambda: NOW)
    with pytest.raises(UnknownSymbolError, match="BTX/USDT"):
        asyncio.run(asked.get_trading_signals())
    assert not (tmp_path / "home").exists()


def test_errors_are_the_pipelines_own(tmp_path: Path) -> None:
    nowhere = Orchestrator(Settings(home=tmp_path / "home", source="files", data=tmp_path / "nowhere"), now=lambda: NOW)
    with pytest.raises(PipelineError):
        asyncio.run(nowhere.get_performance_report())
    assert issubclass(NoDataError, PipelineError)


def test_plain_values_are_strict_json() -> None:
    value = {"a": float("nan"), "b": [float("inf"), 1.5], "c": {"d": pd.Timestamp("2025-06-30", tz="UTC")}, "e": pd.NaT, "f": "NaN"}
    assert json.loads(json.dumps(as_plain(value), allow_nan=False)) == {
        "a": None, "b": [None, 1.5], "c": {"d": "2025-06-30T00:00:00+00:00"}, "e": None, "f": "NaN",
    }  # fmt: skip
