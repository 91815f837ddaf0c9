"""Forecasts for every bar of history, each by a model that had not seen it: walk-forward refits on a calendar grid.

What belongs here: when models are refitted, which fit answers for which bar, the named series that come of it. What does
not: how a model learns, and where its bytes are kept (the `cache` given does that).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from strategy_pipeline.errors import NoDataError
from strategy_pipeline.forecasting.conformal import rolling_intervals
from strategy_pipeline.forecasting.model import FittedForecaster, Forecaster
from strategy_pipeline.forecasting.panel import Panel

# What a cache is: given a key and how to make the bytes, it returns those it keeps or makes and keeps them.
Cache = Callable[[str, Callable[[], bytes]], bytes]
# Whether rows are like those a fit was trained on: given its cutoff day (ISO) and a range of bars [first, end) of those that the
# history is made of, float64 (n_symbols, end - first): 1 like them, 0 not, NaN not judged. Each row is judged by itself.
Judge = Callable[[str, int, int], np.ndarray]

GRID_START = np.datetime64("2000-01-01", "D")
SERIES = (
    "forecast.return_24h", "forecast.volatility_24h", "forecast.lower_24h", "forecast.upper_24h",
    "forecast.up_24h", "forecast.confidence_24h", "regime.calm", "regime.turbulent",
)  # fmt: skip


@dataclass(frozen=True)
class Fit:
    """One fitted model (or agent): its kind, cutoff day (ISO), cache key, SHA-256 of its bytes, the bytes, and the model."""

    kind: str
    cutoff: str
    key: str
    content: str
    payload: bytes = field(repr=False)
    model: Any = field(repr=False)  # FittedForecaster, or an Agent

    @property
    def metrics(self) -> dict[str, float]:
        return self.model.metrics

    @property
    def accepted(self) -> bool:
        return self.model.accepted


@dataclass(frozen=True)
class History:
    """Named series, float64 (n_symbols, n_bars), NaN before the first fit; the fits; and cutoffs skipped, with the reason.

    Series and positions stand on the bars given, NaN at those where no symbol trades.
    `answers[kind]` lists (first bar, kind's cutoff that answers from there on). With a judge, the series
    ``forecast.familiar_24h`` says where the return model answers (1) and where its baseline does (0).
    """

    series: dict[str, np.ndarray] = field(repr=False)
    fits: tuple[Fit, ...]
    skipped: tuple[str, ...]
    answers: dict[str, list[tuple[int, str]]]


def default_forecasters(*, transformer_steps: int = 150, boosted_trees: int = 60) -> dict[str, Forecaster]:
    """The three kinds of models of a learning day, by kind: `regime`, `volatility`, `returns`."""
    from strategy_pipeline.forecasting.ensemble import ReturnEnsemble, VolatilityEnsemble
    from strategy_pipeline.forecasting.regime import TwoStateRegime

    returns = ReturnEnsemble(
        (("boosted_returns", {"trees": boosted_trees}), ("market_transformer", {"steps": transformer_steps})),
    )
    return {"regime": TwoStateRegime(), "volatility": VolatilityEnsemble(), "returns": returns}


def calendar_cutoffs(times: np.ndarray, *, refit_days: int, first_fit_days: int, extra: Iterable[Any] = ()) -> list[np.datetime64]:
    """Cutoff days within `times` (bar opens): multiples of `refit_days` from 2000-01-01, from `first_fit_days` after the first bar.

    Counting from a fixed day makes runs of different lengths refit on the same days. `extra` cutoffs (a weekly retraining)
    join where they fall in the same span.
    """
    from strategy_pipeline.market.timeframes import to_time

    if not len(times):
        return []
    first = times[0].astype("datetime64[D]") + np.timedelta64(first_fit_days, "D")
    last = times[-1].astype("datetime64[D]")
    start = -(-int((first - GRID_START).astype(int)) // refit_days)
    days = [GRID_START + np.timedelta64(k * refit_days, "D") for k in range(start, int((last - GRID_START).astype(int)) // refit_days + 1)]
    days += [day for day in (to_time(value).astype("datetime64[D]") for value in extra) if first <= day <= last]
    return sorted(set(days))


def training_fingerprint(panel: Panel, uses_features: bool) -> str:
    """SHA-256 (hex) over everything a training can see: symbols, timeframe, times, prices, and features if it uses them."""
    digest = hashlib.sha256(json.dumps([panel.symbols, panel.timeframe, panel.feature_names if uses_features else ()]).encode())
    arrays = [panel.times.astype(np.int64), panel.open, panel.high, panel.low, panel.close, panel.volume]
    if uses_features:
        arrays.append(panel.feature_values)
    for array in arrays:
        for row in array if array.ndim > 1 else [array]:
            digest.update(np.ascontiguousarray(row).data)
    return digest.hexdigest()


def fit_kind(
    kind: str, forecaster: Forecaster, bars: Any, features: Any = None, *, cutoff: Any, seed: int = 0, cache: Cache | None = None
) -> Fit:
    """Fit one model at a cutoff, or take it from the cache where the same fit was made before.

    The key holds the kind, the cutoff, and a hash of the model, its settings, the seed and the training data, so a fit is
    found again exactly when it would come out the same.
    """
    from strategy_pipeline.market.timeframes import to_time

    panel = Panel.of(bars, features)
    moment = to_time(cutoff)
    day = str(moment.astype("datetime64[D]"))
    known = panel.known_at(moment)
    data = training_fingerprint(known, forecaster.uses_features)
    identity = json.dumps([forecaster.name, forecaster.settings(), seed, str(moment), data], sort_keys=True)
    key = f"{kind}-{day}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"

    def make() -> bytes:
        return forecaster.fit(known, cutoff=moment, seed=seed).to_bytes()

    payload = make() if cache is None else cache(key, make)
    return Fit(kind, day, key, hashlib.sha256(payload).hexdigest(), payload, FittedForecaster.from_bytes(payload))


def fit_history(
    bars: Any,
    features: Any = None,
    *,
    forecasters: Mapping[str, Forecaster] | None = None,
    refit_days: int,
    first_fit_days: int,
    seed: int = 0,
    cache: Cache | None = None,
    extra_cutoffs: Iterable[Any] = (),
    level: float = 0.9,
    judge: Judge | None = None,
    progress: Callable[[str], None] | None = None,
) -> History:
    """Walk forward: refit every kind at each cutoff, predict each bar by the newest accepted fit not after its day.

    Parameters
    ----------
    bars : Bars; features : FeatureMatrix on the same rows (None only if no forecaster uses features)
    forecasters : by kind (default: `default_forecasters()`)
    refit_days, first_fit_days : see `calendar_cutoffs`
    cache : keeps the bytes of fits, see `Cache`
    level : coverage of the interval
    judge : refuses rows unlike a fit's training; there the model's baseline answers (`Forecaster.stand_in`), with confidence 0.
        Models of prices alone are not judged: they have no other inputs, and a wild market is what they are asked about
    progress : called with one line before each fit

    Until a kind has an accepted fit its newest one answers: where no member beat its baseline that is the baseline itself.
    Series are named by the horizon's label; a bar's row depends on rows up to it only, in training and in prediction.
    Bars at which no symbol trades count for nothing (`Panel.of`): the next bar after one is the next that exists, a cutoff on
    a closed day answers from the next bar on, and refits and windows start with the first bar that exists.
    """
    panel = Panel.of(bars, features)
    if forecasters is None:
        forecasters = default_forecasters()
    cutoffs = calendar_cutoffs(panel.times, refit_days=refit_days, first_fit_days=first_fit_days, extra=extra_cutoffs)
    fits: list[Fit] = []
    skipped: list[str] = []
    chosen: dict[str, list[tuple[int, Fit]]] = {kind: [] for kind in forecasters}
    for cutoff in cutoffs:
        for kind, forecaster in forecasters.items():
            if progress is not None:
                progress(f"{kind} at {cutoff}")
            try:
                fit = fit_kind(kind, forecaster, panel, cutoff=cutoff, seed=seed, cache=cache)
            except NoDataError as error:
                skipped.append(f"{kind} at {cutoff}: {error}")
                continue
            fits.append(fit)
            answering = chosen[kind]
            if fit.accepted or not answering or not answering[-1][1].accepted:
                answering.append((panel.index_of(cutoff), fit))
    raw, familiar = _predict(panel, forecasters, chosen, judge)
    answers = {kind: [(panel.bar_of(first), fit.cutoff) for first, fit in spans] for kind, spans in chosen.items()}
    named = _named(panel, raw, level) | {f"forecast.familiar_{panel.horizon.label}": values for values in familiar}
    series = {name: panel.on_grid(values) for name, values in named.items()}
    for values in series.values():
        values.flags.writeable = False
    return History(series, tuple(fits), tuple(skipped), answers)


def _predict(
    panel: Panel, forecasters: Mapping[str, Forecaster], chosen: Mapping[str, list[tuple[int, Fit]]], judge: Judge | None
) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
    """Each kind's outputs, every span by the fit that answers for it; and the verdicts on rows, of the kinds that are judged."""
    verdicts = {
        kind: np.full(panel.close.shape, np.nan)
        for kind, forecaster in forecasters.items()
        if judge is not None and forecaster.uses_features and "return" in forecaster.outputs
    }
    raw = {f"{kind}/{name}": np.full(panel.close.shape, np.nan) for kind, forecaster in forecasters.items() for name in forecaster.outputs}
    ends: dict[int, Panel] = {}
    for kind, spans in chosen.items():
        for index, (first, fit) in enumerate(spans):
            end = spans[index + 1][0] if index + 1 < len(spans) else panel.n_bars
            if end <= first:
                continue
            view = ends.setdefault(end, panel.rows(0, end))
            for name, values in fit.model.predict(view, start=first).items():
                raw[f"{kind}/{name}"][:, first:end] = values[:, first:]
            if judge is not None and kind in verdicts:
                verdict = judged_rows(panel, judge, fit.cutoff, first, end)
                verdicts[kind][:, first:end] = verdict
                _stand_in(raw, kind, fit, view, first, verdict == 0)
    return raw, list(verdicts.values())


def judged_rows(panel: Panel, judge: Judge, cutoff: str, first: int, end: int) -> np.ndarray:
    """A judge's verdicts on the rows `first` to `end` (exclusive) of a panel."""
    low, high = panel.bar_of(first), panel.bar_of(end - 1) + 1
    verdict = judge(cutoff, low, high)
    return verdict if panel.traded is None else verdict[:, panel.traded[low:high]]


def _stand_in(raw: dict[str, np.ndarray], kind: str, fit: Fit, view: Panel, first: int, refused: np.ndarray) -> None:
    """Replaces a fit's outputs at refused rows by those of its baseline."""
    if not refused.any():
        return
    model = fit.model
    for name, values in (model.forecaster.stand_in(view, model.arrays, model.config, first) or {}).items():
        own = raw[f"{kind}/{name}"][:, first : view.n_bars]
        own[refused] = values[:, first:][refused]


def _named(panel: Panel, raw: Mapping[str, np.ndarray], level: float) -> dict[str, np.ndarray]:
    """The series strategies read, from what each kind said."""
    label = panel.horizon.label
    series: dict[str, np.ndarray] = {}
    for key, values in raw.items():
        _, name = key.split("/", 1)
        series[name if "." in name else f"forecast.{name}_{label}"] = values
    volatility, centre = raw.get("volatility/volatility"), raw.get("returns/return")
    if volatility is not None:
        sd = volatility * np.sqrt(panel.horizon.years)
        around = np.zeros(sd.shape) if centre is None else np.where(np.isnan(centre) & ~np.isnan(sd), 0.0, centre)
        series[f"forecast.lower_{label}"], series[f"forecast.upper_{label}"] = rolling_intervals(panel, around, sd, level=level)
    return series
