"""Pairs worth trading against each other, and strategies on them.

`screen_pairs` looks at every two symbols of the bars given (the training span): cointegration of log prices (R. Engle,
C. Granger, 1987; p-values of J. MacKinnon, 2010, the smaller of both directions times two, then held to a false discovery
rate over all pairs: Y. Benjamini, D. Yekutieli, 2001), the half-life of their ratio's deviations, and whether the hedge ratio
is the same in both halves. The language trades equal notionals, so the ratio that must revert is the plain one of both prices.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from strategy_pipeline.errors import StrategyError
from strategy_pipeline.generation.protocol import Request
from strategy_pipeline.generation.streams import Counted
from strategy_pipeline.generation.template import Sentence, Slot, Template, choices, levels
from strategy_pipeline.generation.variants import PAIR_RISKS, SIDES, Risk
from strategy_pipeline.market import Bars
from strategy_pipeline.rng import generator
from strategy_pipeline.strategies.strategy import Size, Strategy
from strategy_pipeline.strategies.validation import problems

COLUMNS = ("symbol", "against", "points", "p_value", "adjusted", "half_life", "hedge", "drift", "passed", "reason")
_POINTS = 1000  # at most, evenly spaced: unit-root tests of tens of thousands of bars gain nothing
_FEWEST = 100
_LAGS = 1
_FAMILY = "cross_asset"


@dataclass(frozen=True)
class Screen:
    """What a pair must meet. level: false discovery rate over pairs; half_life: least and most bars; drift: most by which the hedge
    ratio of the second half differs from the first, as a share of the whole's; hedge: least and most of it, since notionals are equal."""

    level: float = 0.10
    half_life: tuple[float, float] = (4.0, 500.0)
    drift: float = 0.75
    hedge: tuple[float, float] = (0.33, 3.0)


