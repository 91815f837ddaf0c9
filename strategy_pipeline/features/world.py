"""Features of the world around the bars: macro, mood, news, fundamentals, leverage, each as of the bar's close.

What belongs here: reading observation tables point in time. A row enters at the first close not before its
`available_at`; of several known rows the one about the latest `ts` counts, and of revisions the latest known. Series
marked `revised` are left out: their stored values were not known at the time. A value that has not been renewed
within its `max_age` is NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from strategy_pipeline.errors import MissingColumnError
from strategy_pipeline.features.sentiment import DAY, buzz, decayed_score, scored, windowed_mean
from strategy_pipeline.features.sets import Feature

Array = np.ndarray
Read = Callable[["World"], "Array | None"]


def moments(column: pd.Series) -> Array:
    """A time column as datetime64[ns], UTC without a zone."""
    return pd.to_datetime(column, utc=True).dt.tz_localize(None).to_numpy(dtype="datetime64[ns]")


def as_of(ts: Array, available_at: Array, value: Array, at: Array, max_age: np.timedelta64) -> Array:
    """The value about the latest `ts` among rows known at each moment of `at`; NaN where none, or too old.

    All (n,) but `at` (m,), datetime64[ns] and float64; NaN values are no rows. Age counts from `available_at`.
    """
    usable = np.isfinite(value)
    ts, available_at, value = ts[usable], available_at[usable], value[usable]
    order = np.lexsort((ts, available_at))
    ts, available_at, value = ts[order], available_at[order], value[order]
    newest = ts >= np.maximum.accumulate(ts) if len(ts) else np.zeros(0, dtype=bool)
    available_at, value = available_at[newest], value[newest]
    index = np.searchsorted(available_at, at, side="right") - 1
    out = np.full(len(at), np.nan)
    found = index >= 0
    fresh = np.zeros(len(at), dtype=bool)
    fresh[found] = at[found] - available_at[index[found]] <= max_age
    out[fresh] = value[index[fresh]]
    return out


class World:
    """Observation tables as of the closes of some bars.

    Parameters
    ----------
    tables : mapping of table name to DataFrame, as `market.OBSERVATION_TABLES` has them; absent or empty ones are absent
    symbols : tuple of str, ``BASE/QUOTE``
    closes : datetime64[ns] (n_bars,)
    """

    def __init__(self, tables: Mapping[str, pd.DataFrame] | None, symbols: Sequence[str], closes: Array) -> None:
        self.symbols = tuple(symbols)
        self.bases = tuple(symbol.split("/")[0] for symbol in symbols)
        self.closes = np.asarray(closes, dtype="datetime64[ns]")
        self._tables = {name: frame for name, frame in (tables or {}).items() if frame is not None and len(frame)}
        for name, frame in self._tables.items():
            absent = [column for column in ("ts", "available_at") if column not in frame.columns]
            if absent:
                raise MissingColumnError(
                    f"Expected the {name} table with ts and available_at, was without {', '.join(absent)}; without them it "
                    "cannot be placed in time; build it with market's readers"
                )
        self._texts: dict[str, pd.DataFrame] = {}
        self._split: dict[tuple[str, tuple[str, ...]], tuple[dict, pd.DataFrame, Array, Array]] = {}

    def table(self, name: str) -> pd.DataFrame | None:
        """The table, or None where it was not given or is empty."""
        return self._tables.get(name)

    def every(self, row: Array) -> Array:
        """One row (n_bars,) for all symbols."""
        return np.broadcast_to(row, (len(self.symbols), len(self.closes)))

    def texts(self, name: str) -> pd.DataFrame | None:
        """The news or social table, scored."""
        frame = self.table(name)
        if frame is None:
            return None
        if name not in self._texts:
            self._texts[name] = scored(frame)
        return self._texts[name]

    def macro(self, name: str, days_ago: int = 0, max_age: int = 10) -> Array | None:
        """A macro series as of each close minus `days_ago` days, (n_bars,); None where the table holds no such series."""
        rows = self._known("macro", ("series",), "value", (name,))
        return None if rows is None else as_of(*rows, self.closes - days_ago * DAY, max_age * DAY)

    def keyed(
        self, table: str, columns: Sequence[str], value: str, keys: Sequence[tuple[str, ...]], max_age: int, days_ago: int = 0
    ) -> Array | None:
        """A row per symbol: those of the table whose `columns` equal the symbol's key, as of each close: (n_symbols, n_bars).

        None where no symbol has any.
        """
        out = np.full((len(self.symbols), len(self.closes)), np.nan)
        found = False
        for row, key in enumerate(keys):
            rows = self._known(table, tuple(columns), value, key)
            if rows is not None:
                found = True
                out[row] = as_of(*rows, self.closes - days_ago * DAY, max_age * DAY)
        return out if found else None

    def _known(self, table: str, columns: tuple[str, ...], value: str, key: tuple[str, ...]) -> tuple[Array, Array, Array] | None:
        """(ts, available_at, value) of the rows with that key; None where there are none. Tables are split once."""
        frame = self.table(table)
        if frame is None:
            return None
        if (table, columns) not in self._split:
            if "revised" in frame.columns:
                frame = frame[~frame["revised"].to_numpy(dtype=bool)]
            texts = [frame[column].astype("str").str.upper() for column in columns]
            groups = frame.groupby(texts, sort=False).indices
            named = {group if isinstance(group, tuple) else (group,): index for group, index in groups.items()}
            self._split[table, columns] = (named, frame, moments(frame["ts"]), moments(frame["available_at"]))
        named, frame, ts, available_at = self._split[table, columns]
        index = named.get(tuple(part.upper() for part in key))
        if index is None:
            return None
        return ts[index], available_at[index], frame[value].to_numpy(dtype=np.float64)[index]


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


def news_score(table: str, half_life_days: float, *, market: bool) -> Read:
    """Decay-weighted score of the texts about a symbol's base currency, or of all texts."""
    half_life = np.timedelta64(int(half_life_days * 86_400 * 10**9), "ns")

    def read(world: World) -> Array | None:
        texts = world.texts(table)
        if texts is None:
            return None
        when, score = texts["available_at"].to_numpy(dtype="datetime64[ns]"), texts["score"].to_numpy()
        if market:
            return world.every(decayed_score(when, score, world.closes, half_life))
        return _per_base(world, texts, lambda rows: decayed_score(when[rows], score[rows], world.closes, half_life))

    return read


