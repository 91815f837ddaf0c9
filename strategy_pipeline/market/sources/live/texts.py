"""Readers of texts: news feeds and forums.

Rows have no score and, as the whole market's, no asset: features score them and find whom they are about.
"""

from __future__ import annotations

import calendar
import hashlib
import io
from typing import Any

import numpy as np
import pandas as pd

from strategy_pipeline.errors import MissingExtraError
from strategy_pipeline.market.sources.live.base import LiveConfig, Reading, nonsense, plain, read_each, seconds
from strategy_pipeline.market.sources.live.http import Answer, Http


class FeedReader:
    """RSS and Atom entries of the configured feeds, through feedparser.

    An entry counts from its publication; one that is edited later stays as it was first seen. Entries are told apart by
    their id, or their link. An entry without a date is dated when it was read.
    """

    name, table = "rss", "news"
    keys: tuple[str, ...] = ("source", "entry")
    values: tuple[str, ...] = ()
    by_release = False

    def __init__(self, config: LiveConfig) -> None:
        self._feeds = config.feeds
        try:
            import feedparser
        except ImportError as error:
            raise MissingExtraError(
                "Expected the package feedparser for live=rss, was not installed; `pip install feedparser`, or leave rss out"
            ) from error
        self._parse: Any = feedparser.parse

    def poll(self, http: Http) -> Reading:
        def one(address: str) -> tuple[pd.DataFrame, pd.Timestamp | None]:
            answer = http.get(address)
            return (pd.DataFrame() if answer.unchanged else self._rows(answer, address)), answer.moment

        return read_each(self._feeds, one)

    def _rows(self, answer: Answer, address: str) -> pd.DataFrame:
        feed = self._parse(io.BytesIO(answer.body), sanitize_html=False)
        if feed.bozo and not feed.entries:
            raise nonsense(f"the feed {address}", feed.get("bozo_exception", "no feed"))
        source = plain(feed.feed.get("title"), 100) or address
        rows = []
        for entry in feed.entries:
            stamp = entry.get("published_parsed") or entry.get("updated_parsed")
            when = pd.Timestamp(calendar.timegm(stamp), unit="s", tz="UTC") if stamp else answer.moment
            title = plain(entry.get("title"), 500)
            name = entry.get("id") or entry.get("link") or hashlib.sha256(title.encode()).hexdigest()
            if when is not None and title:
                rows.append((when, source, str(name), title, plain(entry.get("summary"))))
        frame = pd.DataFrame(rows, columns=["ts", "source", "entry", "title", "text"])
        return frame.assign(available_at=frame["ts"], asset="", score=np.nan)


class ForumReader:
    """New posts of the configured subreddits, from Reddit's public JSON listings.

    A post counts from its creation, with the reach (its votes) it had when it was first seen.
    """

    name, table = "reddit", "social"
    keys: tuple[str, ...] = ("source", "entry")
    values: tuple[str, ...] = ()
    by_release = False

    def __init__(self, config: LiveConfig) -> None:
        self._forums, self._host = config.forums, config.host("reddit")

    def poll(self, http: Http) -> Reading:
        def one(forum: str) -> tuple[pd.DataFrame, pd.Timestamp | None]:
            what = f"the forum {forum}"
            answer = http.get(f"{self._host}/r/{forum}/new.json", {"limit": 100, "raw_json": 1})
            return (pd.DataFrame() if answer.unchanged else self._rows(answer.json(what), what)), answer.moment

        return read_each(self._forums, one)

    def _rows(self, answer: Any, what: str) -> pd.DataFrame:
        try:
            posts = [child["data"] for child in answer["data"]["children"]]
            frame = pd.DataFrame(
                {
                    "ts": seconds(pd.Series([post["created_utc"] for post in posts], dtype="float64")),
                    "source": [f"reddit/{post['subreddit']}" for post in posts],
                    "entry": [str(post["id"]) for post in posts],
                    "author": [plain(post.get("author"), 100) for post in posts],
                    "text": [plain(f"{post['title']}. {post.get('selftext') or ''}") for post in posts],
                    "reach": pd.Series([post.get("score") for post in posts], dtype="float64"),
                }
            )
        except (KeyError, TypeError, ValueError) as error:
            raise nonsense(what, error) from error
        return frame.assign(available_at=frame["ts"], asset="", score=np.nan)