def screen_pairs(bars: Bars, screen: Screen | None = None) -> pd.DataFrame:
    """Every pair of symbols, the ones that pass first and by p-value: columns `COLUMNS`.

    points
        Sampled bars on which both have a price. half_life: in bars, inf where deviations do not revert. hedge: slope of the log
        price of `symbol` on that of `against`. drift: see `Screen`. reason: why it does not pass, empty where it does. NaN where
        there are too few points. StrategyError for fewer than two symbols.
    """
    if bars.n_symbols < 2:
        raise StrategyError(f"Expected at least two symbols to screen for pairs, was {bars.n_symbols}; give more symbols.")
    screen = screen or Screen()
    stride = max(1, bars.n_bars // _POINTS)
    logs = np.log(bars.close[:, ::stride])
    rows = [_measured(logs[i], logs[j], bars.symbols[i], bars.symbols[j], stride) for i, j in combinations(range(bars.n_symbols), 2)]
    frame = pd.DataFrame(rows)
    frame["adjusted"] = _discovery_rate(frame["p_value"].to_numpy())
    frame["reason"] = [_reason(row, screen) for row in frame.itertuples()]
    frame["reason"] = frame["reason"].astype("str")
    frame["passed"] = frame["reason"] == ""
    frame = frame.sort_values(["passed", "p_value", "symbol", "against"], ascending=[False, True, True, True], ignore_index=True)
    return frame[list(COLUMNS)]


def _measured(x: NDArray[np.float64], y: NDArray[np.float64], one: str, other: str, stride: int) -> dict[str, Any]:
    both = np.isfinite(x) & np.isfinite(y)
    x, y = x[both], y[both]
    found: dict[str, Any] = {"symbol": one, "against": other, "points": int(both.sum())}
    if len(x) < _FEWEST or np.ptp(x) == 0 or np.ptp(y) == 0:
        return found | dict.fromkeys(("p_value", "half_life", "hedge", "drift"), math.nan)
    hedge = _slope(x, y)
    half = len(x) // 2
    apart = abs(_slope(x[:half], y[:half]) - _slope(x[half:], y[half:]))
    return found | {
        "p_value": min(1.0, 2 * min(_cointegration(x, y), _cointegration(y, x))),
        "half_life": half_life(x - y) * stride,
        "hedge": hedge,
        "drift": apart / abs(hedge) if hedge else math.inf,
    }


def _slope(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    centred = y - y.mean()
    spread = float(centred @ centred)
    return float(centred @ (x - x.mean())) / spread if spread > 0 else math.nan


def _cointegration(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    from arch.unitroot.cointegration import engle_granger

    return float(engle_granger(x, y, trend="c", lags=_LAGS).pvalue)


def half_life(spread: NDArray[np.float64]) -> float:
    """Points after which half of a deviation is gone, by the autoregression of order 1; inf where it does not revert."""
    keep = 1.0 + _slope(np.diff(spread), spread[:-1])
    if not keep < 1.0:
        return math.inf
    return -math.log(2.0) / math.log(keep) if keep > 0 else 0.0


def _discovery_rate(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Adjusted p-values of Benjamini and Yekutieli, which hold under any dependence; NaN stays."""
    from scipy.stats import false_discovery_control

    out = np.full(len(p), np.nan)
    known = np.isfinite(p)
    if known.any():
        out[known] = false_discovery_control(p[known], method="by")
    return out


def _reason(row: Any, screen: Screen) -> str:
    if not math.isfinite(row.p_value):
        return f"fewer than {_FEWEST} points with both prices that move"
    if row.adjusted > screen.level:
        return f"not cointegrated: adjusted p-value {row.adjusted:.3f} above {screen.level:g}"
    if not screen.half_life[0] <= row.half_life <= screen.half_life[1]:
        return f"half-life of {row.half_life:.0f} bars outside {screen.half_life[0]:g} to {screen.half_life[1]:g}"
    if not screen.hedge[0] <= row.hedge <= screen.hedge[1]:
        return f"hedge ratio {row.hedge:.2f} too far from equal notionals"
    if row.drift > screen.drift:
        return f"hedge ratio moved by {row.drift:.0%} between halves"
    return ""


class PairsGenerator:
    """Reversion of screened pairs, the best pair first, pairs in turn; empty where none passes, or cross_asset is not asked for."""

    name = "pairs"

    def __init__(self, screen: Screen | None = None) -> None:
        self.screen = screen or Screen()

    def stream(self, request: Request, state: dict[str, Any] | None = None) -> Counted:
        """Strategies with `against`, lengths around each pair's half-life."""
        return Counted(self.name, self._stream(request), state)

    def _stream(self, request: Request) -> Iterator[Strategy]:
        if _FAMILY not in request.families or request.bars.n_symbols < 2:
            return
        table = screen_pairs(request.bars, self.screen)
        chosen = table[table["passed"]]
        columns = (chosen[name].tolist() for name in ("symbol", "against", "half_life"))
        turns = [_on_pair(request, str(symbol), str(against), float(half)) for symbol, against, half in zip(*columns, strict=True)]
        while turns:
            for source in list(turns):
                strategy = next(source, None)
                if strategy is None:
                    turns.remove(source)
                else:
                    yield strategy


def _template(half: float) -> Template:
    """Reversion measured over two to eight half-lives, entered beyond a width and left at a part of it."""
    spans = sorted({int(min(max(round(half * factor), 12), 1000)) for factor in (2, 3, 4, 6, 8)})
    return Template(
        "screened_pair", _FAMILY,
        "zscore(log(close / close@<reference>), {length}) < -{width}", "zscore(log(close / close@<reference>), {length}) > {width}",
        "zscore(log(close / close@<reference>), {length}) > -{back}", "zscore(log(close / close@<reference>), {length}) < {back}",
        (Slot("length", tuple(map(float, spans))), levels("width", 1.2, 3.0, 0.3), choices("back", 0, 0.5)), filtered=False, pair=True,
    )  # fmt: skip


def _on_pair(request: Request, symbol: str, against: str, half: float) -> Iterator[Strategy]:
    template = _template(half)
    sentence = Sentence(template, {"reference": against})
    patience: tuple[int | None, ...] = (None, *sorted({max(2, round(half * factor)) for factor in (2, 4)}))
    sizes = (Size("all_in"), Size("volatility_target", 0.2))
    sides = tuple(dict.fromkeys(SIDES))
    risks: tuple[Risk, ...] = tuple(dict.fromkeys(PAIR_RISKS))
    axes = [*(len(slot.values) for slot in template.slots), len(sides), len(risks), len(patience), len(sizes)]
    seen: set[str] = set()
    for index in generator(request.seed, "pairs", symbol, against).permutation(math.prod(axes)):
        point = [int(k) for k in np.unravel_index(int(index), axes)]
        numbers = template.numbers({slot.name: slot.values[k] for slot, k in zip(template.slots, point[:3], strict=True)})
        rules = {f"{verb}_{side}": sentence.rule(f"{verb}_{side}", numbers) for side in sides[point[3]] for verb in ("enter", "exit")}
        risk = risks[point[4]]
        strategy = Strategy(
            _FAMILY, (symbol,), request.bars.timeframe, **rules, stop=risk.stop, take=risk.take, trail=risk.trail,
            breakeven=risk.breakeven, cooldown=risk.cooldown, hold=patience[point[5]], size=sizes[point[6]], against=against,
        )  # fmt: skip
        if strategy.id not in seen and not problems(strategy, request.series):
            seen.add(strategy.id)
            yield strategy
