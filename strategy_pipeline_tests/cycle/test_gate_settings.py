"""What the settings change of the gate."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from strategy_pipeline.config import Settings
from strategy_pipeline.cycle import Workspace, strategies
from strategy_pipeline_tests.cycle.conftest import FIRST


def test_settings_of_the_gate_are_its_rules(two_days: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    from strategy_pipeline.selection import Gate

    own = strategies.gate_of(two_days)
    assert own == Gate(resamples=two_days.settings.sizes.bootstrap)
    given = Settings(home=Path("nowhere"), profile="tiny", gate_top=1, gate_level=0.01, gate_robustness=0.9)
    strict = strategies.gate_of(Workspace(given))
    assert (strict.top, strict.level, strict.min_robustness) == (1, 0.01, 0.9)
    assert Settings(gate_top=1).fingerprint != Settings().fingerprint
    written: dict[str, pd.DataFrame] = {}
    monkeypatch.setattr(type(two_days.lake), "write", lambda lake, path, frame: written.setdefault(path, frame))
    monkeypatch.setattr(strategies, "gate_of", lambda workspace: strict)
    strategies.evidence(two_days, FIRST)
    assert len(written[f"strategies/evidence/{FIRST}/evidence.parquet"]) == 1
