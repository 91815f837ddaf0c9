"""The null and the power audit: what generation, search and selection promote on markets whose truth is known.

On null markets every promotion is false; on planted ones the planted edge should be promoted. What belongs here: running
the search on each world, and counting with exact intervals. What does not: making worlds (`worlds`), the rule
(`selection.Gate`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from strategy_pipeline.audit.journal import Journal
from strategy_pipeline.audit.worlds import KINDS, World, leftovers, null_world, planted_world
from strategy_pipeline.compute import map_shards
from strategy_pipeline.errors import SettingsError
from strategy_pipeline.rng import derive_seed
from strategy_pipeline.selection import Gate, Selection, clopper_pearson, select, shortlist, split_days

if TYPE_CHECKING:
    from strategy_pipeline.backtest import BacktestResult, Costs
    from strategy_pipeline.market import Bars
    from strategy_pipeline.strategies import Strategy

STRENGTHS = (1.0, 2.0, 3.0, 4.0)
FOUND = 0.5  # correlation of a promoted strategy's daily returns with the planted rule's, above which it is the edge
STRESS = 2.0
_BLOCKS = 8  # of PBO, which the gate does not read: 70 halves instead of 12,870
_ARRANGED = ["promoted", "found", "beside"]


@dataclass(frozen=True)
class PromotionAudit:
    """What was promoted, market by market.

    records
        One plain dict a market: ``market, strength`` (None on a null), ``kind, planted, sharpe, promoted`` (one dict a
        promoted strategy: id, text, t_statistic, stepm_p_value, sharpe, correlation), ``found`` (one of them is the edge),
        ``trials, effective_trials, looked_at, first`` (what was said of the one looked at first: id, text, gross_p_value, stepm_p_value,
        t_statistic, train_sharpe, correlation, why), ``drift_t, serial_p``.
    what
        ``null`` or ``power``.
    confidence
        Of the exact intervals.
    """

    records: tuple[dict[str, Any], ...]
    what: str
    confidence: float = 0.95

    @property
    def table(self) -> pd.DataFrame:
        """One row a strength (one for all nulls): ``strength, markets, promoted`` (markets that promoted anything), ``found``
        (that promoted the edge), ``beside`` (that promoted something else), ``rate`` with ``low`` and ``high``, its exact interval
        (Clopper and Pearson 1934): of ``promoted`` on nulls and where costs eat the edge (strength 0), of ``found`` elsewhere."""
        rows = []
        for strength in sorted({record["strength"] for record in self.records}, key=lambda value: value or 0.0):
            some = [record for record in self.records if record["strength"] == strength]
            promoted = sum(bool(record["promoted"]) for record in some)
            found = sum(record["found"] for record in some)
            beside = sum(any(not _is_edge(item) for item in record["promoted"]) for record in some)
            hits = found if strength else promoted
            low, high = clopper_pearson(hits, len(some), self.confidence)
            value = float("nan") if strength is None else strength
            rows.append((value, len(some), promoted, found, beside, hits / len(some), low, high))
        return pd.DataFrame(rows, columns=["strength", "markets", *_ARRANGED, "rate", "low", "high"])

    @property
    def kinds(self) -> pd.DataFrame:
        """How many planted rules of each kind were found, by strength: ``strength, kind, markets, found``."""
        frame = pd.DataFrame([(r["strength"], r["kind"], r["found"]) for r in self.records if r["strength"] is not None],
                             columns=["strength", "kind", "found"])  # fmt: skip
        counted = frame.groupby(["strength", "kind"])["found"].agg(["size", "sum"]).reset_index()
        return counted.set_axis(["strength", "kind", "markets", "found"], axis=1)

    @property
    def leftover(self) -> dict[str, float]:
        """p-values that the null markets under all worlds had no drift and no serial dependence left (each over all markets)."""
        from scipy.stats import chi2

        drift = np.array([r["drift_t"] for r in self.records if r["drift_t"] is not None])
        serial = np.array([r["serial_p"] for r in self.records if r["serial_p"] is not None])
        # Fisher's (1925) combination of the markets' p-values; t statistics squared and summed.
        return {
            "drift": float(chi2.sf((drift**2).sum(), len(drift))) if len(drift) else float("nan"),
            "serial": float(chi2.sf(-2 * np.log(serial).sum(), 2 * len(serial))) if len(serial) else float("nan"),
        }

    @property
    def summary(self) -> str:
        """One sentence for each row of `table`."""
        said = []
        for row in self.table.to_dict("records"):
            of = f"of {row['markets']}"
            interval = f"{row['rate']:.1%}, exact {self.confidence:.0%} interval {row['low']:.1%} to {row['high']:.1%}"
            if np.isnan(row["strength"]):
                said.append(f"{row['promoted']} {of} null markets promoted anything ({interval})")
            elif row["strength"] == 0:
                said.append(f"{row['promoted']} {of} markets whose edge costs eat promoted anything ({interval})")
            else:
                said.append(f"a Sharpe ratio of {row['strength']:g} was found on {row['found']} {of} markets ({interval})")
        return "; ".join(said)

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values, without NaN."""
        rows = [{k: None if v != v else v for k, v in row.items()} for row in self.table.to_dict("records")]
        left = {name: None if value != value else value for name, value in self.leftover.items()}
        return {"what": self.what, "confidence": self.confidence, "table": rows, "leftover_p": left, "markets": list(self.records)}


