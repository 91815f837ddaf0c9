"""`Book`: every strategy that was ever followed, and the day that changes their states."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from strategy_pipeline.book import frames, judging
from strategy_pipeline.book.entry import FOLLOWS, BookError, BookRules, Entry, State
from strategy_pipeline.book.likeness import correlations
from strategy_pipeline.book.sequential import DAYS_PER_YEAR, CostWatch, Track

_FOLLOWED: tuple[State, ...] = ("validated", "incubating", "active", "probation", "watchlist")


class Judged(Protocol):
    """What the book reads of a strategy's evidence (`selection.Evidence` has it)."""

    @property
    def strategy_id(self) -> str: ...
    @property
    def verdict(self) -> str: ...
    @property
    def reasons(self) -> tuple[str, ...]: ...
    @property
    def t_statistic(self) -> float: ...
    @property
    def active_day_volatility(self) -> float: ...


@dataclass(frozen=True)
class Book:
    """The strategy book at the end of `day`. Immutable: `advance` gives tomorrow's.

    entries
        By strategy id. Retired strategies stay: an id that failed once does not come back.
    day
        Last day it was advanced to; None for the empty book that the first day starts from.
    """

    entries: Mapping[str, Entry] = field(default_factory=dict)
    day: dt.date | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "entries", MappingProxyType(dict(sorted(self.entries.items()))))

    def ids(self, *states: State) -> tuple[str, ...]:
        """Ids in these states (default: in any), sorted."""
        return tuple(sid for sid, entry in self.entries.items() if not states or entry.state in states)

    @property
    def active(self) -> tuple[str, ...]:
        return self.ids("active")

    @property
    def followed(self) -> tuple[str, ...]:
        """Ids whose paper returns the next `advance` wants: everything not retired."""
        return self.ids(*_FOLLOWED)

    def barred(self, returns: pd.DataFrame, *, rules: BookRules | None = None) -> dict[str, str]:
        """Which of these strategies a search should not look at again, and why: id to one line, in the order of the columns.

        returns
            Daily returns over training days (a look is chosen before validation is read): index days, columns ids, fractions,
            NaN where a strategy is not judged. Columns of the book's own strategies let their near-copies be seen.

        Barred is what was validated before, whatever became of it, and what correlates above `max_correlation` with such a
        strategy: a look at it would prove, or refute, the same idea again. The watchlist may be looked at.
        """
        rules = rules or BookRules()
        columns = [str(sid) for sid in returns.columns]
        known = [sid for sid in columns if sid in self.entries and self.entries[sid].state != "watchlist"]
        found = {sid: f"{self.entries[sid].state} since {self.entries[sid].since}" for sid in known}
        others = [sid for sid in columns if sid not in found]
        if known and others:
            values = returns.set_axis(columns, axis=1)
            matrix = correlations(
                values[others].to_numpy(dtype=np.float64), values[known].to_numpy(dtype=np.float64), least=rules.min_common_days
            )
            best = np.where(np.isnan(matrix), -np.inf, matrix)
            for row, column in enumerate(best.argmax(axis=1)):
                if best[row, column] > rules.max_correlation:
                    twin = known[int(column)]
                    why = f"correlation {best[row, column]:.2f} > {rules.max_correlation:g} with {self.entries[twin].state} {twin}"
                    found[others[row]] = why
        return {sid: found[sid] for sid in columns if sid in found}

    @property
    def validated_count(self) -> int:
        """How many strategies were ever validated."""
        return max((entry.order for entry in self.entries.values()), default=0)

    def advance(
        self,
        day: dt.date,
        *,
        evidence: Iterable[Judged] = (),
        paper_returns: pd.DataFrame | None = None,
        excess_costs: pd.DataFrame | None = None,
        rules: BookRules | None = None,
        seed: int = 0,
    ) -> tuple[Book, pd.DataFrame]:
        """The book one day later and what changed.

        evidence
            Of the strategies the day's search looked at, from data through `day`.
        paper_returns
            Net daily returns of the followed strategies under paper trading: index days, columns ids, fractions,
            NaN where a strategy is not judged. Days up to and including the look a strategy was validated by, days already
            counted and days after `day` are not read for its tests; the whole record through `day` gives
            correlations and the drawdown band.
        excess_costs
            What was paid beyond the costs that paper returns assume: the same shape, fractions of equity, NaN where
            nothing is known. Only days not yet counted are read.

        Returns the new book and the transitions: day (datetime64[ns, UTC]), strategy_id, from_state, to_state,
        reason; at most one per strategy and day. `BookError` when `day` is not the day after `self.day`.
        """
        day, rules = pd.Timestamp(day).date(), rules or BookRules()
        if self.day is not None and day != self.day + dt.timedelta(days=1):
            raise BookError(
                f"Expected {self.day + dt.timedelta(days=1)}, the day after the book's, was {day}; "
                "its history would have a hole or repeat; run the days between first"
            )
        returns, excess = _through(paper_returns, day), _through(excess_costs, day)
        entries = {sid: _followed_through(entry, returns, excess, day) for sid, entry in self.entries.items()}
        moves: list[tuple[str, State, State, str]] = []

        def move(sid: str, state: State, reason: str, **changes: object) -> None:
            old = entries[sid]
            if state not in FOLLOWS[old.state]:
                raise BookError(f"Expected one of {', '.join(FOLLOWS[old.state]) or 'nothing'} after {old.state}, was {state} for {sid}")
            moves.append((sid, old.state, state, reason))
            entries[sid] = replace(old, state=state, since=day, reason=reason, **changes)  # type: ignore[arg-type]

        for sid in self.entries:
            left = _leaves(entries[sid], returns, day, rules)
            if left:
                state, reason = left
                if state == "active":
                    left = _return_to_active(sid, entries, reason, returns, day, rules)
                    if left is None:
                        continue
                    state, reason = left
                track = entries[sid].track
                restart = {"track": track.watching_decay(track.floor), "costs": CostWatch()} if state == "probation" else {}
                move(sid, state, reason, **restart)
        _activate(entries, returns, rules, move, seed=seed, moved={sid for sid, *_ in moves})
        _admit(entries, evidence, returns, day, rules, move, moves, self.validated_count)
        return Book(entries, day), frames.transitions([(day, *row) for row in moves])

    def to_frame(self) -> pd.DataFrame:
        """One row per entry with a version, for the lake; `from_frame` reads it back exactly."""
        return frames.to_frame(self.entries.values(), self.day)

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> Book:
        """The book that `to_frame` wrote; a frame without rows is the empty book. `BookVersionError` for another version."""
        entries, day = frames.from_frame(frame)
        return cls({entry.strategy_id: entry for entry in entries}, day)


