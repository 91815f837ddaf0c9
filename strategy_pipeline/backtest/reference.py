"""The reference engine: the semantics of a backtest, bar by bar, in plain Python.

What belongs here: the text that the fast engine must equal, trade for trade. It is slow on purpose; read
`simulate` from top to bottom and you know what a backtest of this library is.

Rules the text settles where the design is silent:

- A bar is missing when its prices are NaN. Nothing is decided at a missing bar and nothing fills in it.
- Long and short entry true at the same bar (after suppression by their own exits) cancel each other.
- An entry that needs an ATR or a volatility that is NaN or not positive at the decision bar lapses.
- With ``fill="close"`` a bar that filled an exit fills no entry (one order a bar).
- An exit by signal and a time stop due at the same open count as the signal.
- Equity is looked at after each exit and at each close; at or below zero it becomes zero for good.
- Kelly from closed trades: ``K = p - (1 - p) / (average win / average loss)`` of net returns on notional (Kelly
  1956), staked as ``value * K`` within [KELLY_PROBE, 1]; KELLY_PROBE alone until KELLY_TRADES have closed, and where
  K is not positive, so that the record goes on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

KELLY_TRADES = 20
WORST_SLIP = 0.5  # whatever the impact
KELLY_PROBE = 0.01
REASONS = ("open", "signal", "stop", "trail", "take", "time", "delisted", "ruined")


@dataclass(frozen=True, slots=True)
class Market:
    """One symbol's bars as lists of floats; NaN is no bar."""

    open: Sequence[float]
    high: Sequence[float]
    low: Sequence[float]
    close: Sequence[float]


@dataclass(frozen=True, slots=True)
class Distance:
    """A stop, target or trail: a fraction of the fill price, or a multiple of `atr` at the decision bar."""

    value: float
    atr: Sequence[float] | None = None

    def known(self, decision: int) -> bool:
        return self.atr is None or self.atr[decision] > 0

    def level(self, price: float, direction: int, decision: int) -> float:
        """The price at this distance above (1) or below (-1) `price`."""
        return price * (1 + direction * self.value) if self.atr is None else price + direction * self.value * self.atr[decision]


@dataclass(frozen=True, slots=True)
class Rules:
    """What one strategy says on one symbol: signals that are true (not false, not unknown) and its exits."""

    enter_long: Sequence[bool]
    enter_short: Sequence[bool]
    exit_long: Sequence[bool]
    exit_short: Sequence[bool]
    stop: Distance | None = None
    take: Distance | None = None
    trail: Distance | None = None
    hold: int | None = None
    size: str = "all_in"
    size_value: float = 1.0
    sigma: Sequence[float] | None = None
    breakeven: Distance | None = None
    cooldown: int | None = None


@dataclass(frozen=True, slots=True)
class Charges:
    """`Costs` on one symbol: `slips` and `traded_value` by bar, the rest as there, as fractions."""

    fee: float
    maker: float
    impact: float
    capital: float
    lot: float
    min_notional: float
    slips: Sequence[float]
    traded_value: Sequence[float]
    market_targets: bool = False

    def slip(self, bar: int, notional: float) -> float:
        """Slippage of a market fill of `notional`, in units of the starting equity."""
        slip = self.slips[bar]
        if self.impact > 0:
            value = self.traded_value[bar]
            slip = min(WORST_SLIP, slip + self.impact * math.sqrt(notional * self.capital / value)) if value > 0 else WORST_SLIP
        return slip


@dataclass(slots=True)
class Trade:
    """One position. Bars are indices; prices include slippage; `pnl` is net of fees, marked where open."""

    side: int  # 1 long, -1 short
    decision_bar: int
    entry_bar: int
    entry_price: float
    size: float
    equity_before: float
    cash: float  # after the entry: equity while held is cash + side * size * close
    exit_bar: int = -1
    exit_price: float = math.nan
    equity_after: float = math.nan
    reason: str = "open"
    ruined: bool = False

    @property
    def pnl(self) -> float:
        return self.equity_after - self.equity_before

    @property
    def net_return(self) -> float:
        return self.pnl / (self.size * self.entry_price)


