"""The contract of a document store: nine containers, what a document may be, what a query may ask.

What belongs here: everything both backends share, so that a document or a query that one accepts means
the same on the other. What does not: SQL, connections, retries.

A document is a JSON object under 2 MB. Its top-level fields are what queries can name; values may be
nested, but nothing inside a nested value can be queried. It holds ``id``, its container's partition key
(both non-empty text) and ``schema_version`` (added as 1 where the writer gives none). ``_etag`` comes
back on every read and is ignored on writes; it changes when, and only when, somebody wrote other content
(embedded) or wrote at all (Cosmos DB). A stale one makes a compare-and-swap fail with `ConflictError`.
"""

from __future__ import annotations

import enum
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, runtime_checkable

from strategy_pipeline.errors import DocumentTooLargeError, PipelineError

Document = dict[str, Any]
Operator = Literal["=", "!=", "<", "<=", ">", ">=", "in", "contains"]
Condition = tuple[str, Operator, Any]

# Container -> the field that names its partition. Chosen so that what is read together lies together:
# a day's results and signals, one model's runs, one family's strategies.
CONTAINERS: Final[Mapping[str, str]] = {
    "strategies": "family",
    "ml_models": "model",
    "backtest_results": "day",
    "signals": "day",
    "training_runs": "model",
    "rl_experiences": "agent",
    "feature_store": "feature_set",
    "optimization_results": "strategy_id",
    "market_regimes": "symbol",
}
MAX_DOCUMENT_BYTES: Final = 2_000_000  # Cosmos DB takes 2 MB of UTF-8 JSON, its own bookkeeping fields included
SCHEMA_VERSION: Final = 1
OPERATORS: Final = ("=", "!=", "<", "<=", ">", ">=", "in", "contains")

_FIELD = re.compile(r"^[A-Za-z][A-Za-z0-9_]{0,99}$")
_BAD_ID = re.compile(r"[/\\?#\x00-\x1f]")
_LARGEST_EXACT_INTEGER: Final = 2**53  # beyond it Cosmos DB (IEEE doubles) would round silently


class UnstorableError(PipelineError):
    """A value cannot be stored exactly: NaN, infinity, or a type that JSON or Parquet does not have."""


class MissingDocumentError(PipelineError):
    """A document to be replaced does not exist."""


class EveryPartition(enum.Enum):
    """The type of `EVERY_PARTITION`, so that a query across partitions has to be asked for by name."""

    EVERY_PARTITION = "every partition"


EVERY_PARTITION: Final = EveryPartition.EVERY_PARTITION
Partition = str | EveryPartition


@dataclass(frozen=True)
class Page:
    """Some documents of a query's answer. `continuation` resumes after them; None: there are no more, or
    the query spans partitions, where no backend can resume."""

    documents: tuple[Document, ...]
    continuation: str | None = None

    def __iter__(self) -> Iterator[Document]:
        return iter(self.documents)

    def __len__(self) -> int:
        return len(self.documents)


