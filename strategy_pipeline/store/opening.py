"""Which document store the settings ask for."""

from __future__ import annotations

from strategy_pipeline.config import Settings
from strategy_pipeline.store.documents import DocumentStore


def open_documents(settings: Settings) -> DocumentStore:
    """The document store of `settings.backend`: SQLite in ``home/documents.sqlite``, or Azure Cosmos DB.

    UnwritableHomeError or CorruptFileError (embedded), SourceError (azure) with the remedy.
    """
    if settings.backend == "azure":
        from strategy_pipeline.store.cosmos import CosmosDocuments

        # Settings refuses backend=azure without an endpoint, so it is text here.
        key = settings.cosmos_key.get_secret_value() if settings.cosmos_key is not None else None
        return CosmosDocuments(str(settings.cosmos_endpoint), key=key, database=settings.cosmos_database)
    from strategy_pipeline.store.embedded import EmbeddedDocuments

    return EmbeddedDocuments(settings.home / "documents.sqlite")