def simulate(market: Market, rules: Rules, charges: Charges, fill: str, first: int, stop: int) -> tuple[list[Trade], list[float]]:
    """Trades of one strategy on one symbol, and its equity at every close of bars [first, stop), from 1 unit."""
    present = [not any(math.isnan(field[t]) for field in (market.open, market.high, market.low, market.close)) for t in range(stop)]
    last = max((t for t in range(len(market.close)) if not math.isnan(market.close[t])), default=-1)
    delisting = last if last < len(market.close) - 1 else None
    at_close = fill == "close"

    trades: list[Trade] = []
    equity: list[float] = []
    money = 1.0  # equity while flat
    held: Trade | None = None
    pending = ""  # why the position leaves at the next open
    order: tuple[int, int] | None = None  # (side, decision bar) of the entry to fill at this bar's open
    base = peak = mark = 0.0
    resting = first  # no entry is decided before this bar
    fee = charges.fee

    def enter(side: int, decision: int, bar: int, price: float) -> Trade | None:
        nonlocal base, peak
        weight = stake(rules, trades, decision)
        if money <= 0 or not weight > 0:
            return None
        for distance in (rules.stop, rules.take, rules.trail, rules.breakeven):
            if distance is not None and not distance.known(decision):
                return None
        slip = charges.slip(bar, weight * money)
        paid = price * (1 + slip) if side > 0 else price * (1 - slip)
        size = weight * money / (1 + fee) / paid
        if charges.lot > 0:
            size = math.floor(size * charges.capital / charges.lot) * charges.lot / charges.capital
        if not size > 0 or size * paid * charges.capital < charges.min_notional:
            return None
        cash = money - size * paid * (1 + fee) if side > 0 else money + size * paid * (1 - fee)
        base = peak = price
        trade = Trade(side, decision, bar, paid, size, money, cash)
        trades.append(trade)
        return trade

    def leave(trade: Trade, bar: int, price: float, reason: str, limit: bool = False) -> None:
        nonlocal money, held, pending, resting
        slip, fee = (0.0, charges.maker) if limit else (charges.slip(bar, trade.size * price), charges.fee)
        got = price * (1 - slip) if trade.side > 0 else price * (1 + slip)
        if trade.side > 0:
            money = trade.cash + trade.size * got * (1 - fee)
        else:
            money = trade.cash - trade.size * got * (1 + fee)
        trade.ruined = money <= 0
        money = max(money, 0.0)
        trade.exit_bar, trade.exit_price, trade.equity_after, trade.reason = bar, got, money, reason
        held, pending = None, ""
        if rules.cooldown is not None and money < trade.equity_before:
            resting = bar + rules.cooldown

    for t in range(first, stop):
        filled_exit = False
        if present[t]:
            o, h, low, c = market.open[t], market.high[t], market.low[t], market.close[t]
            # 1. The open: exits decided before, time stops, then entries decided at the close of t-1.
            if held is not None:
                timed = rules.hold is not None and t >= held.entry_bar + rules.hold
                if pending or timed:
                    leave(held, t, o, pending or "time")
                    filled_exit = True
            if order is not None and order[1] == t - 1:
                held = enter(*order, t, o)
            # 2. Within the bar: the stop (the nearer of fixed and trailing) before the target.
            if held is not None:
                side, d = held.side, held.decision_bar
                level, name = -math.inf * side, ""
                if rules.stop is not None:
                    level, name = rules.stop.level(base, -side, d), "stop"
                if (
                    rules.breakeven is not None
                    and side * peak >= side * rules.breakeven.level(base, side, d)
                    and side * base > side * level
                ):
                    level, name = base, "stop"
                if rules.trail is not None:
                    trailing = rules.trail.level(peak, -side, d)
                    if side * trailing > side * level:
                        level, name = trailing, "trail"
                target = None if rules.take is None else rules.take.level(base, side, d)
                if name and (low <= level if side > 0 else h >= level):
                    leave(held, t, min(o, level) if side > 0 else max(o, level), name)
                    filled_exit = True
                elif target is not None and (h >= target if side > 0 else low <= target):
                    leave(held, t, max(o, target) if side > 0 else min(o, target), "take", not charges.market_targets)
                    filled_exit = True
                peak = max(peak, h) if side > 0 else min(peak, low)
            # 3. The close: decide; at close fill, fill.
            exit_now = held is not None and (rules.exit_long if held.side > 0 else rules.exit_short)[t]
            if held is not None and exit_now and at_close:
                leave(held, t, c, "signal")
                filled_exit = True
            elif held is not None and exit_now:
                pending = "signal"
            elif held is None and t >= resting:
                long = rules.enter_long[t] and not rules.exit_long[t]
                short = rules.enter_short[t] and not rules.exit_short[t]
                if long != short and not at_close:
                    order = (1 if long else -1, t)
                elif long != short and not filled_exit:
                    held = enter(1 if long else -1, t, t, c)
            # 4. Delisting, and the mark of what is held.
            if held is not None and t == delisting:
                leave(held, t, c, "delisted")
            if held is not None:
                mark = held.cash + held.side * held.size * c
                if mark <= 0:
                    money, held.exit_bar, held.exit_price, held.equity_after = 0.0, t, c, 0.0
                    held.reason, held.ruined, held, pending = "ruined", True, None, ""
        equity.append(money if held is None else mark)
    if held is not None:
        held.equity_after = mark
    return trades, equity


