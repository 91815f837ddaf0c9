"""The warm-up audit: the bars an indicator declares it needs determine its value."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from strategy_pipeline.audit.lookahead import COLUMNS, Finding, audit_times, deviation
from strategy_pipeline.audit.subjects import NamedSeries, arrays_of, catalog_functions
from strategy_pipeline.indicators import spec

if TYPE_CHECKING:
    from strategy_pipeline.market import Bars

STEPS = 5  # cumulative entries are compared by their change over this many bars


def audit_warmup(
    names: Iterable[str] | None, bars: Bars, *, n_times: int = 6, seed: int, tolerance: float = 1e-6, series: NamedSeries | None = None
) -> pd.DataFrame:  # fmt: skip
    """Recompute catalog entries on only the declared warm-up before random t and compare with the full history.

    Parameters
    ----------
    names : catalog names, or None for all that the bars carry the fields for
    series : function of bars that makes their named series, as `catalog_functions` takes it
    tolerance : float
        Largest |difference| at t relative to the value or the output's own deviation, whichever is larger. Cumulative
        entries are compared by their change over five bars (compounding ones by the relative change).

    Returns
    -------
    DataFrame as `audit_lookahead` returns. An entry whose warm-up is longer than the history has not passed, and its
    note says how many bars it takes.
    """
    times = audit_times(bars, n_times, seed)
    findings: list[Finding] = []
    present = np.isfinite(bars.close)
    counts = present.cumsum(axis=1)
    for name, function in catalog_functions(bars, names, series=series).items():
        entry = spec(name)
        needed = entry.warmup(entry.values(())) + (STEPS if entry.cumulative else 0)
        full = arrays_of(name, function(bars))
        found = {key: Finding(key) for key in full}
        usable = [t for t in times if (counts[:, t] > needed).any()]
        for t in usable:
            first = _start(counts, t, needed)
            window = bars.between(bars.times[first], bars.times[t] + np.timedelta64(1, "ns"))
            for key, short in arrays_of(name, function(window)).items():
                now, whole = short[:, -1:], full[key][:, t : t + 1]
                scale = deviation(full[key])
                if entry.cumulative:
                    before_now, before = short[:, -1 - STEPS : -STEPS], full[key][:, t - STEPS : t - STEPS + 1]
                    now, whole = (now / before_now, whole / before) if entry.compounding else (now - before_now, whole - before)
                    scale = np.zeros_like(scale) if entry.compounding else scale
                few = counts[:, t] <= needed  # their whole history is shorter than what is declared
                now, whole = np.where(few[:, None], np.nan, now), np.where(few[:, None], np.nan, whole)
                found[key].compare(now, whole, bars, t, scale)
        for finding in found.values():
            if not usable:
                finding.note = f"its warm-up takes {needed} bars, more than the history has"
        findings.extend(found.values())
    return pd.DataFrame([finding.row(tolerance) for finding in findings], columns=COLUMNS)


def _start(counts: np.ndarray, t: int, needed: int) -> int:
    """The latest bar from which every symbol that has them has `needed` bars through t."""
    starts = [int(np.searchsorted(row, row[t] - needed + 1)) for row in counts if row[t] >= needed]
    return min(starts)
