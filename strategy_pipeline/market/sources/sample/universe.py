"""Who trades on the sample market, and what was planted there.

What belongs here: the table of symbols, the table of planted edges, the names of the null symbols, and the
calendar facts (epoch, listings, outages). What does not: how prices are made (`hours`, `minutes`).

The names are those people type; the prices are invented. Nothing here describes a real market.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from strategy_pipeline import rng

EPOCH = np.datetime64("2018-01-01T00", "h")
EPOCH_YEAR = 2018
HOURS_PER_YEAR = 8766.0  # 365.25 days: only scales volatilities


@dataclass(frozen=True, slots=True)
class SampleSymbol:
    """One invented market.

    price : quote units at the epoch; turnover : mean quote volume a day; volatility : annualised, of hourly returns;
    share : fraction of its variance that comes from the common factor (two symbols correlate at about the geometric
    mean of their shares); listed, delisted : hours (UTC) of its first bar and after its last, None for always.
    """

    symbol: str
    price: float
    turnover: float
    volatility: float
    share: float
    listed: str | None = None
    delisted: str | None = None

    @property
    def base(self) -> str:
        return self.symbol.partition("/")[0]


UNIVERSE: tuple[SampleSymbol, ...] = (
    SampleSymbol("BTC/USDT", 13_800.0, 1.6e9, 0.45, 0.76),
    SampleSymbol("ETH/USDT", 740.0, 9.0e8, 0.58, 0.72),
    SampleSymbol("SOL/USDT", 22.0, 4.5e8, 0.75, 0.55),
    SampleSymbol("BNB/USDT", 240.0, 2.5e8, 0.62, 0.45),
    SampleSymbol("XRP/USDT", 1.95, 3.2e8, 0.70, 0.45),
    SampleSymbol("DOGE/USDT", 0.21, 2.8e8, 0.80, 0.42),
    SampleSymbol("ADA/USDT", 0.72, 1.5e8, 0.70, 0.60),
    SampleSymbol("AVAX/USDT", 31.0, 1.2e8, 0.75, 0.52),
    SampleSymbol("LINK/USDT", 12.5, 1.1e8, 0.70, 0.58),
    SampleSymbol("DOT/USDT", 6.4, 8.0e7, 0.70, 0.62),
    SampleSymbol("LTC/USDT", 225.0, 1.0e8, 0.62, 0.62),
    SampleSymbol("MATIC/USDT", 0.85, 7.0e7, 0.78, 0.50, delisted="2024-09-10T03"),
    SampleSymbol("UNI/USDT", 7.2, 6.0e7, 0.75, 0.52),
    SampleSymbol("ATOM/USDT", 9.1, 5.0e7, 0.70, 0.58),
    SampleSymbol("NEAR/USDT", 4.2, 6.5e7, 0.80, 0.50),
    SampleSymbol("FIL/USDT", 19.0, 5.5e7, 0.78, 0.52),
    SampleSymbol("ENA/USDT", 0.62, 9.0e7, 0.90, 0.42, listed="2024-04-02T08"),
    SampleSymbol("TRX/USDT", 0.045, 7.5e7, 0.52, 0.45),
    SampleSymbol("XLM/USDT", 0.36, 5.0e7, 0.65, 0.50),
    SampleSymbol("ALGO/USDT", 1.05, 4.0e7, 0.74, 0.55),
)
BY_NAME = {one.symbol: one for one in UNIVERSE}


@dataclass(frozen=True, slots=True)
class PlantedEdge:
    """An edge that is there to be found.

    kind : what the kernel in `hours` plants; strength : drift while the state holds, in units of that hour's total
    volatility; rule : the sentence that trades it; sharpe : annual net Sharpe ratio of that rule on 1h bars after
    10 + 5 basis points a side, mean over `seeds` seeds of the three years 2023-2025; spread : its standard
    deviation over those seeds.
    """

    symbol: str
    kind: str
    what: str
    rule: str
    strength: float
    sharpe: float
    spread: float
    seeds: int


FAST, SLOW = 24, 96
REVERSION_WINDOW, REVERSION_WIDTH, REVERSION_HOURS = 48, 2.0, 24
BREAKOUT_WINDOW, BREAKOUT_HOURS = 72, 24
NEWS_HOURS, NEWS_THRESHOLD = 12, 0.25

_MOMENTUM = f"""momentum on {{}} 1h
enter long when ema(close, {FAST}) > ema(close, {SLOW})
enter short when ema(close, {FAST}) < ema(close, {SLOW})
exit long when ema(close, {FAST}) < ema(close, {SLOW})
exit short when ema(close, {FAST}) > ema(close, {SLOW})"""
_REVERSION = f"""mean_reversion on {{}} 1h
enter long when zscore(close, {REVERSION_WINDOW}) < -{REVERSION_WIDTH:g}
enter short when zscore(close, {REVERSION_WINDOW}) > {REVERSION_WIDTH:g}
exit long when zscore(close, {REVERSION_WINDOW}) > 0
exit short when zscore(close, {REVERSION_WINDOW}) < 0
hold at most {REVERSION_HOURS} bars"""
_BREAKOUT = f"""breakout on {{}} 1h
enter long when close > lag(highest(high, {BREAKOUT_WINDOW}), 1)
enter short when close < lag(lowest(low, {BREAKOUT_WINDOW}), 1)
hold at most {BREAKOUT_HOURS} bars"""
# sentiment.mean: mean score of the news about the asset that became available in the last NEWS_HOURS hours.
_NEWS = f"""sentiment on {{}} 1h
enter long when sentiment.mean > {NEWS_THRESHOLD:g}
enter short when sentiment.mean < -{NEWS_THRESHOLD:g}
exit long when not sentiment.mean > {NEWS_THRESHOLD:g}
exit short when not sentiment.mean < -{NEWS_THRESHOLD:g}"""

PLANTED_EDGES: tuple[PlantedEdge, ...] = (
    PlantedEdge(
        "SOL/USDT", "momentum", f"price drifts to the side on which its {FAST}h average stands of its {SLOW}h average",
        _MOMENTUM.format("SOL/USDT"), 0.058, 4.2, 0.6, 20,
    ),
    PlantedEdge(
        "BNB/USDT", "breakout", f"a close beyond the range of {BREAKOUT_WINDOW} hours runs on for {BREAKOUT_HOURS}",
        _BREAKOUT.format("BNB/USDT"), 0.105, 4.1, 0.5, 20,
    ),
    PlantedEdge(
        "XRP/USDT", "mean_reversion",
        f"a close {REVERSION_WIDTH:g} deviations from its {REVERSION_WINDOW}h mean comes back within a day",
        _REVERSION.format("XRP/USDT"), 0.100, 3.8, 0.5, 20,
    ),
    PlantedEdge(
        "DOGE/USDT", "news", f"price follows clear news about it for {NEWS_HOURS} hours",
        _NEWS.format("DOGE/USDT"), 0.165, 3.9, 0.5, 20,
    ),
    PlantedEdge(
        "AVAX/USDT", "momentum", f"price drifts to the side on which its {FAST}h average stands of its {SLOW}h average",
        _MOMENTUM.format("AVAX/USDT"), 0.058, 4.2, 0.6, 20,
    ),
)  # fmt: skip
NULL_SYMBOLS: tuple[str, ...] = tuple(one.symbol for one in UNIVERSE if one.symbol not in {edge.symbol for edge in PLANTED_EDGES})


def hours_from_epoch(time: np.datetime64) -> int:
    """Whole hours from the epoch to `time` (floored)."""
    return int((time.astype("datetime64[h]") - EPOCH).astype(np.int64))


def year_start(year: int) -> int:
    """Hours from the epoch to the first hour of `year`."""
    return hours_from_epoch(np.datetime64(f"{year:04d}-01-01T00", "h"))


@lru_cache(maxsize=256)
def outage(seed: int, year: int) -> tuple[int, int]:
    """The hours (from the epoch, half-open) for which the venue was down in `year`: once a year, two to six hours."""
    draw = rng.generator(seed, "sample", "outage", year)
    begin = year_start(year) + int(draw.integers(30 * 24, 330 * 24))
    return begin, begin + int(draw.integers(2, 7))
