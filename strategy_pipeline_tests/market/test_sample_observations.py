from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from strategy_pipeline.config import Settings
from strategy_pipeline.market.observations import OBSERVATION_TABLES
from strategy_pipeline.market.sources.sample import SampleSource

START, END = "2024-01-01", "2026-01-01"


@pytest.fixture(scope="module")
def source() -> SampleSource:
    return SampleSource(Settings(seed=0))


@pytest.fixture(scope="module")
def hourly(source: SampleSource) -> pd.DataFrame:
    rows = source.bars("1h", ["BTC/USDT", "ETH/USDT", "DOGE/USDT"], START, END)
    return np.log(rows.pivot(index="ts", columns="symbol", values="close").asfreq("h")).diff()


def _hourly_mean(rows: pd.DataFrame) -> pd.Series:
    """Mean score by the hour in whose course the row became available."""
    return rows.groupby(rows["available_at"].dt.floor("h"))["score"].mean()


def test_news_leads_one_symbol_and_follows_the_others(source: SampleSource, hourly: pd.DataFrame) -> None:
    news = source.observations("news", START, END)

    def correlation(asset: str, shift: int) -> float:
        tone = _hourly_mean(news[news["asset"] == asset])
        after = hourly[f"{asset}/USDT"].rolling(12).sum().shift(-12)
        before = hourly[f"{asset}/USDT"].rolling(12).sum().shift(1)
        return tone.corr((after if shift > 0 else before).reindex(tone.index))

    assert correlation("DOGE", +1) > 0.15
    assert abs(correlation("DOGE", -1)) < 0.1
    for asset in ("BTC", "ETH"):
        assert correlation(asset, -1) > 0.3
        assert abs(correlation(asset, +1)) < 0.08


def test_the_words_of_a_story_carry_its_score(source: SampleSource) -> None:
    news = source.observations("news", "2024-01-01", "2024-06-01")
    for word, side in (("surges", 1), ("plunges", -1)):
        told = news[news["title"].str.contains(word)]
        assert len(told) > 20
        assert (np.sign(told["score"]) == side).all()
    assert news["score"].between(-1, 1).all()


def test_posts_come_before_movement_and_never_say_where_to(source: SampleSource, hourly: pd.DataFrame) -> None:
    social = source.observations("social", START, END)
    posts = social[social["asset"] == "BTC"]
    counts = posts.groupby(posts["ts"].dt.floor("h")).size().reindex(hourly.index, fill_value=0).rolling(6).sum()
    later = hourly["BTC/USDT"]
    size = later.abs() / later.abs().groupby(later.index.dayofweek * 24 + later.index.hour).transform("mean")
    n = len(counts)
    assert counts.corr(size.shift(-2)) > 4 / np.sqrt(n)
    assert abs(counts.corr(later.shift(-1))) < 4 / np.sqrt(n)
    assert (social["reach"] > 0).all()


def test_fear_and_greed_follows_the_market(source: SampleSource) -> None:
    mood = source.observations("fear_greed", START, END).set_index("ts")["value"]
    assert mood.between(0, 100).all()
    assert mood.std() > 8
    daily = np.log(source.bars("1d", ["BTC/USDT"], "2023-11-01", END).set_index("ts")["close"]).asfreq("D").diff()
    past = daily.rolling(30).sum().shift(1).reindex(mood.index)
    # It does not foretell the day it is published for.
    assert mood.corr(past) > 0.4
    assert abs(mood.corr(daily.reindex(mood.index))) < 4 / np.sqrt(len(mood))


@pytest.mark.parametrize(
    ("value", "name"),
    [((0, 24), "Extreme Fear"), ((25, 44), "Fear"), ((45, 55), "Neutral"), ((56, 75), "Greed"), ((76, 100), "Extreme Greed")],
)
def test_moods_have_their_usual_names(source: SampleSource, value: tuple[int, int], name: str) -> None:
    mood = source.observations("fear_greed", "2018-01-01", END)
    inside = mood[mood["value"].between(*value)]
    assert len(inside) > 0
    assert (inside["classification"] == name).all()


