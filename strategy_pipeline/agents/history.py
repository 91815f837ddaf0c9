"""What the agents would have done on every bar of history, each trained before it: walk-forward refits.

What belongs here: which agent answers for which bar, the named series of actions. What does not: training one agent.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from strategy_pipeline.agents.agent import Agent
from strategy_pipeline.agents.training import ALGORITHMS, hyperparameters, train_agent
from strategy_pipeline.errors import NoDataError
from strategy_pipeline.forecasting.history import Cache, Fit, Judge, calendar_cutoffs, judged_rows, training_fingerprint
from strategy_pipeline.forecasting.panel import Panel


@dataclass(frozen=True)
class AgentHistory:
    """Series `agent.<algorithm>` and `agent.vote`, float64 (n_symbols, n_bars) in [-1, 1], NaN before the first fit; the fits
    (kind ``agent_<algorithm>``); cutoffs skipped, with the reason; and which cutoff answers from which bar on.

    All stand on the bars given; where no symbol trades, actions are NaN and the position is held to the next bar that exists."""

    series: dict[str, np.ndarray] = field(repr=False)
    fits: tuple[Fit, ...]
    skipped: tuple[str, ...]
    answers: dict[str, list[tuple[int, str]]]


def fit_agent(
    algorithm: str, bars: Any, features: Any = None, *, cutoff: Any, steps: int, seed: int = 0, costs: Any, cache: Cache | None = None
) -> Fit:
    """Train one agent at a cutoff, or take it from the cache where the same training was made before."""
    from strategy_pipeline.market.timeframes import to_time

    panel = Panel.of(bars, features)
    moment = to_time(cutoff)
    day = str(moment.astype("datetime64[D]"))
    known = panel.known_at(moment)
    paid = [float(costs.fee_bps), float(costs.slippage_bps)]
    what = [algorithm, steps, hyperparameters(algorithm, steps), seed, paid, str(moment), training_fingerprint(known, True)]
    kind = f"agent_{algorithm}"
    key = f"{kind}-{day}-{hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]}"

    def make() -> bytes:
        return train_agent(algorithm, known, cutoff=moment, steps=steps, seed=seed, costs=costs).to_bytes()

    payload = make() if cache is None else cache(key, make)
    return Fit(kind, day, key, hashlib.sha256(payload).hexdigest(), payload, Agent.from_bytes(payload))


def agent_history(
    bars: Any,
    features: Any = None,
    *,
    refit_days: int,
    first_fit_days: int,
    steps: int,
    costs: Any,
    algorithms: Sequence[str] = ALGORITHMS,
    seed: int = 0,
    cache: Cache | None = None,
    extra_cutoffs: Iterable[Any] = (),
    judge: Judge | None = None,
    progress: Callable[[str], None] | None = None,
) -> AgentHistory:
    """Walk forward on the calendar grid of `forecasting.calendar_cutoffs`: each bar by the newest accepted agent.

    Until an algorithm has an accepted agent, its newest one answers. An agent starts flat at the bar where it takes over, so
    its actions depend on nothing before its cutoff but what it learned. `agent.vote` is the mean of those that act.

    A `judge` (see `forecasting.history.Judge`) refuses rows unlike an agent's training: there its action is 0, holding nothing,
    which is what agents are accepted against; what the agent itself believes to hold goes on. The series ``familiar.agents`` is
    the share of the agents that know the row, NaN where none is judged.
    """
    panel = Panel.of(bars, features)
    cutoffs = calendar_cutoffs(panel.times, refit_days=refit_days, first_fit_days=first_fit_days, extra=extra_cutoffs)
    fits: list[Fit] = []
    skipped: list[str] = []
    series: dict[str, np.ndarray] = {}
    answers: dict[str, list[tuple[int, str]]] = {}
    verdicts: list[np.ndarray] = []
    for algorithm in algorithms:
        spans: list[tuple[int, Fit]] = []
        for cutoff in cutoffs:
            if progress is not None:
                progress(f"{algorithm} at {cutoff}")
            try:
                fit = fit_agent(algorithm, panel, cutoff=cutoff, steps=steps, seed=seed, costs=costs, cache=cache)
            except NoDataError as error:
                skipped.append(f"{algorithm} at {cutoff}: {error}")
                continue
            fits.append(fit)
            if fit.accepted or not spans or not spans[-1][1].accepted:
                spans.append((panel.index_of(cutoff), fit))
        actions = np.full(panel.close.shape, np.nan)
        verdict = np.full(panel.close.shape, np.nan)
        for index, (first, fit) in enumerate(spans):
            end = spans[index + 1][0] if index + 1 < len(spans) else panel.n_bars
            if end <= first:
                continue
            actions[:, first:end] = fit.model.act(panel.rows(first, end))
            if judge is not None:
                verdict[:, first:end] = judged_rows(panel, judge, fit.cutoff, first, end)
        actions[(verdict == 0) & np.isfinite(actions)] = 0.0
        verdicts.append(verdict)
        series[f"agent.{algorithm}"] = actions
        answers[algorithm] = [(panel.bar_of(first), fit.cutoff) for first, fit in spans]
    series["agent.vote"] = _present_mean(list(series.values()))
    if judge is not None:
        series["familiar.agents"] = _present_mean(verdicts)
    series = {name: panel.on_grid(values) for name, values in series.items()}
    for values in series.values():
        values.flags.writeable = False
    return AgentHistory(series, tuple(fits), tuple(skipped), answers)


def _present_mean(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Mean of those that are there, NaN where none is."""
    stack = np.stack(arrays)
    there = np.isfinite(stack)
    count = there.sum(0)
    return np.where(count > 0, np.where(there, stack, 0.0).sum(0) / np.maximum(count, 1), np.nan)
