"""What every forecaster is: fitted at a cutoff, turned into arrays and bytes, able to predict row by row.

What belongs here: the base classes, restoring a fitted model from its bytes. What does not: any particular model.

Bytes are safetensors: arrays, and one JSON text with the configuration. No pickle, no time stamp, so the same training
gives the same bytes.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import import_module
from typing import Any, ClassVar

import numpy as np

from strategy_pipeline.errors import CorruptFileError, NoDataError
from strategy_pipeline.forecasting.panel import Horizon, Panel

FORMAT = 1
# Where each model's class stands, so that a fitted model can be restored without importing all of them.
HOMES = {
    "ewma_volatility": ("volatility", "EwmaVolatility"),
    "har_volatility": ("volatility", "HarVolatility"),
    "garch_volatility": ("garch", "GarchVolatility"),
    "two_state_regime": ("regime", "TwoStateRegime"),
    "boosted_returns": ("boosting", "BoostedReturns"),
    "market_transformer": ("transformer", "MarketTransformer"),
    "volatility": ("ensemble", "VolatilityEnsemble"),
    "returns": ("ensemble", "ReturnEnsemble"),
}


class Forecaster(ABC):
    """A model that can be fitted. Immutable settings; `fit` returns what was learned.

    Attributes
    ----------
    name : which model it is
    outputs : names of the series that `predict` returns
    uses_features : whether features matter; without, a fit depends on prices alone
    """

    name: ClassVar[str]
    outputs: ClassVar[tuple[str, ...]]
    uses_features: ClassVar[bool] = True

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Forecaster:
        """The inverse of `settings`."""
        return cls(**settings)

    def horizon(self, timeframe: str) -> Horizon:
        return Horizon.of(timeframe)

    def settings(self) -> dict[str, Any]:
        """The settings that decide what is learned, JSON-able: part of a fit's cache key."""
        return asdict(self)  # type: ignore[call-overload]  # every model is a dataclass

    def fit(self, bars: Any, features: Any = None, *, cutoff: Any, seed: int = 0) -> FittedForecaster:
        """Train on what was known at `cutoff`: bars that had closed by then, labels that had ended by then.

        Parameters
        ----------
        bars : Bars (or Panel), features : FeatureMatrix on the same rows, or None for models of prices only
        cutoff : date, datetime64 or ISO text, UTC
        seed : of every draw the training makes

        Raises
        ------
        NoDataError
            Too little history before the cutoff.
        """
        from strategy_pipeline.market.timeframes import to_time

        moment = to_time(cutoff)
        panel = Panel.of(bars, features).known_at(moment)
        arrays, config, metrics, accepted = self.train(panel, seed)
        return FittedForecaster(
            model=self.name,
            cutoff=str(moment.astype("datetime64[s]")),
            timeframe=panel.timeframe,
            seed=seed,
            settings=self.settings(),
            config=config,
            arrays=arrays,
            metrics={key: float(value) for key, value in metrics.items()},
            accepted=bool(accepted),
        )

    @abstractmethod
    def train(self, panel: Panel, seed: int) -> tuple[dict[str, np.ndarray], dict[str, Any], dict[str, float], bool]:
        """Arrays, JSON-able configuration, out-of-sample metrics, and whether the model beat its baseline."""

    @abstractmethod
    def infer(self, panel: Panel, arrays: Mapping[str, np.ndarray], config: Mapping[str, Any], start: int = 0) -> dict[str, np.ndarray]:
        """The series, float64 (n_symbols, n_bars); row t from rows up to t. Rows before `start` may be left NaN."""

    def stand_in(
        self, panel: Panel, arrays: Mapping[str, np.ndarray], config: Mapping[str, Any], start: int = 0
    ) -> dict[str, np.ndarray] | None:
        """The series, as `infer` gives them, that answer at rows unlike any the model was trained on: those of its baseline.

        None where the model needs none: one of prices alone has no features that could be unlike.
        """
        return None


