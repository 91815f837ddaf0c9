"""The features stage: the day's rows of the matrices that models see, and their entry in the feature store."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from strategy_pipeline.cycle.report import StageReport
from strategy_pipeline.cycle.workspace import Workspace

if TYPE_CHECKING:
    from strategy_pipeline.features import FeatureMatrix

OBSERVED_BY_FEATURES = ("news", "social", "fear_greed", "macro", "fundamentals", "funding", "open_interest", "book")


def matrix(workspace: Workspace, day: dt.date) -> FeatureMatrix:
    """The feature matrix from the start of history through the close of `day`; the same values on every later day."""
    from strategy_pipeline import features as room

    def make() -> FeatureMatrix:
        tables = {table: workspace.observations(table, day) for table in OBSERVED_BY_FEATURES}
        held = {table: frame for table, frame in tables.items() if len(frame)}
        scorer = room.text_scorer(workspace.settings.sentiment_model)
        return room.build(workspace.bars(day), workspace.settings.feature_set, observations=held, scorer=scorer)

    return workspace.remember(("features", day), make)


def features(workspace: Workspace, day: dt.date) -> StageReport:
    """The day's feature rows, built with their look-back; `feature_store` gets name, version, hash and path."""
    whole = matrix(workspace, day)
    today = whole.times >= np.datetime64(day, "ns")
    n_symbols, _, n_features = whole.values.shape
    rows = whole.values[:, today, :].reshape(-1, n_features)
    frame = pd.DataFrame(rows, columns=list(whole.feature_names))
    frame.insert(0, "symbol", np.repeat(list(whole.symbols), int(today.sum())))
    frame.insert(0, "ts", pd.to_datetime(np.tile(whole.times[today], n_symbols), utc=True))
    artifact = workspace.lake.write(f"features/{workspace.settings.feature_set}/{day}.parquet", frame)
    known = float(np.isfinite(rows).mean()) if rows.size else 0.0
    masked = sorted(name for name, there in zip(whole.feature_names, whole.available, strict=True) if not there)
    workspace.documents.upsert(
        "feature_store",
        {
            "id": f"{workspace.settings.feature_set}-{day}", "feature_set": workspace.settings.feature_set, "version": whole.version,
            "day": day.isoformat(), "hash": whole.between(np.datetime64(day)).hash, "path": artifact.path, "sha256": artifact.sha256,
            "n_features": n_features, "symbols": list(whole.symbols), "unavailable": masked,
        },
    )  # fmt: skip
    facts = {"features": n_features, "rows": len(frame), "known_share": round(known, 4), "unavailable": ", ".join(masked) or "none"}
    summary = f"{n_features} features, {len(frame):,} rows, {known:.0%} known" + (f", {len(masked)} unavailable" if masked else "")
    read = {history_key(table): workspace.observed_digest(table, day) for table in OBSERVED_BY_FEATURES}
    return StageReport(summary, facts, artifacts=(artifact,), inputs=read)


def history_key(table: str) -> str:
    """Under which name a record says what of an observation table could be known on its day."""
    return f"observations/{table}_history"
