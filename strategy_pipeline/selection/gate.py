"""The gate: which strategies of a search may be promoted, and why not the others.

The rule that measured best on null and planted markets (`docs/evidence.md`): every search sees only the training span; of it
the few distinct strategies that agree best with whatever did well (`consensus`); one look at the untouched validation span with
a studentised step-wise test, which asks two questions. Do they foretell anything? Returns before costs answer that sharply, and the
level at which nothing is promoted where nothing can be foretold is theirs. Is anything left after costs? Returns after costs answer
that, at a level of their own. Beside the gate, and without a vote, stand the t statistic of the whole period, the deflated Sharpe
ratio and the probability of backtest overfitting of the search.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from strategy_pipeline.selection.clusters import effective_trials, standard_scores
from strategy_pipeline.selection.consensus import consensus_scores
from strategy_pipeline.selection.errors import InvalidReturnsError
from strategy_pipeline.selection.evidence import Evidence, Selection, Verdict
from strategy_pipeline.selection.intervals import sharpe_interval
from strategy_pipeline.selection.overfitting import probability_of_backtest_overfitting
from strategy_pipeline.selection.ratios import as_matrix, deflated_sharpe_ratio, moments, sharpe_ratio, t_statistic
from strategy_pipeline.selection.stepwise import stepm

DAYS_PER_YEAR = 365.0
VALIDATION_SHARE = 0.6
GAP_DAYS = 5
_FEWEST_BLOCKS = 60


@dataclass(frozen=True)
class Gate:
    """The thresholds of the gate. What the defaults promote on null markets, and find on planted ones, is in `docs/evidence.md`.

    top
        Strategies that get a look at validation, in the order of their consensus scores.
    max_correlation
        A strategy more correlated than this (training returns) with one before it is left out of the top.
    level
        Largest p-value in validation before costs (StepM, adjusted for all that are looked at): the chance that anything is
        promoted where nothing can be foretold, however many strategies were tried.
    net_level
        Largest p-value in validation after costs: the chance that anything is promoted that earns nothing after them, where
        something can be foretold.
    t_threshold
        Least t statistic over training and validation, for those who want one on top; None asks for none. Luck that passed the
        other tests has nearly the t of a true edge, since it was chosen for its training returns: it does not tell them apart.
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

    top: int = 3
    max_correlation: float = 0.9
    level: float = 0.02
    net_level: float = 0.07
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


