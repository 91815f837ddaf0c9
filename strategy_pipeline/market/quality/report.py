"""What a quality check says: rows that passed, rows set apart with the reason, and a line per rule."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

RULE_COLUMNS = ("rule", "severity", "checked", "failed", "example")
WARNING_COLUMNS = ("rule", "symbol", "ts", "count", "reason")


@dataclass(frozen=True)
class QualityReport:
    """The outcome of the rules on one frame. ``len(clean) + len(quarantine)`` is the number of rows given.

    clean
        Rows that broke no error rule, the frame's columns, sorted by symbol and time.
    quarantine
        Rows that broke one: the frame's columns, then ``rule`` (the first broken) and ``reason`` in words.
    rules
        ``rule, severity (error | warning), checked, failed, example``: every rule that was applied, also those
        that nothing broke. `checked` and `failed` count rows (for gaps: bars expected and missing).
    warnings
        ``rule, symbol, ts, count, reason``: each finding that does not remove rows; a run of bars is one row, with
        the time of its first bar and its length.
    """

    clean: pd.DataFrame
    quarantine: pd.DataFrame
    rules: pd.DataFrame
    warnings: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(WARNING_COLUMNS)))

    @property
    def passed(self) -> bool:
        """Whether no row broke an error rule."""
        return self.quarantine.empty

    def summary(self) -> str:
        """One line for people: rows kept, rows set apart and by which rules, warnings."""
        broken = self.rules[self.rules["failed"] > 0]
        errors = [f"{row.rule} {row.failed}" for row in broken.itertuples() if row.severity == "error"]
        warned = [f"{row.rule} {row.failed}" for row in broken.itertuples() if row.severity == "warning"]
        return (
            f"{len(self.clean)} rows kept, {len(self.quarantine)} set apart ({', '.join(errors) or 'none'}); "
            f"warnings: {', '.join(warned) or 'none'}"
        )


@dataclass(frozen=True)
class Verification:
    """Whether a frame that should be clean is; `results` has ``rule, passed, checked, failed, detail, executor``."""

    passed: bool
    results: pd.DataFrame

    def failures(self) -> str:
        """The broken rules in one line, empty when none."""
        broken = self.results[~self.results["passed"]]
        return "; ".join(f"{row.rule}: {row.detail}" for row in broken.itertuples())