@dataclass(frozen=True)
class FittedForecaster:
    """What was learned at a cutoff. `predict` is causal row by row: truncating the bars after t leaves row t as it is.

    `metrics` are measured on the last part of the training span, purged by the horizon, by a fit that did not see it;
    `accepted` says whether they beat the baseline's.
    """

    model: str
    cutoff: str
    timeframe: str
    seed: int
    settings: dict[str, Any]
    config: dict[str, Any]
    arrays: dict[str, np.ndarray] = field(repr=False)
    metrics: dict[str, float]
    accepted: bool

    @property
    def forecaster(self) -> Forecaster:
        """The unfitted model with the same settings."""
        return make(self.model, self.settings)

    @property
    def outputs(self) -> tuple[str, ...]:
        return self.forecaster.outputs

    @property
    def horizon(self) -> Horizon:
        return self.forecaster.horizon(self.timeframe)

    def predict(self, bars: Any, features: Any = None, *, start: int = 0) -> dict[str, np.ndarray]:
        """Series by name, float64 (n_symbols, n_bars), NaN where they cannot be had. Row t uses rows up to t only.

        They stand on the bars given. Windows run over the bars that exist; where no symbol trades, all is NaN (`Panel.of`).

        Rows before `start` may be left NaN: ask for the rows that are wanted, and costly models compute no others.
        """
        panel = Panel.of(bars, features)
        if panel is bars:
            return self.forecaster.infer(panel, self.arrays, self.config, start)
        said = self.forecaster.infer(panel, self.arrays, self.config, panel.row_of(start))
        return {name: panel.on_grid(values) for name, values in said.items()}

    def state(self) -> dict[str, np.ndarray]:
        """Arrays that restore the model; the configuration rides along as JSON text in ``__config__`` (uint8)."""
        config = {
            "format": FORMAT,
            "model": self.model,
            "cutoff": self.cutoff,
            "timeframe": self.timeframe,
            "seed": self.seed,
            "settings": self.settings,
            "config": self.config,
            "metrics": {k: None if np.isnan(v) else v for k, v in self.metrics.items()},
            "accepted": self.accepted,
        }
        text = json.dumps(config, sort_keys=True, allow_nan=False)
        return {**self.arrays, "__config__": np.frombuffer(text.encode(), dtype=np.uint8)}

    def to_bytes(self) -> bytes:
        """The state as safetensors bytes: equal states give equal bytes."""
        return pack(self.state())

    @classmethod
    def from_bytes(cls, payload: bytes) -> FittedForecaster:
        """The inverse of `to_bytes`. Raises `CorruptFileError` when the bytes are no such model."""
        return restore(unpack(payload))


def make(name: str, settings: Mapping[str, Any]) -> Forecaster:
    """A forecaster by name and settings; `CorruptFileError` for an unknown name."""
    if name not in HOMES:
        raise CorruptFileError(f"Expected a model of {', '.join(HOMES)}, was {name!r}; train it again with this version")
    module, cls = HOMES[name]
    return getattr(import_module(f"strategy_pipeline.forecasting.{module}"), cls).from_settings(settings)


def restore(state: Mapping[str, np.ndarray]) -> FittedForecaster:
    """A fitted model from `FittedForecaster.state`. Raises `CorruptFileError` for another format."""
    try:
        config = json.loads(bytes(state["__config__"]).decode())
        found = config["format"]
    except (KeyError, ValueError) as error:
        raise CorruptFileError("Expected a model's state with its configuration, was none; train the model again") from error
    if found != FORMAT:
        raise CorruptFileError(f"Expected model format {FORMAT}, was {found}; train the model again with this version")
    return FittedForecaster(
        model=config["model"],
        cutoff=config["cutoff"],
        timeframe=config["timeframe"],
        seed=config["seed"],
        settings=config["settings"],
        config=config["config"],
        arrays={key: np.asarray(value) for key, value in state.items() if key != "__config__"},
        metrics={k: np.nan if v is None else float(v) for k, v in config["metrics"].items()},
        accepted=config["accepted"],
    )


def pack(arrays: Mapping[str, np.ndarray]) -> bytes:
    """safetensors bytes of arrays, in the order of their names."""
    from safetensors.numpy import save

    return save({name: np.ascontiguousarray(arrays[name]) for name in sorted(arrays)})


def unpack(payload: bytes) -> dict[str, np.ndarray]:
    """The inverse of `pack`; `CorruptFileError` when the bytes are not safetensors."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return load(payload)
    except SafetensorError as error:
        raise CorruptFileError(f"Expected safetensors bytes, was {len(payload)} bytes of something else ({error}); train again") from error


def nest(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays of a part, named under it."""
    return {f"{prefix}/{name}": value for name, value in arrays.items()}


def unnest(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of one part."""
    head = f"{prefix}/"
    return {name[len(head) :]: value for name, value in arrays.items() if name.startswith(head)}


def too_short(what: str, found: int, needed: int) -> NoDataError:
    """The error of every model that has too few training rows."""
    return NoDataError(f"Expected at least {needed} training rows for {what}, was {found}, so nothing can be learned; give more history")
