"""What the report says about strategies: promotion, the best candidate, the leaderboard, the portfolio, the book."""

from __future__ import annotations

import datetime as dt
import html
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from strategy_pipeline.analytics.charts import Line, line_chart
from strategy_pipeline.analytics.markup import (
    NOTHING,
    Column,
    badge,
    compact,
    diverging,
    moment,
    number,
    percent,
    price,
    section,
    table,
    text,
)
from strategy_pipeline.errors import MissingColumnError

if TYPE_CHECKING:
    from strategy_pipeline.analytics.report import ReportInputs

_ROWS = 25
_NEAREST = 3
_IN_WORDS = {"promoted": "promoted", "watchlist": "watchlist", "rejected": "rejected", "not_looked_at": "no look"}
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def tiles(inputs: ReportInputs) -> str:
    """The day in six numbers."""
    board = inputs.leaderboard
    promoted = int((board["verdict"] == "promoted").sum()) if "verdict" in board.columns else 0
    best = board["sharpe_validation"].max() if len(board) and "sharpe_validation" in board.columns else float("nan")
    gross = float(inputs.weights["weight"].abs().sum()) if "weight" in inputs.weights.columns else 0.0
    shown = [
        (f"{inputs.trials:,}", "strategies tried so far"),
        (f"{inputs.new_strategies:,}", "new today"),
        (f"{inputs.looked_at:,}", "had a look at validation"),
        (f"{promoted:,}", "promoted today"),
        (number(2)(best), "best out-of-sample Sharpe"),
        (percent(0)(gross), "of capital in the market"),
    ]
    return (
        '<div class="tiles">' + "".join(f'<div class="tile"><b>{value}</b><span>{label}</span></div>' for value, label in shown) + "</div>"
    )


def promotion(inputs: ReportInputs) -> str:
    """What was promoted and why; or that nothing was, what the nearest lack, and what happens to the money."""
    board = inputs.leaderboard
    if board.empty:
        return section("promoted", "Promotion", '<p class="empty">No strategy was ranked on this day.</p>')
    _require(board, ("strategy_id", "family", "text", "verdict"), "leaderboard")
    promoted = board[board["verdict"] == "promoted"]
    if len(promoted):
        count = f"{len(promoted)} strateg{'y' if len(promoted) == 1 else 'ies'}"
        answer = (
            f"<b>{count} survived the evidence.</b><p>Of {inputs.trials:,} tried, {inputs.looked_at} had one look at data that no search "
            "had seen. "
            "Promotion means validated, not trusted with money: a strategy becomes active only on fresh forward data.</p>"
        )
        cards = "".join(_candidate(row, "has") for row in promoted.head(9).to_dict("records"))
        return section("promoted", "Promotion", f'<div class="answer">{answer}</div><div class="cards">{cards}</div>')
    idle = "stays in cash" if inputs.benchmark == "cash" else "follows the benchmark, buy and hold"
    looked = (
        f"{inputs.looked_at} had one look at data that no search had seen, and none kept an edge large enough to rule luck out"
        if inputs.looked_at
        else "none did well enough on its training days to deserve a look at data that no search had seen"
    )
    answer = (
        f"<b>Nothing was promoted today, and that is an answer.</b><p>{inputs.trials:,} strategies were tried. With so many, some look "
        f"splendid by luck alone; {looked}. Most days on liquid markets end like this. Capital that no active strategy claims {idle}.</p>"
    )
    nearest = board[board["verdict"] != "not_looked_at"].head(_NEAREST)
    cards = "".join(_candidate(row, "lacks") for row in nearest.to_dict("records"))
    body = f'<div class="answer">{answer}</div>' + (
        f'<h3>What the nearest candidates lack</h3><div class="cards">{cards}</div>' if cards else ""
    )
    return section("promoted", "Promotion", body)


def _candidate(row: dict[Any, Any], kind: str) -> str:
    reasons = [reason for reason in re.split(r";\s+", str(row.get("reasons") or "")) if reason]
    items = "".join(f"<li>{html.escape(reason)}</li>" for reason in reasons)
    figures = " · ".join(
        f"{label} {show(row[name])}"
        for name, label, show in (
            ("sharpe_validation", "out-of-sample Sharpe", number(2)), ("t_stat", "t", number(2)), ("dsr", "DSR", number(2)),
        )
        if name in row
    )  # fmt: skip
    return (
        f'<div class="card"><h4><span>{html.escape(str(row["family"]))}</span>{_verdict(row["verdict"])}</h4>'
        f'<div class="none">{figures}</div><ul class="{kind}">{items}</ul>'
        f"<details><summary><code>{html.escape(str(row['strategy_id'])[:12])}</code></summary><pre>{html.escape(str(row['text']))}</pre></details></div>"
    )


