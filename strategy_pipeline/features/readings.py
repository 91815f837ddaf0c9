"""Features read from observation tables and from the calendar: the readings, and the columns made of them.

What belongs here: what is read at each close, and under which name. What does not: which rows are known by then (`world`),
what a stream of texts says (`streams`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from strategy_pipeline.features.sets import Feature
from strategy_pipeline.features.streams import DAY, buzz, decayed_score, dispersion, surprise, windowed_mean
from strategy_pipeline.features.world import Array, World, as_of, moments

Read = Callable[[World], "Array | None"]

VIX = ("VIX_close", "VIXCLS")
DXY = ("DXY_close", "DTWEXBGS")
SPX = ("SPX_close", "SP500", "SPY_close")
NASDAQ = ("NASDAQ_close", "QQQ_close")
GOLD = ("GLD_close", "GOLD_daily")


def _first_known(world: World, names: Sequence[str], read: Callable[[str], Array | None]) -> Array | None:
    """At each bar, the first of the series that has a value; differences are taken within one series, never across."""
    out: Array | None = None
    for name in names:
        row = read(name)
        if row is not None:
            out = row if out is None else np.where(np.isfinite(out), out, row)
    return None if out is None else world.every(out)


def level(names: Sequence[str], max_age: int = 10) -> Read:
    """The value itself."""
    return lambda world: _first_known(world, names, lambda name: world.macro(name, 0, max_age))


def _positive_log(x: Array) -> Array:
    return np.where(x > 0, np.log(np.where(x > 0, x, 1.0)), np.nan)


def log_level(names: Sequence[str]) -> Read:
    """Its logarithm."""

    def one(world: World, name: str) -> Array | None:
        row = world.macro(name)
        return None if row is None else _positive_log(row)

    return lambda world: _first_known(world, names, lambda name: one(world, name))


def change(names: Sequence[str], days: int, *, logarithm: bool, max_age: int = 10) -> Read:
    """What was known now minus what was known `days` days earlier."""

    def one(world: World, name: str) -> Array | None:
        now, then = world.macro(name, 0, max_age), world.macro(name, days, max_age)
        if now is None or then is None:
            return None
        return _positive_log(now) - _positive_log(then) if logarithm else now - then

    return lambda world: _first_known(world, names, lambda name: one(world, name))


def slope(world: World) -> Array | None:
    """Ten-year minus two-year yield."""
    ten, two = world.macro("DGS10"), world.macro("DGS2")
    if ten is not None and two is not None:
        return world.every(ten - two)
    row = world.macro("T10Y2Y")
    return None if row is None else world.every(row)


def mood(days_ago: int | None) -> Read:
    """Fear and greed over 100, or its change over days."""

    def read(world: World) -> Array | None:
        frame = world.table("fear_greed")
        if frame is None:
            return None
        known = (moments(frame["ts"]), moments(frame["available_at"]), frame["value"].to_numpy(dtype=np.float64) / 100.0)
        now = as_of(*known, world.closes, 3 * DAY)
        return world.every(now if days_ago is None else now - as_of(*known, world.closes - days_ago * DAY, 3 * DAY))

    return read


# One row of readings (n_bars,) from the moments and scores of texts, and the closes.
Reading = Callable[[Array, Array, Array], Array]


def of_texts(table: str, reading: Reading, *, market: bool = False) -> Read:
    """A reading of the texts about each symbol's base currency, or of all texts (`market`)."""

    def read(world: World) -> Array | None:
        texts, about = world.texts(table), world.texts_about(table)
        if texts is None or about is None:
            return None
        when, score = texts["available_at"].to_numpy(dtype="datetime64[ns]"), texts["score"].to_numpy()
        if market:
            return world.every(reading(when, score, world.closes))
        return np.stack([reading(when[rows], score[rows], world.closes) for rows in about])

    return read


def news_score(table: str, half_life_days: float, *, market: bool) -> Read:
    """Decay-weighted score of the texts about a symbol's base currency, or of all texts."""
    half_life = np.timedelta64(int(half_life_days * 86_400 * 10**9), "ns")
    return of_texts(table, lambda when, score, closes: decayed_score(when, score, closes, half_life), market=market)


def news_mean(table: str, hours: int) -> Read:
    """Mean score of the texts of the last `hours` about a symbol's base currency; 0 where there is none: no news is neutral."""
    window = np.timedelta64(hours, "h")
    return of_texts(table, lambda when, score, closes: windowed_mean(when, np.nan_to_num(score), closes, window))


