"""What the members say together: the volatility and the return that the rest of the house reads.

What belongs here: combining fitted members by how they did out of sample, with the baseline standing in where none beat
it. What does not: the members.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from strategy_pipeline.errors import NoDataError
from strategy_pipeline.forecasting.model import Forecaster, make, nest, unnest
from strategy_pipeline.forecasting.panel import Panel
from strategy_pipeline.forecasting.scaling import drift, summary, usable
from strategy_pipeline.forecasting.volatility import annualised, ewma_variance, har_inputs, har_variance, where_listed

Members = tuple[tuple[str, dict[str, Any]], ...]


@dataclass(frozen=True)
class _Ensemble(Forecaster):
    """Members as (model name, settings); each is trained on the same panel, and one that lacks history is left out."""

    members: Members

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Forecaster:
        return cls(tuple((name, dict(given)) for name, given in settings["members"]))

    def settings(self) -> dict[str, Any]:
        return {"members": [[name, make(name, given).settings()] for name, given in self.members]}

    def _train_members(self, panel: Panel, seed: int) -> tuple[dict[str, np.ndarray], dict[str, Any], dict[str, float]]:
        arrays: dict[str, np.ndarray] = {}
        configs: dict[str, Any] = {}
        metrics: dict[str, float] = {}
        for name, given in self.members:
            try:
                own, config, scores, accepted = make(name, given).train(panel, seed)
            except NoDataError as error:
                configs[name] = {"left_out": str(error)}
                continue
            arrays |= nest(name, own)
            configs[name] = {"config": config, "accepted": bool(accepted), "loss": scores.get("qlike_trimmed", 0.0)}
            metrics |= {f"{name}.{key}": value for key, value in scores.items()} | {f"{name}.accepted": float(accepted)}
        return arrays, configs, metrics

    def _ask(self, panel: Panel, arrays: Mapping[str, np.ndarray], config: Mapping[str, Any], start: int) -> dict[str, dict[str, Any]]:
        """What each accepted member predicts."""
        given = dict(self.members)
        return {
            name: make(name, given[name]).infer(panel, unnest(name, arrays), part["config"], start)
            for name, part in config["members"].items()
            if part.get("accepted")
        }


@dataclass(frozen=True)
class VolatilityEnsemble(_Ensemble):
    """`volatility`, annualised, of the next horizon: the members that beat exponential weights, averaged in variance.

    A member's weight falls by a factor e for each 0.03 of QLIKE it loses to the best. Where none beat the baseline, the
    baseline is the forecast and the fit is not accepted.
    """

    members: Members = (("har_volatility", {}), ("garch_volatility", {}))
    name: ClassVar[str] = "volatility"
    outputs: ClassVar[tuple[str, ...]] = ("volatility",)
    uses_features: ClassVar[bool] = False

    def train(self, panel: Panel, seed: int) -> tuple[dict[str, np.ndarray], dict[str, Any], dict[str, float], bool]:
        arrays, configs, metrics = self._train_members(panel, seed)
        accepted = {name: part["loss"] for name, part in configs.items() if part.get("accepted")}
        best = min(accepted.values(), default=0.0)
        raw = {name: float(np.exp((best - score) / 0.03)) for name, score in accepted.items()}
        weights = {name: value / sum(raw.values()) for name, value in raw.items()}
        metrics |= {f"{name}.weight": value for name, value in weights.items()}
        return arrays, {"members": configs, "weights": weights}, metrics, bool(accepted)

    def infer(self, panel: Panel, arrays: Mapping[str, np.ndarray], config: Mapping[str, Any], start: int = 0) -> dict[str, np.ndarray]:
        baseline = ewma_variance(panel)
        said = self._ask(panel, arrays, config, start)
        if not said:
            return {"volatility": where_listed(panel, annualised(baseline, panel.horizon))}
        total, weight = np.zeros(baseline.shape), np.zeros(baseline.shape)
        for name, parts in said.items():
            variance = parts["volatility"] ** 2
            there = np.isfinite(variance)
            total[there] += config["weights"][name] * variance[there]
            weight[there] += config["weights"][name]
        with np.errstate(invalid="ignore", divide="ignore"):
            mixed = np.where(weight > 0, np.sqrt(total / weight), annualised(baseline, panel.horizon))
        return {"volatility": where_listed(panel, mixed)}


@dataclass(frozen=True)
class ReturnEnsemble(_Ensemble):
    """`return` (simple, over the next horizon), `up` (probability that it is positive) and `confidence` in [0, 1].

    The mean of the members that beat their baselines out of sample; where none did, shrunk drift is the forecast and the
    fit is not accepted. `confidence` is the rank of the forecast's size (in units of volatility) among those made in
    training's last part, times the share of members that agree with its sign: high means unusual, not certain.
    """

    members: Members = (("boosted_returns", {}), ("market_transformer", {}))
    name: ClassVar[str] = "returns"
    outputs: ClassVar[tuple[str, ...]] = ("return", "up", "confidence")

    def train(self, panel: Panel, seed: int) -> tuple[dict[str, np.ndarray], dict[str, Any], dict[str, float], bool]:
        from strategy_pipeline.forecasting.scaling import fit_scale

        arrays, configs, metrics = self._train_members(panel, seed)
        arrays |= fit_scale(panel, panel.n_bars - panel.horizon.bars)
        arrays["strength"] = summary(drift(panel)[:, :: panel.horizon.stride])
        accepted = [name for name, part in configs.items() if part.get("accepted")]
        return arrays, {"members": configs, "features": list(panel.feature_names)}, metrics, bool(accepted)

    def stand_in(self, panel: Panel, arrays: Mapping[str, np.ndarray], config: Mapping[str, Any], start: int = 0) -> dict[str, np.ndarray]:
        """Shrunk drift, as where no member was accepted, with a confidence of zero: nothing is known about such rows."""
        series = self.infer(panel, arrays, {**config, "members": {}}, start)
        return {**series, "confidence": np.where(np.isnan(series["confidence"]), np.nan, 0.0)}

    def infer(self, panel: Panel, arrays: Mapping[str, np.ndarray], config: Mapping[str, Any], start: int = 0) -> dict[str, np.ndarray]:
        from scipy.special import ndtr

        said = self._ask(panel, arrays, config, start)
        sd = np.sqrt(har_variance(har_inputs(panel), unnest("scale", arrays)))
        if said:
            z = np.stack([parts["z"] for parts in said.values()])
            up = np.stack([parts["up"] for parts in said.values()])
            ranks = np.stack([_rank(parts["z"], arrays[f"{name}/strength"]) for name, parts in said.items()])
        else:
            z = np.where(usable(panel) if panel.features is not None else np.isfinite(panel.close), drift(panel), np.nan)[None]
            up, ranks = ndtr(z), _rank(z, arrays["strength"])
        centre = _present_mean(z)
        with np.errstate(invalid="ignore"):
            agreement = _present_mean(np.where(np.isnan(z), np.nan, (np.sign(z) == np.sign(centre)).astype(np.float64)))
        series = {"return": centre * sd, "up": _present_mean(up), "confidence": _present_mean(ranks) * agreement}
        missing = np.isnan(series["return"])
        return {name: np.where(missing, np.nan, values) for name, values in series.items()}


def _rank(z: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """Share of training's forecasts that were smaller, in [0, 1]; NaN stays NaN."""
    share = np.searchsorted(strength, np.abs(z), side="left") / len(strength)
    return np.where(np.isnan(z), np.nan, np.minimum(share, 1.0))


def _present_mean(stack: np.ndarray) -> np.ndarray:
    """Mean over the first axis of what is there, NaN where nothing is."""
    there = ~np.isnan(stack)
    count = there.sum(0)
    return np.where(count > 0, np.where(there, stack, 0.0).sum(0) / np.maximum(count, 1), np.nan)
