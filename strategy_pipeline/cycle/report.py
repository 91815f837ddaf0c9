"""What a stage says it did: one line, a few facts, a small table, a small line of values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from strategy_pipeline.store import Artifact

_BARS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class StageReport:
    """What one stage of one day did, for people.

    summary
        One line, e.g. ``120 rows of 5 symbols, 0 quarantined``.
    facts
        Counts and figures by name; plain Python numbers and text.
    table
        A few rows worth looking at, or None.
    line
        A short series worth a sparkline (equity, counts), or None.
    artifacts
        Lake files written, with their hashes.
    inputs, outputs
        Digests for the stage's record, beyond the records of its same-day inputs and its artifacts.
    """

    summary: str
    facts: Mapping[str, int | float | str] = field(default_factory=dict)
    table: pd.DataFrame | None = None
    line: np.ndarray | None = None
    artifacts: tuple[Artifact, ...] = ()
    inputs: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)

    @property
    def sparkline(self) -> str:
        return sparkline(self.line) if self.line is not None else ""


def sparkline(values: np.ndarray, width: int = 60) -> str:
    """Values as a line of block characters, oldest first; at most `width` of them, gaps as spaces."""
    values = np.asarray(values, dtype=np.float64)
    if values.size > width:
        values = values[np.linspace(0, values.size - 1, width).astype(int)]
    finite = np.isfinite(values)
    if not finite.any():
        return ""
    low, high = values[finite].min(), values[finite].max()
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BARS[round((v - low) * scale)] if ok else " " for v, ok in zip(values, finite, strict=True))
