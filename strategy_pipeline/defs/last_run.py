"""What the last run of a home was asked for, so that `ui` can open on it without the options again."""

from __future__ import annotations

import json
import os
from pathlib import Path

from strategy_pipeline.config import Settings

_NAME = "last_run.json"


def remember(settings: Settings) -> None:
    """Writes the explicit, non-secret settings of a run beside the state."""
    values = settings.model_dump(mode="json", exclude={"cosmos_key", "home"}, exclude_none=True, include=set(settings.model_fields_set))
    if settings.data is not None:
        values["data"] = str(settings.data.resolve())
    path = settings.home / _NAME
    temporary = path.with_name(f".{_NAME}.{os.getpid()}")
    temporary.write_text(json.dumps(values, sort_keys=True, indent=1))
    temporary.replace(path)


def remembered(settings: Settings) -> Settings:
    """The settings of the home's last run, overridden by every setting that is explicit now."""
    path = Path(settings.home) / _NAME
    if not path.exists():
        return settings
    explicit = {name: getattr(settings, name) for name in settings.model_fields_set}
    return Settings(**{**json.loads(path.read_text()), **explicit})
