"""Generates the pages that are made from the code.

python docs/pages.py            writes docs/settings.md
python docs/pages.py --check    exit code 1 when it is stale
"""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path

from strategy_pipeline.config import PROFILES, Profile, Settings
from strategy_pipeline.selection import Gate

FOLDER = Path(__file__).resolve().parent
SIZES = {
    "symbols": "symbols of the sample market when none are named",
    "history_days": "days of history when `history_from` is not given",
    "population": "new candidates a day",
    "refit_days": "days between the walk-forward refits that fill history",
    "first_fit_days": "days of history before a model's first fit",
    "model_max_age_days": "age in days at which models are trained again",
    "transformer_steps": "optimiser steps of the transformer, a fit",
    "agent_steps": "environment steps of each agent, a fit",
    "optimize_strategies": "strategies tuned a day",
    "optimize_trials": "Optuna trials for each",
    "bootstrap": "resamples in the evidence",
    "monte_carlo": "resamples in the robustness score",
    "perturbed": "jittered strategies, and runs with missed entries, in the robustness score",
    "price_histories": "price histories in the robustness score",
}
GATE = {
    "gate_top": ("top", "how many candidates get a look at validation; training alone decides which"),
    "gate_level": ("level", "the chance that a search promotes anything where nothing can be foretold; lower is stricter"),
    "gate_net_level": ("net_level", "the chance that it promotes what earns nothing after costs, where something can be foretold"),
    "gate_robustness": ("min_robustness", "see [the score](robustness.md#the-score); 0 asks for none"),
}
# Processor seconds of a stage, rounded up; the larger of two days in a fresh home.
COSTS = [
    ("history", "first run only", 4, 7), ("regime_model", "when due", 3, 5), ("volatility_models", "when due", 1, 4),
    ("forecaster", "when due", 9, 46), ("rl_agents", "when due", 5, 41), ("market and checks", "", 8, 12), ("features", "", 1, 3),
    ("predictions of history", "first run only", 2, 38), ("predictions", "", 1, 9), ("strategy_population", "", 2, 10),
    ("backtests", "", 1, 7), ("optimization_results", "", 1, 2), ("evidence and book", "", 1, 4),
    ("portfolio, signals, rankings, report", "", 1, 1), ("marts", "unless --no-marts", 8, 10),
]  # fmt: skip


def settings_page() -> str:
    lines = [
        "# Settings",
        "",
        "<!-- made by docs/pages.py from the code; edit that -->",
        "",
        "Values come, in this order, from arguments, `STRATEGY_PIPELINE_*` variables, `.env`, a TOML file (`strategy_pipeline.toml`,",
        "or the path in `STRATEGY_PIPELINE_CONFIG`), and defaults. An unknown key is an error wherever it stands.",
        "`strategy-pipeline config show` prints each value with where it came from. On the command line a setting is",
        "`--name-with-dashes`, as a variable `STRATEGY_PIPELINE_NAME`.",
        "",
        "| setting | default | what |",
        "|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        default = "–" if field.default in (None, ()) else f"`{field.default}`"
        lines.append(f"| `{name}` | {default} | {field.description} |")
    lines += [
        "",
        "Limits, costs, population and the like may change from day to day without losing the book. What makes another market",
        "(source, data, venue, exchange, market, symbols, timeframe, history_from, profile, feature_set, seed) starts a universe of its",
        "own.",
        "",
        "## Profiles",
        "",
        "| size | " + " | ".join(PROFILES) + " |",
        "|---|" + "---:|" * len(PROFILES),
    ]
    for field in fields(Profile):
        values = " | ".join(f"{getattr(profile, field.name):,}" for profile in PROFILES.values())
        lines.append(f"| {SIZES[field.name]} | {values} |")
    gate = Gate()
    lines += [
        "",
        "## The gate",
        "",
        "What must be true before anything is promoted is on [the evidence page](evidence.md). Four of its rules are settings; the",
        "defaults are what was measured there on null and planted markets, and other values were not.",
        "",
        "| setting | default | what it does |",
        "|---|---:|---|",
    ]
    lines += [f"| `{name}` | {getattr(gate, rule):g} | {said} |" for name, (rule, said) in GATE.items()]
    lines += [
        "",
        "### What a stage may cost",
        "",
        "Processor seconds; the run prints the time each stage took. In all, on 2 cores with nothing else to do: `tiny` 15 s for",
        "a day whose models stand, without marts (25 s with them, 53 s in a fresh home); `quick` 158 s in a fresh home. `standard`",
        "and `full` train for hours and were not timed.",
        "",
        "| stage | when | tiny | quick |",
        "|---|---|---:|---:|",
    ]
    lines += [f"| {stage} | {when or 'every day'} | {tiny} | {quick} |" for stage, when, tiny, quick in COSTS]
    return "\n".join(lines) + "\n"


def main() -> None:
    page = FOLDER / "settings.md"
    if "--check" in sys.argv[1:]:
        if page.read_text(encoding="utf-8") != settings_page():
            raise SystemExit("Expected docs/settings.md as the code makes it, was stale; run: python docs/pages.py")
        return
    page.write_text(settings_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
