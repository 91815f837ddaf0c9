"""Stand-ins for Azure on one machine: installed by npm into a cache folder, started on a free port.

``python -m strategy_pipeline_tests.tools.emulators`` installs them ahead of time, so that the tests need
no network. Where node or npm is absent, or the installation fails, `require_emulators` skips with the
reason.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import os
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from filelock import FileLock

PACKAGES = ("@vercel/cosmosdb-server@1.0.1", "azurite@3.35.0")
_PROGRAMS = {"cosmos": "cosmosdb-server", "blob": "azurite-blob"}
_POINT = re.compile(r"^/dbs/[^/]+/colls/[^/]+/docs/[^/]+$")


def emulator_folder() -> Path:
    """Where npm puts them: `STRATEGY_PIPELINE_TEST_EMULATORS`, by default a folder in the user's cache."""
    given = os.environ.get("STRATEGY_PIPELINE_TEST_EMULATORS")
    return Path(given) if given else Path.home() / ".cache" / "strategy_pipeline_emulators"


@functools.cache
def install() -> str:
    """Install what is missing; returns the reason why it could not, or an empty text."""
    folder = emulator_folder()
    if not shutil.which("node") or not shutil.which("npm"):
        return "node and npm are not installed"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".install.lock"):
        if all((folder / "node_modules" / ".bin" / program).exists() for program in _PROGRAMS.values()):
            return ""
        command = [
            "npm",
            "install",
            "--silent",
            "--no-audit",
            "--no-fund",
            "--fetch-retries=0",
            "--fetch-timeout=20000",
            "--prefix",
            str(folder),
            *PACKAGES,
        ]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=150)
        except subprocess.TimeoutExpired:
            return "npm did not finish within 150 s"
        return "" if done.returncode == 0 else f"npm could not install the emulators: {done.stderr.strip()[-200:]}"


def require_emulators() -> Path:
    reason = install()
    if reason:
        pytest.skip(f"no Azure emulators: {reason}")
    return emulator_folder() / "node_modules" / ".bin"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(command: list[str], port: int) -> Iterator[int]:
    """A process that listens on `port` of the loopback while the block runs."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            assert process.poll() is None, f"{command[0]} ended with {process.returncode} before it listened"
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=20)


class CosmosShim(ThreadingHTTPServer):
    """A proxy before the Cosmos emulator. It answers a point read of a missing document with 404, as the
    service does and the emulator does not (500), and can fail requests the way a busy service does.

    ``fail_next(status, times, after=False, headers=None)``: the next requests for documents get `status`;
    with `after`, the request is carried out first and only its answer is lost. `requests` lists what was
    asked for documents: (method, path, partition key header, body).
    """

    daemon_threads = True

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.failures: list[tuple[int, bool, dict[str, str]]] = []
        self.requests: list[tuple[str, str, str, bytes]] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def fail_next(self, status: int, times: int = 1, *, after: bool = False, headers: dict[str, str] | None = None) -> None:
        self.failures += [(status, after, headers or {})] * times


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: CosmosShim

    def _forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        failure = None
        if "/docs" in self.path:
            self.server.requests.append((self.command, self.path, self.headers.get("x-ms-documentdb-partitionkey", ""), body))
            failure = self.server.failures.pop(0) if self.server.failures else None
        if failure is not None and not failure[1]:
            self._answer(failure[0], failure[2], b'{"code":"Injected","message":"injected"}')
            return
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.upstream, timeout=30)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection", "accept-encoding")}
            upstream.request(self.command, self.path, body or None, headers)
            answer = upstream.getresponse()
            data, status = answer.read(), answer.status
            kept = {name: value for name, value in answer.getheaders() if name.lower().startswith(("x-ms", "etag", "content-type"))}
        finally:
            upstream.close()
        if failure is not None:
            self._answer(failure[0], failure[2], b'{"code":"Injected","message":"answer lost"}')
        elif self.command == "GET" and status == 500 and _POINT.match(self.path.rstrip("/")):
            self._answer(404, {}, b'{"code":"NotFound","message":"Entity with the specified id does not exist in the system."}')
        else:
            self._answer(status, kept, data)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = _forward

    def _answer(self, status: int, headers: dict[str, str], data: bytes) -> None:
        self.send_response(status)
        for name, value in {"content-type": "application/json", **headers, "content-length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@contextlib.contextmanager
def cosmos_emulator() -> Iterator[CosmosShim]:
    """The Cosmos emulator behind the shim; skips where it cannot be had."""
    program, port = require_emulators() / _PROGRAMS["cosmos"], free_port()
    with running([str(program), "-p", str(port), "--host", "127.0.0.1", "--no-ssl"], port):
        shim = CosmosShim(port)
        thread = threading.Thread(target=shim.serve_forever, daemon=True)
        thread.start()
        try:
            yield shim
        finally:
            shim.shutdown()
            shim.server_close()


@contextlib.contextmanager
def blob_emulator() -> Iterator[int]:
    """Azurite's blob service; yields its port; skips where it cannot be had."""
    program, port = require_emulators() / _PROGRAMS["blob"], free_port()
    options = ["--silent", "--disableTelemetry", "--inMemoryPersistence", "--skipApiVersionCheck"]
    with running([str(program), *options, "--blobHost", "127.0.0.1", "--blobPort", str(port)], port):
        yield port


if __name__ == "__main__":
    raise SystemExit(install() or 0)
