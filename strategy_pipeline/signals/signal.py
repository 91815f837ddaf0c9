"""`Signal`: what to do with one symbol until it expires, and what spoke for it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

import numpy as np
import pandas as pd

from strategy_pipeline.errors import PipelineError

Side = Literal["long", "short", "flat"]
SIDES: tuple[Side, ...] = ("long", "short", "flat")


class SignalError(PipelineError):
    """A signal cannot be made, read or answered."""


@dataclass(frozen=True)
class Signal:
    """One symbol's signal.

    symbol
        As asked for; `priced_on` is the symbol it was priced on where that is another.
    side, strength
        Direction, and how strongly in [-1, 1]: the target weight as a share of the largest weight allowed.
    confidence
        In [0, 1]: how far strategies, forecasts and agents agree with the side (`signals.confidence`); 0 when flat.
    target_weight
        Fraction of capital, negative is short.
    price, stop, take_profit
        Last close and protective levels in quote units; NaN where unknown or flat.
    votes, predictions
        By voter (strategy ids, agents), in [-1, 1]; and by model output, in its own unit. Also shown when nothing is active.
    as_of, valid_until
        Close of the last bar used, and when it expires: UTC.
    reason, warning
        In words; the warning is empty when there is none.
    """

    symbol: str
    side: Side
    strength: float
    confidence: float
    target_weight: float
    price: float
    stop: float
    take_profit: float
    as_of: pd.Timestamp
    valid_until: pd.Timestamp
    votes: Mapping[str, float] = field(default_factory=dict)
    predictions: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    priced_on: str = ""
    warning: str = ""

    def __post_init__(self) -> None:
        if self.side not in SIDES:
            raise SignalError(f"Expected side of {', '.join(SIDES)}, was {self.side!r} for {self.symbol}; a signal must say one")
        if not -1 <= self.strength <= 1 or not 0 <= self.confidence <= 1:
            raise SignalError(
                f"Expected strength in [-1, 1] and confidence in [0, 1], was {self.strength} and {self.confidence} for {self.symbol}; "
                "clip them to their range"
            )
        if self.valid_until <= self.as_of:
            raise SignalError(f"Expected valid_until after as_of {self.as_of}, was {self.valid_until} for {self.symbol}; give it a life")
        for name in ("votes", "predictions"):
            # Plain floats in key order, so that equal signals have equal bytes.
            object.__setattr__(self, name, {str(key): float(value) for key, value in sorted(getattr(self, name).items())})
        object.__setattr__(self, "priced_on", self.priced_on or self.symbol)


_TEXT = ("symbol", "side", "votes", "predictions", "reason", "priced_on", "warning")
_TIMES = ("as_of", "valid_until")
COLUMNS = [item.name for item in fields(Signal)]


def to_frame(signals: Iterable[Signal]) -> pd.DataFrame:
    """One row per signal, a column per field; votes and predictions as JSON text, times as datetime64[ns, UTC]."""
    rows: list[dict[str, Any]] = []
    for signal in signals:
        row = asdict(signal)
        for name in ("votes", "predictions"):
            # NaN has no JSON; a voter without a view is null.
            known = {key: value if np.isfinite(value) else None for key, value in row[name].items()}
            row[name] = json.dumps(known, allow_nan=False)
        rows.append(row)
    frame = pd.DataFrame(rows, columns=COLUMNS)
    for column in COLUMNS:
        if column in _TIMES:
            frame[column] = pd.to_datetime(frame[column], utc=True).astype("datetime64[ns, UTC]")
        else:
            frame[column] = frame[column].astype("str" if column in _TEXT else np.float64)
    return frame


def from_frame(frame: pd.DataFrame) -> list[Signal]:
    """The signals that `to_frame` wrote; `SignalError` for a missing column."""
    missing = [column for column in COLUMNS if column not in frame]
    if missing:
        raise SignalError(f"Expected the columns of signals, was without {', '.join(missing)}; make the signals again")
    found = []
    for row in frame[COLUMNS].to_dict("records"):
        for name in ("votes", "predictions"):
            row[name] = {key: float("nan") if value is None else value for key, value in json.loads(row[name]).items()}
        row |= {name: pd.Timestamp(row[name]) for name in _TIMES}
        found.append(Signal(**{str(key): value for key, value in row.items()}))
    return found


def expire(signals: Iterable[Signal], *, now: pd.Timestamp) -> list[Signal]:
    """Those still valid at `now` (UTC): as_of <= now < valid_until."""
    moment = pd.Timestamp(now)
    moment = moment.tz_localize("UTC") if moment.tz is None else moment
    return [signal for signal in signals if signal.as_of <= moment < signal.valid_until]
