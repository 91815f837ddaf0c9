"""The Dagster entry point: `workspace.yaml` and `dagster definitions validate` load this module."""

from __future__ import annotations

from strategy_pipeline.defs.build import build_defs

defs = build_defs()

__all__ = ["build_defs", "defs"]
