"""What the sample market looks like and what its planted edges earn: the numbers in docs/sample_market.md.

    python benchmarks/sample_market.py              stylised facts and edges of the default seed
    python benchmarks/sample_market.py --seeds 20   the edges' mean and deviation over seeds (about a minute)

The rules are the sentences of `PLANTED_EDGES`, run by the library's own engine on the three years 2023-2025 of 1h bars,
after 10 + 5 basis points a side.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd

from strategy_pipeline.backtest import Costs, backtest
from strategy_pipeline.config import Settings
from strategy_pipeline.market import Bars
from strategy_pipeline.market.sources.sample import NULL_SYMBOLS, PLANTED_EDGES, SampleSource
from strategy_pipeline.market.sources.sample.universe import NEWS_HOURS
from strategy_pipeline.strategies import parse

START, END = "2023-01-01", "2026-01-01"
HOURS_A_YEAR = 8766
NULLS = [name for name in NULL_SYMBOLS if name not in ("ENA/USDT", "MATIC/USDT")]


def news_mean(source: SampleSource, bars: Bars) -> np.ndarray:
    """Mean score of each symbol's news of the last hours at each close, 0 where there is none: (n_symbols, n_bars)."""
    news = source.observations("news", START, END)
    out = np.zeros((bars.n_symbols, bars.n_bars))
    for row, symbol in enumerate(bars.symbols):
        one = news[news["asset"] == symbol.partition("/")[0]].sort_values("available_at")
        times = one["available_at"].to_numpy("datetime64[ns]")
        total = np.concatenate([[0.0], np.cumsum(one["score"].to_numpy())])
        last = np.searchsorted(times, bars.available_at, side="right")
        first = np.searchsorted(times, bars.available_at - np.timedelta64(NEWS_HOURS, "h"), side="right")
        out[row] = np.where(last > first, (total[last] - total[first]) / np.maximum(last - first, 1), 0.0)
    return out


def edges(seed: int, planted: bool = True) -> pd.Series:
    """Annual net Sharpe ratio of each planted rule on its symbol."""
    source = SampleSource(Settings(seed=seed), planted=planted)
    found = {}
    for edge in PLANTED_EDGES:
        bars = Bars.from_frame(source.bars("1h", [edge.symbol], START, END), "1h")
        series = {"sentiment.mean": news_mean(source, bars)}
        result = backtest([parse(edge.rule)], bars, costs=Costs(fee_bps=10, slippage_bps=5), series=series)
        returns = result.daily_returns[0]
        found[f"{edge.symbol} {edge.kind}"] = returns.mean() / returns.std(ddof=1) * np.sqrt(365)
    return pd.Series(found)


def facts(seed: int) -> pd.Series:
    """Stylised facts of the hourly returns, means over the null symbols unless a range is said."""
    rows = SampleSource(Settings(seed=seed)).bars("1h", None, START, END)
    close = rows.pivot(index="ts", columns="symbol", values="close").asfreq("h")
    returns = close.pct_change(fill_method=None)
    nulls = returns[NULLS]
    week = nulls.index.day_of_week * 24 + nulls.index.hour
    size = nulls.abs() / nulls.abs().groupby(week).transform("mean")
    correlation = returns.corr().to_numpy()
    pairs = correlation[np.triu_indices_from(correlation, 1)]
    money = rows[rows["symbol"] == "BTC/USDT"].groupby(rows["ts"].dt.hour)["quote_volume"].mean()
    product = nulls * nulls.shift(1)
    drift = nulls.mean() / nulls.std() * np.sqrt(nulls.count())
    found = {
        "annual volatility, lowest": returns.std().min() * np.sqrt(HOURS_A_YEAR),
        "annual volatility, highest": returns.std().max() * np.sqrt(HOURS_A_YEAR),
        "kurtosis, lowest": returns.kurt().min() + 3,
        "kurtosis, highest": returns.kurt().max() + 3,
        "correlation, lowest": pairs.min(),
        "correlation, median": np.median(pairs),
        "correlation, highest": pairs.max(),
        "volume, busiest hour of the day": money.idxmax(),
        "volume, busiest over quietest hour": money.max() / money.min(),
        "lag-1 autocorrelation of returns, largest |t|": (product.mean() / product.std() * np.sqrt(product.count())).abs().max(),
        "drift, largest |t|": drift.abs().max(),
    }
    for lag in (1, 24, 72, 168):
        found[f"autocorrelation of |r| at {lag}h, season removed"] = np.mean([size[name].corr(size[name].shift(lag)) for name in NULLS])
    return pd.Series(found)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seeds", type=int, default=1)
    seeds = options.parse_args().seeds
    if seeds == 1:
        print(facts(0).round(3).to_string(), "\n")
        print(pd.DataFrame({"planted": edges(0), "without the edge": edges(0, planted=False)}).round(2).to_string())
    else:
        table = pd.DataFrame([edges(seed) for seed in range(seeds)])
        print(table.agg(["mean", "std", "min", "max"]).T.round(2).to_string())


if __name__ == "__main__":
    main()
