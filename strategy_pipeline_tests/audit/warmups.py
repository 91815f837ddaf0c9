"""The warm-up audit with parameters other than the defaults."""

from __future__ import annotations

import numpy as np

from strategy_pipeline.audit.lookahead import audit_times, deviation
from strategy_pipeline.indicators import compute, names, spec
from strategy_pipeline.market import Bars


def worst_at_corner(bars: Bars, corner: str, *, n_times: int, seed: int) -> dict[str, float]:
    """Largest difference at random t, relative to the output's deviation, between the whole history and the declared warm-up.

    Entries of one symbol without named series or running totals, every parameter at that end of its search range, whose
    warm-up then leaves some of the moments; bars without gaps.
    """
    found: dict[str, float] = {}
    for name in names():
        entry = spec(name)
        given = {p.name: getattr(p, corner) for p in entry.params}
        needed = entry.warmup(entry.values(tuple(given.values())))
        times = [t for t in audit_times(bars, n_times, seed) if t + 1 > needed]
        if not entry.params or entry.named_inputs or entry.cumulative or not times:
            continue
        whole = as_dict(compute(name, bars, **given))
        for t in times:
            short = as_dict(compute(name, bars.between(bars.times[t + 1 - needed], bars.times[t] + np.timedelta64(1, "ns")), **given))
            for key, values in whole.items():
                now, then = short[key][:, -1], values[:, t]
                # A symbol against itself leaves rounding only: it has no scale of its own.
                scale = np.maximum(np.maximum(np.abs(then), deviation(values)[:, 0]), 1e-9)
                known = np.isfinite(now) & np.isfinite(then)
                differ = np.isfinite(now) != np.isfinite(then)
                worst = max([0.0, *(np.abs(now - then) / scale)[known]]) if not differ.any() else float("inf")
                found[name] = max(found.get(name, 0.0), worst)
    return found


def as_dict(result: object) -> dict[str, np.ndarray]:
    return result if isinstance(result, dict) else {"value": result}
