"""A year of days: 365 daily cycles in a row on a market of known truth, and what became active in it (`evidence.py year`).

Each day draws a few new strategies, four fifths of them bare; every so many days, from the first day on, a whole
campaign is run. A day's search is the last campaign and what was drawn in the last days: draws vote and are tested, what the book has
tested is left out, and the best few get a look. What passes is held to the stability of the cycle, and the book goes on by a day.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import pandas as pd

from strategy_pipeline.rng import derive_seed, generator

YEAR = 365
BARE = 0.8
RECENT = 10  # days whose draws a day's search holds
STABLE_DAYS = 30  # after which the stability of a strategy is measured again: its training span has grown by so much


class Year:
    """One market lived through day by day: the pool of all candidates so far, their returns, the book.

    A candidate is run once, over the whole history: its returns through a day do not depend on later bars. What a day reads of
    them ends on that day.
    """

    def __init__(self, world: Any, args: argparse.Namespace, market: int) -> None:
        from strategy_pipeline.book import Book
        from strategy_pipeline.selection import Gate

        self.world, self.args, self.market = world, args, market
        self.days = np.unique(np.asarray(world.bars.times).astype("datetime64[D]"))
        self.begin = len(self.days) - YEAR
        self.daily: dict[str, np.ndarray] = {}
        self.gross: dict[str, np.ndarray] = {}  # before costs, of those that got a look
        self.pool: dict[str, Any] = {}
        self.tried: set[str] = set()
        self.result: Any = None
        self.book, self.gate = Book(day=self.days[self.begin - 1].item()), Gate(resamples=200)
        self.stable: dict[str, tuple[int, float, float]] = {}
        self.validated: dict[str, int] = {}
        self.activated: dict[str, int] = {}

    def run(self, strategies: list[Any]) -> list[str]:
        """Adds strategies to the pool; returns the ids of those that ran."""
        from strategy_pipeline.backtest import backtest

        new = [strategy for strategy in strategies if strategy.id not in self.pool]
        if new:
            result = backtest(new, self.world.bars, series=self.world.series, workers=1)
            self.daily |= dict(zip(result.strategy_ids, result.daily_returns, strict=True))
            self.pool |= {strategy.id: strategy for strategy in new}
            self.result = self.result or result
        return [strategy.id for strategy in strategies if strategy.id in self.daily]

    def returns(self, ids: list[str], through: int) -> np.ndarray:
        """Daily returns of some through a day, (n_days, n_ids)."""
        return np.array([self.daily[sid][:through] for sid in ids]).T

    def drawn(self) -> list[list[str]]:
        """The draws of each day. They read no prices but those of the first day's training span."""
        from itertools import islice

        from strategy_pipeline.generation.population import request_of
        from strategy_pipeline.generation.systematic import SystematicGenerator
        from strategy_pipeline.selection import split_days

        past, known, families = self.training(split_days(self.begin + 1)[0].stop)
        count = YEAR * self.args.population
        seed = derive_seed(self.args.seed, "year", self.market) % 2**31
        request, _ = request_of(count, past, families, ["systematic"], seed, known, None)
        made = {s.id: s for s in islice(SystematicGenerator(bare=True).stream(request), round(BARE * count))}
        for strategy in SystematicGenerator().stream(request):
            if len(made) == count:
                break
            made.setdefault(strategy.id, strategy)
        ids = self.run(list(made.values()))
        # In an order of its own, so that each day sees all families and templates.
        order = generator(self.args.seed, "year", "order", self.market).permutation(len(ids))
        return [[ids[k] for k in part] for part in np.array_split(order, YEAR)]

    def training(self, stop: int) -> tuple[Any, dict[str, np.ndarray], list[str]]:
        """Bars and series through training day `stop`, exclusive, and the families that can be drawn there."""
        from strategy_pipeline.generation import skipped_families
        from strategy_pipeline.strategies import FAMILIES

        bars = self.world.bars.between(None, self.days[stop])
        known = {name: values[:, : bars.n_bars] for name, values in self.world.series.items()}
        skipped = skipped_families(bars, known)
        return bars, known, [family for family in FAMILIES if family not in skipped]

    def campaign(self, number: int, stop: int) -> tuple[list[str], set[str]]:
        """All ids of a campaign on the training span of a day, and those of its draws."""
        from strategy_pipeline.generation import SearchSettings, campaign

        past, known, families = self.training(stop)
        search = SearchSettings(values=known, record=lambda _, ids: self.tried.update(ids), workers=1)
        seed = derive_seed(self.args.seed, "year", "search", self.market, number) % 2**31
        made = campaign(self.args.trials, past, families, seed=seed, series=known, search=search)
        ids = self.run(list(made.strategies))
        self.tried.update(ids)
        return ids, set(made.draws)

    def day(self, number: int, members: list[str], draws: set[str]) -> None:
        """One look, at the day's search and what is watched, and the book."""
        from strategy_pipeline.selection import select, shortlist, split_days

        through = self.begin + number
        train, held_out = split_days(through)
        followed = [sid for sid in self.book.followed if sid in self.daily]
        members = list(dict.fromkeys([*members, *followed]))
        known = pd.DatetimeIndex(self.days[:through])
        values = self.returns(members, through)
        barred = self.book.barred(pd.DataFrame(values[train], index=known[train], columns=members))
        ids = [sid for sid in members if sid not in barred]
        values = values if len(ids) == len(members) else self.returns(ids, through)
        options: dict[str, Any] = {"ids": ids, "draws": draws & set(ids), "gate": self.gate}
        gross = self.before_costs(ids, shortlist(values[train], **options), through)
        options |= {
            "n_trials": max(len(self.tried), len(ids)), "gross": gross[held_out], "full": values, "n_blocks": 0, "seed": number,
        }  # fmt: skip
        found = select(values[train], values[held_out], **options)
        if found.promoted and self.args.paths:
            scores, stressed = self.stability(found.promoted, number, train)
            found = select(values[train], values[held_out], robustness=scores, stressed_sharpe=stressed, **options)
        looked = [item.strategy_id for item in found.evidence]
        paper = {sid: self.daily[sid][:through] for sid in dict.fromkeys([*followed, *looked])}
        self.book, moved = self.book.advance(
            self.days[through - 1].item(), evidence=found.evidence, paper_returns=pd.DataFrame(paper, index=known), seed=self.market
        )
        for move in moved.to_dict("records"):
            if move["to_state"] == "validated":
                self.validated.setdefault(move["strategy_id"], number)
            elif move["to_state"] == "active":
                self.activated.setdefault(move["strategy_id"], number)

    def before_costs(self, ids: list[str], looked: list[str], through: int) -> np.ndarray:
        """Daily returns with every charge waived through a day, (n_days, n_ids), of those that get a look; NaN for the others."""
        from strategy_pipeline.audit.promotions import before_costs

        new = [sid for sid in looked if sid not in self.gross]
        self.gross |= dict(zip(new, before_costs(self.result, [self.pool[sid] for sid in new]), strict=True))
        found = np.full((through, len(ids)), np.nan)
        for sid in looked:
            found[:, ids.index(sid)] = self.gross[sid][:through]
        return found

    def stability(self, ids: tuple[str, ...], number: int, train: slice) -> tuple[dict[str, float], dict[str, float]]:
        """Monte Carlo score and stressed Sharpe ratio on training days, as the cycle's gate reads them."""
        from strategy_pipeline.audit.promotions import stability

        due = [sid for sid in ids if sid not in self.stable or number - self.stable[sid][0] >= STABLE_DAYS]
        if due:
            passed = [self.pool[sid] for sid in due]
            scores, stressed = stability(self.result, passed, self.args.paths, number, self.days[train.start], self.days[train.stop])
            self.stable |= {sid: (number, scores[sid], stressed[sid]) for sid in due}
        return {sid: self.stable[sid][1] for sid in ids}, {sid: self.stable[sid][2] for sid in ids}

    def lived(self) -> dict[str, Any]:
        """When anything was validated and became active, and whether it was the edge."""
        from strategy_pipeline.selection import split_days

        fresh = self.drawn()
        for number in range(1, YEAR + 1):
            if (number - 1) % self.args.every == 0:
                large, draws = self.campaign(number, split_days(self.begin + number)[0].stop)
            recent = [sid for day in fresh[max(0, number - RECENT) : number] for sid in day]
            self.tried.update(fresh[number - 1])
            self.day(number, list(dict.fromkeys([*large, *recent])), draws | set(recent))
        planted = len(self.world.daily)
        alike = {sid: self.likeness(sid) for sid in self.activated}
        edges = [number for sid, number in self.activated.items() if alike[sid] > 0.5]
        return {
            "validated": len(self.validated), "first_validated": min(self.validated.values(), default=None),
            "active": len(self.activated), "first_active": min(self.activated.values(), default=None),
            "first_edge": min(edges, default=None), "beside": sum(value <= 0.5 for value in alike.values()) if planted else 0,
            "trials": len(self.tried),
        }  # fmt: skip

    def likeness(self, sid: str) -> float:
        """Correlation of its daily returns with the planted rule's over the whole history; 0 on a null market."""
        return float(np.corrcoef(self.daily[sid], self.world.daily)[0, 1]) if len(self.world.daily) else 0.0


def print_year(found: list[dict[str, Any]], *, planted: bool) -> None:
    """The counts with exact intervals."""
    from strategy_pipeline.selection import clopper_pearson

    n = len(found)
    print(f"{n} markets; validated on average {np.mean([item['validated'] for item in found]):.1f} strategies a market")
    name = "first_edge" if planted else "first_active"
    for limit in (60, 120, 365):
        hits = sum(item[name] is not None and item[name] <= limit for item in found)
        low, high = clopper_pearson(hits, n)
        what = "the edge active" if planted else "anything active"
        print(f"{what} within {limit} days: {hits} of {n} ({low:.1%} to {high:.1%})")
