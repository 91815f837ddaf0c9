"""Splits and bootstraps that every later room shares.

What belongs here: index arrays that cut a history into training and test parts without leaking across the cut, block
and stationary bootstrap indices, resampled bars and markets with no edge. What does not: models, strategies, and what
is concluded from a split (selection).
"""

from __future__ import annotations

from strategy_pipeline.resampling.bootstrap import block_bootstrap_indices, stationary_bootstrap_indices
from strategy_pipeline.resampling.markets import bootstrap_bars, bootstrap_bars_with, null_market
from strategy_pipeline.resampling.splits import Split, SplitError, combinatorial_purged, purged_kfold, walk_forward_splits

__all__ = [
    "Split",
    "SplitError",
    "block_bootstrap_indices",
    "bootstrap_bars",
    "bootstrap_bars_with",
    "combinatorial_purged",
    "null_market",
    "purged_kfold",
    "stationary_bootstrap_indices",
    "walk_forward_splits",
]
