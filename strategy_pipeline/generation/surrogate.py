"""A model of what candidates are worth, learnt from those that were run.

Gradient-boosted trees (J. Friedman, 2001) from structure, parameters and regime to the Sharpe ratio of a stretch of training;
several on resampled strategies, whose disagreement is what is not known yet. The next to run are those of the highest upper bound
(P. Auer, 2002): mean over regimes, less a part of its spread over them, more a part of the models' disagreement.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strategy_pipeline.generation import features
from strategy_pipeline.market import Bars
from strategy_pipeline.rng import derive_seed, generator
from strategy_pipeline.strategies.strategy import Strategy

STRETCHES = 4
_MODELS = 3
_CLIP = 8.0  # Sharpe ratios of short stretches beyond this are noise
_UNEVEN, _UNKNOWN = 0.25, 0.5
_FEWEST = 12


class Surrogate:
    """Fitted on evaluated strategies; `score` ranks new ones."""

    def __init__(self, bars: Bars, seed: int) -> None:
        self._symbols, self._seed = tuple(bars.symbols), seed
        self._parts = features.segments(bars, STRETCHES)
        self._regimes = features.regimes(bars, self._parts)
        self._models: list[Any] = []

    @property
    def ready(self) -> bool:
        """Whether there was enough to learn from."""
        return bool(self._models)

    def fit(self, strategies: Sequence[Strategy], returns: NDArray[np.float64]) -> None:
        """Learn from strategies and their daily returns (n, n_days). Too few that ever traded leave it as it was."""
        from sklearn.ensemble import HistGradientBoostingRegressor

        target = self._targets(returns)
        known = np.isfinite(target)
        rows = np.flatnonzero(known.any(axis=1)).tolist()
        if len(rows) < _FEWEST:
            return
        own = features.structure([strategies[row] for row in rows], self._symbols)
        known, target = known[rows], target[rows]
        models = []
        with _one_thread():
            for number in range(_MODELS):
                drawn = generator(self._seed, "surrogate", number).integers(len(rows), size=len(rows))
                stretch = np.tile(np.arange(len(self._parts)), len(rows))
                chosen = np.repeat(drawn, len(self._parts))
                fine = known[chosen, stretch]
                table = np.hstack([own[chosen[fine]], self._regimes[stretch[fine]]])
                model = HistGradientBoostingRegressor(
                    max_iter=40, learning_rate=0.1, max_leaf_nodes=15, min_samples_leaf=8, l2_regularization=1.0, early_stopping=False,
                    random_state=derive_seed(self._seed, "surrogate", number) % 2**32,
                )  # fmt: skip
                models.append(model.fit(table, target[chosen[fine], stretch[fine]]))
        self._models = models

    def score(self, strategies: Sequence[Strategy], explore: float = _UNKNOWN) -> NDArray[np.float64]:
        """How promising each is, (n,): expected Sharpe ratio over regimes, evenness and ignorance counted."""
        own = features.structure(strategies, self._symbols)
        with _one_thread():
            found = np.array(
                [
                    [model.predict(np.hstack([own, np.broadcast_to(regime, (len(own), len(regime)))])) for regime in self._regimes]
                    for model in self._models
                ]
            )
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
