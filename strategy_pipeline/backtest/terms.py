"""The terms of a run: costs by bar, what holding costs, where orders fill and how late.

What belongs here: checking what the caller gave, and laying it out by symbol and bar for the kernels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from strategy_pipeline.backtest.costs import Costs
from strategy_pipeline.errors import SettingsError

if TYPE_CHECKING:
    from strategy_pipeline.backtest.arena import Arena
    from strategy_pipeline.market import Bars

FILLS = ("next_open", "close")
LATEST = 10_000  # bars


@dataclass(frozen=True, slots=True)
class Terms:
    """What every fill and every held bar of a run costs, as arrays by symbol and bar, read-only.

    slips : float64 (n_symbols, n_bars), slippage as a fraction of price, before impact
    carry : float64 (2, n_symbols, n_bars), what a unit held long, and one held short, pays at the opening of each bar, in
        quote units; (2, n_symbols, 0) where holding is free
    funding : float64 (n_symbols, n_bars), the rates, or None
    """

    costs: Costs
    fill: str
    delay: int
    slips: np.ndarray
    carry: np.ndarray
    funding: np.ndarray | None

    @property
    def at_close(self) -> bool:
        return self.fill == "close"

    @property
    def traced(self) -> bool:
        """Whether positions must be followed bar by bar: holding costs, or an exit may take several bars."""
        return self.carry.shape[2] > 0 or self.costs.participation is not None


def make_terms(
    arena: Arena, costs: Costs, fill: str, delay: int = 0, funding: Any = None, series: Mapping[str, np.ndarray] | None = None
) -> Terms:
    """Check and lay out. `funding` is a name in `series`, an array (n_symbols, n_bars), or None.

    Raises
    ------
    SettingsError
        An unknown fill, a delay that is no whole number of bars, funding of another shape or a rate beyond 100 %.
    """
    from strategy_pipeline.backtest.arena import frozen
    from strategy_pipeline.market.timeframes import bars_per_year

    if fill not in FILLS:
        raise SettingsError(f"Expected fill of {', '.join(FILLS)}, was {fill!r}; choose one")
    if isinstance(delay, bool) or not isinstance(delay, (int, np.integer)) or not 0 <= delay <= LATEST:
        raise SettingsError(f"Expected delay as a whole number of bars from 0 to {LATEST}, was {delay!r}; correct it")
    rates = _funding(arena.bars, funding, series)
    borrow = costs.borrow_annual / bars_per_year(arena.bars.timeframe)
    n_symbols, n_bars = arena.marks.shape
    carry = np.zeros((2, n_symbols, 0))
    if rates is not None or borrow > 0:
        paid = np.zeros((n_symbols, n_bars)) if rates is None else np.nan_to_num(rates)
        before = np.zeros((n_symbols, n_bars))
        before[:, 1:] = np.nan_to_num(arena.marks[:, :-1])
        carry = np.stack([before * paid, before * (borrow - paid)])
    return Terms(costs, fill, int(delay), frozen(costs.slips(arena.marks)), frozen(carry), rates)


def _funding(bars: Bars, funding: Any, series: Mapping[str, np.ndarray] | None) -> np.ndarray | None:
    if funding is None:
        return None
    if isinstance(funding, str):
        if funding not in (series or {}):
            raise SettingsError(
                f"Expected funding as a name in series ({', '.join(series or {}) or 'none given'}), was {funding!r}; add it"
            )
        funding = (series or {})[funding]
    rates = np.array(funding, dtype=np.float64)
    if rates.shape != bars.close.shape:
        raise SettingsError(
            f"Expected funding of shape {bars.close.shape} (symbols, bars), was {rates.shape}; `funding_rates` lays observations out"
        )
    wild = np.isinf(rates) | (np.abs(rates) >= 1)
    if wild.any():
        s, t = (int(part[0]) for part in np.nonzero(wild))
        raise SettingsError(
            f"Expected funding as fractions of notional below 1 (NaN is none), was {rates[s, t]} of {bars.symbols[s]} at {bars.times[t]}; "
            "0.01% is 0.0001"
        )
    rates.flags.writeable = False
    return rates


def funding_rates(bars: Bars, observations: pd.DataFrame) -> np.ndarray:
    """Settled funding (columns ts, symbol, rate) laid out for `backtest(funding=)`: float64 (n_symbols, n_bars), NaN is none.

    A rate is charged at the first bar that opens at or after its timestamp; several that fall to one bar (days hold three)
    are added up. Symbols that the bars do not hold are left out, and so is what was settled before the first bar's open.
    """
    rates = np.full(bars.close.shape, np.nan)
    row = {symbol: s for s, symbol in enumerate(bars.symbols)}
    known = observations[observations["symbol"].isin(list(row)) & observations["rate"].notna()]
    stamps = pd.DatetimeIndex(pd.to_datetime(known["ts"], utc=True)).tz_convert(None).to_numpy().astype("datetime64[ns]")
    times = np.asarray(bars.times)
    at = np.searchsorted(times, stamps, side="left")
    inside = (at < len(times)) & (stamps >= times[0])
    s, t = known["symbol"].map(row).to_numpy(dtype=np.int64)[inside], at[inside]
    rates[s, t] = 0.0
    np.add.at(rates, (s, t), known["rate"].to_numpy(dtype=np.float64)[inside])
    return rates
