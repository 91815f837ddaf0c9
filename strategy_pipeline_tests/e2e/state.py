"""What two homes must have in common to be called the same."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from strategy_pipeline.config import Settings
from strategy_pipeline.cycle import Workspace
from strategy_pipeline.store import CONTAINERS


def workspace_of(home: Path, **values: Any) -> Workspace:
    return Workspace(Settings(home=home, profile="tiny", **values))


def content_of(home: Path, **values: Any) -> dict[str, Any]:
    """Every lake file by hash, and every document of every container."""
    workspace = workspace_of(home, **values)
    documents = {container: workspace.documents.dump(container) for container in CONTAINERS}
    return {"lake": workspace.lake.digest(), "documents": documents}


def differences(left: dict[str, Any], right: dict[str, Any]) -> list[str]:
    """Paths and containers that differ, for a message a person can act on."""
    paths = sorted(set(left["lake"]) | set(right["lake"]))
    found = [path for path in paths if left["lake"].get(path) != right["lake"].get(path)]
    return found + [name for name in CONTAINERS if left["documents"][name] != right["documents"][name]]


TODAY = dt.date(2025, 6, 29)
