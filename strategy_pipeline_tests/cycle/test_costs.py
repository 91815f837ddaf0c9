"""What trading cost beyond what backtests assume: from reported fills where there are any, else from the day's bars."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from strategy_pipeline.backtest import backtest
from strategy_pipeline.cycle import Workspace, run_stage, strategies
from strategy_pipeline.cycle.costs import COLUMNS, as_paper_rows, excess_costs, slippage_ratios
from strategy_pipeline.cycle.workspace import costs_of
from strategy_pipeline.strategies import parse
from strategy_pipeline_tests.cycle.conftest import FIRST, SECOND, files_workspace

DAY = dt.date(2024, 5, 29)
RULES = """trend on * 1h
enter long when close > ema(close, 12)
exit when close < ema(close, 12)
take 1%
size all_in"""


@pytest.fixture
def workspace(tmp_path: Path, klines: pd.DataFrame) -> Workspace:
    made = files_workspace(tmp_path, klines)
    run_stage(made, "bars", DAY)
    return made


def ran(workspace: Workspace):
    return backtest([parse(RULES)], workspace.bars(DAY), costs=costs_of(workspace))


def fills(symbol: str, fee_bps: float, slip_bps: float, when: str, strategy_id: str = "", side: str = "buy") -> pd.DataFrame:
    sign = 1 if side == "buy" else -1
    row = {
        "ts": pd.Timestamp(when, tz="UTC"), "available_at": pd.Timestamp(when, tz="UTC"), "execution_id": f"{symbol}{when}{strategy_id}",
        "signal_id": "", "strategy_id": strategy_id, "symbol": symbol, "venue": "test", "side": side, "qty": 2.0,
        "price": 100.0 * (1 + sign * slip_bps * 1e-4), "reference_price": 100.0,
    }  # fmt: skip
    row["fee"] = row["qty"] * row["price"] * fee_bps * 1e-4
    return pd.DataFrame([row])


def report(workspace: Workspace, *rows: pd.DataFrame) -> None:
    frame = pd.concat(rows, ignore_index=True)
    frame["ts"] = frame["ts"].astype("datetime64[ns, UTC]")
    workspace.lake.upsert("observations/executions", frame, pd.Timestamp("2024-04-01", tz="UTC"), pd.Timestamp("2024-06-05", tz="UTC"))


def day_fills(workspace: Workspace) -> list[tuple[str, pd.Timestamp, str, float]]:
    """Fills of the day from the trades themselves: symbol, bar, reason, share of the equity of that symbol's account."""
    result, found = ran(workspace), []
    start, end = pd.Timestamp(DAY, tz="UTC"), workspace.close(DAY)
    for symbol in workspace.symbols:
        for trade in result.trades(parse(RULES).id, symbol).itertuples():
            if start <= trade.entry < end:
                found.append((symbol, trade.entry, "entry", trade.size * trade.entry_price / trade.equity_before))
            if trade.reason != "open" and start <= trade.exit < end:
                found.append((symbol, trade.exit, trade.reason, trade.size * trade.exit_price / trade.equity_after))
    return found


def test_the_average_bar_of_the_past_pays_the_assumed_slippage(workspace: Workspace) -> None:
    bars = workspace.bars(DAY)
    ratios = slippage_ratios(bars, 2000)
    np.testing.assert_allclose(np.nanmean(ratios[:, :2000], axis=1), 1.0)
    close, volume = bars.close[1], bars.volume[1]
    cost = {t: np.mean([abs(close[k] / close[k - 1] - 1) for k in range(t - 24, t)]) / np.sqrt(close[t] * volume[t]) for t in (1000, 2500)}
    assert ratios[1, 2500] / ratios[1, 1000] == pytest.approx(cost[2500] / cost[1000], rel=1e-9)


def test_a_bar_with_a_quarter_of_the_volume_slips_twice_as_much_and_one_without_any_not_at_all(workspace: Workspace) -> None:
    bars = workspace.bars(DAY)
    thin = bars.volume.copy()
    thin[0, 3000] /= 4
    thin[0, 3001] = 0.0
    before, after = slippage_ratios(bars, 2000), slippage_ratios(bars.with_fields(volume=thin), 2000)
    assert after[0, 3000] == pytest.approx(2 * before[0, 3000])
    assert np.isnan(after[0, 3001])
    np.testing.assert_array_equal(after[1:], before[1:])


def test_bars_after_one_do_not_change_its_slippage(workspace: Workspace) -> None:
    bars = workspace.bars(DAY)
    np.testing.assert_array_equal(slippage_ratios(bars.through(bars.times[2999]), 2000), slippage_ratios(bars, 2000)[:, :3000])


