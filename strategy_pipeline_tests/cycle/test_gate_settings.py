"""What the settings change of the gate."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from strategy_pipeline.config import Settings
from strategy_pipeline.cycle import Workspace, strategies
from strategy_pipeline.rng import generator
from strategy_pipeline.selection import Gate, select
from strategy_pipeline_tests.cycle.conftest import FIRST


def test_any_level_that_can_be_set_makes_a_rule() -> None:
    returns = generator(0, "levels").standard_normal((200, 3)) / 100
    for level in (0.001, 0.02, 0.1, 0.5, 0.99):
        gate = strategies.gate_of(Workspace(Settings(home=Path("nowhere"), profile="tiny", gate_level=level)))
        assert gate.level == level
        select(returns[:100], returns[105:], ids=["a", "b", "c"], n_trials=3, gate=gate, n_blocks=0)


def test_settings_of_the_gate_are_its_rules(two_days: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    own = strategies.gate_of(two_days)
    assert own == Gate(resamples=two_days.settings.sizes.bootstrap)
    given = Settings(home=Path("nowhere"), profile="tiny", gate_top=1, gate_level=0.01, gate_net_level=0.05, gate_robustness=0.9)
    strict = strategies.gate_of(Workspace(given))
    assert (strict.top, strict.level, strict.net_level, strict.min_robustness) == (1, 0.01, 0.05, 0.9)
    assert Settings(gate_top=1).fingerprint != Settings().fingerprint
    written: dict[str, pd.DataFrame] = {}
    monkeypatch.setattr(type(two_days.lake), "write", lambda lake, path, frame: written.setdefault(path, frame))
    monkeypatch.setattr(strategies, "gate_of", lambda workspace: strict)
    strategies.evidence(two_days, FIRST)
    assert len(written[f"strategies/evidence/{FIRST}/evidence.parquet"]) == 1
