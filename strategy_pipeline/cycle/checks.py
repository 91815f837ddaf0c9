"""Data-quality verdicts on what a stage stored, for Dagster's asset checks and for `run_stage` itself.

Bad rows are set apart before anything is stored. These checks look at what was stored: does the clean table
keep its contract, did too much have to be set apart, what looks odd without being wrong.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pandas as pd

from strategy_pipeline.cycle.market import OBSERVED, closed, quarantine_table
from strategy_pipeline.cycle.workspace import Workspace
from strategy_pipeline.market import Bars
from strategy_pipeline.market.calendars import calendar_of
from strategy_pipeline.market.quality import check_bars, verify_bars, verify_observations

MOST_QUARANTINED = 0.05  # share of a day's rows
MOST_REFUSED = 0.10  # share of a day's rows; in training's held-out blocks it is one in a hundred


@dataclass(frozen=True)
class Verdict:
    """Whether a check passed, in one line and figures."""

    passed: bool
    summary: str
    facts: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.summary


@dataclass(frozen=True)
class Check:
    """A check of one asset; a blocking one stops everything downstream."""

    asset: str
    blocking: bool
    function: Callable[[Workspace, dt.date], Verdict]

    @property
    def description(self) -> str:
        function = self.function.func if isinstance(self.function, partial) else self.function
        return (function.__doc__ or "").strip()


def bars_are_sound(workspace: Workspace, day: dt.date) -> Verdict:
    """Great Expectations and our own rules on the stored bars of the day: OHLC order, positive prices, unique times on the grid."""
    start, end = pd.Timestamp(day, tz="UTC"), workspace.close(day)
    frame = workspace.lake.scan(workspace.bars_table, start, end)
    if frame.empty and closed(workspace.source, day):
        return Verdict(True, "the market was closed")
    verification = verify_bars(frame, workspace.timeframe)
    facts = {"rules": len(verification.results), "rows": len(frame)}
    return Verdict(verification.passed, verification.failures() or f"{len(frame)} rows pass {len(verification.results)} rules", facts)


def few_rows_set_apart(workspace: Workspace, day: dt.date) -> Verdict:
    """At most 5 % of the day's rows had to be set apart: more means the source, not a row, is broken."""
    start, end = pd.Timestamp(day, tz="UTC"), workspace.close(day)
    bad = workspace.lake.scan(quarantine_table("bars"), start, end)
    good = workspace.lake.scan(workspace.bars_table, start, end, columns=["ts"])
    share = len(bad) / max(len(bad) + len(good), 1)
    reasons = "; ".join(f"{row.symbol} {row.ts}: {row.rule}, {row.reason}" for row in bad.head(3).itertuples())
    said = f"{len(bad)} rows set apart ({share:.1%})" + (f": {reasons}" if reasons else "")
    return Verdict(share <= MOST_QUARANTINED, said, {"share": share})


def bars_look_usual(workspace: Workspace, day: dt.date) -> Verdict:
    """No gaps, stale runs, spikes or silent volume in the day, judged against the month before it."""
    end = workspace.close(day)
    frame = workspace.lake.scan(workspace.bars_table, end - pd.Timedelta(days=31), end)
    report = check_bars(frame, workspace.timeframe, calendar=calendar_of(workspace.source))
    today = report.warnings[report.warnings["ts"] >= pd.Timestamp(day, tz="UTC")]
    counts = {str(rule): int(count) for rule, count in today.groupby("rule")["count"].sum().items()}
    said = "; ".join(f"{row.symbol} {row.ts:%H:%M} {row.rule}: {row.reason}" for row in today.head(5).itertuples())
    return Verdict(not counts, said or "nothing unusual", counts)


def whole_days_agree(workspace: Workspace, day: dt.date) -> Verdict:
    """The day's bars, resampled to one day, equal the source's own daily bars where it has them."""
    start, end = pd.Timestamp(day, tz="UTC"), workspace.close(day)
    daily = workspace.source_daily(day)
    if daily is None or workspace.timeframe == "1d":
        return Verdict(True, "the source has no daily bars of its own to compare with")
    frame = workspace.lake.scan(workspace.bars_table, start, end)
    bars = Bars.from_frame(frame, workspace.timeframe, symbols=workspace.symbols, start=start, end=end, require_all=False)
    ours = bars.resample("1d").to_frame()
    both = ours.merge(daily, on=["ts", "symbol"], suffixes=("", "_venue"))
    differ = [
        f"{row.symbol} {name} {getattr(row, name):g} against {getattr(row, name + '_venue'):g}"
        for row in both.itertuples()
        for name in ("open", "high", "low", "close")
        if getattr(row, name) != getattr(row, name + "_venue")
    ]
    return Verdict(not differ, "; ".join(differ[:5]) or f"{len(both)} symbols agree", {"compared": len(both), "differ": len(differ)})


