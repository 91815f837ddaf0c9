"""The fast engine: bank, bit-packed conditions, rules, event walk, streaming metrics.

What belongs here: the order of work for a population. Each distinct series and literal is computed once;
strategies go through in blocks whose bit rows fit a fixed budget, and through a block in tiles, one thread a
tile. A strategy's numbers depend on nothing but itself and the bars, so neither blocks, tiles nor threads
change a bit of the result.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from strategy_pipeline.backtest import bits, tile, touch, walk
from strategy_pipeline.backtest.arena import Arena, frozen, make_arena
from strategy_pipeline.backtest.costs import Costs
from strategy_pipeline.backtest.express import run_express
from strategy_pipeline.backtest.metrics import HEADLINE_METRICS, METRICS
from strategy_pipeline.backtest.plan import RULES, Plan, make_plan
from strategy_pipeline.backtest.ranges import Ranges, no_tables, range_tables
from strategy_pipeline.backtest.result import BacktestResult
from strategy_pipeline.backtest.source import Source
from strategy_pipeline.backtest.streaming import N_SUMS
from strategy_pipeline.backtest.terms import Terms, make_terms
from strategy_pipeline.compute import map_shards, worker_count
from strategy_pipeline.errors import SettingsError, StrategyError
from strategy_pipeline.indicators import Bank
from strategy_pipeline.market import Bars
from strategy_pipeline.strategies import Strategy

BANK_BYTES = 1536 << 20  # series alive at once, at most: what nobody needs any more goes before
WAVE_BYTES = 1 << 30  # bit rows alive at once; what two waves share is computed in each
TOUCH_BYTES = 64 << 20  # tables of touches
TABLE_USES = 64  # strategies with the same levels from which a table of touches pays


def backtest(
    strategies: Sequence[Strategy],
    bars: Bars,
    *,
    costs: Costs | None = None,
    fill: str = "next_open",
    series: Mapping[str, np.ndarray] | None = None,
    start: Any = None,
    end: Any = None,
    metrics: Sequence[str] | None = None,
    workers: int = 0,
    funding: str | np.ndarray | None = None,
    delay: int = 0,
    bank: Bank | None = None,
) -> BacktestResult:
    """Run a population of strategies on bars; semantics as in `reference`.

    Parameters
    ----------
    strategies : Strategy objects (any iterable of them, or one); equal ones count once. ``on *`` runs on every symbol, others on theirs.
    bars : Bars, of the strategies' timeframe
    costs : None is ``Costs()``: 10 bp fee and 5 bp slippage a side
    fill : ``next_open`` (decide at the close of t, fill at the open of t + 1) or ``close`` (fill at that close)
    series : named series, e.g. ``{"forecast.return_24h": array of shape (n_symbols, n_bars)}``
    start, end : half-open range of bar opens in which to trade; indicators warm up on the bars before
    metrics : the columns of ``.metrics`` wanted; None is every name of `METRICS`. Where all are among
        `HEADLINE_METRICS`, only their sums are computed, for all-in positions in a few look-ups a trade, and the rest
        (``.daily_returns``, ``.pooled``, ``.summary``) by a second run when first asked for. The numbers are the same to
        rounding.
    workers : threads; 0 is one per core. Results do not depend on it.
    funding : rates that positions pay at the opening of a bar, as fractions of their value there, positive where longs pay:
        float64 (n_symbols, n_bars) or a name in `series`; NaN and None are none. `terms.funding_rates` makes it of observations
    delay : bars later that what signals decide fills (a stress of latency); levels and sizes are those of the decision
    bank : of these bars and `series`, kept by the caller for runs to come; what it has computed is not computed again. None makes one

    Raises
    ------
    StrategyError
        The population is empty. What is wrong with a single strategy is in ``.failures`` instead.
    SettingsError, NoDataError, InvalidBarsError
        An unknown fill or metric, funding or a delay that cannot be; an empty range; half-missing or non-positive prices.
    """
    strategies = _population(strategies)
    _expect(Bars, bars, "bars", "Bars.read or Bars.from_frame make them")
    _expect((Costs, type(None)), costs, "costs", "write Costs(fee_bps=10, slippage_bps=5)")
    if not strategies:
        raise StrategyError("Expected at least one strategy, was none; nothing to backtest; generate or parse some first")
    unknown = [metrics] if isinstance(metrics, str) else [name for name in metrics or () if name not in METRICS]
    if unknown:
        raise SettingsError(f"Expected metrics as a list of names among {', '.join(METRICS)}, was {unknown[0]!r}; correct it")
    full = not metrics or not set(metrics) <= set(HEADLINE_METRICS)
    costs = costs or Costs()
    arena = make_arena(bars, start, end)
    terms = make_terms(arena, costs, fill, delay, funding, series)
    plan = make_plan(strategies, bars.symbols, bars.timeframe)
    if bank is None:
        bank = Bank(bars, series=series, workers=workers, max_bytes=BANK_BYTES)
    elif bank.bars is not bars or not bank.holds(series):
        raise SettingsError("Expected a bank of the bars and series given, was one of others; signals would be theirs; make it of these")
    run = _Run(arena, terms, bank, full, workers)
    sums, daily = run.simulate(plan)
    return BacktestResult(
        dict(zip(plan.ids, plan.strategies, strict=True)), plan.failures, arena, sums, daily, plan.applies, terms, series, (start, end),
        tuple(metrics or METRICS),
    )  # fmt: skip


def capture(strategy: Strategy, arena: Arena, terms: Terms, series: Any) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """The trades of one strategy on each symbol, as `tile.capture` gives them; on every symbol, also those it does not name."""
    bars = arena.bars
    plan = make_plan([strategy], bars.symbols, bars.timeframe)
    source = Source(Bank(bars, series=series, workers=1, max_bytes=BANK_BYTES), plan, np.zeros(1, dtype=bool))
    ((rows, number, aux),) = source.blocks(np.zeros(1, dtype=np.intp))
    ints, floats = (frozen(table) for table in plan.encode(rows, number))
    return [
        tile.capture(
            frozen(source.rows), source.steps(), frozen(plan.offsets), plan.depth, ints, floats, aux, bars.open,
            arena.high, arena.low, bars.close, arena.marks,
            arena.next_bar, arena.present, arena.spans, terms.costs.table, terms.slips, arena.traded_value, terms.carry, terms.traced,
            terms.at_close, terms.costs.market_targets, terms.delay, symbol,
        )
        for symbol in range(len(bars.symbols))
    ]  # fmt: skip


class _Run:
    """Simulating plans on one arena, on the same terms."""

    def __init__(self, arena: Arena, terms: Terms, bank: Bank, full: bool, workers: int) -> None:
        self.arena, self.terms, self.bank, self.full, self.workers = arena, terms, bank, full, workers
        n_symbols = len(arena.bars.symbols)
        self.ranges = no_tables(n_symbols) if full else range_tables(arena.marks, arena.benchmark, arena.spans[:, tile.SPAN_START :])
        self.n_days = len(arena.days) if full else 0
        costs = terms.costs
        fixed = costs.impact == 0 and costs.lot == 0 and costs.min_notional == 0 and costs.slippage_volatility == 0
        self.plain = not full and fixed and not terms.traced and terms.delay == 0

    def simulate(self, plan: Plan, plain: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """Sums (n, n_symbols, N_SUMS) and daily returns (n, n_days) of a plan's strategies; those that cannot run are dropped
        from it. `plain` is whether the express may take what it can."""
        parts = [self._wave(plan, rows, plain) for rows in self._waves(plan)]
        kept = np.concatenate([kept for kept, _, _ in parts]) if parts else np.zeros(0, dtype=np.intp)
        plan.keep(kept)
        if not parts:
            return np.zeros((0, len(self.arena.bars.symbols), N_SUMS)), np.zeros((0, self.n_days))
        if len(parts) == 1:
            return parts[0][1:]
        return np.concatenate([sums for _, sums, _ in parts]), np.concatenate([daily for _, _, daily in parts])

    def _waves(self, plan: Plan) -> list[np.ndarray]:
        """Strategies, in order, so many at a time that the bit rows they need fit WAVE_BYTES."""
        n_symbols, n_bars = self.arena.marks.shape
        most = max(1, WAVE_BYTES // max(1, n_symbols * -(-n_bars // 64) * 8))
        if len(plan.literals) <= most:
            return [np.arange(len(plan))] if len(plan) else []
        waves: list[np.ndarray] = []
        first, held = 0, set[int]()
        for row in range(len(plan)):
            own = set(plan.literals_of(plan.rules[row]).tolist())
            if row > first and len(held | own) > most:
                waves.append(np.arange(first, row))
                first, held = row, set()
            held |= own
        return [*waves, np.arange(first, len(plan))]

    def _wave(self, whole: Plan, rows: np.ndarray, plain: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        plan = whole if len(rows) == len(whole) else whole.part(rows)
        express = self._expressible(plan) if plain and self.plain else np.zeros(len(plan), dtype=bool)
        source = Source(self.bank, plan, express)
        fine = source.blame()
        if not fine.all():
            whole.failures.update(plan.failures)
        n, n_symbols = len(plan), len(self.arena.bars.symbols)
        sums = np.full((n, n_symbols, N_SUMS), np.nan)
        daily = np.zeros((n, self.n_days))
        chosen = np.flatnonzero(express & fine)
        if len(chosen):
            unsure = self._express(plan, source, chosen, sums)
            again = np.flatnonzero(unsure.any(axis=1))
            if len(again):
                sums[again] = self.simulate(plan.part(again), plain=False)[0]
        self._general(plan, source, np.flatnonzero(~express & fine), sums, daily)
        return rows[fine], sums[fine], daily[fine]

    def _expressible(self, plan: Plan) -> np.ndarray:
        """Strategies that are long only, of a fixed size, with levels in percent."""
        simple = (plan.kinds[:, :3] != walk.ATR).all(axis=1) & (plan.kinds[:, 3] == walk.NONE) & (plan.cooldown == 0)
        simple &= plan.against < 0
        return simple & (plan.rules[:, RULES.index("enter_short")] == 0) & ((plan.sizes == walk.ALL_IN) | (plan.sizes == walk.FRACTION))

    def _express(self, plan: Plan, source: Source, rows: np.ndarray, sums: np.ndarray) -> np.ndarray:
        """Fill the headline sums of some strategies; 1 where they do not suffice, uint8 (n, n_symbols)."""
        arena, terms, ranges = self.arena, self.terms, self.ranges
        bars = arena.bars
        n_symbols, n_bars = arena.marks.shape
        tops, bottoms = np.empty((2, *ranges.falls.shape))
        kinds, distances = plan.kinds[rows, : touch.N_LEVELS], plan.distances[rows, : touch.N_LEVELS]
        distances = np.where(kinds == walk.NONE, 0.0, distances)
        table_of = np.full(len(rows), -1, dtype=np.int64)
        levels = np.zeros((0, touch.N_LEVELS))
        if distances.any():
            touch.extremes(arena.high, arena.low, tops, bottoms)
            found = np.unique(distances, axis=0, return_inverse=True, return_counts=True)
            levels, place, uses = (np.asarray(part) for part in found)
            tabled = (uses >= TABLE_USES) & levels.any(axis=1)
            tabled &= np.cumsum(tabled) <= TOUCH_BYTES // max(1, 12 * arena.marks.size)
            table_of = np.where(tabled, np.cumsum(tabled) - 1, -1)[place.reshape(-1)]
            levels = levels[tabled]
        touch_bars = np.full((len(levels), n_symbols, n_bars), n_bars, dtype=np.int32)
        touch_prices = np.full((len(levels), n_symbols, n_bars), np.nan)

        def fill(cut: tuple[int, int, int, int]) -> None:
            table, s, first, stop = cut
            touch.fill_table(
                bars.open[s], arena.high[s], arena.low[s], bars.close[s], tops[s], bottoms[s], terms.at_close, levels[table], first, stop,
                touch_bars[table, s], touch_prices[table, s],
            )  # fmt: skip

        chunk = 8192
        map_shards(
            fill,
            [
                (table, s, t, min(t + chunk, n_bars))
                for table in range(len(levels))
                for s in range(n_symbols)
                for t in range(0, n_bars, chunk)
            ],
            workers=self.workers,
        )
        ints, floats = plan.encode(rows, np.zeros(max(1, len(plan.aux)), dtype=np.int64))
        unsure = np.zeros((len(plan), n_symbols), dtype=np.uint8)
        tables = tuple(frozen(table) for table in (touch_bars, touch_prices))
        fixed = tuple(map(frozen, (source.rows, source.planes, source.known, plan.steps, plan.offsets)))
        strategies = tuple(map(frozen, (ints, floats, rows, plan.applies)))
        filled = bits.pack(arena.next_bar[:, :-1] == np.arange(n_bars))
        prices = (bars.open, arena.high, arena.low, bars.close, arena.marks)
        market = tuple(map(frozen, (*prices, arena.next_bar, filled, arena.present, arena.spans)))
        reach = tuple(map(frozen, (*ranges, tops, bottoms, table_of)))
        literals, costs, slip = source.literals(), terms.costs, float(terms.costs.slippage)

        def run(cut: tuple[int, int, int]) -> None:
            run_express(
                literals, *fixed, plan.depth, *strategies, *market, *reach, *tables, costs.table[walk.FEE], costs.table[walk.MAKER], slip,
                terms.at_close, costs.market_targets, *cut, sums, unsure,
            )  # fmt: skip

        # A symbol at a time, whose prices and tables are then near, with as many strategies as leave every thread some.
        several = _cuts(len(rows), self.workers, n_symbols)
        map_shards(run, [(s, *cut) for s in range(n_symbols) for cut in several], workers=self.workers)
        return unsure

    def _general(self, plan: Plan, source: Source, rows: np.ndarray, sums: np.ndarray, daily: np.ndarray) -> None:
        """Fill the sums and daily returns of some strategies, whatever they are."""
        steps, stored = source.steps(), frozen(source.rows)
        for block, number, series in source.blocks(rows):
            ints, floats = plan.encode(block, number)
            tables = Tables(stored, steps, frozen(plan.offsets), plan.depth, frozen(ints), frozen(floats), series)
            run = partial(_run, self.arena, self.ranges, tables, self.terms, frozen(block), frozen(plan.applies), sums, daily)
            map_shards(run, _cuts(len(block), self.workers), workers=self.workers)


def _population(strategies: Any) -> Sequence[Strategy]:
    if isinstance(strategies, Strategy):
        return [strategies]
    if isinstance(strategies, (str, Mapping)) or not isinstance(strategies, Iterable):
        raise StrategyError(f"Expected strategies as a list of Strategy objects, was {type(strategies).__name__}; parse texts first")
    return list(strategies)


def _expect(kind: Any, found: object, field: str, remedy: str) -> None:
    if not isinstance(found, kind):
        name = kind.__name__ if isinstance(kind, type) else kind[0].__name__
        raise SettingsError(f"Expected {field} as {name}, was {type(found).__name__}; {remedy}")


def _cuts(n: int, workers: int, times: int = 1) -> list[tuple[int, int]]:
    """Ranges of n, each to be done `times` times: up to 64 at once, and enough that no thread waits long for another."""
    size = max(1, min(64 * times, -(-n * times // (4 * worker_count(workers)))))
    return [(first, min(first + size, n)) for first in range(0, n, size)]


@dataclass(frozen=True, slots=True)
class Tables:
    """A block of strategies as the kernels read it."""

    rows: np.ndarray
    steps: np.ndarray
    offsets: np.ndarray
    depth: int
    ints: np.ndarray
    floats: np.ndarray
    aux: np.ndarray


def _run(
    arena: Arena, ranges: Ranges, t: Tables, terms: Terms,
    rows: np.ndarray, applies: np.ndarray, sums: np.ndarray, daily: np.ndarray, cut: tuple[int, int],
) -> None:  # fmt: skip
    bars = arena.bars
    full = ranges[0].shape[1] == 0
    tile.run_tile(
        t.rows, t.steps, t.offsets, t.depth, t.ints, t.floats, rows, applies, t.aux, bars.open, arena.high, arena.low, bars.close,
        arena.marks, arena.log_marks, arena.benchmark, arena.benchmark_square, arena.traded_value, arena.next_bar, arena.present,
        arena.spans, arena.day_last, *ranges[:3], full, terms.costs.table, terms.slips, terms.carry, terms.traced, terms.at_close,
        terms.costs.market_targets, terms.delay, *cut, sums, daily,
    )  # fmt: skip
