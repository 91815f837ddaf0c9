"""`ExchangeSource`: bars, trades and funding of any ccxt exchange, behind the protocol of all sources."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from strategy_pipeline import rng
from strategy_pipeline.config import Settings
from strategy_pipeline.errors import NoDataError, SourceError, UnknownSymbolError
from strategy_pipeline.market import timeframes as tf
from strategy_pipeline.market.bars import Bars
from strategy_pipeline.market.observations import as_table, empty_table
from strategy_pipeline.market.sources.base import BAR_COLUMNS, OPTIONAL_BAR_COLUMNS
from strategy_pipeline.market.sources.exchange.client import Client, StalePageError
from strategy_pipeline.market.sources.exchange.download import Series, download
from strategy_pipeline.market.sources.exchange.pages import Pages
from strategy_pipeline.market.symbols import near_matches

_SYMBOL = re.compile(r"^[A-Z0-9]{1,20}/[A-Z0-9]{2,10}$")
_EARLIEST = np.datetime64("2010-01-01", "ns")  # where history starts when neither the caller nor the exchange says
_HOUR = 3_600_000
_MANY_PAGES = 20
# Exchanges whose candle endpoint gives more than ccxt's six columns, and the ccxt method that reads it raw.
_WIDE = {"binance": "publicGetKlines", "binanceus": "publicGetKlines"}
_WIDE_PERPETUAL = {"binance": "fapiPublicGetKlines"}
_WIDE_COLUMNS = {1: "open", 2: "high", 3: "low", 4: "close", 5: "volume", 7: "quote_volume", 8: "trades", 9: "taker_buy_volume"}
_NARROW_COLUMNS = {1: "open", 2: "high", 3: "low", 4: "close", 5: "volume"}
# Where weeks, three-day bars and months open differs between exchanges: ours are made from days.
_FROM_DAYS = ("3d", "1w", "1M")


class ExchangeSource:
    """A venue read through ccxt: public endpoints only, no key.

    Parameters
    ----------
    settings : `exchange` names it; downloads are kept under ``home/downloads``; `symbols` are those whose trades and
        funding are read
    now : no bar that closes after it is returned; None asks the exchange's own clock where it has one
    url, options, attempts, sleep : see `client.Client`

    Bars the exchange does not have stay gaps. The candle still forming is never returned. A download that broke off
    is taken up where it stopped, and what was downloaded once is not asked for again.
    """

    name = "ccxt"
    simulated = False

    def __init__(
        self,
        settings: Settings,
        *,
        now: Any = None,
        url: str | None = None,
        options: Mapping[str, Any] | None = None,
        attempts: int = 6,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = Client(settings.exchange, url=url, options=options, attempts=attempts, seed=settings.seed, sleep=sleep)
        self._folder = settings.home / "downloads" / settings.exchange
        self._wanted = settings.symbols
        self._perpetual = settings.market == "perpetual"
        self._now = None if now is None else tf.to_time(now)
        self._markets: dict[str, dict[str, Any]] | None = None
        self._notes: dict[str, None] = {f"exchange: {settings.exchange} through ccxt": None}

    def symbols(self) -> tuple[str, ...]:
        """Every spot pair of the exchange (its linear perpetuals where it has no spot, or the settings' market is perpetual), sorted."""
        return tuple(sorted(self._listed()))

    def listings(self) -> pd.DataFrame:
        """Columns symbol, listed, delisted; NaT where the exchange does not say."""
        markets = self._listed()
        names = sorted(markets)
        created = pd.Series([markets[name].get("created") for name in names], dtype="float64")
        return pd.DataFrame(
            {
                "symbol": pd.Series(names, dtype="str"),
                "listed": pd.to_datetime(created, unit="ms", utc=True).astype("datetime64[ns, UTC]"),
                "delisted": pd.Series(pd.NaT, index=range(len(names)), dtype="datetime64[ns, UTC]"),
            }
        )

    def bars(self, timeframe: str, symbols: Sequence[str] | None = None, start: Any = None, end: Any = None) -> pd.DataFrame:
        """Closed bars that open in [start, end); see `MarketSource.bars`. `symbols` None is every one of them.

        Raises
        ------
        UnknownSymbolError, NoDataError
        SourceError
            The exchange refused, or kept failing; what was downloaded is kept.
        """
        wanted = self.symbols() if symbols is None else tuple(symbols)
        markets = [self._market(symbol) for symbol in wanted]
        base = self._base(timeframe)
        known = self._known_until(end)
        frames = []
        for symbol, market in zip(wanted, markets, strict=True):
            first = self._first(market, start)
            if base != timeframe and first < known:
                first = tf.floor(np.array([first]), timeframe)[0]
            rows = self._candles(symbol, market, base, self._first_traded(symbol, market, base, first, known), known)
            if base != timeframe and len(rows):
                rows = Bars.from_frame(rows, base).resample(timeframe).to_frame().drop(columns="timeframe")
            frames.append(rows)
        frames = [frame for frame in frames if len(frame)]
        if frames:
            rows = pd.concat(frames, ignore_index=True)
            keep = np.ones(len(rows), bool)
            opens = rows["ts"].to_numpy("datetime64[ns]")
            if start is not None:
                keep &= opens >= tf.to_time(start)
            if end is not None:
                keep &= opens < tf.to_time(end)
            if keep.any():
                return rows[keep].reset_index(drop=True)
        raise NoDataError(
            f"Expected {timeframe} bars of {', '.join(wanted[:3])} on {self._client.name} from {start or 'the start'} to {end or 'now'}, "
            f"was none that had closed by {known}; move the range"
        )

    def observations(self, table: str, start: Any = None, end: Any = None) -> pd.DataFrame:
        """Trades and funding of the settings' symbols with ts in [start, end); other tables are empty here."""
        if table not in ("trades", "funding") or not self._wanted:
            return empty_table(table)
        if start is None:
            raise NoDataError(f"Expected a start for the {table} of {self._client.name}, was None; say from when")
        known = self._known_until(end)
        first, last = _milliseconds(tf.to_time(start)), _milliseconds(known)
        read = self._trades if table == "trades" else self._funding
        frames = [frame for symbol in self._wanted if len(frame := read(symbol, first, last))]
        return as_table(table, pd.concat(frames, ignore_index=True)) if frames else empty_table(table)

    def notes(self) -> list[str]:
        return list(self._notes)

    # ---- what there is ---------------------------------------------------------------------------------------

    def _listed(self) -> dict[str, dict[str, Any]]:
        if self._markets is None:
            markets = self._client.call("its list of markets", self._client.exchange.load_markets)
            found: dict[str, dict[str, Any]] = {}
            for market in markets.values():
                symbol = f"{market.get('base')}/{market.get('quote')}"
                kind = 0 if market.get("spot") else (1 if market.get("swap") and market.get("linear") else 2)
                if kind == 2 or (kind == 0 and self._perpetual) or not _SYMBOL.match(symbol):
                    continue
                if symbol not in found or (kind == 0 and not found[symbol].get("spot")):
                    found[symbol] = market
            spot = {symbol: market for symbol, market in found.items() if market.get("spot")}
            if self._perpetual and not found:
                raise SourceError(
                    f"Expected linear perpetuals on {self._client.name}, was none; choose another exchange, or pass --market spot"
                )
            if found and not spot and not self._perpetual:
                self._notes[f"{self._client.name} has no spot market: perpetuals are read"] = None
            self._markets = spot or found
        return self._markets

    def _market(self, symbol: str) -> dict[str, Any]:
        markets = self._listed()
        if symbol not in markets:
            near = ", ".join(near_matches(symbol, sorted(markets))) or "none"
            raise UnknownSymbolError(f"Expected a symbol of {self._client.name}, was {symbol!r}; near it: {near}; choose among `symbols()`")
        return markets[symbol]

    def _base(self, timeframe: str) -> str:
        """The exchange's own timeframe that bars are made from: the same, or the longest that fills it exactly."""
        tf.duration(timeframe)
        served = self._client.exchange.timeframes or {}
        if timeframe in served and timeframe not in _FROM_DAYS:
            return timeframe
        fits = [one for one in tf.TIMEFRAMES if one in served and one not in _FROM_DAYS and tf.divides(one, timeframe)]
        if not fits:
            raise SourceError(
                f"Expected {self._client.name} to serve {timeframe} candles, was {', '.join(served) or 'no candles at all'}; "
                "choose another timeframe or exchange"
            )
        base = max(fits, key=tf.duration)
        self._notes[f"{timeframe} bars are made from {base} candles"] = None
        return base

    def _known_until(self, end: Any) -> np.datetime64:
        """The moment by which a bar must have closed: the end asked for, but not beyond the present."""
        now = self._now
        if now is None and self._client.exchange.has.get("fetchTime"):
            stamp = self._client.call("its time", self._client.exchange.fetch_time)
            now = np.datetime64(int(stamp), "ms").astype("datetime64[ns]")
        if end is None:
            if now is None:
                raise NoDataError(f"Expected an end, was None, and {self._client.name} tells no time; say until when")
            return now
        asked = tf.to_time(end)
        return asked if now is None else min(asked, now)

    def _first(self, market: Mapping[str, Any], start: Any) -> np.datetime64:
        created = market.get("created")
        listed = _EARLIEST if created is None else np.datetime64(int(created), "ms").astype("datetime64[ns]")
        return listed if start is None else max(tf.to_time(start), listed)

    def _first_traded(
        self, symbol: str, market: Mapping[str, Any], timeframe: str, first: np.datetime64, known: np.datetime64
    ) -> np.datetime64:
        """`first`, or the later first day of the symbol where looking for it bar by bar would take many empty pages."""
        span = tf.duration(timeframe) * self._limit(market) * _MANY_PAGES
        if timeframe == "1d" or "1d" not in (self._client.exchange.timeframes or {}) or known - first <= span:
            return first
        days = self._candles(symbol, market, "1d", first, known)
        return first if days.empty else max(first, np.datetime64(days["ts"].iloc[0].tz_localize(None), "ns"))

    # ---- reading ---------------------------------------------------------------------------------------------

    def _candles(self, symbol: str, market: Mapping[str, Any], timeframe: str, first: np.datetime64, known: np.datetime64) -> pd.DataFrame:
        opens = tf.open_grid(tf.floor(np.array([first]), timeframe)[0], known, timeframe) if first < known else np.empty(0)
        opens = opens[tf.close_times(opens, timeframe) <= known] if len(opens) else opens
        if not len(opens):
            return pd.DataFrame()
        step = int(tf.duration(timeframe) / np.timedelta64(1, "ms"))
        begin, stop = _milliseconds(opens[0]), _milliseconds(opens[-1]) + step
        limit = self._limit(market)
        exchange, page = self._client.exchange, self._client.page
        wide = (_WIDE if market.get("spot") else _WIDE_PERPETUAL).get(self._client.name)

        def fetch(since: int) -> pd.DataFrame:
            if wide:
                request = {
                    "symbol": market["id"], "interval": exchange.timeframes[timeframe], "limit": limit,
                    "startTime": since, "endTime": stop - 1,
                }  # fmt: skip
                return _candle_rows(getattr(exchange, wide)(request), _WIDE_COLUMNS)
            return _candle_rows(page("candles", exchange.fetch_ohlcv(market["symbol"], timeframe, since, limit)), _NARROW_COLUMNS)

        kind = "perpetual-bars" if self._perpetual else "bars"
        pages = Pages(self._folder / kind / symbol.replace("/", "-") / timeframe, key="time")
        what = f"{timeframe} candles of {symbol}"
        self._count(download(self._client, Series(what, step, limit * step, fetch), pages, begin, stop), what)
        rows = pages.read(begin, stop)
        if rows.empty:
            return rows
        rows = rows.assign(ts=_times(rows["time"]), symbol=pd.Series(symbol, index=rows.index, dtype="str"))
        return rows[[name for name in (*BAR_COLUMNS, *OPTIONAL_BAR_COLUMNS) if name in rows.columns]]

    def _trades(self, symbol: str, first: int, last: int) -> pd.DataFrame:
        market = self._market(symbol)
        exchange = self._client.exchange
        if not exchange.has.get("fetchTrades") or first >= last:
            return pd.DataFrame()

        def fetch(since: int) -> pd.DataFrame:
            return _trade_rows(self._client.page("trades", exchange.fetch_trades(market["symbol"], since, 1000)))

        pages = Pages(self._folder / "trades" / symbol.replace("/", "-"), key="trade_id")
        self._count(download(self._client, Series(f"trades of {symbol}", 0, _HOUR, fetch), pages, first, last), f"trades of {symbol}")
        rows = pages.read(first, last)
        if rows.empty:
            return rows
        ts = _times(rows["time"])
        return rows.assign(ts=ts, available_at=ts, symbol=symbol, venue=self._client.name)

    def _funding(self, symbol: str, first: int, last: int) -> pd.DataFrame:
        exchange = self._client.exchange
        perpetual = f"{symbol}:{symbol.partition('/')[2]}"
        self._listed()
        if not exchange.has.get("fetchFundingRateHistory") or perpetual not in exchange.markets or first >= last:
            return pd.DataFrame()

        def fetch(since: int) -> pd.DataFrame:
            return _funding_rows(self._client.page("rates", exchange.fetch_funding_rate_history(perpetual, since, 1000)))

        # Rates come every one to eight hours, at moments the exchange chooses: paged like trades.
        pages = Pages(self._folder / "funding" / symbol.replace("/", "-"), key="time")
        series = Series(f"funding of {symbol}", 0, 30 * 24 * _HOUR, fetch)
        self._count(download(self._client, series, pages, first, last), f"funding of {symbol}")
        rows = pages.read(first, last)
        if rows.empty:
            return rows
        ts = _times(rows["time"])
        hours = (ts.diff().dt.total_seconds() / 3600.0).round()
        # A rate pays for the time since the one before; the first of the range has none before it.
        interval = hours.where(hours.between(1, 24), hours.median() if len(hours) > 1 else 8.0)
        return rows.assign(ts=ts, available_at=ts, symbol=symbol, venue=self._client.name, interval_hours=interval)

    def _limit(self, market: Mapping[str, Any]) -> int:
        """Candles a page, as ccxt knows the exchange's own maximum; 500 where it does not."""
        features = (self._client.exchange.features or {}).get("spot" if market.get("spot") else "swap") or {}
        if "linear" in features:
            features = features["linear"] or {}
        return int((features.get("fetchOHLCV") or {}).get("limit") or 500)

    def _count(self, asked: int, what: str) -> None:
        if asked:
            self._notes[f"{what}: {asked} pages downloaded"] = None


def _milliseconds(moment: np.datetime64) -> int:
    return int(moment.astype("datetime64[ms]").astype(np.int64))


def _times(milliseconds: pd.Series) -> pd.Series:
    return pd.to_datetime(milliseconds, unit="ms", utc=True).astype("datetime64[ns, UTC]")


def _candle_rows(answer: Any, columns: Mapping[int, str]) -> pd.DataFrame:
    """Rows of a candle page; an answer of another shape is worth asking again."""
    if not isinstance(answer, list):
        raise StalePageError(f"{type(answer).__name__} instead of a list of candles")
    try:
        data = {"time": np.array([int(row[0]) for row in answer], np.int64)}
        return pd.DataFrame(data | {name: np.array([float(row[at]) for row in answer], np.float64) for at, name in columns.items()})
    except (TypeError, ValueError, IndexError, KeyError) as error:
        raise StalePageError(f"candles that cannot be read ({error})") from error


def _trade_rows(answer: list[dict[str, Any]]) -> pd.DataFrame:
    try:
        return pd.DataFrame(
            {
                "time": np.array([int(row["timestamp"]) for row in answer], np.int64),
                "trade_id": np.array([_trade_id(row) for row in answer], np.int64),
                "price": np.array([float(row["price"]) for row in answer], np.float64),
                "qty": np.array([float(row["amount"]) for row in answer], np.float64),
                "side": pd.Series([str(row["side"]) for row in answer], dtype="str"),
            }
        )
    except (TypeError, ValueError, KeyError) as error:
        raise StalePageError(f"trades that cannot be read ({error})") from error


def _trade_id(row: Mapping[str, Any]) -> int:
    """The exchange's number; where ids are no numbers, or absent, one made from what the trade is."""
    given = str(row.get("id") or "")
    if given.isdecimal() and len(given) < 19:
        return int(given)
    return rng.derive_seed(0, given or (row["timestamp"], row["price"], row["amount"], row["side"]))


def _funding_rows(answer: list[dict[str, Any]]) -> pd.DataFrame:
    try:
        return pd.DataFrame(
            {
                "time": np.array([int(row["timestamp"]) for row in answer], np.int64),
                "rate": np.array([float(row["fundingRate"]) for row in answer], np.float64),
            }
        )
    except (TypeError, ValueError, KeyError) as error:
        raise StalePageError(f"funding rates that cannot be read ({error})") from error