def news_buzz(table: str, *, market: bool = False) -> Read:
    """Texts of the last day about a symbol's base currency (or at all) against their mean over a month."""
    return of_texts(table, lambda when, _, closes: buzz(when, closes), market=market)


def news_dispersion(table: str, days: int, *, market: bool = False) -> Read:
    """Deviation of the scores of the last days' texts."""
    return of_texts(table, lambda when, score, closes: dispersion(when, score, closes, days * DAY), market=market)


def news_surprise(table: str, *, market: bool = False) -> Read:
    """The last day's mean score against the month before, in standard errors."""
    return of_texts(table, surprise, market=market)


def fundamental(world: World, metric: str, days_ago: int = 0) -> Array | None:
    """A metric of each symbol's base currency."""
    return world.keyed("fundamentals", ("asset", "metric"), "value", [(base, metric) for base in world.bases], 5, days_ago)


def growth(metric: str, days: int) -> Read:
    """ln of a fundamental over its value `days` days earlier."""

    def read(world: World) -> Array | None:
        now, then = fundamental(world, metric), fundamental(world, metric, days)
        return None if now is None or then is None else _positive_log(now) - _positive_log(then)

    return read


def log_ratio(metric: str, other: str) -> Read:
    """ln of one fundamental over another."""

    def read(world: World) -> Array | None:
        a, b = fundamental(world, metric), fundamental(world, other)
        return None if a is None or b is None else _positive_log(a) - _positive_log(b)

    return read


def log_metric(metric: str) -> Read:
    """ln of a fundamental."""

    def read(world: World) -> Array | None:
        values = fundamental(world, metric)
        return None if values is None else _positive_log(values)

    return read


def funding(world: World) -> Array | None:
    """Newest funding rate a day, in basis points (three intervals of eight hours)."""
    keys = [(symbol,) for symbol in world.symbols]
    rate, hours = (world.keyed("funding", ("symbol",), value, keys, 2) for value in ("rate", "interval_hours"))
    return None if rate is None or hours is None else 1e4 * rate * 24.0 / hours


def interest_change(days: int) -> Read:
    """ln of open interest over its value `days` days earlier."""

    def read(world: World) -> Array | None:
        keys = [(symbol,) for symbol in world.symbols]
        now, then = (world.keyed("open_interest", ("symbol",), "open_interest", keys, 2, ago) for ago in (0, days))
        return None if now is None or then is None else _positive_log(now) - _positive_log(then)

    return read


def book(reading: Callable[[Array, Array, Array, Array], Array]) -> Read:
    """A reading of the best quotes (bid, bid_qty, ask, ask_qty) as of each close, none older than an hour."""

    def read(world: World) -> Array | None:
        keys = [(symbol, "0") for symbol in world.symbols]
        bid, bid_qty, ask, ask_qty = (
            world.keyed("book", ("symbol", "level"), name, keys, 1 / 24) for name in ("bid", "bid_qty", "ask", "ask_qty")
        )
        if bid is None or bid_qty is None or ask is None or ask_qty is None:
            return None
        with np.errstate(divide="ignore", invalid="ignore"):
            return reading(bid, bid_qty, ask, ask_qty)

    return read


def _closes(function: Callable[[pd.DatetimeIndex], Array]) -> Read:
    """A reading of the moment alone: of each bar's close, a hair earlier, so that a day's last bar belongs to that day."""
    return lambda world: world.every(
        np.asarray(function(pd.DatetimeIndex(world.closes - np.timedelta64(1, "s"), tz="UTC")), dtype=np.float64)
    )


def _year_phase(function: Callable[[Array], Array]) -> Read:
    return _closes(lambda at: function(2 * np.pi * (at.day_of_year - 1).to_numpy() / 365.25))


def _day_of_month(at: pd.DatetimeIndex) -> Array:
    """From -1 (the first day) to 1 (the last)."""
    return 2.0 * (at.day - 1).to_numpy() / (at.days_in_month - 1).to_numpy() - 1.0


def _weekend(at: pd.DatetimeIndex) -> Array:
    return (at.dayofweek >= 5).astype(np.float64)


def _us_session(at: pd.DatetimeIndex) -> Array:
    """1 on weekdays from 9:30 to 16:00 in New York (holidays count as weekdays), else 0."""
    there = at.tz_convert("America/New_York")
    minute = (there.hour * 60 + there.minute).to_numpy()
    return ((there.dayofweek < 5) & (minute >= 570) & (minute < 960)).astype(np.float64)


def column(block: str, name: str, read: Read) -> Feature:
    """A feature read from the world."""
    return Feature(name, block, None, read)


