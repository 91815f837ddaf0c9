"""Live readers against a server that replays the services' formats: rows, first sight, politeness, failures."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from strategy_pipeline.config import Settings
from strategy_pipeline.errors import CorruptFileError, SettingsError, SourceError
from strategy_pipeline.market import OBSERVATION_TABLES, MarketSource, open_source
from strategy_pipeline.market.observations import empty_table
from strategy_pipeline.market.sources.live import LIVE_READERS, LiveConfig, LiveSource, live_readers
from strategy_pipeline.market.sources.live.http import Http
from strategy_pipeline_tests.market.local_web import LocalWeb, serving

NOW = pd.Timestamp("2024-03-01 12:00", tz="UTC")

RSS = b"""<?xml version="1.0" encoding="UTF-8"?><rss version="2.0"><channel><title>Local Wire</title>
<item><title>Bitcoin &amp; ether rally</title><link>http://wire/1</link><guid>one</guid><pubDate>Fri, 01 Mar 2024 10:30:00 +0200</pubDate>
<description>&lt;p&gt;Prices &lt;b&gt;rose&lt;/b&gt;.&lt;/p&gt;</description></item>
<item><title>Undated story</title><link>http://wire/2</link></item></channel></rss>"""
ATOM = b"""<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom"><title>Local Atom</title>
<entry><id>a1</id><title>Exchange hacked</title><published>2024-03-01T11:00:00Z</published><summary>Funds stolen</summary></entry></feed>"""
POSTS = {
    "kind": "Listing",
    "data": {"children": [
        {"kind": "t3", "data": {"id": "p1", "subreddit": "Bitcoin", "title": "To the moon", "selftext": "love it", "author": "someone",
                                "created_utc": 1709287200.0, "score": 12}},
        {"kind": "t3", "data": {"id": "p2", "subreddit": "Bitcoin", "title": "Sold", "selftext": "", "author": None,
                                "created_utc": 1709290800.0, "score": 3}},
    ]},
}  # fmt: skip
FNG = {"name": "Fear and Greed Index", "data": [
    {"value": "80", "value_classification": "Extreme Greed", "timestamp": "1709251200", "time_until_update": "1"},
    {"value": "78", "value_classification": "Extreme Greed", "timestamp": "1709164800"},
]}  # fmt: skip
FRED = {
    "VIXCLS": b"observation_date,VIXCLS\n2024-02-27,13.43\n2024-02-28,.\n2024-02-29,13.40\n",
    "CPIAUCSL": b"observation_date,CPIAUCSL\n2024-01-01,308.417\n",
}
COINS = [
    {"id": "bitcoin", "symbol": "btc", "market_cap": 1.2e12, "circulating_supply": 19.6e6, "total_volume": 4e10,
     "last_updated": "2024-03-01T11:59:30.000Z"},
    {"id": "unasked", "symbol": "btc", "market_cap": 5, "circulating_supply": 1, "total_volume": 1,
     "last_updated": "2024-03-01T11:59:30.000Z"},
    {"id": "ethereum", "symbol": "eth", "market_cap": 4e11, "circulating_supply": None, "total_volume": 2e10,
     "last_updated": "2024-03-01T11:58:30.000Z"},
]  # fmt: skip


def chains(query: dict[str, str]) -> bytes:
    """Two pages, as CoinMetrics gives them."""
    early = {"asset": "btc", "time": "2024-02-28T00:00:00.000000000Z", "AdrActCnt": "900000", "TxCnt": None}
    late = {"asset": "btc", "time": "2024-02-29T00:00:00.000000000Z", "AdrActCnt": "910000", "TxCnt": "400000"}
    first, second = {"data": [early], "next_page_token": "t2"}, {"data": [late]}
    return json.dumps(second if query.get("next_page_token") == "t2" else first).encode()


@pytest.fixture
def web():
    local = LocalWeb()
    local.pages = {
        "/rss": RSS, "/atom": ATOM, "/r/Bitcoin/new.json": json.dumps(POSTS).encode(), "/fng/": json.dumps(FNG).encode(),
        "/graph/fredgraph.csv": lambda query: FRED.get(query["id"]), "/api/v3/coins/markets": json.dumps(COINS).encode(),
        "/v4/timeseries/asset-metrics": chains,
    }  # fmt: skip
    with serving(local):
        yield local