def stake(rules: Rules, trades: Sequence[Trade], decision: int) -> float:
    """The share of equity that the next position takes, in [0, 1]; NaN where it cannot be known."""
    if rules.size == "fraction":
        return rules.size_value
    if rules.size == "volatility_target":
        sigma = rules.sigma[decision] if rules.sigma is not None else math.nan
        return min(1.0, rules.size_value / sigma) if sigma > 0 else math.nan
    if rules.size == "kelly":
        won = lost = 0
        won_sum = lost_sum = 0.0
        for trade in trades:
            if trade.net_return > 0:
                won, won_sum = won + 1, won_sum + trade.net_return
            else:
                lost, lost_sum = lost + 1, lost_sum - trade.net_return
        if won + lost < KELLY_TRADES or won == 0:
            return KELLY_PROBE
        p = won / (won + lost)
        payoff = (won_sum / won) / (lost_sum / lost) if lost_sum > 0 else math.inf
        return min(1.0, max(KELLY_PROBE, rules.size_value * (p - (1 - p) / payoff)))
    return 1.0


def trade_sums(trades: Sequence[Trade], traded_value: Sequence[float], bars: int, first: int) -> Mapping[str, float]:
    """What `metrics.trade_metrics` wants, from a list of trades on bars [first, first + bars)."""
    closed = [trade for trade in trades if trade.reason != "open"]
    wins = [trade for trade in closed if trade.pnl > 0]
    losers = [trade for trade in closed if trade.pnl <= 0]
    fills = [(t.entry_bar, t.size * t.entry_price / t.equity_before) for t in trades]
    fills += [(t.exit_bar, t.size * t.exit_price / t.equity_before) for t in closed]
    return {
        "n": bars,
        "trades": len(trades),
        "closed": len(closed),
        "wins": len(wins),
        "losers": len(losers),
        "profit": sum(t.pnl for t in wins),
        "loss": -sum(t.pnl for t in losers),
        "win_return": sum(t.net_return for t in wins),
        "loss_return": -sum(t.net_return for t in losers),
        "turnover": sum(weight for _, weight in fills),
        "held": sum((t.exit_bar if t.reason != "open" else first + bars) - t.entry_bar for t in trades),
        "holding": sum(t.exit_bar - t.entry_bar for t in closed),
        "fills": len(fills),
        "participation": sum(weight / traded_value[bar] if traded_value[bar] != 0 else math.inf for bar, weight in fills),
        "open_trades": len(trades) - len(closed),
        "delisted": sum(t.reason == "delisted" for t in trades),
        "ruined": sum(t.ruined for t in trades),
    }
