"""The limits a portfolio keeps, and how they move with the market."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from strategy_pipeline.errors import PipelineError


class RiskError(PipelineError):
    """Limits, returns or weights do not fit together."""


@dataclass(frozen=True)
class RiskLimits:
    """What a portfolio may be. Weights are fractions of capital, volatilities annual, drawdowns positive fractions.

    target_volatility
        Volatility the portfolio aims at; never more, less where another limit binds.
    max_weight, max_gross, max_net
        Largest absolute weight of a symbol, sum of absolute weights, absolute sum of weights.
    max_correlation
        Positions that bet on the same thing (correlation of their returns, signed by side, above this) share the
        weight of the larger.
    drawdown_start, drawdown_stop
        From the first drawdown of the portfolio on, exposure shrinks linearly, to nothing at the second.
    kelly
        Share of the full Kelly bet a strategy may take, at most.
    half_life
        Days, of the exponential covariance.
    shrinkage
        Weight of the average correlation in each pair's correlation.
    """

    target_volatility: float = 0.15
    max_weight: float = 0.25
    max_gross: float = 1.0
    max_net: float = 1.0
    max_correlation: float = 0.9
    drawdown_start: float = 0.10
    drawdown_stop: float = 0.25
    kelly: float = 0.25
    half_life: float = 30.0
    shrinkage: float = 0.2

    def __post_init__(self) -> None:
        for name in ("target_volatility", "max_weight", "max_gross", "max_net", "half_life", "kelly"):
            if not getattr(self, name) > 0:
                raise RiskError(f"Expected {name} above 0, was {getattr(self, name)}; a portfolio under it could hold nothing; raise it")
        for name in ("max_correlation", "shrinkage"):
            if not 0 <= getattr(self, name) <= 1:
                raise RiskError(f"Expected {name} between 0 and 1, was {getattr(self, name)}; see RiskLimits")
        if not 0 <= self.drawdown_start < self.drawdown_stop <= 1:
            raise RiskError(
                f"Expected 0 <= drawdown_start < drawdown_stop <= 1, was {self.drawdown_start} and {self.drawdown_stop}; see RiskLimits"
            )


def adapt_limits(limits: RiskLimits, returns: pd.DataFrame, *, recent_days: int = 20) -> tuple[RiskLimits, pd.DataFrame]:
    """Limits tightened where the market has become wilder or more alike than it was; never loosened.

    returns
        Daily simple returns, index days, columns symbols; through the day the limits are for. NaN is no return.

    Gross and net exposure shrink by (usual volatility / recent volatility) of the equal-weighted market, when that is
    below 1, and not below a half. The largest weight shrinks by (1 + usual correlation) / (1 + recent), likewise.
    Also a frame: limit, usual, recent, base, adapted, reason. With fewer than three times `recent_days` days nothing moves.
    """
    market = returns.mean(axis=1).dropna()
    rows = []
    adapted = limits
    enough = len(market) >= 3 * recent_days
    year = np.sqrt(365.0)
    usual, recent = (float(part.std(ddof=1) * year) if enough else np.nan for part in (market, market.iloc[-recent_days:]))
    factor = float(np.clip(usual / recent, 0.5, 1.0)) if enough and recent > 0 else 1.0
    why = "too little history to judge" if not enough else "market volatility" if factor < 1 else "market no wilder than usual"
    for name in ("max_gross", "max_net"):
        adapted = replace(adapted, **{name: getattr(limits, name) * factor})
        rows.append((name, usual, recent, getattr(limits, name), getattr(adapted, name), why))
    usual, recent = (_mean_correlation(part) if enough else np.nan for part in (returns, returns.iloc[-recent_days:]))
    known = np.isfinite(usual) and np.isfinite(recent)
    factor = float(np.clip((1 + usual) / (1 + recent), 0.5, 1.0)) if known and recent > -1 else 1.0
    why = "correlation unknown" if not known else "symbols move more alike" if factor < 1 else "symbols no more alike than usual"
    adapted = replace(adapted, max_weight=limits.max_weight * factor)
    rows.append(("max_weight", usual, recent, limits.max_weight, adapted.max_weight, why))
    return adapted, pd.DataFrame(rows, columns=["limit", "usual", "recent", "base", "adapted", "reason"]).astype(
        {"limit": "str", "reason": "str"}
    )


def _mean_correlation(returns: pd.DataFrame) -> float:
    values = returns.corr(min_periods=10).to_numpy()
    pairs = values[np.triu_indices(len(values), 1)]
    return float(np.nanmean(pairs)) if np.isfinite(pairs).any() else float("nan")
