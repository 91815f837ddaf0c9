"""Charts as inline SVG: lines over time, and the share of each regime.

The drawing stretches with the page while its labels stay readable, so labels are HTML laid over the SVG.
Coordinates are rounded and nothing is random, so equal inputs give equal bytes.
"""

from __future__ import annotations

import datetime as dt
import html
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

_MOST_POINTS = 700
_SIZE = 1000.0
_LABEL = 18.0  # pixels of height that a label on the vertical axis takes, with room to breathe


@dataclass(frozen=True)
class Line:
    """One series: its name in the legend, its values (NaN leaves a gap), its colour class."""

    name: str
    values: np.ndarray
    kind: str


def line_chart(
    days: Sequence[dt.date],
    lines: Sequence[Line],
    *,
    show: Callable[[float], str],
    height: int = 260,
    mark_from: dt.date | None = None,
    mark: str = "",
    fill: bool = False,
    log: bool = False,
    legend: bool = True,
) -> str:
    """Lines over days, the part from `mark_from` shaded and named `mark`; with `fill`, areas to the zero line."""
    keep = _thin(len(days))
    dates = [days[i] for i in keep]
    values = [np.asarray(line.values, dtype=float)[keep] for line in lines]
    finite = np.concatenate([v[np.isfinite(v)] for v in values]) if values else np.array([])
    if len(dates) < 2 or finite.size == 0:
        return '<p class="empty">Not enough days to draw.</p>'
    scale = np.log if log else np.asarray
    low, high = float(scale(finite.min())), float(scale(finite.max()))
    if fill:
        low, high = min(low, 0.0), max(high, 0.0)
    margin = (high - low or 1.0) * (0.0 if fill else 0.05)
    low, high = low - margin, high + margin
    span = (dates[-1] - dates[0]).days or 1

    def x_of(day: dt.date) -> float:
        return (day - dates[0]).days / span * _SIZE

    def y_of(value: float) -> float:
        return (high - float(scale(value))) / (high - low or 1.0) * _SIZE

    drawn = []
    for line, series in zip(lines, values, strict=True):
        path = _path([x_of(day) for day in dates], [y_of(v) if math.isfinite(v) else math.nan for v in series])
        if fill:
            drawn.append(f'<path class="area {line.kind}" d="{path}L{_SIZE:.0f},{y_of(0.0):.1f}L0,{y_of(0.0):.1f}Z"/>')
        drawn.append(f'<path class="line {line.kind}" d="{path}"/>')
    ticks = _log_ticks(math.exp(low), math.exp(high)) if log else _ticks(low, high)
    ticks = _apart(ticks, [y_of(tick) / _SIZE * height for tick in ticks])
    grid = "".join(f'<path class="grid" d="M0,{y_of(tick):.1f}H{_SIZE:.0f}"/>' for tick in ticks)
    labels = "".join(
        f'<span class="y{_below(y_of(tick) / _SIZE * height)}" style="top:{y_of(tick) / 10:.2f}%">{show(tick)}</span>' for tick in ticks
    )
    labels += "".join(f'<span class="x" style="left:{x_of(day) / 10:.2f}%">{label}</span>' for day, label in _dates(dates[0], dates[-1]))
    shade = ""
    if mark_from is not None and dates[0] < mark_from < dates[-1]:
        left = x_of(mark_from)
        shade = f'<rect class="shade" x="{left:.1f}" y="0" width="{_SIZE - left:.1f}" height="{_SIZE:.0f}"/>'
        labels += f'<span class="mark" style="left:{left / 10:.2f}%">{html.escape(mark)}</span>'
    keys = "".join(f'<span class="key {line.kind}">{html.escape(line.name)}</span>' for line in lines)
    named = f'<div class="legend">{keys}</div>' if legend else ""
    data = {
        "days": [day.isoformat() for day in dates],
        "lines": [
            [line.name, [_plain(show(v)) if math.isfinite(v) else "–" for v in series]] for line, series in zip(lines, values, strict=True)
        ],
    }
    return (
        f'{named}<div class="chart" style="height:{height}px">'
        f'<svg viewBox="0 0 1000 1000" preserveAspectRatio="none" aria-hidden="true">{shade}{grid}{"".join(drawn)}</svg>{labels}'
        f'<script type="application/json">{_json(data)}</script></div>'
    )


