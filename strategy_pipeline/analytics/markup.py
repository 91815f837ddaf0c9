"""Small pieces of HTML: escaped text, numbers as people read them, tables, badges, bars.

What belongs here: how a value looks. What does not: which values a report shows (`sections`).
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from pandas.api.typing import NaTType

NOTHING = '<span class="none">–</span>'
Formatter = Callable[[Any], str]


def text(value: Any) -> str:
    """Escaped text; missing values as a dash."""
    if value is None or (isinstance(value, float) and math.isnan(value)) or value is pd.NaT:
        return NOTHING
    return html.escape(str(value))


def number(digits: int = 2, *, sign: bool = False) -> Formatter:
    """``1,234.50``; NaN and infinities as a dash."""

    def show(value: Any) -> str:
        if not _finite(value):
            return NOTHING
        return _minus(f"{float(value):{'+' if sign else ''},.{digits}f}")

    return show


def percent(digits: int = 1, *, sign: bool = False, tint: bool = False) -> Formatter:
    """A fraction as ``12.3 %``; with `tint`, gains and losses coloured."""

    def show(value: Any) -> str:
        if not _finite(value):
            return NOTHING
        shown = _minus(f"{100 * float(value):{'+' if sign else ''}.{digits}f}") + "&thinsp;%"
        if not tint or round(100 * float(value), digits) == 0:
            return shown
        return f'<span class="{"gain" if value > 0 else "loss"}">{shown}</span>'

    return show


def compact(value: Any) -> str:
    """Large amounts: ``1.2 M``, ``870 k``."""
    if not _finite(value):
        return NOTHING
    size = abs(float(value))
    for limit, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if size >= limit:
            return _minus(f"{float(value) / limit:.1f}") + f"&thinsp;{unit}"
    return _minus(f"{float(value):.0f}")


def price(value: Any) -> str:
    """A price with about five significant digits, without an exponent."""
    if not _finite(value):
        return NOTHING
    size = abs(float(value))
    digits = 2 if size >= 100 else max(2, min(10, 4 - math.floor(math.log10(size)))) if size > 0 else 2
    return _minus(f"{float(value):,.{digits}f}")


def moment(value: Any) -> str:
    """A time in UTC, ``29 Jun 2025 14:00``."""
    stamp = pd.Timestamp(value) if value is not None else pd.NaT
    return NOTHING if isinstance(stamp, NaTType) else stamp.strftime("%d %b %Y %H:%M")


def bar(value: Any, *, low: float = 0.0, high: float = 1.0, label: str = "") -> str:
    """A horizontal bar of a value between `low` and `high`, with its label beside it."""
    if not _finite(value):
        return NOTHING
    share = min(max((float(value) - low) / (high - low), 0.0), 1.0)
    return f'<span class="bar"><i style="width:{100 * share:.1f}%"></i></span><span class="barlabel">{label}</span>'


def diverging(value: float, largest: float, *, low: float | None = None, high: float | None = None) -> str:
    """A bar from the middle to the left or right; with `low` and `high`, a dot with its interval."""
    if not _finite(value) or largest <= 0:
        return '<div class="track"></div>'

    def place(x: float) -> float:
        return 50.0 + 50.0 * min(max(x / largest, -1.0), 1.0)

    kind = "gain" if value >= 0 else "loss"
    if low is not None and high is not None and _finite(low) and _finite(high):
        left, right = place(low), place(high)
        return (
            f'<div class="track"><b style="left:{left:.2f}%;width:{max(right - left, 0.3):.2f}%"></b>'
            f'<u class="{kind}" style="left:{place(value):.2f}%"></u></div>'
        )
    left, right = sorted((50.0, place(value)))
    return f'<div class="track"><i class="{kind}" style="left:{left:.2f}%;width:{right - left:.2f}%"></i></div>'


def badge(label: str, kind: str = "") -> str:
    return f'<span class="badge {html.escape(kind)}">{html.escape(label)}</span>'


@dataclass(frozen=True)
class Column:
    """One column of a table: where its value is, what stands above it, how it is shown, what it means."""

    source: str
    title: str
    show: Formatter = text
    help: str = ""
    left: bool = False


def table(frame: pd.DataFrame, columns: Sequence[Column], *, classes: str = "") -> str:
    """A table of the columns that `frame` has, in the order given; wide ones scroll within their box."""
    present = [column for column in columns if column.source in frame.columns]
    head = "".join(f"<th{_class(column)}{_title(column)}>{html.escape(column.title)}</th>" for column in present)
    lines = []
    for row in frame[[column.source for column in present]].itertuples(index=False, name=None):
        cells = "".join(f"<td{_class(column)}>{column.show(value)}</td>" for column, value in zip(present, row, strict=True))
        lines.append(f"<tr>{cells}</tr>")
    return f'<div class="scroll"><table class="{classes}"><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


def section(key: str, title: str, body: str, lead: str = "") -> str:
    """A titled card that the navigation can point to."""
    lead = f'<p class="lead">{lead}</p>' if lead else ""
    return f'<section id="{key}"><h2>{html.escape(title)}</h2>{lead}{body}</section>'


def _class(column: Column) -> str:
    return ' class="left"' if column.left else ""


def _title(column: Column) -> str:
    return f' title="{html.escape(column.help)}"' if column.help else ""


def _finite(value: Any) -> bool:
    return value is not None and value is not pd.NaT and math.isfinite(float(value))


def _minus(shown: str) -> str:
    # A number that rounds to zero has no sign, and a minus is as wide as a plus.
    if shown.startswith(("-", "+")) and not shown.strip("+-0.,"):
        shown = shown[1:]
    return shown.replace("-", "−")