def audit_promotions(
    bars: Bars,
    *,
    what: str,
    markets: int,
    strategies: int,
    seed: int,
    strengths: Sequence[float] = STRENGTHS,
    methods: Sequence[str] | None = None,
    costs: Costs | None = None,
    gate: Gate | None = None,
    monte_carlo: int = 200,
    workers: int = 0,
    journal: Path | None = None,
    observer: Callable[[int, int], None] | None = None,
) -> PromotionAudit:
    """Generation, search and selection on `markets` worlds made from `bars`.

    what
        ``null``: nothing to find. ``power``: a planted rule each; market k has strength ``strengths[k % n]``, and kinds take turns. At a
        strength of 0 the rule foretells just what its costs eat.
    strategies
        Trials a market, shared by the generators in `methods` (default: all registered) as `generation.campaign` shares them; they
        see the training span alone.
    gate
        The rule; the default is the daily cycle's. Stability (Monte Carlo score of `monte_carlo` resamples, doubled costs,
        both on training days) is asked of what would be promoted, as there.
    journal
        A file of finished markets: a stopped run goes on there. `JournalError` when it is of another run. More `markets`
        of the same run may be asked for later.
    workers
        Markets at a time, 0 one per core; results do not depend on it.
    observer
        Called with (done, of) after each market.

    Market k is the same whatever else was asked for. `SettingsError` for counts and strengths that cannot be.
    """
    strong, chosen = check_promotions(what, markets, strategies, strengths, methods)
    gate = gate or Gate()
    run = {
        "audit": what, "bars": bars.fingerprint, "strategies": strategies, "seed": seed, "methods": list(chosen), "gate": asdict(gate),
        "costs": repr(costs), "monte_carlo": monte_carlo, "strengths": list(strong) if what == "power" else None,
    }  # fmt: skip
    done = Journal(journal, run)

    def one(market: int) -> dict[str, Any]:
        key = f"market-{market:05d}"
        known = done.get(key)
        if known is None:
            strength = None if what == "null" else strong[market % len(strong)]
            record = _market(bars, market, strength, strategies, seed, chosen, costs, gate, monte_carlo, len(strong))
            done.put(key, record)
            known = done.get(key)
        if observer is not None:
            observer(len(done), markets)
        return {name: value for name, value in (known or {}).items() if name != "key"}

    return PromotionAudit(tuple(map_shards(one, range(markets), workers=workers)), what)


