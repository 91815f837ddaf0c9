"""Rankings, attribution, regimes and correlation, against figures worked out by other means."""

from __future__ import annotations

import datetime as dt
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategy_pipeline.analytics import LEADERBOARD_COLUMNS, asset_ranking, attribution, correlation, regime_performance, strategy_ranking
from strategy_pipeline.errors import InvalidBarsError, MissingColumnError
from strategy_pipeline.market import Bars

DAY = dt.date(2025, 6, 29)


def daily_bars(closes: dict[str, np.ndarray], volume: float | dict[str, float] = 1.0, end: dt.date = DAY) -> Bars:
    """Daily bars that end with `end`; NaN closes are missing bars."""
    n = len(next(iter(closes.values())))
    times = np.datetime64(end) - np.arange(n)[::-1]
    price = np.array(list(closes.values()), dtype=float)
    sizes = [volume[symbol] if isinstance(volume, dict) else volume for symbol in closes]
    amounts = np.where(np.isfinite(price), np.array(sizes)[:, None], np.nan)
    return Bars(tuple(closes), "1d", times.astype("datetime64[ns]"), price, price, price, price, amounts)


def walk(seed: int, n: int = 120, drift: float = 0.0, scale: float = 0.02) -> np.ndarray:
    return 100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(drift, scale, n)))


# ---- assets ----------------------------------------------------------------------------------------------


def test_the_asset_that_rises_calmly_and_trades_most_stands_first() -> None:
    bars = daily_bars(
        {"UP/USDT": walk(1, drift=0.01, scale=0.005), "FLAT/USDT": walk(2), "DOWN/USDT": walk(3, drift=-0.01, scale=0.03)},
        {"UP/USDT": 1000.0, "FLAT/USDT": 100.0, "DOWN/USDT": 10.0},
    )
    found = asset_ranking(bars, day=DAY)
    assert found["symbol"].tolist() == ["UP/USDT", "FLAT/USDT", "DOWN/USDT"]
    assert found["rank"].tolist() == [1, 2, 3]
    assert found.loc[0, ["momentum", "trend", "liquidity", "calm", "score"]].tolist() == pytest.approx([5 / 6] * 5)


def test_figures_of_an_asset_are_those_of_its_closes() -> None:
    closes = walk(7)
    row = asset_ranking(daily_bars({"A/B": closes}, 3.0), day=DAY).iloc[0]
    series = pd.Series(closes)
    assert row["close"] == closes[-1]
    assert row["return_1d"] == pytest.approx(series.pct_change(1).iloc[-1])
    assert row["return_30d"] == pytest.approx(series.pct_change(30).iloc[-1])
    assert row["volatility"] == pytest.approx(series.pct_change().iloc[-30:].std() * math.sqrt(365))
    assert row["traded_value"] == pytest.approx((series * 3.0).iloc[-30:].median())
    assert row["drawdown"] == pytest.approx(1 - closes[-1] / closes[-90:].max())
    # The t-statistic of a slope is that of the correlation: r sqrt((n-2) / (1-r^2)).
    r = np.corrcoef(np.arange(90), np.log(closes[-90:]))[0, 1]
    assert row["trend_t"] == pytest.approx(r * math.sqrt(88 / (1 - r * r)))


def test_the_ranking_of_a_day_does_not_know_later_days() -> None:
    closes = {"A/B": walk(1), "C/D": walk(2), "E/F": walk(3)}
    early = daily_bars({symbol: values[:-20] for symbol, values in closes.items()}, end=DAY - dt.timedelta(days=20))
    day = DAY - dt.timedelta(days=20)
    pd.testing.assert_frame_equal(asset_ranking(daily_bars(closes), day=day), asset_ranking(early, day=day))