def config(web: LocalWeb, *readers: str) -> LiveConfig:
    services = ("reddit", "fear_greed", "fred", "coingecko", "coinmetrics")
    return LiveConfig(
        readers=readers, symbols=("BTC/USDT", "ETH/USDT"), feeds=(f"{web.url}/rss", f"{web.url}/atom"), forums=("Bitcoin",),
        series=("VIXCLS", "CPIAUCSL"), metrics=("AdrActCnt", "TxCnt"), hosts=dict.fromkeys(services, web.url),
    )  # fmt: skip


class Bare:
    """A market without observations of its own."""

    name, simulated = "bare", False

    def symbols(self):
        return ("BTC/USDT",)

    def listings(self):
        return pd.DataFrame()

    def bars(self, timeframe, symbols, start, end):
        return pd.DataFrame({"ts": [], "symbol": []})

    def observations(self, table, start, end):
        return empty_table(table)

    def notes(self):
        return ["bare"]


def source(web: LocalWeb, folder: Path, *readers: str, now=NOW, waits: list | None = None) -> LiveSource:
    return LiveSource(Bare(), config(web, *readers), folder=folder, now=now, sleep=(waits if waits is not None else []).append)


@pytest.mark.parametrize("name", [name for name in LIVE_READERS if name not in ("funding", "open_interest")])
def test_every_reader_gives_rows_of_its_table_known_when_first_seen(web, tmp_path, name):
    reader = live_readers(config(web, name))[0]
    live = source(web, tmp_path, name)
    assert isinstance(live, MarketSource)
    rows = live.observations(reader.table, None, None)
    assert len(rows) and list(rows.columns) == list(OBSERVATION_TABLES[reader.table])
    told = rows[rows["revised"]] if reader.by_release else rows  # macro series that are never revised: see below
    assert len(told) and (told["available_at"] >= NOW).all() and (rows["available_at"] >= rows["ts"]).all()
    assert live.observations("trades", None, None).empty


def test_feeds_are_read_as_text_and_an_undated_entry_is_dated_when_read(web, tmp_path):
    rows = source(web, tmp_path, "rss").observations("news", None, None).set_index("title")
    assert set(rows.index) == {"Bitcoin & ether rally", "Undated story", "Exchange hacked"}
    first = rows.loc["Bitcoin & ether rally"]
    assert first["ts"] == pd.Timestamp("2024-03-01 08:30", tz="UTC")
    assert first["text"] == "Prices rose ." and first["source"] == "Local Wire"
    assert rows.loc["Undated story", "ts"] == NOW and rows["asset"].eq("").all() and rows["score"].isna().all()


def test_posts_keep_author_and_reach(web, tmp_path):
    rows = source(web, tmp_path, "reddit").observations("social", None, None)
    assert rows["text"].tolist() == ["To the moon. love it", "Sold."] and rows["author"].tolist() == ["someone", ""]
    assert rows["reach"].tolist() == [12, 3] and rows["ts"].iloc[0] == pd.Timestamp("2024-03-01 10:00", tz="UTC")


def test_a_macro_value_counts_from_its_release_and_revised_series_are_marked(web, tmp_path):
    early = pd.Timestamp("2024-01-05", tz="UTC")
    rows = source(web, tmp_path, "fred", now=early).observations("macro", None, None)
    inflation = rows[rows["series"] == "CPIAUCSL"].iloc[0]
    assert inflation["available_at"] == pd.Timestamp("2024-02-18", tz="UTC") and bool(inflation["revised"])
    vix = rows[rows["series"] == "VIXCLS"]
    assert vix["value"].tolist() == [13.43, 13.40] and not vix["revised"].any()  # the missing day is no row
    assert vix["available_at"].iloc[0] == pd.Timestamp("2024-02-28", tz="UTC")


def test_a_fresh_archive_dates_macro_history_by_release_and_only_what_is_never_revised(web, tmp_path):
    rows = source(web, tmp_path, "fred").observations("macro", None, None)  # first read on 2024-03-01
    vix = rows[rows["series"] == "VIXCLS"]
    assert vix["available_at"].tolist() == [pd.Timestamp("2024-02-28", tz="UTC"), pd.Timestamp("2024-03-01", tz="UTC")]
    # A revised series shows today's values under old days: they count from when they were read.
    assert rows.loc[rows["series"] == "CPIAUCSL", "available_at"].tolist() == [NOW]


