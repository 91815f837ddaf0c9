"""Asking an exchange: politely, again when it fails, and with an error that says what was tried."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar
from urllib.parse import urlsplit

from strategy_pipeline import rng
from strategy_pipeline.errors import MissingExtraError, PipelineError, SettingsError, SourceError

T = TypeVar("T")
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0  # seconds; what the exchange itself asks for may be longer, up to LONGEST_ASKED
LONGEST_ASKED = 600.0


class StalePageError(PipelineError):
    """An answer that holds nothing of what was asked for, or is no answer: worth asking again."""


class Client:
    """A ccxt exchange (``client.exchange``) whose public calls are retried.

    Parameters
    ----------
    exchange_id : a ccxt id
    url : sends every request to this scheme and host instead (tests against a local server)
    options : ccxt properties to set (``{"timeout": 300}`` in milliseconds, ``{"rateLimit": 50}``)
    attempts : how often a call is tried
    seed : of the jitter
    sleep : called with seconds

    Requests are spaced by ccxt's own rate limiter. A call that fails for a passing reason (network, timeout, rate
    limit, maintenance, an answer that is nonsense) waits one second, then twice as long each time, up to a minute,
    half to one and a half of that by chance; an exchange that says ``Retry-After`` is waited for at least that long.
    """

    def __init__(
        self,
        exchange_id: str,
        *,
        url: str | None = None,
        options: Mapping[str, Any] | None = None,
        attempts: int = 6,
        seed: int = 0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        try:
            import ccxt
        except ImportError as error:
            raise MissingExtraError(
                "Expected the package ccxt for source=ccxt, was not installed; install it with `pip install ccxt`"
            ) from error
        if exchange_id not in ccxt.exchanges:
            near = ", ".join(get_close_matches(exchange_id, ccxt.exchanges, n=3)) or "binance, kraken, coinbase"
            raise SettingsError(
                f"Expected an exchange that ccxt knows, was {exchange_id!r}; near it: {near}; set `exchange` to one of these"
            )
        self.name = exchange_id
        self.exchange: Any = getattr(ccxt, exchange_id)({"enableRateLimit": True, "enableLastJsonResponse": True, **(options or {})})
        if url is not None:
            self.exchange.urls["api"] = _redirected(self.exchange.urls["api"], url.rstrip("/"))
        self._errors = ccxt
        self._passing = (ccxt.NetworkError, ccxt.BadResponse, StalePageError)
        self._limited = (ccxt.RateLimitExceeded, ccxt.DDoSProtection)
        self._attempts = attempts
        self._sleep = sleep
        self._jitter = rng.generator(seed, "exchange", exchange_id)

    def call(self, what: str, function: Callable[..., T], *arguments: Any, **keywords: Any) -> T:
        """What `function` returns, after as many attempts as it takes. `what` names it in the error.

        Raises
        ------
        SourceError
            It was refused, or failed `attempts` times; says what failed, how often, why last, and what to do.
        """
        from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_attempt

        retrying = Retrying(
            retry=retry_if_exception_type(self._passing), stop=stop_after_attempt(self._attempts), wait=self._wait, sleep=self._sleep
        )
        try:
            return retrying(function, *arguments, **keywords)
        except RetryError as failed:
            last = failed.last_attempt.exception()
            raise SourceError(
                f"Expected {self.name} to answer {what}, was {_short(last)} after {self._attempts} attempts; "
                "what was downloaded is kept: run again later to go on from there"
            ) from last
        except self._errors.BaseError as refused:
            raise SourceError(
                f"Expected {self.name} to answer {what}, was {_short(refused)}; not tried again, because that would not help: "
                "check symbol, timeframe and whether this exchange serves your region"
            ) from refused

    def page(self, what: str, rows: list[T]) -> list[T]:
        """Rows that ccxt made of the last answer, unless it left out everything in it.

        ccxt drops rows from before the moment asked for, so a page the exchange repeats would pass for an empty one.
        """
        answered = _longest(self.exchange.last_json_response)
        if not rows and answered:
            raise StalePageError(f"{answered} {what}, none of the time asked for: an earlier page again")
        return rows

    def _wait(self, state: Any) -> float:
        wait = min(FIRST_WAIT * 2.0 ** (state.attempt_number - 1), LONGEST_WAIT) * (0.5 + float(self._jitter.random()))
        if isinstance(state.outcome.exception(), self._limited):
            wait = max(wait, self._asked_wait())
        return wait

    def _asked_wait(self) -> float:
        headers = self.exchange.last_response_headers or {}
        text = {str(name).lower(): value for name, value in headers.items()}.get("retry-after", "")
        try:
            return min(max(float(text), 0.0), LONGEST_ASKED)
        except ValueError:
            return 0.0  # an HTTP date, or nothing: our own back-off stands


def _longest(answer: Any, depth: int = 4) -> int:
    """Length of the longest list in a decoded answer: its rows, wherever the exchange puts them."""
    if isinstance(answer, list):
        return len(answer)
    if isinstance(answer, dict) and depth:
        return max((_longest(value, depth - 1) for value in answer.values()), default=0)
    return 0


def _redirected(urls: Any, base: str) -> Any:
    if isinstance(urls, dict):
        return {name: _redirected(value, base) for name, value in urls.items()}
    return base + urlsplit(urls).path


def _short(error: BaseException | None) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__} ({text[:160]})" if text else type(error).__name__
