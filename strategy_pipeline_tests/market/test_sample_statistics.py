"""Does the sample market look like one? Bands are those of real hourly crypto bars, or follow from the design."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from strategy_pipeline.config import Settings
from strategy_pipeline.market.sources.sample import NULL_SYMBOLS, PLANTED_EDGES, SampleSource
from strategy_pipeline_tests.market import plain_rules

START, END = "2023-01-01", "2026-01-01"
ALWAYS_LISTED_NULLS = tuple(name for name in NULL_SYMBOLS if name not in ("ENA/USDT", "MATIC/USDT"))


@pytest.fixture(scope="module")
def source() -> SampleSource:
    return SampleSource(Settings(seed=0))


@pytest.fixture(scope="module")
def hours(source: SampleSource) -> pd.DataFrame:
    return source.bars("1h", None, START, END)


@pytest.fixture(scope="module")
def returns(hours: pd.DataFrame) -> pd.DataFrame:
    """Simple hourly returns, one column a symbol; NaN across a gap."""
    closes = hours.pivot(index="ts", columns="symbol", values="close").asfreq("h")
    return closes.pct_change(fill_method=None)


def _season_free(column: pd.Series) -> pd.Series:
    """Absolute returns divided by their mean at that hour of the week."""
    size = column.abs()
    week = [size.index.dayofweek, size.index.hour]
    return size / size.groupby(week).transform("mean")


def test_returns_have_fat_tails(returns: pd.DataFrame) -> None:
    kurtosis = returns.kurt() + 3
    assert kurtosis.between(8, 90).all(), kurtosis


def test_tails_thin_out_as_bars_lengthen(source: SampleSource, returns: pd.DataFrame) -> None:
    closes = source.bars("1d", ALWAYS_LISTED_NULLS, START, END).pivot(index="ts", columns="symbol", values="close")
    days = closes.pct_change(fill_method=None)
    daily = days.kurt().mean() + 3
    assert 3.2 < daily < (returns[list(ALWAYS_LISTED_NULLS)].kurt().mean() + 3)


def test_volatility_clusters_for_days_beyond_its_season(returns: pd.DataFrame) -> None:
    for symbol in ALWAYS_LISTED_NULLS:
        size = _season_free(returns[symbol])
        n = size.notna().sum()
        for lag in (1, 24, 48, 72):
            assert size.corr(size.shift(lag)) > 3 / np.sqrt(n), (symbol, lag)
        assert size.corr(size.shift(1)) > 0.15


def test_symbols_move_together_but_not_as_one(returns: pd.DataFrame) -> None:
    correlation = returns.corr().to_numpy()
    pairs = correlation[np.triu_indices_from(correlation, 1)]
    assert pairs.min() > 0.3
    assert pairs.max() < 0.8


def test_volatility_is_what_the_table_says(returns: pd.DataFrame) -> None:
    from strategy_pipeline.market.sources.sample.universe import UNIVERSE

    measured = returns.std() * np.sqrt(8766)
    for one in UNIVERSE:
        assert measured[one.symbol] == pytest.approx(one.volatility, rel=0.2)


def test_the_day_and_the_week_have_a_shape(hours: pd.DataFrame) -> None:
    rows = hours[hours["symbol"] == "BTC/USDT"].copy()
    rows["size"] = (rows["close"] / rows["open"] - 1).abs()
    by_hour = rows.groupby(rows["ts"].dt.hour)[["quote_volume", "size"]].mean()
    for name in by_hour:
        assert 13 <= by_hour[name].idxmax() <= 16
        assert by_hour[name].max() > 1.5 * by_hour[name].min()
        assert by_hour.loc[0, name] > by_hour.loc[4, name]
    weekend = rows["ts"].dt.dayofweek >= 5
    assert rows.loc[weekend, "quote_volume"].mean() < 0.8 * rows.loc[~weekend, "quote_volume"].mean()
    assert rows.loc[weekend, "size"].mean() < 0.9 * rows.loc[~weekend, "size"].mean()


def test_volume_comes_with_movement_and_buyers_with_rises(hours: pd.DataFrame) -> None:
    for symbol in ("BTC/USDT", "UNI/USDT"):
        rows = hours[hours["symbol"] == symbol]
        move = rows["close"] / rows["open"] - 1
        assert 0.35 < np.log(rows["quote_volume"]).corr(np.log(move.abs() + 1e-4)) < 0.9
        taker = rows["taker_buy_volume"] / rows["volume"]
        assert 0.25 < taker.corr(move) < 0.6
        # Flow says nothing about the next hour.
        assert abs(taker.corr(move.shift(-1))) < 4 / np.sqrt(len(rows))


def test_hours_have_the_range_of_a_diffusion(hours: pd.DataFrame) -> None:
    """Parkinson (1980): the mean squared log range of a diffusion is 4 log 2 times its variance."""
    rows = hours[hours["symbol"] == "ETH/USDT"]
    ratio = (np.log(rows["high"] / rows["low"]) ** 2).mean() / (4 * np.log(2) * (np.log(rows["close"] / rows["open"]) ** 2).mean())
    assert 0.75 < ratio < 1.1


def test_null_symbols_have_no_memory_and_no_drift(returns: pd.DataFrame) -> None:
    nulls = returns[list(ALWAYS_LISTED_NULLS)]
    n = nulls.notna().sum()
    drift = nulls.mean() / nulls.std() * np.sqrt(n)
    assert (drift.abs() < 3.0).all(), drift
    for lag in (1, 2, 3, 6, 12, 24, 168):
        product = nulls * nulls.shift(lag)
        robust_t = product.mean() / product.std() * np.sqrt(product.notna().sum())
        assert (robust_t.abs() < 4.0).all(), (lag, robust_t)


def test_null_symbols_do_not_follow_one_another(returns: pd.DataFrame) -> None:
    nulls = returns[list(ALWAYS_LISTED_NULLS)]
    leader = nulls.mean(axis=1)
    for lag in (1, 3, 24):
        product = nulls.mul(leader.shift(lag), axis=0)
        robust_t = product.mean() / product.std() * np.sqrt(product.notna().sum())
        assert (robust_t.abs() < 4.0).all(), (lag, robust_t)


@pytest.mark.parametrize("edge", PLANTED_EDGES, ids=lambda edge: edge.symbol)
def test_a_planted_edge_earns_what_the_table_says(source: SampleSource, hours: pd.DataFrame, edge) -> None:
    rows = hours[hours["symbol"] == edge.symbol].reset_index(drop=True)
    stories = source.observations("news", START, END)
    stories = stories[stories["asset"] == edge.symbol.split("/")[0]]
    rule = plain_rules.rule_for(edge.kind, rows, stories)
    daily = plain_rules.daily_returns(rows, rule, plain_rules.HOLD[edge.kind])
    assert abs(plain_rules.sharpe(daily) - edge.sharpe) < 2.5 * edge.spread
    # In training and in validation alike.
    cut = int(len(daily) * 0.6)
    assert plain_rules.sharpe(daily[:cut]) > 2.0
    assert plain_rules.sharpe(daily[cut:]) > 2.0


@pytest.mark.parametrize("edge", PLANTED_EDGES, ids=lambda edge: edge.symbol)
def test_without_the_edge_its_rule_earns_nothing(edge) -> None:
    bare = SampleSource(Settings(seed=0), planted=False)
    rows = bare.bars("1h", [edge.symbol], START, END)
    stories = bare.observations("news", START, END)
    stories = stories[stories["asset"] == edge.symbol.split("/")[0]]
    rule = plain_rules.rule_for(edge.kind, rows, stories)
    gross = plain_rules.daily_returns(rows, rule, plain_rules.HOLD[edge.kind], cost=0.0)
    # Three years: a Sharpe ratio of 0 is measured with a deviation of 0.58.
    assert abs(plain_rules.sharpe(gross)) < 2.0


@pytest.mark.parametrize("kind", ["momentum", "mean_reversion", "breakout"])
def test_planted_rules_earn_nothing_on_null_symbols(hours: pd.DataFrame, kind: str) -> None:
    gross, net = [], []
    for symbol in ALWAYS_LISTED_NULLS:
        rows = hours[hours["symbol"] == symbol].reset_index(drop=True)
        rule = plain_rules.rule_for(kind, rows)
        gross.append(plain_rules.sharpe(plain_rules.daily_returns(rows, rule, plain_rules.HOLD[kind], cost=0.0)))
        net.append(plain_rules.sharpe(plain_rules.daily_returns(rows, rule, plain_rules.HOLD[kind])))
    assert max(np.abs(gross)) < 2.2, dict(zip(ALWAYS_LISTED_NULLS, gross, strict=True))
    assert max(net) < 2.0


def test_minutes_are_as_lively_as_their_hours(source: SampleSource) -> None:
    minutes = source.bars("1m", ["BTC/USDT"], "2024-01-01", "2024-04-01")
    moves = np.diff(np.log(minutes["close"].to_numpy()))
    hourly = np.diff(np.log(source.bars("1h", ["BTC/USDT"], "2024-01-01", "2024-04-01")["close"].to_numpy()))
    assert 0.8 < moves.std() * np.sqrt(60) / hourly.std() < 1.1
    assert abs(np.corrcoef(moves[1:], moves[:-1])[0, 1]) < 0.03