def test_macro_series_carry_their_release_lags(source: SampleSource) -> None:
    macro = source.observations("macro", START, END)
    lag = (macro["available_at"] - macro["ts"]).groupby(macro["series"]).agg(["min", "max"])
    days = pd.Timedelta(days=1)
    assert (lag.loc[["VIX_close", "DXY_close", "SPX_close"], "max"] < days).all()
    assert (lag.loc[["DGS10", "DGS2"], "min"] >= days).all()
    assert (lag.loc[["CPIAUCSL", "UNRATE", "PAYEMS"], "min"] > 28 * days).all()
    assert lag.loc["GDPC1", "min"] > 90 * days
    revised = macro.groupby("series")["revised"].first()
    assert set(revised[revised].index) == {"PAYEMS", "GDPC1"}
    assert (macro[macro["series"] == "VIX_close"]["ts"].dt.dayofweek < 5).all()


def test_macro_series_relate_to_the_market_as_their_namesakes_do(source: SampleSource) -> None:
    macro = source.observations("macro", START, END)
    wide = macro.pivot(index="ts", columns="series", values="value")
    level = wide[["VIX_close", "DXY_close", "SPX_close", "BAMLH0A0HYM2"]].dropna()
    close = source.bars("1h", ["BTC/USDT"], START, END).set_index("ts")["close"]
    at_print = np.log(close.reindex(level.index + pd.Timedelta(hours=20)).set_axis(level.index))
    moves = at_print.diff()
    assert moves.corr(np.log(level["SPX_close"]).diff()) > 0.15
    assert moves.corr(np.log(level["DXY_close"]).diff()) < -0.1
    hourly = np.log(close).diff()
    day_volatility = (hourly**2).resample("D").sum() ** 0.5
    assert level["VIX_close"].corr(day_volatility.reindex(level.index)) > 0.2
    # The credit spread knows tomorrow's turbulence better than today's own volatility would explain by chance.
    assert level["BAMLH0A0HYM2"].corr(day_volatility.shift(-1).reindex(level.index)) > 0.15


def test_funding_is_paid_every_eight_hours_after_the_move(source: SampleSource, hourly: pd.DataFrame) -> None:
    funding = source.observations("funding", START, END)
    one = funding[funding["symbol"] == "BTC/USDT"].set_index("ts")["rate"]
    assert set(one.index.hour) == {0, 8, 16}
    assert (funding["interval_hours"] == 8).all()
    past = hourly["BTC/USDT"].rolling(24).sum().shift(1).reindex(one.index)
    assert one.corr(past) > 0.4
    following = hourly["BTC/USDT"].rolling(8).sum().shift(-7).reindex(one.index)
    assert abs(one.corr(following)) < 4 / np.sqrt(len(one))


def test_fundamentals_price_the_supply(source: SampleSource) -> None:
    wide = source.observations("fundamentals", "2024-01-01", "2024-02-01").pivot(index=["asset", "ts"], columns="metric", values="value")
    close = source.bars("1d", ["ETH/USDT"], "2024-01-01", "2024-02-01").set_index("ts")["close"]
    ether = wide.loc["ETH"].loc[close.index]
    np.testing.assert_allclose(ether["CapMrktCurUSD"] / ether["SplyCur"], close, rtol=1e-9)
    assert wide.loc["BTC"]["HashRate"].notna().all()
    assert wide.loc["ETH"]["HashRate"].isna().all()
    delisted = source.observations("fundamentals", "2024-10-01", "2024-10-03")
    assert "MATIC" not in set(delisted["asset"])


def test_open_interest_is_worth_its_contracts(source: SampleSource) -> None:
    rows = source.observations("open_interest", "2024-01-01", "2024-03-01")
    price = source.bars("1h", ["SOL/USDT"], "2023-12-31", "2024-03-01").set_index("ts")["close"]
    one = rows[rows["symbol"] == "SOL/USDT"].set_index("ts")
    known = price.reindex(one.index - pd.Timedelta(hours=1)).to_numpy()
    seen = ~np.isnan(known)
    np.testing.assert_allclose((one["open_interest_value"] / one["open_interest"]).to_numpy()[seen], known[seen], rtol=1e-4)


@pytest.mark.parametrize("table", ["trades", "book", "executions"])
def test_what_it_does_not_simulate_is_an_empty_table(source: SampleSource, table: str) -> None:
    rows = source.observations(table, START, END)
    assert len(rows) == 0
    assert list(rows.columns) == list(OBSERVATION_TABLES[table])
