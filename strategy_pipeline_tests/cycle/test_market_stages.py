"""The market group: what is stored, what is set apart, what is looked for again, and what a failed check stops."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from strategy_pipeline.config import Settings
from strategy_pipeline.cycle import CHECKS, STAGES, Workspace, ingest_history, run_check, run_missing, run_stage
from strategy_pipeline.defs import assets, checks
from strategy_pipeline.defs.resources import WorkspaceResource, settings_json, shared_workspace
from strategy_pipeline.defs.run_day import _cause
from strategy_pipeline.errors import MissingInputError, NoDataError, SettingsError
from strategy_pipeline.market.observations import as_table, empty_table
from strategy_pipeline_tests.cycle.conftest import files_workspace

DAY = dt.date(2024, 5, 20)
START, END = pd.Timestamp(DAY, tz="UTC"), pd.Timestamp(DAY, tz="UTC") + pd.Timedelta(days=1)


def spoiled(klines: pd.DataFrame, hours: int) -> pd.DataFrame:
    """The first hours of BTC's day with the high below the low."""
    rows = (klines["symbol"] == "BTCUSDT") & (klines["ts"] >= START) & (klines["ts"] < START + pd.Timedelta(hours=hours))
    frame = klines.copy()
    frame.loc[rows, "high"] = frame.loc[rows, "low"] * 0.5
    assert rows.sum() == hours
    return frame


def test_a_bad_row_goes_to_quarantine_with_rule_and_reason_and_leaves_a_gap(tmp_path: Path, klines: pd.DataFrame) -> None:
    workspace = files_workspace(tmp_path, spoiled(klines, 1))
    report = run_stage(workspace, "bars", DAY)
    apart = workspace.lake.scan("quarantine/bars", START, END)
    assert apart[["ts", "symbol"]].values.tolist() == [[START, "BTC/USDT"]]
    assert apart["rule"].iloc[0]
    assert "high" in apart["reason"].iloc[0]
    stored = workspace.lake.scan(workspace.bars_table, START, END)
    assert len(stored) == 3 * 24 - 1
    assert pd.isna(workspace.bars(DAY).between(START, END).close[0, 0])
    assert report.facts["quarantined"] == 1
    assert report.facts["missing_bars"] == 1


def test_one_bad_row_stops_nothing_but_many_stop_everything_downstream(tmp_path: Path, klines: pd.DataFrame) -> None:
    (tmp_path / "few").mkdir()
    few = files_workspace(tmp_path / "few", spoiled(klines, 1))
    run_stage(few, "bars", DAY)
    assert run_check(few, "few_rows_set_apart", DAY).passed
    run_stage(few, "risk_limits", DAY)

    (tmp_path / "many").mkdir()
    many = files_workspace(tmp_path / "many", spoiled(klines, 12))
    run_stage(many, "bars", DAY)
    assert not run_check(many, "few_rows_set_apart", DAY).passed
    record = many.record("bars", DAY)
    assert record is not None and record.facts["passed"] is False
    with pytest.raises(MissingInputError, match=r"bars of 2024-05-20 to pass .*few_rows_set_apart.*run 2024-05-20 again"):
        run_stage(many, "risk_limits", DAY)
    with pytest.raises(MissingInputError, match="quality check"):
        run_missing(many, "risk_limits", DAY)
    assert many.record("risk_limits", DAY) is None

    files_workspace(tmp_path / "many", klines)  # the data is mended
    mended = Workspace(many.settings)
    run_stage(mended, "bars", DAY)
    run_stage(mended, "risk_limits", DAY)
    assert mended.lake.scan("quarantine/bars", START, END).empty