def test_a_macro_row_that_came_late_or_was_corrected_counts_from_when_it_was_seen(web, tmp_path):
    source(web, tmp_path, "fred").observations("macro", None, None)
    # Two weeks later: the 28th, absent at the first reading, was filled in late, the 27th corrected, and two days are new.
    web.pages["/graph/fredgraph.csv"] = lambda query: {
        **FRED,
        "VIXCLS": b"observation_date,VIXCLS\n2024-02-27,13.50\n2024-02-28,13.84\n2024-02-29,13.40\n2024-03-01,13.11\n2024-03-14,14.4\n",
    }[query["id"]]
    later = NOW + pd.Timedelta(days=14)
    rows = source(web, tmp_path, "fred", now=later).observations("macro", None, None)
    vix = rows[rows["series"] == "VIXCLS"].set_index(["ts", "value"])["available_at"]
    found = {(ts.strftime("%m-%d"), value): known for (ts, value), known in vix.items()}
    assert found == {
        ("02-27", 13.43): pd.Timestamp("2024-02-28", tz="UTC"), ("02-27", 13.50): later, ("02-28", 13.84): later,
        ("02-29", 13.40): pd.Timestamp("2024-03-01", tz="UTC"), ("03-01", 13.11): pd.Timestamp("2024-03-02", tz="UTC"),
        ("03-14", 14.4): pd.Timestamp("2024-03-15", tz="UTC"),
    }  # fmt: skip
    again = source(web, tmp_path, "fred", now=later + pd.Timedelta(days=1)).observations("macro", None, None)
    pd.testing.assert_frame_equal(again, rows)


def test_a_fresh_live_installation_has_macro_features_of_the_past(web, tmp_path):
    from strategy_pipeline.features.readings import level
    from strategy_pipeline.features.world import World

    rows = source(web, tmp_path, "fred").observations("macro", None, None)
    closes = np.array(["2024-02-27T23:00", "2024-02-28T00:00", "2024-02-29T23:00", "2024-03-01T00:00"], dtype="datetime64[ns]")
    np.testing.assert_array_equal(level(("VIXCLS",))(World({"macro": rows}, ("BTC/USDT",), closes))[0], [np.nan, 13.43, 13.43, 13.40])


def test_market_caps_and_chains_name_their_asset(web, tmp_path):
    rows = source(web, tmp_path, "market_cap", "on_chain").observations("fundamentals", None, None)
    found = {(row.asset, row.metric): row.value for row in rows.itertuples()}
    assert found["BTC", "market_cap_usd"] == 1.2e12 and found["ETH", "traded_usd_24h"] == 2e10
    assert ("ETH", "circulating_supply") not in found and found["BTC", "TxCnt"] == 400000
    assert sorted(rows.loc[rows["metric"] == "AdrActCnt", "value"]) == [900000, 910000]  # both pages


def test_reading_again_never_changes_when_something_was_known(web, tmp_path):
    first = source(web, tmp_path, "rss", "fear_greed").observations("news", None, None)
    web.pages["/rss"] = RSS.replace(b"ether rally", b"ether rally (updated)").replace(b"<guid>one", b"<guid>one")
    later = source(web, tmp_path, "rss", now=NOW + pd.Timedelta(hours=5))
    again = later.observations("news", None, None)
    pd.testing.assert_frame_equal(again, first)
    web.pages["/atom"] = ATOM.replace(b"a1", b"a2").replace(b"Exchange hacked", b"Exchange recovers")
    assert later.poll(NOW + pd.Timedelta(hours=6)) == {"rss": 1}
    third = later.observations("news", None, NOW).set_index("title")
    assert third.loc["Exchange recovers", "available_at"] == NOW + pd.Timedelta(hours=6)
    assert third.loc["Exchange hacked", "available_at"] == NOW  # gone from the feed, kept here


def test_a_revised_value_is_a_second_row_known_from_when_it_was_seen(web, tmp_path):
    source(web, tmp_path, "fear_greed").observations("fear_greed", None, None)
    web.pages["/fng/"] = json.dumps({"data": [FNG["data"][0] | {"value": "75"}, FNG["data"][1]]}).encode()
    rows = source(web, tmp_path, "fear_greed", now=NOW + pd.Timedelta(days=1)).observations("fear_greed", None, None)
    today = rows[rows["ts"] == pd.Timestamp("2024-03-01", tz="UTC")]
    assert today["value"].tolist() == [80, 75] and today["available_at"].tolist() == [NOW, NOW + pd.Timedelta(days=1)]
    assert len(rows) == 3


