"""What the design fixes, one rule at a time, on bars written by hand; both engines must say the same."""

from __future__ import annotations

import numpy as np
import pytest

from strategy_pipeline.backtest import Costs, backtest
from strategy_pipeline.indicators import Number, Series
from strategy_pipeline.market import Bars
from strategy_pipeline.strategies import Compare, Level, Size, Strategy
from strategy_pipeline_tests.backtest.test_engine_equals_reference import assert_equal_to_reference

NAN = np.nan


def bars_of(*rows: tuple[float, float, float, float] | None, volume: float = 100.0) -> Bars:
    """One symbol's bars as (open, high, low, close); None is a missing bar."""
    table = np.array([(NAN,) * 4 if row is None else row for row in rows]).T[:, None, :]
    amount = np.where(np.isnan(table[0]), NAN, volume)
    times = np.datetime64("2024-01-01", "ns") + np.arange(len(rows)) * np.timedelta64(1, "h")
    return Bars(("BTC/USDT",), "1h", times, *table, amount)


def flat(price: float) -> tuple[float, float, float, float]:
    return (price, price, price, price)


def run(bars: Bars, enter: list[int], leave: list[int] = (), *, side: str = "long", costs: Costs | None = None, fill="next_open", **parts):
    """Trades of a strategy that enters and leaves at the given bars, by both engines."""
    marks = {name: np.isin(np.arange(bars.n_bars), at)[None, :].astype(float) for name, at in (("x.enter", enter), ("x.leave", leave))}
    rules = {f"enter_{side}": on("x.enter"), f"exit_{side}": on("x.leave") if len(leave) else None}
    series = marks | parts.pop("series", {})
    strategy = Strategy("trend", ("*",), "1h", **rules, **parts)
    options = {"costs": costs or Costs(0, 0), "fill": fill, "series": series}
    result = backtest([strategy], bars, **options)
    assert not result.failures
    assert_equal_to_reference(result, strategy, bars, **options)
    return result.trades(strategy.id, "BTC/USDT"), result, strategy.id


def on(name: str) -> Compare:
    return Compare(">", Series(name), Number(0.5))


def hours(trades, column: str) -> list[int]:
    return ((trades[column] - trades[column].dt.normalize().min()) / np.timedelta64(1, "h")).tolist()


def test_a_decision_fills_at_the_next_open_and_not_before() -> None:
    trades, _, _ = run(bars_of(flat(100), flat(100), (110, 120, 100, 115), flat(116), (130, 130, 130, 130)), [1], [3])
    assert trades[["entry_price", "exit_price"]].values.tolist() == [[110, 130]]
    assert hours(trades, "decision") + hours(trades, "entry") + hours(trades, "exit") == [1, 2, 4]


def test_close_fill_trades_at_the_close_of_the_decision() -> None:
    trades, _, _ = run(bars_of(flat(100), (100, 110, 90, 105), flat(110), (110, 130, 110, 120)), [1], [3], fill="close")
    assert trades[["entry_price", "exit_price"]].values.tolist() == [[105, 120]]


def test_all_in_is_cash_over_one_plus_fee_and_costs_are_paid_on_both_sides() -> None:
    trades, result, id = run(bars_of(flat(100), flat(100), flat(100), flat(200), flat(200)), [0], [2], costs=Costs(100, 50))
    assert trades["entry_price"][0] == pytest.approx(100 * 1.005)
    assert trades["exit_price"][0] == pytest.approx(200 * 0.995)
    size = 1 / 1.01 / (100 * 1.005)
    assert trades["size"][0] == pytest.approx(size)
    assert trades["equity_after"][0] == pytest.approx(size * 200 * 0.995 * 0.99)
    assert result.metrics.loc[(id, "BTC/USDT"), "total_return"] == pytest.approx(trades["pnl"][0])


def test_an_entry_signal_in_a_position_is_ignored_and_one_with_its_exit_is_suppressed() -> None:
    trades, _, _ = run(bars_of(*[flat(100 + i) for i in range(8)]), [0, 1, 2, 4, 5], [3, 4])
    assert hours(trades, "entry") == [1, 6]  # 1 and 2 are ignored, 4 is suppressed by its exit
    assert trades["reason"].tolist() == ["signal", "open"]


def test_there_is_no_entry_at_the_open_that_filled_an_exit() -> None:
    trades, _, _ = run(bars_of(*[flat(100 + i) for i in range(8)]), [0, 2, 3], [2])
    assert hours(trades, "exit")[0] == 3
    assert hours(trades, "entry") == [1, 4]


def test_a_touched_stop_fills_at_its_level_and_a_gap_at_the_open() -> None:
    touched, _, _ = run(bars_of(flat(100), flat(100), (100, 101, 94, 96), flat(96)), [0], stop=Level("percent", 0.05), costs=Costs(0, 100))
    assert touched["exit_price"][0] == pytest.approx(95 * 0.99)
    gapped, _, _ = run(bars_of(flat(100), flat(100), (90, 101, 88, 96), flat(96)), [0], stop=Level("percent", 0.05), costs=Costs(0, 100))
    assert gapped["exit_price"][0] == pytest.approx(90 * 0.99)
    assert touched["reason"][0] == gapped["reason"][0] == "stop"


