"""Markets whose truth is known: nothing to find, or one rule that works with a known annual Sharpe ratio.

What belongs here: making them from given bars, and measuring that nothing is left in the first kind. What does not: what
a search makes of them (`promotions`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from strategy_pipeline.errors import NoDataError, StrategyError
from strategy_pipeline.rng import generator

if TYPE_CHECKING:
    from strategy_pipeline.backtest import Costs
    from strategy_pipeline.market import Bars
    from strategy_pipeline.strategies import Strategy

Array = np.ndarray
BLOCK_DAYS = 7.0  # mean block of the joint bootstrap under a null market
FORECAST = "forecast.return_24h"
KINDS = ("momentum", "reversal", "breakout", "forecast")
_HALF_LIFE = 72.0  # bars, of the volatility that a planted drift is proportional to
_TOLERANCE = 0.05  # of the planted Sharpe ratio
_ROUNDS = 30
_DRAWS = 12
_MOST_DRIFT = 0.5  # of a bar's own volatility: beyond this the edge would be the whole market

# Each kind's sentences: entry and exit of a long and of a short, with numbers drawn continuously (name: low, high, whole).
_SENTENCES: dict[str, tuple[tuple[str, str, str, str, dict[str, tuple[float, float, bool]]], ...]] = {
    "momentum": (
        ("simple_return(close, {n}) > {x}", "simple_return(close, {n}) < -{x}", "simple_return(close, {n}) < 0",
         "simple_return(close, {n}) > 0", {"n": (18, 200, True), "x": (0.01, 0.06, False)}),
        ("psychological_line(close, {n}) > {u}", "psychological_line(close, {n}) < {d}", "psychological_line(close, {n}) < 50",
         "psychological_line(close, {n}) > 50", {"n": (24, 120, True), "u": (56, 62, False), "d": (38, 44, False)}),
        ("wma(close, {n}) > lag(wma(close, {n}), {m}) and close > wma(close, {n})",
         "wma(close, {n}) < lag(wma(close, {n}), {m}) and close < wma(close, {n})",
         "wma(close, {n}) < lag(wma(close, {n}), {m})", "wma(close, {n}) > lag(wma(close, {n}), {m})",
         {"n": (30, 160, True), "m": (6, 30, True)}),
    ),
    "reversal": (
        ("zscore(close, {n}) < -{x}", "zscore(close, {n}) > {x}", "zscore(close, {n}) > -0.2", "zscore(close, {n}) < 0.2",
         {"n": (30, 160, True), "x": (1.4, 2.4, False)}),
        ("rsi(wma(close, {m}), {n}) < {d}", "rsi(wma(close, {m}), {n}) > {u}", "rsi(wma(close, {m}), {n}) > 50",
         "rsi(wma(close, {m}), {n}) < 50", {"n": (10, 40, True), "m": (3, 8, True), "d": (22, 34, False), "u": (66, 78, False)}),
        ("willr({n}) < -{x}", "willr({n}) > -{y}", "willr({n}) > -50", "willr({n}) < -50",
         {"n": (24, 160, True), "x": (88, 96, False), "y": (4, 12, False)}),
    ),
    "breakout": (
        ("close > lag(highest(high, {n}), 1)", "close < lag(lowest(low, {n}), 1)", "close < wma(close, {m})", "close > wma(close, {m})",
         {"n": (24, 160, True), "m": (24, 120, True)}),
        ("close > wma(close, {n}) + {x} * stddev(close, {n})", "close < wma(close, {n}) - {x} * stddev(close, {n})",
         "close < wma(close, {n})", "close > wma(close, {n})", {"n": (30, 160, True), "x": (1.2, 2.2, False)}),
    ),
    "forecast": (
        ("forecast.return_24h > {x}", "forecast.return_24h < -{x}", "forecast.return_24h < 0", "forecast.return_24h > 0",
         {"x": (0.002, 0.006, False)}),
        ("ema(forecast.return_24h, {n}) > {x}", "ema(forecast.return_24h, {n}) < -{x}", "ema(forecast.return_24h, {n}) < 0",
         "ema(forecast.return_24h, {n}) > 0", {"n": (3, 12, True), "x": (0.001, 0.004, False)}),
    ),
}  # fmt: skip
_FAMILY = {"momentum": "momentum", "reversal": "mean_reversion", "breakout": "breakout", "forecast": "ml"}


@dataclass(frozen=True)
class World:
    """A market of known truth.

    bars, series
        What a search is given; `series` holds a forecast-like series, worth nothing unless the planted rule reads it.
    planted
        The rule that works; None on a null market.
    sharpe
        Its annual Sharpe ratio over the whole span, after costs, of daily returns pooled over symbols; NaN without one.
    daily
        Those daily returns, float64 (n_days,); empty without one.
    """

    bars: Bars
    series: Mapping[str, Array]
    planted: Strategy | None
    sharpe: float
    daily: Array


def null_world(bars: Bars, *, seed: int, market: int) -> World:
    """The `market`-th market with no edge made from `bars`: a joint stationary bootstrap, then fair signs (`null_market`).

    The bootstrap gives each market its own path of volatility, the signs take every direction out of it. The forecast-like
    series is drawn independently of the prices.
    """
    from strategy_pipeline.market.timeframes import duration
    from strategy_pipeline.resampling import bootstrap_bars, null_market

    day = np.timedelta64(1, "D") / duration(bars.timeframe)
    drawn = bootstrap_bars(bars, generator(seed, "audit", "blocks", market), max(1.0, BLOCK_DAYS * day))
    null = null_market(drawn, generator(seed, "audit", "signs", market))
    series = {FORECAST: forecast_like(null, generator(seed, "audit", "forecast", market))}
    return World(null, series, None, float("nan"), np.empty(0))


def planted_world(
    bars: Bars, sharpe: float, kind: str, *, seed: int, market: int, costs: Costs | None = None, rule: Strategy | None = None
) -> World:
    """The same null market with one rule of `kind` that earns an annual Sharpe ratio of `sharpe` after `costs`, pooled over symbols.

    The rule is drawn from the language by a seed of its own. While it holds a position, each bar drifts its way by a share
    of the volatility known before that bar; the share is what makes the rule's own backtest on the final market earn `sharpe`
    (to 0.05). The drift of a bar depends on earlier bars alone, so nothing tells the future but the rule. Rules that
    cannot be made to earn it (too few trades, costs too high) are drawn again.

    rule
        Plant this one instead, as another market of the same edge: of another `market`, nothing else is the same.
    """
    if kind not in KINDS:
        raise StrategyError(f"Expected a planted rule of kind {', '.join(KINDS)}, was {kind!r}; choose one of them")
    base = null_world(bars, seed=seed, market=market)
    for attempt in range(_DRAWS if rule is None else 1):
        drawn = draw_rule(kind, bars.timeframe, generator(seed, "audit", "rule", kind, market, attempt)) if rule is None else rule
        world = _plant(base, drawn, sharpe, costs)
        if world is not None:
            return world
    raise NoDataError(
        f"Expected a {kind} rule that earns a Sharpe ratio of {sharpe:g} among {_DRAWS} draws, was none; "
        "the bars are too few or the costs too high; give a longer history"
    )


def draw_rule(kind: str, timeframe: str, rng: np.random.Generator) -> Strategy:
    """A rule for both sides on every symbol: one of the sentences of `kind`, its numbers drawn from continuous ranges."""
    from strategy_pipeline.strategies import parse

    sentences = _SENTENCES[kind]
    long, short, leave_long, leave_short, ranges = sentences[int(rng.integers(len(sentences)))]
    numbers: dict[str, float] = {}
    for name, (low, high, whole) in ranges.items():
        value = float(np.exp(rng.uniform(np.log(low), np.log(high))))
        numbers[name] = round(value) if whole else float(f"{value:.3g}")
    text = (
        f"{_FAMILY[kind]} on * {timeframe}\nenter long when {long}\nenter short when {short}\n"
        f"exit long when {leave_long}\nexit short when {leave_short}"
    )
    return parse(text.format(**numbers))


def forecast_like(bars: Bars, rng: np.random.Generator) -> Array:
    """A series that looks like a forecast of the next 24 hours and is independent of the prices: float64 (n_symbols, n_bars).

    Half common to all symbols, half each one's own; autoregressive with a half-life of two days, deviation 0.5 %. NaN where
    there is no bar.
    """
    from scipy.signal import lfilter

    from strategy_pipeline.market.timeframes import duration

    keep = 0.5 ** (duration(bars.timeframe) / np.timedelta64(2, "D"))
    shocks = np.sqrt(0.5) * (rng.standard_normal(bars.n_bars) + rng.standard_normal((bars.n_symbols, bars.n_bars)))
    values = 0.005 * lfilter([np.sqrt(1 - keep * keep)], [1.0, -keep], shocks, axis=1)
    return np.where(np.isfinite(bars.close), values, np.nan)


def leftovers(bars: Bars, lags: int = 24) -> pd.DataFrame:
    """What is left of drift and serial dependence: one row a symbol, and one for their mean return (``all``).

    Columns: symbol; drift_t, the t statistic of the mean simple return; serial_p, the p-value of no correlation at
    lags 1 to `lags`. The statistic is ``sum_k (sum_t e_t e_{t-k})^2 / sum_t e_t^2 e_{t-k}^2``, chi-squared with `lags`
    degrees for uncorrelated returns whatever their changing volatility (Diebold 1988; Lo and MacKinlay 1989). NaN for
    fewer than 10 returns a lag.
    """
    from scipy.stats import chi2

    returns = []
    for s in range(bars.n_symbols):
        close = bars.close[s][np.isfinite(bars.close[s])]
        returns.append(close[1:] / close[:-1] - 1)
    complete = np.isfinite(bars.close).all(axis=0)
    both = bars.close[:, complete]
    together = (both[:, 1:] / both[:, :-1] - 1).mean(axis=0) if both.shape[1] > 1 else np.empty(0)
    rows = []
    for name, values in zip((*bars.symbols, "all"), (*returns, together), strict=True):
        if len(values) < 10 * lags or not np.ptp(values) > 0:
            rows.append((name, np.nan, np.nan))
            continue
        drift = values.mean() / values.std(ddof=1) * np.sqrt(len(values))
        centred = values - values.mean()
        products = (centred[lag:] * centred[:-lag] for lag in range(1, lags + 1))
        rows.append((name, drift, float(chi2.sf(sum(p.sum() ** 2 / (p * p).sum() for p in products), lags))))
    return pd.DataFrame(rows, columns=["symbol", "drift_t", "serial_p"]).astype({"symbol": "str"})


def _plant(base: World, rule: Strategy, target: float, costs: Costs | None) -> World | None:
    """The null market tilted until `rule` earns `target` on it; None where it does not settle."""
    from strategy_pipeline.selection import sharpe_ratio

    bars, scale = base.bars, _known_volatility(base.bars)
    share, market = 0.0, bars
    points: list[tuple[float, float]] = []
    for _ in range(_ROUNDS):
        held, daily = _run(rule, market, base.series, costs)
        if held is None:
            return None
        found = float(sharpe_ratio(daily, 365.0)[0])
        if not np.isfinite(found):
            return None
        if points and abs(found - target) <= _TOLERANCE:
            return World(market, base.series, rule, found, daily)
        points.append((share, found))
        share = _next_share(points, target)
        if not 0 < share <= _MOST_DRIFT:
            return None
        market = tilted(bars, share * scale * held)
    return None


def _next_share(points: list[tuple[float, float]], target: float) -> float:
    """Where a line through what was tried reaches the target; the first step is small."""
    if len(points) == 1:
        return 0.01
    # The tilt moves the rule's own signals, so single points scatter: a line through the last few, not a secant.
    shares, values = np.array(points[-6:]).T
    spread = shares - shares.mean()
    slope = float(spread @ (values - values.mean()) / (spread @ spread)) if np.ptp(shares) > 1e-9 else 0.0
    slope = max(slope, 5.0)
    step = (target - points[-1][1]) / slope
    return float(max(points[-1][0] + np.clip(step, -0.03, 0.03), 1e-4))


def _run(rule: Strategy, bars: Bars, series: Mapping[str, Array], costs: Costs | None) -> tuple[Array | None, Array]:
    """Signed positions over each bar, float64 (n_symbols, n_bars), and pooled daily returns; None for a rule that hardly trades."""
    from strategy_pipeline.backtest import backtest

    result = backtest([rule], bars, costs=costs, series=series, workers=1)
    if result.failures or not len(result.strategy_ids):
        return None, np.empty(0)
    held, count = np.zeros((bars.n_symbols, bars.n_bars)), 0
    times = np.asarray(bars.times)
    for s, symbol in enumerate(bars.symbols):
        trades = result.trades(rule.id, symbol)
        count += len(trades)
        first = np.searchsorted(times, trades["entry"].dt.tz_localize(None).to_numpy())
        open_still = trades["exit"].isna().to_numpy()
        last = np.where(open_still, len(times), np.searchsorted(times, trades["exit"].dt.tz_localize(None).to_numpy()))
        for begin, end, side in zip(first, last, trades["side"].to_numpy(), strict=True):
            held[s, begin:end] = side
    return (held if count >= 20 * bars.n_symbols else None), np.array(result.daily_returns[0])


def tilted(bars: Bars, drift: Array) -> Bars:
    """Bars whose log price moves by `drift` (n_symbols, n_bars) more within each bar; NaN gaps stay, volumes too (quote volume
    follows the price)."""
    exists = np.isfinite(bars.close)
    added = np.where(exists & np.isfinite(drift), drift, 0.0)
    after = np.cumsum(added, axis=1)
    before = after - added
    open_, close = bars.open * np.exp(before), bars.close * np.exp(after)
    middle = np.exp((before + after) / 2)
    high = np.fmax(bars.high * middle, np.fmax(open_, close))
    low = np.fmin(bars.low * middle, np.fmin(open_, close))
    fields = {"open": open_, "high": high, "low": low, "close": close}
    if bars.quote_volume is not None:
        fields["quote_volume"] = bars.quote_volume * middle
    return bars.with_fields(**fields)


def _known_volatility(bars: Bars) -> Array:
    """Exponential average of absolute log returns through the bar before, (n_symbols, n_bars); 0 before there is one."""
    out = np.zeros(bars.close.shape)
    for s in range(bars.n_symbols):
        at = np.flatnonzero(np.isfinite(bars.close[s]))
        moves = pd.Series(np.abs(np.diff(np.log(bars.close[s, at]))))
        out[s, at[2:]] = moves.ewm(halflife=_HALF_LIFE).mean().to_numpy()[:-1]
    return out