def test_missing_history_is_nan_and_an_asset_without_a_close_stands_last() -> None:
    young, gone = walk(1), walk(2)
    young[:-5] = np.nan
    gone[-3:] = np.nan
    found = asset_ranking(daily_bars({"YOUNG/X": young, "GONE/X": gone, "OLD/X": walk(3)}), day=DAY).set_index("symbol")
    assert list(found.index) == ["OLD/X", "GONE/X", "YOUNG/X"]
    assert math.isnan(found.loc["YOUNG/X", "score"])
    assert math.isnan(found.loc["YOUNG/X", "return_7d"])
    assert math.isnan(found.loc["GONE/X", "score"])
    assert found.loc["YOUNG/X", "return_1d"] == pytest.approx(young[-1] / young[-2] - 1)
    assert found.loc["OLD/X", "momentum"] == 0.5


def test_hourly_bars_rank_like_the_daily_bars_they_make() -> None:
    hours = np.datetime64("2025-03-01T00", "h") + np.arange(24 * 121)
    rng = np.random.default_rng(4)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.004, (2, hours.size)), axis=1))
    volume = rng.uniform(1, 2, close.shape)
    hourly = Bars(("A/B", "C/D"), "1h", hours.astype("datetime64[ns]"), close, close, close, close, volume, quote_volume=close * volume)
    value = (close * volume).reshape(2, -1, 24).sum(axis=2)
    last = np.ascontiguousarray(close[:, 23::24])
    opens = np.ascontiguousarray(hours[::24].astype("datetime64[ns]"))
    daily = Bars(("A/B", "C/D"), "1d", opens, last, last, last, last, value / last, quote_volume=value)
    day = dt.date(2025, 6, 29)
    pd.testing.assert_frame_equal(asset_ranking(hourly, day=day), asset_ranking(daily, day=day))


def test_a_forecast_lifts_the_asset_it_favours() -> None:
    bars = daily_bars({"A/B": walk(1), "C/D": walk(2)})
    plain = asset_ranking(bars, day=DAY).set_index("symbol")["score"]
    forecasts = pd.DataFrame({"symbol": ["C/D", "A/B"], "return": [0.02, -0.01], "volatility": [0.5, 0.5]})
    lifted = asset_ranking(bars, day=DAY, forecasts=forecasts).set_index("symbol")
    assert lifted.loc["C/D", "forecast"] == 0.75
    assert lifted.loc["C/D", "score"] == pytest.approx((plain["C/D"] * 1.0 + 0.2 * 0.75) / 1.2)
    with pytest.raises(MissingColumnError, match="return"):
        asset_ranking(bars, day=DAY, forecasts=pd.DataFrame({"symbol": ["A/B"]}))


def test_bars_that_cannot_be_ranked_by_the_day_are_refused() -> None:
    times = np.array(["2025-06-02", "2025-06-09"], dtype="datetime64[ns]")
    one = np.ones((1, 2))
    with pytest.raises(InvalidBarsError, match="1w"):
        asset_ranking(Bars(("A/B",), "1w", times, one, one, one, one, one), day=DAY)
    with pytest.raises(InvalidBarsError, match="on or before"):
        asset_ranking(daily_bars({"A/B": walk(1)}), day=dt.date(2020, 1, 1))


def test_real_assets_are_ranked_with_plausible_figures(real_data: Path) -> None:
    bars = Bars.read(
        real_data / "ohlcv_1h_binance_spot.parquet",
        "1h",
        symbols=["BTC/USDT", "ETH/USDT", "SOL/USDT"],
        start="2025-01-01",
        end="2025-06-30",
    )
    found = asset_ranking(bars, day=DAY).set_index("symbol")
    assert 90_000 < found.loc["BTC/USDT", "close"] < 120_000
    assert found["volatility"].between(0.1, 2).all()
    assert found.loc["BTC/USDT", "liquidity"] > found.loc["SOL/USDT", "liquidity"]


# ---- strategies ------------------------------------------------------------------------------------------


def board(sharpes: dict[str, float], evidence: list[dict[str, object]], **options: object) -> pd.DataFrame:
    metrics = pd.DataFrame(
        {"strategy_id": list(sharpes), "family": "trend", "text": "t", "train_sharpe": list(sharpes.values()), "trades": 5}
    )
    return strategy_ranking(metrics, pd.DataFrame(evidence), day=DAY, **options)  # type: ignore[arg-type]