def test_stops_are_live_in_the_entry_bar_at_the_open_and_after_it_at_the_close() -> None:
    bars = bars_of(flat(100), (100, 100, 90, 100), (100, 100, 99, 100), (100, 100, 90, 100), flat(100))
    at_open, _, _ = run(bars, [0], stop=Level("percent", 0.05))
    assert hours(at_open, "exit") == [1]
    at_close, _, _ = run(bars, [1], stop=Level("percent", 0.05), fill="close")
    assert hours(at_close, "exit") == [3]


def test_a_target_fills_at_its_level_or_the_better_open_without_slippage() -> None:
    bars = bars_of(flat(100), flat(100), (100, 107, 100, 106), flat(106))
    limit, _, _ = run(bars, [0], take=Level("percent", 0.05), costs=Costs(0, 100))
    assert limit["exit_price"][0] == pytest.approx(105)
    market, _, _ = run(bars, [0], take=Level("percent", 0.05), costs=Costs(0, 100, market_targets=True))
    assert market["exit_price"][0] == pytest.approx(105 * 0.99)
    gap, _, _ = run(bars_of(flat(100), flat(100), (110, 112, 100, 106), flat(106)), [0], take=Level("percent", 0.05))
    assert gap["exit_price"][0] == 110


def test_the_stop_comes_before_the_target_when_both_are_touched() -> None:
    trades, _, _ = run(
        bars_of(flat(100), flat(100), (100, 120, 80, 100), flat(100)), [0], stop=Level("percent", 0.05), take=Level("percent", 0.05)
    )
    assert trades["reason"].tolist() == ["stop"]


def test_the_trail_follows_highs_through_the_previous_bar() -> None:
    # The high of bar 2 lifts the trail only from bar 3 on: its own low of 105 does not touch 0.9 * 120 = 108.
    trades, _, _ = run(
        bars_of(flat(100), flat(100), (105, 120, 105, 118), (115, 118, 107, 110), flat(110)), [0], trail=Level("percent", 0.1)
    )
    assert hours(trades, "exit") == [3]
    assert trades["exit_price"][0] == pytest.approx(108)
    assert trades["reason"][0] == "trail"


def test_a_time_stop_leaves_at_the_open_before_that_bars_stop() -> None:
    trades, _, _ = run(bars_of(flat(100), flat(100), flat(101), (102, 103, 50, 60), flat(60)), [0], hold=2, stop=Level("percent", 0.2))
    assert hours(trades, "exit") == [3]
    assert trades["exit_price"][0] == 102
    assert trades["reason"][0] == "time"


def test_a_missing_bar_lapses_an_entry_and_delays_an_exit() -> None:
    lapsed, _, _ = run(bars_of(flat(100), flat(100), None, flat(100), flat(100)), [1])
    assert lapsed.empty
    waiting, _, _ = run(bars_of(flat(100), flat(100), flat(101), None, flat(103), flat(104)), [0], [2])
    assert hours(waiting, "exit") == [4]
    assert waiting["exit_price"][0] == 103


def test_delisting_closes_at_the_last_price_and_is_flagged() -> None:
    trades, result, id = run(bars_of(flat(100), flat(100), flat(90), None, None), [0], costs=Costs(10, 0))
    assert trades["reason"].tolist() == ["delisted"]
    assert trades["exit_price"][0] == 90
    assert result.metrics.loc[(id, "BTC/USDT"), "delisted"] == 1
    assert len(result.equity(id, "BTC/USDT")) == 3


def test_a_short_that_loses_everything_is_closed_with_the_loss_capped() -> None:
    trades, result, id = run(bars_of(flat(100), flat(100), flat(150), flat(250), flat(100), flat(100)), [0, 4], side="short")
    assert trades["reason"].tolist() == ["ruined"]
    assert trades["equity_after"][0] == 0
    row = result.metrics.loc[(id, "BTC/USDT")]
    assert row["total_return"] == -1
    assert row["ruined"] == 1
    assert row["max_drawdown"] == 1
    gap, _, _ = run(bars_of(flat(100), flat(100), (300, 300, 300, 300), flat(100)), [0], side="short", stop=Level("percent", 0.5))
    assert gap["ruined"].tolist() == [True]
    assert gap["equity_after"][0] == 0
    assert gap["reason"].tolist() == ["stop"]


def test_an_open_position_is_marked_counted_and_left_out_of_averages() -> None:
    trades, result, id = run(bars_of(flat(100), flat(100), flat(110), flat(110), flat(110), flat(121)), [0, 3], [1])
    row = result.metrics.loc[(id, "BTC/USDT")]
    assert trades["reason"].tolist() == ["signal", "open"]
    assert (row["trades"], row["open_trades"], row["win_rate"], row["avg_holding_bars"]) == (2, 1, 1.0, 1.0)
    assert row["total_return"] == pytest.approx(1.1 * 1.1 - 1)
    assert trades["exit"].isna().tolist() == [False, True]


