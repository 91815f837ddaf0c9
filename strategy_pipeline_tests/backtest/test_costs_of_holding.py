"""Funding, borrow, caps, late fills and bars without volume: one rule at a time, by hand; both engines must say the same."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from strategy_pipeline.backtest import Costs, backtest, funding_rates
from strategy_pipeline.errors import SettingsError
from strategy_pipeline.indicators import Number, Series
from strategy_pipeline.market import Bars
from strategy_pipeline.strategies import Compare, Level, Size, Strategy, parse
from strategy_pipeline_tests.backtest.test_engine_equals_reference import assert_equal_to_reference
from strategy_pipeline_tests.backtest.test_semantics import bars_of, flat, hours, on

YEAR = 8760


def run(bars: Bars, enter: list[int], leave: list[int] = (), *, side: str = "long", terms: dict | None = None, **parts):
    """Trades, result and id of a strategy that enters and leaves at the given bars, held equal to the reference."""
    series = {name: np.isin(np.arange(bars.n_bars), at)[None, :].astype(float) for name, at in (("x.enter", enter), ("x.leave", leave))}
    rules = {f"enter_{side}": on("x.enter"), f"exit_{side}": on("x.leave") if len(leave) else None}
    strategy = Strategy("trend", ("*",), "1h", **rules, **parts)
    options = {"costs": Costs(0, 0), "series": series, **(terms or {})}
    result = backtest([strategy], bars, **options)
    assert not result.failures
    assert_equal_to_reference(result, strategy, bars, **options)
    return result.trades(strategy.id, "BTC/USDT"), result, strategy.id


def at_bars(bars: Bars, rates: dict[int, float]) -> np.ndarray:
    out = np.full(bars.close.shape, np.nan)
    for bar, rate in rates.items():
        out[0, bar] = rate
    return out


def traded(volumes: list[float], price: float = 100.0) -> Bars:
    bars = bars_of(*[flat(price)] * len(volumes))
    return bars.with_fields(volume=np.array([volumes], dtype=float))


# ---- funding and borrow --------------------------------------------------------------------------------------------


def test_longs_pay_positive_funding_on_the_last_close_and_shorts_receive_it() -> None:
    bars = bars_of(flat(100), flat(100), flat(110), flat(120), flat(120), flat(120))
    for side, sign in (("long", 1), ("short", -1)):
        trades, result, id = run(bars, [0], [3], side=side, terms={"funding": at_bars(bars, {3: 0.01})})
        size = trades["size"][0]
        assert trades["carry"][0] == pytest.approx(sign * size * 110 * 0.01)
        assert trades["pnl"][0] == pytest.approx(sign * size * 20 - sign * size * 110 * 0.01)
        assert result.metrics.loc[(id, "BTC/USDT"), "total_return"] == pytest.approx(trades["pnl"][0])
        assert result.equity(id, "BTC/USDT").iloc[3] == pytest.approx(1 + sign * size * 20 - sign * size * 110 * 0.01)


def test_funding_is_paid_by_what_was_held_into_the_bar_and_not_by_what_is_bought_at_its_open() -> None:
    bars = bars_of(*[flat(100)] * 6)
    paid = {bar: run(bars, [1], [3], terms={"funding": at_bars(bars, {bar: 0.01})})[0]["carry"][0] for bar in range(6)}
    # Bought at the open of 2, sold at the open of 4: held into 3 and 4.
    assert [bar for bar, amount in paid.items() if amount != 0] == [3, 4]


def test_a_close_fill_is_held_into_the_next_bar() -> None:
    bars = bars_of(*[flat(100)] * 6)
    paid = {bar: run(bars, [1], [3], terms={"fill": "close", "funding": at_bars(bars, {bar: 0.01})})[0]["carry"][0] for bar in range(6)}
    assert [bar for bar, amount in paid.items() if amount != 0] == [2, 3]


def test_funding_through_an_outage_is_paid_on_the_last_price_known() -> None:
    bars = bars_of(flat(100), flat(100), flat(130), None, flat(150), flat(150))
    trades, _, _ = run(bars, [0], [4], terms={"funding": at_bars(bars, {3: 0.01})})
    assert trades["carry"][0] == pytest.approx(0.01 * 130 / 100)


def test_borrow_is_paid_by_shorts_for_each_bar_they_are_held() -> None:
    bars = bars_of(*[flat(100)] * 8)
    costs = Costs(0, 0, borrow_annual=0.5)
    trades, _, _ = run(bars, [0], [4], side="short", terms={"costs": costs})
    assert trades["carry"][0] == pytest.approx(4 * 0.5 / YEAR)
    assert "carry" in trades
    long, _, _ = run(bars, [0], [4], terms={"costs": costs})
    assert long["carry"][0] == 0
    assert "carry" not in run(bars, [0], [4])[0]


def test_funding_can_be_a_named_series() -> None:
    bars = bars_of(*[flat(100)] * 6)
    rates = at_bars(bars, {3: 0.02})
    strategy = Strategy("trend", ("*",), "1h", Compare(">", Series("close"), Number(0.0)))
    by_name = backtest([strategy], bars, costs=Costs(0, 0), series={"perp.funding": rates}, funding="perp.funding")
    by_array = backtest([strategy], bars, costs=Costs(0, 0), funding=rates)
    pd.testing.assert_frame_equal(by_name.metrics, by_array.metrics)
    assert by_array.metrics["total_return"].iloc[0] == pytest.approx(-0.02)


def test_ruinous_funding_ends_a_position_at_nothing() -> None:
    bars = bars_of(*[flat(100)] * 8)
    rates = at_bars(bars, {3: 0.6, 4: 0.6, 5: 0.6})
    trades, result, id = run(bars, [0], terms={"funding": rates})
    assert trades["reason"].tolist() == ["ruined"]
    assert hours(trades, "exit") == [4]
    assert result.metrics.loc[(id, "BTC/USDT"), "total_return"] == -1


def test_funding_that_cannot_be_is_refused() -> None:
    bars = bars_of(*[flat(100)] * 4)
    strategy = parse("trend on * 1h\nenter long when close > open")
    for wrong, said in (
        (np.zeros((2, 4)), r"shape \(1, 4\)"),
        (np.full((1, 4), 3.0), "below 1"),
        (np.array([[0, 0, np.inf, 0]]), "was inf of BTC/USDT"),
        ("funding.rate", "was 'funding.rate'"),
    ):
        with pytest.raises(SettingsError, match=said):
            backtest([strategy], bars, funding=wrong)
    for wrong in (-1, 1.5, True, 10**9):
        with pytest.raises(SettingsError, match="Expected delay"):
            backtest([strategy], bars, delay=wrong)
    for wrong in ({"participation": 0.0}, {"participation": 1.5}, {"participation": np.nan}, {"borrow_annual": -0.1}):
        with pytest.raises(SettingsError, match=next(iter(wrong))):
            Costs(**wrong)


def test_observed_rates_are_laid_out_at_the_first_bar_that_opens_at_or_after_them() -> None:
    bars = bars_of(*[flat(100)] * 50)
    stamps = pd.DatetimeIndex(
        [*map(pd.Timestamp, ("2023-12-31T16Z", "2024-01-01T00Z", "2024-01-01T07:59:59Z", "2024-01-01T08Z", "2024-01-05T00Z"))]
    )
    frame = pd.DataFrame({"ts": stamps, "symbol": "BTC/USDT", "rate": [9.0, 0.1, 0.2, 0.3, 9.0]})
    other = pd.DataFrame({"ts": stamps[:2], "symbol": "ETH/USDT", "rate": 5.0})
    rates = funding_rates(bars, pd.concat([frame, other]))
    assert {int(t): float(rates[0, t]) for t in np.flatnonzero(~np.isnan(rates[0]))} == pytest.approx({0: 0.1, 8: 0.5})
    daily = funding_rates(bars.resample("1d"), frame)
    assert daily[0].tolist() == pytest.approx([0.1, 0.5])


# ---- participation -------------------------------------------------------------------------------------------------


def test_an_entry_takes_its_share_of_the_bar_and_the_rest_is_cancelled() -> None:
    bars = traded([10, 4, 10, 10, 10])
    costs = Costs(0, 0, capital=100, participation=0.1)  # a tenth of 400 is 40 of 100
    trades, _, _ = run(bars, [0], [2], terms={"costs": costs})
    assert trades["size"][0] == pytest.approx(0.4 / 100)
    assert trades["reason"].tolist() == ["signal"]


def test_an_exit_goes_on_at_the_next_bars_until_all_is_sold() -> None:
    bars = traded([10, 10, 10, 4, 3, 10, 10])
    prices = np.array([[100, 100, 100, 100, 90, 80, 80.0]])
    bars = bars.with_fields(open=prices, high=prices, low=prices, close=prices)
    costs = Costs(0, 0, capital=100, participation=0.1)
    trades, result, id = run(bars, [0], [2], terms={"costs": costs})
    # 1 unit per 100: 0.4 at 100, 0.3 at 90, and 0.3 at 80.
    assert trades["exit_price"][0] == pytest.approx(0.4 * 100 + 0.3 * 90 + 0.3 * 80)
    assert (hours(trades, "exit"), trades["reason"].tolist()) == ([5], ["signal"])
    assert result.equity(id, "BTC/USDT").tolist() == pytest.approx([1, 1, 1, 1, 0.4 + 0.6 * 0.9, 0.4 + 0.27 + 0.24, 0.91])
    row = result.metrics.loc[(id, "BTC/USDT")]
    assert row["turnover"] == pytest.approx((1 + 0.91) * YEAR / 7)


def test_what_a_stop_cannot_sell_goes_on_at_the_next_open_whatever_the_price() -> None:
    bars = bars_of(flat(100), flat(100), (100, 100, 94, 96), (98, 120, 98, 110), flat(110))
    bars = bars.with_fields(volume=np.array([[10, 10, 5.0, 10, 10]]))
    costs = Costs(0, 0, capital=100, participation=0.1)
    trades, _, _ = run(bars, [0], terms={"costs": costs}, stop=Level("percent", 0.05))
    part = 0.1 * 5 * 96 / 95  # a tenth of the bar's value, at the stop's 95
    assert trades["exit_price"][0] == pytest.approx(part * 95 + (1 - part) * 98)
    assert (hours(trades, "exit"), trades["reason"].tolist()) == ([3], ["stop"])


def test_delisting_sells_what_is_left_at_the_last_price() -> None:
    bars = bars_of(flat(100), flat(100), flat(90), flat(80), None, None).with_fields(volume=np.array([[10, 10, 1, 1, np.nan, np.nan]]))
    trades, _, _ = run(bars, [0], [1], terms={"costs": Costs(0, 0, capital=100, participation=0.1)})
    assert trades["reason"].tolist() == ["delisted"]
    first, second = 0.1 * 1 * 90 / 90, 0.1 * 1 * 80 / 80
    assert trades["exit_price"][0] == pytest.approx(first * 90 + second * 80 + (1 - first - second) * 80)


def test_a_small_account_is_not_touched_by_the_cap() -> None:
    bars = traded([10] * 8)
    free, _, _ = run(bars, [0, 4], [2], terms={"costs": Costs(10, 5, capital=10)})
    capped, _, _ = run(bars, [0, 4], [2], terms={"costs": Costs(10, 5, capital=10, participation=0.1)})
    pd.testing.assert_frame_equal(free, capped, check_exact=True)


# ---- bars without volume -------------------------------------------------------------------------------------------


def test_a_bar_without_volume_lapses_an_entry_and_delays_an_exit() -> None:
    assert run(traded([5, 5, 0, 5, 5]), [1])[0].empty
    waiting, _, _ = run(traded([5, 5, 5, 0, 5, 5]), [0], [2])
    assert hours(waiting, "exit") == [4]
    at_close, _, _ = run(traded([5, 5, 5, 0, 0, 5]), [0], [3], terms={"fill": "close"})
    assert hours(at_close, "exit") == [5]


def test_a_bar_without_volume_touches_no_stop_and_moves_no_trail() -> None:
    bars = bars_of(flat(100), flat(100), (100, 150, 50, 100), flat(100), (91, 91, 91, 91), flat(91))
    bars = bars.with_fields(volume=np.array([[5, 5, 0, 5, 5, 5.0]]))
    trades, _, _ = run(bars, [0], stop=Level("percent", 0.2), take=Level("percent", 0.2), trail=Level("percent", 0.1))
    assert trades["reason"].tolist() == ["open"]  # 91 is above 0.9 x 100, not 0.9 x 150


def test_a_symbol_whose_volume_is_not_recorded_trades() -> None:
    trades, _, _ = run(traded([0, 0, 0, 0, 0]), [0], [2])
    assert trades["reason"].tolist() == ["signal"]
    late, _, _ = run(traded([0, 0, 0, 7, 0, 7]), [0, 3], [1])
    assert hours(late, "entry") == [1]  # nothing was known of volume before the first; afterwards none is none


# ---- late fills ----------------------------------------------------------------------------------------------------


def test_a_delay_fills_later_at_the_size_and_levels_of_the_decision() -> None:
    bars = bars_of(*[flat(100 + i) for i in range(12)])
    trades, _, _ = run(bars, [1], [6], terms={"delay": 2})
    assert hours(trades, "entry") + hours(trades, "exit") == [4, 9]
    at_close, _, _ = run(bars, [1], [6], terms={"delay": 2, "fill": "close"})
    assert hours(at_close, "entry") + hours(at_close, "exit") == [3, 8]
    wild = bars_of(*[(100, 101, 99, 100)] * 4, *[(100, 180, 20, 100)] * 2, *[(100, 101, 91, 95)] * 4)
    late, _, _ = run(wild, [3], stop=Level("atr", 4.0, 3), terms={"delay": 2})
    assert late["exit_price"][0] == pytest.approx(100 - 4 * 2)  # the range of 2 at the decision, not the 160 at the fill


def test_no_entry_is_decided_while_one_is_under_way_or_lost() -> None:
    bars = bars_of(flat(100), flat(100), flat(100), None, flat(100), flat(100), flat(100), flat(100))
    trades, _, _ = run(bars, [0, 1, 2, 4], terms={"delay": 2})
    assert hours(trades, "decision") == [4]  # the order of bar 0 lapsed at bar 3; those of 1 and 2 were never made


def test_a_stop_rests_and_is_not_late() -> None:
    bars = bars_of(flat(100), flat(100), flat(100), (100, 100, 90, 95), flat(95), flat(95))
    trades, _, _ = run(bars, [0], [2], stop=Level("percent", 0.05), terms={"delay": 1})
    assert (hours(trades, "exit"), trades["reason"].tolist()) == ([3], ["stop"])


def test_a_delay_and_funding_go_with_the_result_when_it_is_run_again() -> None:
    bars = bars_of(*[flat(100 + i % 7) for i in range(60)])
    strategy = parse("trend on * 1h\nenter long when close > lag(close, 1)\nexit when close < lag(close, 1)")
    rates = at_bars(bars, dict.fromkeys(range(0, 60, 8), 0.001))
    result = backtest([strategy], bars, delay=1, funding=rates)
    again = result.rerun([strategy])
    pd.testing.assert_frame_equal(again.metrics, result.metrics, check_exact=True)
    assert result.rerun([strategy], delay=0).metrics["total_return"].iloc[0] != result.metrics["total_return"].iloc[0]


def test_following_positions_bar_by_bar_gives_what_the_event_walk_gives() -> None:
    from strategy_pipeline.rng import generator
    from strategy_pipeline_tests.backtest.worlds import make_bars, make_series, make_strategy

    rng = generator(3, "traced")
    bars = make_bars(rng, 2, 900)
    series = make_series(rng, bars)
    population = [make_strategy(rng, bars) for _ in range(80)]
    for fill in ("next_open", "close"):
        plain = backtest(population, bars, series=series, fill=fill)
        traced = backtest(population, bars, series=series, fill=fill, funding=np.zeros(bars.close.shape))
        pd.testing.assert_frame_equal(traced.metrics, plain.metrics, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(traced.daily_returns, plain.daily_returns, rtol=1e-9, atol=1e-12)
        for id in plain.strategy_ids[:30]:
            for symbol in bars.symbols:
                if plain.trades_on(id, symbol):
                    pd.testing.assert_frame_equal(
                        traced.trades(id, symbol).drop(columns="carry"), plain.trades(id, symbol), check_exact=True
                    )


def test_size_and_kelly_read_returns_after_what_holding_cost() -> None:
    bars = bars_of(*[flat(100)] * 400)
    enter, leave = list(range(0, 399, 4)), list(range(1, 399, 4))
    rates = np.full(bars.close.shape, -0.001)  # longs are paid: the only gain there is
    trades, _, _ = run(bars, enter, leave, size=Size("kelly", 0.5), terms={"funding": rates})
    assert (trades["size"] * trades["entry_price"] / trades["equity_before"]).iloc[40] == pytest.approx(0.5)


def test_waived_charges_leave_the_same_trades_and_take_nothing() -> None:
    bars = traded([5000.0] * 12)
    every = Costs(
        fee_bps=10, slippage_bps=5, market_targets=True, maker_fee_bps=3, slippage_volatility=0.1, impact=0.5, lot=0.01, min_notional=5,
        participation=0.5, borrow_annual=0.2,
    )  # fmt: skip
    free = every.waived()
    kept = ("market_targets", "capital", "lot", "min_notional", "participation")
    assert [getattr(free, name) for name in kept] == [getattr(every, name) for name in kept]
    paid, dear, _ = run(bars, [1, 6], [3, 8], side="short", terms={"costs": every})
    spared, cheap, _ = run(bars, [1, 6], [3, 8], side="short", terms={"costs": free})
    assert list(zip(paid["entry"], paid["exit"], strict=True)) == list(zip(spared["entry"], spared["exit"], strict=True))
    assert len(paid) == 2 and (paid["net_return"] < 0).all() and (spared["net_return"] == 0).all() and (spared["pnl"] == 0).all()
    assert (dear.daily_returns < 0).any() and (cheap.daily_returns == 0).all()
