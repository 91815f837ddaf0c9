"""The document store in Azure Cosmos DB (NoSQL API), under the same contract as the embedded one.

What belongs here: Cosmos SQL, requests, throttling and what the service's answers mean to a user. What
does not: what a document or a query may be (`documents`).

Every query within a partition names its key both in WHERE and in the request. 429 (throttled), 503, 449
and 408 are retried after the wait the service asks for. A retried write whose first attempt did arrive is
recognised by its content, so a lost answer is not taken for a conflict.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from strategy_pipeline.errors import ConflictError, DocumentTooLargeError, SourceError
from strategy_pipeline.store.documents import (
    CONTAINERS,
    EVERY_PARTITION,
    Condition,
    Document,
    MissingDocumentError,
    Page,
    Partition,
    check_id,
    check_partition,
    check_query,
    partition_field,
    prepare,
    type_of,
)

if TYPE_CHECKING:
    from azure.cosmos import ContainerProxy, DatabaseProxy
    from azure.cosmos.exceptions import CosmosHttpResponseError

Result = TypeVar("Result")
_TRANSIENT = (408, 429, 449, 503)
_IS_TYPE = {"boolean": "IS_BOOL", "number": "IS_NUMBER", "text": "IS_STRING"}
_MAX_WAIT_SECONDS = 30.0


class CosmosDocuments:
    """A `DocumentStore` in the account at `endpoint`, in `database`, made with its containers on first use.

    Without `key` the identity of the machine or of the signed-in user is used (azure-identity); it needs
    the role "Cosmos DB Built-in Data Contributor", and then database and containers must exist already,
    because that role may not make them. `attempts` counts tries per request, the first included; `sleep`
    waits between them. SourceError when the service refuses or keeps failing.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        key: str | None = None,
        database: str = "strategy_pipeline",
        attempts: int = 10,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.endpoint = endpoint
        self.database = database
        self._key = key
        self._attempts = attempts
        self._sleep = sleep
        self._client: Any = None
        self._database_proxy: DatabaseProxy | None = None
        self._containers: dict[str, ContainerProxy] = {}

    def create(self, container: str, document: Mapping[str, Any]) -> Document:
        stored = prepare(container, document)
        result, status = self._write(container, stored, lambda proxy: proxy.create_item(stored))
        if status == 409:
            raise ConflictError(f"Expected no {stored['id']!r} in {container}, was one already; read it and replace it with its etag")
        return result

    def read(self, container: str, id: str, partition: str) -> Document | None:
        check_id(container, id), check_partition(container, partition)
        proxy = self._container(container)
        found, status, _ = self._request(lambda: proxy.read_item(id, partition_key=partition), expected=(404,))
        return None if status == 404 else _clean(found)

    def upsert(self, container: str, document: Mapping[str, Any], etag: str | None = None) -> Document:
        if etag is not None:
            return self._swap(container, document, etag, ConflictError)
        stored = prepare(container, document)
        return self._write(container, stored, lambda proxy: proxy.upsert_item(stored))[0]

    def upsert_many(self, container: str, documents: Iterable[Mapping[str, Any]]) -> int:
        ready = [prepare(container, document) for document in documents]
        for stored in ready:
            self.upsert(container, stored)
        return len(ready)

    def replace(self, container: str, document: Mapping[str, Any], etag: str) -> Document:
        return self._swap(container, document, etag, MissingDocumentError)

    def delete(self, container: str, id: str, partition: str, etag: str | None = None) -> bool:
        check_id(container, id), check_partition(container, partition)
        proxy = self._container(container)
        _, status, tries = self._request(lambda: proxy.delete_item(id, partition_key=partition, **_if_match(etag)), expected=(404, 412))
        if status == 412:
            raise ConflictError(_stale(container, id))
        return status is None or tries > 1  # gone at a later try: the first one did it and its answer was lost

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
        conditions = check_query(container, partition, where, order_by, page_size, continuation)
        text, parameters = _where(container, partition, conditions)
        direction = "DESC" if descending else "ASC"
        # IS_DEFINED is said aloud: whether ORDER BY itself leaves documents out depends on the index policy.
        query = f'SELECT * FROM c WHERE {text} AND IS_DEFINED(c["{order_by}"]) ORDER BY c["{order_by}"] {direction}'
        return self._pages(container, partition, query, parameters, limit, page_size, continuation)

    def _pages(
        self,
        container: str,
        partition: Partition,
        query: str,
        parameters: list[dict[str, Any]],
        limit: int | None,
        page_size: int,
        continuation: str | None,
    ) -> Iterator[Page]:
        left, first = limit, True
        token, pages = continuation, None
        proxy = self._container(container)
        while left is None or left > 0:
            size = page_size if left is None else min(page_size, left)
            if pages is None or partition is not EVERY_PARTITION:
                # A page is asked for anew from its token, so that its size can shrink towards the limit
                # and a failure in the middle is retried for this page alone.
                options: dict[str, Any] = (
                    {"enable_cross_partition_query": True} if partition is EVERY_PARTITION else {"partition_key": str(partition)}
                )
                pages = proxy.query_items(query, parameters=parameters, max_item_count=size, **options).by_page(token)
            current = pages
            found, _, _ = self._request(partial(_next_rows, current))
            rows = [_clean(row) for row in (found or [])][:left]
            token = getattr(current, "continuation_token", None) if partition is not EVERY_PARTITION else None
            left = None if left is None else left - len(rows)
            done = not token if partition is not EVERY_PARTITION else not found
            if rows:
                yield Page(tuple(rows), token if left is None or left > 0 else None)
                first = False
            if done:
                break
        if first:
            yield Page(())

    def count(self, container: str, partition: Partition, where: Sequence[Condition] = ()) -> int:
        text, parameters = _where(container, partition, check_query(container, partition, where))
        proxy = self._container(container)
        options: dict[str, Any] = (
            {"enable_cross_partition_query": True} if partition is EVERY_PARTITION else {"partition_key": str(partition)}
        )
        query = f"SELECT VALUE COUNT(1) FROM c WHERE {text}"
        found, _, _ = self._request(lambda: list(proxy.query_items(query, parameters=parameters, **options)))
        return sum(int(str(part)) for part in found or [])

    def dump(self, container: str) -> list[Document]:
        key = partition_field(container)
        pages = self.query(container, EVERY_PARTITION, page_size=1000)
        found = [{name: value for name, value in document.items() if name != "_etag"} for page in pages for document in page]
        return sorted(found, key=lambda document: (document[key], document["id"]))

    def close(self) -> None:
        if self._client is not None:
            self._client.__exit__(None, None, None)
        self._client, self._database_proxy = None, None
        self._containers.clear()

    def _swap(
        self, container: str, document: Mapping[str, Any], etag: str, missing: type[ConflictError] | type[MissingDocumentError]
    ) -> Document:
        stored = prepare(container, document)
        result, status = self._write(container, stored, lambda proxy: proxy.replace_item(stored["id"], stored, **_if_match(etag)))
        if status == 404:
            raise missing(f"Expected {stored['id']!r} in {container}, was none; nothing was stored: create it instead")
        if status == 412:
            raise ConflictError(_stale(container, stored["id"]))
        return result

    def _write(self, container: str, stored: Document, send: Callable[[ContainerProxy], Any]) -> tuple[Document, int | None]:
        proxy = self._container(container)
        result, status, tries = self._request(lambda: send(proxy), expected=(404, 409, 412, 413))
        if status == 413:
            raise DocumentTooLargeError(
                f"Expected a document that the service takes, was too large: {stored['id']!r} in {container}; move its arrays to the lake"
            )
        if status in (409, 412) and tries > 1:
            present = self.read(container, stored["id"], stored[CONTAINERS[container]])
            if present is not None and {**present, "_etag": None} == {**stored, "_etag": None}:
                return present, None
        return (_clean(result) if status is None else {}), status

    def _request(self, send: Callable[[], Result], expected: Sequence[int] = ()) -> tuple[Result | None, int | None, int]:
        """(answer, None, tries), or (None, status, tries) where the service said one of `expected`."""
        from azure.core.exceptions import AzureError
        from azure.cosmos.exceptions import CosmosHttpResponseError

        for attempt in range(1, self._attempts + 1):
            try:
                return send(), None, attempt
            except CosmosHttpResponseError as error:
                status = int(error.status_code or 0)
                if status in expected:
                    return None, status, attempt
                if status not in _TRANSIENT or attempt == self._attempts:
                    raise SourceError(self._refused(status, error, attempt)) from error
                self._sleep(_wait_seconds(error, attempt))
            except AzureError as error:
                if attempt == self._attempts:
                    raise SourceError(
                        f"Expected Cosmos DB at {self.endpoint} to answer, did not in {attempt} tries ({_first_line(error)}); "
                        "check the endpoint and the network, then run again"
                    ) from error
                self._sleep(_wait_seconds(error, attempt))
        raise SourceError(f"Expected at least one attempt, was {self._attempts}; nothing was asked of {self.endpoint}")

    def _refused(self, status: int, error: CosmosHttpResponseError, attempt: int) -> str:
        remedy = {
            401: "check STRATEGY_PIPELINE_COSMOS_KEY, or the identity's role (Cosmos DB Built-in Data Contributor)",
            403: "grant the identity the role Cosmos DB Built-in Data Contributor and open the account's firewall for this address",
            404: "create the database and its containers, or use a key that may create them",
            429: "raise the account's throughput, then run again",
        }.get(status, "run again; if it stays, look at the account's health")
        return f"Expected Cosmos DB at {self.endpoint} to answer, was {status} after {attempt} tries ({_first_line(error)}); {remedy}"

    def _container(self, name: str) -> ContainerProxy:
        from azure.cosmos import PartitionKey

        field = partition_field(name)
        if name not in self._containers:
            database = self._open_database()
            proxy = database.get_container_client(name)
            _, status, _ = self._request(proxy.read, expected=(404,))
            if status == 404:
                made, _, _ = self._request(lambda: database.create_container_if_not_exists(name, PartitionKey(path=f"/{field}")))
                proxy = made or proxy
            self._containers[name] = proxy
        return self._containers[name]

    def _open_database(self) -> DatabaseProxy:
        if self._database_proxy is None:
            client = self._open_client()
            proxy = client.get_database_client(self.database)
            _, status, _ = self._request(proxy.read, expected=(404,))
            if status == 404:
                made, _, _ = self._request(lambda: client.create_database_if_not_exists(self.database))
                proxy = made or proxy
            self._database_proxy = proxy
        return self._database_proxy

    def _open_client(self) -> Any:
        if self._client is None:
            from azure.cosmos import CosmosClient

            credential: Any = self._key
            if credential is None:
                from azure.identity import DefaultAzureCredential

                credential = DefaultAzureCredential()
            # A plain-http endpoint is an emulator, which names no region to discover. The library's own
            # throttle retries are kept to the least it allows: ours, above, also cover 503 and lost answers.
            client, _, _ = self._request(
                lambda: CosmosClient(
                    self.endpoint, credential, enable_endpoint_discovery=not self.endpoint.startswith("http://"), retry_throttle_total=1
                )
            )
            self._client = client
        return self._client


