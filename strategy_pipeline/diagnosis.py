"""What `strategy-pipeline doctor` checks: Python, packages, the compiled ones, the state folder, the data.

Each finding says what was found and, where something is wrong, what to do. Nothing is changed.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import psutil

from strategy_pipeline.config import Settings
from strategy_pipeline.errors import PipelineError

_NEEDED_MEMORY = 4 * 2**30
_NEEDED_DISK = 2 * 2**30


@dataclass(frozen=True)
class Finding:
    what: str
    ok: bool
    detail: str
    remedy: str = ""
    optional: bool = False


def diagnose(settings: Settings) -> list[Finding]:
    """Every check, in the order a person would make them."""
    return [*_platform(), *_packages(), _talib(), _home(settings), _memory(), _disk(settings), *_optional(), _data(settings)]


def _platform() -> Iterator[Finding]:
    supported = (3, 11) <= sys.version_info[:2] < (3, 13)
    yield Finding("Python", supported, platform.python_version(), "install Python 3.11 or 3.12 and run: make PYTHON=python3.11 run")
    linux = sys.platform.startswith("linux") and platform.machine() == "x86_64"
    detail = f"{platform.system()} {platform.machine()}"
    yield Finding("platform", linux, detail, "tested on Linux x86-64 only; others may work", optional=True)


def _packages() -> Iterator[Finding]:
    """The versions that are installed against those the project asks for."""
    from packaging.requirements import Requirement

    try:
        wanted = [Requirement(text) for text in requires("strategy-pipeline") or []]
    except PackageNotFoundError:
        yield Finding("packages", False, "strategy-pipeline is not installed", "run: make run, or pip install -c constraints.txt -e .")
        return
    wrong = []
    needed = [r for r in wanted if r.marker is None or r.marker.evaluate({"extra": ""})]
    for requirement in needed:
        try:
            found = version(requirement.name)
            if not requirement.specifier.contains(found.split("+")[0], prereleases=True):
                wrong.append(f"{requirement.name} {found} is not {requirement.specifier}")
        except PackageNotFoundError:
            wrong.append(f"{requirement.name} is missing")
    yield Finding("packages", not wrong, "; ".join(wrong) or f"{len(needed)} as required", "pip install -c constraints.txt -e .")


def _talib() -> Finding:
    try:
        import talib

        return Finding("TA-Lib", True, f"{talib.__version__}, {len(talib.get_functions())} functions")
    except ImportError as error:
        return Finding("TA-Lib", False, str(error), "pip install -c constraints.txt TA-Lib (its wheel bundles the C library)")


def _home(settings: Settings) -> Finding:
    from strategy_pipeline.store import State
    from strategy_pipeline.store.state import STATE_VERSION

    try:
        found = State.recorded_version(settings.home)
        if found is not None and found > STATE_VERSION:
            detail = f"{settings.home} has version {found}, this program knows {STATE_VERSION} and older"
            return Finding("state folder", False, detail, "use the newer program that wrote it, or choose another with --home")
        parent = next(p for p in (settings.home, *settings.home.resolve().parents) if p.exists())
        if not parent.is_dir() or not os.access(parent, os.W_OK):
            return Finding(
                "state folder", False, f"{settings.home} cannot be written", "choose another with --home or mend its permissions"
            )
        return Finding("state folder", True, f"{settings.home} " + ("is new" if found is None else f"has version {found}"))
    except PipelineError as error:
        return Finding("state folder", False, str(error), "choose another with --home")


def _memory() -> Finding:
    free = psutil.virtual_memory().available
    return Finding(
        "memory",
        free >= _NEEDED_MEMORY,
        f"{free / 2**30:.1f} GiB free",
        "4 GiB free are enough for profile quick; close programs, or use --profile tiny",
    )


def _disk(settings: Settings) -> Finding:
    folder = next(p for p in (settings.home.resolve(), *settings.home.resolve().parents) if p.exists())
    free = shutil.disk_usage(folder).free
    return Finding("disk", free >= _NEEDED_DISK, f"{free / 2**30:.1f} GiB free at {folder}", "free 2 GiB, or choose another --home")


def _optional() -> Iterator[Finding]:
    for name, what in (("ray", "shards on a cluster"),):
        try:
            yield Finding(name, True, f"{version(name)} ({what})", optional=True)
        except PackageNotFoundError:
            yield Finding(name, False, f"not installed ({what})", f"pip install -c constraints.txt '.[cluster]' for {what}", optional=True)


def _data(settings: Settings) -> Finding:
    if settings.source != "files":
        return Finding("market data", True, f"source {settings.source}")
    folder = Path(settings.data) if settings.data else Path()
    if not folder.exists():
        return Finding("market data", False, f"{folder} does not exist", "pass --data with the folder of your files")
    try:
        from strategy_pipeline.market import open_source

        return Finding("market data", True, f"{len(open_source(settings).symbols())} symbols in {folder}")
    except PipelineError as error:
        return Finding("market data", False, str(error), "see docs/data.md for the layouts that are recognised")
