"""What each asset of the day computes, without Dagster.

What belongs here: the `Workspace` (the lake, documents, registry and source that settings name), one stage
a product of the day (read inputs, call the rooms above, write outputs, say what was done), the graph of
stages, and their records. What does not: maths (it is in the rooms above), Dagster (`defs/` wraps these
stages; the orchestrator calls them without it).

A stage is a function of (workspace, day). It reads only rows with ``available_at`` at or before the day's
close, fails with the remedy when an input is missing, writes atomically, and writes the same bytes when it
is run again on the same inputs.
"""

from __future__ import annotations

from strategy_pipeline.cycle.checks import CHECKS, run_check
from strategy_pipeline.cycle.graph import STAGES, Stage, run_missing, run_stage
from strategy_pipeline.cycle.market import ingest_history
from strategy_pipeline.cycle.report import StageReport
from strategy_pipeline.cycle.workspace import Workspace

__all__ = ["CHECKS", "STAGES", "Stage", "StageReport", "Workspace", "ingest_history", "run_check", "run_missing", "run_stage"]
