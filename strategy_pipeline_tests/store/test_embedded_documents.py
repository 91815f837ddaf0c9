"""What the embedded store promises beyond the contract: processes, kills, bad files, equal bytes."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategy_pipeline.config import Settings
from strategy_pipeline.errors import CorruptFileError, UnwritableHomeError
from strategy_pipeline.store import EVERY_PARTITION, EmbeddedDocuments, UnstorableError, flatten, open_documents
from strategy_pipeline.store.documents import prepare


def momentum(id: str, **fields: Any) -> dict[str, Any]:
    return {"id": id, "family": "momentum", **fields}


def script(body: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", "import sys\nfrom strategy_pipeline.store import *\n" + textwrap.dedent(body), *arguments]


def test_the_embedded_backend_keeps_documents_under_home(tmp_path: Path) -> None:
    documents = open_documents(Settings(home=tmp_path / "home"))
    documents.create("strategies", momentum("a"))
    documents.close()
    assert (tmp_path / "home" / "documents.sqlite").is_file()


def test_several_processes_write_one_fresh_store_and_lose_nothing(tmp_path: Path) -> None:
    body = """
        store = EmbeddedDocuments(sys.argv[1])
        for n in range(25):
            store.upsert("signals", {"id": f"{sys.argv[2]}-{n}", "day": "2025-06-29", "n": n})
            while True:
                seen = store.read("signals", "counter", "2025-06-29")
                try:
                    store.replace("signals", {**seen, "n": seen["n"] + 1}, seen["_etag"])
                    break
                except Exception as error:
                    if type(error).__name__ != "ConflictError":
                        raise
    """
    path = tmp_path / "documents.sqlite"
    EmbeddedDocuments(path).create("signals", {"id": "counter", "day": "2025-06-29", "n": 0})
    processes = [subprocess.Popen(script(body, str(path), str(worker)), stderr=subprocess.PIPE, text=True) for worker in range(3)]
    for process in processes:
        _, complaint = process.communicate(timeout=100)
        assert process.returncode == 0, complaint
    store = EmbeddedDocuments(path)
    assert store.count("signals", "2025-06-29") == 3 * 25 + 1
    assert store.read("signals", "counter", "2025-06-29")["n"] == 3 * 25  # type: ignore[index]


def test_processes_that_start_together_agree_on_a_new_file(tmp_path: Path) -> None:
    body = """EmbeddedDocuments(sys.argv[1]).upsert("signals", {"id": sys.argv[2], "day": "d"})"""
    processes = [
        subprocess.Popen(script(body, str(tmp_path / "documents.sqlite"), str(worker)), stderr=subprocess.PIPE, text=True)
        for worker in range(4)
    ]
    for process in processes:
        _, complaint = process.communicate(timeout=100)
        assert process.returncode == 0, complaint
    assert EmbeddedDocuments(tmp_path / "documents.sqlite").count("signals", "d") == 4


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_writer_killed_in_a_transaction_leaves_the_old_documents(tmp_path: Path) -> None:
    path = tmp_path / "documents.sqlite"
    EmbeddedDocuments(path).create("strategies", momentum("a", n=1))
    body = """
        import os, signal
        store = EmbeddedDocuments(sys.argv[1])
        def documents():
            return [{"id": f"s{n}", "family": "momentum"} for n in range(100)]
        with store._writing() as connection:
            connection.execute("UPDATE documents SET body='{}', etag='x'")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    assert subprocess.run(script(body, str(path))).returncode == -signal.SIGKILL
    store = EmbeddedDocuments(path)
    assert store.read("strategies", "a", "momentum")["n"] == 1  # type: ignore[index]
    store.upsert("strategies", momentum("b"))  # and the lock went with the process


def test_a_forked_process_opens_its_own_connection(tmp_path: Path) -> None:
    store = EmbeddedDocuments(tmp_path / "documents.sqlite")
    store.create("strategies", momentum("parent"))
    child = os.fork()
    if child == 0:
        try:
            store.create("strategies", momentum("child"))
        finally:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert store.count("strategies", "momentum") == 2


def test_equal_writes_leave_equal_etags_and_dumps_whatever_their_order(tmp_path: Path) -> None:
    documents = [momentum(f"s{n}", sharpe=n / 3) for n in range(5)]
    first, second = EmbeddedDocuments(tmp_path / "a.sqlite"), EmbeddedDocuments(tmp_path / "b.sqlite")
    first.upsert_many("strategies", documents)
    for document in reversed(documents):
        second.upsert("strategies", {**document, "sharpe": None})
        second.upsert("strategies", dict(reversed(document.items())))
    assert first.dump("strategies") == second.dump("strategies")
    assert list(flatten(first.query("strategies", "momentum"))) == list(flatten(second.query("strategies", "momentum")))


def test_pages_neither_repeat_nor_lose_a_document_while_others_are_written(tmp_path: Path) -> None:
    store = EmbeddedDocuments(tmp_path / "documents.sqlite")
    store.upsert_many("strategies", [momentum(f"s{n}", x=float(n)) for n in range(6)])
    pages = store.query("strategies", "momentum", order_by="x", page_size=2)
    seen = [document["id"] for document in next(pages)]
    store.upsert("strategies", momentum("early", x=-1.0))
    store.delete("strategies", "s0", "momentum")
    assert seen + [document["id"] for document in flatten(pages)] == [f"s{n}" for n in range(6)]


