"""Readers of numbers: the mood index, macro series, market caps and chain activity. All without a key.

When each counts, before first sight is taken into account (`archive`): the mood from its stamp; a macro value from its
release (`releases`), which for series that are never revised stands also where it was read later; a snapshot of a market
cap from when the service updated it; a day of chain activity from noon of the day after.
"""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any, ClassVar

import pandas as pd

from strategy_pipeline.market.sources.live.base import COINS, LiveConfig, Reading, nonsense, read_each, seconds
from strategy_pipeline.market.sources.live.http import Http
from strategy_pipeline.market.sources.releases import macro_table

_DAY = pd.Timedelta(days=1)
# How much is asked for again each time: late corrections become visible as revisions.
_LOOK_BACK_DAYS = 40
_MOST_PAGES = 50


class FearGreedReader:
    """The Fear & Greed index: one value a day."""

    name, table = "fear_greed", "fear_greed"
    keys: tuple[str, ...] = ("ts",)
    values: tuple[str, ...] = ("value",)
    by_release = False

    def __init__(self, config: LiveConfig) -> None:
        self._host = config.host("fear_greed")

    def poll(self, http: Http) -> Reading:
        answer = http.get(f"{self._host}/fng/", {"limit": _LOOK_BACK_DAYS, "format": "json"})
        if answer.unchanged:
            return Reading(pd.DataFrame(), answer.moment)
        decoded = answer.json("the Fear & Greed index")
        try:
            days = decoded["data"]
            rows = pd.DataFrame(
                {
                    "ts": seconds(pd.Series([day["timestamp"] for day in days], dtype="object")),
                    "value": pd.Series([float(day["value"]) for day in days], dtype="float64"),
                    "classification": [str(day.get("value_classification") or "") for day in days],
                }
            )
        except (KeyError, TypeError, ValueError) as error:
            raise nonsense("the Fear & Greed index", error) from error
        return Reading(rows.assign(available_at=rows["ts"]), answer.moment)


class MacroReader:
    """FRED series as CSV, one request each. A value counts from its release; one that was late, or whose series is revised, from
    when it was first seen (`archive`)."""

    name, table = "fred", "macro"
    keys: tuple[str, ...] = ("series", "ts")
    values: tuple[str, ...] = ("value",)
    by_release = True

    def __init__(self, config: LiveConfig) -> None:
        self._series, self._host = config.series, config.host("fred")

    def poll(self, http: Http) -> Reading:
        def one(series: str) -> tuple[pd.DataFrame, pd.Timestamp | None]:
            answer = http.get(f"{self._host}/graph/fredgraph.csv", {"id": series})
            return (pd.DataFrame() if answer.unchanged else self._rows(answer.body, series)), answer.moment

        read = read_each(self._series, one)
        return replace(read, rows=macro_table(read.rows)) if len(read.rows) else read

    def _rows(self, body: bytes, series: str) -> pd.DataFrame:
        try:
            table = pd.read_csv(io.BytesIO(body), na_values=["."], dtype={0: "str"})
            if table.shape[1] != 2 or str(table.columns[1]) != series:
                raise ValueError(f"columns {', '.join(map(str, table.columns))[:80]}")
            stamps = pd.to_datetime(table.iloc[:, 0], format="%Y-%m-%d", utc=True).astype("datetime64[ns, UTC]")
            rows = pd.DataFrame({"ts": stamps, "series": series, "value": pd.to_numeric(table.iloc[:, 1]), "source": "FRED"})
        except ValueError as error:
            raise nonsense(f"the FRED series {series}", error) from error
        return rows.dropna(subset=["value"])


class MarketCapReader:
    """Market cap, supply and traded value of the symbols' base currencies now, in CoinGecko's format."""

    name, table = "market_cap", "fundamentals"
    keys: tuple[str, ...] = ("asset", "metric", "ts")
    values: tuple[str, ...] = ("value",)
    by_release = False
    _METRICS: ClassVar[dict[str, str]] = {
        "market_cap": "market_cap_usd",
        "circulating_supply": "circulating_supply",
        "total_volume": "traded_usd_24h",
    }

    def __init__(self, config: LiveConfig) -> None:
        self._host = config.host("coingecko")
        known = {**COINS, **config.coins}
        self._coins = {known[base]: base for base in config.bases if base in known}

    def poll(self, http: Http) -> Reading:
        if not self._coins:
            return Reading(pd.DataFrame(), None)
        what = {"vs_currency": "usd", "ids": ",".join(self._coins), "per_page": 250, "page": 1}
        answer = http.get(f"{self._host}/api/v3/coins/markets", what)
        if answer.unchanged:
            return Reading(pd.DataFrame(), answer.moment)
        decoded = answer.json("the market caps")
        rows = []
        try:
            for coin in decoded:
                when = pd.Timestamp(coin["last_updated"]).tz_convert("UTC")
                for given, metric in self._METRICS.items():
                    if coin.get(given) is not None and coin["id"] in self._coins:
                        rows.append((when, self._coins[coin["id"]], metric, float(coin[given])))
        except (KeyError, TypeError, ValueError) as error:
            raise nonsense("the market caps", error) from error
        return Reading(_fundamentals(rows, "coingecko", pd.Timedelta(0)), answer.moment)


class OnChainReader:
    """Daily chain activity of the symbols' base currencies, in the format of CoinMetrics' community service."""

    name, table = "on_chain", "fundamentals"
    keys: tuple[str, ...] = ("asset", "metric", "ts")
    values: tuple[str, ...] = ("value",)
    by_release = False

    def __init__(self, config: LiveConfig) -> None:
        self._host, self._metrics, self._bases = config.host("coinmetrics"), config.metrics, config.bases

    def poll(self, http: Http) -> Reading:
        if not self._bases or not self._metrics:
            return Reading(pd.DataFrame(), None)
        asked: dict[str, Any] = {
            "assets": ",".join(base.lower() for base in self._bases), "metrics": ",".join(self._metrics), "frequency": "1d",
            "page_size": 1000, "paging_from": "end", "limit_per_asset": _LOOK_BACK_DAYS,
            "ignore_unsupported_errors": "true", "ignore_forbidden_errors": "true",
        }  # fmt: skip
        rows: list[tuple[pd.Timestamp, str, str, float]] = []
        moment, token = None, None
        for _ in range(_MOST_PAGES):
            answer = http.get(f"{self._host}/v4/timeseries/asset-metrics", asked | ({"next_page_token": token} if token else {}))
            moment = answer.moment or moment
            if answer.unchanged:
                break
            decoded = answer.json("the chain metrics")
            try:
                rows += [
                    (pd.Timestamp(day["time"]).tz_convert("UTC"), str(day["asset"]).upper(), metric, float(day[metric]))
                    for day in decoded["data"]
                    for metric in self._metrics
                    if day.get(metric) is not None
                ]
                token = decoded.get("next_page_token")
            except (KeyError, TypeError, ValueError) as error:
                raise nonsense("the chain metrics", error) from error
            if not token:
                break
        return Reading(_fundamentals(rows, "coinmetrics", 1.5 * _DAY), moment)


def _fundamentals(rows: list[tuple[pd.Timestamp, str, str, float]], source: str, delay: pd.Timedelta) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["ts", "asset", "metric", "value"])
    if frame.empty:
        return frame
    frame["ts"] = frame["ts"].astype("datetime64[ns, UTC]")
    return frame.assign(source=source, available_at=frame["ts"] + delay)
