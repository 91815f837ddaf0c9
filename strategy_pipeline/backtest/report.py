"""One strategy's report: a self-contained HTML page, the same bytes for the same result and seed.

What belongs here: what the page says, section by section. What does not: how it looks (`report_page`), and the report of a
day (analytics).
"""

from __future__ import annotations

import html
from typing import Any

import numpy as np
import pandas as pd

from strategy_pipeline.backtest.metrics import METRICS
from strategy_pipeline.backtest.report_page import AXIS, NOTHING, choice, figure, number, numbers, page, percent, section, table
from strategy_pipeline.backtest.result import BacktestResult
from strategy_pipeline.backtest.robustness import MIN_TRADES, MonteCarlo, monte_carlo, trade_effects
from strategy_pipeline.backtest.scenarios import stress
from strategy_pipeline.backtest.simulations import bootstrap_bands
from strategy_pipeline.errors import UnknownSymbolError

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
MOST_CHARTS = 8  # symbols whose prices are drawn
MOST_POINTS = 20_000  # closes drawn of each
SHOWN_TRADES = 25  # in the table, the newest; also what the price chart opens on
WIDE = 4.0  # growth from which on the equity axis is logarithmic
PERCENTS = {
    "total_return", "annual_return", "volatility", "max_drawdown", "win_rate", "expectancy", "exposure", "alpha", "var_95", "cvar_95",
    "avg_win", "avg_loss",
}  # fmt: skip
WHOLE = {"drawdown_bars", "trades", "open_trades", "delisted", "ruined", "capacity"}
GROUPS = {
    "Return": ("total_return", "annual_return", "volatility", "sharpe", "sortino", "calmar", "omega", "stability"),
    "Against buying and holding": ("information_ratio", "alpha", "beta"),
    "Risk": ("max_drawdown", "drawdown_bars", "var_95", "cvar_95", "tail_ratio", "skew", "kurtosis"),
    "Trades": (
        "trades", "open_trades", "win_rate", "profit_factor", "payoff", "expectancy", "avg_win", "avg_loss", "avg_holding_bars",
        "exposure", "turnover", "capacity", "delisted", "ruined",
    ),
}  # fmt: skip


