"""The Dagster UI on a home: webserver and daemon, with the settings that the last run of the home used."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

from strategy_pipeline import console
from strategy_pipeline.config import PREFIX, Settings
from strategy_pipeline.defs.instance import open_instance
from strategy_pipeline.defs.last_run import remembered
from strategy_pipeline.defs.resources import shared_workspace
from strategy_pipeline.errors import PipelineError


def serve_ui(settings: Settings, host: str, port: int) -> None:
    """Runs `dagster dev` on the home until Ctrl-C. Options given win over what the last run of the home used."""
    _require_free(host, port)
    settings = remembered(settings)
    with shared_workspace(settings).lock():  # a fresh home opened by two processes at once breaks one of them
        open_instance(settings.home).dispose()
    environment = {
        **os.environ,
        **as_variables(settings),
        "PYTHONWARNINGS": "ignore",
        "DAGSTER_HOME": str((settings.home / "dagster").resolve()),
    }
    console.lines([f"Dagster UI on http://{host}:{port} for {shared_workspace(settings).universe} (Ctrl-C stops it)"])
    command = [sys.executable, "-m", "dagster", "dev", "-m", "strategy_pipeline.definitions", "--host", host, "--port", str(port)]
    # Started from Python, so that the child keeps the default signal handlers and stops with Ctrl-C.
    child = subprocess.Popen([*command, "--log-level", "warning"], env=environment)
    try:
        child.wait()
    except KeyboardInterrupt:
        child.wait(timeout=30)
    if child.returncode not in (0, -2, 130):
        raise PipelineError(f"Expected the Dagster UI to run until stopped, was exit code {child.returncode}; see its messages above")


def as_variables(settings: Settings) -> dict[str, str]:
    """The settings as environment variables of a child process.

    Also those that equal their defaults: the child reads the same variables, `.env` and TOML, and an option that was
    given must win over them there too.
    """
    values = {}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if value is None or value == ():
            continue
        if name == "cosmos_key":
            value = value.get_secret_value()
        values[f"{PREFIX}{name.upper()}"] = ",".join(value) if isinstance(value, tuple) else str(value)
    values[f"{PREFIX}HOME"] = str(settings.home.resolve())
    if settings.data is not None:
        values[f"{PREFIX}DATA"] = str(settings.data.resolve())
    return values


def _require_free(host: str, port: int) -> None:
    with socket.socket() as probe:
        if probe.connect_ex((host, port)) == 0:
            raise PipelineError(f"Expected port {port} on {host} to be free, was in use; pass --port with another")