@runtime_checkable
class DocumentStore(Protocol):
    """What both backends do; `conformance/test_document_stores.py` holds each to it.

    Conditions are ``(field, operator, value)`` with an operator of ``= != < <= > >= in contains``, all of
    which must hold. A condition holds only where the field is present and of the value's type (number,
    text, true/false); ``("x", "=", None)`` asks for null and ``("x", "!=", None)`` for present and not
    null; ``in`` takes a sequence of numbers or texts; ``contains`` asks whether a list holds the value.
    """

    def create(self, container: str, document: Mapping[str, Any]) -> Document:
        """Store a new document and return it with its ``_etag``. ConflictError where it already exists."""
        ...

    def read(self, container: str, id: str, partition: str) -> Document | None:
        """The document with its ``_etag``, or None where there is none."""
        ...

    def upsert(self, container: str, document: Mapping[str, Any], etag: str | None = None) -> Document:
        """Create or overwrite. With `etag`, only if the stored document still has it: else ConflictError."""
        ...

    def upsert_many(self, container: str, documents: Iterable[Mapping[str, Any]]) -> int:
        """Upsert each, and return how many. Every document is checked before the first is written. One
        transaction in the embedded store; on Cosmos DB a killed run leaves a prefix, and repeating heals."""
        ...

    def replace(self, container: str, document: Mapping[str, Any], etag: str) -> Document:
        """Overwrite if the stored document still has `etag`. ConflictError if it changed,
        MissingDocumentError if it is gone."""
        ...

    def delete(self, container: str, id: str, partition: str, etag: str | None = None) -> bool:
        """Remove; False where there was nothing. With `etag`, ConflictError if the document changed."""
        ...

    def query(
        self,
        container: str,
        partition: Partition,
        where: Sequence[Condition] = (),
        *,
        order_by: str = "id",
        descending: bool = False,
        limit: int | None = None,
        page_size: int = 100,
        continuation: str | None = None,
    ) -> Iterator[Page]:
        """Pages of the matching documents, ordered by one field; documents without it are left out.

        Ties are in no promised order. Across partitions (`EVERY_PARTITION`) there is no resuming: pages
        carry no continuation, and giving one is an error. Pages are never empty, except that an answer
        without documents is one empty page.
        """
        ...

    def count(self, container: str, partition: Partition, where: Sequence[Condition] = ()) -> int:
        """How many documents match."""
        ...

    def dump(self, container: str) -> list[Document]:
        """Every document without ``_etag``, sorted by (partition, id): two equal runs have equal dumps."""
        ...

    def close(self) -> None:
        """Let go of connections. The store opens them again if it is used again."""
        ...


def flatten(pages: Iterable[Page]) -> Iterator[Document]:
    """The documents of all pages, one after the other."""
    for page in pages:
        yield from page.documents


def partition_field(container: str) -> str:
    """The partition key of a container. UnstorableError for a container that is not one of the nine."""
    try:
        return CONTAINERS[container]
    except KeyError:
        raise UnstorableError(f"Expected a container of {', '.join(CONTAINERS)}, was {container!r}; nothing was stored") from None


def prepare(container: str, document: Mapping[str, Any]) -> Document:
    """A copy of a document as it will be stored, or an error that names what cannot be.

    numpy scalars become the Python numbers they hold; tuples become lists; ``_``-fields (bookkeeping of a
    backend, among them ``_etag``) are dropped. NaN and infinities are refused, since JSON has neither and
    a null must be meant. Keys are sorted, so equal documents are equal bytes.
    """
    key = partition_field(container)
    if not isinstance(document, Mapping):
        raise UnstorableError(f"Expected a document that is a mapping, was {type(document).__name__}; nothing was stored in {container}")
    stored: Document = {}
    for name in sorted(document):
        if name.startswith("_"):
            continue
        if not _FIELD.match(name):
            raise UnstorableError(
                f"Expected field names of letters, digits and _, was {name!r} in {container}; a query could not name it: rename it"
            )
        stored[name] = _jsonable(document[name], name)
    stored.setdefault("schema_version", SCHEMA_VERSION)
    if isinstance(stored["schema_version"], bool) or not isinstance(stored["schema_version"], int):
        raise UnstorableError(f"Expected schema_version to be an integer, was {stored['schema_version']!r} in {container}; give a number")
    check_id(container, stored.get("id"))
    check_partition(container, stored.get(key))
    stored = dict(sorted(stored.items()))
    size = len(encode(stored))
    if size > MAX_DOCUMENT_BYTES:
        raise DocumentTooLargeError(
            f"Expected at most {MAX_DOCUMENT_BYTES:,} bytes, was {size:,} for {stored['id']!r} in {container}; "
            "keep the arrays in the lake and their path and hash in the document"
        )
    return stored


def encode(document: Mapping[str, Any]) -> bytes:
    """Canonical UTF-8 JSON: sorted keys, no spaces."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def check_id(container: str, value: Any) -> str:
    """The id itself, if it is one that both backends accept."""
    if not isinstance(value, str) or not value or len(value) > 255 or _BAD_ID.search(value):
        raise UnstorableError(
            f"Expected id to be text of 1 to 255 characters without / \\ ? # in {container}, was {value!r}; use another id"
        )
    return value


def check_partition(container: str, value: Any) -> str:
    """The partition key's value itself, if it is one that both backends accept."""
    if not isinstance(value, str) or not value or len(value.encode("utf-8", "replace")) > 1000:
        raise UnstorableError(
            f"Expected {partition_field(container)} (the partition key of {container}) to be text of 1 to 1000 bytes, was {value!r}; set it"
        )
    return value