def share_strip(days: Sequence[dt.date], share: np.ndarray, *, height: int = 84) -> str:
    """A strip whose coloured part is a share in [0, 1] of each day; a day without one is left blank."""
    keep = _thin(len(days))
    dates, values = [days[i] for i in keep], np.asarray(share, dtype=float)[keep]
    if len(dates) < 2 or not np.isfinite(values).any():
        return '<p class="empty">Not enough days to draw.</p>'
    span = (dates[-1] - dates[0]).days or 1
    xs = [(day - dates[0]).days / span * _SIZE for day in dates]
    pieces = []
    for first, last in _runs(np.isfinite(values)):
        ys = [(1.0 - values[i]) * _SIZE for i in range(first, last)]
        there = xs[first:last]
        back = f"L{there[-1]:.1f},{_SIZE:.0f}L{there[0]:.1f},{_SIZE:.0f}Z"
        pieces.append(f'<rect class="calm" x="{there[0]:.1f}" y="0" width="{max(there[-1] - there[0], 1):.1f}" height="1000"/>')
        pieces.append(f'<path class="turbulent" d="{_path(there, ys)}{back}"/>')
    labels = "".join(
        f'<span class="x" style="left:{(day - dates[0]).days / span * 100:.2f}%">{label}</span>'
        for day, label in _dates(dates[0], dates[-1])
    )
    data = {"days": [day.isoformat() for day in dates], "lines": [["turbulent", [f"{v:.0%}" if math.isfinite(v) else "–" for v in values]]]}
    return (
        f'<div class="chart strip" style="height:{height}px"><svg viewBox="0 0 1000 1000" preserveAspectRatio="none" aria-hidden="true">'
        f'{"".join(pieces)}</svg>{labels}<script type="application/json">{_json(data)}</script></div>'
    )


def _below(y: float) -> str:
    # A label above the topmost line would leave the chart; pixels from the top.
    return " under" if y < 16 else ""


def _apart(ticks: Sequence[float], places: Sequence[float]) -> list[float]:
    """The ticks, from the lowest line up, whose labels do not lie over the one before; `places` are pixels from the top."""
    kept: list[float] = []
    free = math.inf  # everything above this is
    for tick, y in zip(ticks, places, strict=True):
        bottom = y + _LABEL if _below(y) else y
        if bottom <= free:
            kept.append(tick)
            free = bottom - _LABEL
    return kept


def _thin(count: int) -> list[int]:
    """Positions to draw: all, or evenly spaced with the last one always there."""
    if count <= _MOST_POINTS:
        return list(range(count))
    step = math.ceil(count / _MOST_POINTS)
    return list(range((count - 1) % step, count, step))


def _path(xs: Sequence[float], ys: Sequence[float]) -> str:
    parts, pen = [], "M"
    for x, y in zip(xs, ys, strict=True):
        if math.isnan(y):
            pen = "M"
            continue
        parts.append(f"{pen}{x:.1f},{y:.1f}")
        pen = "L"
    return "".join(parts)


def _runs(there: np.ndarray) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], there, [False]]).astype(int)))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _ticks(low: float, high: float) -> list[float]:
    """About four round numbers between the two."""
    if not high > low:
        return [low]
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough)
    return [k * step for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """Round numbers for a logarithmic axis, as sparse as leaves three; evenly spaced ones where even the densest leaves fewer."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for mantissas in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
        found = [mantissa * 10.0**power for power in powers for mantissa in mantissas if low <= mantissa * 10.0**power <= high]
        if len(found) >= 3:
            return found
    return [tick for tick in _ticks(low, high) if tick > 0]


def _dates(first: dt.date, last: dt.date) -> list[tuple[dt.date, str]]:
    """Starts of years, quarters or months, at most about six, with their labels."""
    months = [
        dt.date(first.year + (first.month - 1 + k) // 12, (first.month - 1 + k) % 12 + 1, 1)
        for k in range(1, (last - first).days // 28 + 2)
    ]
    months = [month for month in months if first < month <= last]
    for step in (1, 2, 3, 6, 12, 24, 60):
        chosen = [month for month in months if ((month.year * 12 + month.month - 1) % step) == 0]
        if len(chosen) <= 6:
            break
    span = (last - first).days
    # A label too near the edge would be cut off.
    return [
        (day, day.strftime("%Y") if day.month == 1 else day.strftime("%b"))
        for day in chosen
        if 0.03 * span < (day - first).days < 0.97 * span
    ]


def _plain(shown: str) -> str:
    return shown.replace("&thinsp;", " ")


def _json(data: object) -> str:
    # "</script" or "<!--" in a name would change where the script element ends.
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
