"""Volatility of the next horizon from realised volatility: exponential weights (the baseline) and log-HAR.

What belongs here: models of realised variance on bars alone. What does not: GARCH recursions (garch).

log-HAR (Corsi 2009, in logs): the log of the next horizon's realised variance regressed on logs of past realised
variance over a quarter of a horizon, one, seven and thirty horizons, with range-based variance (Parkinson 1980),
downside semivariance, relative volume, the market's mean and the calendar; pooled over symbols by ridge regression. The
exponential of the prediction is scaled by the mean of realised / predicted in training, the factor that QLIKE asks for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from strategy_pipeline.forecasting.kernels import exponential_mean, linear_scores, trailing_mean
from strategy_pipeline.forecasting.model import Forecaster, too_short
from strategy_pipeline.forecasting.panel import Horizon, Panel
from strategy_pipeline.forecasting.scores import judged_rows, volatility_scores


def annualised(variance: np.ndarray, horizon: Horizon) -> np.ndarray:
    """Annualised volatility of a variance over the horizon."""
    return np.sqrt(variance / horizon.years)


def where_listed(panel: Panel, values: np.ndarray) -> np.ndarray:
    """The values, NaN where no bar is."""
    return np.where(np.isnan(panel.close), np.nan, values)


def ewma_variance(panel: Panel, decay: float = 0.94) -> np.ndarray:
    """Variance of the next horizon by exponential weights that decay by `decay` a horizon (RiskMetrics 1996)."""
    horizon = panel.horizon
    return exponential_mean(panel.bar_variance, decay ** (1.0 / horizon.bars), 2 * horizon.bars) * horizon.bars


def strided(n_bars: int, horizon: Horizon, end: int, start: int = 0) -> np.ndarray:
    """Training rows between start and end, spaced by the horizon's stride and counted back from the last."""
    return np.arange(end - 1, start - 1, -horizon.stride)[::-1]


@dataclass(frozen=True)
class EwmaVolatility(Forecaster):
    """The baseline: exponentially weighted realised variance. Learns nothing."""

    decay: float = 0.94
    name: ClassVar[str] = "ewma_volatility"
    outputs: ClassVar[tuple[str, ...]] = ("volatility",)
    uses_features: ClassVar[bool] = False

    def train(self, panel: Panel, seed: int) -> tuple[dict[str, np.ndarray], dict[str, Any], dict[str, float], bool]:
        _, tail = judged_rows(panel.n_bars, panel.horizon.bars)
        rows = strided(panel.n_bars, panel.horizon, panel.n_bars, tail)
        forecast = ewma_variance(panel, self.decay)[:, rows]
        return {}, {}, volatility_scores(forecast, forecast, panel.forward_variance()[:, rows]), True

    def infer(self, panel: Panel, arrays: Mapping[str, np.ndarray], config: Mapping[str, Any], start: int = 0) -> dict[str, np.ndarray]:
        return {"volatility": where_listed(panel, annualised(ewma_variance(panel, self.decay), panel.horizon))}


@dataclass(frozen=True)
class HarVolatility(Forecaster):
    """Pooled log-HAR. `ridge` is the penalty on standardised inputs, as a share of the number of rows."""

    ridge: float = 1e-3
    name: ClassVar[str] = "har_volatility"
    outputs: ClassVar[tuple[str, ...]] = ("volatility",)
    uses_features: ClassVar[bool] = False

    def train(self, panel: Panel, seed: int) -> tuple[dict[str, np.ndarray], dict[str, Any], dict[str, float], bool]:
        inputs, target = har_inputs(panel), panel.forward_variance()
        end, tail = judged_rows(panel.n_bars, panel.horizon.bars)
        judged = strided(panel.n_bars, panel.horizon, panel.n_bars, tail)
        draft = fit_har(inputs, target, strided(panel.n_bars, panel.horizon, end), self.ridge)
        scores = volatility_scores(har_variance(inputs[:, judged], draft), ewma_variance(panel)[:, judged], target[:, judged])
        arrays = fit_har(inputs, target, strided(panel.n_bars, panel.horizon, panel.n_bars - panel.horizon.bars), self.ridge)
        return arrays, {"inputs": list(HAR_INPUTS)}, scores, scores["qlike_trimmed"] < scores["qlike_trimmed_baseline"]

    def infer(self, panel: Panel, arrays: Mapping[str, np.ndarray], config: Mapping[str, Any], start: int = 0) -> dict[str, np.ndarray]:
        return {"volatility": where_listed(panel, annualised(har_variance(har_inputs(panel), arrays), panel.horizon))}


HAR_INPUTS = (
    "quarter", "one", "seven", "thirty", "range", "downside", "volume", "market",
    "hour_sin", "hour_cos", "hour_sin_2", "hour_cos_2", "weekend_ahead",
)  # fmt: skip


