"""Settings: where values come from, which are refused, what identifies a run."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from strategy_pipeline.config import PROFILES, Settings
from strategy_pipeline.errors import SettingsError


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory without `.env` or TOML, and no variables of ours but those a test sets."""
    import os

    for name in list(os.environ):
        if name.startswith("STRATEGY_PIPELINE_") and not name.startswith("STRATEGY_PIPELINE_TEST_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_defaults_need_no_file_and_no_variable() -> None:
    settings = Settings()
    assert (settings.source, settings.backend, settings.profile, settings.home) == (
        "sample",
        "embedded",
        "quick",
        Path(".strategy_pipeline"),
    )
    assert set(settings.origins().values()) == {"default"}


def test_an_argument_wins_over_a_variable_over_dotenv_over_toml(empty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (empty_folder / "strategy_pipeline.toml").write_text('seed = 1\nfee_bps = 1.0\nslippage_bps = 1.0\ntimeframe = "4h"\n')
    (empty_folder / ".env").write_text("STRATEGY_PIPELINE_SEED=2\nSTRATEGY_PIPELINE_FEE_BPS=2.0\nSTRATEGY_PIPELINE_SLIPPAGE_BPS=2.0\n")
    monkeypatch.setenv("STRATEGY_PIPELINE_SEED", "3")
    monkeypatch.setenv("STRATEGY_PIPELINE_FEE_BPS", "3.0")
    settings = Settings(seed=4)
    assert (settings.seed, settings.fee_bps, settings.slippage_bps, settings.timeframe) == (4, 3.0, 2.0, "4h")
    origins = settings.origins()
    assert [origins[k] for k in ("seed", "fee_bps", "slippage_bps", "timeframe", "profile")] == [
        "argument", "environment", ".env", "strategy_pipeline.toml", "default",
    ]  # fmt: skip


def test_symbols_are_read_from_a_comma_separated_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRATEGY_PIPELINE_SYMBOLS", "BTC/USDT, ETH/USDT,BTC/USDT")
    settings = Settings()
    assert settings.symbols == ("BTC/USDT", "ETH/USDT")
    assert settings.origins()["symbols"] == "environment"


@pytest.mark.parametrize(
    ("where", "text"),
    [
        ("argument", None),
        ("variable", "STRATEGY_PIPELINE_COLOUR"),
        (".env", "STRATEGY_PIPELINE_COLOUR=red\n"),
        ("toml", 'colour = "red"\n'),
    ],
)
def test_an_unknown_key_is_an_error_wherever_it_stands(where: str, text: str, empty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = {}
    if where == "argument":
        arguments["colour"] = "red"
    elif where == "variable":
        monkeypatch.setenv(text, "red")
    else:
        (empty_folder / (".env" if where == ".env" else "strategy_pipeline.toml")).write_text(text)
    with pytest.raises(SettingsError, match="(?i)colour"):
        Settings(**arguments)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"timeframe": "7h"}, "timeframe: Expected one of"),
        ({"symbols": ["btcusdt"]}, "Expected symbols like BTC/USDT, was 'btcusdt'"),
        ({"source": "files"}, "source=files needs data"),
        ({"backend": "azure"}, "needs cosmos_endpoint"),
        ({"seed": -1}, "seed"),
        ({"fee_bps": "cheap"}, "fee_bps"),
        ({"optimize_objective": "luck"}, "optimize_objective.*was 'luck'"),
        ({"optimize_sampler": "grid"}, "optimize_sampler.*was 'grid'"),
        ({"optimize_trials": 0}, "optimize_trials.*was 0"),
        ({"optimize_trials": 10**9}, "optimize_trials.*was 1000000000"),
        ({"optimize_sampler": "cmaes", "optimize_objective": "sharpe,calmar"}, "takes one optimize_objective, was sharpe, calmar"),
    ],
)
def test_a_bad_value_is_named_with_what_was_expected(given: dict, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        Settings(**given)


def test_a_toml_path_that_does_not_exist_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRATEGY_PIPELINE_CONFIG", "nowhere.toml")
    with pytest.raises(SettingsError, match="nowhere.toml"):
        Settings()


def test_the_fingerprint_changes_with_what_changes_results_and_not_with_where_state_lies() -> None:
    base = Settings().fingerprint
    assert Settings(home="elsewhere", workers=2, log_level="ERROR").fingerprint == base
    assert len({base, Settings(seed=1).fingerprint, Settings(fee_bps=1).fingerprint, Settings(profile="tiny").fingerprint}) == 4


def test_history_starts_where_it_is_told_or_at_the_first_of_a_month() -> None:
    day = dt.date(2025, 6, 29)
    assert Settings(history_from="2023-01-01").start_of_history(day) == dt.date(2023, 1, 1)
    start = Settings(profile="quick").start_of_history(day)
    assert start.day == 1
    assert 0 <= (day - start).days - PROFILES["quick"].history_days < 31


def test_the_population_of_a_profile_can_be_replaced() -> None:
    assert Settings(population=7).sizes.population == 7
    assert Settings().sizes == PROFILES["quick"]
    assert Settings(optimize_trials=7).sizes.optimize_trials == 7


def test_a_secret_is_not_printed() -> None:
    settings = Settings(backend="azure", cosmos_endpoint="https://example.invalid", cosmos_key="s3cret")
    assert "s3cret" not in repr(settings)
    assert "s3cret" not in settings.model_dump_json()
