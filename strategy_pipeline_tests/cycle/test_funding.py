"""A perpetual market: what the day's strategies earn differs from spot by the funding their positions paid, and by nothing else."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from strategy_pipeline.backtest import backtest
from strategy_pipeline.config import Settings
from strategy_pipeline.cycle import Workspace, funding, predictions, run_missing, run_stage, strategies, tuning
from strategy_pipeline.cycle.portfolio import daily_closes, own_returns
from strategy_pipeline.cycle.workspace import costs_of
from strategy_pipeline.errors import NoDataError
from strategy_pipeline.market import Bars
from strategy_pipeline.strategies import parse
from strategy_pipeline_tests.cycle.conftest import FIRST, files_workspace

HOUR = pd.Timedelta(hours=1)
FEE = 1e-3  # of the default settings, a side


@pytest.fixture(scope="module")
def perpetual(tiny_day: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The tiny day again on a perpetual market, with the models that the spot day trained."""
    home = tmp_path_factory.mktemp("perpetual") / "home"
    shutil.copytree(tiny_day, home)
    spot = Workspace(Settings(home=home, profile="tiny"))
    found = Workspace(Settings(home=home, profile="tiny", market="perpetual"))
    assert found.universe != spot.universe
    (home / "universes" / spot.universe).rename(home / "universes" / found.universe)
    run_missing(found, "performance_report", FIRST)
    return found


def hand_returns(bars: Bars, spot: pd.DataFrame, symbol: str, rates: pd.DataFrame | None) -> pd.Series:
    """Daily returns of one all-in strategy on one symbol: its spot trades walked through bar by bar, funding taken from equity.

    What it buys is the same share of what it has; a rate is paid at the first bar that opens at or after its settlement by
    what was held into that bar, on the last close.
    """
    close = pd.Series(bars.close[bars.symbols.index(symbol)], index=pd.DatetimeIndex(bars.times, tz="UTC")).ffill()
    due = dict.fromkeys(close.index, 0.0)
    for row in (rates[rates["symbol"] == symbol] if rates is not None else pd.DataFrame()).itertuples():
        at = row.ts.ceil("h")
        if at in due:
            due[at] += row.rate
    equity, units, marked, scale, previous = 1.0, 0.0, 0.0, 1.0, np.nan
    marks, ordered, trade = [], list(spot.itertuples()), None
    for moment, price in close.items():
        if trade is not None:
            equity -= units * due[moment] * previous
            if trade.exit == moment:
                equity, trade = equity - marked + trade.pnl * scale, None
        if trade is None and ordered and ordered[0].entry == moment:
            trade, marked = ordered.pop(0), 0.0
            scale = equity / trade.equity_before
            units = trade.side * trade.size * scale
            if trade.exit == moment:
                equity, trade = equity + trade.pnl * scale, None
        if trade is not None:
            gain = units * (price - trade.entry_price) - abs(units) * trade.entry_price * FEE
            equity, marked = equity + gain - marked, gain
        previous = price
        marks.append(equity)
    daily = pd.Series(marks, index=close.index).groupby(close.index.floor("D")).last()
    return daily / daily.shift(1, fill_value=1.0) - 1.0


@pytest.mark.parametrize(
    "rules",
    [
        "trend on * 1h\nenter long when close > ema(close, 48)\nexit when close < ema(close, 48)\nsize all_in",
        "trend on * 1h\nenter short when close < ema(close, 100)\nexit when close > ema(close, 100)\nsize all_in",
        "trend on * 1h\nenter long when close > 0\nsize all_in",
    ],
)
def test_returns_with_funding_differ_by_the_funding_that_positions_paid(perpetual: Workspace, rules: str) -> None:
    strategy, bars = parse(rules), perpetual.bars(FIRST)
    plain = backtest([strategy], bars, costs=costs_of(perpetual), fill="next_open")
    charged = strategies.run(perpetual, FIRST, [strategy])
    rates = perpetual.observations("funding", FIRST)
    assert len(rates) > 1000
    for with_rates, result in ((None, plain), (rates, charged)):
        by_hand = np.mean([hand_returns(bars, plain.trades(strategy.id, s), s, with_rates).to_numpy() for s in bars.symbols], axis=0)
        np.testing.assert_allclose(result.daily_returns[0], by_hand, atol=1e-12)
    assert not np.allclose(plain.daily_returns, charged.daily_returns, atol=1e-6)


