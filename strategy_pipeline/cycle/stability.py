"""How brittle the strategies are that got a look: on training days, since validation has one test and this is not it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from strategy_pipeline.cycle.workspace import Workspace

if TYPE_CHECKING:
    from strategy_pipeline.backtest import BacktestResult

STRESS = 2.0  # costs times this, for the stressed Sharpe ratio
LATE = 1  # bars by which orders come late
JITTER = 0.1  # how far numbers move, as a fraction of themselves
SKIPPED = 0.2  # share of entries missed


def stability(workspace: Workspace, result: BacktestResult, ids: Sequence[str], seed: int) -> tuple[dict[str, float], dict[str, float]]:
    """Robustness score, and Sharpe ratio under doubled costs, of strategies of a run on the training bars alone.

    The score has every factor there is (`backtest.robustness`): resampled trades, doubled costs, orders a bar late, numbers
    moved by up to a tenth, a fifth of the entries missed, and other price histories; how many of each is the profile's.
    """
    from strategy_pipeline.backtest import monte_carlo

    sizes, workers = workspace.settings.sizes, workspace.settings.workers
    scored = monte_carlo(
        result, ids, n=sizes.monte_carlo, seed=seed, cost_multiple=STRESS, delay=LATE, jitter=JITTER, draws=sizes.perturbed,
        skip=SKIPPED, prices=sizes.price_histories, workers=workers,
    )  # fmt: skip
    paid = result.costs
    dear = replace(paid, fee_bps=paid.fee_bps * STRESS, slippage_bps=paid.slippage_bps * STRESS)
    worse = result.rerun([result.strategies[i] for i in ids], costs=dear, workers=workers).summary()["sharpe"]
    return {i: float(scored.scores[i]) for i in ids}, {i: float(worse[i]) for i in ids}