def observations_are_sound(workspace: Workspace, day: dt.date, stage: str) -> Verdict:
    """Columns, times and `available_at` of the stored observation tables keep their contract."""
    failures, rows = [], 0
    for table in OBSERVED[stage]:
        frame = workspace.lake.scan(f"observations/{table}", workspace.close(day) - pd.Timedelta(days=2), workspace.close(day))
        rows += len(frame)
        verification = verify_observations(table, frame)
        if not verification.passed:
            failures.append(f"{table}: {verification.failures()}")
    return Verdict(not failures, "; ".join(failures) or f"{rows} rows of two days pass", {"rows": rows})


def features_have_not_drifted(workspace: Workspace, day: dt.date) -> Verdict:
    """No more features drifted in the week through the day, against the return model's training, than training's own weeks show."""
    facts = workspace.require("forecasts", day).facts
    if "drifted_share" not in facts:
        return Verdict(True, "too few rows to compare the week with training")
    known = {name: facts[name] for name in ("drifted", "drifted_share", "drift_limit", "drift_cutoff") if name in facts}
    if "drift_limit" not in facts:
        return Verdict(True, f"{facts['drift_summary']}; training is too short to say what is usual", known)
    if facts["drift_unusual"] != "yes":
        return Verdict(True, facts["drift_summary"], known)
    fresh = (day - dt.date.fromisoformat(str(facts["drift_cutoff"]))).days < 7
    remedy = (
        f"the models are of {facts['drift_cutoff']}: the week is unlike the rest of their own history"
        if fresh
        else "models trained on newer data may know this market: `strategy-pipeline train-models`"
    )
    return Verdict(False, f"{facts['drift_summary']}; {remedy}", known)


def rows_are_like_training(workspace: Workspace, day: dt.date) -> Verdict:
    """At most a tenth of the day's rows are unlike the return model's training, so that its baseline answers there."""
    facts = workspace.require("forecasts", day).facts
    refused, judged = int(facts["rows_refused"]), int(facts["rows_judged"])
    share = refused / max(judged, 1)
    said = f"{refused} of {judged} rows are unlike training" + (", and the baseline answers there" if refused else "")
    return Verdict(share <= MOST_REFUSED, said if judged else "no row to judge", {"refused": refused, "judged": judged})


def failures(workspace: Workspace, asset: str, day: dt.date) -> list[str]:
    """What the blocking checks of an asset hold against a day, one line each; empty when it may be built on."""
    verdicts = {name: check.function(workspace, day) for name, check in CHECKS.items() if check.blocking and check.asset == asset}
    return [f"{name}: {verdict.summary}" for name, verdict in verdicts.items() if not verdict.passed]


def run_check(workspace: Workspace, name: str, day: dt.date) -> Verdict:
    """Runs one check of `CHECKS` and tells the observer, as `run_stage` does for a stage."""
    shown = f"check {name}"
    workspace.observer(shown, "start", None)
    verdict = CHECKS[name].function(workspace, day)
    workspace.observer(shown, "done" if verdict.passed or not CHECKS[name].blocking else "failed", verdict)
    return verdict


CHECKS: dict[str, Check] = {
    "bars_are_sound": Check("bars", True, bars_are_sound),
    "few_rows_set_apart": Check("bars", True, few_rows_set_apart),
    "bars_look_usual": Check("bars", False, bars_look_usual),
    "whole_days_agree": Check("bars", False, whole_days_agree),
    "news_is_sound": Check("news", True, partial(observations_are_sound, stage="news")),
    "macro_is_sound": Check("macro", True, partial(observations_are_sound, stage="macro")),
    "fundamentals_are_sound": Check("fundamentals", True, partial(observations_are_sound, stage="fundamentals")),
    "features_have_not_drifted": Check("forecasts", False, features_have_not_drifted),
    "rows_are_like_training": Check("forecasts", False, rows_are_like_training),
}
