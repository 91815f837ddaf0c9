"""The lifecycle: nothing becomes active but on fresh forward returns, and every change has its reason."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest

from strategy_pipeline.book import STATES, Book, BookError, BookRules, BookVersionError, lifecycles
from strategy_pipeline.book.entry import FOLLOWS
from strategy_pipeline.book.judging import drawdown_band

START = dt.date(2025, 1, 1)


@dataclass(frozen=True)
class Look:
    strategy_id: str
    verdict: str = "promoted"
    reasons: tuple[str, ...] = ("StepM p after costs = 0.01 <= 0.07",)
    t_statistic: float = 4.0
    active_day_volatility: float = 0.01


def day(k: int) -> dt.date:
    return START + dt.timedelta(days=k)


def paper(n_days: int, seed: int = 0, **annual: float) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    columns = {sid: 0.01 * (rng.standard_normal(n_days) + ratio / math.sqrt(365)) for sid, ratio in annual.items()}
    return pd.DataFrame(columns, index=pd.date_range(START, periods=n_days, tz="UTC"))


def run(book: Book, first: int, last: int, returns: pd.DataFrame, **options) -> tuple[Book, pd.DataFrame]:
    """Advances from `first` through `last`, each day seeing returns through itself only."""
    history = []
    for k in range(first, last + 1):
        book, transitions = book.advance(day(k), paper_returns=returns.iloc[: k + 1], **options)
        if len(transitions) or k == first:
            history.append(transitions)
    return book, pd.concat(history, ignore_index=True)


def test_the_first_day_starts_empty_and_a_validated_strategy_incubates_the_next():
    book, transitions = Book().advance(START, evidence=[Look("a")])
    assert book.entries["a"].state == "validated" and book.active == ()
    assert transitions.to_dict("records")[0] | {"day": None} == {
        "day": None, "strategy_id": "a", "from_state": "candidate", "to_state": "validated", "reason": "StepM p after costs = 0.01 <= 0.07",
    }  # fmt: skip
    book, transitions = book.advance(day(1), evidence=[Look("a")])
    assert transitions.to_state.tolist() == ["incubating"] and "e-value" in transitions.reason[0]


def test_an_edge_becomes_active_only_after_enough_fresh_days():
    returns = paper(365, seed=3, a=6.0)
    book, _ = Book().advance(START, evidence=[Look("a")])
    book, history = run(book, 1, 300, returns)
    assert history.to_state.tolist()[:2] == ["incubating", "active"]
    reason = history.reason[1]
    assert "forward e-value" in reason and ">= 16.4" in reason
    assert 0 < book.entries["a"].band < 1 and book.entries["a"].track.floor > 0


def test_returns_through_the_look_never_count():
    """However good the past, the forward record starts at the look: same states with and without it."""
    returns = paper(200, seed=4, a=0.0)
    glorious = returns.copy()
    glorious.iloc[:101] = 0.05
    states = []
    for frame in (returns, glorious):
        book, _ = Book(day=day(99)).advance(day(100), evidence=[Look("a")], paper_returns=frame.iloc[:101])
        book, _ = run(book, 101, 199, frame)
        states.append((book.entries["a"].state, book.entries["a"].track))
    assert states[0] == states[1]


def test_null_strategies_hardly_ever_become_active():
    active = 0
    for seed in range(4):
        returns = paper(120, seed=seed, **{f"n{k}": 0.0 for k in range(6)})
        book, _ = Book().advance(START, evidence=[Look(sid) for sid in returns])
        book, history = run(book, 1, 119, returns)
        active += bool((history.to_state == "active").any())
    assert active <= 1


def test_a_watched_strategy_has_no_direct_way_to_active():
    returns = paper(300, seed=3, w=8.0)
    book, _ = Book().advance(START, evidence=[Look("w", "watchlist")])
    book, history = run(book, 1, 179, returns)
    assert book.entries["w"].state == "watchlist" and history.empty and book.entries["w"].track.sharpe > 3
    book, transitions = book.advance(day(180), paper_returns=returns.iloc[:181], evidence=[Look("w", "watchlist")])
    assert transitions.to_state.tolist() == ["retired"] and "180 days" in transitions.reason[0]
    assert all("active" not in FOLLOWS[state] for state in ("candidate", "watchlist", "validated"))


def test_a_new_look_validates_a_watched_strategy_and_starts_its_record_afresh():
    returns = paper(60, seed=3, w=8.0)
    book, _ = Book().advance(START, evidence=[Look("w", "watchlist")])
    book, _ = run(book, 1, 49, returns)
    book, transitions = book.advance(day(50), evidence=[Look("w")], paper_returns=returns.iloc[:51])
    assert transitions.to_state.tolist() == ["validated"]
    assert book.entries["w"].track.days == 0 and book.entries["w"].looked_on == day(50)


def active_book(returns: pd.DataFrame, last: int, rules: BookRules | None = None) -> Book:
    book, _ = Book().advance(START, evidence=[Look(sid) for sid in returns], rules=rules)
    book, _ = run(book, 1, last, returns, rules=rules)
    return book


def test_a_crash_beyond_the_band_leads_to_probation_and_out():
    returns = paper(400, seed=3, a=6.0)
    book = active_book(returns, 250)
    assert book.active == ("a",)
    returns.iloc[251:] = -0.01
    book, history = run(book, 251, 330, returns)
    assert history.to_state.tolist() == ["probation", "retired"]
    assert "beyond its Monte Carlo band" in history.reason[0] or "decay" in history.reason[0]
    again, transitions = book.advance(day(331), evidence=[Look("a")])
    assert again.entries["a"].state == "retired" and transitions.empty


def test_a_strategy_that_recovers_comes_back():
    returns = paper(400, seed=3, a=6.0)
    book = active_book(returns, 250)
    entry = book.entries["a"]
    book = Book({"a": replace(entry, state="probation", since=day(250))}, book.day)
    returns.iloc[251:] = np.abs(returns.iloc[251:])
    book, history = run(book, 251, 275, returns)
    assert history.to_state.tolist() == ["active"] and "recovered" in history.reason[0]


def test_a_copy_of_an_active_strategy_waits_and_says_why():
    returns = paper(400, seed=3, a=6.0)
    returns["b"] = returns["a"] * 1.01
    book = active_book(returns, 300)
    states = {sid: entry.state for sid, entry in book.entries.items()}
    assert sorted(states.values()) == ["active", "incubating"]
    waiting = next(entry for entry in book.entries.values() if entry.state == "incubating")
    assert "correlation 1.00 > 0.8 with active" in waiting.reason


def test_no_more_than_the_cap_are_active_and_the_worst_is_replaced():
    returns = paper(400, seed=3, a=6.0, b=14.0)
    rules = BookRules(max_active=1)
    book, _ = Book().advance(START, evidence=[Look("a")], rules=rules)
    book, _ = run(book, 1, 150, returns, rules=rules)
    assert book.active == ("a",)
    book, _ = book.advance(day(151), evidence=[Look("b")], paper_returns=returns.iloc[:152], rules=rules)
    book, after = run(book, 152, 399, returns, rules=rules)
    balance = after.to_state.eq("active").astype(int) - after.from_state.eq("active").astype(int)
    assert (1 + balance.groupby(after.day).sum().cumsum()).max() == 1
    assert book.active == ("b",) and after.reason.str.contains("replaced by b").any()


def test_a_recovered_strategy_waits_for_room():
    returns = paper(300, seed=3, a=6.0)
    book = active_book(returns, 150)
    returns["b"] = paper(300, seed=8, b=6.0)["b"]
    other = replace(book.entries["a"], strategy_id="b", state="probation", since=day(150), order=2)
    book = Book({**book.entries, "b": other}, book.day)
    returns.iloc[151:] = np.abs(returns.iloc[151:])
    rules = BookRules(max_active=1, probation_days=60)
    book, history = run(book, 151, 215, returns, rules=rules)
    assert history.to_state.tolist() == ["retired"] and "but 1 others are active after 60 days" in history.reason[0]


def test_what_never_proves_itself_is_retired():
    returns = paper(200, seed=5, a=-1.0)
    book, _ = Book().advance(START, evidence=[Look("a")])
    _, history = run(book, 1, 150, returns, rules=BookRules(incubation_days=100))
    assert history.to_state.tolist() == ["incubating", "retired"] and "not proved within 100 days" in history.reason[1]


def test_every_transition_is_allowed_and_there_is_one_a_day():
    rng = np.random.default_rng(1)
    returns = paper(300, seed=9, **{f"s{k}": float(rng.uniform(-3, 9)) for k in range(8)})
    returns.iloc[200:] *= -1
    book, _ = Book().advance(START, evidence=[Look(sid) for sid in returns])
    rules = BookRules(max_active=3, incubation_days=200, probation_days=30)
    book, history = run(book, 1, 299, returns, rules=rules)
    assert all(row.to_state in FOLLOWS[row.from_state] for row in history.itertuples())
    assert not history.duplicated(["day", "strategy_id"]).any()
    assert (history.reason.str.len() > 10).all() and history.to_state.isin(STATES).all()
    assert (history.to_state == "retired").any()


def test_a_book_survives_its_frame_and_parquet(tmp_path):
    returns = paper(300, seed=3, a=6.0, b=0.0)
    book, _ = Book().advance(START, evidence=[Look("a"), Look("b"), Look("w", "watchlist")])
    book, _ = run(book, 1, 200, returns)
    book.to_frame().to_parquet(tmp_path / "book.parquet")
    again = Book.from_frame(pd.read_parquet(tmp_path / "book.parquet"))
    pd.testing.assert_frame_equal(again.to_frame(), book.to_frame())
    one, _ = run(book, 201, 220, returns)
    other, _ = run(again, 201, 220, returns)
    pd.testing.assert_frame_equal(one.to_frame(), other.to_frame())


def test_an_empty_book_survives_its_frame():
    book, transitions = Book().advance(START)
    assert Book.from_frame(book.to_frame()).entries == {} and list(transitions.columns) == [
        "day", "strategy_id", "from_state", "to_state", "reason",
    ]  # fmt: skip


def test_another_version_or_a_broken_frame_is_refused():
    frame = Book().advance(START, evidence=[Look("a")])[0].to_frame()
    with pytest.raises(BookVersionError, match="version 3, was 9"):
        Book.from_frame(frame.assign(version=9))
    with pytest.raises(BookVersionError, match="without state"):
        Book.from_frame(frame.drop(columns="state"))
    with pytest.raises(BookError, match="repeated"):
        Book.from_frame(pd.concat([frame, frame]))
    with pytest.raises(BookError, match="was 'asleep'"):
        Book.from_frame(frame.assign(state="asleep"))
    with pytest.raises(BookVersionError, match="was next"):
        Book.from_frame(frame.assign(version="next"))
    for column, lost in (("strategy_id", None), ("looked_on", pd.NaT), ("order", np.nan)):
        with pytest.raises(BookError, match=f"{column} in every row of a strategy book, was without it in row 0"):
            Book.from_frame(frame.assign(**{column: pd.Series([lost])}))


def test_days_out_of_order_are_refused():
    book, _ = Book().advance(START)
    for wrong in (0, 2, -3):
        with pytest.raises(BookError, match="the day after the book's"):
            book.advance(day(wrong))


def test_days_after_the_day_are_not_read():
    returns = paper(120, seed=3, a=6.0)
    book, _ = Book().advance(START, evidence=[Look("a")])
    seen, _ = book.advance(day(1), paper_returns=returns)
    cut, _ = book.advance(day(1), paper_returns=returns.iloc[:2])
    pd.testing.assert_frame_equal(seen.to_frame(), cut.to_frame())


def test_the_band_is_the_quantile_of_resampled_drawdowns():
    rules = BookRules(band_days=100, band_resamples=2000)
    values = 0.01 * np.random.default_rng(0).standard_normal(2000)
    band = drawdown_band(values, rules, seed=1, key="a")
    paths = np.cumsum(np.random.default_rng(1).permuted(np.tile(values[:2000], (500, 1)), axis=1)[:, :100], axis=1)
    plain = np.quantile(1 - np.exp((paths - np.maximum.accumulate(np.maximum(paths, 0), axis=1)).min(axis=1)), 0.95)
    assert band == pytest.approx(plain, rel=0.15)
    assert math.isnan(drawdown_band(values[:10], rules, seed=1, key="a"))


def test_rules_that_make_no_sense_are_refused():
    for wrong in ({"max_active": 0}, {"error": 1.0}, {"decay_days": 1.0}, {"cost_share": -0.1}):
        with pytest.raises(BookError):
            BookRules(**wrong)


def test_costs_that_drift_lead_to_probation_and_say_how_much() -> None:
    returns = paper(400, seed=3, a=6.0)
    book = active_book(returns, 250)
    excess = pd.DataFrame({"a": 0.001 + 1e-4 * np.random.default_rng(0).standard_normal(400)}, index=returns.index)
    excess.iloc[:251] = 9.0  # before it was active nobody paid anything: never read
    for k in range(251, 290):
        book, moved = book.advance(day(k), paper_returns=returns.iloc[: k + 1], excess_costs=excess)
        if len(moved):
            break
    assert moved.to_state.tolist() == ["probation"] and "cost drift: 3" in moved.reason[0] and "25% of its forward" in moved.reason[0]
    assert k < 290 and book.entries["a"].costs.days == 0


def test_small_or_balanced_differences_of_costs_change_nothing() -> None:
    returns = paper(400, seed=3, a=6.0)
    rng = np.random.default_rng(1)
    small = pd.DataFrame({"a": np.full(400, 1e-6)}, index=returns.index)
    balanced = pd.DataFrame({"a": 5e-4 * rng.standard_normal(400)}, index=returns.index)
    for excess in (small, balanced):
        book = active_book(returns, 250)
        for k in range(251, 330):
            book, moved = book.advance(day(k), paper_returns=returns.iloc[: k + 1], excess_costs=excess)
            assert not moved.reason.str.contains("cost").any()


def test_the_whole_history_can_be_read_from_the_transitions() -> None:
    returns = paper(400, seed=3, a=6.0, b=-2.0)
    rules = BookRules(incubation_days=150)
    book, first = Book().advance(START, evidence=[Look("a"), Look("b")])
    parts = [first]
    for k in range(1, 260):
        book, moved = book.advance(day(k), paper_returns=returns.iloc[: k + 1], rules=rules)
        parts.append(moved)
    history = pd.concat(parts, ignore_index=True)
    lives = lifecycles(history.sample(frac=1, random_state=0), book.day)
    assert lives[lives.strategy_id == "b"].state.tolist() == ["validated", "incubating", "retired"]
    assert lives[lives.strategy_id == "a"].state.tolist()[:3] == ["validated", "incubating", "active"]
    assert lives.groupby("strategy_id").days.sum().tolist() == [259.0, 259.0]
    last = lives.groupby("strategy_id").tail(1)
    assert last.until.isna().all() and last.state.tolist() == [book.entries[sid].state for sid in last.strategy_id]
    with pytest.raises(BookError, match="missing or repeated"):
        lifecycles(history.iloc[1:])
    with pytest.raises(BookError, match="missing or repeated"):
        lifecycles(pd.concat([history, history]))
    assert lifecycles(history.iloc[:0]).empty


def test_books_of_earlier_versions_are_read_and_keep_what_their_evidence_is_worth() -> None:
    returns = paper(120, seed=3, a=6.0)
    book, _ = Book().advance(START, evidence=[Look("a")])
    book, _ = run(book, 1, 100, returns)
    frame = book.to_frame()
    wealths = [name for name in frame if name.startswith("track_log_wealth")]
    three_bets = frame.drop(columns=wealths).assign(version=2, track_log_wealth_0=0.1, track_log_wealth_1=0.2, track_log_wealth_2=0.3)
    old = three_bets.assign(version=1).drop(columns=[name for name in frame if name.startswith("costs_")])
    for earlier in (three_bets, old):
        again = Book.from_frame(earlier)
        assert again.entries["a"].track.log_e == pytest.approx(book.entries["a"].track.log_e, abs=1e-12)
        pd.testing.assert_frame_equal(again.to_frame().drop(columns=wealths), frame.drop(columns=wealths))
    empty = Book().to_frame()
    assert Book.from_frame(empty.drop(columns=[name for name in empty if name.startswith("costs_")])).entries == {}


def test_what_moves_with_a_tested_strategy_takes_no_share_of_the_error() -> None:
    returns = paper(200, seed=3, a=6.0, c=6.0)
    returns["b"] = returns["a"] * 1.01
    book, moved = Book().advance(START, evidence=[Look("a")], paper_returns=returns.iloc[:1])
    book, _ = run(book, 1, 60, returns)
    book, moved = book.advance(day(61), evidence=[Look("b"), Look("c")], paper_returns=returns.iloc[:62])
    states = {sid: entry.state for sid, entry in book.entries.items()}
    assert states == {"a": "incubating", "b": "watchlist", "c": "validated"} and book.validated_count == 2
    assert "promoted, but correlation 1.00 > 0.8 with incubating a" in moved.set_index("strategy_id").reason["b"]
    book, moved = book.advance(day(62), evidence=[Look("b")], paper_returns=returns.iloc[:63])
    assert book.entries["b"].state == "watchlist" and "b" not in moved.strategy_id.tolist()
