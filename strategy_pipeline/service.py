"""The HTTP service around the orchestrator: the four calls as JSON, bound to loopback unless told otherwise.

What belongs here: routes, status codes, JSON. What does not: anything the orchestrator does not offer. It
has no authentication: put it behind a gateway before it leaves the machine.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pandas as pd

from strategy_pipeline.errors import HomeLockedError, MissingInputError, NoDataError, PipelineError, SourceError, UnknownSymbolError
from strategy_pipeline.orchestrator import Orchestrator, as_dict, as_plain

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

_KINDS = {list: "a list of texts", int: "a whole number", str: "a text", bool: "true or false"}
_STATUS = {UnknownSymbolError: 404, NoDataError: 404, MissingInputError: 409, HomeLockedError: 423, SourceError: 503}


def app(orchestrator: Orchestrator) -> Starlette:
    """The ASGI application.

    ``GET /health``, ``GET /signals?symbols=BTC/USDT,ETH/USDT``, ``GET /report?days=30``,
    ``POST /strategies`` with ``{"count": 100, "strategy_types": ["momentum"]}``,
    ``POST /optimize`` with ``{"ids": [...], "objective": ["sharpe", "calmar"], "sampler": "nsga2", "trials": 64}``.
    A user's mistake is 4xx with ``{"error": …}``.
    """
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok", "universe": orchestrator.workspace.universe})

    async def signals(request: Request) -> Response:
        asked = [s for s in request.query_params.get("symbols", "").split(",") if s]
        found = await orchestrator.get_trading_signals(asked or None)
        return _json({"simulated": orchestrator.workspace.source.simulated, "signals": [as_dict(s) for s in found]})

    async def report(request: Request) -> Response:
        days = request.query_params.get("days", "30")
        if not (days.isascii() and days.isdigit()) or not 1 <= int(days) <= 3650:
            return JSONResponse({"error": f"Expected days from 1 to 3650, was {days!r}"}, status_code=422)
        made = await orchestrator.get_performance_report(days=int(days))
        return _json({"day": made.day.isoformat(), "html": made.html, "summary": made.summary,
                      "strategies": _rows(made.strategies), "transitions": _rows(made.transitions)})  # fmt: skip

    async def generate(request: Request) -> Response:
        body = await _body(request, {"count": int, "strategy_types": list, "methods": list, "seed": int})
        return _json({"ids": await orchestrator.generate_new_strategies(**body)})

    async def optimize(request: Request) -> Response:
        fields = {"ids": list, "objective": list, "sampler": str, "trials": int, "prune": bool, "seed": int}
        return _json({"results": _rows(await orchestrator.optimize_strategies(**await _body(request, fields)))})

    async def refused(_: Request, error: Exception) -> Response:
        status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 422)
        return JSONResponse({"error": str(error)}, status_code=status)

    return Starlette(
        routes=[
            Route("/health", health),
            Route("/signals", signals),
            Route("/report", report),
            Route("/strategies", generate, methods=["POST"]),
            Route("/optimize", optimize, methods=["POST"]),
        ],
        exception_handlers={PipelineError: refused},
    )


async def _body(request: Request, fields: dict[str, type]) -> dict[str, Any]:
    """The body's fields, each of the type named, or null, or left out; lists hold text."""
    raw = await request.body()
    try:
        value = json.loads(raw or b"{}")
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise PipelineError(f"Expected a JSON object as the body, was {raw[:60]!r}: {error}") from None
    if not isinstance(value, dict):
        raise PipelineError(f"Expected a JSON object as the body, was {type(value).__name__}")
    for name, given in value.items():
        if name not in fields:
            raise PipelineError(f"Expected {', '.join(fields)}, was {name!r}; nothing was done: mend the name")
        wrong = not isinstance(given, fields[name]) or (isinstance(given, bool) and fields[name] is not bool)
        if fields[name] is list and not wrong:
            wrong = not all(isinstance(item, str) for item in given)
        if given is not None and wrong:
            raise PipelineError(f"Expected {name} to be {_KINDS[fields[name]]}, was {given!r}; nothing was done")
    return {name: given for name, given in value.items() if given is not None}


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return json.loads(frame.to_json(orient="records", date_format="iso"))


def _json(value: Any) -> Response:
    from starlette.responses import Response

    return Response(json.dumps(as_plain(value), default=str, allow_nan=False), media_type="application/json")
