"""What is known about a strategy that was looked at, and what a search came to."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

if TYPE_CHECKING:
    from strategy_pipeline.selection.gate import Gate

Verdict = Literal["promoted", "watchlist", "rejected"]


@dataclass(frozen=True)
class Evidence:
    """Why a strategy may be promoted, or not. Sharpe ratios are annual, of net daily returns pooled over symbols; NaN is undefined.

    trials, effective_trials
        Strategies the search evaluated, and the clusters of returns they form.
    train_sharpe
        On the training span, which chose it: biased upwards.
    gross_p_value, stepm_p_value
        Studentised StepM on validation, adjusted for all strategies looked at: of returns before costs (does it foretell
        anything?; NaN where those were not given) and after them (does it earn anything?).
    t_statistic
        Of the mean daily return over training and validation.
    dsr, dsr_all_trials
        Deflated Sharpe ratio over the full period with variance 1/(T-1), for the effective trials and for all.
    dsr_trial_variance, dsr_trial_variance_all_trials
        The same with the variance of ratios across the search, which costs and real edges inflate.
    pbo
        Probability of backtest overfitting of the search; does not test for an edge.
    sharpe, sharpe_low, sharpe_high
        Out-of-sample (validation) ratio with its 90 % stationary-bootstrap interval.
    volatility, active_day_volatility
        Annual, on validation; and the root mean square of its daily returns that are not zero (a day's, not annual).
    robustness, stressed_sharpe
        Monte Carlo score in [0, 1] and ratio under stressed costs; NaN when not computed.
    verdict, reasons
        ``promoted`` passed everything; ``watchlist`` made money in validation but failed a test; ``rejected``
        did not. Reasons in words, with value and threshold.
    """

    strategy_id: str
    trials: int
    effective_trials: int
    train_sharpe: float
    stepm_p_value: float
    t_statistic: float
    dsr: float
    dsr_all_trials: float
    dsr_trial_variance: float
    dsr_trial_variance_all_trials: float
    pbo: float
    sharpe: float
    sharpe_low: float
    sharpe_high: float
    volatility: float
    active_day_volatility: float
    robustness: float
    stressed_sharpe: float
    verdict: Verdict
    reasons: tuple[str, ...]
    gross_p_value: float = float("nan")

    @property
    def why(self) -> str:
        """The reasons as one sentence."""
        return "; ".join(self.reasons)

    def as_row(self) -> dict[str, Any]:
        """Plain values, the reasons joined to one text: a row of a frame or a document."""
        return {**asdict(self), "reasons": self.why}


@dataclass(frozen=True)
class Selection:
    """What a search came to.

    evidence
        One per strategy looked at, in the order of their consensus scores.
    screening
        Every strategy given: strategy_id, train_sharpe (annual), train_days, consensus (`consensus_scores`; NaN where it cannot get a
        look), looked_at, reason (why it got no look; empty if it did).
    n_trials, effective_trials, trial_sharpe_var (per observation), pbo
        Of the search, from training returns.
    """

    evidence: tuple[Evidence, ...]
    screening: pd.DataFrame
    gate: Gate
    n_trials: int
    effective_trials: int
    trial_sharpe_var: float
    pbo: float

    def ids(self, verdict: Verdict) -> tuple[str, ...]:
        """Ids with this verdict, in the order of `evidence`."""
        return tuple(item.strategy_id for item in self.evidence if item.verdict == verdict)

    @property
    def promoted(self) -> tuple[str, ...]:
        return self.ids("promoted")

    @property
    def watchlist(self) -> tuple[str, ...]:
        return self.ids("watchlist")

    def of(self, strategy_id: str) -> Evidence | None:
        """The evidence of one strategy; None if it was not looked at."""
        return next((item for item in self.evidence if item.strategy_id == strategy_id), None)

    def to_frame(self) -> pd.DataFrame:
        """The evidence as a frame, one row per strategy looked at, with a column per field of `Evidence`."""
        frame = pd.DataFrame([item.as_row() for item in self.evidence], columns=list(Evidence.__dataclass_fields__))
        return frame.astype({"strategy_id": "str", "verdict": "str", "reasons": "str"})

    @property
    def summary(self) -> str:
        """One sentence for people: what was promoted, or what the best lacked."""
        looked = f"{self.n_trials} trials ({self.effective_trials} effective), {len(self.evidence)} looked at"
        if self.promoted:
            return f"{looked}: promoted {', '.join(self.promoted)}"
        if not self.evidence:
            return f"{looked}: nothing promoted, no strategy made money in training"
        best = min(self.evidence, key=lambda item: (-item.t_statistic if item.t_statistic == item.t_statistic else 0.0, item.strategy_id))
        return f"{looked}: nothing promoted; the best, {best.strategy_id}, lacks: {best.why}"
