"""Stages of the models group: training with a cutoff day, on data strictly before it.

Each also fills history: the refits on the calendar grid that later backtests read are made here, once, so that
a day's predictions only predict.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from strategy_pipeline.cycle import familiar, fits
from strategy_pipeline.cycle.features import matrix
from strategy_pipeline.cycle.report import StageReport
from strategy_pipeline.cycle.workspace import DAY, Workspace, costs_of


def regime_model(workspace: Workspace, cutoff: dt.date) -> StageReport:
    """A two-state model of volatility whose probabilities are filtered, never smoothed."""
    return _train(workspace, "regime_model", cutoff)


def volatility_models(workspace: Workspace, cutoff: dt.date) -> StageReport:
    """HAR and GARCH volatility models, combined, against an EWMA baseline."""
    return _train(workspace, "volatility_models", cutoff)


def forecaster(workspace: Workspace, cutoff: dt.date) -> StageReport:
    """Boosted trees and a small transformer for the next day's return, each against its baseline."""
    return _train(workspace, "forecaster", cutoff)


def _train(workspace: Workspace, stage: str, cutoff: dt.date) -> StageReport:
    from strategy_pipeline.forecasting import fit_history, fit_kind

    kind = fits.KINDS[stage]
    day = cutoff - DAY
    bars, features = workspace.bars(day), matrix(workspace, day)
    model = fits.forecasters(workspace)[kind]
    seed = fits.training_seed(workspace)
    sizes = workspace.settings.sizes
    history = fit_history(
        bars, features, forecasters={kind: model}, refit_days=sizes.refit_days, first_fit_days=sizes.first_fit_days, seed=seed,
        cache=fits.cache(workspace), extra_cutoffs=fits.extra_cutoffs(workspace, (stage,), day),
    )  # fmt: skip
    fit = fit_kind(kind, model, bars, features, cutoff=cutoff, seed=seed, cache=fits.cache(workspace))
    metrics = _known(fit.metrics)
    entry: dict[str, Any] = {
        "stage": stage, "model": fit.model.model, "key": fit.key, "sha256": fit.content, "accepted": fit.accepted, "metrics": metrics,
    }  # fmt: skip
    if model.uses_features:
        entry["familiar"] = familiar.at_training(workspace, cutoff).entry
    return _registered(workspace, stage, cutoff, entry, fit.payload, len(history.fits))


def rl_agents(workspace: Workspace, cutoff: dt.date) -> StageReport:
    """DQN, PPO and SAC, trained in the trading environment with costs; their actions become votes."""
    from strategy_pipeline.agents import ALGORITHMS, agent_history
    from strategy_pipeline.agents.history import fit_agent

    day = cutoff - DAY
    bars, features = workspace.bars(day), matrix(workspace, day)
    sizes = workspace.settings.sizes
    options: dict[str, Any] = {
        "steps": sizes.agent_steps, "seed": fits.training_seed(workspace), "cache": fits.cache(workspace),
        "costs": costs_of(workspace),
    }  # fmt: skip
    history = agent_history(
        bars, features, refit_days=sizes.refit_days, first_fit_days=sizes.first_fit_days,
        extra_cutoffs=fits.extra_cutoffs(workspace, ("rl_agents",), day), **options,
    )  # fmt: skip
    reports = []
    entries: dict[str, dict[str, Any]] = {}
    payloads = b""
    for algorithm in ALGORITHMS:
        fit = fit_agent(algorithm, bars, features, cutoff=cutoff, **options)
        entries[algorithm] = {"key": fit.key, "sha256": fit.content, "metrics": _known(fit.metrics), "accepted": fit.accepted}
        payloads += fit.payload
        reports.append({"agent": algorithm, **entries[algorithm]["metrics"]})
        workspace.documents.upsert(
            "rl_experiences",
            {"id": f"{algorithm}-{cutoff}", "agent": algorithm, "cutoff": cutoff.isoformat(), "steps": sizes.agent_steps,
             **entries[algorithm]},
        )  # fmt: skip
    content = hashlib.sha256(payloads).hexdigest()
    entry = {
        "stage": "rl_agents", "model": "rl_agents", "sha256": content, "accepted": any(e["accepted"] for e in entries.values()),
        "agents": entries, "metrics": {}, "familiar": familiar.at_training(workspace, cutoff).entry,
    }  # fmt: skip
    done = _registered(workspace, "rl_agents", cutoff, entry, payloads, len(history.fits))
    return StageReport(done.summary, done.facts, table=pd.DataFrame(reports), outputs=done.outputs)


def _registered(workspace: Workspace, stage: str, cutoff: dt.date, entry: dict[str, Any], payload: bytes, refits: int) -> StageReport:
    """Writes the entry, the documents and the MLflow copy of a training, in this order: the entry is what counts."""
    fits.register(workspace, stage, cutoff, entry)
    workspace.forget()
    # Registered under the universe's name: one home holds several, and their versions must not mix.
    version = workspace.registry.log(
        f"{workspace.universe}.{stage}", cutoff=cutoff, content=entry["sha256"], payload=payload, accepted=entry["accepted"],
        metrics=entry["metrics"],
        params={"seed": fits.training_seed(workspace), "timeframe": workspace.timeframe, "symbols": ",".join(workspace.symbols)},
        tags={"universe": workspace.universe},
    )  # fmt: skip
    workspace.documents.upsert(
        "ml_models",
        {"id": f"{stage}-{cutoff}", "model": stage, "cutoff": cutoff.isoformat(), "version": version.version, **entry},
    )
    workspace.documents.upsert(
        "training_runs",
        {"id": f"{stage}-{cutoff}", "model": stage, "cutoff": cutoff.isoformat(), "refits": refits, "metrics": entry["metrics"]},
    )
    facts: dict[str, Any] = {"cutoff": cutoff.isoformat(), "refits": refits, "accepted": str(entry["accepted"]), **entry["metrics"]}
    if "agents" in entry:
        better = [name for name, agent in entry["agents"].items() if agent["accepted"]]
        verdict = f"{', '.join(better) or 'none'} better than holding nothing on the held-out tail"
    else:
        verdict = "accepted" if entry["accepted"] else "not better than its baseline, which answers instead"
    summary = f"cutoff {cutoff}, {refits} refits in history, {verdict}"
    return StageReport(summary, facts, outputs={f"models/registered/{stage}/{cutoff}": entry["sha256"]})


def _known(metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics that have a value, rounded: neither documents nor MLflow hold NaN."""
    return {name: round(float(value), 6) for name, value in sorted(metrics.items()) if math.isfinite(value)}
