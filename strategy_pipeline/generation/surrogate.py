"""A model of what candidates are worth, learnt from those that were run.

Randomised trees (P. Geurts, D. Ernst, L. Wehenkel, 2006) from structure, parameters and regime to the Sharpe ratio of a stretch of
training; where the trees disagree is what is not known yet (F. Hutter, H. Hoos, K. Leyton-Brown, 2011). The next to run are those of
the highest upper bound (P. Auer, 2002): mean over regimes, less a part of its spread over them, more a part of the disagreement.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strategy_pipeline.generation import features
from strategy_pipeline.market import Bars
from strategy_pipeline.rng import derive_seed
from strategy_pipeline.strategies.strategy import Strategy

STRETCHES = 4
_TREES, _LEAF, _COLUMNS = 40, 6, 0.3  # trees, least rows of a leaf, share of columns that a cut is chosen from
_CLIP = 8.0  # Sharpe ratios of short stretches beyond this are noise
_UNEVEN, _UNKNOWN = 0.25, 0.2
_FEWEST = 12


class Surrogate:
    """Fitted on evaluated strategies; `score` ranks new ones."""

    def __init__(self, bars: Bars, seed: int) -> None:
        self._symbols, self._seed = tuple(bars.symbols), seed
        self._parts = features.segments(bars, STRETCHES)
        self._regimes = features.regimes(bars, self._parts)
        self._model: Any = None

    @property
    def ready(self) -> bool:
        """Whether there was enough to learn from."""
        return self._model is not None

    def fit(self, strategies: Sequence[Strategy], returns: NDArray[np.float64]) -> None:
        """Learn from strategies and their daily returns (n, n_days). Too few that ever traded leave it as it was."""
        from sklearn.ensemble import ExtraTreesRegressor

        target = self._targets(returns)
        known = np.isfinite(target)
        rows = np.flatnonzero(known.any(axis=1)).tolist()
        if len(rows) < _FEWEST:
            return
        own = features.structure([strategies[row] for row in rows], self._symbols)
        row, stretch = np.nonzero(known[rows])
        model = ExtraTreesRegressor(
            _TREES, max_features=_COLUMNS, min_samples_leaf=_LEAF, n_jobs=1, random_state=derive_seed(self._seed, "surrogate") % 2**32
        )
        with _one_thread():
            self._model = model.fit(np.hstack([own[row], self._regimes[stretch]]), target[rows][row, stretch])

    def score(self, strategies: Sequence[Strategy], explore: float = _UNKNOWN) -> NDArray[np.float64]:
        """How promising each is, (n,): expected Sharpe ratio over regimes, evenness and ignorance counted."""
        own = features.structure(strategies, self._symbols)
        table = np.hstack([np.tile(own, (len(self._regimes), 1)), np.repeat(self._regimes, len(own), axis=0)]).astype(np.float32)
        with _one_thread():
            found = np.array([tree.predict(table, check_input=False) for tree in self._model.estimators_])
        found = found.reshape(len(found), len(self._regimes), len(own))
        expected = found.mean(axis=0)
        return expected.mean(axis=0) - _UNEVEN * expected.std(axis=0) + explore * found.mean(axis=1).std(axis=0)

    def _targets(self, returns: NDArray[np.float64]) -> NDArray[np.float64]:
        columns = []
        for part in self._parts:
            piece = returns[:, part]
            deviation = piece.std(axis=1, ddof=1) if piece.shape[1] > 1 else np.zeros(len(piece))
            ratio = np.divide(piece.mean(axis=1), deviation, out=np.full(len(piece), np.nan), where=deviation > 0)
            columns.append(np.clip(ratio * np.sqrt(365.0), -_CLIP, _CLIP))
        return np.stack(columns, axis=1)


def _one_thread() -> Any:
    """Sums over threads would depend on their number."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(limits=1)