def har_inputs(panel: Panel) -> np.ndarray:
    """Inputs of the regression, float64 (n_symbols, n_bars, n_inputs), NaN where a window is not there yet.

    Where thirty horizons are not there yet, an exponential mean stands in for them, so a young market has a forecast.
    """
    return panel.once("har_inputs", lambda: _har_inputs(panel))


def _har_inputs(panel: Panel) -> np.ndarray:
    h = panel.horizon
    one = panel.mean_variance(h.bars if h.bars >= 6 else 3)
    quarter = panel.mean_variance(max(h.bars // 4, 1))
    seven = panel.mean_variance(7 * h.bars)
    thirty = panel.mean_variance(30 * h.bars)
    thirty = np.where(np.isnan(thirty), exponential_mean(panel.bar_variance, 0.5 ** (1.0 / (15 * h.bars)), 7 * h.bars), thirty)
    window = h.bars if h.bars >= 6 else 5
    present = max(1, int(np.ceil(0.8 * window)))
    spread = np.log(panel.high / panel.low) ** 2 / (4 * np.log(2)) + 1e-8
    returns = panel.log_returns
    down = np.where(np.isnan(returns), np.nan, np.minimum(returns, 0.0) ** 2) + 1e-8
    volume = np.where(panel.volume > 0, panel.volume, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = [np.log(x) for x in (quarter, one, seven, thirty)]
        range_log = np.log(trailing_mean(spread, window, present)) - logs[1]
        downside = np.log(trailing_mean(down, 7 * window, present)) - logs[2]
        activity = np.log(trailing_mean(volume, window, 1)) - np.log(trailing_mean(volume, 30 * window, present))
    # Differences from the long mean keep the inputs near zero and the regression well conditioned.
    market = _mean_over_symbols(logs[1] - logs[3])
    columns = [logs[0] - logs[1], logs[1] - logs[2], logs[2] - logs[3], logs[3]]
    columns += [range_log, downside, np.nan_to_num(activity), np.broadcast_to(market, logs[0].shape)]
    columns += [np.broadcast_to(c, logs[0].shape) for c in _calendar(panel)]
    return np.stack(columns, axis=-1)


def _mean_over_symbols(values: np.ndarray) -> np.ndarray:
    present = ~np.isnan(values)
    count = present.sum(0)
    total = np.where(present, values, 0.0).sum(0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _calendar(panel: Panel) -> list[np.ndarray]:
    """Hour of the day (two harmonics) and the share of the coming horizon that falls on a weekend."""
    closes = panel.closes.astype("datetime64[s]").astype(np.int64)
    angle = 2 * np.pi * (closes % 86_400) / 86_400
    ahead = panel.horizon.years * 365 * 86_400
    # The epoch was a Thursday: Saturday 00:00 is two days on.
    hours = closes[:, None] + (np.arange(8)[None, :] + 0.5) * (ahead / 8)
    weekend = (((hours - 2 * 86_400) % (7 * 86_400)) < 2 * 86_400).mean(1)
    return [np.sin(angle), np.cos(angle), np.sin(2 * angle), np.cos(2 * angle), weekend]


def fit_har(inputs: np.ndarray, target: np.ndarray, rows: np.ndarray, ridge: float) -> dict[str, np.ndarray]:
    """Ridge regression of log variance on standardised inputs, and the factor that makes it unbiased for variance."""
    x, y = inputs[:, rows].reshape(-1, inputs.shape[-1]), target[:, rows].reshape(-1)
    ok = np.isfinite(x).all(1) & (y > 0)
    x, y = x[ok], y[ok]
    if len(y) < 5 * x.shape[1]:
        raise too_short("log-HAR", len(y), 5 * x.shape[1])
    mean, scale = x.mean(0), x.std(0)
    scale = np.where(scale > 1e-9, scale, 1.0)
    z = np.clip((x - mean) / scale, -5.0, 5.0)
    logs = np.log(y)
    gram = z.T @ z + ridge * len(y) * np.eye(z.shape[1])
    weights = np.linalg.solve(gram, z.T @ (logs - logs.mean()))
    arrays = {"mean": mean, "scale": scale, "weights": weights, "intercept": np.array([logs.mean()]), "factor": np.ones(1)}
    ratio = y / har_variance(x[None], arrays)[0]
    arrays["factor"] = np.array([np.minimum(ratio, np.quantile(ratio, 0.999)).mean()])
    return arrays


def har_variance(inputs: np.ndarray, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """Variance of the next horizon, float64 (n_symbols, n_rows). inputs: (n_symbols, n_rows, n_inputs)."""
    z = np.clip((inputs - arrays["mean"]) / arrays["scale"], -5.0, 5.0)
    logs = linear_scores(z.reshape(-1, z.shape[-1]), arrays["weights"], float(arrays["intercept"][0]))
    return (np.exp(logs) * arrays["factor"][0]).reshape(inputs.shape[:2])
