"""A web server on this machine that answers as the services of the live readers do, and fails on demand."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

DATE = "Fri, 01 Mar 2024 12:00:00 GMT"


class LocalWeb:
    """`pages` maps a path to its body (bytes), or to a function of the query; `faults` are played first, in turn.

    A fault is (status, headers), or "cut": an answer that breaks off.
    """

    def __init__(self) -> None:
        self.pages: dict[str, Any] = {}
        self.faults: deque[Any] = deque()
        self.requests: list[tuple[str, dict[str, str], dict[str, str]]] = []
        self.date = DATE
        self.etag: str | None = None
        self.url = ""


@contextmanager
def serving(web: LocalWeb) -> Iterator[LocalWeb]:
    """The server, answering at `web.url` until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            web.requests.append((parts.path, query, dict(self.headers)))
            page = web.pages.get(parts.path)
            body = page(query) if callable(page) else page
            fault = web.faults.popleft() if web.faults else None
            if isinstance(fault, tuple):
                self._send(fault[0], b"no", fault[1])
            elif body is None:
                self._send(404, b"nothing here", {})
            elif fault == "cut":
                self.send_response_only(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) // 2])
                self.close_connection = True
            elif web.etag and self.headers.get("If-None-Match") == web.etag:
                self._send(304, b"", {"ETag": web.etag})
            else:
                self._send(200, body, {"ETag": web.etag} if web.etag else {})

        def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response_only(status)
            for name, value in {"Date": web.date, **headers}.items():
                self.send_header(name, value)
            if status != 304:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    web.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5.0)
