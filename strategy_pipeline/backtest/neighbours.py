"""Strategies like a given one: parameters moved a little, at random or on a grid.

What belongs here: jitter, system parameter permutation (Walton 2014) and what it says of a strategy among its like. What does
not: searching for better parameters (optimization).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice, product
from math import prod
from typing import Any

import numpy as np
import pandas as pd

from strategy_pipeline.backtest.result import BacktestResult
from strategy_pipeline.errors import SettingsError, StrategyError
from strategy_pipeline.rng import generator
from strategy_pipeline.strategies import Strategy, parameters, with_parameters
from strategy_pipeline.strategies.parameters import Parameter

PATIENCE = 20  # draws for each strategy wanted before fewer are returned


def jitter_parameters(strategy: Strategy, rng: np.random.Generator, *, n: int = 20, spread: float = 0.1) -> list[Strategy]:
    """`n` strategies each of whose numbers is within `spread` (a fraction) of this one's, drawn evenly and independently.

    Whole numbers are rounded and can always move by one; a number stays in its parameter's range. Draws that make no
    strategy (a fast length that meets a slow one), the strategy itself, or one drawn before are drawn again; fewer than `n`
    come back where there are no more.

    SettingsError for n below 1 or a spread outside (0, 1).
    """
    _check(n, spread)
    found: dict[str, Strategy] = {}
    tunable = parameters(strategy)
    if not tunable:
        return []
    for _ in range(PATIENCE * n):
        other = _like(strategy, {p.path: _moved(p, spread, 2 * rng.random() - 1) for p in tunable})
        if other is not None and other.id != strategy.id:
            found.setdefault(other.id, other)
        if len(found) == n:
            break
    return list(found.values())


def permutations(strategy: Strategy, rng: np.random.Generator, *, spread: float = 0.2, steps: int = 3, most: int = 200) -> list[Strategy]:
    """Every combination of `steps` evenly spaced values of each number from 1 - `spread` to 1 + `spread` times its own.

    Where there are more than `most` combinations, `most` of them drawn at random. The strategy itself is not among them.
    SettingsError for fewer than two steps, most below 1 or a spread outside (0, 1).
    """
    _check(most, spread)
    if steps < 2:
        raise SettingsError(f"Expected steps of at least 2, was {steps}; one step is the strategy itself")
    shares = np.linspace(-1, 1, steps)
    axes = [(p.path, list(dict.fromkeys(_moved(p, spread, float(share)) for share in shares))) for p in parameters(strategy)]
    total = prod(len(values) for _, values in axes)
    if total <= most:
        combinations = [dict(zip((path for path, _ in axes), values, strict=True)) for values in product(*(v for _, v in axes))]
    else:
        drawn = ({path: values[rng.integers(len(values))] for path, values in axes} for _ in range(PATIENCE * most))
        combinations = list(islice({tuple(one.values()): one for one in islice(drawn, 2 * most)}.values(), most))
    found = {other.id: other for values in combinations if (other := _like(strategy, values)) is not None}
    found.pop(strategy.id, None)
    return list(found.values())


def permute_parameters(
    result: BacktestResult, ids: Sequence[str], *, seed: int, spread: float = 0.2, steps: int = 3, most: int = 200,
    start: Any = None, end: Any = None, workers: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """System parameter permutation: what a strategy's rules earn whatever the numbers in them (Walton 2014).

    Each strategy's `permutations` run on the same bars and costs, in one population.

    Returns
    -------
    DataFrame indexed by strategy_id: neighbours (how many could be run), return_p5, return_p50, return_p95 and sharpe_p50 (of
    their pooled daily returns in [start, end)), profitable (share with a return above 0), rank (share of neighbours whose Sharpe
    ratio is below the strategy's own: near 1 it sits on a peak that other numbers do not share). NaN without neighbours.

    Raises
    ------
    StrategyError, SettingsError
        An id is unknown; a setting of `permutations` is out of range.
    """
    result.check(*ids)
    own = result.summary(start, end)["sharpe"]
    drawn = {
        id: permutations(result.strategies[id], generator(seed, "permutations", id), spread=spread, steps=steps, most=most) for id in ids
    }
    found = outcomes(result, drawn, start=start, end=end, workers=workers)
    rows = []
    for id in ids:
        frame = found[id]
        row: dict[str, float] = {"neighbours": len(frame)}
        if len(frame):
            total, sharpe = frame["total_return"].to_numpy(), frame["sharpe"].to_numpy()
            row |= {f"return_p{p}": float(np.percentile(total, p)) for p in (5, 50, 95)}
            row["sharpe_p50"] = float(np.nanmedian(sharpe)) if np.isfinite(sharpe).any() else np.nan
            row["profitable"] = float((total > 0).mean())
            row["rank"] = float((sharpe[np.isfinite(sharpe)] < own[id]).mean()) if np.isfinite(sharpe).any() else np.nan
        rows.append(row)
    names = ["neighbours", "return_p5", "return_p50", "return_p95", "sharpe_p50", "profitable", "rank"]
    return pd.DataFrame(rows, index=pd.Index(list(ids), name="strategy_id", dtype=object), columns=names)


def outcomes(
    result: BacktestResult, drawn: dict[str, list[Strategy]], *, start: Any = None, end: Any = None, workers: int = 0
) -> dict[str, pd.DataFrame]:
    """id -> return metrics in [start, end) of the strategies drawn for it that could run, all of them one population."""
    everyone = list({other.id: other for others in drawn.values() for other in others}.values())
    if not everyone:
        return {id: pd.DataFrame(columns=["total_return", "sharpe"], dtype=np.float64) for id in drawn}
    summary = result.rerun(everyone, workers=workers).summary(start, end)
    return {id: summary.loc[[other.id for other in others if other.id in summary.index]] for id, others in drawn.items()}


def _moved(parameter: Parameter, spread: float, share: float) -> float:
    """The parameter's value moved by `share` in [-1, 1] of `spread` times itself."""
    reach = spread * abs(parameter.value)
    if parameter.kind == "int":
        value = parameter.value + round(share * max(1.0, reach))
    else:
        value = parameter.value + share * reach
    return float(min(max(value, parameter.low), parameter.high))


def _like(strategy: Strategy, values: dict[str, float]) -> Strategy | None:
    try:
        return with_parameters(strategy, values)
    except StrategyError:
        return None


def _check(n: int, spread: float) -> None:
    if n < 1 or not 0 < spread < 1:
        raise SettingsError(f"Expected at least 1 strategy and a spread between 0 and 1, was {n} and {spread}; correct them")