def test_a_failed_blocking_check_ends_a_dagster_run_and_is_named(tmp_path: Path, klines: pd.DataFrame) -> None:
    settings = files_workspace(tmp_path, spoiled(klines, 12)).settings
    chosen = [a for a in assets.ALL if a.key.to_user_string() in ("bars", "risk_limits")]
    job = dg.Definitions(
        assets=chosen,
        asset_checks=[c for c in checks.ALL if all(key.asset_key == dg.AssetKey("bars") for key in c.check_keys)],
        resources={"pipeline": WorkspaceResource(settings_json=settings_json(settings))},
    ).resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(partition_key=DAY.isoformat(), instance=instance, raise_on_error=False)
    assert not result.success
    error = _cause(result, "daily", DAY)
    assert "few_rows_set_apart on bars of 2024-05-20 failed: 12 rows set apart" in str(error)
    assert shared_workspace(settings).record("risk_limits", DAY) is None


def test_running_the_day_again_stores_the_same_bytes(tmp_path: Path, klines: pd.DataFrame) -> None:
    workspace = files_workspace(tmp_path, spoiled(klines, 1))
    run_stage(workspace, "bars", DAY)
    before = workspace.lake.digest()
    run_stage(workspace, "bars", DAY)
    assert workspace.lake.digest() == before


def test_no_bar_after_the_day_is_stored(tmp_path: Path, klines: pd.DataFrame) -> None:
    workspace = files_workspace(tmp_path, klines)
    run_stage(workspace, "bars", DAY)
    stored = workspace.lake.scan(workspace.bars_table, None, None)
    assert stored["ts"].max() == END - pd.Timedelta(hours=1)
    assert workspace.bars(DAY).available_at[-1] == END.tz_localize(None).to_numpy()


def test_a_day_without_bars_is_refused_with_the_remedy(tmp_path: Path, klines: pd.DataFrame) -> None:
    workspace = files_workspace(tmp_path, klines[(klines["ts"] < START) | (klines["ts"] >= END)])
    with pytest.raises(NoDataError, match=r"2024-05-20|--date"):
        run_stage(workspace, "bars", DAY)
    assert workspace.record("bars", DAY) is None


def test_a_history_that_was_cut_off_between_two_tables_is_completed(tmp_path: Path, klines: pd.DataFrame) -> None:
    workspace = files_workspace(tmp_path, klines)
    ingest_history(workspace, DAY)
    whole = workspace.lake.digest()
    assert ingest_history(workspace, DAY) == {}
    for path in workspace.lake.list("observations/macro"):  # as after a kill before macro was read
        workspace.lake.delete(path)
    assert not workspace.has_history_before(DAY)
    assert set(ingest_history(workspace, DAY)) == {"macro"}
    assert workspace.lake.digest() == whole


def test_of_the_order_book_the_last_snapshot_before_each_close_is_kept() -> None:
    from strategy_pipeline.cycle.market import last_of_each_bar

    at = [START + pd.Timedelta(minutes=m) for m in (5, 59, 60, 61, 62)]
    rows = [
        {"ts": ts - pd.Timedelta(seconds=1), "available_at": ts, "symbol": symbol, "venue": "x", "level": level,
         "bid": 100.0 + i - level, "bid_qty": 1.0, "ask": 101.0 + i + level, "ask_qty": 2.0}
        for symbol in ("BTC/USDT", "ETH/USDT") for i, ts in enumerate(at) for level in (0, 1)
    ]  # fmt: skip
    # Sent early, received last: it is not the newest of its bar.
    rows.append({**rows[0], "ts": START, "available_at": START + pd.Timedelta(minutes=59, seconds=30), "bid": 1.0})
    kept = last_of_each_bar(as_table("book", pd.DataFrame(rows)), "1h")
    btc = kept[kept["symbol"] == "BTC/USDT"]
    assert btc["available_at"].unique().tolist() == [at[2], at[4]]  # known at the very close, it belongs to the bar that closes
    assert btc["level"].tolist() == [0, 1, 0, 1] and len(kept) == 8
    assert last_of_each_bar(empty_table("book"), "1h").empty


