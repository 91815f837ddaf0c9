"""Pairs, one rule at a time, on bars written by hand; both engines must say the same."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from strategy_pipeline.backtest import Costs, backtest, next_positions
from strategy_pipeline.errors import StrategyError
from strategy_pipeline.market import Bars
from strategy_pipeline.rng import generator
from strategy_pipeline.strategies import Level, Size, Strategy, parameters, parse, validate, with_parameters
from strategy_pipeline_tests.backtest.test_engine_equals_reference import assert_equal_to_reference
from strategy_pipeline_tests.backtest.test_semantics import hours, on
from strategy_pipeline_tests.backtest.worlds import make_bars

NAN = np.nan


def legs(first: list[float], second: list[float], volume: float = 1000.0) -> Bars:
    """Hourly bars that open at the last close known, without wicks; NaN is a missing bar."""
    close = np.array([first, second], dtype=np.float64)
    known = ~np.isnan(close)
    filled = pd.DataFrame(close.T).ffill().to_numpy().T
    open_ = np.where(known, np.concatenate([filled[:, :1], filled[:, :-1]], axis=1), NAN)
    high, low = np.fmax(open_, close), np.fmin(open_, close)
    times = np.datetime64("2024-01-01", "ns") + np.arange(close.shape[1]) * np.timedelta64(1, "h")
    return Bars(("BTC/USDT", "ETH/USDT"), "1h", times, open_, high, low, close, np.where(known, volume, NAN))


def run(bars: Bars, enter: list[int], leave: list[int] = (), *, side: str = "long", terms: dict | None = None, **parts):
    series = {
        name: np.broadcast_to(np.isin(np.arange(bars.n_bars), at).astype(float), bars.close.shape)
        for name, at in (("x.enter", enter), ("x.leave", leave))
    }
    rules = {f"enter_{side}": on("x.enter"), f"exit_{side}": on("x.leave") if len(leave) else None}
    strategy = Strategy("cross_asset", ("BTC/USDT",), "1h", **rules, against="ETH/USDT", **parts)
    options = {"costs": Costs(0, 0), "series": series, **(terms or {})}
    result = backtest([strategy], bars, **options)
    assert not result.failures
    assert_equal_to_reference(result, strategy, bars, **options)
    return result.trades(strategy.id, "BTC/USDT"), result, strategy.id


def test_a_long_pair_holds_half_of_equity_on_each_side_and_earns_the_spread() -> None:
    bars = legs([100, 100, 110, 110, 110], [50, 50, 52, 52, 52])
    trades, result, id = run(bars, [0], [2])
    row = trades.iloc[0]
    assert (row["entry_price"], row["against_entry_price"]) == (100, 50)
    assert (row["exit_price"], row["against_exit_price"]) == (110, 52)
    assert (row["size"], row["against_size"]) == pytest.approx((0.5 / 100, 0.5 / 50))
    assert row["pnl"] == pytest.approx(0.5 * 0.10 - 0.5 * 0.04)
    assert row["net_return"] == pytest.approx(row["pnl"])
    assert result.metrics.loc[(id, "BTC/USDT"), "total_return"] == pytest.approx(0.03)
    assert result.equity(id, "BTC/USDT").tolist() == pytest.approx([1, 1, 1.03, 1.03, 1.03])
    assert list(result.metrics.index) == [(id, "BTC/USDT")]
    short, _, _ = run(bars, [0], [2], side="short")
    assert short["pnl"][0] == pytest.approx(-0.03)


def test_a_market_that_moves_both_legs_alike_earns_nothing_before_costs() -> None:
    bars = legs([100, 100, 130, 130], [10, 10, 13, 13])
    assert run(bars, [0], [2])[0]["pnl"][0] == pytest.approx(0)


def test_fees_and_slippage_are_paid_on_both_legs() -> None:
    bars = legs([100] * 5, [50] * 5)
    trades, result, id = run(bars, [0], [2], terms={"costs": Costs(100, 50)})
    row = trades.iloc[0]
    assert (row["entry_price"], row["against_entry_price"]) == pytest.approx((100 * 1.005, 50 * 0.995))
    assert (row["exit_price"], row["against_exit_price"]) == pytest.approx((100 * 0.995, 50 * 1.005))
    each = 0.5 / 1.01
    sold, bought = each / 1.005 * 0.995, each / 0.995 * 1.005
    assert row["pnl"] == pytest.approx(sold - each + each - bought - 0.01 * (2 * each + sold + bought))
    weight = (2 * each + sold + bought) * 8760 / 5
    assert result.metrics.loc[(id, "BTC/USDT"), "turnover"] == pytest.approx(weight)


def test_both_legs_fill_at_the_same_open_or_the_entry_lapses() -> None:
    assert run(legs([100] * 6, [50, 50, NAN, 50, 50, 50]), [1])[0].empty
    assert hours(run(legs([100] * 6, [50, 50, NAN, 50, 50, 50]), [1, 2, 3])[0], "decision") == [3]  # at bar 2 there is no pair
    waiting, _, _ = run(legs([100] * 6, [50, 50, 50, NAN, 50, 50]), [0], [2])
    assert hours(waiting, "exit") == [4]
    idle = legs([100] * 6, [50] * 6)
    volume = np.array(idle.volume)
    volume[1, 3] = 0
    assert hours(run(idle.with_fields(volume=volume), [0], [2])[0], "exit") == [4]


def test_stops_watch_the_value_of_the_pair_at_closes_and_fill_at_the_next_open() -> None:
    bars = legs([100, 100, 99, 96, 90, 90], [50, 50, 50.5, 51, 51, 51])
    trades, _, _ = run(bars, [0], stop=Level("percent", 0.02))
    # At bar 2 the pair lost (1 % + 1 %) / 2; at bar 3 (4 % + 2 %) / 2, so it leaves at the open of bar 4, which is 96.
    assert (hours(trades, "exit"), trades["reason"].tolist()) == ([4], ["stop"])
    assert (trades["exit_price"][0], trades["against_exit_price"][0]) == (96, 51)
    at_close, _, _ = run(bars, [1], stop=Level("percent", 0.02), terms={"fill": "close"})
    assert (hours(at_close, "exit"), at_close["exit_price"][0]) == ([3], 96)


def test_targets_trails_and_breakevens_are_of_the_pairs_value() -> None:
    rising = legs([100, 100, 104, 112, 112], [50] * 5)
    assert run(rising, [0], take=Level("percent", 0.05))[0]["reason"].tolist() == ["take"]
    back = legs([100, 100, 112, 110, 106, 106, 106], [50] * 7)  # 1.06, 1.05, 1.03
    trailed, _, _ = run(back, [0], trail=Level("percent", 0.02))
    assert (hours(trailed, "exit"), trailed["reason"].tolist()) == ([5], ["trail"])
    level = legs([100, 100, 106, 99, 99, 99], [50] * 6)
    assert run(level, [0], breakeven=Level("percent", 0.02))[0]["reason"].tolist() == ["stop"]
    assert run(level, [0], breakeven=Level("percent", 0.04))[0]["reason"].tolist() == ["open"]
    short = legs([50, 50, 53, 53, 53], [100] * 5)
    assert run(short, [0], side="short", stop=Level("percent", 0.02))[0]["reason"].tolist() == ["stop"]


def test_a_stop_of_the_same_close_as_a_signal_names_the_exit_and_a_time_limit_fills_at_its_open() -> None:
    bars = legs([100, 100, 90, 90, 90], [50] * 5)
    assert run(bars, [0], [2], stop=Level("percent", 0.02))[0]["reason"].tolist() == ["stop"]
    timed, _, _ = run(legs([100] * 6, [50] * 6), [0], hold=2)
    assert (hours(timed, "exit"), timed["reason"].tolist()) == ([3], ["time"])


def test_funding_and_borrow_are_each_legs_own() -> None:
    bars = legs([100] * 6, [50] * 6)
    rates = np.full(bars.close.shape, NAN)
    rates[0, 3], rates[1, 3] = 0.02, 0.03
    long, _, _ = run(bars, [0], [3], terms={"funding": rates})
    assert long["carry"][0] == pytest.approx(0.5 * 0.02 - 0.5 * 0.03)
    short, _, _ = run(bars, [0], [3], side="short", terms={"funding": rates})
    assert short["carry"][0] == pytest.approx(-0.5 * 0.02 + 0.5 * 0.03)
    lent, _, _ = run(bars, [0], [3], terms={"costs": Costs(0, 0, borrow_annual=0.5)})
    assert lent["carry"][0] == pytest.approx(3 * 0.5 * 0.5 / 8760)


def test_a_cap_leaves_the_legs_balanced() -> None:
    bars = legs([100] * 7, [50] * 7)
    volume = np.array(bars.volume)
    volume[0], volume[1] = 10.0, [10, 10, 10, 1, 2, 10, 10]
    costs = Costs(0, 0, capital=1000, participation=0.5)
    trades, result, id = run(bars.with_fields(volume=volume), [0], [2], terms={"costs": costs})
    # The second leg's bar of 500 gives 250 of the 500 wanted on each side; at bar 3 it gives 25, at bar 4 50.
    assert (trades["size"][0] * 100, trades["against_size"][0] * 50) == pytest.approx((0.25, 0.25))
    assert hours(trades, "exit") == [5]
    assert result.metrics.loc[(id, "BTC/USDT"), "max_drawdown"] == 0


def test_delisting_of_either_leg_closes_both() -> None:
    for first, second in (([100, 100, 110, NAN, NAN], [50] * 5), ([100, 100, 110, 120, 120], [50, 50, 50, NAN, NAN])):
        trades, result, id = run(legs(first, second), [0])
        assert trades["reason"].tolist() == ["delisted"]
        assert (trades["exit_price"][0], trades["against_exit_price"][0]) == (110, 50)
        assert result.metrics.loc[(id, "BTC/USDT"), "delisted"] == 1


def test_a_short_leg_that_runs_away_ruins_the_pair() -> None:
    trades, result, id = run(legs([100] * 6, [50, 50, 60, 160, 160, 160]), [0])
    assert trades["reason"].tolist() == ["ruined"]
    assert result.metrics.loc[(id, "BTC/USDT"), "total_return"] == -1


def test_every_other_symbol_can_be_held_against_one() -> None:
    bars = make_bars(generator(4, "pairs"), 3, 400, holes=False)
    strategy = parse(
        "cross_asset on * against ETH/USDT 1h\nenter long when zscore(close / close@ETH/USDT, 24) < -1.5\n"
        "enter short when zscore(close / close@ETH/USDT, 24) > 1.5\nexit when between(zscore(close / close@ETH/USDT, 24), -0.2, 0.2)"
    )
    validate(strategy)
    result = backtest([strategy], bars)
    assert [symbol for _, symbol in result.metrics.index] == ["BTC/USDT", "SOL/USDT"]
    assert (result.metrics["trades"] > 5).all()
    assert assert_equal_to_reference(result, strategy, bars) > 10
    assert list(backtest([strategy], bars, workers=3).metrics["sharpe"]) == list(result.metrics["sharpe"])
    headline = backtest([strategy], bars, metrics=("sharpe", "trades"))
    np.testing.assert_allclose(headline.metrics["sharpe"], result.metrics["sharpe"], rtol=1e-9)


def test_both_legs_are_held_tomorrow() -> None:
    bars = legs([100, 100, 101, 102], [50, 50, 50, 50])
    pair = parse("cross_asset on BTC/USDT against ETH/USDT 1h\nenter long when close > 101.5\nsize fraction 60%")
    alone = parse("trend on BTC/USDT 1h\nenter long when close > 101.5")
    held = next_positions([pair, alone], bars, costs=Costs(0, 0))
    assert held.loc[pair.id].tolist() == pytest.approx([0.3, -0.3])
    assert held.loc[alone.id, "BTC/USDT"] == pytest.approx(1.0)
    assert np.isnan(held.loc[alone.id, "ETH/USDT"])
    flat = parse("cross_asset on * against ETH/USDT 1h\nenter long when close > 500")
    assert next_positions([flat], bars).loc[flat.id].tolist() == [0.0, 0.0]


def test_pairs_read_back_and_leave_other_ids_alone() -> None:
    text = "cross_asset on BTC/USDT against ETH/USDT 1h\nenter long when close < 100\nstop 3%\nsize all_in"
    pair = parse(text)
    assert pair.text == text
    assert Strategy.from_json(pair.to_json()) == pair
    assert pair.to_json()["against"] == "ETH/USDT"
    alone = parse(text.replace(" against ETH/USDT", ""))
    assert "against" not in alone.to_json()
    assert alone.id == "e0e1434d55f59442"
    assert pair.id != alone.id
    assert with_parameters(pair, {"stop": 0.05}).against == "ETH/USDT"
    assert [parameter.path for parameter in parameters(pair)] == [parameter.path for parameter in parameters(alone)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("trend on BTC/USDT against ETH/USDT 1h\nenter long when close > 1", "Expected family cross_asset of a pair"),
        ("cross_asset on BTC/USDT against BTC/USDT 1h\nenter long when close > 1", "another symbol than BTC/USDT"),
        ("cross_asset on BTC/USDT against * 1h\nenter long when close > 1", "Expected the second symbol of the pair"),
        ("cross_asset on BTC/USDT against 1h\nenter long when close > 1", "Expected the second symbol of the pair"),
        ("cross_asset on BTC/USDT against ETH/USDT 1h\nenter long when close > 1\nstop 2 atr(14)", "Expected stop of a pair in percent"),
    ],
)
def test_a_pair_that_cannot_be_says_why(text: str, said: str) -> None:
    with pytest.raises(StrategyError) as caught:
        parse(text)
    assert said in str(caught.value)


def test_a_second_leg_without_bars_fails_alone() -> None:
    bars = legs([100] * 4, [50] * 4)
    pair = parse("cross_asset on BTC/USDT against SOL/USDT 1h\nenter long when close > 1")
    only = parse("cross_asset on * against BTC/USDT 1h\nenter long when close > 1")
    result = backtest([pair, only], bars.select(["BTC/USDT"]))
    assert "against: Expected symbols of the bars" in result.failures[pair.id]
    assert "there is no pair" in result.failures[only.id]


def test_sizes_of_pairs_are_of_gross_exposure() -> None:
    bars = legs([100] * 5, [50] * 5)
    trades, _, _ = run(bars, [0], size=Size("fraction", 0.4))
    assert trades["size"][0] * 100 + trades["against_size"][0] * 50 == pytest.approx(0.4)
    lots, _, _ = run(bars, [0], terms={"costs": Costs(0, 0, capital=1000, lot=3)})
    assert (lots["size"][0], lots["against_size"][0]) == pytest.approx((3 / 1000, 9 / 1000))
    assert run(bars, [0], terms={"costs": Costs(0, 0, capital=1000, min_notional=501)})[0].empty
