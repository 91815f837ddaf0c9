"""Quality rules on made-up faults, one by one, and on the real cases of the data folder."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategy_pipeline.errors import MissingColumnError
from strategy_pipeline.market import Bars
from strategy_pipeline.market.observations import OBSERVATION_TABLES, as_table, empty_table
from strategy_pipeline.market.quality import check_bars, check_observations, verify_bars, verify_observations
from strategy_pipeline.market.sources.files import FilesSource


def rows(n: int = 60, symbol: str = "BTC/USDT") -> pd.DataFrame:
    draw = np.random.default_rng(3)
    close = 100 * np.exp(np.cumsum(draw.normal(0, 0.01, n)))
    opened = np.r_[100.0, close[:-1]]
    frame = pd.DataFrame(
        {"ts": pd.date_range("2024-01-01", periods=n, freq="1h", tz="UTC", unit="ns"), "symbol": symbol, "open": opened, "close": close}
    )
    frame["high"], frame["low"] = np.maximum(opened, close) * 1.001, np.minimum(opened, close) * 0.999
    return frame.assign(volume=draw.uniform(50, 150, n))


def failed(report) -> dict[str, int]:
    return report.rules[report.rules.failed > 0].set_index("rule")["failed"].to_dict()


def test_a_sound_frame_passes_every_rule():
    report = check_bars(rows(), "1h")
    assert failed(report) == {} and report.passed and len(report.clean) == 60
    assert set(report.rules["rule"]) >= {"ohlc_order", "gaps", "stale_runs", "step_spikes"}


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("high", 1.0, "ohlc_order"),
        ("low", 1e6, "ohlc_order"),
        ("open", -5.0, "positive_prices"),
        ("close", 0.0, "positive_prices"),
        ("close", np.nan, "values_present"),
        ("volume", np.inf, "values_present"),
        ("volume", -1.0, "volume_not_negative"),
        ("ts", pd.Timestamp("2024-01-01 07:00:01", tz="UTC"), "on_grid"),
        ("ts", pd.NaT, "time_present"),
        ("symbol", None, "symbol_present"),
    ],
)
def test_each_fault_is_set_apart_by_its_rule_and_nothing_else_moves(column, value, rule):
    frame = rows()
    frame.loc[7, column] = value
    report = check_bars(frame, "1h")
    assert report.quarantine["rule"].tolist() == [rule] and report.quarantine["reason"].str.len().iloc[0] > 10
    assert len(report.clean) == 59
    pd.testing.assert_frame_equal(report.clean, rows().drop(index=7).reset_index(drop=True))


def test_an_exact_repeat_is_kept_once_and_a_contradiction_not_at_all():
    frame = rows()
    other = frame.loc[[5]].assign(volume=1.0)
    report = check_bars(pd.concat([frame, frame.loc[[3]], other]), "1h")
    assert len(report.clean) == 59 and len(report.quarantine) == 3
    assert sorted(report.quarantine["reason"]) == ["exact repeat of an earlier row"] + ["rows of this bar contradict each other"] * 2
    assert frame.ts[3] in set(report.clean.ts) and frame.ts[5] not in set(report.clean.ts)


def test_a_sound_row_survives_a_broken_double():
    frame = rows()
    report = check_bars(pd.concat([frame, frame.loc[[5]].assign(high=0.5)]), "1h")
    assert len(report.clean) == 60 and report.quarantine["rule"].tolist() == ["ohlc_order"]


def test_rows_out_of_order_are_sorted_and_reported():
    report = check_bars(rows().iloc[::-1], "1h")
    assert failed(report) == {"time_order": 59}
    assert report.clean["ts"].is_monotonic_increasing and report.passed


def test_a_gap_stays_a_gap_and_is_reported_as_one_run():
    report = check_bars(rows().drop(index=[10, 11, 12, 30]), "1h")
    assert failed(report) == {"gaps": 4} and len(report.clean) == 56
    found = report.warnings[report.warnings.rule == "gaps"]
    assert found["count"].tolist() == [3, 1] and found["ts"].iloc[0] == pd.Timestamp("2024-01-01 10:00", tz="UTC")


def test_listing_dates_bound_the_bars():
    listings = pd.DataFrame(
        {"symbol": ["BTC/USDT"], "listed": [pd.Timestamp("2024-01-01 02:30", tz="UTC")], "delisted": [pd.Timestamp("2024-01-02", tz="UTC")]}
    )
    report = check_bars(rows(), "1h", listings=listings)
    assert failed(report) == {"listing_dates": 2 + 36}
    assert report.clean["ts"].iloc[0] == pd.Timestamp("2024-01-01 02:00", tz="UTC")


def test_stale_runs_need_three_silent_bars():
    frame = rows()
    prices = ["open", "high", "low", "close"]
    for run in ([10, 11], [20, 21, 22, 23]):
        frame.loc[run, prices] = frame.loc[run[0] - 1, "close"]
        frame.loc[run, "volume"] = 0.0
    report = check_bars(frame, "1h")
    assert report.rules.set_index("rule").loc[["stale_runs", "zero_volume"], "failed"].tolist() == [4, 6]


def test_spikes_in_price_wick_and_volume_are_warnings_only():
    frame = rows(300)
    frame.loc[100, ["high", "close"]] = 900.0
    frame.loc[101, ["open", "high"]] = 900.0
    frame.loc[150, "high"] *= 3
    frame.loc[200, "volume"] = 1e9
    report = check_bars(frame, "1h")
    assert report.passed and len(report.clean) == 300
    assert failed(report) == {"step_spikes": 2, "wick_spikes": 1, "volume_spikes": 1}
    assert "back at the next bar" in report.warnings[report.warnings.rule == "step_spikes"]["reason"].iloc[0]


def test_bars_that_their_finer_bars_contradict_are_reported():
    finer = rows(48).assign(timeframe="1h")
    coarse = Bars.from_frame(finer, "1h").resample("4h").to_frame()
    assert check_bars(coarse, "4h", finer=finer).rules.set_index("rule").loc["cross_timeframe", ["checked", "failed"]].tolist() == [12, 0]
    coarse.loc[3, "high"] *= 1.01
    report = check_bars(coarse, "4h", finer=finer.drop(columns="timeframe"))
    assert failed(report) == {"cross_timeframe": 1} and report.warnings["reason"].iloc[0].startswith("high")


@given(st.integers(0, 10**6))
def test_every_row_ends_in_exactly_one_place_and_what_is_clean_stays_clean(seed):
    draw = np.random.default_rng(seed)
    frame = pd.concat([rows(40), rows(40, "ETH/USDT")], ignore_index=True)
    for column in ("open", "high", "low", "close", "volume"):
        frame.loc[draw.integers(0, 80, 3), column] = draw.choice([np.nan, -1.0, 0.0, 1e9, 100.0], 3)
    frame = pd.concat([frame, frame.iloc[draw.integers(0, 80, 4)]]).sample(frac=1, random_state=int(seed % 1000))
    report = check_bars(frame, "1h")
    assert len(report.clean) + len(report.quarantine) == len(frame)
    again = check_bars(report.clean, "1h")
    assert again.passed
    pd.testing.assert_frame_equal(again.clean, report.clean)
    if len(report.clean):
        assert Bars.from_frame(report.clean, "1h").n_symbols >= 1


def test_an_empty_frame_and_a_frame_without_a_column():
    assert check_bars(rows().head(0), "1h").clean.empty
    with pytest.raises(MissingColumnError, match="without volume"):
        check_bars(rows().drop(columns="volume"), "1h")


def test_great_expectations_passes_clean_bars_and_names_what_is_wrong():
    clean = check_bars(rows(), "1h").clean
    good = verify_bars(clean, "1h")
    assert good.passed and good.failures() == ""
    assert good.results["executor"].str.startswith("great_expectations").sum() >= 15
    bad = clean.copy()
    bad.loc[3, "high"] = 1.0
    bad.loc[5, "volume"] = -1.0
    bad.loc[8, "ts"] = bad.loc[7, "ts"]
    bad.loc[20, "close"] = np.nan
    bad.loc[30, "ts"] += pd.Timedelta(minutes=1)
    verdict = verify_bars(bad, "1h")
    broken = set(verdict.results[~verdict.results.passed]["rule"])
    assert not verdict.passed
    assert broken >= {"high_at_least_low", "volume_not_negative", "unique_times", "time_ascends", "close_present", "on_grid"}
    assert not verify_bars(clean.head(0), "1h").passed
    assert not verify_bars(clean.drop(columns="low"), "1h").passed


def _news(**changes) -> pd.DataFrame:
    row = {"ts": pd.Timestamp("2024-01-01", tz="UTC"), "available_at": pd.Timestamp("2024-01-02", tz="UTC"), "asset": "BTC", "source": "x"}
    return pd.DataFrame([row | {"title": "a title", "text": "", "score": np.nan} | changes])


def test_observation_rows_that_cannot_be_used_are_set_apart():
    faults = {
        "available_after_ts": _news(available_at=pd.Timestamp("2023-12-31", tz="UTC")),
        "content_present": _news(title=" ", text=""),
        "in_range": _news(score=7.0),
        "time_present": _news(ts=pd.NaT),
    }
    report = check_observations("news", pd.concat([_news(), _news(), *faults.values()]))
    assert len(report.clean) == 1 and sorted(report.quarantine["rule"]) == sorted([*faults, "not_repeated"])
    assert verify_observations("news", report.clean).passed
    assert not verify_observations("news", faults["available_after_ts"]).passed


@pytest.mark.parametrize("table", list(OBSERVATION_TABLES))
def test_an_empty_table_is_valid_everywhere(table):
    empty = empty_table(table)
    assert as_table(table, empty).columns.tolist() == list(OBSERVATION_TABLES[table])
    assert check_observations(table, empty).passed


# ---- real cases --------------------------------------------------------------------------------------------------


def _check(folder, name, timeframe, **options):
    source = FilesSource.at(folder / f"{name}.parquet", timeframe=timeframe)
    return check_bars(source.bars(timeframe, options.pop("symbols", None)), timeframe, **options)


def test_outages_of_the_hourly_file_are_its_157_missing_bars(real_data):
    report = _check(real_data, "ohlcv_1h_binance_spot", "1h")
    assert report.passed and failed(report)["gaps"] == 157
    assert report.warnings[report.warnings.rule == "gaps"]["count"].sum() == 157


def test_the_bad_bar_of_the_bybit_daily_file_is_reported(real_data):
    found = _check(real_data, "ohlcv_1d_bybit_perp", "1d").warnings
    wicks = found[found.rule == "wick_spikes"].set_index("symbol")
    # A high of 1.33 in a market that trades at 0.15 before and after.
    assert str(wicks.loc["REQ/USDT", "ts"])[:10] == "2025-05-21"


def test_whole_missing_months_are_single_runs(real_data):
    found = _check(real_data, "ohlcv_1m_binance_um_perp", "1m", symbols=["AVAX/USDT"]).warnings
    gaps = found[found.rule == "gaps"]
    first = gaps.iloc[0]
    assert first["ts"] == pd.Timestamp("2023-03-01", tz="UTC") and first["count"] == 184 * 1440


def test_bars_after_a_delisting_are_set_apart(real_data):
    source = FilesSource.at(real_data / "ohlcv_1h_binance_um_perp.parquet")
    frame = source.bars("1h", ["MATIC/USDT"], "2024-04-01")
    listings = source.listings()
    assert check_bars(frame, "1h", listings=listings).passed
    late = frame.tail(1).assign(ts=pd.Timestamp("2024-04-18 05:00", tz="UTC"))
    assert check_bars(pd.concat([frame, late]), "1h", listings=listings).quarantine["rule"].tolist() == ["listing_dates"]


def test_silent_minutes_of_the_depeg_are_counted(real_data):
    counts = failed(_check(real_data, "ohlcv_1m_binance_us_spot", "1m"))
    assert counts["zero_volume"] == 13_701 and counts["stale_runs"] > 5_000
