"""What can be wrong with what this room is given."""

from __future__ import annotations

from strategy_pipeline.errors import PipelineError


class InvalidReturnsError(PipelineError, ValueError):
    """Returns, ids or a count do not have the shape or range that a statistic needs."""


class LedgerVersionError(PipelineError):
    """A trials ledger was written by another version, or is damaged, so its count cannot be trusted as ours."""
