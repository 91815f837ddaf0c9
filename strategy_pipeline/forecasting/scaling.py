"""Inputs of the return models: features on one scale, learned from training rows, and targets in units of volatility.

What belongs here: the scaler and the standardised label. What does not: the features themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from strategy_pipeline.errors import MissingInputError
from strategy_pipeline.forecasting.kernels import exponential_mean
from strategy_pipeline.forecasting.model import nest, too_short, unnest
from strategy_pipeline.forecasting.panel import Panel
from strategy_pipeline.forecasting.volatility import fit_har, har_inputs, har_variance, strided

CLIP = 5.0
MIN_ROWS = 200


def fit_scaler(values: np.ndarray, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Median and interquartile range over 1.349 (a normal's standard deviation) of each feature over training rows.

    values: float32 (n_symbols, n_bars, n_features). A feature that never varies is centred and left as it is.
    """
    most = max(1, (len(rows) * values.shape[0]) // 6000)
    sample = values[:, rows[:: max(1, most)]].reshape(-1, values.shape[-1])
    sample = np.where(np.isfinite(sample), sample, np.nan)
    low, middle, high = np.full((3, values.shape[-1]), np.nan, dtype=np.float64)
    for k in range(values.shape[-1]):
        column = sample[:, k]
        column = column[~np.isnan(column)]
        if len(column):
            low[k], middle[k], high[k] = np.quantile(column.astype(np.float64), [0.25, 0.5, 0.75])
    spread = (high - low) / 1.349
    scale = np.where(np.isfinite(spread) & (spread > 1e-12), spread, 1.0)
    return {"median": np.nan_to_num(middle).astype(np.float32), "scale": scale.astype(np.float32)}


def scaled(values: np.ndarray, scaler: Mapping[str, np.ndarray]) -> np.ndarray:
    """Features in units of their spread, clipped to five, missing ones at the median (zero). float32, same shape."""
    out = (values - scaler["median"]) / scaler["scale"]
    np.clip(out, -CLIP, CLIP, out=out)
    return np.nan_to_num(out, copy=False, nan=0.0, posinf=CLIP, neginf=-CLIP)


def check_features(panel: Panel, names: Sequence[str]) -> None:
    """Raises `MissingInputError` when there are no features, or others than the model was trained on."""
    if panel.feature_values is not None and tuple(panel.feature_names) != tuple(names):
        wrong = sorted(set(names) ^ set(panel.feature_names))[:3]
        raise MissingInputError(
            f"Expected the {len(names)} features of training, was {len(panel.feature_names)} ({', '.join(wrong) or 'another order'}), "
            "so inputs would be mixed up; build the same feature set or train again"
        )


def fit_scale(panel: Panel, end: int) -> dict[str, np.ndarray]:
    """A log-HAR fitted on rows before `end`: its volatility is the unit of returns."""
    rows = strided(panel.n_bars, panel.horizon, end)
    return nest("scale", fit_har(har_inputs(panel), panel.forward_variance(), rows, 1e-3))


def unit(panel: Panel, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """Standard deviation of the next horizon's return, float64 (n_symbols, n_bars), as `fit_scale` learned it."""
    return np.sqrt(har_variance(har_inputs(panel), unnest("scale", arrays)))


def usable(panel: Panel) -> np.ndarray:
    """Rows that can be predicted: the bar is there, and half of the features whose data was given are. bool (n_symbols, n_bars)."""

    def find() -> np.ndarray:
        values = panel.feature_values if panel.available is None else panel.feature_values[..., panel.available]
        return np.isfinite(panel.close) & (np.isfinite(values).sum(-1) >= max(values.shape[-1] / 2, 1))

    return panel.once("usable", find)


def training_rows(mask: np.ndarray, rows: np.ndarray, what: str) -> tuple[np.ndarray, np.ndarray]:
    """(symbol, row) indices of the usable training rows; `NoDataError` when there are under 200."""
    symbol, at = np.nonzero(mask[:, rows])
    if len(symbol) < MIN_ROWS:
        raise too_short(what, len(symbol), MIN_ROWS)
    return symbol, rows[at]


def drift(panel: Panel) -> np.ndarray:
    """The baseline of returns, in units of volatility a horizon: the trailing mean of returns over volatility, shrunk.

    Weights halve every 60 horizons. With a normal prior of mean zero and standard deviation 0.05 (an annual Sharpe ratio
    near one), n effective observations count n / (n + 400); here n is 173. float64 (n_symbols, n_bars).
    """
    h = panel.horizon.bars
    minimum = 10 * h
    decay = 0.5 ** (1.0 / (60 * h))
    mean = exponential_mean(panel.log_returns, decay, minimum) * h
    sd = np.sqrt(exponential_mean(panel.bar_variance, decay, minimum) * h)
    return mean / sd * (173.0 / 573.0)


def slope(score: np.ndarray, outcome: np.ndarray) -> float:
    """How far outcomes follow scores: regression through zero, from 0 (no use) to 1.5. Unseen outcomes are left out."""
    ok = np.isfinite(score) & np.isfinite(outcome)
    power = float((score[ok] ** 2).sum())
    if power <= 0:
        return 0.0
    return float(np.clip((score[ok] * outcome[ok]).sum() / power, 0.0, 1.5))


def squared_skill(forecast: np.ndarray, outcome: np.ndarray, baseline: np.ndarray | float = 0.0) -> float:
    """1 - squared error / the baseline's; NaN when there is nothing to compare."""
    base = np.broadcast_to(np.asarray(baseline, dtype=np.float64), outcome.shape)
    ok = np.isfinite(forecast) & np.isfinite(outcome) & np.isfinite(base)
    error = float(((outcome[ok] - base[ok]) ** 2).sum())
    return 1.0 - float(((outcome[ok] - forecast[ok]) ** 2).sum()) / error if error > 0 else float("nan")


def summary(values: Any) -> np.ndarray:
    """Hundred and one quantiles of the absolute values that are there, to rank later ones by; zeros when none are."""
    values = np.abs(np.asarray(values, dtype=np.float64))
    values = values[np.isfinite(values)]
    return np.quantile(values, np.linspace(0, 1, 101)) if len(values) else np.zeros(101)