def _where(container: str, partition: Partition, conditions: Sequence[Condition]) -> tuple[str, list[dict[str, Any]]]:
    clauses: list[str] = []
    parameters: list[dict[str, Any]] = []

    def bind(value: Any) -> str:
        name = f"@p{len(parameters)}"
        parameters.append({"name": name, "value": value})
        return name

    if partition is not EVERY_PARTITION:
        clauses.append(f'c["{CONTAINERS[container]}"] = {bind(str(partition))}')
    for field, operator, value in conditions:
        clauses.append(_clause(f'c["{field}"]', operator, value, bind))
    return " AND ".join(clauses) or "true", parameters


def _clause(field: str, operator: str, value: Any, bind: Callable[[Any], str]) -> str:
    # Field names are checked against a strict pattern before they come here; values are always bound.
    if operator == "in":
        return f"{field} IN ({', '.join(bind(item) for item in value)})" if value else "false"
    if operator == "contains":
        return f"ARRAY_CONTAINS({field}, {bind(value)})"
    if value is None:
        return f"IS_NULL({field})" if operator == "=" else f"(IS_DEFINED({field}) AND NOT IS_NULL({field}))"
    return f"({_IS_TYPE[type_of(value)]}({field}) AND {field} {operator} {bind(value)})"


def _next_rows(pages: Iterator[Any]) -> list[Any]:
    return list(next(pages, ()))


def _if_match(etag: str | None) -> dict[str, Any]:
    if etag is None:
        return {}
    from azure.core import MatchConditions

    return {"etag": etag, "match_condition": MatchConditions.IfNotModified}


def _clean(document: Any) -> Document:
    """The document's own fields and its etag, without the service's bookkeeping (_rid, _self, _ts, ...)."""
    return {name: value for name, value in dict(document).items() if not name.startswith("_") or name == "_etag"}


def _wait_seconds(error: Any, attempt: int) -> float:
    headers = getattr(error, "headers", None) or getattr(getattr(error, "response", None), "headers", None) or {}
    for name, unit in (("x-ms-retry-after-ms", 1000.0), ("retry-after", 1.0)):
        value = next((value for key, value in dict(headers).items() if key.lower() == name), None)
        if value is not None and str(value).replace(".", "", 1).isdigit():
            return min(float(value) / unit, _MAX_WAIT_SECONDS)
    return float(min(0.1 * 2.0 ** (attempt - 1), _MAX_WAIT_SECONDS))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _stale(container: str, id: str) -> str:
    return f"Expected {id!r} in {container} unchanged since it was read, was changed; nothing was written: read it and redo"