def strategy_report(
    result: BacktestResult,
    id: str,
    *,
    symbol: str | None = None,
    seed: int = 0,
    paths: int = 1000,
    jitter: float = 0.1,
    skip: float = 0.1,
    prices: int = 50,
    simulated: bool = False,
    workers: int = 0,
) -> str:
    """The page as text; write it as UTF-8. It is some 5 MB, nearly all of it the drawing library, and asks nobody for anything.

    Parameters
    ----------
    result : BacktestResult
    id : of the strategy
    symbol : whose price chart shows the trades; None is the one with most trades
    seed, paths, jitter, skip, prices : of `monte_carlo` (n is `paths`)
    simulated : put SAMPLE MARKET on top
    workers : threads of the Monte Carlo runs; the page does not depend on it

    Raises
    ------
    StrategyError, UnknownSymbolError
        The id is not of this result; the strategy does not trade the symbol.
    """
    result.check(id)
    strategy = result.strategies[id]
    traded = [name for name in result.symbols if result.trades_on(id, name)]
    if symbol is not None and symbol not in traded:
        raise UnknownSymbolError(f"Expected a symbol of strategy {id} ({', '.join(traded)}), was {symbol}; choose one")
    if len(result.strategy_ids) > 1 or not set(METRICS) <= set(result.metrics.columns):
        result = result.rerun([strategy], workers=workers)  # nothing below should cost a run of the whole population
    per_symbol = result.metrics.droplevel(0)[list(METRICS)]
    shown = symbol or max(traded, key=lambda name: (per_symbol.loc[name, "trades"], -traded.index(name)))
    pooled = result.pooled.iloc[0]
    found = monte_carlo(result, [id], n=paths, seed=seed, jitter=jitter, skip=skip, prices=prices, delay=result.delay + 1, workers=workers)
    body = "".join(
        [
            _tiles(result, id, pooled, found),
            _curve(result, id),
            section("Return by month", _monthly(result, id)),
            _prices(result, id, [shown, *(name for name in traded if name != shown)][:MOST_CHARTS]),
            _chance(result, id, found, paths),
            _histories(result, id, prices, seed, workers),
            _scenarios(result, id, workers),
            _metrics(per_symbol, pooled),
            _last_trades(result, id),
        ]
    )
    first, last = (f"{pd.Timestamp(day):%d %b %Y}" for day in result.days[[0, -1]])
    costs = result.costs
    banner = (
        '<div class="sample"><b>SAMPLE MARKET</b>: simulated prices with planted edges. Nothing here happened.</div>' if simulated else ""
    )
    names = ", ".join(traded[:8]) + (f" and {len(traded) - 8} more" if len(traded) > 8 else "")
    title = f"{strategy.family.replace('_', ' ').capitalize()} on {names}"
    header = (
        f'{banner}<header><div><p class="over">Strategy {html.escape(id[:12])}</p><h1>{html.escape(title)}</h1>'
        f'<p class="soft">{html.escape(strategy.timeframe)} bars, {first} to {last} · fee {costs.fee_bps:g} bp and slippage '
        f"{costs.slippage_bps:g} bp a side · fills at {'the next open' if result.fill == 'next_open' else 'the close'}</p>"
        f"<pre>{html.escape(strategy.text)}</pre></div></header>"
    )
    footer = (
        f"Strategy {html.escape(id)}, bars {result.bars.fingerprint[:12]}, seed {seed}. Every figure is after costs, in UTC. "
        "A backtest says what would have been, not what will be: how many strategies were tried to find this one is not on this page. "
        "Not investment advice."
    )
    return page(f"Strategy {id[:12]}", header, body, footer)


def _tiles(result: BacktestResult, id: str, pooled: pd.Series, found: MonteCarlo) -> str:
    held = float(np.prod(1 + _held(result, id)) - 1)
    row = found.summary.loc[id]
    shown = [
        ("Total return", percent(pooled["total_return"], tint=True, sign=True), f"holding {percent(held, sign=True)}"),
        ("Annual return", percent(pooled["annual_return"], tint=True, sign=True), f"volatility {percent(pooled['volatility'])}"),
        ("Sharpe ratio", number(pooled["sharpe"]), f"Sortino {number(pooled['sortino'])}"),
        ("Largest drawdown", percent(pooled["max_drawdown"]), f"{number(pooled['drawdown_bars'], 0)} days under water"),
        ("Trades", number(pooled["trades"], 0), f"{percent(pooled['win_rate'], 0)} won, payoff {number(pooled['payoff'])}"),
        ("Robustness", number(row["robustness"]), f"chance of a loss {percent(row['probability_of_loss'], 0)}"),
    ]
    tiles = "".join(f'<div class="tile"><span>{name}</span><b>{value}</b><small>{more}</small></div>' for name, value, more in shown)
    return f'<div class="tiles">{tiles}</div>\n'


def _held(result: BacktestResult, id: str) -> np.ndarray:
    return result.benchmark_returns([result.strategy_ids.index(id)])[0]