def check_promotions(
    what: str, markets: int, strategies: int, strengths: Sequence[float] = STRENGTHS, methods: Sequence[str] | None = None
) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """The strengths and methods meant, or SettingsError or StrategyError: what can be told of an audit before there is a market."""
    from strategy_pipeline.generation import check_request
    from strategy_pipeline.generation import methods as registered

    if what not in ("null", "power"):
        raise SettingsError(f"Expected an audit of null or power, was {what!r}; choose one of them")
    if markets < 1 or strategies < 1:
        raise SettingsError(f"Expected at least 1 market and 1 strategy, was {markets} and {strategies}; nothing would be audited")
    strong = tuple(float(value) for value in strengths)
    if what == "power" and (not strong or not min(strong) >= 0 or not max(strong) <= 20):
        raise SettingsError(f"Expected annual Sharpe ratios from 0 to 20, was {list(strengths)}; 1,2,3,4 is the usual curve")
    _, chosen = check_request(strategies, methods=tuple(methods) if methods else registered())
    return strong, chosen


def _market(
    bars: Bars, market: int, strength: float | None, count: int, seed: int, methods: tuple[str, ...], costs: Costs | None, gate: Gate,
    n_paths: int, n_strengths: int,
) -> dict[str, Any]:  # fmt: skip
    kind = None if strength is None else KINDS[market // n_strengths % len(KINDS)]
    if strength is None or kind is None:
        world = null_world(bars, seed=seed, market=market)
        left = leftovers(world.bars)
    else:
        world = planted_world(bars, strength, kind, seed=seed, market=market, costs=costs)
        left = leftovers(null_world(bars, seed=seed, market=market).bars)
    selection, result, by_id = searched(world, count, derive_seed(seed, "audit", "search", market) % 2**31, methods, costs, gate, n_paths)
    row = {sid: k for k, sid in enumerate(result.strategy_ids)}
    promoted = []
    for item in (item for item in selection.evidence if item.verdict == "promoted"):
        sid = item.strategy_id
        likeness = _correlation(result.daily_returns[row[sid]], world.daily)
        promoted.append(
            {"id": sid, "text": by_id[sid].text, "t_statistic": item.t_statistic, "stepm_p_value": item.stepm_p_value,
             "sharpe": item.sharpe, "correlation": likeness}
        )  # fmt: skip
    first = None
    for item in selection.evidence[:1]:
        sid = item.strategy_id
        first = {
            "id": sid, "text": by_id[sid].text, "why": item.why, "gross_p_value": _plain(item.gross_p_value),
            "stepm_p_value": _plain(item.stepm_p_value), "t_statistic": _plain(item.t_statistic), "train_sharpe": _plain(item.train_sharpe),
            "correlation": _correlation(result.daily_returns[row[sid]], world.daily),
        }  # fmt: skip
    whole = left[left["symbol"] == "all"].iloc[0]
    return {
        "market": market, "strength": strength, "kind": kind, "planted": world.planted.text if world.planted else None,
        "sharpe": _plain(world.sharpe), "promoted": promoted, "found": any(map(_is_edge, promoted)), "trials": selection.n_trials,
        "effective_trials": selection.effective_trials, "first": first,
        "looked_at": len(selection.evidence),
        "drift_t": _plain(whole["drift_t"]), "serial_p": _plain(whole["serial_p"]),
    }  # fmt: skip


def searched(
    world: World, count: int, seed: int, methods: tuple[str, ...], costs: Costs | None, gate: Gate, n_paths: int = 200
) -> tuple[Selection, BacktestResult, dict[str, Strategy]]:
    """One search as the daily cycle makes it: a campaign on the training span, one look at validation, stability of what passes.

    Returns the selection, the backtest over the whole span of those looked at, and all candidates by id. What is not looked at
    is not run on validation at all.
    """
    from strategy_pipeline.backtest import backtest
    from strategy_pipeline.generation import SearchSettings, campaign, skipped_families
    from strategy_pipeline.strategies import FAMILIES

    days = np.unique(np.asarray(world.bars.times).astype("datetime64[D]"))
    train, held_out = split_days(len(days))
    training = world.bars.between(None, days[train.stop])
    known = {name: values[:, : training.n_bars] for name, values in world.series.items()}
    skipped = skipped_families(training, known)  # the same on every market: said by the caller once, not by each
    families = [family for family in FAMILIES if family not in skipped]
    tried: set[str] = set()
    search = SearchSettings(costs=costs, values=known, record=lambda _, ids: tried.update(ids), workers=1)
    made = campaign(count, training, families=families, methods=methods, seed=seed, series=known, search=search)
    by_id = {strategy.id: strategy for strategy in made.strategies}
    looked = shortlist(made.returns.T, ids=made.ids, draws=made.draws, gate=gate)
    result = backtest([by_id[sid] for sid in looked] or made.strategies[:1], world.bars, costs=costs, series=world.series, workers=1)
    full, gross = np.full((2, len(days), len(made.ids)), np.nan)
    full[train] = made.returns.T
    place = {sid: k for k, sid in enumerate(made.ids)}
    free = before_costs(result, [by_id[sid] for sid in result.strategy_ids])
    for k, sid in enumerate(result.strategy_ids):
        full[:, place[sid]], gross[:, place[sid]] = result.daily_returns[k], free[k]
    options: dict[str, Any] = {
        "ids": made.ids, "n_trials": len(tried | set(by_id)), "draws": made.draws, "gross": gross[held_out],
        "full": full, "gate": gate, "seed": seed, "n_blocks": _BLOCKS,
    }  # fmt: skip
    selection = select(made.returns.T, full[held_out], **options)
    if selection.promoted and n_paths:
        passed = [by_id[sid] for sid in selection.promoted]
        scores, stressed = stability(result, passed, n_paths, seed, days[train.start], days[train.stop])
        selection = select(made.returns.T, full[held_out], robustness=scores, stressed_sharpe=stressed, **options)
    return selection, result, by_id


def before_costs(result: BacktestResult, members: list[Strategy]) -> np.ndarray:
    """Daily returns of strategies that a result ran, with every charge waived, (n_strategies, n_days)."""
    if not members:
        return np.empty((0, len(result.days)))
    free = result.rerun(members, costs=result.costs.waived(), workers=1)
    return np.array([free.daily_returns[free.strategy_ids.index(strategy.id)] for strategy in members])


def stability(
    result: BacktestResult, members: list[Strategy], n_paths: int, seed: int, start: Any, end: Any
) -> tuple[dict[str, float], dict[str, float]]:
    """Monte Carlo score, and Sharpe ratio under doubled costs, of each, on training days."""
    from strategy_pipeline.backtest import monte_carlo

    own = result.rerun(members, workers=1)
    scored = monte_carlo(own, [s.id for s in members], n=n_paths, seed=seed, start=start, end=end)
    paid = result.costs
    dear = replace(paid, fee_bps=paid.fee_bps * STRESS, slippage_bps=paid.slippage_bps * STRESS)
    worse = result.rerun(members, costs=dear, workers=1).summary(start, end)["sharpe"]
    return {s.id: float(scored.scores[s.id]) for s in members}, {s.id: float(worse[s.id]) for s in members}


def _is_edge(item: dict[str, Any]) -> bool:
    return item["correlation"] is not None and item["correlation"] > FOUND


def _correlation(returns: np.ndarray, planted: np.ndarray) -> float | None:
    if len(planted) != len(returns):
        return None
    both = np.isfinite(returns) & np.isfinite(planted)
    if both.sum() < 3 or not np.ptp(returns[both]) > 0 or not np.ptp(planted[both]) > 0:
        return None
    return float(np.corrcoef(returns[both], planted[both])[0, 1])


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
