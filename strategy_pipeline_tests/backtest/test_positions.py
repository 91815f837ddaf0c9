"""What strategies hold for the next bar: worked out by hand on a few bars."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from strategy_pipeline.backtest import Costs, next_positions
from strategy_pipeline.market import Bars
from strategy_pipeline.strategies import parse

FREE = Costs(fee_bps=0, slippage_bps=0)


def bars_of(*closes: list[float], volume: float = 1e6) -> Bars:
    """Hourly bars that open at the last close and have no wicks."""
    close = np.array(closes, dtype=np.float64)
    known = np.isfinite(close)
    filled = pd.DataFrame(close.T).ffill().to_numpy().T
    open_ = np.where(known, np.concatenate([filled[:, :1], filled[:, :-1]], axis=1), np.nan)
    high, low = np.maximum(open_, close), np.minimum(open_, close)
    symbols = ("BTC/USDT", "ETH/USDT", "SOL/USDT")[: len(close)]
    times = np.datetime64("2024-01-01", "ns") + np.arange(close.shape[1]) * np.timedelta64(1, "h")
    return Bars(symbols, "1h", times, open_, high, low, close, np.where(known, volume, np.nan))


def rule(side: str, enter: str, leave: str, more: str = "", on: str = "BTC/USDT"):
    return parse(f"trend on {on} 1h\nenter {side} when {enter}\nexit when {leave}\n{more}size all_in")


def test_an_entry_decided_at_the_last_close_is_held() -> None:
    strategy = rule("long", "close > 104", "close < 90")
    held = next_positions([strategy], bars_of([100, 101, 102, 105]), costs=FREE)
    assert held.loc[strategy.id, "BTC/USDT"] == pytest.approx(1.0)


def test_an_exit_decided_at_the_last_close_is_flat() -> None:
    strategy = rule("long", "close > 104", "close < 103")
    assert next_positions([strategy], bars_of([100, 105, 106, 107]), costs=FREE).loc[strategy.id, "BTC/USDT"] == pytest.approx(1.0)
    assert next_positions([strategy], bars_of([100, 105, 106, 102]), costs=FREE).loc[strategy.id, "BTC/USDT"] == 0.0


def test_a_short_position_is_negative_and_a_fraction_of_todays_equity() -> None:
    strategy = rule("short", "close < 100", "close > 150")
    held = next_positions([strategy], bars_of([101, 99, 99, 90]), costs=FREE)
    # Sold 1/99 at 99, now at 90: equity 1 + 9/99, exposure 90/99.
    assert held.loc[strategy.id, "BTC/USDT"] == pytest.approx(-(90 / 99) / (1 + 9 / 99))


def test_costs_of_the_entry_come_off_the_equity_it_is_a_fraction_of() -> None:
    strategy = rule("long", "close > 104", "close < 90")
    held = next_positions([strategy], bars_of([100, 101, 102, 105]), costs=Costs(fee_bps=100, slippage_bps=0))
    # All in: size 1 / 1.01 / 105, worth 1 / 1.01, and that is all the equity there is.
    assert held.loc[strategy.id, "BTC/USDT"] == pytest.approx(1.0)


def test_a_symbol_the_strategy_does_not_trade_is_unknown_and_not_flat() -> None:
    strategy = rule("long", "close > 104", "close < 90")
    held = next_positions([strategy], bars_of([100, 101], [50, 50]), costs=FREE)
    assert held.loc[strategy.id, "BTC/USDT"] == 0.0
    assert np.isnan(held.loc[strategy.id, "ETH/USDT"])
    everywhere = rule("long", "close > 104", "close < 90", on="*")
    assert next_positions([everywhere], bars_of([100, 105], [50, 50]), costs=FREE).loc[everywhere.id].tolist() == pytest.approx([1.0, 0.0])


def test_a_time_stop_that_ends_at_the_next_open_is_flat() -> None:
    strategy = rule("long", "close > 104", "close < 1", "hold 2 bars\n")
    assert next_positions([strategy], bars_of([100, 105, 105]), costs=FREE).loc[strategy.id, "BTC/USDT"] == pytest.approx(1.0)
    assert next_positions([strategy], bars_of([100, 105, 100, 100]), costs=FREE).loc[strategy.id, "BTC/USDT"] == 0.0


def test_a_missing_last_bar_closes_nothing() -> None:
    strategy = rule("long", "close > 104", "close < 90", on="*")
    outage = bars_of([100, 105, 106, np.nan], [100, 105, 106, 107])
    held = next_positions([strategy], outage, costs=FREE)
    assert held.loc[strategy.id].tolist() == pytest.approx([1.0, 1.0])


def test_a_symbol_without_bars_for_more_than_a_day_is_not_held() -> None:
    strategy = rule("long", "close > 104", "close < 90", on="*")
    gone = bars_of([100, 105, 106] + [np.nan] * 30, [100, 105, 106] + [106] * 30)
    held = next_positions([strategy], gone, costs=FREE)
    assert held.loc[strategy.id].tolist() == pytest.approx([0.0, 1.0])


def test_with_fills_at_the_close_only_what_has_filled_is_held() -> None:
    entered = rule("long", "crosses_above(close, 104)", "close < 90")
    assert next_positions([entered], bars_of([100, 101, 105]), costs=FREE, fill="close").loc[entered.id, "BTC/USDT"] == pytest.approx(1.0)
    # The close stands still on the added bar: a rule that asks for that must not fire there.
    still = rule("long", "close <= lag(close, 1) and close >= lag(close, 1)", "close < 1")
    assert next_positions([still], bars_of([100, 101, 105]), costs=FREE, fill="close").loc[still.id, "BTC/USDT"] == 0.0


def test_named_series_are_read_at_the_last_bar_and_unknown_after_it() -> None:
    strategy = rule("long", "forecast.up_24h > 0.6", "forecast.up_24h < 0.4")
    bars = bars_of([100, 100, 100])
    up = np.array([[0.5, 0.5, 0.7]])
    assert next_positions([strategy], bars, costs=FREE, series={"forecast.up_24h": up}).loc[strategy.id, "BTC/USDT"] == pytest.approx(1.0)
    late = np.array([[0.7, 0.5, 0.3]])
    assert next_positions([strategy], bars, costs=FREE, series={"forecast.up_24h": late}).loc[strategy.id, "BTC/USDT"] == 0.0


def test_no_strategies_hold_nothing() -> None:
    held = next_positions([], bars_of([100, 101]))
    assert held.shape == (0, 1)
    assert list(held.columns) == ["BTC/USDT"]


def test_a_strategy_that_cannot_run_has_no_row() -> None:
    fine = rule("long", "close > 104", "close < 90")
    broken = rule("long", "forecast.unheard_of > 1", "close < 90")
    held = next_positions([fine, broken], bars_of([100, 105]), costs=FREE)
    assert list(held.index) == [fine.id]