def select(
    train: ArrayLike,
    validation: ArrayLike,
    *,
    ids: Sequence[str],
    n_trials: int,
    draws: Collection[str] | None = None,
    gross: ArrayLike | None = None,
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
    draws
        Those of `ids` that were drawn without looking at any return: they alone vote on who gets a look. None: nobody knows, all
        vote.
    gross
        Validation returns before costs, the shape of `validation`; only columns of strategies that get a look are read. Where nothing
        can be foretold they have a mean of zero, while net ones lose what trading costs: a test of net returns asks for that on
        top. None: nobody knows; what is left after costs must reach `Gate.level` too.
    full
        The same over the whole period, for the t statistic; default: training and validation joined.
    robustness, stressed_sharpe
        Per id, where known: Monte Carlo robustness score in [0, 1], and annual Sharpe ratio under stressed
        costs, which must be positive. A strategy that has none is not judged by it.

    n_blocks
        Of PBO; 0 leaves out what has no vote and takes long: PBO is NaN then, and every trial counts as a cluster.

    Validation returns are used only for the strategies in the top of training. Nothing promoted is a valid
    outcome, with the reasons in `Selection.evidence`. `InvalidReturnsError` for shapes that do not fit.
    """
    gate = gate or Gate()
    if not (0 < gate.level < 1 and 0 < gate.net_level < 1):
        raise InvalidReturnsError(f"Expected levels between 0 and 1, was {gate.level} and {gate.net_level}; 0.02 and 0.07 are the gate's")
    training, held_out = as_matrix(train, "train"), as_matrix(validation, "validation")
    given = {"train": training, "validation": held_out} | ({} if full is None else {"full": as_matrix(full, "full")})
    names = _checked_ids(ids, given, n_trials)
    whole = given["full"] if "full" in given else np.concatenate([training, held_out])
    drawn = None if draws is None else _among(names, draws)
    looked_at, screening = _screen(training, (~np.isnan(held_out)).sum(axis=0), names, drawn, gate)
    before = None if gross is None else as_matrix(gross, "gross")
    if before is not None and before.shape != held_out.shape:
        raise InvalidReturnsError(
            f"Expected gross returns of the shape of validation, {held_out.shape}, was {before.shape}; give the same days and strategies"
        )
    summary = _search_statistics(training, n_trials, n_blocks)
    evidence: tuple[Evidence, ...] = ()
    if looked_at:
        evidence = _look(training, held_out, before, whole, names, looked_at, summary, gate, seed)
        evidence = _judged(evidence, gate, before is not None, robustness or {}, stressed_sharpe or {})
    return Selection(evidence=evidence, screening=screening, gate=gate, **summary)


def shortlist(train: ArrayLike, *, ids: Sequence[str], draws: Collection[str] | None = None, gate: Gate | None = None) -> list[str]:
    """The ids that `select` would look at, in order, as far as training tells: all else about validation need not be computed.

    Arguments as `select`. `select` may be given NaN as validation returns of the others.
    """
    gate = gate or Gate()
    training = as_matrix(train, "train")
    names = _checked_ids(ids, {"train": training}, len(ids))
    drawn = None if draws is None else _among(names, draws)
    chosen, _ = _screen(training, np.full(len(names), gate.min_validation_days), names, drawn, gate)
    return [names[column] for column in chosen]


def _among(names: tuple[str, ...], chosen: Collection[str]) -> NDArray[np.bool_]:
    some = frozenset(chosen)
    return np.fromiter((name in some for name in names), dtype=bool, count=len(names))


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


def _screen(
    training: NDArray, out_days: NDArray, names: tuple[str, ...], drawn: NDArray | None, gate: Gate
) -> tuple[list[int], pd.DataFrame]:
    """Columns that get a look, in order, and why each of the others does not. Of validation it knows the number of days alone."""
    n = len(names)
    sharpe = sharpe_ratio(training, DAYS_PER_YEAR) if n else np.empty(0)
    days = (~np.isnan(training)).sum(axis=0)
    active = _active_days(training)
    reason = np.full(n, "", dtype=object)
    able = np.zeros(n, dtype=bool)
    for column in range(n):
        if days[column] == 0:
            reason[column] = "no return in training"
        elif days[column] < gate.min_training_days:
            reason[column] = f"{days[column]} days in training < {gate.min_training_days}"
        elif not np.isfinite(sharpe[column]):
            reason[column] = "no variance in training (it never traded)"
        elif active[column] < gate.min_active_days:
            reason[column] = f"in the market on {active[column]} training days < {gate.min_active_days}"
        else:
            able[column] = True
            if sharpe[column] <= 0:
                reason[column] = f"training Sharpe {sharpe[column]:.2f} is not positive"
    eligible = reason == ""
    voters = able if drawn is None or not (able & drawn).any() else able & drawn
    score = consensus_scores(training, voters, eligible)
    # Ties by id, so that the order of the population does not decide.
    ranked = sorted(np.flatnonzero(eligible), key=lambda column: (-round(float(score[column]), 9), names[column]))
    chosen: list[int] = []
    scores = np.empty((len(training), 0))
    for column in map(int, ranked):
        if len(chosen) == gate.top:
            reason[column] = f"not among the {gate.top} distinct ones of best consensus in training"
            continue
        if out_days[column] < gate.min_validation_days:
            reason[column] = f"{out_days[column]} days in validation < {gate.min_validation_days}"
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
        {"strategy_id": pd.Series(names, dtype="str"), "train_sharpe": sharpe, "train_days": days, "consensus": score, "looked_at": False,
         "reason": pd.Series(reason, dtype="str")}
    )  # fmt: skip
    frame.loc[chosen, "looked_at"] = True
    return chosen, frame


def _active_days(training: NDArray) -> NDArray[np.int64]:
    return np.asarray(((training != 0) & ~np.isnan(training)).sum(axis=0))


def _block(gate: Gate, n_days: int) -> float:
    """Mean block of the tests: the gate's, but of a short span so much less that sixty blocks are left. With fewer the bootstrap
    underrates the error of a mean, and the best of many looks proven (by simulation: `docs/evidence.md`)."""
    return min(gate.mean_block, max(1.0, n_days / _FEWEST_BLOCKS))


def _search_statistics(training: NDArray, n_trials: int, n_blocks: int) -> dict[str, Any]:
    """What is true of the search as a whole: trials, their clusters, the spread of their ratios, PBO. Training only."""
    ratios = sharpe_ratio(training) if training.shape[1] else np.empty(0)
    known = ratios[np.isfinite(ratios)]
    clusters = n_trials if n_blocks == 0 else effective_trials(training) if len(known) else 1
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
    before: NDArray | None,
    whole: NDArray,
    names: tuple[str, ...],
    columns: list[int],
    summary: Mapping[str, Any],
    gate: Gate,
    seed: int,
) -> tuple[Evidence, ...]:
    """The one look at validation: the numbers of each strategy in the top, without a verdict."""
    options: dict[str, Any] = {"n_resamples": gate.resamples, "mean_block": _block(gate, len(held_out)), "seed": seed}
    net = stepm(held_out[:, columns], **options).p_values
    foretold = np.full(len(columns), np.nan) if before is None else stepm(before[:, columns], **options).p_values
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
                stepm_p_value=float(net[k]),
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
                gross_p_value=float(foretold[k]),
            )
        )
    return tuple(found)


def _active_day_volatility(returns: NDArray) -> float:
    active = returns[~np.isnan(returns) & (returns != 0)]
    return float(np.sqrt(np.mean(active * active))) if len(active) else float("nan")


def _judged(
    items: tuple[Evidence, ...], gate: Gate, gross: bool, robustness: Mapping[str, float], stressed_sharpe: Mapping[str, float]
) -> tuple[Evidence, ...]:
    """Verdicts and their reasons: what failed with its threshold; what passed, when everything did."""
    judged = []
    for item in items:
        score = float(robustness.get(item.strategy_id, float("nan")))
        stressed = float(stressed_sharpe.get(item.strategy_id, float("nan")))
        item = replace(item, robustness=score, stressed_sharpe=stressed)
        before, after = item.gross_p_value, item.stepm_p_value
        most = gate.net_level if gross else min(gate.level, gate.net_level)
        checks = [(after <= most, "validation StepM p after costs", after, "<=", ">", most)]
        if gross:
            checks.insert(0, (before <= gate.level, "validation StepM p before costs", before, "<=", ">", gate.level))
        if gate.t_threshold is not None:
            checks.append((item.t_statistic >= gate.t_threshold, "t over the full period", item.t_statistic, ">=", "<", gate.t_threshold))
        if item.strategy_id in robustness:
            checks.append((score >= gate.min_robustness, "Monte Carlo robustness", score, ">=", "<", gate.min_robustness))
        if item.strategy_id in stressed_sharpe:
            checks.append((stressed > 0, "Sharpe under stressed costs", stressed, ">", "<=", 0.0))
        failed = tuple(_said(*check[1:3], check[4], check[5]) for check in checks if not check[0])
        if not failed:
            judged.append(replace(item, verdict="promoted", reasons=tuple(_said(*check[1:3], check[3], check[5]) for check in checks)))
            continue
        verdict: Verdict = "watchlist" if item.sharpe > 0 else "rejected"
        judged.append(replace(item, verdict=verdict, reasons=failed))
    return tuple(judged)


def _said(name: str, value: float, relation: str, bound: float) -> str:
    if not np.isfinite(value):
        return f"{name} is undefined (too few trades or no variance)"
    return f"{name} = {value:.3g} {relation} {bound:.3g}"
