"""Stress: the same strategies under worse costs and with orders that come late.

What belongs here: runs that change one assumption of the market at a time. What does not: chance (`robustness`, `simulations`)
and other parameters (`neighbours`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from strategy_pipeline.backtest.costs import Costs
from strategy_pipeline.backtest.result import BacktestResult
from strategy_pipeline.errors import SettingsError

SHOWN = ("total_return", "annual_return", "sharpe", "max_drawdown")


def stress(
    result: BacktestResult, ids: Sequence[str], *, costs: Sequence[float] = (0.0, 1.0, 1.5, 2.0, 3.0, 5.0), delays: Sequence[int] = (1, 2),
    start: Any = None, end: Any = None, workers: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """The strategies again with every cost times each of `costs`, and with every order each of `delays` bars late.

    Parameters
    ----------
    costs : multiples of what the result's `Costs` charge (0 is a market without friction, 1 the result itself)
    delays : bars by which entries and exits by signal fill later than the result's fill
    start, end : half-open range of days of the pooled daily returns that count

    Returns
    -------
    DataFrame indexed by (strategy_id, scenario), scenarios ``costs x1.5`` and ``1 bar late``: total_return, annual_return,
    sharpe, max_drawdown of the pooled daily returns.

    Raises
    ------
    StrategyError, SettingsError
        An id is unknown; a multiple is negative or makes a cost of 100 % and more, a delay is below 1.
    """
    result.check(*ids)
    for delay in delays:
        if delay < 1 or delay != int(delay):
            raise SettingsError(f"Expected delays as whole numbers of bars from 1, was {delay}; correct it")
    chosen = [result.strategies[id] for id in ids]
    parts: dict[str, pd.DataFrame] = {}
    if chosen:
        for multiple in costs:
            again = result.rerun(chosen, costs=scaled(result.costs, multiple), workers=workers)
            parts[f"costs x{multiple:g}"] = again.summary(start, end)
        for delay in delays:
            late = result.rerun(chosen, delay=int(delay), workers=workers)
            parts[f"{delay} bar{'s' if delay > 1 else ''} late"] = late.summary(start, end)
    rows = [(id, name) for id in ids for name in parts]
    index = pd.MultiIndex.from_arrays([[id for id, _ in rows], [name for _, name in rows]], names=["strategy_id", "scenario"])
    values = [[parts[name].loc[id, metric] if id in parts[name].index else np.nan for metric in SHOWN] for id, name in rows]
    return pd.DataFrame(np.array(values, dtype=np.float64).reshape(len(rows), len(SHOWN)), index=index, columns=list(SHOWN))


def scaled(costs: Costs, multiple: float) -> Costs:
    """Every cost of `costs` times `multiple`; sizes that are no costs (capital, lot, minimum notional) stay."""
    if not multiple >= 0:
        raise SettingsError(f"Expected a multiple of costs of at least 0, was {multiple}; correct it")
    names = ("fee_bps", "slippage_bps", "maker_fee_bps", "slippage_volatility", "impact", "borrow_annual")
    changed = {name: value * multiple for name in names if (value := getattr(costs, name, None)) is not None}
    return replace(costs, **changed)
