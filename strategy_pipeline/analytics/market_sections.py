"""What the report says about the market: assets, forecasts, regime, correlation."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from strategy_pipeline.analytics.charts import share_strip
from strategy_pipeline.analytics.markup import Column, bar, compact, diverging, number, percent, price, section, table, text

if TYPE_CHECKING:
    from strategy_pipeline.analytics.report import ReportInputs

_ROWS = 25


def assets(inputs: ReportInputs) -> str:
    """The day's ranking of assets."""
    if inputs.assets.empty:
        return ""
    shown = inputs.assets.head(_ROWS)
    horizons = [name for name in shown.columns if name.startswith("return_") and name != "return_1d"]
    change = percent(1, sign=True, tint=True)
    columns = [
        Column("rank", "#", number(0)),
        Column("symbol", "Symbol", text, left=True),
        Column(
            "score",
            "Score",
            lambda value: bar(value, label=number(2)(value)),
            "Weighted ranks of momentum, trend, liquidity, calm, forecast",
            left=True,
        ),
        Column("close", "Close", price),
        Column("return_1d", "1 d", change),
        *[Column(name, name.removeprefix("return_").removesuffix("d") + " d", change) for name in horizons],
        Column("volatility", "Volatility", percent(0), "Annual, from 30 days"),
        Column("drawdown", "Below high", percent(0), "From the highest close of the longest horizon"),
        Column("trend_t", "Trend t", number(1, sign=True), "t statistic of the slope of log price"),
        Column("traded_value", "Traded a day", compact, "Median of 30 days, quote units"),
        Column("forecast_return", "Forecast", percent(2, sign=True, tint=True)),
    ]
    if "forecast_return" in shown.columns and shown["forecast_return"].isna().all():
        columns = columns[:-1]
    return section(
        "assets", "Asset ranking", table(shown, columns), "Each component is a rank among the day's assets, so none dominates by its units."
    )


def forecasts(inputs: ReportInputs) -> str:
    """Expected returns with their intervals."""
    frame = inputs.forecasts
    if frame.empty or "return" not in frame.columns:
        return ""
    shown = frame.sort_values(["return", "symbol"], ascending=[False, True], na_position="last").head(_ROWS)
    there = {"low", "high"} <= set(shown.columns)
    sizes = shown[["return", *(["low", "high"] if there else [])]].abs().to_numpy(dtype=float)
    largest = float(np.nanmax(sizes)) if np.isfinite(sizes).any() else 1.0
    rows = []
    for row in shown.to_dict("records"):
        extra = [
            f"{label} {show(row[name])}"
            for name, label, show in (("up", "up", percent(0)), ("volatility", "vol.", percent(0)), ("confidence", "conf.", number(2)))
            if name in row
        ]
        drawn = (
            diverging(float(row["return"]), largest, low=float(row["low"]), high=float(row["high"]))
            if there
            else diverging(float(row["return"]), largest)
        )
        figures = " · ".join([percent(2, sign=True, tint=True)(row["return"]), *extra])
        rows.append(f"<span>{text(row['symbol'])}</span>{drawn}<span>{figures}</span>")
    lead = f"Expected return over the next {html.escape(inputs.forecast_horizon)}" + (
        ", with the interval the forecaster claims. " if there else ". "
    )
    return section(
        "forecasts",
        "Forecasts",
        f'<div class="rows">{"".join(rows)}</div>',
        lead + "An interval across the middle line says that the sign is not known.",
    )


def regime(inputs: ReportInputs) -> str:
    """The probability of turbulence over time, and what strategies did in it."""
    frame = inputs.regimes
    if frame.empty or "turbulent" not in frame.columns:
        return ""
    values = frame["turbulent"].to_numpy(dtype=float)
    days = [pd.Timestamp(day).date() for day in frame.index]
    now = values[np.isfinite(values)][-1:] if np.isfinite(values).any() else np.array([])
    lead = "Filtered probability of the turbulent regime: what was known on each day, never revised."
    if now.size:
        lead += f" On this day: {percent(0)(now[0])}."
    body = share_strip(days, values)
    if not inputs.regime_performance.empty:
        columns = [
            Column("series", "Series", text, left=True),
            Column("regime", "Regime", text, left=True),
            Column("days", "Days", number(0), "Sum of the regime's probabilities"),
            Column("mean", "Return a year", percent(1, sign=True, tint=True)),
            Column("volatility", "Volatility", percent(0)),
            Column("sharpe", "Sharpe", number(2)),
            Column("hit_rate", "Days up", percent(0)),
        ]
        body += f"<h3>Performance by regime</h3>{table(inputs.regime_performance, columns)}"
    return section("regime", "Market regime", body, lead)


def correlation(inputs: ReportInputs) -> str:
    """A heat map of correlations."""
    frame = inputs.correlation
    if len(frame) < 2:
        return ""
    names = [str(name) for name in frame.columns[:14]]
    head = "".join(f"<th>{html.escape(name.split('/')[0][:10])}</th>" for name in names)
    values = frame.to_numpy(dtype=float)
    lines = []
    for row, name in enumerate(names):
        cells = []
        for column in range(len(names)):
            value = float(values[row, column])
            kind = "" if not np.isfinite(value) or row == column else "g" if value >= 0 else "l"
            cells.append(f'<td class="{kind}" style="--v:{abs(value) if np.isfinite(value) else 0:.2f}">{number(2)(value)}</td>')
        lines.append(f'<tr><td class="left">{html.escape(name[:14])}</td>{"".join(cells)}</tr>')
    body = f'<div class="scroll"><table class="heat"><thead><tr><th></th>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'
    return section("correlation", "Correlation", body, "Of daily returns, over the days both have.")