def test_without_fills_the_excess_is_modelled_at_the_bars_of_the_days_trades(workspace: Workspace) -> None:
    found = excess_costs(workspace, DAY, ran(workspace))
    bars, by_hand = workspace.bars(DAY), dict.fromkeys(workspace.symbols, 0.0)
    ratios = slippage_ratios(bars, int(np.searchsorted(bars.times, np.datetime64(DAY))))
    trades = day_fills(workspace)
    assert {reason for *_, reason, _ in trades} >= {"entry", "take", "signal"}
    for symbol, when, reason, share in trades:
        ratio = ratios[bars.symbols.index(symbol), np.searchsorted(bars.times, when.tz_convert(None).to_datetime64())]
        by_hand[symbol] += 0.0 if reason == "take" else share / 3 * 5e-4 * (ratio - 1)
    assert dict(zip(found["symbol"], found["excess"], strict=True)) == pytest.approx({k: v for k, v in by_hand.items() if v}, rel=1e-9)
    assert set(found["source"]) == {"model"}
    assert found["fills"].sum() == len(trades)
    assert found["turnover"].sum() == pytest.approx(sum(share for *_, share in trades) / 3)


def test_reported_fills_of_the_thirty_days_before_say_what_trading_costs(workspace: Workspace) -> None:
    report(
        workspace,
        fills("BTC/USDT", 12, 9, "2024-05-20"),
        fills("BTC/USDT", 12, 11, "2024-05-21", side="sell"),
        fills("BTC/USDT", 500, 500, "2024-04-20"),  # long ago
        fills("ETH/USDT", 500, 500, "2024-05-29 12:00"),  # of the day itself: not known for sure when the book is advanced
    )
    found = excess_costs(workspace, DAY, ran(workspace)).set_index("symbol")
    trades = [(reason, share / 3) for symbol, _, reason, share in day_fills(workspace) if symbol == "BTC/USDT"]
    expected = sum(share * (2e-4 if reason == "take" else 2e-4 + 5e-4) for reason, share in trades)  # fee 12 for 10, slippage 10 for 5
    assert found.loc["BTC/USDT", "excess"] == pytest.approx(expected, rel=1e-3)
    assert found["source"].to_dict() == {"BTC/USDT": "fills", "ETH/USDT": "model", "SOL/USDT": "model"}


def test_a_strategys_own_fills_count_before_those_of_others(workspace: Workspace) -> None:
    own = parse(RULES).id
    report(workspace, fills("BTC/USDT", 10, 5, "2024-05-20", own), fills("BTC/USDT", 90, 50, "2024-05-20", "another"))
    found = excess_costs(workspace, DAY, ran(workspace)).set_index("symbol")
    assert found.loc["BTC/USDT", "excess"] == pytest.approx(0.0, abs=1e-9)


def test_fills_without_a_reference_price_say_the_fee_and_the_model_says_the_slippage(workspace: Workspace) -> None:
    modelled = excess_costs(workspace, DAY, ran(workspace)).set_index("symbol")
    report(workspace, fills("BTC/USDT", 30, 0, "2024-05-20").assign(reference_price=np.nan))
    found = excess_costs(workspace, DAY, ran(workspace)).set_index("symbol")
    extra = found.loc["BTC/USDT", "excess"] - modelled.loc["BTC/USDT", "excess"]
    assert extra == pytest.approx(20e-4 * modelled.loc["BTC/USDT", "turnover"])


def test_nothing_with_capital_costs_nothing(workspace: Workspace) -> None:
    nothing = excess_costs(workspace, DAY, None)
    assert nothing.empty and nothing.dtypes.astype(str).to_dict() == COLUMNS
    assert as_paper_rows(DAY, nothing, ()).shape == (1, 0)
    assert as_paper_rows(DAY, nothing, ("a",)).loc[pd.Timestamp(DAY), "a"] == 0.0


def test_the_book_is_told_what_its_strategies_with_capital_paid(two_days: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    from strategy_pipeline.book import Book, Entry
    from strategy_pipeline.book.sequential import Track

    traded = two_days.lake.read(f"strategies/backtests/{FIRST}/metrics.parquet").groupby("strategy_id")["trades"].sum()
    busy, other = [str(i) for i in traded.sort_values(ascending=False).index[:2]]
    entries = {
        i: Entry(i, state, FIRST, "test", FIRST, FIRST, 1, Track.starting(1e-4)) for i, state in ((busy, "active"), (other, "incubating"))
    }
    seen: dict[str, pd.DataFrame] = {}
    real = Book.advance

    def advance(book: Book, day: dt.date, **options: pd.DataFrame):
        seen.update(options)
        return real(book, day, **options)  # type: ignore[arg-type]

    written: dict[str, pd.DataFrame] = {}
    monkeypatch.setattr(strategies, "book_of", lambda workspace, day: Book(entries, FIRST))
    monkeypatch.setattr(strategies.Book, "advance", advance)
    monkeypatch.setattr(type(two_days.lake), "write", lambda lake, path, frame: written.setdefault(path, frame))
    strategies.strategy_book(two_days, SECOND)
    paid = seen["excess_costs"]
    assert list(paid.columns) == [busy] and list(paid.index) == [pd.Timestamp(SECOND)]
    table = written[f"book/{SECOND}/excess_costs.parquet"]
    assert set(table["strategy_id"]) == {busy}
    assert paid.iloc[0, 0] == pytest.approx(table["excess"].sum()) and paid.iloc[0, 0] != 0