def news_mean(table: str, hours: int) -> Read:
    """Mean score of the texts of the last `hours` about a symbol's base currency; 0 where there is none: no news is neutral."""
    window = np.timedelta64(hours, "h")

    def read(world: World) -> Array | None:
        texts = world.texts(table)
        if texts is None:
            return None
        when, score = texts["available_at"].to_numpy(dtype="datetime64[ns]"), np.nan_to_num(texts["score"].to_numpy())
        return _per_base(world, texts, lambda rows: windowed_mean(when[rows], score[rows], world.closes, window))

    return read


def news_buzz(table: str) -> Read:
    """Texts of the last day about a symbol's base currency against their mean over a month."""

    def read(world: World) -> Array | None:
        texts = world.texts(table)
        if texts is None:
            return None
        when = texts["available_at"].to_numpy(dtype="datetime64[ns]")
        return _per_base(world, texts, lambda rows: buzz(when[rows], world.closes))

    return read


def _per_base(world: World, texts: pd.DataFrame, function: Callable[[Array], Array]) -> Array:
    assets = texts["asset"].str.upper().to_numpy()
    return np.stack([function(np.flatnonzero(assets == base)) for base in world.bases])


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
    column("fundamentals", "fees_growth_30d", growth("FeeTotNtv", 30)),
    column("fundamentals", "supply_growth_365d", growth("SplyCur", 365)),
    column("leverage", "open_interest_change_7d", interest_change(7)),
)