@dataclass(frozen=True)
class _Paper:
    """Paper returns through a day: days datetime64[D] ascending, a column of fractions per id."""

    days: NDArray[np.datetime64]
    columns: Mapping[str, NDArray[np.float64]]

    def record(self, sid: str) -> NDArray[np.float64]:
        return self.columns[sid] if sid in self.columns else np.full(len(self.days), np.nan)

    def after(self, sid: str, day: dt.date) -> NDArray[np.float64]:
        return self.record(sid)[np.searchsorted(self.days, np.datetime64(day, "D"), side="right") :]


def _through(paper_returns: pd.DataFrame | None, day: dt.date) -> _Paper:
    if paper_returns is None or paper_returns.empty:
        return _Paper(np.empty(0, dtype="datetime64[D]"), {})
    stamps = pd.DatetimeIndex(paper_returns.index)
    days = (stamps.tz_convert("UTC").tz_localize(None) if stamps.tz is not None else stamps).to_numpy().astype("datetime64[D]")
    if len(np.unique(days)) != len(days) or paper_returns.columns.has_duplicates:
        raise BookError("Expected each day and each strategy once in paper_returns, was a repeated one; drop the duplicates")
    order = np.argsort(days, kind="stable")
    order = order[days[order] <= np.datetime64(day, "D")]
    values = paper_returns.to_numpy(dtype=np.float64)[order]
    return _Paper(days[order], {str(sid): values[:, k] for k, sid in enumerate(paper_returns.columns)})


def _followed_through(entry: Entry, returns: _Paper, excess: _Paper, day: dt.date) -> Entry:
    """The entry with the track, and while it has capital the costs, run over days after its look that were not counted yet."""
    if entry.state not in _FOLLOWED:
        return entry
    track, peak = entry.track, entry.peak_equity
    for value in returns.after(entry.strategy_id, entry.through).tolist():
        track = track.after(value)
        peak = max(peak, track.log_equity) if peak == peak else peak
    costs = entry.costs
    for value in excess.after(entry.strategy_id, entry.through).tolist() if entry.state in ("active", "probation") else ():
        costs = costs.after(value)
    return replace(entry, track=track, costs=costs, through=max(day, entry.through), peak_equity=peak)


def _leaves(entry: Entry, returns: _Paper, day: dt.date, rules: BookRules) -> judging.Move | None:
    match entry.state:
        case "validated":
            return judging.leave_validated(entry, rules)
        case "incubating":
            return judging.leave_incubating(entry, day, rules)
        case "active":
            return judging.leave_active(entry, rules)
        case "probation":
            return judging.leave_probation(entry, day, rules, _sharpe(returns.after(entry.strategy_id, entry.since)))
        case "watchlist":
            return judging.leave_watchlist(entry, day, rules)
    return None


def _return_to_active(
    sid: str, entries: Mapping[str, Entry], reason: str, returns: _Paper, day: dt.date, rules: BookRules
) -> judging.Move | None:
    """A recovered strategy returns if there is room and none like it is active; it waits for that as long as probation lasts."""
    active = [other for other, entry in entries.items() if entry.state == "active"]
    twin, correlation = _most_correlated(sid, active, returns, rules)
    if correlation > rules.max_correlation:
        why = f"correlation {correlation:.2f} > {rules.max_correlation:g} with active {twin}"
    elif len(active) >= rules.max_active:
        why = f"{rules.max_active} others are active"
    else:
        return "active", reason
    if (day - entries[sid].since).days < rules.probation_days:
        return None
    return "retired", f"{reason}, but {why} after {rules.probation_days} days of probation"


