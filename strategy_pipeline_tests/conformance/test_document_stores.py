"""What every document store must do. Run against the embedded store, against Azure Cosmos DB's emulator
(behind a shim, see `tools.emulators`), and against a real account where
``STRATEGY_PIPELINE_TEST_COSMOS_ENDPOINT`` (and ``_KEY``, unless an identity is signed in) are set.

Not verified without a real account: throttling and request charges, consistency levels, identities.
"""

from __future__ import annotations

import itertools
import os
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

from strategy_pipeline.errors import ConflictError, DocumentTooLargeError, SourceError
from strategy_pipeline.store import (
    CONTAINERS,
    EVERY_PARTITION,
    MAX_DOCUMENT_BYTES,
    CosmosDocuments,
    DocumentStore,
    EmbeddedDocuments,
    MissingDocumentError,
    UnstorableError,
    flatten,
)
from strategy_pipeline_tests.tools.emulators import CosmosShim, cosmos_emulator

ENDPOINT = "STRATEGY_PIPELINE_TEST_COSMOS_ENDPOINT"
_names = itertools.count()


@pytest.fixture(scope="module")
def shim() -> Iterator[CosmosShim]:
    with cosmos_emulator() as shim:
        yield shim


@pytest.fixture(scope="module")
def account() -> Iterator[CosmosDocuments]:
    if not os.environ.get(ENDPOINT):
        pytest.skip(f"no Cosmos DB account: set {ENDPOINT}")
    store = CosmosDocuments(
        os.environ[ENDPOINT],
        key=os.environ.get("STRATEGY_PIPELINE_TEST_COSMOS_KEY"),
        database=os.environ.get("STRATEGY_PIPELINE_TEST_COSMOS_DATABASE", f"strategy_pipeline_test_{uuid.uuid4().hex[:8]}"),
    )
    yield store
    store.close()


