"""Asking web servers for small documents: spaced out, again when they fail, as late as they ask, and not for what is known."""

from __future__ import annotations

import gzip
import json
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import Request, urlopen

import pandas as pd

from strategy_pipeline import rng
from strategy_pipeline.errors import SourceError

_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0  # seconds; what the server itself asks for may be longer, up to LONGEST_ASKED
LONGEST_ASKED = 600.0
LARGEST = 64 * 2**20  # bytes of an answer


@dataclass(frozen=True)
class Answer:
    """body : empty when `unchanged`; moment : the server's clock, None where it does not tell; tags : to ask with next time"""

    body: bytes
    moment: pd.Timestamp | None
    unchanged: bool = False
    tags: Mapping[str, str] | None = None

    def json(self, what: str) -> Any:
        """The decoded body; SourceError where it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise SourceError(f"Expected {what} to answer JSON, was {self.body[:60]!r}; nothing of it is kept; try again later") from error


class Http:
    """A client of public endpoints, without cookies or keys.

    Parameters
    ----------
    agent : User-Agent
    spacing : seconds slept between two requests to one host
    attempts : tries per request. A passing failure (no connection, timeout, a broken answer, 408, 425, 429, 5xx) waits one
        second, then twice as long each time, up to a minute, half to one and a half of that by chance, and at least
        as long as ``Retry-After`` asks (seconds or a date; ten minutes at most)
    timeout : seconds
    seed : of the jitter
    sleep : called with seconds
    """

    def __init__(
        self, *, agent: str, spacing: float = 2.0, attempts: int = 4, timeout: float = 20.0, seed: int = 0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:  # fmt: skip
        self._agent, self._spacing, self._attempts, self._timeout = agent, spacing, attempts, timeout
        self._sleep = sleep
        self._jitter = rng.generator(seed, "live")
        self._asked: set[str] = set()
        self._tags: dict[str, Mapping[str, str]] = {}

    def get(self, url: str, parameters: Mapping[str, Any] | None = None) -> Answer:
        """The document at `url`; `unchanged` where this client got the same one before.

        Raises
        ------
        SourceError
            Refused, or failed `attempts` times: says what failed, how often, and why last.
        """
        full = f"{url}?{urlencode(parameters)}" if parameters else url
        host = urlsplit(full).netloc
        if urlsplit(full).scheme not in ("http", "https"):
            raise SourceError(f"Expected an http or https address, was {full!r}; nothing is read; mend the address")
        reason: object = "nothing"
        for attempt in range(1, self._attempts + 1):
            if host in self._asked:
                self._sleep(self._spacing)
            self._asked.add(host)
            asked_wait = 0.0
            try:
                return self._once(full)
            except HTTPError as error:
                with error:
                    reason = f"HTTP {error.code} {error.reason}"
                    if error.code not in _PASSING:
                        raise SourceError(
                            f"Expected {_short(full)} to answer, was {reason}; not tried again, because that would not help: "
                            "check the address and whether it serves your region"
                        ) from error
                    asked_wait = _asked_wait(error.headers)
            except (URLError, HTTPException, OSError, EOFError, zlib.error) as error:
                reason = " ".join(f"{type(error).__name__} {error}".split())[:120]
            if attempt < self._attempts:
                wait = min(FIRST_WAIT * 2.0 ** (attempt - 1), LONGEST_WAIT) * (0.5 + float(self._jitter.random()))
                self._sleep(max(wait, asked_wait))
        raise SourceError(
            f"Expected {_short(full)} to answer, was {reason} after {self._attempts} attempts; earlier rows are kept: try again later"
        )

    def _once(self, url: str) -> Answer:
        headers = {"User-Agent": self._agent, "Accept-Encoding": "gzip", **self._tags.get(url, {})}
        request = Request(url, headers=headers)
        try:
            with urlopen(request, timeout=self._timeout) as response:
                body = response.read(LARGEST + 1)
                given = response.headers
        except HTTPError as error:
            if error.code != 304:
                raise
            with error:
                return Answer(b"", _moment(error.headers), unchanged=True)
        if len(body) > LARGEST:
            raise SourceError(f"Expected {_short(url)} to answer at most {LARGEST >> 20} MB, was more; none is kept; ask for less")
        length = given.get("Content-Length")
        if length is not None and length.isdigit() and len(body) < int(length):
            raise HTTPException(f"{len(body)} of {length} bytes")
        if given.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        pairs = (("If-None-Match", given.get("ETag")), ("If-Modified-Since", given.get("Last-Modified")))
        self._tags[url] = {name: value for name, value in pairs if value}
        return Answer(body, _moment(given))


def _moment(headers: Any) -> pd.Timestamp | None:
    try:
        return pd.Timestamp(parsedate_to_datetime(headers.get("Date", ""))).tz_convert("UTC")
    except (TypeError, ValueError):
        return None


def _asked_wait(headers: Any) -> float:
    """Seconds that Retry-After asks for; a date is counted from the server's own clock."""
    text = (headers.get("Retry-After") or "").strip()
    if text.isdigit():
        return min(float(text), LONGEST_ASKED)
    now = _moment(headers)
    try:
        until = pd.Timestamp(parsedate_to_datetime(text)).tz_convert("UTC")
    except (TypeError, ValueError):
        return 0.0
    return 0.0 if now is None else min(max((until - now).total_seconds(), 0.0), LONGEST_ASKED)


def _short(url: str) -> str:
    return url if len(url) <= 100 else url[:97] + "..."
