"""The look-ahead audit: what a function says at t must not change when the bars after t are taken away."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from strategy_pipeline import rng
from strategy_pipeline.audit.subjects import Function, arrays_of
from strategy_pipeline.errors import NoDataError

if TYPE_CHECKING:
    from strategy_pipeline.market import Bars

Array = np.ndarray
COLUMNS = ["name", "passed", "worst", "at", "symbol", "compared", "note"]


def audit_lookahead(
    functions: Mapping[str, Function], bars: Bars, *, n_times: int = 8, seed: int, tolerance: float = 1e-9, back: int = 3
) -> pd.DataFrame:
    """Recompute every function on ``bars.through(t)`` at random t and compare with the full history.

    Parameters
    ----------
    functions : mapping of name to a function of `Bars`
        It returns an array (n_symbols, n_bars), a dict of them, or a FeatureMatrix; see `catalog_functions`.
    n_times : int
        How many t. About a third are bars where some symbol is missing, when there are any: filling from the future
        shows there only.
    tolerance : float
        Largest |difference| allowed relative to the value; what is below 1e-12 of the output's own deviation (or of 1,
        where that is smaller) counts as none. NaN must meet NaN.
    back : int
        Rows up to and including t that are compared.

    Returns
    -------
    DataFrame, one row per output: ``name, passed, worst`` (largest relative difference; inf where one is NaN and the
    other is not), ``at`` (the t of the worst), ``symbol``, ``compared`` (finite values compared), ``note``. An output
    of which nothing finite could be compared has not passed.

    Raises
    ------
    NoDataError
        Fewer than three bars.
    """
    times = audit_times(bars, n_times, seed)
    full = {name: arrays_of(name, function(bars)) for name, function in functions.items()}
    found = {key: Finding(key) for outputs in full.values() for key in outputs}
    floor = {key: 1e-12 * np.minimum(deviation(values), 1.0) for outputs in full.values() for key, values in outputs.items()}
    for t in times:
        past = bars.through(bars.times[t])
        for name, function in functions.items():
            now = arrays_of(name, function(past))
            same = now.keys() == full[name].keys()
            for key, whole in full[name].items():
                if not same or now[key].shape != (whole.shape[0], t + 1):
                    found[key].worst, found[key].note = np.inf, "changes its outputs or their shape with the history"
                    continue
                first = max(0, t + 1 - back)
                found[key].compare(now[key][:, first:], whole[:, first : t + 1], bars, first, floor=floor[key])
    return pd.DataFrame([finding.row(tolerance) for finding in found.values()], columns=COLUMNS)


def audit_times(bars: Bars, n_times: int, seed: int) -> list[int]:
    """Distinct bar indices in the latter three quarters, the last bar left out; near gaps by preference for a third."""
    n = bars.n_bars
    if n < 3:
        raise NoDataError(f"Expected at least three bars to audit, was {n}; nothing can be truncated; give more history")
    draw = rng.generator(seed, "audit", n)
    candidates = np.arange(n // 4, n - 1)
    chosen = list(draw.choice(candidates, size=min(n_times, len(candidates)), replace=False))
    gaps = np.flatnonzero((np.isnan(bars.close) & bars.listed).any(axis=0))
    gaps = gaps[(gaps >= n // 4) & (gaps < n - 1)]
    if len(gaps):
        near = draw.choice(gaps, size=min(max(1, n_times // 3), len(gaps)), replace=False)
        chosen[: len(near)] = list(near)
    return sorted({int(t) for t in chosen})


def deviation(values: np.ndarray) -> np.ndarray:
    """Standard deviation of each row's numbers, (n_symbols, 1); 0 where there are none."""
    known = np.isfinite(values)
    count = np.maximum(known.sum(axis=1, keepdims=True), 1)
    mean = np.where(known, values, 0.0).sum(axis=1, keepdims=True) / count
    return np.sqrt(np.where(known, (values - mean) ** 2, 0.0).sum(axis=1, keepdims=True) / count)


class Finding:
    """The worst difference seen of one output."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.worst = 0.0
        self.at: object = pd.NaT
        self.symbol = ""
        self.compared = 0
        self.note = ""

    def compare(self, now: Array, full: Array, bars: Bars, first: int, scale: float | Array = 0.0, floor: float | Array = 1e-12) -> None:
        """Take in two arrays (n_symbols, rows) that should be equal; rows start at bar `first`.

        A difference counts relative to the value or `scale`, whichever is larger, and not at all up to `floor`.
        """
        known_now, known_full = np.isfinite(now), np.isfinite(full)
        both = known_now & known_full
        size = np.maximum(np.maximum(np.abs(now), np.abs(full)), scale)
        with np.errstate(all="ignore"):
            gap = np.where(both, np.abs(now - full), 0.0)
            relative = np.where(gap > floor, gap / np.maximum(size, 1e-300), 0.0)
        relative = np.where(known_now != known_full, np.inf, relative)
        self.compared += int(both.sum())
        row, column = np.unravel_index(int(np.argmax(relative)), relative.shape)
        if relative[row, column] > self.worst:
            self.worst = float(relative[row, column])
            self.at = pd.Timestamp(bars.times[first + column], tz="UTC")
            self.symbol = bars.symbols[row]

    def row(self, tolerance: float) -> dict[str, object]:
        """A line of the audit's frame."""
        note = self.note or ("" if self.compared else "nothing finite to compare")
        passed = bool(self.worst <= tolerance and self.compared > 0 and not self.note)
        return {
            "name": self.name, "passed": passed, "worst": self.worst, "at": self.at, "symbol": self.symbol,
            "compared": self.compared, "note": note,
        }  # fmt: skip
