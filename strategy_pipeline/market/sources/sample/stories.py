"""News and social posts of the sample market, point in time.

News about the one symbol with a news edge leads its price: stories come by chance and the price follows for half a
day. News about every other symbol, and all posts, follow prices. How much is posted leads how much prices move
(never where to). Each block of one asset and one calendar year has its own generator.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd

from strategy_pipeline import rng
from strategy_pipeline.market.sources.sample.universe import (
    EPOCH,
    EPOCH_YEAR,
    NEWS_HOURS,
    NEWS_THRESHOLD,
    PLANTED_EDGES,
    UNIVERSE,
    year_start,
)

_NEWS_A_DAY = {"BTC": 4.0, "ETH": 2.5}
_POSTS_AN_HOUR = {"BTC": 0.6, "ETH": 0.4}
_OUTLETS = ("Sample Wire", "Sample Ledger", "The Sample Block", "Sample Street Daily")
_FORUMS = ("sample_forum", "sample_feed")
_TITLES = {
    1: (
        "{0} rallies as adoption grows and investors cheer strong results",
        "Great news for {0}: major partnership wins approval",
        "{0} surges on optimism after successful upgrade",
        "Analysts praise {0} as gains beat expectations",
    ),
    0: (
        "{0} trades sideways as the market waits",
        "{0} developers publish the agenda of the next call",
        "What to know about {0} this week",
        "{0} volume in line with its average",
    ),
    -1: (
        "{0} plunges as fear spreads after an exploit",
        "Bad news for {0}: lawsuit and losses worry investors",
        "{0} falls sharply on weak results and failed upgrade",
        "Analysts warn {0} is at risk after terrible week",
    ),
}
_TEXTS = {
    1: "Simulated story: holders of {0} are happy and demand is strong.",
    0: "Simulated story: nothing of note happened to {0}.",
    -1: "Simulated story: holders of {0} are angry and selling is heavy.",
}
_POSTS = {
    1: ("{0} to the moon, love it", "bullish on {0}, great chart", "{0} looks strong, happy holder"),
    0: ("anyone watching {0} today", "{0} chart of the day", "what is the next level for {0}"),
    -1: ("{0} is a disaster, selling", "bearish on {0}, awful chart", "lost money on {0}, terrible"),
}
_MARKET = ""  # asset of rows about the market as a whole


def _length(year: int) -> int:
    return year_start(year + 1) - year_start(year)


def _times(hour: np.ndarray, second: np.ndarray) -> np.ndarray:
    return (EPOCH.astype("datetime64[s]") + (hour * 3600 + second).astype("timedelta64[s]")).astype("datetime64[ns]")


@lru_cache(maxsize=256)
def _news_draws(seed: int, asset: str, year: int) -> dict[str, np.ndarray]:
    """Stories of a year that owe nothing to prices: hour from the epoch, second, delay, and raw draws."""
    draw = rng.generator(seed, "sample", "news", asset, year)
    hour = year_start(year) + np.repeat(np.arange(_length(year)), draw.poisson(_NEWS_A_DAY.get(asset, 1.2) / 24.0, _length(year)))
    n = len(hour)
    second = np.floor(draw.random(n) * 3600).astype(np.int64)
    order = np.lexsort((second, hour))
    return {
        "hour": hour,
        "second": second[order],
        "delay": draw.integers(20, 900, n),
        "noise": draw.standard_normal(n),
        "major": draw.random(n),
        "pick": draw.integers(0, 1 << 16, n),
    }


def _lead_scores(draws: dict[str, np.ndarray]) -> np.ndarray:
    """Scores of stories that the price will follow: two in five are major and clear, the rest say nothing."""
    major = draws["major"] < 0.4
    size = np.where(major, 0.55 + 0.12 * np.minimum(np.abs(draws["noise"]), 3.0), 0.08 * np.minimum(np.abs(draws["noise"]), 2.0))
    return np.round(np.sign(draws["noise"]) * size, 3)


def _lag_scores(draws: dict[str, np.ndarray], close: np.ndarray, volatility: np.ndarray, hours: int) -> np.ndarray:
    """Scores of stories that follow the price: its move over the last `hours` closed hours, and noise."""
    last = draws["hour"] - 1
    first = np.maximum(last - hours, 0)
    move = np.where(last > 0, np.log(close[np.maximum(last, 0)] / close[first]), 0.0)
    scaled = move / (volatility[np.maximum(last, 0)] * np.sqrt(hours))
    return np.round(np.clip(0.45 * np.tanh(scaled) + 0.28 * draws["noise"], -0.98, 0.98), 3)


def lead(seed: int, symbol: str, last_year: int) -> np.ndarray:
    """int8 (n_hours,) from the epoch: direction that public news gives for each hour.

    The sign of the mean score of the asset's stories that became available in the `NEWS_HOURS` hours before the hour
    opens, 0 where it is within `NEWS_THRESHOLD` or there are none.
    """
    asset = symbol.partition("/")[0]
    n = year_start(last_year + 1)
    total, count = np.zeros(n + 1), np.zeros(n + 1)
    for year in range(EPOCH_YEAR, last_year + 1):
        draws = _news_draws(seed, asset, year)
        # Known from the first hour that opens at or after the story is available.
        known = draws["hour"] + -(-(draws["second"] + draws["delay"]) // 3600)
        inside = known < n
        np.add.at(total, known[inside], _lead_scores(draws)[inside])
        np.add.at(count, known[inside], 1.0)
    total, count = np.cumsum(total), np.cumsum(count)
    before = np.maximum(np.arange(n) - NEWS_HOURS, -1)
    sums = total[:n] - np.where(before >= 0, total[before], 0.0)
    counts = count[:n] - np.where(before >= 0, count[before], 0.0)
    mean = np.divide(sums, counts, out=np.zeros(n), where=counts > 0)
    return np.where(mean > NEWS_THRESHOLD, 1, np.where(mean < -NEWS_THRESHOLD, -1, 0)).astype(np.int8)


def _tone(score: np.ndarray) -> np.ndarray:
    return np.where(score > 0.2, 1, np.where(score < -0.2, -1, 0))


def _assets() -> list[tuple[str, str]]:
    """(asset, symbol whose price it follows): the market as a whole follows the first symbol."""
    return [(_MARKET, UNIVERSE[0].symbol)] + [(one.base, one.symbol) for one in UNIVERSE]


def _mask_life(ts: np.ndarray, symbol: str) -> np.ndarray:
    one = next(one for one in UNIVERSE if one.symbol == symbol)
    alive = np.ones(len(ts), bool)
    if one.listed:
        alive &= ts >= np.datetime64(one.listed)
    if one.delisted:
        alive &= ts < np.datetime64(one.delisted)
    return alive


@lru_cache(maxsize=16)
def news(seed: int, year: int, horizon: int, planted: bool) -> pd.DataFrame:
    """The news table of a calendar year (columns of `OBSERVATION_TABLES`, unsorted)."""
    from strategy_pipeline.market.sources.sample.hours import hours

    leading = {edge.symbol for edge in PLANTED_EDGES if edge.kind == "news"} if planted else set()
    parts = []
    for asset, symbol in _assets():
        draws = _news_draws(seed, asset, year)
        if symbol in leading:
            score = _lead_scores(draws)
        else:
            path = hours(seed, symbol, horizon, planted)
            score = _lag_scores(draws, path["close"], path.volatility, NEWS_HOURS)
        ts = _times(draws["hour"], draws["second"])
        name = asset or "Crypto market"
        tone, pick = _tone(score).tolist(), draws["pick"].tolist()
        frame = pd.DataFrame(
            {
                "ts": ts,
                "available_at": ts + draws["delay"].astype("timedelta64[s]"),
                "asset": asset,
                "source": [_OUTLETS[p % len(_OUTLETS)] for p in pick],
                "title": [_TITLES[t][p // 4 % len(_TITLES[t])].format(name) for t, p in zip(tone, pick, strict=True)],
                "text": [_TEXTS[t].format(name) for t in tone],
                "score": score,
            }
        )
        parts.append(frame[_mask_life(ts, symbol)])
    return pd.concat(parts, ignore_index=True)


@lru_cache(maxsize=16)
def social(seed: int, year: int, horizon: int, planted: bool) -> pd.DataFrame:
    """The table of social posts of a calendar year (columns of `OBSERVATION_TABLES`, unsorted)."""
    from strategy_pipeline.market.sources.sample.hours import hours

    parts = []
    begin = year_start(year)
    for one in UNIVERSE:
        path = hours(seed, one.symbol, horizon, planted)
        draw = rng.generator(seed, "sample", "social", one.base, year)
        n_hours = _length(year)
        attention = path.attention[begin : begin + n_hours]
        counts = draw.poisson(_POSTS_AN_HOUR.get(one.base, 0.15) * np.exp(0.7 * attention - 0.245))
        hour = begin + np.repeat(np.arange(n_hours), counts)
        n = len(hour)
        draws = {"hour": hour, "noise": draw.standard_normal(n)}
        score = _lag_scores(draws, path["close"], path.volatility, 3)
        second, pick = np.floor(draw.random(n) * 3600).astype(np.int64), draw.integers(0, 1 << 16, n).tolist()
        reach = np.round(np.exp(5.0 + 0.5 * attention[hour - begin] + 1.1 * draw.standard_normal(n)))
        ts = _times(hour, second)
        tone = _tone(score).tolist()
        frame = pd.DataFrame(
            {
                "ts": ts,
                "available_at": ts + draw.integers(1, 60, n).astype("timedelta64[s]"),
                "asset": one.base,
                "source": [_FORUMS[p % len(_FORUMS)] for p in pick],
                "author": [f"sample_user_{p % 997}" for p in pick],
                "text": [_POSTS[t][p // 2 % len(_POSTS[t])].format(one.base) for t, p in zip(tone, pick, strict=True)],
                "reach": reach,
                "score": score,
            }
        )
        parts.append(frame[_mask_life(ts, one.symbol)])
    return pd.concat(parts, ignore_index=True)