def best_candidate(inputs: ReportInputs) -> str:
    """Equity and drawdown against the benchmark, and returns by month."""
    returns = inputs.returns
    if returns.empty:
        return ""
    days = [_date(day) for day in returns.index]
    kinds = ("c1", "c2", "c3", "c4")
    names = [str(name) for name in returns.columns[: len(kinds)]]
    growth = {name: np.cumprod(1.0 + np.nan_to_num(returns.iloc[:, k].to_numpy(dtype=float))) for k, name in enumerate(names)}
    known = {name: np.isfinite(returns.iloc[:, k].to_numpy(dtype=float)) for k, name in enumerate(names)}
    equity, falls = [], []
    for name, kind in zip(names, kinds, strict=False):
        # Nothing is drawn before a series begins; a gap later is a day without a return.
        begun = np.maximum.accumulate(known[name])
        curve = np.where(begun, growth[name], np.nan)
        equity.append(Line(name, curve, kind))
        falls.append(Line(name, np.where(begun, growth[name] / np.maximum(np.maximum.accumulate(growth[name]), 1.0) - 1.0, np.nan), kind))
    drawable = np.concatenate([line.values[np.isfinite(line.values)] for line in equity])
    wide = drawable.size > 0 and drawable.max() > 4.0 and drawable.min() > 0
    mark = "out of sample" if inputs.validation_start else ""
    drawn = line_chart(days, equity, show=_growth, height=300, mark_from=inputs.validation_start, mark=mark, log=wide)
    below = line_chart(days, falls[:2], show=percent(0), height=120, mark_from=inputs.validation_start, fill=True, legend=False)
    lead = "Growth of 1 after fees and slippage" + (", logarithmic. " if wide else ". ")
    lead += (
        "What lies before the shaded part helped to choose the strategy and flatters it; judge the shaded part."
        if inputs.validation_start
        else ""
    )
    months = _monthly(days, returns.iloc[:, 0].to_numpy(dtype=float))
    body = f"{drawn}<h3>Drawdown</h3>{below}<h3>Return by month: {html.escape(names[0])}</h3>{months}"
    return section("curve", f"Best candidate: {names[0]}", body, lead)