def test_mixed_types_sort_null_then_boolean_then_number_then_text(tmp_path: Path) -> None:
    store = EmbeddedDocuments(tmp_path / "documents.sqlite")
    store.upsert_many(
        "strategies", [momentum(id, x=x) for id, x in {"text": "a", "two": 2, "null": None, "yes": True, "half": 0.5}.items()]
    )
    found = [document["id"] for document in flatten(store.query("strategies", "momentum", order_by="x", page_size=2))]
    assert found == ["null", "yes", "half", "two", "text"]


def test_tens_of_thousands_of_ids_can_be_asked_for_at_once(tmp_path: Path) -> None:
    store = EmbeddedDocuments(tmp_path / "documents.sqlite")
    store.upsert_many("strategies", [momentum("s7"), momentum("7")])
    assert store.count("strategies", EVERY_PARTITION, [("id", "in", [f"s{n}" for n in range(50_000)])]) == 1


def test_a_foreign_continuation_is_refused(tmp_path: Path) -> None:
    store = EmbeddedDocuments(tmp_path / "documents.sqlite")
    with pytest.raises(UnstorableError, match="continuation"):
        list(store.query("strategies", "momentum", continuation="bm9uc2Vuc2U="))


@pytest.mark.parametrize("home", ["file", "/proc"])
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, home: str) -> None:
    if home == "file":
        (tmp_path / "file").write_text("I am a file")
        folder = tmp_path / "file"
    else:
        folder = Path("/proc/strategy_pipeline")
        if not Path("/proc").is_dir():
            pytest.skip("no /proc on this system")
    with pytest.raises(UnwritableHomeError, match="--home"):
        EmbeddedDocuments(folder / "documents.sqlite")


def test_a_file_that_is_no_database_is_named_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "documents.sqlite"
    path.write_bytes(b"this is not a database, " * 100)
    with pytest.raises(CorruptFileError, match=r"documents\.sqlite"):
        EmbeddedDocuments(path)
    assert path.read_bytes() == b"this is not a database, " * 100


def test_a_poisoned_document_is_named_the_others_stay_and_it_can_be_deleted(tmp_path: Path) -> None:
    store = EmbeddedDocuments(tmp_path / "documents.sqlite")
    store.upsert_many("strategies", [momentum("good", x=1), momentum("bad", x=2)])
    with sqlite3.connect(tmp_path / "documents.sqlite") as connection:
        connection.execute("UPDATE documents SET body='{\"x\": 2' WHERE id='bad'")
    assert store.read("strategies", "good", "momentum")["x"] == 1  # type: ignore[index]
    for poisoned in (
        lambda: store.read("strategies", "bad", "momentum"),
        lambda: list(store.query("strategies", "momentum", [("x", ">", 0)])),
        lambda: store.count("strategies", EVERY_PARTITION, [("x", ">", 0)]),
        lambda: store.dump("strategies"),
    ):
        with pytest.raises(CorruptFileError, match="strategies/momentum/bad"):
            poisoned()
    assert store.poisoned() == [("strategies", "momentum", "bad")]
    assert store.delete("strategies", "bad", "momentum") is True
    assert [document["id"] for document in flatten(store.query("strategies", "momentum", [("x", ">", 0)]))] == ["good"]


def test_a_document_edited_behind_our_back_is_found(tmp_path: Path) -> None:
    store = EmbeddedDocuments(tmp_path / "documents.sqlite")
    store.create("strategies", momentum("a", sharpe=0.5))
    with sqlite3.connect(tmp_path / "documents.sqlite") as connection:
        connection.execute("UPDATE documents SET body=replace(body, '0.5', '5.0')")
    assert store.poisoned() == [("strategies", "momentum", "a")]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4),
    max_leaves=12,
)


@given(
    fields=st.dictionaries(
        st.from_regex(r"\A[a-z][a-z0-9_]{0,8}\Z").filter(lambda n: n not in ("id", "family", "schema_version")), json_values
    )
)
def test_any_json_comes_back_as_it_went_in(tmp_path_factory: pytest.TempPathFactory, fields: dict[str, Any]) -> None:
    store = EmbeddedDocuments(tmp_path_factory.mktemp("documents") / "documents.sqlite")
    created = store.upsert("strategies", momentum("a", **fields))
    found = store.read("strategies", "a", "momentum")
    store.close()
    assert found == created
    assert {k: v for k, v in created.items() if k != "_etag"} == {**momentum("a", **fields), "schema_version": 1}
    assert json.loads(json.dumps(fields)) == {name: created[name] for name in fields}


def test_preparing_a_document_leaves_the_callers_alone() -> None:
    document = {"id": "a", "family": "trend", "_etag": "old", "tags": ("x",)}
    prepared = prepare("strategies", document)
    assert document == {"id": "a", "family": "trend", "_etag": "old", "tags": ("x",)}
    assert prepared == {"id": "a", "family": "trend", "tags": ["x"], "schema_version": 1}
