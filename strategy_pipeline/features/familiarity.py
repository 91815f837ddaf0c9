"""`Familiarity`: what is kept of a training window beside a model, to tell later whether a row, or a week, is like it.

What belongs here: the gate and the drift reference of one cutoff as one record with bytes, and their verdicts. What does
not: distances (`gate`, `drift`), and what is done with a refused row (`forecasting/`, `agents/`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from strategy_pipeline.errors import CorruptFileError, NoDataError
from strategy_pipeline.features.drift import LEAST_ROWS, DriftReference, DriftReport
from strategy_pipeline.features.gate import DissimilarityGate
from strategy_pipeline.features.matrix import FeatureMatrix
from strategy_pipeline.market import timeframes as tf

Array = np.ndarray
FORMAT = 1
SAMPLE = 500  # training rows kept by the gate: a score costs as many distances, and more of them draw the same line
_TEXT = "__text__"


@dataclass(frozen=True, eq=False)
class Familiarity:
    """The gate and the drift reference of the rows known at a cutoff.

    cutoff : ISO moment, UTC
    gate : None where the window was too short for one; then no row is judged
    drift : None where the window has no rows
    window : bars of the stretches that drift is judged by
    """

    cutoff: str
    gate: DissimilarityGate | None
    drift: DriftReference | None
    window: int

    @classmethod
    def fit(cls, matrix: FeatureMatrix, cutoff: Any, *, seed: int, window: int | None = None) -> Familiarity:
        """Learn from the rows known at `cutoff` or before; later rows cannot change the fit.

        `window` (bars) is a week by default, see `week_of`. Too short a history makes a record that judges nothing: no error.
        """
        moment = tf.to_time(cutoff)
        bars = week_of(matrix) if window is None else window
        gate: DissimilarityGate | None = None
        drift: DriftReference | None = None
        try:
            drift = DriftReference.fit(matrix, moment, window=bars)
            gate = DissimilarityGate.fit(matrix, moment, seed=seed, sample=SAMPLE)
        except NoDataError:
            # What could be learned is kept: a short window has a drift reference and no gate.
            pass
        return cls(str(moment.astype("datetime64[s]")), gate, drift, bars)

    @staticmethod
    def version() -> str:
        """What of a fit is decided here and not by its arguments: part of the key that a fit is kept under."""
        return f"{FORMAT}.{SAMPLE}"

    def judge(self, matrix: FeatureMatrix) -> Array:
        """Whether each row is like those of training, float64 (n_symbols, n_bars): 1 it is, 0 it is not, NaN where there is no
        bar or no gate. Each verdict depends on its own row alone. MissingInputError for other features."""
        if self.gate is None:
            return np.full(matrix.values.shape[:2], np.nan)
        exists = np.isfinite(matrix.values).any(axis=2)
        return np.where(exists, self.gate.accept(matrix).astype(np.float64), np.nan)

    def report(self, matrix: FeatureMatrix) -> DriftReport | None:
        """The last `window` rows of a matrix against the training window; None where there is too little to compare."""
        if self.drift is None:
            return None
        try:
            return self.drift.compare(matrix.between(matrix.times[max(0, len(matrix.times) - self.window)], None))
        except NoDataError:
            return None

    def state(self) -> dict[str, Array]:
        """What `restore` needs, as arrays."""
        parts = {"gate": self.gate, "drift": self.drift}
        arrays = {f"{part}.{name}": array for part, made in parts.items() if made is not None for name, array in made.state().items()}
        return {"cutoff": np.array(self.cutoff), "window": np.array(self.window), **arrays}

    @classmethod
    def restore(cls, state: Mapping[str, Array]) -> Familiarity:
        """The record that `state` came from."""

        def part(name: str) -> dict[str, Array]:
            return {key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")}

        gate, drift = part("gate"), part("drift")
        return cls(
            str(state["cutoff"]), DissimilarityGate.restore(gate) if gate else None, DriftReference.restore(drift) if drift else None,
            int(state["window"]),
        )  # fmt: skip

    def to_bytes(self) -> bytes:
        """The state as safetensors: equal fits give equal bytes. Texts ride along as JSON."""
        from safetensors.numpy import save

        state = self.state()
        texts = {name: array.tolist() for name, array in state.items() if array.dtype.kind == "U"}
        text = json.dumps({"format": FORMAT, "texts": texts}, sort_keys=True)
        numbers = {name: np.asarray(state[name], order="C") for name in sorted(state) if name not in texts}
        return save({**numbers, _TEXT: np.frombuffer(text.encode(), dtype=np.uint8)})

    @classmethod
    def from_bytes(cls, payload: bytes) -> Familiarity:
        """The inverse of `to_bytes`. CorruptFileError when the bytes are no such record."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            arrays = load(payload)
            kept = json.loads(bytes(arrays.pop(_TEXT)).decode())
            found, texts = kept["format"], kept["texts"]
        except (SafetensorError, KeyError, ValueError) as error:
            raise CorruptFileError(
                f"Expected a gate and drift reference, was {len(payload)} bytes of something else ({error}); "
                "delete the file: the next run makes it again"
            ) from error
        if found != FORMAT:
            raise CorruptFileError(f"Expected drift reference format {FORMAT}, was {found}; delete the file: the next run makes it again")
        return cls.restore({**arrays, **{name: np.array(text) for name, text in texts.items()}})


def week_of(matrix: FeatureMatrix) -> int:
    """Bars of a week, or as many as it takes for `LEAST_ROWS` rows of all symbols."""
    week = round(float(np.timedelta64(7, "D") / tf.duration(matrix.timeframe)))
    return max(1, week, -(-LEAST_ROWS // len(matrix.symbols)))


def training_hash(matrix: FeatureMatrix, cutoff: Any) -> str:
    """SHA-256 (hex) over everything that `Familiarity.fit` can see of a matrix at a cutoff."""
    return hash_of_rows(matrix, 0, int(np.searchsorted(matrix.available_at, tf.to_time(cutoff), side="right")))


def hash_of_rows(matrix: FeatureMatrix, first: int, end: int) -> str:
    """SHA-256 (hex) over set, names, symbols, times and values of rows `first` to `end` (exclusive)."""
    names = [matrix.feature_set, matrix.version, matrix.timeframe, matrix.feature_names, matrix.symbols]
    digest = hashlib.sha256(json.dumps(names).encode())
    digest.update(matrix.times[first:end].astype("<i8").tobytes())
    for symbol in matrix.values:
        digest.update(np.ascontiguousarray(symbol[first:end]).data)
    return digest.hexdigest()
