"""Named, versioned sets of features.

A set is a list of features in a fixed order; the same name and version always mean the same features. What a feature
is made of: a value expression over bars (`blocks`), or a reading of observation tables (`world`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from strategy_pipeline.errors import PipelineError
from strategy_pipeline.indicators import bars_needed
from strategy_pipeline.indicators.expressions import Value

if TYPE_CHECKING:
    from strategy_pipeline.features.world import World


class UnknownFeatureSetError(PipelineError):
    """A feature set was asked for by a name that is not among `FEATURE_SETS`."""


@dataclass(frozen=True)
class Feature:
    """One column.

    Exactly one of `value` (an expression over bars) and `read` (a function of the observation tables as of each
    close, giving float64 (n_symbols, n_bars) or None where the data is absent) is set.
    """

    name: str
    block: str
    value: Value | None = None
    read: Callable[[World], np.ndarray | None] | None = None

    def lookback(self, timeframe: str) -> int:
        """Bars of `timeframe` that determine a row, where none is missing; 1 for what reads no earlier bar."""
        return 1 if self.value is None else max(1, bars_needed(self.value, timeframe))


@dataclass(frozen=True)
class FeatureSet:
    """A named list of features; which higher timeframes it reads depends on the bars' own."""

    name: str
    version: str
    description: str
    make: Callable[[str], tuple[Feature, ...]]

    def features(self, timeframe: str) -> tuple[Feature, ...]:
        """The set's columns, in order, for bars of `timeframe`."""
        return self.make(timeframe)

    def lookback(self, timeframe: str) -> int:
        """Bars that determine any row of the set, where none is missing."""
        return max(feature.lookback(timeframe) for feature in self.make(timeframe))


def _minimal(timeframe: str) -> tuple[Feature, ...]:
    from strategy_pipeline.features import blocks

    wanted = {
        "return_1", "return_6", "return_24", "return_168", "ema_cross_12_48", "adx_14", "rsi_14", "zscore_96", "log_volatility_24",
        "log_volatility_96", "volatility_ratio", "log_volume_ratio_24", "relative_strength_24", "market_return_24", "hour_sin", "hour_cos",
    }  # fmt: skip
    return tuple(feature for feature in blocks.standard(timeframe) if feature.name in wanted)


def _standard(timeframe: str) -> tuple[Feature, ...]:
    from strategy_pipeline.features import blocks, readings

    return (*blocks.standard(timeframe), *readings.STANDARD)


def _full(timeframe: str) -> tuple[Feature, ...]:
    from strategy_pipeline.features import blocks, readings

    return (*blocks.standard(timeframe), *blocks.further(timeframe), *readings.STANDARD, *readings.FURTHER)


# Standard 2 and full 2 score texts that bring no score with the lexicon of finance and crypto, and find their assets by name;
# full 2 adds the regime block, order book, dispersion and surprise of texts, more fundamentals, volume nodes and calendar.
# Full 3 adds correlations to the S&P 500, the NASDAQ, the dollar index and the VIX.
FEATURE_SETS: dict[str, FeatureSet] = {
    one.name: one
    for one in (
        FeatureSet("minimal", "1", "prices and volume only: sixteen columns", _minimal),
        FeatureSet(
            "standard", "2", "returns, trend, momentum, volatility, volume, flow, universe, two higher timeframes, world", _standard
        ),
        FeatureSet("full", "3", "standard and the slower statistics, structure, regimes, liquidity, quotes and release data", _full),
    )
}


def feature_set(name: str) -> FeatureSet:
    """The set of that name; UnknownFeatureSetError lists them."""
    try:
        return FEATURE_SETS[name]
    except KeyError:
        raise UnknownFeatureSetError(f"Expected a feature set of {', '.join(FEATURE_SETS)}, was {name!r}; name one of these") from None