def _curve(result: BacktestResult, id: str) -> str:
    own = np.cumprod(1 + result.returns(id).to_numpy())
    other = np.cumprod(1 + _held(result, id))
    fall = own / np.maximum(np.maximum.accumulate(own), 1.0) - 1
    other_fall = other / np.maximum(np.maximum.accumulate(other), 1.0) - 1
    log = max(own.max(), other.max()) > WIDE and min(own.min(), other.min()) > 0
    days = [str(day) for day in result.days.astype("datetime64[D]")]
    common: dict[str, Any] = {"type": "scatter", "mode": "lines", "x": days}
    traces: list[dict[str, Any]] = [
        {**common, "y": numbers(other), "name": "buy and hold", "line": {"color": "--accent2", "width": 1.4}, "hovertemplate": "%{y:.2f}"},
        {**common, "y": numbers(own), "name": "strategy", "line": {"color": "--accent", "width": 2.2}, "hovertemplate": "%{y:.2f}"},
        {**common, "y": numbers(other_fall, 4), "yaxis": "y2", "name": "drawdown of buy and hold", "showlegend": False,
         "line": {"color": "--accent2", "width": 1}, "hovertemplate": "%{y:.1%}"},
        {**common, "y": numbers(fall, 4), "yaxis": "y2", "name": "drawdown", "showlegend": False, "fill": "tozeroy",
         "fillcolor": "--loss/0.22", "line": {"color": "--loss", "width": 1.2}, "hovertemplate": "%{y:.1%}"},
    ]  # fmt: skip
    layout = {
        "xaxis": {**AXIS, "anchor": "y2", "showgrid": False},
        "yaxis": {**AXIS, "domain": [0.33, 1.0], "type": "log" if log else "linear", "tickformat": ".3~g"},
        "yaxis2": {**AXIS, "domain": [0.0, 0.27], "tickformat": ".0%", "nticks": 4},
    }
    lead = "Growth of 1, after costs, at the close of every day" + (" (logarithmic)" if log else "") + "; below it the fall from the peak."
    return section("Equity and drawdown", figure("equity", traces, layout, height=430), lead)


def _monthly(result: BacktestResult, id: str) -> str:
    returns = result.returns(id)
    days = pd.DatetimeIndex(returns.index)
    grown = (1 + returns).groupby([days.year, days.month]).prod() - 1
    years = (1 + returns).groupby(days.year).prod() - 1
    largest = max(float(grown.abs().max()), 1e-9)
    rows = []
    for year in years.index:
        cells = [f"{year}"]
        for month in range(1, 13):
            value = grown.get((year, month))
            if value is None:
                cells.append("")
                continue
            kind = "g" if value > 0 else "l"
            cells.append(f'<td class="{kind}" style="--v:{abs(value) / largest:.2f}">{percent(value)}</td>')
        rows.append([*cells, f"<b>{percent(years[year], sign=True, tint=True)}</b>"])
    return table(("Year", *MONTHS, "Year"), rows, classes="heat")


def _prices(result: BacktestResult, id: str, symbols: list[str]) -> str:
    """A chart for each symbol, one shown at a time."""
    charts = "".join(_price(result, id, name, f"price{k}", hidden=k > 0) for k, name in enumerate(symbols))
    choose = choice([(f"price{k}", f"{name} ({len(result.trades(id, name)):,} trades)") for k, name in enumerate(symbols)])
    lead = f"Opens on the newest {SHOWN_TRADES} trades. Drag to move; drag the ends of the strip below to see more or less."
    title = "Trades on the price" if len(symbols) > 1 else f"Trades on {symbols[0]}"
    return section(title, choose + charts, lead)


