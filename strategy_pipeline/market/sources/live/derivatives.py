"""Readers of perpetuals through ccxt: settled funding rates, and open interest as it stands."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import pandas as pd

from strategy_pipeline.market.sources.exchange.client import Client
from strategy_pipeline.market.sources.live.base import LiveConfig, Reading, nonsense
from strategy_pipeline.market.sources.live.http import Http

_FUNDING_ROWS = 100


class _Perpetuals:
    """The symbols' linear perpetuals on the configured exchange; those it does not have are left out."""

    def __init__(
        self,
        config: LiveConfig,
        *,
        sleep: Callable[[float], None] = time.sleep,
        url: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self._config = config
        self._client = Client(config.exchange, url=url, options=options, attempts=config.attempts, sleep=sleep)

    def _held(self) -> list[tuple[str, str]]:
        """(our symbol, ccxt's) of each."""
        exchange = self._client.exchange
        if not exchange.markets:
            self._client.call("its list of markets", exchange.load_markets)
        named = [(symbol, f"{symbol}:{symbol.partition('/')[2]}") for symbol in self._config.symbols]
        return [(symbol, perpetual) for symbol, perpetual in named if perpetual in exchange.markets]

    def _moment(self) -> pd.Timestamp | None:
        """The exchange's clock, where it tells."""
        exchange = self._client.exchange
        if not exchange.has.get("fetchTime"):
            return None
        return pd.Timestamp(int(self._client.call("its time", exchange.fetch_time)), unit="ms", tz="UTC")

    def _reading(self, rows: list[dict[str, Any]]) -> Reading:
        moment = self._moment()
        frame = pd.DataFrame(rows)
        if len(frame):
            frame["ts"] = pd.to_datetime(frame["ts"], unit="ms", utc=True).astype("datetime64[ns, UTC]")
            frame = frame.assign(available_at=frame["ts"], venue=self._client.name)
        return Reading(frame, moment)


class FundingReader(_Perpetuals):
    """The newest settled funding rates. A rate pays for the time since the one before."""

    name, table = "funding", "funding"
    keys: tuple[str, ...] = ("symbol", "venue", "ts")
    values: tuple[str, ...] = ("rate",)
    by_release = False

    def poll(self, http: Http) -> Reading:
        rows = []
        for symbol, perpetual in self._held():
            answer = self._client.call(
                f"funding of {symbol}", self._client.exchange.fetch_funding_rate_history, perpetual, None, _FUNDING_ROWS
            )
            try:
                rates = sorted((int(one["timestamp"]), float(one["fundingRate"])) for one in answer)
            except (KeyError, TypeError, ValueError) as error:
                raise nonsense(f"funding of {symbol}", error) from error
            steps = [round((later[0] - earlier[0]) / 3.6e6) for earlier, later in pairwise(rates)]
            usual = sorted(steps)[len(steps) // 2] if steps else 8
            for at, (stamp, rate) in enumerate(rates):
                hours = steps[at - 1] if at and 1 <= steps[at - 1] <= 24 else usual
                rows.append({"ts": stamp, "symbol": symbol, "rate": rate, "interval_hours": float(hours)})
        return self._reading(rows)


class OpenInterestReader(_Perpetuals):
    """Open interest now, in base units and in quote currency (NaN where the exchange does not say)."""

    name, table = "open_interest", "open_interest"
    keys: tuple[str, ...] = ("symbol", "venue", "ts")
    values: tuple[str, ...] = ("open_interest",)
    by_release = False

    def poll(self, http: Http) -> Reading:
        rows = []
        for symbol, perpetual in self._held():
            answer = self._client.call(f"open interest of {symbol}", self._client.exchange.fetch_open_interest, perpetual)
            try:
                rows.append(
                    {
                        "ts": int(answer["timestamp"]), "symbol": symbol, "open_interest": float(answer["openInterestAmount"]),
                        "open_interest_value": float(answer.get("openInterestValue") or "nan"),
                    }
                )  # fmt: skip
            except (KeyError, TypeError, ValueError) as error:
                raise nonsense(f"open interest of {symbol}", error) from error
        return self._reading(rows)
