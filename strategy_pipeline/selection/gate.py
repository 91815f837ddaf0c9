"""The gate: which strategies of a search may be promoted, and why not the others.

The rule that measured best on null and planted markets (`docs/evidence.md`): every search sees only the
training span; of it the few best distinct strategies; one look at the untouched validation span with a
studentised step-wise test; and a t statistic over both spans. Beside the gate, and without a vote,
stand the deflated Sharpe ratio and the probability of backtest overfitting of the search.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from strategy_pipeline.selection.clusters import effective_trials, standard_scores
from strategy_pipeline.selection.errors import InvalidReturnsError
from strategy_pipeline.selection.evidence import Evidence, Selection, Verdict
from strategy_pipeline.selection.intervals import sharpe_interval
from strategy_pipeline.selection.overfitting import probability_of_backtest_overfitting
from strategy_pipeline.selection.ratios import as_matrix, deflated_sharpe_ratio, moments, sharpe_ratio, t_statistic
from strategy_pipeline.selection.stepwise import stepm

DAYS_PER_YEAR = 365.0
VALIDATION_SHARE = 0.4
GAP_DAYS = 5


@dataclass(frozen=True)
class Gate:
    """The thresholds of the gate. What the defaults promote on null markets, and find on planted ones, is in `docs/evidence.md`.

    top
        Strategies that get a look at validation.
    max_correlation
        A strategy more correlated than this (training returns) with a better one is left out of the top.
    level
        Family-wise level of StepM on validation.
    t_threshold
        Least t statistic over training and validation; None takes `t_threshold(span_days)`.
    min_training_days, min_validation_days
        Days with a return that a strategy needs in each span to be judged at all.
    min_active_days
        Training days with a return other than 0 that it needs: the ratio of a handful of trades says nothing, and
        such strategies would take the places of others.
    min_robustness
        Least Monte Carlo robustness score, in [0, 1], where one is given.
    mean_block, resamples
        Of the stationary bootstrap, in days.
    """

    top: int = 5
    max_correlation: float = 0.9
    level: float = 0.10
    t_threshold: float | None = None
    min_training_days: int = 60
    min_validation_days: int = 30
    min_active_days: int = 20
    min_robustness: float = 0.5
    mean_block: float = 7.0
    resamples: int = 1000


def split_days(n_days: int, *, validation_share: float = VALIDATION_SHARE, gap: int = GAP_DAYS) -> tuple[slice, slice]:
    """Training and validation days of a history of `n_days`: validation is the trailing share, a gap lies before it.

    Returns two slices of day numbers. `InvalidReturnsError` where training would have no day.
    """
    held_out = int(n_days * validation_share)
    if n_days - held_out - gap < 1 or held_out < 1:
        raise InvalidReturnsError(
            f"Expected a history that leaves training and validation days beside a gap of {gap}, was {n_days} days; give a longer one"
        )
    return slice(0, n_days - held_out - gap), slice(n_days - held_out, n_days)


# Days of history, and the t statistic over all of them that 2 % of null searches exceed after passing the step-wise test: 4,000
# searches each of 100 independent strategies at no cost (`python benchmarks/evidence.py thresholds --seed 20263`); the error
# of each is 0.04.
SIMULATED_T = ((183, 3.35), (274, 3.31), (365, 3.32), (548, 3.36), (730, 3.31), (1095, 3.40), (1460, 3.38), (1825, 3.35))
LEAST_T = 3.46  # an annual Sharpe ratio of 2 over three years: the threshold of the rule measured best on null markets


def t_threshold(span_days: int) -> float:
    """Least t statistic of the mean daily return over `span_days`: the larger of 3.46 and what a simulation asks of that span.

    The simulation (`SIMULATED_T`, interpolated in the logarithm of the span, the nearest one outside) asks for 3.31 to
    3.40 from half a year to five years: a t statistic is on the same scale whatever the span, and the tries it must beat
    are as many. So 3.46 holds throughout, and lets 1.2 to 1.7 % of those searches promote something. In Sharpe ratios it is
    ``3.46 / sqrt(years)``: 4.9 over half a year, 2.0 over three years, 1.5 over five. A thousand independent strategies at no
    cost would need 3.9 (`docs/evidence.md`); costs stand between that and a real search.
    """
    if span_days < 1:
        raise InvalidReturnsError(f"Expected a span of at least 1 day, was {span_days}; pass training and validation days together")
    spans, values = np.array(SIMULATED_T).T
    return max(LEAST_T, float(np.interp(np.log(span_days), np.log(spans), values)))


def select(
    train: ArrayLike,
    validation: ArrayLike,
    *,
    ids: Sequence[str],
    n_trials: int,
    full: ArrayLike | None = None,
    gate: Gate | None = None,
    robustness: Mapping[str, float] | None = None,
    stressed_sharpe: Mapping[str, float] | None = None,
    n_blocks: int = 16,
    seed: int = 0,
) -> Selection:
    """One search through the gate.

    train, validation
        Net daily returns pooled over symbols, float64 (n_days, n_strategies): days in rows, strategies in
        the order of `ids` (transpose `BacktestResult.daily_returns`). A gap of purged days lies between the
        two. NaN marks days a strategy is not judged on, such as those before a model's first out-of-sample
        prediction.
    n_trials
        Distinct strategies the search ever evaluated (`TrialsLedger.count`), at least ``len(ids)``.
    full
        The same over the whole period, for the t statistic; default: training and validation joined.
    robustness, stressed_sharpe
        Per id, where known: Monte Carlo robustness score in [0, 1], and annual Sharpe ratio under stressed
        costs, which must be positive. A strategy that has none is not judged by it.

    Validation returns are used only for the strategies in the top of training. Nothing promoted is a valid
    outcome, with the reasons in `Selection.evidence`. `InvalidReturnsError` for shapes that do not fit.
    """
    gate = gate or Gate()
    training, held_out = as_matrix(train, "train"), as_matrix(validation, "validation")
    given = {"train": training, "validation": held_out} | ({} if full is None else {"full": as_matrix(full, "full")})
    names = _checked_ids(ids, given, n_trials)
    whole = given["full"] if "full" in given else np.concatenate([training, held_out])
    looked_at, screening = _screen(training, held_out, names, gate)
    summary = _search_statistics(training, n_trials, n_blocks)
    evidence: tuple[Evidence, ...] = ()
    if looked_at:
        evidence = _look(training, held_out, whole, names, looked_at, summary, gate, seed)
        evidence = tuple(_judged(item, gate, len(whole), robustness or {}, stressed_sharpe or {}) for item in evidence)
    return Selection(evidence=evidence, screening=screening, gate=gate, **summary)


def _checked_ids(ids: Sequence[str], given: Mapping[str, NDArray], n_trials: int) -> tuple[str, ...]:
    names = tuple(str(name) for name in ids)
    for label, matrix in given.items():
        if matrix.shape[1] != len(names):
            raise InvalidReturnsError(
                f"Expected {len(names)} columns in {label}, one per id, was {matrix.shape[1]}; pass days in rows (transpose daily_returns)"
            )
    if len(set(names)) != len(names):
        double = next(name for name in names if names.count(name) > 1)
        raise InvalidReturnsError(f"Expected distinct ids, was {double} more than once; pass each strategy once")
    if n_trials < len(names):
        raise InvalidReturnsError(
            f"Expected n_trials of at least the {len(names)} strategies given, was {n_trials}; count every evaluation (TrialsLedger.count)"
        )
    return names


def _screen(training: NDArray, held_out: NDArray, names: tuple[str, ...], gate: Gate) -> tuple[list[int], pd.DataFrame]:
    """Columns that get a look, and why each of the others does not. Reads no value of validation, only which days have one."""
    n = len(names)
    sharpe = sharpe_ratio(training, DAYS_PER_YEAR) if n else np.empty(0)
    days, out_days = (~np.isnan(training)).sum(axis=0), (~np.isnan(held_out)).sum(axis=0)
    active = ((training != 0) & ~np.isnan(training)).sum(axis=0)
    reason = np.full(n, "", dtype=object)
    for column in range(n):
        if days[column] == 0:
            reason[column] = "no return in training"
        elif days[column] < gate.min_training_days:
            reason[column] = f"{days[column]} days in training < {gate.min_training_days}"
        elif not np.isfinite(sharpe[column]):
            reason[column] = "no variance in training (it never traded)"
        elif active[column] < gate.min_active_days:
            reason[column] = f"in the market on {active[column]} training days < {gate.min_active_days}"
        elif out_days[column] < gate.min_validation_days:
            reason[column] = f"{out_days[column]} days in validation < {gate.min_validation_days}"
        elif sharpe[column] <= 0:
            reason[column] = f"training Sharpe {sharpe[column]:.2f} is not positive"
    eligible = np.flatnonzero(reason == "")
    # Ties by id, so that the order of the population does not decide.
    ranked = sorted(eligible, key=lambda column: (-round(float(sharpe[column]), 9), names[column]))
    chosen: list[int] = []
    scores = np.empty((len(training), 0))
    for column in map(int, ranked):
        if len(chosen) == gate.top:
            reason[column] = f"not among the {gate.top} best distinct of training"
            continue
        own = standard_scores(training[:, [column]])
        if chosen:
            twin = (scores.T @ own)[:, 0]
            if twin.max() > gate.max_correlation:
                reason[column] = f"correlation {twin.max():.2f} > {gate.max_correlation:g} with {names[chosen[int(twin.argmax())]]}"
                continue
        chosen.append(column)
        scores = np.concatenate([scores, own], axis=1)
    frame = pd.DataFrame(
        {"strategy_id": pd.Series(names, dtype="str"), "train_sharpe": sharpe, "train_days": days, "looked_at": False,
         "reason": pd.Series(reason, dtype="str")}
    )  # fmt: skip
    frame.loc[chosen, "looked_at"] = True
    return chosen, frame


def _search_statistics(training: NDArray, n_trials: int, n_blocks: int) -> dict[str, Any]:
    """What is true of the search as a whole: trials, their clusters, the spread of their ratios, PBO. Training only."""
    ratios = sharpe_ratio(training) if training.shape[1] else np.empty(0)
    known = ratios[np.isfinite(ratios)]
    clusters = effective_trials(training) if len(known) else 1
    usable = n_blocks if len(training) >= 2 * n_blocks else len(training) // 4 * 2
    return {
        "n_trials": n_trials,
        "effective_trials": clusters,
        "trial_sharpe_var": float(known.var(ddof=1)) if len(known) >= 2 else float("nan"),
        "pbo": probability_of_backtest_overfitting(training, usable) if usable >= 2 and len(known) >= 2 else float("nan"),
    }


def _look(
    training: NDArray,
    held_out: NDArray,
    whole: NDArray,
    names: tuple[str, ...],
    columns: list[int],
    summary: Mapping[str, Any],
    gate: Gate,
    seed: int,
) -> tuple[Evidence, ...]:
    """The one look at validation: the numbers of each strategy in the top, without a verdict."""
    test = stepm(held_out[:, columns], level=gate.level, n_resamples=gate.resamples, mean_block=gate.mean_block, seed=seed)
    count, _, _, skew, kurt = moments(whole[:, columns])
    ratio, t_values = sharpe_ratio(whole[:, columns]), t_statistic(whole[:, columns])
    train_sharpe = sharpe_ratio(training[:, columns], DAYS_PER_YEAR)
    _, _, out_deviation, _, _ = moments(held_out[:, columns])
    spread = float(summary["trial_sharpe_var"])
    found = []
    for k, column in enumerate(columns):
        interval = sharpe_interval(
            held_out[:, column], n_resamples=gate.resamples, mean_block=gate.mean_block, periods_per_year=DAYS_PER_YEAR, seed=seed
        )
        plain = 1.0 / (count[k] - 1) if count[k] > 1 else float("nan")

        def deflated(trials: float, variance: float, k: int = k) -> float:
            return float(deflated_sharpe_ratio(ratio[k], count[k], skew[k], kurt[k], trials, variance))

        found.append(
            Evidence(
                strategy_id=names[column],
                trials=int(summary["n_trials"]),
                effective_trials=int(summary["effective_trials"]),
                train_sharpe=float(train_sharpe[k]),
                stepm_p_value=float(test.p_values[k]),
                t_statistic=float(t_values[k]),
                dsr=deflated(summary["effective_trials"], plain),
                dsr_all_trials=deflated(summary["n_trials"], plain),
                dsr_trial_variance=deflated(summary["effective_trials"], spread),
                dsr_trial_variance_all_trials=deflated(summary["n_trials"], spread),
                pbo=float(summary["pbo"]),
                sharpe=interval.sharpe,
                sharpe_low=interval.low,
                sharpe_high=interval.high,
                volatility=float(out_deviation[k] * np.sqrt(DAYS_PER_YEAR)),
                active_day_volatility=_active_day_volatility(held_out[:, column]),
                robustness=float("nan"),
                stressed_sharpe=float("nan"),
                verdict="rejected",
                reasons=(),
            )
        )
    return tuple(found)


def _active_day_volatility(returns: NDArray) -> float:
    active = returns[~np.isnan(returns) & (returns != 0)]
    return float(np.sqrt(np.mean(active * active))) if len(active) else float("nan")


def _judged(item: Evidence, gate: Gate, span_days: int, robustness: Mapping[str, float], stressed_sharpe: Mapping[str, float]) -> Evidence:
    """The verdict and its reasons: what failed with its threshold; what passed, when everything did."""
    least_t = t_threshold(span_days) if gate.t_threshold is None else gate.t_threshold
    score = float(robustness.get(item.strategy_id, float("nan")))
    stressed = float(stressed_sharpe.get(item.strategy_id, float("nan")))
    item = replace(item, robustness=score, stressed_sharpe=stressed)
    checks = [
        (item.stepm_p_value <= gate.level, "validation StepM p", item.stepm_p_value, "<=", ">", gate.level),
        (item.t_statistic >= least_t, "t over the full period", item.t_statistic, ">=", "<", least_t),
    ]
    if item.strategy_id in robustness:
        checks.append((score >= gate.min_robustness, "Monte Carlo robustness", score, ">=", "<", gate.min_robustness))
    if item.strategy_id in stressed_sharpe:
        checks.append((stressed > 0, "Sharpe under stressed costs", stressed, ">", "<=", 0.0))
    failed = tuple(_said(*check[1:3], check[4], check[5]) for check in checks if not check[0])
    if not failed:
        return replace(item, verdict="promoted", reasons=tuple(_said(*check[1:3], check[3], check[5]) for check in checks))
    verdict: Verdict = "watchlist" if item.sharpe > 0 else "rejected"
    return replace(item, verdict=verdict, reasons=failed)


def _said(name: str, value: float, relation: str, bound: float) -> str:
    if not np.isfinite(value):
        return f"{name} is undefined (too few trades or no variance)"
    return f"{name} = {value:.3g} {relation} {bound:g}"
