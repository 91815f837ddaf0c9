"""What each state asks of a strategy: when it moves on, back, or out.

Each function returns the state to move to with the reason, or None to stay. They see one strategy; what
concerns several (caps, correlation, replacement) is the book's.
"""

from __future__ import annotations

import datetime as dt
import math

import numpy as np
from numpy.typing import NDArray

from strategy_pipeline.book.entry import BookRules, Entry, State
from strategy_pipeline.book.sequential import DAYS_PER_YEAR, error_share
from strategy_pipeline.resampling import stationary_bootstrap_indices
from strategy_pipeline.rng import generator

Move = tuple[State, str]


def drawdown_since_active(entry: Entry) -> float:
    """From the highest equity since the strategy became active, a positive fraction; NaN before it ever was."""
    return -math.expm1(entry.track.log_equity - entry.peak_equity)


def leave_validated(entry: Entry, rules: BookRules) -> Move | None:
    return "incubating", f"followed on paper from here; active when its e-value reaches {1 / error_share(entry.order, rules.error):.1f}"


def has_proved_itself(entry: Entry, rules: BookRules) -> bool:
    """Whether the forward test has ever reached the reciprocal of this strategy's share of the error."""
    return entry.track.peak_log_e >= -math.log(error_share(entry.order, rules.error))


def proof(entry: Entry, rules: BookRules) -> str:
    """The state of the forward test in words."""
    bound = 1 / error_share(entry.order, rules.error)
    reached = math.exp(min(entry.track.peak_log_e, 700.0))
    return f"forward e-value {reached:.3g} {'>=' if has_proved_itself(entry, rules) else '<'} {bound:.1f} after {entry.track.days} days"


def leave_incubating(entry: Entry, day: dt.date, rules: BookRules) -> Move | None:
    if (day - entry.since).days >= rules.incubation_days and not has_proved_itself(entry, rules):
        return "retired", f"{proof(entry, rules)}: not proved within {rules.incubation_days} days"
    return None


def leave_active(entry: Entry, rules: BookRules) -> Move | None:
    if entry.track.decay_log_e >= math.log(rules.decay_days):
        return "probation", (
            f"decay: returns fall short of a Sharpe ratio of {entry.track.floor:.2f} "
            f"(e-value {math.exp(min(entry.track.decay_log_e, 700.0)):.0f} >= {rules.decay_days:g})"
        )
    drawdown = drawdown_since_active(entry)
    if drawdown > entry.band:
        return "probation", f"drawdown {drawdown:.1%} beyond its Monte Carlo band of {entry.band:.1%}"
    if costs_drifted(entry, rules):
        return "probation", (
            f"cost drift: {entry.costs.annual:.1%} a year beyond the assumed costs, "
            f"more than {rules.cost_share:.0%} of its forward return of {annual_return(entry):.1%}"
        )
    return None


def annual_return(entry: Entry) -> float:
    """Mean forward return a year since it has been followed, not compounded; 0 before there is one."""
    return entry.track.total / entry.track.days * DAYS_PER_YEAR if entry.track.days else 0.0


def costs_drifted(entry: Entry, rules: BookRules) -> bool:
    """Whether costs are proved to exceed the assumed ones, and by enough to matter to what the strategy earns."""
    proved = entry.costs.log_e >= math.log(rules.decay_days)
    return proved and entry.costs.annual > rules.cost_share * max(annual_return(entry), 0.0)


def leave_probation(entry: Entry, day: dt.date, rules: BookRules, sharpe_on_probation: float) -> Move | None:
    drawdown = drawdown_since_active(entry)
    if drawdown > entry.band * rules.ruin_multiple:
        return "retired", f"drawdown {drawdown:.1%} beyond {rules.ruin_multiple:g} times its Monte Carlo band of {entry.band:.1%}"
    served = (day - entry.since).days
    recovered = not drawdown > entry.band and entry.track.decay_log_e < math.log(rules.decay_days) and sharpe_on_probation > 0
    recovered = recovered and not costs_drifted(entry, rules)
    if served >= rules.recovery_days and recovered:
        return "active", f"recovered: Sharpe ratio {sharpe_on_probation:.2f} on probation, drawdown {drawdown:.1%} within its band"
    if served >= rules.probation_days:
        return "retired", f"not recovered within {rules.probation_days} days of probation"
    return None


def leave_watchlist(entry: Entry, day: dt.date, rules: BookRules) -> Move | None:
    if (day - entry.since).days >= rules.watch_days:
        return "retired", f"not validated within {rules.watch_days} days on the watchlist"
    return None


def drawdown_band(returns: NDArray[np.float64], rules: BookRules, *, seed: int, key: str) -> float:
    """The `band_quantile` of the deepest drawdown over `band_days` days, from stationary-bootstrap resamples of daily returns.

    returns
        (n_days,), NaN left out. NaN for fewer than 20 days: a band from less says nothing.
    """
    known = returns[~np.isnan(returns)]
    if len(known) < 20:
        return math.nan
    rng = generator(seed, "book", "drawdown-band", key)
    rounds = -(-rules.band_days // len(known))
    # A record shorter than the horizon is drawn from several times over.
    parts = [stationary_bootstrap_indices(len(known), 7.0, rules.band_resamples, rng) for _ in range(rounds)]
    steps = np.log1p(np.maximum(known, -1 + 1e-12))
    paths = np.cumsum(steps[np.concatenate(parts, axis=1)[:, : rules.band_days]], axis=1)
    peaks = np.maximum.accumulate(np.maximum(paths, 0.0), axis=1)
    return float(np.quantile(-np.expm1((paths - peaks).min(axis=1)), rules.band_quantile))