def _sharpe(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    if len(known) < 2 or not np.ptp(known) > 0:
        return float("nan")
    return float(known.mean() / known.std(ddof=1) * np.sqrt(DAYS_PER_YEAR))


def _activate(
    entries: dict[str, Entry], returns: _Paper, rules: BookRules, move: Callable[..., None], *, seed: int, moved: set[str]
) -> None:
    """Incubating strategies that proved themselves become active, best evidence first, as far as room and correlation allow."""
    proved = [sid for sid, e in entries.items() if e.state == "incubating" and sid not in moved and judging.has_proved_itself(e, rules)]
    for sid in sorted(proved, key=lambda sid: (-entries[sid].track.peak_log_e, sid)):
        entry = entries[sid]
        active = [other for other, e in entries.items() if e.state == "active"]
        twin, correlation = _most_correlated(sid, active, returns, rules)
        if correlation > rules.max_correlation:
            waits = f"{judging.proof(entry, rules)}, but correlation {correlation:.2f} > {rules.max_correlation:g} with active {twin}"
            entries[sid] = replace(entry, reason=waits)
            continue
        if len(active) >= rules.max_active:
            # Those that changed state today keep it: one transition a day.
            worst = min((a for a in active if a not in moved), key=lambda a: (_or_worst(entries[a].track.sharpe), a), default=None)
            if worst is None or not entry.track.sharpe > _or_worst(entries[worst].track.sharpe):
                entries[sid] = replace(entry, reason=f"{judging.proof(entry, rules)}, but {rules.max_active} better ones are active")
                continue
            worst_track = entries[worst].track
            move(
                worst,
                "probation",
                f"replaced by {sid}: forward Sharpe {worst_track.sharpe:.2f} < {entry.track.sharpe:.2f}",
                track=worst_track.watching_decay(worst_track.floor),
                costs=CostWatch(),
            )
            moved.add(worst)
        floor = rules.decay_share * max(entry.track.sharpe, 0.0)
        move(
            sid,
            "active",
            judging.proof(entry, rules),
            track=entry.track.watching_decay(floor),
            band=judging.drawdown_band(returns.record(sid), rules, seed=seed, key=sid),
            peak_equity=entry.track.log_equity,
            costs=CostWatch(),
        )
        moved.add(sid)


def _or_worst(value: float) -> float:
    return value if value == value else -np.inf


def _most_correlated(sid: str, others: list[str], returns: _Paper, rules: BookRules) -> tuple[str, float]:
    if not others:
        return "", -np.inf
    theirs = np.column_stack([returns.record(other) for other in others])
    found = correlations(returns.record(sid)[:, None], theirs, least=rules.min_common_days)[0]
    if np.isnan(found).all():
        return "", -np.inf
    twin = int(np.nanargmax(found))
    return others[twin], float(found[twin])


def _admit(
    entries: dict[str, Entry],
    evidence: Iterable[Judged],
    returns: _Paper,
    day: dt.date,
    rules: BookRules,
    move: Callable[..., None],
    moves: list[tuple[str, State, State, str]],
    validated: int,
) -> None:
    """Lets in what the day's search promoted or put on the watchlist; strategies beyond the watchlist are left alone.

    Each validated strategy takes a share of the error budget, and shares shrink with their number. So what moves with a
    strategy that is already tested or active gets none: it would prove the same idea again. It is watched.
    """
    moved = {sid for sid, *_ in moves}
    for item in sorted(evidence, key=lambda item: (-_or_worst(item.t_statistic), item.strategy_id)):
        sid, reason = item.strategy_id, "; ".join(item.reasons)
        known = entries.get(sid)
        if sid in moved or (known is not None and known.state != "watchlist"):
            continue
        square, verdict = item.active_day_volatility**2, item.verdict
        if verdict == "promoted":
            tested = [other for other, entry in entries.items() if entry.state in ("validated", "incubating", "active", "probation")]
            twin, correlation = _most_correlated(sid, tested, returns, rules)
            if correlation > rules.max_correlation:
                verdict = "watchlist"
                reason = f"promoted, but correlation {correlation:.2f} > {rules.max_correlation:g} with {entries[twin].state} {twin}"
        if verdict == "promoted":
            validated += 1
            # A look starts a new forward record: what was seen on the watchlist before has been looked at.
            fresh = {"looked_on": day, "through": day, "order": validated, "track": Track.starting(square)}
            if known is None:
                entries[sid] = Entry(sid, "validated", day, reason, **fresh)  # type: ignore[arg-type]
                moves.append((sid, "candidate", "validated", reason))
            else:
                move(sid, "validated", reason, **fresh)
        elif verdict == "watchlist" and known is None:
            if sum(entry.state == "watchlist" for entry in entries.values()) < rules.max_watched:
                entries[sid] = Entry(sid, "watchlist", day, reason, day, day, 0, Track.starting(square))
                moves.append((sid, "candidate", "watchlist", reason))
        elif verdict == "rejected" and known is not None:
            move(sid, "retired", f"rejected at a later look: {reason}")
        moved.add(sid)
