"""Settings: what the user decides, from where each value came, and what each profile may spend.

What belongs here: the `Settings` model, the `Profile` table, the origins of each value. What does not:
anything that opens a file other than the TOML and `.env` files, or that knows a room below.

Values come, in this order, from arguments, ``STRATEGY_PIPELINE_*`` variables, a ``.env`` file, a TOML
file (``strategy_pipeline.toml`` in the working directory, or the path in ``STRATEGY_PIPELINE_CONFIG``),
and defaults. An unknown key is an error wherever it stands.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, PrivateAttr, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from strategy_pipeline.errors import SettingsError

PREFIX = "STRATEGY_PIPELINE_"
# Variables with our prefix that are not settings: the TOML path, and what the tests read.
NOT_SETTINGS = {f"{PREFIX}CONFIG"}
TEST_PREFIX = f"{PREFIX}TEST_"
TIMEFRAMES = ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d", "3d", "1w", "1M")
_SYMBOL = re.compile(r"^[A-Z0-9]{1,20}/[A-Z0-9]{2,10}$")


@dataclass(frozen=True)
class Profile:
    """What a run may spend. Every size that trades depth for time stands here and nowhere else.

    Days are calendar days; steps are environment steps (agents) or optimiser steps (transformer).
    """

    symbols: int  # symbols of the sample market when none are named
    history_days: int  # history before the day when `history_from` is not given
    population: int  # new candidates a day
    refit_days: int  # spacing of the walk-forward refits that fill history
    first_fit_days: int  # history a model needs before its first fit
    model_max_age_days: int  # older than this, the newest model is retrained before the day
    transformer_steps: int
    agent_steps: int  # per agent and fit
    optimize_strategies: int  # how many of the best are tuned
    optimize_trials: int  # Optuna trials for each
    bootstrap: int  # resamples in the evidence
    monte_carlo: int  # resamples in the robustness score
    perturbed: int  # jittered strategies, and runs with missed entries, in the robustness score
    price_histories: int  # price bootstraps in the robustness score


PROFILES: dict[str, Profile] = {
    "tiny": Profile(3, 180, 60, 60, 90, 30, 12, 512, 1, 4, 200, 50, 4, 2),
    "quick": Profile(8, 1095, 1000, 180, 365, 7, 150, 8_192, 3, 24, 1000, 200, 10, 10),
    "standard": Profile(12, 1460, 5000, 30, 365, 7, 1_000, 100_000, 20, 100, 2000, 1000, 20, 50),
    "full": Profile(20, 1825, 10_000, 7, 365, 7, 5_000, 500_000, 50, 200, 5000, 1000, 20, 100),
}


class Settings(BaseSettings):
    """Everything a run depends on besides the data. Immutable; equal settings give equal results.

    ``Settings(source="files", data="DIR", symbols=["BTC/USDT"])`` or, from the command line, options of
    the same names. `SettingsError` names the key, the value and what was expected.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=".env", extra="forbid", frozen=True, validate_default=False, env_ignore_empty=True
    )
    # The keys that change no result: where state lives and what runs it, not what is computed.
    OPERATIONAL: ClassVar[frozenset[str]] = frozenset(
        {"home", "backend", "workers", "cosmos_endpoint", "cosmos_key", "cosmos_database", "lake_url",
         "mlflow_tracking_uri", "log_level", "data"}
    )  # fmt: skip

    home: Path = Field(Path(".strategy_pipeline"), description="folder that holds all state")
    source: Literal["sample", "files", "indices", "ccxt"] = Field("sample", description="where market data comes from")
    data: Path | None = Field(None, description="folder (or file) that source=files reads")
    venue: str | None = Field(None, description="which venue when a folder holds a symbol on several (default: as market says)")
    market: Literal["spot", "perpetual"] = Field(
        "spot", description="what is traded; perpetual: prices of perpetuals, and what is held pays or earns settled funding"
    )
    exchange: str = Field("binance", description="ccxt exchange id that source=ccxt reads")
    symbols: Annotated[tuple[str, ...], NoDecode] = Field((), description="BASE/QUOTE, comma separated; empty: the source's default")
    timeframe: str = Field("1h", description=f"bar length, one of {', '.join(TIMEFRAMES)}")
    history_from: dt.date | None = Field(None, description="first day of history (default: the profile's history_days)")
    backend: Literal["embedded", "azure"] = Field("embedded", description="embedded: SQLite, local files; azure: Cosmos DB, Blob Storage")
    profile: Literal["tiny", "quick", "standard", "full"] = Field("quick", description="sizes: history, population, training budgets")
    population: int | None = Field(None, ge=1, le=1_000_000, description="new candidates a day (default: the profile's)")
    generators: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="what the day's candidates come from, e.g. systematic,genetic (default: every generator); they share population"
    )
    gate_top: int | None = Field(None, ge=1, le=1000, description="candidates that get a look at validation (default: the gate's own)")
    gate_level: float | None = Field(
        None, gt=0, lt=1, description="chance that a search promotes something where nothing can be foretold (default: the gate's own)"
    )
    gate_net_level: float | None = Field(
        None, gt=0, lt=1, description="chance that a search promotes something that earns nothing after costs (default: the gate's own)"
    )
    gate_robustness: float | None = Field(
        None, ge=0, le=1, description="least Monte Carlo robustness score of what is promoted (default: the gate's own)"
    )
    optimize_objective: Annotated[tuple[Literal["sharpe", "sortino", "calmar", "omega", "max_drawdown"], ...], NoDecode] = Field(
        (), description="what tuning improves: sharpe, sortino, calmar, omega, max_drawdown; several, comma separated: a Pareto front "
        "(default: sharpe)",
    )  # fmt: skip
    optimize_sampler: Literal["tpe", "nsga2", "nsga3", "gp", "cmaes"] | None = Field(
        None, description="what proposes numbers in tuning: tpe, nsga2, nsga3, gp, cmaes (default: tpe; nsga2 for several objectives)"
    )
    optimize_trials: int | None = Field(None, ge=1, le=10_000, description="trials for each strategy tuned (default: the profile's)")
    seed: int = Field(0, ge=0, lt=2**31, description="seed of every random draw")
    workers: int = Field(0, ge=0, le=1024, description="threads; 0: one per core")
    fee_bps: float = Field(10.0, ge=0, le=1000, description="fee per side, basis points of notional")
    slippage_bps: float = Field(5.0, ge=0, le=1000, description="slippage per side, basis points of price")
    fill: Literal["next_open", "close"] = Field("next_open", description="where orders fill")
    benchmark: Literal["buy_and_hold", "cash"] = Field("cash", description="what capital earns while nothing is active")
    target_volatility: float = Field(0.15, gt=0, le=5, description="annualised volatility the portfolio aims at")
    max_weight: float = Field(0.25, gt=0, le=1, description="largest absolute weight of one symbol")
    max_gross: float = Field(1.0, gt=0, le=10, description="largest sum of absolute weights")
    max_correlation: float = Field(0.8, gt=0, le=1, description="a candidate more correlated with an active strategy is not added")
    feature_set: Literal["minimal", "standard", "full"] = Field("standard", description="named feature set the models see")
    live: Annotated[tuple[str, ...], NoDecode] = Field((), description="live readers beside the source, e.g. rss,fear_greed,fred")
    sentiment_model: str | None = Field(None, description="folder or hub name of a text classifier (default: the embedded lexicon)")
    mlflow_tracking_uri: str | None = Field(None, description="MLflow server (default: SQLite under home)")
    lake_url: str | None = Field(None, description="fsspec URL of the lake (default: home/lake)")
    cosmos_endpoint: str | None = Field(None, description="Cosmos DB account, for backend=azure")
    cosmos_key: SecretStr | None = Field(None, description="Cosmos DB key (default: Azure identity)")
    cosmos_database: str = Field("strategy_pipeline", description="Cosmos DB database")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("WARNING", description="least severe log line printed")

    _arguments: frozenset[str] = PrivateAttr(default=frozenset())

    def __init__(self, **values: Any) -> None:
        _reject_unknown_variables(type(self))
        try:
            super().__init__(**values)
            self._arguments = frozenset(values)
        except ValidationError as error:
            raise SettingsError(_one_line(error)) from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, dotenv_settings, TomlConfigSettingsSource(settings_cls, toml_file=_toml_path())

    @field_validator("symbols", "live", "generators", "optimize_objective", mode="before")
    @classmethod
    def _split_symbols(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",") if part.strip()]
        return tuple(dict.fromkeys(value))

    @field_validator("symbols")
    @classmethod
    def _check_symbols(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for symbol in value:
            if not _SYMBOL.match(symbol):
                raise ValueError(f"Expected symbols like BTC/USDT, was {symbol!r}")
        return value

    @field_validator("timeframe")
    @classmethod
    def _check_timeframe(cls, value: str) -> str:
        if value not in TIMEFRAMES:
            raise ValueError(f"Expected one of {', '.join(TIMEFRAMES)}, was {value!r}")
        return value

    @model_validator(mode="after")
    def _check_together(self) -> Settings:
        if self.source == "files" and self.data is None:
            raise ValueError("source=files needs data: the folder that holds the files; pass --data DIR")
        if self.backend == "azure" and not self.cosmos_endpoint:
            raise ValueError("backend=azure needs cosmos_endpoint; set STRATEGY_PIPELINE_COSMOS_ENDPOINT")
        if self.optimize_sampler == "cmaes" and len(self.optimize_objective) > 1:
            said = ", ".join(self.optimize_objective)
            raise ValueError(f"optimize_sampler=cmaes takes one optimize_objective, was {said}; name one, or use nsga2 or nsga3")
        return self

    @property
    def sizes(self) -> Profile:
        """The profile's sizes, with `population` and `optimize_trials` replaced where the user gave them."""
        given = {"population": self.population, "optimize_trials": self.optimize_trials}
        return replace(PROFILES[self.profile], **{name: size for name, size in given.items() if size is not None})

    def start_of_history(self, day: dt.date) -> dt.date:
        """First day of history for a run of `day`: as given, or the profile's look-back.

        A look-back start is moved to the first of its month, so that consecutive days share one history
        and their lake files.
        """
        if self.history_from is not None:
            return self.history_from
        return (day - dt.timedelta(days=self.sizes.history_days)).replace(day=1)

    @property
    def fingerprint(self) -> str:
        """SHA-256 (12 hex digits) over every key that can change a result."""
        values = {k: v for k, v in self.model_dump(mode="json").items() if k not in self.OPERATIONAL}
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]

    def origins(self) -> dict[str, str]:
        """For each key, where its value came from: argument, environment, .env, the TOML file, default."""
        cls = type(self)
        toml = _toml_path()
        layers = [
            ("environment", EnvSettingsSource(cls)()),
            (".env", DotEnvSettingsSource(cls)()),
            (str(toml), TomlConfigSettingsSource(cls, toml_file=toml)()),
        ]
        found = {}
        for key in cls.model_fields:
            layer = next((name for name, values in layers if key in values), "default")
            origin = "argument" if key in self._arguments else layer
            found[key] = origin
        return found


def _toml_path() -> Path:
    return Path(os.environ.get(f"{PREFIX}CONFIG", "strategy_pipeline.toml"))


def _reject_unknown_variables(cls: type[Settings]) -> None:
    given = os.environ.get(f"{PREFIX}CONFIG")
    if given and not Path(given).is_file():
        raise SettingsError(f"Expected a TOML file at {PREFIX}CONFIG, was {given!r}, which does not exist; unset it or mend the path")
    known = {f"{PREFIX}{key}".upper() for key in cls.model_fields} | NOT_SETTINGS
    for name in os.environ:
        if name.upper().startswith(PREFIX) and name.upper() not in known and not name.upper().startswith(TEST_PREFIX):
            raise SettingsError(f"Expected a known setting, was the variable {name}; unset it, or see `strategy-pipeline config show`")


def _one_line(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"]) or "settings"
    if first["type"] == "extra_forbidden":
        return f"Expected a known setting, was {key!r}; see `strategy-pipeline config show` for the keys"
    message = first["msg"].removeprefix("Value error, ")
    return f"{key}: {message}" + ("" if "was" in message or key == "settings" else f", was {first.get('input')!r}")
