"""A small exchange on loopback that speaks Binance's candle, trade, funding and time endpoints, and can misbehave.

`faults` is a queue: each data request takes one and does what it says.
  ok        answers as asked
  limited   429 with Retry-After: 7
  slow      answers after the client has given up
  partial   answers with the first third of the page
  repeat    answers with the page before
  empty     answers with nothing
  garbage   answers with something that is no page
  dies      promises more bytes than it sends and closes the connection
  refused   403
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np

HOUR = 3_600_000
START = 1_704_067_200_000  # 2024-01-01
STEPS = {"1h": HOUR, "4h": 4 * HOUR, "1d": 24 * HOUR}


def _market(base: str, quote: str = "USDT") -> dict[str, Any]:
    return {
        "symbol": f"{base}{quote}", "status": "TRADING", "baseAsset": base, "quoteAsset": quote, "baseAssetPrecision": 8,
        "quotePrecision": 8, "quoteAssetPrecision": 8, "orderTypes": ["LIMIT"], "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False, "permissions": ["SPOT"], "permissionSets": [["SPOT"]],
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000", "tickSize": "0.01"},
            {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "9000", "stepSize": "0.00001"},
        ],
    }  # fmt: skip


def _perpetual(base: str) -> dict[str, Any]:
    return _market(base) | {
        "pair": f"{base}USDT", "contractType": "PERPETUAL", "marginAsset": "USDT", "deliveryDate": 4133404800000,
        "onboardDate": START, "contractStatus": "TRADING", "underlyingType": "COIN",
    }  # fmt: skip


class LocalExchange:
    """What the server holds: hourly candles with a three-hour outage, trades with ties, funding rates.

    `now` (milliseconds) is its clock: the candle that contains it is served unfinished.
    """

    def __init__(self, n_hours: int = 2300, page: int = 1000) -> None:
        draw = np.random.default_rng(7)
        self.page = page
        self.faults: deque[str] = deque()
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.url = ""
        times = START + HOUR * np.arange(n_hours)
        times = times[(times < START + 700 * HOUR) | (times >= START + 703 * HOUR)]
        close = 40_000 * np.exp(np.cumsum(draw.standard_normal(len(times)) * 0.004))
        self.candles = [
            [int(t), f"{c * 0.999:.2f}", f"{c * 1.003:.2f}", f"{c * 0.996:.2f}", f"{c:.2f}", f"{10 + k % 7}.5", int(t) + HOUR - 1,
             f"{(10.5 + k % 7) * c:.4f}", 100 + k % 50, f"{5 + k % 3}.25", f"{(5.25 + k % 3) * c:.4f}", "0"]
            for k, (t, c) in enumerate(zip(times, close, strict=True))
        ]  # fmt: skip
        moments = np.sort(START + np.floor(draw.random(1500) * 5 * HOUR / 40).astype(np.int64) * 40)
        moments = moments[(moments < START + HOUR) | (moments >= START + 3 * HOUR)]  # two hours without a trade
        self.trades = [
            {"a": 5000 + k, "p": f"{40_000 + k % 90}.10", "q": f"0.{1 + k % 9}", "f": k, "l": k, "T": int(t), "m": bool(k % 2), "M": True}
            for k, t in enumerate(moments)
        ]
        self.funding = [
            {"symbol": "BTCUSDT", "fundingTime": START + 8 * HOUR * k, "fundingRate": f"{0.0001 * (k % 5 - 2):.6f}", "markPrice": "40000"}
            for k in range(200)
        ]
        self.now = int(times[-1]) + HOUR // 2  # halfway through the last candle
        self._last_page: list[Any] = []

    def answer(self, path: str, query: dict[str, str]) -> Any:
        if path.endswith("/time"):
            return {"serverTime": self.now}
        if path == "/api/v3/exchangeInfo":
            return {"timezone": "UTC", "serverTime": self.now, "symbols": [_market("BTC"), _market("ETH"), _market("SOL", "BTC")]}
        if path == "/fapi/v1/exchangeInfo":
            return {"timezone": "UTC", "symbols": [_perpetual("BTC")]}
        if path.endswith("/exchangeInfo"):
            return {"timezone": "UTC", "symbols": []}
        first, last = int(query.get("startTime", 0)), int(query.get("endTime", 1 << 60))
        limit = min(int(query.get("limit", 500)), self.page)
        if path == "/api/v3/klines":
            held = self.at(query["interval"]) if query["symbol"] == "BTCUSDT" else []
            return [row for row in held if first <= row[0] <= last][:limit]
        if path == "/fapi/v1/klines":  # the perpetual trades at a tenth more
            held = [[row[0], *(f"{float(v) * 1.1:.3f}" for v in row[1:5]), *row[5:]] for row in self.at(query["interval"])]
            return [row for row in held if first <= row[0] <= last][:limit]
        if path == "/api/v3/aggTrades":
            return [row for row in self.trades if first <= row["T"] <= last][:limit] if query["symbol"] == "BTCUSDT" else []
        if path == "/fapi/v1/fundingRate":
            return [row for row in self.funding if first <= row["fundingTime"] <= last][:limit]
        return None

    def at(self, interval: str) -> list[list[Any]]:
        """Candles of an interval of whole hours, as a venue makes them: also where an hour is absent."""
        step, groups = STEPS[interval], {}
        for row in self.candles:
            groups.setdefault(row[0] // step * step, []).append(row)
        return [
            [t, rows[0][1], f"{max(float(r[2]) for r in rows):.2f}", f"{min(float(r[3]) for r in rows):.2f}", rows[-1][4],
             f"{sum(float(r[5]) for r in rows):.2f}", t + step - 1, f"{sum(float(r[7]) for r in rows):.4f}", sum(r[8] for r in rows),
             f"{sum(float(r[9]) for r in rows):.2f}", "0", "0"]
            for t, rows in groups.items()
        ]  # fmt: skip

    def data_requests(self) -> list[dict[str, str]]:
        """The queries for candles, trades and funding so far."""
        return [query for path, query in self.requests if path.endswith(("klines", "aggTrades", "fundingRate"))]


@contextmanager
def running(exchange: LocalExchange) -> Iterator[LocalExchange]:
    """The exchange, answering at `exchange.url` until the block ends."""
    release = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            exchange.requests.append((parts.path, query))
            answer = exchange.answer(parts.path, query)
            if answer is None:
                self._send(404, {"code": -1, "msg": f"no endpoint {parts.path}"})
                return
            fault = "ok"
            if parts.path.endswith(("klines", "aggTrades", "fundingRate")) and exchange.faults:
                fault = exchange.faults.popleft()
            if fault == "limited":
                self._send(429, {"code": -1003, "msg": "Too much request weight used."}, {"Retry-After": "7"})
            elif fault == "refused":
                self._send(403, {"code": -2015, "msg": "Service unavailable from a restricted location."})
            elif fault == "slow":
                release.wait(5.0)
                self.close_connection = True
            elif fault == "partial":
                self._send(200, answer[: max(len(answer) // 3, 1)])
            elif fault == "repeat":
                self._send(200, exchange._last_page)
            elif fault == "empty":
                self._send(200, [])
            elif fault == "garbage":
                self._send(200, [["2024-01-01", "no", "candle"]])
            elif fault == "dies":
                body = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) // 2])
                self.close_connection = True
            else:
                if isinstance(answer, list):
                    exchange._last_page = answer
                self._send(200, answer)

        def _send(self, status: int, answer: Any, headers: dict[str, str] | None = None) -> None:
            body = json.dumps(answer).encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            return

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            return  # a client that gave up closed its end

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    exchange.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield exchange
    finally:
        release.set()
        server.shutdown()
        server.server_close()
        thread.join(5.0)