def test_the_days_results_are_those_of_the_engine_with_funding(perpetual: Workspace) -> None:
    results = strategies.read_results(perpetual, f"strategies/backtests/{FIRST}")
    members = strategies.population(perpetual, FIRST)
    settings = {"costs": costs_of(perpetual), "series": predictions.named_series(perpetual, FIRST)}
    from strategy_pipeline.backtest import funding_rates

    rates = funding_rates(perpetual.bars(FIRST), perpetual.observations("funding", FIRST))
    again = backtest(members, perpetual.bars(FIRST), funding=rates, **settings)
    free = backtest(members, perpetual.bars(FIRST), **settings)
    known = np.isfinite(results.returns)
    np.testing.assert_array_equal(results.returns[known], again.daily_returns[known])
    assert (np.abs(results.returns - free.daily_returns)[known] > 1e-7).any()
    record = perpetual.require("backtests", FIRST)
    assert "settled funding is charged" in record.summary
    assert record.inputs["observations/funding_history"] == perpetual.observed_digest("funding", FIRST)


def test_tuning_monte_carlo_and_positions_are_charged_too(perpetual: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    from strategy_pipeline import backtest as room
    from strategy_pipeline import optimization
    from strategy_pipeline.cycle import portfolio

    charged: dict[str, np.ndarray | None] = {}
    whole = funding.funding_of(perpetual, FIRST)
    assert whole is not None

    class Stop(Exception):
        pass

    def seen(name: str):
        def call(*arguments: object, **options: object) -> None:
            charged[name] = options["funding"] if name != "stability" else arguments[1].funding  # type: ignore[attr-defined,assignment]
            raise Stop

        return call

    members = strategies.population(perpetual, FIRST)[:2]
    monkeypatch.setattr(optimization, "optimize", seen("optimize"))
    with pytest.raises(Stop):
        tuning.tune(perpetual, FIRST, members, tuning.asked_of(perpetual), prefix="nowhere", counted="nobody")
    monkeypatch.setattr(strategies, "stability", seen("stability"))
    with pytest.raises(Stop):
        strategies.evidence(perpetual, FIRST)
    monkeypatch.setattr(room, "next_positions", seen("positions"))
    with pytest.raises(Stop):
        portfolio.portfolio(perpetual, FIRST)
    assert set(charged) == {"optimize", "stability", "positions"}
    for rates in charged.values():
        np.testing.assert_array_equal(rates, whole[:, : rates.shape[1]])


def test_the_portfolios_own_returns_pay_for_what_it_held(perpetual: Workspace) -> None:
    before = FIRST - dt.timedelta(days=1)
    weights = pd.DataFrame({"symbol": perpetual.symbols, "weight": [0.5, -0.25, 0.0]}).astype({"symbol": "str"})
    path = f"portfolio/{before}/weights.parquet"
    perpetual.lake.write(path, weights)
    try:
        own = own_returns(perpetual, FIRST).iloc[-1]
    finally:
        perpetual.lake.delete(path)
    closes = daily_closes(perpetual, FIRST)
    moved = closes.iloc[-1] / closes.iloc[-2] - 1
    rates = perpetual.observations("funding", FIRST)
    bars = perpetual.bars(FIRST)
    frame = pd.DataFrame(bars.close.T, columns=list(bars.symbols), index=pd.DatetimeIndex(bars.times, tz="UTC"))
    expected = 0.0
    for symbol, weight in zip(weights["symbol"], weights["weight"], strict=True):
        expected += weight * moved[symbol]
        of_day = rates[(rates["symbol"] == symbol) & (rates["ts"] >= pd.Timestamp(FIRST, tz="UTC"))]
        of_day = of_day[of_day["ts"] < perpetual.close(FIRST)]
        assert len(of_day) == 3
        for row in of_day.itertuples():
            expected -= weight * row.rate * frame[symbol][row.ts - HOUR] / closes[symbol].iloc[-2]
    assert own == pytest.approx(expected, abs=1e-12)


def test_the_page_says_that_funding_is_charged(perpetual: Workspace) -> None:
    page = perpetual.lake.read_bytes(f"reports/{FIRST}.html").decode()
    assert "perpetuals: settled funding is charged to what is held" in page


def test_a_spot_market_charges_nothing_and_says_nothing(two_days: Workspace) -> None:
    assert funding.funding_of(two_days, FIRST) is None
    assert funding.paid_daily(two_days, FIRST) is None
    assert funding.funding_note(two_days, FIRST) == ""
    assert "funding" not in two_days.require("backtests", FIRST).summary


# ---- what is not known -------------------------------------------------------------------------------------------------


def rates_of(symbol: str, first: str, last: str, hours: float = 8.0) -> pd.DataFrame:
    ts = pd.date_range(first, last, freq=f"{hours}h", tz="UTC").as_unit("ns")
    return pd.DataFrame({"ts": ts, "symbol": symbol, "rate": 1e-4, "interval_hours": hours})


def test_the_share_without_funding_is_of_the_time_from_the_first_bar_to_the_last(klines: pd.DataFrame) -> None:
    bars = Bars.from_frame(klines.assign(symbol=klines["symbol"].str.replace("USDT", "/USDT")), "1h")
    span = (bars.times[-1] - bars.times[0]) / np.timedelta64(1, "h")
    rows = pd.concat(
        [rates_of("BTC/USDT", "2023-12-01", "2024-06-30"), rates_of("ETH/USDT", "2024-01-11", "2024-05-29 20:00", 4.0)],
        ignore_index=True,
    )
    gap = rows["ts"].between("2024-02-01", "2024-02-03 12:00") & (rows["symbol"] == "BTC/USDT")
    lacking = funding.unsettled(bars, rows[~gap])
    assert lacking == pytest.approx({"BTC/USDT": (8 * gap.sum()) / span, "ETH/USDT": 240 / span, "SOL/USDT": 1.0})
    assert funding.unsettled(bars, rows.iloc[:0]) == dict.fromkeys(bars.symbols, 1.0)


def workspace_with(folder: Path, klines: pd.DataFrame, rows: pd.DataFrame) -> Workspace:
    made = files_workspace(folder, klines)
    settings = made.settings.model_copy(update={"market": "perpetual", "venue": "binance_spot"})
    workspace = Workspace(settings)
    day = dt.date(2024, 5, 29)
    run_stage(workspace, "bars", day)
    full = rows.assign(available_at=rows["ts"], venue="test").astype({"symbol": "str", "venue": "str"})
    workspace.lake.upsert("observations/funding", full, pd.Timestamp("2023-01-01", tz="UTC"), workspace.known_until(day))
    return workspace


def test_a_symbol_whose_funding_is_unknown_stops_the_day_and_is_named(tmp_path: Path, klines: pd.DataFrame) -> None:
    day = dt.date(2024, 5, 29)
    rows = pd.concat([rates_of(s, "2023-12-31", "2024-05-29 23:00") for s in ("BTC/USDT", "ETH/USDT")], ignore_index=True)
    workspace = workspace_with(tmp_path, klines, rows)
    with pytest.raises(NoDataError, match=r"funding of SOL/USDT .*was none; .*--market spot"):
        funding.funding_of(workspace, day)
    late = pd.concat([rows, rates_of("SOL/USDT", "2024-03-01", "2024-05-29 23:00")], ignore_index=True)
    workspace = workspace_with(tmp_path, klines, late)
    with pytest.raises(NoDataError, match=r"funding of SOL/USDT .*was 2024-03-01 to 2024-05-29, 6\d% of it; .*--history-from"):
        funding.funding_of(workspace, day)


def test_a_few_missing_rates_charge_nothing_and_are_told(tmp_path: Path, klines: pd.DataFrame) -> None:
    day = dt.date(2024, 5, 29)
    rows = pd.concat([rates_of(s, "2023-12-31", "2024-05-29 23:00") for s in ("BTC/USDT", "ETH/USDT", "SOL/USDT")], ignore_index=True)
    lost = (rows["symbol"] == "ETH/USDT") & rows["ts"].between("2024-04-01", "2024-04-02")
    workspace = workspace_with(tmp_path, klines, rows[~lost])
    rates = funding.funding_of(workspace, day)
    assert rates is not None
    at = workspace.bars(day).times.searchsorted(np.datetime64("2024-04-01T08:00"))
    assert np.isnan(rates[1, at])
    assert rates[0, at] == 1e-4
    assert funding.funding_note(workspace, day) == (
        "settled funding is charged to what is held; nothing for time without any known rate (ETH/USDT 0.9%)"
    )


def test_a_rate_that_was_not_known_by_the_close_is_not_charged(tmp_path: Path, klines: pd.DataFrame) -> None:
    rows = pd.concat([rates_of(s, "2023-12-31", "2024-05-29 23:00") for s in ("BTC/USDT", "ETH/USDT", "SOL/USDT")], ignore_index=True)
    workspace = workspace_with(tmp_path, klines, rows)
    earlier = dt.date(2024, 5, 28)
    rates = funding.funding_of(workspace, earlier)
    assert rates is not None
    bars = workspace.bars(earlier)
    assert rates.shape == bars.close.shape
    assert bars.times[-1] == np.datetime64("2024-05-28T23:00")
    assert np.isfinite(rates[0]).sum() == np.sum(
        rates_of("BTC/USDT", "2024-01-01", "2024-05-28 23:00")["ts"] >= pd.Timestamp("2024-01-01", tz="UTC")
    )


def test_perpetual_prices_are_read_where_a_folder_has_both(tmp_path: Path, klines: pd.DataFrame) -> None:
    both = pd.concat([klines, klines.assign(venue="binance_um_perp", **{n: klines[n] * 2 for n in ("open", "high", "low", "close")})])
    files_workspace(tmp_path, both)
    common = {"home": tmp_path / "home", "source": "files", "data": tmp_path / "data", "profile": "tiny"}
    closes = {}
    for market in ("spot", "perpetual"):
        source = Workspace(Settings(**common, market=market)).source
        closes[market] = source.bars("1h", ["BTC/USDT"])["close"].to_numpy()
    np.testing.assert_allclose(closes["perpetual"], 2 * closes["spot"])
