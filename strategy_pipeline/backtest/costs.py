"""What trading costs.

What belongs here: the frozen record of fees and slippage that the engines, the agents' environments and
the risk rooms share. What does not: how a fill is made (that is the engines').
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from strategy_pipeline.backtest.reference import WORST_SLIP
from strategy_pipeline.errors import SettingsError

VOLATILITY_BARS = 24


@dataclass(frozen=True, slots=True)
class Costs:
    """Costs of one side of a trade, in basis points (1 bp = 0.01 %).

    fee_bps
        Fee on the notional of every fill.
    slippage_bps
        Adverse move of the price of every market fill: buys pay ``price * (1 + s)``, sells get
        ``price * (1 - s)``. Targets are limit orders and pay none, unless `market_targets`.
    market_targets
        Fill targets as market orders, with slippage and taker fee, as some other engines do.
    maker_fee_bps
        Fee of targets filled as limit orders; None is `fee_bps`.
    slippage_volatility
        Times the mean absolute return of the `VOLATILITY_BARS` bars before the fill: added to the slippage.
    impact
        Times the square root of a fill's notional over its bar's traded value (Almgren et al. 2005 find a root near
        this): added to the slippage, which is at most 50 %; at a bar without traded value it is that.
    capital
        Quote units that an equity of 1 stands for; what impact, lot and minimum notional are measured in.
    lot
        Base units a position is rounded down to a multiple of; 0 is none.
    min_notional
        Quote units below which an entry lapses.
    participation
        Share of a bar's traded value that an order gets there at most, at `capital`: what is left of an entry is cancelled,
        of an exit goes on at the next bars. None is no cap.
    borrow_annual
        Yearly interest on what a short is worth, as a fraction, paid at the opening of each bar it is held into.

    Raises
    ------
    SettingsError
        A cost is negative, not finite, or 10,000 bp and more.
    """

    fee_bps: float = 10.0
    slippage_bps: float = 5.0
    market_targets: bool = False
    maker_fee_bps: float | None = None
    slippage_volatility: float = 0.0
    impact: float = 0.0
    capital: float = 10_000.0
    lot: float = 0.0
    min_notional: float = 0.0
    participation: float | None = None
    borrow_annual: float = 0.0

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            optional = value is None and name in ("maker_fee_bps", "participation")
            if not optional and not isinstance(value, (bool, np.bool_) if name == "market_targets" else (int, float, np.number)):
                raise SettingsError(
                    f"Expected {name} as {'a switch' if name == 'market_targets' else 'a number'}, was {value!r}; correct it"
                )
        if self.participation is not None and not 0 < self.participation <= 1:
            raise SettingsError(f"Expected participation above 0 and at most 1, was {self.participation!r}; None is no cap")
        for name in ("slippage_volatility", "impact", "capital", "lot", "min_notional", "borrow_annual"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0 and (value > 0 or name != "capital")):
                raise SettingsError(f"Expected {name} as a number of at least 0 (capital above it), was {value!r}; correct it")
        for name in ("fee_bps", "slippage_bps", "maker_fee_bps"):
            value = getattr(self, name)
            if value is None and name == "maker_fee_bps":
                continue
            if not math.isfinite(value) or not 0 <= value < 10_000:
                raise SettingsError(f"Expected {name} from 0 to below 10000 basis points, was {value!r}; give it per side")

    def waived(self) -> Costs:
        """The same terms with every charge waived: no fee, slippage, impact or interest. What limits an order (lot, least notional,
        participation) stays, so that the same trades are made."""
        return replace(self, fee_bps=0.0, slippage_bps=0.0, maker_fee_bps=None, slippage_volatility=0.0, impact=0.0, borrow_annual=0.0)

    @property
    def fee(self) -> float:
        """Fee per side as a fraction of notional."""
        return self.fee_bps * 1e-4

    @property
    def slippage(self) -> float:
        """Slippage per side as a fraction of price."""
        return self.slippage_bps * 1e-4

    @property
    def table(self) -> np.ndarray:
        """What the engines read: fee and maker fee (fractions), impact, capital, lot, minimum notional, participation (0 is no
        cap); float64 (7,)."""
        maker = self.fee if self.maker_fee_bps is None else self.maker_fee_bps * 1e-4
        return np.array([self.fee, maker, self.impact, self.capital, self.lot, self.min_notional, self.participation or 0.0])

    def slips(self, marks: np.ndarray) -> np.ndarray:
        """Slippage as a fraction of price at each bar, before impact; float64, the shape of `marks` (n_symbols, n_bars).

        A bar's volatility is that of the closes before it, so the open of the bar can pay it.
        """
        out = np.full(marks.shape, self.slippage)
        if self.slippage_volatility > 0:
            moves = np.zeros(marks.shape)
            moves[:, 1:] = np.nan_to_num(np.abs(marks[:, 1:] / marks[:, :-1] - 1))
            for t in range(1, marks.shape[1]):
                out[:, t] += self.slippage_volatility * moves[:, max(0, t - VOLATILITY_BARS) : t].mean(axis=1)
            np.minimum(out, WORST_SLIP, out=out)
        return out
