"""Gates and drift references of a universe: kept in the lake beside the fits of their cutoff, asked at each prediction.

``models/familiar/<cutoff>-<hash>.safetensors`` holds the `Familiarity` of a cutoff (the hash is over everything its fit could
see, so it is found again exactly when it would come out the same), and ``models/familiar/judged/<hash>.npy`` the verdicts
on a finished stretch of history, so that a day judges only the rows since the newest cutoff.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from strategy_pipeline.cycle import fits
from strategy_pipeline.cycle.features import matrix
from strategy_pipeline.cycle.workspace import DAY, Workspace
from strategy_pipeline.rng import derive_seed

if TYPE_CHECKING:
    from strategy_pipeline.features import DriftReport, Familiarity, FeatureMatrix
    from strategy_pipeline.forecasting.history import Judge

_FOLDER = "models/familiar"


@dataclass(frozen=True)
class Kept:
    """Where a `Familiarity` lies, the SHA-256 of its bytes, and what a model's entry says of it."""

    path: str
    sha256: str
    threshold: float | None  # of the gate; None where the window was too short for one

    @property
    def entry(self) -> dict[str, str | float | None]:
        return {"path": self.path, "sha256": self.sha256, "threshold": self.threshold}


def of_cutoff(workspace: Workspace, whole: FeatureMatrix, cutoff: str) -> Kept:
    """What is kept of the rows of a matrix known at the start of the day `cutoff`; made and stored where it is not yet."""
    from strategy_pipeline.features import Familiarity
    from strategy_pipeline.features.familiarity import training_hash

    # One entry for all cutoffs of a day: what a workspace remembers is dropped when there is much of it.
    known: dict[str, Kept] = workspace.remember(("familiar", str(whole.times[-1])), dict)
    if cutoff not in known:
        seed = derive_seed(fits.training_seed(workspace), "familiar", cutoff) % 2**31
        digest = hashlib.sha256(f"{training_hash(whole, cutoff)} {seed} {Familiarity.version()}".encode()).hexdigest()[:16]
        path = f"{_FOLDER}/{cutoff}-{digest}.safetensors"
        if not workspace.lake.exists(path):
            workspace.lake.write_bytes(path, Familiarity.fit(whole, cutoff, seed=seed).to_bytes())
        payload = workspace.lake.read_bytes(path)
        gate = Familiarity.from_bytes(payload).gate
        known[cutoff] = Kept(path, hashlib.sha256(payload).hexdigest(), None if gate is None else round(gate.threshold, 6))
    return known[cutoff]


def read(workspace: Workspace, kept: Kept) -> Familiarity:
    from strategy_pipeline.features import Familiarity

    return Familiarity.from_bytes(workspace.lake.read_bytes(kept.path))


def judge(workspace: Workspace, day: dt.date) -> Judge:
    """Which rows through the close of `day` are like the training of the fits of a cutoff, as `fit_history` asks it."""
    whole = matrix(workspace, day)
    known: dict[tuple[str, int, int], np.ndarray] = workspace.remember(("judged", day), dict)

    def verdict(cutoff: str, first: int, end: int) -> np.ndarray:
        if (cutoff, first, end) not in known:
            kept = of_cutoff(workspace, whole, cutoff)
            rows = whole.between(whole.times[first], None if end >= len(whole.times) else whole.times[end])
            known[cutoff, first, end] = _judged(workspace, kept, rows, end < len(whole.times))
        return known[cutoff, first, end]

    return verdict


def _judged(workspace: Workspace, kept: Kept, rows: FeatureMatrix, finished: bool) -> np.ndarray:
    from strategy_pipeline.features.familiarity import hash_of_rows

    if not finished:  # it grows by a day every day: kept when the next cutoff ends it
        return read(workspace, kept).judge(rows)
    content = hash_of_rows(rows, 0, len(rows.times))
    path = f"{_FOLDER}/judged/{hashlib.sha256(f'{kept.sha256} {content}'.encode()).hexdigest()[:24]}.npy"
    if workspace.lake.exists(path):
        return np.load(io.BytesIO(workspace.lake.read_bytes(path))).astype(np.float64)
    made = read(workspace, kept).judge(rows)
    buffer = io.BytesIO()
    np.save(buffer, made.astype(np.float32))
    workspace.lake.write_bytes(path, buffer.getvalue())
    return made


def drift(workspace: Workspace, day: dt.date, cutoff: str) -> DriftReport | None:
    """The week through the close of `day` against the training window of a cutoff; None where either has too few rows."""
    whole = matrix(workspace, day)
    return read(workspace, of_cutoff(workspace, whole, cutoff)).report(whole)


def at_training(workspace: Workspace, cutoff: dt.date) -> Kept:
    """What is kept beside the fits of a training with this cutoff."""
    return of_cutoff(workspace, matrix(workspace, cutoff - DAY), cutoff.isoformat())