def _price(result: BacktestResult, id: str, symbol: str, key: str, *, hidden: bool) -> str:
    """The closes with an arrow at each entry and a dot at each exit."""
    s, bars = result.symbols.index(symbol), result.bars
    begin, until = result.window
    every = -(-(until - begin) // MOST_POINTS)
    trades = result.trades(id, symbol)
    traces: list[dict[str, Any]] = [
        {"type": "scatter", "mode": "lines", "name": "close", "x0": _moment(bars.times[begin]), "dx": every * _step(bars.times),
         "y": numbers(bars.close[s, begin:until:every]), "line": {"color": "--accent2", "width": 1.1}, "hoverinfo": "skip"},
    ]  # fmt: skip
    closed = trades["reason"] != "open"
    won = trades["pnl"] > 0
    for name, chosen, colour in (("won", closed & won, "--gain"), ("lost", closed & ~won, "--loss")):
        part = trades[chosen]
        gap = [None] * len(part)
        xs = [x for pair in zip(map(_moment, part["entry"]), map(_moment, part["exit"]), gap, strict=True) for x in pair]
        ys = [y for pair in zip(numbers(part["entry_price"]), numbers(part["exit_price"]), gap, strict=True) for y in pair]
        traces.append({"type": "scatter", "mode": "lines", "name": name, "x": xs, "y": ys, "showlegend": False,
                       "line": {"color": colour, "width": 2}, "hoverinfo": "skip"})  # fmt: skip
        traces.append(
            {"type": "scatter", "mode": "markers", "name": f"exit, {name}", "x": [_moment(x) for x in part["exit"]],
             "y": numbers(part["exit_price"]), "marker": {"color": colour, "size": 7, "line": {"color": "--card", "width": 1}},
             "text": [f"{reason}, {percent(r, 2, sign=True)}" for reason, r in zip(part["reason"], part["net_return"], strict=True)],
             "hovertemplate": "exit %{y:.6~g}<br>%{text}<extra></extra>"}
        )  # fmt: skip
    for side, name, mark in ((1, "long", "triangle-up"), (-1, "short", "triangle-down")):
        part = trades[trades["side"] == side]
        if len(part):
            traces.append(
                {"type": "scatter", "mode": "markers", "name": f"enter {name}", "x": [_moment(x) for x in part["entry"]],
                 "y": numbers(part["entry_price"]), "marker": {"color": "--accent", "size": 10, "symbol": mark,
                                                               "line": {"color": "--card", "width": 1}},
                 "hovertemplate": f"enter {name} %{{y:.6~g}}<extra></extra>"}
            )  # fmt: skip
    opening = max(begin, min(_position(bars.times, trades["entry"].iloc[-SHOWN_TRADES:].min()) - 24, until - 2)) if len(trades) else begin
    near = bars.close[s, opening:until]
    low, high = (float(np.nanmin(near)), float(np.nanmax(near))) if np.isfinite(near).any() else (0.0, 1.0)
    buttons = [{"count": n, "label": label, "step": "month", "stepmode": "backward"} for n, label in ((1, "1 m"), (3, "3 m"), (12, "1 y"))]
    layout = {
        "hovermode": "closest",
        "dragmode": "pan",
        "xaxis": {**AXIS, "type": "date", "range": [_moment(bars.times[opening]), _moment(bars.times[until - 1])], "showgrid": False,
                  "rangeselector": {"buttons": [*buttons, {"step": "all", "label": "all"}], "bgcolor": "--code", "activecolor": "--accent2",
                                    "font": {"color": "--ink"}, "x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom"},
                  "rangeslider": {"visible": True, "thickness": 0.09, "bgcolor": "--code"}},
        "yaxis": {**AXIS, "fixedrange": False, "tickformat": ",.6~g",
                  "range": [low - 0.06 * (high - low), high + 0.06 * (high - low)]},
    }  # fmt: skip
    return figure(key, traces, layout, height=470, hidden=hidden, follow=True)


def _chance(result: BacktestResult, id: str, found: MonteCarlo, paths: int) -> str:
    """The fan of resampled trades beside what the perturbations came to."""
    row = found.summary.iloc[0]
    if id not in found.bands:
        return section(
            "Monte Carlo", f'<p class="soft">{int(row["trades"])} closed trades; resampling them says nothing below {MIN_TRADES}.</p>'
        )
    bands = found.bands[id]
    made = numbers(bands.index * row["trades"], 6)
    effects = trade_effects(result, id)
    path = np.concatenate([[1.0], np.cumprod(1 + effects)])
    traces = _fan(bands, made)
    traces.append(
        {"type": "scatter", "mode": "lines", "x": made, "y": numbers(path[np.round(bands.index * len(effects)).astype(int)]),
         "name": "as it happened", "line": {"color": "--ink", "width": 1.6, "dash": "dot"}, "hovertemplate": "%{y:.2f}"}
    )  # fmt: skip
    log = bands[95].max() > WIDE / 2 and bands[5].min() > 0
    layout = {
        "xaxis": {**AXIS, "title": {"text": "trades made"}, "showgrid": False},
        "yaxis": {**AXIS, "type": "log" if log else "linear", "tickformat": ".3~g"},
    }
    score = row["robustness"]
    words = [
        ("Chance of a loss", percent(row["probability_of_loss"], 1), "resampled paths that end below 1"),
        ("Chance of ruin", percent(row["probability_of_ruin"], 1), "resampled paths that lose half from a peak"),
        ("Final return, 5 to 95 %", f"{percent(row['return_p5'], 0)} to {percent(row['return_p95'], 0)}", ""),
        ("Drawdown, 95 %", percent(row["drawdown_p95"], 0), f"as it happened {percent(row['realised_drawdown'], 0)}"),
        ("Luck of the order", percent(row["order_luck"], 0), "other orders that fall deeper"),
        ("Costs doubled", percent(row["stressed_return"], 1, sign=True, tint=True), "total return"),
        ("Orders a bar late", percent(row["delayed_return"], 1, sign=True, tint=True), "total return"),
        ("Numbers moved", percent(row["jitter_share"], 0), "like strategies that end above water"),
        ("Entries missed", percent(1 - row["skip_loss"], 0), "runs that end above water"),
        ("Prices resampled", percent(1 - row["price_loss"], 0), "histories that end above water"),
    ]
    rows = [[f'{name}<br><span class="soft">{more}</span>' if more else name, value] for name, value, more in words if value != NOTHING]
    width = 0.0 if not np.isfinite(score) else 100 * score
    side = (
        f'<h3 style="margin-top:0">Robustness {number(score)}</h3><span class="score"><i style="width:{width:.1f}%"></i></span>'
        '<p class="soft" style="font-size:13px">The chance to stay above water through all of it; one failure makes it 0.</p>'
        f"{table(('What was changed', ''), rows, classes='side')}"
    )
    body = f'<div class="two"><div>{figure("fan", traces, layout, height=560)}</div><div>{side}</div></div>'
    lead = f"{paths:,} paths of its trades drawn again in blocks, and further runs with one thing changed at a time."
    return section("Monte Carlo", body, lead)


def _fan(bands: pd.DataFrame, x: list[Any]) -> list[dict[str, Any]]:
    """Traces of percentile bands with their median."""
    common: dict[str, Any] = {"type": "scatter", "mode": "lines", "x": x, "hovertemplate": "%{y:.2f}"}
    edge = {"width": 0}
    return [
        {**common, "y": numbers(bands[95]), "line": edge, "showlegend": False, "name": "95 %"},
        {**common, "y": numbers(bands[5]), "line": edge, "fill": "tonexty", "fillcolor": "--accent/0.14", "name": "5 to 95 %"},
        {**common, "y": numbers(bands[75]), "line": edge, "showlegend": False, "name": "75 %"},
        {**common, "y": numbers(bands[25]), "line": edge, "fill": "tonexty", "fillcolor": "--accent/0.24", "name": "25 to 75 %"},
        {**common, "y": numbers(bands[50]), "line": {"color": "--accent", "width": 2}, "name": "median"},
    ]


def _histories(result: BacktestResult, id: str, n: int, seed: int, workers: int) -> str:
    """The fan of equity on resampled prices; nothing for a strategy that has none."""
    if n < 1:
        return ""
    bands = bootstrap_bands(result, id, n=n, seed=seed, workers=workers)
    if not len(bands):
        return ""
    days = [str(day) for day in result.days.astype("datetime64[D]")]
    traces = _fan(bands, days)
    traces.append(
        {"type": "scatter", "mode": "lines", "x": days, "y": numbers(result.equity(id)), "name": "as it happened",
         "line": {"color": "--ink", "width": 1.6, "dash": "dot"}, "hovertemplate": "%{y:.2f}"}
    )  # fmt: skip
    log = bands[95].max() > WIDE / 2 and bands[5].min() > 0
    layout = {"xaxis": {**AXIS, "showgrid": False}, "yaxis": {**AXIS, "type": "log" if log else "linear", "tickformat": ".3~g"}}
    lead = (
        f"The same rules on {n} histories made of this one: blocks of a mean of 168 bars drawn again, the same for every symbol. "
        "Where the line lies above the bands, the order of this history did it."
    )
    return section("Other histories", figure("histories", traces, layout, height=330), lead)


def _scenarios(result: BacktestResult, id: str, workers: int) -> str:
    frame = stress(result, [id], delays=(result.delay + 1, result.delay + 2), workers=workers).loc[id]
    rows = [
        [
            html.escape(str(name)),
            percent(row["total_return"], sign=True, tint=True),
            percent(row["annual_return"], sign=True),
            number(row["sharpe"]),
            percent(row["max_drawdown"]),
        ]
        for name, row in frame.iterrows()
    ]
    head = ("Scenario", "Total return", "Annual return", "Sharpe ratio", "Largest drawdown")
    lead = "The same rules with other costs (x1 is as reported above), and with every order late."
    return section("What costs and latency do", table(head, rows), lead)


def _metrics(per_symbol: pd.DataFrame, pooled: pd.Series) -> str:
    names = list(per_symbol.index)
    head = ["", *(["All, pooled by day"] if len(names) > 1 else ["By day"]), *names]
    rows: list[list[str]] = []
    for group, members in GROUPS.items():
        rows.append([group])
        rows += [
            [name.replace("_", " "), _metric(name, pooled[name]), *(_metric(name, per_symbol.loc[symbol, name]) for symbol in names)]
            for name in members
        ]
    lead = "Of each symbol from returns by bar, pooled from the equal mean of its symbols by day; docs/metrics.md has the formulas."
    return section("Metrics", table(head, rows), lead)


def _metric(name: str, value: float) -> str:
    if name in PERCENTS:
        return percent(value, 2 if name in ("expectancy", "var_95", "cvar_95", "avg_win", "avg_loss") else 1)
    return number(value, 0 if name in WHOLE else 2)


def _last_trades(result: BacktestResult, id: str) -> str:
    trades = result.trades(id)
    newest = trades.iloc[-SHOWN_TRADES:][::-1]
    rows = [
        [
            f"{trade['entry']:%d %b %Y %H:%M}",
            html.escape(trade["symbol"]),
            "long" if trade["side"] > 0 else "short",
            f"{trade['entry_price']:,.6g}",
            NOTHING if trade["reason"] == "open" else f"{trade['exit_price']:,.6g}",
            f"{trade['bars']:,}",
            trade["reason"],
            percent(trade["net_return"], 2, sign=True, tint=True),
        ]
        for trade in newest.to_dict("records")
    ]
    head = ("Entry (UTC)", "Symbol", "Side", "Entry price", "Exit price", "Bars", "Left by", "Net return")
    body = table(head, rows) if rows else '<p class="soft">No trade.</p>'
    return section(f"Newest trades ({len(rows)} of {len(trades):,})", body)


def _moment(value: Any) -> str:
    return str(pd.Timestamp(value).tz_localize(None) if pd.Timestamp(value).tz is not None else pd.Timestamp(value))


def _step(times: np.ndarray) -> int:
    """Milliseconds from bar to bar."""
    return int((times[1] - times[0]) / np.timedelta64(1, "ms")) if len(times) > 1 else 1


def _position(times: np.ndarray, moment: pd.Timestamp) -> int:
    return int(np.searchsorted(times, np.datetime64(moment.tz_localize(None).to_datetime64())))
