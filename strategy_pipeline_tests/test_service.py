"""The HTTP service: the four calls as JSON, and what a mistake is answered with."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from strategy_pipeline import Orchestrator, Settings
from strategy_pipeline.errors import HomeLockedError, PipelineError, SourceError
from strategy_pipeline.service import app

NOW = pd.Timestamp("2025-06-30 01:00", tz="UTC")


class Client:
    """Speaks ASGI to an application in this process."""

    def __init__(self, application: Any) -> None:
        self._application = application

    def call(self, method: str, target: str, body: bytes = b"") -> tuple[int, str]:
        path, _, query = target.partition("?")
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "path": path, "raw_path": path.encode(),
            "query_string": query.encode(), "headers": [], "scheme": "http", "server": ("test", 80), "client": ("test", 1), "root_path": "",
        }  # fmt: skip
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        asyncio.run(self._application(scope, receive, send))
        status = next(m["status"] for m in sent if m["type"] == "http.response.start")
        return status, b"".join(m.get("body", b"") for m in sent if m["type"] == "http.response.body").decode()

    def get(self, target: str) -> tuple[int, Any]:
        status, text = self.call("GET", target)
        return status, strict(text)

    def post(self, target: str, body: Any) -> tuple[int, Any]:
        status, text = self.call("POST", target, body if isinstance(body, bytes) else json.dumps(body).encode())
        return status, strict(text)


def strict(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.fixture(scope="module")
def client(tiny_copy: Path) -> Client:
    return Client(app(Orchestrator(Settings(home=tiny_copy, profile="tiny"), now=lambda: NOW)))


def test_health_names_the_universe(client: Client) -> None:
    status, answer = client.get("/health")
    assert (status, answer["status"]) == (200, "ok")
    assert answer["universe"].startswith("sample-tiny-1h-")


def test_signals_are_strict_json_and_say_that_the_market_is_simulated(client: Client) -> None:
    status, answer = client.get("/signals?symbols=BTC/USDC,ETH/USDT")
    assert status == 200
    assert answer["simulated"] is True
    assert [s["symbol"] for s in answer["signals"]] == ["BTC/USDC", "ETH/USDT"]
    assert answer["signals"][0]["priced_on"] == "BTC/USDT"
    assert answer["signals"][0]["warning"]
    flat = next(s for s in answer["signals"] if s["side"] == "flat")
    assert flat["stop"] is None


def test_a_report_has_its_strategies_and_transitions(client: Client) -> None:
    status, answer = client.get("/report?days=5")
    assert status == 200
    assert answer["day"] == "2025-06-29"
    assert {"trials", "verdict", "promoted"} <= set(answer["summary"])
    assert {row["strategy_id"] for row in answer["strategies"]} == {row["strategy_id"] for row in answer["transitions"]}


def test_strategies_are_generated(client: Client) -> None:
    status, answer = client.post("/strategies", {"count": 3, "strategy_types": ["breakout"], "seed": 1, "methods": None})
    assert (status, len(set(answer["ids"]))) == (200, 3)


def test_tuning_nothing_gives_no_results(client: Client) -> None:
    assert client.post("/optimize", {}) == (200, {"results": []})
    asked = {"objective": ["sharpe", "calmar"], "sampler": "nsga2", "trials": 12, "prune": False, "seed": 1, "ids": None}
    assert client.post("/optimize", asked) == (200, {"results": []})


@pytest.mark.parametrize(
    ("target", "status", "says"),
    [
        ("/signals?symbols=PEPE/USDT", 404, "PEPE/USDT"), ("/report?days=0", 422, "1 to 3650"), ("/report?days=ten", 422, "ten"),
        ("/report?days=-1", 422, "1 to 3650"), ("/report?days=%C2%B2", 422, "1 to 3650"),
    ],
)  # fmt: skip
def test_a_wrong_question_is_the_askers_mistake(client: Client, target: str, status: int, says: str) -> None:
    got, answer = client.get(target)
    assert got == status
    assert says in answer["error"]


@pytest.mark.parametrize(
    ("target", "body", "says"),
    [
        ("/strategies", b"{", "JSON object"), ("/strategies", [1], "was list"), ("/strategies", {"colour": "red"}, "colour"),
        ("/strategies", {"count": "ten"}, "whole number"), ("/strategies", {"count": True}, "whole number"),
        ("/strategies", {"count": 0}, "count"),
        ("/strategies", {"strategy_types": "momentum"}, "list of texts"), ("/strategies", {"strategy_types": [1]}, "list of texts"),
        ("/strategies", {"strategy_types": ["astrology"]}, "astrology"), ("/strategies", b"\xff\xfe", "JSON object"),
        ("/optimize", {"idz": ["a"]}, "idz"), ("/optimize", {"ids": ["0000"]}, "0000"), ("/optimize", {"ids": "0000"}, "list of texts"),
        ("/optimize", {"objective": ["luck"]}, "luck"), ("/optimize", {"objective": "sharpe"}, "list of texts"),
        ("/optimize", {"sampler": "grid"}, "grid"), ("/optimize", {"sampler": ["tpe"]}, "to be a text"),
        ("/optimize", {"trials": 0}, "was 0"), ("/optimize", {"trials": 10**9}, "at most"), ("/optimize", {"trials": True}, "whole number"),
        ("/optimize", {"prune": 1}, "true or false"), ("/optimize", {"prune": "yes"}, "true or false"),
    ],
)  # fmt: skip
def test_a_wrong_body_is_the_askers_mistake(client: Client, target: str, body: Any, says: str) -> None:
    status, answer = client.post(target, body)
    assert status == 422
    assert says in answer["error"]


@pytest.mark.parametrize(("error", "status"), [(HomeLockedError("held"), 423), (SourceError("busy"), 503), (PipelineError("no"), 422)])
def test_each_kind_of_failure_has_its_status(client: Client, monkeypatch: pytest.MonkeyPatch, error: PipelineError, status: int) -> None:
    async def fail(self: Orchestrator, symbols: object = None) -> None:
        raise error

    monkeypatch.setattr(Orchestrator, "get_trading_signals", fail)
    assert client.get("/signals") == (status, {"error": str(error)})


def test_an_unknown_path_is_not_found_and_a_wrong_method_not_allowed(client: Client) -> None:
    assert client.call("GET", "/nothing")[0] == 404
    assert client.call("GET", "/strategies")[0] == 405
