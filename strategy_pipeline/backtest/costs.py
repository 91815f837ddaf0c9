"""What trading costs.

What belongs here: the frozen record of fees and slippage that the engines, the agents' environments and
the risk rooms share. What does not: how a fill is made (that is the engines').
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from strategy_pipeline.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Costs:
    """Costs of one side of a trade, in basis points (1 bp = 0.01 %).

    fee_bps
        Fee on the notional of every fill.
    slippage_bps
        Adverse move of the price of every market fill: buys pay ``price * (1 + s)``, sells get
        ``price * (1 - s)``. Targets are limit orders and pay none, unless `market_targets`.
    market_targets
        Fill targets as market orders, with slippage, as some other engines do.

    Raises
    ------
    SettingsError
        A cost is negative, not finite, or 10,000 bp and more.
    """

    fee_bps: float = 10.0
    slippage_bps: float = 5.0
    market_targets: bool = False

    def __post_init__(self) -> None:
        for name in ("fee_bps", "slippage_bps"):
            value = getattr(self, name)
            if not math.isfinite(value) or not 0 <= value < 10_000:
                raise SettingsError(f"Expected {name} from 0 to below 10000 basis points, was {value!r}; give it per side")

    @property
    def fee(self) -> float:
        """Fee per side as a fraction of notional."""
        return self.fee_bps * 1e-4

    @property
    def slippage(self) -> float:
        """Slippage per side as a fraction of price."""
        return self.slippage_bps * 1e-4
