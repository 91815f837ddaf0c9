"""Evidence: what the best of many tries is worth.

What belongs here: counting trials, statistics of returns under multiple testing, the gate and its
verdicts. Everything takes arrays of returns, days in rows and strategies in columns, and ids. What does
not belong: what a strategy is, how it was run (`backtest/`), and what becomes of it (`book/`).
"""

from strategy_pipeline.selection.best_set import ConfidenceSet, model_confidence_set
from strategy_pipeline.selection.clusters import cluster_labels, effective_trials
from strategy_pipeline.selection.consensus import consensus_scores
from strategy_pipeline.selection.discovery import FamilyDiscoveries, adjusted_p_values, family_discoveries, one_sided_p_values
from strategy_pipeline.selection.errors import InvalidReturnsError, LedgerVersionError
from strategy_pipeline.selection.evidence import Evidence, Selection
from strategy_pipeline.selection.gate import Gate, select, shortlist, split_days
from strategy_pipeline.selection.haircut import haircut_sharpe
from strategy_pipeline.selection.intervals import SharpeInterval, clopper_pearson, sharpe_interval
from strategy_pipeline.selection.overfitting import Overfitting, cross_validated_overfitting, probability_of_backtest_overfitting
from strategy_pipeline.selection.ratios import (
    deflated_sharpe_ratio,
    expected_maximum_sharpe,
    minimum_track_record_length,
    probabilistic_sharpe_ratio,
    sharpe_ratio,
    sharpe_standard_error,
    t_statistic,
)
from strategy_pipeline.selection.stepwise import StepM, bootstrap_standard_error, reality_check, spa_p_value, stepm
from strategy_pipeline.selection.trials import TrialsLedger

__all__ = [
    "ConfidenceSet",
    "Evidence",
    "FamilyDiscoveries",
    "Gate",
    "InvalidReturnsError",
    "LedgerVersionError",
    "Overfitting",
    "Selection",
    "SharpeInterval",
    "StepM",
    "TrialsLedger",
    "adjusted_p_values",
    "bootstrap_standard_error",
    "clopper_pearson",
    "cluster_labels",
    "consensus_scores",
    "cross_validated_overfitting",
    "deflated_sharpe_ratio",
    "effective_trials",
    "expected_maximum_sharpe",
    "family_discoveries",
    "haircut_sharpe",
    "minimum_track_record_length",
    "model_confidence_set",
    "one_sided_p_values",
    "probabilistic_sharpe_ratio",
    "probability_of_backtest_overfitting",
    "reality_check",
    "select",
    "sharpe_interval",
    "sharpe_ratio",
    "sharpe_standard_error",
    "shortlist",
    "spa_p_value",
    "split_days",
    "stepm",
    "t_statistic",
]
