"""The document store in one SQLite file: no server, safe for several threads and processes.

What belongs here: SQL, connections, and what SQLite's failures mean to a user. What does not: what a
document or a query may be (`documents`).

Write-ahead logging lets readers go on while one process writes; every write is one short immediate
transaction, and a writer waits up to 30 s for another. The ``_etag`` is the SHA-256 of the content, so the
store's content depends on what was written and never on when or by whom.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from strategy_pipeline.errors import ConflictError, CorruptFileError, UnwritableHomeError
from strategy_pipeline.store.documents import (
    CONTAINERS,
    EVERY_PARTITION,
    Condition,
    Document,
    MissingDocumentError,
    Page,
    Partition,
    UnstorableError,
    check_id,
    check_partition,
    check_query,
    encode,
    partition_field,
    prepare,
    type_of,
)

_BUSY_SECONDS = 30
_TABLE = """CREATE TABLE IF NOT EXISTS documents (
    container TEXT NOT NULL, partition TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL, etag TEXT NOT NULL,
    PRIMARY KEY (container, partition, id)) WITHOUT ROWID"""
# The types of Cosmos DB in its order, so that a field of mixed types sorts alike in both stores.
_TYPE_RANK = "CASE json_type(body, '$.{0}') WHEN 'null' THEN 0 WHEN 'false' THEN 1 WHEN 'true' THEN 1 WHEN 'text' THEN 3 ELSE 2 END"
_TYPES = {"boolean": "('true','false')", "number": "('integer','real')", "text": "('text')"}


class EmbeddedDocuments:
    """A `DocumentStore` in the SQLite file `path` (its folder is made when absent).

    UnwritableHomeError where the file cannot be made, CorruptFileError where it is no database or a
    document in it is no JSON (other documents stay readable, and `delete` removes the bad one).
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UnwritableHomeError(_unwritable(self.path, error)) from error
        with self._writing():
            pass  # opens and creates, so that a bad file is reported here and not in the middle of a run

    def create(self, container: str, document: Mapping[str, Any]) -> Document:
        stored, row = _row(container, document)
        with self._writing() as connection:
            done = connection.execute("INSERT INTO documents VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", row).rowcount
        if not done:
            raise ConflictError(f"Expected no {row[2]!r} in {container}/{row[1]}, was one already; read it and replace it with its etag")
        return {**stored, "_etag": row[4]}

    def read(self, container: str, id: str, partition: str) -> Document | None:
        key = _key(container, id, partition)
        with self._using() as connection:
            row = connection.execute(
                "SELECT body, etag, id, partition FROM documents WHERE container=? AND partition=? AND id=?", key
            ).fetchone()
        return None if row is None else self._document(container, row)

    def upsert(self, container: str, document: Mapping[str, Any], etag: str | None = None) -> Document:
        if etag is not None:
            return self._swap(container, document, etag, ConflictError)
        stored, row = _row(container, document)
        with self._writing() as connection:
            connection.execute("INSERT OR REPLACE INTO documents VALUES (?, ?, ?, ?, ?)", row)
        return {**stored, "_etag": row[4]}

    def upsert_many(self, container: str, documents: Iterable[Mapping[str, Any]]) -> int:
        rows = [_row(container, document)[1] for document in documents]
        with self._writing() as connection:
            connection.executemany("INSERT OR REPLACE INTO documents VALUES (?, ?, ?, ?, ?)", rows)
        return len(rows)

    def replace(self, container: str, document: Mapping[str, Any], etag: str) -> Document:
        return self._swap(container, document, etag, MissingDocumentError)

    def delete(self, container: str, id: str, partition: str, etag: str | None = None) -> bool:
        key = _key(container, id, partition)
        with self._writing() as connection:
            found = connection.execute("SELECT etag FROM documents WHERE container=? AND partition=? AND id=?", key).fetchone()
            if found is None:
                return False
            if etag is not None and found[0] != etag:
                raise ConflictError(_stale(container, id, partition))
            connection.execute("DELETE FROM documents WHERE container=? AND partition=? AND id=?", key)
        return True

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
        sql, values = _where(container, partition, conditions)
        rank, key = "3", "id"  # every id is text, and the primary key already has its order
        if order_by != "id":
            rank, key = _TYPE_RANK.format(order_by), f"json_extract(body, '$.{order_by}')"
            sql += f" AND json_type(body, '$.{order_by}') IS NOT NULL"
        after = _decode(continuation) if continuation is not None else None
        return self._pages(container, partition, sql, values, (rank, key), descending, limit, page_size, after)

    def _pages(
        self,
        container: str,
        partition: Partition,
        sql: str,
        values: list[Any],
        order: tuple[str, str],
        descending: bool,
        limit: int | None,
        page_size: int,
        after: list[Any] | None,
    ) -> Iterator[Page]:
        # Keyset paging: each page starts after the last row of the one before, in one short read each, so
        # documents written between pages neither repeat nor push others out.
        direction = "DESC" if descending else "ASC"
        rank, key = order
        left = limit
        first = True
        while True:
            size = page_size if left is None else min(page_size, left)
            clause, bound = (_after(rank, key, descending), _after_values(after)) if after is not None else ("", [])
            statement = (
                f"SELECT body, etag, id, partition, {rank}, {key} FROM documents WHERE {sql}{clause} "
                f"ORDER BY {rank} {direction}, {key} {direction}, partition, id LIMIT ?"
            )
            rows = self._select(container, statement, [*values, *bound, size + 1]) if size else []
            more = len(rows) > size and (left is None or left > size)
            rows = rows[:size]
            if rows or first:
                after = [rows[-1][4], rows[-1][5], rows[-1][3], rows[-1][2]] if rows else None
                token = _encode(after) if more and partition is not EVERY_PARTITION else None
                yield Page(tuple(self._document(container, row[:4]) for row in rows), token)
            if not more:
                return
            first = False
            left = None if left is None else left - len(rows)

    def count(self, container: str, partition: Partition, where: Sequence[Condition] = ()) -> int:
        sql, values = _where(container, partition, check_query(container, partition, where))
        return int(self._select(container, f"SELECT COUNT(*) FROM documents WHERE {sql}", values)[0][0])

    def dump(self, container: str) -> list[Document]:
        partition_field(container)
        with self._using() as connection:
            rows = connection.execute(
                "SELECT body, etag, id, partition FROM documents WHERE container=? ORDER BY partition, id", (container,)
            )
            return [_without_etag(self._document(container, row)) for row in rows.fetchall()]

    def poisoned(self) -> list[tuple[str, str, str]]:
        """(container, partition, id) of every document whose stored text is no JSON or does not match its
        hash: something other than this program wrote it. `delete` removes one."""
        with self._using() as connection:
            rows = connection.execute(
                "SELECT container, partition, id, body, etag FROM documents ORDER BY container, partition, id"
            ).fetchall()
        return [(row[0], row[1], row[2]) for row in rows if row[0] not in CONTAINERS or _etag(str(row[3]).encode()) != row[4]]

    def close(self) -> None:
        with self._lock:
            for connection in self._opened:
                connection.close()
            self._opened.clear()
            self._local = threading.local()

    def _swap(
        self, container: str, document: Mapping[str, Any], etag: str, missing: type[ConflictError] | type[MissingDocumentError]
    ) -> Document:
        stored, row = _row(container, document)
        with self._writing() as connection:
            found = connection.execute("SELECT etag FROM documents WHERE container=? AND partition=? AND id=?", row[:3]).fetchone()
            if found is None:
                raise missing(f"Expected {row[2]!r} in {container}/{row[1]}, was none; nothing was stored: create it instead")
            if found[0] != etag:
                raise ConflictError(_stale(container, row[2], row[1]))
            connection.execute("UPDATE documents SET body=?, etag=? WHERE container=? AND partition=? AND id=?", (row[3], row[4], *row[:3]))
        return {**stored, "_etag": row[4]}

    def _select(self, container: str, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        try:
            with self._using() as connection:
                return connection.execute(statement, values).fetchall()
        except sqlite3.OperationalError as error:
            if "malformed JSON" not in str(error):
                raise
        bad = [f"{name}/{partition}/{id}" for name, partition, id in self.poisoned() if name == container]
        raise CorruptFileError(_poison(self.path, ", ".join(bad)))

    def _document(self, container: str, row: Sequence[Any]) -> Document:
        body, etag, id, partition = row
        try:
            document = json.loads(body)
        except (ValueError, TypeError):
            raise CorruptFileError(_poison(self.path, f"{container}/{partition}/{id}")) from None
        return {**document, "_etag": etag}

    @contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        """This thread's connection, with SQLite's failures told as ours."""
        try:
            yield self._connection()
        except sqlite3.OperationalError as error:
            text = str(error)
            if "readonly" in text or "unable to open" in text or "disk I/O" in text or "full" in text:
                raise UnwritableHomeError(_unwritable(self.path, error)) from error
            if "locked" in text:
                raise ConflictError(
                    f"Expected {self.path} to be free within {_BUSY_SECONDS} s, was locked by another process; try again"
                ) from error
            raise
        except sqlite3.DatabaseError as error:
            if type(error) is not sqlite3.DatabaseError:  # its subclasses are our own mistakes, not a bad file
                raise
            raise CorruptFileError(
                f"Expected a SQLite database at {self.path}, was something else ({error}); move it away or restore a backup"
            ) from error

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._using() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.rollback()
                raise
            connection.commit()

    def _connection(self) -> sqlite3.Connection:
        # One per thread, and a new one after a fork: SQLite connections must cross neither.
        known: tuple[int, sqlite3.Connection] | None = getattr(self._local, "connection", None)
        if known is not None and known[0] == os.getpid():
            return known[1]
        connection = sqlite3.connect(self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute(_TABLE)
        except sqlite3.Error:
            connection.close()
            raise
        self._local.connection = (os.getpid(), connection)
        with self._lock:
            self._opened.append(connection)
        return connection


def _row(container: str, document: Mapping[str, Any]) -> tuple[Document, tuple[str, str, str, str, str]]:
    stored = prepare(container, document)
    body = encode(stored)
    return stored, (container, stored[CONTAINERS[container]], stored["id"], body.decode(), _etag(body))


def _key(container: str, id: str, partition: str) -> tuple[str, str, str]:
    partition_field(container)
    return container, check_partition(container, partition), check_id(container, id)


def _etag(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:32]


def _without_etag(document: Document) -> Document:
    return {name: value for name, value in document.items() if name != "_etag"}


def _where(container: str, partition: Partition, conditions: Sequence[Condition]) -> tuple[str, list[Any]]:
    clauses, values = ["container=?"], [container]
    if partition is not EVERY_PARTITION:
        clauses.append("partition=?")
        values.append(str(partition))
    for name, operator, value in conditions:
        clause, bound = _clause(name, operator, value)
        clauses.append(clause)
        values.extend(bound)
    return " AND ".join(clauses), values


def _clause(name: str, operator: str, value: Any) -> tuple[str, list[Any]]:
    # Field names are checked against a strict pattern before they come here; values are always bound.
    field, kind = f"json_extract(body, '$.{name}')", f"json_type(body, '$.{name}')"
    if operator == "in":
        # One bound JSON list, since SQLite takes only so many bound values; numbers and texts keep their types.
        return f"({kind} IN ('integer','real','text') AND {field} IN (SELECT value FROM json_each(?)))", [json.dumps(value)]
    if operator == "contains":
        item = "item.type IN " + _TYPES[type_of(value)]
        return f"({kind}='array' AND EXISTS (SELECT 1 FROM json_each(body, '$.{name}') AS item WHERE {item} AND item.value = ?))", [value]
    if value is None:
        return (f"{kind}='null'" if operator == "=" else f"{kind}!='null'"), []
    return f"({kind} IN {_TYPES[type_of(value)]} AND {field} {operator} ?)", [value]


def _after(rank: str, key: str, descending: bool) -> str:
    beyond = "<" if descending else ">"
    return (
        f" AND ({rank} {beyond} ? OR ({rank} = ? AND ({key} {beyond} ? OR ({key} IS ? AND (partition > ? OR (partition = ? AND id > ?))))))"
    )


def _after_values(after: Sequence[Any]) -> list[Any]:
    rank, key, partition, id = after
    return [rank, rank, key, key, partition, partition, id]


def _encode(after: Sequence[Any] | None) -> str:
    return base64.urlsafe_b64encode(json.dumps(after).encode()).decode()


def _decode(token: str) -> list[Any]:
    try:
        after = json.loads(base64.urlsafe_b64decode(token.encode()))
    except ValueError:
        after = None
    if not isinstance(after, list) or len(after) != 4:
        raise UnstorableError(f"Expected a continuation that a page of this query gave, was {token!r}; start the query again without it")
    return after


def _stale(container: str, id: str, partition: str) -> str:
    return f"Expected {id!r} in {container}/{partition} unchanged since it was read, was changed; read it and redo the change"


def _unwritable(path: Path, error: Exception) -> str:
    return (
        f"Expected a writable folder for {path}, was not ({error}); nothing was stored: choose another with --home or mend its permissions"
    )


def _poison(path: Path, names: str) -> str:
    return f"Expected JSON documents in {path}, was not at {names}; delete them and run their stage again"
