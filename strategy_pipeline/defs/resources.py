"""Resources: how an asset reaches the lake, the documents, the registry and the source.

One `Workspace` per settings and process, so that the stages of a run share what they loaded.
"""

from __future__ import annotations

from functools import lru_cache

import dagster as dg

from strategy_pipeline.config import Settings
from strategy_pipeline.cycle import Workspace


@lru_cache(maxsize=4)
def shared_workspace(settings: Settings) -> Workspace:
    return Workspace(settings)


class WorkspaceResource(dg.ConfigurableResource):
    """Opens the `Workspace` of the process's settings (variables, `.env`, TOML), or of the settings given.

    settings_json
        JSON of explicit settings, as `strategy-pipeline run` passes its options; empty means the process's.
    """

    settings_json: str = ""

    @property
    def settings(self) -> Settings:
        import json

        return Settings(**json.loads(self.settings_json)) if self.settings_json else Settings()

    @property
    def workspace(self) -> Workspace:
        return shared_workspace(self.settings)