def _monthly(days: list[dt.date], returns: np.ndarray) -> str:
    grown: dict[tuple[int, int], float] = {}
    for day, value in zip(days, returns, strict=True):
        if np.isfinite(value):
            grown[day.year, day.month] = grown.get((day.year, day.month), 1.0) * (1.0 + float(value))
    if not grown:
        return '<p class="empty">No month with returns.</p>'
    largest = max(max(abs(value - 1.0) for value in grown.values()), 1e-9)
    lines = []
    for year in sorted({year for year, _ in grown}):
        cells, whole = [], 1.0
        for month in range(1, 13):
            value = grown.get((year, month))
            whole *= value if value is not None else 1.0
            cells.append(_heat(None if value is None else value - 1.0, largest))
        lines.append(
            f'<tr><td class="left">{year}</td>{"".join(cells)}<td><b>{percent(1, sign=True, tint=True)(whole - 1.0)}</b></td></tr>'
        )
    head = "".join(f"<th>{name}</th>" for name in _MONTHS)
    return (
        f'<div class="scroll"><table class="heat"><thead><tr><th class="left"></th>{head}<th>Year</th></tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _heat(value: float | None, largest: float) -> str:
    if value is None:
        return f"<td>{NOTHING}</td>"
    kind = "g" if value >= 0 else "l"
    return f'<td class="{kind}" style="--v:{min(abs(value) / largest, 1.0):.2f}">{percent(1)(value)}</td>'


def leaderboard(inputs: ReportInputs) -> str:
    """The best strategies with their evidence."""
    board = inputs.leaderboard
    if board.empty:
        return ""
    shown = board.head(_ROWS).copy()
    shown["name"] = [
        f"<details><summary>{badge(str(family))} <code>{_escaped(str(key)[:10])}</code></summary><pre>{_escaped(words)}</pre></details>"
        for family, key, words in zip(shown["family"], shown["strategy_id"], shown["text"], strict=True)
    ]
    if {"sharpe_low", "sharpe_high"} <= set(shown.columns):
        shown["interval"] = [
            f"{number(1)(low)} … {number(1)(high)}" if np.isfinite([low, high]).all() else NOTHING
            for low, high in zip(shown["sharpe_low"], shown["sharpe_high"], strict=True)
        ]
    columns = [
        Column("rank", "#", number(0)),
        Column("name", "Strategy", str, left=True),
        Column("verdict", "Verdict", _verdict, left=True),
        Column("state", "State", lambda state: badge(str(state), str(state)), "State in the strategy book", left=True),
        Column("sharpe_validation", "Sharpe", number(2), "Out of sample (validation), annual"),
        Column("interval", "90 %", str, "Bootstrap interval of the out-of-sample Sharpe ratio"),
        Column("sharpe_train", "in training", number(2), "In-sample Sharpe ratio: it helped to choose the strategy, so it flatters it"),
        Column("t_stat", "t", number(2), "t statistic of the mean daily return over both spans"),
        Column("dsr", "DSR", number(2), "Deflated Sharpe ratio: probability that the Sharpe ratio beats the best of as many lucky trials"),
        Column("pbo", "PBO", number(2), "Probability of backtest overfitting of the search it came from"),
        Column("gross_p", "p before costs", number(3), "Does it foretell anything? StepM p-value on validation, of everything looked at"),
        Column("stepm_p", "p after costs", number(3), "Does it earn anything? StepM p-value on validation, of everything looked at"),
        Column("trades", "Trades", compact),
    ]
    count = f"The best {len(shown)} of {len(board):,} strategies of this day. " if len(board) > len(shown) else ""
    return section(
        "leaderboard",
        "Leaderboard",
        table(shown, columns),
        f"{count}By verdict, then by the Sharpe ratio out of sample. Tap a strategy to read it.",
    )


def portfolio(inputs: ReportInputs) -> str:
    """Target weights."""
    weights = inputs.weights
    held = weights[weights["weight"].abs() > 5e-5] if "weight" in weights.columns else weights
    if held.empty:
        idle = "Capital stays in cash." if inputs.benchmark == "cash" else "Capital follows the benchmark, buy and hold."
        return section("portfolio", "Portfolio", f'<p class="empty">No position. {idle}</p>')
    held = held.sort_values(["weight", "symbol"], ascending=[False, True])
    gross, net = float(held["weight"].abs().sum()), float(held["weight"].sum())
    largest = float(held["weight"].abs().max())
    rows = "".join(
        f"<span>{text(symbol)}</span>{diverging(weight, largest)}<span>{percent(1, sign=True, tint=True)(weight)}</span>"
        for symbol, weight in zip(held["symbol"], held["weight"].astype(float), strict=True)
    )
    lead = f"Target weights for the next day: {percent(0)(gross)} gross, {percent(0, sign=True)(net)} net."
    lead += " The rest stays in cash." if gross < 0.995 and inputs.benchmark == "cash" else ""
    return section("portfolio", "Portfolio", f'<div class="rows">{rows}</div>', lead)


def signals(inputs: ReportInputs) -> str:
    """What to do, until when."""
    if inputs.signals.empty:
        return section("signals", "Signals", '<p class="empty">No signal: no active strategy asks for a position.</p>')
    _require(inputs.signals, ("symbol", "side"), "signals")
    columns = [
        Column("symbol", "Symbol", text, left=True),
        Column("side", "Side", lambda side: badge(str(side), str(side)), left=True),
        Column("strength", "Strength", number(2, sign=True), "In [-1, 1]"),
        Column("confidence", "Confidence", number(2), "In [0, 1]"),
        Column("target_weight", "Target", percent(1, sign=True, tint=True), "Fraction of equity"),
        Column("stop", "Stop", price),
        Column("take_profit", "Take profit", price),
        Column("votes", "Votes", text, left=True),
        Column("valid_until", "Valid until (UTC)", moment),
    ]
    return section("signals", "Signals", table(inputs.signals, columns), "They expire: after the time shown, a signal says nothing.")


def book(inputs: ReportInputs) -> str:
    """What the strategy book follows."""
    if inputs.book.empty:
        return ""
    _require(inputs.book, ("strategy_id", "state"), "book")
    counts = inputs.book["state"].value_counts()
    order = ("active", "probation", "incubating", "validated", "watchlist", "candidate", "retired")
    lead = " ".join(badge(f"{counts[state]} {state}", state) for state in order if state in counts.index)
    place = {state: position for position, state in enumerate(order)}
    shown = inputs.book.assign(place=inputs.book["state"].map(place)).sort_values(["place", "strategy_id"], kind="stable").head(_ROWS)
    columns = [
        Column("strategy_id", "Strategy", lambda key: f"<code>{html.escape(str(key)[:10])}</code>", left=True),
        Column("state", "State", lambda state: badge(str(state), str(state)), left=True),
        Column("since", "Since", lambda day: f"{_date(day):%d %b %Y}", left=True),
        Column("forward_return", "Forward return", percent(1, sign=True, tint=True), "On days after its validation"),
        Column("forward_sharpe", "Forward Sharpe", number(2)),
        Column("e_value", "e-value", number(1), "Evidence on forward days; valid however often it is looked at"),
        Column("reason", "Why", text, left=True),
    ]
    return section("book", "Strategy book", table(shown, columns), lead)


def attribution(inputs: ReportInputs) -> str:
    """Where profit came from."""
    if inputs.attribution is None or inputs.attribution.by_pair.empty:
        return ""
    parts = []
    for frame, key, title in (
        (inputs.attribution.by_strategy, "strategy_id", "By strategy"),
        (inputs.attribution.by_symbol, "symbol", "By symbol"),
    ):
        shown = frame.sort_values(["contribution", key], ascending=[False, True]).head(10)
        largest = float(shown["contribution"].abs().max())
        rows = "".join(
            f"<span>{text(str(name)[:12])}</span>{diverging(float(made), largest)}<span>{percent(2, sign=True, tint=True)(made)}</span>"
            for name, made in zip(shown[key], shown["contribution"], strict=True)
        )
        parts.append(f'<h3>{title}</h3><div class="rows">{rows}</div>')
    lead = (
        f"Profit and loss per unit of starting capital, {percent(2, sign=True)(inputs.attribution.total)} in all; the parts add up to it."
    )
    return section("attribution", "Attribution", "".join(parts), lead)


def reading(inputs: ReportInputs) -> str:
    """The words the page uses."""
    terms = [
        ("Tried", "Every strategy that any search ever evaluated counts, since the best of many looks good by luck."),
        ("Look at validation", "A few distinct strategies, chosen on training days alone, are tried once on days that no search saw."),
        (
            "p before, after costs",
            "Chance of a result this good on validation where nothing can be foretold (before costs), and where nothing is left to earn "
            "(after them), corrected for all that were looked at (StepM; Romano and Wolf 2005).",
        ),
        (
            "t",
            "Mean daily return over its standard error, both spans together; far above 2 by luck alone, since training helped to choose.",
        ),
        ("DSR", "Deflated Sharpe ratio (Bailey and López de Prado 2014): near 1 is evidence of an edge, near 0 is what luck produces."),
        ("PBO", "How often the best of training falls below the median elsewhere; above one half, the search picks noise."),
        ("Watchlist", "Made money out of sample but failed a test: followed on paper, never traded."),
    ]
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in inputs.notes)
    listed = f"<h3>Notes on this day's data</h3><ul>{notes}</ul>" if notes else ""
    words = "".join(f"<dt>{html.escape(term)}</dt><dd>{html.escape(meaning)}</dd>" for term, meaning in terms)
    return section("reading", "How to read this", f"<dl>{words}</dl>{listed}")


def footer(inputs: ReportInputs) -> str:
    made = f" Settings {html.escape(inputs.fingerprint)}." if inputs.fingerprint else ""
    program = f" {html.escape(inputs.version)}" if inputs.version else ""
    sample = " The market is simulated." if inputs.simulated else ""
    return (
        "<footer><p><b>Not investment advice.</b> Backtests and forecasts say what would have happened under stated costs, not what will."
        f"{sample} Data through the close of {inputs.day.isoformat()} UTC.</p><p>strategy_pipeline{program}.{made}</p></footer>"
    )


def _verdict(value: Any) -> str:
    return badge(_IN_WORDS.get(str(value), str(value)), str(value))


def _escaped(value: Any) -> str:
    return html.escape(str(value))


def _date(value: Any) -> dt.date:
    return pd.Timestamp(value).date()


def _growth(value: float) -> str:
    return f"{value:.2f}"


def _require(frame: pd.DataFrame, columns: tuple[str, ...], what: str) -> None:
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise MissingColumnError(
            f"Expected {what} with {', '.join(columns)}, was without {', '.join(missing)}; add them to the report's inputs"
        )