def test_a_past_day_asks_nobody_again(web, tmp_path):
    live = source(web, tmp_path, "fear_greed")
    first = live.observations("fear_greed", "2024-02-28", "2024-03-01")
    asked = len(web.requests)
    again = source(web, tmp_path, "fear_greed", now=NOW + pd.Timedelta(days=3)).observations("fear_greed", "2024-02-28", "2024-03-01")
    assert len(web.requests) == asked and asked == 1
    pd.testing.assert_frame_equal(again, first)
    assert first["value"].tolist() == [78]  # half-open in ts


def test_without_a_moment_the_servers_clock_counts(web, tmp_path):
    rows = source(web, tmp_path, "fear_greed", now=None).observations("fear_greed", None, None)
    assert (rows["available_at"] == NOW).all()


def test_hosts_are_given_time_and_told_who_asks(web, tmp_path):
    waits: list[float] = []
    source(web, tmp_path, "rss", "fred", waits=waits).poll()
    assert len(web.requests) == 4 and waits == [2.0, 2.0, 2.0]
    assert all("strategy-pipeline" in headers["User-Agent"] for _, _, headers in web.requests)


@pytest.mark.parametrize(
    "header, least",
    [("7", 7.0), ("Fri, 01 Mar 2024 12:00:30 GMT", 30.0), ("100000", 600.0), ("soon", 0.0), ("Thu, 29 Feb 2024 00:00:00 GMT", 0.0)],
)
def test_retry_after_is_obeyed(web, header, least):
    waits: list[float] = []
    web.faults.append((429, {"Retry-After": header}))
    answer = Http(agent="test", spacing=0.25, sleep=waits.append).get(f"{web.url}/fng/")
    assert json.loads(answer.body)["data"] and waits[0] >= max(least, 0.5) and (least == 0 or waits[0] <= max(least, 1.5))


def test_passing_failures_are_tried_again_with_longer_waits_and_others_are_not(web):
    waits: list[float] = []
    web.faults.extend([(503, {}), "cut", (500, {})])
    http = Http(agent="test", spacing=0.0, attempts=4, sleep=waits.append)
    assert http.get(f"{web.url}/rss").body == RSS
    backoff = [wait for wait in waits if wait]
    assert len(backoff) == 3 and all(0.5 * 2**n <= wait <= 1.5 * 2**n for n, wait in enumerate(backoff))
    web.faults.append((403, {}))
    asked = len(web.requests)
    with pytest.raises(SourceError, match="403"):
        http.get(f"{web.url}/rss")
    assert len(web.requests) == asked + 1
    web.faults.extend([(503, {})] * 4)
    with pytest.raises(SourceError, match="4 attempts"):
        http.get(f"{web.url}/rss")
    with pytest.raises(SourceError, match="http"):
        http.get("file:///etc/hostname")


def test_what_did_not_change_is_not_sent_again(web, tmp_path):
    web.etag = '"v1"'
    live = source(web, tmp_path, "fear_greed", now=None)
    assert live.poll() == {"fear_greed": 2} and live.poll() == {"fear_greed": 0}
    assert web.requests[-1][2]["If-None-Match"] == '"v1"'
    assert len(live.observations("fear_greed", None, "2024-03-01")) == 1


def test_one_dead_address_costs_neither_the_others_nor_the_day(web, tmp_path):
    del web.pages["/rss"]
    web.pages["/fng/"] = b"<html>blocked</html>"
    live = source(web, tmp_path, "rss", "fear_greed")
    assert live.observations("news", None, None)["title"].tolist() == ["Exchange hacked"]
    assert live.observations("fear_greed", "2024-02-28", "2024-03-01").empty
    notes = "\n".join(live.notes())
    assert "bare" in notes and "404" in notes and "JSON" in notes
    web.pages["/fng/"] = json.dumps(FNG).encode()
    assert len(live.observations("fear_greed", "2024-02-28", "2024-03-01")) == 1  # asked again: nothing was seen


