"""Fitted models of a universe: their bytes in the lake, which cutoffs are registered, the mirror in MLflow.

The lake is the truth: ``models/fits/<key>.safetensors`` holds every fit (the key names kind, cutoff and a hash of
everything the training could see, so a fit is found again exactly when it would come out the same), and
``models/registered/<stage>/<cutoff>.json`` says which fit a retraining registered. MLflow gets a copy.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from strategy_pipeline.cycle.workspace import Workspace
from strategy_pipeline.rng import derive_seed

if TYPE_CHECKING:
    from strategy_pipeline.forecasting import Forecaster

# Stage that trains a kind of model -> the kind, as `forecasting` names it.
KINDS = {"regime_model": "regime", "volatility_models": "volatility", "forecaster": "returns"}
MODEL_STAGES = (*KINDS, "rl_agents")


def cache(workspace: Workspace) -> Callable[[str, Callable[[], bytes]], bytes]:
    """Keeps the bytes of fits in the lake."""

    def keep(key: str, make: Callable[[], bytes]) -> bytes:
        path = f"models/fits/{key}.safetensors"
        if workspace.lake.exists(path):
            return workspace.lake.read_bytes(path)
        payload = make()
        workspace.lake.write_bytes(path, payload)
        return payload

    return keep


def forecasters(workspace: Workspace) -> dict[str, Forecaster]:
    from strategy_pipeline.forecasting import default_forecasters

    return default_forecasters(transformer_steps=workspace.settings.sizes.transformer_steps)


def training_seed(workspace: Workspace) -> int:
    """One seed for all trainings, not one a day: a refit at the same cutoff is the same fit, whoever asks for it."""
    return derive_seed(workspace.settings.seed, "models") % 2**31


def register(workspace: Workspace, stage: str, cutoff: dt.date, entry: dict[str, Any]) -> None:
    workspace.lake.write_bytes(_path(stage, cutoff), json.dumps(entry, sort_keys=True, indent=1).encode())


def registered(workspace: Workspace, stage: str, day: dt.date) -> list[dt.date]:
    """Cutoffs a retraining registered, not after `day`, oldest first."""
    names = (path.rsplit("/", 1)[-1].removesuffix(".json") for path in workspace.lake.list(f"models/registered/{stage}"))
    return sorted(cutoff for cutoff in map(dt.date.fromisoformat, names) if cutoff <= day)


def due(workspace: Workspace, day: dt.date) -> bool:
    """Whether models must be trained before `day` can be predicted: none is registered, the training of
    the newest was killed, it is older than the profile allows, or a cutoff of the calendar grid has passed since."""
    newest = [registered(workspace, stage, day)[-1:] for stage in MODEL_STAGES]
    if not all(newest):
        return True
    # The record is a training's last write: without it the training was killed, and its documents may be missing.
    if any(workspace.record(stage, cutoffs[0]) is None for stage, cutoffs in zip(MODEL_STAGES, newest, strict=True)):
        return True
    oldest = min(cutoffs[0] for cutoffs in newest)
    if (day - oldest).days >= workspace.settings.sizes.model_max_age_days:
        return True
    return grid_cutoff(workspace, day) > oldest


def grid_cutoff(workspace: Workspace, day: dt.date) -> dt.date:
    """The newest cutoff of the calendar grid (multiples of the profile's spacing from 2000-01-01) not after `day`."""
    start = dt.date(2000, 1, 1)
    spacing = workspace.settings.sizes.refit_days
    return start + dt.timedelta(days=(day - start).days // spacing * spacing)


def extra_cutoffs(workspace: Workspace, stages: tuple[str, ...], day: dt.date) -> list[np.datetime64]:
    """Cutoffs that retrainings added to the grid, as `fit_history` takes them."""
    found = {cutoff for stage in stages for cutoff in registered(workspace, stage, day)}
    return [np.datetime64(cutoff) for cutoff in sorted(found)]


def _path(stage: str, cutoff: dt.date) -> str:
    return f"models/registered/{stage}/{cutoff}.json"
