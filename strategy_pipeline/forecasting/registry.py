"""The registry of fitted models: every fit as an MLflow run and a registered version.

What belongs here: logging fits, finding the newest accepted one, aliases that mirror it. What does not: the bytes that
predictions are made from, which lie in the lake; MLflow holds a copy for people and for serving.

Opening a new SQLite database runs MLflow's migrations once, about a second of work; opening it again takes milliseconds,
and logging a fit about a tenth of a second.
"""

from __future__ import annotations

import datetime as dt
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from strategy_pipeline.errors import StateVersionError

EXPERIMENT = "strategy_pipeline"
ARTIFACT = "model.safetensors"
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}


@dataclass(frozen=True)
class RegisteredModel:
    """One registered version: `kind` is its name in the registry, `cutoff` an ISO day, `content` the SHA-256 of its bytes."""

    kind: str
    version: int
    cutoff: str
    content: str
    accepted: bool
    run_id: str
    tags: dict[str, str]


class Registry:
    """Models by kind and cutoff over MLflow.

    Parameters
    ----------
    tracking_uri : ``sqlite:///path/mlflow.db`` or the URL of a server
    artifacts : folder for copies of the bytes (with SQLite; a server has its own place)

    Raises
    ------
    StateVersionError
        The database cannot be opened by this MLflow.
    """

    def __init__(self, tracking_uri: str, artifacts: str | Path | None = None) -> None:
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient
        from sqlalchemy.exc import SQLAlchemyError

        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        if tracking_uri.startswith("sqlite:///"):
            _create_database(Path(tracking_uri.removeprefix("sqlite:///")))
        try:
            self._client = MlflowClient(tracking_uri, registry_uri=tracking_uri)
            found = self._client.get_experiment_by_name(EXPERIMENT)
            location = Path(artifacts).absolute().as_uri() if artifacts is not None else None
            self._experiment = found.experiment_id if found else self._client.create_experiment(EXPERIMENT, artifact_location=location)
        except (MlflowException, SQLAlchemyError) as error:
            raise StateVersionError(
                f"Expected a model registry this MLflow can open at {tracking_uri}, was: {str(error).splitlines()[0]}; "
                "move the database away and run again: fits are found in the lake and logged anew"
            ) from error

    def log(
        self,
        kind: str,
        *,
        cutoff: Any,
        content: str,
        payload: bytes,
        accepted: bool,
        metrics: Mapping[str, float] | None = None,
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, Any] | None = None,
    ) -> RegisteredModel:
        """Log a fit as a run with its bytes and register it as the next version of `kind`.

        The same (kind, cutoff, content) again returns the version that exists. A logging that was killed half-way is
        taken up where it stopped. Afterwards the alias `champion` names the newest accepted version, and `challenger`
        the newest one where that is not the champion. Metrics that are NaN are left out.
        """
        day = _day(cutoff)
        for known in self._versions(kind):
            if known.cutoff == day and known.content == content:
                return known
        own = {str(k): str(v) for k, v in (tags or {}).items()}
        given = {
            **own,
            "kind": kind,
            "cutoff": day,
            "content": content,
            "accepted": str(accepted).lower(),
            "fit": f"{kind}/{day}/{content}",
        }
        run_id = self._run(given["fit"], kind, day, given)
        self._log_run(run_id, payload, metrics or {}, params or {})
        version = self._register(kind, run_id, given)
        self._client.set_terminated(run_id, "FINISHED", end_time=_milliseconds(day))
        # The last write: a version counts as logged only with this tag, so a killed logging is never half believed.
        self._client.set_model_version_tag(kind, str(version), "complete", "true")
        self._mirror(kind)
        return RegisteredModel(kind, version, day, content, accepted, run_id, {**given, "complete": "true"})

    def versions(self, kind: str) -> list[RegisteredModel]:
        """Every registered version of a kind, by cutoff, then version."""
        return sorted(self._versions(kind), key=lambda model: (model.cutoff, model.version))

    def newest(self, kind: str, day: Any) -> RegisteredModel | None:
        """The newest accepted model whose cutoff is not after `day`, or None. A later version of the same cutoff wins."""
        limit = _day(day)
        return max(
            (model for model in self._versions(kind) if model.accepted and model.cutoff <= limit),
            key=lambda model: (model.cutoff, model.version),
            default=None,
        )

    def alias(self, kind: str, name: str) -> int | None:
        """The version an alias names, or None."""
        from mlflow.exceptions import MlflowException

        try:
            return int(self._client.get_model_version_by_alias(kind, name).version)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise

    def payload(self, model: RegisteredModel) -> bytes:
        """The copy of the bytes that MLflow holds."""
        with tempfile.TemporaryDirectory() as folder:
            return Path(self._client.download_artifacts(model.run_id, ARTIFACT, folder)).read_bytes()

    def metrics(self, model: RegisteredModel) -> dict[str, float]:
        """The metrics logged with a model."""
        return dict(self._client.get_run(model.run_id).data.metrics)

    def _versions(self, kind: str) -> Iterator[RegisteredModel]:
        token = None
        while True:
            page = self._client.search_model_versions(f"name = '{kind}'", max_results=1000, page_token=token)
            for found in page:
                if found.tags.get("complete") == "true":
                    yield RegisteredModel(
                        kind,
                        int(found.version),
                        found.tags["cutoff"],
                        found.tags["content"],
                        found.tags["accepted"] == "true",
                        str(found.run_id),
                        dict(found.tags),
                    )
            token = page.token
            if not token:
                return

    def _run(self, fit: str, kind: str, day: str, tags: dict[str, str]) -> str:
        found = self._client.search_runs([self._experiment], f"tags.fit = '{fit}'", max_results=1)
        if found:
            return found[0].info.run_id
        return self._client.create_run(self._experiment, start_time=_milliseconds(day), run_name=f"{kind} {day}", tags=tags).info.run_id

    def _log_run(self, run_id: str, payload: bytes, metrics: Mapping[str, float], params: Mapping[str, Any]) -> None:
        from mlflow.entities import Metric, Param

        self._client.log_batch(
            run_id,
            metrics=[Metric(_key(k), float(v), 0, 0) for k, v in metrics.items() if np.isfinite(v)],
            params=[Param(_key(k), str(v)[:6000]) for k, v in params.items()],
        )
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / ARTIFACT
            copy.write_bytes(payload)
            self._client.log_artifact(run_id, str(copy))

    def _register(self, kind: str, run_id: str, tags: dict[str, str]) -> int:
        from mlflow.exceptions import MlflowException

        for found in self._client.search_model_versions(f"name = '{kind}' and run_id = '{run_id}'"):
            return int(found.version)
        try:
            self._client.create_registered_model(kind)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        source = f"{self._client.get_run(run_id).info.artifact_uri}/{ARTIFACT}"
        return int(self._client.create_model_version(kind, source=source, run_id=run_id, tags=tags).version)

    def _mirror(self, kind: str) -> None:
        newest = max(self._versions(kind), key=lambda model: (model.cutoff, model.version), default=None)
        champion = self.newest(kind, "9999-12-31")
        challenger = newest if newest != champion else None
        for name, model in (("champion", champion), ("challenger", challenger)):
            now = self.alias(kind, name)
            if model is None and now is not None:
                self._client.delete_registered_model_alias(kind, name)
            elif model is not None and model.version != now:
                self._client.set_registered_model_alias(kind, name, str(model.version))


def _create_database(path: Path) -> None:
    """Make MLflow's tables in a new file, complete or not at all.

    The migrations commit some fifty times; waiting for the disk at each would take most of a tiny run. They are made in a
    file of another name without waiting, which is synchronised once and renamed.
    """
    if path.exists():
        return
    import sqlalchemy
    from mlflow.store.db.utils import _initialize_tables

    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    engine = sqlalchemy.create_engine(f"sqlite:///{fresh}")

    @sqlalchemy.event.listens_for(engine, "connect")
    def _no_waiting(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA journal_mode = MEMORY")

    _initialize_tables(engine)
    engine.dispose()
    with fresh.open("rb") as file:
        os.fsync(file.fileno())
    fresh.replace(path)


def _day(value: Any) -> str:
    """An ISO day of a date, datetime, numpy time or text."""
    return str(value)[:10]


def _milliseconds(day: str) -> int:
    return int(dt.datetime.fromisoformat(day).replace(tzinfo=dt.UTC).timestamp() * 1000)


def _key(name: str) -> str:
    """A name MLflow accepts for metrics and parameters."""
    return "".join(c if c.isalnum() or c in "_-./ " else "_" for c in name)