@pytest.mark.parametrize(
    "path, body, name",
    [
        ("/r/Bitcoin/new.json", b'{"data": {"children": [{"data": {}}]}}', "reddit"),
        ("/fng/", b'{"data": [{"value": "?", "timestamp": "1"}]}', "fear_greed"),
        ("/api/v3/coins/markets", b'{"error": "x"}', "market_cap"),
        ("/v4/timeseries/asset-metrics", b'{"oops": 1}', "on_chain"),
        ("/graph/fredgraph.csv", b"<html>no</html>", "fred"),
        ("/graph/fredgraph.csv", b"observation_date,OTHER\n2024-01-01,1\n", "fred"),
    ],
)
def test_nonsense_is_an_error_and_nothing_of_it_is_kept(web, tmp_path, path, body, name):
    web.pages[path] = body
    reader = live_readers(config(web, name))[0]
    with pytest.raises(SourceError, match="usual format"):
        reader.poll(Http(agent="test", sleep=[].append))
    live = source(web, tmp_path, name)
    assert live.observations(reader.table, None, None).empty and list(tmp_path.iterdir()) == []


def test_live_readers_are_off_by_default_and_refuse_an_invented_market(web, tmp_path):
    assert LiveConfig().readers == () and live_readers(LiveConfig()) == []
    with pytest.raises(SettingsError, match="simulated"):
        LiveSource(open_source(Settings(source="sample")), LiveConfig(), folder=tmp_path)
    with pytest.raises(SettingsError, match="telepathy"):
        live_readers(replace(config(web), readers=("telepathy",)))


def test_a_broken_archive_is_told_and_left_alone(web, tmp_path):
    (tmp_path / "rss.parquet").write_bytes(b"broken")
    with pytest.raises(CorruptFileError, match=r"rss\.parquet"):
        source(web, tmp_path, "rss")
    assert (tmp_path / "rss.parquet").read_bytes() == b"broken"


def test_live_news_reaches_the_features_of_the_assets_it_names(web, tmp_path):
    from strategy_pipeline.features.world import World

    rows = source(web, tmp_path, "rss").observations("news", None, None)
    world = World({"news": rows}, ("BTC/USDT", "ETH/USDT", "SOL/USDT"), np.array(["2024-03-01T13:00"], dtype="datetime64[ns]"))
    assert [len(found) for found in world.texts_about("news")] == [1, 1, 0]


def perpetual(query: dict[str, str]) -> bytes:
    market = {
        "symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT", "pair": "BTCUSDT", "contractType": "PERPETUAL",
        "marginAsset": "USDT", "deliveryDate": 4133404800000, "onboardDate": 1568102400000, "contractStatus": "TRADING",
        "underlyingType": "COIN", "pricePrecision": 2, "quantityPrecision": 3, "baseAssetPrecision": 8, "quotePrecision": 8,
        "orderTypes": ["LIMIT"], "filters": [],
    }  # fmt: skip
    return json.dumps({"timezone": "UTC", "serverTime": 1709294400000, "symbols": [market]}).encode()


def test_funding_and_open_interest_come_through_ccxt(web, tmp_path):
    from strategy_pipeline.market.sources.live.derivatives import FundingReader, OpenInterestReader

    settled = [{"symbol": "BTCUSDT", "fundingTime": 1709251200000 + 28800000 * k, "fundingRate": f"0.000{k + 1}"} for k in range(2)]
    web.pages |= {
        "/fapi/v1/exchangeInfo": perpetual, "/fapi/v1/time": b'{"serverTime": 1709294400000}',
        "/fapi/v1/fundingRate": json.dumps(settled).encode(),
        "/fapi/v1/openInterest": b'{"symbol": "BTCUSDT", "openInterest": "80000.5", "time": 1709294399000}',
    }  # fmt: skip
    web.faults.clear()
    how = {"url": web.url, "options": {"rateLimit": 1}, "sleep": [].append}
    readers = [FundingReader(config(web), **how), OpenInterestReader(config(web), **how)]
    live = LiveSource(Bare(), config(web), folder=tmp_path, now=None, readers=readers, sleep=[].append)
    rates = live.observations("funding", None, None)
    assert rates["symbol"].tolist() == ["BTC/USDT"] * 2  # ETH has no perpetual here
    assert rates["rate"].tolist() == [0.0001, 0.0002] and rates["interval_hours"].tolist() == [8, 8]
    assert (rates["available_at"] == NOW).all() and rates["venue"].eq("binanceusdm").all()
    held = live.observations("open_interest", None, None)
    assert held["open_interest"].tolist() == [80000.5] and held["ts"].iloc[0] == NOW - pd.Timedelta(seconds=1)
    web.pages["/fapi/v1/openInterest"] = b'{"symbol": "BTCUSDT", "openInterest": "?", "time": "?"}'
    live.poll(NOW + pd.Timedelta(hours=1))
    assert any("open interest" in note for note in live.notes()) and len(live.observations("open_interest", None, NOW)) == 1
