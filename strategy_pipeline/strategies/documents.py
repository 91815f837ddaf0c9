"""The JSON form: a strategy as a document of plain dicts, lists, strings and numbers, and back.

``{"schema": 1, "family": ..., "symbols": [...], "timeframe": ..., "enter_long": <condition>, ...}``; what is not
set is left out. Conditions are ``{"op": ">", "left": v, "right": v}``, ``{"not": c}``, ``{"and": [c, ...]}``,
``{"or": [c, ...]}``; values are a number, ``{"series": name, "inputs": [...], "params": [...], "output": ...,
"timeframe": ..., "symbol": ...}`` (empty parts left out) or ``{"op": "+", "operands": [...]}``.
The form names every parameter by position, in catalog order, and needs no catalog to be read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from strategy_pipeline.errors import StrategyError
from strategy_pipeline.indicators.expressions import ARITHMETIC, Arithmetic, Number, Series, Value
from strategy_pipeline.strategies.conditions import COMPARISONS, And, Compare, Condition, Not, Or

if TYPE_CHECKING:
    from strategy_pipeline.strategies.strategy import Level, Size, Strategy

SCHEMA = 1
_DEEPEST = 60
_CONDITIONS = ("enter_long", "enter_short", "exit_long", "exit_short")
_LEVELS = ("stop", "take", "trail", "breakeven")
_KEYS = {"schema", "family", "symbols", "against", "timeframe", "hold", "cooldown", "size", *_CONDITIONS, *_LEVELS}


def value_document(value: Value) -> Any:
    """A value expression as JSON data."""
    if isinstance(value, Number):
        return value.value
    if isinstance(value, Arithmetic):
        return {"op": value.op, "operands": [value_document(term) for term in value.operands]}
    document: dict[str, Any] = {"series": value.name}
    if value.inputs:
        document["inputs"] = [value_document(term) for term in value.inputs]
    if value.params:
        document["params"] = list(value.params)
    for key in ("output", "timeframe", "symbol"):
        if getattr(value, key) is not None:
            document[key] = getattr(value, key)
    return document


def condition_document(condition: Condition) -> dict[str, Any]:
    """A condition as JSON data."""
    if isinstance(condition, Compare):
        return {"op": condition.op, "left": value_document(condition.left), "right": value_document(condition.right)}
    if isinstance(condition, Not):
        return {"not": condition_document(condition.term)}
    return {"and" if isinstance(condition, And) else "or": [condition_document(term) for term in condition.terms]}


def level_document(level: Level) -> dict[str, Any]:
    document: dict[str, Any] = {"kind": level.kind, "value": level.value}
    return document | {"length": level.length} if level.kind == "atr" else document


def size_document(size: Size) -> dict[str, Any]:
    document: dict[str, Any] = {"kind": size.kind}
    if size.kind != "all_in":
        document["value"] = size.value
    if size.series is not None:
        document["series"] = value_document(size.series)
    return document


def strategy_document(strategy: Strategy) -> dict[str, Any]:
    """The whole strategy as JSON data, a fresh object each time."""
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "family": strategy.family,
        "symbols": list(strategy.symbols),
        "timeframe": strategy.timeframe,
    }
    for key in _CONDITIONS:
        if (condition := getattr(strategy, key)) is not None:
            document[key] = condition_document(condition)
    for key in _LEVELS:
        if (level := getattr(strategy, key)) is not None:
            document[key] = level_document(level)
    if strategy.against is not None:
        document["against"] = strategy.against
    if strategy.hold is not None:
        document["hold"] = strategy.hold
    if strategy.cooldown is not None:
        document["cooldown"] = strategy.cooldown
    document["size"] = size_document(strategy.size)
    return document


_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode


@lru_cache(1 << 15)
def _condition_json(condition: Condition) -> str:
    if isinstance(condition, Compare):
        return f'{{"left":{_value_json(condition.left)},"op":"{condition.op}","right":{_value_json(condition.right)}}}'
    if isinstance(condition, Not):
        return f'{{"not":{_condition_json(condition.term)}}}'
    name = "and" if isinstance(condition, And) else "or"
    return f'{{"{name}":[{",".join(map(_condition_json, condition.terms))}]}}'


@lru_cache(1 << 15)
def _value_json(value: Value) -> str:
    """``_encode(value_document(value))`` from the texts of its parts, which others share."""
    if isinstance(value, Number):
        return _encode(value.value)
    if isinstance(value, Arithmetic):
        return f'{{"op":"{value.op}","operands":[{",".join(map(_value_json, value.operands))}]}}'
    parts = [f'"inputs":[{",".join(map(_value_json, value.inputs))}]'] if value.inputs else []
    parts += [f'"output":{_encode(value.output)}'] if value.output is not None else []
    parts += [f'"params":{_encode(list(value.params))}'] if value.params else []
    parts += [f'"series":{_encode(value.name)}']
    parts += [f'"{key}":{_encode(getattr(value, key))}' for key in ("symbol", "timeframe") if getattr(value, key) is not None]
    return "{" + ",".join(parts) + "}"


def canonical_json(strategy: Strategy) -> str:
    """`strategy_document` with sorted keys and no spaces: what the id hashes. Conditions come from a cache,
    because a population shares most of them."""
    parts: dict[str, str] = {
        "family": _encode(strategy.family),
        "schema": str(SCHEMA),
        "size": _encode(size_document(strategy.size)),
        "symbols": _encode(list(strategy.symbols)),
        "timeframe": _encode(strategy.timeframe),
    }
    for key in _CONDITIONS:
        if (condition := getattr(strategy, key)) is not None:
            parts[key] = _condition_json(condition)
    for key in _LEVELS:
        if (level := getattr(strategy, key)) is not None:
            parts[key] = _encode(level_document(level))
    if strategy.against is not None:
        parts["against"] = _encode(strategy.against)
    if strategy.hold is not None:
        parts["hold"] = str(strategy.hold)
    if strategy.cooldown is not None:
        parts["cooldown"] = str(strategy.cooldown)
    return "{" + ",".join(f'"{key}":{parts[key]}' for key in sorted(parts)) + "}"


def _wrong(where: str, expected: str, found: object) -> StrategyError:
    shown = repr(found)
    shown = shown if len(shown) <= 80 else shown[:77] + "..."
    return StrategyError(f"Expected {expected} at {where or 'the top'} of the strategy document, was {shown}; it cannot be read.")


def _mapping(document: object, where: str, allowed: set[str], required: tuple[str, ...] = ()) -> Mapping[str, Any]:
    if type(document) is not dict and not isinstance(document, Mapping):
        raise _wrong(where, "an object", document)
    for key in document:
        if key not in allowed:
            raise _wrong(where, f"only the keys {', '.join(sorted(allowed))}", key)
    for key in required:
        if key not in document:
            raise _wrong(where, f"the key {key!r}", sorted(map(str, document)))
    return document


def _string(document: object, where: str) -> str:
    if not isinstance(document, str):
        raise _wrong(where, "a string", document)
    return document


def _number(document: object, where: str) -> float:
    if isinstance(document, bool) or not isinstance(document, (int, float)):
        raise _wrong(where, "a number", document)
    return float(document)


def _integer(document: object, where: str) -> int:
    if isinstance(document, bool) or not isinstance(document, (int, float)) or not math.isfinite(document) or document != int(document):
        raise _wrong(where, "a whole number", document)
    return int(document)


def _list(document: object, where: str) -> list[Any]:
    if not isinstance(document, (list, tuple)):
        raise _wrong(where, "a list", document)
    return list(document)


def read_value(document: object, where: str = "value", depth: int = 0) -> Value:
    """The value expression of a document; StrategyError names the place that is wrong."""
    if depth > _DEEPEST:
        raise _wrong(where, f"at most {_DEEPEST} levels of nesting", "more")
    if type(document) is not dict and not isinstance(document, Mapping):
        return Number(_number(document, where))
    if "op" in document:
        parts = _mapping(document, where, {"op", "operands"}, ("operands",))
        op = _string(parts["op"], f"{where}.op")
        operands = _list(parts["operands"], f"{where}.operands")
        if op not in ARITHMETIC or len(operands) != ARITHMETIC[op]:
            raise _wrong(where, f"one of {', '.join(ARITHMETIC)} with its operands", f"{op!r} with {len(operands)}")
        return Arithmetic(op, tuple(read_value(term, f"{where}.operands[{i}]", depth + 1) for i, term in enumerate(operands)))
    parts = _mapping(document, where, {"series", "inputs", "params", "output", "timeframe", "symbol"}, ("series",))
    labels = [None if parts.get(key) is None else _string(parts[key], f"{where}.{key}") for key in ("output", "timeframe", "symbol")]
    inputs = _list(parts.get("inputs", ()), f"{where}.inputs")
    params = _list(parts.get("params", ()), f"{where}.params")
    return Series(
        _string(parts["series"], f"{where}.series"),
        tuple(read_value(term, f"{where}.inputs[{i}]", depth + 1) for i, term in enumerate(inputs)),
        tuple(_number(number, f"{where}.params[{i}]") for i, number in enumerate(params)),
        *labels,
    )


def read_condition(document: object, where: str = "condition", depth: int = 0) -> Condition:
    """The condition of a document; StrategyError names the place that is wrong."""
    if depth > _DEEPEST:
        raise _wrong(where, f"at most {_DEEPEST} levels of nesting", "more")
    if type(document) is not dict and not isinstance(document, Mapping):
        raise _wrong(where, "a condition object", document)
    if "op" in document:
        parts = _mapping(document, where, {"op", "left", "right"}, ("left", "right"))
        if parts["op"] not in COMPARISONS:
            raise _wrong(f"{where}.op", f"one of {', '.join(COMPARISONS)}", parts["op"])
        return Compare(parts["op"], read_value(parts["left"], f"{where}.left"), read_value(parts["right"], f"{where}.right"))
    if "not" in document:
        return Not(read_condition(_mapping(document, where, {"not"})["not"], f"{where}.not", depth + 1))
    for key, kind in (("and", And), ("or", Or)):
        if key in document:
            terms = _list(_mapping(document, where, {key})[key], f"{where}.{key}")
            if not terms:
                raise _wrong(f"{where}.{key}", "terms", terms)
            return kind(tuple(read_condition(term, f"{where}.{key}[{i}]", depth + 1) for i, term in enumerate(terms)))
    raise _wrong(where, "one of the keys op, not, and, or", sorted(map(str, document)))


def read_strategy(document: object) -> Strategy:
    """The strategy of `strategy_document`'s form. StrategyError says which key is wrong, and why."""
    from strategy_pipeline.strategies.strategy import Level, Size, Strategy

    parts = _mapping(document, "", _KEYS, ("family", "symbols", "timeframe"))
    if parts.get("schema", SCHEMA) != SCHEMA:
        raise StrategyError(
            f"Expected a strategy document of schema {SCHEMA}, was {parts['schema']!r}: it was written by another version; "
            "read it with that version and store its text."
        )
    symbols = [_string(name, f"symbols[{i}]") for i, name in enumerate(_list(parts["symbols"], "symbols"))]
    given: dict[str, Any] = {key: read_condition(parts[key], key) for key in _CONDITIONS if parts.get(key) is not None}
    for key in _LEVELS:
        if parts.get(key) is not None:
            level = _mapping(parts[key], key, {"kind", "value", "length"}, ("kind", "value"))
            length = _integer(level.get("length", 0), f"{key}.length")
            kind: Any = _string(level["kind"], f"{key}.kind")
            given[key] = Level(kind, _number(level["value"], f"{key}.value"), length)
    if parts.get("against") is not None:
        given["against"] = _string(parts["against"], "against")
    if parts.get("hold") is not None:
        given["hold"] = _integer(parts["hold"], "hold")
    if parts.get("cooldown") is not None:
        given["cooldown"] = _integer(parts["cooldown"], "cooldown")
    if parts.get("size") is not None:
        size = _mapping(parts["size"], "size", {"kind", "value", "series"}, ("kind",))
        series = None if size.get("series") is None else read_value(size["series"], "size.series")
        kind = _string(size["kind"], "size.kind")
        given["size"] = Size(kind, _number(size.get("value", 1.0), "size.value"), series)
    return Strategy(_string(parts["family"], "family"), tuple(symbols), _string(parts["timeframe"], "timeframe"), **given)
