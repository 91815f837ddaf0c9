"""Risk: how much of what, and what forbids more.

What belongs here: covariance, sizing, limits, portfolio construction, and the decomposition of a portfolio's
risk. Everything takes frames of daily returns through a day and answers for the next. What does not belong:
which strategies are active (`book/`), and what is told to the user (`signals/`).
"""

from strategy_pipeline.risk.covariance import correlation_of, decompose_risk, ewma_covariance, portfolio_volatility
from strategy_pipeline.risk.limits import RiskError, RiskLimits, adapt_limits
from strategy_pipeline.risk.portfolio import Portfolio, construct_portfolio
from strategy_pipeline.risk.sizing import (
    correlation_limits,
    drawdown_guard,
    kelly_fraction,
    protective_levels,
    volatility_targeted_weights,
)

__all__ = [
    "Portfolio",
    "RiskError",
    "RiskLimits",
    "adapt_limits",
    "construct_portfolio",
    "correlation_limits",
    "correlation_of",
    "decompose_risk",
    "drawdown_guard",
    "ewma_covariance",
    "kelly_fraction",
    "portfolio_volatility",
    "protective_levels",
    "volatility_targeted_weights",
]
