"""The day's report: one self-contained HTML page, the same bytes for the same inputs.

What belongs here: what a report is made of and in which order. What does not: how pieces look (`markup`,
`charts`, `style`) and what each section says (`sections`, `market_sections`). Nothing about the run itself
(times, durations, host) is in it, and no request leaves the page when it is opened.
"""

from __future__ import annotations

import datetime as dt
import html
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from strategy_pipeline.analytics.pnl import Attribution


@dataclass(frozen=True)
class ReportInputs:
    """Everything a report shows; what is left at its default is explained as absent or left out.

    day, source, timeframe, symbols
        Which day of which market. `simulated` puts SAMPLE MARKET on top of the page.
    trials, new_strategies, looked_at
        Strategies tried in all searches so far; candidates new today; those that had a look at validation.
    leaderboard
        As `strategy_ranking` gives it, best first.
    returns
        Daily simple returns indexed by day, drawn in the order of the columns: the best strategy first, what it
        is compared with after it. `validation_start` marks where its out-of-sample days begin.
    assets
        As `asset_ranking` gives it.
    signals
        ``symbol, side`` and any of ``strength, confidence, target_weight, stop, take_profit, valid_until``.
    weights
        ``symbol, weight`` (signed fractions of equity). `benchmark` says what idle capital earns.
    regimes
        Probabilities in [0, 1] indexed by day; the column ``turbulent`` is drawn.
    forecasts
        ``symbol, return`` and any of ``low, high`` (interval), ``volatility`` (annual), ``up`` (probability),
        ``confidence``, over `forecast_horizon`.
    book
        ``strategy_id, state, since, reason`` of what is followed.
    attribution, correlation, regime_performance
        As the functions of this room give them; None or empty leaves their section out.
    notes
        Choices made for the user: venue, rows quarantined, stale inputs.
    fingerprint, version
        Of the settings and of the program.
    """

    day: dt.date
    source: str
    simulated: bool
    timeframe: str
    symbols: tuple[str, ...]
    trials: int
    new_strategies: int = 0
    looked_at: int = 0
    leaderboard: pd.DataFrame = field(default_factory=pd.DataFrame)
    returns: pd.DataFrame = field(default_factory=pd.DataFrame)
    validation_start: dt.date | None = None
    assets: pd.DataFrame = field(default_factory=pd.DataFrame)
    signals: pd.DataFrame = field(default_factory=pd.DataFrame)
    weights: pd.DataFrame = field(default_factory=pd.DataFrame)
    regimes: pd.DataFrame = field(default_factory=pd.DataFrame)
    forecasts: pd.DataFrame = field(default_factory=pd.DataFrame)
    forecast_horizon: str = "24 hours"
    book: pd.DataFrame = field(default_factory=pd.DataFrame)
    attribution: Attribution | None = None
    correlation: pd.DataFrame = field(default_factory=pd.DataFrame)
    regime_performance: pd.DataFrame = field(default_factory=pd.DataFrame)
    benchmark: str = "cash"
    notes: tuple[str, ...] = ()
    fingerprint: str = ""
    version: str = ""


def performance_report(inputs: ReportInputs) -> str:
    """The page as text; write it as UTF-8. MissingColumnError names a column that a given frame lacks."""
    from strategy_pipeline.analytics import market_sections, sections
    from strategy_pipeline.analytics.style import CSS, SCRIPT

    parts = [
        ("promoted", "Promotion", sections.promotion(inputs)),
        ("curve", "Best candidate", sections.best_candidate(inputs)),
        ("leaderboard", "Leaderboard", sections.leaderboard(inputs)),
        ("portfolio", "Portfolio", sections.portfolio(inputs)),
        ("signals", "Signals", sections.signals(inputs)),
        ("book", "Book", sections.book(inputs)),
        ("attribution", "Attribution", sections.attribution(inputs)),
        ("assets", "Assets", market_sections.assets(inputs)),
        ("forecasts", "Forecasts", market_sections.forecasts(inputs)),
        ("regime", "Regime", market_sections.regime(inputs)),
        ("correlation", "Correlation", market_sections.correlation(inputs)),
        ("reading", "How to read this", sections.reading(inputs)),
    ]
    present = [(key, name, body) for key, name, body in parts if body]
    links = "".join(f'<a href="#{key}">{html.escape(name)}</a>' for key, name, _ in present)
    banner = (
        '<div class="sample"><b>SAMPLE MARKET</b> — simulated prices with planted edges. Nothing here happened.</div>'
        if inputs.simulated
        else ""
    )
    shown = f"{inputs.day:%A}, {inputs.day.day} {inputs.day:%B %Y}"
    listed = ", ".join(inputs.symbols[:8]) + (f" and {len(inputs.symbols) - 8} more" if len(inputs.symbols) > 8 else "")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Learning day {inputs.day.isoformat()}</title>"
        # An empty icon: without it a browser would ask the server for one.
        f'<link rel="icon" href="data:,"><style>{CSS}</style></head>\n<body>{banner}'
        f'<header><div><p class="over">Learning day</p><h1>{shown}</h1>'
        f'<p class="sub">Source {html.escape(inputs.source)} · {html.escape(inputs.timeframe)} bars · {html.escape(listed)}</p>'
        f"<nav>{links}</nav></div></header>\n<main>{sections.tiles(inputs)}\n" + "\n".join(body for _, _, body in present) + "</main>\n"
        f"{sections.footer(inputs)}<script>{SCRIPT}</script></body></html>\n"
    )
