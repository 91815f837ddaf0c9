"""Where everything that outlives a process is kept: documents, the Parquet lake, the state folder.

What belongs here: the nine document containers and their two backends (SQLite in a folder, Azure Cosmos
DB), the lake of Parquet files behind fsspec paths, and the state folder's version and lock. What does
not: knowledge of what a document or a table means. Rooms below decide that; this one stores bytes
atomically, gives them back, and never reads a clock.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from strategy_pipeline.store.cosmos import CosmosDocuments
    from strategy_pipeline.store.documents import (
        CONTAINERS,
        EVERY_PARTITION,
        MAX_DOCUMENT_BYTES,
        Document,
        DocumentStore,
        MissingDocumentError,
        Page,
        UnstorableError,
        flatten,
    )
    from strategy_pipeline.store.embedded import EmbeddedDocuments
    from strategy_pipeline.store.lake import Artifact, Lake
    from strategy_pipeline.store.opening import open_documents
    from strategy_pipeline.store.state import State

# Name -> module: pyarrow, azure and sqlite load only when something of theirs is used.
_HOMES = {
    "CONTAINERS": "documents",
    "EVERY_PARTITION": "documents",
    "MAX_DOCUMENT_BYTES": "documents",
    "Document": "documents",
    "DocumentStore": "documents",
    "MissingDocumentError": "documents",
    "Page": "documents",
    "UnstorableError": "documents",
    "flatten": "documents",
    "EmbeddedDocuments": "embedded",
    "CosmosDocuments": "cosmos",
    "open_documents": "opening",
    "Artifact": "lake",
    "Lake": "lake",
    "State": "state",
}

__all__ = [
    "CONTAINERS",
    "EVERY_PARTITION",
    "MAX_DOCUMENT_BYTES",
    "Artifact",
    "CosmosDocuments",
    "Document",
    "DocumentStore",
    "EmbeddedDocuments",
    "Lake",
    "MissingDocumentError",
    "Page",
    "State",
    "UnstorableError",
    "flatten",
    "open_documents",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