@pytest.fixture(params=["embedded", "emulator", "account"])
def store(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[DocumentStore]:
    if request.param == "embedded":
        opened: DocumentStore = EmbeddedDocuments(tmp_path / "documents.sqlite")
    elif request.param == "emulator":
        opened = cosmos(request.getfixturevalue("shim"))
    else:
        opened = request.getfixturevalue("account")
        for container, key in CONTAINERS.items():
            for document in opened.dump(container):
                opened.delete(container, document["id"], document[key])
    yield opened
    if request.param != "account":
        opened.close()


def cosmos(shim: CosmosShim, **options: Any) -> CosmosDocuments:
    """A fresh database of the emulator."""
    shim.failures.clear()
    return CosmosDocuments(shim.endpoint, key="Zm9v", database=f"test{next(_names)}", **options)


def momentum(id: str, **fields: Any) -> dict[str, Any]:
    return {"id": id, "family": "momentum", **fields}


def ids(pages: Any) -> list[str]:
    return [document["id"] for document in flatten(pages)]


def test_a_created_document_is_read_back_with_its_etag_and_schema_version(store: DocumentStore) -> None:
    created = store.create("strategies", momentum("a", sharpe=1.25, tags=["x", "y"], nested={"deep": [1, None, {"k": True}]}))
    assert created["_etag"]
    assert store.read("strategies", "a", "momentum") == created
    assert {k: v for k, v in created.items() if k != "_etag"} == momentum(
        "a", sharpe=1.25, tags=["x", "y"], nested={"deep": [1, None, {"k": True}]}, schema_version=1
    )


def test_each_container_keeps_documents_under_its_partition_key(store: DocumentStore) -> None:
    for container, key in CONTAINERS.items():
        store.create(container, {"id": "one", key: "BTC/USDT"})
        assert store.read(container, "one", "BTC/USDT") is not None
        assert store.read(container, "one", "ETH/USDT") is None
        assert [document[key] for document in store.dump(container)] == ["BTC/USDT"]


def test_creating_twice_is_a_conflict_and_keeps_the_first(store: DocumentStore) -> None:
    store.create("strategies", momentum("a", version=1))
    with pytest.raises(ConflictError):
        store.create("strategies", momentum("a", version=2))
    assert store.read("strategies", "a", "momentum")["version"] == 1  # type: ignore[index]


def test_what_is_absent_reads_as_none_and_deletes_as_false(store: DocumentStore) -> None:
    assert store.read("strategies", "nobody", "momentum") is None
    assert store.delete("strategies", "nobody", "momentum") is False


def test_one_id_in_two_partitions_is_two_documents(store: DocumentStore) -> None:
    store.create("strategies", {"id": "a", "family": "momentum", "n": 1})
    store.create("strategies", {"id": "a", "family": "trend", "n": 2})
    assert store.delete("strategies", "a", "momentum") is True
    assert store.read("strategies", "a", "trend")["n"] == 2  # type: ignore[index]
    assert store.read("strategies", "a", "momentum") is None


def test_upsert_creates_then_overwrites_whole(store: DocumentStore) -> None:
    first = store.upsert("strategies", momentum("a", old=1))
    second = store.upsert("strategies", momentum("a", new=2))
    assert first["_etag"] != second["_etag"]
    assert store.read("strategies", "a", "momentum") == second
    assert "old" not in second


def test_what_was_read_can_be_written_back(store: DocumentStore) -> None:
    store.create("strategies", momentum("a", n=1))
    document = store.read("strategies", "a", "momentum")
    assert document is not None
    written = store.replace("strategies", {**document, "n": 2}, document["_etag"])
    assert store.read("strategies", "a", "momentum") == written


def test_a_stale_etag_writes_nothing(store: DocumentStore) -> None:
    stale = store.create("strategies", momentum("a", n=1))["_etag"]
    current = store.upsert("strategies", momentum("a", n=2))
    with pytest.raises(ConflictError):
        store.replace("strategies", momentum("a", n=3), stale)
    with pytest.raises(ConflictError):
        store.upsert("strategies", momentum("a", n=3), etag=stale)
    with pytest.raises(ConflictError):
        store.delete("strategies", "a", "momentum", etag=stale)
    assert store.read("strategies", "a", "momentum") == current
    assert store.delete("strategies", "a", "momentum", etag=current["_etag"]) is True


def test_replacing_what_is_gone_says_so(store: DocumentStore) -> None:
    etag = store.create("strategies", momentum("a"))["_etag"]
    store.delete("strategies", "a", "momentum")
    with pytest.raises(MissingDocumentError):
        store.replace("strategies", momentum("a"), etag)
    with pytest.raises(ConflictError):
        store.upsert("strategies", momentum("a"), etag=etag)
    assert store.read("strategies", "a", "momentum") is None


def test_of_several_writers_with_compare_and_swap_none_is_lost(store: DocumentStore) -> None:
    store.create("strategies", momentum("counter", n=0))

    def add_three() -> None:
        for _ in range(3):
            while True:
                seen = store.read("strategies", "counter", "momentum")
                assert seen is not None
                try:
                    store.replace("strategies", {**seen, "n": seen["n"] + 1}, seen["_etag"])
                    break
                except ConflictError:
                    continue

    threads = [threading.Thread(target=add_three) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.read("strategies", "counter", "momentum")["n"] == 12  # type: ignore[index]


ZOO: list[dict[str, Any]] = [
    momentum("number", x=1.5),
    momentum("integer", x=2),
    momentum("negative", x=-3),
    momentum("text", x="abc"),
    momentum("numeric-text", x="2"),
    momentum("quote", x='it\'s "quoted" -- ; DROP TABLE documents'),
    momentum("yes", x=True),
    momentum("no", x=False),
    momentum("null", x=None),
    momentum("absent"),
    momentum("list", x=[1, "abc", True]),
    momentum("empty-list", x=[]),
]


def holds(document: dict[str, Any], name: str, operator: str, value: Any) -> bool:
    """The contract's conditions, in plain Python."""
    if name not in document:
        return False
    stored = document[name]
    if operator == "contains":
        return isinstance(stored, list) and any(type(item) is type(value) and item == value for item in stored)
    if operator == "in":
        return any(holds(document, name, "=", item) for item in value)
    if value is None:
        return (stored is None) == (operator == "=")
    if kind(stored) != kind(value):
        return False
    return {
        "=": stored == value, "!=": stored != value, "<": stored < value, "<=": stored <= value, ">": stored > value, ">=": stored >= value
    }[operator]  # fmt: skip


def kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "number" if isinstance(value, int | float) else type(value).__name__


def test_conditions_mean_the_same_in_every_store(store: DocumentStore) -> None:
    store.upsert_many("strategies", ZOO)
    store.create("strategies", {"id": "elsewhere", "family": "trend", "x": 2})
    asked: list[tuple[str, Any, Any]] = [
        ("x", operator, value) for operator in ("=", "!=", "<", "<=", ">", ">=") for value in (2, 1.5, "abc", ZOO[5]["x"])
    ]
    asked += [("x", operator, value) for operator in ("=", "!=") for value in (True, False, None)]
    asked += [
        ("x", "in", [2, "abc"]),
        ("x", "in", []),
        ("x", "in", ("2",)),
        ("x", "contains", 1),
        ("x", "contains", "abc"),
        ("x", "contains", True),
    ]
    for condition in asked:
        expected = sorted(document["id"] for document in ZOO if holds(document, *condition))
        assert ids(store.query("strategies", "momentum", [condition])) == expected, condition
        assert store.count("strategies", "momentum", [condition]) == len(expected), condition


def test_conditions_add_up(store: DocumentStore) -> None:
    store.upsert_many("strategies", [momentum(f"s{n}", sharpe=n / 2, state="active" if n % 2 else "retired") for n in range(6)])
    assert ids(store.query("strategies", "momentum", [("state", "=", "active"), ("sharpe", ">", 0.5)])) == ["s3", "s5"]
    assert store.count("strategies", "momentum") == 6


def test_a_field_orders_documents_and_those_without_it_are_left_out(store: DocumentStore) -> None:
    values = {"a": 3.5, "b": -1, "c": 10, "d": 0.25}
    store.upsert_many("strategies", [momentum(id, rank=value) for id, value in values.items()] + [momentum("unranked")])
    assert ids(store.query("strategies", "momentum", order_by="rank")) == ["b", "d", "a", "c"]
    assert ids(store.query("strategies", "momentum", order_by="rank", descending=True)) == ["c", "a", "d", "b"]
    assert ids(store.query("strategies", "momentum", [("rank", ">", 0)], order_by="rank", limit=2)) == ["d", "a"]


def test_documents_come_by_id_unless_told_otherwise(store: DocumentStore) -> None:
    store.upsert_many("strategies", [momentum(id) for id in ("c", "a", "b")])
    assert ids(store.query("strategies", "momentum")) == ["a", "b", "c"]
    assert ids(store.query("strategies", "momentum", descending=True)) == ["c", "b", "a"]


def test_pages_hold_every_document_once_and_can_be_resumed_from_any(store: DocumentStore) -> None:
    store.upsert_many("strategies", [momentum(f"s{n:02d}", score=n * 7 % 5 + n / 100) for n in range(11)])
    whole = ids(store.query("strategies", "momentum", order_by="score"))
    assert sorted(whole) == [f"s{n:02d}" for n in range(11)]
    pages = list(store.query("strategies", "momentum", order_by="score", page_size=4))
    assert [len(page) for page in pages] == [4, 4, 3]
    assert pages[-1].continuation is None
    for position, page in enumerate(pages[:-1]):
        rest = store.query("strategies", "momentum", order_by="score", page_size=4, continuation=page.continuation)
        assert ids(rest) == whole[4 * (position + 1) :]


def test_a_limit_ends_the_answer(store: DocumentStore) -> None:
    store.upsert_many("strategies", [momentum(f"s{n}") for n in range(7)])
    pages = list(store.query("strategies", "momentum", limit=5, page_size=3))
    assert [len(page) for page in pages] == [3, 2]
    assert pages[-1].continuation is None


def test_an_answer_without_documents_is_one_empty_page(store: DocumentStore) -> None:
    pages = list(store.query("strategies", "momentum"))
    assert [(len(page), page.continuation) for page in pages] == [(0, None)]
    assert store.count("strategies", "momentum") == 0


def test_a_query_crosses_partitions_only_by_name(store: DocumentStore) -> None:
    store.upsert_many(
        "strategies", [{"id": f"{family}-{n}", "family": family, "n": n} for family in ("momentum", "trend", "volume") for n in range(2)]
    )
    assert ids(store.query("strategies", "trend")) == ["trend-0", "trend-1"]
    assert sorted(ids(store.query("strategies", EVERY_PARTITION, [("n", "=", 1)], page_size=2))) == ["momentum-1", "trend-1", "volume-1"]
    assert store.count("strategies", EVERY_PARTITION) == 6
    with pytest.raises(UnstorableError, match="continuation"):
        list(store.query("strategies", EVERY_PARTITION, continuation="x"))
    with pytest.raises(UnstorableError, match="family"):
        list(store.query("strategies", ""))


UNSTORABLE: list[tuple[dict[str, Any], str]] = [
    ({"sharpe": float("nan")}, "sharpe"),
    ({"nested": {"curve": [1.0, float("inf")]}}, r"nested\.curve\[1\]"),
    ({"weights": np.zeros(3)}, "weights"),
    ({"at": pd.Timestamp("2025-06-29", tz="UTC")}, "at"),
    ({"at": pd.NaT}, "at"),
    ({"blob": b"bytes"}, "blob"),
    ({"tags": {"a", "b"}}, "tags"),
    ({"count": 2**53 + 1}, "count"),
    ({"text": "\ud800"}, "text"),
    ({"bad name": 1}, "bad name"),
    ({"nested": {1: "x"}}, "nested"),
    ({"schema_version": "2"}, "schema_version"),
    ({"id": "a/b"}, "id"),
    ({"id": ""}, "id"),
    ({"id": 7}, "id"),
    ({"family": None}, "family"),
]


def test_what_json_cannot_hold_is_refused_by_name(store: DocumentStore) -> None:
    for fields, named in UNSTORABLE:
        with pytest.raises(UnstorableError, match=named):
            store.create("strategies", momentum("a") | fields)
    assert store.count("strategies", EVERY_PARTITION) == 0


def test_numpy_scalars_are_stored_as_the_numbers_they_hold(store: DocumentStore) -> None:
    store.create("strategies", momentum("a", f=np.float64(0.1), i=np.int32(7), b=np.True_, half=np.float32(0.5), pair=(1, 2)))
    found = store.read("strategies", "a", "momentum")
    assert found is not None
    assert (found["f"], found["i"], found["b"], found["half"], found["pair"]) == (0.1, 7, True, 0.5, [1, 2])
    assert found["b"] is True


def test_a_document_over_two_megabytes_is_refused_and_one_just_under_is_kept(store: DocumentStore) -> None:
    with pytest.raises(DocumentTooLargeError, match="lake"):
        store.create("strategies", momentum("big", payload="x" * MAX_DOCUMENT_BYTES))
    frame = len('{"family":"momentum","id":"big","payload":"","schema_version":1}')
    store.create("strategies", momentum("big", payload="x" * (MAX_DOCUMENT_BYTES - frame)))
    assert len(store.read("strategies", "big", "momentum")["payload"]) == MAX_DOCUMENT_BYTES - frame  # type: ignore[index]
    with pytest.raises(DocumentTooLargeError):  # bytes count, not characters
        store.create("strategies", momentum("wide", payload="é" * (MAX_DOCUMENT_BYTES // 2)))


def test_text_survives_in_any_script(store: DocumentStore) -> None:
    words = ["Ärger", "比特币", "🚀 to the moon", "line\nbreak\ttab", "back\\slash / slash", "\u0007"]
    store.create("strategies", momentum("a", words=words))
    assert store.read("strategies", "a", "momentum")["words"] == words  # type: ignore[index]


def test_a_bad_document_among_many_stores_none(store: DocumentStore) -> None:
    with pytest.raises(UnstorableError):
        store.upsert_many("strategies", [momentum("a"), momentum("b", x=float("nan"))])
    assert store.count("strategies", "momentum") == 0
    assert store.upsert_many("strategies", [momentum("a"), momentum("b")]) == 2


def test_a_dump_holds_what_was_written_and_nothing_of_how(store: DocumentStore) -> None:
    documents = [{"id": f"{n}", "family": family, "n": n, "schema_version": 1} for family in ("trend", "momentum") for n in (2, 1)]
    for document in documents:
        store.upsert("strategies", {**document, "n": 99})
    store.upsert_many("strategies", documents)
    assert store.dump("strategies") == sorted(documents, key=lambda d: (d["family"], d["id"]))


def test_a_condition_that_stores_cannot_share_is_refused(store: DocumentStore) -> None:
    bad: list[Any] = [
        ("x", "like", "a"),
        ("x.y", "=", 1),
        ('x" = 1 OR "', "=", 1),
        ("x", "<", None),
        ("x", "in", "abc"),
        ("x", "="),
        ("x", "=", [1]),
    ]
    for condition in bad:
        with pytest.raises(UnstorableError):
            list(store.query("strategies", "momentum", [condition]))


def test_a_container_that_is_not_one_of_the_nine_is_refused(store: DocumentStore) -> None:
    with pytest.raises(UnstorableError, match="strategies, ml_models"):
        store.create("orders", {"id": "a"})


def test_a_closed_store_opens_again_when_used(store: DocumentStore) -> None:
    store.create("strategies", momentum("a"))
    store.close()
    assert store.count("strategies", "momentum") == 1


# ---- what only a remote service does --------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 503, 449, 408])
def test_a_busy_service_is_asked_again_after_the_wait_it_names(shim: CosmosShim, status: int) -> None:
    waits: list[float] = []
    store = cosmos(shim, sleep=waits.append)
    store.create("strategies", momentum("a"))
    shim.fail_next(status, 6, headers={"x-ms-retry-after-ms": "7"})
    assert store.read("strategies", "a", "momentum") is not None
    assert waits, "the wait should have been ours"
    assert set(waits) == {0.007}


def test_retry_after_in_seconds_is_honoured_and_without_it_waits_grow(shim: CosmosShim) -> None:
    waits: list[float] = []
    store = cosmos(shim, sleep=waits.append)
    store.create("strategies", momentum("a"))
    shim.fail_next(503, headers={"retry-after": "2"})
    shim.fail_next(503, 3)
    store.upsert("strategies", momentum("a", n=1))
    assert waits[0] == 2.0
    assert waits[1:] == sorted(set(waits[1:]))


def test_a_service_that_stays_busy_is_an_error_with_the_remedy(shim: CosmosShim) -> None:
    store = cosmos(shim, attempts=3, sleep=lambda seconds: None)
    store.create("strategies", momentum("a"))
    shim.fail_next(429, 50)
    with pytest.raises(SourceError, match="throughput"):
        store.read("strategies", "a", "momentum")
    shim.failures.clear()


def test_a_refused_key_is_not_tried_again(shim: CosmosShim) -> None:
    waits: list[float] = []
    store = cosmos(shim, sleep=waits.append)
    store.create("strategies", momentum("a"))
    shim.fail_next(401)
    with pytest.raises(SourceError, match="COSMOS_KEY"):
        store.read("strategies", "a", "momentum")
    assert waits == []


def test_a_write_whose_answer_was_lost_is_not_taken_for_a_conflict(shim: CosmosShim) -> None:
    store = cosmos(shim, sleep=lambda seconds: None)
    store.create("strategies", momentum("warm"))
    shim.fail_next(503, after=True)
    created = store.create("strategies", momentum("a", n=1))
    shim.fail_next(503, after=True)
    replaced = store.replace("strategies", momentum("a", n=2), created["_etag"])
    assert store.read("strategies", "a", "momentum") == replaced
    shim.fail_next(503, after=True)
    assert store.delete("strategies", "a", "momentum") is True


def test_somebody_elses_document_is_a_conflict_also_on_a_second_try(shim: CosmosShim) -> None:
    store = cosmos(shim, sleep=lambda seconds: None)
    store.create("strategies", momentum("a", n=1))
    shim.fail_next(503)
    with pytest.raises(ConflictError):
        store.create("strategies", momentum("a", n=2))


def test_a_failure_between_pages_loses_no_document(shim: CosmosShim) -> None:
    store = cosmos(shim, sleep=lambda seconds: None)
    store.upsert_many("strategies", [momentum(f"s{n}") for n in range(6)])
    pages = store.query("strategies", "momentum", page_size=2)
    first = next(pages)
    shim.fail_next(503, 2)
    assert [document["id"] for document in first] + ids(pages) == [f"s{n}" for n in range(6)]


def test_a_query_within_a_partition_names_it_in_the_text_and_in_the_request(shim: CosmosShim) -> None:
    store = cosmos(shim)
    store.create("strategies", momentum("a"))
    shim.requests.clear()
    list(store.query("strategies", "momentum", [("id", "=", "a")]))
    store.count("strategies", "momentum")
    queries = [(key, body) for method, _, key, body in shim.requests if method == "POST" and b"SELECT" in body]
    assert len(queries) >= 2
    assert all(key == '["momentum"]' and b'c[\\"family\\"] = @p0' in body for key, body in queries)


def test_an_absent_service_is_an_error_that_names_the_endpoint() -> None:
    store = CosmosDocuments("http://127.0.0.1:9", key="Zm9v", attempts=1, sleep=lambda seconds: None)
    with pytest.raises(SourceError, match=r"127\.0\.0\.1:9"):
        store.read("strategies", "a", "momentum")