def check_query(
    container: str,
    partition: Partition,
    where: Sequence[Condition],
    order_by: str = "id",
    page_size: int = 1,
    continuation: str | None = None,
) -> list[Condition]:
    """The conditions with plain values, or an error that says which cannot be asked."""
    if partition is not EVERY_PARTITION:
        check_partition(container, partition)
    elif continuation is not None:
        raise UnstorableError("Expected no continuation across partitions, was one; no backend can resume there: query one partition")
    _check_field(container, order_by)
    if page_size < 1:
        raise UnstorableError(f"Expected page_size of at least 1, was {page_size}; no page could be filled")
    return [_check_condition(container, condition) for condition in where]


def type_of(value: Any) -> Literal["null", "boolean", "number", "text"]:
    """The type of a condition's value, as both backends compare it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    return "text" if isinstance(value, str) else "number"


def _check_field(container: str, name: Any) -> None:
    if not isinstance(name, str) or not _FIELD.match(name):
        raise UnstorableError(f"Expected a top-level field name in a query of {container}, was {name!r}; nested values cannot be queried")


def _check_condition(container: str, condition: Condition) -> Condition:
    if not isinstance(condition, tuple | list) or len(condition) != 3:
        raise UnstorableError(f"Expected a condition (field, operator, value), was {condition!r}; write it as three")
    name, operator, value = condition
    _check_field(container, name)
    if operator not in OPERATORS:
        raise UnstorableError(f"Expected an operator of {' '.join(OPERATORS)}, was {operator!r} on {name}")
    if operator == "in":
        if isinstance(value, str) or not isinstance(value, Iterable):
            raise UnstorableError(f"Expected a sequence after `in` on {name}, was {value!r}; wrap it in a list")
        values = [_scalar(container, name, item) for item in value]
        if any(type_of(item) not in ("number", "text") for item in values):
            raise UnstorableError(f"Expected numbers or texts after `in` on {name}, was {values!r}; ask for true, false or null with =")
        return name, operator, values
    value = _scalar(container, name, value)
    if operator in ("<", "<=", ">", ">=") and type_of(value) not in ("number", "text"):
        raise UnstorableError(f"Expected a number or text after {operator} on {name}, was {value!r}; null and true have no order")
    if operator == "contains" and value is None:
        raise UnstorableError(f"Expected a number, text or true/false after contains on {name}, was null")
    return name, operator, value


def _scalar(container: str, name: str, value: Any) -> Any:
    plain = _jsonable(value, name)
    if isinstance(plain, list | dict):
        raise UnstorableError(f"Expected one value in a condition on {name} of {container}, was {type(value).__name__}")
    return plain


def _jsonable(value: Any, where: str) -> Any:
    # A numpy scalar has .item() and a dtype; converting it is exact, and asking every caller to do so is
    # how results end up as text. Arrays are refused: they belong in the lake.
    if hasattr(value, "dtype") and hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value, where)
    if isinstance(value, int):
        if abs(value) > _LARGEST_EXACT_INTEGER:
            raise UnstorableError(f"Expected {where} within ±2^53, was {value}; it would be rounded: store it as text")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise UnstorableError(f"Expected {where} to be a finite number or null, was {value}; JSON has no such number: store None")
        return float(value)
    if isinstance(value, Mapping):
        return {_key(key, where): _jsonable(value[key], f"{where}.{key}") for key in sorted(value, key=str)}
    if isinstance(value, list | tuple):
        return [_jsonable(item, f"{where}[{position}]") for position, item in enumerate(value)]
    raise UnstorableError(
        f"Expected {where} to be JSON (text, number, true/false, null, list, mapping), was {type(value).__name__}; "
        "write dates as ISO text and arrays to the lake"
    )


def _key(key: Any, where: str) -> str:
    if not isinstance(key, str):
        raise UnstorableError(f"Expected text keys inside {where}, was {key!r}; convert it")
    return _text(key, where)


def _text(value: str, where: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise UnstorableError(f"Expected {where} to be valid Unicode, was text with a lone surrogate; decode it properly") from None
    return str(value)