STANDARD: tuple[Feature, ...] = (
    column("macro", "log_vix", log_level(VIX)),
    column("macro", "vix_change_5d", change(VIX, 5, logarithm=True)),
    column("macro", "dxy_change_5d", change(DXY, 5, logarithm=True)),
    column("macro", "spx_change_1d", change(SPX, 1, logarithm=True)),
    column("macro", "spx_change_20d", change(SPX, 20, logarithm=True)),
    column("macro", "nasdaq_change_5d", change(NASDAQ, 5, logarithm=True)),
    column("macro", "yield_10y", level(("DGS10",))),
    column("macro", "yield_10y_change_20d", change(("DGS10",), 20, logarithm=False)),
    column("macro", "yield_slope", slope),
    column("macro", "credit_spread", level(("BAMLH0A0HYM2",))),
    column("macro", "credit_spread_change_5d", change(("BAMLH0A0HYM2",), 5, logarithm=False)),
    column("sentiment", "news_mean_12h", news_mean("news", 12)),
    column("sentiment", "news_score_1d", news_score("news", 1.0, market=False)),
    column("sentiment", "news_score_7d", news_score("news", 7.0, market=False)),
    column("sentiment", "market_news_score_1d", news_score("news", 1.0, market=True)),
    column("sentiment", "news_buzz", news_buzz("news")),
    column("mood", "fear_greed", mood(None)),
    column("mood", "fear_greed_change_7d", mood(7)),
    column("fundamentals", "active_addresses_growth_30d", growth("AdrActCnt", 30)),
    column("fundamentals", "transactions_growth_30d", growth("TxCnt", 30)),
    column("fundamentals", "log_value_per_address", log_ratio("CapMrktCurUSD", "AdrActCnt")),
    column("leverage", "funding_rate", funding),
    column("leverage", "open_interest_change_1d", interest_change(1)),
)

FURTHER: tuple[Feature, ...] = (
    column("macro", "gold_change_5d", change(GOLD, 5, logarithm=True)),
    column("macro", "policy_rate", level(("FEDFUNDS",), 80)),
    column("macro", "inflation_yoy", change(("CPIAUCSL", "CPI_index_nsa"), 365, logarithm=True, max_age=80)),
    column("macro", "jobless_rate_change_1y", change(("UNRATE",), 365, logarithm=False, max_age=80)),
    column("sentiment", "social_score_1d", news_score("social", 1.0, market=False)),
    column("sentiment", "social_buzz", news_buzz("social")),
    column("sentiment", "news_dispersion_3d", news_dispersion("news", 3)),
    column("sentiment", "news_surprise_1d", news_surprise("news")),
    column("sentiment", "market_news_buzz", news_buzz("news", market=True)),
    column("sentiment", "market_news_dispersion_1d", news_dispersion("news", 1, market=True)),
    column("sentiment", "market_news_surprise_1d", news_surprise("news", market=True)),
    column("sentiment", "social_dispersion_1d", news_dispersion("social", 1)),
    column("sentiment", "social_surprise_1d", news_surprise("social")),
    column("fundamentals", "fees_growth_30d", growth("FeeTotNtv", 30)),
    column("fundamentals", "market_cap_growth_30d", growth("CapMrktCurUSD", 30)),
    column("fundamentals", "hash_rate_growth_30d", growth("HashRate", 30)),
    column("fundamentals", "log_market_to_realized_value", log_metric("CapMVRVCur")),
    column("order_flow", "book_imbalance", book(lambda bid, bid_qty, ask, ask_qty: (bid_qty - ask_qty) / (bid_qty + ask_qty))),
    column("order_flow", "book_spread", book(lambda bid, bid_qty, ask, ask_qty: 2e4 * (ask - bid) / (ask + bid))),
    column(
        "order_flow",
        "microprice_gap",
        book(lambda bid, bid_qty, ask, ask_qty: 1e4 * ((bid * ask_qty + ask * bid_qty) / (bid_qty + ask_qty) * 2 / (bid + ask) - 1.0)),
    ),
    column("calendar", "year_sin", _year_phase(np.sin)),
    column("calendar", "year_cos", _year_phase(np.cos)),
    column("calendar", "weekend", _closes(_weekend)),
    column("calendar", "day_of_month", _closes(_day_of_month)),
    column("calendar", "us_session", _closes(_us_session)),
    column("fundamentals", "supply_growth_365d", growth("SplyCur", 365)),
    column("leverage", "open_interest_change_7d", interest_change(7)),
)
