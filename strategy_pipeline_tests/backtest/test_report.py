"""The page of one strategy: whole, alone, the same bytes, and safe whatever the names."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from strategy_pipeline.backtest import BacktestResult, Costs, backtest
from strategy_pipeline.errors import StrategyError, UnknownSymbolError
from strategy_pipeline.rng import generator
from strategy_pipeline.strategies import parse
from strategy_pipeline_tests.backtest.worlds import make_bars

OPTIONS = {"paths": 60, "prices": 3}
RULE = "trend on * 1h\nenter long when close > sma(close, 30)\nexit when close < sma(close, 30)\nstop 3%\nsize all_in"


@pytest.fixture(scope="module")
def result():
    bars = make_bars(generator(61), 2, 24 * 120, volatility=0.01)
    never = parse("trend on BTC/USDT 1h\nenter long when close > 1e9\nexit when close < 1\nsize all_in")
    return backtest([parse(RULE), never], bars, costs=Costs(2, 1))


@pytest.fixture(scope="module")
def page(result) -> str:
    return result.report(result.strategy_ids[0], **OPTIONS)


def own_part(page: str) -> str:
    """Without the drawing library."""
    return re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)


def figures(page: str) -> dict[str, dict]:
    found = re.findall(r'<script type="application/json" id="(\w+)-data">(.*?)</script>', page, flags=re.DOTALL)
    return {key: json.loads(data) for key, data in found}


class Tags(HTMLParser):
    VOID = ("meta", "link", "br", "input")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag, attributes) -> None:
        self.links += [value for name, value in attributes if name in ("href", "src") and value]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_asks_nobody_for_anything(page) -> None:
    tags = Tags()
    tags.feed(own_part(page))
    assert tags.open == []
    assert tags.links == ["data:,"]
    assert "Plotly.newPlot" in page
    assert len(page) > 4_000_000  # the library is inside
    assert "NaN" not in own_part(page)
    assert ">nan<" not in own_part(page)


def test_the_same_result_makes_the_same_bytes_whatever_the_threads(result, page) -> None:
    id = result.strategy_ids[0]
    assert result.report(id, **OPTIONS, workers=1) == page
    assert backtest([result.strategies[id]], result.bars, costs=result.costs).report(id, **OPTIONS) == page
    assert result.report(id, **OPTIONS, seed=1) != page


def test_the_page_of_one_of_many_costs_no_run_of_the_many(result, page, monkeypatch) -> None:
    id = result.strategy_ids[0]
    lazy = backtest(list(result.strategies.values()), result.bars, costs=result.costs, metrics=("total_return",))
    sizes = []
    rerun = BacktestResult.rerun
    monkeypatch.setattr(
        BacktestResult, "rerun", lambda self, strategies, **options: sizes.append(strategies) or rerun(self, strategies, **options)
    )
    assert lazy.report(id, **OPTIONS) == page
    other = result.strategy_ids[1]
    assert not any(one.id == other for strategies in sizes for one in strategies)


def test_the_curves_are_those_of_the_result(result, page) -> None:
    id = result.strategy_ids[0]
    drawn = {trace["name"]: trace["y"] for trace in figures(page)["equity"]["data"]}
    np.testing.assert_allclose(drawn["strategy"], result.equity(id), rtol=1e-5)
    held = np.cumprod(1 + result.benchmark_returns([0])[0])
    np.testing.assert_allclose(drawn["buy and hold"], held, rtol=1e-5)
    assert -min(drawn["drawdown"]) == pytest.approx(result.pooled.loc[id, "max_drawdown"], rel=1e-3)


def test_the_fan_of_histories_is_there(result, page) -> None:
    drawn = {trace["name"]: trace["y"] for trace in figures(page)["histories"]["data"]}
    assert all(low <= high for low, high in zip(drawn["5 to 95 %"], drawn["95 %"], strict=True))
    np.testing.assert_allclose(drawn["as it happened"], result.equity(result.strategy_ids[0]), rtol=1e-5)
    assert "histories" not in figures(result.report(result.strategy_ids[0], paths=20, prices=0))


def test_each_trade_is_on_the_price_chart(result, page) -> None:
    id = result.strategy_ids[0]
    by_trades = sorted(result.symbols, key=lambda name: -result.metrics.loc[(id, name), "trades"])
    for key, symbol in zip(("price0", "price1"), by_trades, strict=True):
        traces = {trace["name"]: trace for trace in figures(page)[key]["data"] if trace["mode"] != "lines"}
        trades = result.trades(id, symbol)
        assert len(traces["enter long"]["x"]) == len(trades)
        closed = trades[trades["reason"] != "open"]
        assert len(traces["exit, won"]["x"]) == (closed["pnl"] > 0).sum()
        assert len(traces["exit, lost"]["x"]) == (closed["pnl"] <= 0).sum()
        np.testing.assert_allclose(traces["enter long"]["y"], trades["entry_price"], rtol=1e-5)


def test_the_months_multiply_to_the_total(result, page) -> None:
    years = re.findall(r"<b><span class=\"(?:gain|loss)\">([+−][\d.,]+)", own_part(page).split("Return by month")[1].split("</section>")[0])
    grown = np.prod([1 + float(year.replace("−", "-").replace(",", "")) / 100 for year in years])
    assert grown - 1 == pytest.approx(result.pooled["total_return"].iloc[0], abs=2e-3)


def test_the_sentence_is_on_the_page_and_names_are_escaped(result, page) -> None:
    assert "enter long when close &gt; sma(close, 30)" in page
    assert "SAMPLE MARKET" not in own_part(page)
    assert "SAMPLE MARKET" in own_part(result.report(result.strategy_ids[0], **OPTIONS, simulated=True))


def test_a_strategy_that_never_trades_has_a_page_that_says_so(result) -> None:
    page = own_part(result.report(result.strategy_ids[1], **OPTIONS))
    assert "No trade." in page
    assert "0 closed trades" in page
    assert "NaN" not in page
    assert "nan" not in page.lower().replace("finance", "")


def test_what_is_not_there_is_named(result) -> None:
    with pytest.raises(StrategyError, match="'nobody'"):
        result.report("nobody")
    with pytest.raises(UnknownSymbolError, match="BTC/USDT"):
        result.report(result.strategy_ids[1], symbol="ETH/USDT")
