"""`Orchestrator`: the async façade a service embeds.

What belongs here: the few calls that other people's code makes, each answered from what the stages of the
cycle wrote, running the missing ones first. What does not: maths, Dagster. Work runs in a worker thread, so
the caller's event loop stays free; calls on one orchestrator run one at a time, because they share a home.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import pandas as pd

from strategy_pipeline.clock import system_now
from strategy_pipeline.config import Settings
from strategy_pipeline.cycle import Workspace, embedding, run_missing
from strategy_pipeline.signals import Signal

T = TypeVar("T")


@dataclass(frozen=True)
class PerformanceReport:
    """What came of the last days.

    html
        Path of the day's self-contained report.
    summary
        Counts and figures by name.
    strategies, transitions
        How each strategy of the book did, and what changed state and why, as frames.
    """

    day: dt.date
    days: int
    html: str
    summary: dict[str, Any]
    strategies: pd.DataFrame
    transitions: pd.DataFrame


class Orchestrator:
    """The pipeline as an object.

    >>> orchestrator = Orchestrator(Settings(source="files", data="DIR", symbols=["BTC/USDT", "ETH/USDT"]))  # doctest: +SKIP
    >>> ids = await orchestrator.generate_new_strategies(count=1000, strategy_types=["momentum"])  # doctest: +SKIP

    Parameters
    ----------
    settings
        What to work on; None reads variables, `.env` and TOML.
    now
        Gives the present moment (UTC); the day worked on is the newest that is over and has data.
    """

    def __init__(self, settings: Settings | None = None, *, now: Callable[[], pd.Timestamp] = system_now) -> None:
        self.settings = settings or Settings()
        self.workspace = Workspace(self.settings)
        self._now = now
        self._one_at_a_time = asyncio.Lock()

    async def generate_new_strategies(
        self,
        count: int = 1000,
        strategy_types: Sequence[str] | None = None,
        *,
        methods: Sequence[str] | None = None,
        seed: int | None = None,
    ) -> list[str]:
        """Generates `count` distinct strategies of the families named and stores them; returns their ids.

        Families whose data the market lacks raise a StrategyError that says what is missing. The same seed
        (default: the settings') on the same day gives the same ids.
        """
        return await self._in_thread(lambda day: embedding.generate(self.workspace, day, count, strategy_types, methods, seed))

    async def get_trading_signals(self, symbols: Sequence[str] | None = None) -> list[Signal]:
        """Signals as of the last closed bar for the symbols asked, or all; missing stages of the day run first.

        An asked quote other than the configured one (``BTC/USDC`` on a USDT universe) is answered by its
        base, with the asked symbol, `priced_on` and a warning. UnknownSymbolError names what is not held.
        """
        return await self._in_thread(lambda day: embedding.signals(self.workspace, day, symbols))

    async def optimize_strategies(
        self,
        ids: Sequence[str] | None = None,
        *,
        objective: str | Sequence[str] | None = None,
        sampler: str | None = None,
        trials: int | None = None,
        prune: bool = False,
        seed: int | None = None,
    ) -> pd.DataFrame:
        """Tunes the active strategies (or those named) on the training span; one row a strategy, best found.

        A re-optimised strategy is a new id and a new trial: it enters the next day as a candidate. The same request gives the
        same rows and the same documents of `optimization_results`, killed and resumed or not; another one has its own.

        Parameters
        ----------
        objective
            Of `optimization.OBJECTIVES`: the median over purged walk-forward folds of net daily returns pooled over symbols. With
            several there is a row for each member of the Pareto front, best by the first one first, with each objective before
            and after.
        sampler
            Of `optimization.SAMPLERS`.
        trials
            Parameter sets tried for each strategy, its own among them; at most `optimization.MOST_TRIALS`.
        prune
            With one objective: only the better half of a batch runs beyond the first quarter of the folds.
        seed
            What every strategy's own seed is drawn from.

        What is None is as the settings say (`optimize_objective`, `optimize_sampler`, `optimize_trials`, `seed`). `OptimizationError`
        names what is unknown or cannot be met, before anything runs.
        """
        request: dict[str, Any] = {"objective": objective, "sampler": sampler, "trials": trials, "prune": prune, "seed": seed}
        return await self._in_thread(lambda day: embedding.optimize(self.workspace, day, ids, **request))

    async def get_performance_report(self, days: int = 30) -> PerformanceReport:
        """What the strategies of the book did over the last `days` days, with the day's HTML report."""
        return await self._in_thread(lambda day: PerformanceReport(**embedding.performance(self.workspace, day, days)))

    async def run_stage(self, name: str, day: dt.date | None = None) -> None:
        """Runs whatever the stage called `name` needs and that is missing, then the stage."""
        await self._in_thread(lambda newest: run_missing(self.workspace, name, day or newest))

    async def _in_thread(self, work: Callable[[dt.date], T]) -> T:
        async with self._one_at_a_time:
            return await asyncio.to_thread(self._with_day, work)

    def _with_day(self, work: Callable[[dt.date], T]) -> T:
        self.workspace.check_symbols()  # before anything is written
        return work(self.workspace.last_day(now=self._now()))


def as_dict(signal: Signal) -> dict[str, Any]:
    """A signal as plain values, for JSON: times as ISO text, what is unknown as None."""
    return as_plain(asdict(signal))


def as_plain(value: Any) -> Any:
    """A value that JSON can hold: NaN and infinities, which are no JSON, become None; times become ISO text."""
    if isinstance(value, Mapping):
        return {str(key): as_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_plain(item) for item in value]
    if isinstance(value, (dt.date, pd.Timestamp)):
        return None if value is pd.NaT else value.isoformat()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
