"""The report: one closed page, equal bytes, honest about nothing, safe with any text."""

from __future__ import annotations

import datetime as dt
import itertools
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as some

from strategy_pipeline.analytics import (
    ReportInputs,
    asset_ranking,
    attribution,
    correlation,
    performance_report,
    regime_performance,
    strategy_ranking,
)
from strategy_pipeline.analytics.charts import Line, line_chart, share_strip
from strategy_pipeline.analytics.markup import compact, number, percent, price
from strategy_pipeline.errors import MissingColumnError
from strategy_pipeline_tests.analytics.test_tables import daily_bars, walk

DAY = dt.date(2025, 6, 29)
EVIDENCE = {
    "train_sharpe": 2.0,
    "sharpe": 1.1,
    "sharpe_low": -0.2,
    "sharpe_high": 2.2,
    "t_statistic": 2.5,
    "dsr": 0.6,
    "pbo": 0.4,
    "stepm_p_value": 0.2,
}


class Reader(HTMLParser):
    """Collects tags, what they point to, and visible words; complains about tags left open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.targets: list[str] = []
        self.ids: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        for name, value in attrs:
            if name in ("src", "href", "data", "action", "srcset"):
                self.targets.append(value)
            if name == "id":
                self.ids.append(value)
        if tag not in ("meta", "link", "br", "path", "rect"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        """`<path/>` opens nothing."""

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.words.append(data)


def read(page: str) -> tuple[Reader, str]:
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    return reader, " ".join(" ".join(reader.words).split())


@pytest.fixture
def inputs() -> ReportInputs:
    """A day on which everything happened but a promotion."""
    rng = np.random.default_rng(3)
    days = pd.date_range("2024-01-01", DAY, tz="UTC")
    symbols = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
    bars = daily_bars({symbol: walk(k) for k, symbol in enumerate(symbols)})
    metrics = pd.DataFrame(
        {"strategy_id": [f"id{k:02d}" for k in range(30)], "family": "momentum", "text": "enter long when a > b", "trades": 12}
    )
    metrics["train_sharpe"] = np.linspace(2, 0, 30)
    evidence = [
        {"strategy_id": "id00", "verdict": "watchlist", "reasons": "StepM p after costs = 0.2 > 0.07; robustness = 0.3 < 0.5", **EVIDENCE}
    ]
    returns = pd.DataFrame({"id00": rng.normal(0.001, 0.01, len(days)), "buy and hold": rng.normal(0, 0.03, len(days))}, index=days)
    probability = rng.uniform(size=len(days))
    regimes = pd.DataFrame({"calm": 1 - probability, "turbulent": probability}, index=days)
    positions = pd.DataFrame(
        {"day": days[-9:], "strategy_id": "id00", "symbol": list(symbols) * 3, "weight": 0.1, "return": rng.normal(0, 0.02, 9)}
    )
    return ReportInputs(
        day=DAY,
        source="files",
        simulated=False,
        timeframe="1h",
        symbols=symbols,
        trials=12_480,
        new_strategies=1000,
        looked_at=1,
        leaderboard=strategy_ranking(metrics, pd.DataFrame(evidence), day=DAY, states={"id00": "watchlist"}),
        returns=returns,
        validation_start=dt.date(2025, 1, 1),
        assets=asset_ranking(bars, day=DAY),
        signals=pd.DataFrame(
            {"symbol": ["BTC/USDT"], "side": ["long"], "strength": [0.5], "valid_until": [pd.Timestamp("2025-06-30", tz="UTC")]}
        ),
        weights=pd.DataFrame({"symbol": symbols, "weight": [0.1, -0.05, 0.0]}),
        regimes=regimes,
        forecasts=pd.DataFrame(
            {"symbol": symbols, "return": [0.01, -0.02, np.nan], "low": [-0.03, -0.05, np.nan], "high": [0.05, 0.01, np.nan], "up": 0.5}
        ),
        book=pd.DataFrame({"strategy_id": ["id00"], "state": ["watchlist"], "since": ["2025-06-20"], "reason": ["good but not validated"]}),
        attribution=attribution(positions),
        correlation=correlation(returns),
        regime_performance=regime_performance(returns, regimes),
        notes=("3 rows quarantined",),
        fingerprint="abc123",
        version="0.1.0",
    )


def test_the_page_is_well_formed_and_asks_nobody_for_anything(inputs: ReportInputs) -> None:
    page = performance_report(inputs)
    reader, _ = read(page)
    outside = [target for target in reader.targets if not target.startswith(("#", "data:"))]
    assert outside == []
    assert not re.search(r"https?://|@import|url\(|fetch\(|XMLHttpRequest|WebSocket|sendBeacon", page)
    assert {target[1:] for target in reader.targets if target.startswith("#")} <= set(reader.ids)
    assert len(reader.ids) == len(set(reader.ids))


def test_equal_inputs_give_equal_bytes(inputs: ReportInputs) -> None:
    shuffled = replace(inputs, weights=inputs.weights.iloc[::-1], forecasts=inputs.forecasts.iloc[::-1])
    assert performance_report(shuffled) == performance_report(inputs)


def test_an_empty_promotion_list_is_explained_with_what_the_nearest_lack(inputs: ReportInputs) -> None:
    _, words = read(performance_report(inputs))
    assert "Nothing was promoted today" in words
    assert "12,480 strategies were tried" in words
    assert "StepM p after costs = 0.2 > 0.07" in words
    assert "robustness = 0.3 < 0.5" in words
    assert "stays in cash" in words
    assert "follows the benchmark" in read(performance_report(replace(inputs, benchmark="buy_and_hold")))[1]


def test_a_promotion_is_told_with_its_reasons(inputs: ReportInputs) -> None:
    leaderboard = inputs.leaderboard.copy()
    leaderboard.loc[0, ["verdict", "reasons"]] = ["promoted", "StepM p after costs = 0.01 <= 0.07"]
    _, words = read(performance_report(replace(inputs, leaderboard=leaderboard)))
    assert "1 strategy survived the evidence" in words
    assert "StepM p after costs = 0.01 <= 0.07" in words
    assert "Nothing was promoted" not in words


def test_a_simulated_market_says_so_on_top(inputs: ReportInputs) -> None:
    assert "SAMPLE MARKET" not in performance_report(inputs)
    page = performance_report(replace(inputs, simulated=True))
    assert page.index("SAMPLE MARKET") < page.index("<h1>")


def test_every_section_and_the_disclaimer_are_there(inputs: ReportInputs) -> None:
    reader, words = read(performance_report(inputs))
    assert reader.ids == [
        "promoted", "curve", "leaderboard", "portfolio", "signals", "book",
        "attribution", "assets", "forecasts", "regime", "correlation", "reading",
    ]  # fmt: skip
    assert "Not investment advice" in words
    assert "3 rows quarantined" in words
    assert "Deflated Sharpe ratio" in words


def test_a_day_without_anything_is_a_page_too() -> None:
    page = performance_report(ReportInputs(day=DAY, source="sample", simulated=True, timeframe="1d", symbols=(), trials=0))
    reader, words = read(page)
    assert reader.ids == ["promoted", "portfolio", "signals", "reading"]
    assert "No strategy was ranked" in words
    assert "No signal" in words


def test_text_from_outside_cannot_become_markup(inputs: ReportInputs) -> None:
    evil = "<script>alert(1)</script>\"'&</script>"
    leaderboard = inputs.leaderboard.assign(text=evil, family=evil, reasons=evil, strategy_id=evil, state=evil, verdict="watchlist")
    hostile = replace(
        inputs,
        source=evil,
        symbols=(evil,),
        notes=(evil,),
        leaderboard=leaderboard,
        fingerprint=evil,
        returns=inputs.returns.rename(columns={"id00": evil}),
        signals=inputs.signals.assign(symbol=evil, side=evil),
        book=inputs.book.assign(strategy_id=evil, state=evil, reason=evil),
    )
    page = performance_report(hostile)
    read(page)
    assert "<script>alert" not in page
    assert page.count("</script>") == performance_report(inputs).count("</script>")


def test_a_frame_without_its_columns_is_refused_by_name(inputs: ReportInputs) -> None:
    with pytest.raises(MissingColumnError, match="leaderboard.*verdict"):
        performance_report(replace(inputs, leaderboard=inputs.leaderboard.drop(columns="verdict")))
    with pytest.raises(MissingColumnError, match="signals.*side"):
        performance_report(replace(inputs, signals=inputs.signals.drop(columns="side")))


def test_undefined_figures_are_dashes_and_never_nan(inputs: ReportInputs) -> None:
    blank = replace(
        inputs,
        returns=inputs.returns * np.nan,
        forecasts=inputs.forecasts.assign(**{"return": np.nan}),
        assets=inputs.assets.assign(score=np.nan),
    )
    for page in (performance_report(inputs), performance_report(blank)):
        assert not re.search(r"\bnan\b|\bNaN\b|\binf\b|\bNone\b|\bNaT\b", re.sub(r"<style>.*?</style>", "", page, flags=re.S))


def test_the_growth_drawn_is_the_growth_of_the_returns() -> None:
    days = [dt.date(2025, 1, 1) + dt.timedelta(days=k) for k in range(4)]
    drawn = line_chart(days, [Line("a", np.array([1.0, 2.0, np.nan, 1.5]), "c1")], show=lambda v: f"{v:.1f}")
    path = re.search(r'class="line c1" d="([^"]+)"', drawn)
    assert path is not None
    points = [tuple(map(float, point.split(","))) for point in re.split(r"[ML]", path.group(1))[1:]]
    assert [round(x) for x, _ in points] == [0, 333, 1000]
    assert path.group(1).count("M") == 2  # the gap is a gap
    heights = [y for _, y in points]
    # 1, 2 and 1.5 lie at the bottom, the top and half way.
    assert heights[2] == pytest.approx((heights[0] + heights[1]) / 2, abs=0.2)
    assert heights[1] < heights[0]


def test_long_histories_are_thinned_and_keep_their_last_day() -> None:
    days = [dt.date(2015, 1, 1) + dt.timedelta(days=k) for k in range(3000)]
    drawn = line_chart(days, [Line("a", np.arange(3000.0), "c1")], show=str)
    assert drawn.count("L") < 1000
    assert days[-1].isoformat() in drawn
    assert "Not enough days" in line_chart(days[:1], [Line("a", np.ones(1), "c1")], show=str)
    assert "Not enough days" in share_strip(days[:5], np.full(5, np.nan))


def test_numbers_read_as_people_write_them() -> None:
    assert [number(2)(value) for value in (1234.5, -0.001, float("nan"))] == ["1,234.50", "0.00", '<span class="none">–</span>']
    assert percent(1, sign=True)(-0.0123) == "−1.2&thinsp;%"
    assert percent(1, sign=True)(0.00001) == "0.0&thinsp;%"
    assert [compact(value) for value in (950, 12_300, 4.2e9)] == ["950", "12.3&thinsp;k", "4.2&thinsp;B"]
    assert [price(value) for value in (108356.93, 2.2061, 0.00001234, 0)] == ["108,356.93", "2.2061", "0.000012340", "0.00"]


@given(
    start=some.floats(0.01, 100.0),
    growth=some.floats(1.001, 5000.0),
    log=some.booleans(),
    fill=some.booleans(),
    height=some.sampled_from([120, 300]),
)
def test_labels_of_the_vertical_axis_never_lie_over_one_another(start: float, growth: float, log: bool, fill: bool, height: int) -> None:
    days = [DAY + dt.timedelta(days=k) for k in range(40)]
    values = start * np.exp(np.linspace(0.0, np.log(growth), 40))
    drawn = line_chart(days, [Line("one", values, "c1")], show=lambda value: f"{value:.2f}", height=height, log=log, fill=fill and not log)
    found = re.findall(r'<span class="y( under)?" style="top:([\d.]+)%">([^<]*)<', drawn)
    boxes = sorted((float(top) / 100 * height - (0 if under else 16), label) for under, top, label in found)
    assert 1 <= len(boxes) <= 9
    assert all(upper + 16 <= lower for (upper, _), (lower, _) in itertools.pairwise(boxes)), boxes
    assert len({label for _, label in boxes}) == len(boxes) or growth < 1.2  # round numbers, not the same one twice
    assert drawn.count('class="grid"') == len(boxes)


def test_a_logarithmic_axis_is_marked_at_round_multiples() -> None:
    days = [DAY + dt.timedelta(days=k) for k in range(40)]
    drawn = line_chart(days, [Line("one", np.geomspace(0.8, 1600.0, 40), "c1")], show=lambda value: f"{value:g}", height=300, log=True)
    assert re.findall(r'class="y[^>]*>([^<]*)<', drawn) == ["1", "10", "100", "1000"]
