"""Bars and features as the models see them: aligned arrays, cut at what was known.

What belongs here: the view of a market that models train on and predict from, horizons, and labels. What does not:
anything fitted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from strategy_pipeline.errors import InvalidBarsError, MissingInputError
from strategy_pipeline.forecasting.kernels import trailing_mean

YEAR = np.timedelta64(365, "D") / np.timedelta64(1, "ns")


@dataclass(frozen=True)
class Horizon:
    """How far a forecast looks: a number of bars, and the name that series carry.

    Intraday bars look 24 hours ahead and are named ``24h``; a day is one bar and also ``24h``; longer bars look one bar
    ahead and are named by the timeframe (``3d``, ``1w``, ``1M``).

    Bars are counted as they exist: where the whole market is closed (see `Panel.of`), the day after a Friday is Monday. The
    label and `years` stay those of the timeframe, so a volatility is annualised as if each day of the year were such a bar.
    """

    bars: int
    label: str
    years: float  # length in years of 365 days, to annualise

    @classmethod
    def of(cls, timeframe: str, hours: int = 24) -> Horizon:
        """The horizon of `hours` in bars of `timeframe`, at least one bar."""
        from strategy_pipeline.market import timeframes

        step = float(timeframes.duration(timeframe) / np.timedelta64(1, "ns"))
        asked = hours * 3600e9
        bars = max(1, round(asked / step))
        label = f"{hours}h" if step <= asked else timeframe
        return cls(bars, label, bars * step / YEAR)

    @property
    def stride(self) -> int:
        """Spacing of training rows: four a horizon. Labels overlap, so denser rows add cost and little else."""
        return max(1, self.bars // 4)


@dataclass
class Panel:
    """Arrays of one market, rows of time in the second axis; NaN where a symbol has no bar while another has one.

    Bars at which no symbol trades are not rows of a panel: windows, lags and labels run over the bars that exist, as the
    gap rule of `indicators/` says. `on_grid` puts values back on the bars that the panel was made of.

    `open, high, low, close, volume`: float64 (n_symbols, n_bars). `features`: float32 (n_symbols, n_bars, n_features) or
    None. `times` are bar opens, `closes` the moments the bars were known, datetime64[ns] (n_bars,).
    """

    symbols: tuple[str, ...]
    timeframe: str
    times: np.ndarray
    closes: np.ndarray
    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray
    volume: np.ndarray
    features: np.ndarray | None = None
    feature_names: tuple[str, ...] = ()
    available: np.ndarray | None = None  # bool (n_features,): False where the data behind a feature was not given at all
    horizon: Horizon = field(default_factory=lambda: Horizon(24, "24h", 24 / 8760))
    computed: dict[str, np.ndarray] = field(default_factory=dict, repr=False)  # what several models compute from these rows
    traded: np.ndarray | None = field(default=None, repr=False)  # bool (bars given,): those that became rows; None: every one

    @classmethod
    def of(cls, bars: Any, features: Any = None) -> Panel:
        """From `Bars` and a `FeatureMatrix` (or None). A panel passes through unchanged.

        Bars at which every symbol is missing (a closed market, an outage of the exchange) are left out. Whether one is left
        out depends on that bar alone, so what is known at a bar is the same whatever follows it.

        Raises
        ------
        InvalidBarsError
            The features stand on other times or symbols than the bars.
        """
        if isinstance(bars, Panel):
            return bars
        panel = cls(
            symbols=tuple(bars.symbols),
            timeframe=bars.timeframe,
            times=np.asarray(bars.times, dtype="datetime64[ns]"),
            closes=np.asarray(bars.available_at, dtype="datetime64[ns]"),
            open=bars.open,
            high=bars.high,
            low=bars.low,
            close=bars.close,
            volume=bars.volume,
            horizon=Horizon.of(bars.timeframe),
        )
        if features is not None:
            if tuple(features.symbols) != panel.symbols or not np.array_equal(
                np.asarray(features.times, dtype="datetime64[ns]"), panel.times
            ):
                raise InvalidBarsError(
                    f"Expected features on the bars' {len(panel.symbols)} symbols and {len(panel.times)} times, was "
                    f"{len(features.symbols)} symbols and {len(features.times)} times, so rows would not match; "
                    "build the features from the same bars"
                )
            panel.features = np.asarray(features.values, dtype=np.float32)
            panel.feature_names = tuple(features.feature_names)
            given = getattr(features, "available", None)
            panel.available = None if given is None else np.asarray(given, dtype=bool)
        traded = ~np.isnan(panel.close).all(axis=0)
        return panel if traded.all() else panel._only(traded)

    def _only(self, traded: np.ndarray) -> Panel:
        """The rows of bars at which something trades."""
        return replace(self._cut(traded), traded=traded)

    def on_grid(self, values: np.ndarray) -> np.ndarray:
        """Values of the rows (n_symbols, n_bars) on the bars that `of` was given, float64, NaN at those left out."""
        if self.traded is None:
            return values
        out = np.full((values.shape[0], self.traded.size), np.nan)
        out[:, self.traded] = values
        return out

    def row_of(self, bar: int) -> int:
        """The row of a bar given by its position in what `of` was given; of one left out, the row after it."""
        return bar if self.traded is None else int(np.count_nonzero(self.traded[: max(bar, 0)]))

    def bar_of(self, row: int) -> int:
        """The inverse of `row_of`: the position of a row among the bars that `of` was given."""
        return row if self.traded is None else int(np.flatnonzero(self.traded)[row])

    @property
    def n_symbols(self) -> int:
        return self.close.shape[0]

    @property
    def n_bars(self) -> int:
        return self.close.shape[1]

    @property
    def feature_values(self) -> np.ndarray:
        """The features, or `MissingInputError` where none were given."""
        if self.features is None:
            raise MissingInputError("Expected a feature matrix, was none, so the model has no inputs; pass features.build(bars)")
        return self.features

    def once(self, name: str, make: Callable[[], np.ndarray]) -> np.ndarray:
        """A derived array, computed the first time it is asked for."""
        if name not in self.computed:
            self.computed[name] = make()
        return self.computed[name]

    def rows(self, start: int, end: int) -> Panel:
        """Rows `start` to `end` (exclusive). A view, that stands on its own rows."""
        return self._cut(slice(max(start, 0), end))

    def _cut(self, cut: slice | np.ndarray) -> Panel:
        return replace(
            self,
            times=self.times[cut],
            closes=self.closes[cut],
            open=self.open[:, cut],
            high=self.high[:, cut],
            low=self.low[:, cut],
            close=self.close[:, cut],
            volume=self.volume[:, cut],
            features=None if self.features is None else self.features[:, cut],
            computed={},
            traded=None,
        )

    def known_at(self, moment: Any) -> Panel:
        """The bars that had closed by `moment`."""
        from strategy_pipeline.market.timeframes import to_time

        return self.rows(0, int(self.closes.searchsorted(to_time(moment), side="right")))

    def index_of(self, moment: Any) -> int:
        """Row of the first bar that opens at or after `moment`."""
        from strategy_pipeline.market.timeframes import to_time

        return int(self.times.searchsorted(to_time(moment), side="left"))

    @property
    def steps(self) -> np.ndarray:
        """Number of each bar since the epoch, int64 (n_bars,): the same bar has the same number in every slice.

        Bars left out are counted: the numbers jump over them.
        """
        from strategy_pipeline.market import timeframes

        length = int(timeframes.duration(self.timeframe) / np.timedelta64(1, "ns"))
        if self.timeframe == "1M":
            return self.times.astype("datetime64[M]").astype(np.int64)
        return self.times.astype(np.int64) // length

    @cached_property
    def log_returns(self) -> np.ndarray:
        """Log return of each close on the row before (the last bar there was), float64 (n_symbols, n_bars); NaN where either is missing."""
        out = np.full(self.close.shape, np.nan)
        np.log(self.close[:, 1:] / self.close[:, :-1], out=out[:, 1:])
        return out

    @cached_property
    def bar_variance(self) -> np.ndarray:
        """An estimate of each bar's variance of log returns, float64 (n_symbols, n_bars), NaN where it cannot be had.

        The squared return where a horizon holds many bars. Where it holds fewer than six, one squared return says too
        little: the squared gap from the last close plus the Garman-Klass (1980) estimate of the bar itself.
        """
        if self.horizon.bars >= 6:
            return self.log_returns**2 + 1e-8
        gap = np.full(self.close.shape, np.nan)
        gap[:, 1:] = np.log(self.open[:, 1:] / self.close[:, :-1])
        spread, body = np.log(self.high / self.low), np.log(self.close / self.open)
        return gap**2 + np.maximum(0.5 * spread**2 - (2 * np.log(2) - 1) * body**2, 0.0) + 1e-8

    def mean_variance(self, bars: int) -> np.ndarray:
        """Mean bar variance over the `bars` up to and including each, NaN where under 80 % are present."""
        return trailing_mean(self.bar_variance, bars, max(1, int(np.ceil(0.8 * bars))))

    def forward_return(self) -> np.ndarray:
        """Label: simple return from this close to the close a horizon of existing bars later, NaN in the last rows and at gaps."""
        return ahead(self.close, self.horizon.bars) / self.close - 1.0

    def forward_variance(self) -> np.ndarray:
        """Label: realised variance of the next horizon of existing bars (sum of theirs), NaN in the last rows and at gaps."""
        return ahead(self.mean_variance(self.horizon.bars), self.horizon.bars) * self.horizon.bars


def ahead(values: np.ndarray, bars: int) -> np.ndarray:
    """The value `bars` later, NaN where it is not known yet: for labels, never for inputs."""
    out = np.full(values.shape, np.nan)
    if bars < values.shape[1]:
        out[:, : values.shape[1] - bars] = values[:, bars:]
    return out