def test_an_atr_distance_is_read_at_the_decision_bar() -> None:
    rows = [(100, 102, 98, 100)] * 6 + [(100, 140, 60, 100)] + [(100, 101, 91, 100)] * 3
    trades, _, _ = run(bars_of(*rows), [4], stop=Level("atr", 2.0, 3))
    assert hours(trades, "exit") == [6]  # 4 of range, twice: touched at 92 by the wild bar
    assert trades["exit_price"][0] == pytest.approx(92)


def test_sizes_are_fixed_at_the_fill() -> None:
    bars = bars_of(*[flat(100 + i) for i in range(8)])
    half, _, _ = run(bars, [0], [3], size=Size("fraction", 0.5))
    assert half["size"][0] == pytest.approx(0.5 / 101)
    sigma = {"x.sigma": np.array([[0.4, 9, 9, 9, 9, 9, 9, 9]])}
    target, _, _ = run(bars, [0], [3], size=Size("volatility_target", 0.1, Series("x.sigma")), series=sigma)
    assert target["size"][0] == pytest.approx(0.25 / 101)
    capped, _, _ = run(bars, [0], [3], size=Size("volatility_target", 0.9, Series("x.sigma")), series=sigma)
    assert capped["size"][0] == pytest.approx(1 / 101)
    unknown, _, _ = run(bars, [0], [3], size=Size("volatility_target", 0.1, Series("x.sigma")), series={"x.sigma": np.full((1, 8), NAN)})
    assert unknown.empty


def test_kelly_learns_from_closed_trades_only() -> None:
    prices = []
    for i in range(60):  # each cycle of four bars: two wins of 10 % for each loss of 5 %
        prices += [100, 100, 95 if i % 3 == 2 else 110, 100]
    bars = bars_of(*map(flat, prices))
    trades, _, _ = run(bars, list(range(0, 240, 4)), list(range(1, 240, 4)), size=Size("kelly", 0.5))
    weight = (trades["size"] * trades["entry_price"] / trades["equity_before"]).to_numpy()
    assert weight[:20] == pytest.approx(0.01)
    won, lost = 14, 6
    assert weight[20] == pytest.approx(0.5 * (won / 20 - (lost / 20) / (0.1 / 0.05)))


def test_a_breakeven_stop_stands_at_the_fill_once_the_price_went_far_enough() -> None:
    # The high of bar 2 arms it, so bar 2's own low of 98 does not touch it; bar 3 falls through 100.
    bars = bars_of(flat(100), flat(100), (100, 106, 98, 104), (103, 104, 97, 98), flat(98))
    trades, _, _ = run(bars, [0], breakeven=Level("percent", 0.05))
    assert hours(trades, "exit") == [3]
    assert (trades["exit_price"][0], trades["reason"][0]) == (100, "stop")
    unarmed, _, _ = run(bars, [0], breakeven=Level("percent", 0.07))
    assert unarmed["reason"].tolist() == ["open"]


def test_after_a_losing_trade_and_no_other_entries_rest_for_the_cooldown() -> None:
    falling = bars_of(*[flat(100 - i) for i in range(10)])
    assert hours(run(falling, list(range(10)), [2], cooldown=3)[0], "entry") == [1, 7]  # left at 3; 3, 4 and 5 are passed over
    rising = bars_of(*[flat(100 + i) for i in range(10)])
    assert hours(run(rising, list(range(10)), [2], cooldown=3)[0], "entry") == [1, 4]


def test_positions_are_whole_lots_and_too_small_ones_lapse() -> None:
    bars = bars_of(*[flat(30)] * 4)
    lots, _, _ = run(bars, [0], costs=Costs(0, 0, capital=100, lot=0.5))
    assert lots["size"][0] == pytest.approx(3.0 / 100)  # 3.33 units rounded down to 3.0
    small, _, _ = run(bars, [0], costs=Costs(0, 0, capital=100, min_notional=101))
    assert small.empty


def test_a_target_pays_the_maker_fee_and_a_stop_the_taker_fee() -> None:
    bars = bars_of(flat(100), flat(100), (100, 111, 100, 110), flat(110))
    trades, _, _ = run(bars, [0], take=Level("percent", 0.1), costs=Costs(100, 0, maker_fee_bps=0))
    assert trades["equity_after"][0] == pytest.approx(110 / 101)


def test_slippage_grows_with_volatility_before_the_fill_and_with_the_root_of_participation() -> None:
    bars = bars_of(flat(100), flat(110), flat(110), flat(110), flat(110))
    calm, _, _ = run(bars, [1], costs=Costs(0, 0, slippage_volatility=0.5))
    assert calm["entry_price"][0] == pytest.approx(110 * (1 + 0.5 * (0 + 0.1) / 2))
    heavy, _, _ = run(bars, [1], costs=Costs(0, 0, impact=0.1, capital=110 * 25))
    assert heavy["entry_price"][0] == pytest.approx(110 * (1 + 0.1 * 0.5))  # a quarter of the bar's 100 x 110
