"""The hourly path of every symbol, from the epoch through a whole calendar year.

Draws come in blocks of one calendar year, each from its own generator, and the recursion runs forward from the
epoch; so an hour's values depend on (seed, symbol, the draws up to it) and on nothing that is asked for. Asking for
more history or for a later day gives the same values again.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from strategy_pipeline import rng
from strategy_pipeline.market.sources.sample import kernels
from strategy_pipeline.market.sources.sample.universe import (
    BREAKOUT_HOURS,
    BREAKOUT_WINDOW,
    BY_NAME,
    EPOCH_YEAR,
    FAST,
    HOURS_PER_YEAR,
    NEWS_HOURS,
    PLANTED_EDGES,
    REVERSION_HOURS,
    REVERSION_WINDOW,
    SLOW,
    SampleSymbol,
    year_start,
)

FACTOR_VOLATILITY = 0.42  # annualised
# Which of equally likely markets the seeds stand for. Chosen once, so that the default seed is a typical one: the
# market neither booms nor collapses in 2018-2026, and the planted rules earn about their mean over many seeds.
EDITION = 52
FIELDS = ("open", "high", "low", "close", "volume", "quote_volume", "trades", "taker_buy_volume")
_WINDOWS = {
    "null": (0, 0),
    "momentum": (FAST, SLOW),
    "mean_reversion": (REVERSION_WINDOW, REVERSION_HOURS),
    "breakout": (BREAKOUT_WINDOW, BREAKOUT_HOURS),
    "news": (NEWS_HOURS, 0),
}


@dataclass(frozen=True, slots=True)
class Factor:
    """The common factor, hour by hour from the epoch: float64 and int8 arrays (n_hours,)."""

    returns: np.ndarray
    volatility: np.ndarray
    turbulent: np.ndarray
    bull: np.ndarray
    season: np.ndarray  # of volatility
    busy: np.ndarray  # season of volume


@dataclass(frozen=True, slots=True)
class Hours:
    """One symbol, hour by hour from the epoch, also where it is not listed or the venue is down.

    values : float64 (8, n_hours) in the order of `FIELDS`; volatility : of each hour's return; attention : of the
    public, unit variance, leads volatility by three hours; state : int8, the planted direction during each hour.
    """

    values: np.ndarray
    volatility: np.ndarray
    attention: np.ndarray
    state: np.ndarray

    def __getitem__(self, field: str) -> np.ndarray:
        return self.values[FIELDS.index(field)]


def lot_of(one: SampleSymbol) -> float:
    """Smallest quantity: a power of ten worth about a tenth of a quote unit at the epoch's price."""
    return float(10.0 ** (np.floor(np.log10(1.0 / one.price)) - 1.0))


def _years(last_year: int) -> range:
    return range(EPOCH_YEAR, last_year + 1)


def _length(year: int) -> int:
    return year_start(year + 1) - year_start(year)


def _heavy(draw: np.random.Generator, n: int, freedom: float) -> np.ndarray:
    """Student t draws of unit variance, cut symmetrically at eight."""
    return np.clip(draw.standard_t(freedom, n) / np.sqrt(freedom / (freedom - 2)), -8.0, 8.0)


def _frozen(*arrays: np.ndarray) -> None:
    for array in arrays:
        array.setflags(write=False)


@lru_cache(maxsize=4)
def factor(seed: int, last_year: int) -> Factor:
    """The common factor through the end of `last_year`."""
    shock, tide, uniforms = [], [], []
    for year in _years(last_year):
        draw = rng.generator(seed, "sample", "factor", EDITION, year)
        shock.append(_heavy(draw, _length(year), 5.0))
        uniforms.append(draw.random((2, _length(year))))
        tide.append(draw.standard_normal((2, _length(year))))
    shocks, tides, uniform = np.concatenate(shock), np.concatenate(tide, axis=1), np.concatenate(uniforms, axis=1)
    n = len(shocks)
    season, busy = kernels.seasons(np.arange(n))
    returns, volatility = np.empty(n), np.empty(n)
    turbulent, bull = np.empty(n, np.int8), np.empty(n, np.int8)
    scale = FACTOR_VOLATILITY / np.sqrt(HOURS_PER_YEAR)
    kernels.factor_path(shocks, tides, uniform[0], uniform[1], season, scale, returns, volatility, turbulent, bull)
    _frozen(returns, volatility, turbulent, bull, season, busy)
    return Factor(returns, volatility, turbulent, bull, season, busy)


@lru_cache(maxsize=32)
def hours(seed: int, symbol: str, last_year: int, planted: bool = True, strength: float | None = None) -> Hours:
    """The symbol's hours through the end of `last_year`.

    planted : False leaves the symbol's edge out, with the same draws; strength : overrides the table's (calibration).
    """
    one = BY_NAME[symbol]
    edge = next((edge for edge in PLANTED_EDGES if edge.symbol == symbol), None) if planted else None
    kind = edge.kind if edge else "null"
    if edge and strength is None:
        strength = edge.strength
    common = factor(seed, last_year)
    shock, normals, uniforms = [], [], []
    for year in _years(last_year):
        draw = rng.generator(seed, "sample", "hours", symbol, year)
        shock.append(_heavy(draw, _length(year), 4.5))
        normals.append(draw.standard_normal((7, _length(year))))
        uniforms.append(1.0 - draw.random((3, _length(year))))
    n = len(common.returns)
    if kind == "news":
        from strategy_pipeline.market.sources.sample.stories import lead

        news = lead(seed, symbol, last_year)
    else:
        news = np.zeros(n, np.int8)
    per_hour = 1.0 / np.sqrt(HOURS_PER_YEAR)
    beta = np.sqrt(one.share) * one.volatility / FACTOR_VOLATILITY
    level = np.exp(0.12 * np.arange(n) / HOURS_PER_YEAR)
    values, volatility, attention, state = np.empty((len(FIELDS), n)), np.empty(n), np.empty(n), np.empty(n, np.int8)
    kernels.symbol_path(
        kernels.KINDS.index(kind), float(strength or 0.0), np.array(_WINDOWS[kind], np.int64), news, one.price,
        beta, FACTOR_VOLATILITY * per_hour, np.sqrt(1.0 - one.share) * one.volatility * per_hour, 0.65 * one.turnover / 24.0, lot_of(one),
        common.returns, common.volatility, common.season, common.busy, level,
        np.concatenate(shock), np.concatenate(normals, axis=1), np.concatenate(uniforms, axis=1),
        values, volatility, attention, state,
    )  # fmt: skip
    _frozen(values, volatility, attention, state)
    return Hours(values, volatility, attention, state)
