"""Writes docs/indicators.md from the catalog.

python docs/indicators.py            writes the page
python docs/indicators.py --check    exits 1 when the page is stale
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parent / "indicators.md"
FAMILIES = {
    "trend": "Averages, channels and direction",
    "momentum": "Momentum",
    "volatility": "Volatility",
    "volume": "Volume",
    "volume_profile": "Volume profile and anchored VWAP",
    "order_flow": "Order flow and liquidity",
    "price": "Price transforms",
    "cycles": "Cycles",
    "statistics": "Statistics",
    "fractals": "Swings, fractals and motifs",
    "cross_asset": "Across symbols and markets",
    "seasonality": "Seasonality",
    "candles": "Candle patterns",
}
HEAD = """# Indicators

This page is written by `python docs/indicators.py` from the catalog (`strategy_pipeline.indicators.catalog()`); a test fails when
it is stale. {count} entries; parameter variants are not counted.

```python
from strategy_pipeline.indicators import compute
compute("rsi", bars, length=21)                      # float64 (n_symbols, n_bars)
compute("macd", bars)["signal"]                      # entries with several outputs give a dict
compute("sma", bars, series="high", length=50)       # on another field, an expression or an array
compute("atr", bars, timeframe="4h")                 # on a higher timeframe, known once its bar has closed
```

In the strategy language: `rsi(close, 21)`, `macd(close).signal`, `sma(high, 50)`, `atr(14)@4h`, `rsi(close, 14) - lag(rsi(close, 14), 3)`.

**Reading the tables.** *Inputs*: `series` (the close unless given) and `other` (the close of the first symbol unless given) take any
value expression; names with a dot are named series that the bank must be given. *Parameters*: default, and in brackets the range
a search draws from (`log`: evenly in the logarithm; `int`: whole numbers). *Outputs*: unit, and bounds where there are any.
*First*: index of the first value. *Warm-up*: bars that determine a value to 1e-6; `cumulative` entries depend on where the
history starts and are used as differences (`compounding`: as relative changes). *Cost*: `window` where the work grows with the
window too. First, warm-up: with default parameters.

**Gaps.** A bar where an input is missing does not exist for the indicator: it is computed on the bars that remain, and is NaN there.
Values before the first full window are NaN, never zero; infinite results are NaN. So is what divides by a movement that there was not:
a stochastic of a window without range, an efficiency ratio of a series that stood still.

**Units.** {units}

## Your own

Five lines register an indicator; from then on it is in the catalog, in the language and in the audits:

```python
import numpy as np

from strategy_pipeline.indicators import Output, indicator, length

@indicator("body_share", family="price", inputs=("open", "high", "low", "close"), params=(length(10),),
           outputs=(Output("value", "ratio", -1, 1),), warmup=lambda p: p["length"], source="in-house, 2025")
def body_share(open, high, low, close, *, length):
    body = (close - open) / (high - low)
    return np.convolve(body, np.ones(length) / length)[: len(body)]
```

The function gets one float64 array (n,) per input, of the bars that exist, and returns one (n,) per output; values before the first
full window are blanked for it. The audits show whether it sees the future
and whether its warm-up suffices, given the file that registers it:

```bash
strategy-pipeline audit lookahead --module mine.py --name body_share --times 50
strategy-pipeline audit warmup --module mine.py --name body_share --times 50
```

## Quotes and the world's markets

Entries that read `book.*` and `macro.*` take those series from the bank, `Bank(bars, series={{**quotes, **levels}})`, or from
`compute("microprice", bars, named=quotes)`. `book_series(table, bars)` and `macro_series(table, bars)` make them from `market`'s
observation tables, as known at each bar's close.
"""


def number(value: float) -> str:
    """A number as short as it reads."""
    return f"{value:g}"


def bounds(low: float, high: float) -> str:
    """Bounds in words; nothing where there are none."""
    if math.isinf(low) and math.isinf(high):
        return ""
    if math.isinf(high):
        return f" ≥ {number(low)}"
    return f" {number(low)} to {number(high)}"


def render() -> str:
    """The page, from the catalog as the library ships it."""
    from strategy_pipeline.indicators import UNITS, catalog, spec

    table = catalog()
    units = "; ".join(f"*{unit}*: {meaning}" for unit, meaning in UNITS.items())
    lines = [HEAD.format(count=len(table), units=units)]
    for family in [*FAMILIES, *sorted(set(table["family"]) - set(FAMILIES))]:
        rows = table[table["family"] == family]
        lines += [f"## {FAMILIES.get(family, family)}", ""]
        lines += ["| name | what | inputs | parameters | outputs | first, warm-up | source |", "|---|---|---|---|---|---|---|"]
        for row in rows.itertuples():
            entry = spec(row.name)
            parameters = "; ".join(
                f"{p.name} {number(p.default)} [{number(p.low)}, {number(p.high)}; {p.scale.replace('_', ' ')}]" for p in entry.params
            )
            outputs = "; ".join(f"{o.name} {'as its input' if o.follows else o.unit + bounds(o.low, o.high)}" for o in entry.outputs)
            marks = [mark for mark, on in (("cumulative", entry.cumulative), ("compounding", entry.compounding)) if on]
            if entry.scope == "universe":
                marks.append("all symbols")
            if entry.cost == "window":
                marks.append("window")
            span = ", ".join([str(row.lookback), str(row.warmup), *marks])
            cells = (f"`{row.name}`", row.description, ", ".join(row.inputs), parameters or "none", outputs, span, row.source)
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    page = render()
    if "--check" in sys.argv[1:]:
        sys.exit(
            0
            if PAGE.exists() and PAGE.read_text(encoding="utf-8") == page
            else "docs/indicators.md is stale: run python docs/indicators.py"
        )
    PAGE.write_text(page, encoding="utf-8")