def test_evidence_ranks_before_the_sharpe_ratio_that_chose() -> None:
    evidence: list[dict[str, object]] = [
        {
            "strategy_id": "low",
            "verdict": "promoted",
            "sharpe": 0.9,
            "train_sharpe": 1.0,
            "t_statistic": 3.9,
            "gross_p_value": 0.001,
            "stepm_p_value": 0.02,
            "reasons": "r",
        },
        {
            "strategy_id": "mid",
            "verdict": "watchlist",
            "sharpe": 1.5,
            "train_sharpe": 2.0,
            "t_statistic": 2.0,
            "gross_p_value": 0.05,
            "stepm_p_value": 0.3,
            "reasons": "r",
        },
        {
            "strategy_id": "bad",
            "verdict": "rejected",
            "sharpe": -1.0,
            "train_sharpe": 2.5,
            "t_statistic": 1.0,
            "gross_p_value": 0.8,
            "stepm_p_value": 0.9,
            "reasons": "r",
        },
    ]
    found = board({"lucky": 3.0, "bad": 2.5, "mid": 2.0, "low": 1.0, "nan": float("nan")}, evidence, states={"mid": "watchlist"})
    assert found["strategy_id"].tolist() == ["low", "mid", "bad", "lucky", "nan"]
    assert found["verdict"].tolist() == ["promoted", "watchlist", "rejected", "not_looked_at", "not_looked_at"]
    assert tuple(found.columns) == LEADERBOARD_COLUMNS
    assert found["t_stat"].tolist()[:3] == [3.9, 2.0, 1.0]
    assert found.loc[3:, ["sharpe_validation", "t_stat", "gross_p", "stepm_p", "dsr"]].isna().all(axis=None)
    assert found["state"].tolist() == ["candidate", "watchlist", "candidate", "candidate", "candidate"]
    assert str(found["day"].dtype) == "datetime64[ns, UTC]"


def test_ties_stand_by_id_and_the_order_given_does_not_matter() -> None:
    sharpes = {"c": 1.0, "a": 1.0, "b": 1.0 + 1e-15}
    first, second = board(sharpes, []), board(dict(reversed(sharpes.items())), [])
    assert first["strategy_id"].tolist() == ["a", "b", "c"]
    pd.testing.assert_frame_equal(first.drop(columns="sharpe_train"), second.drop(columns="sharpe_train"))


def test_an_empty_day_is_an_empty_leaderboard() -> None:
    metrics = pd.DataFrame({name: pd.Series([], dtype="str") for name in ("strategy_id", "family", "text")})
    assert strategy_ranking(metrics, pd.DataFrame(), day=DAY).empty


def test_evidence_of_an_unknown_strategy_is_refused() -> None:
    with pytest.raises(MissingColumnError, match="ghost"):
        board({"a": 1.0}, [{"strategy_id": "ghost", "verdict": "rejected", "reasons": ""}])
    with pytest.raises(MissingColumnError, match="family"):
        strategy_ranking(pd.DataFrame({"strategy_id": ["a"], "text": ["t"]}), pd.DataFrame(), day=DAY)


# ---- attribution -----------------------------------------------------------------------------------------


def test_two_days_by_hand() -> None:
    positions = pd.DataFrame(
        {
            "day": [1, 1, 2],
            "strategy_id": ["a", "b", "a"],
            "symbol": ["X", "X", "Y"],
            "weight": [0.5, 0.5, 1.0],
            "return": [0.10, -0.02, 0.05],
        }
    )
    found = attribution(positions)
    # Day 1 makes 4 %; day 2 makes 5 % of 1.04.
    assert found.total == pytest.approx(1.04 * 1.05 - 1)
    assert found.by_strategy.set_index("strategy_id")["contribution"].to_dict() == pytest.approx({"a": 0.05 + 1.04 * 0.05, "b": -0.01})
    assert found.by_symbol.set_index("symbol")["contribution"].to_dict() == pytest.approx({"X": 0.04, "Y": 0.052})
    assert found.by_day["contribution"].tolist() == pytest.approx([0.04, 0.052])


