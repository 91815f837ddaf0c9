"""The size of the gate where populations are narrow: one symbol alone, or pairs alone, on markets with no edge.

A pooled population spreads its luck over symbols; a single symbol does not, and a pair adds a danger of its own: two prices
that look tied together for a while. So both have a study of their own. What belongs here: null markets of one symbol and of
pairs, and a search on each. What does not: the audit of whole markets (`promotions`), and the rule (`selection.Gate`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from strategy_pipeline.audit.journal import Journal
from strategy_pipeline.audit.promotions import PromotionAudit, before_costs, searched, stability
from strategy_pipeline.audit.worlds import BLOCK_DAYS, FORECAST, World, forecast_like, leftovers, null_world
from strategy_pipeline.compute import map_shards
from strategy_pipeline.errors import SettingsError
from strategy_pipeline.rng import derive_seed, generator
from strategy_pipeline.selection import Gate, Selection, select, split_days

if TYPE_CHECKING:
    from strategy_pipeline.backtest import BacktestResult, Costs
    from strategy_pipeline.market import Bars
    from strategy_pipeline.strategies import Strategy

SCOPES = ("single", "pairs")
PAIR_KINDS = ("joint", "independent", "tied")
_AROUND = 0.5  # of pair strategies, those around each pair's half-life; the others are systematic
_REDRAWN = 20  # worlds looked through for the one whose training looks most tied
_BLOCKS = 8


def audit_scope(
    bars: Bars,
    *,
    scope: str,
    markets: int,
    strategies: int,
    seed: int,
    costs: Costs | None = None,
    gate: Gate | None = None,
    monte_carlo: int = 200,
    workers: int = 0,
    journal: Path | None = None,
    observer: Callable[[int, int], None] | None = None,
) -> PromotionAudit:
    """What is promoted on `markets` null markets by searches of `strategies` trials each; arguments as `audit_promotions`.

    scope
        ``single``: each market is one symbol of `bars`, in turn, and the search a campaign by every method. ``pairs``: markets are
        `pair_world` of the kinds in `PAIR_KINDS`, in turn, and every strategy trades one symbol against another.

    The records' ``kind`` names the symbol, or the kind of pair world. `SettingsError` for what cannot be.
    """
    if scope not in SCOPES:
        raise SettingsError(f"Expected a scope of {' or '.join(SCOPES)}, was {scope!r}; choose one of them")
    if markets < 1 or strategies < 1:
        raise SettingsError(f"Expected at least 1 market and 1 strategy, was {markets} and {strategies}; nothing would be audited")
    if scope == "pairs" and bars.n_symbols < 2:
        raise SettingsError(f"Expected at least two symbols to trade against each other, was {bars.n_symbols}; give more symbols")
    gate = gate or Gate()
    run = {
        "audit": f"null {scope}", "bars": bars.fingerprint, "strategies": strategies, "seed": seed, "gate": asdict(gate),
        "costs": repr(costs), "monte_carlo": monte_carlo,
    }  # fmt: skip
    done = Journal(journal, run)

    def one(market: int) -> dict[str, Any]:
        key = f"market-{market:05d}"
        if done.get(key) is None:
            kind, world = _world(bars, scope, seed, market)
            own = derive_seed(seed, "audit", scope, market) % 2**31
            if scope == "single":
                from strategy_pipeline.generation import methods

                selection, _, by_id = searched(world, strategies, own, methods(), costs, gate, monte_carlo)
            else:
                selection, by_id = _pairs_searched(world, strategies, own, costs, gate, monte_carlo)
            done.put(key, _record(market, kind, world, selection, by_id))
        if observer is not None:
            observer(len(done), markets)
        return {name: value for name, value in (done.get(key) or {}).items() if name != "key"}

    return PromotionAudit(tuple(map_shards(one, range(markets), workers=workers)), "null")


def pair_world(bars: Bars, kind: str, *, seed: int, market: int) -> World:
    """A null market for pairs, made from `bars`.

    kind
        ``joint``: `null_world`, whose signs are common to all symbols, so that prices go together but no ratio of two reverts.
        ``independent``: the same joint blocks, so volatility still moves together, then signs of each symbol's own. ``tied``: of 20
        markets of the second kind the one with the smallest cointegration p-value of any pair on training days. Its training
        looks tied together, by luck; the days after training know nothing of it.
    """
    if kind == "joint":
        return null_world(bars, seed=seed, market=market)
    if kind == "independent":
        return _independent(bars, seed, market, 0)
    if kind != "tied":
        raise SettingsError(f"Expected a pair world of {', '.join(PAIR_KINDS)}, was {kind!r}; choose one of them")
    from strategy_pipeline.generation import screen_pairs

    looks = [float(screen_pairs(_training(_independent(bars, seed, market, k).bars))["p_value"].min()) for k in range(1, _REDRAWN + 1)]
    return _independent(bars, seed, market, 1 + int(np.argmin(looks)))


def pair_strategies(count: int, training: Bars, *, seed: int) -> list[Strategy]:
    """`count` distinct pair strategies, fewer where there are no more: half reversions around the half-life of each pair whose
    ratio reverts at all, tied or not, as the pairs generator makes them, the others systematic."""
    from strategy_pipeline.generation import PairsGenerator, Request, Screen, SystematicGenerator

    request = Request(training, ("cross_asset",), frozenset(), seed)
    anything = Screen(level=1.0, half_life=(0.0, 5000.0), drift=np.inf, hedge=(-np.inf, np.inf))
    found = {s.id: s for s in islice(PairsGenerator(anything).stream(request), round(_AROUND * count))}
    for strategy in SystematicGenerator().stream(request):
        if len(found) == count:
            break
        if strategy.against is not None:
            found.setdefault(strategy.id, strategy)
    return list(found.values())


def _world(bars: Bars, scope: str, seed: int, market: int) -> tuple[str, World]:
    if scope == "single":
        symbol = bars.symbols[market % bars.n_symbols]
        return symbol, null_world(bars.select((symbol,)), seed=seed, market=market)
    kind = PAIR_KINDS[market % len(PAIR_KINDS)]
    return kind, pair_world(bars, kind, seed=seed, market=market)


def _independent(bars: Bars, seed: int, market: int, attempt: int) -> World:
    from strategy_pipeline.market.timeframes import duration
    from strategy_pipeline.resampling import bootstrap_bars, null_market

    day = np.timedelta64(1, "D") / duration(bars.timeframe)
    drawn = bootstrap_bars(bars, generator(seed, "audit", "pair blocks", market, attempt), max(1.0, BLOCK_DAYS * day))
    signs = generator(seed, "audit", "pair signs", market, attempt)
    parts = [null_market(drawn.select((symbol,)), signs) for symbol in drawn.symbols]
    names = [name for name in ("open", "high", "low", "close", "quote_volume") if getattr(drawn, name) is not None]
    null = drawn.with_fields(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})
    series = {FORECAST: forecast_like(null, generator(seed, "audit", "pair forecast", market, attempt))}
    return World(null, series, None, float("nan"), np.empty(0))


def _training(bars: Bars) -> Bars:
    days = np.unique(np.asarray(bars.times).astype("datetime64[D]"))
    return bars.between(None, days[split_days(len(days))[0].stop])


def _pairs_searched(
    world: World, count: int, seed: int, costs: Costs | None, gate: Gate, n_paths: int
) -> tuple[Selection, dict[str, Strategy]]:
    """A population of pair strategies alone through the gate; stability of what passes, as everywhere."""
    from strategy_pipeline.backtest import backtest

    members = pair_strategies(count, _training(world.bars), seed=seed)
    result: BacktestResult = backtest(members, world.bars, costs=costs, series=world.series, workers=1)
    returns, days = result.daily_returns.T, np.asarray(result.days).astype("datetime64[D]")
    train, held_out = split_days(len(returns))
    by_id = {strategy.id: strategy for strategy in members}
    gross = before_costs(result, [by_id[sid] for sid in result.strategy_ids]).T
    options: dict[str, Any] = {
        "ids": result.strategy_ids, "n_trials": len(by_id), "draws": set(by_id), "gross": gross[held_out], "full": returns, "gate": gate,
        "seed": seed, "n_blocks": _BLOCKS,
    }  # fmt: skip
    selection = select(returns[train], returns[held_out], **options)
    if selection.promoted and n_paths:
        passed = [by_id[sid] for sid in selection.promoted]
        scores, stressed = stability(result, passed, n_paths, seed, days[train.start], days[train.stop])
        selection = select(returns[train], returns[held_out], robustness=scores, stressed_sharpe=stressed, **options)
    return selection, by_id


def _record(market: int, kind: str, world: World, selection: Selection, by_id: dict[str, Strategy]) -> dict[str, Any]:
    whole = leftovers(world.bars)
    row = whole[whole["symbol"] == "all"].iloc[0]
    promoted = [
        {"id": item.strategy_id, "text": by_id[item.strategy_id].text, "t_statistic": item.t_statistic, "sharpe": item.sharpe,
         "correlation": None}
        for item in selection.evidence if item.verdict == "promoted"
    ]  # fmt: skip
    first = selection.evidence[0].why if selection.evidence else None
    return {
        "market": market, "strength": None, "kind": kind, "planted": None, "sharpe": None, "promoted": promoted, "found": False,
        "trials": selection.n_trials, "effective_trials": selection.effective_trials, "looked_at": len(selection.evidence), "first": first,
        "drift_t": _plain(row["drift_t"]), "serial_p": _plain(row["serial_p"]),
    }  # fmt: skip


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
