"""Resources: how an asset reaches the lake, the documents, the registry and the source.

One `Workspace` per settings and process, so that the stages of a run share what they loaded.
"""

import json

import dagster as dg

from strategy_pipeline.config import Settings
from strategy_pipeline.cycle import Workspace

_SHARED: dict[str, Workspace] = {}


def settings_json(settings: Settings) -> str:
    """Every setting but secrets (they stay in the environment), as the resource takes them."""
    return json.dumps(settings.model_dump(mode="json", exclude={"cosmos_key"}, exclude_none=True), sort_keys=True)


def shared_workspace(settings: Settings) -> Workspace:
    """The one `Workspace` of these settings in this process: the stages of a run share what they loaded."""
    return _SHARED.setdefault(settings_json(settings), Workspace(settings))


class WorkspaceResource(dg.ConfigurableResource):
    """Opens the `Workspace` of the process's settings (variables, `.env`, TOML), or of the settings given.

    settings_json
        JSON of explicit settings, as `strategy-pipeline run` passes its options; empty means the process's.
    """

    settings_json: str = ""

    @property
    def settings(self) -> Settings:
        return Settings(**json.loads(self.settings_json)) if self.settings_json else Settings()

    @property
    def workspace(self) -> Workspace:
        return shared_workspace(self.settings)
