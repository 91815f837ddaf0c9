"""The version of the program, as installed."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("strategy-pipeline")
except PackageNotFoundError:  # read from a source tree that was never installed
    __version__ = "0+source"