def test_quotes_reach_rules_and_features_by_name(tmp_path: Path, klines: pd.DataFrame) -> None:
    from strategy_pipeline.cycle import predictions
    from strategy_pipeline.cycle.features import matrix
    from strategy_pipeline.indicators import Bank, term
    from strategy_pipeline.strategies import parse, validate

    (tmp_path / "data").mkdir()
    times = pd.date_range(START + pd.Timedelta(minutes=10), END, freq="10min", tz="UTC")
    quotes = pd.DataFrame(
        {"ts": times, "symbol": "BTCUSDT", "venue": "binance_spot", "bid": 99.0, "bid_qty": 3.0, "ask": 101.0,
         "ask_qty": np.where(times.minute == 0, 1.0, 9.0)}
    )  # fmt: skip
    quotes.to_parquet(tmp_path / "data" / "orderflow_bbo.parquet", index=False)
    workspace = files_workspace(tmp_path, klines)
    workspace = Workspace(workspace.settings.model_copy(update={"feature_set": "full"}))
    for stage in ("bars", "fundamentals"):
        run_stage(workspace, stage, DAY)
    assert len(workspace.observations("book", DAY)) == 24
    series = predictions.observed(workspace, DAY)
    today = workspace.bars(DAY).times >= np.datetime64(DAY)
    imbalance = Bank(workspace.bars(DAY), series=series).evaluate(term("book_imbalance"))
    assert (imbalance[0, today] == 0.5).all() and np.isnan(imbalance[1:]).all() and np.isnan(imbalance[:, ~today]).all()
    assert (matrix(workspace, DAY).column("book_imbalance")[0, today] == 0.5).all()
    text = "volume on BTC/USDT 1h\nenter long when book_imbalance() > 0.2 and close < book.ask\nexit when microprice_gap() < 0\nsize all_in"
    validate(parse(text), series)


class Late:
    """A source whose news and macro rows can be asked for a while after what they are about."""

    name, simulated = "files", False

    def __init__(self) -> None:
        self.published: dict[str, pd.DataFrame] = {}

    def observations(self, table: str, start: Any, end: Any) -> pd.DataFrame:
        frame = self.published.get(table)
        if frame is None:
            return empty_table(table)
        return frame[(frame["ts"] >= start) & (frame["ts"] < end)].reset_index(drop=True)


def test_rows_that_become_known_later_are_picked_up_then_and_not_known_before(tmp_path: Path, klines: pd.DataFrame) -> None:
    workspace = files_workspace(tmp_path, klines)
    source = Late()
    workspace.__dict__["source"] = source
    assert run_stage(workspace, "news", DAY).facts["news"] == 0
    hour = pd.Timedelta(hours=1)
    late = {"ts": START + 20 * hour, "available_at": END + 3 * hour, "asset": "BTC", "source": "x", "title": "t", "text": "", "score": 0.5}
    quarter = {
        "ts": START - pd.Timedelta(days=110),
        "available_at": END + 5 * hour,
        "series": "GDP",
        "value": 2.0,
        "source": "x",
        "revised": False,
    }
    source.published = {"news": as_table("news", pd.DataFrame([late])), "macro": as_table("macro", pd.DataFrame([quarter]))}
    following = DAY + dt.timedelta(days=1)
    assert run_stage(workspace, "news", following).facts["news"] == 1
    assert run_stage(workspace, "macro", following).facts["macro"] == 1
    for table in ("news", "macro"):
        assert len(workspace.observations(table, following)) == 1
        assert len(workspace.observations(table, DAY)) == 0
    # Run again, the earlier day stores the row it now finds, and still does not know it.
    assert run_stage(workspace, "news", DAY).facts["news"] == 0
    assert len(workspace.observations("news", DAY)) == 0
    assert len(workspace.observations("news", following)) == 1


def test_bars_that_close_after_their_day_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"at most 1d .* was 1w"):
        Workspace(Settings(timeframe="1w"))
    assert Workspace(Settings(timeframe="1d")).timeframe == "1d"


def test_every_check_is_of_a_stage_and_says_what_it_checks() -> None:
    for name, check in CHECKS.items():
        assert check.asset in STAGES, name
        assert check.description.endswith("."), name
