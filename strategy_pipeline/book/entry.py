"""One strategy in the book, and the rules the book keeps."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Literal

from strategy_pipeline.book.sequential import CostWatch, Track
from strategy_pipeline.errors import PipelineError

State = Literal["candidate", "validated", "incubating", "active", "probation", "retired", "watchlist"]
STATES: tuple[State, ...] = ("candidate", "validated", "incubating", "active", "probation", "retired", "watchlist")
# What may follow what. `candidate` is where a strategy stands before its first look; it has no entry yet.
FOLLOWS: dict[State, tuple[State, ...]] = {
    "candidate": ("validated", "watchlist"),
    "watchlist": ("validated", "retired"),
    "validated": ("incubating",),
    "incubating": ("active", "retired"),
    "active": ("probation",),
    "probation": ("active", "retired"),
    "retired": (),
}


class BookError(PipelineError):
    """The book was asked for something that would break its history: a day out of order, a bad frame, a bad rule."""


class BookVersionError(BookError):
    """A book was written by another version."""


@dataclass(frozen=True)
class BookRules:
    """When strategies change state.

    max_active, max_watched
        Caps on how many are active, and how many stand on the watchlist.
    max_correlation
        A strategy more correlated than this with an active one does not become active.
    error
        Probability that anything without an edge ever becomes active, in the life of the book; spent over
        the strategies validated, in order (`error_share`).
    incubation_days, watch_days, probation_days
        Days in which a strategy has to prove itself, after which it is retired.
    decay_share, decay_days
        Decay is watched against this share of the forward Sharpe ratio at activation; false alarms are at
        least `decay_days` days apart on average.
    cost_share
        Costs that drifted above the assumed ones lead to probation when they eat more than this share of the forward return.
    band_quantile, band_days, band_resamples
        Of the Monte Carlo drawdown band: this quantile of the deepest drawdown over so many days.
    ruin_multiple
        On probation, a drawdown beyond the band times this retires at once.
    recovery_days
        Least days on probation before a strategy may return.
    min_common_days
        Days two strategies need in common before their correlation is believed.
    """

    max_active: int = 10
    max_watched: int = 50
    max_correlation: float = 0.8
    error: float = 0.10
    incubation_days: int = 540
    watch_days: int = 180
    probation_days: int = 120
    decay_share: float = 0.5
    decay_days: float = 365.0
    cost_share: float = 0.25
    band_quantile: float = 0.95
    band_days: int = 365
    band_resamples: int = 500
    ruin_multiple: float = 1.5
    recovery_days: int = 20
    min_common_days: int = 20

    def __post_init__(self) -> None:
        for name in ("max_active", "max_watched", "incubation_days", "watch_days", "probation_days", "band_days", "band_resamples"):
            if getattr(self, name) < 1:
                raise BookError(f"Expected {name} of at least 1, was {getattr(self, name)}; leave the rule at its default or raise it")
        for name in ("max_correlation", "error", "band_quantile"):
            if not 0 < getattr(self, name) < 1:
                raise BookError(f"Expected {name} between 0 and 1, was {getattr(self, name)}; see BookRules")
        if self.decay_days < 2 or not 0 <= self.decay_share <= 1 or self.ruin_multiple < 1:
            raise BookError(
                "Expected decay_days of at least 2, decay_share in [0, 1] and ruin_multiple of at least 1, "
                f"was {self.decay_days:g}, {self.decay_share:g} and {self.ruin_multiple:g}; see BookRules"
            )
        if not 0 <= self.cost_share <= 10:
            raise BookError(f"Expected cost_share from 0 to 10, was {self.cost_share:g}; 0.25 is a quarter of the forward return")


@dataclass(frozen=True)
class Entry:
    """A strategy in the book.

    since
        Day it entered `state`; `reason` says why.
    looked_on
        Day of the evidence that brought it here: only returns of later days count in the tests.
    through
        Last day counted in `track`.
    order
        Its place among all strategies ever validated, from 1; 0 on the watchlist. It sets its share of the error budget.
    track
        Its forward (paper) record and sequential tests.
    band
        Drawdown that 95 % of resampled records stay within, fixed when it became active; NaN before.
    peak_equity
        Log equity at the highest point since it became active (the drawdown that the band is about); NaN before.
    costs
        What it paid beyond the assumed costs since it entered `active` or `probation`.
    """

    strategy_id: str
    state: State
    since: dt.date
    reason: str
    looked_on: dt.date
    through: dt.date
    order: int
    track: Track
    band: float = float("nan")
    peak_equity: float = float("nan")
    costs: CostWatch = field(default_factory=CostWatch)
