"""The reference engine: the semantics of a backtest, bar by bar, in plain Python.

What belongs here: the text that the fast engine must equal, trade for trade. It is slow on purpose; read
`simulate` from top to bottom and you know what a backtest of this library is. Pairs are in `reference_pairs`.

Rules the text settles where the design is silent:

- A bar is missing when its prices are NaN. Nothing is decided at a missing bar and nothing fills in it.
- A bar without volume (zero, of a symbol that has had some) fills nothing: an entry lapses, an exit waits, no stop or
  target is touched and no trail moves. Rules are still decided at it, and positions marked.
- Long and short entry true at the same bar (after suppression by their own exits) cancel each other.
- An entry that needs an ATR or a volatility that is NaN or not positive at the decision bar lapses.
- With ``fill="close"`` a bar that filled an exit fills no entry (one order a bar).
- An exit by signal and a time stop due at the same open count as the signal.
- Equity is looked at after each exit and at each close; at or below zero it becomes zero for good.
- Kelly from closed trades: ``K = p - (1 - p) / (average win / average loss)`` of net returns on notional (Kelly
  1956), staked as ``value * K`` within [KELLY_PROBE, 1]; KELLY_PROBE alone until KELLY_TRADES have closed, and where
  K is not positive, so that the record goes on.
- Funding and borrow are paid at the opening of a bar, before anything fills there, by what is held into it, on its
  value at the last close. A rate of NaN is none.
- A participation cap holds for each order and bar. What an entry cannot get is cancelled. What an exit cannot get is
  sold at the next fills (opens, or closes with ``fill="close"``) as market orders, whatever began the exit; nothing
  stops it in between. A bar whose traded value is unknown gets nothing. Delisting is not capped.
- With a delay of k bars, what signals decide fills k bars later than it would; distances, size and side are those of
  the decision. While an entry is under way none is decided. Stops, targets and time limits rest and are not late.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

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
    volume: Sequence[float]

    def present(self, bar: int) -> bool:
        return not any(math.isnan(field[bar]) for field in (self.open, self.high, self.low, self.close))

    def filling(self, stop: int) -> list[bool]:
        """At which bars before `stop` orders can fill."""
        fills, traded = [], False
        for bar in range(stop):
            traded = traded or self.volume[bar] > 0
            fills.append(self.present(bar) and not (traded and self.volume[bar] == 0))
        return fills

    @property
    def delisting(self) -> int | None:
        """The last bar that is present, where bars follow it."""
        last = max((t for t in range(len(self.close)) if not math.isnan(self.close[t])), default=-1)
        return last if last < len(self.close) - 1 else None


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
    """`Costs` on one symbol: `slips`, `traded_value` and `funding` by bar, the rest as there, as fractions."""

    fee: float
    maker: float
    impact: float
    capital: float
    lot: float
    min_notional: float
    participation: float  # 0 is no cap
    slips: Sequence[float]
    traded_value: Sequence[float]
    market_targets: bool = False
    funding: Sequence[float] | None = None
    borrow: float = 0.0  # a bar

    def slip(self, bar: int, notional: float) -> float:
        """Slippage of a market fill of `notional`, in units of the starting equity."""
        slip = self.slips[bar]
        if self.impact > 0:
            value = self.traded_value[bar]
            slip = min(WORST_SLIP, slip + self.impact * math.sqrt(notional * self.capital / value)) if value > 0 else WORST_SLIP
        return slip

    def room(self, bar: int) -> float:
        """The notional an order can get at a bar, in units of the starting equity."""
        if self.participation == 0:
            return math.inf
        value = self.traded_value[bar]
        return self.participation * value / self.capital if value > 0 else 0.0

    def whole(self, units: float) -> float:
        """Units rounded down to lots."""
        return math.floor(units * self.capital / self.lot) * self.lot / self.capital if self.lot > 0 else units

    def carry(self, bar: int, side: int, price: float) -> float:
        """What a unit held into `bar` pays there, at the last close `price`."""
        rate = 0.0 if self.funding is None or math.isnan(self.funding[bar]) else self.funding[bar]
        return price * (rate if side > 0 else self.borrow - rate)


@dataclass(slots=True)
class Trade:
    """One position. Bars are indices; prices include slippage; `pnl` is net of costs, marked where open."""

    side: int  # 1 long, -1 short
    decision_bar: int
    entry_bar: int
    entry_price: float
    size: float
    equity_before: float
    cash: float  # after the entry: equity while held is cash + side * left * close
    exit_bar: int = -1
    exit_price: float = math.nan
    equity_after: float = math.nan
    reason: str = "open"
    ruined: bool = False
    left: float = 0.0  # units not sold yet
    sold: float = 0.0  # what parts of it were sold for, before fees
    leaving: bool = False  # a part is sold, or could not be: the rest goes at the next fills
    carry: float = 0.0  # funding and borrow paid
    fills: list[tuple[float, float]] = field(default_factory=list)  # (its bar's traded value, notional)

    @property
    def pnl(self) -> float:
        return self.equity_after - self.equity_before

    @property
    def net_return(self) -> float:
        return self.pnl / (self.size * self.entry_price)


def simulate(
    market: Market, rules: Rules, charges: Charges, fill: str, first: int, stop: int, delay: int = 0
) -> tuple[list[Trade], list[float]]:
    """Trades of one strategy on one symbol, and its equity at every close of bars [first, stop), from 1 unit."""
    fills = market.filling(stop)
    delisting = market.delisting
    at_close = fill == "close"
    wait = delay if at_close else delay + 1  # bars from a decision to its fill

    trades: list[Trade] = []
    equity: list[float] = []
    money = 1.0  # equity while flat
    held: Trade | None = None
    pending, due = "", -1  # why the position leaves, and the first bar at whose fill it does
    order: tuple[int, int] | None = None  # (side, decision bar) of the entry under way
    base = peak = mark = known = 0.0
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
        notional = min(weight * money, charges.room(bar))
        slip = charges.slip(bar, notional)
        paid = price * (1 + slip) if side > 0 else price * (1 - slip)
        size = charges.whole(notional / (1 + fee) / paid)
        if not size > 0 or size * paid * charges.capital < charges.min_notional:
            return None
        cash = money - size * paid * (1 + fee) if side > 0 else money + size * paid * (1 - fee)
        base = peak = price
        trade = Trade(side, decision, bar, paid, size, money, cash, left=size, fills=[(charges.traded_value[bar], size * paid)])
        trades.append(trade)
        return trade

    def leave(trade: Trade, bar: int, price: float, reason: str, limit: bool = False, capped: bool = True) -> None:
        nonlocal money, held, pending, due, resting
        part = trade.left
        if capped and part * price > charges.room(bar):
            part = charges.whole(charges.room(bar) / price)
        if part > 0:
            slip, rate = (0.0, charges.maker) if limit else (charges.slip(bar, part * price), charges.fee)
            got = price * (1 - slip) if trade.side > 0 else price * (1 + slip)
            trade.cash += part * got * (1 - rate) if trade.side > 0 else -(part * got * (1 + rate))
            trade.fills.append((charges.traded_value[bar], part * got))
            trade.exit_price = got if trade.sold == 0 else (trade.sold + part * got) / trade.size
            trade.sold += part * got
        if part < trade.left:
            trade.left -= part
            trade.leaving, pending, due = True, reason, bar + 1
            return
        money = trade.cash
        trade.ruined = money <= 0
        money = max(money, 0.0)
        trade.exit_bar, trade.equity_after, trade.reason = bar, money, reason
        held, pending = None, ""
        if rules.cooldown is not None and money < trade.equity_before:
            resting = bar + rules.cooldown

    for t in range(first, stop):
        filled_exit = False
        # 0. What is held into the bar pays for it.
        if held is not None:
            paid = held.left * charges.carry(t, held.side, known)
            held.cash -= paid
            held.carry += paid
        # 1. The open: exits decided before, time stops, then an entry decided before.
        if fills[t]:
            o, h, low = market.open[t], market.high[t], market.low[t]
            if held is not None:
                signalled = pending and t >= due and not at_close
                timed = rules.hold is not None and t >= held.entry_bar + rules.hold and not held.leaving
                if signalled or timed:
                    leave(held, t, o, pending if signalled else "time")
                    filled_exit = held is None
        if order is not None and not at_close and t == order[1] + wait:
            held = enter(*order, t, market.open[t]) if fills[t] else None
            order = None
        # 2. Within the bar: the stop (the nearer of fixed and trailing) before the target.
        if fills[t] and held is not None and not held.leaving:
            side, d = held.side, held.decision_bar
            level, name = -math.inf * side, ""
            if rules.stop is not None:
                level, name = rules.stop.level(base, -side, d), "stop"
            if rules.breakeven is not None and side * peak >= side * rules.breakeven.level(base, side, d) and side * base > side * level:
                level, name = base, "stop"
            if rules.trail is not None:
                trailing = rules.trail.level(peak, -side, d)
                if side * trailing > side * level:
                    level, name = trailing, "trail"
            target = None if rules.take is None else rules.take.level(base, side, d)
            if name and (low <= level if side > 0 else h >= level):
                leave(held, t, min(o, level) if side > 0 else max(o, level), name)
                filled_exit = held is None
            elif target is not None and (h >= target if side > 0 else low <= target):
                leave(held, t, max(o, target) if side > 0 else min(o, target), "take", not charges.market_targets)
                filled_exit = held is None
            peak = max(peak, h) if side > 0 else min(peak, low)
        # 3. The close: decide; at close fill, fill.
        if market.present(t):
            known = market.close[t]
            if held is not None and not pending and (rules.exit_long if held.side > 0 else rules.exit_short)[t]:
                pending, due = "signal", t + wait
            elif held is None and order is None and t >= resting and not (at_close and filled_exit):
                long = rules.enter_long[t] and not rules.exit_long[t]
                short = rules.enter_short[t] and not rules.exit_short[t]
                if long != short:
                    order = (1 if long else -1, t)
        if at_close and held is not None and pending and t >= due and fills[t]:
            leave(held, t, known, pending)
        if at_close and order is not None and t == order[1] + wait:
            held = enter(*order, t, known) if fills[t] else None
            order = None
        # 4. Delisting, and the mark of what is held.
        if held is not None and t == delisting:
            leave(held, t, known, "delisted", capped=False)
        if held is not None:
            mark = held.cash + held.side * held.left * known
            if mark <= 0:
                held.fills.append((charges.traded_value[t], held.left * known))
                held.exit_price = known if held.sold == 0 else (held.sold + held.left * known) / held.size
                money, held.exit_bar, held.equity_after = 0.0, t, 0.0
                held.reason, held.ruined, held, pending = "ruined", True, None, ""
        equity.append(money if held is None else mark)
    if held is not None:
        held.equity_after = mark
        held.exit_price = math.nan
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


def trade_sums(trades: Sequence[Trade], bars: int, first: int) -> Mapping[str, float]:
    """What `metrics.trade_metrics` wants, from a list of trades on bars [first, first + bars)."""
    closed = [trade for trade in trades if trade.reason != "open"]
    wins = [trade for trade in closed if trade.pnl > 0]
    losers = [trade for trade in closed if trade.pnl <= 0]
    fills = [(value, notional / t.equity_before) for t in trades for value, notional in t.fills]
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
        "participation": sum(weight / value if value != 0 else math.inf for value, weight in fills),
        "open_trades": len(trades) - len(closed),
        "delisted": sum(t.reason == "delisted" for t in trades),
        "ruined": sum(t.ruined for t in trades),
    }