@given(
    rows=st.lists(
        st.tuples(st.integers(0, 9), st.sampled_from("abc"), st.sampled_from("XYZ"), st.floats(-0.5, 0.5), st.floats(-0.3, 0.3)),
        min_size=1,
        max_size=40,
    )
)
def test_every_split_sums_to_the_total_return(rows: list[tuple[int, str, str, float, float]]) -> None:
    positions = pd.DataFrame(rows, columns=["day", "strategy_id", "symbol", "weight", "return"])
    found = attribution(positions)
    growth = (1 + (positions["weight"] * positions["return"]).groupby(positions["day"]).sum()).prod() - 1
    assert found.total == pytest.approx(growth, rel=1e-12, abs=1e-12)
    for part in (found.by_pair, found.by_strategy, found.by_symbol, found.by_day):
        assert math.fsum(part["contribution"]) == pytest.approx(found.total, rel=1e-12, abs=1e-14)


def test_a_missing_return_earns_nothing_and_is_counted() -> None:
    positions = pd.DataFrame(
        {"day": [1, 1, 1], "strategy_id": "a", "symbol": ["X", "Y", "Z"], "weight": [1.0, 0.0, np.nan], "return": [np.nan] * 3}
    )
    found = attribution(positions)
    assert (found.total, found.unpriced) == (0.0, 1)
    assert found.by_pair["share"].isna().all()


# ---- regimes and correlation -----------------------------------------------------------------------------


def test_certain_regimes_give_the_plain_statistics_of_their_days() -> None:
    days = pd.date_range("2025-01-01", periods=60)
    returns = pd.DataFrame({"s": np.random.default_rng(1).normal(0.001, 0.02, 60)}, index=days)
    calm = (np.arange(60) % 3 > 0).astype(float)
    found = regime_performance(returns, pd.DataFrame({"calm": calm, "turbulent": 1 - calm}, index=days)).set_index("regime")
    for regime, mask in (("calm", calm == 1), ("turbulent", calm == 0)):
        part = returns["s"][mask]
        assert found.loc[regime, "days"] == mask.sum()
        assert found.loc[regime, "mean"] == pytest.approx(part.mean() * 365)
        assert found.loc[regime, "volatility"] == pytest.approx(part.std() * math.sqrt(365))
        assert found.loc[regime, "sharpe"] == pytest.approx(part.mean() / part.std() * math.sqrt(365))
        assert found.loc[regime, "hit_rate"] == pytest.approx((part > 0).mean())
    assert found["share"].sum() == pytest.approx(1.0)


def test_a_regime_that_never_was_has_no_figures() -> None:
    days = pd.date_range("2025-01-01", periods=30)
    returns = pd.DataFrame({"s": np.full(30, 0.01), "gap": np.nan}, index=days)
    found = regime_performance(returns, pd.DataFrame({"calm": 1.0, "turbulent": 0.0}, index=days)).set_index(["series", "regime"])
    assert found.loc[("s", "turbulent"), ["mean", "volatility", "sharpe"]].isna().all()
    assert math.isnan(found.loc[("s", "calm"), "sharpe"])  # nothing varies
    assert found.loc[("gap", "calm"), "days"] == 0
    with pytest.raises(MissingColumnError, match="common days"):
        regime_performance(returns, pd.DataFrame({"calm": [1.0]}, index=[pd.Timestamp("2020-01-01")]))


def test_correlation_is_pandas_over_common_days_and_nan_where_there_are_too_few() -> None:
    rng = np.random.default_rng(2)
    frame = pd.DataFrame(rng.normal(size=(100, 4)), columns=list("abcd"))
    frame.loc[:79, "b"] = np.nan
    frame["c"] = 0.5
    frame.loc[::7, "d"] = np.nan
    found = correlation(frame)
    assert found.loc["a", "d"] == pytest.approx(frame["a"].corr(frame["d"]))
    assert found.loc["d", "a"] == found.loc["a", "d"]
    assert found.loc["a", "a"] == 1.0
    assert found["b"].isna().all()
    assert found["c"].isna().all()
